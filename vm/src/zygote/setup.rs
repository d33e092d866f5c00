//! What has to happen before anything is loaded.

use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::control::Control;
use super::{fork, log};
use crate::exit;
use crate::frames::vm::{zygote_event::Event, Entered};
use crate::jail::inherited::{die_with_parent, limit, STACK_BYTES};

/// Executes this program anew when its stack is not [`STACK_BYTES`], or as much of it as the hard limit allows: the
/// kernel places everything else around the stack's limit at exec. The environment is left behind, since every child
/// would have a copy of what the server was told in it.
pub fn reexec_with_large_stack() -> Result<(), String> {
    let mut limit =
        limit(libc::RLIMIT_STACK).map_err(|error| format!("cannot read RLIMIT_STACK: {error}"))?;
    let wanted = STACK_BYTES.min(limit.rlim_max);
    if limit.rlim_cur == wanted && std::env::vars_os().next().is_none() {
        return Ok(());
    }
    limit.rlim_cur = wanted;
    // SAFETY: the structure lives in this frame.
    if unsafe { libc::setrlimit(libc::RLIMIT_STACK, &limit) } != 0 {
        return Err(format!(
            "cannot set RLIMIT_STACK to {wanted}: {}",
            Error::last_os_error()
        ));
    }
    let error = Command::new("/proc/self/exe")
        .arg0("crucible-vm")
        .args(std::env::args_os().skip(1))
        .env_clear()
        .exec();
    Err(format!("cannot execute /proc/self/exe anew with a stack of {wanted} bytes: {error}; is /proc mounted?"))
}

/// Leaves the session of the server: a Ctrl-C at its terminal is for the server alone, which drains.
pub fn leave_session() {
    // SAFETY: numbers and a static string.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"crucible-vm".as_ptr());
        // Refused to the leader of a process group, which has one of its own already.
        if libc::setsid() < 0 && libc::getpgrp() != libc::getpid() {
            log::line(&format!(
                "cannot start a session: {}",
                Error::last_os_error()
            ));
        }
    }
}

/// Goes on as the first process of the namespace that was made for children, which is a child of the server as this one is;
/// this one ends. The server is told by a descriptor, since it started, and knows, the other.
pub fn become_init(control: &mut Control) -> Result<(), String> {
    let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as libc::c_ulong;
    // SAFETY: this process has one thread, and goes no further.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) } {
        0 => {}
        -1 => {
            return Err(format!(
                "cannot fork with CLONE_PARENT: {}",
                Error::last_os_error()
            ))
        }
        _ => exit::now(exit::DONE),
    }
    die_with_parent()?;
    // SAFETY: numbers only.
    let pid = unsafe { libc::getpid() };
    if pid != 1 {
        return Err(format!(
            "expected to be process 1 of a new namespace, got {pid}"
        ));
    }
    let descriptor =
        fork::pidfd_of(pid).map_err(|error| format!("cannot open a pidfd of itself: {error}"))?;
    control.send(Event::Entered(Entered {}), vec![descriptor])?;
    leave_session();
    Ok(())
}
