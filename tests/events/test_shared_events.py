"""Several real servers on one PostgreSQL database: one sequence of events, one registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest

import crucible
from tests.postgresql import PostgresServer
from tests.servers import RunningServer

Start = Callable[..., RunningServer]
PATIENCE = 40.0


@pytest.fixture
def start(postgres: PostgresServer, tmp_path: Path) -> Iterator[Start]:
    """Starts servers that share a database and a key, each with a folder of its own."""
    name = postgres.create()
    started: list[RunningServer] = []

    def run(folder: str, **settings: str) -> RunningServer:
        shared = {"CRUCIBLE_STORE_URL": postgres.url(name), "CRUCIBLE_UNIT_KEY": "ab" * 32}
        started.append(RunningServer(tmp_path / folder, {"CRUCIBLE_STORE_LEASE": "3s", **shared, **settings}))
        return started[-1].start()

    yield run
    for server in started:
        server.kill()
    postgres.drop(name)


def eventually(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_subscriber_of_one_server_sees_what_all_have_committed(start: Start) -> None:
    with crucible.Client(start("a").address) as one, crucible.Client(start("b").address) as two:
        with ThreadPoolExecutor(8) as pool, one.subscribe(["custom"]) as here, two.subscribe(["custom"]) as there:

            def emit(number: int) -> int:
                return (one, two)[number % 2].emit("acme.counted", number, event_id=f"id-{number}").sequence

            calls = [pool.submit(emit, number) for number in range(200)]
            seen = [[(event.sequence, event.data) for event in islice(each, 200)] for each in (here, there)]
            sequences = {calls[number].result(PATIENCE): number for number in range(200)}
        assert seen[0] == seen[1] == sorted(sequences.items())
        # An id is taken at all servers.
        again = two.emit("acme.counted", 0, event_id="id-0")
        assert (again.existed, sequences[again.sequence]) == (True, 0)
        with pytest.raises(crucible.EventExists):
            two.emit("acme.counted", 1, event_id="id-0")


def test_a_subscriber_resumes_at_another_server_and_misses_nothing(start: Start) -> None:
    first, second = start("a"), start("b")
    with crucible.Client(first.address) as one, crucible.Client(second.address) as two:
        with two.subscribe(["script_executed"]) as subscription:
            ids = [one.run("pub fn main() { 1 }").execution_id for _ in range(3)]
            assert [event.execution_id for event in islice(subscription, 3)] == ids
            last = subscription.last_sequence
        ids = [one.run("pub fn main() { 1 }").execution_id for _ in range(3)]
        first.kill()
        ids.append(two.run("pub fn main() { 1 }").execution_id)
        with two.subscribe(["script_executed"], after=last) as subscription:
            assert [event.execution_id for event in islice(subscription, 4)] == ids


def test_a_service_is_known_to_all_servers_until_its_lease_ends(start: Start) -> None:
    first, second = start("a"), start("b")
    with crucible.Client(first.address) as one, crucible.Client(second.address) as two:
        with two.watch_services("Web") as watch:
            changes = iter(watch)
            assert next(changes).services == ()
            one.register_service("web-1", "Web", "10.0.0.5:80", lease=60.0)
            assert [each.service_id for each in next(changes).services] == ["web-1"]
            two.heartbeat("web-1")
            assert [each.service_id for each in one.services("Web")] == ["web-1"]
            # Again, for a short time: its end may be seen before what replaced it is.
            one.register_service("web-1", "Web", "10.0.0.5:80", lease=1.0)
            assert next(change.removed for change in changes if change.removed) == ("web-1",)
        assert len(list(two.services("ScriptEngine"))) == 2
        # Its end is told once, whichever server has found it.
        time.sleep(1.5)
        ended = [event for event in one.events(["service_unregistered"]) if event.detail.service_id == "web-1"]  # type: ignore[attr-defined]
        assert len(ended) == 1


def test_one_server_asks_a_service_how_it_is_and_another_goes_on(start: Start) -> None:
    asked: list[float] = []

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{web.server_port}"
        checks = {
            "CRUCIBLE_ENGINE__HEALTH_CHECK": f'{{"interval": "1s", "timeout": "1s", "allow": ["http://{place}"]}}'
        }
        first, second = start("a", **checks), start("b", **checks)
        with crucible.Client(second.address) as two:
            two.register_service("web-1", "Web", place, health_check_url=f"http://{place}/", lease=120.0)
            eventually(lambda: [each.status for each in two.services("Web")] == ["HEALTHY"])
            began, count = time.monotonic(), len(asked)
            time.sleep(4)
            # Two that ask would be twice as many.
            assert len(asked) - count <= 1.5 * (time.monotonic() - began)
            first.kill()
            gone = time.monotonic()
            eventually(lambda: asked[-1] > gone + 2)
        web.shutdown()


def test_a_change_of_the_configuration_is_told_once(start: Start) -> None:
    with crucible.Client(start("a").address) as one, crucible.Client(start("b").address) as two:
        with two.subscribe(["configuration_changed"]) as subscription:
            assert one.update_config({"spare_children": 3}).config.version == 1
            event = next(iter(subscription))
        assert list(event.detail.keys) == ["spare_children"]  # type: ignore[attr-defined]
        eventually(lambda: two.config()["spare_children"] == 3)
        assert len(list(one.events(["configuration_changed"]))) == 1
