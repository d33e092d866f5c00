//! `crucible::net`: TCP connections of Development scripts, to and from wherever the server's machine can.

mod connect;
mod stream;

use rune::runtime::VmResult;
use rune::{vm_try, ContextError, Module, Value};

use super::info::{function, module_info};
use super::options::{self, fail, outcome, Outcome};
use crate::frames::v1::{ModuleFunction, ModuleInfo};
use connect::Address;
use stream::{Listener, Stream};

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["net"])?;
    module
        .function("connect", |host: &str, port: i64, given: Value| {
            let address = Address::read("net::connect", host, port);
            let timeout = read_timeout("net::connect", &given);
            async move {
                let (address, timeout) = (vm_try!(address), vm_try!(timeout));
                let until = options::from_now(timeout);
                match connect::connect(&address, until).await {
                    Ok(socket) => outcome(Stream::new(socket, timeout)),
                    Err(message) => fail(message),
                }
            }
        })
        .build()?;
    module.function("listen", listen).build()?;
    stream::install(&mut module)?;
    Ok(module)
}

fn read_timeout(function: &str, given: &Value) -> VmResult<Option<std::time::Duration>> {
    let mut timeout = None;
    for (name, value) in vm_try!(options::named(function, given, &["timeout"])) {
        timeout = Some(vm_try!(options::time(function, &name, &value)));
    }
    VmResult::Ok(timeout)
}

fn listen(host: &str, port: i64) -> VmResult<Outcome<Listener>> {
    let address = vm_try!(Address::read("net::listen", host, port));
    outcome(connect::listen(&address).and_then(Listener::new))
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    let awaited = |name: &str, signature: &str, doc: &str| ModuleFunction {
        is_async: true,
        ..function(name, signature, doc)
    };
    module_info(
        "crucible::net",
        "TCP from the server's machine. Each function returns a Result.",
        vec![
            awaited(
                "connect",
                "connect(host, port, #{ timeout })",
                "Connects; the timeout, in seconds, may be left out and holds for each reading and writing as well.",
            ),
            function("listen", "listen(host, port)", "Takes connections; port 0 takes a free one."),
            awaited("Stream.read", "stream.read(most)", "So many bytes at most as soon as there are any, none at the end."),
            awaited("Stream.read_line", "stream.read_line()", "`Some(text)`, or `None` at the end."),
            awaited("Stream.write", "stream.write(data)", "Writes text or bytes, all of it."),
            function("Stream.close", "stream.close()", "Ends both directions."),
            function("Listener.port", "listener.port", "The port that it listens on."),
            awaited("Listener.accept", "listener.accept()", "The next connection, as a Stream."),
        ],
    )
}
