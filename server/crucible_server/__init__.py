"""Crucible's server: compiles and runs untrusted Rune scripts, each in a jailed process of its own."""

__version__ = "0.1.0"
"""The version of server and command line, the same as that of the crate crucible-vm."""
