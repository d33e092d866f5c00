//! What a forked child does: one job, from its Start frame to its result frame.

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
pub use preloaded::Preloaded;
pub use session::with;

use crate::frames::vm::{child_frame, server_frame, start};
use crate::{compile, execute, exit, frames, leave, modules};
use channel::{end, Channel};
use session::Session;

/// Reads the Start frame, does its job, sends the result and ends the process. The jail has to be complete.
pub fn serve(preloaded: &Preloaded, socket: RawFd) -> ! {
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
    let mask = modules::mask(&start.modules);
    if !preloaded.has(mask) {
        end(exit::PROTOCOL);
    }
    let session = Session::new(channel, &mut start);
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
            let result = execute::execute(preloaded, mask, &job, &limits);
            leave::behind(job);
            child_frame::Frame::ExecuteResult(result)
        }
    };
    match Session::uninstall() {
        Some(session) => session.finish(frame),
        None => end(exit::PANIC),
    }
}

#[cfg(test)]
mod tests;
