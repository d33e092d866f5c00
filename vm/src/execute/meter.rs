//! Counts instructions and memory exactly, and uses the moments in which the budget runs dry to throttle and to let output
//! leave.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rune::runtime::budget;
use rune::Vm;

use super::profile;
use crate::child::{self, clock, Limits};

/// The most instructions between two looks at the clock: well below a millisecond of those that are no calls.
const MAX_SLICE: usize = 50_000;
/// So many come before the first look: each may be a native call that takes a while.
const FIRST_SLICE: usize = 1_000;
/// So much processor time should pass between two looks.
const SLICE_TIME: Duration = Duration::from_millis(1);
/// A slice is at most so much longer than the one before it: what follows may be slower.
const MAX_GROWTH: f64 = 8.0;
/// So much processor time is never throttled: most scripts are done by then.
const GRACE: Duration = Duration::from_millis(2);

#[derive(Clone, Copy)]
struct Meter {
    granted: usize,
    max_operations: usize,
    peak_memory: usize,
    cpu_percentage: f64,
    started: Option<Instant>,
    cpu_before: Duration,
    /// Instructions that the last slice was meant to have, and the processor time when it began.
    slice: usize,
    slice_began: Duration,
    /// Granted instructions that a profile has not handed out yet.
    withheld: usize,
}

thread_local!(static METER: Cell<Meter> = const {
    Cell::new(Meter {
        granted: 0,
        max_operations: 0,
        peak_memory: 0,
        cpu_percentage: 0.0,
        started: None,
        cpu_before: Duration::ZERO,
        slice: 0,
        slice_began: Duration::ZERO,
        withheld: 0,
    })
});

/// Runs `action` within the limits on instructions, memory and native depth, throttled as they say.
pub fn metered<T>(limits: &Limits, action: impl FnOnce() -> T) -> T {
    let first = FIRST_SLICE.min(limits.max_operations);
    let is_profiled = profile::is_on();
    let cpu_before = clock::cpu_time();
    METER.set(Meter {
        granted: first,
        max_operations: limits.max_operations,
        peak_memory: 0,
        cpu_percentage: limits.cpu_percentage,
        started: Some(Instant::now()),
        cpu_before,
        slice: FIRST_SLICE,
        slice_began: cpu_before,
        withheld: if is_profiled { first } else { 0 },
    });
    budget::set_max_native_depth(limits.native_depth);
    budget::set_refill(Some(if is_profiled { hand_out } else { refill }));
    let handed_out = if is_profiled { 0 } else { first };
    let result = rune::alloc::limit::with(limits.memory_bytes, || {
        budget::with(handed_out, || {
            let result = action();
            let mut meter = METER.get();
            meter.peak_memory = limits.memory_bytes - rune::alloc::limit::lowest();
            // What was granted and not used is given back, so that the count stays right.
            meter.granted -= budget::remaining()
                .saturating_add(meter.withheld)
                .min(meter.granted);
            meter.withheld = 0;
            METER.set(meter);
            result
        })
        .call()
    })
    .call();
    budget::set_refill(None);
    result
}

/// Instructions executed so far by the job of this thread; exact inside of [`metered`] and after it.
pub fn operations() -> u64 {
    let meter = METER.get();
    let granted = meter.granted - meter.withheld;
    match budget::remaining() {
        usize::MAX => granted as u64,
        remaining => granted.saturating_sub(remaining) as u64,
    }
}

/// The most memory that Rune's values took at once, in bytes: exact, and never more than the limit. While two copies
/// exist because a list grows, both count. Known after [`metered`].
pub fn peak_memory() -> u64 {
    METER.get().peak_memory as u64
}

/// One instruction at a time, each counted where it is.
fn hand_out(vm: &Vm) -> usize {
    profile::pause();
    let mut meter = METER.get();
    if meter.withheld == 0 {
        let granted = refill(vm);
        if granted == 0 {
            return 0;
        }
        meter = METER.get();
        meter.withheld = granted;
    }
    meter.withheld -= 1;
    METER.set(meter);
    profile::count(vm);
    1
}

fn refill(_: &Vm) -> usize {
    if let Some(Err(_)) = child::with(|session| session.flush_if_due()) {
        return 0;
    }
    let cpu = clock::cpu_time();
    throttle(cpu);
    if let Some(Err(_)) = child::with(|session| session.check_time()) {
        return 0;
    }
    let mut meter = METER.get();
    let taken = cpu.saturating_sub(meter.slice_began).as_secs_f64();
    let growth = (SLICE_TIME.as_secs_f64() / taken.max(1e-9)).min(MAX_GROWTH);
    meter.slice = ((meter.slice as f64 * growth) as usize).clamp(1, MAX_SLICE);
    meter.slice_began = cpu;
    let granted = meter.slice.min(meter.max_operations - meter.granted);
    meter.granted += granted;
    METER.set(meter);
    granted
}

/// Sleeps until the share of the processor is kept, counting what native functions used since the last time.
fn throttle(cpu: Duration) {
    let meter = METER.get();
    let Some(started) = meter.started else { return };
    if meter.cpu_percentage <= 0.0 || meter.cpu_percentage >= 100.0 {
        return;
    }
    let used = cpu.saturating_sub(meter.cpu_before).saturating_sub(GRACE);
    let due = used.mul_f64(100.0 / meter.cpu_percentage);
    if let Some(debt) = due.checked_sub(started.elapsed()) {
        if debt >= Duration::from_micros(500) {
            clock::sleep(debt);
        }
    }
}
