//! The programs under `tests/scripts`, each with its expectation in the table beside them.

use super::{execute_with, shown, start_frame};
use crate::frames::v1::{value::Kind, Value};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");

#[test]
fn each_program_returns_what_its_table_says() {
    let table = std::fs::read_to_string(format!("{FOLDER}/expectations.txt"))
        .expect("the table can be read");
    let mut checked = 0;
    for line in table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let columns: Vec<_> = line.splitn(3, " ;; ").collect();
        let [file, call, expected] = columns[..] else {
            panic!("expected three columns in {line:?}")
        };
        let source =
            std::fs::read_to_string(format!("{FOLDER}/{file}")).expect("a program can be read");
        let (function, arguments) = call.split_once('(').expect("a call");
        let arguments = arguments
            .trim_end_matches(')')
            .split(',')
            .filter(|text| !text.trim().is_empty());
        let arguments = arguments
            .map(|text| Value {
                kind: Some(Kind::IntValue(text.trim().parse().expect("a number"))),
            })
            .collect();
        let finished = execute_with(&source, function, arguments, start_frame(), &mut |_| {
            Vec::new()
        });
        assert_eq!(shown(finished.value()), expected, "{file}");
        checked += 1;
    }
    assert!(checked > 30, "only {checked} programs");
}
