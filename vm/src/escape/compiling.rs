//! Compilers that answer what they were not asked, and byte code that nobody compiled.

use super::frames::Wire;
use super::word;
use crate::child::{Limits, Preloaded};
use crate::compile;
use crate::exit;
use crate::frames::v1::{FunctionInfo, ScriptSource};
use crate::frames::vm::{child_frame::Frame, CompileJob, CompileResult};

/// Answers a job to compile. A name that is none of these is an attempt of those that execute.
pub fn answer(
    name: &str,
    argument: &str,
    preloaded: &Preloaded,
    mask: u32,
    job: &CompileJob,
    limits: &Limits,
) -> ! {
    let honest = || {
        compile::compile(
            preloaded,
            mask,
            job.source.as_ref().unwrap_or(&ScriptSource::default()),
            limits,
        )
    };
    let answer = match name {
        "honest" => honest(),
        "unit-of-garbage" => with_unit(vec![0x5a; 1000]),
        "unit-of-a-header" => with_unit(honest().unit[..64].to_vec()),
        "unit-cut-off" => with_unit(shortened(honest().unit)),
        "unit-of-forty-megabytes" => with_unit(vec![0; 40 << 20]),
        "unit-of-another-script" => {
            let source = ScriptSource {
                source: "pub fn main() { 666 }".to_owned(),
                ..ScriptSource::default()
            };
            CompileResult {
                unit: compile::compile(preloaded, mask, &source, limits).unit,
                ..honest()
            }
        }
        "mutated" => CompileResult {
            unit: mutated(honest().unit, word(argument, 0) as u64),
            ..honest()
        },
        "forged-functions" => CompileResult {
            functions: vec![
                function("main"),
                function("std::process::exit"),
                function(""),
            ],
            ..honest()
        },
        "forged-modules" => CompileResult {
            modules: vec!["crucible::fs".to_owned(), "crucible::process".to_owned()],
            ..honest()
        },
        "many-functions" => CompileResult {
            functions: vec![function("f"); 200_000],
            ..honest()
        },
        "negative-time" => CompileResult {
            compile_time_us: u64::MAX,
            ..honest()
        },
        "answer-twice" => {
            Wire::new().send(Frame::CompileResult(honest()));
            honest()
        }
        "print" => {
            Wire::new().print(b"a compiler has nothing to print");
            exit::now(exit::DONE)
        }
        _ => super::run(name, argument),
    };
    Wire::new().send(Frame::CompileResult(answer));
    exit::now(exit::DONE)
}

fn with_unit(unit: Vec<u8>) -> CompileResult {
    CompileResult {
        unit,
        functions: vec![function("main")],
        ..CompileResult::default()
    }
}

fn shortened(mut unit: Vec<u8>) -> Vec<u8> {
    unit.truncate(unit.len() * 3 / 4);
    unit
}

fn function(name: &str) -> FunctionInfo {
    FunctionInfo {
        name: name.to_owned(),
        is_public: true,
        ..FunctionInfo::default()
    }
}

/// Changes some bytes, as few or many as the seed says, behind the header that would refuse the whole.
fn mutated(mut unit: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % bound
    };
    let header = 64.min(unit.len() - 1);
    let length = unit.len() - header;
    for _ in 0..=next(3) {
        let at = header + next(length);
        unit[at] = match next(4) {
            0 => unit[at].wrapping_add(1),
            1 => unit[at] ^ (1 << next(8)),
            2 => next(256) as u8,
            _ => unit[header + next(length)],
        };
    }
    unit
}
