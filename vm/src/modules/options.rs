//! What scripts hand over to modules, most of it to those of Development: options by name, text or bytes, times.

use std::time::{Duration, Instant};

use rune::alloc;
use rune::runtime::{Bytes, Object, VmResult};
use rune::{vm_try, Value};

use super::host;

/// Far beyond what anyone waits for, and what a clock can still add.
const LONGEST_SECONDS: f64 = 1e9;

/// The outcome of something that may go wrong without being the script's fault.
pub type Outcome<T> = Result<T, alloc::String>;

/// The error of an outcome.
pub fn fail<T>(message: impl AsRef<str>) -> VmResult<Outcome<T>> {
    VmResult::Ok(Err(vm_try!(alloc::String::try_from(message.as_ref()))))
}

/// An outcome with its message in Rune's memory.
pub fn outcome<T>(result: Result<T, String>) -> VmResult<Outcome<T>> {
    match result {
        Ok(value) => VmResult::Ok(Ok(value)),
        Err(message) => fail(message),
    }
}

/// Ends the script: what it handed over is of the wrong kind.
pub fn wrong<T>(function: &str, expected: &str, got: &Value) -> VmResult<T> {
    VmResult::panic(format!(
        "{function}: expected {expected}, got {}",
        got.type_info()
    ))
}

/// Names and values of an object. Ends the script when there is a name that is not among `known`.
pub fn named(function: &str, options: &Value, known: &[&str]) -> VmResult<Vec<(String, Value)>> {
    let Ok(object) = options.borrow_ref::<Object>() else {
        return wrong(function, "an object of options, such as #{}", options);
    };
    let mut found = Vec::new();
    for (name, value) in object.iter() {
        if !known.contains(&name.as_str()) {
            return VmResult::panic(format!(
                "{function}: expected the options {}, got `{name}`",
                known.join(", ")
            ));
        }
        found.push((name.to_string(), value.clone()));
    }
    VmResult::Ok(found)
}

/// Text of an option or an argument.
pub fn text(function: &str, what: &str, value: &Value) -> VmResult<String> {
    match value.borrow_string_ref() {
        Ok(text) => VmResult::Ok(text.to_string()),
        Err(_) => wrong(function, &format!("text as {what}"), value),
    }
}

/// Text or bytes.
pub fn data(function: &str, what: &str, value: &Value) -> VmResult<Vec<u8>> {
    if let Ok(text) = value.borrow_string_ref() {
        return VmResult::Ok(text.as_bytes().to_vec());
    }
    match value.borrow_ref::<Bytes>() {
        Ok(bytes) => VmResult::Ok(bytes.as_slice().to_vec()),
        Err(_) => wrong(function, &format!("text or bytes as {what}"), value),
    }
}

/// A count above zero.
pub fn count(function: &str, what: &str, value: &Value) -> VmResult<usize> {
    match value.as_integer::<usize>() {
        Ok(count @ 1..) => VmResult::Ok(count),
        _ => wrong(function, &format!("an integer above zero as {what}"), value),
    }
}

/// Yes or no.
pub fn flag(function: &str, what: &str, value: &Value) -> VmResult<bool> {
    match rune::from_value::<bool>(value.clone()) {
        Ok(flag) => VmResult::Ok(flag),
        Err(_) => wrong(function, &format!("true or false as {what}"), value),
    }
}

/// Seconds above zero.
pub fn time(function: &str, what: &str, value: &Value) -> VmResult<Duration> {
    match host::seconds(value) {
        Some(seconds) if seconds > 0.0 => {
            VmResult::Ok(Duration::from_secs_f64(seconds.min(LONGEST_SECONDS)))
        }
        _ => wrong(function, &format!("seconds above zero as {what}"), value),
    }
}

/// When a time that begins now will have passed.
pub fn from_now(time: Option<Duration>) -> Option<Instant> {
    time.and_then(|time| Instant::now().checked_add(time))
}

/// Bytes in Rune's memory.
pub fn bytes(data: &[u8]) -> VmResult<Bytes> {
    VmResult::Ok(vm_try!(Bytes::from_slice(data)))
}
