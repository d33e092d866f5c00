"""The file of a running server: read again when it changes, refused whole when it is not valid, no call lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import crucible
from crucible.v1 import server_info_pb2
from crucible_server.config import ServerConfig, all_keys
from crucible_server.configuration.watched import WatchedFiles
from crucible_server.policy.changes import concerned
from tests.configuration.conftest import TIMEOUT, Configured, wait_for_health, wait_until
from tests.engine.processes import wait_logged
from tests.modules.web import Web

LOOP = 'pub fn main() { println!("up"); loop {} }'
MIB = 2**20


def test_a_change_of_the_file_is_taken_up_and_logged(configured: Configured) -> None:
    configured.write("engine.max_cache_size = 3\nlog_format = 'json'\n")
    configured.wait_for("engine.max_cache_size", 3)
    wait_logged(configured.server, "engine.max_cache_size: 1000 -> 3")
    wait_logged(configured.server, "log_format: 'console' -> 'json' (at the next start)")
    entry = configured.client.config("log_format").entries["log_format"]
    assert (entry.value, entry.pending) == ("console", "json")
    for n in range(6):
        configured.client.run(f"pub fn main() {{ {n} }}")
    assert configured.client.health().details["cache_size"].int_value == 3


def test_renaming_a_file_into_place(configured: Configured) -> None:
    other = configured.file.with_name("next.toml")
    other.write_text("spare_children = 4\n")
    other.rename(configured.file)
    configured.wait_for("spare_children", 4)
    # As orchestrators exchange a folder of files.
    for name, children in (("one", 5), ("two", 6)):
        folder = configured.file.with_name(name)
        folder.mkdir()
        (folder / "crucible.toml").write_text(f"spare_children = {children}\n")
    link = configured.file.with_name("current")
    link.symlink_to("one")
    configured.file.unlink()
    configured.file.symlink_to("current/crucible.toml")
    configured.wait_for("spare_children", 5)
    replacement = configured.file.with_name("replacement")
    replacement.symlink_to("two")
    replacement.rename(link)
    configured.wait_for("spare_children", 6)


def test_sighup_has_it_read_at_once(configured: Configured) -> None:
    os.kill(configured.server.pid, signal.SIGHUP)
    wait_logged(configured.server, "configuration_unchanged")
    configured.write("spare_children = 0\n")
    os.kill(configured.server.pid, signal.SIGHUP)
    configured.wait_for("spare_children", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("engine.max_cache_size = 3\nspare_children = 'many'\n", "spare_children: "),
        ("engine.max_cache_size = 3\nspare_childs = 1\n", "did you mean `spare_children`?"),
        ("engine.max_cache_size = = 3\n", "expected TOML"),
        ("engine.max_cache_size = 3\nunit_key = { env = 'ABSENT' }\n", "ABSENT, which is not set"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_whole(configured: Configured, text: str | None, said: str) -> None:
    if text is None:
        configured.file.unlink()
    else:
        configured.write(text)
    client = configured.client
    wait_until(lambda: said in client.config().file_problem, "the problem is not told")
    assert client.config()["engine.max_cache_size"] == 1000
    wait_logged(configured.server, "configuration_refused")
    health = wait_for_health(client, "configuration_refused")
    assert health.status == server_info_pb2.SERVICE_STATUS_DEGRADED
    assert said in health.reasons[0].message
    assert client.run("pub fn main() { 1 }").value == 1
    # Calls go on from what was read last.
    assert client.update_config({"grace_period": 4}).config["grace_period"] == 4.0
    configured.write("engine.max_cache_size = 4\n")
    configured.wait_for("engine.max_cache_size", 4)
    assert wait_for_health(client).status == server_info_pb2.SERVICE_STATUS_HEALTHY
    assert client.config().file_problem == ""


def test_a_password_in_the_address_of_the_store_is_told_nobody(configured: Configured) -> None:
    client = configured.client
    refused = "configuration_refused"
    with client.watch_config("store_url") as watch:
        news = iter(watch)
        told = [next(news)]
        for url in ("postgresql://u@h/db?password=SECRET", "postgresql://u:SEC/SECRET@h/db"):
            configured.write(f'store_url = "{url}"\nspare_children = {len(told)}\n')
            wait_until(lambda: "store_url: " in client.config().file_problem, "it is not refused")
            told.append(next(news))
            configured.write("")
            wait_until(lambda: not client.config().file_problem, "it does not recover")
            told.append(next(news))
        wait_until(lambda: sum(refused in line for line in configured.server.log) > 1, "it is not logged")
        said = f"{told} {client.config()} {client.health()} {configured.server.log}"
    assert "SECRET" not in said
    assert "a value that is not shown" in said


def test_what_runs_keeps_what_it_started_with(configured: Configured) -> None:
    with configured.client.stream(LOOP, timeout=8) as stream:
        next(iter(stream))
        configured.write('[engine.resource_limits]\nmax_execution_time = "200ms"\nmax_memory_bytes = "4MiB"\n')
        configured.wait_for("engine.resource_limits.max_execution_time", 0.2)
        time.sleep(0.5)
        execution = configured.client.get_execution(stream.execution_id)
        assert execution.state == "RUNNING"
        assert execution.message.limits.max_memory_bytes == 50 * MIB
    with pytest.raises(crucible.ExecutionFailed) as caught:
        configured.client.run(LOOP, timeout=8)
    assert caught.value.kind == "TIMEOUT"
    assert caught.value.error.message


def test_what_levels_permit_is_told_right_after_the_change(configured: Configured) -> None:
    client = configured.client
    types = ["configuration_changed", "policy_changed"]

    def told(after: int) -> list[tuple[int, str, str]]:
        found: list[Any] = [event for event in client.events(types) if event.sequence > after][::-1]
        # Counted from the first of them: before it may be told that the server is not well, or is again.
        before = found[0].sequence - 1 if found else 0
        return [
            (event.sequence - before, event.detail.policy_id, event.detail.change)
            if event.type == "policy_changed"
            else (event.sequence - before, ",".join(event.detail.keys), event.detail.origin)
            for event in found
        ]

    def newest() -> int:
        return max((event.sequence for event in client.events()), default=0)

    levels = ("safe", "production", "development")
    before = newest()
    client.update_config({"engine.http.allow": ["https://example.org"], "engine.health_check.timeout": "1s"})
    assert told(before) == [
        (1, "engine.http.allow,engine.health_check.timeout", "call"),
        (2, "production", "updated"),
    ]
    before = newest()
    client.update_config({"engine.resource_limits.max_operations": 10**9, "engine.security_level": "production"})
    assert told(before)[1:] == [
        (2, "safe", "deactivated"),
        (3, "production", "activated"),
        *((4 + place, level, "updated") for place, level in enumerate(levels)),
    ]
    before = newest()
    client.revert_config(1)
    assert [each[1:] for each in told(before)[1:3]] == [("production", "deactivated"), ("safe", "activated")]
    before = newest()
    client.update_config({"spare_children": 1})
    assert told(before) == [(1, "spare_children", "call")]
    before = newest()
    configured.write("allow_development = true\nmax_crashes_per_minute = 7\n")
    wait_until(lambda: len(told(before)) >= 5, "the file's change is not told")
    assert told(before) == [
        (1, "max_crashes_per_minute,allow_development", "file"),
        *((2 + place, level, "updated") for place, level in enumerate(levels)),
        (5, "development", "pending"),
    ]


def test_every_key_that_concerns_levels_exists() -> None:
    paths = [key.path for key in all_keys(ServerConfig)]
    for name in concerned():
        assert any(path == name or path.startswith(f"{name}.") for path in paths), name


def test_what_runs_keeps_what_it_may_reach(configured: Configured) -> None:
    source = """
    pub async fn main(url) {
        println!("up");
        crucible::basic::sleep(2.0).await;
        match crucible::http::get(url).await { Ok(r) => r.status, Err(e) => e }
    }
    """
    with Web() as web:
        configured.write(f'[engine.http]\nallow = ["{web.url}"]\n')
        configured.wait_for("engine.http.allow", [web.url])
        with configured.client.stream(source, args={"url": web.url}, level="production") as stream:
            output = iter(stream)
            next(output)
            configured.write("[engine.http]\nallow = []\n")
            configured.wait_for("engine.http.allow", [])
            list(output)
            assert stream.result is not None
            assert stream.result.value == 200
        refused = configured.client.run(source, args={"url": web.url}, level="production").value
        assert "engine.http.allow" in str(refused)
        assert len(web.seen) == 1


def test_more_at_once_lets_those_run_that_wait(configured: Configured) -> None:
    configured.write("max_concurrent_executions = 1\n")
    configured.wait_for("max_concurrent_executions", 1)
    with configured.client.stream(LOOP) as stream:
        next(iter(stream))
        results: list[object] = []
        waiting = threading.Thread(target=lambda: results.append(configured.client.run("pub fn main() { 2 }").value))
        waiting.start()
        wait_until(lambda: configured.client.health().details["queued_executions"].int_value == 1, "it does not wait")
        configured.write("max_concurrent_executions = 2\n")
        waiting.join(TIMEOUT)
        assert results == [2]


def test_a_narrower_memory_lets_those_run_that_were_let_in(configured: Configured) -> None:
    configured.write("max_concurrent_executions = 1\n")
    configured.wait_for("max_concurrent_executions", 1)
    with configured.client.stream(LOOP) as stream:
        next(iter(stream))
        results: list[object] = []
        waiting = threading.Thread(target=lambda: results.append(configured.client.run("pub fn main() { 2 }").value))
        waiting.start()
        wait_until(lambda: configured.client.health().details["queued_executions"].int_value == 1, "it does not wait")
        configured.write("max_concurrent_executions = 1\nmax_executions_memory = '20MiB'\n")
        configured.wait_for("max_executions_memory", 20 * MIB)
    waiting.join(TIMEOUT)
    assert results == [2]
    with pytest.raises(crucible.ResourceExceeded, match=str(20 * MIB)):
        configured.client.run("pub fn main() { 3 }")


def test_wider_limits_reach_the_spares(configured: Configured) -> None:
    """A spare is jailed for the widest limits that there were when it was forked."""
    source = "pub fn main() { let v = []; for n in 0..1000000 { v.push(n); } v.len() }"
    configured.write('[engine.resource_limits]\nmax_memory_bytes = "2MiB"\n')
    configured.wait_for("engine.resource_limits.max_memory_bytes", 2 * MIB)
    with pytest.raises(crucible.ExecutionFailed) as caught:
        configured.client.run(source)
    assert caught.value.kind == "MEMORY_EXCEEDED"
    time.sleep(0.5)
    configured.write('[engine.resource_limits]\nmax_memory_bytes = "50MiB"\n')
    configured.wait_for("engine.resource_limits.max_memory_bytes", 50 * MIB)
    for _ in range(4):
        assert configured.client.run(source).value == 1_000_000


def test_no_call_is_lost_while_everything_changes(configured: Configured) -> None:
    """Eight callers without retries, while file and calls change what can be changed some dozens of times."""
    done: list[int] = []
    failures: list[BaseException] = []
    over = threading.Event()

    def call(caller: int) -> None:
        options = [("grpc.enable_retries", 0)]
        with crucible.Client(configured.server.address, options=options) as client:
            n = 0
            while not over.is_set():
                n += 1
                try:
                    source = f"pub fn main(n) {{ n + {caller % 3} }}"
                    value = client.run(source, args={"n": n}).value
                    assert value == n + caller % 3
                    done.append(n)
                except BaseException as error:
                    failures.append(error)
                    return

    def go_on(least: int) -> None:
        wait_until(lambda: bool(failures) or len(done) > least, "the calls do not go on")

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(8)]
    for thread in threads:
        thread.start()
    texts = (
        "spare_children = 0\nmax_concurrent_executions = 2\nengine.max_cache_size = 1\n",
        "spare_children = 3\nmax_spare_children = 4\nengine.enable_caching = false\n",
        "max_concurrent_executions = 3\nengine.resource_limits.max_memory_bytes = '10MiB'\n",
        "engine.resource_limits.max_memory_bytes = '100MiB'\nengine.security_level = 'production'\n",
        "log_level = 'warning'\nexecution_retention = '1s'\nmax_executions_memory = '200MiB'\n",
        "not = 'valid'\n",
    )
    for round_ in range(12):
        configured.write(texts[round_ % len(texts)])
        os.kill(configured.server.pid, signal.SIGHUP)
        configured.client.update_config({"engine.default_execution_timeout": 5 + round_})
        time.sleep(0.25)
        # As many as it takes for a hundred in the end.
        go_on(9 * (round_ + 1))
    over.set()
    for thread in threads:
        thread.join(TIMEOUT)
    assert failures == []
    assert len(done) > 100
    assert configured.client.config().version == 12


@pytest.mark.parametrize("what", ["configuration", "secret"])
def test_a_pipe_in_the_place_of_a_file_stops_nothing(configured: Configured, what: str) -> None:
    """Whoever opens a pipe waits until somebody writes to it."""
    secret = configured.file.with_name("key")
    secret.write_text("ab" * 32)
    pipe = configured.file if what == "configuration" else secret
    if what == "secret":
        configured.write("unit_key = { file = 'key' }\n")
        wait_until(lambda: configured.client.config().entries["unit_key"].layer == "FILE", "it is not read")
    beside = configured.file.with_name("pipe")
    os.mkfifo(beside)
    beside.rename(pipe)
    wait_until(lambda: "expected a regular file" in configured.client.config().file_problem, "it is not refused")
    assert configured.client.update_config({"spare_children": 1}).config.version == 1
    assert configured.client.run("pub fn main() { 1 }").value == 1
    assert configured.server.terminate() == 0


def test_a_file_without_end_is_refused(configured: Configured) -> None:
    configured.write("# " + "x" * MIB)
    wait_until(lambda: "expected at most 1,048,576 bytes" in configured.client.config().file_problem, "not refused")


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    files = WatchedFiles([file])
    assert not files.have_changed()
    file.write_text("two!")
    assert not files.have_changed()
    file.write_text("three!")
    assert not files.have_changed()
    assert files.have_changed()
    files.take([file])
    assert not files.have_changed()
