//! Source to byte code. What compiles has to load again.
#![no_main]

use crucible_fuzz::sources;
use crucible_vm::fuzz::{decode, Interpreter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (main, files) = sources::program(data);
    let compiled = Interpreter::get().compile(&main, &files);
    if compiled.unit.is_empty() {
        assert!(
            !compiled.diagnostics.is_empty(),
            "nothing came of it, and nobody says why"
        );
    } else {
        let loaded = decode(&compiled.unit).expect("what was encoded can be decoded");
        assert!(
            loaded.functions.len() >= compiled.functions.iter().filter(|f| f.is_public).count()
        );
    }
});
