"""What the writer does to scripts: each takes its connection and one argument, within the group's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from . import script_statements as s
from .announcements import ScriptRemoved
from .database import Connection
from .records import ScriptDeletion, ScriptRecord, UnitRecord

ScriptWrite: TypeAlias = tuple[ScriptRecord, UnitRecord | None, str | None]
Touch: TypeAlias = tuple[str, str, int]
"""(tenant, script_id, time)"""
Unused: TypeAlias = tuple[str, str, int]
"""(tenant, script_id, last_used_time as it was found)"""

_INSERT_SCRIPT = (s.INSERT_SCRIPT, s.INSERT_SCRIPT.taker())
_UPDATE_SCRIPT = (s.UPDATE_SCRIPT, s.UPDATE_SCRIPT.taker())
_UPSERT_UNIT = (s.UPSERT_UNIT, s.UPSERT_UNIT.taker())
_NO_FIGURES = (0, 0, 0, 0, 0, None)


def put_script(connection: Connection, write: ScriptWrite) -> bool:
    """Stores a script with its reference, figures, unit and name; True when it was not there."""
    script, unit, name = write
    statement, taker = _INSERT_SCRIPT
    is_new = connection.execute(statement, taker(script)).rowcount == 1
    if not is_new:
        statement, taker = _UPDATE_SCRIPT
        connection.execute(statement, taker(script))
    key = (script.tenant, script.script_id)
    connection.execute(s.INSERT_REFERENCE, (script.principal, *key))
    connection.execute(s.UPSERT_STATS, (*key, script.last_used_time, *_NO_FIGURES))
    if unit is not None:
        statement, taker = _UPSERT_UNIT
        connection.execute(statement, taker(unit))
    if name is not None:
        connection.execute(s.UPSERT_NAME, (script.tenant, name, script.script_id, script.last_used_time))
    return is_new


def name_script(connection: Connection, naming: tuple[str, str, str, int]) -> bool:
    """Points (tenant, name) at a script at a time; False when there is no such script."""
    tenant, name, script_id, now = naming
    if connection.execute(s.SCRIPT_EXISTS, (tenant, script_id)).fetchone() is None:
        return False
    connection.execute(s.UPSERT_NAME, (tenant, name, script_id, now))
    return True


def remove_name(connection: Connection, name: tuple[str, str]) -> bool:
    """Removes (tenant, name); False when it is not there."""
    return connection.execute(s.DELETE_NAME, name).rowcount == 1


def delete_script(connection: Connection, reference: tuple[str, str, str]) -> ScriptDeletion:
    """Takes the reference (tenant, script_id, principal) away, and with the last one the script."""
    if connection.execute(s.DELETE_REFERENCE, reference).rowcount == 0:
        return ScriptDeletion(found=False, removed=False, unit_keys=())
    key = reference[:2]
    if connection.execute(s.SELECT_REFERENCE, key).fetchone() is not None:
        return ScriptDeletion(found=True, removed=False, unit_keys=())
    return ScriptDeletion(found=True, removed=True, unit_keys=tuple(_remove(connection, key)))


def remove_unused(connection: Connection, candidates: Sequence[Unused]) -> tuple[int, list[str]]:
    """Removes those scripts that are still unnamed and have not been used since; their number and unit keys."""
    count = 0
    unit_keys: list[str] = []
    for tenant, script_id, last_used_time in candidates:
        if connection.execute(s.IS_UNUSED, (tenant, script_id, last_used_time)).fetchone() is not None:
            unit_keys += _remove(connection, (tenant, script_id))
            count += 1
    return count, unit_keys


def touch_scripts(connection: Connection, touches: Sequence[Touch]) -> None:
    """Moves the times of last use forward, never back."""
    connection.execute_many(s.TOUCH_SCRIPT, [(time, tenant, script_id) for tenant, script_id, time in touches])


def drop_unit(connection: Connection, unit: tuple[str, bytes]) -> bool:
    """Deletes the unit (unit_key, mac); one of the same key that was sealed anew stays."""
    return connection.execute(s.DELETE_UNIT, unit).rowcount == 1


def drop_units(connection: Connection, drop: tuple[str | None, int]) -> int:
    """Deletes up to (_, limit) units of other toolchains than (toolchain, _), or of any when it is None."""
    toolchain, limit = drop
    if toolchain is None:
        return connection.execute(s.DELETE_SOME_UNITS, (limit,)).rowcount
    return connection.execute(s.DELETE_UNITS_OF_OTHERS, (toolchain, toolchain, limit)).rowcount


def _remove(connection: Connection, key: tuple[str, ...]) -> list[str]:
    unit_keys = [str(row[0]) for row in connection.execute(s.SELECT_UNIT_KEYS, key)]
    for statement in s.REMOVE_SCRIPT:
        connection.execute(statement, key)
    connection.announce(ScriptRemoved(key[0], key[1], tuple(unit_keys)))
    return unit_keys
