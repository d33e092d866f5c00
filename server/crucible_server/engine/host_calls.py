"""Host calls: what a child asks and the server does. One registry, one path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from crucible.v1 import value_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.engine.job import HostCallError, HostCallHandler
from crucible_server.store import ExecutionRecord

log = structlog.get_logger("crucible.script")

_MAX_LOG_MESSAGE = 4096
_NULL = value_pb2.Value(null_value=value_pb2.NullValue())
_LEVELS = ("debug", "info", "warn", "error")


@dataclass(frozen=True, slots=True)
class HostCallContext:
    """On whose behalf a call is made."""

    record: ExecutionRecord


Act = Callable[[HostCallContext, value_pb2.ObjectValue], Awaitable[value_pb2.Value]]


@dataclass(frozen=True, slots=True)
class HostCallEntry:
    """One host call. `module` is the Rune module that makes it: a script without that module may not."""

    name: str
    schema_version: int
    module: str
    replayable: bool
    """Whether a replay may answer from the journal alone."""
    act: Act


class HostCalls:
    """The host calls of this server. Checked when they are made: nothing that a child says authorises one."""

    def __init__(self) -> None:
        self._entries: dict[str, HostCallEntry] = {}
        self.register(HostCallEntry("crucible.basic.log", 1, "crucible::basic", True, _log))

    def register(self, entry: HostCallEntry) -> None:
        """Adds a call; its name must be new."""
        if entry.name in self._entries:
            raise ValueError(f"the host call {entry.name} is registered already")
        self._entries[entry.name] = entry

    def handler(self, record: ExecutionRecord, modules: frozenset[str] | None = None) -> HostCallHandler:
        """What answers the calls of one execution that may use these modules; all when None."""
        context = HostCallContext(record)

        async def answer(call: child_pb2.HostCall) -> value_pb2.Value:
            entry = self._entries.get(call.name)
            if entry is None or (modules is not None and entry.module not in modules):
                raise HostCallError(f"the host call {call.name!r} does not exist at this level")
            if call.schema_version != entry.schema_version:
                raise HostCallError(f"{call.name}: expected version {entry.schema_version}, got {call.schema_version}")
            if call.arguments.WhichOneof("kind") != "object_value":
                raise HostCallError(f"{call.name}: expected an object of arguments")
            return await entry.act(context, call.arguments.object_value)

        return answer


async def _log(context: HostCallContext, arguments: value_pb2.ObjectValue) -> value_pb2.Value:
    level = arguments.fields["level"].string_value if "level" in arguments.fields else "info"
    if level not in _LEVELS:
        raise HostCallError(f"log: expected one of {', '.join(_LEVELS)}, got {level[:32]!r}")
    message = arguments.fields["message"].string_value if "message" in arguments.fields else ""
    write = getattr(log, "warning" if level == "warn" else level)
    write(
        "script_log",
        execution_id=context.record.execution_id,
        script_id=context.record.script_id,
        message=message[:_MAX_LOG_MESSAGE],
    )
    return _NULL
