"""`crucible executions`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import uuid
from typing import Any

import pytest

import crucible as client_library

from .conftest import TIMEOUT, Crucible, command, environment, read_one_line_of


def start(server: str, source: str, *, detached: bool = True, **arguments: Any) -> str:
    """Starts an execution and does not wait for its end; its id."""
    with client_library.Client(server) as client:
        # Safe would end it after ten seconds, in which some commands have to start.
        stream = client.stream(
            source, detached=detached, args=arguments, level="production", execution_id=f"cli-{uuid.uuid4().hex}"
        )
        # It runs once something has come, unless it is waiting for its turn.
        for _ in stream:
            break
        return stream.execution_id


ENDLESS = 'pub fn main() { println!("started"); loop {} }'
SHORT = 'pub fn main() { println!("one"); println!("two"); crucible::basic::eprintln!("three"); 4 }'
FAILING = 'pub fn main() { println!("before"); panic!("stop here") }'


def ended(server: str, source: str) -> str:
    """Runs an execution to its end; its id."""
    with client_library.Client(server) as client:
        return client.run(source, check=False).execution_id


class TestShow:
    """The record."""

    def test_facts(self, crucible: Crucible, server: str) -> None:
        execution = ended(server, SHORT)
        done = crucible("executions", "show", execution, "--server", server)
        assert (done.returncode, done.stderr) == (0, "")
        for fact in (r"state +succeeded", r"function +main", r"level +safe", r"memory +50\.0 MiB", r"created +20\d\d-"):
            assert re.search(fact, done.stdout), fact
        assert re.search(r"standard output +8 B", done.stdout)
        assert re.search(r"standard error +6 B", done.stdout)
        assert done.stdout.endswith("value\n  4\n")

    def test_json(self, crucible: Crucible, server: str) -> None:
        execution = ended(server, SHORT)
        record = json.loads(crucible("executions", "show", execution, "--server", server, "--json").stdout)
        assert (record["execution_id"], record["state"], record["detached"]) == (execution, "succeeded", False)
        assert record["limits"]["max_memory_bytes"] == 50 * 1024 * 1024
        assert record["limits"]["max_execution_time"] == 10.0
        assert record["result"]["value"] == 4
        assert record["result"]["resource_usage"]["operations_count"] > 0
        assert record["create_time"] <= record["start_time"] <= record["end_time"]

    def test_failure(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "show", ended(server, FAILING), "--server", server)
        assert done.returncode == 0
        assert "error (panic)" in done.stdout
        assert "stop here" in done.stdout

    def test_absent(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "show", "absent", "--server", server)
        assert done.returncode == 3
        assert "absent" in done.stderr
        assert "Traceback" not in done.stderr


class TestWatch:
    """Output as it was and as it comes."""

    def test_from_the_start(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "watch", ended(server, SHORT), "--server", server)
        assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n4\n", "three\n")

    def test_json_lines_after_a_number(self, crucible: Crucible, server: str) -> None:
        execution = ended(server, SHORT)
        done = crucible("executions", "watch", execution, "--server", server, "--json")
        pieces = [json.loads(line) for line in done.stdout.splitlines()]
        assert [piece["sequence"] for piece in pieces] == list(range(1, len(pieces) + 1))
        text = "".join(piece["text"] for piece in pieces[:-1] if piece["stream"] == "stdout")
        assert text == "one\ntwo\n"
        assert pieces[-1]["result"]["value"] == 4
        done = crucible("executions", "watch", execution, "--server", server, "--json", "--after", "1")
        assert [json.loads(line) for line in done.stdout.splitlines()] == pieces[1:]

    def test_failure(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "watch", ended(server, FAILING), "--server", server)
        assert (done.returncode, done.stdout) == (1, "before\n")
        assert "error (panic)" in done.stderr

    def test_live(self, crucible: Crucible, server: str) -> None:
        execution = start(server, ENDLESS)
        words = command(["executions", "watch", execution, "--server", server])
        with subprocess.Popen(
            words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "started\n"
            assert crucible("executions", "cancel", execution, "--server", server).returncode == 0
            assert process.wait(TIMEOUT) == 1
            assert "error (cancelled)" in process.stderr.read()

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_the_watching_only(
        self, crucible: Crucible, server: str, number: signal.Signals, code: int
    ) -> None:
        execution = start(server, ENDLESS)
        words = command(["executions", "watch", execution, "--server", server])
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            process.send_signal(number)
            assert process.wait(TIMEOUT) == code
        with client_library.Client(server) as client:
            assert client.get_execution(execution).state == "RUNNING"
            client.cancel(execution)

    def test_a_reader_that_goes_away(self, crucible: Crucible, server: str) -> None:
        execution = ended(server, 'pub fn main() { for n in 0..20000 { println!("line {}", n); } }')
        read_one_line_of(command(["executions", "watch", execution, "--server", server]), b"line 0\n")

    def test_wrong_number(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "watch", "x", "--after", "-1", "--server", server)
        assert done.returncode == 2


class TestWait:
    """Silent, but for the exit code."""

    def test_outcomes(self, crucible: Crucible, server: str) -> None:
        good, bad = ended(server, SHORT), ended(server, FAILING)
        done = crucible("executions", "wait", good, "--server", server)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        done = crucible("executions", "wait", bad, good, "--server", server)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{bad}: error (panic)" in done.stderr
        done = crucible("executions", "wait", bad, "absent", good, "--server", server, "--json")
        assert done.returncode == 3
        assert [json.loads(line)["success"] for line in done.stdout.splitlines()] == [False, True]
        assert "absent" in done.stderr

    def test_time_is_up(self, crucible: Crucible, server: str) -> None:
        execution = start(server, ENDLESS)
        done = crucible("executions", "wait", execution, "--timeout", "200ms", "--server", server)
        assert done.returncode == 124
        assert execution in done.stderr
        assert crucible("executions", "cancel", execution, "--server", server).returncode == 0
        done = crucible("executions", "wait", execution, "--timeout", "1m", "--server", server)
        assert done.returncode == 1

    def test_wrong_time(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "wait", "x", "--timeout", "soon", "--server", server)
        assert done.returncode == 2
        assert "500ms" in done.stderr


class TestCancelAndDelete:
    """Several ids: each is told, a failure does not end it."""

    def test_cancel(self, crucible: Crucible, server: str) -> None:
        running, over = start(server, ENDLESS), ended(server, SHORT)
        done = crucible("executions", "cancel", running, "absent", over, "--reason", "a test", "--server", server)
        assert done.returncode == 3
        assert done.stdout.splitlines() == [f"{running}: cancelled", f"{over}: had ended: succeeded"]
        assert "absent" in done.stderr
        record = json.loads(crucible("executions", "show", running, "--server", server, "--json").stdout)
        assert record["state"] == "cancelled"
        assert "a test" in record["result"]["error"]["message"]

    def test_no_server(self, crucible: Crucible, unused_address: str) -> None:
        done = crucible("executions", "cancel", "one", "two", "three", "--server", unused_address)
        assert done.returncode == 4
        assert "not tried: two, three" in done.stderr

    def test_delete(self, crucible: Crucible, server: str) -> None:
        over, running = ended(server, SHORT), start(server, ENDLESS)
        done = crucible("executions", "delete", running, over, "absent", "--server", server, "--json")
        assert done.returncode == 3
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(row["id"], row["outcome"]) for row in rows] == [(running, None), (over, "deleted"), ("absent", None)]
        assert [row["exit_code"] for row in rows] == [3, 0, 3]
        assert crucible("executions", "show", over, "--server", server).returncode == 3
        assert crucible("executions", "cancel", running, "--server", server).returncode == 0

    def test_redact(self, crucible: Crucible, server: str) -> None:
        over = ended(server, SHORT)
        done = crucible("executions", "delete", over, "--redact", "--server", server)
        assert (done.returncode, done.stdout) == (0, f"{over}: redacted\n")
        done = crucible("executions", "show", over, "--server", server)
        assert done.returncode == 0
        assert "have been erased" in done.stdout
        record = json.loads(crucible("executions", "show", over, "--server", server, "--json").stdout)
        assert record["redacted"]
        assert "value" not in record["result"]
        done = crucible("executions", "watch", over, "--server", server)
        assert done.returncode == 0
        assert "one" not in done.stdout


@pytest.fixture(scope="module")
def tagged(server: str) -> tuple[str, list[str]]:
    """A script that only these executions ran, and their ids, newest first."""
    source = f'pub fn main(fails) {{ if fails {{ panic!("no") }} }} // {uuid.uuid4()}'
    with client_library.Client(server) as client:
        script = client.compile(source).script_id
        ids = [
            client.run(script_id=script, args={"fails": number % 2 == 1}, check=False).execution_id
            for number in range(7)
        ]
    return script, ids[::-1]


class TestList:
    """Filters and pages."""

    def page(self, crucible: Crucible, server: str, *words: str) -> Any:
        done = crucible("executions", "list", "--server", server, "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def test_newest_first(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        page = self.page(crucible, server, "--script", script)
        assert [row["execution_id"] for row in page["executions"]] == ids
        assert page["next_page_token"] == ""
        assert {row["script_id"] for row in page["executions"]} == {script}

    def test_pages(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        first = self.page(crucible, server, "--script", script, "--limit", "3")
        assert [row["execution_id"] for row in first["executions"]] == ids[:3]
        rest = self.page(crucible, server, "--script", script, "--all", "--page-token", first["next_page_token"])
        assert [row["execution_id"] for row in rest["executions"]] == ids[3:]

    def test_state(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        page = self.page(crucible, server, "--script", script, "--state", "failed", "--state", "running")
        assert [row["execution_id"] for row in page["executions"]] == ids[1::2]
        assert {row["state"] for row in page["executions"]} == {"failed"}

    def test_times(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        rows = self.page(crucible, server, "--script", script)["executions"]
        middle = rows[3]["create_time"]
        since = self.page(crucible, server, "--script", script, "--since", middle)["executions"]
        until = self.page(crucible, server, "--script", script, "--until", middle)["executions"]
        assert [row["execution_id"] for row in since] == ids[:4]
        assert [row["execution_id"] for row in until] == ids[4:]
        assert len(self.page(crucible, server, "--script", script, "--since", "1d")["executions"]) == 7
        assert self.page(crucible, server, "--script", script, "--until", "1d")["executions"] == []

    def test_principal(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        principal = self.page(crucible, server, "--script", script)["executions"][0]["principal"]
        assert len(self.page(crucible, server, "--script", script, "--principal", principal)["executions"]) == len(ids)
        assert self.page(crucible, server, "--script", script, "--principal", "nobody")["executions"] == []

    def test_text(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        done = crucible("executions", "list", "--script", script, "--limit", "2", "--server", server)
        heading, *rows = done.stdout.splitlines()
        assert heading.split() == ["EXECUTION", "STATE", "SCRIPT", "FUNCTION", "PRINCIPAL", "CREATED", "TOOK"]
        # Nothing is cut where no terminal sets a width.
        assert [row.split()[:3] for row in rows] == [[ids[0], "succeeded", script], [ids[1], "failed", script]]
        assert "--page-token" in done.stderr

    def test_ids(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, ids = tagged
        done = crucible("executions", "list", "--script", script, "--ids", "--server", server)
        assert (done.returncode, done.stdout.splitlines()) == (0, ids)

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["--since", "yesterday"], 2, "RFC 3339"),
            (["--since", "2026-01-01T00:00:00"], 2, "RFC 3339"),
            (["--until", "2026-02-30T00:00:00Z"], 2, "RFC 3339"),
            (["--state", "dead"], 2, "succeeded"),
            (["--limit", "0"], 2, "--limit"),
            (["--page-token", "nonsense"], 3, "page"),
        ],
    )
    def test_wrong_use(self, crucible: Crucible, server: str, words: list[str], code: int, said: str) -> None:
        done = crucible("executions", "list", *words, "--server", server)
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr

    def test_token_of_another_list(self, crucible: Crucible, server: str, tagged: tuple[str, list[str]]) -> None:
        script, _ = tagged
        token = self.page(crucible, server, "--script", script, "--limit", "1")["next_page_token"]
        done = crucible("executions", "list", "--page-token", token, "--state", "failed", "--server", server)
        assert done.returncode == 3
        assert "token" in done.stderr
