//! Scripts of several files.

use super::{compile_files, run, shown, start_frame};
use crate::frames::v1::{Diagnostic, Severity};
use crate::frames::vm::{start, CompileResult, ExecuteJob};

fn compiled(source: &str, files: &[(&str, &str)]) -> CompileResult {
    let compiled = compile_files(source, files, start_frame());
    assert!(!compiled.unit.is_empty(), "{}", compiled.rendered);
    compiled
}

fn errors(source: &str, files: &[(&str, &str)]) -> Vec<Diagnostic> {
    let compiled = compile_files(source, files, start_frame());
    assert!(compiled.unit.is_empty(), "{source} compiles");
    let is_error = |one: &Diagnostic| one.severity() == Severity::Error;
    compiled.diagnostics.into_iter().filter(is_error).collect()
}

/// File, line and column.
fn place(diagnostic: &Diagnostic) -> (&str, u32, u32) {
    let span = diagnostic.span.as_ref();
    span.map(|span| (span.file.as_str(), span.line, span.column))
        .unwrap_or_default()
}

fn result(source: &str, files: &[(&str, &str)], function: &str) -> String {
    let mut start = start_frame();
    start.job = Some(start::Job::Execute(ExecuteJob {
        unit: compiled(source, files).unit,
        function: function.to_owned(),
        ..ExecuteJob::default()
    }));
    shown(run(start, &mut |_| Vec::new()).value())
}

#[test]
fn a_module_is_in_one_of_two_places_wherever_it_is_declared() {
    let deep = "pub fn one() { 1 }";
    let outer = "pub mod deep;\npub fn one() { deep::one() }";
    let inline = "mod util { pub mod deep; pub fn one() { deep::one() } }";
    for (main, files) in [
        (
            "mod util;",
            vec![("util.rn", outer), ("util/deep.rn", deep)],
        ),
        (
            "mod util;",
            vec![("util.rn", outer), ("util/deep/mod.rn", deep)],
        ),
        (
            "mod util;",
            vec![("util/mod.rn", outer), ("util/deep.rn", deep)],
        ),
        (
            "mod util;",
            vec![("util/mod.rn", outer), ("util/deep/mod.rn", deep)],
        ),
        (inline, vec![("util/deep.rn", deep)]),
        (inline, vec![("util/deep/mod.rn", deep)]),
    ] {
        let main = format!("{main} pub fn main() {{ util::one() + util::deep::one() }}");
        assert_eq!(result(&main, &files, "main"), "2", "{main} {files:?}");
    }
}

#[test]
fn both_places_at_once_are_refused() {
    let files = [("a.rn", ""), ("a/mod.rn", "")];
    let [error] = &errors("\n mod a;", &files)[..] else {
        panic!("expected one error")
    };
    assert_eq!(place(error), ("main.rn", 2, 2));
    assert!(
        error.message.contains("both `a.rn` and `a/mod.rn`"),
        "{}",
        error.message
    );
}

#[test]
fn a_missing_file_is_told_where_it_is_declared() {
    let files = [("a.rn", "fn f() {}\nmod b;"), ("b.rn", "")];
    let [error] = &errors("mod a;", &files)[..] else {
        panic!("expected one error")
    };
    assert_eq!(place(error), ("a.rn", 2, 1));
    for part in ["`a/b.rn` or `a/b/mod.rn`", "it has `a.rn`, `b.rn`"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    let none = &errors("mod a { mod b; }", &[])[0];
    assert!(none.message.contains("it has none"), "{}", none.message);
    assert_eq!(place(none), ("main.rn", 1, 9));
}

#[test]
fn a_file_never_includes_itself() {
    let files = [("a.rn", "mod a;"), ("main.rn", "mod main;")];
    let found = errors("mod a;", &files);
    assert!(
        found[0].message.contains("`a/a.rn`"),
        "{}",
        found[0].message
    );
    let found = errors("mod main;", &files);
    assert!(
        found[0].message.contains("`main/main.rn`"),
        "{}",
        found[0].message
    );
}

#[test]
fn a_module_is_declared_once_and_not_inside_of_a_function() {
    let files = [("a.rn", "pub fn f() { 1 }")];
    let found = errors("mod a;\nmod a;\npub fn main() { a::f() }", &files);
    assert_eq!(place(&found[0]), ("main.rn", 2, 1), "{found:?}");
    let found = errors("pub fn main() { mod a; a::f() }", &files);
    assert_eq!(place(&found[0]).0, "main.rn", "{found:?}");
}

#[test]
fn files_that_are_left_over_are_named_once() {
    let files = [("a.rn", ""), ("b.rn", ""), ("c/mod.rn", "")];
    let compiled = compiled("mod b; pub fn main() {}", &files);
    let [warning] = &compiled.diagnostics[..] else {
        panic!("expected one warning, got {:?}", compiled.diagnostics)
    };
    assert_eq!(
        (warning.severity(), warning.code.as_str()),
        (Severity::Warning, "file.unused")
    );
    assert!(
        warning.message.ends_with("`a.rn`, `c/mod.rn`"),
        "{}",
        warning.message
    );
    assert!(compiled.rendered.contains(&warning.message));
}

#[test]
fn what_is_not_pub_stays_in_its_file() {
    let files = [("a.rn", "fn hidden() { 1 }\npub fn shown() { hidden() }")];
    assert_eq!(
        result("mod a; pub fn main() { a::shown() }", &files, "main"),
        "1"
    );
    let found = errors("mod a;\npub fn main() {\n  a::hidden()\n}", &files);
    let [error] = &found[..] else {
        panic!("expected one error, got {found:?}")
    };
    assert_eq!(place(error), ("main.rn", 3, 3));
    assert_eq!(error.code, "name.private");
    assert!(error.hint.contains("`pub`"), "{}", error.hint);
    let private = [("a.rn", "mod b;"), ("a/b.rn", "pub fn f() { 1 }")];
    let found = errors("mod a;\npub fn main() { a::b::f() }", &private);
    assert_eq!(found[0].code, "name.private", "{found:?}");
}

#[test]
fn functions_of_public_modules_are_public() {
    let files = [
        (
            "a.rn",
            "pub mod deep;\nmod hidden;\npub fn f() { hidden::f() }",
        ),
        ("a/deep.rn", "pub fn f() { 2 }"),
        ("a/hidden.rn", "pub fn f() { 3 }"),
        ("b.rn", "pub fn f() { 4 }"),
    ];
    let main = "pub mod a;\nmod b;\npub(crate) mod c { pub fn f() { 5 } }\npub fn main() { b::f() + c::f() }";
    let functions = compiled(main, &files).functions;
    let public: Vec<_> = functions
        .iter()
        .filter(|one| one.is_public)
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(public, ["main", "a::f", "a::deep::f"]);
    let hidden: Vec<_> = functions[3..].iter().map(|one| one.name.as_str()).collect();
    assert_eq!(hidden, ["c::f", "b::f", "a::hidden::f"], "{functions:?}");
    assert_eq!(result(main, &files, "a::deep::f"), "2");
    assert_eq!(result(main, &files, "a::f"), "3");
}

#[test]
fn warnings_name_the_file() {
    let files = [("a.rn", "pub fn f() {\n  \"unused\";\n  1\n}")];
    let compiled = compiled("mod a; pub fn main() { a::f() }", &files);
    let [warning] = &compiled.diagnostics[..] else {
        panic!("expected one warning, got {:?}", compiled.diagnostics)
    };
    assert_eq!(place(warning), ("a.rn", 2, 3));
}

#[test]
fn the_deepest_chain_of_files_compiles() {
    // As deep as a path of 255 bytes allows.
    let paths: Vec<String> = (0..126)
        .map(|depth| format!("{}a.rn", "a/".repeat(depth)))
        .collect();
    let mut files: Vec<_> = paths
        .iter()
        .map(|path| (path.as_str(), "pub mod a; pub fn f() { a::f() }"))
        .collect();
    files[125].1 = "pub fn f() { 7 }";
    assert_eq!(
        result("mod a; pub fn main() { a::f() }", &files, "main"),
        "7"
    );
}
