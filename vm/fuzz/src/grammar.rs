//! Rune programs by decisions: each byte of a case chooses one way to go on. Mostly they compile, and loops are short.
//!
//! Whatever natively walks a range or a repetition gets small numbers: nothing but time would come of large ones.

use std::fmt::Write;

use arbitrary::Unstructured;

use crate::sources::Program;

/// Nested expressions and statements.
const DEPTH: usize = 6;
const MAX_BYTES: usize = 6 << 10;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

const LITERALS: [&str; 22] = [
    "1",
    "0",
    "7",
    "-3",
    "2.5",
    "true",
    "false",
    "'x'",
    "\"text\"",
    "b\"by\"",
    "()",
    "[]",
    "#{}",
    "None",
    "9223372036854775807",
    "-9223372036854775808",
    "1u64",
    "0.0",
    "\"\"",
    "b'x'",
    "1e308",
    "\"\\u{1f600}\"",
];
const BINARY: [&str; 26] = [
    "+", "-", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "&", "|", "^", "<<",
    ">>", "..", "..=", "is", "is not", "+", "-", "==", "<",
];
const ASSIGN: [&str; 8] = ["=", "=", "=", "+=", "-=", "*=", "^=", "|="];
/// Methods with the arguments they take: `_` stands for an expression, `|` for a closure.
const METHODS: [&str; 64] = [
    "len()",
    "push(_)",
    "pop()",
    "iter()",
    "clone()",
    "get(_)",
    "insert(_, _)",
    "remove(_)",
    "contains_key(_)",
    "clear()",
    "is_empty()",
    "map(|)",
    "filter(|)",
    "collect::<Vec>()",
    "rev()",
    "next()",
    "sort()",
    "sort_by(||)",
    "first()",
    "last()",
    "keys()",
    "values()",
    "unwrap()",
    "unwrap_or(_)",
    "ok_or(_)",
    "is_some()",
    "is_ok()",
    "and_then(|)",
    "to_string()",
    "to_uppercase()",
    "chars()",
    "split(_)",
    "trim()",
    "starts_with(_)",
    "parse::<i64>()",
    "as_bytes()",
    "push_str(_)",
    "extend(_)",
    "fold(_, ||)",
    "enumerate()",
    "zip(_)",
    "chain(_)",
    "take(3)",
    "skip(1)",
    "peekable()",
    "peek()",
    "any(|)",
    "all(|)",
    "find(|)",
    "max()",
    "min()",
    "abs()",
    "pow(2)",
    "checked_add(_)",
    "wrapping_mul(_)",
    "cmp(_)",
    "partial_cmp(_)",
    "swap(0, 1)",
    "resize(3, _)",
    "truncate(1)",
    "into_iter()",
    "entry(_)",
    "take()",
    "as_mut()",
];
const PATHS: [&str; 16] = [
    "S { a: _, b: _ }",
    "T(_, _)",
    "U",
    "E::A",
    "E::B(_)",
    "E::C { x: _ }",
    "Some(_)",
    "Ok(_)",
    "Err(_)",
    "Vec::new()",
    "String::new()",
    "std::collections::HashMap::new()",
    "std::collections::HashSet::new()",
    "std::collections::VecDeque::new()",
    "crucible::json::to_string(_)",
    "crucible::json::from_string(_)",
];
const MACROS: [&str; 8] = [
    "println!(\"{}\", _)",
    "format!(\"{:?}\", _)",
    "format!(\"{:>8}|{:<3}\", _, _)",
    "assert!(_)",
    "assert_eq!(_, _)",
    "print!(\"{:?}\", _)",
    "panic!(\"no {}\", _)",
    "dbg!(_)",
];
const PATTERNS: [&str; 18] = [
    "_",
    "a",
    "1",
    "(a, b)",
    "[a, ..]",
    "[]",
    "#{ a, .. }",
    "#{ \"k\": b, .. }",
    "S { a, b }",
    "S { a, .. }",
    "T(a, _)",
    "U",
    "E::A",
    "E::B(c)",
    "E::C { x }",
    "Some(a)",
    "Ok(d)",
    "\"text\"",
];
const ITEMS: &str = "struct S { a, b } struct T(a, b); struct U; enum E { A, B(a), C { x } }\n\
                     impl S { fn make(n) { S { a: n, b: [n] } } fn get(self, n) { self.a } }\n\
                     const K = 3;\n";

struct Writer<'u, 'd> {
    decisions: &'u mut Unstructured<'d>,
    text: String,
    functions: usize,
    /// Loops around this place.
    loops: usize,
    is_async: bool,
}

/// A program of a few functions, sometimes with a module in another file.
pub fn program(decisions: &mut Unstructured<'_>) -> Program {
    let functions = 1 + below(decisions, 4);
    let has_module = below(decisions, 4) == 1;
    let mut writer = Writer {
        decisions,
        text: ITEMS.to_owned(),
        functions,
        loops: 0,
        is_async: false,
    };
    if has_module {
        writer.text.push_str("mod util; use util::help;\n");
    }
    for number in 0..functions {
        writer.function(&format!("f{number}"));
    }
    writer.function("main");
    let main = std::mem::take(&mut writer.text);
    let mut files = Vec::new();
    if has_module {
        writer.function("help");
        files.push(("util.rn".to_owned(), std::mem::take(&mut writer.text)));
    }
    (main, files)
}

fn below(decisions: &mut Unstructured<'_>, end: usize) -> usize {
    decisions.int_in_range(0..=end - 1).unwrap_or(0)
}

impl Writer<'_, '_> {
    fn below(&mut self, end: usize) -> usize {
        below(self.decisions, end)
    }

    fn choose(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// No more decisions, or no more room: what is begun is ended the short way.
    fn is_over(&self) -> bool {
        self.decisions.is_empty() || self.text.len() > MAX_BYTES
    }

    fn function(&mut self, name: &str) {
        self.is_async = self.below(5) == 1;
        self.put(if self.is_async {
            "pub async fn "
        } else {
            "pub fn "
        });
        let _ = write!(
            self.text,
            "{name}(a, b) {{ let c = [a]; let d = b; let e = 0; let f = #{{ a: 1 }}; "
        );
        self.loops = 0;
        for _ in 0..1 + self.below(8) {
            self.statement(DEPTH);
        }
        self.expression(DEPTH - 2);
        self.put(" }\n");
    }

    fn block(&mut self, depth: usize) {
        self.put("{ ");
        for _ in 0..self.below(4) {
            self.statement(depth);
        }
        if self.below(3) > 0 {
            self.expression(depth);
        }
        self.put(" }");
    }

    fn statement(&mut self, depth: usize) {
        if depth == 0 || self.is_over() {
            return;
        }
        let depth = depth - 1;
        match self.below(14) {
            0 | 1 => {
                self.put("let ");
                let pattern = match self.below(3) {
                    0 => self.choose(&PATTERNS),
                    _ => self.choose(&NAMES),
                };
                self.put(pattern);
                self.put(" = ");
                self.expression(depth);
            }
            2..=4 => {
                self.place();
                let operator = self.choose(&ASSIGN);
                let _ = write!(self.text, " {operator} ");
                self.expression(depth);
            }
            5 => {
                self.loops += 1;
                let name = self.choose(&NAMES);
                let _ = write!(self.text, "for {name} in ");
                match self.below(3) {
                    0 => self.put("0..3"),
                    1 => self.put("[1, 2]"),
                    _ => self.expression(depth),
                }
                self.put(" ");
                self.block(depth);
                self.loops -= 1;
            }
            6 => {
                self.loops += 1;
                self.put("for _ in 0..4 { if ");
                self.expression(depth);
                self.put(" { break; } ");
                self.statement(depth);
                self.put(" }");
                self.loops -= 1;
            }
            7 => {
                self.put("if ");
                if self.below(3) == 1 {
                    let pattern = self.choose(&PATTERNS);
                    let _ = write!(self.text, "let {pattern} = ");
                }
                self.expression(depth);
                self.put(" ");
                self.block(depth);
            }
            8 if self.loops > 0 => {
                let way = self.choose(&["continue", "break"]);
                self.put(way);
            }
            9 => {
                self.put("if ");
                self.expression(depth);
                self.put(" { return ");
                self.expression(depth);
                self.put(" }");
            }
            10 => {
                let name = self.choose(&NAMES);
                let _ = write!(self.text, "drop({name})");
            }
            _ => self.expression(depth),
        }
        self.put("; ");
    }

    fn place(&mut self) {
        let name = self.choose(&NAMES);
        self.put(name);
        match self.below(5) {
            0 => self.put(".a"),
            1 => self.put("[0]"),
            2 => self.put(".1"),
            _ => {}
        }
    }

    /// `_` becomes an expression, `|` a closure with one argument, `||` one with two.
    fn fill(&mut self, template: &str, depth: usize) {
        let mut rest = template;
        while let Some(at) = rest.find(['_', '|']) {
            self.put(&rest[..at]);
            if rest[at..].starts_with("||") {
                self.put("|a, b| ");
                self.expression(depth);
                rest = &rest[at + 2..];
            } else {
                if rest[at..].starts_with('|') {
                    self.put("|a| ");
                }
                // Not the underscore of a name.
                let is_name = at > 0 && rest.as_bytes()[at - 1].is_ascii_alphabetic();
                match is_name {
                    true => self.put("_"),
                    false => self.expression(depth),
                }
                rest = &rest[at + 1..];
            }
        }
        self.put(rest);
    }

    fn expression(&mut self, depth: usize) {
        if depth == 0 || self.is_over() {
            let name = self.choose(&NAMES);
            return self.put(name);
        }
        let depth = depth - 1;
        match self.below(24) {
            0 | 1 => self.place(),
            2 | 3 => {
                let literal = self.choose(&LITERALS);
                self.put(literal);
            }
            4 | 5 => {
                self.put("(");
                self.expression(depth);
                let operator = self.choose(&BINARY);
                let _ = write!(self.text, " {operator} ");
                match operator {
                    "is" | "is not" => {
                        let name = self.choose(&["i64", "S", "Vec", "String", "E", "Option"]);
                        self.put(name);
                    }
                    "<<" | ">>" => self.put("2"),
                    "..=" | ".." => self.put("3"),
                    _ => self.expression(depth),
                }
                self.put(")");
            }
            6 => self.fill("[_, _]", depth),
            7 => self.fill("(_, _)", depth),
            8 => self.fill("#{ a: _, k: _ }", depth),
            9 => {
                let path = self.choose(&PATHS);
                self.fill(path, depth);
            }
            10..=12 => {
                self.expression(depth);
                let method = self.choose(&METHODS);
                self.put(".");
                self.fill(method, depth);
            }
            13 => {
                let name = self.choose(&["(!_)", "(-_)", "(_)?", "(_).a", "(_)[0]", "(_).0", "*_"]);
                self.fill(name, depth);
            }
            14 => {
                self.put("match ");
                self.expression(depth);
                self.put(" { ");
                for _ in 0..self.below(3) {
                    let pattern = self.choose(&PATTERNS[1..]);
                    self.put(pattern);
                    if self.below(3) == 1 {
                        self.put(" if ");
                        self.expression(depth);
                    }
                    self.put(" => ");
                    self.expression(depth);
                    self.put(", ");
                }
                self.put("_ => ");
                self.expression(depth);
                self.put(" }");
            }
            15 => {
                self.put("if ");
                self.expression(depth);
                self.put(" ");
                self.block(depth);
                self.put(" else ");
                self.block(depth);
            }
            16 => self.block(depth),
            17 => {
                let target = self.below(self.functions);
                let _ = write!(self.text, "f{target}");
                self.fill("(_, _)", depth);
            }
            18 => {
                let form = self.choose(&[
                    "(|| _)()",
                    "(|a| _)(_)",
                    "|a, b| _",
                    "move || _",
                    "|(a, _)| a",
                ]);
                match form {
                    "(|| _)()" => {
                        self.put("(|| ");
                        self.expression(depth);
                        self.put(")()");
                    }
                    "(|a| _)(_)" => {
                        self.put("(|a| ");
                        self.expression(depth);
                        self.fill(")(_)", depth);
                    }
                    "|a, b| _" => {
                        self.put("(|a, b| ");
                        self.expression(depth);
                        self.put(")");
                    }
                    "move || _" => {
                        self.put("(move || ");
                        self.expression(depth);
                        self.put(")");
                    }
                    closure => self.put(closure),
                }
            }
            19 => {
                let name = self.choose(&MACROS);
                self.fill(name, depth);
            }
            20 => {
                self.put("`x ${");
                self.expression(depth);
                self.put("}`");
            }
            21 => match self.is_async {
                true => {
                    let form =
                        self.choose(&["(async { _ }).await", "f0(_, _).await", "async { _ }"]);
                    self.fill(form, depth);
                }
                false => self.fill("async { _ }", depth),
            },
            22 => self.fill("S::make(_).get(_)", depth),
            _ => self.fill("{ let a = _; loop { break _ } }", depth),
        }
    }
}
