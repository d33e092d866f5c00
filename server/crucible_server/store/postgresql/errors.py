"""What PostgreSQL's errors mean for the operator."""

from __future__ import annotations

import psycopg
from psycopg import errors

from crucible_server.store.errors import StoreError, StoreErrorKind

_RETRIED = (errors.SerializationFailure, errors.DeadlockDetected)

_BY_STATE: dict[str, tuple[StoreErrorKind, str]] = {
    "53100": (
        StoreErrorKind.FULL,
        "has no space left on its disk. Free space there; nothing acknowledged is lost",
    ),
    "53300": (
        StoreErrorKind.UNAVAILABLE,
        "has no connection left to give. A server takes six: raise `max_connections`, or stop other clients",
    ),
    "25006": (
        StoreErrorKind.READ_ONLY,
        "takes no writes. Is it a standby? Set `store_url` to the primary, or add target_session_attrs=read-write",
    ),
    "42501": (
        StoreErrorKind.READ_ONLY,
        (
            "denies this role what a store needs. Make the role the owner of the database, or grant it CREATE and "
            "USAGE on the schema and all rights to the tables"
        ),
    ),
    "55P03": (
        StoreErrorKind.LOCKED,
        "is locked by another session. See pg_locks and pg_stat_activity for who has it, and try again",
    ),
    "57014": (
        StoreErrorKind.UNAVAILABLE,
        "took too long over a statement. Is it overloaded, or does it want an ANALYZE? Try again",
    ),
    "42P01": (
        StoreErrorKind.SCHEMA,
        "lacks a table. Was it replaced or dropped meanwhile? Restart the server",
    ),
}
_BY_CLASS: dict[str, tuple[StoreErrorKind, str]] = {
    "40": (StoreErrorKind.LOCKED, "had to undo this in favour of another session, several times over. Try again"),
    "53": (StoreErrorKind.UNAVAILABLE, "lacks memory or another resource. See its log"),
    "58": (StoreErrorKind.UNAVAILABLE, "cannot use its disk. See its log"),
    "XX": (StoreErrorKind.CORRUPT, "reports damage. See its log; keep a copy of it, and restore a backup"),
}
# What is said before a connection stands has no code that the driver would give.
_BY_WORDS: tuple[tuple[tuple[str, ...], StoreErrorKind, str], ...] = (
    (
        (
            "password authentication failed",
            "no password supplied",
            "role ",
            "ident authentication",
            "peer authentication",
        ),
        StoreErrorKind.CONFIGURATION,
        (
            "refuses the user or the password. Check the user in `store_url`, and the password: in the file that "
            "`store_password_file` names, or in CRUCIBLE_STORE_PASSWORD"
        ),
    ),
    (
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        StoreErrorKind.CONFIGURATION,
        "does not admit this user from here. Add a line to its pg_hba.conf",
    ),
    (
        ("database ",),
        StoreErrorKind.CONFIGURATION,
        "does not exist. Make it by `createdb --encoding=UTF8 --template=template0 NAME`, or correct `store_url`",
    ),
    (
        ("too many clients", "connection slots"),
        StoreErrorKind.UNAVAILABLE,
        "has no connection left to give. A server takes six: raise `max_connections`, or stop other clients",
    ),
    (
        ("starting up", "shutting down", "recovery mode"),
        StoreErrorKind.UNAVAILABLE,
        "is starting or stopping. Try again",
    ),
)


def is_lost(error: Exception) -> bool:
    """Whether the connection is gone, and a new one may do better."""
    if isinstance(error, psycopg.InterfaceError):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate
    return state is None or (state[:2] in ("08", "57") and state != "57014") or state == "25P03"


def is_conflict(error: Exception) -> bool:
    """Whether another session was in the way, and another try will do."""
    return isinstance(error, _RETRIED)


def store_error(error: Exception, name: object) -> StoreError:
    """Translates an error of the driver; `name` is the database in messages. Passwords are in neither."""
    said = " ".join(str(error).split())
    state = getattr(error, "sqlstate", None) or ""
    if state[:2] in ("22", "23") or isinstance(error, psycopg.DataError):
        return StoreError(StoreErrorKind.CONFLICT, f"The store {name} refused a row: {said}.")
    found = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if found is None and not state:
        found = _by_words(said)
    if found is None and is_lost(error):
        found = (
            StoreErrorKind.UNAVAILABLE,
            "cannot be reached. Check that PostgreSQL runs at this address and that nothing between stops it",
        )
    kind, advice = found or (StoreErrorKind.UNAVAILABLE, "failed. See the message in brackets")
    return StoreError(kind, f"The store {name} {advice} ({f'{state}: ' if state else ''}{said}).")


def _by_words(said: str) -> tuple[StoreErrorKind, str] | None:
    for words, kind, advice in _BY_WORDS:
        if any(word in said for word in words) and (words != ("database ",) or "does not exist" in said):
            return kind, advice
    return None
