"""`python -m crucible_server` is the command `crucible`."""

from crucible_server.cli import main

main()
