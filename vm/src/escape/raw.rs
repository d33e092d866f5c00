//! System calls without the C library, which would refuse some of them itself.

use super::Reached;

/// Makes a system call. The kernel, not the compiler, decides what the numbers mean: nothing here is checked.
///
/// Returns what the kernel does: a negative error number when it refuses.
#[cfg(target_arch = "x86_64")]
pub fn number(call: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: none at all, on purpose: what the kernel does to this process is what is tried.
    unsafe {
        std::arch::asm!(
            "syscall", inlateout("rax") call => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack)
        );
    }
    result
}

/// As above.
#[cfg(target_arch = "aarch64")]
pub fn number(call: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "svc 0", in("x8") call, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            in("x5") f, options(nostack)
        );
    }
    result
}

/// Makes a system call with the arguments given and zeros for the rest.
pub fn call(call: libc::c_long, arguments: &[usize]) -> isize {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    number(call as usize, all)
}

/// An attempt that is one system call: not to be refused is to have gained something.
pub fn attempt(name: &str, number: libc::c_long, arguments: &[usize]) -> Reached {
    reached(name, call(number, arguments))
}

/// What the answer of the kernel means.
pub fn reached(name: &str, answer: isize) -> Reached {
    match answer {
        0.. => Reached::Gained(format!("{name} returned {answer}")),
        _ => Reached::Refused(name.to_owned(), -answer as i32),
    }
}
