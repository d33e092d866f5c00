"""What an operator does with a store: check it, back it up, restore it. For `crucible store`."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from .check import CheckReport, Progress, check_store, reading
from .connection import connect, create_folder, database_path
from .errors import StoreError, StoreErrorKind, store_error
from .lock import FileLock
from .schema import REVISIONS, newer_schema, revision_of

__all__ = ["CheckReport", "Progress", "backup_store", "check_store", "restore_store"]

# Some milliseconds' worth: progress is told in between.
_PAGES_AT_ONCE = 1024
_OF_THE_SOURCE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def backup_store(url: str, destination: Path, progress: Progress = lambda done, total: None) -> None:
    """Copies the store as it is at this moment to a new file, also while a server writes to it.

    The copy is a whole store in one file that only this user can read. Raises StoreError when there is no store, or
    the destination exists or cannot be written; nothing is left there then.
    """
    path = database_path(url)
    destination = destination.expanduser().absolute()
    _refuse_existing(destination)
    with reading(path) as source:
        _require_store(source, path)
        copy = _copy(source, path, destination, progress)
    try:
        # It may have come into being since.
        _refuse_existing(destination)
        os.rename(copy, destination)
    except BaseException:
        copy.unlink()
        raise
    _sync(destination.parent)


def restore_store(backup: Path, url: str, progress: Progress = lambda done, total: None) -> Path | None:
    """Puts a backup in the place of the store; returns where the store that was there is now, or None.

    The backup is verified first, and the exchange is one step: whoever opens the store afterwards finds the old
    one or the new one. Raises StoreError, with the store as it was, when a server uses it, or the backup is
    damaged, no store, or of a newer version.
    """
    path = database_path(url)
    backup = backup.expanduser().absolute()
    if path.exists() and backup.exists() and backup.samefile(path):
        raise StoreError(StoreErrorKind.CONFIGURATION, f"{backup} is the store itself. Name a backup of it.")
    create_folder(path)
    lock = FileLock(path)
    try:
        with reading(backup) as source:
            revision = _require_store(source, backup)
            if revision not in REVISIONS:
                raise newer_schema(backup, revision)
            _require_whole(source, backup)
            copy = _copy(source, backup, path, progress)
        try:
            aside = _set_aside(path)
            os.replace(copy, path)
        except OSError as error:
            copy.unlink(missing_ok=True)
            raise StoreError(
                StoreErrorKind.READ_ONLY,
                f"The store {path} could not be replaced: {error.strerror}. Give this user write access to its "
                "folder, and look for the store there: it is whole, under its own name or beside it.",
            ) from error
        _sync(path.parent)
        return aside
    finally:
        lock.release()


def _refuse_existing(destination: Path) -> None:
    if destination.exists():
        raise StoreError(
            StoreErrorKind.CONFLICT,
            f"{destination} exists already and is not overwritten. Name a new file for the backup.",
        )


def _require_store(connection: sqlite3.Connection, path: Path) -> str:
    revision = revision_of(connection, path)
    if revision is None:
        raise StoreError(StoreErrorKind.CORRUPT, f"The file {path} is empty: it holds no store.")
    return revision


def _require_whole(connection: sqlite3.Connection, path: Path) -> None:
    problems = [str(text) for (text,) in connection.execute("PRAGMA integrity_check(1)") if text != "ok"]
    problems += [f"a row of {row[0]} belongs to nothing" for row in connection.execute("PRAGMA foreign_key_check")]
    if problems:
        raise StoreError(
            StoreErrorKind.CORRUPT,
            f"The backup {path} is damaged and was not restored: {problems[0]}. Use another backup.",
        )


def _copy(source: sqlite3.Connection, source_path: Path, target: Path, progress: Progress) -> Path:
    """Copies to a new file beside the target and waits for the disk; returns its path."""
    copy_path = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(copy_path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            StoreErrorKind.READ_ONLY,
            f"{target} cannot be written: {error.strerror}. Name a place in a folder that exists and that this "
            "user can write to.",
        ) from error
    try:
        with contextlib.closing(sqlite3.connect(copy_path, isolation_level=None)) as copy:
            # The source is of one moment (see `reading`), so that a server's writes do not start it over.
            source.backup(
                copy, pages=_PAGES_AT_ONCE, progress=lambda _, remaining, total: progress(total - remaining, total)
            )
            # One file: without a log beside it. A server turns that on again.
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        _sync(copy_path)
    except sqlite3.Error as error:
        copy_path.unlink()
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        raise store_error(error, source_path if code in _OF_THE_SOURCE else target) from error
    except BaseException:
        copy_path.unlink()
        raise
    return copy_path


def _set_aside(path: Path) -> Path | None:
    """Gives the store a second name, under which it stays; returns that, or None when there is no store."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    # Folds the log back, so that all of the store is in one file. One that is damaged keeps its log.
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path, read_only=False)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.before-restore-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.before-restore-{stamp}-{number}")
    os.link(path, aside)
    # A log that stayed would be taken for that of the store that comes.
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


def _sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
