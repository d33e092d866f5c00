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
    ("forge-host-call", |argument| ask(argument, 1)),
    ("forge-host-calls", |argument| {
        let (count, rest) = argument.split_once(' ').unwrap_or(("1", argument));
        ask(rest, count.parse().unwrap_or(1))
    }),
];

/// `NAME KEY=TEXT KEY.KEY=TEXT ...`: asks so often, one after the other, and reports the different answers with a value,
/// else the last one.
fn ask(argument: &str, count: u64) -> Reached {
    let mut words = argument.split_whitespace();
    let name = words.next().unwrap_or_default();
    let mut fields = BTreeMap::new();
    for (path, text) in words.filter_map(|word| word.split_once('=')) {
        put(&mut fields, path, &plain(text));
    }
    let mut wire = Wire::new();
    let mut gained: Vec<String> = Vec::new();
    let mut refused = String::new();
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
        match reply {
            Some(Outcome::Value(value)) => {
                let told: String = format!("{value:?}").chars().take(200).collect();
                if gained.len() < MAX_TOLD && !gained.contains(&told) {
                    gained.push(told);
                }
            }
            Some(Outcome::Error(message)) => {
                refused = format!("nothing: the server refused: {message}");
            }
            None => refused = "unknown: no reply".to_owned(),
        };
    }
    let report = match gained.as_slice() {
        [] => refused,
        told => format!("gained: {}", told.join(" and ")),
    };
    wire.report(&report);
    exit::now(exit::DONE)
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
