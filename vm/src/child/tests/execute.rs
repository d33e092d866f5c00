//! Functions of every kind, errors with their places, counting.

use super::{
    assert_error, compile, execute, execute_limited, execute_with, limits, run, shown, start_frame,
};
use crate::execute::executor::{block_on, Stop};
use crate::exit;
use crate::frames::v1::{value::Kind, ExecutionErrorKind, Value};
use crate::frames::vm::{start, ExecuteJob, JobLimits, Start};

fn int(value: i64) -> Value {
    Value {
        kind: Some(Kind::IntValue(value)),
    }
}

#[test]
fn every_kind_of_function_runs() {
    for (source, expected) in [
        ("pub fn main() { 42 }", "42"),
        (
            "async fn one() { 1 } pub async fn main() { one().await + 1 }",
            "2",
        ),
        ("pub fn main() { yield 1; yield 2; 3 }", "[1, 2]"),
        (
            "async fn one() { 1 } pub async fn main() { yield one().await; yield 2; }",
            "[1, 2]",
        ),
        (
            "pub async fn main() { std::future::join([async { 1 }, async { 2 }]).await }",
            "[1, 2]",
        ),
        (
            "pub async fn main() { let a = async { 1 }; select { x = a => x, } }",
            "1",
        ),
        (
            "pub async fn main() { let f = async |x| x * 2; f(4).await }",
            "8",
        ),
        (
            "pub fn main() { [3, 1, 2].iter().map(|x| x + 1).collect::<Vec>() }",
            "[4, 2, 3]",
        ),
        ("pub fn main() { Ok(1) }", "1"),
        ("pub fn main() { Some(Ok(1)) }", "{Ok: 1}"),
        ("pub fn main() { Ok(None) }", "null"),
        ("pub fn main() {}", "null"),
        ("pub fn main() { crucible::basic::env(\"HOME\") }", "null"),
    ] {
        assert_eq!(shown(execute(source).value()), expected, "{source}");
    }
}

#[test]
fn arguments_are_passed_in_order() {
    let source = "pub mod math { pub fn sub(a, b) { a - b } }";
    let finished = execute_with(
        source,
        "math::sub",
        vec![int(7), int(2)],
        start_frame(),
        &mut |_| Vec::new(),
    );
    assert_eq!(shown(finished.value()), "5");
}

#[test]
fn what_cannot_be_entered_is_refused() {
    let source = "pub fn add(a, b) { a + b } fn hidden() { 1 }";
    for (function, arguments, text) in [
        ("nope", vec![], "(add), got `nope`"),
        ("hidden", vec![], "declare it `pub fn`"),
        ("add", vec![int(1)], "expected 2 arguments (a, b), got 1"),
        (
            "add",
            vec![int(1), Value { kind: None }],
            "its kind is not set",
        ),
    ] {
        let finished = execute_with(source, function, arguments, start_frame(), &mut |_| {
            Vec::new()
        });
        let error = finished.error();
        assert_eq!(error.kind(), ExecutionErrorKind::InvalidArguments);
        assert!(error.message.contains(text), "{}", error.message);
    }
}

#[test]
fn errors_name_kind_place_and_callers() {
    let error = assert_error(
        "fn inner(x) {\n    1 / x\n}\npub fn main() {\n    inner(0)\n}",
        ExecutionErrorKind::Runtime,
        "Division by zero",
    );
    assert_eq!(
        (error.file.as_str(), error.line, error.column),
        ("main.rn", 2, 5)
    );
    let trace: Vec<_> = error
        .stack_trace
        .iter()
        .map(|frame| (frame.function.as_str(), frame.line))
        .collect();
    assert_eq!(trace, [("inner", 2), ("main", 5)]);
    assert!(error.rendered.contains("1 / x"), "{}", error.rendered);
    let panic = assert_error(
        "pub fn main() { panic!(\"boom {}\", 1) }",
        ExecutionErrorKind::Panic,
        "boom 1",
    );
    assert_eq!(panic.message, "boom 1");
    assert_error(
        "pub fn main() { None.unwrap() }",
        ExecutionErrorKind::Panic,
        "unwrap",
    );
    assert_error(
        "pub fn main() { let x = [1]; x[3] }",
        ExecutionErrorKind::Runtime,
        "",
    );
    assert_error(
        "pub fn main() { [1].joins(2) }",
        ExecutionErrorKind::Runtime,
        "no method `joins`",
    );
    let returned = assert_error(
        "pub fn main() { Err(#{ code: 3 }) }",
        ExecutionErrorKind::ReturnedErr,
        "value",
    );
    assert_eq!(
        returned.value.as_ref().map(shown).as_deref(),
        Some("{code: 3}")
    );
    let returned = assert_error(
        "pub fn main() { Ok(\"x\".parse::<i64>()?) }",
        ExecutionErrorKind::ReturnedErr,
        "ParseIntError",
    );
    assert_eq!(returned.value, None);
}

#[test]
fn a_deep_trace_is_cut() {
    let source =
        "fn f(n) { if n == 0 { panic!(\"end\") } else { f(n - 1); 1 } } pub fn main() { f(200) }";
    assert_eq!(
        assert_error(source, ExecutionErrorKind::Panic, "end")
            .stack_trace
            .len(),
        64
    );
}

#[test]
fn instructions_are_counted_exactly() {
    let source =
        "pub fn main() { let n = 0; for i in 0..20000 { n += [i].iter().map(|x| x).count(); } n }";
    let whole = execute(source);
    let count = whole.executed().operations_count;
    assert!(count > 150_000);
    assert_eq!(execute(source).executed().operations_count, count);
    let enough = execute_limited(
        source,
        JobLimits {
            max_operations: count,
            ..limits()
        },
    );
    assert_eq!(shown(enough.value()), "20000");
    let short = execute_limited(
        source,
        JobLimits {
            max_operations: count - 1,
            ..limits()
        },
    );
    let error = short.error();
    assert_eq!(error.kind(), ExecutionErrorKind::OperationsExceeded);
    assert_eq!(
        (error.limit_name.as_str(), error.limit_value),
        ("max_operations", count - 1)
    );
    assert_eq!(short.executed().operations_count, count - 1);
}

#[test]
fn a_share_of_the_processor_is_kept() {
    let source = "pub fn main() { let n = 0; while n < 300000 { n += 1; } n }";
    let free = execute_limited(source, limits());
    // The shortest of several: any may have had to wait for the processor.
    let unthrottled = (0..5)
        .map(|_| {
            let started = std::time::Instant::now();
            execute_limited(source, limits());
            started.elapsed()
        })
        .min()
        .unwrap_or_default();
    let started = std::time::Instant::now();
    let kept = execute_limited(
        source,
        JobLimits {
            cpu_percentage: 5.0,
            ..limits()
        },
    );
    assert_eq!(shown(kept.value()), shown(free.value()));
    assert!(
        started.elapsed() > 2 * unthrottled,
        "{:?} against {unthrottled:?}",
        started.elapsed()
    );
}

#[test]
fn the_same_start_gives_the_same_frames() {
    let source = "pub fn main() { let m = std::collections::HashMap::new(); for i in 0..50 { m.insert(`k${i}`, i); }
        let out = []; for (k, _) in m { out.push(k); } out }";
    let seeded = |seed: u8| {
        let start = Start {
            seed: vec![seed; 32],
            ..start_frame()
        };
        shown(execute_with(source, "main", Vec::new(), start, &mut |_| Vec::new()).value())
    };
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
}

#[test]
fn futures_that_wait_for_nothing_are_a_deadlock() {
    assert!(matches!(
        block_on(std::future::pending::<()>()),
        Err(Stop::Deadlock)
    ));
}

#[test]
fn foreign_byte_code_is_refused() {
    let mut other = compile("pub fn main() { 1 }").unit;
    let level = crate::unit::RUNE_PATCH_LEVEL.as_bytes();
    let at = other
        .windows(level.len())
        .position(|window| window == level)
        .expect("the level is in the unit");
    other[at] ^= 1;
    for (unit, text) in [
        (other, "patch level"),
        (b"nonsense".to_vec(), "other bytes"),
        (Vec::new(), "other bytes"),
    ] {
        let job = ExecuteJob {
            unit,
            function: "main".to_owned(),
            ..ExecuteJob::default()
        };
        let start = Start {
            job: Some(start::Job::Execute(job)),
            ..start_frame()
        };
        let finished = run(start, &mut |_| Vec::new());
        assert_eq!(finished.error().kind(), ExecutionErrorKind::Internal);
        assert!(
            finished.error().message.contains(text),
            "{}",
            finished.error().message
        );
    }
}

#[test]
fn another_protocol_ends_the_child() {
    for start in [
        start_frame(),
        Start {
            protocol_version: 99,
            ..start_frame()
        },
    ] {
        assert_eq!(
            libc::WEXITSTATUS(run(start, &mut |_| Vec::new()).status),
            exit::PROTOCOL
        );
    }
}
