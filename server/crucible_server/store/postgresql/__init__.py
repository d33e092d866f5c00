"""PostgreSQL as the database of a store that several servers may share."""
