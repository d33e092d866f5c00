//! From a source to byte code, functions and diagnostics. Never reads the disk or the environment.

mod diagnostics;
mod functions;
mod hints;
mod loader;
mod modules;
mod tokens;
mod unused;
mod visitor;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Instant;

use rune::{Context, Diagnostics, Options, Source, SourceId, Sources, Unit};

use crate::child::{Limits, Preloaded};
use crate::execute::failure;
use crate::frames::v1::{Diagnostic, ScriptSource, Severity};
use crate::frames::vm::CompileResult;
use crate::leave;
use crate::unit;
use diagnostics::Report;
use loader::Files;
use visitor::Visitor;

const MAIN_FILE: &str = "main.rn";

/// What Rune left behind, compiled or not.
struct Built {
    unit: Option<Unit>,
    sources: Sources,
    diagnostics: Diagnostics,
    visitor: Visitor,
    /// Files that no `mod` includes, and how many.
    left_over: (String, usize),
}

/// Compiles `source` with the modules of `mask`. What the compiler says is in the result, never an error of its own.
pub fn compile(
    preloaded: &Preloaded,
    mask: u32,
    source: &ScriptSource,
    limits: &Limits,
) -> CompileResult {
    let started = Instant::now();
    let name = if source.file_name.is_empty() {
        MAIN_FILE
    } else {
        &source.file_name
    };
    let context = preloaded.context();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        rune::alloc::limit::with(limits.memory_bytes, || build(context, name, source)).call()
    }));
    let mut result = match caught {
        Ok(Ok(built)) => finish(preloaded, mask, source, built, limits),
        Ok(Err(error)) => refused(limits, &format!("the source cannot be taken in: {error}")),
        Err(panic) => refused(
            limits,
            &format!("the compiler failed: {}", failure::panic_text(&*panic)),
        ),
    };
    result.compile_time_us = started.elapsed().as_micros() as u64;
    result
}

/// Compiles a text of our own.
pub fn trusted(context: &Context, text: &str) -> Result<Unit, String> {
    let source = ScriptSource {
        source: text.to_owned(),
        ..ScriptSource::default()
    };
    let built = build(context, MAIN_FILE, &source).map_err(|error| error.to_string())?;
    built
        .unit
        .ok_or_else(|| format!("a built-in text does not compile: {:?}", built.diagnostics))
}

fn build(
    context: &Context,
    name: &str,
    source: &ScriptSource,
) -> Result<Built, rune::alloc::Error> {
    let mut sources = Sources::new();
    sources.insert(Source::with_path(name, &source.source, name)?)?;
    let mut diagnostics = Diagnostics::new();
    let mut visitor = Visitor::default();
    let mut files = Files::new(&source.files);
    let options = Options::default();
    let unit = rune::prepare(&mut sources)
        .with_context(context)
        .with_diagnostics(&mut diagnostics)
        .with_options(&options)
        .with_source_loader(&mut files)
        .with_visitor(&mut visitor)?
        .build();
    Ok(Built {
        unit: unit.ok(),
        sources,
        diagnostics,
        visitor,
        left_over: files.left_over(),
    })
}

fn finish(
    preloaded: &Preloaded,
    mask: u32,
    source: &ScriptSource,
    built: Built,
    limits: &Limits,
) -> CompileResult {
    let Built {
        unit,
        sources,
        diagnostics,
        visitor,
        left_over,
    } = built;
    let texts = texts(&sources, source);
    let scans: Vec<_> = texts.iter().map(|(_, text)| tokens::scan(text)).collect();
    let mut report = Report::new(&sources, &texts, &scans, mask);
    for violation in modules::violations(&scans, &visitor.items, mask) {
        report.violation(&violation);
    }
    // Only so many are reported: errors must not drown in warnings.
    let (errors, others): (Vec<_>, Vec<_>) = diagnostics
        .diagnostics()
        .iter()
        .partition(|diagnostic| matches!(diagnostic, rune::diagnostics::Diagnostic::Fatal(_)));
    for diagnostic in errors.into_iter().chain(others) {
        report.rune(diagnostic, limits);
    }
    if left_over.1 > 0 {
        report.left_over(&left_over.0);
    }
    let mut result = CompileResult::default();
    if let (Some(unit), false) = (unit, report.has_errors()) {
        let functions = functions::declared(preloaded, &visitor, unit, &sources, &scans);
        match unit::encode(&functions.unit, &functions.table, &texts) {
            Ok(bytes) => result.unit = bytes,
            Err(message) => report.internal(&message),
        }
        result.functions = functions.infos;
        result.modules = modules::used(&scans, &visitor.items);
        leave::behind(functions.unit);
    }
    (result.diagnostics, result.rendered) = report.into_parts();
    // A source can build trees so deep that dropping them overflows the stack.
    leave::behind((sources, diagnostics, visitor));
    result
}

/// Names and texts by source id.
fn texts(sources: &Sources, source: &ScriptSource) -> Vec<(String, String)> {
    (0..)
        .map_while(|id| sources.get(SourceId::new(id)))
        .enumerate()
        .map(|(id, found)| {
            let name = found.name().to_owned();
            let text = if id == 0 {
                Some(&source.source)
            } else {
                source.files.get(&name)
            };
            (name, text.cloned().unwrap_or_default())
        })
        .collect()
}

fn refused(limits: &Limits, message: &str) -> CompileResult {
    let diagnostic = Diagnostic {
        severity: Severity::Error.into(),
        message: message.to_owned(),
        code: diagnostics::code(message).to_owned(),
        hint: diagnostics::known_hint(message, limits),
        ..Diagnostic::default()
    };
    CompileResult {
        rendered: format!("error: {message}\n"),
        diagnostics: vec![diagnostic],
        ..CompileResult::default()
    }
}
