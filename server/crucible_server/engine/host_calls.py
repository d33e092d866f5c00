"""Host calls: what a child asks and the server does. One registry, one path."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from crucible.v1 import security_pb2, value_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.config import HttpConfig
from crucible_server.engine.job import HostCallError, HostCallHandler
from crucible_server.files.allowance import FileAllowance, FileRefusedError
from crucible_server.files.calls import CALLS as FILE_CALLS
from crucible_server.files.calls import Call as FileCall
from crucible_server.files.client import Files
from crucible_server.outbound.allowance import Allowance, RefusedError
from crucible_server.store import ExecutionRecord
from crucible_server.telemetry.place import recorder, span

if TYPE_CHECKING:
    from crucible_server.outbound.client import HttpClient

log = structlog.get_logger("crucible.script")

_MAX_LOG_MESSAGE = 4096
_NULL = value_pb2.Value(null_value=value_pb2.NullValue())
# Longer than any level lets a script run.
_MAX_SLEEP = 7 * 86400.0
_LEVELS = ("debug", "info", "warn", "error")


class _Outbound:
    """The client for requests, made when the first is."""

    def __init__(self, config: HttpConfig, traced: tuple[str, ...]) -> None:
        self.config = config
        self.traced = traced
        self._client: HttpClient | None = None

    def client(self) -> HttpClient:
        if self._client is None:
            # Only here: most servers never make a request, and the library takes a while to load.
            from crucible_server.outbound.client import HttpClient

            self._client = HttpClient(self.config, traced=self.traced)
        return self._client


@dataclass(frozen=True, slots=True)
class HostCallContext:
    """On whose behalf a call is made, and what that one may use."""

    record: ExecutionRecord
    network: Allowance
    files: FileAllowance = field(default_factory=FileAllowance)
    outbound: _Outbound | None = None
    """Where requests go; as it was configured when the execution began."""


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

    def __init__(self, http: HttpConfig, files: Files | None = None, traced: Iterable[str] = ()) -> None:
        """Without `files` no script has any; the origins `traced` are told which trace a request belongs to."""
        self._entries: dict[str, HostCallEntry] = {}
        self._outbound = _Outbound(http, tuple(traced))
        self._files = files
        self.register(HostCallEntry("crucible.basic.log", 1, "crucible::basic", True, _log))
        self.register(HostCallEntry("crucible.basic.sleep", 1, "crucible::basic", True, _sleep))
        self.register(HostCallEntry("crucible.http.request", 1, "crucible::http", True, self._request))
        for name, call in FILE_CALLS.items():
            self.register(HostCallEntry(f"crucible.fs.{name}", 1, "crucible::fs", True, self._on_files(call)))

    @property
    def max_file_bytes(self) -> int | None:
        """What one execution may read and write; None when there are no files."""
        return self._files.config.max_execution_bytes if self._files is not None else None

    def register(self, entry: HostCallEntry) -> None:
        """Adds a call; its name must be new."""
        if entry.name in self._entries:
            raise ValueError(f"the host call {entry.name} is registered already")
        self._entries[entry.name] = entry

    def apply(self, http: HttpConfig) -> None:
        """Other bounds of HTTP, for executions that begin from now on."""
        if http != self._outbound.config:
            self._outbound = _Outbound(http, self._outbound.traced)

    def handler(self, context: HostCallContext, modules: frozenset[str]) -> HostCallHandler:
        """What answers the calls of one execution that may use these modules."""
        context = replace(context, outbound=self._outbound)

        async def answer(call: child_pb2.HostCall) -> value_pb2.Value:
            entry = self._entries.get(call.name)
            if entry is None or entry.module not in modules:
                raise HostCallError(f"the host call {call.name!r} does not exist at this level")
            if call.schema_version != entry.schema_version:
                raise HostCallError(f"{call.name}: expected version {entry.schema_version}, got {call.schema_version}")
            if call.arguments.WhichOneof("kind") != "object_value":
                raise HostCallError(f"{call.name}: expected an object of arguments")
            return await entry.act(context, call.arguments.object_value)

        async def followed(call: child_pb2.HostCall) -> value_pb2.Value:
            # A name that a script made up would be a label of its own.
            name = call.name if call.name in self._entries else "_OTHER"
            began, success = time.perf_counter(), False
            try:
                with span(f"host_call {name}", facts={"crucible.host_call.id": call.call_id}):
                    value = await answer(call)
                success = True
                return value
            finally:
                recorder().host_call(name, time.perf_counter() - began, success=success)

        return followed

    async def _request(self, context: HostCallContext, arguments: value_pb2.ObjectValue) -> value_pb2.Value:
        assert context.outbound is not None
        try:
            # At Development a script can open connections of its own.
            is_open = context.record.security_level == security_pb2.SECURITY_LEVEL_DEVELOPMENT
            return await context.outbound.client().request(arguments, context.network, is_open=is_open)
        except RefusedError as error:
            raise HostCallError(f"http: {error}") from None

    def _on_files(self, call: FileCall) -> Act:
        async def act(context: HostCallContext, arguments: value_pb2.ObjectValue) -> value_pb2.Value:
            if self._files is None:
                raise HostCallError("fs: this server allows no files: its operator would have to set allow_file_access")
            try:
                return await call(self._files, arguments, context.files)
            except FileRefusedError as error:
                raise HostCallError(f"fs: {error}") from None

        return act


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


async def _sleep(context: HostCallContext, arguments: value_pb2.ObjectValue) -> value_pb2.Value:
    seconds = arguments.fields["seconds"].double_value if "seconds" in arguments.fields else math.nan
    if not 0 <= seconds <= _MAX_SLEEP:
        raise HostCallError(f"sleep: expected from 0 to {_MAX_SLEEP:g} seconds, got {seconds:g}")
    await asyncio.sleep(seconds)
    return _NULL
