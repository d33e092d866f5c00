"""Machines that lack something: less depth and said so, never less jail, and no start without what is required."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

import crucible
from crucible_server.config.isolation import FILE_LAYERS
from crucible_server.engine.cgroup_mounts import hierarchies
from tests import without_user_namespaces
from tests.engine.processes import LOOP, status_of, wait_gone, wait_until
from tests.servers import START_TIMEOUT, RunningServer, as_user, children_of, python_of

USER = 12345
WRAPPER = without_user_namespaces.__file__
NEVER_OPTIONAL = {"seccomp", "no_new_privs", "rlimits", "close_range", "unprivileged_uid", "parent_death_signal"}

Start = Callable[..., RunningServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers as other users, or on machines that a wrapper makes."""
    with ExitStack() as stack:

        def begin(*, user: int | None = None, wrapper: Sequence[str] = (), **settings: str) -> RunningServer:
            folder = Path(stack.enter_context(open_folder()))
            if user is not None:
                os.chown(folder, user, user)
            running = RunningServer(folder, {"CRUCIBLE_SPARE_CHILDREN": "0", **settings}, user, wrapper)
            stack.callback(running.kill)
            return running.start()

        yield begin


def open_folder() -> tempfile.TemporaryDirectory[str]:
    """One that is within reach of other users: what pytest gives is closed again when another pytest starts."""
    return tempfile.TemporaryDirectory(prefix="crucible-", ignore_cleanup_errors=True)


def need_root() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can change the machine for a server")


def layers_of(server: RunningServer) -> dict[str, tuple[bool, str]]:
    """Whether each is active, and its detail; the server runs scripts all the same."""
    with crucible.Client(server.address) as client:
        assert client.run("pub fn main() { 20 + 22 }").value == 42
        layers = {layer.name: (layer.active, layer.detail) for layer in client.health().isolation_layers}
        assert {name for name, (is_active, _) in layers.items() if is_active} >= NEVER_OPTIONAL
        with client.stream(LOOP) as stream:
            assert next(iter(stream)).text == "up\n"
            (child,) = children_of(server.zygote_pid())
            status = status_of(child)
    assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)) == ("2", "1", 0)
    assert "0" not in status["Uid"].split()
    return layers


@pytest.mark.parametrize("user", [None, USER], ids=["as it is", "unprivileged"])
def test_without_user_namespaces(start: Start, user: int | None) -> None:
    if user is not None:
        need_root()
    wrapper = [sys.executable if user is None else python_of(user), WRAPPER]
    tried = subprocess.run([*wrapper, "true"], capture_output=True, check=False, timeout=30, **as_user(user))
    if tried.returncode:
        pytest.skip("this machine has no user namespaces itself, so that all other tests show this one")
    server = start(user=user, wrapper=wrapper)
    layers = layers_of(server)
    is_active, why = layers["user_namespace"]
    assert not is_active
    assert "unshare: No space left on device" in why
    assert "/proc/sys/user" in why
    for kind in ("pid", "net", "ipc", "mount", "uts"):
        assert layers[f"{kind}_namespace"] == (False, "cannot be had without a user namespace")
    assert any("layer_missing" in line and "user_namespace" in line for line in server.log)
    family = [server.zygote_pid(), *children_of(server.zygote_pid())]
    server.kill()
    wait_gone(family)


def test_as_another_user(start: Start) -> None:
    need_root()
    server = start(user=USER)
    assert status_of(server.zygote_pid())["Uid"].split() == [f"{USER}"] * 4
    is_active, why = layers_of(server)["cgroup"]
    assert not is_active
    assert "delegate" in why or "mounted" in why


def with_mounts(*commands: str) -> list[str]:
    """A wrapper that mounts things which nobody else sees."""
    script = " && ".join([*commands, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


BROKEN = {
    "no files": "mount -t tmpfs none {0}",
    "read-only": "mount --bind {0} {0} && mount -o remount,bind,ro {0}",
    "not mounted": "umount -l {0}",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_tree_of_control_groups(start: Start, how: str) -> None:
    need_root()
    folders = [str(each.folder) for each in hierarchies()]
    if not folders:
        pytest.skip("there are no control groups that could be broken")
    if how == "not mounted":
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup" in line]
        folders = [mount for mount in mounts if any(f"{folder}/".startswith(f"{mount}/") for folder in folders)]
    server = start(wrapper=with_mounts(*(BROKEN[how].format(folder) for folder in folders)))
    layers = layers_of(server)
    is_active, why = layers["cgroup"]
    assert not is_active
    assert why
    assert any("layer_missing" in line and "cgroup" in line for line in server.log)
    # All others are as they were.
    assert {name for name, (active, _) in layers.items() if not active} - {"cgroup"} == set()


def groups_of(server: RunningServer) -> list[Path]:
    """The control groups of a server that are there."""
    return [path for each in hierarchies() for path in each.folder.glob(f"crucible-*-{server.pid}-*-*")]


def need_groups(server: RunningServer) -> None:
    if not layers_of(server)["cgroup"][0]:
        pytest.skip("no control groups can be made here")


def test_the_group_goes_with_the_server(start: Start) -> None:
    server = start()
    need_groups(server)
    assert groups_of(server)
    assert server.terminate() == 0
    assert groups_of(server) == []


def test_the_group_of_a_server_that_was_killed_goes_at_the_next_start(start: Start) -> None:
    server = start()
    need_groups(server)
    with crucible.Client(server.address) as client:
        stream = client.stream(LOOP)
        assert next(iter(stream)).text == "up\n"
        zygote = server.zygote_pid()
        family = [zygote, *children_of(zygote)]
        assert len(family) > 1
        server.kill()
        wait_gone(family)
    assert groups_of(server)
    living = start()
    assert groups_of(server) == []
    # Those of a server that lives are left alone.
    start()
    assert groups_of(living)


def test_a_zygote_that_takes_over_is_in_the_group_too(start: Start) -> None:
    server = start(CRUCIBLE_ISOLATION__ZYGOTE_RENEWAL_INTERVAL="1")
    with crucible.Client(server.address) as client:

        def active() -> set[str]:
            return {layer.name for layer in client.health().isolation_layers if layer.active}

        def all_are_members() -> bool:
            members = {pid for path in groups_of(server) for pid in (path / "cgroup.procs").read_text().split()}
            return members >= {f"{pid}" for pid in children_of(server.pid)}

        if "cgroup" not in active():
            pytest.skip("no control groups can be made here")
        wait_until(lambda: client.health().details["interpreter_renewals"].int_value > 0, "another zygote")
        assert active() >= {"cgroup", *NEVER_OPTIONAL}
        assert client.run("pub fn main() { 20 + 22 }").value == 42
        # There may be two zygotes at any time, of which one has just begun and is not yet a member.
        wait_until(all_are_members, "a zygote is in no group")


def test_memory_and_number_are_bounded_together(start: Start) -> None:
    few = {"MAX_CONCURRENT_EXECUTIONS": "2", "MAX_SPARE_CHILDREN": "1", "MAX_EXECUTIONS_MEMORY": f"{256 << 20}"}
    server = start(**{f"CRUCIBLE_{name}": value for name, value in few.items()})
    need_groups(server)
    found = {
        name: (path / name).read_text().strip()
        for path in groups_of(server)
        for name in os.listdir(path)
        if name in ("pids.max", "memory.max", "memory.limit_in_bytes")
    }
    assert len(found) == 2
    assert int(found.pop("pids.max")) < 64 + 16 * len(os.sched_getaffinity(0))
    (memory,) = found.values()
    assert 256 << 20 < int(memory) < (2 + len(os.sched_getaffinity(0))) << 30


def refused(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """`crucible serve` that is not to start."""
    kept = {k: v for k, v in os.environ.items() if k == "CRUCIBLE_VM" or not k.startswith("CRUCIBLE_")}
    line = [sys.executable, "-m", "crucible_server", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(folder)]
    return subprocess.run(
        line,
        env={**kept, "COLUMNS": "200", **settings},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize(
    ("layer", "setting"),
    [("pid_namespace", "NAMESPACES"), ("landlock", "LANDLOCK"), ("cgroup", "CGROUP")],
)
def test_no_start_without_what_is_required(tmp_path: Path, layer: str, setting: str) -> None:
    done = refused(
        tmp_path,
        CRUCIBLE_REQUIRE_ISOLATION=json.dumps(["seccomp", layer]),
        **{f"CRUCIBLE_ISOLATION__{setting}": "false"},
    )
    assert done.returncode == 3
    assert "ready" not in done.stdout
    assert f"{layer} is required and not active: turned off by the operator" in done.stderr
    assert "require_isolation" in done.stderr


def files_below(folder: Path) -> dict[str, str]:
    """The settings with which scripts have files."""
    folder.mkdir()
    roots = json.dumps({"data": {"path": str(folder)}})
    return {"CRUCIBLE_ENGINE__FILES__ALLOW_FILE_ACCESS": "true", "CRUCIBLE_ENGINE__FILES__ROOTS": roots}


def test_no_start_without_a_layer_of_the_file_broker_that_is_required(tmp_path: Path) -> None:
    need_root()
    settings = files_below(tmp_path / "files")
    done = refused(tmp_path / "data", CRUCIBLE_REQUIRE_ISOLATION='["file_broker_uid"]', **settings)
    assert done.returncode == 3
    assert "ready" not in done.stdout
    assert "file_broker_uid is required and not active: it is root" in done.stderr
    assert "set `uid` in [engine.files]" in done.stderr


@pytest.mark.parametrize("layer", FILE_LAYERS)
def test_no_layer_of_the_file_broker_without_files(tmp_path: Path, layer: str) -> None:
    done = refused(tmp_path, CRUCIBLE_REQUIRE_ISOLATION=json.dumps([layer]))
    assert done.returncode == 3
    assert f"{layer} is required and not active: there is no file broker" in done.stderr
    assert "allow_file_access" in done.stderr


def test_layers_of_the_file_broker_that_are_required_and_there(start: Start) -> None:
    with open_folder() as folder:
        settings = files_below(Path(folder) / "files")
        if os.getuid() == 0:
            settings["CRUCIBLE_ENGINE__FILES__UID"] = f"{USER}"
            Path(folder).chmod(0o755)
        server = start(CRUCIBLE_REQUIRE_ISOLATION='["file_broker_uid"]', **settings)
        with crucible.Client(server.address) as client:
            layers = {layer.name: layer for layer in client.health().isolation_layers}
        # Before the folder goes whose files it serves.
        server.kill()
    assert layers["file_broker_uid"].active
    assert layers["file_broker_uid"].required
    assert not layers["file_broker_landlock"].required


def test_a_layer_that_is_none_is_refused_with_their_names(tmp_path: Path) -> None:
    done = refused(tmp_path, CRUCIBLE_REQUIRE_ISOLATION='["seccomp", "moat"]')
    assert done.returncode == 2
    for word in ("require_isolation", "'moat'", "landlock", "cgroup", "pid_namespace", "zygote_renewal", *FILE_LAYERS):
        assert word in done.stderr


def test_what_is_required_and_there_is_told_as_required(start: Start) -> None:
    server = start(CRUCIBLE_REQUIRE_ISOLATION='["capabilities", "zygote_renewal"]')
    with crucible.Client(server.address) as client:
        layers = {layer.name: layer for layer in client.server_info().isolation_layers}
    assert layers["capabilities"].required
    assert layers["zygote_renewal"].required
    assert not layers["landlock"].required


def test_the_group_grows_when_more_may_run(start: Start) -> None:
    server = start()
    need_groups(server)

    def most() -> int:
        return max(int(path.read_text()) for group in groups_of(server) for path in group.glob("pids.max"))

    before = most()
    with crucible.Client(server.address) as client:
        client.update_config({"max_concurrent_executions": 500})
        wider = most()
        assert wider > before
        # What runs may use all that it began with.
        client.update_config({"max_concurrent_executions": 1})
        assert most() == wider
        assert client.run("pub fn main() { 20 + 22 }").value == 42
