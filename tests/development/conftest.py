"""Servers that allow Development, as root and as another user."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import crucible
from tests.servers import RunningServer

USER = 12345
NOBODY = 65534
ALLOWED = {"CRUCIBLE_ALLOW_DEVELOPMENT": "true", "CRUCIBLE_SPARE_CHILDREN": "0"}

StartOpen = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="development-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def user_of(name: str) -> int | None:
    """The user to start a server as; skips what only root can do."""
    if name == "this user":
        return None
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    return USER


@pytest.fixture(scope="session", params=["this user", "another user"])
def development(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[RunningServer]:
    """A server that allows Development, without spares, that tests share."""
    user = user_of(request.param)
    data = open_folder / f"data-{user}"
    data.mkdir()
    if user is not None:
        os.chown(data, user, user)
    with RunningServer(data, ALLOWED, user) as running:
        yield running


@pytest.fixture
def script_user(development: RunningServer) -> int:
    """The user that its scripts run as."""
    user = os.getuid() if development.user is None else development.user
    return user or NOBODY


@pytest.fixture
def open_client(development: RunningServer) -> Iterator[crucible.Client]:
    """A client of it."""
    with crucible.Client(development.address) as connected:
        yield connected


@pytest.fixture
def start_open() -> Iterator[StartOpen]:
    """Starts servers of the test's own that allow Development, unless told otherwise; ends what is left of them."""
    started: list[RunningServer] = []
    folders: list[Path] = []

    def start(user: int | None = None, wrapper: Sequence[str] = (), **settings: str) -> RunningServer:
        folder = Path(tempfile.mkdtemp(prefix="development-"))
        folders.append(folder)
        if user is not None:
            os.chown(folder, user, user)
        running = RunningServer(folder, {**ALLOWED, **settings}, user, wrapper)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.kill()
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def workplace(script_user: int) -> Iterator[Path]:
    """A folder that belongs to the user of the scripts."""
    with tempfile.TemporaryDirectory(prefix="development-") as folder:
        if os.getuid() == 0:
            os.chown(folder, script_user, script_user)
        yield Path(folder)
