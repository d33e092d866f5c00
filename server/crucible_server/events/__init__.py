"""What happened: told in the order of its commits, from the store, to whoever may know."""
