"""What an operator does with a store: check it, back it up, restore it. For `crucible store`."""

from __future__ import annotations

from pathlib import Path

from . import sqlite_maintenance
from .address import SqliteAddress, address_of
from .check import CheckReport, Progress, check_store

__all__ = ["CheckReport", "Progress", "backup_store", "check_store", "restore_store"]


def backup_store(
    url: str, destination: Path, progress: Progress = lambda done, total: None, *, password: str | None = None
) -> None:
    """Copies the store as it is at this moment to a new file, also while a server writes to it.

    The copy is a whole store in one file that only this user can read: a store of SQLite, whatever the database.
    Raises StoreError when there is no store, or the destination exists or cannot be written; nothing is left then.
    """
    address = address_of(url, password)
    destination = destination.expanduser().absolute()
    if isinstance(address, SqliteAddress):
        sqlite_maintenance.backup(address.path, destination, progress)
        return
    from .postgresql import maintenance

    maintenance.backup(address, destination, progress)


def restore_store(
    backup: Path, url: str, progress: Progress = lambda done, total: None, *, password: str | None = None
) -> str | None:
    """Puts a backup, made from either database, in the place of the store; returns where the former store is now.

    That is the path of a file, or the name of a schema in the database; None when there was none. The backup is
    verified first, and the exchange is one step: whoever opens the store afterwards finds the old one or the new
    one. Raises StoreError, with the store as it was, when a server uses it, or the backup is damaged, no store, or of a
    newer version.
    """
    address = address_of(url, password)
    backup = backup.expanduser().absolute()
    if isinstance(address, SqliteAddress):
        aside = sqlite_maintenance.restore(backup, address.path, progress)
        return None if aside is None else str(aside)
    from .postgresql import maintenance

    return maintenance.restore(backup, address, progress)
