//! What confines a child, and what could besides, for people.

use super::inherited::STACK_BYTES;
use crate::frames::v1::IsolationLayer;

/// The layers of this zygote's children. Called after the jail has been proved, so the required ones are in force.
pub fn describe(stack_bytes: u64) -> Vec<IsolationLayer> {
    // SAFETY: getuid takes nothing and cannot fail.
    let uid = unsafe { libc::getuid() };
    let required = |name: &str, detail: &str| layer(name, true, true, detail);
    let missing = |name: &str, detail: &str| layer(name, false, false, detail);
    let mebibytes = stack_bytes >> 20;
    let stack = if stack_bytes >= STACK_BYTES {
        format!("scripts run on a stack of {mebibytes} MiB")
    } else {
        format!(
            "scripts run on a stack of {mebibytes} MiB instead of {}, deep ones end early: raise the hard limit of \
             the stack (ulimit -Hs)",
            STACK_BYTES >> 20
        )
    };
    vec![
        required(
            "seccomp",
            "an allow-list of system calls; any other ends the child (SIGSYS)",
        ),
        required("no_new_privs", "no program can give rights back"),
        required(
            "rlimits",
            "heap, address space, processor time; no file, process, core, locked memory or queue",
        ),
        required(
            "close_range",
            "the socket to the server is the only descriptor",
        ),
        layer(
            "unprivileged_uid",
            uid != 0,
            true,
            &format!("runs as user {uid}"),
        ),
        required(
            "parent_death_signal",
            "a child dies with the zygote, the zygote with the server",
        ),
        layer("native_stack", stack_bytes >= STACK_BYTES, false, &stack),
        missing("user_namespace", "not built yet"),
        missing("pid_namespace", "not built yet"),
        missing(
            "net_namespace",
            "not built yet; no system call that could reach a network is allowed",
        ),
        missing(
            "mount_namespace",
            "not built yet; no system call that takes a path is allowed",
        ),
        missing(
            "landlock",
            "not built yet; no system call that takes a path is allowed",
        ),
        missing(
            "cgroup",
            "not built yet; put the whole server into a cgroup to bound it as one",
        ),
    ]
}

fn layer(name: &str, active: bool, required: bool, detail: &str) -> IsolationLayer {
    IsolationLayer {
        name: name.into(),
        active,
        required,
        detail: detail.into(),
    }
}
