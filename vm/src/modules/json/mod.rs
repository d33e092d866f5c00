//! `crucible::json`: JSON text to values and back. Integers stay exact, memory counts as the script's, depth is bounded.

mod read;
#[cfg(test)]
mod tests;
mod write;

use rune::alloc;
use rune::runtime::{Bytes, VmError, VmResult};
use rune::{vm_try, ContextError, Module, Value};

pub use write::Style;

use super::info::{function, module_info};
use crate::frames::v1::ModuleInfo;

/// Nested arrays and objects, in both directions.
pub const MAX_DEPTH: usize = 128;

/// What a function returns to the script: the result, or the message of an `Err`.
pub type Outcome<T> = Result<T, alloc::String>;

/// Why a text or a value cannot pass.
#[derive(Debug)]
pub enum Problem {
    /// For the script, which may handle it.
    Unfit(String),
    /// The script's memory is used up, or a protocol failed: no `Err`, but the end.
    Vm(VmError),
}

impl From<alloc::Error> for Problem {
    fn from(error: alloc::Error) -> Problem {
        Problem::Vm(VmError::from(error))
    }
}

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["json"])?;
    for name in ["from_string", "parse"] {
        module
            .function(name, |text: &str| parse(text.as_bytes()))
            .build()?;
    }
    module
        .function("from_bytes", |bytes: &[u8]| parse(bytes))
        .build()?;
    for name in ["to_string", "stringify"] {
        module
            .function(name, |value: Value| text(&value, Style::Compact))
            .build()?;
    }
    module
        .function("to_string_pretty", |value: Value| {
            text(&value, Style::Pretty)
        })
        .build()?;
    module
        .function("to_bytes", |value: Value| {
            let text = vm_try!(text(&value, Style::Compact));
            VmResult::Ok(text.map(|text| Bytes::from_vec(text.into_bytes())))
        })
        .build()?;
    Ok(module)
}

/// The value of a JSON text.
pub fn parse(text: &[u8]) -> VmResult<Outcome<Value>> {
    told(read::read(text))
}

/// The JSON text of a value.
pub fn text(value: &Value, style: Style) -> VmResult<Outcome<alloc::String>> {
    told(write::write(value, style))
}

fn told<T>(result: Result<T, Problem>) -> VmResult<Outcome<T>> {
    match result {
        Ok(value) => VmResult::Ok(Ok(value)),
        Err(Problem::Unfit(message)) => {
            VmResult::Ok(Err(vm_try!(alloc::String::try_from(message))))
        }
        Err(Problem::Vm(error)) => VmResult::Err(error),
    }
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    module_info(
        "crucible::json",
        "JSON: 1 is an integer and 1.0 is not, integers are exact up to 64 bits, at most 128 levels deep.",
        vec![
            function("from_string", "from_string(text)", "The value of a JSON text. Returns a Result; the error names line and column."),
            function("from_bytes", "from_bytes(bytes)", "The same from UTF-8 bytes."),
            function("to_string", "to_string(value)", "JSON without spaces, the names of objects in order. Returns a Result."),
            function("to_string_pretty", "to_string_pretty(value)", "JSON with line breaks, indented by two spaces. Returns a Result."),
            function("to_bytes", "to_bytes(value)", "As to_string, as bytes."),
            function("parse", "parse(text)", "Another name of from_string."),
            function("stringify", "stringify(value)", "Another name of to_string."),
        ],
    )
}
