//! The bound of a spare's job, which comes on another way than the job itself.

use std::thread::sleep;
use std::time::Duration;

const PAUSE: Duration = Duration::from_micros(50);

/// Waits until RLIMIT_DATA is no more than so many bytes. The server tells the zygote to bound a spare before it sends
/// the spare its job, on two sockets: a zygote that is held up comes second. One that cannot bound a child kills it, and
/// the end of the zygote is the child's end, so there is always an end to the waiting.
pub fn wait(data: u64) {
    while limit() > data {
        sleep(PAUSE);
    }
}

/// By the system call that only reads: the C library uses `prlimit64`, which can set the limits of any process.
fn limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the kernel fills the structure. Should it not, there is no bound.
    unsafe { libc::syscall(libc::SYS_getrlimit, libc::RLIMIT_DATA, &mut limit) };
    limit.rlim_cur
}
