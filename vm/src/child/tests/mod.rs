//! Jobs as the server sees them: each in a forked process of its own, over a real socket.

mod abuse;
mod compile;
mod execute;
mod files;
mod host_calls;
mod modules;
mod output;
mod profile;
mod scripts;
mod values;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Duration;

use prost::Message;

use super::{serve, Preloaded, Sets};
use crate::frames::v1::{value::Kind, ExecutionError, ExecutionErrorKind, ScriptSource, Value};
use crate::frames::vm::{
    child_frame, execute_result, server_frame, start, ChildFrame, CompileJob, CompileResult,
    ExecuteJob, ExecuteResult, HostCall, JobLimits, ServerFrame, Start,
};
use crate::frames::PROTOCOL_VERSION;

/// As much as the zygote has.
const STACK_BYTES: usize = 256 << 20;
/// A child that hangs is killed, so that the test fails instead.
const CPU_SECONDS: u64 = 60;
const MODULES: [&str; 2] = ["crucible::basic", "crucible::probe"];

/// What a child sent, and how it ended.
pub struct Finished {
    pub frames: Vec<ChildFrame>,
    pub status: i32,
}

/// The answer of a pretended server to one host call: frames in the order in which they are sent.
pub type Answer<'a> = dyn FnMut(&HostCall) -> Vec<server_frame::Frame> + Send + 'a;

fn preloaded() -> &'static Preloaded {
    static PRELOADED: OnceLock<Preloaded> = OnceLock::new();
    PRELOADED.get_or_init(|| Preloaded::new(Sets::Jailed).expect("Rune's contexts can be built"))
}

/// Limits that a test script fits into.
pub fn limits() -> JobLimits {
    JobLimits {
        memory_bytes: 50 << 20,
        max_operations: 5_000_000,
        output_bytes: 1 << 20,
        return_bytes: 1 << 20,
        ..JobLimits::default()
    }
}

/// A Start frame without a job.
pub fn start_frame() -> Start {
    Start {
        protocol_version: PROTOCOL_VERSION,
        seed: vec![7; 32],
        limits: Some(limits()),
        modules: MODULES.map(str::to_owned).to_vec(),
        output_credit_bytes: 1 << 30,
        ..Start::default()
    }
}

/// Runs a child to its end.
pub fn run(start: Start, answer: &mut Answer<'_>) -> Finished {
    let preloaded = preloaded();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let handle = thread.spawn_scoped(scope, || fork_and_talk(preloaded, start, answer));
        handle
            .expect("a thread can be made")
            .join()
            .expect("the conversation does not panic")
    })
}

fn fork_and_talk(preloaded: &Preloaded, start: Start, answer: &mut Answer<'_>) -> Finished {
    let (mut ours, theirs) = UnixStream::pair().expect("a socket pair can be made");
    ours.set_read_timeout(Some(Duration::from_secs(120)))
        .expect("a timeout can be set");
    // SAFETY: the child only calls `serve`, which never returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(ours);
        let cpu = libc::rlimit {
            rlim_cur: CPU_SECONDS,
            rlim_max: CPU_SECONDS,
        };
        // SAFETY: `cpu` outlives the call.
        unsafe { libc::setrlimit(libc::RLIMIT_CPU, &cpu) };
        serve(preloaded, theirs.as_raw_fd(), 0);
    }
    assert!(pid > 0, "fork failed");
    drop(theirs);
    send(&mut ours, server_frame::Frame::Start(start));
    let mut frames = Vec::new();
    while let Some(frame) = receive(&mut ours) {
        if let Some(child_frame::Frame::HostCall(call)) = &frame.frame {
            answer(call)
                .into_iter()
                .for_each(|reply| send(&mut ours, reply));
        }
        frames.push(frame);
    }
    let mut status = 0;
    // SAFETY: `status` is an int to write to, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    let sequence: Vec<u64> = frames.iter().map(|frame| frame.sequence).collect();
    assert_eq!(
        sequence,
        (1..=frames.len() as u64).collect::<Vec<_>>(),
        "frames are counted without a gap"
    );
    Finished { frames, status }
}

fn send(socket: &mut UnixStream, frame: server_frame::Frame) {
    let body = ServerFrame { frame: Some(frame) }.encode_to_vec();
    // A child that is gone is seen by its status.
    let _ = socket
        .write_all(&(body.len() as u32).to_le_bytes())
        .and_then(|()| socket.write_all(&body));
}

fn receive(socket: &mut UnixStream) -> Option<ChildFrame> {
    let mut header = [0; 4];
    socket.read_exact(&mut header).ok()?;
    let mut body = vec![0; u32::from_le_bytes(header) as usize];
    socket.read_exact(&mut body).ok()?;
    Some(ChildFrame::decode(&*body).expect("a child sends frames that can be decoded"))
}

impl Finished {
    /// Standard output and standard error, each as one text.
    pub fn texts(&self) -> (String, String) {
        let mut texts = [Vec::new(), Vec::new()];
        for frame in &self.frames {
            if let Some(child_frame::Frame::Output(output)) = &frame.frame {
                assert!(output.data.len() <= 64 << 10);
                assert!(
                    std::str::from_utf8(&output.data).is_ok(),
                    "a character was cut"
                );
                texts[usize::from(output.is_stderr)].extend_from_slice(&output.data);
            }
        }
        let [stdout, stderr] = texts.map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        (stdout, stderr)
    }

    pub fn host_calls(&self) -> Vec<HostCall> {
        self.frames
            .iter()
            .filter_map(|frame| match &frame.frame {
                Some(child_frame::Frame::HostCall(call)) => Some(call.clone()),
                _ => None,
            })
            .collect()
    }

    pub fn compiled(&self) -> &CompileResult {
        match self.frames.last().and_then(|frame| frame.frame.as_ref()) {
            Some(child_frame::Frame::CompileResult(result)) => result,
            other => panic!(
                "expected a CompileResult, got {other:?} (status {})",
                self.status
            ),
        }
    }

    pub fn executed(&self) -> &ExecuteResult {
        assert_eq!(self.status, 0);
        match self.frames.last().and_then(|frame| frame.frame.as_ref()) {
            Some(child_frame::Frame::ExecuteResult(result)) => result,
            other => panic!(
                "expected an ExecuteResult, got {other:?} (status {})",
                self.status
            ),
        }
    }

    pub fn error(&self) -> &ExecutionError {
        match &self.executed().outcome {
            Some(execute_result::Outcome::Error(error)) => error,
            other => panic!("expected an error, got {other:?}"),
        }
    }

    pub fn value(&self) -> &Value {
        match &self.executed().outcome {
            Some(execute_result::Outcome::Value(value)) => value,
            other => panic!("expected a value, got {other:?}"),
        }
    }

    /// The signal that ended the child; 0 when it exited.
    pub fn signal(&self) -> i32 {
        self.status & 0x7f
    }
}

/// Compiles a text.
pub fn compile(source: &str) -> CompileResult {
    compile_files(source, &[], start_frame())
}

pub fn compile_files(source: &str, files: &[(&str, &str)], mut start: Start) -> CompileResult {
    let files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect::<BTreeMap<_, _>>();
    let source = ScriptSource {
        source: source.to_owned(),
        files,
        ..ScriptSource::default()
    };
    start.job = Some(start::Job::Compile(CompileJob {
        source: Some(source),
    }));
    run(start, &mut |_| Vec::new()).compiled().clone()
}

/// Compiles a text that has to compile, and runs a function of it.
pub fn execute_with(
    source: &str,
    function: &str,
    arguments: Vec<Value>,
    mut start: Start,
    answer: &mut Answer<'_>,
) -> Finished {
    let modules = start.modules.clone();
    let compiling = Start {
        modules,
        ..start_frame()
    };
    let compiled = compile_files(source, &[], compiling);
    assert!(!compiled.unit.is_empty(), "{}", compiled.rendered);
    start.job = Some(start::Job::Execute(ExecuteJob {
        unit: compiled.unit,
        function: function.to_owned(),
        arguments,
        ..ExecuteJob::default()
    }));
    run(start, answer)
}

/// Runs `main` without arguments.
pub fn execute(source: &str) -> Finished {
    execute_with(source, "main", Vec::new(), start_frame(), &mut |_| {
        Vec::new()
    })
}

/// Runs `main` within other limits.
pub fn execute_limited(source: &str, limits: JobLimits) -> Finished {
    let start = Start {
        limits: Some(limits),
        ..start_frame()
    };
    execute_with(source, "main", Vec::new(), start, &mut |_| Vec::new())
}

pub fn assert_error(source: &str, kind: ExecutionErrorKind, text: &str) -> ExecutionError {
    let finished = execute(source);
    let error = finished.error().clone();
    assert_eq!(error.kind(), kind, "{source}: {error:?}");
    assert!(error.message.contains(text), "{source}: {}", error.message);
    error
}

/// A value as a short text: `{a: [1, 2u, 1.5, "x", null]}`.
pub fn shown(value: &Value) -> String {
    match value.kind.as_ref().expect("a kind is set") {
        Kind::NullValue(_) => "null".to_owned(),
        Kind::BoolValue(value) => value.to_string(),
        Kind::IntValue(value) => value.to_string(),
        Kind::UintValue(value) => format!("{value}u"),
        Kind::DoubleValue(value) => format!("{value:?}"),
        Kind::StringValue(text) => format!("{text:?}"),
        Kind::BytesValue(bytes) => format!("b{bytes:?}"),
        Kind::ListValue(list) => {
            format!(
                "[{}]",
                list.values.iter().map(shown).collect::<Vec<_>>().join(", ")
            )
        }
        Kind::ObjectValue(object) => {
            let fields: Vec<_> = object
                .fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", shown(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}
