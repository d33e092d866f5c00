//! What a server says, to a child and to the zygote.
#![no_main]

use crucible_vm::fuzz::vm::{ServerFrame, ZygoteRequest};
use crucible_vm::fuzz::{receive, Interpreter};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// The first byte of a case: how the others are to be taken.
const STREAM: u8 = 0;
const FRAMES: u8 = 1;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match *kind {
        STREAM => {
            Interpreter::get().serve(bytes);
        }
        FRAMES => {
            let mut stream = Vec::new();
            for frame in parts(bytes) {
                same_again::<ServerFrame>(frame);
                stream.extend_from_slice(&(frame.len() as u32).to_le_bytes());
                stream.extend_from_slice(frame);
            }
            Interpreter::get().serve(&stream);
        }
        _ => {
            let datagrams: Vec<&[u8]> = parts(bytes).collect();
            for datagram in &datagrams {
                same_again::<ZygoteRequest>(datagram);
            }
            receive(&datagrams);
        }
    }
});

/// Each with two bytes of length before it; the last ends where the case does.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (part, rest) = rest.split_at((u16::from_le_bytes(*length) as usize).min(rest.len()));
        bytes = rest;
        Some(part)
    })
}

/// What can be decoded can be encoded, and is then the same.
fn same_again<M: Message + Default + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        let again = message.encode_to_vec();
        let decoded = M::decode(&*again).expect("what was encoded can be decoded");
        // As text, since NaN is not equal to itself.
        assert_eq!(format!("{message:?}"), format!("{decoded:?}"));
    }
}
