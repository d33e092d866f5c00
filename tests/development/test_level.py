"""Development is off unless it was enabled; enabled, it changes nothing for the other levels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grpc
import pytest

import crucible
from crucible.requests import Level
from crucible.v1 import execution_pb2, script_pb2, script_service_pb2, security_pb2, server_info_pb2
from tests import without_user_namespaces
from tests.development.conftest import StartOpen, user_of
from tests.development.trees import jailed_zygote, open_zygote
from tests.engine.processes import descriptors_of, status_of, wait_until
from tests.servers import RunningServer, children_of, python_of

SAFE = security_pb2.SECURITY_LEVEL_SAFE
PRODUCTION = security_pb2.SECURITY_LEVEL_PRODUCTION
DEVELOPMENT = security_pb2.SECURITY_LEVEL_DEVELOPMENT
MODULES = ["basic", "fs", "http", "json", "net", "process"]
WAIT = "pub async fn main() { println!(`up`); crucible::basic::sleep(60).await }"


def info_of(client: crucible.Client) -> server_info_pb2.SecurityLevelInfo:
    (info,) = [info for info in client.server_info().security_levels if info.level == DEVELOPMENT]
    return info


def faults_of_children(pid: int) -> int:
    """The page faults of its children that were reaped, of which each has some. Unlike what tells of its own work, they
    stay as they are when the server asks whether it still works."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[8])


class TestOff:
    def test_requests_are_refused(self, client: crucible.Client) -> None:
        for refused in (lambda: client.run("pub fn main() { 1 }", level="development"), lambda: self._compile(client)):
            with pytest.raises(crucible.SecurityViolation, match="allow_development = true"):
                refused()

    @staticmethod
    def _compile(client: crucible.Client) -> None:
        client.compile("pub fn main() { 1 }", level="development")

    def test_it_is_said(self, client: crucible.Client) -> None:
        info = info_of(client)
        assert not info.enabled
        assert "allow_development = true" in info.disabled_reason
        assert not info.HasField("limits")
        modules = {module.name for module in client.server_info().modules}
        assert "crucible::process" not in modules
        assert "development" not in {layer.name for layer in client.health().isolation_layers}

    def test_there_is_no_second_zygote(self, server: RunningServer) -> None:
        # One that another takes over from stays for a moment.
        wait_until(lambda: len(children_of(server.pid)) == 1, "expected one zygote")

    @pytest.mark.parametrize("module", ["process", "net"])
    @pytest.mark.parametrize("level", ["safe", "production"])
    def test_its_modules_are_violations(self, client: crucible.Client, module: str, level: Level) -> None:
        found = client.check(f"pub fn main() {{\n    crucible::{module}::x\n}}", level=level).diagnostics[0]
        assert (found.code, found.line, found.column) == ("security.module", 2, 5)
        assert found.message.endswith("DEVELOPMENT has it")


class TestOn:
    def test_it_is_said(self, open_client: crucible.Client, script_user: int) -> None:
        info = info_of(open_client)
        assert (info.enabled, info.disabled_reason) == (True, "")
        given = {field.name for field, _ in info.limits.ListFields()}
        assert given == {"max_output_bytes", "max_return_bytes", "max_native_depth", "max_source_bytes"}
        assert set(info.modules) == {f"crucible::{name}" for name in MODULES}
        assert {module.name for module in open_client.server_info().modules} == set(info.modules)
        layers = {layer.name: layer for layer in open_client.health().isolation_layers}
        assert f"as user {script_user};" in layers["development"].detail
        assert layers["seccomp"].active

    def test_the_jail_stays_around_the_others(self, development: RunningServer, open_client: crucible.Client) -> None:
        for level, zygote, seccomp in (
            ("safe", jailed_zygote(development), "2"),
            ("production", jailed_zygote(development), "2"),
            ("development", open_zygote(development), "0"),
        ):
            before = set(children_of(zygote))
            with open_client.stream(WAIT, level=level) as stream:  # type: ignore[arg-type]
                assert next(iter(stream)).text == "up\n"
                (child,) = set(children_of(zygote)) - before
                status = status_of(child)
                assert status["Seccomp"] == seccomp
                assert status["NoNewPrivs"] == "1"
                assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
                assert 0 not in map(int, status["Uid"].split())

    def test_a_child_has_no_descriptor_of_the_zygote(
        self, development: RunningServer, open_client: crucible.Client
    ) -> None:
        zygote = open_zygote(development)
        before = set(children_of(zygote))
        with open_client.stream(WAIT, level="development") as stream:
            assert next(iter(stream)).text == "up\n"
            (child,) = set(children_of(zygote)) - before
            found = descriptors_of(child)
            assert {found.pop(standard) for standard in "012"} == {"/dev/null"}
            assert list(found) == ["3"]
            assert found["3"].startswith("socket:")

    def test_byte_code_is_not_run_at_another_level(self, open_client: crucible.Client) -> None:
        source = "use crucible::process; pub async fn main() { process::run(`true`, [], #{}).await?.success }"
        script = open_client.compile(source, level="development")
        assert open_client.run(script, level="development").value is True
        for level in ("safe", "production"):
            with pytest.raises(crucible.SecurityViolation, match="DEVELOPMENT has it"):
                open_client.run(script, level=level)
        with pytest.raises(crucible.SecurityViolation):
            open_client.run(script)

    def test_the_compiler_is_jailed_and_bounded(self, development: RunningServer, open_client: crucible.Client) -> None:
        zygote = open_zygote(development)
        # What a test before this one has left behind ends.
        wait_until(lambda: not children_of(zygote), "others still run")
        before = faults_of_children(zygote)
        # Made while nothing else runs: a fork of its own would be counted by now.
        open_client.compile("pub fn main() { crucible::net::listen(`x`, 1) }", level="development")
        assert faults_of_children(zygote) == before
        assert open_client.run("pub fn main() { 1 }", level="development").value == 1
        assert faults_of_children(zygote) > before
        deep = "pub fn main() { " + "[" * 100_000 + "]" * 100_000 + " }"
        checked = open_client.check(deep, level="development")
        assert checked.script is None

    @pytest.mark.parametrize(
        ("level", "sandbox", "said"),
        [
            (DEVELOPMENT, True, "expected false: DEVELOPMENT has no jail"),
            (SAFE, False, "expected true: only DEVELOPMENT"),
            (PRODUCTION, False, "expected true: only DEVELOPMENT"),
            (DEVELOPMENT, False, ""),
            (DEVELOPMENT, None, ""),
            (SAFE, True, ""),
            (PRODUCTION, None, ""),
        ],
    )
    def test_sandbox(
        self, open_client: crucible.Client, level: security_pb2.SecurityLevel, sandbox: bool | None, said: str
    ) -> None:
        context = execution_pb2.ExecutionContext(
            source=script_pb2.ScriptSource(source="pub fn main() { 1 }"),
            security_context=security_pb2.SecurityContext(security_level=level, sandbox=sandbox),
        )
        request = script_service_pb2.ExecuteScriptRequest(context=context)
        if not said:
            assert open_client.stub.ExecuteScript(request).result.success
            return
        with pytest.raises(grpc.RpcError) as raised:
            open_client.stub.ExecuteScript(request)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert said in str(raised.value.details())

    def test_as_the_servers_default(self, start_open: StartOpen) -> None:
        server = start_open(CRUCIBLE_ENGINE__SECURITY_LEVEL="development")
        with crucible.Client(server.address) as client:
            assert client.server_info().default_security_level == DEVELOPMENT
            assert client.run("pub async fn main() { crucible::process::run(`true`, [], #{}).await?.success }").value

    def test_limits_that_the_operator_wrote_down_hold(self, start_open: StartOpen) -> None:
        server = start_open(
            CRUCIBLE_ENGINE__RESOURCE_LIMITS__MAX_EXECUTION_TIME="1s",
            CRUCIBLE_ENGINE__RESOURCE_LIMITS__MAX_MEMORY_BYTES="30MB",
        )
        with crucible.Client(server.address) as client:
            limits = info_of(client).limits
            assert (limits.max_execution_time.seconds, limits.max_memory_bytes) == (1, 30_000_000)
            ended = client.run("pub fn main() { loop { } }", level="development", check=False).error
            assert ended is not None
            assert ended.kind == "TIMEOUT"


@pytest.mark.parametrize("user", ["this user", "another user"])
def test_a_machine_that_cannot(start_open: StartOpen, user: str) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may set user.max_user_namespaces")
    number = user_of(user)
    server = start_open(
        number, (sys.executable if number is None else python_of(number), without_user_namespaces.__file__)
    )
    with crucible.Client(server.address) as client:
        info = info_of(client)
        assert not info.enabled
        assert "max_user_namespaces" in info.disabled_reason
        with pytest.raises(crucible.SecurityViolation, match="max_user_namespaces"):
            client.run("pub fn main() { 1 }", level="development")
        assert client.run("pub fn main() { 1 }").value == 1
        assert client.run("pub fn main() { 1 }", level="production").value == 1
        wait_until(lambda: len(children_of(server.pid)) == 1, "expected one zygote")
        (layer,) = [layer for layer in client.health().isolation_layers if layer.name == "development"]
        assert not layer.active
        assert "max_user_namespaces" in layer.detail
        assert any("development_refused" in line and "max_user_namespaces" in line for line in server.log)
