//! From a message to a Rune value.

use rune::alloc::{self, Vec};
use rune::runtime::{Bytes, Object};
use rune::Value;

use super::path::Path;
use super::Refusal;
use crate::frames::v1::{value::Kind, Value as Wire};

/// Builds the Rune value. Refuses an unset kind, and more than `max_depth` nested values.
pub fn to_rune(value: &Wire, max_depth: usize) -> Result<Value, Refusal> {
    convert(value, max_depth, max_depth, &mut Path::default())
}

fn convert(value: &Wire, left: usize, max_depth: usize, path: &mut Path) -> Result<Value, Refusal> {
    if left == 0 {
        return Err(Refusal::Unfit(format!(
            "expected at most {max_depth} nested values, but `{path}` is deeper"
        )));
    }
    let Some(kind) = &value.kind else {
        return Err(Refusal::Unfit(format!(
            "expected a value at `{path}`, but its kind is not set"
        )));
    };
    match kind {
        Kind::NullValue(_) => rune::to_value(None::<Value>).map_err(|_| Refusal::TooLarge),
        Kind::BoolValue(value) => Ok(Value::from(*value)),
        Kind::IntValue(value) => Ok(Value::from(*value)),
        Kind::UintValue(value) => Ok(Value::from(*value)),
        Kind::DoubleValue(value) => Ok(Value::from(*value)),
        Kind::StringValue(text) => {
            let text = alloc::String::try_from(text.as_str()).map_err(no_memory)?;
            Value::try_from(text).map_err(no_memory)
        }
        Kind::BytesValue(bytes) => {
            let mut copy = Vec::try_with_capacity(bytes.len()).map_err(no_memory)?;
            copy.try_extend_from_slice(bytes).map_err(no_memory)?;
            Value::new(Bytes::from_vec(copy)).map_err(no_memory)
        }
        Kind::ListValue(list) => {
            let mut values = Vec::try_with_capacity(list.values.len()).map_err(no_memory)?;
            for (index, value) in list.values.iter().enumerate() {
                path.index(index);
                values
                    .try_push(convert(value, left - 1, max_depth, path)?)
                    .map_err(no_memory)?;
                path.leave();
            }
            Value::vec(values).map_err(no_memory)
        }
        Kind::ObjectValue(object) => {
            let mut fields = Object::with_capacity(object.fields.len()).map_err(no_memory)?;
            for (name, value) in &object.fields {
                path.field(name);
                let key = alloc::String::try_from(name.as_str()).map_err(no_memory)?;
                fields
                    .insert(key, convert(value, left - 1, max_depth, path)?)
                    .map_err(no_memory)?;
                path.leave();
            }
            Value::new(fields).map_err(no_memory)
        }
    }
}

fn no_memory(_: alloc::Error) -> Refusal {
    Refusal::TooLarge
}
