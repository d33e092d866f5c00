//! Counts what each line of a script costs, when that was asked for: the virtual machine then gets its budget one
//! instruction at a time, and says where it is before each.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use ahash::RandomState;
use rune::runtime::CallFrame;
use rune::Vm;

use super::failure::Places;
use crate::frames::v1::StackFrame;
use crate::frames::vm::{Profile, ProfilePlace, ProfileSample};

/// Callers beyond these, the outermost ones, are left out.
const MAX_CALLERS: usize = 32;
/// Ways to be called that are told apart; what comes in others is told without its callers.
const MAX_WAYS: usize = 4096;
/// Instructions in ways that are told apart; all others are one.
const MAX_CELLS: usize = 16_384;
const MAX_SAMPLES: usize = 2000;
/// Names are a script's choice; so much of them is told.
const MAX_NAME_BYTES: usize = 128 << 10;
const MAX_NAME: usize = 512;
/// What did not fit, and what no place is known of.
const OTHER: &str = "(other)";

thread_local!(static PROFILER: RefCell<Option<Profiler>> = const { RefCell::new(None) });

#[derive(Clone, Copy, Default)]
struct Cost {
    instructions: u64,
    time_ns: u64,
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.instructions += other.instructions;
        self.time_ns += other.time_ns;
    }
}

/// A way to be called: the caller's, and from where.
struct Way {
    caller: u32,
    ip: usize,
}

/// Where the machine was last.
#[derive(Clone, Copy, PartialEq)]
struct Position {
    machine: usize,
    depth: usize,
    caller: usize,
}

type Map<K, V> = HashMap<K, V, RandomState>;

struct Profiler {
    /// The first is that of the outermost function.
    ways: Vec<Way>,
    known_ways: Map<(u32, usize), u32>,
    /// The first is for what finds no room.
    cells: Vec<((u32, usize), Cost)>,
    known_cells: Map<(u32, usize), usize>,
    position: Option<Position>,
    way: u32,
    cell: usize,
    since: Option<Instant>,
}

impl Profiler {
    fn new() -> Profiler {
        // Fixed, as everything that could make two runs differ.
        let hasher = || RandomState::with_seeds(1, 2, 3, 4);
        Profiler {
            ways: vec![Way { caller: 0, ip: 0 }],
            known_ways: Map::with_hasher(hasher()),
            cells: vec![((0, usize::MAX), Cost::default())],
            known_cells: Map::with_hasher(hasher()),
            position: None,
            way: 0,
            cell: 0,
            since: None,
        }
    }

    fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.cells[self.cell].1.time_ns += since.elapsed().as_nanos() as u64;
        }
    }

    fn count(&mut self, vm: &Vm) {
        let frames = vm.call_frames();
        let position = Position {
            machine: std::ptr::from_ref(vm) as usize,
            depth: frames.len(),
            caller: frames.last().map_or(0, |frame| frame.ip),
        };
        // One instruction calls or returns once at most, so nothing else can have changed.
        if self.position != Some(position) {
            self.position = Some(position);
            self.way = self.way_of(frames);
        }
        self.cell = self.cell_of((self.way, vm.ip()));
        self.cells[self.cell].1.instructions += 1;
    }

    fn way_of(&mut self, frames: &[CallFrame]) -> u32 {
        let skipped = frames.len().saturating_sub(MAX_CALLERS);
        let mut way = 0;
        for frame in &frames[skipped..] {
            // A caller's pointer is already past its call.
            let key = (way, frame.ip.saturating_sub(1));
            way = match self.known_ways.get(&key) {
                Some(known) => *known,
                None if self.ways.len() < MAX_WAYS => {
                    let new = self.ways.len() as u32;
                    self.ways.push(Way {
                        caller: way,
                        ip: key.1,
                    });
                    self.known_ways.insert(key, new);
                    new
                }
                None => return 0,
            };
        }
        way
    }

    fn cell_of(&mut self, key: (u32, usize)) -> usize {
        if let Some(known) = self.known_cells.get(&key) {
            return *known;
        }
        if self.cells.len() == MAX_CELLS {
            return 0;
        }
        self.cells.push((key, Cost::default()));
        self.known_cells.insert(key, self.cells.len() - 1);
        self.cells.len() - 1
    }

    /// The instruction of a cell and those that called it, innermost first.
    fn trace(&self, (mut way, ip): (u32, usize)) -> Vec<usize> {
        let mut trace = vec![ip];
        while way != 0 {
            let at = &self.ways[way as usize];
            trace.push(at.ip);
            way = at.caller;
        }
        trace
    }
}

/// Whether the job of this thread is profiled.
pub fn is_on() -> bool {
    PROFILER.with_borrow(Option::is_some)
}

/// Begins a profile of the job of this thread.
pub fn begin() {
    PROFILER.set(Some(Profiler::new()));
}

/// The time from here on is not the script's: the instruction that was counted last has ended.
pub fn pause() {
    with(Profiler::pause);
}

/// The machine is about to execute one instruction, and its time begins.
pub fn count(vm: &Vm) {
    with(|profiler| {
        profiler.count(vm);
        profiler.since = Some(Instant::now());
    });
}

fn with(action: impl FnOnce(&mut Profiler)) {
    PROFILER.with_borrow_mut(|profiler| {
        if let Some(profiler) = profiler {
            action(profiler);
        }
    });
}

/// Ends the profile, if there is one.
pub fn finish(places: &Places<'_>) -> Option<Profile> {
    let mut profiler = PROFILER.take()?;
    profiler.pause();
    let index = places.index();
    let mut told = Told::default();
    let mut costs: BTreeMap<Vec<u32>, Cost> = BTreeMap::new();
    for (key, cost) in &profiler.cells {
        let trace = match key.1 {
            usize::MAX => vec![told.other()],
            _ => profiler
                .trace(*key)
                .iter()
                .map(|ip| told.place(index.as_ref().map(|index| index.frame(*ip))))
                .collect(),
        };
        costs.entry(trace).or_default().add(*cost);
    }
    let mut costs: Vec<_> = costs
        .into_iter()
        .filter(|(_, cost)| cost.instructions > 0 || cost.time_ns > 0)
        .collect();
    costs.sort_by(|(_, one), (_, other)| {
        (other.instructions, other.time_ns).cmp(&(one.instructions, one.time_ns))
    });
    let mut rest = Cost::default();
    for (_, cost) in costs.drain(costs.len().min(MAX_SAMPLES - 1)..) {
        rest.add(cost);
    }
    if rest.instructions > 0 {
        costs.push((vec![told.other()], rest));
    }
    let samples = costs.into_iter().map(|(places, cost)| ProfileSample {
        places,
        instructions: cost.instructions,
        time_ns: cost.time_ns,
    });
    Some(Profile {
        samples: samples.collect(),
        names: told.names,
        places: told.places,
    })
}

/// The tables of a profile while they are made.
#[derive(Default)]
struct Told {
    names: Vec<String>,
    known_names: BTreeMap<String, u32>,
    name_bytes: usize,
    places: Vec<ProfilePlace>,
    known_places: BTreeMap<(u32, u32, u32), u32>,
}

impl Told {
    fn name(&mut self, name: &str) -> u32 {
        let mut name = super::failure::shorten(name, MAX_NAME);
        if self.name_bytes + name.len() > MAX_NAME_BYTES {
            name = OTHER.to_owned();
        }
        if let Some(known) = self.known_names.get(&name) {
            return *known;
        }
        let index = self.names.len() as u32;
        self.name_bytes += name.len();
        self.names.push(name.clone());
        self.known_names.insert(name, index);
        index
    }

    fn place(&mut self, frame: Option<StackFrame>) -> u32 {
        let frame = frame.unwrap_or_default();
        let function = match frame.function.as_str() {
            "" => OTHER,
            function => function,
        };
        let key = (self.name(function), self.name(&frame.file), frame.line);
        if let Some(known) = self.known_places.get(&key) {
            return *known;
        }
        let index = self.places.len() as u32;
        self.places.push(ProfilePlace {
            function: key.0,
            file: key.1,
            line: key.2,
        });
        self.known_places.insert(key, index);
        index
    }

    fn other(&mut self) -> u32 {
        self.place(None)
    }
}
