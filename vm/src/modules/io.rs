//! `std::io`: what a script prints becomes frames to the server.

use rune::alloc::fmt::TryWrite;
use rune::runtime::{InstAddress, Memory, Output, VmError, VmResult};
use rune::{vm_try, ContextError, Module};

use crate::child::{self, Stream};

/// `print`, `println` and `dbg`; the macros of the same names are Rune's own and call these.
pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("std", ["io"])?;
    module
        .function("print", |text: &str| write(Stream::Stdout, &[text]))
        .build()?;
    module
        .function("println", |text: &str| write(Stream::Stdout, &[text, "\n"]))
        .build()?;
    module.raw_function("dbg", dbg).build()?;
    Ok(module)
}

/// Writes the parts to a stream of the script. A limit that is passed ends the execution.
pub fn write(stream: Stream, parts: &[&str]) -> VmResult<()> {
    match child::with(|session| session.write(stream, parts)) {
        Some(Ok(())) => VmResult::Ok(()),
        Some(Err(fatal)) => VmResult::panic(fatal.message),
        None => VmResult::panic("there is nowhere to write to"),
    }
}

fn dbg(stack: &mut dyn Memory, address: InstAddress, count: usize, output: Output) -> VmResult<()> {
    for value in vm_try!(stack.slice_at(address, count)) {
        // Rune's own string, so that the memory limit covers it.
        let mut text = rune::alloc::String::new();
        vm_try!(writeln!(text, "{value:?}").map_err(VmError::panic));
        vm_try!(write(Stream::Stdout, &[&text]));
    }
    vm_try!(output.store(stack, ()));
    VmResult::Ok(())
}
