"""Which level has which module, what the catalogue says of it, and basic and json through the real server."""

from __future__ import annotations

import time
from typing import Any

import pytest

import crucible
from tests.engine.exact import exact

SAFE = ["crucible::basic"]
PRODUCTION = ["crucible::basic", "crucible::http", "crucible::json"]
NAMED = {
    "an import": ("use crucible::{};\npub fn main() {{ 1 }}", 1, 5),
    "a full path": ("pub fn main() {{\n  ::crucible::{}::f(1) }}", 2, 5),
    "a renamed import": ("use crucible::{} as h;\npub fn main() {{ h::f(1) }}", 1, 5),
    "a renamed crate": ("use crucible as c;\npub fn main() {{ c::{}::f(1) }}", 2, 17),
    "a group": ("use crucible::{{basic, {}}};\npub fn main() {{ 1 }}", 1, 23),
    "a template": ("pub fn main() {{\n  `${{crucible::{}::f(1)}}` }}", 2, 6),
    "a value": ("pub fn main() {{ let f = crucible::{}::f; f }}", 1, 25),
}


def test_levels_and_catalogue_agree(client: crucible.Client) -> None:
    info = client.server_info()
    levels = [list(level.modules) for level in info.security_levels]
    assert levels == [SAFE, PRODUCTION, []]
    modules = {module.name: module for module in info.modules}
    # The interpreter has files, but no level of this server.
    assert sorted(modules) == sorted(PRODUCTION)
    functions = {
        name: {f.name: (f.is_async, f.host_call) for f in module.functions} for name, module in modules.items()
    }
    basic = {"args", "env", "eprint", "eprintln!", "log", "sleep", "time::now", "time::now_ns", "random::int"}
    assert basic <= functions["crucible::basic"].keys()
    assert functions["crucible::basic"]["sleep"] == (True, "crucible.basic.sleep")
    assert functions["crucible::http"]["get"] == (True, "crucible.http.request")
    assert {"get", "post", "request", "Response.json"} <= functions["crucible::http"].keys()
    assert {"from_string", "to_string", "to_string_pretty"} <= functions["crucible::json"].keys()
    assert all(f.signature and f.doc for module in info.modules for f in module.functions)


@pytest.mark.parametrize("module", ["http", "json", "fs"])
@pytest.mark.parametrize("name", NAMED)
def test_a_module_that_the_level_lacks_is_a_violation(client: crucible.Client, module: str, name: str) -> None:
    template, line, column = NAMED[name]
    source = template.format(module)
    checked = client.check(source)
    assert checked.script is None
    (found,) = [found for found in checked.diagnostics if found.code == "security.module"]
    assert (found.line, found.column) == (line, column)
    expected = f"the module `crucible::{module}` is not available at this security level; PRODUCTION has it"
    if module == "fs":
        expected += " where the server's operator allows files (`allow_file_access` and roots in [engine.files]), "
        expected += "DEVELOPMENT always"
    assert found.message == expected
    with pytest.raises(crucible.SecurityViolation):
        client.run(source)


def test_what_production_has_is_no_violation(client: crucible.Client) -> None:
    assert client.run("pub fn main() { crucible::json::parse(`[1]`)?[0] }", level="production").value == 1
    with pytest.raises(crucible.CompilationError, match="crucible::json::nothing") as raised:
        client.run("pub fn main() { crucible::json::nothing() }", level="production")
    assert not isinstance(raised.value, crucible.SecurityViolation)
    # What was compiled for one level is not run at another.
    script = client.compile("pub fn main() { crucible::json::parse(`1`) }", level="production")
    with pytest.raises(crucible.SecurityViolation):
        client.run(script, level="safe")


VALUES: list[Any] = [
    None,
    True,
    [1, 1.0, -0.0, 2**63 - 1, -(2**63), crucible.UInt64(2**63), crucible.UInt64(2**64 - 1), 1e300],
    {"": [], "a": {}, "b c": '\u0000\u001f"\\/\u2028\U0001f980'},
    "",
]


def test_json_round_trips_exactly(client: crucible.Client) -> None:
    source = "use crucible::json; pub fn main(v) { json::from_string(json::to_string_pretty(v)?)? }"
    script = client.compile(source, level="production")
    for value in VALUES:
        assert exact(client.run(script, args={"v": value}, level="production").value) == exact(value)


def test_json_errors_name_the_place(client: crucible.Client) -> None:
    source = "pub fn main(t) { crucible::json::from_string(t)? }"
    with pytest.raises(crucible.ExecutionFailed, match="line 2, column 7"):
        client.run(source, args={"t": '[1,\n "ü", nul]'}, level="production")


def test_args_and_env(client: crucible.Client) -> None:
    source = "use crucible::basic; pub fn main(a, b) { [basic::args(), basic::env(`X`), basic::env(`Y`)] }"
    result = client.run(source, args={"b": [1.0, None], "a": "x"}, environment={"X": "y"})
    assert exact(result.value) == exact([{"a": "x", "b": [1.0, None]}, "y", None])
    assert client.run("pub fn main() { crucible::basic::args() }").value == {}


def test_the_clock_moves_by_answers_only(client: crucible.Client) -> None:
    source = """
    use crucible::basic::{time, sleep};
    pub async fn main() {
        let a = time::now_ns();
        for _ in 0..100000 {}
        let b = time::now_ns();
        sleep(0.05).await;
        [a, b, time::now_ns(), time::now()]
    }
    """
    before = time.time_ns()
    start, same, later, seconds = client.run(source).value
    assert before - 1_000_000_000 < start == same
    assert start + 50_000_000 <= later <= time.time_ns() + 1_000_000_000
    assert seconds == later / 1e9


def test_the_seed_decides_what_is_random(client: crucible.Client) -> None:
    source = """
    use crucible::basic::random;
    pub fn main() {
        let list = (0..20).iter().collect::<Vec>();
        random::shuffle(list);
        [list, random::int(1, 1000000000), random::float(), random::choose(list)]
    }
    """
    one, same, other = (client.run(source, seed=bytes([n]) * 32).value for n in (1, 1, 2))
    assert exact(one) == exact(same)
    assert one != other
    shuffled, number, share, chosen = one
    assert sorted(shuffled) == list(range(20)) != shuffled
    assert 1 <= number <= 1_000_000_000
    assert 0 <= share < 1
    assert chosen in shuffled
    assert client.run(source).value != client.run(source).value


def test_sleeps_run_side_by_side_and_within_the_limit(client: crucible.Client) -> None:
    source = """
    use crucible::basic::sleep;
    pub async fn main(n) { let all = []; for _ in 0..10 { all.push(sleep(n)); } std::future::join(all).await; 1 }
    """
    began = time.monotonic()
    assert client.run(source, args={"n": 1}).value == 1
    assert time.monotonic() - began < 8
    with pytest.raises(crucible.ExecutionFailed) as raised:
        client.run(source, args={"n": 1000}, limits={"max_execution_time": 0.5})
    assert raised.value.result.error is not None
    assert raised.value.result.error.kind == "TIMEOUT"


def test_a_log_that_is_too_large_is_an_err_and_no_crash(client: crucible.Client) -> None:
    source = "pub fn main(text) { for _ in 0..5 { text = `${text}${text}`; } crucible::basic::log(text) }"
    with pytest.raises(crucible.ExecutionFailed, match="send less at once"):
        client.run(source, args={"text": "x" * 50_000})
