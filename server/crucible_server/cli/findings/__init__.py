"""What `crucible doctor` looks at. No probe changes anything: no key is made, no store, no migration."""
