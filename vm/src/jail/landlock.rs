//! Landlock: rights that the zygote takes from itself and its children for good. It needs no other privilege than
//! no_new_privs.

use landlock::{
    Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetError, RulesetStatus, Scope, ABI,
};

/// The newest interface whose rights are taken. An older kernel takes those that it knows.
const NEWEST: ABI = ABI::V9;

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// The operator does without.
    Off,
    /// The version of the kernel's interface as far as it is used.
    InForce(u32),
    Missing(&'static str),
}

/// Takes all rights on files, on TCP, and to signals and abstract sockets of others. Nothing may be opened by a path
/// afterwards. Fails when the kernel has Landlock and does not do what it should.
pub fn restrict() -> Result<Landlock, String> {
    let status = apply().map_err(|error| format!("cannot restrict itself by Landlock: {error}"))?;
    match (status.landlock, status.ruleset) {
        (LandlockStatus::NotEnabled, _) => Ok(Landlock::Missing("the kernel has it turned off")),
        (LandlockStatus::NotImplemented, _) => Ok(Landlock::Missing("the kernel lacks it")),
        (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
            Err("cannot restrict itself by Landlock: nothing is enforced".into())
        }
        (LandlockStatus::Available { effective_abi, .. }, _) => {
            Ok(Landlock::InForce(effective_abi as u32))
        }
    }
}

fn apply() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .restrict_self()
}

/// What this version of the interface covers.
pub fn coverage(abi: u32) -> String {
    let mut covered = String::from("no file can be opened");
    if abi >= ABI::V4 as u32 {
        covered.push_str(", no TCP port bound or connected to");
    }
    if abi >= ABI::V6 as u32 {
        covered.push_str(
            ", no process beyond the zygote's signalled, no abstract socket of others reached",
        );
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::TcpListener;

    /// What a process of its own sees that has restricted itself, as bits.
    fn seen_by_restricted() -> i32 {
        // SAFETY: the child asks the kernel for things and ends; it needs nothing that another thread may hold but memory,
        // which the allocator keeps usable over a fork.
        unsafe {
            let pid = libc::fork();
            assert!(pid >= 0, "cannot fork");
            if pid == 0 {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                let code = match restrict() {
                    Ok(Landlock::InForce(abi)) => {
                        let denied =
                            |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
                        let file = File::open("/proc/self/stat").is_err_and(denied);
                        let port = TcpListener::bind("127.0.0.1:0").is_err_and(denied);
                        let parent = libc::kill(libc::getppid(), 0) != 0;
                        i32::from(file)
                            | i32::from(port || abi < ABI::V4 as u32) << 1
                            | i32::from(parent || abi < ABI::V6 as u32) << 2
                    }
                    Ok(_) => 64,
                    Err(_) => 65,
                };
                libc::_exit(code);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            assert!(libc::WIFEXITED(status), "ended with {status}");
            libc::WEXITSTATUS(status)
        }
    }

    #[test]
    fn nothing_can_be_opened_bound_or_signalled() {
        // Before it, all of that works.
        assert!(File::open("/proc/self/stat").is_ok());
        assert!(TcpListener::bind("127.0.0.1:0").is_ok());
        match seen_by_restricted() {
            64 => eprintln!("skipped: this kernel has no Landlock"),
            seen => assert_eq!(seen, 0b111),
        }
    }
}
