//! The functions of a script: for the caller, and for the table that executions are checked against.

use std::collections::HashSet;
use std::sync::Arc;

use rune::runtime::debug::DebugArgs;
use rune::{SourceId, Sources, Unit, Vm};

use super::diagnostics::span;
use super::tokens::Scan;
use super::unused::{self, Written};
use super::visitor::{Declared, Visitor};
use crate::child::Preloaded;
use crate::frames::v1::{FunctionInfo, ParameterInfo, Span};
use crate::leave;
use crate::unit::Function;

/// Functions in both forms, and the unit they are in.
pub struct Functions {
    pub unit: Arc<Unit>,
    pub table: Vec<Function>,
    pub infos: Vec<FunctionInfo>,
}

/// Gathers what is known about each function: public ones first, else in the order of the source.
pub fn declared(
    preloaded: &Preloaded,
    visitor: &Visitor,
    unit: Unit,
    sources: &Sources,
    scans: &[Scan<'_>],
) -> Functions {
    let unit = Arc::new(unit);
    let vm = Vm::new(preloaded.any_runtime(), unit.clone());
    let mut order: Vec<&Declared> = visitor.functions.iter().collect();
    order.sort_by_key(|function| (function.source_id.into_index(), function.start));
    let files = |source: usize| {
        let source = sources.get(SourceId::new(source as u32));
        source.map(|source| source.name()).unwrap_or_default()
    };
    let private_modules: HashSet<String> = scans
        .iter()
        .enumerate()
        .flat_map(|(source, scan)| unused::private_modules(scan, source, files(source)))
        .collect();
    let mut rows: Vec<(Function, FunctionInfo)> = order
        .into_iter()
        .filter_map(|declared| {
            let parameters = parameters(&unit, declared)?;
            let call = format!("{:?}", vm.lookup_function(declared.hash).ok()?);
            let scan = scans.get(declared.source_id.into_index())?;
            let (start, is_public) = declaration(scan, declared)?;
            let function = Function {
                name: declared.name.clone(),
                parameters,
                is_public: is_public && !is_inside(&declared.name, &private_modules),
                is_async: call.starts_with("async") || call.starts_with("stream"),
                is_generator: call.starts_with("generator") || call.starts_with("stream"),
            };
            let doc = visitor
                .docs
                .get(&declared.hash)
                .cloned()
                .unwrap_or_default();
            let span = span(sources, declared.source_id, start, declared.end);
            let info = describe(&function, doc, span);
            Some((function, info))
        })
        .collect();
    for (source, scan) in scans.iter().enumerate() {
        for written in unused::written(scan, source, files(source)) {
            if !rows.iter().any(|(known, _)| known.name == written.name) {
                rows.push(private(sources, written));
            }
        }
    }
    rows.sort_by_key(|(function, _)| !function.is_public);
    leave::behind(vm);
    let (table, infos) = rows.into_iter().unzip();
    Functions { unit, table, infos }
}

/// Whether one of the modules that `name` is in is among these.
fn is_inside(name: &str, modules: &HashSet<String>) -> bool {
    name.match_indices("::")
        .any(|(end, _)| modules.contains(&name[..end]))
}

fn private(sources: &Sources, written: Written) -> (Function, FunctionInfo) {
    let function = Function {
        name: written.name,
        parameters: written.parameters,
        is_public: false,
        is_async: written.is_async,
        is_generator: written.is_generator,
    };
    let span = span(
        sources,
        SourceId::new(written.source as u32),
        written.start,
        written.end,
    );
    let info = describe(&function, String::new(), span);
    (function, info)
}

fn describe(function: &Function, doc: String, span: Option<Span>) -> FunctionInfo {
    FunctionInfo {
        name: function.name.clone(),
        parameters: function
            .parameters
            .iter()
            .map(|name| ParameterInfo { name: name.clone() })
            .collect(),
        doc,
        is_public: function.is_public,
        is_async: function.is_async,
        is_generator: function.is_generator,
        span,
    }
}

fn parameters(unit: &Unit, declared: &Declared) -> Option<Vec<String>> {
    let signature = unit.debug_info()?.functions.get(&declared.hash)?;
    Some(match &signature.args {
        DebugArgs::EmptyArgs => Vec::new(),
        DebugArgs::TupleArgs(count) => (0..*count).map(|at| format!("_{at}")).collect(),
        DebugArgs::Named(names) => names
            .iter()
            .enumerate()
            .map(|(at, name)| parameter(at, name))
            .collect(),
    })
}

/// A pattern has no name of its own.
fn parameter(at: usize, name: &str) -> String {
    let is_name = name != "_"
        && name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_');
    if is_name {
        name.to_owned()
    } else {
        format!("_{at}")
    }
}

/// Where the declaration starts, after comments and attributes, and whether it is `pub`; `pub(crate)` and the like are
/// not public.
fn declaration(scan: &Scan<'_>, declared: &Declared) -> Option<(usize, bool)> {
    let first = scan.at(declared.start);
    // The span may begin anywhere between the comments and the name.
    let mut at = (first..scan.tokens.len())
        .find(|at| scan.word(*at) == "fn")
        .unwrap_or(first);
    while at > 0 && matches!(scan.word(at - 1), "async" | "const") {
        at -= 1;
    }
    let is_public = at > 0 && scan.word(at - 1) == "pub";
    if is_public {
        at -= 1;
    } else if at > 3 && scan.word(at - 1) == ")" && scan.word(at - 4) == "pub" {
        at -= 4;
    }
    Some((scan.tokens.get(at)?.start, is_public))
}
