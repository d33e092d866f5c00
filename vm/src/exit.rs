//! Exit codes by which a child says why it ended. They are hints of an untrusted process: they name the error that the
//! caller sees, and authorise nothing.

/// The result frame has been written.
pub const DONE: i32 = 0;
/// The jail could not be built: nothing untrusted was read.
pub const JAIL_FAILED: i32 = 100;
/// A frame of the server was not understood.
pub const PROTOCOL: i32 = 101;
/// The allocator of the process had no memory left.
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
