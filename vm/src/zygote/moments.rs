//! The first moments of a spare and the last ones of a child whose time has passed.

use super::children::Killed;

/// What a child may still use of the processor after one of its time limits has passed, in nanoseconds. One that is in its
/// script's own code needs a fraction of it to say where it is and what it used; one that is in the middle of a native call
/// is killed when it is used up.
const LAST_CPU_TIME: u64 = 10_000_000;
/// How long it may wait for a processor meanwhile.
const LAST_WALL_TIME: u64 = 100_000_000;
/// How often it is looked at.
const LOOK: u64 = 5_000_000;

/// The time from the word that a limit has passed to the kill. In monotonic nanoseconds.
pub struct LastMoment {
    pub passed: Killed,
    end: u64,
    cpu_end: u64,
}

impl LastMoment {
    /// `used` is the processor time of the child so far.
    pub fn new(passed: Killed, now: u64, used: Option<u64>) -> LastMoment {
        LastMoment {
            passed,
            end: now + LAST_WALL_TIME,
            cpu_end: used.unwrap_or(0) + LAST_CPU_TIME,
        }
    }

    pub fn is_over(&self, now: u64, used: Option<u64>) -> bool {
        now >= self.end || used.is_some_and(|used| used >= self.cpu_end)
    }

    pub fn next_look(&self, now: u64) -> u64 {
        self.end.min(now + LOOK)
    }
}

/// What spares use of the processor until they wait for their jobs, in nanoseconds. A spare may have begun its job when it
/// is looked at, so what is seen of one is held against what is usual.
#[derive(Default)]
pub struct WarmUp {
    usual: Option<u64>,
}

impl WarmUp {
    /// Takes in what a spare that should be waiting has used.
    pub fn learn(&mut self, used: u64) {
        let usual = self.usual.unwrap_or(used);
        self.usual = Some(usual - usual / 8 + used / 8);
    }

    /// What of `used` was used before the job: a quarter more than usual at most.
    pub fn bound(&self, used: u64) -> u64 {
        self.usual.map_or(used, |usual| used.min(usual + usual / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_killed_by_what_it_uses_or_by_the_clock() {
        let moment = LastMoment::new(Killed::WallTime, 1_000, Some(500));
        assert!(!moment.is_over(1_000, Some(500)));
        assert!(!moment.is_over(1_000 + LAST_WALL_TIME - 1, Some(500 + LAST_CPU_TIME - 1)));
        assert!(moment.is_over(2_000, Some(500 + LAST_CPU_TIME)));
        assert!(moment.is_over(1_000 + LAST_WALL_TIME, None));
        assert_eq!(moment.next_look(1_000), 1_000 + LOOK);
        assert_eq!(moment.next_look(LAST_WALL_TIME), LAST_WALL_TIME + 1_000);
    }

    #[test]
    fn a_spare_that_has_begun_its_job_is_told_by_the_others() {
        let mut warm_up = WarmUp::default();
        assert_eq!(warm_up.bound(900), 900);
        for _ in 0..20 {
            warm_up.learn(800);
        }
        assert_eq!(warm_up.bound(700), 700);
        assert_eq!(warm_up.bound(5_000), 1_000);
        warm_up.learn(8_000);
        assert!(warm_up.bound(5_000) < 2_200);
    }
}
