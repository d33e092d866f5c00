//! Drives one future on one thread. Nothing wakes it but itself and the replies of the server, one after the other.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::child::{self, Fatal};

/// Why a future did not come to its end.
#[derive(Debug)]
pub enum Stop {
    /// The execution is over, by a limit or a cancellation.
    Fatal(Fatal),
    /// Everything waits, and no call is outstanding whose reply could change that.
    Deadlock,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls until the future is ready. Between two replies it runs until it rests, so that the order of the replies alone
/// decides what happens.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Stop> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        if woken.0.swap(false, Ordering::Relaxed) {
            continue;
        }
        match child::with(|session| session.deliver()) {
            Some(Ok(Some(()))) => {}
            Some(Ok(None)) | None => return Err(Stop::Deadlock),
            Some(Err(fatal)) => return Err(Stop::Fatal(fatal)),
        }
    }
}
