//! `crucible::fs`: files that the server acts on. What may be reached is decided there, never here; but outside the jail
//! there is nobody to ask.

mod native;
mod reply;

use std::future::Future;

use rune::alloc;
use rune::runtime::{Bytes, VmResult};
use rune::{vm_try, ContextError, Module, Value};

use super::host::{self, HostCall};
use super::info::{asked, module_info};
use super::options::wrong;
use crate::child;
use crate::frames::v1::{value::Kind, ModuleInfo};

const CALLS: &str = "crucible.fs.";
const SCHEMA_VERSION: u32 = 1;

type Outcome<T> = VmResult<Result<T, alloc::String>>;

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["fs"])?;
    module.function("read", read).build()?;
    module
        .function("read_bytes", |path: &str| answered(at("read", path)))
        .build()?;
    module.function("read_part", read_part).build()?;
    module
        .function("write", |path: &str, data: Value| put("write", path, &data))
        .build()?;
    module
        .function("append", |path: &str, data: Value| {
            put("append", path, &data)
        })
        .build()?;
    module
        .function("exists", |path: &str| answered(at("exists", path)))
        .build()?;
    module
        .function("metadata", |path: &str| answered(at("metadata", path)))
        .build()?;
    module.function("list", list).build()?;
    module
        .function("create_dir", |path: &str| done(at("create_dir", path)))
        .build()?;
    module
        .function("remove", |path: &str| done(at("remove", path)))
        .build()?;
    module
        .function("rename", |from: &str, to: &str| {
            done(ask("rename", both(from, to)))
        })
        .build()?;
    module
        .function("copy", |from: &str, to: &str| {
            answered(ask("copy", both(from, to)))
        })
        .build()?;
    Ok(module)
}

/// Every function of this module comes through here. Asked at once, awaited later: several are under way before the
/// first is awaited.
fn ask<const N: usize>(name: &str, arguments: [(&str, Kind); N]) -> VmResult<HostCall> {
    if child::with(|session| session.is_native) == Some(true) {
        return VmResult::Ok(host::answered(native::answer(name, &arguments)));
    }
    host::call(
        &format!("{CALLS}{name}"),
        SCHEMA_VERSION,
        host::object(arguments),
    )
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

fn at(name: &str, path: &str) -> VmResult<HostCall> {
    ask(name, [("path", text(path))])
}

fn both<'a>(from: &str, to: &str) -> [(&'a str, Kind); 2] {
    [("from", text(from)), ("to", text(to))]
}

async fn answered(call: VmResult<HostCall>) -> Outcome<Value> {
    vm_try!(call).await
}

async fn done(call: VmResult<HostCall>) -> Outcome<()> {
    VmResult::Ok(vm_try!(vm_try!(call).await).map(|_| ()))
}

fn read(path: &str) -> impl Future<Output = Outcome<alloc::String>> {
    let call = at("read", path);
    let path = path.to_owned();
    async move {
        match vm_try!(vm_try!(call).await) {
            Ok(data) => reply::text(&path, data),
            Err(message) => VmResult::Ok(Err(message)),
        }
    }
}

fn read_part(path: &str, offset: Value, length: Value) -> impl Future<Output = Outcome<Value>> {
    let call = match (count("offset", &offset), count("length", &length)) {
        (VmResult::Ok(offset), VmResult::Ok(length)) => ask(
            "read_part",
            [("path", text(path)), ("offset", offset), ("length", length)],
        ),
        (VmResult::Err(error), _) | (_, VmResult::Err(error)) => VmResult::Err(error),
    };
    answered(call)
}

fn count(name: &str, value: &Value) -> VmResult<Kind> {
    match value.as_integer::<i64>() {
        Ok(number) if number >= 0 => VmResult::Ok(Kind::IntValue(number)),
        Ok(number) => VmResult::panic(format!(
            "fs: expected `{name}` as a number of bytes, got {number}"
        )),
        Err(_) => wrong("fs", &format!("`{name}` as a number of bytes"), value),
    }
}

fn put(name: &'static str, path: &str, data: &Value) -> impl Future<Output = Outcome<()>> {
    let call = match read_data(data) {
        VmResult::Ok(data) => ask(name, [("path", text(path)), ("data", data)]),
        VmResult::Err(error) => VmResult::Err(error),
    };
    done(call)
}

/// Text and bytes; other data has no form in a file that would be the obvious one.
fn read_data(data: &Value) -> VmResult<Kind> {
    if let Ok(text) = data.borrow_string_ref() {
        return VmResult::Ok(Kind::StringValue(text.to_string()));
    }
    match data.borrow_ref::<Bytes>() {
        Ok(bytes) => VmResult::Ok(Kind::BytesValue(bytes.as_slice().to_vec())),
        Err(_) => wrong(
            "fs",
            "text or bytes to write (crucible::json makes text of other data)",
            data,
        ),
    }
}

/// All pages of a listing.
fn list(path: &str) -> impl Future<Output = Outcome<Value>> {
    let first = page(path, "");
    let path = path.to_owned();
    async move {
        let mut entries = rune::runtime::Vec::new();
        let mut call = first;
        loop {
            let page = match vm_try!(vm_try!(call).await) {
                Ok(page) => vm_try!(reply::Page::new(page)),
                Err(message) => return VmResult::Ok(Err(message)),
            };
            let next = page.next;
            for entry in page.entries.iter() {
                vm_try!(entries.push(entry.clone()));
            }
            match next {
                Some(after) => call = self::page(&path, &after),
                None => return VmResult::Ok(Ok(vm_try!(Value::try_from(entries)))),
            }
        }
    }
}

fn page(path: &str, after: &str) -> VmResult<HostCall> {
    ask("list", [("path", text(path)), ("after", text(after))])
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    let call = |name: &str, signature: &str, doc: &str, call: &str| {
        asked(name, signature, doc, &format!("{CALLS}{call}"))
    };
    module_info(
        "crucible::fs",
        "Files below the roots that the operator of the server names. Paths are `ROOT/relative/path`; each function returns a Result. \
         At Development they are those of the server's machine, and begin at the working directory when relative.",
        vec![
            call("read", "read(path)", "A whole file as text.", "read"),
            call("read_bytes", "read_bytes(path)", "A whole file as bytes.", "read"),
            call(
                "read_part",
                "read_part(path, offset, length)",
                "At most so many bytes of a file, from an offset on; none beyond its end.",
                "read_part",
            ),
            call("write", "write(path, data)", "Replaces a file by text or bytes as a whole, or makes one.", "write"),
            call("append", "append(path, data)", "Adds text or bytes to the end of a file, or makes one.", "append"),
            call("exists", "exists(path)", "Whether there is anything of this name.", "exists"),
            call(
                "metadata",
                "metadata(path)",
                "An object of size in bytes, is_file, is_dir, and modified in seconds since 1970.",
                "metadata",
            ),
            call("list", "list(path)", "What is in a directory, by name: objects of name, is_file and is_dir.", "list"),
            call("create_dir", "create_dir(path)", "Makes a directory in one that is there.", "create_dir"),
            call("remove", "remove(path)", "Removes a file or an empty directory.", "remove"),
            call("rename", "rename(from, to)", "Renames within a root; a file takes the place of a file.", "rename"),
            call("copy", "copy(from, to)", "Copies a file, also to another root; returns its bytes.", "copy"),
        ],
    )
}
