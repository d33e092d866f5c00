//! `crucible::process`: programs that a script of the Development level starts. They have its user and its rights, and end
//! with it at the latest.

mod command;
mod handle;
mod run;

use rune::runtime::VmResult;
use rune::{vm_try, ContextError, Module, Value};

use super::info::{function, module_info};
use super::options::{fail, Outcome};
use crate::frames::v1::{ModuleFunction, ModuleInfo};
use command::{Command, Streams};
pub use handle::Handle;

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["process"])?;
    module
        .function("run", |program: &str, args: Value, options: Value| {
            // Started at once, awaited later: several run before the first is awaited.
            let begun = run::begin(program, &args, &options);
            async move { run::finish(begun).await }
        })
        .build()?;
    module.function("spawn", spawn).build()?;
    handle::install(&mut module)?;
    Ok(module)
}

fn spawn(program: &str, args: Value, options: Value) -> VmResult<Outcome<Handle>> {
    let command = vm_try!(Command::read(
        "process::spawn",
        program,
        &args,
        &options,
        &["env", "cwd"]
    ));
    match command.start(Streams::Piped).and_then(Handle::new) {
        Ok(handle) => VmResult::Ok(Ok(handle)),
        Err(message) => fail(message),
    }
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    let awaited = |name: &str, signature: &str, doc: &str| ModuleFunction {
        is_async: true,
        ..function(name, signature, doc)
    };
    module_info(
        "crucible::process",
        "Programs on the server's machine. What a script starts ends with it at the latest.",
        vec![
            awaited(
                "run",
                "run(program, args, #{ stdin, env, cwd, timeout, max_output, bytes })",
                "Runs a program to its end; every option may be left out. Returns a Result of an object with success, status, \
                 signal, stdout and stderr.",
            ),
            function(
                "spawn",
                "spawn(program, args, #{ env, cwd })",
                "Starts a program and returns a Result of a Process to talk to.",
            ),
            function("Process.pid", "process.pid", "Its number, as the script and its programs see it."),
            awaited("Process.write", "process.write(data)", "Writes text or bytes to its standard input. Returns a Result."),
            function("Process.close_stdin", "process.close_stdin()", "Ends its standard input."),
            awaited("Process.read", "process.read(most)", "So many bytes of its standard output at most, none at the end. Returns a Result."),
            awaited("Process.read_line", "process.read_line()", "A line of its standard output: a Result of `Some(text)`, or `None` at the end."),
            awaited("Process.read_error_line", "process.read_error_line()", "The same of its standard error."),
            awaited("Process.wait", "process.wait()", "Waits for its end: a Result of an object with success, status and signal."),
            function("Process.kill", "process.kill()", "Kills it and the process group that it leads; false when it has ended."),
            function("Process.signal", "process.signal(number)", "Sends them a signal; false when it has ended."),
        ],
    )
}
