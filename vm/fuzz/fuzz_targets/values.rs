//! Values into Rune and out again: the same, or refused for what they are.
#![no_main]

use arbitrary::{Result, Unstructured};
use crucible_vm::fuzz::v1::{value::Kind, ListValue, NullValue, ObjectValue, Value};
use crucible_vm::fuzz::{Interpreter, Refusal, MAX_DEPTH};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// The first byte of a case: the others are an encoded message, or decisions to make one by.
const ENCODED: u8 = 0;
const BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let value = match data.split_first() {
        None => return,
        Some((&ENCODED, encoded)) => match Value::decode(encoded) {
            Ok(value) => value,
            Err(_) => return,
        },
        Some((_, decisions)) => match made(&mut Unstructured::new(decisions), 40) {
            Ok(value) => value,
            Err(_) => return,
        },
    };
    let fits = depth(&value) <= MAX_DEPTH && is_set(&value);
    let is_small = value.encoded_len() <= BYTES;
    match Interpreter::get().pass(&value, MAX_DEPTH, BYTES) {
        Ok(passed) => {
            assert!(fits && is_small, "it should have been refused");
            assert_eq!(text(&passed), text(&value));
        }
        Err(Refusal::Unfit(reason)) => assert!(!fits, "refused without reason: {reason}"),
        // What it costs is estimated upwards, by at most two bytes for each value and name.
        Err(Refusal::TooLarge) => assert!(fits && (!is_small || cost(&value) > BYTES)),
    }
});

/// As text, since NaN is not equal to itself.
fn text(value: &Value) -> String {
    format!("{value:?}")
}

fn inner(value: &Value) -> Vec<(&str, &Value)> {
    match &value.kind {
        Some(Kind::ListValue(list)) => list.values.iter().map(|value| ("", value)).collect(),
        Some(Kind::ObjectValue(object)) => {
            let fields = object.fields.iter();
            fields.map(|(name, value)| (name.as_str(), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn depth(value: &Value) -> usize {
    let below = inner(value)
        .into_iter()
        .map(|(_, value)| depth(value))
        .max();
    1 + below.unwrap_or(0)
}

fn is_set(value: &Value) -> bool {
    value.kind.is_some() && inner(value).into_iter().all(|(_, value)| is_set(value))
}

fn cost(value: &Value) -> usize {
    let own = match &value.kind {
        Some(Kind::StringValue(text)) => text.len(),
        Some(Kind::BytesValue(bytes)) => bytes.len(),
        _ => 0,
    };
    let below = inner(value).into_iter();
    2 + own
        + below
            .map(|(name, value)| name.len() + cost(value))
            .sum::<usize>()
}

fn made(decisions: &mut Unstructured<'_>, levels: usize) -> Result<Value> {
    let kinds = if levels == 0 { 8 } else { 12 };
    let kind = match decisions.int_in_range(0..=kinds)? {
        0 => Kind::NullValue(NullValue {}),
        1 => Kind::BoolValue(decisions.arbitrary()?),
        2 => Kind::IntValue(decisions.arbitrary()?),
        3 => Kind::UintValue(decisions.arbitrary()?),
        4 => Kind::DoubleValue(decisions.arbitrary()?),
        5 | 6 => Kind::StringValue(decisions.arbitrary()?),
        7 => Kind::BytesValue(decisions.arbitrary()?),
        8 => return Ok(Value { kind: None }),
        9 | 10 => {
            let mut list = ListValue::default();
            for _ in 0..decisions.int_in_range(0..=4)? {
                list.values.push(made(decisions, levels - 1)?);
            }
            Kind::ListValue(list)
        }
        _ => {
            let mut object = ObjectValue::default();
            for _ in 0..decisions.int_in_range(0..=3)? {
                let name = decisions.arbitrary()?;
                object.fields.insert(name, made(decisions, levels - 1)?);
            }
            Kind::ObjectValue(object)
        }
    };
    Ok(Value { kind: Some(kind) })
}
