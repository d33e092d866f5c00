//! The zygote's word that a time limit has passed. It comes a moment before the kill, so that a script which is in its own
//! code ends with a result that says where it was and what it had used.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::limits::Fatal;

/// Carries the limit on wall time, in milliseconds.
pub const WALL_TIME: c_int = libc::SIGUSR1;
/// Carries the limit on processor time, in milliseconds.
pub const CPU_TIME: c_int = libc::SIGUSR2;

/// Zero until a limit has passed. The first stays.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static MILLISECONDS: AtomicU64 = AtomicU64::new(0);

/// The handler of both signals. It only takes a note, and interrupts what the process waits for.
///
/// # Safety
/// To be called by the kernel, with SA_SIGINFO.
pub unsafe extern "C" fn on_passed(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    if SIGNAL.load(Ordering::Relaxed) == 0 {
        let value = (*info).si_value().sival_ptr as u64;
        MILLISECONDS.store(value, Ordering::Relaxed);
        SIGNAL.store(signal, Ordering::Relaxed);
    }
}

/// The limit that has passed, if one has.
pub fn passed() -> Option<Fatal> {
    let milliseconds = MILLISECONDS.load(Ordering::Relaxed);
    match SIGNAL.load(Ordering::Relaxed) {
        WALL_TIME => Some(Fatal::wall_time(milliseconds)),
        CPU_TIME => Some(Fatal::cpu_time(milliseconds)),
        _ => None,
    }
}
