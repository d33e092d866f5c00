//! Everything that confines a child. What fork hands down is set once on the zygote ([`inherited`]); what has to differ is
//! done by the child as its first act ([`Jail::enter`]), in as few system calls as possible, the filter last.

pub mod capabilities;
mod filter;
pub mod inherited;
pub mod landlock;
pub mod layers;
pub mod memory;
pub mod namespaces;
mod signals;

use std::os::fd::RawFd;

use crate::exit;

/// The descriptor of a child's stream socket to the server: the only one it has.
pub const SOCKET: RawFd = 0;

/// The steps of [`Jail::enter`], in order. Its number tells the zygote which one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Step {
    Socket,
    CloseRange,
    ParentDeathSignal,
    ParentGone,
    OpenFiles,
    Processes,
    FileSize,
    Filter,
}

const STEPS: &[(Step, &str)] = &[
    (Step::Socket, "dup2 of the socket"),
    (Step::CloseRange, "close_range of everything else"),
    (Step::ParentDeathSignal, "prctl(PR_SET_PDEATHSIG)"),
    (Step::ParentGone, "the zygote was gone already"),
    (Step::OpenFiles, "setrlimit(RLIMIT_NOFILE)"),
    (Step::Processes, "setrlimit(RLIMIT_NPROC)"),
    (Step::FileSize, "setrlimit(RLIMIT_FSIZE)"),
    (Step::Filter, "seccomp(SECCOMP_SET_MODE_FILTER)"),
];

/// The step that an exit code of a child names, if it names one.
pub fn failed_step(exit_code: i32) -> Option<&'static str> {
    let named = |&&(step, _): &&(Step, _)| exit::JAIL_STEP + step as i32 == exit_code;
    STEPS.iter().find(named).map(|(_, name)| *name)
}

/// Limits that differ from child to child, as the kernel takes them; [`libc::RLIM_INFINITY`] means none. The zygote sets
/// them before the server hears of the child, and lowers them when a spare gets its job. Were the child to set its own,
/// it might do so after they had been lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimits {
    /// RLIMIT_DATA in bytes: the zygote's own and the child's heap.
    pub data: u64,
    /// RLIMIT_AS in bytes: the same, all mappings and the whole stack.
    pub address_space: u64,
    /// RLIMIT_CPU in seconds: SIGXCPU then, SIGKILL a second later.
    pub cpu_seconds: u64,
}

impl Rlimits {
    pub const NONE: Rlimits = Rlimits {
        data: libc::RLIM_INFINITY,
        address_space: libc::RLIM_INFINITY,
        cpu_seconds: libc::RLIM_INFINITY,
    };

    /// Each limit with its soft and hard value, leaving out those that are unlimited. RLIMIT_DATA comes last: a child that
    /// sees it has the others too.
    pub fn each(&self) -> impl Iterator<Item = (libc::__rlimit_resource_t, libc::rlimit)> {
        let limit = |soft, hard| libc::rlimit {
            rlim_cur: soft,
            rlim_max: hard,
        };
        let cpu = limit(self.cpu_seconds, self.cpu_seconds.saturating_add(1));
        [
            (libc::RLIMIT_CPU, cpu),
            (
                libc::RLIMIT_AS,
                limit(self.address_space, self.address_space),
            ),
            (libc::RLIMIT_DATA, limit(self.data, self.data)),
        ]
        .into_iter()
        .filter(|(_, limit)| limit.rlim_cur != libc::RLIM_INFINITY)
    }
}

/// What the zygote prepares so that its children need not.
pub struct Jail {
    filter: seccompiler::BpfProgram,
    zygote: libc::pid_t,
}

impl Jail {
    /// Compiles the filter. To be called by the zygote.
    pub fn prepare() -> Result<Jail, String> {
        // SAFETY: getpid takes nothing and cannot fail.
        Ok(Jail {
            filter: filter::compile()?,
            zygote: unsafe { libc::getpid() },
        })
    }

    /// Confines the calling process, a child just forked, for good. `socket` becomes [`SOCKET`], everything else is
    /// closed. Ends the process when a step fails: nothing untrusted has been read by then.
    pub fn enter(&self, socket: RawFd) {
        // SAFETY: system calls on numbers and on structures that live in this frame.
        unsafe {
            check(Step::Socket, libc::dup2(socket, SOCKET));
            // Standard error too: see the filter for what becomes of writes to it.
            let closed = libc::syscall(libc::SYS_close_range, SOCKET + 1, libc::c_uint::MAX, 0);
            check(Step::CloseRange, closed as i32);
            check(
                Step::ParentDeathSignal,
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
            );
            // The zygote may have died before the line above.
            if libc::getppid() != self.zygote {
                fail(Step::ParentGone);
            }
            set_limit(Step::OpenFiles, libc::RLIMIT_NOFILE, SOCKET as u64 + 1);
            set_limit(Step::Processes, libc::RLIMIT_NPROC, 0);
            set_limit(Step::FileSize, libc::RLIMIT_FSIZE, 0);
        }
        self.install_filter();
    }

    fn install_filter(&self) {
        // sock_filter of seccompiler has the kernel's layout; so says its documentation, and the probe proves it.
        let program = libc::sock_fprog {
            len: self.filter.len() as u16,
            filter: self.filter.as_ptr() as *mut libc::sock_filter,
        };
        // SAFETY: the kernel copies the program, which outlives the call.
        let installed = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &program as *const _,
            )
        };
        check(Step::Filter, installed as i32);
    }

    /// Proves the jail in a throwaway child: it enters, then makes a call that is not in the table, and has to die of
    /// exactly that.
    pub fn probe(&self) -> Result<(), String> {
        // SAFETY: fork of a single-threaded process; the child only makes system calls.
        unsafe {
            let pid = libc::fork();
            if pid < 0 {
                return Err(format!(
                    "cannot fork to try the jail: {}",
                    std::io::Error::last_os_error()
                ));
            }
            if pid == 0 {
                self.enter(SOCKET + 2);
                libc::syscall(libc::SYS_getuid);
                exit::now(exit::DONE);
            }
            let mut status = 0;
            if libc::waitpid(pid, &mut status, 0) != pid {
                return Err(format!(
                    "cannot wait for the trial of the jail: {}",
                    std::io::Error::last_os_error()
                ));
            }
            if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS {
                return Ok(());
            }
            let step = libc::WIFEXITED(status)
                .then(|| failed_step(libc::WEXITSTATUS(status)))
                .flatten();
            Err(format!(
                "the jail does not hold on this machine: expected a child to be ended by SIGSYS, got wait status \
                 {status:#x} (failed step: {}); Linux 5.11 or newer with seccomp is needed, and a container must \
                 allow it",
                step.unwrap_or("none, the filter let a forbidden call pass"),
            ))
        }
    }
}

fn set_limit(step: Step, resource: libc::__rlimit_resource_t, value: u64) {
    if inherited::set_limit(resource, value).is_err() {
        fail(step);
    }
}

fn check(step: Step, result: i32) {
    if result < 0 {
        fail(step);
    }
}

fn fail(step: Step) -> ! {
    exit::now(exit::JAIL_STEP + step as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_name_every_step_once() {
        for (step, name) in STEPS {
            assert_eq!(failed_step(exit::JAIL_STEP + *step as i32), Some(*name));
        }
        assert_eq!(failed_step(exit::JAIL_FAILED), None);
        assert_eq!(failed_step(exit::JAIL_STEP + STEPS.len() as i32), None);
    }

    #[test]
    fn unlimited_is_not_set() {
        assert_eq!(Rlimits::NONE.each().count(), 0);
        let one = Rlimits {
            cpu_seconds: 3,
            ..Rlimits::NONE
        };
        let (resource, limit) = one.each().next().unwrap();
        assert_eq!(
            (resource, limit.rlim_cur, limit.rlim_max),
            (libc::RLIMIT_CPU, 3, 4)
        );
    }
}
