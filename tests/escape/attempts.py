"""The attempts of the escape suite and what has to stop each: one row, one attempt of vm/src/escape."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field

import crucible
from crucible.requests import Level, Limits
from tests.escape.forbidden import FORBIDDEN, ONLY_X86

MIB = 1024 * 1024
SHORT: Limits = {"max_execution_time": 0.5}
"""Limits of an attempt that is to run into them."""
LONG: Limits = {"max_execution_time": 8.0}
MEMORY: Limits = {"max_memory_bytes": 16 * MIB}
HEAP = int(16 * MIB * 1.6) + 24 * MIB + MIB
"""What a process may take for that: see the documentation of the limits. The last MiB because the kernel counts what
the zygote had as well, and a child that gives some of that back may take as much more."""


@dataclass(frozen=True)
class Stop:
    """What ends an attempt, and how its caller is told."""

    layer: str
    kind: str
    """The kind of the error; several are divided by `|`. Empty when the attempt lived to report."""
    pattern: str
    """Found in the message, or in the report."""

    def check(self, result: crucible.Result) -> str:
        """What stopped it, in the words of the result. AssertionError when it was something else, or nothing."""
        if result.error is None:
            told = f"{result.value}"
            assert not self.kind, f"expected {self.kind}, but it lived to report: {told[:300]}"
            assert not told.startswith(("gained", "unknown")), told[:300]
        else:
            told = f"{result.error.kind}: {result.error.message}"
            assert result.error.kind in self.kind.split("|"), f"expected {self.kind or 'a report'}, got {told[:300]}"
        assert re.search(self.pattern, told), f"expected {self.pattern!r} in {told[:300]!r}"
        return told


@dataclass(frozen=True)
class Attempt:
    """One row of the table."""

    name: str
    """As in vm/src/escape."""
    tries: str
    stop: Stop
    argument: str = ""
    """With {server}, {zygote}, {port}, {own_port}, {canary}, {heap} and others to be filled in."""
    limits: Limits = field(default_factory=Limits)
    level: Level = "safe"

    @property
    def id(self) -> str:
        """Name and, where it is a plain word, argument."""
        return f"{self.name}-{self.argument}" if self.argument.isalnum() else self.name


SECCOMP = Stop("seccomp", "SECURITY_VIOLATION", "forbidden system call")
CLOSED = Stop("close_range", "", r"refused: \w+ failed with error 9\b")
FAULT = Stop("memory protection", "CRASHED", "accessed invalid memory")
WALL = Stop("wall time", "TIMEOUT", "ran longer than")
TIME = Stop("wall or processor time", "TIMEOUT|CPU_TIME_EXCEEDED", "killed")


def frames(problem: str) -> Stop:
    """A frame that does not fit, told by what is wrong with it."""
    return Stop("check of frames", "CRASHED", "broke the protocol and was killed: .*" + problem)


def code(kind: str, message: str) -> Stop:
    """An exit code, which is no more than a word for the caller."""
    return Stop("no result without a frame", kind, message)


def nothing(what: str, layer: str = "nothing to gain") -> Stop:
    """It was let, to no avail."""
    return Stop(layer, "", "nothing: .*" + what)


HEAP_BOUND = nothing("no more than", "RLIMIT_DATA")

OTHERS = [
    Attempt("poll-for-descriptors", "find inherited descriptors by polling", nothing("only descriptor 0")),
    Attempt("write-stderr", "write to standard error", CLOSED),
    Attempt("writev-stderr", "write to standard error by writev", CLOSED),
    Attempt("core-dump", "leave a core", Stop("RLIMIT_CORE", "CRASHED", "killed by SIGILL")),
    Attempt("restart-syscall", "restart a call that was never made", nothing("nothing to restart")),
    Attempt(
        "search-memory", "find a secret of an earlier script in its memory", nothing("no secret"), "{secret}", LONG
    ),
    Attempt("search-memory", "find the environment of the server in its memory", nothing("no secret"), "{key}", LONG),
    Attempt("layout", "know where its own code lies", nothing("its code is at")),
    Attempt(
        "vsyscall-time",
        "make a call by the fixed page of old",
        Stop("seccomp, or no such page", "SECURITY_VIOLATION|CRASHED", "forbidden system call|invalid memory"),
    ),
    # Memory
    Attempt("run-code-on-the-heap", "run code that it wrote to the heap", FAULT),
    Attempt(
        "run-code-on-the-stack",
        "run code that it wrote to the stack",
        Stop("memory protection", "CRASHED|STACK_OVERFLOW", "invalid memory|overflowed"),
    ),
    Attempt("run-code-in-a-mapping", "run code that it wrote to new memory", FAULT),
    Attempt("run-code-behind-the-break", "run code that it wrote behind the break", FAULT),
    Attempt("overwrite-its-code", "change its own code", FAULT),
    Attempt("overwrite-its-constants", "change its own constants", FAULT),
    Attempt("read-the-kernel", "read memory of the kernel", FAULT),
    Attempt(
        "getrandom-into-its-code",
        "have the kernel change its code",
        Stop("memory protection", "", "refused: getrandom failed with error 14"),
    ),
    Attempt("hog-by-mmap", "take all memory by mmap, unreserved", HEAP_BOUND, "{heap}", MEMORY),
    Attempt("hog-by-brk", "take all memory by brk", HEAP_BOUND, "{heap}", MEMORY),
    Attempt("hog-by-mremap", "take all memory by growing a mapping", HEAP_BOUND, "{heap}", MEMORY),
    Attempt("hog-by-many-mappings", "take all memory in single pages", HEAP_BOUND, "{heap}", MEMORY),
    Attempt(
        "hog-by-reservation",
        "reserve a terabyte of addresses",
        Stop("RLIMIT_AS", "", "refused: mmap failed with error 12"),
    ),
    Attempt(
        "hog-by-the-allocator",
        "take all memory by the allocator",
        Stop("RLIMIT_DATA", "MEMORY_EXCEEDED", "ran out of memory"),
        limits=MEMORY,
    ),
    Attempt(
        "hog-by-recursion",
        "take all memory by recursion",
        Stop("RLIMIT_STACK", "STACK_OVERFLOW", "native stack overflowed"),
        limits=MEMORY,
    ),
    # Time
    Attempt("busy-loop", "never end, busy", TIME, limits=SHORT),
    Attempt("yield-loop", "never end, giving way to others", TIME, limits=SHORT),
    Attempt("sleep-for-ever", "never end, asleep", WALL, limits=SHORT),
    Attempt("many-short-sleeps", "never be on a processor when looked at", TIME, limits=SHORT),
    Attempt("poll-for-ever", "never end, waiting for nothing", WALL, limits=SHORT),
    Attempt("wait-on-a-futex-for-ever", "never end, waiting for itself", WALL, limits=SHORT),
    Attempt("read-its-socket-for-ever", "never end, waiting for the server", WALL, limits=SHORT),
    Attempt(
        "block-all-signals-by-a-forged-return", "be deaf by the return of a handler that never ran", TIME, limits=SHORT
    ),
    Attempt("frame-promised-for-ever", "have the server wait for the rest of a frame", WALL, limits=SHORT),
    Attempt("result-and-stay", "stay when the result is sent", WALL, limits=SHORT),
    # Frames
    Attempt("frame-beyond-every-length", "announce 4 GiB", frames("frame of at most")),
    Attempt("frame-cut-off", "end in the middle of a frame", code("CRASHED", "ended with code 0, no result")),
    Attempt("frame-of-garbage", "send bytes that are no frame", frames("pars")),
    Attempt("frame-of-nothing", "send an empty frame", frames("expected frame 1, got 0")),
    Attempt("frame-of-text", "speak another protocol", frames("frame of at most")),
    Attempt("frame-of-the-server", "answer itself in the name of the server", frames("expected frame 1")),
    Attempt("sequence-jump", "skip sequence numbers", frames("expected frame 1, got 42")),
    Attempt("sequence-of-zero", "overflow the sequence", frames("expected frame 1, got 18446744073709551615")),
    Attempt("a-million-tiny-frames", "keep the server busy with a million frames", frames("frames a second")),
    Attempt("a-million-empty-headers", "keep the server busy with empty frames", frames("expected frame 1, got 0")),
    Attempt("output-flood", "print without end", frames("more output than its")),
    Attempt("output-frame-too-large", "print more than fits a frame", frames("65537 bytes in one frame")),
    Attempt("output-that-is-no-text", "print what is not UTF-8", frames("not UTF-8")),
    Attempt("output-of-control-codes", "print what a terminal obeys", nothing("text like any other")),
    Attempt(
        "write-for-ever-and-never-read", "print without waiting for credit", frames("more output than its|frames a")
    ),
    Attempt("result-of-a-compilation", "answer with byte code to an execution", frames("does not belong to this job")),
    Attempt("result-without-outcome", "answer without an outcome", frames("without an outcome")),
    Attempt("result-of-no-value", "answer with a value of no kind", frames("value with one kind")),
    Attempt("result-twice", "answer twice", frames("after the result")),
    Attempt("result-and-more-bytes", "say more after the answer", frames("frame of at most|bytes after")),
    Attempt("result-too-deep", "answer with 41 levels", frames("result: .*")),
    Attempt("result-far-too-deep", "answer with 10,000 levels", frames(".")),
    Attempt("result-too-large", "answer with more than a megabyte", frames("a return value of")),
    Attempt("result-of-many-values", "answer with 200,000 values", Stop("bounded size", "", r"^\[True, True")),
    Attempt("result-and-forbidden-call", "answer, then make a forbidden call", SECCOMP),
    Attempt("result-and-failure", "answer, then fail", code("CRASHED", "panicked"), "103"),
    Attempt("result-and-failure", "answer, then end oddly", code("CRASHED", "ended with code 77"), "77"),
    Attempt("result-with-forged-figures", "claim 2^64-1 instructions and bytes", frames("instructions and")),
    Attempt(
        "result-with-a-profile", "tell what lines cost though nobody asked", frames("a profile that nobody asked for")
    ),
    Attempt("error-of-no-known-kind", "fail in a way that is not known", frames("kind 12345")),
    Attempt("error-of-a-megabyte", "fail with a megabyte of message", frames("an error of 1000006 bytes")),
    Attempt("error-with-many-frames", "fail with 400,000 stack frames", frames("400000 stack frames")),
    Attempt("host-call-out-of-order", "forge the number of a host call", frames("expected host call 1, got 7")),
    Attempt("host-call-that-does-not-exist", "ask for files", nothing("does not know the call")),
    Attempt("host-calls-without-end", "make a million host calls", frames("(host calls in flight|does not read)")),
    Attempt(
        "host-calls-with-large-names", "have the server say a megabyte again and again", frames("a name of 900000")
    ),
    Attempt("host-calls-that-are-not-read", "pile up answers in the server", frames("does not read"), limits=LONG),
    # Codes that do not say what happened
    Attempt("exit", "say done without a result", code("CRASHED", "no result"), "0"),
    Attempt("exit", "say that the jail failed", code("INTERNAL", "jail could not be built"), "100"),
    Attempt("exit", "say that the server was not understood", code("INTERNAL", "did not understand"), "101"),
    Attempt("exit", "say that memory ran out", code("MEMORY_EXCEEDED", "out of memory"), "102"),
    Attempt("exit", "say that it panicked", code("CRASHED", "panicked"), "103"),
    Attempt("exit", "say that the stack overflowed", code("STACK_OVERFLOW", "overflowed"), "104"),
    Attempt("exit", "say that time is up", code("CPU_TIME_EXCEEDED", "processor time"), "105"),
    Attempt("exit", "say that the server is gone", code("CANCELLED", "lost its server"), "106"),
    Attempt("exit", "say that it faulted", code("CRASHED", "invalid memory"), "107"),
    Attempt("exit", "name a step of the jail", code("INTERNAL", "jail could not be built"), "117"),
    Attempt("exit", "end with a code that means nothing", code("CRASHED", "ended with code 200"), "200"),
]


def forbidden() -> list[Attempt]:
    """Those that are one system call which is not in the table of the filter."""
    rows = []
    for group in FORBIDDEN.values():
        for line, tries in group.items():
            name, _, argument = line.partition(" ")
            rows.append(Attempt(name, tries, SECCOMP, argument))
    return rows


def on_this_machine(name: str) -> bool:
    """Some doors only one kind of processor has."""
    return platform.machine() == "x86_64" or name not in ONLY_X86


ATTEMPTS = [attempt for attempt in forbidden() + OTHERS if on_this_machine(attempt.name)]
