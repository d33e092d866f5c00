//! Futures that wait for descriptors. The executor rests in one `poll` on all of them and on the socket to the server.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A longer wait is taken up again.
const LONGEST: Duration = Duration::from_secs(3600);

thread_local!(static WAITING: RefCell<Waiting> = const {
    RefCell::new(Waiting { last: 0, by_id: BTreeMap::new() })
});

struct Waiting {
    last: u64,
    by_id: BTreeMap<u64, Interest>,
}

struct Interest {
    descriptors: Vec<(RawFd, libc::c_short)>,
    until: Option<Instant>,
    waker: Waker,
}

/// Ready when one of the descriptors is (true), or when the time has passed (false).
pub struct Wait {
    id: u64,
    descriptors: Vec<(RawFd, libc::c_short)>,
    until: Option<Instant>,
}

/// Waits for the events (POLLIN, POLLOUT) of any of these descriptors, which have to stay open meanwhile.
pub fn any(descriptors: Vec<(RawFd, libc::c_short)>, until: Option<Instant>) -> Wait {
    let id = WAITING.with_borrow_mut(|waiting| {
        waiting.last += 1;
        waiting.last
    });
    Wait {
        id,
        descriptors,
        until,
    }
}

impl Future for Wait {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut polled: Vec<_> = self.descriptors.iter().map(pollfd).collect();
        if poll(&mut polled, Some(Duration::ZERO)) {
            return Poll::Ready(true);
        }
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return Poll::Ready(false);
        }
        let interest = Interest {
            descriptors: self.descriptors.clone(),
            until: self.until,
            waker: context.waker().clone(),
        };
        WAITING.with_borrow_mut(|waiting| waiting.by_id.insert(self.id, interest));
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        WAITING.with_borrow_mut(|waiting| waiting.by_id.remove(&self.id));
    }
}

/// Whether anything waits.
pub fn is_empty() -> bool {
    WAITING.with_borrow(|waiting| waiting.by_id.is_empty())
}

/// What ended a rest.
pub enum Rested {
    /// The server says something.
    Server,
    /// A future was woken, or a signal came.
    Woken,
}

/// Waits until the server says something or one of the futures can go on, and wakes those that can.
pub fn rest(server: RawFd) -> Rested {
    let (mut polled, owners, until) = WAITING.with_borrow(|waiting| {
        let mut polled = vec![pollfd(&(server, libc::POLLIN))];
        let mut owners = Vec::new();
        for (id, interest) in &waiting.by_id {
            polled.extend(interest.descriptors.iter().map(pollfd));
            owners.extend(interest.descriptors.iter().map(|_| *id));
        }
        let until = waiting.by_id.values().filter_map(|each| each.until).min();
        (polled, owners, until)
    });
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let any = poll(&mut polled, left);
    let now = Instant::now();
    WAITING.with_borrow_mut(|waiting| {
        let ready = polled[1..].iter().zip(&owners);
        let mut woken: Vec<u64> = ready
            .filter(|(polled, _)| any && polled.revents != 0)
            .map(|(_, id)| *id)
            .collect();
        let late = waiting.by_id.iter();
        let late = late.filter(|(_, each)| each.until.is_some_and(|until| until <= now));
        woken.extend(late.map(|(id, _)| *id));
        for id in woken {
            if let Some(interest) = waiting.by_id.remove(&id) {
                interest.waker.wake();
            }
        }
    });
    if any && polled[0].revents != 0 {
        Rested::Server
    } else {
        Rested::Woken
    }
}

fn pollfd((fd, events): &(RawFd, libc::c_short)) -> libc::pollfd {
    libc::pollfd {
        fd: *fd,
        events: *events,
        revents: 0,
    }
}

/// Whether one of them is ready; after a signal, none is.
fn poll(polled: &mut [libc::pollfd], longest: Option<Duration>) -> bool {
    let longest = longest.unwrap_or(LONGEST).min(LONGEST);
    let time = libc::timespec {
        tv_sec: longest.as_secs() as libc::time_t,
        tv_nsec: longest.subsec_nanos() as libc::c_long,
    };
    let count = polled.len() as libc::nfds_t;
    // SAFETY: the structures outlive the call.
    unsafe { libc::ppoll(polled.as_mut_ptr(), count, &time, std::ptr::null()) > 0 }
}
