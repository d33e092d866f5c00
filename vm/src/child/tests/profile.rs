//! What a profile says adds up to what the run cost, and asking for one changes nothing else.

use std::collections::BTreeMap;

use super::{compile, limits, run, shown, start_frame, Finished};
use crate::frames::v1::ExecutionErrorKind;
use crate::frames::vm::{start, ExecuteJob, JobLimits, Profile, Start};

const SOURCE: &str = "\
fn slow(n) {
    let t = 0;
    for i in 0..n { t += i; }
    t
}
fn quick() { 1 }
pub fn main() {
    let a = slow(1000);
    let b = [1, 2, 3].iter().map(|x| x * 2).sum::<i64>();
    a + b + quick() + slow(10)
}
";

fn profiled(source: &str, limits: JobLimits, is_profiled: bool) -> Finished {
    let compiled = compile(source);
    assert!(!compiled.unit.is_empty(), "{}", compiled.rendered);
    let start = Start {
        limits: Some(limits),
        job: Some(start::Job::Execute(ExecuteJob {
            unit: compiled.unit,
            function: "main".to_owned(),
            profile: is_profiled,
            ..ExecuteJob::default()
        })),
        ..start_frame()
    };
    run(start, &mut |_| Vec::new())
}

fn profile(finished: &Finished) -> &Profile {
    finished.executed().profile.as_ref().expect("a profile")
}

/// Instructions of each function alone.
fn flat(profile: &Profile) -> BTreeMap<&str, u64> {
    let mut flat = BTreeMap::new();
    for sample in &profile.samples {
        let place = &profile.places[sample.places[0] as usize];
        *flat
            .entry(profile.names[place.function as usize].as_str())
            .or_default() += sample.instructions;
    }
    flat
}

fn total(profile: &Profile) -> u64 {
    profile
        .samples
        .iter()
        .map(|sample| sample.instructions)
        .sum()
}

#[test]
fn instructions_add_up() {
    let plain = profiled(SOURCE, limits(), false);
    assert!(plain.executed().profile.is_none());
    let finished = profiled(SOURCE, limits(), true);
    assert_eq!(shown(finished.value()), shown(plain.value()));
    let operations = plain.executed().operations_count;
    assert_eq!(finished.executed().operations_count, operations);
    let profile = profile(&finished);
    assert_eq!(total(profile), operations);
    let flat = flat(profile);
    assert!(flat["slow"] > flat["main"], "{flat:?}");
    assert!(flat["main"] > flat["quick"], "{flat:?}");
    assert!(profile.samples.iter().any(|sample| sample.time_ns > 0));
    let lines: Vec<_> = profile.samples[0]
        .places
        .iter()
        .map(|at| profile.places[*at as usize].line)
        .collect();
    assert_eq!(
        lines,
        [3, 8],
        "the loop, called from the first line of main"
    );
}

#[test]
fn a_script_that_fails_has_one_too() {
    for (source, bounds, kind) in [
        (
            "pub fn main() { let n = 0; while true { n += 1; } }",
            JobLimits {
                max_operations: 12_345,
                ..limits()
            },
            ExecutionErrorKind::OperationsExceeded,
        ),
        (
            "fn f() { panic!(\"no\") } pub fn main() { f() }",
            limits(),
            ExecutionErrorKind::Panic,
        ),
    ] {
        let plain = profiled(source, bounds, false);
        let finished = profiled(source, bounds, true);
        assert_eq!(finished.error().kind(), kind);
        let operations = finished.executed().operations_count;
        assert_eq!(operations, plain.executed().operations_count);
        assert_eq!(total(profile(&finished)), operations);
    }
}

#[test]
fn a_limit_holds_to_the_instruction() {
    for max_operations in [1, 2, 999, 1000, 1001, 5000] {
        let bounds = JobLimits {
            max_operations,
            ..limits()
        };
        let finished = profiled("pub fn main() { while true {} }", bounds, true);
        assert_eq!(
            finished.error().kind(),
            ExecutionErrorKind::OperationsExceeded
        );
        assert_eq!(finished.executed().operations_count, max_operations);
        assert_eq!(total(profile(&finished)), max_operations);
    }
}

#[test]
fn recursion_and_many_functions_stay_bounded() {
    let deep = "fn f(n) { if n == 0 { 0 } else { 1 + f(n - 1) } } pub fn main() { f(20000) }";
    let many: String = (0..3000)
        .map(|n| format!("fn f{n}() {{\n {n} }}\n"))
        .chain(["pub fn main() {\n".to_owned()])
        .chain((0..3000).map(|n| format!("f{n}();\n")))
        .chain(["}".to_owned()])
        .collect();
    for source in [deep, &many] {
        let finished = profiled(source, limits(), true);
        let profile = profile(&finished);
        assert!(profile.samples.len() <= 2000);
        assert!(profile.samples.iter().all(|s| s.places.len() <= 33));
        assert!(prost::Message::encoded_len(profile) < 512 << 10);
        assert_eq!(total(profile), finished.executed().operations_count);
    }
}
