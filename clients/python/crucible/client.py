"""The synchronous client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self, Unpack

import grpc

from crucible import requests, results
from crucible.calls import answer, pages
from crucible.channel import OPTIONS
from crucible.client_config import ConfigCalls
from crucible.client_events import EventCalls, ServiceCalls
from crucible.errors import from_rpc_error
from crucible.metadata import MetadataCalls, with_metadata
from crucible.results import Compilation, CompiledScript, Execution, Metrics, Output, Result, Script
from crucible.v1 import execution_pb2, server_info_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub


class ChunkCall(Protocol):
    """A call whose responses each carry one piece of an execution."""

    def __iter__(self) -> Iterator[Any]: ...
    def cancel(self) -> Any:
        """Ends the call; the script with it, unless it is detached or the call only follows it."""


class Stream:
    """The output of an execution, piece by piece while it runs; a context manager that ends the call.

    Iterating raises ExecutionFailed after the last piece when the script failed (unless `check=False`), and
    another CrucibleError when the call failed.
    """

    def __init__(self, call: ChunkCall, execution_id: str, *, check: bool) -> None:
        self.execution_id = execution_id
        self.result: Result | None = None
        """The end of the execution; None until the iteration has come there."""
        self._call = call
        self._check = check

    def __iter__(self) -> Iterator[Output]:
        try:
            for response in self._call:
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

    def close(self) -> None:
        """Ends the call, which kills a script that still runs, unless it is detached or only followed by
        `wait`.
        """
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client(EventCalls, ServiceCalls, ConfigCalls, MetadataCalls):
    """Compiles and runs scripts on the server at `address` (`host:port`).

    Without `credentials` the connection is not encrypted. `options` are gRPC channel options that go before
    ours. A call that is made while a span of OpenTelemetry is current belongs to its trace. All methods raise a
    CrucibleError of the fitting class when the server refuses or cannot be reached; a client may be shared by threads.
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
            self._channel = grpc.insecure_channel(address, merged)
        else:
            self._channel = grpc.secure_channel(address, credentials, merged)
        self._add_stubs()

    def _add_stubs(self) -> None:
        channel = with_metadata(self._channel, self._metadata)
        self.stub = ScriptServiceStub(channel)
        """The generated stub, for calls that have no method here."""
        self._add_event_stubs(channel)
        self._add_config_stub(channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls that are under way end."""
        self._channel.close()

    def check(
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
        return results.compilation(answer(self.stub.CompileScript, request))

    def compile(
        self,
        source: str,
        *,
        files: Mapping[str, str] | None = None,
        level: requests.Level | None = None,
        name: str | None = None,
        file_name: str | None = None,
    ) -> CompiledScript:
        """Compiles and stores a source, under `name` if given; raises CompilationError when it cannot."""
        return self.check(source, files=files, level=level, name=name, file_name=file_name).unwrap()

    def run(
        self,
        script: str | CompiledScript | Script | None = None,
        *,
        check: bool = True,
        deadline: float | None = None,
        **options: Unpack[requests.RunOptions],
    ) -> Result:
        """Runs a function of a source, or of a compiled or stored script, to its end.

        Raises ExecutionFailed when the script fails, unless `check` is false. `deadline` bounds the whole
        call in seconds; passing it kills a script that is not detached.
        """
        request = api.ExecuteScriptRequest(context=requests.execution_context(script, options))
        response = answer(self.stub.ExecuteScript, request, deadline)
        result = results.result(response.result)
        return result.unwrap() if check else result

    def stream(
        self,
        script: str | CompiledScript | Script | None = None,
        *,
        check: bool = True,
        deadline: float | None = None,
        **options: Unpack[requests.RunOptions],
    ) -> Stream:
        """Runs a function like `run`, giving its output while it runs."""
        context = requests.execution_context(script, options)
        call = self.stub.ExecuteScriptStream(api.ExecuteScriptStreamRequest(context=context), timeout=deadline)
        return Stream(call, context.execution_id, check=check)

    def wait(self, execution_id: str, *, after: int = 0, check: bool = True, deadline: float | None = None) -> Stream:
        """Follows an execution, running or ended, from the piece after the sequence number `after`."""
        request = api.WaitExecutionRequest(execution_id=execution_id, after_sequence=after)
        return Stream(self.stub.WaitExecution(request, timeout=deadline), execution_id, check=check)

    def cancel(self, execution_id: str, *, reason: str = "") -> Execution:
        """Ends an execution; one that has ended stays as it is."""
        request = api.CancelExecutionRequest(execution_id=execution_id, reason=reason)
        return results.execution(answer(self.stub.CancelExecution, request).execution)

    def get_execution(self, execution_id: str) -> Execution:
        """Reads the record of an execution."""
        request = api.GetExecutionRequest(execution_id=execution_id)
        return results.execution(answer(self.stub.GetExecution, request).execution)

    def delete_execution(self, execution_id: str) -> None:
        """Deletes the record of an execution that has ended, with its output; its id is free again.

        Raises ExecutionUnfinished for one that has not ended. ExecutionNotFound can also mean that a try whose
        answer was lost has deleted it.
        """
        answer(self.stub.DeleteExecution, api.DeleteExecutionRequest(execution_id=execution_id))

    def redact_execution(self, execution_id: str) -> None:
        """Erases arguments, outputs and values of an execution that has ended, and keeps id, times and outcome.

        Raises ExecutionUnfinished for one that has not ended.
        """
        request = api.DeleteExecutionRequest(execution_id=execution_id, redact_only=True)
        answer(self.stub.DeleteExecution, request)

    def executions(
        self,
        states: Iterable[requests.State] = (),
        *,
        script_id: str = "",
        principal: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int | None = None,
    ) -> Iterator[Execution]:
        """Executions, newest first, without outputs and values; only those that fit all filters given.

        They are fetched while they are read, `page_size` at a time (1 to 1000, 50 by default). Those accepted after
        the first page are left out, and what was read may be deleted meanwhile. Times have a time zone;
        `created_after` includes its moment, `created_before` does not.
        """
        request = requests.list_executions(states, script_id, principal, created_after, created_before, page_size)
        found = pages(self.stub.ListExecutions, request)
        return (results.execution(row) for page in found for row in page.executions)

    def script(self, script_id: str | None = None, *, name: str | None = None, include_source: bool = False) -> Script:
        """Reads a stored script by its id or by a name that points at it; its text only when asked for."""
        request = requests.get_script(script_id, name, include_source)
        return results.script(answer(self.stub.GetScript, request).script)

    def scripts(
        self,
        name_prefix: str = "",
        *,
        principal: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int | None = None,
    ) -> Iterator[Script]:
        """Stored scripts, newest first, without their text; only those that fit all filters given.

        They are fetched while they are read, like `executions`.
        """
        request = requests.list_scripts(name_prefix, principal, created_after, created_before, page_size)
        found = pages(self.stub.ListScripts, request)
        return (results.script(row) for page in found for row in page.scripts)

    def name_script(self, name: str, script_id: str) -> Script:
        """Points a name at a stored script, wherever it pointed before."""
        return results.script(answer(self.stub.NameScript, requests.name_script(name, script_id)).script)

    def remove_name(self, name: str) -> None:
        """Removes a name; the script stays.

        ScriptNotFound can also mean that a try whose answer was lost has removed it.
        """
        answer(self.stub.NameScript, api.NameScriptRequest(name=name))

    def delete_script(self, script_id: str) -> None:
        """Removes the caller's reference to a script; with the last one go its text, names and figures.

        Executions and their records stay. ScriptNotFound can also mean that a try whose answer was lost has
        deleted it.
        """
        answer(self.stub.DeleteScript, api.DeleteScriptRequest(script_id=script_id))

    def metrics(self, *script_ids: str) -> Metrics:
        """Figures of the service, and of these scripts."""
        return results.metrics(answer(self.stub.GetMetrics, api.GetMetricsRequest(script_ids=script_ids)))

    def server_info(self) -> server_info_pb2.ServerInfo:
        """Versions, levels, limits and modules."""
        return answer(self.stub.GetServerInfo, api.GetServerInfoRequest()).server

    def health(self) -> server_info_pb2.HealthStatus:
        """How the service is."""
        return answer(self.stub.HealthCheck, api.HealthCheckRequest()).health
