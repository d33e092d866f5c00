//! What is to be started, from what the script says to a process.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};
use std::time::Duration;

use rune::runtime::{Object, VmResult};
use rune::{vm_try, Value};

use super::super::options;
use crate::development::environment;
use crate::development::incoming::{set_nonblocking, Incoming};
use crate::development::processes::Process;

/// Of standard output and error together.
const MAX_OUTPUT_BYTES: usize = 16 << 20;

pub struct Command {
    program: String,
    args: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: Option<String>,
    pub stdin: Option<Vec<u8>>,
    pub timeout: Option<Duration>,
    pub max_output: usize,
    /// Output is given as bytes instead of text.
    pub bytes: bool,
}

/// What standard input is.
#[derive(PartialEq, Eq)]
pub enum Streams {
    /// Nothing, unless there is something to write.
    Nothing,
    Piped,
}

/// A process and the ends of its pipes.
pub struct Started {
    pub process: Process,
    pub stdin: Option<OwnedFd>,
    pub stdout: Incoming,
    pub stderr: Incoming,
}

impl Command {
    /// Reads what the script says. Ends the script for what is of a wrong kind or no option.
    pub fn read(
        function: &str,
        program: &str,
        args: &Value,
        given: &Value,
        known: &[&str],
    ) -> VmResult<Command> {
        let mut command = Command {
            program: program.to_owned(),
            args: vm_try!(read_args(function, args)),
            environment: environment::inherited(),
            directory: None,
            stdin: None,
            timeout: None,
            max_output: MAX_OUTPUT_BYTES,
            bytes: false,
        };
        for (name, value) in vm_try!(options::named(function, given, known)) {
            match name.as_str() {
                "stdin" => command.stdin = Some(vm_try!(options::data(function, "stdin", &value))),
                "env" => vm_try!(read_env(function, &value, &mut command.environment)),
                "cwd" => {
                    command.directory = Some(vm_try!(options::text(function, "cwd", &value)));
                }
                "timeout" => {
                    command.timeout = Some(vm_try!(options::time(function, "timeout", &value)));
                }
                "max_output" => {
                    command.max_output = vm_try!(options::count(function, "max_output", &value));
                }
                _ => command.bytes = vm_try!(options::flag(function, "bytes", &value)),
            }
        }
        VmResult::Ok(command)
    }

    /// The program, as the script names it.
    pub fn name(&self) -> &str {
        &self.program
    }

    /// Starts it as the leader of a process group of its own.
    pub fn start(&self, streams: Streams) -> Result<Started, String> {
        let stdin = if self.stdin.is_some() || streams == Streams::Piped {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut command = process::Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.environment)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let failed = |error: &dyn std::fmt::Display| {
            let place = match &self.directory {
                Some(directory) => format!(" in {directory:?}"),
                None => String::new(),
            };
            format!("cannot start {:?}{place}: {error}", self.program)
        };
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let process = Process::new(child.id() as libc::pid_t).map_err(|error| failed(&error))?;
        let stdin = child.stdin.take().map(OwnedFd::from);
        if let Some(stdin) = &stdin {
            set_nonblocking(stdin.as_raw_fd()).map_err(|error| failed(&error))?;
        }
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(&"it has no pipes"));
        };
        Ok(Started {
            process,
            stdin,
            stdout: Incoming::new(stdout.into()).map_err(|error| failed(&error))?,
            stderr: Incoming::new(stderr.into()).map_err(|error| failed(&error))?,
        })
    }
}

fn read_args(function: &str, args: &Value) -> VmResult<Vec<String>> {
    let Ok(list) = args.borrow_ref::<rune::runtime::Vec>() else {
        return options::wrong(function, "a list of arguments", args);
    };
    let mut read = Vec::new();
    for value in list.iter() {
        read.push(vm_try!(options::text(function, "an argument", value)));
    }
    VmResult::Ok(read)
}

fn read_env(
    function: &str,
    value: &Value,
    environment: &mut BTreeMap<String, String>,
) -> VmResult<()> {
    let Ok(object) = value.borrow_ref::<Object>() else {
        return options::wrong(function, "an object of texts as env", value);
    };
    for (name, value) in object.iter() {
        if name.is_empty() || name.contains('=') {
            return VmResult::panic(format!(
                "{function}: expected names without `=` in env, got `{name}`"
            ));
        }
        let what = format!("the variable `{name}`");
        let text = vm_try!(options::text(function, &what, value));
        environment.insert(name.to_string(), text);
    }
    VmResult::Ok(())
}
