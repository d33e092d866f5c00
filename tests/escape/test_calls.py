"""The table of system calls, seen from inside: every number that exists, and whether a child may make it."""

from __future__ import annotations

import platform
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import crucible
from tests.escape.canaries import Canaries
from tests.escape.table import Rows, row
from tests.escape.test_escape import DEADLINE

LAST = 480
"""Beyond the newest call of Linux."""
X32 = 0x40000000

# With zeros for arguments. Another copy of the table, on purpose: what is added there has to be added here.
ALLOWED = {
    0: "read of descriptor 0, of no bytes",
    7: "poll",
    11: "munmap",
    12: "brk",
    24: "sched_yield",
    25: "mremap",
    35: "nanosleep",
    97: "getrlimit",
    219: "restart_syscall",
    228: "clock_gettime",
    230: "clock_nanosleep",
    271: "ppoll",
    318: "getrandom",
    19: "readv of descriptor 0, of nothing",
    1: "write to descriptor 0, of no bytes",
    20: "writev to descriptor 0, of nothing",
}
ENDS = {15, 60, 231}
"""rt_sigreturn, which faults without a frame, exit and exit_group."""
NO_FILTER = {335, 336}
"""uretprobe and uprobe: Linux 6.14 and 6.18 let them pass whatever a filter says. Called from anywhere but the
kernel's own code they end the process with SIGILL, or are refused with ENXIO or EPROTO."""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
def test_every_call_by_its_number(attacker: crucible.Client, canaries: Canaries, rows: Rows) -> None:
    def outcome(number: int) -> tuple[int, str]:
        source = f"//! escape: call {number}\npub fn main() {{ 1 }}"
        result = attacker.run(source, check=False, limits={"max_execution_time": 5.0}, deadline=DEADLINE)
        return number, result.error.kind if result.error is not None else str(result.value)

    ways = [*range(LAST), *range(X32, X32 + LAST), 2**31, 2**32 - 1, 2**63 + 39]
    with row(rows, "every call by its number", "make each call that there is", "seccomp") as told:
        with ThreadPoolExecutor(4) as pool:
            outcomes = dict(pool.map(outcome, ways))
        passed = {number for number, told in outcomes.items() if told != "SECURITY_VIOLATION"} - NO_FILTER
        expected = ALLOWED.keys() | ENDS
        assert passed == expected, {number: outcomes[number] for number in passed ^ expected}
        for number in ALLOWED:
            assert "the call answered" in outcomes[number] or outcomes[number] == "TIMEOUT", outcomes[number]
        for number in NO_FILTER:
            assert re.search("SECURITY_VIOLATION|CRASHED|answered -", outcomes[number]), outcomes[number]
        told["stopped_by"] = f"{len(ways) - len(passed)} of {len(ways)} ended by SIGSYS, {len(passed)} allowed"
        canaries.look(attacker)
