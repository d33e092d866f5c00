//! Names a failed allocation as what it was.
//!
//! Stable Rust has no hook for `handle_alloc_error`, which ends in the C function `abort`, as do panics that cannot
//! unwind. So the allocator remembers whether its last answer was null, which fallible callers (all of Rune's) may well
//! get and survive, and an `abort` of our own turns that into an exit code. Without it, abort would raise a signal, which
//! the filter forbids, and every such end would look like an attack.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(not(any(test, feature = "fuzz")))]
use crate::exit;

#[global_allocator]
static ALLOCATOR: Remembering = Remembering;

static LAST_WAS_NULL: AtomicBool = AtomicBool::new(false);

struct Remembering;

fn remember(pointer: *mut u8) -> *mut u8 {
    LAST_WAS_NULL.store(pointer.is_null(), Ordering::Relaxed);
    pointer
}

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Remembering {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        remember(System.alloc(layout))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        remember(System.alloc_zeroed(layout))
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        remember(System.realloc(pointer, layout, new_size))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        System.dealloc(pointer, layout);
    }
}

/// Takes the place of the C library's function for the Rust code of this program.
#[cfg(not(any(test, feature = "fuzz")))]
#[no_mangle]
extern "C" fn abort() -> ! {
    exit::now(if LAST_WAS_NULL.load(Ordering::Relaxed) {
        exit::OUT_OF_MEMORY
    } else {
        exit::PANIC
    })
}

/// Gives back what was only needed to get ready: every child has page tables for what is kept.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Fixes the settings of glibc's allocator, before the first fork.
pub fn configure() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers.
    unsafe {
        // A second arena would need mprotect, which the filter forbids.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
