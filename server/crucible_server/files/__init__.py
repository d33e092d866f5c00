"""`crucible::fs`: files that scripts may reach, acted on by the file broker."""
