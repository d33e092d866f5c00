"""`crucible events`: following, listing, emitting."""

from __future__ import annotations

import json
import signal
import subprocess
import uuid
from pathlib import Path

from tests.cli.conftest import Crucible, command, environment
from tests.servers import RunningServer


def test_what_is_emitted_is_listed_and_followed(crucible: Crucible, server: str) -> None:
    kind = f"cli.{uuid.uuid4().hex}"
    emitted = crucible("events", "emit", kind, "--data", '{"n": 1, "f": 1.0}', "--script", "s1", "--server", server)
    assert emitted.returncode == 0, emitted.stderr
    sequence = int(emitted.stdout)
    listed = crucible("events", "list", "--type", kind, "--json", "--server", server)
    (event,) = json.loads(listed.stdout)["events"]
    assert (event["sequence"], event["type"], event["script_id"]) == (sequence, kind, "s1")
    assert event["data"] == {"n": 1, "f": 1.0}
    assert repr(event["data"]["f"]) == "1.0"
    followed = crucible(
        "events", "tail", "--type", kind, "--after", str(sequence - 1), "--count", "1", "--json", "--server", server
    )
    assert json.loads(followed.stdout) == event
    text = crucible("events", "list", "--type", kind, "--server", server).stdout.splitlines()
    assert text[0].split() == ["SEQUENCE", "TIME", "TYPE", "PRINCIPAL", "ABOUT", "WHAT"]
    assert text[1].split()[0] == str(sequence)


def test_the_same_id_is_stored_once(crucible: Crucible, server: str) -> None:
    words = ("events", "emit", "cli.once", "--id", uuid.uuid4().hex, "--json", "--server", server)
    first, second = (json.loads(crucible(*words).stdout) for _ in range(2))
    assert (first["existed"], second["existed"]) == (False, True)
    assert first["sequence"] == second["sequence"]


def test_text_is_taken_for_text(crucible: Crucible, server: str) -> None:
    kind = f"cli.{uuid.uuid4().hex}"
    assert crucible("events", "emit", kind, "--data", "hello {", "--server", server).returncode == 0
    listed = crucible("events", "list", "--type", kind, "--json", "--server", server)
    assert json.loads(listed.stdout)["events"][0]["data"] == "hello {"


def test_the_types_of_the_server_are_not_emitted(crucible: Crucible, server: str) -> None:
    done = crucible("events", "emit", "script_executed", "--server", server)
    assert done.returncode == 3
    assert "the server's to emit" in done.stderr


def test_an_unknown_type_and_an_unknown_event_are_refused(crucible: Crucible, server: str) -> None:
    for words in (("tail", "--type", "script_exexuted"), ("list", "--type", "script_exexuted")):
        done = crucible("events", *words, "--server", server)
        assert done.returncode == 3
        assert "did you mean 'script_executed'" in done.stderr
    done = crucible("events", "tail", "--after", "999999999999", "--server", server)
    assert done.returncode == 3
    assert "another server" in done.stderr


def test_no_server(crucible: Crucible, unused_address: str) -> None:
    for words in (("tail",), ("list",), ("emit", "a.b")):
        assert crucible("events", *words, "--server", unused_address).returncode == 4


def test_following_survives_a_killed_server_and_ends_by_ctrl_c(crucible: Crucible, tmp_path: Path) -> None:
    server = RunningServer(tmp_path).start()
    kind = "cli.survives"
    words = ("events", "tail", "--type", kind, "--after", "0", "--json", "--server", server.address)
    with subprocess.Popen(command(words), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        assert crucible("events", "emit", kind, "--data", "1", "--server", server.address).returncode == 0
        assert json.loads(tail.stdout.readline())["data"] == 1
        server.kill()
        with RunningServer(tmp_path, listen=server.address):
            assert crucible("events", "emit", kind, "--data", "2", "--server", server.address).returncode == 0
            assert json.loads(tail.stdout.readline())["data"] == 2
            tail.send_signal(signal.SIGINT)
            assert tail.wait(30) == 130
