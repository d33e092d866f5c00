"""`crucible::process` from a script's point of view: what is started, fed, heard, signalled and bounded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import crucible

RUN = "pub async fn main(program, args, options) { crucible::process::run(program, args, options).await }"
LATE = 30.0
"""Seconds that no test of this file takes unless something that should be bounded is not."""
LEFT = """
let left = true;
for _ in 0..100 {
    left = process::run("ps", ["-e", "-o", "comm="], #{}).await?.stdout.contains("sleep");
    if !left { break; }
    crucible::basic::sleep(0.05).await;
}
"""
"""Whether any `sleep` stays. What is sent to a group takes effect when each of its processes runs."""


def run(client: crucible.Client, program: str, *args: str, **options: Any) -> Any:
    """What `process::run` returns: its object, or the message of its Err."""
    given = {"program": program, "args": list(args), "options": options}
    result = client.run(RUN, level="development", args=given, check=False, deadline=LATE)
    if result.success:
        return result.value
    assert result.error is not None
    assert result.error.kind == "RETURNED_ERR", result.error
    return result.error.message


def shell(client: crucible.Client, text: str, **options: Any) -> Any:
    return run(client, "sh", "-c", text, **options)


def script(client: crucible.Client, body: str, **options: Any) -> Any:
    """The value of a script of these lines, with `process` imported."""
    source = f"use crucible::process;\npub async fn main() {{ {body} }}"
    return client.run(source, level="development", deadline=LATE, **options).value


class TestRun:
    def test_output_and_exit_code(self, open_client: crucible.Client) -> None:
        assert shell(open_client, "echo out; echo err >&2; exit 7") == {
            "success": False,
            "status": 7,
            "signal": None,
            "stdout": "out\n",
            "stderr": "err\n",
        }
        assert run(open_client, "true") == {"success": True, "status": 0, "signal": None, "stdout": "", "stderr": ""}
        assert [shell(open_client, f"exit {code}")["status"] for code in (1, 127, 255)] == [1, 127, 255]

    @pytest.mark.parametrize("number", [1, 6, 9, 11, 15])
    def test_the_signal_that_ended_it(self, open_client: crucible.Client, number: int) -> None:
        ended = shell(open_client, f"kill -{number} $$")
        assert (ended["success"], ended["status"], ended["signal"]) == (False, None, number)

    def test_arguments_are_not_read_by_a_shell(self, open_client: crucible.Client) -> None:
        given = ["a b", "$HOME", "`id`", "", "*", "ü\n", "--", "; echo no"]
        said = run(open_client, "printf", "%s|", *given)["stdout"]
        assert said == "".join(f"{one}|" for one in given)

    def test_standard_input(self, open_client: crucible.Client) -> None:
        assert run(open_client, "cat", stdin="text ü\n")["stdout"] == "text ü\n"
        assert run(open_client, "cat", stdin=bytes(range(256)), bytes=True)["stdout"] == bytes(range(256))
        # Nothing to read is an end at once, and not the server's own standard input.
        assert run(open_client, "cat")["stdout"] == ""
        assert run(open_client, "cat", stdin="")["stdout"] == ""
        # More than a pipe holds, in both directions at once.
        large = "0123456789abcdef" * 40_000
        assert run(open_client, "cat", stdin=large)["stdout"] == large
        # Who reads no further than it likes is no error.
        assert run(open_client, "head", "-c", "3", stdin=large)["stdout"] == "012"
        assert run(open_client, "true", stdin=large)["success"] is True

    def test_output_that_is_no_text(self, open_client: crucible.Client) -> None:
        assert "expected UTF-8 text on stdout" in shell(open_client, "printf '\\377'")
        assert "expected UTF-8 text on stderr" in shell(open_client, "printf '\\377' >&2")
        both = shell(open_client, "printf '\\377'; printf '\\376' >&2", bytes=True)
        assert (both["stdout"], both["stderr"]) == (b"\xff", b"\xfe")

    def test_what_cannot_be_started(self, open_client: crucible.Client, workplace: Path) -> None:
        assert 'cannot start "no-such-program": No such file' in run(open_client, "no-such-program")
        assert 'cannot start "/etc": Permission denied' in run(open_client, "/etc")
        plain = workplace / "plain"
        plain.write_text("no program")
        plain.chmod(0o644)
        assert f'cannot start "{plain}": Permission denied' in run(open_client, str(plain))
        plain.chmod(0o755)
        assert f'cannot start "{plain}": Exec format error' in run(open_client, str(plain))
        assert 'cannot start "true" in "/nowhere": No such file' in run(open_client, "true", cwd="/nowhere")
        assert "cannot start" in run(open_client, "nul\0nul")
        assert "cannot start" in run(open_client, "printf", "nul\0nul")

    def test_a_timeout_kills_it_and_its_group(self, open_client: crucible.Client) -> None:
        started = time.monotonic()
        message = shell(open_client, "trap '' TERM; sleep 1000 & sleep 1000; sleep 1000", timeout=0.3)
        assert 'process::run of "sh": it ran longer than 0.3 s and was killed; raise the timeout' in message
        assert time.monotonic() - started < LATE
        # The script goes on, and nothing of it is there any more.
        value = script(
            open_client,
            f"""
            let slow = process::run("sh", ["-c", "sleep 1000 & sleep 1000"], #{{ timeout: 0.2 }}).await;
            {LEFT}
            [slow.is_err(), left]
            """,
        )
        assert value == [True, False]

    def test_output_beyond_the_bound_kills_it(self, open_client: crucible.Client) -> None:
        for text in ("yes", "yes >&2", "yes & yes >&2", "cat /dev/zero"):
            message = shell(open_client, text, max_output=100_000)
            assert "expected at most 100000 bytes of output, but it wrote more and was killed" in message
        assert len(shell(open_client, "head -c 100000 /dev/zero", max_output=100_000)["stdout"]) == 100_000
        # Without an option it is bounded all the same.
        assert "expected at most 16777216 bytes of output" in run(open_client, "yes")

    def test_what_holds_the_pipe_is_not_waited_for(self, open_client: crucible.Client) -> None:
        started = time.monotonic()
        ended = shell(open_client, "echo first; (sleep 1000; echo late) & exit 3")
        assert (ended["stdout"], ended["status"]) == ("first\n", 3)
        assert time.monotonic() - started < LATE

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            ('process::run("true", "x", #{})', "expected a list of arguments"),
            ('process::run("true", [1], #{})', "expected text as an argument"),
            ('process::run("true", [], 5)', "expected an object of options"),
            ('process::run("true", [], #{ shell: true })', "expected the options stdin, env, cwd, .* got `shell`"),
            ('process::run("true", [], #{ stdin: 5 })', "expected text or bytes as stdin"),
            ('process::run("true", [], #{ timeout: 0 })', "expected seconds above zero as timeout"),
            ('process::run("true", [], #{ timeout: -1 })', "expected seconds above zero as timeout"),
            ('process::run("true", [], #{ timeout: 0.0 / 0.0 })', "expected seconds above zero as timeout"),
            ('process::run("true", [], #{ max_output: 0 })', "expected an integer above zero as max_output"),
            ('process::run("true", [], #{ bytes: 1 })', "expected true or false as bytes"),
            ('process::run("true", [], #{ env: [] })', "expected an object of texts as env"),
            ('process::run("true", [], #{ env: #{ A: 1 } })', "expected text as the variable `A`"),
            ('process::run("true", [], #{ env: #{ "A=B": "1" } })', "expected names without `=`"),
            ('process::run("true", [], #{ cwd: 1 })', "expected text as cwd"),
        ],
    )
    def test_wrong_use_ends_the_script(self, open_client: crucible.Client, call: str, said: str) -> None:
        with pytest.raises(crucible.ExecutionFailed, match=said) as raised:
            script(open_client, f"{call}.await")
        assert raised.value.result.error is not None
        assert raised.value.result.error.kind == "PANIC"

    def test_several_at_once(self, open_client: crucible.Client) -> None:
        body = """
        let all = [];
        for n in 0..20 { all.push(process::run("sh", ["-c", `sleep 0.5; echo ${n}`], #{})); }
        let said = [];
        for done in std::future::join(all).await { said.push(done?.stdout.trim()); }
        said
        """
        started = time.monotonic()
        assert script(open_client, body) == [str(n) for n in range(20)]
        # One after the other they would take ten seconds.
        assert time.monotonic() - started < 8


class TestSpawn:
    def test_a_conversation(self, open_client: crucible.Client) -> None:
        body = """
        let echo = process::spawn("sh", ["-c", "while read line; do echo got $line; echo err >&2; done; exit 4"], #{})?;
        let said = [];
        for n in 0..3 {
            echo.write(`line ${n}\n`).await?;
            said.push(echo.read_line().await?);
            said.push(echo.read_error_line().await?);
        }
        echo.close_stdin();
        said.push(echo.read_line().await?);
        said.push(echo.wait().await?.status);
        said.push(echo.wait().await?.status);
        said.push(echo.kill());
        said.push(echo.write("x").await.is_err());
        said
        """
        lines = [part for n in range(3) for part in (f"got line {n}", "err")]
        assert script(open_client, body) == [*lines, None, 4, 4, False, True]

    def test_signals_reach_the_group(self, open_client: crucible.Client) -> None:
        body = f"""
        let sleeper = process::spawn("sh", ["-c", "sleep 1000 & echo up; wait"], #{{}})?;
        sleeper.read_line().await?;
        let sent = [sleeper.pid > 1, sleeper.signal(15)];
        sent.push(sleeper.wait().await?.signal);
        {LEFT}
        sent.push(left);
        sent
        """
        assert script(open_client, body) == [True, True, 15, False]
        for number in ("0", "65", "-1"):
            with pytest.raises(crucible.ExecutionFailed, match="expected a signal from 1 to 64"):
                script(open_client, f'process::spawn("true", [], #{{}})?.signal({number})')

    def test_unread_output_holds_up_the_process_and_nobody_else(self, open_client: crucible.Client) -> None:
        body = """
        let flood = process::spawn("yes", [], #{})?;
        crucible::basic::sleep(0.3).await;
        let first = flood.read(10).await?.len();
        flood.kill();
        [first, flood.wait().await?.signal]
        """
        assert script(open_client, body) == [10, 9]

    def test_a_line_without_an_end_is_bounded(self, open_client: crucible.Client) -> None:
        body = 'process::spawn("cat", ["/dev/zero"], #{})?.read_line().await'
        with pytest.raises(crucible.ExecutionFailed, match="expected a line of at most 16777216 bytes"):
            script(open_client, body)

    def test_no_more_is_read_than_asked_for(self, open_client: crucible.Client) -> None:
        body = """
        let process = process::spawn("sh", ["-c", "printf abcdef; printf 'tail'"], #{})?;
        process.wait().await?;
        let parts = [];
        loop {
            let part = process.read(4).await?;
            if part.is_empty() { break; }
            parts.push(part);
        }
        parts
        """
        assert script(open_client, body) == [b"abcd", b"efta", b"il"]

    def test_the_script_is_not_held_up(self, open_client: crucible.Client) -> None:
        body = """
        let slow = process::spawn("sleep", ["1000"], #{})?;
        let ticks = 0;
        for _ in 0..5 { crucible::basic::sleep(0.01).await; ticks += 1; }
        let done = std::future::join((slow.wait(), killer(slow))).await;
        [ticks, done.0?.signal]
        """
        source = (
            f"use crucible::process;\nasync fn killer(slow) {{ crucible::basic::sleep(0.1).await; slow.kill() }}\n"
            f"pub async fn main() {{ {body} }}"
        )
        assert open_client.run(source, level="development", deadline=LATE).value == [5, 9]


def test_the_scripts_own_process_is_out_of_reach(open_client: crucible.Client) -> None:
    # What it has open leads to the server; programs that it starts have the same user.
    text = "ls /proc/1/fd; cat /proc/1/environ; head -c 1 /proc/1/mem; readlink /proc/1/exe; ls /proc/self/fd"
    done = shell(open_client, text)
    assert done["stdout"].split() == ["0", "1", "2", "3"]
    assert done["stderr"].lower().count("denied") >= 3


def test_programs_gain_nothing(open_client: crucible.Client) -> None:
    status = shell(open_client, "grep -E 'NoNewPrivs|CapEff|CapPrm|Groups' /proc/self/status")["stdout"]
    found = dict(line.split(":", 1) for line in status.splitlines())
    assert {name: text.strip() for name, text in found.items()} == {
        "NoNewPrivs": "1",
        "CapEff": "0" * 16,
        "CapPrm": "0" * 16,
        "Groups": found["Groups"].strip(),
    }
    assert found["Groups"].strip() in ("", shell(open_client, "id -g")["stdout"].strip())
