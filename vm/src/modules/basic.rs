//! `crucible::basic`: what every level has beside the Rune core.

use std::future::Future;

use rune::compile;
use rune::macros::{quote, FormatArgs, MacroContext, TokenStream};
use rune::parse::Parser;
use rune::runtime::{InstAddress, Memory, Object, Output, VmError, VmResult};
use rune::{vm_try, ContextError, Module, Value};

use super::info::{asked, function, module_info};
use super::{host, io, random, time};
use crate::child::{self, Stream};
use crate::convert;
use crate::frames::v1::{value::Kind, ModuleFunction, ModuleInfo};

const LOG_LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];
const LOG_CALL: &str = "crucible.basic.log";
const LOG_SCHEMA_VERSION: u32 = 1;
const SLEEP_CALL: &str = "crucible.basic.sleep";
const SLEEP_SCHEMA_VERSION: u32 = 1;

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["basic"])?;
    module
        .function("eprint", |text: &str| io::write(Stream::Stderr, &[text]))
        .build()?;
    module
        .function("eprintln", |text: &str| {
            io::write(Stream::Stderr, &[text, "\n"])
        })
        .build()?;
    module.function("args", args).build()?;
    module.function("env", env).build()?;
    module.function("sleep", sleep).build()?;
    module.raw_function("log", log).build()?;
    module.macro_meta(eprint_macro)?;
    module.macro_meta(eprintln_macro)?;
    Ok(module)
}

/// Prints formatted text to standard error.
#[rune::macro_(path = eprint)]
fn eprint_macro(
    cx: &mut MacroContext<'_, '_, '_>,
    stream: &TokenStream,
) -> compile::Result<TokenStream> {
    let mut parser = Parser::from_token_stream(stream, cx.input_span());
    let arguments = parser.parse_all::<FormatArgs>()?;
    let text = arguments.expand(cx)?;
    Ok(quote!(::crucible::basic::eprint(#text)).into_token_stream(cx)?)
}

/// Prints formatted text and a line break to standard error.
#[rune::macro_(path = eprintln)]
fn eprintln_macro(
    cx: &mut MacroContext<'_, '_, '_>,
    stream: &TokenStream,
) -> compile::Result<TokenStream> {
    let mut parser = Parser::from_token_stream(stream, cx.input_span());
    let arguments = parser.parse_all::<FormatArgs>()?;
    let text = arguments.expand(cx)?;
    Ok(quote!(::crucible::basic::eprintln(#text)).into_token_stream(cx)?)
}

fn env(name: &str) -> Option<String> {
    child::with(|session| session.environment.get(name).cloned()).flatten()
}

/// What the execution was given, by the names of the parameters: new values with every call.
fn args() -> VmResult<Object> {
    let read = child::with(|session| {
        let mut object = Object::new();
        for (name, value) in &session.arguments {
            let value = match convert::to_rune(value, session.limits.value_depth) {
                Ok(value) => value,
                // The same was converted before: only memory can be short.
                Err(_) => {
                    return VmResult::Err(VmError::from(rune::alloc::Error::CapacityOverflow))
                }
            };
            let name = vm_try!(rune::alloc::String::try_from(name.as_str()));
            vm_try!(object.insert(name, value));
        }
        VmResult::Ok(object)
    });
    read.unwrap_or_else(|| VmResult::Ok(Object::new()))
}

/// Waits while the rest of the script can go on.
fn sleep(seconds: Value) -> impl Future<Output = VmResult<()>> {
    let call = match host::seconds(&seconds) {
        Some(seconds) => {
            let arguments = host::object([("seconds", Kind::DoubleValue(seconds))]);
            host::call(SLEEP_CALL, SLEEP_SCHEMA_VERSION, arguments)
        }
        None => VmResult::panic(format!(
            "sleep: expected a number of seconds that is not negative, got {}",
            seconds.type_info()
        )),
    };
    async move {
        match vm_try!(vm_try!(call).await) {
            Ok(_) => VmResult::Ok(()),
            Err(message) => VmResult::panic(message.as_str().to_owned()),
        }
    }
}

/// `log(message)` or `log(level, message)`.
fn log(stack: &mut dyn Memory, address: InstAddress, count: usize, output: Output) -> VmResult<()> {
    let arguments = vm_try!(stack.slice_at(address, count));
    let (level, message) = match arguments {
        [message] => (
            "info".to_owned(),
            vm_try!(message.borrow_string_ref()).to_string(),
        ),
        [level, message] => (
            vm_try!(level.borrow_string_ref()).to_string(),
            vm_try!(message.borrow_string_ref()).to_string(),
        ),
        _ => {
            return VmResult::panic(format!(
                "expected log(message) or log(level, message), got {count} arguments"
            ))
        }
    };
    if !LOG_LEVELS.contains(&level.as_str()) {
        return VmResult::panic(format!(
            "expected a level of {}, got `{level}`",
            LOG_LEVELS.join(", ")
        ));
    }
    let arguments = host::object([
        ("level", Kind::StringValue(level)),
        ("message", Kind::StringValue(message)),
    ]);
    let reply = vm_try!(host::call_and_wait(LOG_CALL, LOG_SCHEMA_VERSION, arguments));
    // What the server answers says nothing to the script beyond that it worked.
    let reply = reply.map(|_| Value::from(()));
    let reply = vm_try!(rune::to_value(reply));
    vm_try!(output.store(stack, reply));
    VmResult::Ok(())
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    let log = ModuleFunction {
        is_async: false,
        ..asked(
            "log",
            "log(message) or log(level, message)",
            "Writes to the server's log; the level is debug, info, warn or error. Returns a Result.",
            LOG_CALL,
        )
    };
    let mut functions = vec![
        function(
            "args",
            "args()",
            "What the execution was given, as an object.",
        ),
        function("eprint", "eprint(text)", "Prints text to standard error."),
        function(
            "eprint!",
            "eprint!(format, ..)",
            "Prints formatted text to standard error.",
        ),
        function(
            "eprintln",
            "eprintln(text)",
            "Prints a line to standard error.",
        ),
        function(
            "eprintln!",
            "eprintln!(format, ..)",
            "Prints a formatted line to standard error.",
        ),
        function(
            "env",
            "env(name)",
            "The environment variable of this name: `Some(text)` or `None`.",
        ),
        log,
        asked(
            "sleep",
            "sleep(seconds)",
            "Waits so many seconds, given as a float or an integer.",
            SLEEP_CALL,
        ),
    ];
    functions.extend(time::functions());
    functions.extend(random::functions());
    module_info(
        "crucible::basic",
        "Standard error, the log, arguments and environment, and time and random numbers that can be replayed.",
        functions,
    )
}
