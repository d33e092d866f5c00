//! Compiling and running scripts in the tests.

use std::future::Future;
use std::pin::{pin, Pin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use rune::compile::NoopSourceLoader;
use rune::runtime::{budget, RuntimeContext, VmError};
use rune::{Context, ContextError, Diagnostics, Module, Options, Source, Sources, Unit, Value, Vm};

/// Instructions a script may use unless the test says otherwise.
pub const BUDGET: usize = 10_000_000;

/// Bytes a script may allocate unless the test says otherwise.
pub const MEMORY: usize = 100_000_000;

/// How long a test which runs in a process of its own may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A compiled script.
pub struct Program {
    unit: Arc<Unit>,
    runtime: Arc<RuntimeContext>,
}

/// Why a call failed.
pub enum Failure {
    /// The call could not be made.
    Missing(String),
    /// The virtual machine reported an error.
    Vm(VmError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Missing(message) => f.write_str(message),
            Failure::Vm(error) => error.fmt(f),
        }
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The standard modules without input and output, and `later(polls, value)`: a future which is
/// ready with `value` once it has been polled `polls` times.
pub fn context() -> Result<Context, ContextError> {
    let mut module = Module::new();
    module
        .function("later", |polls: u64, value: Value| Later {
            polls,
            value: Some(value),
        })
        .build()?;
    let mut context = Context::with_config(false)?;
    context.install(module)?;
    Ok(context)
}

struct Later {
    polls: u64,
    value: Option<Value>,
}

impl Future for Later {
    type Output = Value;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Value> {
        if self.polls > 1 {
            self.polls -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.value.take().expect("polled after completion"))
    }
}

/// Runs a future to its end on this thread, polling it whether or not it was woken.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = TaskContext::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

impl Program {
    /// Compiles `source`. The error is the rendered diagnostics.
    pub fn new(source: &str) -> Result<Self, String> {
        thread_local!(static CONTEXT: Result<Context, ContextError> = context());
        CONTEXT.with(|context| match context {
            Ok(context) => Self::with_context(source, context),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Compiles `source` against `context`. The error is the rendered diagnostics.
    pub fn with_context(source: &str, context: &Context) -> Result<Self, String> {
        let mut sources = Sources::new();
        let source = Source::memory(source).map_err(|error| error.to_string())?;
        sources.insert(source).map_err(|error| error.to_string())?;
        let mut diagnostics = Diagnostics::without_warnings();
        let mut loader = NoopSourceLoader::default();
        let built = rune::prepare(&mut sources)
            .with_context(context)
            .with_diagnostics(&mut diagnostics)
            .with_options(&Options::default())
            .with_source_loader(&mut loader)
            .build();
        let unit = built.map_err(|error| {
            let mut rendered = rune::termcolor::Buffer::no_color();
            let _ = diagnostics.emit(&mut rendered, &sources);
            format!("{error}\n{}", String::from_utf8_lossy(rendered.as_slice()))
        })?;
        let runtime = context.runtime().map_err(|error| error.to_string())?;
        Ok(Self {
            unit: Arc::new(unit),
            runtime: Arc::new(runtime),
        })
    }

    /// The unit and a runtime for it.
    pub fn into_parts(self) -> (Arc<Unit>, Arc<RuntimeContext>) {
        (self.unit, self.runtime)
    }

    /// A program of a unit which was not compiled here.
    pub fn from_parts(unit: Arc<Unit>, runtime: Arc<RuntimeContext>) -> Self {
        Self { unit, runtime }
    }

    /// Calls a function within BUDGET and MEMORY and returns the debug representation of its value.
    pub fn call(&self, function: &str, arguments: &[i64]) -> Result<String, Failure> {
        self.call_within(BUDGET, function, arguments)
    }

    /// Like `call`, within `instructions` instructions.
    pub fn call_within(
        &self,
        instructions: usize,
        function: &str,
        arguments: &[i64],
    ) -> Result<String, Failure> {
        let work = || self.call_unlimited(function, arguments);
        budget::with(instructions, rune::alloc::limit::with(MEMORY, work)).call()
    }

    /// The most bytes that a call of `main` took at once. Rune as published can tell no more than what is left over.
    pub fn peak_memory(&self) -> Result<usize, Failure> {
        let work = || {
            self.call_unlimited("main", &[])?;
            #[cfg(feature = "patched")]
            let least = rune::alloc::limit::lowest();
            #[cfg(not(feature = "patched"))]
            let least = rune::alloc::limit::get();
            Ok(MEMORY - least)
        };
        rune::alloc::limit::with(MEMORY, work).call()
    }

    fn call_unlimited(&self, function: &str, arguments: &[i64]) -> Result<String, Failure> {
        let mut vm = Vm::new(self.runtime.clone(), self.unit.clone());
        let arguments = arguments
            .iter()
            .map(|n| Value::from(*n))
            .collect::<Vec<_>>();
        let mut stack = rune::alloc::Vec::new();
        for argument in arguments {
            stack
                .try_push(argument)
                .map_err(|error| Failure::Missing(error.to_string()))?;
        }
        let mut execution = vm.execute([function], stack).map_err(Failure::Vm)?;
        let value = block_on(execution.async_complete())
            .into_result()
            .map_err(Failure::Vm)?;
        Ok(execution.vm().with(|| format!("{value:?}")))
    }
}

/// Compiles and runs `main` of a script and returns what came of it, value or error, as text.
pub fn run(source: &str) -> String {
    match Program::new(source) {
        Err(diagnostics) => format!("compile error: {diagnostics}"),
        Ok(program) => match program.call("main", &[]) {
            Ok(value) => value,
            Err(failure) => format!("error: {failure}"),
        },
    }
}

/// Whether two debug representations are the same but for white space.
pub fn same(a: &str, b: &str) -> bool {
    let squeeze = |s: &str| s.split_whitespace().collect::<String>();
    squeeze(a) == squeeze(b)
}

const CHILD: &str = "RUNE_CONFORMANCE_CHILD";

/// Runs `body` of the test called `name` in a process of its own, so that a crash fails this test
/// and no other. Panics with the output of the process unless it succeeds in time.
pub fn isolated(name: &str, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("path of the test");
    let mut child = Command::new(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting the test in a process of its own");
    let mut stderr = child.stderr.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stderr, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("waiting for the test") {
            break Some(status);
        }
        if started.elapsed() > TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = reader.join().expect("reading the output of the test");
    match status {
        None => panic!("expected {name} to end within {TIMEOUT:?}; it said:\n{output}"),
        Some(status) => assert!(
            status.success(),
            "{name} ended with {status}; it said:\n{output}"
        ),
    }
}
