//! The functions of a script: for the caller, and for the table that executions are checked against.

use std::sync::Arc;

use rune::runtime::debug::DebugArgs;
use rune::{Sources, Unit, Vm};

use super::diagnostics::span;
use super::tokens::Scan;
use super::visitor::{Declared, Visitor};
use crate::child::Preloaded;
use crate::frames::v1::{FunctionInfo, ParameterInfo};
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
    mask: u32,
    visitor: &Visitor,
    unit: Unit,
    sources: &Sources,
    scans: &[Scan<'_>],
) -> Functions {
    let unit = Arc::new(unit);
    let vm = Vm::new(preloaded.runtime(mask), unit.clone());
    let mut order: Vec<&Declared> = visitor.functions.iter().collect();
    order.sort_by_key(|function| (function.source_id.into_index(), function.start));
    let mut rows: Vec<(Function, FunctionInfo)> = order
        .into_iter()
        .filter_map(|declared| {
            let parameters = parameters(&unit, declared)?;
            let call = format!("{:?}", vm.lookup_function(declared.hash).ok()?);
            let scan = scans.get(declared.source_id.into_index())?;
            let function = Function {
                name: declared.name.clone(),
                parameters,
                is_public: is_public(scan, declared),
                is_async: call.starts_with("async") || call.starts_with("stream"),
                is_generator: call.starts_with("generator") || call.starts_with("stream"),
            };
            let info = FunctionInfo {
                name: function.name.clone(),
                parameters: function
                    .parameters
                    .iter()
                    .map(|name| ParameterInfo { name: name.clone() })
                    .collect(),
                doc: visitor
                    .docs
                    .get(&declared.hash)
                    .cloned()
                    .unwrap_or_default(),
                is_public: function.is_public,
                is_async: function.is_async,
                is_generator: function.is_generator,
                span: span(sources, declared.source_id, declared.start, declared.end),
            };
            Some((function, info))
        })
        .collect();
    rows.sort_by_key(|(function, _)| !function.is_public);
    std::mem::forget(vm);
    let (table, infos) = rows.into_iter().unzip();
    Functions { unit, table, infos }
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

/// `pub` before the function and before every module around it; `pub(crate)` and the like are not public.
fn is_public(scan: &Scan<'_>, declared: &Declared) -> bool {
    let mut at = scan.at(declared.start);
    // The span may begin anywhere between the visibility and the name.
    while at < scan.tokens.len() && scan.word(at) != "fn" && scan.tokens[at].start < declared.end {
        at += 1;
    }
    while at > 0 && matches!(scan.word(at - 1), "async" | "const" | "fn") {
        at -= 1;
    }
    at > 0 && scan.word(at - 1) == "pub"
}
