//! `crucible::basic::time`: the clock that moves only by what the server says.

use rune::runtime::VmResult;
use rune::{ContextError, Module};

use super::info::function;
use crate::child;
use crate::frames::v1::ModuleFunction;

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["basic", "time"])?;
    module
        .function("now", || nanoseconds(|time| time as f64 / 1e9))
        .build()?;
    module
        .function("now_ns", || nanoseconds(|time| time))
        .build()?;
    Ok(module)
}

fn nanoseconds<T>(as_wanted: impl FnOnce(i64) -> T) -> VmResult<T> {
    match child::with(|session| session.time_ns) {
        Some(time) => VmResult::Ok(as_wanted(time)),
        None => VmResult::panic("there is no clock"),
    }
}

pub fn functions() -> Vec<ModuleFunction> {
    let doc =
        "It stands still while the script computes and moves with every answer of the server.";
    vec![
        function(
            "time::now",
            "time::now()",
            &format!("Seconds since 1970 as a float. {doc}"),
        ),
        function(
            "time::now_ns",
            "time::now_ns()",
            &format!("Nanoseconds since 1970 as an integer. {doc}"),
        ),
    ]
}
