//! What the broker takes from itself, in the order in which it can: first what ties it to the server, then rights, then
//! the file system, last all system calls that it does not need.

use std::os::fd::{AsFd, RawFd};

use landlock::{
    Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, ABI,
};

use super::roots::Roots;
use super::{filter, WORKERS};
use crate::frames::v1::IsolationLayer;
use crate::frames::vm::BrokerSetup;
use crate::jail::inherited::{self, die_with_parent, prctl};
use crate::jail::{capabilities, layers::layer};

/// The newest that this program knows; an older kernel keeps what it knows of it.
const LANDLOCK: ABI = ABI::V6;
/// Its own memory and a reply of the largest size for every worker, built and encoded.
const DATA_BYTES: u64 = 64 << 20;
/// Standard streams, two ends of the socket, and what the workers have open.
const DESCRIPTORS: u64 = 8 + WORKERS as u64 * 6;
/// A name of the longest kind with what keeps it.
const ENTRY_BYTES: u64 = 400;

/// Dies with the server, and holds nothing of it but the socket.
pub fn leave_server(control: RawFd) -> Result<(), String> {
    // SAFETY: system calls on numbers and a static string.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"crucible-files".as_ptr());
        // A Ctrl-C at the server's terminal is for the server alone. Refused to a leader, which has a session.
        libc::setsid();
        // Threads share the main heap: to shrink one of its own, the C library reads a setting of the kernel from a file.
        #[cfg(target_env = "gnu")]
        libc::mallopt(libc::M_ARENA_MAX, 1);
        // What grows beyond RLIMIT_FSIZE is told, not killed.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let control = control as libc::c_uint;
        if control > 3 {
            libc::syscall(libc::SYS_close_range, 3, control - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, control + 1, libc::c_uint::MAX, 0);
    }
    die_with_server()?;
    prctl("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Becomes the user that the operator chose, without any capability: files are then reached as far as their owner and
/// mode let that user, also when it is root.
pub fn give_up_rights(setup: &BrokerSetup) -> Result<(), String> {
    // While it still may: the right to do so goes with the user.
    capabilities::empty_bounding_set();
    become_user(setup.uid, setup.gid)?;
    capabilities::give_up()
        .map_err(|error| format!("cannot set the capabilities to none: {error}"))?;
    let reply = setup
        .max_read_bytes
        .max(u64::from(setup.max_list_entries) * ENTRY_BYTES);
    let transfers = reply.saturating_mul(3 * WORKERS as u64);
    let roots = setup.roots.len() as u64;
    for (name, resource, value) in [
        ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE, setup.max_file_bytes),
        ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE, DESCRIPTORS + roots),
        ("RLIMIT_DATA", libc::RLIMIT_DATA, DATA_BYTES + transfers),
        ("RLIMIT_CORE", libc::RLIMIT_CORE, 0),
        ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK, 0),
        ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE, 0),
    ] {
        lower(name, resource, value)?;
    }
    Ok(())
}

fn become_user(uid: u32, gid: u32) -> Result<(), String> {
    // SAFETY: geteuid takes nothing and cannot fail.
    let own = unsafe { libc::geteuid() };
    if uid == 0 || uid == own {
        return Ok(());
    }
    if own != 0 {
        return Err(format!(
            "expected to run as user {uid} (uid), but the server is user {own}: only root may become another"
        ));
    }
    inherited::become_user(uid, gid)
        .map_err(|problem| format!("cannot become user {uid}: {problem}"))?;
    // Cleared by the change of user.
    die_with_server()
}

fn die_with_server() -> Result<(), String> {
    die_with_parent()?;
    prctl("PR_SET_DUMPABLE", libc::PR_SET_DUMPABLE, 0)
}

/// To this value, or to the hard one when that is lower.
fn lower(name: &str, resource: libc::__rlimit_resource_t, value: u64) -> Result<(), String> {
    inherited::limit(resource)
        .and_then(|limit| inherited::set_limit(resource, limit.rlim_max.min(value)))
        .map_err(|error| format!("cannot set {name}: {error}"))
}

/// Lets the kernel keep this process below the roots, whatever it asks for. Returns what is in force.
pub fn restrict(roots: &Roots) -> Result<Vec<IsolationLayer>, String> {
    let outcome = landlock(roots).map_err(|error| format!("cannot use Landlock: {error}"))?;
    let (active, detail) = match outcome {
        RulesetStatus::FullyEnforced => {
            (true, "Landlock keeps it below the roots, with no network")
        }
        RulesetStatus::PartiallyEnforced => (
            true,
            "Landlock keeps it below the roots, as far as this kernel knows it",
        ),
        RulesetStatus::NotEnforced => (
            false,
            "this kernel has no Landlock: paths are kept below the roots by openat2 alone",
        ),
    };
    // SAFETY: geteuid takes nothing and cannot fail.
    let uid = unsafe { libc::geteuid() };
    if uid == 0 && !active {
        return Err(
            "expected Landlock, or an unprivileged user: this kernel has none, and root owns most of the machine; set \
             `uid` in [engine.files] to the user that the roots belong to"
                .to_owned(),
        );
    }
    let user = match uid {
        0 => "it is root, without capabilities: give the roots to an ordinary user and set `uid` in [engine.files]".to_owned(),
        _ => format!("it is user {uid}"),
    };
    Ok(vec![
        layer(
            "file_broker",
            true,
            true,
            "files are acted on by a process of its own: openat2 below the roots, no link followed, no capability, an \
             allow-list of system calls",
        ),
        layer("file_broker_landlock", active, false, detail),
        layer("file_broker_uid", uid != 0, false, &user),
    ])
}

fn landlock(roots: &Roots) -> Result<RulesetStatus, landlock::RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    for root in &roots.list {
        let access: BitFlags<AccessFs> = if root.is_writable { write } else { read };
        rules = rules.add_rule(PathBeneath::new(root.folder.as_fd(), access))?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Nothing is possible from here on that is not in the table, for every thread. Has to be called once all threads are
/// there.
pub fn forbid_the_rest() -> Result<(), String> {
    lower("RLIMIT_NPROC", libc::RLIMIT_NPROC, 0)?;
    let program = filter::compile()?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| {
        format!("cannot install the system call filter: {error}; a container has to allow seccomp")
    })
}
