//! The bound of a spare's job, which comes on another way than the job itself.

use std::thread::{sleep, yield_now};
use std::time::Duration;

use super::channel::end;
use crate::exit;

/// Times that it only lets others run, as the zygote most often is about to.
const YIELDS: u32 = 20;
/// Then it sleeps, each time twice as long: looking without a pause would take a fifth of a processor.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until RLIMIT_DATA is no more than so many bytes. The server tells the zygote to bound a spare before it sends
/// the spare its job, on two sockets: a zygote that is held up comes second. One that cannot bound a child kills it, and
/// the end of the zygote is the child's end, so there is always an end to the waiting.
pub fn wait(data: u64) {
    let mut looks = 0;
    let mut pause = FIRST_PAUSE;
    while limit() > data {
        looks += 1;
        if looks > YIELDS {
            sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
        } else {
            yield_now();
        }
    }
}

/// By the system call that only reads: the C library uses `prlimit64`, which can set the limits of any process.
fn limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the kernel fills the structure, which outlives the call.
    match unsafe { libc::syscall(libc::SYS_getrlimit, libc::RLIMIT_DATA, &mut limit) } {
        0 => limit.rlim_cur,
        _ => end(exit::JAIL_FAILED),
    }
}
