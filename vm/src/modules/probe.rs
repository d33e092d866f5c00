//! A module of the tests: host calls that do not block.

use rune::runtime::VmResult;
use rune::{vm_try, ContextError, Module};

use super::host::{self, Reply};
use crate::frames::v1::{value::Kind, Value as Wire};

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["probe"])?;
    let ask = |name: rune::alloc::String| {
        let arguments = Wire {
            kind: Some(Kind::StringValue(name.as_str().to_owned())),
        };
        // Called at once, awaited later: several are in flight before the first is awaited.
        let call = host::call("crucible.probe.ask", 1, arguments);
        async move { VmResult::<Reply>::Ok(vm_try!(vm_try!(call).await)) }
    };
    module.function("ask", ask).build()?;
    Ok(module)
}
