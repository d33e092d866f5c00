//! Byte code to result. In production a MAC lets none through that is not our own; the jail is behind that.
#![no_main]

use arbitrary::Unstructured;
use crucible_fuzz::mutation;
use crucible_vm::fuzz::v1::{value::Kind, Value};
use crucible_vm::fuzz::{decode, Interpreter};
use libfuzzer_sys::fuzz_target;

/// So many functions of one unit are run.
const FUNCTIONS: usize = 2;
const ARGUMENTS: usize = 8;

fuzz_target!(|data: &[u8]| {
    let interpreter = Interpreter::get();
    let Ok(unit) = mutation::unit(&mut Unstructured::new(data)) else {
        return;
    };
    let Ok(loaded) = decode(&unit) else { return };
    let public = loaded.functions.iter().filter(|f| f.is_public);
    for function in public.take(FUNCTIONS) {
        let count = function.parameters.len().min(ARGUMENTS);
        let argument = Value {
            kind: Some(Kind::IntValue(2)),
        };
        interpreter.execute(unit.clone(), &function.name, vec![argument; count]);
    }
});
