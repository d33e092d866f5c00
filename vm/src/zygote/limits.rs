//! From the limits of a message to those of the kernel.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::frames::vm::ChildLimits;
use crate::jail::{inherited, Rlimits};

/// Reads how large the zygote is, which is what a child starts with.
pub struct Baseline {
    statm: File,
    page: u64,
    stack: u64,
}

/// Sizes of the zygote in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// All mappings, and the whole stack that a child may come to use.
    pub mapped: u64,
    /// Resident pages.
    pub resident: u64,
    /// Private writable mappings, which RLIMIT_DATA counts. The kernel adds the present stack: a few pages too many.
    pub data: u64,
}

impl Baseline {
    pub fn open() -> Result<Baseline, String> {
        let statm = File::open("/proc/self/statm")
            .map_err(|error| format!("cannot open /proc/self/statm: {error}"))?;
        // SAFETY: sysconf takes a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
        Ok(Baseline {
            statm,
            page,
            stack: inherited::soft_limit(libc::RLIMIT_STACK)?,
        })
    }

    pub fn read(&self) -> Result<Sizes, String> {
        let mut buffer = [0u8; 128];
        let length = self
            .statm
            .read_at(&mut buffer, 0)
            .map_err(|error| format!("cannot read /proc/self/statm: {error}"))?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
        let pages: Vec<u64> = text
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        match pages[..] {
            [size, resident, _, _, _, data, ..] => Ok(Sizes {
                mapped: (size * self.page).saturating_add(self.stack),
                resident: resident * self.page,
                data: data * self.page,
            }),
            _ => Err(format!(
                "expected seven numbers in /proc/self/statm, got {text:?}"
            )),
        }
    }
}

/// What bounds one child. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The zygote's sizes when the child was forked.
    baseline: Sizes,
    /// What the kernel keeps.
    pub rlimits: Rlimits,
    heap: Option<u64>,
    /// In milliseconds, as given.
    pub cpu_time: Option<u64>,
    /// Processor time, counted from the fork, at which the child is killed.
    pub cpu_budget: Option<u64>,
    /// Wall time from the message that set it.
    pub wall_time: Option<u64>,
}

impl Bounds {
    /// For a child that is about to be forked.
    pub fn new(limits: &ChildLimits, baseline: Sizes) -> Bounds {
        let mut bounds = Bounds {
            baseline,
            rlimits: Rlimits::NONE,
            heap: None,
            cpu_time: None,
            cpu_budget: None,
            wall_time: None,
        };
        bounds.apply(limits, 0);
        bounds
    }

    /// For a child that has used so much processor time and gets its job now. A limit that is not given stays; one
    /// wider than before is an error.
    pub fn lowered(&self, limits: &ChildLimits, cpu_used: u64) -> Result<Bounds, String> {
        for (name, before, now) in [
            ("heap_bytes", self.heap, given(limits.heap_bytes)),
            ("cpu_time_ms", self.cpu_time, given(limits.cpu_time_ms)),
            (
                "wall_time_ms",
                self.wall_time.map(|time| time / 1_000_000),
                given(limits.wall_time_ms),
            ),
        ] {
            if let (Some(before), Some(now)) = (before, now) {
                if now > before {
                    return Err(format!(
                        "expected {name} of at most {before} as when it was spawned, got {now}"
                    ));
                }
            }
        }
        let mut lowered = *self;
        lowered.apply(limits, cpu_used);
        // The job's time starts now, so in whole seconds it can end after the former limit, which cannot be raised.
        lowered.rlimits.cpu_seconds = lowered.rlimits.cpu_seconds.min(self.rlimits.cpu_seconds);
        Ok(lowered)
    }

    fn apply(&mut self, limits: &ChildLimits, cpu_used: u64) {
        if let Some(heap) = given(limits.heap_bytes) {
            self.heap = Some(heap);
            self.rlimits.data = self.baseline.data.saturating_add(heap);
            self.rlimits.address_space = self.baseline.mapped.saturating_add(heap);
        }
        if let Some(time) = given(limits.cpu_time_ms) {
            let budget = cpu_used.saturating_add(time.saturating_mul(1_000_000));
            self.cpu_time = Some(time);
            self.cpu_budget = Some(budget);
            // A second more, so that the exact limit, kept by the zygote, comes first.
            self.rlimits.cpu_seconds = budget.div_ceil(1_000_000_000) + 1;
        }
        self.wall_time = given(limits.wall_time_ms)
            .map(|time| time.saturating_mul(1_000_000))
            .or(self.wall_time);
    }
}

fn given(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASELINE: Sizes = Sizes {
        mapped: 1000,
        resident: 10,
        data: 100,
    };

    fn limits(wall_time_ms: u64, cpu_time_ms: u64, heap_bytes: u64) -> ChildLimits {
        ChildLimits {
            wall_time_ms,
            cpu_time_ms,
            heap_bytes,
        }
    }

    #[test]
    fn zero_means_none() {
        assert_eq!(
            Bounds::new(&limits(0, 0, 0), BASELINE).rlimits,
            Rlimits::NONE
        );
    }

    #[test]
    fn heap_comes_on_top_of_the_zygotes() {
        let bounds = Bounds::new(&limits(0, 1500, 50), BASELINE);
        assert_eq!(
            bounds.rlimits,
            Rlimits {
                data: 150,
                address_space: 1050,
                cpu_seconds: 3
            }
        );
        assert_eq!(bounds.cpu_budget, Some(1_500_000_000));
    }

    #[test]
    fn limits_are_lowered_and_never_raised() {
        let spare = Bounds::new(&limits(0, 2000, 50), BASELINE);
        let job = spare.lowered(&limits(700, 2000, 40), 5_000_000).unwrap();
        assert_eq!(
            job.rlimits,
            Rlimits {
                data: 140,
                address_space: 1040,
                cpu_seconds: 3
            }
        );
        assert_eq!(
            (job.cpu_budget, job.wall_time),
            (Some(2_005_000_000), Some(700_000_000))
        );
        assert_eq!(
            spare.lowered(&limits(0, 0, 0), 0).unwrap().rlimits,
            spare.rlimits
        );
        assert!(spare
            .lowered(&limits(0, 2001, 0), 0)
            .unwrap_err()
            .contains("cpu_time_ms"));
        assert!(spare
            .lowered(&limits(0, 0, 51), 0)
            .unwrap_err()
            .contains("heap_bytes"));
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        let bounds = Bounds::new(&limits(u64::MAX, u64::MAX, u64::MAX), BASELINE);
        assert_eq!(bounds.rlimits.data, u64::MAX);
        assert_eq!(bounds.wall_time, Some(u64::MAX));
    }
}
