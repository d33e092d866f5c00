"""A server whose allow-list names this machine's test servers by address and port."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import crucible
from tests.modules.disk import Disk
from tests.modules.web import Web
from tests.servers import RunningServer

Fetch = Callable[..., crucible.Result]
ConnectTo = Callable[..., crucible.Client]

REQUEST = "pub async fn main(method, url, options) { crucible::http::request(method, url, options).await }"


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server of the test's own."""
    with Web() as running:
        yield running


@pytest.fixture
def connect_to(tmp_path: Path) -> Iterator[ConnectTo]:
    """A client of a new server that allows these URLs; further settings as CRUCIBLE_ENGINE__HTTP__*."""
    servers: list[RunningServer] = []
    clients: list[crucible.Client] = []

    def connect(*allow: str, environment: dict[str, str] | None = None, **settings: Any) -> crucible.Client:
        variables = {f"CRUCIBLE_ENGINE__HTTP__{name.upper()}": str(value) for name, value in settings.items()}
        variables["CRUCIBLE_ENGINE__HTTP__ALLOW"] = json.dumps(allow)
        server = RunningServer(tmp_path / f"data{len(servers)}", {**variables, **(environment or {})})
        servers.append(server)
        server.start()
        clients.append(crucible.Client(server.address))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
    for server in servers:
        server.__exit__(None, None, None)


def fetch(client: crucible.Client, url: str, method: str = "GET", **options: Any) -> Any:
    """The response as the script returned it: status, url, headers, body."""
    limits = options.pop("limits", {})
    args = {"method": method, "url": url, "options": options}
    return client.run(REQUEST, level="production", args=args, limits=limits).value


def refusal(client: crucible.Client, url: str, method: str = "GET", **options: Any) -> str:
    """The message of the `Err` that the script returned; the test fails when there was a response."""
    with pytest.raises(crucible.ExecutionFailed) as raised:
        fetch(client, url, method, **options)
    error = raised.value.result.error
    assert error is not None
    assert error.kind == "RETURNED_ERR", error
    return str(error.message)


@pytest.fixture(scope="module")
def shared_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A server with files that the tests of a module share, each in a folder of its own below the root."""
    with Disk(tmp_path_factory.mktemp("disk")) as running:
        yield running


@pytest.fixture
def disk(shared_disk: Disk) -> Iterator[Disk]:
    """The shared server, its root empty; the place outside has to be as it was."""
    yield shared_disk
    assert shared_disk.outside_is_untouched()
    for path in shared_disk.root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.fixture(scope="module")
def shared_web() -> Iterator[Web]:
    """A web server that the tests of a module share."""
    with Web() as running:
        yield running


@pytest.fixture(scope="module")
def production(shared_web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[crucible.Client]:
    """A client of a server that allows the shared web server."""
    settings = {"CRUCIBLE_ENGINE__HTTP__ALLOW": json.dumps([shared_web.url])}
    with (
        RunningServer(tmp_path_factory.mktemp("production"), settings) as server,
        crucible.Client(server.address) as client,
    ):
        yield client
