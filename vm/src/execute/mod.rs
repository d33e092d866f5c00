//! Runs one public function of a unit in a fresh virtual machine.

pub mod executor;
pub mod failure;
pub mod meter;
mod outcome;
mod profile;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use rune::runtime::{GeneratorState, RuntimeContext, VmResult};
use rune::{ItemBuf, Unit, Value, Vm};

use crate::child::{self, Fatal, Limits, Preloaded};
use crate::convert::{self, Refusal};
use crate::frames::v1::{ExecutionError, ExecutionErrorKind};
use crate::frames::vm::{execute_result, ExecuteJob, ExecuteResult, Profile};
use crate::leave::{self, Left};
use crate::unit::{self, Function, Loaded};
use executor::{block_on, Stop};
use failure::Raised;

/// How a run of the virtual machine ended.
enum Ended {
    Returned(Value),
    Error(Raised),
    Stopped(Stop),
    Refused(Refusal),
    Panicked(String),
}

/// Loads the unit, runs the function, converts what it returns. Nothing of the script is ever dropped.
pub fn execute(
    preloaded: &Preloaded,
    mask: u32,
    job: &ExecuteJob,
    limits: &Limits,
) -> ExecuteResult {
    let (outcome, profile) = match prepare(job) {
        Ok((loaded, function)) => {
            let names = function.parameters.iter().cloned();
            let arguments = names.zip(job.arguments.iter().cloned()).collect();
            child::with(|session| session.arguments = arguments);
            run(preloaded, mask, job, limits, loaded, &function)
        }
        Err(error) => (execute_result::Outcome::Error(*error), None),
    };
    ExecuteResult {
        outcome: Some(outcome),
        operations_count: meter::operations(),
        memory_bytes: meter::peak_memory(),
        profile,
    }
}

/// The result of an execution that could not be begun.
pub fn refuse(message: String) -> ExecuteResult {
    let error = failure::plain(ExecutionErrorKind::Runtime, message);
    ExecuteResult {
        outcome: Some(execute_result::Outcome::Error(error)),
        ..ExecuteResult::default()
    }
}

fn prepare(job: &ExecuteJob) -> Result<(Loaded, Function), Box<ExecutionError>> {
    let loaded = unit::decode(&job.unit)
        .map_err(|message| Box::new(failure::plain(ExecutionErrorKind::Internal, message)))?;
    let refused = |message| {
        Err(Box::new(failure::plain(
            ExecutionErrorKind::InvalidArguments,
            message,
        )))
    };
    let name = job.function.trim_start_matches("::");
    let Some(function) = loaded
        .functions
        .iter()
        .find(|function| function.name == name)
    else {
        let public: Vec<_> = loaded
            .functions
            .iter()
            .filter(|f| f.is_public)
            .map(|f| f.name.as_str())
            .collect();
        return refused(format!(
            "expected one of the script's public functions ({}), got `{name}`",
            public.join(", ")
        ));
    };
    if !function.is_public {
        return refused(format!(
            "expected a public function, but `{name}` is private; declare it `pub fn`, and each module that it is in `pub mod`"
        ));
    }
    if function.parameters.len() != job.arguments.len() {
        return refused(format!(
            "expected {} arguments ({}), got {}",
            function.parameters.len(),
            function.parameters.join(", "),
            job.arguments.len()
        ));
    }
    let function = function.clone();
    Ok((loaded, function))
}

fn run(
    preloaded: &Preloaded,
    mask: u32,
    job: &ExecuteJob,
    limits: &Limits,
    loaded: Loaded,
    function: &Function,
) -> (execute_result::Outcome, Option<Profile>) {
    let runtime = preloaded.runtime(mask);
    let collector = preloaded.collector(mask);
    let unit = Arc::new(loaded.unit);
    if job.profile {
        profile::begin();
    }
    let ended = meter::metered(limits, || {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            call(&runtime, &unit, job, function, limits)
        }))
        .unwrap_or_else(|panic| Ended::Panicked(failure::panic_text(&*panic)));
        outcome::settle(ended, limits, &collector)
    });
    let place = failure::Places {
        unit: &unit,
        sources: &loaded.sources,
    };
    let fatal = child::with(|session| {
        // It may have passed in the native code that came last.
        let _ = session.check_time();
        session.fatal.clone()
    })
    .flatten();
    let outcome = outcome::report(ended, fatal, limits, &place);
    let profile = profile::finish(&place);
    leave::behind((unit, loaded.sources, runtime));
    (outcome, profile)
}

fn call(
    runtime: &Arc<RuntimeContext>,
    unit: &Arc<Unit>,
    job: &ExecuteJob,
    function: &Function,
    limits: &Limits,
) -> Ended {
    let mut arguments = Vec::with_capacity(job.arguments.len());
    for (value, name) in job.arguments.iter().zip(&function.parameters) {
        match convert::to_rune(value, limits.value_depth) {
            Ok(value) => arguments.push(value),
            Err(Refusal::Unfit(reason)) => {
                return Ended::Refused(Refusal::Unfit(format!(
                    "the argument `{name}` cannot be passed: {reason}"
                )))
            }
            Err(refusal) => return Ended::Refused(refusal),
        }
    }
    // Left behind, as everything that holds values of the script.
    let mut vm = Left::new(Vm::new(runtime.clone(), unit.clone()));
    let path = match ItemBuf::with_item(function.name.split("::")) {
        Ok(path) => path,
        Err(_) => return Ended::Stopped(Stop::Fatal(Fatal::memory(limits))),
    };
    let mut execution = match vm.execute(&path, arguments) {
        Ok(execution) => Left::new(execution),
        Err(error) => {
            let idle = Vm::new(runtime.clone(), unit.clone());
            return Ended::Error(Raised::new(error, &idle));
        }
    };
    let mut yielded = rune::alloc::Vec::new();
    loop {
        match block_on(execution.async_resume()) {
            Err(stop) => return Ended::Stopped(stop),
            Ok(VmResult::Err(error)) => return Ended::Error(Raised::new(error, execution.vm())),
            Ok(VmResult::Ok(GeneratorState::Yielded(value))) => {
                if yielded.try_push(value).is_err() {
                    return Ended::Stopped(Stop::Fatal(Fatal::memory(limits)));
                }
            }
            Ok(VmResult::Ok(GeneratorState::Complete(value))) => {
                if !function.is_generator || outcome::is_err(&value) {
                    return Ended::Returned(value);
                }
                return match Value::vec(yielded) {
                    Ok(list) => Ended::Returned(list),
                    Err(_) => Ended::Stopped(Stop::Fatal(Fatal::memory(limits))),
                };
            }
        }
    }
}
