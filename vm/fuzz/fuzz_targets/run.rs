//! Source to result: compile and run each public function, twice with the same result.
#![no_main]

use crucible_fuzz::sources;
use crucible_vm::fuzz::v1::{value::Kind, Value};
use crucible_vm::fuzz::{vm::ExecuteResult, Interpreter};
use libfuzzer_sys::{fuzz_target, Corpus};

/// So many functions of one program are run.
const FUNCTIONS: usize = 3;

fuzz_target!(|data: &[u8]| -> Corpus {
    let (main, files) = sources::program(data);
    let interpreter = Interpreter::get();
    let compiled = interpreter.compile(&main, &files);
    if compiled.unit.is_empty() {
        return Corpus::Reject;
    }
    let public = compiled.functions.iter().filter(|f| f.is_public);
    for function in public.take(FUNCTIONS) {
        let arguments: Vec<Value> = (0..function.parameters.len() as i64)
            .map(argument)
            .collect();
        let run = || {
            let unit = compiled.unit.clone();
            interpreter.execute(unit, &function.name, arguments.clone())
        };
        assert_same(&run(), &run());
    }
    Corpus::Keep
});

fn argument(number: i64) -> Value {
    Value {
        kind: Some(match number % 3 {
            0 => Kind::IntValue(number + 2),
            1 => Kind::StringValue("text".to_owned()),
            _ => Kind::DoubleValue(0.5),
        }),
    }
}

fn assert_same(first: &ExecuteResult, second: &ExecuteResult) {
    // As text, since NaN is not equal to itself.
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
}
