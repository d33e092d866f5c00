//! `process::run`: a program from its start to its end.

use std::os::fd::{AsRawFd, OwnedFd};

use rune::alloc;
use rune::runtime::{Object, VmResult};
use rune::{vm_try, Value};

use super::super::options::{self, fail, from_now, Outcome};
use super::command::{Command, Started, Streams};
use crate::development::incoming::{write, Incoming};
use crate::development::processes::Process;
use crate::development::waits;

const OPTIONS: [&str; 6] = ["stdin", "env", "cwd", "timeout", "max_output", "bytes"];

pub struct Begun {
    command: Command,
    started: Result<Started, String>,
}

/// Starts the program.
pub fn begin(program: &str, args: &Value, given: &Value) -> VmResult<Begun> {
    let command = vm_try!(Command::read(
        "process::run",
        program,
        args,
        given,
        &OPTIONS
    ));
    let started = command.start(Streams::Nothing);
    VmResult::Ok(Begun { command, started })
}

/// Feeds and hears it until it ends. What it leaves running in the background is not waited for.
pub async fn finish(begun: VmResult<Begun>) -> VmResult<Outcome<Object>> {
    let Begun { command, started } = vm_try!(begun);
    let mut started = match started {
        Ok(started) => started,
        Err(message) => return fail(message),
    };
    let status = match follow(&command, &mut started).await {
        Ok(status) => status,
        Err(message) => {
            started.process.signal(libc::SIGKILL);
            while started.process.status().is_none() {
                waits::any(vec![started.process.interest()], None).await;
            }
            return fail(format!("process::run of {message}"));
        }
    };
    let mut object = vm_try!(ended(status));
    for (name, incoming) in [
        ("stdout", &mut started.stdout),
        ("stderr", &mut started.stderr),
    ] {
        let data = incoming.take();
        let value = if command.bytes {
            vm_try!(Value::new(vm_try!(options::bytes(&data))))
        } else {
            match std::str::from_utf8(&data) {
                Ok(text) => vm_try!(Value::try_from(vm_try!(alloc::String::try_from(text)))),
                Err(_) => {
                    return fail(format!(
                        "process::run: expected UTF-8 text on {name}, but it is not; use the option `bytes: true`"
                    ))
                }
            }
        };
        vm_try!(object.insert(vm_try!(alloc::String::try_from(name)), value));
    }
    VmResult::Ok(Ok(object))
}

async fn follow(command: &Command, started: &mut Started) -> Result<libc::c_int, String> {
    let until = from_now(command.timeout);
    let mut input = command.stdin.as_deref().unwrap_or_default();
    let what = format!("{:?}", command.name());
    loop {
        // Asked before the pipes are read: what it wrote before its end is in them by then.
        let status = started.process.status();
        for incoming in [&mut started.stdout, &mut started.stderr] {
            drain(incoming, command.max_output).map_err(|error| format!("{what}: {error}"))?;
        }
        if started.stdout.buffered() + started.stderr.buffered() > command.max_output {
            return Err(format!(
                "{what}: expected at most {} bytes of output, but it wrote more and was killed; raise max_output",
                command.max_output
            ));
        }
        if let Some(status) = status {
            return Ok(status);
        }
        feed(&mut started.stdin, &mut input);
        let mut interests = vec![started.process.interest()];
        interests.extend(started.stdout.interest());
        interests.extend(started.stderr.interest());
        let stdin = started.stdin.as_ref();
        interests.extend(stdin.map(|stdin| (stdin.as_raw_fd(), libc::POLLOUT)));
        if !waits::any(interests, until).await {
            return Err(format!(
                "{what}: it ran longer than {} s and was killed; raise the timeout",
                command.timeout.unwrap_or_default().as_secs_f64()
            ));
        }
    }
}

/// Reads what is there, up to the bound and a little more.
fn drain(incoming: &mut Incoming, most: usize) -> Result<(), std::io::Error> {
    while incoming.interest().is_some() && incoming.buffered() <= most {
        if !incoming.fill()? {
            break;
        }
    }
    Ok(())
}

/// Writes what it takes. One that reads no further than it likes is no error.
fn feed(stdin: &mut Option<OwnedFd>, input: &mut &[u8]) {
    while let Some(open) = stdin {
        match write(open.as_raw_fd(), input) {
            Ok(count) if count == input.len() => *stdin = None,
            Ok(0) => break,
            Ok(count) => *input = &input[count..],
            Err(_) => *stdin = None,
        }
    }
}

/// How a process ended: `status` is what it exited with, `signal` what ended it, the other is `None`.
pub fn ended(status: libc::c_int) -> VmResult<Object> {
    let exited = libc::WIFEXITED(status).then(|| i64::from(libc::WEXITSTATUS(status)));
    let signal = libc::WIFSIGNALED(status).then(|| i64::from(libc::WTERMSIG(status)));
    let mut object = Object::new();
    for (name, value) in [
        ("success", vm_try!(rune::to_value(exited == Some(0)))),
        ("status", vm_try!(rune::to_value(exited))),
        ("signal", vm_try!(rune::to_value(signal))),
    ] {
        vm_try!(object.insert(vm_try!(alloc::String::try_from(name)), value));
    }
    VmResult::Ok(object)
}

/// Waits for the end of a process.
pub async fn wait(process: Process) -> VmResult<Outcome<Object>> {
    loop {
        if let Some(status) = process.status() {
            return VmResult::Ok(Ok(vm_try!(ended(status))));
        }
        waits::any(vec![process.interest()], None).await;
    }
}
