//! How modules describe themselves to the server's catalogue.

use crate::frames::v1::{ModuleFunction, ModuleInfo};

/// A module with its functions.
pub fn module_info(name: &str, doc: &str, functions: Vec<ModuleFunction>) -> ModuleInfo {
    ModuleInfo {
        name: name.to_owned(),
        doc: doc.to_owned(),
        functions,
    }
}

/// A function that stays inside the interpreter.
pub fn function(name: &str, signature: &str, doc: &str) -> ModuleFunction {
    ModuleFunction {
        name: name.to_owned(),
        signature: signature.to_owned(),
        doc: doc.to_owned(),
        is_async: false,
        host_call: String::new(),
    }
}

/// A function that is to be awaited: the server answers it by a host call.
pub fn asked(name: &str, signature: &str, doc: &str, host_call: &str) -> ModuleFunction {
    ModuleFunction {
        is_async: true,
        host_call: host_call.to_owned(),
        ..function(name, signature, doc)
    }
}
