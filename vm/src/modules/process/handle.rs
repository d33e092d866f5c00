//! `Process`: a program that runs beside the script.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use rune::alloc::fmt::TryWrite;
use rune::runtime::{Bytes, Formatter, Protocol, VmResult};
use rune::{vm_try, Any, ContextError, Module, Value};

use super::super::options::{self, fail, outcome, Outcome};
use super::command::Started;
use super::run;
use crate::development::incoming::{self, Shared};
use crate::development::processes::Process;

#[derive(Any)]
#[rune(item = ::crucible::process, name = Process)]
pub struct Handle {
    process: Process,
    stdin: Option<Rc<OwnedFd>>,
    stdout: Shared,
    stderr: Shared,
}

impl Handle {
    pub fn new(started: Started) -> Result<Handle, String> {
        Ok(Handle {
            process: started.process,
            stdin: started.stdin.map(Rc::new),
            stdout: started.stdout.shared(),
            stderr: started.stderr.shared(),
        })
    }
}

pub fn install(module: &mut Module) -> Result<(), ContextError> {
    module.ty::<Handle>()?;
    module.field_function(&Protocol::GET, "pid", |handle: &Handle| {
        i64::from(handle.process.pid)
    })?;
    module.associated_function("write", |handle: &Handle, data: Value| {
        let data = options::data("Process::write", "the data", &data);
        let stdin = handle.stdin.clone();
        async move {
            let Some(stdin) = stdin else {
                return fail("write: the standard input is closed");
            };
            outcome(incoming::write_all(stdin, vm_try!(data), None).await)
        }
    })?;
    module.associated_function("close_stdin", |handle: &mut Handle| handle.stdin = None)?;
    module.associated_function("read", |handle: &Handle, most: Value| {
        let most = options::count("Process::read", "the most bytes", &most);
        let stdout = handle.stdout.clone();
        async move { read(stdout, vm_try!(most)).await }
    })?;
    module.associated_function("read_line", |handle: &Handle| {
        read_line(handle.stdout.clone())
    })?;
    module.associated_function("read_error_line", |handle: &Handle| {
        read_line(handle.stderr.clone())
    })?;
    module.associated_function("wait", |handle: &Handle| run::wait(handle.process.clone()))?;
    module.associated_function("kill", |handle: &Handle| {
        handle.process.signal(libc::SIGKILL)
    })?;
    module.associated_function("signal", |handle: &Handle, number: i64| {
        let number = libc::c_int::try_from(number).ok();
        match number.filter(|number| (1..=64).contains(number)) {
            Some(number) => VmResult::Ok(handle.process.signal(number)),
            None => VmResult::panic("Process::signal: expected a signal from 1 to 64"),
        }
    })?;
    module.associated_function(
        &Protocol::DEBUG_FMT,
        |handle: &Handle, formatter: &mut Formatter| {
            vm_try!(write!(
                formatter,
                "Process {{ pid: {} }}",
                handle.process.pid
            ));
            VmResult::Ok(())
        },
    )?;
    Ok(())
}

async fn read(stdout: Shared, most: usize) -> VmResult<Outcome<Bytes>> {
    match incoming::read(stdout, most, None).await {
        Ok(data) => VmResult::Ok(Ok(vm_try!(options::bytes(&data)))),
        Err(message) => fail(message),
    }
}

async fn read_line(incoming: Shared) -> VmResult<Outcome<Option<String>>> {
    outcome(incoming::read_line(incoming, None).await)
}
