"""A plain model of what a server must hold: scripts, names, executions, and what each program does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from crucible.v1 import error_pb2, execution_pb2, script_pb2, value_pb2
from crucible_server.engine.identity import script_id

State = execution_pb2.ExecutionState
Kind = error_pb2.ExecutionErrorKind
RUNNING, SUCCEEDED, FAILED, CANCELLED, INTERRUPTED = (
    State.EXECUTION_STATE_RUNNING,
    State.EXECUTION_STATE_SUCCEEDED,
    State.EXECUTION_STATE_FAILED,
    State.EXECUTION_STATE_CANCELLED,
    State.EXECUTION_STATE_INTERRUPTED,
)
HEAD_BYTES = 256 * 1024
PRINCIPAL = "local"
LINE = "x" * 999 + "\n"
LINES = 400


@dataclass(frozen=True)
class Outcome:
    """How an execution ends. `kind` is that of its error, `value` what it returned or its `Err` carries."""

    state: State
    kind: Kind = Kind.EXECUTION_ERROR_KIND_UNSPECIFIED
    value: value_pb2.Value | None = None
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, repr=False)
class Program:
    """A source, and what its `main` does with `n`."""

    text: str
    takes_n: bool
    outcome: Callable[[int], Outcome]
    ends: bool = True

    def __repr__(self) -> str:
        return f"<{self.text[:40]!r}>"

    @property
    def source(self) -> script_pb2.ScriptSource:
        """As requests have it."""
        return script_pb2.ScriptSource(source=self.text)

    @property
    def script_id(self) -> str:
        """The id that the server must give it."""
        return script_id(self.source)


def integer(n: int) -> value_pb2.Value:
    """An int64."""
    return value_pb2.Value(int_value=n)


def _pair(n: int) -> value_pb2.Value:
    pair = value_pb2.Value()
    pair.list_value.values.add(int_value=n)
    pair.list_value.values.add(double_value=1.5)
    return pair


def _programs(salt: int) -> list[Program]:
    def program(text: str, outcome: Callable[[int], Outcome]) -> Program:
        return Program(f"// {salt}\n{text}", "main(n)" in text, outcome)

    return [
        program("pub fn main() { 42 }", lambda _: Outcome(SUCCEEDED, value=integer(42))),
        program(
            'pub fn main(n) { println!("n is {n}"); crucible::basic::eprintln!("beside"); n * 2 }',
            lambda n: Outcome(SUCCEEDED, value=integer(n * 2), stdout=f"n is {n}\n", stderr="beside\n"),
        ),
        program(
            'pub fn main() { println!("before"); panic!("no") }',
            lambda _: Outcome(FAILED, Kind.EXECUTION_ERROR_KIND_PANIC, stdout="before\n"),
        ),
        program(
            "pub fn main(n) { Err([n, 1.5]) }",
            lambda n: Outcome(FAILED, Kind.EXECUTION_ERROR_KIND_RETURNED_ERR, _pair(n)),
        ),
    ]


LONG_WINDED = Program(
    f'pub fn main(n) {{ for _ in 0..{LINES} {{ println!("{LINE[:-1]}"); }} n }}',
    True,
    lambda n: Outcome(SUCCEEDED, value=integer(n), stdout=LINE * LINES),
)
"""Writes more than is kept in memory, and more than unary calls give."""
LOOP = Program(
    'pub fn main() { println!("up"); loop {} }',
    False,
    lambda _: Outcome(FAILED, Kind.EXECUTION_ERROR_KIND_TIMEOUT, stdout="up\n"),
    ends=False,
)
PROGRAMS = [program for salt in range(2) for program in _programs(salt)] + [LONG_WINDED]


@dataclass
class StoredScript:
    """A script that must be there."""

    program: Program
    create_time: int
    total: int = 0
    successful: int = 0


@dataclass
class StoredExecution:
    """An execution that must be there. `result` is set once it has ended."""

    context: execution_pb2.ExecutionContext
    program: Program
    state: State
    create_time: int
    outcome: Outcome | None = None
    result: execution_pb2.ExecutionResult | None = None
    last_sequence: int = 0
    redacted: bool = False

    @property
    def text(self) -> str:
        """All that can still be read of its output."""
        return "" if self.redacted or self.outcome is None else self.outcome.stdout + self.outcome.stderr


@dataclass
class Model:
    """What must be true of one server."""

    scripts: dict[str, StoredScript] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    executions: dict[str, StoredExecution] = field(default_factory=dict)
    forged: set[str] = field(default_factory=set)
    """Scripts whose stored byte code was tampered with and not used since."""
    compilations: int = 0
    """Since the server was started, as the following."""
    ended: int = 0
    rejections: int = 0

    def forget_run(self) -> None:
        """The server is started anew."""
        self.compilations = self.ended = self.rejections = 0

    def obtain(self, script: str, *, force: bool = False) -> bool:
        """Byte code is asked for; whether it must be compiled."""
        is_compiled = force or script not in self.scripts or script in self.forged
        self.compilations += is_compiled
        if script in self.forged:
            self.rejections += not force
            self.forged.discard(script)
        return is_compiled

    def names_of(self, script: str) -> list[str]:
        """In the order of GetScript."""
        return sorted(name for name, target in self.names.items() if target == script)

    def delete_script(self, script: str) -> None:
        """With its names and its figures."""
        del self.scripts[script]
        self.forged.discard(script)
        self.names = {name: target for name, target in self.names.items() if target != script}

    def running(self) -> list[str]:
        """Executions that have not ended."""
        return [each for each, execution in self.executions.items() if execution.state == RUNNING]

    def end(self, execution_id: str, outcome: Outcome, *, is_seen: bool = True) -> None:
        """An execution has come to its end, in this run of the server or, unseen, when it was killed."""
        execution = self.executions[execution_id]
        execution.state, execution.outcome = outcome.state, outcome
        self.ended += is_seen
        script = self.scripts.get(execution.program.script_id)
        if script is not None:
            script.total += 1
            script.successful += outcome.state == SUCCEEDED

    def listed_scripts(self, prefix: str, principal: str, after: int | None, before: int | None) -> list[str]:
        """Ids, newest first."""
        found = [
            (script.create_time, key)
            for key, script in self.scripts.items()
            if (not prefix or any(name.startswith(prefix) for name in self.names_of(key)))
            and principal in ("", PRINCIPAL)
            and _within(script.create_time, after, before)
        ]
        return [key for _, key in sorted(found, reverse=True)]

    def listed_executions(
        self, states: Sequence[int], script: str, principal: str, after: int | None, before: int | None
    ) -> list[str]:
        """Ids, newest first."""
        found = [
            (execution.create_time, key)
            for key, execution in self.executions.items()
            if (not states or execution.state in states)
            and script in ("", execution.program.script_id)
            and principal in ("", PRINCIPAL)
            and _within(execution.create_time, after, before)
        ]
        return [key for _, key in sorted(found, reverse=True)]


def _within(time_ns: int, after: int | None, before: int | None) -> bool:
    return (after is None or time_ns >= after) and (before is None or time_ns < before)
