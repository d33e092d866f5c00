//! What the patched Rune offers to hold a script to its limits.

#![cfg(feature = "patched")]

use std::cell::Cell;

use rune::runtime::budget;
use rune::Vm;
use rune_conformance::{isolated, Failure, Program};

const CLOSURES: &str = "pub fn main(n) { (0..n).iter().map(|n| n + 1).sum::<i64>() }";

fn program(script: &str) -> Program {
    Program::new(script).expect("a valid script")
}

fn vm_error(outcome: Result<String, Failure>) -> rune::runtime::VmError {
    match outcome {
        Err(Failure::Vm(error)) => error,
        other => panic!("expected an error of the virtual machine, got {other:?}"),
    }
}

/// The instructions a call takes, found as the least that suffice, and what it returns.
fn count(program: &Program, arguments: &[i64]) -> (usize, String) {
    let value = program.call("main", arguments).expect("a value");
    let (mut low, mut high) = (0, 1_000_000);
    while low + 1 < high {
        let middle = (low + high) / 2;
        match program.call_within(middle, "main", arguments) {
            Ok(_) => high = middle,
            Err(_) => low = middle,
        }
    }
    (high, value)
}

#[test]
fn closures_are_charged_exactly() {
    let program = program(CLOSURES);
    let (ten, value) = count(&program, &[10]);
    assert_eq!(value, "55");
    let (twenty, _) = count(&program, &[20]);
    let (thirty, _) = count(&program, &[30]);
    assert_eq!(
        twenty - ten,
        thirty - twenty,
        "each element takes the same number of instructions"
    );
    assert!(
        twenty - ten >= 20,
        "an element takes at least two instructions, took {}",
        (twenty - ten) / 10
    );
}

#[test]
fn remaining_is_exact() {
    let program = program(CLOSURES);
    let (needed, _) = count(&program, &[10]);
    let (unit, runtime) = program.into_parts();
    let mut vm = Vm::new(runtime, unit);
    let left = budget::with(1_000_000, || {
        vm.call(["main"], (10,)).expect("a value");
        budget::remaining()
    });
    assert_eq!(left.call(), 1_000_000 - needed);
    assert_eq!(budget::remaining(), usize::MAX, "no budget outside");
}

#[test]
fn charge_uses_up_the_budget() {
    budget::with(10, || {
        assert!(budget::charge(4));
        assert_eq!(budget::remaining(), 6);
        assert!(budget::charge(6));
        assert!(!budget::charge(1));
        assert_eq!(budget::remaining(), 0);
    })
    .call();
    assert!(
        budget::charge(usize::MAX),
        "nothing to charge without a budget"
    );
}

#[test]
fn exhaustion_has_an_error_of_its_own() {
    for script in [
        CLOSURES,
        "pub fn main(n) { loop {} }",
        "pub async fn main(n) { async { loop {} }.await }",
    ] {
        let error = vm_error(program(script).call_within(1_000, "main", &[1_000_000]));
        assert!(error.is_budget_exhausted(), "{script}: {error}");
        assert!(!error.is_native_depth_exceeded() && !error.is_alloc_failure());
    }
    let error = vm_error(program("pub fn main(n) { panic!(\"limited\") }").call("main", &[0]));
    assert!(!error.is_budget_exhausted());
}

thread_local! {
    static REFILLS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn refill_goes_on_until_it_returns_none() {
    let program = program(CLOSURES);
    let (needed, _) = count(&program, &[1_000]);
    budget::set_refill(Some(|_| {
        REFILLS.with(|n| n.set(n.get() + 1));
        100
    }));
    let value = program.call_within(100, "main", &[1_000]).expect("a value");
    assert_eq!(value, "500500");
    assert_eq!(REFILLS.with(|n| n.get()), (needed - 1) / 100);

    budget::set_refill(Some(|_| 0));
    let error = vm_error(program.call_within(100, "main", &[1_000]));
    assert!(error.is_budget_exhausted());
    budget::set_refill(None);
}

#[test]
fn native_depth_is_limited_as_set() {
    isolated("native_depth_is_limited_as_set", || {
        // One level of this is one call through a native function.
        let closures =
            "fn down(n) { if n == 0 { 0 } else { [n].iter().map(|n| down(n - 1)).sum::<i64>() } } \
                        pub fn main(n) { down(n) }";
        let futures = "async fn down(n) { if n == 0 { 0 } else { down(n - 1).await } } \
                       pub async fn main(n) { down(n).await }";
        assert_eq!(budget::max_native_depth(), budget::DEFAULT_MAX_NATIVE_DEPTH);
        for script in [closures, futures] {
            let program = program(script);
            for max in [8, 128] {
                budget::set_max_native_depth(max);
                let half = max as i64 / 2 - 2;
                assert!(program.call("main", &[half]).is_ok(), "{max}: {script}");
                let error = vm_error(program.call("main", &[max as i64 + 1]));
                assert!(error.is_native_depth_exceeded(), "{error}");
                assert!(!error.is_budget_exhausted() && !error.is_alloc_failure());
                // The depth is given back by failing calls too.
                assert!(program.call("main", &[half]).is_ok(), "{max}: {script}");
            }
        }
        budget::set_max_native_depth(budget::DEFAULT_MAX_NATIVE_DEPTH);
    });
}

#[test]
fn allocation_failure_has_an_error_of_its_own() {
    let scripts = [
        "pub fn main() { let s = \"0123456789\"; loop { let t = s.clone(); s += t; } }",
        "pub fn main() { let v = []; loop { v.push([v.len()]); } }",
        "pub fn main() { let v = Vec::with_capacity(9000000000000000000); v }",
        "pub fn main() { let v = [1]; v.resize(1000000000000, 0); v }",
        "pub fn main() { let o = #{}; let n = 0; loop { n += 1; o.insert(`${n}`, n); } }",
        "pub fn main() { let s = \"0123456789\"; loop { s = format!(\"{:?}{}\", s, s); } }",
        "pub fn main() { format!(\"{:>1000000000000}\", 1) }",
    ];
    for script in scripts {
        let error = vm_error(program(script).call_within(usize::MAX, "main", &[]));
        assert!(error.is_alloc_failure(), "{error}, from: {script}");
        assert!(!error.is_budget_exhausted() && !error.is_native_depth_exceeded());
    }
}

#[test]
fn the_lowest_of_a_limit_is_its_own() {
    use rune::alloc::{limit, Vec};

    let take = |bytes| drop(Vec::<u8>::try_with_capacity(bytes).expect("memory"));
    let inner = limit::with(10_000, || {
        take(1_000);
        limit::lowest()
    });
    let outer = limit::with(50_000, || {
        take(2_000);
        assert_eq!(inner.call(), 9_000);
        assert!(Vec::<u8>::try_with_capacity(60_000).is_err());
        (limit::get(), limit::lowest())
    });
    assert_eq!(outer.call(), (50_000, 48_000));
    assert_eq!(limit::lowest(), usize::MAX);
}

#[test]
fn steps_are_charged_and_run_closures_whole() {
    let program = program(CLOSURES);
    let (needed, _) = count(&program, &[10]);
    let (unit, runtime) = program.into_parts();
    let mut vm = Vm::new(runtime, unit);
    let mut execution = vm.execute(["main"], (10,)).expect("an execution");
    budget::with(1_000, || {
        let mut steps = 0;
        let value = loop {
            if let Some(value) = execution.step().into_result().expect("a step") {
                break value;
            }
            steps += 1;
        };
        assert_eq!(rune::from_value::<i64>(value).expect("a number"), 55);
        assert!(
            steps < needed,
            "the closure is part of the step which calls it"
        );
        assert_eq!(budget::remaining(), 1_000 - needed);
    })
    .call();
}
