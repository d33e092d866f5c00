//! One test for each defect which a patch mends. Each of them fails on Rune as published, see run.py.

use rune_conformance::{isolated, run, same, Program};

/// Expects each script to return the value beside it.
fn expect(cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        let got = run(script);
        assert!(
            same(&got, expected),
            "expected {expected}, got {got}, from: {script}"
        );
    }
}

#[test]
fn use_after_free() {
    isolated("use_after_free", || {
        // Text of many sizes, so that what is freed too early is soon used by something else.
        let script = r#"
            struct Node { next, text }
            fn walk(round) {
                let node = ();
                for i in 0..40 { node = Node { next: node, text: `${round}:${i}` }; }
                let texts = [];
                while node is Node { texts.push(node.text); node = node.next; }
                let o = #{ a: #{ a: #{ a: texts } } };
                for i in 0..3 { o = o.a; }
                o.len()
            }
            pub fn main() { let sum = 0; for round in 0..2000 { sum += walk(round); } sum }
        "#;
        expect(&[(script, "80000")]);
    });
}

#[test]
fn block_results() {
    isolated("block_results", || {
        expect(&[
            ("pub fn main() { match 1 { 1 => { let n = 9; n } _ => 2 } }", "9"),
            ("pub fn main() { let y = 6; let r = 1 + if false { y } else { 3 }; (y, r) }", "(6, 4)"),
            ("pub fn main() { let r = match { let n = 1; n } { 1 => 10, _ => 20 }; r }", "10"),
            (
                "pub fn main() { let y = true; let z = false; let r = (y && z) == false; (y, r) }",
                "(true, true)",
            ),
            ("pub fn main() { (|(a, _)| a)((1, 2)) }", "1"),
            (
                "pub async fn main() { let y = 6; let r = 1 + select { a = later(1, 2) => { let b = a; b } }; (y, r) }",
                "(6, 3)",
            ),
        ]);
    });
}

#[test]
fn operand_aliasing() {
    isolated("operand_aliasing", || {
        expect(&[
            ("pub fn main() { let x = 1; x + { x = 5; x } }", "6"),
            (
                "pub fn main() { let x = 1; let t = (x, { x = 7; x }); t }",
                "(1, 7)",
            ),
            ("pub fn main() { let x = 3; x < { x = 1; 2 } }", "false"),
            (
                "pub fn main() { let f = |a| a + 1; f({ f = |a| a + 100; 1 }) }",
                "2",
            ),
        ]);
    });
}

#[test]
fn budget_bypass() {
    isolated("budget_bypass", || {
        let script = "pub fn main() { (0..100000).iter().map(|n| n + 1).count() }";
        let program = Program::new(script).expect("a valid script");
        let outcome = program.call_within(1_000, "main", &[]);
        assert!(
            outcome.is_err(),
            "expected the budget to end the closure, got {outcome:?}"
        );
    });
}

#[test]
fn native_depth() {
    isolated("native_depth", || {
        let closures =
            "fn down(n) { [n].iter().map(|n| down(n + 1)).sum::<i64>() } pub fn main() { down(0) }";
        let futures =
            "async fn down(n) { down(n + 1).await + 1 } pub async fn main() { down(0).await }";
        let generators = "fn down(n) { for m in down(n + 1) { yield m; } yield n; } \
                          pub fn main() { for n in down(0) { return n; } }";
        for script in [closures, futures, generators] {
            let got = run(script);
            assert!(
                got.starts_with("error: "),
                "expected an error, got {got}, from: {script}"
            );
        }
    });
}

#[test]
fn unit_serialization() {
    isolated("unit_serialization", || {
        let script = "mod inner { pub enum Shape { Square(side) } pub struct Point { x, y } impl Point { fn sum(self) { self.x + self.y } } } \
                      pub fn main() { let f = |n| n + inner::Point { x: 1, y: 2 }.sum(); f(3) }";
        let (unit, runtime) = Program::new(script).expect("a valid script").into_parts();
        let bytes = bincode::serialize(&(unit.logic(), unit.debug_info())).expect("serializing");
        let (logic, debug) = bincode::deserialize(&bytes).expect("deserializing");
        let copy = rune::Unit::from_parts(logic, debug).expect("a unit");
        let again = bincode::serialize(&(copy.logic(), copy.debug_info())).expect("serializing");
        assert!(
            bytes == again,
            "expected the bytes of the copy to be the bytes it was made of"
        );
        let program = Program::from_parts(std::sync::Arc::new(copy), runtime);
        assert_eq!(program.call("main", &[]).expect("a value"), "6");
    });
}

/// Whether a text contains what looks like an address of this process: more digits than the offset
/// of a function in its unit, and fewer than the hash of an item.
fn shows_address(text: &str) -> bool {
    text.split("0x").skip(1).any(|rest| {
        let digits = rest.chars().take_while(char::is_ascii_hexdigit).count();
        (8..=12).contains(&digits)
    })
}

#[test]
fn native_addresses() {
    isolated("native_addresses", || {
        let values = [
            "0..3",
            "0..=3",
            "0..",
            "..3",
            "..=3",
            "\"abc\".chars()",
            "\"a b\".split(\" \")",
            "[1].iter()",
            "[1].iter().map(|n| n)",
            "[1].iter().rev().enumerate()",
            "(0..3).iter()",
            "#{a: 1}.iter()",
            "#{a: 1}.keys()",
            "Some(1).iter()",
            "|n| n",
            "main",
            "i64::parse",
            "std::iter::once(1)",
            "async { 1 }",
            "yields()",
            "i64",
            "b\"abc\".iter()",
            "std::collections::HashMap::new()",
            "std::collections::VecDeque::new()",
            "[1].iter().peekable()",
            "std::collections::HashSet::from_iter([1]).iter()",
            "Some",
        ];
        for value in values {
            let script = format!(
                "fn yields() {{ yield 1; }} pub fn main() {{ let v = {value}; [format!(\"{{:?}}\", v), format!(\"{{:?}}\", [v])] }}"
            );
            let got = run(&script);
            assert!(
                !shows_address(&got),
                "expected no address, got {got}, from {value}"
            );
            assert!(!got.starts_with("compile error"), "{value}: {got}");
        }
    });
}

#[test]
fn struct_literal_order() {
    isolated("struct_literal_order", || {
        expect(&[
            ("struct P { a, b } pub fn main() { let p = P { b: 2, a: 1 }; (p.a, p.b) }", "(1, 2)"),
            (
                "enum E { V { a, b, c } } pub fn main() { let v = E::V { c: 3, a: 1, b: 2 }; match v { E::V { a, b, c } => (a, b, c), _ => () } }",
                "(1, 2, 3)",
            ),
        ]);
    });
}

#[test]
fn char_radix() {
    isolated("char_radix", || {
        for radix in ["0", "1", "37"] {
            let got = run(&format!("pub fn main() {{ '1'.to_digit({radix}) }}"));
            assert!(got.starts_with("error: "), "expected an error, got {got}");
        }
        expect(&[(
            "pub fn main() { ('1'.to_digit(2), 'z'.to_digit(36)) }",
            "(Some(1), Some(35))",
        )]);
    });
}

#[test]
fn for_iterator() {
    isolated("for_iterator", || {
        expect(&[
            ("pub fn main() { let v = [1, 2]; for n in v.iter() {} v.clear(); v.len() }", "0"),
            ("pub fn main() { let v = [1, 2]; for n in v.iter() { if n == 1 { break; } } v.clear(); v.len() }", "0"),
        ]);
    });
}

#[test]
fn block_statements() {
    isolated("block_statements", || {
        expect(&[
            ("pub fn main() { if true {} (1, 2) }", "(1, 2)"),
            ("pub fn main() { for n in [1] {} -1 }", "-1"),
            ("pub fn main() { match 1 { _ => {} } [3] }", "[3]"),
            (
                "pub fn main() { if true { Some(1) } else { None }? + 1 }",
                "2",
            ),
            ("pub fn main() { match 1 { n => [n] }.len() + 1 }", "2"),
        ]);
    });
}

#[test]
fn return_operands() {
    isolated("return_operands", || {
        expect(&[
            (
                "fn f(n) { return match n { 1 => 2, _ => 3 }; } pub fn main() { f(1) }",
                "2",
            ),
            ("fn f(n) { return || n; } pub fn main() { f(2)() }", "2"),
            (
                "fn f(n) { return |m| n + m; } pub fn main() { f(2)(3) }",
                "5",
            ),
            (
                "fn f(n) { return move || n; } pub fn main() { f(2)() }",
                "2",
            ),
            (
                "pub fn main() { loop { break match 1 { 1 => 2, _ => 3 }; } }",
                "2",
            ),
            (
                "pub fn main() { let r = 0..match 1 { 1 => 2, _ => 3 }; r.end }",
                "2",
            ),
            (
                "enum E { A } impl E { fn a() { return Self::A; } } pub fn main() { E::a() is E }",
                "true",
            ),
        ]);
    });
}

#[test]
fn conditions() {
    isolated("conditions", || {
        for source in [
            "pub fn main() { if 1 { 2 } else { 3 } }",
            "pub fn main() { if [].len() { 2 } else { 3 } }",
            "pub fn main() { while 1 { return 2; } 3 }",
            "pub fn main() { 1 && false }",
            "pub fn main() { () || true }",
            "pub fn main() { match 1 { n if n => 2, _ => 3 } }",
        ] {
            let got = run(source);
            assert!(
                got.starts_with("error: "),
                "expected an error for {source}, got {got}"
            );
        }
        expect(&[(
            "pub fn main() { let n = 0; while n < 3 && !(n == 2) { n += 1; } (n, if n == 2 || false { 4 } else { 5 }) }",
            "(2, 4)",
        )]);
    });
}

#[test]
fn memory_peak() {
    isolated("memory_peak", || {
        for (script, least, most) in [
            ("pub fn main() { let v = Vec::with_capacity(1000000); drop(v); 1 }", 16_000_000, 16_100_000),
            ("pub fn main() { String::with_capacity(5000000).len() }", 5_000_000, 5_100_000),
            // While a list grows, the old and the new one are there.
            (
                "pub fn main() { let s = String::from(\"0123456789\"); for n in 0..16 { s += s.clone(); } s.len(); () }",
                655_360,
                3 * 655_360 + 100_000,
            ),
            ("pub fn main() { 1 }", 0, 10_000),
        ] {
            let program = Program::new(script).expect("a valid script");
            let peak = program.peak_memory().expect("a value");
            assert!(
                (least..=most).contains(&peak),
                "expected {least} to {most} bytes, got {peak}, from: {script}"
            );
        }
    });
}
