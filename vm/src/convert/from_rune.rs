//! From a Rune value to a message.

use std::collections::BTreeMap;

use prost::Message;
use rune::alloc;
use rune::runtime::{Bytes, Object, OwnedTuple, Rtti, RuntimeError, TypeHash, TypeValue};
use rune::{Hash, ItemBuf, Value};
use serde::Deserialize;

use super::collect::Collector;
use super::path::Path;
use super::Refusal;
use crate::frames::v1::{value::Kind, ListValue, NullValue, ObjectValue, Value as Wire};
use crate::modules::http::Response;

/// So many `Some` inside one another are unwrapped; they cost no level of depth.
const MAX_NESTED_OPTIONS: usize = 1024;
/// A value costs at least so many bytes when encoded.
const MIN_VALUE_BYTES: usize = 2;

/// How deep and how large a value may be.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Nested Values.
    pub depth: usize,
    /// Bytes of the encoded message.
    pub bytes: usize,
}

/// Builds the message. Never builds much more than `bounds.bytes`, and never goes deeper than `bounds.depth`.
pub fn from_rune(value: &Value, bounds: Bounds, collector: &Collector) -> Result<Wire, Refusal> {
    let mut reader = Reader {
        bounds,
        left: bounds.bytes,
        path: Path::default(),
        collector,
    };
    let wire = reader.convert(value, bounds.depth)?;
    if wire.encoded_len() > bounds.bytes {
        return Err(Refusal::TooLarge);
    }
    Ok(wire)
}

struct Reader<'a> {
    bounds: Bounds,
    left: usize,
    path: Path,
    collector: &'a Collector,
}

impl Reader<'_> {
    fn convert(&mut self, value: &Value, depth: usize) -> Result<Wire, Refusal> {
        let value = &self.unwrap_options(value)?;
        if depth == 0 {
            return Err(Refusal::Unfit(format!(
                "expected at most {} nested values, but `{}` is deeper or contains itself",
                self.bounds.depth, self.path
            )));
        }
        self.charge(MIN_VALUE_BYTES)?;
        let kind = match self.scalar(value)? {
            Some(kind) => kind,
            None => self.compound(value, depth - 1)?,
        };
        Ok(Wire { kind: Some(kind) })
    }

    fn unwrap_options(&self, value: &Value) -> Result<Value, Refusal> {
        let mut value = value.clone();
        for _ in 0..MAX_NESTED_OPTIONS {
            if value.type_hash() != Option::<Value>::HASH {
                return Ok(value);
            }
            let inner = value
                .borrow_ref::<Option<Value>>()
                .map_err(|error| self.unreadable(&error))?
                .clone();
            value = match inner {
                Some(inner) => inner,
                None => return Ok(Value::from(())),
            };
        }
        Err(Refusal::Unfit(format!(
            "expected fewer than {MAX_NESTED_OPTIONS} nested `Some` at `{}`",
            self.path
        )))
    }

    fn scalar(&mut self, value: &Value) -> Result<Option<Kind>, Refusal> {
        if value.into_unit().is_ok() {
            return Ok(Some(Kind::NullValue(NullValue {})));
        }
        let hash = value.type_hash();
        let kind = if hash == bool::HASH {
            Kind::BoolValue(self.read(rune::from_value(value.clone()))?)
        } else if hash == i64::HASH {
            Kind::IntValue(self.read(value.as_integer())?)
        } else if hash == u64::HASH {
            Kind::UintValue(self.read(value.as_integer())?)
        } else if hash == f64::HASH {
            Kind::DoubleValue(self.read(rune::from_value(value.clone()))?)
        } else if hash == char::HASH {
            Kind::StringValue(
                self.read(rune::from_value::<char>(value.clone()))?
                    .to_string(),
            )
        } else if hash == std::cmp::Ordering::HASH {
            Kind::StringValue(format!(
                "{:?}",
                self.read(rune::from_value::<std::cmp::Ordering>(value.clone()))?
            ))
        } else if hash == alloc::String::HASH {
            let text = value
                .borrow_string_ref()
                .map_err(|error| self.unreadable(&error))?;
            self.charge(text.len())?;
            Kind::StringValue(text.to_string())
        } else if hash == Bytes::HASH {
            let bytes = value
                .borrow_ref::<Bytes>()
                .map_err(|error| self.unreadable(&error))?;
            self.charge(bytes.len())?;
            Kind::BytesValue(bytes.as_slice().to_vec())
        } else {
            return Ok(None);
        };
        Ok(Some(kind))
    }

    fn compound(&mut self, value: &Value, depth: usize) -> Result<Kind, Refusal> {
        let hash = value.type_hash();
        if hash == rune::runtime::Vec::HASH {
            let list = value
                .borrow_ref::<rune::runtime::Vec>()
                .map_err(|error| self.unreadable(&error))?;
            return self.list(list.iter(), depth);
        }
        if hash == Result::<Value, Value>::HASH {
            let result = value
                .borrow_ref::<Result<Value, Value>>()
                .map_err(|error| self.unreadable(&error))?;
            let (name, inner) = match &*result {
                Ok(inner) => ("Ok", inner),
                Err(inner) => ("Err", inner),
            };
            return self.object([(name, inner)].into_iter(), depth);
        }
        match value
            .as_type_value()
            .map_err(|error| self.unreadable(&error))?
        {
            TypeValue::Unit => Ok(Kind::NullValue(NullValue {})),
            TypeValue::Tuple(tuple) => self.list(tuple.iter(), depth),
            TypeValue::Object(object) => {
                let object: &Object = &object;
                self.object(
                    object.iter().map(|(name, value)| (name.as_str(), value)),
                    depth,
                )
            }
            TypeValue::EmptyStruct(empty) => match self.shape(empty.rtti())?.variant {
                Some(name) => {
                    self.charge(name.len())?;
                    Ok(Kind::StringValue(name))
                }
                None => Ok(Kind::ObjectValue(ObjectValue::default())),
            },
            TypeValue::TupleStruct(tuple) => match self.shape(tuple.rtti())?.variant {
                Some(name) => self.variant(&name, depth, |reader, depth| {
                    reader.list(tuple.data().iter(), depth)
                }),
                None => self.list(tuple.data().iter(), depth),
            },
            TypeValue::Struct(data) => {
                let shape = self.shape(data.rtti())?;
                let values = data.data();
                let fields = || {
                    shape
                        .fields
                        .iter()
                        .filter_map(|(name, at)| Some((name.as_str(), values.get(*at)?)))
                };
                match &shape.variant {
                    Some(name) => {
                        self.variant(name, depth, |reader, depth| reader.object(fields(), depth))
                    }
                    None => self.object(fields(), depth),
                }
            }
            _ => self.collection(value, depth),
        }
    }

    fn collection(&mut self, value: &Value, depth: usize) -> Result<Kind, Refusal> {
        let name = value.type_info().to_string();
        match name.trim_start_matches("::") {
            "std::collections::hash_set::HashSet" | "std::collections::vec_deque::VecDeque" => {
                let values = self.collector.collect(value.clone())?;
                self.list(values.iter(), depth)
            }
            "std::collections::hash_map::HashMap" => {
                let mut fields = BTreeMap::new();
                for pair in self.collector.collect(value.clone())? {
                    let (key, value) = self.read(rune::from_value::<(Value, Value)>(pair))?;
                    let Ok(key) = key.borrow_string_ref().map(|key| key.to_string()) else {
                        return Err(Refusal::Unfit(format!(
                            "expected a map with string keys at `{}`, got a key of type `{}`; convert the keys first",
                            self.path,
                            key.type_info()
                        )));
                    };
                    fields.insert(key, value);
                }
                self.object(fields.iter().map(|(name, value)| (name.as_str(), value)), depth)
            }
            "crucible::http::Response" => {
                let response = value
                    .borrow_ref::<Response>()
                    .map_err(|error| self.unreadable(&error))?;
                let object = response
                    .to_object()
                    .into_result()
                    .map_err(|_| Refusal::TooLarge)?;
                self.compound(&object, depth)
            }
            name => Err(Refusal::Unfit(format!(
                "expected data (numbers, strings, lists, objects, structs) at `{}`, got a value of type `{name}`, which \
                 cannot leave the script; return its data instead",
                self.path
            ))),
        }
    }

    fn list<'v>(
        &mut self,
        values: impl Iterator<Item = &'v Value>,
        depth: usize,
    ) -> Result<Kind, Refusal> {
        let mut list = ListValue::default();
        for (index, value) in values.enumerate() {
            self.path.index(index);
            list.values.push(self.convert(value, depth)?);
            self.path.leave();
        }
        Ok(Kind::ListValue(list))
    }

    fn object<'v>(
        &mut self,
        fields: impl Iterator<Item = (&'v str, &'v Value)>,
        depth: usize,
    ) -> Result<Kind, Refusal> {
        let mut object = ObjectValue::default();
        for (name, value) in fields {
            self.charge(name.len())?;
            self.path.field(name);
            object
                .fields
                .insert(name.to_owned(), self.convert(value, depth)?);
            self.path.leave();
        }
        Ok(Kind::ObjectValue(object))
    }

    /// `{name: payload}`; the payload is a value of its own, one level down.
    fn variant(
        &mut self,
        name: &str,
        depth: usize,
        payload: impl FnOnce(&mut Self, usize) -> Result<Kind, Refusal>,
    ) -> Result<Kind, Refusal> {
        self.path.field(name);
        self.charge(name.len() + MIN_VALUE_BYTES)?;
        let Some(below) = depth.checked_sub(1) else {
            return Err(Refusal::Unfit(format!(
                "expected at most {} nested values, but `{}` is deeper",
                self.bounds.depth, self.path
            )));
        };
        let payload = payload(self, below)?;
        self.path.leave();
        let fields = [(
            name.to_owned(),
            Wire {
                kind: Some(payload),
            },
        )]
        .into();
        Ok(Kind::ObjectValue(ObjectValue { fields }))
    }

    fn shape(&self, rtti: &Rtti) -> Result<Shape, Refusal> {
        Shape::of(rtti).map_err(|error| {
            Refusal::Unfit(format!(
                "the type at `{}` is unreadable: {error}",
                self.path
            ))
        })
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.left = self.left.checked_sub(bytes).ok_or(Refusal::TooLarge)?;
        Ok(())
    }

    fn read<T>(&self, result: Result<T, RuntimeError>) -> Result<T, Refusal> {
        result.map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &dyn std::fmt::Debug) -> Refusal {
        let _ = error;
        Refusal::Unfit(format!(
            "the value at `{}` is in use or was moved, so that it cannot leave the script; return a copy",
            self.path
        ))
    }
}

/// What a struct or variant looks like.
pub struct Shape {
    /// The variant's name; None for a struct.
    pub variant: Option<String>,
    /// Positions by field name.
    pub fields: BTreeMap<String, usize>,
}

/// The layout of Rune's `Rtti` as it serialises itself, which is the only way to its field names.
#[derive(Deserialize)]
struct RttiLayout {
    _kind: u32,
    _hash: Hash,
    variant_hash: Hash,
    item: ItemBuf,
    fields: BTreeMap<String, u64>,
}

impl Shape {
    pub fn of(rtti: &Rtti) -> Result<Shape, bincode::Error> {
        let layout: RttiLayout = bincode::deserialize(&bincode::serialize(rtti)?)?;
        let variant = (layout.variant_hash != Hash::EMPTY).then(|| {
            layout
                .item
                .last()
                .map(|name| name.to_string())
                .unwrap_or_default()
        });
        let fields = layout
            .fields
            .into_iter()
            .map(|(name, at)| (name, at as usize))
            .collect();
        Ok(Shape { variant, fields })
    }
}

// Tuples are recognised by `as_type_value`; their hash is named here so that a change of Rune is noticed.
const _: Hash = OwnedTuple::HASH;
