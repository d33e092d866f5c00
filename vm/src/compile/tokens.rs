//! A source as a flat list of tokens: enough to see what the compiler does not report, such as unused imports and `pub`.

use rune::ast::{Kind, Token};
use rune::parse::Parser;
use rune::SourceId;

/// A token with its text's place.
pub struct Scanned {
    pub start: usize,
    pub end: usize,
}

/// The tokens of one source.
pub struct Scan<'a> {
    pub text: &'a str,
    pub tokens: Vec<Scanned>,
}

/// Reads tokens up to the end or the first that is not one.
pub fn scan(text: &str) -> Scan<'_> {
    let mut parser = Parser::new(text, SourceId::empty(), true);
    let mut tokens = Vec::new();
    while let Ok(token) = parser.parse::<Token>() {
        if matches!(token.kind, Kind::Eof) {
            break;
        }
        let span = token.span.range();
        tokens.push(Scanned {
            start: span.start,
            end: span.end,
        });
    }
    Scan { text, tokens }
}

impl Scan<'_> {
    /// The text of a token.
    pub fn word(&self, index: usize) -> &str {
        self.tokens
            .get(index)
            .and_then(|token| self.text.get(token.start..token.end))
            .unwrap_or_default()
    }

    /// The index of the first token that does not end before `position`.
    pub fn at(&self, position: usize) -> usize {
        self.tokens.partition_point(|token| token.end <= position)
    }
}
