//! From JSON text to a value.

use json_event_parser::{JsonEvent, SliceJsonParser};
use rune::alloc;
use rune::runtime::Object;
use rune::Value;

use super::{Problem, MAX_DEPTH};

/// A longer number is not repeated in an error.
const SHOWN_NUMBER_BYTES: usize = 40;

/// What has been opened and not closed yet.
enum Open {
    Array(alloc::Vec<Value>),
    /// With the name that waits for its value.
    Object(Object, Option<alloc::String>),
}

/// Reads one value and nothing after it. Of two fields with one name the later counts.
pub fn read(text: &[u8]) -> Result<Value, Problem> {
    let mut parser = SliceJsonParser::new(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    // Numbers are judged here, after the parser has passed them: the place is theirs.
    let mut numbers = Numbers { text, offset: 0 };
    loop {
        let event = parser.parse_next().map_err(|error| {
            at(
                text,
                error.location().start.offset as usize,
                error.message(),
            )
        })?;
        let value = match event {
            JsonEvent::StartArray | JsonEvent::StartObject => {
                if open.len() == MAX_DEPTH {
                    return Err(Problem::Unfit(format!(
                        "expected at most {MAX_DEPTH} nested arrays and objects, but the text has more"
                    )));
                }
                open.push(match event {
                    JsonEvent::StartArray => Open::Array(alloc::Vec::new()),
                    _ => Open::Object(Object::new(), None),
                });
                continue;
            }
            JsonEvent::ObjectKey(name) => {
                if let Some(Open::Object(_, waiting)) = open.last_mut() {
                    *waiting = Some(alloc::String::try_from(&*name)?);
                }
                continue;
            }
            JsonEvent::Eof => break,
            JsonEvent::EndArray | JsonEvent::EndObject => match open.pop() {
                Some(Open::Array(values)) => Value::vec(values)?,
                Some(Open::Object(object, _)) => Value::new(object)?,
                None => continue,
            },
            JsonEvent::Null => none()?,
            JsonEvent::Boolean(value) => Value::from(value),
            JsonEvent::String(text) => Value::try_from(alloc::String::try_from(&*text)?)?,
            JsonEvent::Number(number) => numbers.value(&number)?,
        };
        match open.last_mut() {
            Some(Open::Array(values)) => values.try_push(value)?,
            Some(Open::Object(object, name)) => {
                object.insert(name.take().unwrap_or_default(), value)?;
            }
            None => root = Some(value),
        }
    }
    root.ok_or_else(|| at(text, text.len(), "expected a value"))
}

/// Nothing: what arrives for a null everywhere else, too.
fn none() -> Result<Value, Problem> {
    rune::to_value(None::<Value>).map_err(|error| Problem::Vm(error.into()))
}

struct Numbers<'a> {
    text: &'a [u8],
    /// Where the last number was.
    offset: usize,
}

impl Numbers<'_> {
    /// An integer where it is written as one, else a float.
    fn value(&mut self, number: &str) -> Result<Value, Problem> {
        // The parser hands out numbers as slices of the text.
        let start = (number.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if start <= self.text.len() {
            self.offset = start;
        }
        if number.contains(['.', 'e', 'E']) {
            return match number.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Value::from(value)),
                _ => Err(self.refused(number, "is beyond what a 64-bit float can hold")),
            };
        }
        if let Ok(value) = number.parse::<i64>() {
            return Ok(Value::from(value));
        }
        number.parse::<u64>().map(Value::from).map_err(|_| {
            self.refused(
                number,
                "does not fit into 64 bits and is not rounded; write it as a string or as a float",
            )
        })
    }

    fn refused(&self, number: &str, why: &str) -> Problem {
        let shown = match number.get(..SHOWN_NUMBER_BYTES) {
            Some(start) if number.len() > SHOWN_NUMBER_BYTES => format!("{start}.."),
            _ => number.to_owned(),
        };
        at(self.text, self.offset, &format!("the number {shown} {why}"))
    }
}

/// A message with line and column, both counted from 1, the column in characters.
fn at(text: &[u8], offset: usize, message: &str) -> Problem {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    Problem::Unfit(format!(
        "no valid JSON at line {line}, column {column}: {message}"
    ))
}
