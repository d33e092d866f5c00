"""What servers that share a database agree on: advisory locks, leases, and the clock, which is the database's."""

from __future__ import annotations

from collections.abc import Iterable

CHANNEL = "crucible"
"""On which servers tell each other what cannot wait."""

_CLASS = 0x43525543
"""Tells the locks of Crucible from those of others in the same database."""
_IN_USE = 1
_WRITING = 2
_SWEEPING = 3

NOW = "(extract(epoch from clock_timestamp()) * 1000000000)::bigint"
"""Nanoseconds since 1970 by the clock of the database: those of the servers may differ."""

USE = f"SELECT pg_advisory_lock_shared({_CLASS}, {_IN_USE})"
"""Every server holds this for as long as it is connected; who changes the schema or restores waits for all of them."""
STOP_USING = f"SELECT pg_advisory_unlock_shared({_CLASS}, {_IN_USE})"
OWN = f"SELECT pg_advisory_lock({_CLASS}, {_IN_USE})"
TRY_TO_OWN = f"SELECT pg_try_advisory_lock({_CLASS}, {_IN_USE})"
STOP_OWNING = f"SELECT pg_advisory_unlock({_CLASS}, {_IN_USE})"

WRITE = f"SELECT pg_advisory_xact_lock({_CLASS}, {_WRITING})"
"""The servers write one after the other: their groups neither deadlock nor conflict, and commit in one order."""

TRY_TO_SWEEP = f"SELECT pg_try_advisory_lock({_CLASS}, {_SWEEPING})"
"""One of the servers deletes what is too old or too much; it stays the one while it is connected."""

END_LAPSED = (
    f"UPDATE servers SET instance_id = '' WHERE lease_end < {NOW} AND instance_id <> '' "
    "AND pg_postmaster_start_time() < now() - interval '15 seconds'"
)
"""The row stays, so that a server that comes back late can find out what came of its last group."""
FORGET_OLD = f"DELETE FROM servers WHERE lease_end < {NOW} - 86400000000000"


def begin_group(server_id: str, instance_id: str, number: int, lease_seconds: float) -> str:
    """Begins the transaction of a group, marks it with the group's number and renews the lease: all in one message.

    The last result tells by its row count whether the lease is still there. The ids are letters and digits.
    """
    assert server_id.isalnum()
    assert instance_id.isalnum()
    return (
        f"BEGIN; {WRITE}; UPDATE servers SET groups = {number}, lease_end = {NOW} + {int(lease_seconds * 1e9)} "
        f"WHERE server_id = '{server_id}' AND instance_id = '{instance_id}'"
    )


def commit(news: Iterable[str]) -> str:
    """Commits, and announces all of it: in one message. The last result is that of the commit."""
    return "".join(f"NOTIFY {CHANNEL}, '{text}'; " for text in news) + "COMMIT"


REGISTER = (
    "INSERT INTO servers (server_id, instance_id, lease_end, groups, host, process, start_time) "
    f"VALUES (%(server_id)s, %(instance_id)s, {NOW} + %(lease_ns)s, %(groups)s, %(host)s, %(process)s, {NOW}) "
    "ON CONFLICT (server_id) DO UPDATE SET instance_id = excluded.instance_id, lease_end = excluded.lease_end, "
    "groups = excluded.groups, host = excluded.host, process = excluded.process, start_time = excluded.start_time "
    f"WHERE servers.instance_id IN ('', excluded.instance_id) OR servers.lease_end < {NOW} OR %(take_over)s "
    "AND servers.host = excluded.host"
)
"""Changes no row when another server goes by this id and has a lease.

With `take_over`, who comes from the same host and holds the file of the id is that server after a restart.
"""
DEREGISTER = "DELETE FROM servers WHERE server_id = %s AND instance_id = %s"
LAST_GROUP = "SELECT groups FROM servers WHERE server_id = %s"
SERVERS = (
    f"SELECT host, process FROM servers WHERE lease_end > {NOW} AND instance_id NOT IN ('', %s) ORDER BY host, process"
)
