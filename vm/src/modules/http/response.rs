//! What a request was answered.

use rune::alloc::{self, fmt::TryWrite};
use rune::runtime::{Bytes, Formatter, Object, Protocol, Ref, VmResult};
use rune::{vm_try, Any, ContextError, Module, Value};

use crate::modules::json;

const FIELDS: [&str; 4] = ["status", "url", "headers", "body"];

/// The server's reply with methods. It leaves the script as an object of its fields.
#[derive(Any)]
#[rune(item = ::crucible::http)]
pub struct Response {
    fields: Object,
}

impl Response {
    /// Takes over what the server replied: an object of status, url, headers and body.
    pub fn new(reply: Value) -> VmResult<Response> {
        let fields = vm_try!(rune::from_value::<Object>(reply));
        for name in FIELDS {
            if !fields.contains_key(name) {
                return VmResult::panic(format!("the server's reply has no `{name}`"));
            }
        }
        VmResult::Ok(Response { fields })
    }

    fn field(&self, name: &str) -> VmResult<Value> {
        match self.fields.get(name) {
            Some(value) => VmResult::Ok(value.clone()),
            None => VmResult::panic(format!("the response has no `{name}`")),
        }
    }

    fn bytes(&self) -> VmResult<Ref<Bytes>> {
        VmResult::Ok(vm_try!(vm_try!(self.field("body")).into_ref::<Bytes>()))
    }

    fn text(&self) -> VmResult<Result<alloc::String, alloc::String>> {
        let bytes = vm_try!(self.bytes());
        VmResult::Ok(match std::str::from_utf8(bytes.as_slice()) {
            Ok(text) => Ok(vm_try!(alloc::String::try_from(text))),
            Err(_) => Err(vm_try!(alloc::String::try_from(
                "expected a body of UTF-8 text, but it is not; use its `body`"
            ))),
        })
    }

    /// The fields as an object, the body as text where it is some.
    pub fn to_object(&self) -> VmResult<Value> {
        let mut fields = Object::new();
        for name in FIELDS {
            let key = vm_try!(alloc::String::try_from(name));
            vm_try!(fields.insert(key, vm_try!(self.field(name))));
        }
        if let Ok(text) = vm_try!(self.text()) {
            let key = vm_try!(alloc::String::try_from("body"));
            vm_try!(fields.insert(key, vm_try!(Value::try_from(text))));
        }
        VmResult::Ok(vm_try!(Value::new(fields)))
    }
}

pub fn install(module: &mut Module) -> Result<(), ContextError> {
    module.ty::<Response>()?;
    for name in FIELDS {
        module.field_function(&Protocol::GET, name, move |response: &Response| {
            response.field(name)
        })?;
    }
    module.associated_function("text", Response::text)?;
    module.associated_function("json", |response: &Response| {
        json::parse(vm_try!(response.bytes()).as_slice())
    })?;
    module.associated_function("is_success", |response: &Response| {
        let status = vm_try!(response.field("status"));
        VmResult::Ok((200..300).contains(&vm_try!(status.as_integer::<i64>())))
    })?;
    module.associated_function("header", |response: &Response, name: &str| {
        let headers = vm_try!(response.field("headers"));
        let headers = vm_try!(headers.borrow_ref::<Object>());
        VmResult::Ok(headers.get(name.to_ascii_lowercase().as_str()).cloned())
    })?;
    module.associated_function(
        &Protocol::DEBUG_FMT,
        |response: &Response, formatter: &mut Formatter| {
            let status = vm_try!(response.field("status"));
            let status = vm_try!(status.as_integer::<i64>());
            let size = vm_try!(response.bytes()).len();
            vm_try!(write!(
                formatter,
                "Response {{ status: {status}, body: {size} bytes }}"
            ));
            VmResult::Ok(())
        },
    )?;
    Ok(())
}
