"""CompileScript: what it says of a script that compiles, and of one that does not."""

from __future__ import annotations

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import security_pb2
from crucible.v1.script_pb2 import CompilationContext, CompiledScript, ScriptSource, Span
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.engine.refusals import refusal

SOURCE = """//! About the file.
use crucible::basic;

/// Adds two numbers.
///
/// Both are needed.
pub fn add(left, right) { helper(left) + right }

/// Waits.
pub async fn later(x) { x }

pub fn numbers(count) { for n in 0..count { yield n; } }
pub async fn stream() { yield later(1).await; }
pub fn patterns((a, b), #{ c }, _, d) { basic::log("x"); (a, b, c, d) }
fn helper(n) { n }
pub mod inner { /** Deep. */ pub fn deep() { 1 } }
struct S { a }
impl S { pub fn get(self) { self.a } }
pub fn main() { S { a: 1 }.get() }
"""


def compiled(stub: ScriptServiceStub, source: str, **context: object) -> CompiledScript:
    request = api.CompileScriptRequest(
        source=ScriptSource(source=source),
        context=CompilationContext(**context),  # type: ignore[arg-type]
    )
    response = stub.CompileScript(request, timeout=30)
    assert response.success, response.rendered_diagnostics
    return response.script


def test_functions(client: crucible.Client) -> None:
    functions = {function.name: function for function in client.compile(SOURCE).functions}
    assert list(functions)[:5] == ["add", "later", "numbers", "stream", "patterns"]
    add = functions["add"]
    assert (add.parameters, add.is_public, add.is_async, add.is_generator) == (("left", "right"), True, False, False)
    assert add.doc.split("\n") == ["Adds two numbers.", "", "Both are needed."]
    later = functions["later"]
    assert (later.parameters, later.doc, later.is_async, later.is_generator) == (("x",), "Waits.", True, False)
    numbers = functions["numbers"]
    assert (numbers.parameters, numbers.is_async, numbers.is_generator) == (("count",), False, True)
    assert (functions["stream"].is_async, functions["stream"].is_generator) == (True, True)
    assert functions["patterns"].parameters == ("_0", "_1", "_2", "d")
    assert (functions["helper"].is_public, functions["inner::deep"].is_public) == (False, True)
    publics = [function.is_public for function in functions.values()]
    assert publics == sorted(publics, reverse=True)


def test_places_of_functions(stub: ScriptServiceStub) -> None:
    source = '/// Of the size.\nfn f(x) { "ü" }  pub async fn größe(ä) { f(ä) }\n'
    spans = {function.name: function.span for function in compiled(stub, source).functions}
    assert spans["f"] == Span(file="main.rn", line=2, column=1, end_line=2, end_column=16)
    assert spans["größe"] == Span(file="main.rn", line=2, column=18, end_line=2, end_column=48)


def test_compiled_generators_collect(client: crucible.Client) -> None:
    assert client.run(SOURCE, function="numbers", args={"count": 3}).value == [0, 1, 2]
    assert client.run(SOURCE, function="stream").value == [1]
    assert client.run(SOURCE, function="later", args={"x": 1}).value == 1
    assert client.run(SOURCE, function="inner::deep").value == 1


def test_what_it_used(stub: ScriptServiceStub) -> None:
    script = compiled(stub, SOURCE)
    assert list(script.modules) == ["crucible::basic"]
    assert script.security_level == security_pb2.SECURITY_LEVEL_SAFE
    assert script.source_bytes == len(SOURCE.encode())
    assert script.bytecode_bytes > 100
    assert script.rune_version == "0.14.2"
    assert script.rune_patch_level
    assert list(compiled(stub, 'pub fn main() { println!("x"); 1 }').modules) == []


def test_the_id_is_the_sources(stub: ScriptServiceStub) -> None:
    source = "pub fn main() { 4711 }"
    first = compiled(stub, source)
    assert first.compile_time.ToNanoseconds() > 0
    second = compiled(stub, source, name="compile/same", security_level="SECURITY_LEVEL_PRODUCTION")
    assert first.script_id == second.script_id
    assert (second.name, second.security_level) == ("compile/same", security_pb2.SECURITY_LEVEL_PRODUCTION)
    assert compiled(stub, source + " ").script_id != first.script_id
    again = compiled(stub, source)
    assert again.cached
    assert not again.HasField("compile_time")
    forced = compiled(stub, source, force=True)
    assert (forced.cached, forced.script_id) == (False, first.script_id)


def test_a_file_name_is_not_part_of_the_id(client: crucible.Client) -> None:
    source = "pub fn main() { 1 }"
    assert client.compile(source, file_name="a.rn").script_id == client.compile(source, file_name="b.rn").script_id
    found = client.check("pub fn main() { ( }", file_name="odd name.rn").diagnostics
    assert found[0].file == "odd name.rn"


def test_a_name_points_at_the_newest(client: crucible.Client) -> None:
    old = client.compile("pub fn main() { 1 }", name="compile/newest")
    assert client.run(name="compile/newest").value == 1
    new = client.compile("pub fn main() { 2 }", name="compile/newest")
    result = client.run(name="compile/newest")
    assert (result.value, result.script_id) == (2, new.script_id)
    assert client.run(script_id=old.script_id).value == 1


def test_inline_sources_are_stored(client: crucible.Client) -> None:
    result = client.run("pub fn main() { 5150 }")
    again = client.run(script_id=result.script_id)
    assert (again.value, again.script_id) == (5150, result.script_id)


def test_a_script_that_does_not_compile_is_not_stored(client: crucible.Client) -> None:
    client.compile("pub fn main() { 1 }", name="compile/kept")
    assert client.check("pub fn main() { ( }", name="compile/kept").script is None
    assert client.run(name="compile/kept").value == 1


FAULTS = {
    "a syntax error": ("pub fn main() {\n  let x = ;\n}", "syntax", 2, 11),
    "an unknown variable": ("pub fn main() {\n  1 + nope\n}", "name.missing", 2, 7),
    "an unknown function": ("pub fn main() { nope() }", "name.missing", 1, 17),
    "a place after letters of many bytes": ('pub fn main() { "äöü🦀" + nope }', "name.missing", 1, 26),
    "a place after a tab": ("pub fn main() {\n\tnope\n}", "name.missing", 2, 2),
    "a place after a line break of Windows": ("pub fn main() {\r\n  nope\r\n}", "name.missing", 2, 3),
    "nothing closed": ("pub fn main() {", "syntax", 1, 16),
    "a string without end": ('pub fn main() { "abc }', "syntax", 1, 17),
}


@pytest.mark.parametrize("name", FAULTS)
def test_diagnostics(client: crucible.Client, name: str) -> None:
    source, code, line, column = FAULTS[name]
    checked = client.check(source)
    assert checked.script is None
    first = checked.diagnostics[0]
    assert (first.severity, first.code, first.file) == ("ERROR", code, "main.rn")
    assert (first.line, first.column) == (line, column)
    assert first.message in checked.rendered
    assert source.splitlines()[line - 1].strip() in checked.rendered
    assert "\x1b" not in checked.rendered


def test_the_end_of_a_place(stub: ScriptServiceStub) -> None:
    source = ScriptSource(source='pub fn main() { "🦀" + nöpe }')
    (found,) = stub.CompileScript(api.CompileScriptRequest(source=source)).diagnostics
    assert found.span == Span(file="main.rn", line=1, column=23, end_line=1, end_column=27)


def test_several_diagnostics(client: crucible.Client) -> None:
    checked = client.check("pub fn main() { one() }\npub fn other() { two }\npub fn third() { three() }")
    lines = [found.line for found in checked.diagnostics if found.severity == "ERROR"]
    assert sorted(lines) == [1, 2, 3]
    with pytest.raises(crucible.CompilationError, match="and 2 more"):
        client.run("pub fn main() { one() }\npub fn other() { two }\npub fn third() { three() }")


def test_warnings_do_not_prevent(client: crucible.Client) -> None:
    checked = client.check("use std::collections::HashMap;\npub fn main() { 1; 2 }")
    assert checked.script is not None
    assert {found.severity for found in checked.diagnostics} == {"WARNING"}
    assert client.check("use std::collections::HashMap;\npub fn main() { 1; 2 }").diagnostics == checked.diagnostics


HINTS = {
    "let mut": ("pub fn main() { let mut a = 1; a }", "leave out `mut`"),
    "a return type": ("pub fn main() -> i64 { 1 }", "leave out the return type"),
    "a generic return type": ("pub fn main() -> Result<i64, String> { 1 }", "leave out the return type"),
    "a parameter's type": ("pub fn main(a: i64) { a }", "leave out the type"),
    "a variable's type": ("pub fn main() { let a: i64 = 1; a }", "leave out the type"),
    "a template of Python": ('pub fn main() { let x = 1; f"a {x}" }', "`a ${x}`"),
    "a named argument": ("fn f(o) { o }\npub fn main() { f(deep: true) }", "#{ deep: .. }"),
    "vec!": ("pub fn main() { vec![1] }", "`[..]`"),
    "an imported macro": (
        'use crucible::basic::eprintln;\npub fn main() { eprintln!("x") }',
        "crucible::basic::eprintln!",
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_hints_for_forms_of_other_languages(client: crucible.Client, name: str) -> None:
    source, hint = HINTS[name]
    checked = client.check(source)
    assert checked.script is None
    hints = [found.hint for found in checked.diagnostics if found.hint]
    assert any(hint in given for given in hints), checked.diagnostics
    assert hint in checked.rendered
    with pytest.raises(crucible.CompilationError) as raised:
        client.run(source)
    assert any(hint in violation.description for violation in raised.value.violations)


MODULES = {
    "a call": ("pub fn main() {\n  crucible::http::get(1)\n}", 2, 3),
    "an import": ("use crucible::http;\npub fn main() { http::get(1) }", 1, 5),
    "an import that is not used": ("pub fn main() { 1 }\nuse crucible::http::get;", 2, 5),
    "a renamed import": ("use crucible::http as h;\npub fn main() { h::get(1) }", 1, 5),
    "a group": ("use crucible::{basic, http};\npub fn main() { 1 }", 1, 23),
    "a wildcard": ("use crucible::http::*;\npub fn main() { get(1) }", 1, 5),
    "dead code": ("fn dead() { crucible::http::get(1) }\npub fn main() { 1 }", 1, 13),
    "after letters of many bytes": ('pub fn main() { "🦀ü"; crucible::http::get(1) }', 1, 23),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("survives")
def test_a_module_that_the_level_lacks(client: crucible.Client, stub: ScriptServiceStub, name: str) -> None:
    source, line, column = MODULES[name]
    checked = client.check(source)
    assert checked.script is None
    (found,) = [found for found in checked.diagnostics if found.code == "security.module"]
    assert (found.severity, found.line, found.column) == ("ERROR", line, column)
    assert "`crucible::http`" in found.message
    assert found.hint
    with pytest.raises(crucible.SecurityViolation, match="crucible::http") as raised:
        client.run(source)
    assert raised.value.code is not None
    assert raised.value.code.name == "PERMISSION_DENIED"


def test_files_that_include_one_another(client: crucible.Client) -> None:
    files = {
        "shapes.rn": "pub mod circle;\npub fn area(r) { circle::area(r) }",
        "shapes/circle.rn": "/// Of a circle.\npub fn area(r) { 3 * r * r }",
        "text/mod.rn": "pub fn shout(s) { s + `!` }",
        "unused.rn": "pub fn main() { 1 }",
    }
    source = "mod shapes;\nmod text;\npub fn main(r) { text::shout(`${shapes::area(r)}`) }"
    script = client.compile(source, files=files)
    assert client.run(script, args={"r": 2}).value == "12!"
    assert client.run(source, files=files, args={"r": 1}).value == "3!"
    changed = client.compile(source, files={**files, "text/mod.rn": "pub fn shout(s) { s + `?` }"})
    assert changed.script_id != script.script_id
    assert client.run(changed, args={"r": 2}).value == "12?"


def test_an_error_in_an_included_file(client: crucible.Client) -> None:
    checked = client.check("mod a;\npub fn main() { a::f() }", files={"a.rn": "pub fn f() {\n  nope\n}"})
    (found,) = checked.diagnostics
    assert (found.file, found.line, found.column) == ("a.rn", 2, 3)
    result = client.run("mod a;\npub fn main() { a::f() }", files={"a.rn": "\npub fn f() { [][1] }"}, check=False)
    assert result.error is not None
    assert (result.error.file, result.error.line) == ("a.rn", 2)


def test_an_included_file_that_is_missing(client: crucible.Client) -> None:
    (found,) = client.check("mod a;\npub fn main() { 1 }").diagnostics
    assert (found.line, found.column) == (1, 1)
    assert "`a.rn` or `a/mod.rn`" in found.message


def test_a_file_of_the_machine_is_not_read(client: crucible.Client) -> None:
    for text in ("mod passwd;", '#[path = "/etc/passwd"] mod passwd;', 'include!("/etc/passwd");'):
        assert client.check(f"{text}\npub fn main() {{ 1 }}").script is None


def test_a_stored_script_runs_at_the_level_of_the_call(client: crucible.Client, stub: ScriptServiceStub) -> None:
    script = client.compile("pub fn main() { 77 }", level="production")
    result = client.run(script, level="safe")
    record = client.get_execution(result.execution_id).message
    assert (result.value, record.security_level) == (77, security_pb2.SECURITY_LEVEL_SAFE)
    described = {"script_id": script.script_id, "security_context": {"security_level": 99}}
    refused = refusal(lambda: stub.ExecuteScript(api.ExecuteScriptRequest(context=described)))
    assert refused.words == ("INVALID_ARGUMENT", "VALIDATION_ERROR")
