"""What surrounds a child, seen from outside while a script runs in it; and what is left without each layer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import crucible
from tests.conftest import StartServer
from tests.engine.processes import LOOP, child_started_by, status_of
from tests.servers import RunningServer

NAMESPACES = {"user": "user", "pid": "pid", "net": "net", "ipc": "ipc", "mount": "mnt", "uts": "uts"}
"""By the words of our layers and of the kernel."""


@contextmanager
def running_child(server: RunningServer) -> Iterator[int]:
    """A child of a server without spares that runs a script."""
    with crucible.Client(server.address) as client:
        script = client.compile(LOOP, level="production")
        # All tests that look at it have to come within its time limit.
        stream, pid = child_started_by(server, lambda: client.stream(script, level="production"))
        with stream:
            assert next(iter(stream)).text == "up\n"
            yield pid


@pytest.fixture(scope="module")
def child(bare_server: RunningServer) -> Iterator[int]:
    """A child with all layers that the machine gives."""
    with running_child(bare_server) as pid:
        yield pid


@pytest.fixture(scope="module")
def active(bare_server: RunningServer) -> set[str]:
    """The layers in force."""
    return active_layers(bare_server)


def active_layers(server: RunningServer) -> set[str]:
    with crucible.Client(server.address) as client:
        return {layer.name for layer in client.health().isolation_layers if layer.active}


def namespace(pid: int | str, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except PermissionError:
        pytest.skip("only root may look into a process that is not dumpable")


def own_namespaces(pid: int) -> set[str]:
    """The kinds of which a process has another than the tests."""
    return {word for word, kind in NAMESPACES.items() if namespace(pid, kind) != namespace("self", kind)}


def named(words: set[str]) -> set[str]:
    return {f"{word}_namespace" for word in words}


def need(layer: str, active: set[str]) -> None:
    if layer not in active:
        pytest.skip(f"this machine gives no {layer}")


def test_each_namespace_that_is_named_is_another(child: int, active: set[str]) -> None:
    assert named(own_namespaces(child)) == active & named(set(NAMESPACES))


def test_the_user_is_nobody_else(child: int, active: set[str]) -> None:
    status = status_of(child)
    users = set(status["Uid"].split())
    assert len(users) == 1
    assert users != {"0"}
    assert len(set(status["Gid"].split())) == 1
    if os.getuid() == 0:
        assert status["Groups"] == ""
    if "user_namespace" in active and os.getuid() == 0:
        (user,) = users
        assert Path(f"/proc/{child}/uid_map").read_text().split() == [user, user, "1"]


def test_there_are_no_capabilities(child: int, active: set[str]) -> None:
    status = status_of(child)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    if "user_namespace" in active or os.getuid() == 0:
        assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_the_zygote_has_no_more(bare_server: RunningServer) -> None:
    status = status_of(bare_server.zygote_pid())
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert "0" not in status["Uid"].split()


def test_the_zygote_is_the_first_process_there(bare_server: RunningServer, child: int, active: set[str]) -> None:
    need("pid_namespace", active)
    assert status_of(bare_server.zygote_pid())["NSpid"].split()[-1] == "1"
    outer, inner = status_of(child)["NSpid"].split()
    assert int(outer) == child
    assert int(inner) > 1


def test_there_is_no_network(child: int, active: set[str]) -> None:
    need("net_namespace", active)
    if os.getuid() != 0:
        pytest.skip("only root may look into a process that is not dumpable")
    devices = Path(f"/proc/{child}/net/dev").read_text().splitlines()[2:]
    assert {line.split(":")[0].strip() for line in devices} <= {"lo"}
    # Without an address, so that not even itself can be reached.
    assert "127.0.0.1" not in Path(f"/proc/{child}/net/fib_trie").read_text()
    assert Path(f"/proc/{child}/net/route").read_text().splitlines()[1:] == []


def test_the_root_is_empty(child: int, active: set[str]) -> None:
    need("mount_namespace", active)
    if os.getuid() != 0:
        pytest.skip("only root may look into a process that is not dumpable")
    assert os.listdir(f"/proc/{child}/root") == []
    mounts = Path(f"/proc/{child}/mounts").read_text().splitlines()
    assert [line.split()[1:3] for line in mounts] == [["/", "tmpfs"]]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts[0].split()[3].split(","))
    with pytest.raises(OSError, match=r"Read-only|No space"):
        Path(f"/proc/{child}/root/new").touch()


def test_the_group_holds_zygote_and_child(bare_server: RunningServer, child: int, active: set[str]) -> None:
    need("cgroup", active)
    groups = group_of(child)
    assert groups
    assert group_of(bare_server.zygote_pid()) == groups
    assert not group_of(bare_server.pid)
    for folder in groups:
        assert str(bare_server.pid) in folder


def group_of(pid: int) -> set[str]:
    """The groups of ours that a process is in."""
    paths = (line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    return {path for path in paths if path.endswith("-zygote") and "/crucible-" in path}


@pytest.mark.parametrize("layer", ["namespaces", "landlock", "cgroup"])
def test_without_one_the_others_stay(start_server: StartServer, active: set[str], layer: str) -> None:
    server = start_server(**{"CRUCIBLE_SPARE_CHILDREN": "0", f"CRUCIBLE_ISOLATION__{layer.upper()}": "false"})
    with crucible.Client(server.address) as client:
        layers = {each.name: each for each in client.health().isolation_layers}
    off = named(set(NAMESPACES)) if layer == "namespaces" else {layer}
    assert {name for name, each in layers.items() if each.active} == active - off
    assert {layers[name].detail for name in off} == {"turned off by the operator"}
    assert any("layer_missing" in line and "turned off" in line for line in server.log)
    with running_child(server) as pid:
        assert bool(group_of(pid)) == ("cgroup" in active - off)
        assert named(own_namespaces(pid)) == named(set(NAMESPACES)) & (active - off)
        assert status_of(pid)["Seccomp"] == "2"
        assert int(status_of(pid)["CapEff"], 16) == 0
