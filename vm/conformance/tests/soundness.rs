//! Scripts which made Rune as published read or write memory that was freed, and their neighbours.
//! Meant to be run under an address sanitizer as well, see run.py.

use rune_conformance::{isolated, run, same};

const CASES: &str = include_str!("data/soundness.txt");

#[test]
fn soundness() {
    isolated("soundness", || {
        for case in CASES
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let (body, expected) = case.split_once(";; ").expect("a case and its answer");
            let script = format!("struct S {{ a, b }} fn give() {{ #{{a: [1], b: [2]}} }} pub fn main() {{ {body} }}");
            // Several times, so that a corrupted heap shows.
            for _ in 0..20 {
                let got = run(&script);
                assert!(
                    same(&got, expected),
                    "expected {expected}, got {got}, from: {body}"
                );
            }
        }
    });
}
