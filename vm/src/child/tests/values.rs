//! Values on their way in and out.

use super::{assert_error, execute, execute_limited, execute_with, limits, shown, start_frame};
use crate::frames::v1::{
    value::Kind, ExecutionErrorKind, ListValue, NullValue, ObjectValue, Value,
};
use crate::frames::vm::JobLimits;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn nested(levels: usize, is_object: bool) -> Value {
    (1..levels).fold(value(Kind::IntValue(1)), |inner, _| {
        value(match is_object {
            true => Kind::ObjectValue(ObjectValue {
                fields: [("a".to_owned(), inner)].into(),
            }),
            false => Kind::ListValue(ListValue {
                values: vec![inner],
            }),
        })
    })
}

fn echo(argument: Value) -> super::Finished {
    execute_with(
        "pub fn echo(x) { x }",
        "echo",
        vec![argument],
        start_frame(),
        &mut |_| Vec::new(),
    )
}

#[test]
fn what_goes_in_comes_out() {
    for kind in [
        Kind::NullValue(NullValue {}),
        Kind::BoolValue(true),
        Kind::IntValue(i64::MIN),
        Kind::IntValue(i64::MAX),
        Kind::UintValue(u64::MAX),
        Kind::UintValue(1),
        Kind::DoubleValue(1.0),
        Kind::DoubleValue(f64::NEG_INFINITY),
        Kind::DoubleValue(-0.0),
        Kind::StringValue("\u{1f600}\0".to_owned()),
        Kind::BytesValue(vec![0, 255]),
        Kind::ListValue(ListValue::default()),
        Kind::ObjectValue(ObjectValue::default()),
    ] {
        let argument = value(kind);
        assert_eq!(echo(argument.clone()).value(), &argument);
    }
    let Some(Kind::DoubleValue(nan)) = echo(value(Kind::DoubleValue(f64::NAN))).value().kind else {
        panic!("no double")
    };
    assert!(nan.is_nan());
}

#[test]
fn thirty_two_levels_pass_and_one_more_is_named() {
    for is_object in [false, true] {
        let deepest = nested(32, is_object);
        assert_eq!(echo(deepest.clone()).value(), &deepest);
        let error = echo(nested(33, is_object)).error().clone();
        assert_eq!(error.kind(), ExecutionErrorKind::InvalidArguments);
        assert!(
            error.message.contains("`x`") && error.message.contains("at most 32 nested values"),
            "{}",
            error.message
        );
    }
    let source = "pub fn main() { let a = 1; for _ in 0..32 { a = [a]; } a }";
    let error = assert_error(source, ExecutionErrorKind::InvalidReturnValue, "at most 32");
    assert!(
        error.message.contains(&format!("`${}`", "[0]".repeat(32))),
        "{}",
        error.message
    );
}

#[test]
fn all_that_is_data_leaves() {
    let types =
        "struct P { x, y } struct T(a, b); struct Unit; enum E { One, Two(a), Three { b } }";
    for (expression, expected) in [
        (
            "(1, 'c', \"s\", 2.5, true, (), None, Some(Some(3)))",
            "[1, \"c\", \"s\", 2.5, true, null, null, 3]",
        ),
        ("#{ b: 1, a: [b\"xy\"] }", "{a: [b[120, 121]], b: 1}"),
        ("P { y: 1, x: 2 }", "{x: 2, y: 1}"),
        ("[T(1, 2), Unit, Unit {}]", "[[1, 2], {}, {}]"),
        (
            "[E::One, E::Two(2), E::Three { b: 3 }]",
            "[\"One\", {Two: [2]}, {Three: {b: 3}}]",
        ),
        ("[Ok(1), Err(\"no\")]", "[{Ok: 1}, {Err: \"no\"}]"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615u64", "18446744073709551615u"),
        ("1u64", "1u"),
        ("1.cmp(2)", "\"Less\""),
        (
            "{ let d = std::collections::VecDeque::new(); d.push_back(1); d.push_front(0); d }",
            "[0, 1]",
        ),
        (
            "{ let s = std::collections::HashSet::new(); s.insert(1); s }",
            "[1]",
        ),
        (
            "{ let m = std::collections::HashMap::new(); m.insert(\"k\", Some(1)); m }",
            "{k: 1}",
        ),
        ("0.0 / 0.0", "NaN"),
    ] {
        let source = format!("{types} pub fn main() {{ let v = {expression}; v }}");
        assert_eq!(shown(execute(&source).value()), expected, "{expression}");
    }
}

#[test]
fn what_is_no_data_is_named_by_its_path() {
    for (expression, text) in [
        ("#{ a: [1, |x| x] }", "`$.a[1]`"),
        ("main", "`$`"),
        ("[0..3]", "`$[0]`"),
        ("#{ \"not a name\": async { 1 } }", "`$[\"not a name\"]`"),
        ("[1].iter()", "`$`"),
        (
            "{ let m = std::collections::HashMap::new(); m.insert(1, 2); #{ m: m } }",
            "string keys at `$.m`",
        ),
        ("{ let a = []; a.push(a); a }", "contains itself"),
        ("{ let a = #{}; a.me = a; a }", "`$.me.me"),
        (
            "{ let a = 1; for _ in 0..5000 { a = Some(a); } a }",
            "nested `Some`",
        ),
    ] {
        let source = format!("pub fn main() {{ {expression} }}");
        assert_error(&source, ExecutionErrorKind::InvalidReturnValue, text);
    }
}

#[test]
fn a_large_result_is_refused_before_it_is_built() {
    let limits = JobLimits {
        return_bytes: 1000,
        ..limits()
    };
    for expression in [
        "{ let s = \"\"; for _ in 0..1001 { s += \"x\"; } s }",
        "{ let v = []; v.resize(2000, 1); v }",
        // Two to the thirtieth: building it would never end.
        "{ let v = [1]; for _ in 0..30 { v = [v, v]; } v }",
    ] {
        let finished = execute_limited(&format!("pub fn main() {{ {expression} }}"), limits);
        let error = finished.error();
        assert_eq!(
            error.kind(),
            ExecutionErrorKind::InvalidReturnValue,
            "{expression}"
        );
        assert_eq!(
            (error.limit_name.as_str(), error.limit_value),
            ("max_return_bytes", 1000)
        );
    }
    let fits = execute_limited(
        "pub fn main() { let s = \"\"; for _ in 0..990 { s += \"x\"; } s }",
        limits,
    );
    assert_eq!(shown(fits.value()).len(), 992);
}
