//! The one table of system calls that a child may make. Any other ends it with SIGSYS.

use seccompiler::{sock_filter, BpfProgram};

use super::SOCKET;
use crate::filter::Arg::{Int, IntExcept, Within};
use crate::filter::{self, Table, ANY, READ_WRITE};

const SOCKET_FD: u32 = SOCKET as u32;
/// Standard error is closed, and no call here can open anything: a message of the standard library gets EBADF, where
/// forbidding it would turn every such message into a SIGSYS that hides what happened.
const CLOSED_STDERR: u32 = 2;

const ANONYMOUS: u64 =
    (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK) as u64;
const NO_FD: u32 = -1i32 as u32;
const MAY_MOVE: u64 = libc::MREMAP_MAYMOVE as u64;

/// CLOCK_REALTIME to CLOCK_BOOTTIME. The other numbers are clocks of devices and, made of a process id, the processor
/// time of any process: they tell which exist and how busy each is.
const OWN_CLOCKS: u32 = 0b111;
/// CLOCK_REALTIME and CLOCK_MONOTONIC.
const SLEEPING_CLOCKS: u32 = 0b1;

const FUTEX_CLOCK: u32 = libc::FUTEX_CLOCK_REALTIME as u32;
const fn private(op: i32) -> u32 {
    (op | libc::FUTEX_PRIVATE_FLAG) as u32
}

/// No call here makes a descriptor, names a file or another process, or makes memory executable. `mprotect` is missing
/// because the main arena, the only one of a single-threaded process, grows without it.
const TABLE: Table = &[
    // The socket to the server, and nothing else.
    (libc::SYS_read, &[&[Int(0, SOCKET_FD)]]),
    (
        libc::SYS_write,
        &[&[Int(0, SOCKET_FD)], &[Int(0, CLOSED_STDERR)]],
    ),
    (libc::SYS_readv, &[&[Int(0, SOCKET_FD)]]),
    (
        libc::SYS_writev,
        &[&[Int(0, SOCKET_FD)], &[Int(0, CLOSED_STDERR)]],
    ),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, ANY),
    (libc::SYS_ppoll, ANY),
    // Anonymous memory that is never executable.
    (
        libc::SYS_mmap,
        &[&[Within(2, READ_WRITE), Within(3, ANONYMOUS), Int(4, NO_FD)]],
    ),
    (libc::SYS_mremap, &[&[Within(3, MAY_MOVE)]]),
    (libc::SYS_munmap, ANY),
    (libc::SYS_madvise, &[&[Int(2, libc::MADV_DONTNEED as u32)]]),
    (libc::SYS_brk, ANY),
    // Locks of this process.
    (
        libc::SYS_futex,
        &[
            &[IntExcept(1, FUTEX_CLOCK, private(libc::FUTEX_WAIT))],
            &[IntExcept(1, FUTEX_CLOCK, private(libc::FUTEX_WAKE))],
            &[IntExcept(1, FUTEX_CLOCK, private(libc::FUTEX_WAIT_BITSET))],
        ],
    ),
    (libc::SYS_sched_yield, ANY),
    // Time: throttling sleeps, and a stopped and continued sleep goes on by restart_syscall.
    (libc::SYS_clock_gettime, &[&[IntExcept(0, OWN_CLOCKS, 0)]]),
    (
        libc::SYS_clock_nanosleep,
        &[&[IntExcept(0, SLEEPING_CLOCKS, 0)]],
    ),
    (libc::SYS_nanosleep, ANY),
    (libc::SYS_restart_syscall, ANY),
    // Its own bounds, to read: a job waits for those that the zygote sets.
    (libc::SYS_getrlimit, ANY),
    // Keys of the standard library's hash tables; those of Rune come from the start frame.
    (libc::SYS_getrandom, ANY),
    // The end, and the way out of a signal handler.
    (libc::SYS_rt_sigreturn, ANY),
    (libc::SYS_exit, ANY),
    (libc::SYS_exit_group, ANY),
];

/// Compiles the table. Done once by the zygote; a child only installs the result.
pub fn compile() -> Result<BpfProgram, String> {
    let compiled = filter::compile(TABLE)?;
    Ok([IN_NO_BITMAP].into_iter().chain(compiled).collect())
}

/// Reads the caller's address and forgets it. A kernel that installs a filter first walks it once for every system call
/// there is, to note those that it always allows; it gives up on one at the first instruction that reads anything but
/// the number. For a child that makes few calls the walk is the dearer: without it, a child that only enters the jail
/// and exits uses about a fifth less processor time. What is allowed stays the same.
const IN_NO_BITMAP: sock_filter = sock_filter {
    code: LOAD_WORD,
    jt: 0,
    jf: 0,
    k: INSTRUCTION_POINTER,
};
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const INSTRUCTION_POINTER: u32 =
    std::mem::offset_of!(libc::seccomp_data, instruction_pointer) as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles_within_the_kernels_bound() {
        let program = compile().unwrap();
        assert!(
            program.len() > TABLE.len(),
            "one instruction per call at least"
        );
        assert!(program.len() < 4096, "BPF_MAXINSNS");
    }

    #[test]
    fn holds_nothing_that_reaches_out() {
        let forbidden = [
            libc::SYS_openat,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
            libc::SYS_sendto,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_execve,
            libc::SYS_kill,
            libc::SYS_tgkill,
            libc::SYS_ptrace,
            libc::SYS_mprotect,
            libc::SYS_dup3,
            libc::SYS_prctl,
            libc::SYS_rt_sigaction,
        ];
        assert!(TABLE.iter().all(|(call, _)| !forbidden.contains(call)));
    }
}
