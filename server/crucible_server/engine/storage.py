"""Opens the store that the configuration names."""

from __future__ import annotations

import stat
from pathlib import Path

from crucible_server.config import ServerConfig
from crucible_server.store import Store, StoreError, StoreErrorKind

IDENTITY = "server.id"
"""The file in the data folder by which a server that shares its database is known after a restart."""


async def open_store(config: ServerConfig) -> Store:
    """The store, opened for writing. Raises StoreError."""
    return await Store.open(
        config.store_url,
        synchronous=config.store_synchronous,
        password=store_password(config),
        identity=config.data_dir / IDENTITY,
        lease_seconds=config.store_lease,
    )


def store_password(config: ServerConfig) -> str | None:
    """The password of the database, from the environment or the file; None leaves it to PostgreSQL's own ways.

    Raises StoreError (CONFIGURATION) when the file cannot be read, is empty or others may read it.
    """
    if config.store_password is not None:
        return config.store_password.get_secret_value()
    path = config.store_password_file
    if path is None:
        return None
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _unusable(path, f"cannot be read: {why}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise _unusable(path, f"may be read by others (mode {stat.S_IMODE(mode):04o}); run `chmod 600` on it")
    if not text or "\n" in text or "\0" in text:
        raise _unusable(path, "should hold the password in one line, and nothing else")
    return text


def _unusable(path: Path, why: str) -> StoreError:
    return StoreError(StoreErrorKind.CONFIGURATION, f"`store_password_file`: {path} {why}.")
