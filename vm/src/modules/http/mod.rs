//! `crucible::http`: requests that the server makes. What may be reached is decided there, never here.

mod response;

use std::collections::BTreeMap;

use rune::alloc;
use rune::runtime::{Bytes, Object, VmResult};
use rune::{vm_try, ContextError, Module, Value};

pub use response::Response;

use super::host::{self, HostCall};
use super::info::{asked, function, module_info};
use super::json;
use super::options::wrong;
use crate::frames::v1::{value::Kind, ModuleInfo, ObjectValue, Value as Wire};

const CALL: &str = "crucible.http.request";
const SCHEMA_VERSION: u32 = 1;
const OPTIONS: [&str; 4] = ["headers", "body", "timeout", "redirects"];
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

type Fields = BTreeMap<String, Wire>;
type Outcome = Result<Response, alloc::String>;

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["http"])?;
    module
        .function("get", |url: &str| answered(ask("GET", url, None, None)))
        .build()?;
    module
        .function("post", |url: &str, body: Value| {
            answered(ask("POST", url, Some(body), None))
        })
        .build()?;
    module
        .function("request", |method: &str, url: &str, options: &Object| {
            answered(ask(method, url, None, Some(options)))
        })
        .build()?;
    response::install(&mut module)?;
    Ok(module)
}

/// Asked at once, awaited later: several are under way before the first is awaited.
async fn answered(call: VmResult<HostCall>) -> VmResult<Outcome> {
    match vm_try!(vm_try!(call).await) {
        Ok(value) => VmResult::Ok(Ok(vm_try!(Response::new(value)))),
        Err(message) => VmResult::Ok(Err(message)),
    }
}

fn ask(
    method: &str,
    url: &str,
    body: Option<Value>,
    options: Option<&Object>,
) -> VmResult<HostCall> {
    let mut fields = Fields::new();
    let mut put = |name: &str, kind| fields.insert(name.to_owned(), Wire { kind: Some(kind) });
    put("method", Kind::StringValue(method.to_owned()));
    put("url", Kind::StringValue(url.to_owned()));
    let mut headers = Fields::new();
    let mut body = body;
    for (name, value) in options.into_iter().flat_map(Object::iter) {
        match name.as_str() {
            "headers" => headers = vm_try!(read_headers(value)),
            "body" => body = Some(value.clone()),
            "timeout" => match host::seconds(value) {
                Some(seconds) => drop(put("timeout", Kind::DoubleValue(seconds))),
                None => return wrong("http", "a timeout in seconds", value),
            },
            "redirects" => match value.as_integer::<i64>() {
                Ok(count) => drop(put("redirects", Kind::IntValue(count))),
                Err(_) => return wrong("http", "a number of redirects", value),
            },
            other => {
                return VmResult::panic(format!(
                    "http::request: expected the options {}, got `{other}`",
                    OPTIONS.join(", ")
                ))
            }
        }
    }
    if let Some(body) = body {
        if let Some((kind, content_type)) = vm_try!(read_body(&body)) {
            put("body", kind);
            let is_typed = headers
                .keys()
                .any(|name| name.eq_ignore_ascii_case("content-type"));
            if let (Some(content_type), false) = (content_type, is_typed) {
                let kind = Some(Kind::StringValue(content_type.to_owned()));
                headers.insert("content-type".to_owned(), Wire { kind });
            }
        }
    }
    put(
        "headers",
        Kind::ObjectValue(ObjectValue { fields: headers }),
    );
    let arguments = Wire {
        kind: Some(Kind::ObjectValue(ObjectValue { fields })),
    };
    host::call(CALL, SCHEMA_VERSION, arguments)
}

fn read_headers(value: &Value) -> VmResult<Fields> {
    let Ok(object) = value.borrow_ref::<Object>() else {
        return wrong("http", "headers as an object", value);
    };
    let mut headers = Fields::new();
    for (name, value) in object.iter() {
        let Ok(text) = value.borrow_string_ref() else {
            return wrong("http", &format!("text for the header `{name}`"), value);
        };
        let kind = Some(Kind::StringValue(text.to_string()));
        headers.insert(name.to_string(), Wire { kind });
    }
    VmResult::Ok(headers)
}

/// Text and bytes are sent as they are, other data as JSON; nothing of `()` and `None`.
fn read_body(value: &Value) -> VmResult<Option<(Kind, Option<&'static str>)>> {
    if let Ok(text) = value.borrow_string_ref() {
        return VmResult::Ok(Some((Kind::StringValue(text.to_string()), Some(TEXT))));
    }
    if let Ok(bytes) = value.borrow_ref::<Bytes>() {
        return VmResult::Ok(Some((Kind::BytesValue(bytes.as_slice().to_vec()), None)));
    }
    match vm_try!(json::text(value, json::Style::Compact)) {
        Ok(text) if text.as_str() == "null" => VmResult::Ok(None),
        Ok(text) => VmResult::Ok(Some((Kind::StringValue(text.to_string()), Some(JSON)))),
        Err(message) => VmResult::panic(format!("http: the body cannot be sent: {message}")),
    }
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    module_info(
        "crucible::http",
        "HTTP requests to what the operator of the server allows. Each returns a Result: any answer is Ok, whatever its status.",
        vec![
            asked("get", "get(url)", "Fetches a URL.", CALL),
            asked("post", "post(url, body)", "Sends text, bytes, or other data as JSON.", CALL),
            asked(
                "request",
                "request(method, url, #{ headers, body, timeout, redirects })",
                "Any request; every option may be left out. The timeout is in seconds, redirects (at most 5) are followed.",
                CALL,
            ),
            function("Response.status", "response.status", "The status code."),
            function("Response.url", "response.url", "Where the answer came from, after redirects."),
            function("Response.headers", "response.headers", "An object of lower-case names to text; repeated ones are joined by `, `."),
            function("Response.body", "response.body", "The body as bytes."),
            function("Response.is_success", "response.is_success()", "Whether the status is from 200 to 299."),
            function("Response.header", "response.header(name)", "A header in any case: `Some(text)` or `None`."),
            function("Response.text", "response.text()", "The body as text. Returns a Result: it may not be UTF-8."),
            function("Response.json", "response.json()", "The body read as JSON. Returns a Result."),
        ],
    )
}
