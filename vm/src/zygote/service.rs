//! The loop of the zygote: requests, ends of children, deadlines.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};

use super::children::{Child, Children, Killed};
use super::control::{Control, Received};
use super::development::Entry;
use super::fork::{self, Forked};
use super::limits::{Baseline, Bounds, Sizes};
use super::log;
use super::moments::{LastMoment, WarmUp};
use crate::child::{self, deadline, Preloaded};
use crate::exit;
use crate::frames::vm::{
    zygote_event::Event, zygote_request::Request, Assign, ChildLimits, Exited, Pong, Spawn,
    SpawnFailed, Spawned,
};
use crate::jail;

/// Requests that are served before ends and deadlines get their turn again.
const REQUESTS_PER_TURN: usize = 16;
/// A child that sleeps shortly before the end of its processor time is not looked at more often than this, in
/// nanoseconds; it is also by how much it can overdraw.
const SHORTEST_LOOK: u64 = 5_000_000;
/// Nanoseconds after which a spare waits for its job: several times what it needs to get there.
const SETTLING: u64 = 3_000_000;

pub struct Service {
    control: Control,
    entry: Entry,
    preloaded: Preloaded,
    baseline: Baseline,
    ends: OwnedFd,
    children: Children,
    warm_up: WarmUp,
    /// The first error of the control socket; ends the loop.
    broken: Option<String>,
}

impl Service {
    pub fn new(
        control: Control,
        entry: Entry,
        preloaded: Preloaded,
        baseline: Baseline,
    ) -> Result<Service, String> {
        let ends = watch_for_ends()
            .map_err(|error| format!("cannot watch for ends of children: {error}"))?;
        Ok(Service {
            control,
            entry,
            preloaded,
            baseline,
            ends,
            children: Children::default(),
            warm_up: WarmUp::default(),
            broken: None,
        })
    }

    /// Sends an event that carries no descriptor.
    pub fn send(&mut self, event: Event) {
        self.send_with(event, Vec::new());
    }

    fn send_with(&mut self, event: Event, descriptors: Vec<OwnedFd>) {
        if let Err(error) = self.control.send(event, descriptors) {
            self.broken.get_or_insert(error);
        }
    }

    /// Returns when the server has closed the socket, or with what broke it; all children are dead by then.
    pub fn run(&mut self) -> Result<(), String> {
        while self.broken.is_none() && self.turn() {}
        for pid in self.children.pids() {
            fork::kill(pid);
        }
        while fork::reap(true).is_some() {}
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Waits for something to happen and deals with it. False when the server has gone.
    fn turn(&mut self) -> bool {
        let ends = libc::pollfd {
            fd: self.ends.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut ready = [self.control.interest(), ends];
        let timeout = self.children.next_look().map(|time| {
            let nanoseconds = time.saturating_sub(fork::monotonic());
            libc::timespec {
                tv_sec: (nanoseconds / 1_000_000_000) as libc::time_t,
                tv_nsec: (nanoseconds % 1_000_000_000) as _,
            }
        });
        let timeout = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: array and time live in this frame.
        let count = unsafe { libc::ppoll(ready.as_mut_ptr(), 2, timeout, std::ptr::null()) };
        // First of all, whatever else there is to do.
        self.look_at_due();
        if count <= 0 {
            return true;
        }
        let [control, ends] = ready;
        if control.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
        {
            return false;
        }
        if ends.revents != 0 {
            self.reap();
        }
        if control.revents & libc::POLLOUT != 0 {
            if let Err(error) = self.control.flush() {
                self.broken.get_or_insert(error);
            }
        }
        control.revents & libc::POLLIN == 0 || self.serve_requests()
    }

    fn serve_requests(&mut self) -> bool {
        for _ in 0..REQUESTS_PER_TURN {
            if !self.control.accepts() || self.broken.is_some() {
                break;
            }
            match self.control.receive() {
                Ok(Received::Request(request)) => match request.request {
                    Some(Request::Spawn(spawn)) => self.spawn(spawn),
                    Some(Request::Assign(assign)) => self.assign(assign),
                    Some(Request::Ping(ping)) => self.send(Event::Pong(Pong {
                        number: ping.number,
                    })),
                    None => log::line(
                        "passed over a request: expected spawn, assign or ping, got none of them",
                    ),
                },
                Ok(Received::Malformed(problem)) => {
                    log::line(&format!("passed over a request: {problem}"))
                }
                Ok(Received::Nothing) => break,
                Err(error) => {
                    self.broken.get_or_insert(error);
                }
            }
        }
        true
    }

    fn spawn(&mut self, spawn: Spawn) {
        let id = spawn.child_id;
        let Some(limits) = spawn.limits else {
            return self.refuse(
                id,
                "expected limits in spawn, got none".into(),
                libc::EINVAL,
            );
        };
        if self.children.contains(id) {
            return self.refuse(
                id,
                format!("expected a new child_id, got {id}, which is running"),
                libc::EEXIST,
            );
        }
        match self.fork_child(id, &limits, spawn.is_spare) {
            Ok((pid, descriptors)) => {
                self.send_with(Event::Spawned(Spawned { child_id: id, pid }), descriptors)
            }
            Err((message, errno)) => self.refuse(id, message, errno),
        }
    }

    fn refuse(&mut self, child_id: u64, message: String, errno: i32) {
        self.send(Event::SpawnFailed(SpawnFailed {
            child_id,
            message,
            errno,
        }));
    }

    fn fork_child(
        &mut self,
        id: u64,
        limits: &ChildLimits,
        is_spare: bool,
    ) -> Result<(i32, Vec<OwnedFd>), (String, i32)> {
        let failed = |call: &str, error: std::io::Error| {
            (
                format!("{call}: {error}"),
                error.raw_os_error().unwrap_or(0),
            )
        };
        let baseline = self
            .baseline
            .read()
            .map_err(|message| (message, libc::EIO))?;
        let bounds = Bounds::new(limits, baseline);
        let (server_end, child_end) =
            fork::socket_pair().map_err(|error| failed("socketpair", error))?;
        // Before the fork: the child's clock does not wait for the zygote to be scheduled again.
        let forked_at = fork::monotonic();
        // SAFETY: this process has one thread; the child goes no further than `run_child`.
        match unsafe { fork::fork(self.entry.namespaces()) }
            .map_err(|error| failed("fork", error))?
        {
            Forked::Child => {
                run_child(&self.entry, &self.preloaded, &child_end, baseline, is_spare)
            }
            Forked::Zygote { pid, pidfd } => {
                let mut child = Child::new(pid, bounds, forked_at);
                child.settles_at = is_spare.then_some(forked_at + SETTLING);
                self.children.insert(id, child);
                self.plan_look(id, forked_at);
                // Before the server hears of the child, so before it can have a job.
                if let Err(problem) = fork::bound(pid, &bounds.rlimits) {
                    self.kill_for_limits(id, problem);
                }
                Ok((pid, vec![server_end, pidfd]))
            }
        }
    }

    fn assign(&mut self, assign: Assign) {
        // One that ended a moment ago: its Exited is on the way.
        let Some(child) = self.children.get_mut(assign.child_id) else {
            return;
        };
        let used = fork::cpu_time(child.pid);
        let lowered = match (&assign.limits, used) {
            (None, _) => Err("expected limits in assign, got none".to_string()),
            // A zombie, about to be reaped.
            (_, None) => return,
            (Some(limits), Some(used)) => child.bounds.lowered(limits, used),
        };
        let bounded =
            lowered.and_then(|bounds| fork::bound(child.pid, &bounds.rlimits).map(|()| bounds));
        let now = fork::monotonic();
        match bounded {
            Ok(bounds) => {
                if child.settles_at.take().is_some() {
                    child.cpu_before_job = self.warm_up.bound(used.unwrap_or(0));
                }
                let deadline = bounds.wall_time.map(|time| now.saturating_add(time));
                child.wall_deadline = [child.wall_deadline, deadline].into_iter().flatten().min();
                child.bounds = bounds;
                self.plan_look(assign.child_id, now);
            }
            Err(problem) => self.kill_for_limits(assign.child_id, problem),
        }
    }

    /// Ends a child that cannot be bounded; its Exited says why.
    fn kill_for_limits(&mut self, id: u64, problem: String) {
        log::line(&format!("killed child {id}: {problem}"));
        if let Some(child) = self.children.get_mut(id) {
            child.killed = Killed::Limits(problem);
            fork::kill(child.pid);
        }
    }

    /// Tells the children whose time has passed, and a moment later kills those that are still there.
    fn look_at_due(&mut self) {
        let now = fork::monotonic();
        while let Some(id) = self.children.due(now) {
            let Some(child) = self.children.get_mut(id) else {
                continue;
            };
            if child.killed != Killed::No {
                continue;
            }
            if child.settles_at.is_some_and(|time| time <= now) {
                child.settles_at = None;
                let used = fork::cpu_time(child.pid).unwrap_or(0);
                self.warm_up.learn(used);
                child.cpu_before_job = self.warm_up.bound(used);
            }
            let used = fork::cpu_time(child.pid);
            match &child.last_moment {
                Some(moment) if moment.is_over(now, used) => {
                    child.killed = moment.passed.clone();
                    fork::kill(child.pid);
                    continue;
                }
                Some(_) => {}
                None => {
                    if let Some((passed, signal, limit)) = time_passed(child, now) {
                        fork::warn(child.pid, signal, limit);
                        child.last_moment = Some(LastMoment::new(passed, now, used));
                    }
                }
            }
            self.plan_look(id, now);
        }
    }

    /// A child has one thread, so it cannot use up its processor time sooner than that much wall time.
    fn plan_look(&mut self, id: u64, now: u64) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        let cpu = || {
            let budget = child.bounds.cpu_budget?;
            let left = budget.saturating_sub(fork::cpu_time(child.pid).unwrap_or(0));
            Some(now.saturating_add(left.max(SHORTEST_LOOK)))
        };
        let time = match &child.last_moment {
            Some(moment) => Some(moment.next_look(now)),
            None => [cpu(), child.wall_deadline, child.settles_at]
                .into_iter()
                .flatten()
                .min(),
        };
        self.children.look_at(id, time);
    }

    fn reap(&mut self) {
        drain(&self.ends);
        while let Some(ended) = fork::reap(false) {
            let Some((child_id, child)) = self.children.remove_by_pid(ended.pid) else {
                continue;
            };
            // It may have ended by itself between the deadline and the kill.
            let killed = if ended.signal == libc::SIGKILL {
                child.killed
            } else {
                Killed::No
            };
            let step = jail::failed_step(ended.exit_code);
            let detail = match (&killed, step) {
                (Killed::Limits(problem), _) => problem.clone(),
                (_, Some(step)) => format!("the jail could not be built: {step} failed"),
                _ => String::new(),
            };
            if step.is_some() {
                log::line(&format!("child {child_id}: {detail}"));
            }
            self.send(Event::Exited(Exited {
                child_id,
                exit_code: if step.is_some() {
                    exit::JAIL_FAILED
                } else {
                    ended.exit_code
                },
                signal: ended.signal,
                wall_time_exceeded: killed == Killed::WallTime,
                cpu_time_us: ended
                    .cpu_time_us
                    .saturating_sub(child.cpu_before_job / 1000),
                max_resident_bytes: ended.max_resident_bytes,
                lifetime_us: fork::monotonic().saturating_sub(child.forked_at) / 1000,
                cpu_time_exceeded: killed == Killed::CpuTime,
                detail,
            }));
        }
    }
}

/// Which of its time limits a child has passed, the signal that tells it, and the limit in milliseconds.
fn time_passed(child: &Child, now: u64) -> Option<(Killed, libc::c_int, u64)> {
    if child.wall_deadline.is_some_and(|deadline| deadline <= now) {
        let limit = child.bounds.wall_time.unwrap_or(0) / 1_000_000;
        return Some((Killed::WallTime, deadline::WALL_TIME, limit));
    }
    let used = fork::cpu_time(child.pid)?;
    let limit = child.bounds.cpu_time.unwrap_or(0);
    (used >= child.bounds.cpu_budget?).then_some((Killed::CpuTime, deadline::CPU_TIME, limit))
}

fn run_child(
    entry: &Entry,
    preloaded: &Preloaded,
    socket: &OwnedFd,
    baseline: Sizes,
    is_spare: bool,
) -> ! {
    // Unwinding would go on into the zygote's loop, in the child.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let socket = entry.enter(socket.as_raw_fd());
        if is_spare {
            preloaded.warm_up();
        }
        child::serve(preloaded, socket, baseline.data)
    }));
    exit::now(exit::PANIC)
}

/// A descriptor that is readable when a child has ended.
fn watch_for_ends() -> Result<OwnedFd, std::io::Error> {
    // SAFETY: the set lives in this frame, and the descriptor is new.
    unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        match libc::signalfd(-1, &signals, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(std::io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

fn drain(ends: &OwnedFd) {
    let mut signals = [0u8; std::mem::size_of::<libc::signalfd_siginfo>()];
    // One is enough: SIGCHLD does not queue, and all that have ended are reaped after this.
    // SAFETY: the buffer lives in this frame.
    unsafe { libc::read(ends.as_raw_fd(), signals.as_mut_ptr().cast(), signals.len()) };
}
