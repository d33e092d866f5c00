//! Jobs in the process of a fuzz target, which outlives them.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

use super::channel::Channel;
use super::session::Session;
use super::{serve, Limits, Preloaded};
use crate::frames::v1::ScriptSource;
use crate::frames::vm::{start, JobLimits, Start};
use crate::{compile, modules};

/// What a unit of an ExecuteJob begins with when what follows is the source to compile it from: seeds outlive patches.
const SOURCE: &[u8] = b"SOURCE:";

/// Stands for the end of the process, with its exit code.
struct Ended(i32);

/// Takes the place of the end of the process. Silent: the panic hook is not called.
pub fn unwind(code: i32) -> ! {
    resume_unwind(Box::new(Ended(code)))
}

/// Lowers limits to what one case may take. Nothing is throttled, since nothing measures it.
pub fn lower(limits: &mut JobLimits) {
    let at_most = |limit: &mut u64, most| {
        if *limit == 0 || *limit > most {
            *limit = most;
        }
    };
    at_most(&mut limits.memory_bytes, 4 << 20);
    at_most(&mut limits.max_operations, 20_000);
    at_most(&mut limits.output_bytes, 16 << 10);
    at_most(&mut limits.return_bytes, 64 << 10);
    limits.native_depth = limits.native_depth.clamp(1, 64);
    limits.value_depth = limits.value_depth.clamp(1, 64);
    limits.cpu_percentage = 0.0;
    limits.frames_per_second = 0;
}

/// What [`serve`] does to a Start frame before it looks at the job.
pub fn bound(preloaded: &Preloaded, start: &mut Start) {
    // Nobody bounds it.
    start.heap_bytes = 0;
    lower(start.limits.get_or_insert_with(JobLimits::default));
    let given = start.clone();
    let Some(start::Job::Execute(job)) = &mut start.job else {
        return;
    };
    let Some(text) = job.unit.strip_prefix(SOURCE) else {
        return;
    };
    let source = ScriptSource {
        source: String::from_utf8_lossy(text).into_owned(),
        ..ScriptSource::default()
    };
    let mask = modules::mask(modules::SETS[modules::SETS.len() - 1]);
    job.unit = within(given, |limits| {
        compile::compile(preloaded, mask, &source, limits).unit
    });
}

/// Serves what a server might have sent; the exit code of the child.
pub fn serve_bytes(preloaded: &Preloaded, bytes: &[u8]) -> i32 {
    let (mut server, child) = UnixStream::pair().expect("a socket pair can be made");
    // A socket takes some 200 KB; a case is smaller. Neither side ever waits for the other.
    for socket in [&server, &child] {
        socket.set_nonblocking(true).expect("a socket can be set");
    }
    let _ = server.write_all(bytes);
    let _ = server.shutdown(Shutdown::Write);
    let ended = catch_unwind(AssertUnwindSafe(|| serve(preloaded, child.as_raw_fd(), 0)));
    drop(Session::uninstall());
    match ended.unwrap_err().downcast::<Ended>() {
        Ok(ended) => ended.0,
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs `action` as a job that nobody answers.
pub fn within<T>(mut start: Start, action: impl FnOnce(&Limits) -> T) -> T {
    let session = Session::new(Channel::new(-1), &mut start);
    let limits = session.limits;
    session.buffering().install();
    let result = action(&limits);
    drop(Session::uninstall());
    result
}
