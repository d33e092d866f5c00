//! The one table of system calls that the broker may make once it is set up. Any other ends it with SIGSYS.

use seccompiler::BpfProgram;

use crate::filter::Arg::Within;
use crate::filter::{self, Table, ANY, READ_WRITE};

const PERMISSIONS: u64 = 0o777;
const EMPTY_FOLDER: u64 = libc::AT_REMOVEDIR as u64;

/// No call here makes a process, a thread, a socket or executable memory, and none but openat2 opens anything. Of the
/// calls that take names, all take them below a descriptor.
const TABLE: Table = &[
    (libc::SYS_openat2, ANY),
    (libc::SYS_read, ANY),
    (libc::SYS_readv, ANY),
    (libc::SYS_pread64, ANY),
    (libc::SYS_write, ANY),
    (libc::SYS_writev, ANY),
    (libc::SYS_close, ANY),
    (libc::SYS_fstat, ANY),
    (libc::SYS_newfstatat, ANY),
    (libc::SYS_statx, ANY),
    (libc::SYS_getdents64, ANY),
    (libc::SYS_mkdirat, &[&[Within(2, PERMISSIONS)]]),
    (libc::SYS_unlinkat, &[&[Within(2, EMPTY_FOLDER)]]),
    (libc::SYS_renameat2, &[&[Within(4, 0)]]),
    (libc::SYS_fchmod, &[&[Within(1, PERMISSIONS)]]),
    (libc::SYS_ftruncate, ANY),
    (libc::SYS_fdatasync, ANY),
    // Memory that is never executable.
    (libc::SYS_mmap, &[&[Within(2, READ_WRITE)]]),
    (libc::SYS_mprotect, &[&[Within(2, READ_WRITE)]]),
    (libc::SYS_mremap, ANY),
    (libc::SYS_munmap, ANY),
    (libc::SYS_madvise, ANY),
    (libc::SYS_brk, ANY),
    // Threads that are there already: locks, signal masks, the end.
    (libc::SYS_futex, ANY),
    (libc::SYS_sched_yield, ANY),
    (libc::SYS_rt_sigprocmask, ANY),
    (libc::SYS_sigaltstack, ANY),
    (libc::SYS_rt_sigreturn, ANY),
    (libc::SYS_restart_syscall, ANY),
    (libc::SYS_clock_gettime, ANY),
    (libc::SYS_getrandom, ANY),
    (libc::SYS_exit, ANY),
    (libc::SYS_exit_group, ANY),
];

/// Compiles the table.
pub fn compile() -> Result<BpfProgram, String> {
    filter::compile(TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles_within_the_kernels_bound() {
        let program = compile().expect("the table compiles");
        assert!(program.len() > TABLE.len() && program.len() < 4096);
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
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_tgkill,
            libc::SYS_ptrace,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            libc::SYS_mknodat,
            libc::SYS_mount,
            libc::SYS_chroot,
            libc::SYS_ioctl,
            libc::SYS_prctl,
        ];
        assert!(TABLE.iter().all(|(call, _)| !forbidden.contains(call)));
    }
}
