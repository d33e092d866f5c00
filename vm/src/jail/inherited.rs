//! What the zygote sets on itself, once, because every child gets it by fork: less to do per child, and a zygote with
//! fewer rights.

use std::io::Error;

use super::{capabilities, memory, signals};

/// The stack that scripts get: deep values and deep sources recurse natively. What a script drives it to is memory on
/// top of its heap, so it is no larger than some ten thousand levels need.
pub const STACK_BYTES: u64 = 64 << 20;

/// Why the kernel should prefer these processes when memory is short; 1000 is the most.
const OOM_SCORE: &str = "500";

/// The user that root becomes when not told another: `nobody`.
pub const DEFAULT_UID: u32 = 65534;

/// Takes rights from the calling process. Returns what could not be done but may be missing.
///
/// Fails when a part that is never optional cannot be had. Has to run before the process has threads.
pub fn restrict(uid: u32) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    memory::configure();
    signals::install()?;
    // Before the change of user, after which the file belongs to root.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE) {
        notes.push(format!(
            "cannot raise oom_score_adj to {OOM_SCORE}: {error}"
        ));
    }
    become_unprivileged(uid)?;
    // The rest comes after it, since a change of user clears the parent death signal.
    die_with_parent()?;
    prctl("PR_SET_DUMPABLE", libc::PR_SET_DUMPABLE, 0)?;
    prctl("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let stack = soft_limit(libc::RLIMIT_STACK)?.min(STACK_BYTES);
    for (name, resource, value) in [
        ("RLIMIT_STACK", libc::RLIMIT_STACK, stack),
        ("RLIMIT_CORE", libc::RLIMIT_CORE, 0),
        ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK, 0),
        ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE, 0),
        ("RLIMIT_NICE", libc::RLIMIT_NICE, 0),
        ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO, 0),
    ] {
        set_limit(resource, value)
            .map_err(|error| format!("cannot set {name} to {value}: {error}"))?;
    }
    Ok(notes)
}

/// Sets the soft and the hard value of a limit.
pub fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> Result<(), Error> {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: the structure lives in this frame.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

/// Both values of a limit, [`libc::RLIM_INFINITY`] when there is none.
pub fn limit(resource: libc::__rlimit_resource_t) -> Result<libc::rlimit, Error> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives in this frame.
    match unsafe { libc::getrlimit(resource, &mut limit) } {
        0 => Ok(limit),
        _ => Err(Error::last_os_error()),
    }
}

/// Has the kernel kill this process when its parent ends; has to be said anew after each fork. Whether the parent has ended
/// before, which `getppid` does not tell a process whose parent is in another namespace, shows at the control socket.
pub fn die_with_parent() -> Result<(), String> {
    prctl(
        "PR_SET_PDEATHSIG",
        libc::PR_SET_PDEATHSIG,
        libc::SIGKILL as u64,
    )
}

/// The soft value of a limit, [`libc::RLIM_INFINITY`] when there is none.
pub fn soft_limit(resource: libc::__rlimit_resource_t) -> Result<u64, String> {
    match limit(resource) {
        Ok(limit) => Ok(limit.rlim_cur),
        Err(error) => Err(format!("cannot read limit {resource}: {error}")),
    }
}

/// Root becomes `uid`, the zygote itself and not only its children: they then share a user with it, which lets it lower
/// their limits in a container without CAP_SYS_RESOURCE. An ordinary user stays what it is.
fn become_unprivileged(uid: u32) -> Result<(), String> {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    // While it is allowed: a namespace of users may be missing that would allow it later.
    capabilities::lock();
    become_user(uid, uid).map_err(|problem| {
        format!(
            "cannot leave root for user {uid}: {problem}; run the server as an ordinary user, or give it CAP_SETUID and \
             CAP_SETGID"
        )
    })?;
    // SAFETY: as above.
    if unsafe { libc::geteuid() == 0 || libc::getuid() == 0 } {
        return Err(format!(
            "still root after becoming user {uid}: choose another with --uid"
        ));
    }
    Ok(())
}

/// Root becomes another user for good, in no group but `gid`. The error names the call that failed.
pub fn become_user(uid: u32, gid: u32) -> Result<(), String> {
    // SAFETY: numbers and a null pointer with length 0.
    unsafe {
        for (name, result) in [
            ("setgroups", libc::setgroups(0, std::ptr::null())),
            ("setresgid", libc::setresgid(gid, gid, gid)),
            ("setresuid", libc::setresuid(uid, uid, uid)),
        ] {
            if result != 0 {
                return Err(format!("{name}: {}", Error::last_os_error()));
            }
        }
    }
    Ok(())
}

/// An option of this process that takes a number.
pub fn prctl(name: &str, option: i32, value: u64) -> Result<(), String> {
    // SAFETY: the options used take numbers only.
    match unsafe { libc::prctl(option, value, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(format!("cannot set {name}: {}", Error::last_os_error())),
    }
}
