//! Frames that lie, flood or stop in the middle, and exit codes that do not say what happened.

use prost::Message;

use super::raw::call;
use super::{word, Attempt, Reached};
use crate::exit;
use crate::frames::v1::{value::Kind, ExecutionError, ListValue, StackFrame, Value};
use crate::frames::vm::child_frame::Frame;
use crate::frames::vm::{
    execute_result::Outcome, ChildFrame, CompileResult, ExecuteResult, HostCall, HostReply, Output,
    Profile, ServerFrame,
};

/// Its socket, written to as it likes.
pub struct Wire {
    sequence: u64,
}

impl Wire {
    pub fn new() -> Wire {
        Wire { sequence: 0 }
    }

    /// Writes bytes that need not be a frame.
    pub fn bytes(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = call(libc::SYS_write, &[0, bytes.as_ptr() as usize, bytes.len()]);
            if written <= 0 {
                exit::now(exit::ORPHANED);
            }
            bytes = &bytes[written as usize..];
        }
    }

    /// Writes bytes behind a header that claims a length.
    pub fn claimed(&self, length: u32, bytes: &[u8]) {
        self.bytes(&[&length.to_le_bytes(), bytes].concat());
    }

    /// Writes a proper frame.
    pub fn send(&mut self, frame: Frame) {
        self.sequence += 1;
        let bytes = ChildFrame {
            sequence: self.sequence,
            frame: Some(frame),
        }
        .encode_to_vec();
        self.claimed(bytes.len() as u32, &bytes);
    }

    pub fn print(&mut self, data: &[u8]) {
        self.send(Frame::Output(Output {
            is_stderr: false,
            data: data.to_vec(),
        }));
    }

    /// Ends the execution with this text as its value.
    pub fn report(&mut self, text: &str) {
        self.send(Frame::ExecuteResult(result(text_value(text))));
    }

    fn host_call(&mut self, call_id: u64, name: &str) {
        self.send(Frame::HostCall(HostCall {
            call_id,
            name: name.to_owned(),
            schema_version: 1,
            arguments: Some(text_value("no object")),
            operations_count: u64::MAX,
        }));
    }
}

pub const ATTEMPTS: &[Attempt] = &[
    ("frame-beyond-every-length", |_| {
        say(|wire| wire.claimed(u32::MAX, b""))
    }),
    ("frame-cut-off", |_| {
        say(|wire| wire.claimed(100, b"only this"))
    }),
    ("frame-promised-for-ever", |_| {
        Wire::new().claimed(1000, b"");
        stay()
    }),
    ("frame-of-garbage", |_| {
        say(|wire| wire.claimed(16, &[0xff; 16]))
    }),
    ("frame-of-nothing", |_| say(|wire| wire.claimed(0, b""))),
    ("frame-of-text", |_| {
        say(|wire| wire.bytes(b"GET / HTTP/1.1\r\nHost: crucible\r\n\r\n"))
    }),
    ("frame-of-the-server", |_| {
        say(|wire| {
            let reply = crate::frames::vm::server_frame::Frame::HostReply(HostReply::default());
            let bytes = ServerFrame { frame: Some(reply) }.encode_to_vec();
            wire.claimed(bytes.len() as u32, &bytes);
        })
    }),
    ("sequence-jump", |_| {
        say(|wire| {
            wire.sequence = 41;
            wire.print(b"x");
        })
    }),
    ("sequence-of-zero", |_| {
        say(|wire| {
            wire.sequence = u64::MAX - 1;
            wire.print(b"x");
        })
    }),
    ("a-million-tiny-frames", |_| {
        say(|wire| {
            for _ in 0..1_000_000 {
                wire.print(b"x");
            }
        })
    }),
    ("a-million-empty-headers", |_| {
        say(|wire| {
            let zeros = vec![0; 4_000_000];
            wire.bytes(&zeros);
        })
    }),
    ("output-flood", |_| {
        say(|wire| loop {
            wire.print(&[b'x'; 64 << 10]);
        })
    }),
    ("output-frame-too-large", |_| {
        say(|wire| wire.print(&[b'x'; (64 << 10) + 1]))
    }),
    ("output-that-is-no-text", |_| {
        say(|wire| wire.print(&[0xff, 0xfe]))
    }),
    ("output-of-control-codes", |_| {
        let mut wire = Wire::new();
        wire.print(b"\x1b]0;owned\x07\x1b[2J\0\r\n");
        wire.report("nothing: what it printed is text like any other");
        exit::now(exit::DONE)
    }),
    ("result-of-a-compilation", |_| {
        say(|wire| {
            wire.send(Frame::CompileResult(CompileResult {
                unit: vec![1; 100],
                ..CompileResult::default()
            }))
        })
    }),
    ("result-without-outcome", |_| {
        say(|wire| wire.send(Frame::ExecuteResult(ExecuteResult::default())))
    }),
    ("result-of-no-value", |_| {
        say(|wire| wire.send(Frame::ExecuteResult(result(Value::default()))))
    }),
    ("result-twice", |_| {
        say(|wire| {
            wire.report("one");
            wire.report("two");
        })
    }),
    ("result-and-more-bytes", |_| {
        say(|wire| {
            wire.report("one");
            wire.bytes(b"more");
        })
    }),
    ("result-too-deep", |_| {
        say(|wire| wire.send(Frame::ExecuteResult(result(nested(40)))))
    }),
    ("result-far-too-deep", |_| {
        say(|wire| {
            // By hand: encoding so deep a value recurses.
            let mut bytes = Vec::new();
            for _ in 0..10_000 {
                let mut outer = vec![0x42];
                prost::encode_length_delimiter(bytes.len(), &mut outer).unwrap_or_default();
                outer.extend_from_slice(&bytes);
                bytes = outer;
            }
            wire.claimed(bytes.len() as u32, &bytes);
        })
    }),
    ("result-too-large", |_| {
        let text = "x".repeat((1 << 20) + 1000);
        say(|wire| wire.report(&text))
    }),
    ("result-of-many-values", |_| {
        let one = Value {
            kind: Some(Kind::BoolValue(true)),
        };
        let values = vec![one; 200_000];
        let list = Value {
            kind: Some(Kind::ListValue(ListValue { values })),
        };
        say(|wire| wire.send(Frame::ExecuteResult(result(list))))
    }),
    ("result-and-stay", |_| {
        Wire::new().report("done, but still there");
        stay()
    }),
    ("result-and-forbidden-call", |_| {
        Wire::new().report("all is well");
        super::raw::attempt("getpid", libc::SYS_getpid, &[])
    }),
    ("result-and-failure", |argument| {
        Wire::new().report("all is well");
        exit::now(word(argument, 0) as i32)
    }),
    ("result-with-forged-figures", |_| {
        say(|wire| {
            wire.send(Frame::ExecuteResult(ExecuteResult {
                outcome: Some(Outcome::Value(text_value("nothing: forged figures"))),
                operations_count: u64::MAX,
                memory_bytes: u64::MAX,
                ..ExecuteResult::default()
            }))
        })
    }),
    ("result-with-a-profile", |_| {
        say(|wire| {
            wire.send(Frame::ExecuteResult(ExecuteResult {
                profile: Some(Profile {
                    names: vec!["x".repeat(1 << 20)],
                    ..Profile::default()
                }),
                ..result(text_value("nothing: a profile unasked"))
            }))
        })
    }),
    ("error-of-no-known-kind", |_| {
        say(|wire| {
            wire.send(error(ExecutionError {
                kind: 12_345,
                line: u32::MAX,
                column: u32::MAX,
                limit_value: u64::MAX,
                limit_name: "max_everything".to_owned(),
                ..ExecutionError::default()
            }))
        })
    }),
    ("error-of-a-megabyte", |_| {
        let text = "\u{1b}[31m".repeat(200_000);
        say(|wire| {
            wire.send(error(ExecutionError {
                kind: 1,
                message: text,
                ..ExecutionError::default()
            }))
        })
    }),
    ("error-with-many-frames", |_| {
        let stack_trace = vec![StackFrame::default(); 400_000];
        say(|wire| {
            wire.send(error(ExecutionError {
                kind: 1,
                stack_trace,
                ..ExecutionError::default()
            }))
        })
    }),
    ("host-call-out-of-order", |_| {
        say(|wire| wire.host_call(7, "crucible.basic.log"))
    }),
    ("host-call-that-does-not-exist", |_| {
        let mut wire = Wire::new();
        wire.host_call(1, "crucible.fs.read");
        let answer = read_some();
        match answer.windows(14).any(|part| part == b"does not exist") {
            true => {
                wire.report("nothing: the server does not know the call");
                exit::now(exit::DONE)
            }
            false => Reached::Gained(format!("an answer of {} bytes", answer.len())),
        }
    }),
    ("host-calls-without-end", |_| {
        say(|wire| {
            for call_id in 1..=1_000_000 {
                wire.host_call(call_id, "crucible.basic.log");
            }
        })
    }),
    ("host-calls-with-large-names", |_| {
        // The server says the name again in each answer.
        let name = "x".repeat(900_000);
        say(|wire| wire.host_call(1, &name))
    }),
    ("host-calls-that-are-not-read", |_| {
        // Slowly, so that each is answered before the next is made.
        let (name, pause) = ("x".repeat(100), [0_usize, 300_000]);
        say(|wire| {
            for call_id in 1.. {
                wire.host_call(call_id, &name);
                call(
                    libc::SYS_clock_nanosleep,
                    &[1, 0, pause.as_ptr() as usize, 0],
                );
            }
        })
    }),
    ("write-for-ever-and-never-read", |_| {
        let mut wire = Wire::new();
        loop {
            wire.print(&[b'x'; 1 << 10]);
        }
    }),
    ("exit", |argument| exit::now(word(argument, 0) as i32)),
];

/// Says something and ends as if all were well.
fn say(act: impl FnOnce(&mut Wire)) -> Reached {
    act(&mut Wire::new());
    exit::now(exit::DONE)
}

fn stay() -> ! {
    let time = [i32::MAX as usize, 0];
    loop {
        call(
            libc::SYS_clock_nanosleep,
            &[1, 0, time.as_ptr() as usize, 0],
        );
    }
}

fn read_some() -> Vec<u8> {
    let mut buffer = vec![0_u8; 1 << 16];
    let count = call(
        libc::SYS_read,
        &[0, buffer.as_mut_ptr() as usize, buffer.len()],
    );
    buffer.truncate(count.max(0) as usize);
    buffer
}

fn result(value: Value) -> ExecuteResult {
    ExecuteResult {
        outcome: Some(Outcome::Value(value)),
        operations_count: 1,
        memory_bytes: 1,
        ..ExecuteResult::default()
    }
}

fn error(error: ExecutionError) -> Frame {
    Frame::ExecuteResult(ExecuteResult {
        outcome: Some(Outcome::Error(error)),
        operations_count: 1,
        memory_bytes: 1,
        ..ExecuteResult::default()
    })
}

fn text_value(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(text_value("deep"), |inner, _| Value {
        kind: Some(Kind::ListValue(ListValue {
            values: vec![inner],
        })),
    })
}
