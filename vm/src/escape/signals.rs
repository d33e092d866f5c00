//! Deafness to the signals that say that time is over.

use super::raw::attempt;
use super::{Attempt, Reached};

pub const ATTEMPTS: &[Attempt] = &[
    ("ignore-sigxcpu", |_| ignore(libc::SIGXCPU)),
    ("ignore-sigprof", |_| ignore(libc::SIGPROF)),
    ("ignore-the-zygotes-warning", |_| {
        ignore(crate::child::deadline::WALL_TIME)
    }),
    ("block-all-signals", |_| {
        let all = [u64::MAX];
        attempt(
            "rt_sigprocmask",
            libc::SYS_rt_sigprocmask,
            &[2, all.as_ptr() as usize, 0, 8],
        )
    }),
    ("sigaltstack", |_| {
        let disabled = [0_u64, 2, 0];
        attempt(
            "sigaltstack",
            libc::SYS_sigaltstack,
            &[disabled.as_ptr() as usize, 0],
        )
    }),
    ("wait-for-signals", |_| {
        let all = [u64::MAX];
        attempt(
            "rt_sigsuspend",
            libc::SYS_rt_sigsuspend,
            &[all.as_ptr() as usize, 8],
        )
    }),
    #[cfg(target_arch = "x86_64")]
    ("block-all-signals-by-a-forged-return", |_| {
        forged::block_all()
    }),
];

fn ignore(signal: i32) -> Reached {
    let action = [libc::SIG_IGN as u64, 0, 0, 0];
    let at = action.as_ptr() as usize;
    attempt(
        "rt_sigaction",
        libc::SYS_rt_sigaction,
        &[signal as usize, at, 0, 8],
    )
}

#[cfg(target_arch = "x86_64")]
mod forged {
    use super::Reached;

    /// A return from a signal handler that never ran may set the mask of signals, and it is an allowed call.
    pub fn block_all() -> Reached {
        let stack = Box::leak(Box::new([0_u64; 4096]));
        // SAFETY: the structure is plain numbers; what the kernel makes of it is what is tried.
        unsafe {
            let mut context: libc::ucontext_t = std::mem::zeroed();
            let registers = &mut context.uc_mcontext.gregs;
            registers[libc::REG_RIP as usize] = spin as *const () as i64;
            registers[libc::REG_RSP as usize] = stack.as_mut_ptr().add(2048) as i64;
            registers[libc::REG_EFL as usize] = 0x202;
            // The code segment of 64-bit programs, and the stack segment.
            registers[libc::REG_CSGSFS as usize] = 0x002b_0000_0000_0033;
            (&raw mut context.uc_sigmask).cast::<u64>().write(u64::MAX);
            std::arch::asm!(
                "mov rsp, {context}", "mov eax, 15", "syscall", "ud2",
                context = in(reg) &raw const context, options(noreturn)
            );
        }
    }

    extern "C" fn spin() -> ! {
        loop {
            std::hint::spin_loop();
        }
    }
}
