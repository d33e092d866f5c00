//! Memory that runs, memory that is not its own, and more memory than it may have.

use super::raw::{attempt, call, reached};
use super::{word, Attempt, Reached};

const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const EVERYTHING: usize = READ_WRITE | libc::PROT_EXEC as usize;
const PRIVATE: usize = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
const NO_FILE: usize = usize::MAX;
const PAGE: usize = 4096;

/// Code that returns 42.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[0xb8, 42, 0, 0, 0, 0xc3];
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6];

pub const ATTEMPTS: &[Attempt] = &[
    ("mmap-executable", |_| map(EVERYTHING, PRIVATE)),
    ("mmap-executable-in-disguise", |_| {
        map(READ_WRITE | 1 << 32 | 4, PRIVATE)
    }),
    ("mmap-grows-up-protection", |_| {
        map(READ_WRITE | 0x0200_0000, PRIVATE)
    }),
    ("mmap-shared", |_| {
        map(
            READ_WRITE,
            (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as usize,
        )
    }),
    ("mmap-fixed", |_| {
        map(READ_WRITE, PRIVATE | libc::MAP_FIXED as usize)
    }),
    ("mmap-grows-down", |_| {
        map(READ_WRITE, PRIVATE | libc::MAP_GROWSDOWN as usize)
    }),
    ("mmap-huge", |_| {
        map(READ_WRITE, PRIVATE | libc::MAP_HUGETLB as usize)
    }),
    ("mmap-locked", |_| {
        map(READ_WRITE, PRIVATE | libc::MAP_LOCKED as usize)
    }),
    ("mmap-its-socket", |_| {
        let kind = libc::MAP_PRIVATE as usize;
        attempt("mmap", libc::SYS_mmap, &[0, PAGE, READ_WRITE, kind, 0, 0])
    }),
    ("mprotect-executable", |_| {
        let page = new_page();
        attempt("mprotect", libc::SYS_mprotect, &[page, PAGE, EVERYTHING])
    }),
    ("mprotect-its-code", |_| {
        let code = new_page as *const () as usize & !(PAGE - 1);
        attempt("mprotect", libc::SYS_mprotect, &[code, PAGE, EVERYTHING])
    }),
    ("pkey-mprotect-executable", |_| {
        let page = new_page();
        attempt(
            "pkey_mprotect",
            libc::SYS_pkey_mprotect,
            &[page, PAGE, EVERYTHING, usize::MAX],
        )
    }),
    ("pkey-alloc", |_| {
        attempt("pkey_alloc", libc::SYS_pkey_alloc, &[0, 0])
    }),
    ("mremap-fixed-over-code", |_| {
        let code = new_page as *const () as usize & !(PAGE - 1);
        attempt(
            "mremap",
            libc::SYS_mremap,
            &[new_page(), PAGE, PAGE, 3, code],
        )
    }),
    ("mremap-dontunmap", |_| {
        attempt("mremap", libc::SYS_mremap, &[new_page(), PAGE, PAGE, 5, 0])
    }),
    ("remap-file-pages", |_| {
        attempt(
            "remap_file_pages",
            libc::SYS_remap_file_pages,
            &[new_page(), PAGE, 0, 0, 0],
        )
    }),
    ("madvise-mergeable", |_| {
        // Pages shared between processes by content can be told by timing.
        let mergeable = libc::MADV_MERGEABLE as usize;
        attempt("madvise", libc::SYS_madvise, &[new_page(), PAGE, mergeable])
    }),
    ("madvise-poison", |_| {
        attempt(
            "madvise",
            libc::SYS_madvise,
            &[new_page(), PAGE, libc::MADV_HWPOISON as usize],
        )
    }),
    ("mlock", |_| {
        attempt("mlock", libc::SYS_mlock, &[new_page(), PAGE])
    }),
    ("mincore", |_| {
        let mut state = [0_u8; 1];
        attempt(
            "mincore",
            libc::SYS_mincore,
            &[new_page(), PAGE, state.as_mut_ptr() as usize],
        )
    }),
    ("run-code-on-the-heap", |_| {
        run_code(Box::leak(Box::new([0_u8; 64])).as_mut_ptr() as usize)
    }),
    ("run-code-on-the-stack", |_| {
        let mut place = [0_u8; 64];
        run_code(place.as_mut_ptr() as usize)
    }),
    ("run-code-in-a-mapping", |_| run_code(new_page())),
    ("run-code-behind-the-break", |_| {
        let end = call(libc::SYS_brk, &[0]) as usize;
        call(libc::SYS_brk, &[end + PAGE]);
        run_code(end)
    }),
    ("overwrite-its-code", |_| {
        overwrite(run_code as *const () as usize)
    }),
    ("overwrite-its-constants", |_| {
        overwrite(ATTEMPTS.as_ptr() as usize)
    }),
    ("read-the-kernel", |_| {
        let place = std::hint::black_box(0xffff_8880_0000_0000_usize) as *const u64;
        // SAFETY: none, on purpose.
        let seen = unsafe { place.read_volatile() };
        Reached::Gained(format!("{seen:#x}"))
    }),
    ("getrandom-into-its-code", |_| {
        // The kernel writes for it, where it may not.
        let code = run_code as *const () as usize;
        attempt("getrandom", libc::SYS_getrandom, &[code, 16, 0])
    }),
    ("hog-by-mmap", |argument| hog(word(argument, 0), by_mmap)),
    ("hog-by-brk", |argument| hog(word(argument, 0), by_brk)),
    ("hog-by-mremap", |argument| {
        let mut size = 1 << 20;
        let mut place = call(libc::SYS_mmap, &[0, size, READ_WRITE, PRIVATE, NO_FILE, 0]);
        while place > 0 {
            fill(place as usize, size);
            let moved = call(
                libc::SYS_mremap,
                &[place as usize, size, size + (1 << 20), 1],
            );
            if moved < 0 {
                return bounded(size, word(argument, 0));
            }
            size += 1 << 20;
            place = moved;
        }
        reached("mmap", place)
    }),
    ("hog-by-reservation", |_| {
        let (kind, size) = (PRIVATE | libc::MAP_NORESERVE as usize, 1 << 40);
        attempt(
            "mmap",
            libc::SYS_mmap,
            &[0, size, READ_WRITE, kind, NO_FILE, 0],
        )
    }),
    ("hog-by-many-mappings", |argument| {
        // Each one alone, so that they cannot be merged: every second page goes again.
        let mut count = 0_usize;
        loop {
            let place = call(
                libc::SYS_mmap,
                &[0, 2 * PAGE, READ_WRITE, PRIVATE, NO_FILE, 0],
            );
            if place < 0 {
                return bounded(count * PAGE, word(argument, 0));
            }
            call(libc::SYS_munmap, &[place as usize, PAGE]);
            fill(place as usize + PAGE, PAGE);
            count += 1;
        }
    }),
    ("hog-by-the-allocator", |_| {
        let mut kept = Vec::new();
        loop {
            kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }),
    ("hog-by-recursion", |_| {
        Reached::Nothing(deeper(0).to_string())
    }),
];

fn map(protection: usize, kind: usize) -> Reached {
    attempt(
        "mmap",
        libc::SYS_mmap,
        &[0, PAGE, protection, kind, NO_FILE, 0],
    )
}

fn new_page() -> usize {
    call(libc::SYS_mmap, &[0, PAGE, READ_WRITE, PRIVATE, NO_FILE, 0]) as usize
}

fn run_code(place: usize) -> Reached {
    // SAFETY: none, on purpose: this is what an attacker would do.
    unsafe {
        std::ptr::copy_nonoverlapping(CODE.as_ptr(), place as *mut u8, CODE.len());
        let code: extern "C" fn() -> i32 = std::mem::transmute(place);
        Reached::Gained(format!("its own code ran and returned {}", code()))
    }
}

fn overwrite(place: usize) -> Reached {
    // SAFETY: as above.
    unsafe { (place as *mut u8).write_volatile(0xcc) };
    Reached::Gained("read-only memory was overwritten".to_owned())
}

fn by_mmap() -> Option<(usize, usize)> {
    let kind = PRIVATE | libc::MAP_NORESERVE as usize;
    let place = call(libc::SYS_mmap, &[0, 1 << 20, READ_WRITE, kind, NO_FILE, 0]);
    (place > 0).then_some((place as usize, 1 << 20))
}

fn by_brk() -> Option<(usize, usize)> {
    let end = call(libc::SYS_brk, &[0]) as usize;
    let now = call(libc::SYS_brk, &[end + (1 << 20)]) as usize;
    (now > end).then_some((end, 1 << 20))
}

/// Takes and touches memory until no more is given.
fn hog(allowed: usize, take: fn() -> Option<(usize, usize)>) -> Reached {
    let mut taken = 0;
    while let Some((place, size)) = take() {
        fill(place, size);
        taken += size;
    }
    bounded(taken, allowed)
}

fn bounded(taken: usize, allowed: usize) -> Reached {
    match taken <= allowed {
        true => Reached::Nothing(format!("no more than {taken} bytes were given")),
        false => Reached::Gained(format!("{taken} bytes, where {allowed} are allowed")),
    }
}

fn fill(place: usize, size: usize) {
    for page in (place..place + size).step_by(PAGE) {
        // SAFETY: it was just mapped.
        unsafe { (page as *mut u8).write_volatile(1) };
    }
}

#[allow(unconditional_recursion)]
#[inline(never)]
fn deeper(level: u64) -> u64 {
    let frame = std::hint::black_box([level; 64]);
    deeper(level + 1) + std::hint::black_box(&frame)[1]
}
