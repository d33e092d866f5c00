//! Exit codes by which a child says why it ended. They are hints of an untrusted process: they name the error that the
//! caller sees, and authorise nothing.

/// The result frame has been written.
pub const DONE: i32 = 0;
/// The jail could not be built: nothing untrusted was read.
pub const JAIL_FAILED: i32 = 100;
/// A frame of the server was not understood.
pub const PROTOCOL: i32 = 101;
/// The allocator of the process had no memory left.
#[cfg_attr(any(test, feature = "fuzz"), allow(dead_code))]
pub const OUT_OF_MEMORY: i32 = 102;
/// A Rust panic that could not be reported as a frame.
pub const PANIC: i32 = 103;
/// The native stack overflowed.
pub const STACK_OVERFLOW: i32 = 104;
/// The processor time limit passed.
pub const CPU_TIME: i32 = 105;
/// The server's end of the socket is closed.
pub const ORPHANED: i32 = 106;
/// An invalid memory access that is not a stack overflow.
pub const MEMORY_FAULT: i32 = 107;
/// A step of the jail failed; its number in [`crate::jail::Step`] is added to this one. The zygote reports such an exit
/// as [`JAIL_FAILED`] and names the step.
pub const JAIL_STEP: i32 = 110;

/// The zygote could not start, or its control socket broke.
pub const ZYGOTE_FAILED: i32 = 1;
/// The same for the file broker.
pub const BROKER_FAILED: i32 = 1;
/// The command line was not understood.
pub const USAGE: i32 = 2;

/// Ends this process at once: no destructor, no exit handler, no buffer.
pub fn now(code: i32) -> ! {
    // SAFETY: _exit takes no pointer and does not return.
    unsafe { libc::_exit(code) }
}
