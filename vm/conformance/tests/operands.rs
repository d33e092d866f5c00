//! The cases of data/operands.txt.

use rune_conformance::{isolated, run, same};

const CASES: &str = include_str!("data/operands.txt");

const PRELUDE: &str = "struct P { a, b }
fn id(x) { x }
fn pair(a, b) { (a, b) }
";

#[test]
fn operands() {
    isolated("operands", || {
        let mut wrong = Vec::new();
        for case in CASES
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let (body, expected) = case.split_once(";; ").expect("a case and its answer");
            let got = run(&format!("{PRELUDE} pub async fn main() {{ {body} }}"));
            if !same(&got, expected) {
                wrong.push(format!("{}\n  expected {expected}, got {got}", body.trim()));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} cases went wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    });
}
