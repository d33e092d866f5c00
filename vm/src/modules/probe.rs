//! A module of the tests: host calls that do not block.

use rune::runtime::{Future, VmResult};
use rune::{vm_try, ContextError, Module, Value};

use super::host;
use crate::frames::v1::{value::Kind, Value as Wire};

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["probe"])?;
    module.function("ask", ask).build()?;
    Ok(module)
}

fn ask(name: &str) -> VmResult<Future> {
    let arguments = Wire {
        kind: Some(Kind::StringValue(name.to_owned())),
    };
    let call = vm_try!(host::call("crucible.probe.ask", 1, arguments));
    let future = async move { VmResult::<Value>::Ok(vm_try!(rune::to_value(vm_try!(call.await)))) };
    VmResult::Ok(vm_try!(Future::new(future)))
}
