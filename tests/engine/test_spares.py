"""How many spares there are: the rule, and a server whose callers come at once."""

from __future__ import annotations

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible_server.engine.spares import SpareTarget
from tests.conftest import StartServer
from tests.engine.processes import LOOP, wait_until
from tests.servers import children_of


def test_the_number_follows_the_most_jobs_at_once() -> None:
    target = SpareTarget(least=2, most=8)
    assert target.wanted(0.0) == 2
    target.drawn(0.0, busy=1)
    assert target.wanted(0.0) == 2
    target.drawn(1.0, busy=5)
    assert target.wanted(1.0) == 5
    target.drawn(2.0, busy=50)
    assert target.wanted(2.0) == 8


def test_it_goes_back_step_by_step_when_fewer_are_needed() -> None:
    target = SpareTarget(least=2, most=8)
    target.drawn(0.0, busy=5)
    assert target.wanted(9.9) == 5
    assert target.wanted(10.1) == 4
    target.drawn(15.0, busy=4)
    assert target.wanted(24.0) == 4
    assert target.wanted(25.1) == 3
    assert target.wanted(1000.0) == 2


def test_without_a_least_there_are_none() -> None:
    target = SpareTarget(least=0, most=8)
    target.drawn(0.0, busy=5)
    assert target.wanted(0.0) == 0


def test_callers_that_come_at_once_find_spares_the_next_time(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_SPARE_CHILDREN="6")
    with crucible.Client(server.address) as client:

        def metrics() -> tuple[int, int, int]:
            found = client.stub.GetMetrics(api.GetMetricsRequest()).metrics
            return found.spare_children, found.spare_hits, found.spare_misses

        wait_until(lambda: metrics()[0] == 2, "expected the two spares of the start")
        client.compile(LOOP)
        wait_until(lambda: metrics()[0] == 2, "the one that compiled was not replaced")
        _, hits, misses = metrics()
        streams = [client.stream(LOOP, check=False) for _ in range(6)]
        for stream in streams:
            next(iter(stream))
            assert stream.result is None
        _, first_hits, first_misses = metrics()
        assert first_hits - hits + first_misses - misses == 6
        for stream in streams:
            stream.close()
        wait_until(lambda: metrics()[0] == 6, "expected as many spares as jobs have run at once")
        wait_until(lambda: len(children_of(server.zygote_pid())) == 6, "expected the spares alone")
        again = [client.stream(LOOP, check=False) for _ in range(6)]
        for stream in again:
            next(iter(stream))
        assert metrics()[2] == first_misses, "with spares enough nobody had to be forked for"
        for stream in again:
            stream.close()
