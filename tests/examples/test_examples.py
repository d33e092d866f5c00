"""Every example does what its head says, through the real command."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
TIMEOUT = 60
ORDERS = """[
    {"customer": "Ada", "item": "tea", "quantity": 3, "price": 4.5},
    {"customer": "Bob", "item": "pot", "quantity": 1, "price": 20.0},
    {"customer": "Ada", "item": "cup", "quantity": 2, "price": 6.25},
    {"customer": "Cy", "item": "tea", "quantity": 0, "price": 4.5}]"""


SCRIPTS = sorted(
    [path.name for path in EXAMPLES.glob("*.rn")] + [path.parent.name for path in EXAMPLES.glob("*/main.rn")]
)
LINES = """[
    {"item": "book", "kind": "printed", "cents": 1990, "quantity": 2},
    {"item": "lamp", "kind": "goods", "cents": 4500, "quantity": 1}]"""


@dataclass(frozen=True)
class Case:
    """A run of an example, and what must come of it."""

    file: str
    arguments: dict[str, str]
    value: object
    stdout: str = ""
    stderr: str = ""


CASES = [
    Case(
        "word_count.rn",
        {"text": "the cat sat on the mat near the door"},
        {"words": 9, "distinct": 7, "most_frequent": {"word": "the", "times": 3}},
    ),
    Case(
        "primes.rn",
        {"limit": "30000"},
        {"count": 3245, "last": 29989},
        stdout="".join(
            f"up to {limit}: {count} primes\n"
            for limit, count in zip(
                range(3000, 30001, 3000),
                [430, 783, 1117, 1438, 1754, 2064, 2360, 2668, 2961, 3245],
                strict=True,
            )
        ),
    ),
    Case(
        "order_report.rn",
        {"orders": ORDERS},
        {"orders": 3, "rejected": 1, "total": 46.0, "by_customer": {"Ada": 26.0, "Bob": 20.0}},
        stdout="Ada           26.00\nBob           20.00\n",
        stderr="order 4: expected a quantity of 1 or more, got 0\n",
    ),
    Case(
        "invoice",
        {"country": "de", "lines": LINES},
        {"net": "84.80", "tax": "11.34", "total": "96.14"},
        stdout="book         39.80      2.79\nlamp         45.00      8.55\n",
    ),
    Case(
        "futures.rn",
        {},
        {"joined": [1, 1, 2, 6, 24, 120], "merged": [0, 2, 4, 1, 3], "squares": [0, 1, 4, 9]},
        stdout="got 0\ngot 1\ngot 4\ngot 9\n",
    ),
    Case(
        "template.rn",
        {
            "template": "Dear {{name}}, your {{count}} parcels left on {{day}}.",
            "values": '{"name": "Ada", "count": 3, "day": "Monday"}',
        },
        "Dear Ada, your 3 parcels left on Monday.",
    ),
    Case(
        "tournament.rn",
        {"seed": "7"},
        [
            {"name": "Badgers", "points": 12, "goals": 6},
            {"name": "Otters", "points": 12, "goals": 5},
            {"name": "Herons", "points": 7, "goals": -2},
            {"name": "Newts", "points": 4, "goals": -9},
        ],
        stdout=(
            "Otters - Badgers  4:2\nOtters - Herons  2:0\nOtters - Newts  5:1\n"
            "Badgers - Otters  4:0\nBadgers - Herons  0:2\nBadgers - Newts  3:1\n"
            "Herons - Otters  2:4\nHerons - Badgers  1:2\nHerons - Newts  1:0\n"
            "Newts - Otters  1:0\nNewts - Badgers  0:3\nNewts - Herons  0:0\n"
        ),
    ),
]


def crucible(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs `crucible` from the root of the repository, as the heads of the examples say."""
    return subprocess.run(
        [sys.executable, "-m", "crucible_server", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_value_and_output(case: Case) -> None:
    arguments = [word for name, value in case.arguments.items() for word in ("--arg", f"{name}={value}")]
    done = crucible("run", f"examples/{case.file}", "--json", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert result["value"] == case.value
    assert result["stdout"] == case.stdout
    assert result["stderr"] == case.stderr


@pytest.mark.parametrize("file", SCRIPTS)
def test_compiles_without_a_warning_and_has_a_case(file: str) -> None:
    assert file in {case.file for case in CASES}
    done = crucible("check", f"examples/{file}", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["diagnostics"] == []


@pytest.mark.parametrize("file", SCRIPTS)
def test_command_in_the_head_works(file: str) -> None:
    path = EXAMPLES / file
    head = re.match(r"(?://!.*\n)+", (path / "main.rn" if path.is_dir() else path).read_text("utf-8"))
    assert head is not None
    lines = [line.removeprefix("//!").removeprefix(" ") for line in head[0].splitlines()]
    block = "\n".join(line for line in lines if line.startswith("    ")).replace("\\\n", "")
    words = shlex.split(block)
    assert words[:2] == ["crucible", "run"]
    done = crucible(*words[1:])
    assert done.returncode == 0, done.stderr
