//! What the server replied, taken apart.

use rune::alloc;
use rune::runtime::{Bytes, Object, Ref, VmResult};
use rune::{vm_try, Value};

/// The bytes of a file as text.
pub fn text(path: &str, data: Value) -> VmResult<Result<alloc::String, alloc::String>> {
    let bytes = vm_try!(data.into_ref::<Bytes>());
    VmResult::Ok(match std::str::from_utf8(bytes.as_slice()) {
        Ok(text) => Ok(vm_try!(alloc::String::try_from(text))),
        Err(_) => Err(vm_try!(alloc::String::try_from(format!(
            "fs: {path}: expected a file of UTF-8 text, but it is not; use read_bytes"
        )))),
    })
}

/// A part of a listing.
pub struct Page {
    pub entries: Ref<rune::runtime::Vec>,
    /// Where the next one begins; None after the last.
    pub next: Option<String>,
}

impl Page {
    /// Takes over an object of `entries` and `is_more`.
    pub fn new(reply: Value) -> VmResult<Page> {
        let fields = vm_try!(reply.into_ref::<Object>());
        let (Some(entries), Some(is_more)) = (fields.get("entries"), fields.get("is_more")) else {
            return VmResult::panic("the server's reply has no `entries` or no `is_more`");
        };
        let entries = vm_try!(entries.clone().into_ref::<rune::runtime::Vec>());
        let mut next = None;
        if let (true, Some(last)) = (vm_try!(is_more.as_bool()), entries.last()) {
            let last = vm_try!(last.borrow_ref::<Object>());
            let Some(name) = last.get("name") else {
                return VmResult::panic("an entry of the server's reply has no `name`");
            };
            next = Some(vm_try!(name.borrow_string_ref()).to_string());
        }
        VmResult::Ok(Page { entries, next })
    }
}
