//! What has to happen before anything is loaded.

use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::log;
use crate::jail::inherited::{soft_limit, STACK_BYTES};

/// Executes this program anew when its stack is not [`STACK_BYTES`], or as much of it as the hard limit allows: the
/// kernel places everything else around the stack's limit at exec. The environment is left behind, since every child
/// would have a copy of what the server was told in it.
pub fn reexec_with_large_stack() -> Result<(), String> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives in this frame.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) } != 0 {
        return Err(format!(
            "cannot read RLIMIT_STACK: {}",
            Error::last_os_error()
        ));
    }
    let wanted = STACK_BYTES.min(limit.rlim_max);
    if soft_limit(libc::RLIMIT_STACK)? == wanted && std::env::vars_os().next().is_none() {
        return Ok(());
    }
    limit.rlim_cur = wanted;
    // SAFETY: as above.
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
