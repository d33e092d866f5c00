//! Diagnostics, functions, modules.

use super::{compile, compile_files, limits, start_frame};
use crate::frames::v1::{Diagnostic, Severity};
use crate::frames::vm::{JobLimits, Start};

fn only_error(source: &str) -> Diagnostic {
    let compiled = compile(source);
    assert!(compiled.unit.is_empty(), "{source} compiles");
    let errors: Vec<_> = compiled
        .diagnostics
        .iter()
        .filter(|one| one.severity() == Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(!compiled.rendered.is_empty());
    errors[0].clone()
}

fn place(diagnostic: &Diagnostic) -> (u32, u32) {
    diagnostic
        .span
        .as_ref()
        .map(|span| (span.line, span.column))
        .unwrap_or_default()
}

#[test]
fn a_syntax_error_has_a_place_in_characters() {
    let error = only_error("pub fn main() {\n    let \u{e4} = \"\u{e9}\u{1f600}\"; let = 2;\n}");
    assert_eq!((error.code.as_str(), place(&error)), ("syntax", (2, 23)));
    let span = error.span.expect("a span");
    assert_eq!(
        (span.file.as_str(), span.end_line, span.end_column),
        ("main.rn", 2, 24)
    );
}

#[test]
fn forms_of_other_languages_are_answered_with_the_valid_one() {
    for (source, hint, at) in [
        (
            "pub fn main() { let mut a = 1; a }",
            "leave out `mut`",
            (1, 21),
        ),
        (
            "pub fn main() -> i64 { 1 }",
            "`pub fn main() { .. }`",
            (1, 15),
        ),
        (
            "pub fn main() { 1 } fn f(a: i64) { a }",
            "leave out the type: `a`",
            (1, 26),
        ),
        (
            "pub fn main() { let a: i64 = 1; a }",
            "leave out the type: `a`",
            (1, 21),
        ),
        (
            "pub fn main() { let x = 1; let y = f\"a {x}\"; y }",
            "`a ${x}`",
            (1, 36),
        ),
        ("pub fn main() { f(x: 1) }", "#{ x: .. }", (1, 19)),
        ("pub fn main() { let v = vec![1, 2]; v }", "[..]", (1, 25)),
    ] {
        let error = only_error(source);
        assert!(error.hint.contains(hint), "{source}: {error:?}");
        assert_eq!(place(&error), at, "{source}: {error:?}");
    }
}

#[test]
fn a_macro_that_is_imported_is_answered_with_its_path() {
    let source = "use crucible::basic::eprintln;\npub fn main() { eprintln!(\"x\") }";
    let error = compile(source).diagnostics.remove(0);
    assert!(
        error.hint.contains("`crucible::basic::eprintln!(..)`"),
        "{error:?}"
    );
}

#[test]
fn functions_are_described() {
    let compiled = compile(
        "fn hidden(a) { a }\n\n/// Adds.\n///\n/// Twice.\npub fn add(a, b) { a + b }\npub async fn wait() {}\n\
         pub fn numbers((x, y), _) { yield x; }\npub(crate) fn inner() {}\npub async fn stream() { yield 1; }\n\
         mod deep { pub fn f() { || 1 } }\nstruct S; impl S { pub fn method(self) { 1 } }",
    );
    let shown: Vec<_> = compiled
        .functions
        .iter()
        .map(|function| {
            let parameters: Vec<_> = function
                .parameters
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            let flags = [
                (function.is_public, "pub"),
                (function.is_async, "async"),
                (function.is_generator, "gen"),
            ];
            let flags: Vec<_> = flags
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, name)| *name)
                .collect();
            format!(
                "{}({}) {}",
                function.name,
                parameters.join(", "),
                flags.join(" ")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "add(a, b) pub",
            "wait() pub async",
            "numbers(_0, _1) pub gen",
            "stream() pub async gen",
            "S::method(self) pub",
            "hidden(a) ",
            "inner() ",
            "deep::f() ",
        ]
    );
    let add = &compiled.functions[0];
    assert_eq!(add.doc, "Adds.\n\nTwice.");
    let span = add.span.as_ref().expect("a span");
    assert_eq!(
        (span.line, span.column, span.end_line, span.end_column),
        (6, 1, 6, 27)
    );
}

#[test]
fn modules_of_files_are_found() {
    let files = [
        ("util.rn", "pub mod deep;\npub fn one() { deep::one() }"),
        ("util/deep.rn", "pub fn one() { 1 }"),
    ];
    let compiled = compile_files(
        "mod util; pub fn main() { util::one() }",
        &files,
        start_frame(),
    );
    assert!(!compiled.unit.is_empty(), "{}", compiled.rendered);
    let missing = compile_files("mod other;", &files, start_frame());
    assert!(
        missing.diagnostics[0].message.contains("`other.rn`"),
        "{}",
        missing.rendered
    );
    let broken = compile_files("mod util;", &[("util.rn", "\npub fn (")], start_frame());
    let span = broken.diagnostics[0].span.as_ref().expect("a span");
    assert_eq!((span.file.as_str(), span.line), ("util.rn", 2));
}

#[test]
fn used_modules_are_named() {
    let compiled = compile("pub fn main() { crucible::basic::eprint(\"x\") }");
    assert_eq!(compiled.modules, ["crucible::basic"]);
    assert_eq!(compile("pub fn main() {}").modules, [""; 0]);
}

#[test]
fn a_module_that_the_level_lacks_is_a_violation() {
    for (source, at) in [
        ("use crucible::http::get;\npub fn main() { 1 }", (1, 5)),
        (
            "use crucible::http;\npub fn main() { http::get(1) }",
            (1, 5),
        ),
        (
            "use crucible::{basic, http::get as g};\npub fn main() { 1 }",
            (1, 23),
        ),
        ("use crucible::http::*;\npub fn main() { 1 }", (1, 5)),
        ("pub fn main() {\n  ::crucible::http::get(1) }", (2, 5)),
        ("fn dead() { crucible::http::mac!() }", (1, 13)),
        (
            "use crucible as c;\npub fn main() { c::http::get(1) }",
            (2, 17),
        ),
        (
            "pub fn main() {\n  `${crucible::json::parse(\"1\")}` }",
            (2, 6),
        ),
    ] {
        let compiled = compile(source);
        assert!(compiled.unit.is_empty(), "{source} compiles");
        let first = &compiled.diagnostics[0];
        assert_eq!(
            (first.code.as_str(), place(first)),
            ("security.module", at),
            "{source}"
        );
        assert!(first.message.ends_with("; PRODUCTION has it"), "{source}");
    }
    let start = Start {
        modules: Vec::new(),
        ..start_frame()
    };
    let compiled = compile_files(
        "use crucible::basic::log; pub fn main() { log(\"x\") }",
        &[],
        start,
    );
    assert_eq!(compiled.diagnostics[0].code, "security.module");
}

#[test]
fn a_compiler_that_works_without_end_is_stopped() {
    let endless = only_error("const A = { let n = 0; loop { n += 1; } };\npub fn main() { A }");
    assert_eq!(endless.code, "limit.const");
    let start = Start {
        limits: Some(JobLimits {
            memory_bytes: 10 << 20,
            ..limits()
        }),
        ..start_frame()
    };
    let source = "const A = { let s = \"aaaaaaaaaa\"; while true { s = `${s}${s}`; } s };\npub fn main() { A }";
    let compiled = compile_files(source, &[], start);
    assert_eq!(
        compiled.diagnostics[0].code, "limit.memory",
        "{}",
        compiled.rendered
    );
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let source =
        "struct S { a, b, c } pub fn main() { #{ x: S { a: 1, b: 2, c: 3 }, y: |z| z + 1 } }";
    let other_seed = Start {
        seed: vec![9; 32],
        ..start_frame()
    };
    assert_eq!(
        compile(source).unit,
        compile_files(source, &[], other_seed).unit
    );
}

#[test]
fn an_empty_source_compiles_to_nothing() {
    let compiled = compile("");
    assert!(
        compiled.functions.is_empty() && !compiled.unit.is_empty(),
        "{}",
        compiled.rendered
    );
}
