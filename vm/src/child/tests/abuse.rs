//! Scripts that mean harm: each ends by the limit that it is meant to end by.

use super::{compile, execute, execute_limited, limits};
use crate::frames::v1::ExecutionErrorKind as Kind;
use crate::frames::vm::JobLimits;

#[test]
fn limits_end_what_does_not_end_itself() {
    for (source, kind, limit) in [
        ("pub fn main() { loop {} }", Kind::OperationsExceeded, "max_operations"),
        ("pub async fn main() { loop { async { 1 }.await; } }", Kind::OperationsExceeded, "max_operations"),
        ("pub fn main() { [1].iter().map(|x| loop {}).collect::<Vec>() }", Kind::OperationsExceeded, "max_operations"),
        ("fn f(n) { 1 + f(n + 1) } pub fn main() { f(0) }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("fn f(n) { [n].iter().map(|x| f(x)).collect::<Vec>() } pub fn main() { f(0) }", Kind::DepthExceeded, "max_native_depth"),
        ("async fn f(n) { f(n + 1).await } pub async fn main() { f(0).await }", Kind::DepthExceeded, "max_native_depth"),
        ("fn g(n) { for x in g(n + 1) { yield x; } yield n; } pub fn main() { g(0).next() }", Kind::DepthExceeded, "max_native_depth"),
        ("pub fn main() { let s = \"aaaaaaaaaaaaaaaa\"; loop { s = s + s; } }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { let x = 1; format!(\"{x:>10000000000}\") }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { let v = []; loop { v.push([1, 2, 3, 4]); } }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { String::with_capacity(1000000000000) }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { let v = []; v.resize(9223372036854775807, 0); v }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { let x = 1; format!(\"{x:>2000000000}\") }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { let v = []; loop { v.push(|x| x + 1); } }", Kind::MemoryExceeded, "max_memory_bytes"),
        ("pub fn main() { loop { println!(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"); } }", Kind::OutputExceeded, "max_output_bytes"),
    ] {
        let finished = execute_limited(source, JobLimits { memory_bytes: 10 << 20, output_bytes: 100_000, ..limits() });
        let error = finished.error();
        assert_eq!((error.kind(), error.limit_name.as_str()), (kind, limit), "{source}: {error:?}");
        assert!(error.line > 0, "{source}: no place");
    }
}

#[test]
fn what_a_generator_yields_is_counted_as_memory() {
    let finished = execute_limited(
        "pub fn main() { loop { yield 1; } }",
        JobLimits {
            memory_bytes: 1 << 20,
            ..limits()
        },
    );
    assert_eq!(finished.error().kind(), Kind::MemoryExceeded);
}

#[test]
fn the_native_depth_is_the_jobs() {
    let source = "fn f(n) { if n == 0 { 0 } else { [n].iter().map(|x| f(x - 1)).sum::<i64>() } } pub fn main() { f(50) }";
    assert_eq!(
        execute(source).executed().operations_count,
        execute(source).executed().operations_count
    );
    let finished = execute_limited(
        source,
        JobLimits {
            native_depth: 20,
            ..limits()
        },
    );
    assert_eq!(
        (finished.error().kind(), finished.error().limit_value),
        (Kind::DepthExceeded, 20)
    );
}

#[test]
fn the_native_stack_ends_in_a_signal_that_the_jail_names() {
    // Without the jail's handler it is Rust's that ends the process.
    for source in [
        "pub fn main() { let a = []; a.push(a); println!(\"{:?}\", a); }",
        "pub fn main() { let a = []; a.push(a); let b = []; b.push(b); a == b }",
    ] {
        let finished = execute(source);
        assert!(
            matches!(finished.signal(), libc::SIGABRT | libc::SIGSEGV),
            "{source}: {}",
            finished.status
        );
    }
}

#[test]
fn deep_values_that_are_returned_are_never_dropped() {
    let source = "struct N { next } pub fn main() { let a = N { next: 0 }; for i in 0..100000 { a = N { next: a }; } a }";
    assert_eq!(execute(source).error().kind(), Kind::InvalidReturnValue);
}

#[test]
fn integers_end_where_they_end() {
    let source = "pub fn main() { let a = -9223372036854775807 - 1; a / -1 }";
    assert_eq!(execute(source).error().kind(), Kind::Runtime);
    assert_eq!(
        execute("pub fn main() { 9223372036854775807 + 1 }")
            .error()
            .kind(),
        Kind::Runtime
    );
}

#[test]
fn a_failing_library_function_is_an_error_like_others() {
    let finished = execute("pub fn main() { [1, 2, 3].iter().step_by(0).collect::<Vec>() }");
    assert_eq!(finished.status, 0);
}

#[test]
fn nested_source_within_reason_compiles() {
    let source = format!(
        "pub fn main() {{ {}1{} }}",
        "(".repeat(500),
        ")".repeat(500)
    );
    assert!(!compile(&source).unit.is_empty());
}
