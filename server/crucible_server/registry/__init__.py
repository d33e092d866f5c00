"""Which services there are, and how they are."""
