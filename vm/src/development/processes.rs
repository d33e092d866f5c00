//! The processes that a script has started, and those that they have left behind: this process is their init.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

thread_local!(static STARTED: RefCell<BTreeMap<libc::pid_t, Rc<Cell<Option<libc::c_int>>>>> = const {
    RefCell::new(BTreeMap::new())
});

/// A process that was started, until it has been collected.
#[derive(Clone)]
pub struct Process {
    pub pid: libc::pid_t,
    end: Rc<OwnedFd>,
    status: Rc<Cell<Option<libc::c_int>>>,
}

impl Process {
    /// For a child just made, which nobody else collects.
    pub fn new(pid: libc::pid_t) -> Result<Process, String> {
        // SAFETY: numbers; the descriptor is new. Until it is collected, the number is this process's.
        let end = unsafe {
            match libc::syscall(libc::SYS_pidfd_open, pid, 0) as RawFd {
                -1 => return Err(format!("pidfd_open: {}", std::io::Error::last_os_error())),
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        let status = Rc::new(Cell::new(None));
        STARTED.with_borrow_mut(|started| started.insert(pid, status.clone()));
        Ok(Process {
            pid,
            end: Rc::new(end),
            status,
        })
    }

    /// As `wait` reports it, once it has ended.
    pub fn status(&self) -> Option<libc::c_int> {
        collect();
        self.status.get()
    }

    /// What to wait for.
    pub fn interest(&self) -> (RawFd, libc::c_short) {
        (self.end.as_raw_fd(), libc::POLLIN)
    }

    /// Sends a signal to it and to the group that it leads. False when it has ended.
    pub fn signal(&self, number: libc::c_int) -> bool {
        if self.status().is_some() {
            return false;
        }
        // SAFETY: numbers only; it is not collected, so both are still its own.
        unsafe { libc::kill(-self.pid, number) == 0 || libc::kill(self.pid, number) == 0 }
    }
}

/// Collects every process that has ended, those included whose parents are gone.
pub fn collect() {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes an int.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        if pid <= 0 {
            return;
        }
        STARTED.with_borrow_mut(|started| {
            if let Some(slot) = started.remove(&pid) {
                slot.set(Some(status));
            }
        });
    }
}
