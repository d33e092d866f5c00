//! What a job shares with the native functions that its script calls: the channel, the output, the host calls.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::channel::{end, Channel};
use super::limits::{Fatal, Limits};
use super::output::{Output, Stream};
use super::{clock, deadline};
use crate::development::waits::{self, Rested};
use crate::exit;
use crate::frames::v1::{ExecutionErrorKind, Value};
use crate::frames::vm::{
    child_frame, host_reply, server_frame, HostCall, HostReply, OutputCredit, Start,
};
use crate::modules::Random;

thread_local!(static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) });

/// Everything of a running job that is not Rune's.
pub struct Session {
    channel: Channel,
    output: Output,
    pub limits: Limits,
    pub environment: BTreeMap<String, String>,
    /// What the function was given, by the names of its parameters.
    pub arguments: Vec<(String, Value)>,
    pub random: Random,
    /// Outside the jail: what the server would be asked for can be done here.
    pub is_native: bool,
    /// Once set, the execution is over, whatever the virtual machine says.
    pub fatal: Option<Fatal>,
    /// Nanoseconds since 1970 as the script sees them: they move only by replies.
    pub time_ns: i64,
    calls_made: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
    delivered: BTreeMap<u64, host_reply::Outcome>,
    queued: VecDeque<HostReply>,
    journal: VecDeque<HostReply>,
}

impl Session {
    pub fn new(channel: Channel, start: &mut Start) -> Session {
        let limits = Limits::new(&start.limits.unwrap_or_default());
        Session {
            channel,
            output: Output::new(start.output_credit_bytes, &limits),
            limits,
            environment: std::mem::take(&mut start.environment),
            arguments: Vec::new(),
            random: Random::new(&start.seed),
            is_native: false,
            fatal: None,
            time_ns: start.start_time_ns,
            calls_made: 0,
            waiting: BTreeMap::new(),
            delivered: BTreeMap::new(),
            queued: VecDeque::new(),
            journal: std::mem::take(&mut start.journal).into(),
        }
    }

    /// Makes this the session of the thread, in place of another one if there is.
    pub fn install(self) {
        SESSION.with(|session| *session.borrow_mut() = Some(self));
    }

    /// Never sends output by time, for the warm-up.
    pub fn buffering(mut self) -> Session {
        self.output.hold();
        self
    }

    pub fn uninstall() -> Option<Session> {
        SESSION.with(|session| session.borrow_mut().take())
    }

    /// Writes what the script printed. It leaves now or, while much is printed, a few milliseconds later.
    pub fn write(&mut self, stream: Stream, parts: &[&str]) -> Result<(), Fatal> {
        self.check()?;
        if self.output.must_flush(stream) {
            self.flush()?;
        }
        for part in parts {
            let mut taken = self.output.accept(part);
            let exceeded = taken.len() < part.len();
            while !taken.is_empty() {
                taken = self.output.append(stream, taken);
                if self.output.is_full() {
                    self.flush()?;
                }
            }
            if exceeded {
                return Err(self.fail(Fatal::output(&self.limits)));
            }
        }
        self.flush_if_due()
    }

    /// Sends what is buffered, waiting for credits where they are used up.
    pub fn flush(&mut self) -> Result<(), Fatal> {
        while !self.output.is_empty() {
            match self.output.next_frame() {
                Some(frame) => {
                    self.output.pace();
                    self.channel.send(child_frame::Frame::Output(frame));
                }
                None => self.receive()?,
            }
        }
        Ok(())
    }

    /// Sends what has waited too long; for the instruction ticks.
    pub fn flush_if_due(&mut self) -> Result<(), Fatal> {
        if self.output.is_due() {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends the last frame. Output goes first even when the execution is over.
    pub fn finish(mut self, frame: child_frame::Frame) -> ! {
        let is_urgent = self.fatal.as_ref().is_some_and(|fatal| {
            matches!(
                fatal.kind,
                ExecutionErrorKind::Cancelled
                    | ExecutionErrorKind::Timeout
                    | ExecutionErrorKind::CpuTimeExceeded
            )
        });
        while let Some(output) = self.output.next_frame() {
            self.channel.send(child_frame::Frame::Output(output));
        }
        // Who cancelled does not wait for the rest, nor does the zygote when time has run out.
        if !is_urgent {
            let _ = self.flush();
        }
        self.channel.send(frame);
        // To ask is to have the kernel bring its account up to date: the zygote may reap this process before it has been
        // taken from its processor for the last time, and would miss all since the tick before.
        clock::cpu_time();
        end(exit::DONE)
    }

    /// Asks the server to act. The reply is had by [`Session::poll_reply`] or [`Session::wait_reply`].
    pub fn call(
        &mut self,
        name: &str,
        schema_version: u32,
        arguments: Value,
        operations: u64,
    ) -> Result<u64, Fatal> {
        self.check()?;
        if self.calls_made >= self.limits.max_host_calls {
            return Err(self.fail(Fatal::host_calls(&self.limits)));
        }
        if self.waiting.len() >= self.limits.host_calls_in_flight {
            return Err(self.fail(Fatal::host_calls_in_flight(&self.limits)));
        }
        self.calls_made += 1;
        let call_id = self.calls_made;
        self.waiting.insert(call_id, None);
        self.flush()?;
        if !self.journal.iter().any(|reply| reply.call_id == call_id) {
            self.output.pace();
            self.channel.send(child_frame::Frame::HostCall(HostCall {
                call_id,
                name: name.to_owned(),
                schema_version,
                arguments: Some(arguments),
                operations_count: operations,
            }));
        }
        Ok(call_id)
    }

    /// The outcome of a call once it was delivered; until then `waker` is woken by its delivery.
    pub fn poll_reply(&mut self, call_id: u64, waker: &Waker) -> Option<host_reply::Outcome> {
        if let Some(outcome) = self.delivered.remove(&call_id) {
            return Some(outcome);
        }
        if let Some(slot) = self.waiting.get_mut(&call_id) {
            *slot = Some(waker.clone());
        }
        None
    }

    /// Blocks until this call is answered. Replies to others keep their order and wait.
    pub fn wait_reply(&mut self, call_id: u64) -> Result<host_reply::Outcome, Fatal> {
        loop {
            for queue in [&mut self.journal, &mut self.queued] {
                if let Some(at) = queue.iter().position(|reply| reply.call_id == call_id) {
                    if let Some(reply) = queue.remove(at) {
                        self.waiting.remove(&call_id);
                        self.time_ns = reply.time_ns;
                        return Ok(outcome(reply));
                    }
                }
            }
            self.flush()?;
            self.receive()?;
        }
    }

    /// Delivers exactly one reply, or rests until something else that a future waits for has come. `Ok(None)` says that
    /// no call is outstanding and nothing else is waited for: nothing can ever arrive.
    pub fn deliver(&mut self) -> Result<Option<()>, Fatal> {
        self.check()?;
        loop {
            if self.waiting.is_empty() && waits::is_empty() {
                return Ok(None);
            }
            if let Some(reply) = self.journal.pop_front().or_else(|| self.queued.pop_front()) {
                let Some(waker) = self.waiting.remove(&reply.call_id) else {
                    end(exit::PROTOCOL)
                };
                self.time_ns = reply.time_ns;
                self.delivered.insert(reply.call_id, outcome(reply));
                if let Some(waker) = waker {
                    waker.wake();
                }
                return Ok(Some(()));
            }
            self.flush()?;
            if !waits::is_empty() && !self.channel.has_read_ahead() {
                if let Rested::Woken = waits::rest(self.channel.descriptor()) {
                    self.check_time()?;
                    return Ok(Some(()));
                }
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), Fatal> {
        let Some(frame) = self.channel.receive(|| deadline::passed().is_some()) else {
            self.check_time()?;
            // A limit that has passed stays passed.
            end(exit::PANIC)
        };
        match frame {
            server_frame::Frame::OutputCredit(OutputCredit { bytes }) => self.output.credit(bytes),
            server_frame::Frame::HostReply(reply) => {
                if !self.waiting.contains_key(&reply.call_id) {
                    end(exit::PROTOCOL);
                }
                self.queued.push_back(reply);
            }
            server_frame::Frame::Cancel(cancel) => {
                return Err(self.fail(Fatal::cancelled(&cancel.reason)))
            }
            server_frame::Frame::Start(_) => end(exit::PROTOCOL),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Fatal> {
        match &self.fatal {
            Some(fatal) => Err(fatal.clone()),
            None => Ok(()),
        }
    }

    /// Ends the execution when one of its time limits has passed.
    pub fn check_time(&mut self) -> Result<(), Fatal> {
        match deadline::passed() {
            Some(fatal) => Err(self.fail(fatal)),
            None => Ok(()),
        }
    }

    /// Remembers why the execution is over and gives it back. The first reason stays.
    pub fn fail(&mut self, fatal: Fatal) -> Fatal {
        self.fatal.get_or_insert(fatal).clone()
    }
}

/// Runs `action` on the session of this thread, if there is one.
pub fn with<T>(action: impl FnOnce(&mut Session) -> T) -> Option<T> {
    SESSION.with(|session| session.borrow_mut().as_mut().map(action))
}

/// Whether this thread runs a job. Never panics: it is asked by the panic hook.
pub fn is_installed() -> bool {
    SESSION.with(|session| {
        session
            .try_borrow()
            .map_or(true, |session| session.is_some())
    })
}

fn outcome(reply: HostReply) -> host_reply::Outcome {
    match reply.outcome {
        Some(outcome) => outcome,
        None => end(exit::PROTOCOL),
    }
}
