//! What to write instead of forms that are valid in Rust or elsewhere, but not in Rune.

use super::tokens::Scan;

/// Advice for an error at `start`, if the text there is a known mistake.
pub fn hint(scan: &Scan<'_>, start: usize, message: &str) -> Option<&'static str> {
    let _ = (scan, start, message);
    None
}
