"""Whatever a zygote may say, chosen by hypothesis: the server understands it, or ends the zygote.

An exception that reaches the event loop fails these tests, and so does a descriptor that stays open.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crucible.vm.v1 import zygote_pb2
from crucible_server.engine.zygote import PROTOCOL_VERSION, Zygote
from crucible_server.errors import ServiceError
from tests.lengths import LONG, TIMEOUT

pytestmark = pytest.mark.timeout(TIMEOUT)

LIMITS = zygote_pb2.ChildLimits(wall_time_ms=60_000)
PATIENCE = 20.0
CHILDREN = 3

PROGRAM = """#!{python} -SE
# Hands its control socket to whoever listens, and ends when the server hangs up.
import array, select, socket, sys
control = int(sys.argv[-1])
with socket.socket(socket.AF_UNIX) as listener:
    listener.connect({path!r})
    listener.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [control]))])
waiting = select.poll()
waiting.register(control, 0)
waiting.poll(60_000)
"""


class Impostor:
    """A program in the zygote's place, whose control socket is in our hands."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "impostor"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "socket"))
        self._listener.listen()
        self._listener.setblocking(False)
        self.program.write_text(PROGRAM.format(python=sys.executable, path=str(folder / "socket")))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    async def control(self) -> socket.socket:
        """The socket of the one that was started last."""
        connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        with connection:
            connection.setblocking(True)
            _, fds, _, _ = socket.recv_fds(connection, 1, 1)
        return socket.socket(fileno=fds[0])

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Impostor]:
    made = Impostor(tmp_path_factory.mktemp("impostor"))
    yield made
    made.close()


READY = zygote_pb2.ZygoteEvent(ready=zygote_pb2.Ready(protocol_version=PROTOCOL_VERSION))
IDS = st.sampled_from([1, 1, 2, 2, 3, 0, 4, 2**64 - 1])
EVENTS = st.one_of(
    st.builds(
        lambda n, pid: zygote_pb2.ZygoteEvent(spawned={"child_id": n, "pid": pid}), IDS, st.sampled_from([0, -1])
    ),
    st.builds(lambda n: zygote_pb2.ZygoteEvent(spawned={"child_id": n, "pid": 2**22}), IDS),
    st.builds(lambda n: zygote_pb2.ZygoteEvent(spawn_failed={"child_id": n, "message": "no"}), IDS),
    st.builds(
        lambda n, code: zygote_pb2.ZygoteEvent(exited={"child_id": n, "exit_code": code}), IDS, st.integers(-1, 200)
    ),
    st.builds(lambda n: zygote_pb2.ZygoteEvent(pong={"number": n}), IDS),
    st.just(zygote_pb2.ZygoteEvent(entered={})),
    st.just(zygote_pb2.ZygoteEvent(refused={"reason": "no"})),
    st.just(READY),
    st.just(zygote_pb2.ZygoteEvent()),
)
DATAGRAMS = st.tuples(
    st.one_of(EVENTS.map(zygote_pb2.ZygoteEvent.SerializeToString), st.binary(min_size=1, max_size=40)),
    # Descriptors that come along: a socket, a pidfd, a pipe.
    st.sampled_from(["", "", "sd", "sd", "sd", "sp", "pd", "ds", "s", "sdp"]),
)
SPAWNED = zygote_pb2.ZygoteEvent(spawned={"child_id": 1, "pid": 2**22}).SerializeToString()
EXITED = zygote_pb2.ZygoteEvent(exited={"child_id": 1}).SerializeToString()
ENTERED = zygote_pb2.ZygoteEvent(entered={}).SerializeToString()
REFUSED = zygote_pb2.ZygoteEvent(refused={"reason": "this machine is too small"}).SerializeToString()
PONG = zygote_pb2.ZygoteEvent(pong={"number": 1}).SerializeToString()
SPAWN_FAILED = zygote_pb2.ZygoteEvent(spawn_failed={"child_id": 1}).SerializeToString()


@settings(
    max_examples=2_000 if LONG else 50,
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
@example(datagrams=[(EXITED, "")])
@example(datagrams=[(SPAWNED, "pd")])
@example(datagrams=[(SPAWNED, "sp")])
@example(datagrams=[(SPAWNED, "sd"), (SPAWN_FAILED, "")])
@example(datagrams=[(SPAWNED, "sd"), (SPAWNED, "sd")])
@given(datagrams=st.lists(DATAGRAMS, max_size=6))
def test_what_a_zygote_says(impostor: Impostor, corpse: int, datagrams: list[tuple[bytes, str]]) -> None:
    escaped: list[dict[str, object]] = []
    asyncio.run(scene(impostor, corpse, datagrams, escaped))
    for context in escaped:
        error = context.get("exception")
        raise error if isinstance(error, BaseException) else AssertionError(context["message"])


@pytest.mark.parametrize(
    ("data", "kinds", "said"),
    [
        (ENTERED, "", "ended"),
        (ENTERED, "s", "ended"),
        (ENTERED, "p", "ended"),
        (ENTERED, "sd", "ended"),
        (PONG, "", "ended"),
        (REFUSED, "", "too small"),
        (SPAWNED, "sd", "ended"),
    ],
)
def test_what_it_says_in_place_of_ready(impostor: Impostor, corpse: int, data: bytes, kinds: str, said: str) -> None:
    escaped: list[dict[str, object]] = []

    async def begin() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: escaped.append(context))
        zygote = Zygote(impostor.program, lambda _: None)
        before = descriptors()
        starting = asyncio.create_task(zygote.start())
        with await asyncio.wait_for(impostor.control(), PATIENCE) as control:
            say(control, data, kinds, corpse)
            with pytest.raises(ServiceError, match=said):
                await asyncio.wait_for(starting, PATIENCE)
        await asyncio.wait_for(zygote.stop(), PATIENCE)
        await asyncio.sleep(0)
        assert not descriptors() - before

    asyncio.run(begin())
    assert escaped == []


async def scene(
    impostor: Impostor, corpse: int, datagrams: list[tuple[bytes, str]], escaped: list[dict[str, object]]
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: escaped.append(context))
    deaths: list[Zygote] = []
    zygote = Zygote(impostor.program, deaths.append)
    before = descriptors()
    starting = asyncio.create_task(zygote.start())
    with await asyncio.wait_for(impostor.control(), PATIENCE) as control:
        control.sendall(READY.SerializeToString())
        await asyncio.wait_for(starting, PATIENCE)
        children = [zygote.spawn(LIMITS) for _ in range(CHILDREN)]
        for data, kinds in datagrams:
            say(control, data, kinds, corpse)
            for _ in range(3):
                await asyncio.sleep(0)
    # It has gone, whatever it said: no child outlives it.
    await asyncio.wait_for(zygote.stop(), PATIENCE)
    assert deaths == [zygote]
    for child in children:
        await asyncio.wait_for(child.ended, PATIENCE)
        assert child.spawned.done()
    await asyncio.sleep(0)
    assert not descriptors() - before


def say(control: socket.socket, data: bytes, kinds: str, pid: int) -> None:
    """One datagram with its descriptors."""
    fds: list[int] = []
    for kind in kinds:
        if kind == "d":
            fds.append(os.pidfd_open(pid))
        else:
            ours, theirs = [end.detach() for end in socket.socketpair()] if kind == "s" else os.pipe()
            os.close(theirs)
            fds.append(ours)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.sendmsg([data], ancillary)
    for fd in fds:
        os.close(fd)


def descriptors() -> set[tuple[str, str]]:
    """The open ones and what they lead to: others, of tests that came before, may be closed at any time."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        # The one by which the folder was read is closed again.
        with contextlib.suppress(FileNotFoundError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found
