//! Programs from the bytes of a case.

use arbitrary::Unstructured;

use crate::grammar;

/// The first byte of a case whose other bytes are the decisions of the grammar. Others are text.
const GRAMMAR: u8 = 1;
/// One body of a function a line, and what is given to it, see vm/conformance.
const BODIES: [&str; 2] = [
    include_str!("../../conformance/tests/data/soundness.txt"),
    include_str!("../../conformance/tests/data/operands.txt"),
];
const WHOLE: [&str; 5] = [
    include_str!("../../../examples/futures.rn"),
    include_str!("../../../examples/order_report.rn"),
    include_str!("../../../examples/template.rn"),
    include_str!("../../../examples/tournament.rn"),
    include_str!("../../../examples/word_count.rn"),
];
const ITEMS: &str = "struct S { a, b } fn give() { #{a: [1], b: [2]} }\n";
/// A line that begins so starts another file; its name follows.
const FILE: &str = "//~ ";

/// The main file, then other files with their names.
pub type Program = (String, Vec<(String, String)>);

/// A program that the grammar made, or what a text says.
pub fn program(data: &[u8]) -> Program {
    match data {
        [GRAMMAR, decisions @ ..] => grammar::program(&mut Unstructured::new(decisions)),
        text => files(&String::from_utf8_lossy(text)),
    }
}

fn files(text: &str) -> Program {
    let mut main = String::new();
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix(FILE) {
            Some(name) => files.push((name.trim().to_owned(), String::new())),
            None => match files.last_mut() {
                Some((_, text)) => text.push_str(line),
                None => main.push_str(line),
            },
        }
    }
    (main, files)
}

/// Real programs.
pub fn texts() -> Vec<String> {
    let lines = BODIES.iter().flat_map(|bodies| bodies.lines());
    let bodies = lines.filter_map(|line| Some(line.split_once(" ;; ")?.0));
    let programs = bodies.map(|body| format!("{ITEMS}pub fn main() {{ {body} }}"));
    let whole = WHOLE.iter().map(|text| (*text).to_owned());
    whole.chain(programs).collect()
}
