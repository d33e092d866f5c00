//! Calls that the server answers: blocking, several at once, out of order, from a journal, and too many.

use super::{execute_with, limits, shown, start_frame};
use crate::exit;
use crate::frames::v1::{
    value::Kind, ExecutionErrorKind, ListValue, NullValue, ObjectValue, Value,
};
use crate::frames::vm::{host_reply, server_frame, Cancel, HostReply, JobLimits, Start};

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn reply(call_id: u64, answer: &str) -> HostReply {
    HostReply {
        call_id,
        time_ns: 0,
        outcome: Some(host_reply::Outcome::Value(text(answer))),
    }
}

fn frame(reply: HostReply) -> server_frame::Frame {
    server_frame::Frame::HostReply(reply)
}

const JOIN: &str = "use crucible::probe::ask;
pub async fn main() {
    let (a, b, c) = std::future::join((ask(\"a\"), ask(\"b\"), ask(\"c\"))).await;
    [a?, b?, c?]
}";

#[test]
fn log_goes_to_the_server_and_comes_back() {
    let source =
        "use crucible::basic::log; pub fn main() { log(\"one\")?; log(\"warn\", \"two\") }";
    let finished = execute_with(source, "main", Vec::new(), start_frame(), &mut |call| {
        vec![frame(reply(call.call_id, "ok"))]
    });
    assert_eq!(shown(finished.value()), "null");
    let calls = finished.host_calls();
    let sent: Vec<_> = calls
        .iter()
        .map(|call| shown(call.arguments.as_ref().expect("arguments")))
        .collect();
    assert_eq!(
        sent,
        [
            "{level: \"info\", message: \"one\"}",
            "{level: \"warn\", message: \"two\"}"
        ]
    );
    assert_eq!(
        (
            calls[0].name.as_str(),
            calls[0].schema_version,
            calls[1].call_id
        ),
        ("crucible.basic.log", 1, 2)
    );
    assert!(calls[1].operations_count > calls[0].operations_count);
}

#[test]
fn a_refusal_of_the_server_is_an_err() {
    let source = "pub fn main() { match crucible::basic::log(\"x\") { Err(e) => e, Ok(_) => 1 } }";
    let finished = execute_with(source, "main", Vec::new(), start_frame(), &mut |call| {
        let outcome = Some(host_reply::Outcome::Error("no".to_owned()));
        vec![frame(HostReply {
            call_id: call.call_id,
            time_ns: 0,
            outcome,
        })]
    });
    assert_eq!(shown(finished.value()), "\"no\"");
}

#[test]
fn replies_may_come_in_any_order() {
    let mut seen = Vec::new();
    let finished = execute_with(JOIN, "main", Vec::new(), start_frame(), &mut |call| {
        seen.push(call.call_id);
        match seen.len() {
            3 => vec![
                frame(reply(2, "B")),
                frame(reply(3, "C")),
                frame(reply(1, "A")),
            ],
            _ => Vec::new(),
        }
    });
    assert_eq!(shown(finished.value()), "[\"A\", \"B\", \"C\"]");
}

#[test]
fn select_takes_the_first_and_the_other_can_be_awaited_later() {
    let source = "use crucible::probe::ask;
    pub async fn main() {
        let a = ask(\"a\");
        let b = ask(\"b\");
        let first = select { x = a => (\"a\", x?), x = b => (\"b\", x?) };
        (first, a.await?)
    }";
    let finished = execute_with(
        source,
        "main",
        Vec::new(),
        start_frame(),
        &mut |call| match call.call_id {
            2 => vec![frame(reply(2, "B")), frame(reply(1, "A"))],
            _ => Vec::new(),
        },
    );
    assert_eq!(shown(finished.value()), "[[\"b\", \"B\"], \"A\"]");
}

#[test]
fn a_journal_answers_before_the_server_is_asked() {
    let journal = vec![reply(3, "C"), reply(1, "A"), reply(2, "B")];
    let start = Start {
        journal,
        ..start_frame()
    };
    let finished = execute_with(JOIN, "main", Vec::new(), start, &mut |call| {
        panic!("unexpected call {call:?}")
    });
    assert_eq!(shown(finished.value()), "[\"A\", \"B\", \"C\"]");
    let start = Start {
        journal: vec![reply(2, "B")],
        ..start_frame()
    };
    let finished = execute_with(JOIN, "main", Vec::new(), start, &mut |call| {
        vec![frame(reply(call.call_id, "new"))]
    });
    assert_eq!(shown(finished.value()), "[\"new\", \"B\", \"new\"]");
    assert_eq!(
        finished
            .host_calls()
            .iter()
            .map(|call| call.call_id)
            .collect::<Vec<_>>(),
        [1, 3]
    );
}

#[test]
fn files_replay_from_a_journal() {
    let source = "use crucible::fs;
    pub async fn main() {
        let (text, names) = std::future::join((fs::read(\"data/f\"), fs::list(\"data\"))).await;
        let missing = fs::read_bytes(\"data/none\").await;
        (text?, names?, missing, fs::write(\"data/g\", \"x\").await?)
    }";
    let kind = |kind| Value { kind: Some(kind) };
    let entry = |name: &str| {
        kind(Kind::ObjectValue(ObjectValue {
            fields: [("name".to_owned(), text(name))].into(),
        }))
    };
    let page = |name: &str, is_more: bool| {
        let entries = kind(Kind::ListValue(ListValue {
            values: vec![entry(name)],
        }));
        let more = kind(Kind::BoolValue(is_more));
        kind(Kind::ObjectValue(ObjectValue {
            fields: [
                ("entries".to_owned(), entries),
                ("is_more".to_owned(), more),
            ]
            .into(),
        }))
    };
    let value = |call_id, value| HostReply {
        call_id,
        time_ns: 0,
        outcome: Some(host_reply::Outcome::Value(value)),
    };
    let answers = vec![
        value(2, page("a", true)),
        value(1, kind(Kind::BytesValue(b"content".to_vec()))),
        value(3, page("b", false)),
        HostReply {
            call_id: 4,
            time_ns: 0,
            outcome: Some(host_reply::Outcome::Error("fs: none".to_owned())),
        },
        value(5, kind(Kind::NullValue(NullValue {}))),
    ];
    // Fewer than any set has: the compiler sees to the rest.
    let fresh = || Start {
        modules: vec!["crucible::basic".to_owned(), "crucible::fs".to_owned()],
        ..start_frame()
    };
    let first = execute_with(source, "main", Vec::new(), fresh(), &mut |call| {
        match call.call_id {
            // Both are under way before the first is answered.
            1 => Vec::new(),
            2 => answers[..2].iter().cloned().map(frame).collect(),
            later => vec![frame(answers[later as usize - 1].clone())],
        }
    });
    let calls = first.host_calls();
    let asked: Vec<_> = calls
        .iter()
        .map(|call| {
            let arguments = call.arguments.as_ref().expect("arguments");
            format!("{}{}", call.name, shown(arguments))
        })
        .collect();
    assert_eq!(
        asked,
        [
            "crucible.fs.read{path: \"data/f\"}",
            "crucible.fs.list{after: \"\", path: \"data\"}",
            "crucible.fs.list{after: \"a\", path: \"data\"}",
            "crucible.fs.read{path: \"data/none\"}",
            "crucible.fs.write{data: \"x\", path: \"data/g\"}"
        ]
    );
    let start = Start {
        journal: answers,
        ..fresh()
    };
    let again = execute_with(source, "main", Vec::new(), start, &mut |call| {
        panic!("unexpected call {call:?}")
    });
    assert_eq!(shown(again.value()), shown(first.value()));
    assert!(shown(first.value()).contains("content"));
}

#[test]
fn a_blocking_call_leaves_other_replies_in_their_order() {
    let source = "use crucible::probe::ask; use crucible::basic::log;
    pub async fn main() { let a = ask(\"a\"); log(\"x\")?; a.await }";
    let finished = execute_with(
        source,
        "main",
        Vec::new(),
        start_frame(),
        &mut |call| match call.call_id {
            2 => vec![frame(reply(1, "A")), frame(reply(2, "logged"))],
            _ => Vec::new(),
        },
    );
    assert_eq!(shown(finished.value()), "\"A\"");
}

#[test]
fn too_many_calls_are_refused() {
    let source = "pub fn main() { loop { crucible::basic::log(\"x\")?; } }";
    let start = Start {
        limits: Some(JobLimits {
            max_host_calls: 3,
            ..limits()
        }),
        ..start_frame()
    };
    let finished = execute_with(source, "main", Vec::new(), start, &mut |call| {
        vec![frame(reply(call.call_id, "ok"))]
    });
    let error = finished.error();
    assert_eq!(
        (error.kind(), error.limit_name.as_str(), error.limit_value),
        (ExecutionErrorKind::HostCallsExceeded, "max_host_calls", 3)
    );
    assert_eq!(finished.host_calls().len(), 3);
    let source =
        "pub async fn main() { let all = []; loop { all.push(crucible::probe::ask(\"x\")); } }";
    let start = Start {
        limits: Some(JobLimits {
            host_calls_in_flight: 5,
            ..limits()
        }),
        ..start_frame()
    };
    let finished = execute_with(source, "main", Vec::new(), start, &mut |_| Vec::new());
    assert_eq!(
        finished.error().kind(),
        ExecutionErrorKind::HostCallsExceeded
    );
    assert_eq!(finished.host_calls().len(), 5);
}

#[test]
fn a_cancellation_ends_a_waiting_script() {
    let finished = execute_with(
        JOIN,
        "main",
        Vec::new(),
        start_frame(),
        &mut |call| match call.call_id {
            3 => vec![server_frame::Frame::Cancel(Cancel {
                reason: "enough".to_owned(),
            })],
            _ => Vec::new(),
        },
    );
    let error = finished.error();
    assert_eq!(error.kind(), ExecutionErrorKind::Cancelled);
    assert!(error.message.contains("enough"));
}

#[test]
fn a_reply_to_no_call_ends_the_child() {
    let finished = execute_with(JOIN, "main", Vec::new(), start_frame(), &mut |_| {
        vec![frame(reply(99, "?"))]
    });
    assert_eq!(libc::WEXITSTATUS(finished.status), exit::PROTOCOL);
}
