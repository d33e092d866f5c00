//! Errors of the virtual machine as messages, with places and a stack trace.

use std::any::Any;

use rune::runtime::{CallFrame, DebugInfo, VmError};
use rune::termcolor::Buffer;
use rune::{Sources, Unit, Vm};

use crate::child::{Fatal, Limits};
use crate::frames::v1::{ExecutionError, ExecutionErrorKind, StackFrame};

/// Longer messages are cut: a script chooses what it panics with.
pub const MAX_MESSAGE_BYTES: usize = 4 << 10;
const MAX_RENDERED_BYTES: usize = 16 << 10;
const MAX_FRAMES: usize = 64;
/// Longer names of functions are cut too, or a trace of them would not fit into a frame.
const MAX_FUNCTION_BYTES: usize = 512;
/// How Rune introduces the message of a panic.
const PANIC_PREFIX: &str = "Panicked: ";

/// What is needed to turn an instruction into a place.
pub struct Places<'a> {
    pub unit: &'a Unit,
    pub sources: &'a Sources,
}

/// An error without a place.
pub fn plain(kind: ExecutionErrorKind, message: String) -> ExecutionError {
    ExecutionError {
        kind: kind.into(),
        message,
        ..ExecutionError::default()
    }
}

/// A limit or a cancellation.
pub fn fatal(fatal: &Fatal) -> ExecutionError {
    ExecutionError {
        limit_name: fatal.limit_name.to_owned(),
        limit_value: fatal.limit_value,
        ..plain(fatal.kind, fatal.message.clone())
    }
}

/// An error of the virtual machine.
pub fn of_vm(places: &Places<'_>, raised: &Raised, limits: &Limits) -> ExecutionError {
    let error = &raised.error;
    let text = error.to_string();
    let named = if error.is_budget_exhausted() {
        fatal(&Fatal::operations(limits))
    } else if error.is_native_depth_exceeded() {
        fatal(&Fatal::native_depth(limits))
    } else if is_memory(error, &text) {
        fatal(&Fatal::memory(limits))
    } else if let Some(message) = text.strip_prefix(PANIC_PREFIX) {
        plain(
            ExecutionErrorKind::Panic,
            shorten(message, MAX_MESSAGE_BYTES),
        )
    } else {
        let text = missing_method(places, error, &text)
            .or_else(|| not_accessible(&text))
            .unwrap_or(text);
        plain(
            ExecutionErrorKind::Runtime,
            shorten(&text, MAX_MESSAGE_BYTES),
        )
    };
    at(places, raised, named)
}

/// Adds to `named` where it happened.
pub fn at(places: &Places<'_>, raised: &Raised, named: ExecutionError) -> ExecutionError {
    let stack_trace = places.frames(&raised.trace);
    let first = stack_trace.first().cloned().unwrap_or_default();
    ExecutionError {
        file: first.file,
        line: first.line,
        column: first.column,
        rendered: rendered(places.sources, &raised.error),
        stack_trace,
        ..named
    }
}

/// The text of a Rust panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    shorten(text.unwrap_or("no reason was given"), MAX_MESSAGE_BYTES)
}

/// The text, cut to so many bytes at most.
pub fn shorten(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = (0..=max_bytes - 3)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    format!("{}...", &text[..end])
}

/// Rune names a missing method by its hash alone; the name is only in what it renders.
fn missing_method(places: &Places<'_>, error: &VmError, text: &str) -> Option<String> {
    text.strip_prefix("Missing instance function `0x")?;
    let rendered = rendered(places.sources, error);
    let (_, label) = rendered.split_once("This corresponds to the `")?;
    let (method, _) = label.split_once("` instance function")?;
    let (receiver, name) = method.rsplit_once("::")?;
    Some(format!(
        "there is no method `{name}` on a value of type `{receiver}`"
    ))
}

/// Rune tells the state of a value that cannot be used by the flags of its lock.
fn not_accessible(text: &str) -> Option<String> {
    let (wanted, state) = text.strip_prefix("Cannot ")?.split_once(", value is ")?;
    let why = if state.starts_with('M') {
        "it was moved: a future is awaited, and a value is dropped, only once; make a new one or a `.clone()` before"
    } else {
        "it is in use by the operation or the loop around this one; work on a `.clone()`"
    };
    Some(format!("cannot {wanted} the value: {why}"))
}

/// Library functions wrap the failure to allocate in errors of their own, some of them in a panic.
fn is_memory(error: &VmError, text: &str) -> bool {
    error.is_alloc_failure()
        || text.contains("Failed to allocate")
        || text.contains("Capacity overflow")
}

fn rendered(sources: &Sources, error: &VmError) -> String {
    let mut buffer = Buffer::no_color();
    match error.emit(&mut buffer, sources) {
        Ok(()) => shorten(
            &String::from_utf8_lossy(buffer.as_slice()),
            MAX_RENDERED_BYTES,
        ),
        Err(_) => String::new(),
    }
}

/// An error with the instructions at which it happened, innermost first.
pub struct Raised {
    pub error: VmError,
    trace: Vec<usize>,
}

impl Raised {
    /// Takes the place from `vm` where the error has none, as when the instructions run out.
    pub fn new(error: VmError, vm: &Vm) -> Raised {
        let trace = match error.first_location() {
            Some(location) => trace(location.ip, &location.frames),
            None => trace(vm.ip(), vm.call_frames()),
        };
        Raised { error, trace }
    }
}

fn trace(ip: usize, callers: &[CallFrame]) -> Vec<usize> {
    // A caller's pointer is already past its call.
    let callers = callers.iter().rev().map(|frame| frame.ip.saturating_sub(1));
    [ip].into_iter().chain(callers).take(MAX_FRAMES).collect()
}

impl Places<'_> {
    fn frames(&self, trace: &[usize]) -> Vec<StackFrame> {
        match self.index() {
            Some(index) => trace.iter().map(|ip| index.frame(*ip)).collect(),
            None => Vec::new(),
        }
    }

    /// All places in order; None when the unit does not know them.
    pub fn index(&self) -> Option<Index<'_>> {
        let debug = self.unit.debug_info()?;
        let mut functions: Vec<_> = debug.functions_rev.keys().copied().collect();
        functions.sort_unstable();
        let mut instructions: Vec<_> = debug.instructions.keys().copied().collect();
        instructions.sort_unstable();
        Some(Index {
            debug,
            sources: self.sources,
            functions,
            instructions,
        })
    }
}

/// Where functions and instructions begin.
pub struct Index<'a> {
    debug: &'a DebugInfo,
    sources: &'a Sources,
    functions: Vec<usize>,
    instructions: Vec<usize>,
}

impl Index<'_> {
    /// The place of an instruction; what is not known is empty or 0.
    pub fn frame(&self, ip: usize) -> StackFrame {
        let function = before(&self.functions, ip)
            .and_then(|start| self.debug.function_at(start))
            .map(|(_, signature)| shorten(&signature.path.to_string(), MAX_FUNCTION_BYTES))
            .filter(|path| !path.contains('$'))
            .unwrap_or_default();
        // A stored pointer may lie inside an instruction.
        let place = before(&self.instructions, ip).and_then(|start| {
            let instruction = self.debug.instruction_at(start)?;
            let source = self.sources.get(instruction.source_id)?;
            let (line, column) = source.pos_to_utf8_linecol(instruction.span.start.into_usize());
            Some((source.name().to_owned(), line as u32 + 1, column as u32 + 1))
        });
        let (file, line, column) = place.unwrap_or_default();
        StackFrame {
            function,
            file,
            line,
            column,
        }
    }
}

fn before(sorted: &[usize], ip: usize) -> Option<usize> {
    sorted
        .partition_point(|start| *start <= ip)
        .checked_sub(1)
        .map(|at| sorted[at])
}
