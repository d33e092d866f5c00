"""ScriptService: translates requests, calls the engine, translates back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import grpc
from google.protobuf import duration_pb2

from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as pb
from crucible_server.api import handlers
from crucible_server.api.figures import health, performance, script_stats
from crucible_server.api.handlers import Context
from crucible_server.api.records import Presenter
from crucible_server.api.stored import StoredThings
from crucible_server.engine.engine import Engine, Observed
from crucible_server.engine.monitor import Monitor
from crucible_server.engine.output import OutputChunk
from crucible_server.errors import ServiceError, invalid
from crucible_server.policy.grants import Grants
from crucible_server.telemetry.place import span

SERVICE = pb.DESCRIPTOR.services_by_name["ScriptService"].full_name
# The range of google.protobuf.Duration.
_MAX_GRACE_SECONDS = 315_576_000_000
_MAX_STATS = 1000


class ScriptService:
    """The thin side of the contract; no logic of its own."""

    def __init__(
        self, engine: Engine, grants: Grants, presenter: Presenter, monitor: Monitor, default_grace: float
    ) -> None:
        self._engine = engine
        self._monitor = monitor
        self._grants = grants
        self._presenter = presenter
        self.default_grace = default_grace
        """How long Stop waits when it is not told, in seconds."""

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers every RPC of the service."""
        served = {
            "CompileScript": handlers.unary(pb.CompileScriptRequest, self._compile),
            "ExecuteScript": handlers.unary(pb.ExecuteScriptRequest, self._execute),
            "ExecuteScriptStream": handlers.stream(pb.ExecuteScriptStreamRequest, self._execute_stream),
            "WaitExecution": handlers.stream(pb.WaitExecutionRequest, self._wait),
            "CancelExecution": handlers.unary(pb.CancelExecutionRequest, self._cancel),
            "GetExecution": handlers.unary(pb.GetExecutionRequest, self._get_execution),
            "GetMetrics": handlers.unary(pb.GetMetricsRequest, self._metrics),
            "HealthCheck": handlers.unary(pb.HealthCheckRequest, self._health),
            "GetServerInfo": handlers.unary(pb.GetServerInfoRequest, self._server_info),
            "Start": handlers.unary(pb.StartRequest, self._start),
            "Stop": handlers.unary(pb.StopRequest, self._stop),
            **StoredThings(self._engine, self._presenter).handlers(),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, served),))

    async def _compile(self, request: pb.CompileScriptRequest, context: Context) -> pb.CompileScriptResponse:
        self._engine.require_running()
        if not request.HasField("source"):
            raise invalid("source", "expected a script to compile, got none")
        caller = handlers.caller(context)
        with span("policy"), _asking_for(request.context.security_level):
            grant = self._grants.for_compile(caller, request.context)
        compilation = await self._engine.scripts.compile(
            request.source, grant, name=request.context.name, force=request.context.force
        )
        response = pb.CompileScriptResponse(
            success=compilation.unit is not None,
            diagnostics=compilation.diagnostics,
            rendered_diagnostics=compilation.rendered,
        )
        if compilation.unit is not None:
            response.script.CopyFrom(compilation.unit.script)
            response.script.name = request.context.name
            response.script.cached = compilation.cached
            # Levels with the same modules share byte code.
            response.script.security_level = grant.level
            if compilation.cached:
                response.script.ClearField("compile_time")
        return response

    async def _begin(
        self,
        request: pb.ExecuteScriptRequest | pb.ExecuteScriptStreamRequest,
        context: Context,
        *,
        announce: bool,
    ) -> tuple[Observed, bool]:
        if not request.HasField("context"):
            raise invalid("context", "expected what to execute, got none")
        caller = handlers.caller(context)
        with span("policy"), _asking_for(request.context.security_context.security_level):
            grant = self._grants.for_execution(caller, request.context)
        return await self._engine.execute(request.context, grant, announce=announce)

    async def _execute(self, request: pb.ExecuteScriptRequest, context: Context) -> pb.ExecuteScriptResponse:
        observed, is_owner = await self._begin(request, context, announce=False)
        try:
            result, output = await self._engine.result(observed)
        except asyncio.CancelledError:
            # Cancel, deadline and a lost connection look alike from here.
            if is_owner:
                self._engine.abandon(observed)
            raise
        return pb.ExecuteScriptResponse(
            result=await self._presenter.result(result, output, with_json=request.include_return_json)
        )

    async def _execute_stream(
        self, request: pb.ExecuteScriptStreamRequest, context: Context
    ) -> AsyncIterator[pb.ExecuteScriptStreamResponse]:
        observed, is_owner = await self._begin(request, context, announce=True)
        complete = False
        try:
            await context.send_initial_metadata((("crucible-execution-id", observed.record.execution_id),))
            async for chunk in self._chunks(observed, 0, request.include_return_json, skip_output=False):
                yield pb.ExecuteScriptStreamResponse(chunk=chunk)
            complete = True
        finally:
            if is_owner and not complete:
                self._engine.abandon(observed)

    async def _wait(
        self, request: pb.WaitExecutionRequest, context: Context
    ) -> AsyncIterator[pb.WaitExecutionResponse]:
        observed = await self._engine.observe(
            handlers.caller(context).tenant, handlers.required_id(request.execution_id)
        )
        async for chunk in self._chunks(
            observed, request.after_sequence, request.include_return_json, request.skip_output
        ):
            yield pb.WaitExecutionResponse(chunk=chunk)

    async def _chunks(
        self, observed: Observed, after: int, with_json: bool, skip_output: bool
    ) -> AsyncIterator[execution_pb2.ExecutionChunk]:
        execution_id = observed.record.execution_id
        async for item in self._engine.follow(observed, after, skip_output):
            if isinstance(item, OutputChunk):
                yield self._presenter.output_chunk(execution_id, item)
            else:
                sequence, result = item
                yield await self._presenter.last_chunk(execution_id, sequence, result, with_json)

    async def _cancel(self, request: pb.CancelExecutionRequest, context: Context) -> pb.CancelExecutionResponse:
        observed = await self._engine.cancel(
            handlers.caller(context).tenant, handlers.required_id(request.execution_id), request.reason
        )
        return pb.CancelExecutionResponse(execution=await self._record(observed, with_json=False))

    async def _get_execution(self, request: pb.GetExecutionRequest, context: Context) -> pb.GetExecutionResponse:
        observed = await self._engine.observe(
            handlers.caller(context).tenant, handlers.required_id(request.execution_id)
        )
        return pb.GetExecutionResponse(execution=await self._record(observed, request.include_return_json))

    async def _record(self, observed: Observed, with_json: bool) -> execution_pb2.Execution:
        if observed.live is not None:
            return self._presenter.live_execution(observed.live)
        if observed.record.result is None:
            # It ended between two looks at it, or its end could not be stored yet.
            return self._presenter.execution(observed.record)
        result, output = await self._engine.result(observed)
        return await self._presenter.stored_execution(observed.record, result, output, with_json)

    async def _metrics(self, request: pb.GetMetricsRequest, context: Context) -> pb.GetMetricsResponse:
        if len(request.script_ids) > _MAX_STATS:
            raise invalid("script_ids", f"expected at most {_MAX_STATS} ids, got {len(request.script_ids)}")
        script_ids = list(dict.fromkeys(request.script_ids))
        stats = await self._engine.catalog.stats(handlers.caller(context).tenant, script_ids)
        return pb.GetMetricsResponse(
            metrics=await performance(self._engine), script_stats=(script_stats(each) for each in stats)
        )

    async def _health(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse:
        return pb.HealthCheckResponse(
            health=health(self._engine, await self._monitor.probe(), handlers.caller(context))
        )

    async def _server_info(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse(
            server=self._presenter.server_info(self._engine, self._grants.levels(handlers.caller(context)))
        )

    async def _start(self, request: pb.StartRequest, context: Context) -> pb.StartResponse:
        handlers.operator(context)
        self._engine.resume()
        return pb.StartResponse(status=self._engine.status)

    async def _stop(self, request: pb.StopRequest, context: Context) -> pb.StopResponse:
        handlers.operator(context)
        grace = self.default_grace
        if request.HasField("grace_period"):
            grace = _grace(request.grace_period)
        interrupted = await self._engine.drain(grace)
        return pb.StopResponse(status=self._engine.status, interrupted_executions=interrupted)


@contextlib.contextmanager
def _asking_for(level: int) -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        error.security_level = level
        raise


def _grace(duration: duration_pb2.Duration) -> float:
    whole, nanos = duration.seconds, duration.nanos
    if not (0 <= whole <= _MAX_GRACE_SECONDS and 0 <= nanos < 1_000_000_000):
        raise invalid(
            "grace_period",
            f"expected a duration of 0 to {_MAX_GRACE_SECONDS} s, got seconds={whole} nanos={nanos}",
        )
    return whole + nanos / 1e9
