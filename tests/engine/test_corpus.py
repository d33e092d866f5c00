"""A corpus of Rune programs behaves: those that are sound give the right answer, those that abuse meet their limit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import crucible
from tests.engine.corpus.expectations import FOLDERS, Expectation, Failure, Rejection, Value
from tests.engine.exact import exact

CORPUS = Path(__file__).parent / "corpus"
_LIMITS = {
    "TIMEOUT": "max_execution_time",
    "CPU_TIME_EXCEEDED": "max_cpu_time",
    "MEMORY_EXCEEDED": "max_memory_bytes",
    "OPERATIONS_EXCEEDED": "max_operations",
    "OUTPUT_EXCEEDED": "max_output_bytes",
    "DEPTH_EXCEEDED": "max_native_depth",
}
MEMORY = 50 * 1024 * 1024
STACK = 256 * 1024 * 1024
BASELINE = 32 * 1024 * 1024


def cases() -> list[object]:
    return [
        pytest.param(folder, name, expectation, id=f"{folder}-{name}-{number}")
        for folder, programs in FOLDERS.items()
        for name, expectations in programs.items()
        for number, expectation in enumerate(expectations, start=1)
    ]


@pytest.mark.parametrize(("folder", "name", "expectation"), cases())
def test_program(client: crucible.Client, folder: str, name: str, expectation: Expectation) -> None:
    source = (CORPUS / folder / f"{name}.rn").read_text()
    match expectation:
        case Value(value, args, function):
            result = client.run(source, args=args, function=function)
            assert exact(result.value) == exact(value)
            assert result.usage.operations > 0
        case Failure():
            fails(client, source, expectation)
        case Rejection():
            is_rejected(client, source, expectation)


def fails(client: crucible.Client, source: str, expected: Failure) -> None:
    result = client.run(source, check=False, limits=expected.limits)
    error = result.error
    assert error is not None
    assert error.kind in expected.kinds, error.message
    assert expected.says in error.message
    message = result.message.error
    assert message.limit_name == _LIMITS.get(error.kind, "")
    assert bool(message.limit_value) == bool(message.limit_name)
    if wanted := expected.limits.get("max_operations"):
        assert message.limit_value == wanted
        assert wanted * 0.99 <= result.usage.operations <= wanted
    allowed = 1.6 * MEMORY + BASELINE + (STACK if error.kind == "STACK_OVERFLOW" else 0)
    assert result.usage.max_resident_bytes <= allowed


def is_rejected(client: crucible.Client, source: str, expected: Rejection) -> None:
    checked = client.check(source)
    assert checked.script is None
    errors = [found for found in checked.diagnostics if found.severity == "ERROR"]
    fitting = [found for found in errors if found.code == expected.code]
    assert fitting, errors
    first = fitting[0]
    assert expected.says in first.message
    if expected.hint:
        assert expected.hint in first.hint
        assert first.hint in checked.rendered
    assert expected.line in (0, first.line)
    assert expected.column in (0, first.column)
    assert first.message in checked.rendered
    # What CompileScript says in the body, ExecuteScript says as a status.
    with pytest.raises(crucible.CompilationError) as raised:
        client.run(source)
    assert errors[0].message in raised.value.message
    assert len(raised.value.violations) == len(errors)


def test_every_program_has_an_expectation() -> None:
    programs = {(path.parent.name, path.stem) for path in CORPUS.glob("*/*.rn")}
    expected = {(folder, name) for folder, names in FOLDERS.items() for name in names}
    # Its order is the seed's: see the tests below.
    assert programs == expected | {("misc", "det")}


def operand_cases() -> list[tuple[str, object]]:
    lines = (CORPUS / "operands.txt").read_text().splitlines()
    pairs = (line.split(" ;; ") for line in lines if not line.startswith("#"))
    return [(body, ast.literal_eval(answer)) for body, answer in pairs]


def test_operands(client: crucible.Client) -> None:
    bodies = operand_cases()
    functions = [f"fn case_{number}() {{ {body} }}" for number, (body, _) in enumerate(bodies)]
    calls = ", ".join(f"case_{number}()" for number in range(len(bodies)))
    source = "\n".join(["fn return_it(x) { x }", *functions, f"pub fn main() {{ [{calls}] }}"])
    answers = client.run(source).value
    wrong = [
        f"{body}: expected {expected}, got {answer}"
        for (body, expected), answer in zip(bodies, answers, strict=True)
        if exact(answer) != exact(expected)
    ]
    assert not wrong


def determinism(client: crucible.Client, seed: bytes) -> object:
    return client.run((CORPUS / "misc" / "det.rn").read_text(), seed=seed).value


def test_the_same_seed_gives_the_same_order(client: crucible.Client) -> None:
    first = determinism(client, b"s" * 32)
    assert all(determinism(client, b"s" * 32) == first for _ in range(5))


def test_another_seed_gives_another_order(client: crucible.Client) -> None:
    assert len({repr(determinism(client, bytes([number]) * 32)) for number in range(5)}) == 5
    assert len({repr(determinism(client, b"")) for _ in range(5)}) == 5


def test_no_native_address_reaches_a_script(client: crucible.Client) -> None:
    source = """pub fn main() {
        let values = [0..3, 0..=3, .., 1.., ..2, "x".chars(), [1].iter(), b"x"];
        values.extend([main, |x| x, async { 1 }, Some(1..2)]);
        values.iter().map(|value| format!("{:?}", value)).collect::<Vec>()
    }"""
    shown = client.run(source).value
    assert len(shown) == 12
    # Shorter ones are places in the byte code.
    assert not [text for text in shown if re.search("0x[0-9a-f]{6}", text)]
