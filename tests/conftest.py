"""What all tests share: one real server, and a way to have another."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import crucible
from tests import servers
from tests.postgresql import PostgresServer
from tests.servers import RunningServer

# A shell starts what it puts in the background with interrupts ignored, and so would be every command that is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

StartServer = Callable[..., RunningServer]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--store postgresql` has the servers of the tests store there."""
    parser.addoption("--store", choices=("sqlite", "postgresql"), default="sqlite", help="where the servers store")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that look into the file of the store, or count on its speed, are for SQLite only."""
    if config.getoption("--store") == "sqlite":
        return
    out = [item for item in items if item.get_closest_marker("sqlite") is not None]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session", autouse=True)
def _stores(request: pytest.FixtureRequest, monkeypatch_session: pytest.MonkeyPatch) -> None:
    if request.config.getoption("--store") != "postgresql":
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    made: dict[Path, str] = {}

    def url_of(data_dir: Path) -> str:
        if data_dir not in made:
            made[data_dir] = postgres.url(postgres.create())
        return made[data_dir]

    monkeypatch_session.setattr(servers, "store_url_of", url_of)


@pytest.fixture(scope="session")
def monkeypatch_session() -> Iterator[pytest.MonkeyPatch]:
    """Changes that last as long as the session."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server that the tests of the session share: they leave it as they found it."""
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[crucible.Client]:
    """A client of the shared server."""
    with crucible.Client(server.address) as connected:
        yield connected


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of the test's own, to be killed and started again; stops what is left of them."""
    started: list[RunningServer] = []

    def start(data_dir: Path | None = None, *, words: tuple[str, ...] = (), **settings: str) -> RunningServer:
        running = RunningServer(data_dir or tmp_path / "data", settings, words=words)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the tests of the session share: each makes databases of its own."""
    with PostgresServer() as running:
        yield running
