//! What to write instead of forms that are valid in Rust or elsewhere, but not in Rune.

use std::ops::Range;

use super::tokens::Scan;

/// Advice, and the exact place of the mistake.
pub struct Advice {
    pub hint: String,
    pub place: Range<usize>,
}

/// Advice for an error at `place`, if the text there is a known mistake.
pub fn advice(scan: &Scan<'_>, place: Range<usize>, message: &str) -> Option<Advice> {
    let at = scan.at(place.start);
    let rules: [fn(&Scan<'_>, usize, &str) -> Found; 8] = [
        imported_macro,
        mutable,
        return_type,
        interpolated,
        named_argument,
        typed,
        vec_macro,
        reference,
    ];
    rules
        .iter()
        .find_map(|rule| rule(scan, at, message))
        .and_then(|(hint, first, last)| {
            // The text may end where more is expected.
            let end = scan.tokens.get(last).or(scan.tokens.last())?.end;
            let place = scan.tokens.get(first)?.start..end;
            Some(Advice { hint, place })
        })
}

/// A hint, and the first and last token that it is about.
type Found = Option<(String, usize, usize)>;

/// Rune resolves macros by their full path alone.
fn imported_macro(_scan: &Scan<'_>, at: usize, message: &str) -> Found {
    let name = message
        .strip_prefix("Missing macro ")?
        .rsplit("::")
        .next()?;
    let is_ours = matches!(name, "eprint" | "eprintln");
    is_ours.then(|| {
        (
            format!("macros cannot be imported: write `crucible::basic::{name}!(..)`"),
            at,
            at,
        )
    })
}

fn mutable(scan: &Scan<'_>, at: usize, _message: &str) -> Found {
    let at = (at.saturating_sub(1)..=at).find(|at| scan.word(*at) == "mut")?;
    Some((
        "leave out `mut`: every variable can be changed".to_owned(),
        at,
        at,
    ))
}

/// `-> T`, and `-> Result<T>`, where Rune trips over the `<`.
fn return_type(scan: &Scan<'_>, at: usize, message: &str) -> Found {
    let declared = if message.contains("return type") {
        at
    } else if scan.word(at) == "<" && message.contains("`{`") {
        (0..at).rev().find(|at| scan.word(*at) == "fn")?
    } else {
        return None;
    };
    let arrow = (declared..scan.tokens.len())
        .take_while(|at| scan.word(*at) != "{")
        .find(|at| scan.word(*at) == "->")?;
    let body = (arrow..scan.tokens.len()).find(|at| scan.word(*at) == "{")?;
    let signature = &scan.text[scan.tokens[declared].start..scan.tokens[arrow].start];
    Some((
        format!(
            "leave out the return type: `{} {{ .. }}`",
            signature.trim_end()
        ),
        arrow,
        body - 1,
    ))
}

/// `f"..{x}.."`, as in Python.
fn interpolated(scan: &Scan<'_>, at: usize, _message: &str) -> Found {
    let at = (at.saturating_sub(1)..=at).find(|at| {
        scan.word(*at) == "f"
            && scan.word(at + 1).starts_with(['"', '\''])
            && scan.tokens[*at].end == scan.tokens[at + 1].start
    })?;
    let text = scan.word(at + 1).trim_matches(['"', '\'']);
    let template = match text.contains('{') && text.len() <= 80 && !text.contains('`') {
        true => format!("`{}`", text.replace('{', "${")),
        false => "`text ${value}`".to_owned(),
    };
    Some((
        format!("write a template with backquotes: {template}"),
        at,
        at + 1,
    ))
}

/// `f(name: value)`, as in Python or Swift.
fn named_argument(scan: &Scan<'_>, at: usize, message: &str) -> Found {
    let is_named =
        scan.word(at) == ":" && at >= 2 && message.contains("`)`") && is_word(scan.word(at - 1));
    if !is_named {
        return None;
    }
    let name = scan.word(at - 1);
    Some((
        format!("there are no named arguments: pass an object, `#{{ {name}: .. }}`"),
        at - 1,
        at,
    ))
}

/// `a: i64` for a parameter or a variable, and `Vec<i64>`.
fn typed(scan: &Scan<'_>, at: usize, message: &str) -> Found {
    let is_pattern = message.contains("not supported as a pattern") || message.contains("Expected");
    let colon = (at.saturating_sub(1)..=at + 1).find(|at| scan.word(*at) == ":")?;
    let name = colon.checked_sub(1)?;
    let before = name
        .checked_sub(1)
        .map(|at| scan.word(at))
        .unwrap_or_default();
    if !is_pattern || !is_word(scan.word(name)) || !matches!(before, "(" | "," | "let" | "|") {
        return None;
    }
    Some((
        format!(
            "leave out the type: `{}`; Rune has no type annotations",
            scan.word(name)
        ),
        name,
        colon + 1,
    ))
}

fn vec_macro(scan: &Scan<'_>, at: usize, _message: &str) -> Found {
    let is_macro = scan.word(at) == "vec" && scan.word(at + 1) == "!";
    is_macro.then(|| {
        (
            "write a list without the macro: `[..]`".to_owned(),
            at,
            at + 1,
        )
    })
}

fn reference(scan: &Scan<'_>, at: usize, message: &str) -> Found {
    let at = (at.saturating_sub(1)..=at).find(|at| scan.word(*at) == "&")?;
    let is_type = message.contains("pattern")
        || message.contains("Expected")
        || message.contains("not supported");
    is_type.then(|| {
        (
            "leave out `&`: values are passed as they are".to_owned(),
            at,
            at,
        )
    })
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, at: Range<usize>, message: &str) -> Option<Range<usize>> {
        advice(&super::super::tokens::scan(text), at, message).map(|advice| advice.place)
    }

    #[test]
    fn a_mistake_may_be_the_end_of_the_text() {
        let missing = "Missing macro ::crucible::basic::eprintln";
        assert_eq!(place("a //~ b", 4..7, missing), None);
        assert_eq!(place("fn f(a:", 6..7, "Expected pattern"), Some(5..7));
    }
}
