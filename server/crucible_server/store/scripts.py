"""The store of scripts, their names, byte code and figures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from . import lists
from . import script_operations as operations
from . import script_statements as s
from .base import OpenDatabase
from .event_operations import Drafts
from .records import ScriptDeletion, ScriptQuery, ScriptRecord, ScriptStats, ScriptSummary, UnitRecord

# What one transaction deletes at most: others wait for it.
_BATCH = 20
_LATEST = (1 << 63) - 1


class ScriptStore(OpenDatabase):
    """Scripts by (tenant, script_id); byte code by a key of its own."""

    async def put_script(
        self, script: ScriptRecord, unit: UnitRecord | None, name: str | None, events: Drafts = ()
    ) -> None:
        """Stores a script with its byte code, as this principal's, points the name at it, and tells, all or nothing.

        A script that exists keeps `create_time` and `principal`.
        """
        await self._write(operations.put_script, (script, unit, name), events, committed=self._add_scripts)

    async def get_script(self, tenant: str, script_id: str) -> ScriptRecord | None:
        """A script of this tenant."""
        row = await self._readers.first(s.SELECT_SCRIPT, (tenant, script_id))
        return None if row is None else ScriptRecord(*row)

    async def get_script_summary(self, tenant: str, script_id: str) -> ScriptSummary | None:
        """A script of this tenant, without its source."""
        return await self._readers.run(lambda connection: lists.script_summary(connection, tenant, script_id))

    async def list_scripts(self, query: ScriptQuery) -> list[ScriptSummary]:
        """A page of scripts, newest first."""
        return await self._readers.run(lambda connection: lists.list_scripts(connection, query))

    async def resolve_name(self, tenant: str, name: str) -> str | None:
        """The id of the script that a name points at."""
        row = await self._readers.first(s.SELECT_NAME, (tenant, name))
        return None if row is None else str(row[0])

    async def name_script(self, tenant: str, name: str, script_id: str, now: int) -> bool:
        """Points a name at a script; False when there is no such script."""
        return await self._writer.submit(operations.name_script, (tenant, name, script_id, now), compound=True)

    async def remove_name(self, tenant: str, name: str) -> bool:
        """Removes a name; False when it is not there."""
        return await self._writer.submit(operations.remove_name, (tenant, name))

    async def delete_script(self, tenant: str, script_id: str, principal: str) -> ScriptDeletion:
        """Takes one principal's reference away; with the last one go the script, its names, byte code and figures."""
        return await self._writer.submit(
            operations.delete_script,
            (tenant, script_id, principal),
            compound=True,
            committed=lambda deletion: self._add_scripts(-int(deletion.removed)),
        )

    def touch_scripts(self, touches: Sequence[tuple[str, str, int]]) -> None:
        """Notes when scripts were last used: (tenant, script_id, time). Readers see it a moment later."""
        if touches:
            self._writer.post(operations.touch_scripts, tuple(touches))

    async def script_stats(self, tenant: str, script_ids: Sequence[str]) -> list[ScriptStats]:
        """The figures of those scripts that are there, in the order asked for."""
        scripts = tuple(script_ids)
        return await self._readers.run(lambda connection: lists.script_stats(connection, tenant, scripts))

    async def get_unit(self, unit_key: str) -> UnitRecord | None:
        """Byte code, not verified."""
        row = await self._readers.first(s.SELECT_UNIT, (unit_key,))
        return None if row is None else UnitRecord(*row)

    async def drop_unit(self, unit_key: str, mac: bytes) -> bool:
        """Deletes byte code that has this seal; False when there is none, or one that was sealed anew."""
        return await self._writer.submit(operations.drop_unit, (unit_key, mac))

    async def drop_units_of_other_toolchains(self, toolchain: str) -> int:
        """Deletes all byte code that something else has compiled; returns how many units."""
        return await self._drop_units(toolchain)

    async def drop_all_units(self) -> int:
        """Deletes all byte code; returns how many units."""
        return await self._drop_units(None)

    async def expire_scripts(self, before: int, limit: int = 200) -> list[str]:
        """Deletes up to `limit` unnamed scripts last used before a time; returns the keys of their byte code.

        Those without byte code do not count: an empty list says that there are no more.
        """
        while True:
            removed, unit_keys = await self._remove_unused(before, limit)
            if unit_keys or not removed:
                return unit_keys

    async def trim_scripts(self, keep: int, limit: int = 200) -> list[str]:
        """Deletes up to `limit` unnamed scripts, the least recently used first, while there are more than `keep`.

        Returns the keys of the byte code that went with them; an empty list says that there are no more.
        """
        await asyncio.shield(self._counting)
        while True:
            removed, unit_keys = await self._remove_unused(_LATEST, min(limit, self._script_count - keep))
            if unit_keys or not removed:
                return unit_keys

    async def _drop_units(self, toolchain: str | None) -> int:
        total = 0
        while count := await self._writer.submit(operations.drop_units, (toolchain, _BATCH)):
            total += count
        return total

    async def _remove_unused(self, before: int, limit: int) -> tuple[int, list[str]]:
        if limit <= 0:
            return 0, []
        found = await self._readers.run(
            lambda connection: connection.execute(s.SELECT_UNNAMED, (before, limit)).fetchall()
        )
        count = 0
        unit_keys: list[str] = []
        for start in range(0, len(found), _BATCH):
            removed, keys = await self._writer.submit(
                operations.remove_unused,
                found[start : start + _BATCH],
                compound=True,
                committed=lambda removed: self._add_scripts(-removed[0]),
            )
            count += removed
            unit_keys += keys
        return count, unit_keys
