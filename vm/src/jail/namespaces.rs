//! Namespaces of the zygote, which its children are born into: one of users, which makes the others possible without root,
//! and in it one each of processes, network, System V and POSIX message queues, host names, and mounts with an empty root.
//!
//! Some machines forbid some of them. What can be had is found out in a throwaway process first; what was found is then
//! entered, and a zygote that cannot have it after all does not start.

use std::io::Error;
use std::os::raw::c_int;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::exit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    User,
    Net,
    Ipc,
    Uts,
    Pid,
    Mount,
}

/// In the order in which they are entered.
pub const KINDS: [Kind; 6] = [
    Kind::User,
    Kind::Net,
    Kind::Ipc,
    Kind::Uts,
    Kind::Pid,
    Kind::Mount,
];

impl Kind {
    fn flag(self) -> c_int {
        match self {
            Kind::User => libc::CLONE_NEWUSER,
            Kind::Net => libc::CLONE_NEWNET,
            Kind::Ipc => libc::CLONE_NEWIPC,
            Kind::Uts => libc::CLONE_NEWUTS,
            Kind::Pid => libc::CLONE_NEWPID,
            Kind::Mount => libc::CLONE_NEWNS,
        }
    }
}

/// What did not work on the way into a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Call {
    Unshare = 1,
    Dumpable,
    Setgroups,
    UidMap,
    GidMap,
    Fork,
    NotFirst,
    Private,
    Tmpfs,
    Enter,
    Pivot,
    Detach,
}

const CALLS: &[(Call, &str)] = &[
    (Call::Unshare, "unshare"),
    (Call::Dumpable, "prctl(PR_SET_DUMPABLE)"),
    (Call::Setgroups, "writing /proc/self/setgroups"),
    (Call::UidMap, "writing /proc/self/uid_map"),
    (Call::GidMap, "writing /proc/self/gid_map"),
    (Call::Fork, "fork"),
    (Call::NotFirst, "being its first process"),
    (Call::Private, "making mounts private"),
    (Call::Tmpfs, "mounting a tmpfs"),
    (Call::Enter, "chdir into the tmpfs"),
    (Call::Pivot, "pivot_root"),
    (Call::Detach, "detaching the old root"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    call: Call,
    errno: i32,
}

impl Failure {
    fn last(call: Call) -> Failure {
        Failure {
            call,
            errno: Error::last_os_error().raw_os_error().unwrap_or(0),
        }
    }

    /// What the kernel said when it made no namespace; None when that was done, and what comes with it failed.
    pub fn refusal(self) -> Option<Error> {
        (self.call == Call::Unshare).then(|| Error::from_raw_os_error(self.errno))
    }

    fn encode(self) -> u32 {
        (self.call as u32) << 16 | self.errno as u32
    }

    fn decode(code: u32) -> Option<Failure> {
        let known = |&&(call, _): &&(Call, _)| call as u32 == code >> 16;
        CALLS.iter().find(known).map(|&(call, _)| Failure {
            call,
            errno: (code & 0xffff) as i32,
        })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = CALLS.iter().find(|(call, _)| *call == self.call);
        let error = Error::from_raw_os_error(self.errno);
        write!(f, "{}: {error}", name.map_or("", |(_, name)| name))?;
        if self.errno == libc::ENOSPC {
            // The kernel's word for it, which says nothing about a disk.
            f.write_str(" (as many as /proc/sys/user allows)")?;
        }
        Ok(())
    }
}

/// What the trial says of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    Given,
    /// The operator does without.
    Off,
    Failed(Failure),
    /// The trial ended before it came to this.
    Untried,
}

/// What can be had here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer([Finding; KINDS.len()]);

const UNTRIED: u32 = u32::MAX;
const GIVEN: u32 = 0;

impl Offer {
    /// Nothing, as the operator wishes.
    pub fn off() -> Offer {
        Offer([Finding::Off; KINDS.len()])
    }

    pub fn of(&self, kind: Kind) -> Finding {
        self.0[kind as usize]
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.of(kind) == Finding::Given
    }

    /// Tries all of them in a process of its own that ends with them.
    pub fn probe() -> Result<Offer, String> {
        let results = Results::new()?;
        // SAFETY: fork of a single-threaded process; the child ends in `try_each`.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                try_each(results.all());
            }
            let mut status = 0;
            if pid < 0 || libc::waitpid(pid, &mut status, 0) != pid {
                return Err(format!(
                    "cannot try namespaces in a process of its own: {}",
                    Error::last_os_error()
                ));
            }
        }
        Ok(Offer(KINDS.map(
            |kind| match results.all()[kind as usize].load(Ordering::Relaxed) {
                GIVEN => Finding::Given,
                code => Failure::decode(code).map_or(Finding::Untried, Finding::Failed),
            },
        )))
    }

    /// Enters what is given, but for the mounts, which [`empty_root`] does once nothing has to be opened any more. That of
    /// processes holds for those that are forked from now on.
    pub fn enter(&self) -> Result<(), String> {
        for kind in KINDS {
            if kind != Kind::Mount && self.has(kind) {
                enter(kind).map_err(|failure| broken(kind, failure))?;
            }
        }
        Ok(())
    }
}

fn broken(kind: Kind, failure: Failure) -> String {
    format!("a namespace that could be had a moment ago cannot be entered: {kind:?}: {failure}; start the server again")
}

/// One word for each kind, in memory that the trial shares.
struct Results(*mut AtomicU32);

impl Results {
    const BYTES: usize = std::mem::size_of::<AtomicU32>() * KINDS.len();

    fn new() -> Result<Results, String> {
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new memory.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), Results::BYTES, access, kind, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(format!("cannot map memory: {}", Error::last_os_error()));
        }
        let results = Results(memory.cast());
        for result in results.all() {
            result.store(UNTRIED, Ordering::Relaxed);
        }
        Ok(results)
    }

    fn all(&self) -> &[AtomicU32] {
        // SAFETY: as many were mapped, and zeroes are valid.
        unsafe { std::slice::from_raw_parts(self.0, KINDS.len()) }
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`.
        unsafe { libc::munmap(self.0.cast(), Results::BYTES) };
    }
}

/// Tries each kind and notes what came of it.
fn try_each(results: &[AtomicU32]) -> ! {
    for kind in KINDS {
        let tried = enter(kind).and_then(|()| match kind {
            Kind::Pid => first_process(),
            Kind::Mount => swap_root(),
            _ => Ok(()),
        });
        let code = tried.map_or_else(Failure::encode, |()| GIVEN);
        results[kind as usize].store(code, Ordering::Relaxed);
        if kind == Kind::User && code != GIVEN {
            // Nothing else can be had without.
            break;
        }
    }
    exit::now(exit::DONE)
}

/// Enters one of its own. In that of users this process stays who it is outside.
pub fn enter(kind: Kind) -> Result<(), Failure> {
    // Before the namespace, in which they may look different.
    // SAFETY: numbers only.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: a number only.
    if unsafe { libc::unshare(kind.flag()) } != 0 {
        return Err(Failure::last(Call::Unshare));
    }
    if kind == Kind::User {
        // The files belong to root while the process is not dumpable.
        set_dumpable(1)?;
        let mapped = map_own_user(uid, gid);
        set_dumpable(0)?;
        mapped?;
    }
    Ok(())
}

fn set_dumpable(value: libc::c_ulong) -> Result<(), Failure> {
    // SAFETY: numbers only.
    match unsafe { libc::prctl(libc::PR_SET_DUMPABLE, value, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(Failure::last(Call::Dumpable)),
    }
}

/// The user stays who it is outside, and is the only one there is.
fn map_own_user(uid: u32, gid: u32) -> Result<(), Failure> {
    let write = |call, path: &str, text: String| {
        std::fs::write(path, text).map_err(|error| Failure {
            call,
            errno: error.raw_os_error().unwrap_or(0),
        })
    };
    // Without it an ordinary user may not map its group.
    write(Call::Setgroups, "/proc/self/setgroups", "deny".into())?;
    write(Call::UidMap, "/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    write(Call::GidMap, "/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Forks once, as the zygote will, and sees that the child is process 1.
fn first_process() -> Result<(), Failure> {
    // SAFETY: the child makes system calls only.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            exit::now((libc::getpid() != 1).into());
        }
        let mut status = 0;
        if pid < 0 || libc::waitpid(pid, &mut status, 0) != pid {
            return Err(Failure::last(Call::Fork));
        }
        if status != 0 {
            return Err(Failure {
                call: Call::NotFirst,
                errno: libc::ECHILD,
            });
        }
    }
    Ok(())
}

/// Leaves every file of the machine behind: the root is an empty folder that nobody can write to.
pub fn empty_root() -> Result<(), String> {
    enter(Kind::Mount)
        .and_then(|()| swap_root())
        .map_err(|failure| broken(Kind::Mount, failure))
}

fn swap_root() -> Result<(), Failure> {
    // Any folder does that is there; in a namespace of one's own nobody else sees what is mounted over it.
    let place = c"/proc".as_ptr();
    let options = c"size=4k,nr_inodes=2,mode=555".as_ptr();
    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let here = c".".as_ptr();
    let check = |call, result: i64| match result {
        0 => Ok(()),
        _ => Err(Failure::last(call)),
    };
    // SAFETY: static strings and numbers.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let root = c"/".as_ptr();
        check(
            Call::Private,
            libc::mount(null(), root, null(), private, null()).into(),
        )?;
        let kind = c"tmpfs".as_ptr();
        check(
            Call::Tmpfs,
            libc::mount(kind, place, kind, flags, options.cast()).into(),
        )?;
        check(Call::Enter, libc::chdir(place).into())?;
        // The old root comes to lie on top of the new one, from where it is taken away.
        check(Call::Pivot, libc::syscall(libc::SYS_pivot_root, here, here))?;
        check(Call::Detach, libc::umount2(here, libc::MNT_DETACH).into())?;
        check(Call::Enter, libc::chdir(root).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_code() {
        for (call, name) in CALLS {
            let failure = Failure {
                call: *call,
                errno: libc::EPERM,
            };
            assert_eq!(Failure::decode(failure.encode()), Some(failure));
            assert!(failure.to_string().starts_with(name));
        }
        assert_eq!(Failure::decode(UNTRIED), None);
    }

    #[test]
    fn kinds_are_found_by_their_number() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, index);
        }
    }
}
