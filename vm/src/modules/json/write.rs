//! From a value to JSON text.

use rune::alloc;
use rune::alloc::fmt::TryWrite;
use rune::runtime::{Bytes, Object, TypeHash, TypeValue};
use rune::{Hash, Value};

use super::{Problem, MAX_DEPTH};
use crate::convert::{Path, Shape};

const INDENT: &str = "  ";
/// So many `Some` inside one another are unwrapped; they cost no level of depth.
const MAX_NESTED_OPTIONS: usize = 1024;

/// How the text looks.
#[derive(Clone, Copy, PartialEq)]
pub enum Style {
    Compact,
    Pretty,
}

/// Writes the value as it would leave the script, with the names of objects in order.
pub fn write(value: &Value, style: Style) -> Result<alloc::String, Problem> {
    let mut writer = Writer {
        out: alloc::String::new(),
        style,
        depth: 0,
        path: Path::default(),
    };
    writer.value(value)?;
    Ok(writer.out)
}

struct Writer {
    out: alloc::String,
    style: Style,
    depth: usize,
    path: Path,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), Problem> {
        let Some(value) = self.unwrapped(value)? else {
            return self.raw("null");
        };
        let hash = value.type_hash();
        if value.into_unit().is_ok() {
            self.raw("null")
        } else if hash == bool::HASH {
            let value: bool = self.read(rune::from_value(value))?;
            self.raw(if value { "true" } else { "false" })
        } else if hash == i64::HASH {
            let number: i64 = self.read(value.as_integer())?;
            self.formatted(format_args!("{number}"))
        } else if hash == u64::HASH {
            let number: u64 = self.read(value.as_integer())?;
            self.formatted(format_args!("{number}"))
        } else if hash == f64::HASH {
            self.float(&value)
        } else if hash == char::HASH {
            let character: char = self.read(rune::from_value(value))?;
            self.string(character.encode_utf8(&mut [0; 4]))
        } else if hash == alloc::String::HASH {
            let text = self.read(value.borrow_string_ref())?;
            self.string(&text)
        } else if hash == Bytes::HASH {
            Err(self.unfit("JSON has no bytes; write them as a string or as a list of numbers"))
        } else {
            self.nested(&value, hash)
        }
    }

    fn float(&mut self, value: &Value) -> Result<(), Problem> {
        let number: f64 = self.read(rune::from_value(value.clone()))?;
        if !number.is_finite() {
            return Err(self.unfit(&format!("JSON has no number {number}")));
        }
        // As Rust writes it for debugging: the shortest that reads as the same float, never as an integer.
        self.formatted(format_args!("{number:?}"))
    }

    fn nested(&mut self, value: &Value, hash: Hash) -> Result<(), Problem> {
        if self.depth == MAX_DEPTH {
            return Err(self.unfit(&format!(
                "expected at most {MAX_DEPTH} nested lists and objects, but this one is deeper or contains itself"
            )));
        }
        self.depth += 1;
        self.compound(value, hash)?;
        self.depth -= 1;
        Ok(())
    }

    fn compound(&mut self, value: &Value, hash: Hash) -> Result<(), Problem> {
        if hash == rune::runtime::Vec::HASH {
            let list = self.read(value.borrow_ref::<rune::runtime::Vec>())?;
            return self.list(list.iter());
        }
        if hash == Result::<Value, Value>::HASH {
            let result = self.read(value.borrow_ref::<Result<Value, Value>>())?;
            let (name, inner) = match &*result {
                Ok(inner) => ("Ok", inner),
                Err(inner) => ("Err", inner),
            };
            return self.object([(name, inner)].into_iter());
        }
        match self.read(value.as_type_value())? {
            TypeValue::Unit => self.raw("null"),
            TypeValue::Tuple(tuple) => self.list(tuple.iter()),
            TypeValue::Object(object) => {
                let object: &Object = &object;
                self.object(object.iter().map(|(name, value)| (name.as_str(), value)))
            }
            TypeValue::EmptyStruct(empty) => match self.shape(empty.rtti())?.variant {
                Some(name) => self.string(&name),
                None => self.raw("{}"),
            },
            TypeValue::TupleStruct(tuple) => match self.shape(tuple.rtti())?.variant {
                Some(name) => self.variant(&name, |writer| writer.list(tuple.data().iter())),
                None => self.list(tuple.data().iter()),
            },
            TypeValue::Struct(data) => {
                let shape = self.shape(data.rtti())?;
                let values = data.data();
                let fields = shape
                    .fields
                    .iter()
                    .filter_map(|(name, at)| Some((name.as_str(), values.get(*at)?)));
                match &shape.variant {
                    Some(name) => self.variant(name, |writer| writer.object(fields)),
                    None => self.object(fields),
                }
            }
            _ => self.collection(value),
        }
    }

    /// Types that Rune keeps to itself are iterated as a script would.
    fn collection(&mut self, value: &Value) -> Result<(), Problem> {
        let name = value.type_info().to_string();
        let is_map = name.ends_with("::HashMap");
        if !is_map && !name.ends_with("::HashSet") && !name.ends_with("::VecDeque") {
            return Err(self.unfit(&format!("expected data, got a value of type `{name}`")));
        }
        let mut items = rune::runtime::Vec::new();
        items
            .extend(value.clone())
            .into_result()
            .map_err(Problem::Vm)?;
        if !is_map {
            return self.list(items.iter());
        }
        let mut fields = alloc::Vec::new();
        for item in items {
            let (key, value): (Value, Value) = self.read(rune::from_value(item))?;
            let Ok(key) = key.into_string() else {
                return Err(self.unfit("expected a map with string keys; convert the keys first"));
            };
            fields.try_push((key, value))?;
        }
        self.object(fields.iter().map(|(name, value)| (name.as_str(), value)))
    }

    fn list<'v>(&mut self, values: impl Iterator<Item = &'v Value>) -> Result<(), Problem> {
        self.raw("[")?;
        let mut count = 0;
        for value in values {
            self.separate(count)?;
            self.path.index(count);
            self.value(value)?;
            self.path.leave();
            count += 1;
        }
        self.close(count, "]")
    }

    fn object<'v>(
        &mut self,
        fields: impl Iterator<Item = (&'v str, &'v Value)>,
    ) -> Result<(), Problem> {
        let mut sorted = alloc::Vec::new();
        for field in fields {
            sorted.try_push(field)?;
        }
        sorted.sort_unstable_by_key(|(name, _)| *name);
        self.raw("{")?;
        for (index, (name, value)) in sorted.iter().enumerate() {
            self.separate(index)?;
            self.name(name)?;
            self.path.field(name);
            self.value(value)?;
            self.path.leave();
        }
        self.close(sorted.len(), "}")
    }

    /// `{"name":payload}`; the payload is one level down.
    fn variant(
        &mut self,
        name: &str,
        payload: impl FnOnce(&mut Writer) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.raw("{")?;
        self.separate(0)?;
        self.name(name)?;
        self.path.field(name);
        self.depth += 1;
        payload(self)?;
        self.depth -= 1;
        self.path.leave();
        self.close(1, "}")
    }

    fn name(&mut self, name: &str) -> Result<(), Problem> {
        self.string(name)?;
        self.raw(match self.style {
            Style::Compact => ":",
            Style::Pretty => ": ",
        })
    }

    fn separate(&mut self, index: usize) -> Result<(), Problem> {
        if index > 0 {
            self.raw(",")?;
        }
        self.line_break(self.depth)
    }

    fn close(&mut self, count: usize, bracket: &str) -> Result<(), Problem> {
        if count > 0 {
            self.line_break(self.depth - 1)?;
        }
        self.raw(bracket)
    }

    fn line_break(&mut self, depth: usize) -> Result<(), Problem> {
        if self.style == Style::Pretty {
            self.raw("\n")?;
            for _ in 0..depth {
                self.raw(INDENT)?;
            }
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Problem> {
        self.raw("\"")?;
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escape = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                // Other control characters are written by their number.
                0..0x20 | 0x7f => "",
                _ => continue,
            };
            self.raw(&text[written..at])?;
            written = at + 1;
            match escape {
                "" => self.formatted(format_args!("\\u{byte:04x}"))?,
                escape => self.raw(escape)?,
            }
        }
        self.raw(&text[written..])?;
        self.raw("\"")
    }

    fn raw(&mut self, text: &str) -> Result<(), Problem> {
        Ok(self.out.try_push_str(text)?)
    }

    fn formatted(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Problem> {
        Ok(self.out.write_fmt(text)?)
    }

    /// The value inside of `Some(..)`; nothing for `None`.
    fn unwrapped(&self, value: &Value) -> Result<Option<Value>, Problem> {
        let mut value = value.clone();
        for _ in 0..MAX_NESTED_OPTIONS {
            if value.type_hash() != Option::<Value>::HASH {
                return Ok(Some(value));
            }
            let inner = self.read(value.borrow_ref::<Option<Value>>())?.clone();
            match inner {
                Some(inner) => value = inner,
                None => return Ok(None),
            }
        }
        Err(self.unfit("expected fewer nested `Some`"))
    }

    fn shape(&self, rtti: &rune::runtime::Rtti) -> Result<Shape, Problem> {
        Shape::of(rtti).map_err(|error| self.unfit(&format!("the type is unreadable: {error}")))
    }

    fn read<T>(&self, result: Result<T, rune::runtime::RuntimeError>) -> Result<T, Problem> {
        result.map_err(|_| self.unfit("the value is in use or was moved; write a copy"))
    }

    fn unfit(&self, why: &str) -> Problem {
        Problem::Unfit(format!("cannot write `{}` as JSON: {why}", self.path))
    }
}
