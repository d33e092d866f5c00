"""The client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

import grpc

from crucible import requests, results
from crucible.channel import CALL_TIMEOUT, OPTIONS
from crucible.errors import from_rpc_error
from crucible.results import Compilation, CompiledScript, Execution, Output, Result
from crucible.v1 import execution_pb2, server_info_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub

Response = TypeVar("Response")


class AsyncChunkCall(Protocol):
    """A call whose responses each carry one piece of an execution."""

    def __aiter__(self) -> AsyncIterator[Any]: ...
    def cancel(self) -> Any:
        """Ends the call; the script with it, unless it is detached or the call only follows it."""


class AsyncStream:
    """The output of an execution, piece by piece while it runs; an async context manager that ends the call.

    Iterating raises ExecutionFailed after the last piece when the script failed (unless `check=False`), and
    another CrucibleError when the call failed.
    """

    def __init__(self, call: AsyncChunkCall, execution_id: str, *, check: bool) -> None:
        self.execution_id = execution_id
        self.result: Result | None = None
        """The end of the execution; None until the iteration has come there."""
        self._call = call
        self._check = check

    async def __aiter__(self) -> AsyncIterator[Output]:
        try:
            async for response in self._call:
                chunk: execution_pb2.ExecutionChunk = response.chunk
                match results.piece(chunk):
                    case Output() as output:
                        yield output
                    case Result() as result:
                        self.result = result
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        if self._check and self.result is not None:
            self.result.unwrap()

    async def close(self) -> None:
        """Ends the call, which kills a script that still runs, unless it is detached or only followed by
        `wait`.
        """
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncClient:
    """Compiles and runs scripts on the server at `address` (`host:port`).

    Without `credentials` the connection is not encrypted. `options` are gRPC channel options that go before
    ours. All methods raise a CrucibleError of the fitting class when the server refuses or cannot be
    reached.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:50051",
        *,
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        merged = [*options, *((name, value) for name, value in OPTIONS if name not in dict(options))]
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, merged)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, merged)
        self.stub = ScriptServiceStub(self._channel)
        """The generated stub, for calls that have no method here."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls that are under way end."""
        await self._channel.close(None)

    async def check(
        self,
        source: str,
        *,
        files: Mapping[str, str] | None = None,
        level: requests.Level | None = None,
        name: str | None = None,
        file_name: str | None = None,
    ) -> Compilation:
        """Compiles a source and says what the compiler found; stores it when it compiles."""
        request = requests.compile_request(source, name, files, level, file_name)
        return results.compilation(await _answer(self.stub.CompileScript, request))

    async def compile(
        self,
        source: str,
        *,
        files: Mapping[str, str] | None = None,
        level: requests.Level | None = None,
        name: str | None = None,
        file_name: str | None = None,
    ) -> CompiledScript:
        """Compiles and stores a source, under `name` if given; raises CompilationError when it cannot."""
        return (await self.check(source, files=files, level=level, name=name, file_name=file_name)).unwrap()

    async def run(
        self,
        script: str | CompiledScript | None = None,
        *,
        check: bool = True,
        deadline: float | None = None,
        **options: Unpack[requests.RunOptions],
    ) -> Result:
        """Runs a function of a source, or of a compiled script, to its end.

        Raises ExecutionFailed when the script fails, unless `check` is false. `deadline` bounds the whole
        call in seconds; passing it kills a script that is not detached.
        """
        request = api.ExecuteScriptRequest(context=requests.execution_context(script, options))
        response = await _answer(self.stub.ExecuteScript, request, deadline)
        result = results.result(response.result)
        return result.unwrap() if check else result

    def stream(
        self,
        script: str | CompiledScript | None = None,
        *,
        check: bool = True,
        deadline: float | None = None,
        **options: Unpack[requests.RunOptions],
    ) -> AsyncStream:
        """Runs a function like `run`, giving its output while it runs."""
        context = requests.execution_context(script, options)
        call = self.stub.ExecuteScriptStream(api.ExecuteScriptStreamRequest(context=context), timeout=deadline)
        return AsyncStream(call, context.execution_id, check=check)

    def wait(
        self, execution_id: str, *, after: int = 0, check: bool = True, deadline: float | None = None
    ) -> AsyncStream:
        """Follows an execution, running or ended, from the piece after the sequence number `after`."""
        request = api.WaitExecutionRequest(execution_id=execution_id, after_sequence=after)
        return AsyncStream(self.stub.WaitExecution(request, timeout=deadline), execution_id, check=check)

    async def cancel(self, execution_id: str, *, reason: str = "") -> Execution:
        """Ends an execution; one that has ended stays as it is."""
        request = api.CancelExecutionRequest(execution_id=execution_id, reason=reason)
        return results.execution((await _answer(self.stub.CancelExecution, request)).execution)

    async def get_execution(self, execution_id: str) -> Execution:
        """Reads the record of an execution."""
        request = api.GetExecutionRequest(execution_id=execution_id)
        return results.execution((await _answer(self.stub.GetExecution, request)).execution)

    async def server_info(self) -> server_info_pb2.ServerInfo:
        """Versions, levels, limits and modules."""
        return (await _answer(self.stub.GetServerInfo, api.GetServerInfoRequest())).server

    async def health(self) -> server_info_pb2.HealthStatus:
        """How the service is."""
        return (await _answer(self.stub.HealthCheck, api.HealthCheckRequest())).health


async def _answer(
    method: Callable[..., Awaitable[Response]], request: Any, deadline: float | None = CALL_TIMEOUT
) -> Response:
    try:
        return await method(request, timeout=deadline)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
