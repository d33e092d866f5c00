//! What the compiler says, as messages and as text.

use rune::ast::Spanned;
use rune::diagnostics::{Diagnostic as RuneDiagnostic, FatalDiagnosticKind};
use rune::termcolor::Buffer;
use rune::{SourceId, Sources};

use super::hints;
use super::modules::{self, Violation};
use super::tokens::Scan;
use crate::child::Limits;
use crate::execute::failure::shorten;
use crate::frames::v1::{Diagnostic, Severity, Span};
use crate::modules::KNOWN;

const VIOLATION: &str = "security.module";
const VIOLATION_HINT: &str =
    "use only the modules of the level, or ask for a level that has this one";
const ROOT: &str = "{root}::";
const MAX_DIAGNOSTICS: usize = 100;
const MAX_MESSAGE_BYTES: usize = 4 << 10;
const MAX_RENDERED_BYTES: usize = 64 << 10;

/// Gathers diagnostics.
pub struct Report<'a> {
    sources: &'a Sources,
    texts: &'a [(String, String)],
    scans: &'a [Scan<'a>],
    diagnostics: Vec<Diagnostic>,
    rendered: String,
    has_errors: bool,
    /// Items that were named where they cannot be seen: Rune then misses them where they can be seen, too.
    hidden: Vec<String>,
    /// The modules that the script may use.
    mask: u32,
    is_violation_named: bool,
}

impl<'a> Report<'a> {
    pub fn new(
        sources: &'a Sources,
        texts: &'a [(String, String)],
        scans: &'a [Scan<'a>],
        mask: u32,
    ) -> Report<'a> {
        Report {
            sources,
            texts,
            scans,
            diagnostics: Vec::new(),
            rendered: String::new(),
            has_errors: false,
            hidden: Vec::new(),
            mask,
            is_violation_named: false,
        }
    }

    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// A module that the level lacks.
    pub fn violation(&mut self, violation: &Violation) {
        let module = &violation.module;
        let (code, message, hint) = match violation.level {
            Some(level) => {
                self.is_violation_named = true;
                (VIOLATION, lacking(module, level), VIOLATION_HINT)
            }
            None => (
                "name.module",
                format!("there is no module `{module}`"),
                "see the server's catalogue of modules (GetServerInfo)",
            ),
        };
        let span = span(
            self.sources,
            source_id(violation.source),
            violation.start,
            violation.end,
        );
        let rendered = self.excerpt(&message, span.as_ref(), violation.source);
        self.push(
            Diagnostic {
                severity: Severity::Error.into(),
                message,
                span,
                hint: hint.to_owned(),
                code: code.to_owned(),
            },
            &rendered,
        );
    }

    /// Files that came with the source and are not part of the script.
    pub fn left_over(&mut self, names: &str) {
        let message = format!("no `mod` of the script includes these files: {names}");
        let rendered = format!("warning: {message}\n");
        let diagnostic = Diagnostic {
            severity: Severity::Warning.into(),
            message,
            hint: "declare each in the file above it, such as `mod util;` for `util.rn` or `util/mod.rn`, or leave it out"
                .to_owned(),
            code: "file.unused".to_owned(),
            ..Diagnostic::default()
        };
        self.push(diagnostic, &rendered);
    }

    /// A fault of our own.
    pub fn internal(&mut self, message: &str) {
        let diagnostic = Diagnostic {
            severity: Severity::Error.into(),
            message: message.to_owned(),
            code: "internal".to_owned(),
            ..Diagnostic::default()
        };
        self.push(diagnostic, &format!("error: {message}\n"));
    }

    /// Something that Rune said.
    pub fn rune(&mut self, diagnostic: &RuneDiagnostic, limits: &Limits) {
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            // Rendering costs far more than compiling.
            self.has_errors |= matches!(diagnostic, RuneDiagnostic::Fatal(_));
            return;
        }
        let mut buffer = Buffer::no_color();
        let (severity, source, place, message) = match diagnostic {
            RuneDiagnostic::Fatal(fatal) => {
                let place = match fatal.kind() {
                    FatalDiagnosticKind::CompileError(error) => Some(error.span().range()),
                    _ => None,
                };
                let _ = fatal.emit(&mut buffer, self.sources);
                (Severity::Error, fatal.source_id(), place, fatal.to_string())
            }
            RuneDiagnostic::Warning(warning) => {
                let _ = warning.emit(&mut buffer, self.sources);
                (
                    Severity::Warning,
                    warning.source_id(),
                    Some(warning.span().range()),
                    warning.to_string(),
                )
            }
            _ => return,
        };
        // Rune's word for the crate of the script means nothing to its author.
        let rendered = String::from_utf8_lossy(buffer.as_slice()).replace(ROOT, "");
        let message = message
            .replace(ROOT, "")
            .replace("module `{root}`", "the main file");
        if let Some(item) = hidden_item(&message) {
            self.hidden.push(item.to_owned());
        } else if message
            .strip_prefix("Missing item ")
            .is_some_and(|item| self.hidden.iter().any(|hidden| hidden == item))
        {
            return;
        }
        // Where the tokens did not show it, as in a template or by another name of the crate.
        let (message, is_violation) = match modules::missing(&message, self.mask) {
            Some((module, level)) if !self.is_violation_named => (lacking(&module, level), true),
            _ => (message, false),
        };
        let advice = place.as_ref().and_then(|place| {
            hints::advice(
                self.scans.get(source.into_index())?,
                place.clone(),
                &message,
            )
        });
        let (hint, place) = match advice {
            _ if is_violation => (VIOLATION_HINT.to_owned(), place),
            Some(advice) => (advice.hint, Some(advice.place)),
            None => match known_hint(&message, limits) {
                hint if hint.is_empty() => (notes(&rendered), place),
                hint => (hint, place),
            },
        };
        let diagnostic = Diagnostic {
            severity: severity.into(),
            code: match severity {
                Severity::Warning => "warning",
                _ if is_violation => VIOLATION,
                _ => code(&message),
            }
            .to_owned(),
            message: shorten(&message, MAX_MESSAGE_BYTES),
            span: place.and_then(|place| span(self.sources, source, place.start, place.end)),
            hint,
        };
        self.push(diagnostic, &rendered);
    }

    /// The messages, and the text for people.
    pub fn into_parts(self) -> (Vec<Diagnostic>, String) {
        (
            self.diagnostics,
            shorten(&self.rendered, MAX_RENDERED_BYTES),
        )
    }

    fn push(&mut self, diagnostic: Diagnostic, rendered: &str) {
        self.has_errors |= diagnostic.severity == i32::from(Severity::Error);
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            return;
        }
        if self.rendered.len() < MAX_RENDERED_BYTES {
            self.rendered.push_str(rendered.trim_end());
            if !diagnostic.hint.is_empty() && !rendered.contains(&diagnostic.hint) {
                self.rendered.push_str("\n  = hint: ");
                self.rendered.push_str(&diagnostic.hint);
            }
            self.rendered.push_str("\n\n");
        }
        self.diagnostics.push(diagnostic);
    }

    fn excerpt(&self, message: &str, span: Option<&Span>, source: usize) -> String {
        let (Some(span), Some((name, text))) = (span, self.texts.get(source)) else {
            return format!("error: {message}\n");
        };
        let line = text.lines().nth(span.line as usize - 1).unwrap_or_default();
        let number = span.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(span.column as usize - 1);
        let width = if span.end_line == span.line {
            span.end_column.saturating_sub(span.column).max(1)
        } else {
            1
        };
        format!(
            "error: {message}\n{margin} --> {name}:{number}:{}\n{margin} |\n{number} | {line}\n{margin} | {indent}{}\n",
            span.column,
            "^".repeat(width as usize)
        )
    }
}

/// A stable word for a message of Rune.
pub fn code(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("failed to allocate") || message.contains("capacity overflow") {
        "limit.memory"
    } else if message.contains("evaluation budget exceeded") {
        "limit.const"
    } else if hidden_item(&message).is_some() {
        "name.private"
    } else if message.starts_with("missing item")
        || message.contains("no local variable")
        || message.contains("missing")
    {
        "name.missing"
    } else if message.starts_with("expected")
        || message.contains("unexpected")
        || message.contains("unterminated")
        || message.contains("literal")
        || message.contains("escape")
        || message.contains("invalid")
    {
        "syntax"
    } else {
        "compile"
    }
}

/// The item or module that is said to be private.
fn hidden_item(message: &str) -> Option<&str> {
    let (_, item) = message
        .split_once(" not accessible from ")
        .and_then(|(said, _)| said.split_once('`'))?;
    item.split('`').next()
}

/// Advice for what the message alone tells; else empty.
pub fn known_hint(message: &str, limits: &Limits) -> String {
    match code(message) {
        "limit.memory" => format!(
            "the compiler may use {} bytes; make the source or its constants smaller",
            limits.memory_bytes
        ),
        "name.private" => "declare it `pub`, and each module on the way to it `pub mod`".to_owned(),
        "limit.const" => {
            "constants may only compute a little; compute it in a function instead".to_owned()
        }
        _ => String::new(),
    }
}

/// A place in a source, lines and columns from 1.
pub fn span(sources: &Sources, id: SourceId, start: usize, end: usize) -> Option<Span> {
    let source = sources.get(id)?;
    let (line, column) = source.pos_to_utf8_linecol(start);
    let (end_line, end_column) = source.pos_to_utf8_linecol(end);
    Some(Span {
        file: source.name().to_owned(),
        line: line as u32 + 1,
        column: column as u32 + 1,
        end_line: end_line as u32 + 1,
        end_column: end_column as u32 + 1,
    })
}

fn source_id(index: usize) -> SourceId {
    SourceId::new(index as u32)
}

/// The notes of a rendered diagnostic.
fn notes(rendered: &str) -> String {
    let notes: Vec<_> = rendered
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("= "))
        .collect();
    notes.join("; ").trim_start_matches("Hint: ").to_owned()
}

fn lacking(module: &str, level: &str) -> String {
    let known = KNOWN.iter().find(|known| known.path == module);
    let condition = known.map_or("", |known| known.condition);
    format!(
        "the module `{module}` is not available at this security level; {level} has it{condition}"
    )
}
