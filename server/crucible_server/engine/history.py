"""Executions that have been: listed, erased, deleted."""

from __future__ import annotations

from collections.abc import Mapping

from crucible_server.engine import results
from crucible_server.engine.execution import Execution
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.store import Change, ExecutionQuery, ExecutionRecord, Store


class History:
    """The executions of each tenant as the store has them. All methods raise ServiceError and StoreError."""

    def __init__(self, store: Store, live: Mapping[tuple[str, str], Execution]) -> None:
        """`live` are the executions that have not ended, by tenant and id."""
        self._store = store
        self._live = live

    async def page(self, query: ExecutionQuery) -> list[tuple[ExecutionRecord, Execution | None]]:
        """A page of executions, newest first, without outputs and values; with each the one that lives, if it does."""
        records = await self._store.list_executions(query)
        return [(record, self._live.get((record.tenant, record.execution_id))) for record in records]

    async def delete(self, tenant: str, execution_id: str) -> None:
        """Deletes the record of an execution that has ended, with its output."""
        self._refuse_live(tenant, execution_id)
        self._check(await self._store.delete_execution(tenant, execution_id), execution_id)

    async def redact(self, tenant: str, execution_id: str) -> None:
        """Erases arguments, output and values of an execution that has ended; its id, times and outcome stay."""
        self._refuse_live(tenant, execution_id)
        self._check(await self._store.redact_execution(tenant, execution_id, results.redacted), execution_id)

    def _refuse_live(self, tenant: str, execution_id: str) -> None:
        # Its end may be stored already, while it is still being told.
        live = self._live.get((tenant, execution_id))
        if live is not None and not live.finished.done():
            raise _unfinished(execution_id)

    @staticmethod
    def _check(change: Change, execution_id: str) -> None:
        if change is Change.ABSENT:
            raise execution_not_found(execution_id)
        if change is Change.UNFINISHED:
            raise _unfinished(execution_id)


def execution_not_found(execution_id: str) -> ServiceError:
    """An execution that is not there."""
    return ServiceError(
        ErrorKind.ERROR_KIND_EXECUTION_NOT_FOUND,
        f"no execution has the id {execution_id[:140]!r}; it may have been deleted, or be older than its retention",
    )


def _unfinished(execution_id: str) -> ServiceError:
    return ServiceError(
        ErrorKind.ERROR_KIND_EXECUTION_UNFINISHED,
        f"the execution {execution_id!r} has not ended; cancel it first, or wait for its end",
    )
