//! What every child would otherwise build for itself: made once in the zygote, shared by fork.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use ahash::random_state::{set_random_source, RandomSource};
use rune::runtime::RuntimeContext;
use rune::{Context, Unit};

use super::channel::Channel;
use super::limits::Limits;
use super::session::Session;
use crate::convert::Collector;
use crate::frames::v1::{ModuleInfo, ScriptSource};
use crate::frames::vm::{ExecuteJob, Start};
use crate::{compile, convert, execute, modules};

/// Hash tables of the zygote and of compile children: the same source then gives the same bytes.
const FIXED_SEED: usize = 0x5eed_5eed_5eed_5eed_u64 as usize;
static SEED: AtomicUsize = AtomicUsize::new(FIXED_SEED);

/// Run once in the zygote, so that what is initialised on first use already is.
const WARM_UP: &str = r#"
/// Touches what most scripts touch.
pub async fn main(name) {
    let out = #{ "numbers": [1, 2.5, "x"], "none": None };
    let total = (0..10).iter().map(|n| n * 2).filter(|n| n % 3 == 0).sum::<i64>();
    println!("{} {:?} {}", name, out, total);
    let wait = async { total };
    match wait.await { 0 => Err("zero"), n => Ok((n, `${name}`)) }
}
"#;

/// Which sets of modules a zygote can run scripts with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    Jailed,
    Development,
}

/// One context to compile with, and what runs for each set of modules.
pub struct Preloaded {
    /// Has every module, also those that only another zygote can run: what a level lacks is found when it is named. A
    /// second context would be two more megabytes of which every fork has to copy the page tables.
    context: Context,
    runtimes: BTreeMap<u32, Arc<RuntimeContext>>,
    collect: Arc<Unit>,
    /// The set of modules that the warm-up runs with.
    first: u32,
    warm_up: Vec<u8>,
    sets: Sets,
}

impl Preloaded {
    /// Builds everything. The error says what of Rune could not be built.
    pub fn new(sets: Sets) -> Result<Preloaded, String> {
        fix_hashing();
        quiet_panics();
        let every = modules::mask(modules::EVERY);
        let mut masks: Vec<u32> = match sets {
            Sets::Jailed => modules::SETS.iter().map(|set| modules::mask(set)).collect(),
            Sets::Development => vec![every],
        };
        if cfg!(test) {
            masks.extend(0..4);
        }
        let first = masks[0];
        let mut runtimes = BTreeMap::new();
        for mask in &masks {
            // The context goes again; the one below takes its place.
            let context = modules::context(*mask).map_err(|error| error.to_string())?;
            let runtime = context.runtime().map_err(|error| error.to_string())?;
            runtimes.insert(*mask, Arc::new(runtime));
        }
        let every = masks.iter().fold(every, |every, mask| every | mask);
        let context = modules::context(every).map_err(|error| error.to_string())?;
        let collect = compile::trusted(&context, convert::COLLECT_SOURCE)?;
        let mut preloaded = Preloaded {
            context,
            runtimes,
            collect: Arc::new(collect),
            first,
            warm_up: Vec::new(),
            sets,
        };
        preloaded.warm_up = preloaded.quietly(|limits| preloaded.compile_warm_up(limits))?;
        preloaded.quietly(|limits| preloaded.run_warm_up(limits))?;
        Ok(preloaded)
    }

    /// The modules that scripts can be given, with their functions.
    pub fn modules(&self) -> Vec<ModuleInfo> {
        modules::catalogue()
    }

    /// Whether children run outside the jail.
    pub(crate) fn is_native(&self) -> bool {
        self.sets == Sets::Development
    }

    /// What tells of a compiled function how it is called; of no script that runs.
    pub(crate) fn any_runtime(&self) -> Arc<RuntimeContext> {
        self.runtime(self.first)
    }

    /// Whether scripts can have these modules.
    pub(crate) fn has(&self, mask: u32) -> bool {
        self.smallest(mask).is_some()
    }

    /// The runtime with the fewest modules beyond these.
    fn smallest(&self, mask: u32) -> Option<&Arc<RuntimeContext>> {
        let fitting = self.runtimes.iter().filter(|(set, _)| *set & mask == mask);
        fitting
            .min_by_key(|(set, _)| set.count_ones())
            .map(|(_, runtime)| runtime)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn runtime(&self, mask: u32) -> Arc<RuntimeContext> {
        let runtime = self.smallest(mask);
        runtime
            .expect("a job whose modules no set has was refused")
            .clone()
    }

    pub(crate) fn collector(&self, mask: u32) -> Collector {
        Collector {
            runtime: self.runtime(mask),
            unit: self.collect.clone(),
        }
    }

    /// Lets a child that has to wait for its job touch the memory that jobs use. Only text of our own runs, and nothing
    /// of it is left that a script could see.
    pub fn warm_up(&self) {
        if let Err(problem) = self.quietly(|limits| self.run_warm_up(limits)) {
            // It ran in the zygote.
            unreachable!("{problem}");
        }
    }

    fn quietly<T>(&self, act: impl FnOnce(&Limits) -> Result<T, String>) -> Result<T, String> {
        // No descriptor: the warm-up stays below the size at which output would leave.
        let mut start = Start {
            output_credit_bytes: u64::MAX,
            ..Start::default()
        };
        let session = Session::new(Channel::new(-1), &mut start);
        let limits = Limits::new(&start.limits.unwrap_or_default());
        session.buffering().install();
        let result = act(&limits);
        drop(Session::uninstall());
        result
    }

    fn compile_warm_up(&self, limits: &Limits) -> Result<Vec<u8>, String> {
        let source = ScriptSource {
            source: WARM_UP.to_owned(),
            ..ScriptSource::default()
        };
        let compiled = compile::compile(self, self.first, &source, limits);
        if compiled.unit.is_empty() {
            return Err(format!(
                "the warm-up does not compile: {}",
                compiled.rendered
            ));
        }
        Ok(compiled.unit)
    }

    fn run_warm_up(&self, limits: &Limits) -> Result<(), String> {
        let argument = crate::frames::v1::Value {
            kind: Some(crate::frames::v1::value::Kind::StringValue(
                "warm".to_owned(),
            )),
        };
        let job = ExecuteJob {
            unit: self.warm_up.clone(),
            function: "main".to_owned(),
            arguments: vec![argument],
            ..ExecuteJob::default()
        };
        let result = execute::execute(self, self.first, &job, limits);
        match result.outcome {
            Some(crate::frames::vm::execute_result::Outcome::Value(_)) => Ok(()),
            other => Err(format!("the warm-up does not run: {other:?}")),
        }
    }
}

/// Lets the hash tables of this process follow the seed of its Start frame from now on.
pub fn seed(seed: &[u8]) {
    let folded = seed
        .chunks(size_of::<usize>())
        .map(|chunk| {
            chunk
                .iter()
                .fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
        })
        .fold(FIXED_SEED, |state, number| state.rotate_left(17) ^ number);
    SEED.store(folded, Ordering::Relaxed);
}

struct Seeded;

impl RandomSource for Seeded {
    fn gen_hasher_seed(&self) -> usize {
        SEED.load(Ordering::Relaxed)
    }
}

fn fix_hashing() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Only fails when it is set already, which the Once rules out.
        let _ = set_random_source(Seeded);
    });
}

/// A panic under a script is reported in its result; without one, it is printed as ever.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !super::session::is_installed() {
                previous(info);
            }
        }));
    });
}
