"""Figures that are recorded where they arise. Labels take their values from fixed lists, so that series stay few."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.metrics import Histogram, Meter

from crucible.v1 import execution_pb2, security_pb2
from crucible_server.engine.results import State, error_word, level_word, state_of
from crucible_server.telemetry.recorder import Recorder

# As the semantic conventions have them for calls, so that dashboards made for other services fit.
_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Small scripts end within a millisecond or two, the longest within minutes.
_RUN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_FORK_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class MeterRecorder(Recorder):
    """Records into instruments of OpenTelemetry."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, description: str, bounds: Sequence[float]) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds)

        self._rpc = seconds("rpc.server.call.duration", "Time of an incoming call.", _CALL_SECONDS)
        self._compilation = seconds("crucible.compilation.duration", "Time of a compiler.", _RUN_SECONDS)
        self._queue = seconds("crucible.execution.queue.duration", "Time that executions waited.", _RUN_SECONDS)
        self._fork = seconds("crucible.execution.fork.duration", "Time until executions had a child.", _FORK_SECONDS)
        self._execution = seconds("crucible.execution.duration", "Time of a script.", _RUN_SECONDS)
        self._host_call = seconds("crucible.host_call.duration", "Time of a host call.", _RUN_SECONDS)
        self._write = seconds("crucible.store.write.duration", "Time of a transaction of writes.", _FORK_SECONDS)
        self._cpu = meter.create_counter("crucible.execution.cpu.time", "s", "Processor time of scripts.")
        self._instructions = meter.create_counter(
            "crucible.execution.instructions", "{instruction}", "Instructions of the virtual machine."
        )
        self._network = meter.create_counter("crucible.execution.network.io", "By", "Bytes moved by requests.")

    def rpc(self, method: str, code: str, failure: str, seconds: float) -> None:
        """A call has ended."""
        labels = {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code}
        if failure:
            labels["error.type"] = failure
        self._rpc.record(seconds, labels)

    def compiled(self, seconds: float, *, success: bool) -> None:
        """A compiler has run."""
        self._compilation.record(seconds, {"crucible.success": success})

    def queued(self, seconds: float) -> None:
        """An execution has waited."""
        self._queue.record(seconds)

    def forked(self, seconds: float, *, is_spare: bool) -> None:
        """An execution has its child."""
        self._fork.record(seconds, {"crucible.spare": is_spare})

    def executed(self, result: execution_pb2.ExecutionResult, level: security_pb2.SecurityLevel) -> None:
        """An execution has ended."""
        state = State.Name(state_of(result)).removeprefix("EXECUTION_STATE_").lower()
        labels = {"crucible.execution.state": state, "crucible.security.level": level_word(level)}
        if not result.success:
            labels["error.type"] = error_word(result.error.kind)
        taken, usage = result.execution_time, result.resource_usage
        self._execution.record(taken.seconds + taken.nanos / 1e9, labels)
        self._cpu.add(usage.cpu_time.seconds + usage.cpu_time.nanos / 1e9)
        self._instructions.add(usage.operations_count)
        if usage.network_io_bytes:
            self._network.add(usage.network_io_bytes)

    def stored(self, seconds: float) -> None:
        """The store has made a transaction of writes."""
        self._write.record(seconds)

    def host_call(self, name: str, seconds: float, *, success: bool) -> None:
        """A host call was answered."""
        self._host_call.record(seconds, {"crucible.host_call.name": name, "crucible.success": success})
