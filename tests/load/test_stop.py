"""A server that is stopped while it compiles: every call is answered, and those without a result may be tried again."""

from __future__ import annotations

import threading

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import server_info_pb2
from tests.conftest import StartServer
from tests.engine.processes import PATIENCE, wait_until
from tests.lengths import TIMEOUT

pytestmark = pytest.mark.timeout(TIMEOUT)

CALLERS = 24
"""Many more than compile at once: most wait for their turn when the server is stopped."""
FUNCTIONS = 1000
TOLD = ("UNAVAILABLE the server is ", "UNAVAILABLE compiling failed: ")


def long_source(salt: int) -> str:
    body = "\n".join(
        f"fn f{index}(n) {{ if n > {index} {{ n - 1 }} else {{ n + {salt} }} }}" for index in range(FUNCTIONS)
    )
    return f"{body}\npub fn main() {{ f0({salt}) }}"


@pytest.mark.parametrize("executes", [False, True], ids=["compile", "execute"])
def test_calls_that_wait_for_the_compiler_are_told_to_try_again(start_server: StartServer, executes: bool) -> None:
    server = start_server(CRUCIBLE_GRACE_PERIOD="5s" if executes else "25s")

    def done(metrics: server_info_pb2.PerformanceMetrics) -> int:
        # What is compiled for an execution has yet to run, which the server may not begin once it stops.
        return metrics.total_executions if executes else metrics.total_compilations

    outcomes: list[str] = []
    connected = threading.Barrier(CALLERS, timeout=PATIENCE)

    def call(salt: int) -> None:
        with crucible.Client(server.address, options=[("grpc.enable_retries", 0)]) as client:
            # A call that finds no server any more is not told anything by it.
            client.health()
            connected.wait()
            try:
                if executes:
                    client.run(long_source(salt), deadline=PATIENCE)
                else:
                    client.compile(long_source(salt))
                outcomes.append("done")
            except crucible.CrucibleError as error:
                outcomes.append(f"{error.kind} {error.message}")

    threads = [threading.Thread(target=call, args=(salt,)) for salt in range(CALLERS)]
    for thread in threads:
        thread.start()
    with crucible.Client(server.address) as client:
        # By when the others have come: they were all let go at once.
        wait_until(lambda: done(client.stub.GetMetrics(api.GetMetricsRequest()).metrics) >= 4, "nothing is done")
    assert server.terminate() == 0
    for thread in threads:
        thread.join(PATIENCE)
    assert len(outcomes) == CALLERS
    assert "done" in outcomes
    if not executes:
        # The grace period is for them too.
        assert set(outcomes) == {"done"}
    # By the server itself, not by the connection that it closes in the end.
    told = [outcome for outcome in outcomes if outcome != "done"]
    assert [each for each in told if not each.startswith(TOLD)] == []
