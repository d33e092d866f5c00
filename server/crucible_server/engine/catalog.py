"""Stored scripts: looked up, listed, named and deleted."""

from __future__ import annotations

import time

from crucible_server.engine.scripts import Scripts, no_such_name, no_such_script, not_found
from crucible_server.engine.sources import check_name
from crucible_server.errors import invalid
from crucible_server.policy.principals import Caller
from crucible_server.store import ScriptQuery, ScriptRecord, ScriptStats, ScriptSummary, Store


class Catalog:
    """The scripts of each tenant as the store has them. All methods raise ServiceError and StoreError."""

    def __init__(self, store: Store, scripts: Scripts) -> None:
        self._store = store
        self._scripts = scripts

    async def find(self, tenant: str, script_id: str, name: str) -> ScriptSummary:
        """A script by its id, or by a name that points at it."""
        if not script_id:
            if not name:
                raise invalid("script", "expected one of script_id, script_name; got none")
            script_id = await self._scripts.id_of_name(tenant, name, "script_name")
        summary = await self._store.get_script_summary(tenant, script_id)
        if summary is None:
            raise no_such_script(script_id)
        return summary

    async def source(self, summary: ScriptSummary) -> ScriptRecord:
        """The same script with its text."""
        record = await self._store.get_script(summary.tenant, summary.script_id)
        if record is None:
            raise not_found(f"the script {summary.script_id} was deleted a moment ago")
        return record

    async def page(self, query: ScriptQuery) -> list[ScriptSummary]:
        """A page of scripts, newest first."""
        return await self._store.list_scripts(query)

    async def name(self, tenant: str, name: str, script_id: str) -> ScriptSummary | None:
        """Points a name at a script; without an id removes the name. None when it was removed."""
        check_name(name, "name")
        if not script_id:
            if not await self._store.remove_name(tenant, name):
                raise no_such_name(name)
            return None
        if not await self._store.name_script(tenant, name, script_id, time.time_ns()):
            raise no_such_script(script_id)
        return await self.find(tenant, script_id, "")

    async def delete(self, caller: Caller, script_id: str) -> None:
        """Removes the caller's reference, and the script with the last one."""
        if not script_id:
            raise invalid("script_id", "expected the id of a script, got an empty one")
        deletion = await self._store.delete_script(caller.tenant, script_id, caller.principal)
        if not deletion.found:
            raise not_found(f"no script that {caller.principal!r} has stored has the id {script_id[:80]!r}")
        self._scripts.forget(caller.tenant, script_id, deletion.unit_keys if deletion.removed else ())

    async def stats(self, tenant: str, script_ids: list[str]) -> list[ScriptStats]:
        """Figures of these scripts, in this order; those that are not stored are refused."""
        found = {stats.script_id: stats for stats in await self._store.script_stats(tenant, script_ids)}
        for script_id in script_ids:
            if script_id not in found:
                raise no_such_script(script_id)
        return [found[script_id] for script_id in script_ids]
