//! The interpreter as the fuzz targets of `fuzz/` call it: in their own process. Never shipped.

use std::sync::OnceLock;

use crate::child::fuzz::{lower, serve_bytes, within};
use crate::child::{Preloaded, Sets};
use crate::convert::{self, Bounds};
use crate::frames::v1::ScriptSource;
use crate::frames::vm::{ExecuteJob, Start};
use crate::{compile, execute, modules};

pub use crate::convert::{Refusal, MAX_DEPTH};
pub use crate::frames::{v1, vm, PROTOCOL_VERSION};
pub use crate::unit::{decode, Function, Loaded};
pub use crate::zygote::fuzz::receive;

/// What is made once and then forked, or here used again and again.
pub struct Interpreter {
    preloaded: Preloaded,
    modules: Vec<String>,
    mask: u32,
}

impl Interpreter {
    /// The one of this process. From now on every panic ends it, caught or not: in production it would be reported, but
    /// it is a defect all the same.
    pub fn get() -> &'static Interpreter {
        static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();
        INTERPRETER.get_or_init(|| {
            let set = modules::SETS[modules::SETS.len() - 1];
            let interpreter = Interpreter {
                preloaded: Preloaded::new(Sets::Jailed).expect("Rune's contexts can be built"),
                modules: set.iter().map(|path| (*path).to_owned()).collect(),
                mask: modules::mask(set),
            };
            std::panic::set_hook(Box::new(|info| {
                eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
                std::process::abort();
            }));
            interpreter
        })
    }

    fn start(&self) -> Start {
        let mut limits = vm::JobLimits::default();
        lower(&mut limits);
        Start {
            protocol_version: PROTOCOL_VERSION,
            seed: vec![7; 32],
            limits: Some(limits),
            modules: self.modules.clone(),
            output_credit_bytes: u64::MAX,
            ..Start::default()
        }
    }

    /// Compiles as a compile child does. `files` are names and texts.
    pub fn compile(&self, main: &str, files: &[(String, String)]) -> vm::CompileResult {
        let source = ScriptSource {
            source: main.to_owned(),
            files: files.iter().cloned().collect(),
            ..ScriptSource::default()
        };
        within(self.start(), |limits| {
            compile::compile(&self.preloaded, self.mask, &source, limits)
        })
    }

    /// Runs a function of a unit as an execute child does. Nobody answers its host calls.
    pub fn execute(
        &self,
        unit: Vec<u8>,
        function: &str,
        arguments: Vec<v1::Value>,
    ) -> vm::ExecuteResult {
        let job = ExecuteJob {
            unit,
            function: function.to_owned(),
            arguments,
            ..ExecuteJob::default()
        };
        within(self.start(), |limits| {
            execute::execute(&self.preloaded, self.mask, &job, limits)
        })
    }

    /// Serves one child's frames from the first to the last; its exit code.
    pub fn serve(&self, bytes: &[u8]) -> i32 {
        serve_bytes(&self.preloaded, bytes)
    }

    /// A value into Rune and out again.
    pub fn pass(
        &self,
        value: &v1::Value,
        depth: usize,
        bytes: usize,
    ) -> Result<v1::Value, Refusal> {
        let inside = convert::to_rune(value, depth)?;
        let bounds = Bounds { depth, bytes };
        convert::from_rune(&inside, bounds, &self.preloaded.collector(self.mask))
    }
}
