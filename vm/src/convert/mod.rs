//! Values on their way into and out of a script. Bounded in depth and size, exact in kind, errors name the path.

mod collect;
mod from_rune;
mod path;
mod to_rune;

pub use collect::{Collector, SOURCE as COLLECT_SOURCE};
pub use from_rune::{from_rune, Bounds, Shape};
pub use path::Path;
pub use to_rune::to_rune;

/// Nested Values, the outermost counted as one.
pub const MAX_DEPTH: usize = 32;

/// Why a value cannot pass.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// It is of a kind, a shape or a depth that cannot pass; the text says which and where.
    Unfit(String),
    /// It is larger than the limit.
    TooLarge,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Unfit(message) => formatter.write_str(message),
            Refusal::TooLarge => formatter.write_str("it is larger than allowed"),
        }
    }
}
