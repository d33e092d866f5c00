//! The bounds that the child keeps itself, and what passing one of them is reported as.

use crate::frames::v1::ExecutionErrorKind;
use crate::frames::vm::JobLimits;

const DEFAULT_VALUE_DEPTH: usize = 32;
const DEFAULT_HOST_CALLS_IN_FLIGHT: usize = 64;
/// Counting needs a number to count down from; half the address space is as good as none.
const UNBOUNDED: usize = usize::MAX / 2;

/// Limits with "none" spelt out as a number that is never reached.
#[derive(Clone, Copy)]
pub struct Limits {
    pub memory_bytes: usize,
    pub max_operations: usize,
    pub native_depth: usize,
    pub output_bytes: u64,
    pub return_bytes: usize,
    pub value_depth: usize,
    /// Zero means that nothing is throttled.
    pub cpu_percentage: f64,
    pub host_calls_in_flight: usize,
    pub max_host_calls: u64,
    /// Zero means that frames are not delayed.
    pub frames_per_second: u32,
}

impl Limits {
    pub fn new(limits: &JobLimits) -> Limits {
        Limits {
            memory_bytes: bounded(limits.memory_bytes),
            max_operations: bounded(limits.max_operations),
            native_depth: match limits.native_depth {
                0 => rune::runtime::budget::DEFAULT_MAX_NATIVE_DEPTH,
                depth => depth as usize,
            },
            output_bytes: if limits.output_bytes == 0 {
                u64::MAX
            } else {
                limits.output_bytes
            },
            return_bytes: bounded(limits.return_bytes),
            value_depth: match limits.value_depth {
                0 => DEFAULT_VALUE_DEPTH,
                depth => depth as usize,
            },
            cpu_percentage: limits.cpu_percentage,
            host_calls_in_flight: match limits.host_calls_in_flight {
                0 => DEFAULT_HOST_CALLS_IN_FLIGHT,
                calls => calls as usize,
            },
            max_host_calls: if limits.max_host_calls == 0 {
                u64::MAX
            } else {
                limits.max_host_calls
            },
            frames_per_second: limits.frames_per_second,
        }
    }
}

fn bounded(limit: u64) -> usize {
    match limit {
        0 => UNBOUNDED,
        limit => usize::try_from(limit).unwrap_or(UNBOUNDED).min(UNBOUNDED),
    }
}

/// Ends an execution whatever the script does about it: a limit that was passed, or a cancellation.
#[derive(Clone, Debug, PartialEq)]
pub struct Fatal {
    pub kind: ExecutionErrorKind,
    pub message: String,
    /// The field of ResourceLimits; empty when it is none of these.
    pub limit_name: &'static str,
    pub limit_value: u64,
}

impl Fatal {
    pub fn memory(limits: &Limits) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::MemoryExceeded,
            message: format!(
                "expected the script's values to fit into {} bytes, but it asked for more; keep less at once or raise max_memory_bytes",
                limits.memory_bytes
            ),
            limit_name: "max_memory_bytes",
            limit_value: limits.memory_bytes as u64,
        }
    }

    pub fn operations(limits: &Limits) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::OperationsExceeded,
            message: format!(
                "expected the script to end within {} instructions, but it did not; look for an endless loop or raise max_operations",
                limits.max_operations
            ),
            limit_name: "max_operations",
            limit_value: limits.max_operations as u64,
        }
    }

    pub fn native_depth(limits: &Limits) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::DepthExceeded,
            message: format!(
                "expected at most {} nested calls through closures, async functions and generators, but there were more; use a loop instead of recursion or raise max_native_depth",
                limits.native_depth
            ),
            limit_name: "max_native_depth",
            limit_value: limits.native_depth as u64,
        }
    }

    pub fn output(limits: &Limits) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::OutputExceeded,
            message: format!(
                "expected at most {} bytes of standard output and error, but the script wrote more; print less or raise max_output_bytes",
                limits.output_bytes
            ),
            limit_name: "max_output_bytes",
            limit_value: limits.output_bytes,
        }
    }

    pub fn host_calls(limits: &Limits) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::HostCallsExceeded,
            message: format!(
                "expected at most {} host calls, but the script made more; make fewer or raise max_host_calls",
                limits.max_host_calls
            ),
            limit_name: "max_host_calls",
            limit_value: limits.max_host_calls,
        }
    }

    pub fn host_calls_in_flight(limits: &Limits) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::HostCallsExceeded,
            message: format!(
                "expected at most {} host calls to wait for their reply at once, but the script made more; await some before making others",
                limits.host_calls_in_flight
            ),
            limit_name: "",
            limit_value: 0,
        }
    }

    pub fn wall_time(milliseconds: u64) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::Timeout,
            message: format!(
                "the script ran longer than {} s and was killed; make it do less or raise max_execution_time",
                milliseconds as f64 / 1000.0
            ),
            limit_name: "max_execution_time",
            limit_value: milliseconds,
        }
    }

    pub fn cpu_time(milliseconds: u64) -> Fatal {
        Fatal {
            kind: ExecutionErrorKind::CpuTimeExceeded,
            message: format!(
                "the script used more processor time than {} s and was killed; make it do less or raise max_cpu_time",
                milliseconds as f64 / 1000.0
            ),
            limit_name: "max_cpu_time",
            limit_value: milliseconds,
        }
    }

    pub fn cancelled(reason: &str) -> Fatal {
        let message = match reason {
            "" => "the execution was cancelled".to_owned(),
            reason => format!("the execution was cancelled: {reason}"),
        };
        Fatal {
            kind: ExecutionErrorKind::Cancelled,
            message,
            limit_name: "",
            limit_value: 0,
        }
    }
}
