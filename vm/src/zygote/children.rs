//! The children that live, and when each has to be looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::Bounds;
use super::moments::LastMoment;

/// Why the zygote killed a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Killed {
    No,
    WallTime,
    CpuTime,
    /// Its limits could not be set.
    Limits(String),
}

pub struct Child {
    pub pid: libc::pid_t,
    pub bounds: Bounds,
    pub killed: Killed,
    /// Monotonic nanoseconds.
    pub forked_at: u64,
    /// Processor time, in nanoseconds, that it had used when it got its job.
    pub cpu_before_job: u64,
    /// Monotonic nanoseconds at which a spare is taken to be waiting for its job, until it has been looked at then.
    pub settles_at: Option<u64>,
    /// Monotonic nanoseconds at which its wall time has passed.
    pub wall_deadline: Option<u64>,
    /// Once a limit has passed.
    pub last_moment: Option<LastMoment>,
    next_look: Option<u64>,
}

impl Child {
    pub fn new(pid: libc::pid_t, bounds: Bounds, forked_at: u64) -> Child {
        let wall_deadline = bounds.wall_time.map(|time| forked_at.saturating_add(time));
        Child {
            pid,
            bounds,
            killed: Killed::No,
            forked_at,
            cpu_before_job: 0,
            settles_at: None,
            wall_deadline,
            last_moment: None,
            next_look: None,
        }
    }
}

/// All of them, found by id, by pid and by time without walking over the others.
#[derive(Default)]
pub struct Children {
    by_id: BTreeMap<u64, Child>,
    by_pid: BTreeMap<libc::pid_t, u64>,
    looks: BTreeSet<(u64, u64)>,
}

impl Children {
    pub fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Child> {
        self.by_id.get_mut(&id)
    }

    pub fn insert(&mut self, id: u64, child: Child) {
        self.by_pid.insert(child.pid, id);
        self.by_id.insert(id, child);
    }

    /// Forgets a child that has been reaped.
    pub fn remove_by_pid(&mut self, pid: libc::pid_t) -> Option<(u64, Child)> {
        let id = self.by_pid.remove(&pid)?;
        let child = self.by_id.remove(&id)?;
        if let Some(time) = child.next_look {
            self.looks.remove(&(time, id));
        }
        Some((id, child))
    }

    pub fn pids(&self) -> impl Iterator<Item = libc::pid_t> + '_ {
        self.by_pid.keys().copied()
    }

    /// Has the child looked at then, instead of when it was to be before.
    pub fn look_at(&mut self, id: u64, time: Option<u64>) {
        let Some(child) = self.by_id.get_mut(&id) else {
            return;
        };
        if let Some(before) = child.next_look {
            self.looks.remove(&(before, id));
        }
        child.next_look = time;
        if let Some(time) = time {
            self.looks.insert((time, id));
        }
    }

    /// When the next child has to be looked at.
    pub fn next_look(&self) -> Option<u64> {
        self.looks.first().map(|(time, _)| *time)
    }

    /// A child that has to be looked at by now; it will not be again unless told.
    pub fn due(&mut self, now: u64) -> Option<u64> {
        let (time, id) = *self.looks.first()?;
        if time > now {
            return None;
        }
        self.look_at(id, None);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Sizes;
    use super::*;
    use crate::frames::vm::ChildLimits;

    fn child(pid: libc::pid_t) -> Child {
        Child::new(
            pid,
            Bounds::new(&ChildLimits::default(), Sizes::default()),
            0,
        )
    }

    #[test]
    fn the_earliest_is_due_first_and_once() {
        let mut children = Children::default();
        children.insert(1, child(101));
        children.insert(2, child(102));
        children.look_at(1, Some(20));
        children.look_at(2, Some(10));
        children.look_at(1, Some(5));
        assert_eq!((children.next_look(), children.due(4)), (Some(5), None));
        assert_eq!(
            (children.due(10), children.due(10), children.due(10)),
            (Some(1), Some(2), None)
        );
    }

    #[test]
    fn nothing_is_left_of_a_reaped_child() {
        let mut children = Children::default();
        children.insert(1, child(101));
        children.look_at(1, Some(20));
        assert_eq!(children.remove_by_pid(101).map(|(id, _)| id), Some(1));
        assert!(
            children.next_look().is_none()
                && !children.contains(1)
                && children.pids().next().is_none()
        );
        assert!(children.remove_by_pid(101).is_none());
    }
}
