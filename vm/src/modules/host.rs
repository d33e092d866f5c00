//! Host calls: the script asks, the server acts and replies.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::Message;
use rune::runtime::{VmError, VmResult};
use rune::Value;

use crate::child::{self, Fatal};
use crate::convert;
use crate::execute::meter;
use crate::frames::v1::{value::Kind, ObjectValue, Value as Wire};
use crate::frames::vm::host_reply::Outcome;

/// What a host call returns to the script: the server's value, or the message of an `Err`.
pub type Reply = Result<Value, rune::alloc::String>;

/// Encoded arguments beyond this are refused before they are sent: the server kills a child for a larger frame.
const MAX_ARGUMENT_BYTES: usize = (1 << 20) - (64 << 10);

/// Named arguments of a call.
pub fn object<const N: usize>(fields: [(&str, Kind); N]) -> Wire {
    let fields = fields
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), Wire { kind: Some(kind) }))
        .collect();
    Wire {
        kind: Some(Kind::ObjectValue(ObjectValue { fields })),
    }
}

/// A duration as scripts give it: an integer or a float, in seconds.
pub fn seconds(value: &Value) -> Option<f64> {
    let seconds = match rune::from_value::<f64>(value.clone()) {
        Ok(seconds) => seconds,
        Err(_) => value.as_integer::<i64>().ok()? as f64,
    };
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

fn refused(arguments: &Wire) -> Option<String> {
    let size = arguments.encoded_len();
    (size > MAX_ARGUMENT_BYTES).then(|| {
        format!("expected at most {MAX_ARGUMENT_BYTES} bytes to ask the server with, got {size}; send less at once")
    })
}

/// Calls the server and blocks the whole script until it has answered.
pub fn call_and_wait(name: &str, schema_version: u32, arguments: Wire) -> VmResult<Reply> {
    if let Some(message) = refused(&arguments) {
        return reply(Outcome::Error(message));
    }
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
pub fn call(name: &str, schema_version: u32, arguments: Wire) -> VmResult<HostCall> {
    if let Some(message) = refused(&arguments) {
        return VmResult::Ok(answered(Err(message)));
    }
    let operations = meter::operations();
    match child::with(|session| session.call(name, schema_version, arguments, operations)) {
        Some(Ok(call_id)) => VmResult::Ok(HostCall::Asked(call_id)),
        Some(Err(fatal)) => stop(fatal),
        None => VmResult::panic("there is no server to call"),
    }
}

/// Ready once the reply was delivered.
pub enum HostCall {
    Asked(u64),
    /// It never reached the server; the outcome is taken once.
    Answered(Option<Outcome>),
}

/// The outcome of what was done in this process instead of by the server.
pub fn answered(outcome: Result<Kind, String>) -> HostCall {
    HostCall::Answered(Some(match outcome {
        Ok(kind) => Outcome::Value(Wire { kind: Some(kind) }),
        Err(message) => Outcome::Error(message),
    }))
}

impl Future for HostCall {
    type Output = VmResult<Reply>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let call_id = match &mut *self {
            HostCall::Asked(call_id) => *call_id,
            HostCall::Answered(outcome) => {
                let outcome = outcome.take();
                return Poll::Ready(
                    outcome.map_or_else(|| VmResult::panic("a call was awaited twice"), reply),
                );
            }
        };
        match child::with(|session| session.poll_reply(call_id, context.waker())).flatten() {
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
