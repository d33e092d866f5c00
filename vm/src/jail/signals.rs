//! Handlers that end a child with a code that says why. They are set on the zygote and handed down by fork, with the
//! stack they run on.

use std::ffi::{c_int, c_void};
use std::ptr::{addr_of_mut, null_mut};

use crate::child::deadline;
use crate::exit;

/// Enough for the largest register state that today's processors save on a signal, several times over.
const STACK_BYTES: usize = 64 * 1024;

#[repr(align(64))]
struct HandlerStack(#[allow(dead_code)] [u8; STACK_BYTES]);

static mut HANDLER_STACK: HandlerStack = HandlerStack([0; STACK_BYTES]);

/// How far from the stack pointer an overflow faults: large frames are probed page by page, so within a page below it;
/// this is generous.
const OVERFLOW_DISTANCE: usize = 64 * 1024;

/// Sets handlers and alternate stack.
pub fn install() -> Result<(), String> {
    let error = |what| format!("cannot set {what}: {}", std::io::Error::last_os_error());
    // SAFETY: the stack is static and used by nothing else; the handlers call only async-signal-safe functions.
    unsafe {
        let stack = libc::stack_t {
            ss_sp: addr_of_mut!(HANDLER_STACK) as *mut c_void,
            ss_flags: 0,
            ss_size: STACK_BYTES,
        };
        if libc::sigaltstack(&stack, null_mut()) != 0 {
            return Err(error("the signal stack"));
        }
        let fault = on_fault as unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        let cpu_time = on_cpu_time as extern "C" fn(c_int);
        let passed =
            deadline::on_passed as unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // The server stops by closing the socket. The polite signals reach a whole group or service at once, and must
        // not take the scripts from a server that is still draining.
        let ignored = [
            libc::SIGPIPE,
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGQUIT,
        ];
        let handlers = [
            (libc::SIGSEGV, fault as usize, libc::SA_SIGINFO),
            (libc::SIGBUS, fault as usize, libc::SA_SIGINFO),
            (libc::SIGXCPU, cpu_time as usize, 0),
            (libc::SIGPROF, cpu_time as usize, 0),
            (deadline::WALL_TIME, passed as usize, libc::SA_SIGINFO),
            (deadline::CPU_TIME, passed as usize, libc::SA_SIGINFO),
        ];
        for (signal, handler, flags) in handlers
            .into_iter()
            .chain(ignored.map(|signal| (signal, libc::SIG_IGN, 0)))
        {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler;
            action.sa_flags = flags | libc::SA_ONSTACK;
            if libc::sigaction(signal, &action, null_mut()) != 0 {
                return Err(error("a signal handler"));
            }
        }
    }
    Ok(())
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let fault = (*info).si_addr() as usize;
    let stack = stack_pointer(&*(context as *const libc::ucontext_t));
    let overflow = signal == libc::SIGSEGV && fault.abs_diff(stack) <= OVERFLOW_DISTANCE;
    exit::now(if overflow {
        exit::STACK_OVERFLOW
    } else {
        exit::MEMORY_FAULT
    })
}

extern "C" fn on_cpu_time(_signal: c_int) {
    exit::now(exit::CPU_TIME)
}

#[cfg(target_arch = "x86_64")]
fn stack_pointer(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize
}

#[cfg(target_arch = "aarch64")]
fn stack_pointer(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.sp as usize
}
