//! Host calls: the script asks, the server acts and replies.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rune::runtime::{VmError, VmResult};
use rune::Value;

use crate::child::{self, Fatal};
use crate::convert;
use crate::execute::meter;
use crate::frames::v1::Value as Wire;
use crate::frames::vm::host_reply::Outcome;

/// What a host call returns to the script: the server's value, or the message of an `Err`.
pub type Reply = Result<Value, rune::alloc::String>;

/// Calls the server and blocks the whole script until it has answered.
pub fn call_and_wait(name: &str, schema_version: u32, arguments: Wire) -> VmResult<Reply> {
    let operations = meter::operations();
    let outcome = child::with(|session| {
        let call_id = session.call(name, schema_version, arguments, operations)?;
        session.wait_reply(call_id)
    });
    match outcome {
        Some(Ok(outcome)) => reply(outcome),
        Some(Err(fatal)) => stop(fatal),
        None => VmResult::panic("there is no server to call"),
    }
}

/// Calls the server; the rest of the script can go on until the future is awaited.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the asynchronous modules come with their levels")
)]
pub fn call(name: &str, schema_version: u32, arguments: Wire) -> VmResult<HostCall> {
    let operations = meter::operations();
    match child::with(|session| session.call(name, schema_version, arguments, operations)) {
        Some(Ok(call_id)) => VmResult::Ok(HostCall { call_id }),
        Some(Err(fatal)) => stop(fatal),
        None => VmResult::panic("there is no server to call"),
    }
}

/// Ready once the reply was delivered.
pub struct HostCall {
    call_id: u64,
}

impl Future for HostCall {
    type Output = VmResult<Reply>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match child::with(|session| session.poll_reply(self.call_id, context.waker())).flatten() {
            Some(outcome) => Poll::Ready(reply(outcome)),
            None => Poll::Pending,
        }
    }
}

fn reply(outcome: Outcome) -> VmResult<Reply> {
    match outcome {
        Outcome::Value(value) => match convert::to_rune(&value, convert::MAX_DEPTH) {
            Ok(value) => VmResult::Ok(Ok(value)),
            Err(error) => VmResult::panic(format!(
                "the server's reply cannot enter the script: {error}"
            )),
        },
        Outcome::Error(message) => match rune::alloc::String::try_from(message) {
            Ok(message) => VmResult::Ok(Err(message)),
            Err(error) => VmResult::Err(VmError::from(error)),
        },
    }
}

fn stop<T>(fatal: Fatal) -> VmResult<T> {
    VmResult::panic(fatal.message)
}
