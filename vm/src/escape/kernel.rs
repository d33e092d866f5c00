//! Parts of the kernel that attackers like, and other doors into it.

#[cfg(target_arch = "x86_64")]
use super::raw::number;
use super::raw::{attempt, call};
use super::{Attempt, Reached};

const ROOT: *const libc::c_char = c"/".as_ptr();
const TMP: *const libc::c_char = c"/tmp".as_ptr();

pub const ATTEMPTS: &[Attempt] = &[
    ("io-uring", |_| {
        let mut parameters = [0_u64; 15];
        let at = parameters.as_mut_ptr() as usize;
        attempt("io_uring_setup", libc::SYS_io_uring_setup, &[8, at])
    }),
    ("io-uring-enter", |_| {
        attempt(
            "io_uring_enter",
            libc::SYS_io_uring_enter,
            &[0, 1, 0, 0, 0, 0],
        )
    }),
    ("aio", |_| {
        let mut context = 0_usize;
        attempt(
            "io_setup",
            libc::SYS_io_setup,
            &[8, &raw mut context as usize],
        )
    }),
    ("bpf", |_| {
        let map = [
            0x0000_0004_0000_0002_u64,
            0x0000_0001_0000_0004,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        attempt("bpf", libc::SYS_bpf, &[0, map.as_ptr() as usize, 64])
    }),
    ("userfaultfd", |_| {
        attempt("userfaultfd", libc::SYS_userfaultfd, &[1])
    }),
    ("perf-event-open", |_| {
        let mut event = [0_u64; 16];
        event[0] = 1 | 128 << 32;
        let [at, anywhere] = [event.as_ptr() as usize, usize::MAX];
        attempt(
            "perf_event_open",
            libc::SYS_perf_event_open,
            &[at, 0, anywhere, anywhere, 0],
        )
    }),
    ("keyctl", |_| {
        attempt("keyctl", libc::SYS_keyctl, &[0, -3_isize as usize, 1])
    }),
    ("add-key", |_| {
        let text = c"user".as_ptr() as usize;
        attempt(
            "add_key",
            libc::SYS_add_key,
            &[text, text, text, 4, -3_isize as usize],
        )
    }),
    ("request-key", |_| {
        let text = c"user".as_ptr() as usize;
        attempt("request_key", libc::SYS_request_key, &[text, text, 0, 0])
    }),
    ("unshare-user", |_| {
        attempt(
            "unshare",
            libc::SYS_unshare,
            &[libc::CLONE_NEWUSER as usize],
        )
    }),
    ("unshare-mount", |_| {
        attempt("unshare", libc::SYS_unshare, &[libc::CLONE_NEWNS as usize])
    }),
    ("unshare-network", |_| {
        attempt("unshare", libc::SYS_unshare, &[libc::CLONE_NEWNET as usize])
    }),
    ("unshare-processes", |_| {
        attempt("unshare", libc::SYS_unshare, &[libc::CLONE_NEWPID as usize])
    }),
    ("setns", |_| attempt("setns", libc::SYS_setns, &[0, 0])),
    ("setns-user", |_| {
        attempt("setns", libc::SYS_setns, &[0, libc::CLONE_NEWUSER as usize])
    }),
    ("mount-proc", |_| {
        let kind = c"proc".as_ptr() as usize;
        attempt("mount", libc::SYS_mount, &[kind, ROOT as usize, kind, 0, 0])
    }),
    ("mount-cgroup", |_| {
        let kind = c"cgroup2".as_ptr() as usize;
        attempt("mount", libc::SYS_mount, &[kind, ROOT as usize, kind, 0, 0])
    }),
    ("mount", |_| {
        let kind = c"tmpfs".as_ptr() as usize;
        attempt("mount", libc::SYS_mount, &[kind, TMP as usize, kind, 0, 0])
    }),
    ("umount", |_| {
        attempt("umount2", libc::SYS_umount2, &[TMP as usize, 2])
    }),
    ("fsopen", |_| {
        attempt("fsopen", libc::SYS_fsopen, &[c"tmpfs".as_ptr() as usize, 0])
    }),
    ("open-tree", |_| {
        let here = libc::AT_FDCWD as usize;
        attempt("open_tree", libc::SYS_open_tree, &[here, ROOT as usize, 1])
    }),
    ("move-mount", |_| {
        let (here, root, tmp) = (libc::AT_FDCWD as usize, ROOT as usize, TMP as usize);
        attempt(
            "move_mount",
            libc::SYS_move_mount,
            &[here, root, here, tmp, 0],
        )
    }),
    ("pivot-root", |_| {
        attempt(
            "pivot_root",
            libc::SYS_pivot_root,
            &[TMP as usize, TMP as usize],
        )
    }),
    ("chroot", |_| {
        attempt("chroot", libc::SYS_chroot, &[TMP as usize])
    }),
    ("init-module", |_| {
        attempt("init_module", libc::SYS_init_module, &[0, 0, ROOT as usize])
    }),
    ("finit-module", |_| {
        attempt(
            "finit_module",
            libc::SYS_finit_module,
            &[0, ROOT as usize, 0],
        )
    }),
    ("kexec", |_| {
        attempt("kexec_load", libc::SYS_kexec_load, &[0, 0, 0, 0])
    }),
    ("reboot", |_| {
        // The switch that decides what Ctrl-Alt-Delete does, and not a restart.
        attempt(
            "reboot",
            libc::SYS_reboot,
            &[0xfee1_dead, 672_274_793, 0, 0],
        )
    }),
    ("swapon", |_| {
        attempt("swapon", libc::SYS_swapon, &[TMP as usize, 0])
    }),
    ("sethostname", |_| {
        attempt("sethostname", libc::SYS_sethostname, &[TMP as usize, 4])
    }),
    ("syslog", |_| {
        let mut buffer = [0_u8; 256];
        attempt(
            "syslog",
            libc::SYS_syslog,
            &[3, buffer.as_mut_ptr() as usize, 256],
        )
    }),
    ("acct", |_| attempt("acct", libc::SYS_acct, &[0])),
    ("uname", |_| {
        let mut buffer = [0_u8; 512];
        attempt("uname", libc::SYS_uname, &[buffer.as_mut_ptr() as usize])
    }),
    ("landlock", |_| {
        attempt(
            "landlock_create_ruleset",
            libc::SYS_landlock_create_ruleset,
            &[0, 0, 1],
        )
    }),
    ("shmget", |_| {
        attempt("shmget", libc::SYS_shmget, &[0x1234, 4096, 0o1666])
    }),
    ("semget", |_| {
        attempt("semget", libc::SYS_semget, &[0x1234, 1, 0o1666])
    }),
    ("msgget", |_| {
        attempt("msgget", libc::SYS_msgget, &[0x1234, 0o1666])
    }),
    ("mq-open", |_| {
        attempt(
            "mq_open",
            libc::SYS_mq_open,
            &[c"escape".as_ptr() as usize, 0o102, 0o666, 0],
        )
    }),
    ("membarrier", |_| {
        attempt("membarrier", libc::SYS_membarrier, &[1, 0, 0])
    }),
    ("rseq", |_| {
        let mut area = [0_u64; 8];
        attempt(
            "rseq",
            libc::SYS_rseq,
            &[area.as_mut_ptr() as usize, 32, 0, 0x5305_3053],
        )
    }),
    ("restart-syscall", |_| {
        let answer = call(libc::SYS_restart_syscall, &[]);
        Reached::Nothing(format!("there was nothing to restart: {answer}"))
    }),
    ("futex-of-others", |_| {
        // Without the private flag: by the page, so across processes.
        let mut word = 0_u32;
        attempt(
            "futex",
            libc::SYS_futex,
            &[&raw mut word as usize, libc::FUTEX_WAKE as usize, 1],
        )
    }),
    ("futex-requeue-pi", |_| {
        let mut word = [0_u32; 2];
        let (at, operation) = (
            word.as_mut_ptr() as usize,
            libc::FUTEX_CMP_REQUEUE_PI as usize,
        );
        attempt("futex", libc::SYS_futex, &[at, operation, 1, 1, at + 4, 0])
    }),
    #[cfg(target_arch = "x86_64")]
    ("x32-openat", |_| x32(libc::SYS_openat as usize)),
    #[cfg(target_arch = "x86_64")]
    ("x32-read", |_| x32(libc::SYS_read as usize)),
    #[cfg(target_arch = "x86_64")]
    ("x32-execve", |_| x32(520)),
    #[cfg(target_arch = "x86_64")]
    ("int80-getpid", |_| int80(20)),
    #[cfg(target_arch = "x86_64")]
    ("int80-open", |_| int80(5)),
    #[cfg(target_arch = "x86_64")]
    // In the other table this is read, which the filter would let pass.
    ("int80-exit-as-read", |_| int80(0)),
    #[cfg(target_arch = "x86_64")]
    ("number-in-disguise", |_| {
        let answer = number(libc::SYS_getpid as usize | 1 << 32, [0; 6]);
        super::raw::reached("getpid", answer)
    }),
    #[cfg(target_arch = "x86_64")]
    ("vsyscall-time", |_| {
        // The old fixed page: gettimeofday without a call.
        let mut time = [0_i64; 2];
        // SAFETY: either the page is there, or the process ends.
        let answer = unsafe {
            let door: extern "C" fn(*mut i64, usize) -> isize =
                std::mem::transmute(0xffff_ffff_ff60_0000_usize);
            door(time.as_mut_ptr(), 0)
        };
        Reached::Gained(format!("vsyscall answered {answer}: {time:?}"))
    }),
];

#[cfg(target_arch = "x86_64")]
fn x32(call: usize) -> Reached {
    super::raw::reached("x32", number(call | 0x4000_0000, [0; 6]))
}

/// The door of 32-bit programs, with numbers of another table.
#[cfg(target_arch = "x86_64")]
fn int80(call: usize) -> Reached {
    let answer: isize;
    // SAFETY: what the kernel makes of it is what is tried. LLVM keeps rbx for itself.
    unsafe {
        std::arch::asm!(
            "mov r12, rbx", "xor ebx, ebx", "int 0x80", "mov rbx, r12",
            inlateout("rax") call => answer, in("rcx") 0, in("rdx") 0, in("rsi") 0, in("rdi") 0, out("r12") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _
        );
    }
    super::raw::reached("int80", answer as i32 as isize)
}
