"""What the writer does to scripts: each takes its connection and one argument, within the group's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from . import script_statements as s
from .records import ScriptDeletion, ScriptRecord, UnitRecord

ScriptWrite: TypeAlias = tuple[ScriptRecord, UnitRecord | None, str | None]
Touch: TypeAlias = tuple[str, str, int]
"""(tenant, script_id, time)"""
Unused: TypeAlias = tuple[str, str, int]
"""(tenant, script_id, last_used_time as it was found)"""

_INSERT_SCRIPT = (s.INSERT_SCRIPT.sql, s.INSERT_SCRIPT.taker())
_UPDATE_SCRIPT = (s.UPDATE_SCRIPT.sql, s.UPDATE_SCRIPT.taker())
_UPSERT_UNIT = (s.UPSERT_UNIT.sql, s.UPSERT_UNIT.taker())
_NO_FIGURES = (0, 0, 0, 0, 0, None)


def put_script(connection: sqlite3.Connection, write: ScriptWrite) -> bool:
    """Stores a script with its reference, figures, unit and name; True when it was not there."""
    script, unit, name = write
    sql, taker = _INSERT_SCRIPT
    is_new = connection.execute(sql, taker(script)).rowcount == 1
    if not is_new:
        sql, taker = _UPDATE_SCRIPT
        connection.execute(sql, taker(script))
    key = (script.tenant, script.script_id)
    connection.execute(s.INSERT_REFERENCE.sql, (script.principal, *key))
    connection.execute(s.UPSERT_STATS.sql, (*key, script.last_used_time, *_NO_FIGURES))
    if unit is not None:
        sql, taker = _UPSERT_UNIT
        connection.execute(sql, taker(unit))
    if name is not None:
        connection.execute(s.UPSERT_NAME.sql, (script.tenant, name, script.script_id, script.last_used_time))
    return is_new


def name_script(connection: sqlite3.Connection, naming: tuple[str, str, str, int]) -> bool:
    """Points (tenant, name) at a script at a time; False when there is no such script."""
    tenant, name, script_id, now = naming
    if connection.execute(s.SCRIPT_EXISTS.sql, (tenant, script_id)).fetchone() is None:
        return False
    connection.execute(s.UPSERT_NAME.sql, (tenant, name, script_id, now))
    return True


def remove_name(connection: sqlite3.Connection, name: tuple[str, str]) -> bool:
    """Removes (tenant, name); False when it is not there."""
    return connection.execute(s.DELETE_NAME.sql, name).rowcount == 1


def delete_script(connection: sqlite3.Connection, reference: tuple[str, str, str]) -> ScriptDeletion:
    """Takes the reference (tenant, script_id, principal) away, and with the last one the script."""
    if connection.execute(s.DELETE_REFERENCE.sql, reference).rowcount == 0:
        return ScriptDeletion(found=False, removed=False, unit_keys=())
    key = reference[:2]
    if connection.execute(s.SELECT_REFERENCE.sql, key).fetchone() is not None:
        return ScriptDeletion(found=True, removed=False, unit_keys=())
    return ScriptDeletion(found=True, removed=True, unit_keys=tuple(_remove(connection, key)))


def remove_unused(connection: sqlite3.Connection, candidates: Sequence[Unused]) -> tuple[int, list[str]]:
    """Removes those scripts that are still unnamed and have not been used since; their number and unit keys."""
    count = 0
    unit_keys: list[str] = []
    for tenant, script_id, last_used_time in candidates:
        if connection.execute(s.IS_UNUSED.sql, (tenant, script_id, last_used_time)).fetchone() is not None:
            unit_keys += _remove(connection, (tenant, script_id))
            count += 1
    return count, unit_keys


def touch_scripts(connection: sqlite3.Connection, touches: Sequence[Touch]) -> None:
    """Moves the times of last use forward, never back."""
    connection.executemany(s.TOUCH_SCRIPT.sql, [(time, tenant, script_id) for tenant, script_id, time in touches])


def drop_unit(connection: sqlite3.Connection, unit: tuple[str, bytes]) -> bool:
    """Deletes the unit (unit_key, mac); one of the same key that was sealed anew stays."""
    return connection.execute(s.DELETE_UNIT.sql, unit).rowcount == 1


def drop_units(connection: sqlite3.Connection, drop: tuple[str | None, int]) -> int:
    """Deletes up to (_, limit) units of other toolchains than (toolchain, _), or of any when it is None."""
    toolchain, limit = drop
    if toolchain is None:
        return connection.execute(s.DELETE_SOME_UNITS.sql, (limit,)).rowcount
    return connection.execute(s.DELETE_UNITS_OF_OTHERS.sql, (toolchain, toolchain, limit)).rowcount


def _remove(connection: sqlite3.Connection, key: tuple[str, ...]) -> list[str]:
    unit_keys = [str(row[0]) for row in connection.execute(s.SELECT_UNIT_KEYS.sql, key)]
    for statement in s.REMOVE_SCRIPT:
        connection.execute(statement.sql, key)
    return unit_keys
