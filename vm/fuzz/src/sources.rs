//! Programs from the bytes of a case.

use arbitrary::Unstructured;

use crate::grammar;

/// The first byte of a case whose other bytes are the decisions of the grammar. Others are text.
const GRAMMAR: u8 = 1;
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
