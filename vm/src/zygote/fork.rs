//! The system calls that make, bound, end and collect a child.

use std::io::Error;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::jail::Rlimits;

/// Which side of a fork this is.
pub enum Forked {
    Child,
    Zygote { pid: libc::pid_t, pidfd: OwnedFd },
}

/// How a child ended.
pub struct Ended {
    pub pid: libc::pid_t,
    /// 0 when a signal ended it.
    pub exit_code: i32,
    /// 0 when it exited.
    pub signal: i32,
    pub cpu_time_us: u64,
    pub max_resident_bytes: u64,
}

/// A connected pair of stream sockets.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    let mut pair: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel fills the array with descriptors that nobody else owns.
    unsafe {
        match libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) {
            0 => Ok((OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1]))),
            _ => Err(Error::last_os_error()),
        }
    }
}

/// Forks, and makes the pidfd with it, so that it can name no other process.
///
/// The plain system call spares the C library's preparations, which are for threads and for handlers that this program
/// does not have. `clone` and not `clone3`, since some container runtimes refuse the latter.
///
/// `namespaces` are the CLONE_NEW* flags of those that the child gets of its own.
///
/// # Safety
/// The process must have one thread. The child must not return to what the zygote was doing.
pub unsafe fn fork(namespaces: libc::c_int) -> Result<Forked, Error> {
    let mut pidfd: RawFd = -1;
    let flags = (libc::CLONE_PIDFD | libc::SIGCHLD | namespaces) as libc::c_ulong;
    // With CLONE_PIDFD the kernel stores the descriptor where the third argument points, on every architecture.
    match libc::syscall(
        libc::SYS_clone,
        flags,
        0usize,
        &mut pidfd as *mut RawFd,
        0usize,
        0usize,
    ) {
        0 => Ok(Forked::Child),
        pid if pid > 0 => Ok(Forked::Zygote {
            pid: pid as libc::pid_t,
            pidfd: OwnedFd::from_raw_fd(pidfd),
        }),
        _ => Err(Error::last_os_error()),
    }
}

/// A descriptor that stands for this process, readable once it is gone.
pub fn pidfd_of(pid: libc::pid_t) -> Result<OwnedFd, Error> {
    // SAFETY: numbers; the descriptor is new.
    unsafe {
        match libc::syscall(libc::SYS_pidfd_open, pid, 0) as RawFd {
            -1 => Err(Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

/// Ends a child. By number, which is safe here and nowhere else: only the zygote can reap, so until it has, the number
/// belongs to this child. Keeping a pidfd for each would make every fork copy them all.
pub fn kill(pid: libc::pid_t) {
    // SAFETY: numbers only. It cannot fail for a child that is not reaped.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Tells a child which of its time limits has passed, in milliseconds.
pub fn warn(pid: libc::pid_t, signal: libc::c_int, milliseconds: u64) {
    let value = libc::sigval {
        sival_ptr: milliseconds as usize as *mut libc::c_void,
    };
    // SAFETY: numbers only. When it fails, the child is killed all the same.
    unsafe { libc::sigqueue(pid, signal, value) };
}

/// Collects a child that has ended, if there is one; `wait` until there is, as long as there are children.
pub fn reap(wait: bool) -> Option<Ended> {
    let mut status = 0;
    // SAFETY: the kernel fills both structures.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let options = if wait { 0 } else { libc::WNOHANG };
        (libc::wait4(-1, &mut status, options, &mut usage), usage)
    };
    if pid <= 0 {
        return None;
    }
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Some(Ended {
        pid,
        exit_code: if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            0
        },
        signal: if libc::WIFSIGNALED(status) {
            libc::WTERMSIG(status)
        } else {
            0
        },
        cpu_time_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        max_resident_bytes: usage.ru_maxrss as u64 * 1024,
    })
}

/// Sets the limits of a child; it cannot raise them itself.
pub fn bound(pid: libc::pid_t, rlimits: &Rlimits) -> Result<(), String> {
    for (resource, limit) in rlimits.each() {
        // SAFETY: the structure outlives the call.
        if unsafe { libc::prlimit(pid, resource, &limit, std::ptr::null_mut()) } != 0 {
            let error = Error::last_os_error();
            let value = limit.rlim_cur;
            return Err(format!(
                "prlimit of resource {resource} to {value}: {error}"
            ));
        }
    }
    Ok(())
}

/// Processor time that a child has used, in nanoseconds; None when it is gone.
pub fn cpu_time(pid: libc::pid_t) -> Option<u64> {
    // The kernel's encoding of "the scheduler's clock of this process", as clock_getcpuclockid would make it.
    const CPUCLOCK_SCHED: libc::clockid_t = 2;
    clock((!pid << 3) | CPUCLOCK_SCHED)
}

/// Nanoseconds of the clock that no one can set.
pub fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC).unwrap_or(u64::MAX)
}

fn clock(id: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills the structure.
    match unsafe { libc::clock_gettime(id, &mut time) } {
        0 => Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64),
        _ => None,
    }
}
