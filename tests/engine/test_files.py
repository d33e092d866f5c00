"""Scripts of several files: where modules are found, what they share, and the places that errors name."""

from __future__ import annotations

import pytest

import crucible

pytestmark = pytest.mark.usefixtures("survives")

CALC = "pub mod round;\npub fn half(n) {\n    round::down(n) / 2\n}\n"
ROUND = "/// The even number below.\npub fn down(n) {\n    n - n % 2\n}\n"
LAYOUTS = {
    "a file and a file": {"calc.rn": CALC, "calc/round.rn": ROUND},
    "a file and a folder": {"calc.rn": CALC, "calc/round/mod.rn": ROUND},
    "a folder and a file": {"calc/mod.rn": CALC, "calc/round.rn": ROUND},
    "a folder and a folder": {"calc/mod.rn": CALC, "calc/round/mod.rn": ROUND},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_a_module_may_be(client: crucible.Client, layout: str) -> None:
    source = "mod calc;\npub fn main(n) { calc::half(n) + calc::round::down(1) }"
    assert client.run(source, files=LAYOUTS[layout], args={"n": 9}).value == 4


@pytest.mark.parametrize("path", ["calc/round.rn", "calc/round/mod.rn"])
def test_a_file_of_an_inline_module(client: crucible.Client, path: str) -> None:
    source = "mod calc { pub mod round; pub fn half(n) { round::down(n) / 2 } }\npub fn main(n) { calc::half(n) }"
    assert client.run(source, files={path: ROUND}, args={"n": 9}).value == 4


def test_an_inline_module_of_an_included_file(client: crucible.Client) -> None:
    files = {
        "a.rn": "pub mod b { pub mod c; pub mod d { pub fn f() { super::c::f() } } }",
        "a/b/c.rn": "pub fn f() { 5 }",
    }
    assert client.run("mod a;\npub fn main() { a::b::d::f() }", files=files).value == 5


def test_imports_go_across_files(client: crucible.Client) -> None:
    files = {
        "shapes.rn": "pub struct Square { side }\nimpl Square { pub fn area(self) { self.side * self.side } }\n"
        "pub enum Kind { Small, Large(size) }\npub const LIMIT = 10;",
        "sort.rn": "use crate::shapes::{Kind, Square, LIMIT};\n"
        "pub fn kind(square) { if square.area() > LIMIT { Kind::Large(square.area()) } else { Kind::Small } }",
    }
    source = """
        mod shapes;
        mod sort;
        use shapes::{Kind, Square};
        pub fn main(side) {
            match sort::kind(Square { side }) {
                Kind::Small => "small",
                Kind::Large(size) => `large: ${size}`,
                _ => "neither",
            }
        }
    """
    assert client.run(source, files=files, args={"side": 3}).value == "small"
    assert client.run(source, files=files, args={"side": 4}).value == "large: 16"


def test_functions_of_public_modules_can_be_called(client: crucible.Client) -> None:
    files = {
        "util.rn": "pub mod deep;\nmod own;\n/// Cleans.\npub async fn clean(text) { own::trim(text) }\nfn hidden() {}",
        "util/deep.rn": "pub fn numbers(n) { for i in 0..n { yield i; } }",
        "util/own.rn": "pub fn trim(text) { text.trim() }",
    }
    script = client.compile("pub mod util;\npub fn main() { 0 }", files=files)
    functions = {function.name: function for function in script.functions}
    assert [name for name, function in functions.items() if function.is_public] == [
        "main",
        "util::clean",
        "util::deep::numbers",
    ]
    assert (functions["util::clean"].doc, functions["util::clean"].parameters) == ("Cleans.", ("text",))
    assert client.run(script, function="util::clean", args={"text": " x "}).value == "x"
    assert client.run(script, function="util::deep::numbers", args={"n": 3}).value == [0, 1, 2]
    for private in ("util::hidden", "util::own::trim", "util", "clean", "util::", "util/deep::numbers"):
        with pytest.raises(crucible.ValidationError, match="main, util::clean, util::deep::numbers"):
            client.run(script, function=private)


def test_what_a_private_module_has_is_for_the_script_alone(client: crucible.Client) -> None:
    source = "mod util;\npub fn main() { util::clean() }"
    script = client.compile(source, files={"util.rn": "pub fn clean() { 1 }"})
    assert client.run(script).value == 1
    with pytest.raises(crucible.ValidationError, match="public functions are: main"):
        client.run(script, function="util::clean")


def test_what_is_not_pub_is_refused_across_files(client: crucible.Client) -> None:
    files = {"a.rn": "mod b;\nfn hidden() { 1 }\npub fn shown() { hidden() + b::f() }", "a/b.rn": "pub fn f() { 2 }"}
    assert client.run("mod a;\npub fn main() { a::shown() }", files=files).value == 3
    for call in ("a::hidden()", "a::b::f()"):
        found = client.check(f"mod a;\npub fn main() {{\n  {call}\n}}", files=files).diagnostics[0]
        assert (found.code, found.file, found.line, found.column) == ("name.private", "main.rn", 3, 3)
        assert "`pub`" in found.hint


TRACED = {
    "outer.rn": "mod inner;\n\npub fn run(n) {\n    inner::first(n) + 1\n}\n",
    "outer/inner.rn": "pub fn first(list) {\n    list.iter()\n        .map(|n| 10 / n)\n        .sum::<i64>()\n}\n",
}


def test_a_stack_trace_across_files(client: crucible.Client) -> None:
    source = "mod outer;\npub fn main(n) { outer::run(n) }"
    assert client.run(source, files=TRACED, args={"n": [5]}).value == 3
    error = client.run(source, files=TRACED, args={"n": [0]}, check=False).error
    assert error is not None
    assert (error.kind, error.file, error.line, error.column) == ("RUNTIME", "outer/inner.rn", 3, 18)
    assert "outer/inner.rn:3" in error.rendered
    source = "mod a;\npub fn main() {\n  a::f()\n}"
    error = client.run(source, files={"a.rn": "pub fn f() {\n\n    [][1] }"}, check=False).error
    assert error is not None
    frames = [(frame.function, frame.file, frame.line, frame.column) for frame in error.stack_trace]
    assert frames == [("a::f", "a.rn", 3, 5), ("main", "main.rn", 3, 3)]


def test_a_limit_names_the_file_in_which_it_was_met(client: crucible.Client) -> None:
    files = {"spin.rn": "pub fn forever() {\n    let n = 0;\n    loop { n += 1; }\n}"}
    source, stack = "mod spin;\npub fn main() { spin::forever() }", ["spin::forever", "main"]
    error = client.run(source, files=files, check=False, limits={"max_operations": 100_000}).error
    assert error is not None
    assert (error.kind, error.file, error.line) == ("OPERATIONS_EXCEEDED", "spin.rn", 3)
    assert [frame.function for frame in error.stack_trace] == stack
    # One that gets no processor in its last moment is killed before it can say where it was.
    for _ in range(4):
        error = client.run(source, files=files, check=False, timeout=0.3).error
        assert error is not None
        assert error.kind == "TIMEOUT"
        if error.line:
            break
    assert (error.file, error.line) == ("spin.rn", 3)
    assert [frame.function for frame in error.stack_trace] == stack


def test_diagnostics_of_several_files(client: crucible.Client) -> None:
    files = {"a.rn": 'pub fn f() {\n  "unused";\n  nope\n}', "b.rn": "\n\npub fn g() { let = 1; }"}
    checked = client.check("mod a;\nmod b;\npub fn main() { a::f() + missing() }", files=files)
    assert checked.script is None
    errors = {(found.file, found.line, found.column) for found in checked.diagnostics if found.severity == "ERROR"}
    assert ("b.rn", 3, 18) in errors
    assert "b.rn:3:18" in checked.rendered
    checked = client.check("mod a;\npub fn main() { a::f() + missing() }", files={"a.rn": files["a.rn"]})
    found = [(found.severity, found.file, found.line, found.column) for found in checked.diagnostics]
    assert sorted(found) == [("ERROR", "a.rn", 3, 3), ("ERROR", "main.rn", 2, 26)]
    checked = client.check("mod a;\npub fn main() { a::f() }", files={"a.rn": 'pub fn f() {\n  "unused";\n  1\n}'})
    (warning,) = checked.diagnostics
    assert (warning.severity, warning.file, warning.line, warning.column) == ("WARNING", "a.rn", 2, 3)
    with pytest.raises(crucible.CompilationError, match=r"a\.rn:3:3|main\.rn:2:26"):
        client.run("mod a;\npub fn main() { a::f() + missing() }", files={"a.rn": files["a.rn"]})


def test_a_file_that_is_missing(client: crucible.Client) -> None:
    files = {"a.rn": "pub fn f() { 1 }\n  mod b;", "b.rn": "", "a/c.rn": ""}
    (error,) = [one for one in client.check("mod a;", files=files).diagnostics if one.severity == "ERROR"]
    assert (error.file, error.line, error.column) == ("a.rn", 2, 3)
    assert "`a/b.rn` or `a/b/mod.rn`" in error.message
    assert "it has `a.rn`, `a/c.rn`, `b.rn`" in error.message
    (error,) = client.check("mod a;").diagnostics
    assert "it has none" in error.message


def test_a_file_in_both_places(client: crucible.Client) -> None:
    files = {"a.rn": "pub fn f() { 1 }", "a/mod.rn": "pub fn f() { 2 }"}
    with pytest.raises(crucible.CompilationError, match=r"both `a.rn` and `a/mod.rn`; leave one out at main.rn:1:1"):
        client.run("mod a;\npub fn main() { a::f() }", files=files)


def test_files_cannot_go_round(client: crucible.Client) -> None:
    """A module that includes itself asks for a file below it, which is another one."""
    for source, files in (
        ("mod a;", {"a.rn": "mod a;"}),
        ("mod a;", {"a.rn": "mod b;", "a/b.rn": "mod a;", "b.rn": "mod a;"}),
        ("mod main;", {"main.rn": "mod main;"}),
    ):
        checked = client.check(source, files=files)
        errors = [found for found in checked.diagnostics if found.severity == "ERROR"]
        assert [found.message.startswith("expected the file") for found in errors] == [True]


def test_a_module_is_declared_once(client: crucible.Client) -> None:
    checked = client.check("mod a;\nmod a;\npub fn main() { 1 }", files={"a.rn": "pub fn f() { 1 }"})
    assert checked.script is None
    assert (checked.diagnostics[0].file, checked.diagnostics[0].line) == ("main.rn", 2)


def test_a_file_that_nobody_includes_is_a_warning(client: crucible.Client) -> None:
    checked = client.check("pub fn main() { 1 }", files={f"m{number}.rn": "not even a script" for number in range(20)})
    assert checked.script is not None
    (found,) = checked.diagnostics
    assert (found.severity, found.code, found.line) == ("WARNING", "file.unused", 0)
    assert "`m0.rn`, `m1.rn`" in found.message
    assert "and 12 more" in found.message
    assert found.message in checked.rendered


def test_odd_files(client: crucible.Client) -> None:
    files = {"größe.rn": "pub fn höhe() {\r\n  [][1]\r\n}", "empty.rn": "", "note.rn": "// nothing but a comment"}
    source = "mod größe;\nmod empty;\nmod note;\npub fn main() { größe::höhe() }"
    error = client.run(source, files=files, check=False).error
    assert error is not None
    assert (error.kind, error.file, error.line, error.column) == ("RUNTIME", "größe.rn", 2, 3)


def test_the_order_of_files_does_not_matter(client: crucible.Client) -> None:
    one, two = ("a.rn", "pub fn f() { 1 }"), ("b.rn", "pub fn f() { 2 }")
    source = "mod a; mod b;\npub fn main() { a::f() + b::f() }"
    first = client.compile(source, files=dict([one, two]))
    second = client.compile(source, files=dict([two, one]))
    assert first.script_id == second.script_id
    assert second.cached
    other = client.compile(source, files={"a.rn": one[1], "b/mod.rn": two[1]})
    assert other.script_id != first.script_id


def test_a_module_of_a_higher_level_in_an_included_file(client: crucible.Client) -> None:
    files = {"net.rn": "pub fn get(url) {\n  crucible::http::get(url)\n}"}
    with pytest.raises(crucible.SecurityViolation, match=r"net.rn:2:3"):
        client.run("mod net;\npub fn main() { 1 }", files=files)


def test_a_thousand_files(client: crucible.Client) -> None:
    files = {f"m{number}.rn": f"pub fn f() {{ {number} }}" for number in range(1000)}
    modules = "\n".join(f"mod m{number};" for number in range(1000))
    total = " + ".join(f"m{number}::f()" for number in range(0, 1000, 100))
    assert client.run(f"{modules}\npub fn main() {{ {total} }}", files=files).value == 4500


def test_included_files_count_towards_the_size(client: crucible.Client) -> None:
    source, text = "mod a;\npub fn main() { a::f() }", "pub fn f() { 7 }"
    size = len(source) + len(text)
    assert client.run(source, files={"a.rn": text}, limits={"max_source_bytes": size}).value == 7
    with pytest.raises(crucible.CrucibleError, match=f"at most {size - 1} bytes with all included files, got {size}"):
        client.run(source, files={"a.rn": text}, limits={"max_source_bytes": size - 1})
