"""What other servers that share the store do: executions that live there, and what they announce."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from crucible_server.engine.execution import Execution
from crucible_server.engine.job import Ending, Kind
from crucible_server.engine.scripts import Scripts
from crucible_server.errors import unavailable
from crucible_server.store import Announcement, CancelRequested, ExecutionRecord, Missed, ScriptRemoved, Store

# How often the store is asked for the end of an execution.
_FIRST_LOOK_SECONDS = 0.02
_LAST_LOOK_SECONDS = 0.5
_ASK_AGAIN_SECONDS = 2.0


class Elsewhere:
    """Looks after executions through the store alone. All methods raise ServiceError and StoreError."""

    def __init__(self, store: Store, scripts: Scripts, live: Mapping[tuple[str, str], Execution]) -> None:
        """`live` are the executions of this server that have not ended, by tenant and id."""
        self._store = store
        self._scripts = scripts
        self._live = live

    def heard(self, announcement: Announcement) -> None:
        """Follows what a server has announced, this one included."""
        match announcement:
            case ScriptRemoved(tenant, script_id, unit_keys):
                self._scripts.forget(tenant, script_id, unit_keys)
            case CancelRequested(tenant, execution_id, reason):
                if (execution := self._live.get((tenant, execution_id))) is not None:
                    execution.end(cancellation(reason))
            case Missed():
                self._scripts.forget_all()

    async def ended(self, record: ExecutionRecord) -> ExecutionRecord:
        """The record of an execution that does not live here, once it has ended, as it does when its server dies."""
        delay = _FIRST_LOOK_SECONDS
        while True:
            # It ended between two looks at it, another server runs it, or its end could not be stored.
            fresh = await self._store.get_execution(record.tenant, record.execution_id)
            if fresh is not None and fresh.result is not None:
                return fresh
            if fresh is None or self._is_ours(fresh):
                raise unavailable("the end of the execution is not stored yet; ask again")
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, _LAST_LOOK_SECONDS)

    async def cancel(self, record: ExecutionRecord, reason: str) -> ExecutionRecord:
        """Has the server that runs an execution end it, and waits for that; one of this server is left as it is."""
        while record.result is None and not self._is_ours(record):
            await self._store.request_cancel(record.tenant, record.execution_id, reason[:500])
            # An announcement may be missed, and the server may have died.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_AGAIN_SECONDS):
                    record = await self.ended(record)
        return record

    def _is_ours(self, record: ExecutionRecord) -> bool:
        return not self._store.is_shared or record.instance_id == self._store.instance_id


def cancellation(reason: str) -> Ending:
    """The end of an execution by CancelExecution."""
    why = f"cancelled: {reason[:500]}" if reason else "cancelled by CancelExecution"
    return Ending(Kind.EXECUTION_ERROR_KIND_CANCELLED, why)
