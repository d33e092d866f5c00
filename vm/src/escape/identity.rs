//! Who it is, what it may use, and what it is allowed to be.

use super::raw::attempt;
use super::{word, Attempt, Reached};

const UNLIMITED: [u64; 2] = [u64::MAX; 2];

pub const ATTEMPTS: &[Attempt] = &[
    ("setuid-root", |_| attempt("setuid", libc::SYS_setuid, &[0])),
    ("setresuid-root", |_| {
        attempt("setresuid", libc::SYS_setresuid, &[0, 0, 0])
    }),
    ("setgid-root", |_| attempt("setgid", libc::SYS_setgid, &[0])),
    ("setgroups", |_| {
        let groups = [0_u32];
        attempt(
            "setgroups",
            libc::SYS_setgroups,
            &[1, groups.as_ptr() as usize],
        )
    }),
    ("setfsuid-root", |_| {
        attempt("setfsuid", libc::SYS_setfsuid, &[0])
    }),
    ("capset-all", |_| {
        let (header, data) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
        let [header, data] = [header.as_ptr() as usize, data.as_ptr() as usize];
        attempt("capset", libc::SYS_capset, &[header, data])
    }),
    ("getuid", |_| attempt("getuid", libc::SYS_getuid, &[])),
    ("setrlimit-memory", |_| limit(libc::RLIMIT_DATA as usize)),
    ("setrlimit-processor-time", |_| {
        limit(libc::RLIMIT_CPU as usize)
    }),
    ("setrlimit-descriptors", |_| {
        limit(libc::RLIMIT_NOFILE as usize)
    }),
    ("setrlimit-core", |_| limit(libc::RLIMIT_CORE as usize)),
    ("prlimit-zygote", |argument| {
        let limits = UNLIMITED.as_ptr() as usize;
        let data = libc::RLIMIT_DATA as usize;
        attempt(
            "prlimit64",
            libc::SYS_prlimit64,
            &[word(argument, 0), data, limits, 0],
        )
    }),
    ("setpriority", |_| {
        attempt(
            "setpriority",
            libc::SYS_setpriority,
            &[0, 0, -20_isize as usize],
        )
    }),
    ("setpriority-zygote", |argument| {
        attempt(
            "setpriority",
            libc::SYS_setpriority,
            &[0, word(argument, 0), 19],
        )
    }),
    ("sched-setaffinity", |_| {
        let all = [u64::MAX; 16];
        attempt(
            "sched_setaffinity",
            libc::SYS_sched_setaffinity,
            &[0, 128, all.as_ptr() as usize],
        )
    }),
    ("sched-setaffinity-server", |argument| {
        let one = [1_u64; 1];
        let [pid, at] = [word(argument, 0), one.as_ptr() as usize];
        attempt(
            "sched_setaffinity",
            libc::SYS_sched_setaffinity,
            &[pid, 8, at],
        )
    }),
    ("sched-realtime", |_| {
        let priority = 99_i32;
        let fifo = libc::SCHED_FIFO as usize;
        let at = &raw const priority as usize;
        attempt(
            "sched_setscheduler",
            libc::SYS_sched_setscheduler,
            &[0, fifo, at],
        )
    }),
    ("ioprio", |_| {
        attempt("ioprio_set", libc::SYS_ioprio_set, &[1, 0, 1 << 13])
    }),
    ("mlockall", |_| {
        attempt("mlockall", libc::SYS_mlockall, &[3])
    }),
    ("prctl-dumpable", |_| prctl(libc::PR_SET_DUMPABLE, 1)),
    ("prctl-new-privileges", |_| {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 0)
    }),
    ("prctl-parent-death-signal", |_| {
        prctl(libc::PR_SET_PDEATHSIG, 0)
    }),
    ("prctl-seccomp", |_| prctl(libc::PR_SET_SECCOMP, 0)),
    ("prctl-ptracer", |_| prctl(libc::PR_SET_PTRACER, usize::MAX)),
    ("prctl-subreaper", |_| {
        prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
    }),
    ("prctl-ambient", |_| prctl(libc::PR_CAP_AMBIENT, 2)),
    ("prctl-name", |_| {
        prctl(libc::PR_SET_NAME, c"innocent".as_ptr() as usize)
    }),
    ("prctl-timer-slack", |_| {
        prctl(libc::PR_SET_TIMERSLACK, usize::MAX)
    }),
    ("prctl-speculation", |_| {
        prctl(libc::PR_SET_SPECULATION_CTRL, 0)
    }),
    // A filter is only ever added, but one that traps or notifies could hide what the first one says.
    ("seccomp-second-filter", |_| {
        // BPF_RET | BPF_K, SECCOMP_RET_ALLOW.
        let program = [0x7fff_0000_0000_0006_u64];
        let filter = [1_usize, program.as_ptr() as usize];
        attempt(
            "seccomp",
            libc::SYS_seccomp,
            &[1, 0, filter.as_ptr() as usize],
        )
    }),
    ("seccomp-notifier", |_| {
        let program = [0x7fc0_0000_0000_0006_u64];
        let filter = [1_usize, program.as_ptr() as usize];
        attempt(
            "seccomp",
            libc::SYS_seccomp,
            &[1, 8, filter.as_ptr() as usize],
        )
    }),
    ("seccomp-strict", |_| {
        attempt("seccomp", libc::SYS_seccomp, &[0, 0, 0])
    }),
    ("personality-read-implies-exec", |_| {
        attempt(
            "personality",
            libc::SYS_personality,
            &[libc::READ_IMPLIES_EXEC as usize],
        )
    }),
    ("personality-no-randomisation", |_| {
        attempt(
            "personality",
            libc::SYS_personality,
            &[libc::ADDR_NO_RANDOMIZE as usize],
        )
    }),
    #[cfg(target_arch = "x86_64")]
    ("arch-prctl", |_| {
        // ARCH_CET_DISABLE or, before it had a name, ARCH_SET_GS.
        attempt("arch_prctl", libc::SYS_arch_prctl, &[0x1001, 0])
    }),
    #[cfg(target_arch = "x86_64")]
    ("modify-ldt", |_| {
        let mut buffer = [0_u8; 256];
        attempt(
            "modify_ldt",
            libc::SYS_modify_ldt,
            &[0, buffer.as_mut_ptr() as usize, 256],
        )
    }),
    #[cfg(target_arch = "x86_64")]
    ("iopl", |_| attempt("iopl", libc::SYS_iopl, &[3])),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", |_| {
        attempt("ioperm", libc::SYS_ioperm, &[0, 1024, 1])
    }),
];

fn prctl(option: i32, value: usize) -> Reached {
    attempt("prctl", libc::SYS_prctl, &[option as usize, value, 0, 0, 0])
}

fn limit(resource: usize) -> Reached {
    let unlimited = UNLIMITED.as_ptr() as usize;
    attempt("prlimit64", libc::SYS_prlimit64, &[0, resource, unlimited])
}
