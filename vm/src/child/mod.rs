//! What a forked child does: one job, from its Start frame to its result frame.

mod bound;
mod channel;
pub mod clock;
pub mod deadline;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod limits;
mod output;
mod preloaded;
mod session;

use std::os::fd::RawFd;

pub use limits::{Fatal, Limits};
pub use output::Stream;
pub use preloaded::{Preloaded, Sets};
pub use session::with;

use crate::development::environment;
use crate::frames::vm::{child_frame, server_frame, start};
use crate::{compile, execute, exit, frames, leave, modules};
use channel::{end, Channel};
use session::Session;

/// Reads the Start frame, does its job, sends the result and ends the process. The jail has to be complete. `data` is
/// what RLIMIT_DATA counts of the process beside the heap that it is given, in bytes.
pub fn serve(preloaded: &Preloaded, socket: RawFd, data: u64) -> ! {
    let mut channel = Channel::new(socket);
    let Some(server_frame::Frame::Start(mut start)) = channel.receive(|| false) else {
        end(exit::PROTOCOL)
    };
    if start.protocol_version != frames::PROTOCOL_VERSION {
        end(exit::PROTOCOL);
    }
    #[cfg(feature = "fuzz")]
    fuzz::bound(preloaded, &mut start);
    let Some(job) = start.job.take() else {
        end(exit::PROTOCOL)
    };
    if start.heap_bytes != 0 {
        bound::wait(data.saturating_add(start.heap_bytes));
    }
    let mask = modules::mask(&start.modules);
    // A source may name any module; only execution needs the module itself.
    let is_execution = matches!(job, start::Job::Execute(_));
    let is_open = preloaded.is_native() && is_execution;
    if is_execution && !preloaded.has(mask) || !is_open && !start.working_directory.is_empty() {
        end(exit::PROTOCOL);
    }
    let mut session = Session::new(channel, &mut start);
    session.is_native = is_open;
    let limits = session.limits;
    session.install();
    #[cfg(feature = "escape")]
    crate::escape::intercept(preloaded, mask, &job, &limits);
    let frame = match job {
        start::Job::Compile(job) => child_frame::Frame::CompileResult(compile::compile(
            preloaded,
            mask,
            &job.source.unwrap_or_default(),
            &limits,
        )),
        start::Job::Execute(job) => {
            preloaded::seed(&start.seed);
            let result = match enter(&start.working_directory) {
                Ok(()) => execute::execute(preloaded, mask, &job, &limits),
                Err(message) => execute::refuse(message),
            };
            leave::behind(job);
            child_frame::Frame::ExecuteResult(result)
        }
    };
    match Session::uninstall() {
        Some(session) => session.finish(frame),
        None => end(exit::PANIC),
    }
}

fn enter(directory: &str) -> Result<(), String> {
    if directory.is_empty() {
        return Ok(());
    }
    environment::enter(directory)
}

#[cfg(test)]
mod tests;
