"""Client of Crucible, the service that runs untrusted Rune scripts."""
