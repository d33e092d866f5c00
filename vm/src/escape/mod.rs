//! The escape suite's side of the jail: a variant of the child that is never shipped.
//!
//! A bug of the virtual machine would give an attacker native code in a child. Here a script whose first line names an
//! attempt gets just that: `//! escape: NAME ARGUMENT` runs the attempt in place of the script's execution, and
//! `//! escape-compile: NAME ARGUMENT` in place of its compilation, in a child that is otherwise the shipped one. An
//! attempt that survives reports what it reached as the result of the execution.

mod compiling;
mod descriptors;
mod files;
mod frames;
mod host_calls;
mod identity;
mod kernel;
mod memory;
mod network;
mod processes;
mod raw;
mod scan;
mod signals;
mod time;

use crate::child::{Limits, Preloaded};
use crate::exit;
use crate::frames::vm::start;
use frames::Wire;

/// What the variant says of itself when it starts, and by which it is told from the shipped program.
pub const MARKER: &str =
    "crucible-vm escape variant: scripts may run native hostile code; never to be shipped";

const EXECUTE: &str = "//! escape: ";
const COMPILE: &str = "//! escape-compile: ";

/// What an attempt got out of it.
pub enum Reached {
    /// Something that it must not have.
    Gained(String),
    /// The call that was refused, and the error number.
    Refused(String, i32),
    /// It was let, and it did not help: what it saw.
    Nothing(String),
}

/// Name and code of an attempt; the code gets the argument.
type Attempt = (&'static str, fn(&str) -> Reached);

const ATTEMPTS: &[&[Attempt]] = &[
    descriptors::ATTEMPTS,
    files::ATTEMPTS,
    frames::ATTEMPTS,
    host_calls::ATTEMPTS,
    identity::ATTEMPTS,
    kernel::ATTEMPTS,
    memory::ATTEMPTS,
    network::ATTEMPTS,
    processes::ATTEMPTS,
    scan::ATTEMPTS,
    signals::ATTEMPTS,
    time::ATTEMPTS,
];

/// Takes over a job that asks for an attempt, and never returns then.
pub fn intercept(preloaded: &Preloaded, mask: u32, job: &start::Job, limits: &Limits) {
    match job {
        start::Job::Compile(job) => {
            let text = job.source.as_ref().map_or("", |source| &source.source);
            if let Some((name, argument)) = line_after(text.as_bytes(), COMPILE) {
                compiling::answer(&name, &argument, preloaded, mask, job, limits);
            }
        }
        start::Job::Execute(job) => {
            // Byte code holds the sources, for messages.
            if let Some((name, argument)) = line_after(&job.unit, EXECUTE) {
                run(&name, &argument);
            }
        }
    }
}

/// Runs an attempt by name and reports it.
pub fn run(name: &str, argument: &str) -> ! {
    let mut all = ATTEMPTS.iter().copied().flatten();
    let report = match all.find(|(each, _)| *each == name) {
        None => format!("unknown: there is no attempt {name:?}"),
        Some((_, act)) => match act(argument) {
            Reached::Gained(what) => format!("gained: {what}"),
            Reached::Refused(call, errno) => format!("refused: {call} failed with error {errno}"),
            Reached::Nothing(what) => format!("nothing: {what}"),
        },
    };
    Wire::new().report(&report);
    exit::now(exit::DONE)
}

/// Name and argument on the line that begins so.
fn line_after(text: &[u8], prefix: &str) -> Option<(String, String)> {
    let prefix = prefix.as_bytes();
    let start = text.windows(prefix.len()).position(|at| at == prefix)? + prefix.len();
    let line = text[start..].split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let (name, argument) = line.split_once(' ').unwrap_or((&line, ""));
    Some((name.to_owned(), argument.trim().to_owned()))
}

/// The numbered word of an argument, as a number.
fn word(argument: &str, index: usize) -> usize {
    let word = argument.split_whitespace().nth(index);
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
