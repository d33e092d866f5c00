//! `crucible::basic`: what every level has beside the Rune core.

use rune::compile;
use rune::macros::{quote, FormatArgs, MacroContext, TokenStream};
use rune::parse::Parser;
use rune::runtime::{InstAddress, Memory, Output, VmResult};
use rune::{vm_try, ContextError, Module, Value};

use super::{host, io};
use crate::child::{self, Stream};
use crate::frames::v1::{value::Kind, ObjectValue, Value as Wire};
use crate::frames::v1::{ModuleFunction, ModuleInfo};

const LOG_LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];
const LOG_CALL: &str = "crucible.basic.log";
const LOG_SCHEMA_VERSION: u32 = 1;

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
    module.function("env", env).build()?;
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
    let text = |text: String| Wire {
        kind: Some(Kind::StringValue(text)),
    };
    let fields = [
        ("level".to_owned(), text(level)),
        ("message".to_owned(), text(message)),
    ]
    .into();
    let arguments = Wire {
        kind: Some(Kind::ObjectValue(ObjectValue { fields })),
    };
    let reply = vm_try!(host::call_and_wait(LOG_CALL, LOG_SCHEMA_VERSION, arguments));
    // What the server answers says nothing to the script beyond that it worked.
    let reply = reply.map(|_| Value::from(()));
    let reply = vm_try!(rune::to_value(reply));
    vm_try!(output.store(stack, reply));
    VmResult::Ok(())
}

/// For the catalogue of the server.
pub fn info() -> ModuleInfo {
    let function = |name: &str, signature: &str, doc: &str, host_call: &str| ModuleFunction {
        name: name.to_owned(),
        signature: signature.to_owned(),
        doc: doc.to_owned(),
        is_async: false,
        host_call: host_call.to_owned(),
    };
    ModuleInfo {
        name: "crucible::basic".to_owned(),
        doc: "Standard error, the log, and environment variables.".to_owned(),
        functions: vec![
            function("eprint", "eprint(text)", "Prints text to standard error.", ""),
            function("eprint!", "eprint!(format, ..)", "Prints formatted text to standard error.", ""),
            function("eprintln", "eprintln(text)", "Prints a line to standard error.", ""),
            function("eprintln!", "eprintln!(format, ..)", "Prints a formatted line to standard error.", ""),
            function("env", "env(name)", "The environment variable of this name: `Some(text)` or `None`.", ""),
            function(
                "log",
                "log(message) or log(level, message)",
                "Writes to the server's log; the level is debug, info, warn or error. Returns a Result.",
                LOG_CALL,
            ),
        ],
    }
}
