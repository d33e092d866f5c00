//! What confines a child, and what could besides, for people.

use super::inherited::STACK_BYTES;
use super::landlock::{self, Landlock};
use super::namespaces::{Finding, Kind, Offer};
use crate::frames::v1::IsolationLayer;

/// What the zygote has found and done.
pub struct Facts {
    pub stack_bytes: u64,
    pub namespaces: Offer,
    /// Whether the bounding set of capabilities is empty.
    pub is_bounding_empty: bool,
    pub landlock: Landlock,
}

const NAMESPACES: [(&str, Kind, &str); 6] = [
    (
        "user_namespace",
        Kind::User,
        "knows one user, who has no rights outside",
    ),
    (
        "pid_namespace",
        Kind::Pid,
        "the zygote is process 1, there are only its children besides, and they end with it",
    ),
    (
        "net_namespace",
        Kind::Net,
        "there is no network but a loopback that is down",
    ),
    (
        "ipc_namespace",
        Kind::Ipc,
        "there are no message queues, semaphores or shared memory of others",
    ),
    (
        "mount_namespace",
        Kind::Mount,
        "the root is an empty folder that cannot be written to",
    ),
    ("uts_namespace", Kind::Uts, "the host name is its own"),
];

/// The layers of this zygote's children. Called after the jail has been proved, so the required ones are in force.
pub fn describe(facts: &Facts) -> Vec<IsolationLayer> {
    let stack_bytes = facts.stack_bytes;
    // SAFETY: getuid takes nothing and cannot fail.
    let uid = unsafe { libc::getuid() };
    let required = |name: &str, detail: &str| layer(name, true, true, detail);
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
    let mut layers = vec![
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
    ];
    layers.extend(NAMESPACES.map(|(name, kind, detail)| namespace(facts, name, kind, detail)));
    layers.push(landlock_layer(&facts.landlock));
    layers.push(layer(
        "capabilities",
        true,
        false,
        if facts.is_bounding_empty {
            "none are left, and the set that bounds them is empty"
        } else {
            "none are left; the set that bounds them stays, as only root or a user namespace can empty it, and is of no \
             use without new privileges"
        },
    ));
    layers
}

fn namespace(facts: &Facts, name: &str, kind: Kind, detail: &str) -> IsolationLayer {
    let missing = |why: &str| layer(name, false, false, why);
    match facts.namespaces.of(kind) {
        Finding::Given => layer(name, true, false, detail),
        Finding::Off => missing("turned off by the operator"),
        Finding::Failed(failure) => missing(&format!("this machine does not allow it: {failure}")),
        Finding::Untried => missing("cannot be had without a user namespace"),
    }
}

fn landlock_layer(landlock: &Landlock) -> IsolationLayer {
    let name = "landlock";
    match landlock {
        Landlock::Off => layer(name, false, false, "turned off by the operator"),
        Landlock::Missing(why) => layer(name, false, false, why),
        Landlock::InForce(abi) => {
            let covered = landlock::coverage(*abi);
            layer(
                name,
                true,
                false,
                &format!("version {abi} of its interface: {covered}"),
            )
        }
    }
}

/// A layer as the server tells it.
pub fn layer(name: &str, active: bool, required: bool, detail: &str) -> IsolationLayer {
    IsolationLayer {
        name: name.into(),
        active,
        required,
        detail: detail.into(),
    }
}
