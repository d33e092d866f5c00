"""`crucible run`: what is printed where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.engine.processes import wait_gone

from .conftest import TIMEOUT, Crucible, Script, command, environment, read_one_line_of

GREETING = 'pub fn main(name) { println!("hello {}", name); `${name}!` }'


def test_own_server_prints_output_then_value(crucible: Crucible, script: Script) -> None:
    done = crucible("run", script(GREETING), "--arg", "name=Ada")
    assert (done.returncode, done.stdout, done.stderr) == (0, 'hello Ada\n"Ada!"\n', "")


def test_given_server(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("run", script(GREETING), "--arg", "name=Ada", "--server", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'hello Ada\n"Ada!"\n', "")


def test_a_server_named_for_others_is_not_asked(crucible: Crucible, script: Script, unused_address: str) -> None:
    done = crucible("run", script("pub fn main() { 1 }"), settings={"CRUCIBLE_SERVER": unused_address})
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_standard_error_and_an_open_line(crucible: Crucible, script: Script, server: str) -> None:
    source = 'pub fn main() { print!("open"); crucible::basic::eprintln!("oops"); 7 }'
    done = crucible("run", script(source), "--server", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "open\n7\n", "oops\n")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("x=1", "1"),
        ("x=1.0", "1.0"),
        ("x=18446744073709551615", "18446744073709551615"),
        ("x=-9223372036854775808", "-9223372036854775808"),
        ("x=true", "true"),
        ("x=[1, 2.5, null]", "[1,2.5,null]"),
        ('x="1"', '"1"'),
        ("x=plain text", '"plain text"'),
        ("x=a=b", '"a=b"'),
        ("x=", '""'),
        ("x=NaN", '"NaN"'),
        ("x={not json", '"{not json"'),
        ("x=h\u00e9", '"h\u00e9"'),
    ],
)
def test_arguments_arrive_as_they_were_meant(
    crucible: Crucible, script: Script, server: str, word: str, value: str
) -> None:
    done = crucible("run", script("pub fn main(x) { x }"), "--arg", word, "--server", server, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == json.loads(value)
    # Python takes 1 and 1.0 for equal.
    assert type(json.loads(done.stdout)["value"]) is type(json.loads(value))


def test_function_and_included_files(crucible: Crucible, script: Script, server: str) -> None:
    script("pub fn twice(x) { x * inner::two() } pub mod inner;", "util.rn")
    script("pub fn two() { 2 }", "util/inner.rn")
    file = script("mod util; pub fn main() { 0 } pub fn other(x) { util::twice(x) }")
    done = crucible("run", file, "--function", "other", "--arg", "x=21", "--server", server)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_standard_input(crucible: Crucible, server: str) -> None:
    done = crucible("run", "-", "--server", server, stdin=b"pub fn main() { 42 }")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_json(crucible: Crucible, script: Script, server: str) -> None:
    source = 'pub fn main() { println!("out"); crucible::basic::eprint!("err"); #{ n: 1 } }'
    done = crucible("run", script(source), "--server", server, "--json")
    result = json.loads(done.stdout)
    assert done.stderr == ""
    assert (result["success"], result["value"]) == (True, {"n": 1})
    assert (result["stdout"], result["stderr"]) == ("out\n", "err")
    assert result["operations_count"] > 0
    assert len(result["script_id"]) > 0


def test_a_large_value_is_spread_over_lines(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("run", script("pub fn main() { (0..100).iter().collect::<Vec>() }"), "--server", server)
    assert json.loads(done.stdout) == list(range(100))
    assert len(done.stdout.splitlines()) == 102


class TestFailures:
    """Each exit code, and the next call works."""

    def test_script_fails(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script("pub fn main() {\n    let x = [];\n    x[3]\n}"), "--server", server)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "error (runtime)" in done.stderr
        assert "3" in done.stderr

    def test_script_returns_err(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script('pub fn main() { Err("no luck") }'), "--server", server)
        assert done.returncode == 1
        assert "error (returned_err)" in done.stderr
        assert "no luck" in done.stderr

    def test_json_of_a_failure(self, crucible: Crucible, script: Script, server: str) -> None:
        file = script('pub fn main() { println!("before"); panic!("stop") }')
        done = crucible("run", file, "--server", server, "--json")
        result = json.loads(done.stdout)
        assert done.returncode == 1
        assert (result["success"], result["stdout"]) == (False, "before\n")
        assert result["error"]["kind"] == "panic"
        assert result["error"]["line"] == 1
        assert "value" not in result

    def test_does_not_compile(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script("pub fn main( { 1 }"), "--server", server)
        assert done.returncode == 1
        assert "script.rn:1:" in done.stderr
        assert done.stdout == ""

    def test_time_is_up(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script("pub fn main() { loop {} }"), "--timeout", "300ms", "--server", server)
        assert done.returncode == 1
        assert "error (timeout)" in done.stderr

    def test_wrong_arguments_are_named(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script(GREETING), "--arg", "nam=Ada", "--server", server)
        assert done.returncode == 3
        assert "name" in done.stderr
        assert "nam" in done.stderr

    def test_unknown_function(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script(GREETING), "--function", "nope", "--server", server)
        assert done.returncode == 3
        assert "nope" in done.stderr

    def test_development_is_refused(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script("pub fn main() { 1 }"), "--level", "development", "--server", server)
        assert done.returncode == 3
        assert "development" in done.stderr.lower()

    def test_no_server(self, crucible: Crucible, script: Script, unused_address: str) -> None:
        done = crucible("run", script("pub fn main() { 1 }"), "--server", unused_address)
        assert done.returncode == 4
        assert "crucible serve" in done.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--arg", "name"], "expected name=value"),
            (["--arg", "=1"], "expected name=value"),
            (["--arg", "name=1", "--arg", "name=2"], "twice"),
            (["--timeout", "soon"], "500ms"),
            (["--timeout", "0s"], "above zero"),
            (["--level", "risky"], "production"),
            (["--nonsense"], "--nonsense"),
        ],
    )
    def test_wrong_use(self, crucible: Crucible, script: Script, words: list[str], said: str) -> None:
        done = crucible("run", script(GREETING), *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr

    def test_missing_file(self, crucible: Crucible, tmp_path: Path) -> None:
        done = crucible("run", tmp_path / "absent.rn")
        assert done.returncode == 2
        assert "absent.rn does not exist" in done.stderr

    def test_folder(self, crucible: Crucible, tmp_path: Path) -> None:
        done = crucible("run", tmp_path)
        assert done.returncode == 2
        assert "without a main.rn" in done.stderr

    def test_words_that_are_not_utf8(self, crucible: Crucible, server: str) -> None:
        done = crucible("executions", "show", os.fsdecode(b"caf\xe9"), "--server", server)
        assert done.returncode == 2
        assert "is not UTF-8" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_file_name_that_is_not_utf8(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script("pub fn main() { 1 }", os.fsdecode(b"caf\xe9.rn")), "--server", server)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr

    def test_not_utf8(self, crucible: Crucible, tmp_path: Path) -> None:
        (tmp_path / "latin.rn").write_bytes(b"// fine\n// caf\xe9\n")
        done = crucible("run", tmp_path / "latin.rn")
        assert done.returncode == 2
        assert "line 2 holds the byte 0xe9" in done.stderr


class TestDetach:
    """It goes on without us."""

    def test_start_watch_cancel(self, crucible: Crucible, script: Script, server: str) -> None:
        file = script('pub fn main(n) { println!("started {}", n); loop {} }')
        # Safe would end it after ten seconds, in which two more commands have to start.
        done = crucible("run", file, "--detach", "--level", "production", "--arg", "n=1", "--server", server)
        execution = done.stdout.strip()
        assert (done.returncode, done.stderr, len(execution)) == (0, "", 32)
        record = json.loads(crucible("executions", "show", execution, "--server", server, "--json").stdout)
        assert record["detached"]
        assert record["state"] in ("queued", "running")
        words = command(["executions", "watch", execution, "--server", server])
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as watch:
            assert watch.stdout is not None
            # A cancellation may overtake what it prints.
            assert watch.stdout.readline() == "started 1\n"
            assert crucible("executions", "cancel", execution, "--server", server).returncode == 0
            assert (watch.stdout.read(), watch.wait(TIMEOUT)) == ("", 1)
        over = crucible("executions", "watch", execution, "--server", server)
        assert (over.returncode, over.stdout) == (1, "started 1\n")

    def test_json(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script("pub fn main() { 1 }"), "--detach", "--server", server, "--json")
        execution = json.loads(done.stdout)["execution_id"]
        assert crucible("executions", "wait", execution, "--server", server).returncode == 0

    def test_what_is_refused(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("run", script(GREETING), "--detach", "--arg", "nam=Ada", "--server", server)
        assert (done.returncode, done.stdout) == (3, "")
        assert "nam" in done.stderr

    def test_needs_a_server(self, crucible: Crucible, script: Script) -> None:
        done = crucible("run", script(GREETING), "--detach")
        assert done.returncode == 2
        assert "--server" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_cancel_the_execution(
    crucible: Crucible, script: Script, server: str, number: signal.Signals, code: int
) -> None:
    file = script('pub fn main() { println!("started"); loop {} }')
    words = command(["run", file, "--server", server])
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        assert process.wait(TIMEOUT) == code
    assert crucible("run", script("pub fn main() { 1 }"), "--server", server).returncode == 0


def test_own_server_ends_with_the_command(script: Script) -> None:
    file = script('pub fn main() { println!("started"); loop {} }')
    words = command(["run", file])
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        children = descendants(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 130
    wait_gone(children)


def test_reader_that_goes_away(script: Script, server: str) -> None:
    file = script('pub fn main() { for n in 0..200000 { println!("line {}", n); } }')
    read_one_line_of(command(["run", file, "--server", server]), b"line 0\n")


def descendants(pid: int) -> list[int]:
    """The processes below this one."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        # It has ended meanwhile.
        return []
    children = [int(word) for word in text.split()]
    return children + [below for child in children for below in descendants(child)]
