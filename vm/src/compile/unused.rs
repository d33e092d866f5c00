//! Functions that nothing reaches: Rune never compiles them, but who calls one wants to hear that it is private.

use super::tokens::Scan;

/// A function as its tokens show it.
pub struct Written {
    pub name: String,
    pub parameters: Vec<String>,
    pub is_async: bool,
    pub is_generator: bool,
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

/// All functions of a file, private ones too.
pub fn written(scan: &Scan<'_>, source: usize, file: &str) -> Vec<Written> {
    named(scan, source, file, |scan, at| {
        scan.word(at) == "fn" && scan.word(at + 2) == "("
    })
    .into_iter()
    .filter_map(|(at, path)| function(scan, at, path, source))
    .collect()
}

/// Paths of the modules of a file that are not `pub`: nothing in them can be called from outside.
pub fn private_modules(scan: &Scan<'_>, source: usize, file: &str) -> Vec<String> {
    named(scan, source, file, |scan, at| {
        scan.word(at) == "mod"
            && matches!(scan.word(at + 2), "{" | ";")
            && (at == 0 || scan.word(at - 1) != "pub")
    })
    .into_iter()
    .map(|(_, path)| path)
    .collect()
}

/// The tokens that introduce what `is_wanted`, each with the path of the item.
fn named(
    scan: &Scan<'_>,
    source: usize,
    file: &str,
    is_wanted: impl Fn(&Scan<'_>, usize) -> bool,
) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // For each open brace, the name that what is inside has in its path.
    let mut scopes: Vec<Option<String>> = Vec::new();
    let mut next: Option<String> = None;
    let outer = if source == 0 { None } else { module_of(file) };
    for at in 0..scan.tokens.len() {
        match scan.word(at) {
            "mod" | "impl" | "fn" => {
                let name = scan.word(at + 1);
                if is_wanted(scan, at) {
                    let names = scopes.iter().flatten().map(String::as_str);
                    let outer = outer.as_deref().into_iter();
                    let path: Vec<&str> = outer.chain(names).chain([name]).collect();
                    found.push((at, path.join("::")));
                }
                next = Some(name.to_owned());
            }
            ";" => next = None,
            "{" => scopes.push(next.take()),
            "}" => {
                scopes.pop();
            }
            _ => {}
        }
    }
    found
}

fn function(scan: &Scan<'_>, at: usize, name: String, source: usize) -> Option<Written> {
    let close = closing(scan, at + 2)?;
    let body = close + 1;
    let end = closing(scan, body)?;
    let is_async = at > 0 && scan.word(at - 1) == "async";
    Some(Written {
        name,
        parameters: parameters(scan, at + 3, close),
        is_async,
        is_generator: (body..end).any(|at| scan.word(at) == "yield"),
        source,
        start: scan.tokens[if is_async { at - 1 } else { at }].start,
        end: scan.tokens[end].end,
    })
}

/// Names between the parentheses; a pattern has none of its own.
fn parameters(scan: &Scan<'_>, start: usize, close: usize) -> Vec<String> {
    let mut parameters = Vec::new();
    let mut first = start;
    let mut depth = 0_usize;
    for at in start..=close {
        match scan.word(at) {
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" if at < close => depth = depth.saturating_sub(1),
            "," | ")" if depth == 0 => {
                if first < at {
                    let is_name = at == first + 1 && scan.word(first) != "_";
                    let position = parameters.len();
                    parameters.push(if is_name {
                        scan.word(first).to_owned()
                    } else {
                        format!("_{position}")
                    });
                }
                first = at + 1;
            }
            _ => {}
        }
    }
    parameters
}

/// The token that closes the bracket at `open`.
fn closing(scan: &Scan<'_>, open: usize) -> Option<usize> {
    if !matches!(scan.word(open), "(" | "{") {
        return None;
    }
    let mut depth = 0_usize;
    (open..scan.tokens.len()).find(|at| {
        match scan.word(*at) {
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

/// `util/deep.rn` and `util/deep/mod.rn` hold `util::deep`.
fn module_of(file: &str) -> Option<String> {
    let path = file.strip_suffix(".rn")?;
    Some(path.strip_suffix("/mod").unwrap_or(path).replace('/', "::"))
}
