//! Other programs and other processes. A process that would come out of it sleeps, to be found.

use super::raw::{attempt, call, reached};
use super::{word, Attempt, Reached};

const KILL: usize = libc::SIGKILL as usize;
const EVERYBODY: usize = usize::MAX;

pub const ATTEMPTS: &[Attempt] = &[
    ("execve", |_| {
        let program = c"/bin/sh".as_ptr() as usize;
        let arguments = [program, 0];
        attempt(
            "execve",
            libc::SYS_execve,
            &[program, arguments.as_ptr() as usize, 0],
        )
    }),
    ("execveat", |_| {
        let program = c"/bin/sh".as_ptr() as usize;
        let arguments = [program, 0];
        let here = libc::AT_FDCWD as usize;
        attempt(
            "execveat",
            libc::SYS_execveat,
            &[here, program, arguments.as_ptr() as usize, 0, 0],
        )
    }),
    ("execveat-its-socket", |_| {
        let empty = c"".as_ptr() as usize;
        let flag = libc::AT_EMPTY_PATH as usize;
        attempt("execveat", libc::SYS_execveat, &[0, empty, 0, 0, flag])
    }),
    ("memfd-and-exec", |_| {
        let file = call(libc::SYS_memfd_create, &[c"escape".as_ptr() as usize, 0]);
        let script = b"#!/bin/sh\nsleep 60\n";
        call(
            libc::SYS_write,
            &[file as usize, script.as_ptr() as usize, script.len()],
        );
        let (empty, flag) = (c"".as_ptr() as usize, libc::AT_EMPTY_PATH as usize);
        reached(
            "execveat",
            call(libc::SYS_execveat, &[file as usize, empty, 0, 0, flag]),
        )
    }),
    #[cfg(target_arch = "x86_64")]
    ("fork", |_| born("fork", call(libc::SYS_fork, &[]))),
    #[cfg(target_arch = "x86_64")]
    ("vfork", |_| born("vfork", call(libc::SYS_vfork, &[]))),
    ("clone", |_| {
        born("clone", call(libc::SYS_clone, &[libc::SIGCHLD as usize]))
    }),
    ("clone-into-namespaces", |_| {
        let flags = libc::SIGCHLD | libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
        born("clone", call(libc::SYS_clone, &[flags as usize]))
    }),
    ("clone-untraced-parent", |_| {
        let flags = libc::SIGCHLD | libc::CLONE_PARENT | libc::CLONE_UNTRACED;
        born("clone", call(libc::SYS_clone, &[flags as usize]))
    }),
    ("clone-thread", |_| {
        let mut stack = vec![0_u64; 4096];
        let flags = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_FS;
        let top = stack.as_mut_ptr() as usize + 4096 * 8;
        reached("clone", call(libc::SYS_clone, &[flags as usize, top]))
    }),
    ("clone3", |_| {
        let arguments = [0_u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
        born(
            "clone3",
            call(libc::SYS_clone3, &[arguments.as_ptr() as usize, 64]),
        )
    }),
    ("fork-bomb", |_| {
        let mut made = 0;
        loop {
            match call(libc::SYS_clone, &[libc::SIGCHLD as usize]) {
                0 => continue,
                1.. => made += 1,
                _ if made > 0 => return Reached::Gained(format!("{made} processes")),
                error => return reached("clone", error),
            }
        }
    }),
    ("ptrace-traceme", |_| {
        attempt("ptrace", libc::SYS_ptrace, &[libc::PTRACE_TRACEME as usize])
    }),
    ("ptrace-attach-zygote", |argument| {
        let attach = libc::PTRACE_ATTACH as usize;
        attempt("ptrace", libc::SYS_ptrace, &[attach, word(argument, 0)])
    }),
    ("ptrace-seize-server", |argument| {
        let seize = libc::PTRACE_SEIZE as usize;
        attempt("ptrace", libc::SYS_ptrace, &[seize, word(argument, 0)])
    }),
    ("process-vm-readv-zygote", |argument| {
        let mut buffer = [0_u8; 64];
        let at = ATTEMPTS.as_ptr() as usize;
        let local = [buffer.as_mut_ptr() as usize, 64];
        // All processes of one layout: what is here is there as well.
        let remote = [at, 64];
        let parts = [local.as_ptr() as usize, 1, remote.as_ptr() as usize, 1, 0];
        let [a, b, c, d, e] = parts;
        attempt(
            "process_vm_readv",
            libc::SYS_process_vm_readv,
            &[word(argument, 0), a, b, c, d, e],
        )
    }),
    ("process-vm-writev-zygote", |argument| {
        let zeros = [0_u8; 64];
        let local = [zeros.as_ptr() as usize, 64];
        let remote = [ATTEMPTS.as_ptr() as usize, 64];
        let [a, c] = [local.as_ptr() as usize, remote.as_ptr() as usize];
        attempt(
            "process_vm_writev",
            libc::SYS_process_vm_writev,
            &[word(argument, 0), a, 1, c, 1, 0],
        )
    }),
    ("kill-server", |argument| kill(word(argument, 0))),
    ("kill-zygote", |argument| kill(word(argument, 0))),
    ("kill-sibling", |argument| kill(word(argument, 0))),
    ("kill-everybody", |_| kill(EVERYBODY)),
    ("kill-its-group", |_| kill(0)),
    ("tkill-zygote", |argument| {
        attempt("tkill", libc::SYS_tkill, &[word(argument, 0), KILL])
    }),
    ("tgkill-zygote", |argument| {
        let pid = word(argument, 0);
        attempt("tgkill", libc::SYS_tgkill, &[pid, pid, KILL])
    }),
    ("tgkill-itself", |_| {
        // What abort() of the C library does.
        attempt("tgkill", libc::SYS_tgkill, &[1, 1, libc::SIGABRT as usize])
    }),
    ("rt-sigqueueinfo-zygote", |argument| {
        let information = [0_u64; 16];
        let at = information.as_ptr() as usize;
        attempt(
            "rt_sigqueueinfo",
            libc::SYS_rt_sigqueueinfo,
            &[word(argument, 0), KILL, at],
        )
    }),
    ("pidfd-open-zygote", |argument| {
        attempt("pidfd_open", libc::SYS_pidfd_open, &[word(argument, 0), 0])
    }),
    ("pidfd-send-signal", |argument| {
        let zygote = call(libc::SYS_pidfd_open, &[word(argument, 0), 0]) as usize;
        attempt(
            "pidfd_send_signal",
            libc::SYS_pidfd_send_signal,
            &[zygote, KILL, 0, 0],
        )
    }),
    ("pidfd-send-signal-by-socket", |_| {
        attempt(
            "pidfd_send_signal",
            libc::SYS_pidfd_send_signal,
            &[0, KILL, 0, 0],
        )
    }),
    ("pidfd-getfd", |_| {
        attempt("pidfd_getfd", libc::SYS_pidfd_getfd, &[0, 3, 0])
    }),
    ("process-madvise", |_| {
        attempt(
            "process_madvise",
            libc::SYS_process_madvise,
            &[0, 0, 0, 0, 0],
        )
    }),
    ("kcmp", |argument| {
        attempt(
            "kcmp",
            libc::SYS_kcmp,
            &[word(argument, 0), word(argument, 0), 0, 0, 0],
        )
    }),
    ("wait-for-siblings", |_| {
        attempt("wait4", libc::SYS_wait4, &[EVERYBODY, 0, 1, 0])
    }),
    ("getppid", |_| attempt("getppid", libc::SYS_getppid, &[])),
    ("setsid", |_| attempt("setsid", libc::SYS_setsid, &[])),
    ("setpgid", |_| {
        attempt("setpgid", libc::SYS_setpgid, &[0, 0])
    }),
];

fn kill(pid: usize) -> Reached {
    attempt("kill", libc::SYS_kill, &[pid, KILL])
}

/// A new process stays until it is found; the old one tells.
fn born(name: &str, answer: isize) -> Reached {
    if answer == 0 {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
    }
    reached(name, answer)
}
