//! Which modules outside the Rune core a script names, and which of them its level lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::Scan;
use super::visitor::Place;
use crate::modules::KNOWN;

const CRATE: &str = "crucible";

/// A module that is named and not available.
pub struct Violation {
    pub source: usize,
    pub start: usize,
    pub end: usize,
    pub module: String,
    /// The lowest level that has it; none for a module that does not exist.
    pub level: Option<&'static str>,
}

/// Names of modules after `crucible::`, also in groups and in unused imports, with their places.
fn named(scan: &Scan<'_>) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for index in 0..scan.tokens.len() {
        if scan.word(index) != CRATE || scan.word(index + 1) != "::" || is_inner(scan, index) {
            continue;
        }
        let start = scan.tokens[index].start;
        if scan.word(index + 2) != "{" {
            if let Some(token) = scan.tokens.get(index + 2) {
                found.push((scan.word(index + 2).to_owned(), start, token.end));
            }
            continue;
        }
        let mut depth = 0_usize;
        for at in index + 2..scan.tokens.len() {
            match scan.word(at) {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                word if depth == 1 && matches!(scan.word(at - 1), "{" | ",") => {
                    found.push((word.to_owned(), scan.tokens[at].start, scan.tokens[at].end));
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// `a::crucible::b` and `x.crucible` are something else.
fn is_inner(scan: &Scan<'_>, index: usize) -> bool {
    let before = index
        .checked_sub(1)
        .map(|at| scan.word(at))
        .unwrap_or_default();
    let inside_path =
        before == "::" && index >= 2 && scan.tokens[index - 2].end == scan.tokens[index - 1].start;
    before == "." || inside_path
}

/// Modules that are named, or met under another name, without being available in `mask`.
pub fn violations(
    scans: &[Scan<'_>],
    items: &BTreeMap<String, Place>,
    mask: u32,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (source, scan) in scans.iter().enumerate() {
        for (name, start, end) in named(scan) {
            let module = format!("{CRATE}::{name}");
            let known = KNOWN.iter().position(|known| known.path == module);
            let is_available = known.is_some_and(|bit| mask & (1 << bit) != 0);
            if !is_available && !matches!(name.as_str(), "*" | "self" | "") {
                violations.push(Violation {
                    source,
                    start,
                    end,
                    module,
                    level: known.map(|bit| KNOWN[bit].level),
                });
            }
        }
    }
    for (item, place) in items {
        let module = module_of(item);
        let known = KNOWN.iter().position(|known| known.path == module);
        let Some(bit) = known.filter(|bit| mask & (1 << bit) == 0) else {
            continue;
        };
        // What the tokens show is not told twice.
        if violations.iter().all(|told| told.module != module) {
            violations.push(Violation {
                source: place.source,
                start: place.start,
                end: place.end,
                module,
                level: Some(KNOWN[bit].level),
            });
        }
    }
    violations
}

fn module_of(item: &str) -> String {
    item.split("::").take(2).collect::<Vec<_>>().join("::")
}

/// The module and its level when Rune misses an item that a module of Crucible would have. Where the module is installed,
/// Rune misses nothing of it but what nobody has.
pub fn missing(message: &str, mask: u32) -> Option<(String, &'static str)> {
    let item = message.strip_prefix("Missing item ::crucible::")?;
    let module = format!("{CRATE}::{}", item.split("::").next()?);
    let bit = KNOWN.iter().position(|known| known.path == module)?;
    (mask & (1 << bit) == 0).then_some((module, KNOWN[bit].level))
}

/// Modules that are used or imported.
pub fn used(scans: &[Scan<'_>], items: &BTreeMap<String, Place>) -> Vec<String> {
    let resolved = items.keys().map(|item| module_of(item));
    let mut modules: BTreeSet<String> = scans
        .iter()
        .flat_map(named)
        .map(|(name, _, _)| format!("{CRATE}::{name}"))
        .chain(resolved)
        .collect();
    modules.retain(|module| KNOWN.iter().any(|known| known.path == module));
    modules.into_iter().collect()
}
