"""The store and the key: opened for reading only, in a way that leaves the folder as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from crucible_server.cli.findings.finding import Finding, Status
from crucible_server.cli.tables import size

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig

GROUP = "store"
_LITTLE_SPACE = 1024**3
_NO_SPACE = 64 * 1024**2
_KEY_BYTES = 32
_KEY_ID = "SELECT value FROM settings WHERE name = 'unit_key_id'"
_BUSY_SECONDS = 2.0


def look(config: ServerConfig) -> Iterator[Finding]:
    """Findings on the store, its disk and the key."""
    from crucible_server.store import StoreError
    from crucible_server.store.address import PostgresAddress, address_of

    try:
        address = address_of(config.store_url)
    except StoreError as error:
        advice = "set `store_url` to sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        yield Finding(GROUP, "place", Status.ERROR, error.message, advice)
        return
    key_id: bytes | None = None
    if isinstance(address, PostgresAddress):
        from crucible_server.cli.findings import database

        findings, key_id = database.look(config)
        yield from findings
        yield _key(config, key_id)
        return
    path = address.path
    if path.exists():
        yield _file(path)
        finding, key_id = _schema(path)
        yield finding
        yield _holder(path)
    else:
        yield _place(path)
    yield _disk(path)
    yield _key(config, key_id)


def _place(path: Path) -> Finding:
    existing = _existing(path)
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding(GROUP, "place", Status.OK, f"{path}: none yet; the first start of a server makes it")
    return Finding(
        GROUP,
        "place",
        Status.ERROR,
        f"{path} cannot be made: this user may not write to {existing}",
        "give this user write access, or set `data_dir` (--data-dir) to another folder",
    )


def _file(path: Path) -> Finding:
    about = path.stat()
    detail = f"{path}, {size(about.st_size)}, mode {stat.S_IMODE(about.st_mode):04o}"
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        return Finding(
            GROUP,
            "place",
            Status.ERROR,
            f"{detail}: this user may not write to it and its folder",
            "run the server as the user who owns it, or give this one write access to the file and its folder",
        )
    if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(
            GROUP,
            "place",
            Status.WARNING,
            f"{detail}: others can read the sources and results in it",
            f"run `chmod 600 {path}`",
        )
    return Finding(GROUP, "place", Status.OK, detail)


def _schema(path: Path) -> tuple[Finding, bytes | None]:
    """The finding on the schema, and what the store knows of its key."""
    try:
        with closing(_open(path)) as connection:
            tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
            known = connection.execute(_KEY_ID).fetchone() if "settings" in tables else None
    except sqlite3.Error as error:
        finding = Finding(
            GROUP,
            "schema",
            Status.ERROR,
            f"cannot be read: {error}",
            "`crucible store check` looks closer; `crucible store restore` puts a backup in its place",
        )
        return finding, None
    key_id = bytes(known[0]) if known else None
    return schema_finding(str(rows[0][0]) if rows else None), key_id


def schema_finding(revision: str | None) -> Finding:
    """The finding on a schema; None stands for an empty store."""
    from crucible_server.store.schema import REVISIONS

    if revision is None:
        return Finding(GROUP, "schema", Status.OK, "empty; the first start of a server fills it")
    if revision == REVISIONS[-1]:
        return Finding(GROUP, "schema", Status.OK, f"{revision}, as this version has it")
    if revision in REVISIONS:
        detail = f"{revision}; the next start of a server brings it to {REVISIONS[-1]}"
        advice = "make a copy with `crucible store backup` first, if you may want to go back"
        return Finding(GROUP, "schema", Status.WARNING, detail, advice)
    detail = f"expected {REVISIONS[-1]} at most, got {revision}: a newer version has written it"
    return Finding(GROUP, "schema", Status.ERROR, detail, "start that version, or use another store")


def _open(path: Path) -> sqlite3.Connection:
    log = path.with_name(path.name + "-wal")
    # Without a log nobody writes, and SQLite need not make the files by which it would otherwise share the database.
    alone = not log.exists() or log.stat().st_size == 0
    mode = "mode=ro&immutable=1" if alone else "mode=ro&readonly_shm=1"
    return sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=_BUSY_SECONDS)


def _holder(path: Path) -> Finding:
    """Who has the store's lock, read where the kernel lists all locks: taking it would stop a server that starts."""
    lock = path.with_name(path.name + ".lock")
    try:
        inode = str(lock.stat().st_ino)
        lines = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return Finding(GROUP, "in use", Status.OK, "by no server")
    # Such as `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`.
    for words in map(str.split, lines):
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
            return Finding(GROUP, "in use", Status.OK, f"by a server, process {words[4]}")
    return Finding(GROUP, "in use", Status.OK, "by no server")


def _disk(path: Path) -> Finding:
    folder = _existing(path)
    free = shutil.disk_usage(folder).free
    detail = f"{size(free)} free at {folder}"
    advice = "free some space, or move the store; shorter retention makes it smaller"
    if free < _NO_SPACE:
        return Finding(GROUP, "disk", Status.ERROR, detail, advice)
    if free < _LITTLE_SPACE:
        return Finding(GROUP, "disk", Status.WARNING, detail, advice)
    return Finding(GROUP, "disk", Status.OK, detail)


def _key(config: ServerConfig, known: bytes | None) -> Finding:
    """The finding on the key of the byte code; `known` tells the key that the store was last used with."""
    from crucible_server.engine.keys import configured_seal

    if config.unit_key is not None:
        return _same_key(configured_seal(config, may_create=False).key_id, known, "given by the environment")
    path = config.unit_key_file
    try:
        about = path.stat()
    except FileNotFoundError:
        if known is None:
            return Finding(GROUP, "key", Status.OK, f"{path}: none yet; the first start of a server makes it")
        return Finding(
            GROUP,
            "key",
            Status.ERROR,
            f"{path} is missing, and the byte code in the store was sealed under it",
            "put the file back; if it is lost, `crucible store reseal` drops the byte code, to be compiled anew",
        )
    except OSError as error:
        return Finding(GROUP, "key", Status.ERROR, f"{path}: {error.strerror}", "give this user access to it")
    mode = stat.S_IMODE(about.st_mode)
    detail = f"{path}, mode {mode:04o}"
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        what = f"{detail}: others may read it, so the server refuses it"
        return Finding(GROUP, "key", Status.ERROR, what, f"run `chmod 600 {path}`")
    if about.st_size != _KEY_BYTES:
        what = f"{detail}: expected {_KEY_BYTES} bytes, found {about.st_size}"
        advice = "put the right file back, or delete it and run `crucible store reseal`"
        return Finding(GROUP, "key", Status.ERROR, what, advice)
    if not os.access(path, os.R_OK):
        what = f"{detail}: this user may not read it"
        return Finding(GROUP, "key", Status.ERROR, what, "run the server as the user who owns it")
    return _same_key(configured_seal(config, may_create=False).key_id, known, detail)


def _same_key(key_id: bytes, known: bytes | None, detail: str) -> Finding:
    if known is None or key_id == known:
        return Finding(GROUP, "key", Status.OK, detail)
    return Finding(
        GROUP,
        "key",
        Status.ERROR,
        f"{detail}: it is not the one that the byte code in the store was sealed under",
        "put the former key back; if it is lost, `crucible store reseal` drops the byte code, to be compiled anew",
    )


def _existing(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.exists())
