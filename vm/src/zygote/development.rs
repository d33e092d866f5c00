//! The zygote of the Development level: its children run outside the jail, with what the user of this process may do. Each
//! is process 1 of a pid namespace of its own, so that the kernel ends whatever it has started together with it.

use std::io::{Error, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::control::Control;
use super::fork::{self, Forked};
use super::{limits, log, processes, ready, service};
use crate::child::{Preloaded, Sets};
use crate::exit;
use crate::frames::v1::IsolationLayer;
use crate::frames::vm::{zygote_event::Event, Refused};
use crate::jail::layers::layer;
use crate::jail::namespaces::{self, Kind};
use crate::jail::{self, capabilities, inherited, memory, Jail};

/// The descriptor of a child's socket to the server. Above standard input, output and error, which are nothing: what a
/// script starts expects them to be there.
const SOCKET: RawFd = 3;
/// Signals that the zygote ignores; ignored ones would stay so in whatever a script starts.
const IGNORED: [libc::c_int; 5] = [
    libc::SIGPIPE,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
];

/// What a child does first, by the kind of its zygote.
pub enum Entry {
    Jail(Jail),
    Open(Open),
}

impl Entry {
    /// The namespaces that each child is forked into.
    pub fn namespaces(&self) -> libc::c_int {
        match self {
            Entry::Jail(_) => 0,
            Entry::Open(open) => open.namespaces,
        }
    }

    /// Prepares the calling process, a child just forked, and returns its socket to the server. Ends it when a step fails.
    pub fn enter(&self, socket: RawFd) -> RawFd {
        match self {
            Entry::Jail(jail) => {
                jail.enter(socket);
                jail::SOCKET
            }
            Entry::Open(open) => {
                if let Err(problem) = open.enter(socket) {
                    log::line(&format!("a child outside the jail: {problem}"));
                    exit::now(exit::JAIL_FAILED);
                }
                SOCKET
            }
        }
    }
}

/// Serves the control socket until the server closes it, as the jailed zygote does.
pub fn run(mut control: Control) -> Result<(), String> {
    let open = match Open::prepare() {
        Ok(open) => open,
        Err(reason) => {
            let refused = Refused {
                reason: reason.clone(),
            };
            control.send(Event::Refused(refused), Vec::new())?;
            return Err(reason);
        }
    };
    let preloaded = Preloaded::new(Sets::Development)?;
    memory::trim();
    let baseline = limits::Baseline::open()?;
    let ready = ready(&preloaded, vec![open.layer()], baseline.read()?.resident);
    let mut service = service::Service::new(control, Entry::Open(open), preloaded, baseline)?;
    service.send(Event::Ready(ready));
    service.run()
}

/// What the zygote has found out, and holds, so that its children need not.
pub struct Open {
    /// Of the zygote itself: readable once it is gone.
    zygote: OwnedFd,
    namespaces: libc::c_int,
    max_processes: u64,
}

impl Open {
    /// Enters the user namespace that pid namespaces need. Tried in a throwaway process first, so that a machine that
    /// lacks them is told by name.
    fn prepare() -> Result<Open, String> {
        let has_own_proc = in_throwaway(probe)? == "proc";
        enter_user_namespace()?;
        let mount = if has_own_proc { libc::CLONE_NEWNS } else { 0 };
        Ok(Open {
            // SAFETY: getpid takes nothing and cannot fail.
            zygote: fork::pidfd_of(unsafe { libc::getpid() })
                .map_err(|error| format!("pidfd_open: {error}"))?,
            namespaces: libc::CLONE_NEWPID | mount,
            // In the namespace, where nobody but its children is counted.
            max_processes: processes::bound()?,
        })
    }

    fn layer(&self) -> IsolationLayer {
        // SAFETY: getuid takes nothing and cannot fail.
        let uid = unsafe { libc::getuid() };
        let proc = if self.namespaces & libc::CLONE_NEWNS != 0 {
            "sees its own processes only"
        } else {
            "may see the machine's processes in /proc, where none of its own can be mounted"
        };
        let detail = format!(
            "scripts of the Development level run outside the jail as user {uid}; each has a pid namespace of its own, \
             which ends whatever it starts together with it, and {proc}; all together have at most {} processes",
            self.max_processes
        );
        layer("development", true, false, &detail)
    }

    fn enter(&self, socket: RawFd) -> Result<(), String> {
        if self.namespaces & libc::CLONE_NEWNS != 0 {
            mount_proc()?;
        }
        // SAFETY: system calls on numbers and on structures that live in this frame.
        unsafe {
            done(
                "PR_SET_PDEATHSIG",
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
            )?;
            // Its number says nothing in here, where the zygote has none. It may have died before the line above.
            let mut zygote = libc::pollfd {
                fd: self.zygote.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            if libc::poll(&mut zygote, 1, 0) != 0 {
                return Err("the zygote was gone already".into());
            }
            // Its number may be any, that of what was just looked at included.
            done("dup2", libc::dup2(socket, SOCKET))?;
            done(
                "FD_CLOEXEC",
                libc::fcntl(SOCKET, libc::F_SETFD, libc::FD_CLOEXEC),
            )?;
            let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            done("/dev/null", nothing)?;
            for standard in 0..SOCKET {
                done("dup2 of /dev/null", libc::dup2(nothing, standard))?;
            }
            let closed = libc::syscall(libc::SYS_close_range, SOCKET + 1, libc::c_uint::MAX, 0);
            done("close_range", closed as i32)?;
        }
        restore_signals()?;
        // The rights over the user namespace: a script needs none, and could mount over what others started by it see.
        capabilities::give_up().map_err(|error| format!("capset: {error}"))
    }
}

fn done(what: &str, result: libc::c_int) -> Result<(), String> {
    match result {
        0.. => Ok(()),
        _ => Err(format!("{what}: {}", Error::last_os_error())),
    }
}

/// A user namespace in which this process is who it was, and may make pid namespaces.
fn enter_user_namespace() -> Result<(), String> {
    namespaces::enter(Kind::User).map_err(|failure| {
        let Some(error) = failure.refusal() else {
            return format!("cannot enter a user namespace: {failure}");
        };
        let advice = match error.raw_os_error() {
            Some(libc::ENOSPC) => "user.max_user_namespaces is 0 or used up: raise it with sysctl",
            Some(libc::EPERM) => {
                "a container, AppArmor or kernel.unprivileged_userns_clone = 0 forbids it: allow it"
            }
            _ => "the kernel has to be built with CONFIG_USER_NS",
        };
        format!("no user namespace can be made ({error}); {advice}")
    })?;
    // Entering it has cleared the parent death signal.
    inherited::die_with_parent()
}

/// Makes a child as it will be made for each script; whether it could have a `/proc` of its own.
fn probe() -> Result<&'static str, String> {
    enter_user_namespace()?;
    // A container may have covered parts of /proc, and then allows no other.
    if first_of_namespace(libc::CLONE_NEWPID | libc::CLONE_NEWNS, || {
        mount_proc().is_ok()
    })? {
        return Ok("proc");
    }
    if first_of_namespace(libc::CLONE_NEWPID, || true)? {
        return Ok("no proc");
    }
    Err("a child of a new pid namespace is not its first process".into())
}

/// Whether a child with these namespaces is process 1 and `test` is true in it.
fn first_of_namespace(namespaces: libc::c_int, test: fn() -> bool) -> Result<bool, String> {
    // SAFETY: this process has one thread, and the child only tests and ends.
    match unsafe { fork::fork(namespaces) } {
        Ok(Forked::Child) => exit::now(i32::from(
            unsafe { libc::getpid() } != 1 || !test(),
        )),
        Ok(Forked::Zygote { pid, .. }) => {
            let mut status = 0;
            // SAFETY: the kernel writes an int.
            done("waitpid", unsafe { libc::waitpid(pid, &mut status, 0) })?;
            Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
        }
        // Without a mount namespace it may still work.
        Err(_) if namespaces & libc::CLONE_NEWNS != 0 => Ok(false),
        Err(error) => Err(format!(
            "no pid namespace can be made ({error}); without one, what a script starts could outlive it"
        )),
    }
}

/// Runs `act` in a forked process and returns what it says.
fn in_throwaway(act: fn() -> Result<&'static str, String>) -> Result<String, String> {
    let (mut reader, mut writer) =
        std::io::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
    // SAFETY: as in `first_of_namespace`.
    match unsafe { fork::fork(0) }.map_err(|error| format!("fork: {error}"))? {
        Forked::Child => {
            let text = match act() {
                Ok(text) => format!("+{text}"),
                Err(text) => format!("-{text}"),
            };
            let _ = writer.write_all(text.as_bytes());
            exit::now(exit::DONE)
        }
        Forked::Zygote { pid, .. } => {
            drop(writer);
            let mut text = String::new();
            let read = reader.read_to_string(&mut text);
            // SAFETY: a number and a null pointer.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            read.map_err(|error| format!("cannot read what the trial says: {error}"))?;
            match text.split_at_checked(1) {
                Some(("+", said)) => Ok(said.to_owned()),
                Some(("-", problem)) => Err(problem.to_owned()),
                _ => Err("the trial of a pid namespace ended without a word".into()),
            }
        }
    }
}

fn mount_proc() -> Result<(), String> {
    let none = std::ptr::null();
    // SAFETY: static strings and null pointers.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let root = c"/".as_ptr();
        done(
            "MS_PRIVATE",
            libc::mount(none, root, none, private, none.cast()),
        )?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let (proc, at) = (c"proc".as_ptr(), c"/proc".as_ptr());
        done(
            "mount of /proc",
            libc::mount(proc, at, proc, flags, none.cast()),
        )
    }
}

fn restore_signals() -> Result<(), String> {
    // SAFETY: the structures live in this frame. Process 1 of a namespace gets none that it does not handle, so that
    // these still do not end it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in IGNORED {
            done(
                "sigaction",
                libc::sigaction(signal, &action, std::ptr::null_mut()),
            )?;
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        done(
            "sigprocmask",
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()),
        )
    }
}
