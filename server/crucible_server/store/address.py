"""Where a store is: `sqlite:///PATH` or a path, or `postgresql://USER@HOST/DATABASE`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .errors import StoreError, StoreErrorKind

_SCHEME = re.compile(r"([A-Za-z0-9+]+)://")
_CONNINFO = re.compile(r"(?:^|\s)(?:host|hostaddr|port|dbname|user|passfile|\w*password)\s*=")
_PATH = re.compile(r"^\w+://[^/?#]*")
_PORTS = re.compile(r"[0-9,]*")
_SECRETS = ("password", "secret")
_EXAMPLES = "sqlite:////var/lib/crucible/crucible.db, a path, or postgresql://crucible@localhost/crucible"


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database of a PostgreSQL server. What is printed of it holds no password."""

    parameters: Mapping[str, str]
    """As libpq calls them, without the password."""
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        part = self.parameters.get
        host = part("host") or part("hostaddr") or ""
        port = f":{part('port')}" if part("port") else ""
        folder = f"?host={host}" if host.startswith("/") else ""
        return f"postgresql://{'' if folder else host}{port}/{part('dbname') or part('user') or ''}{folder}"


Address: TypeAlias = SqliteAddress | PostgresAddress


def address_of(url: str, password: str | None = None) -> Address:
    """The address that a `store_url` names; `password` is for PostgreSQL. Raises StoreError (CONFIGURATION)."""
    match = _SCHEME.match(url)
    if match is None:
        if url.strip() and not url.startswith(("sqlite:", "postgresql:", "postgres:")):
            return _file(url)
        raise _unusable(f"`store_url` should look like {_EXAMPLES}.")
    scheme = match[1].lower()
    if scheme == "sqlite":
        return _file(url[match.end() :].removeprefix("/"))
    if scheme in ("postgresql", "postgres"):
        return _database(url, password)
    raise _unusable(f"`store_url` names the database {scheme!r}; stores are kept in SQLite or PostgreSQL: {_EXAMPLES}.")


def database_path(url: str) -> Path:
    """The file that a `store_url` names. Raises StoreError for other databases."""
    address = address_of(url)
    if isinstance(address, SqliteAddress):
        return address.path
    raise _unusable(f"expected the path of a file, got the database {address}.")


def _file(name: str) -> SqliteAddress:
    if not name or name == ":memory:":
        raise _unusable(
            "`store_url` names no file. A store in memory would lose executions; use sqlite:///PATH.",
        )
    # Somebody's way to name a database of PostgreSQL, perhaps with a password.
    if _CONNINFO.search(name) or ("@" in name and not name.startswith(("/", "~", "."))):
        raise _unusable(f"`store_url` is neither a path nor a URL: it should look like {_EXAMPLES}.")
    return SqliteAddress(Path(name).expanduser().absolute())


def _database(url: str, password: str | None) -> PostgresAddress:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    # What libpq says of a URL repeats parts of it, and one of them may be a password.
    try:
        parsed = conninfo_to_dict(url)
        # A password with a `/` in it ends the host early, and is taken for a port and a database.
        if "@" in _PATH.sub("", url).partition("?")[0] or not _PORTS.fullmatch(str(parsed.get("port", ""))):
            raise psycopg.Error
    except psycopg.Error:
        raise _unusable(
            "`store_url` is no URL that PostgreSQL understands. Expected postgresql://USER@HOST:PORT/DATABASE, with "
            "options such as ?sslmode=verify-full; special characters are written %40 and the like."
        ) from None
    if any(word in name for name in parsed for word in _SECRETS):
        raise _unusable(
            "`store_url` holds a password, which commands and logs would show. Take it out of the URL, and name a file "
            "that holds it by `store_password_file`, or set CRUCIBLE_STORE_PASSWORD."
        )
    return PostgresAddress({name: str(value) for name, value in parsed.items()}, password)


def _unusable(message: str) -> StoreError:
    return StoreError(StoreErrorKind.CONFIGURATION, message)
