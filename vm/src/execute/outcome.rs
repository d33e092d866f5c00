//! From the end of a run to the outcome that is sent.

use rune::runtime::TypeHash;
use rune::Value;

use super::executor::Stop;
use super::failure::{self, Places, Raised};
use super::Ended;
use crate::child::{Fatal, Limits};
use crate::convert::{self, Bounds, Collector, Refusal};
use crate::frames::v1::{value::Kind, ExecutionError, ExecutionErrorKind, Value as Wire};
use crate::frames::vm::execute_result::Outcome;
use crate::leave;

/// The end of a run with its values already converted, as that happens within the script's limits.
pub enum Settled {
    Value(Wire),
    ReturnedErr {
        value: Option<Wire>,
        message: String,
    },
    Error(Raised),
    Stopped(Stop),
    InvalidArguments(Refusal),
    InvalidReturn(Refusal),
    Panicked(String),
}

/// Whether a value is Rune's `Err(..)`.
pub fn is_err(value: &Value) -> bool {
    value.type_hash() == Result::<Value, Value>::HASH
        && value
            .borrow_ref::<Result<Value, Value>>()
            .is_ok_and(|result| result.is_err())
}

/// Converts what was returned: `Ok(v)` is v, `Err(e)` is an error with the value e.
pub fn settle(ended: Ended, limits: &Limits, collector: &Collector) -> Settled {
    let value = match ended {
        Ended::Returned(value) => value,
        Ended::Error(error) => return Settled::Error(error),
        Ended::Stopped(stop) => return Settled::Stopped(stop),
        Ended::Refused(refusal) => return Settled::InvalidArguments(refusal),
        Ended::Panicked(text) => return Settled::Panicked(text),
    };
    let bounds = Bounds {
        depth: limits.value_depth,
        bytes: limits.return_bytes,
    };
    let result = match value.type_hash() == Result::<Value, Value>::HASH {
        true => value
            .borrow_ref::<Result<Value, Value>>()
            .map(|result| result.clone())
            .unwrap_or(Ok(value.clone())),
        false => Ok(value.clone()),
    };
    // Kept for good: see the module's promise about drops.
    leave::behind(value);
    let settled = match &result {
        Ok(value) => match convert::from_rune(value, bounds, collector) {
            Ok(wire) => Settled::Value(wire),
            Err(refusal) => Settled::InvalidReturn(refusal),
        },
        Err(payload) => returned_err(payload, bounds, collector),
    };
    leave::behind(result);
    settled
}

fn returned_err(payload: &Value, bounds: Bounds, collector: &Collector) -> Settled {
    match convert::from_rune(payload, bounds, collector) {
        Ok(value) => {
            let message = match &value.kind {
                Some(Kind::StringValue(text)) => failure::shorten(text, failure::MAX_MESSAGE_BYTES),
                _ => "the function returned `Err(..)`; its payload is in `value`".to_owned(),
            };
            Settled::ReturnedErr {
                value: Some(value),
                message,
            }
        }
        // Errors of native functions have no data, but most of them have a text.
        Err(refusal) => {
            let message = match collector.display(payload.clone()) {
                Some(text) => failure::shorten(&text, failure::MAX_MESSAGE_BYTES),
                None => format!("the function returned `Err(..)` with a payload that cannot leave the script: {refusal}"),
            };
            Settled::ReturnedErr {
                value: None,
                message,
            }
        }
    }
}

/// Names what happened. A limit that was passed outranks what the virtual machine made of it.
pub fn report(
    settled: Settled,
    fatal: Option<Fatal>,
    limits: &Limits,
    places: &Places<'_>,
) -> Outcome {
    let error = match (settled, fatal) {
        (Settled::Value(value), None) => return Outcome::Value(value),
        (Settled::Error(error), Some(fatal)) => failure::at(places, &error, failure::fatal(&fatal)),
        (_, Some(fatal)) | (Settled::Stopped(Stop::Fatal(fatal)), None) => failure::fatal(&fatal),
        (Settled::Error(error), None) => failure::of_vm(places, &error, limits),
        (Settled::ReturnedErr { value, message }, None) => {
            ExecutionError { value, ..failure::plain(ExecutionErrorKind::ReturnedErr, message) }
        }
        (Settled::Stopped(Stop::Deadlock), None) => failure::plain(
            ExecutionErrorKind::Deadlock,
            "expected something to wait for, but every future waits for another and no host call is outstanding".to_owned(),
        ),
        (Settled::InvalidArguments(Refusal::TooLarge), None) => failure::fatal(&Fatal::memory(limits)),
        (Settled::InvalidArguments(refusal), None) => {
            failure::plain(ExecutionErrorKind::InvalidArguments, refusal.to_string())
        }
        (Settled::InvalidReturn(Refusal::TooLarge), None) => ExecutionError {
            limit_name: "max_return_bytes".to_owned(),
            limit_value: limits.return_bytes as u64,
            ..failure::plain(
                ExecutionErrorKind::InvalidReturnValue,
                format!(
                    "expected a return value of at most {} bytes, but it is larger; return less or raise max_return_bytes",
                    limits.return_bytes
                ),
            )
        },
        (Settled::InvalidReturn(refusal), None) => {
            failure::plain(ExecutionErrorKind::InvalidReturnValue, refusal.to_string())
        }
        (Settled::Panicked(text), None) => failure::plain(
            ExecutionErrorKind::Runtime,
            format!("a function of the Rune library failed: {text}; check the values it was given"),
        ),
    };
    Outcome::Error(error)
}
