"""Backups of a file, and files that are restored."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .check import Progress
from .connection import connect, create_folder
from .errors import StoreError, StoreErrorKind, store_error
from .lock import FileLock
from .renumbering import renumber
from .schema import REVISIONS, ensure_schema, newer_schema, revision_of
from .sqlite_inspection import reading

# Some milliseconds' worth: progress is told in between.
_PAGES_AT_ONCE = 1024
_OF_THE_SOURCE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def backup(path: Path, destination: Path, progress: Progress) -> None:
    """See `maintenance.backup_store`."""
    with new_file(destination) as copy, reading(path) as source:
        require_store(source.raw, path)
        copy_file(source.raw, path, copy, progress)


def restore(file: Path, path: Path, progress: Progress) -> Path | None:
    """See `maintenance.restore_store`."""
    if path.exists() and file.exists() and file.samefile(path):
        raise StoreError(StoreErrorKind.CONFIGURATION, f"{file} is the store itself. Name a backup of it.")
    create_folder(path)
    lock = FileLock(path)
    try:
        copy = partial_file(path)
        try:
            prepare(file, copy, progress)
        except BaseException:
            copy.unlink()
            raise
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
        sync(path.parent)
        return aside
    finally:
        lock.release()


def prepare(file: Path, copy: Path, progress: Progress) -> None:
    """Makes an empty file the store that a backup becomes when it is restored. Raises StoreError."""
    copy_whole(file, copy, progress)
    # The backup may be of an older version.
    ensure_schema(copy)
    try:
        renumber(copy)
    except sqlite3.Error as error:
        raise store_error(error, copy) from error
    sync(copy)


def copy_whole(file: Path, copy: Path, progress: Progress) -> None:
    """Copies a backup that is whole, and of a version that is known, to an empty file. Raises StoreError."""
    with reading(file) as source:
        revision = require_store(source.raw, file)
        if revision not in REVISIONS:
            raise newer_schema(file, revision)
        _require_whole(source.raw, file)
        copy_file(source.raw, file, copy, progress)


@contextmanager
def new_file(destination: Path) -> Iterator[Path]:
    """A file to be filled, which becomes the destination, all or nothing. Raises StoreError."""
    _refuse_existing(destination)
    copy = partial_file(destination)
    try:
        yield copy
        # It may have come into being since.
        _refuse_existing(destination)
        os.rename(copy, destination)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    sync(destination.parent)


def _refuse_existing(destination: Path) -> None:
    if destination.exists():
        raise StoreError(
            StoreErrorKind.CONFLICT,
            f"{destination} exists already and is not overwritten. Name a new file for the backup.",
        )


def require_store(connection: sqlite3.Connection, path: Path) -> str:
    """The revision of a store. Raises StoreError (CORRUPT) when there is none."""
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


def partial_file(target: Path) -> Path:
    """A new empty file beside the target that only this user can read. Raises StoreError."""
    path = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            StoreErrorKind.READ_ONLY,
            f"{target} cannot be written: {error.strerror}. Name a place in a folder that exists and that this "
            "user can write to.",
        ) from error
    return path


def copy_file(source: sqlite3.Connection, source_path: Path, copy_path: Path, progress: Progress) -> None:
    """Copies to an empty file and waits for the disk. Raises StoreError."""
    try:
        with contextlib.closing(sqlite3.connect(copy_path, isolation_level=None)) as copy:
            # The source is of one moment (see `reading`), so that a server's writes do not start it over.
            source.backup(
                copy, pages=_PAGES_AT_ONCE, progress=lambda _, remaining, total: progress(total - remaining, total)
            )
            # One file: without a log beside it. A server turns that on again.
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        sync(copy_path)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        raise store_error(error, source_path if code in _OF_THE_SOURCE else copy_path) from error


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


def sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
