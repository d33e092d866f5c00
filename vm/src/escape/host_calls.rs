//! What the server is asked for by a child that no module holds back: any host call with any arguments.

use std::collections::BTreeMap;

use prost::Message;

use super::frames::Wire;
use super::raw::call;
use super::{Attempt, Reached};
use crate::exit;
use crate::frames::v1::{value::Kind, ObjectValue, Value};
use crate::frames::vm::{
    child_frame::Frame, host_reply::Outcome, server_frame, HostCall, ServerFrame,
};

const MAX_TOLD: usize = 8;

pub const ATTEMPTS: &[Attempt] = &[
    ("forge-host-call", |argument| report(argument, 1, last)),
    ("forge-host-calls", |argument| {
        let (count, rest) = counted(argument);
        report(rest, count, last)
    }),
    ("race-host-calls", |argument| {
        let (count, rest) = counted(argument);
        report(rest, count, |answers| answers.join(" and "))
    }),
];

fn counted(argument: &str) -> (u64, &str) {
    let (count, rest) = argument.split_once(' ').unwrap_or(("1", argument));
    (count.parse().unwrap_or(1), rest)
}

fn last(answers: &[String]) -> String {
    answers.last().cloned().unwrap_or_default()
}

fn report(argument: &str, count: u64, told: fn(&[String]) -> String) -> Reached {
    let mut wire = Wire::new();
    let answers = ask(&mut wire, argument, count);
    wire.report(&told(&answers));
    exit::now(exit::DONE)
}

/// `NAME KEY=TEXT KEY.KEY=TEXT ...`: asks so often, one after the other. The different answers, in the order in which each
/// came last.
fn ask(wire: &mut Wire, argument: &str, count: u64) -> Vec<String> {
    let mut words = argument.split_whitespace();
    let name = words.next().unwrap_or_default();
    let mut fields = BTreeMap::new();
    for (path, text) in words.filter_map(|word| word.split_once('=')) {
        put(&mut fields, path, &plain(text));
    }
    let mut answers: Vec<String> = Vec::new();
    for call_id in 1..=count {
        wire.send(Frame::HostCall(HostCall {
            call_id,
            name: name.to_owned(),
            schema_version: 1,
            arguments: Some(object(fields.clone())),
            operations_count: 0,
        }));
        let reply = match receive().frame {
            Some(server_frame::Frame::HostReply(reply)) => reply.outcome,
            _ => None,
        };
        let told = match reply {
            Some(Outcome::Value(value)) => format!("gained: {value:?}").chars().take(200).collect(),
            Some(Outcome::Error(message)) => format!("nothing: the server refused: {message}"),
            None => "unknown: no reply".to_owned(),
        };
        answers.retain(|earlier| *earlier != told);
        answers.push(told);
        if answers.len() > MAX_TOLD {
            answers.remove(0);
        }
    }
    answers
}

/// `%XX` is a byte, as in a URL, so that there are no blanks.
fn plain(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok())
        {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[2..]);
            }
            None => plain.extend(["%", part]),
        }
    }
    plain
}

fn put(fields: &mut BTreeMap<String, Value>, path: &str, text: &str) {
    let kind = match path.split_once('.') {
        None => Kind::StringValue(text.to_owned()),
        Some((outer, inner)) => {
            let mut nested = BTreeMap::new();
            put(&mut nested, inner, text);
            fields.insert(outer.to_owned(), object(nested));
            return;
        }
    };
    fields.insert(path.to_owned(), Value { kind: Some(kind) });
}

fn object(fields: BTreeMap<String, Value>) -> Value {
    Value {
        kind: Some(Kind::ObjectValue(ObjectValue { fields })),
    }
}

fn receive() -> ServerFrame {
    let length = exactly(4);
    let length = length
        .iter()
        .rev()
        .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    ServerFrame::decode(&*exactly(length)).unwrap_or_default()
}

fn exactly(length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    let mut filled = 0;
    while filled < length {
        let rest = &mut bytes[filled..];
        let got = call(libc::SYS_read, &[0, rest.as_mut_ptr() as usize, rest.len()]);
        if got <= 0 {
            exit::now(exit::ORPHANED);
        }
        filled += got as usize;
    }
    bytes
}
