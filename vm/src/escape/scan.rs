//! What other scripts may have left in the memory that all children come from.

use super::raw::call;
use super::{Attempt, Reached};

const PAGE: usize = 4096;
/// Mappings that lie no farther apart than this are found from one another.
const GAP_PAGES: usize = 1 << 15;
/// Text of the zygote's own that is certainly there: to find it proves the search.
const CONTROL: &[u8] = b"Touches what most scripts touch";

pub const ATTEMPTS: &[Attempt] = &[
    ("search-memory", |secret| search(secret)),
    ("layout", |_| {
        let code = search as *const () as usize;
        Reached::Nothing(format!("its code is at {code:#x}"))
    }),
];

/// Looks for a secret, given backwards so that the argument itself is not found.
fn search(secret: &str) -> Reached {
    let (mut bytes, mut regions, mut controls) = (0, 0, 0);
    for (start, end) in readable() {
        // SAFETY: the pages were just seen to be readable, and this is the only thread.
        let memory = unsafe { std::slice::from_raw_parts(start as *const u8, end - start) };
        if let Some(at) = backwards(memory, secret.as_bytes()) {
            return Reached::Gained(format!("a secret of another script at {:#x}", start + at));
        }
        controls += usize::from(memory.windows(CONTROL.len()).any(|part| part == CONTROL));
        bytes += memory.len();
        regions += 1;
    }
    match controls {
        0 => Reached::Gained("the search is no good: it did not find what is there".to_owned()),
        _ => Reached::Nothing(format!("{bytes} bytes in {regions} regions hold no secret")),
    }
}

fn backwards(memory: &[u8], secret: &[u8]) -> Option<usize> {
    let first = secret.last()?;
    memory
        .windows(secret.len())
        .position(|part| part[0] == *first && part.iter().eq(secret.iter().rev()))
}

/// Regions around everything that it knows an address of.
fn readable() -> Vec<(usize, usize)> {
    // Kept, so that what was found to be readable stays so.
    let on_heap = Box::leak(Box::new(0_u8));
    let large = vec![0_u8; 1 << 20].leak();
    let known = [
        &raw const *on_heap as usize,
        large.as_ptr() as usize,
        call(libc::SYS_brk, &[0]) as usize - PAGE,
        CONTROL.as_ptr() as usize,
        readable as *const () as usize,
        libc::getrandom as *const () as usize,
        libc::clock_gettime as *const () as usize,
    ];
    let mut regions: Vec<(usize, usize)> = Vec::new();
    for place in known {
        let page = place & !(PAGE - 1);
        for step in [PAGE as isize, -(PAGE as isize)] {
            walk(page, step, &mut regions);
        }
    }
    // Upwards only: to ask for the page below a stack is to have it.
    let on_stack = &raw const regions as usize & !(PAGE - 1);
    walk(on_stack, PAGE as isize, &mut regions);
    regions.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (start, end) in regions {
        match merged.last_mut() {
            Some((_, last)) if *last >= start => *last = (*last).max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

fn walk(from: usize, step: isize, regions: &mut Vec<(usize, usize)>) {
    let (mut page, mut missing) = (from, 0);
    while missing < GAP_PAGES {
        if let Some((start, end)) = regions
            .iter()
            .find(|(start, end)| (*start..*end).contains(&page))
        {
            page = if step > 0 {
                *end
            } else {
                start.wrapping_sub(PAGE)
            };
            missing = 0;
            continue;
        }
        if is_readable(page) {
            missing = 0;
            match regions
                .iter_mut()
                .find(|(start, end)| *end == page || *start == page + PAGE)
            {
                Some(region) if region.1 == page => region.1 += PAGE,
                Some(region) => region.0 = page,
                None => regions.push((page, page + PAGE)),
            }
        } else {
            missing += 1;
        }
        page = page.wrapping_add_signed(step);
    }
}

/// Asks the kernel to wait for a word to change that is not what it is said to be: it has to read it.
fn is_readable(page: usize) -> bool {
    const EFAULT: isize = -(libc::EFAULT as isize);
    let now = [0_u64; 2];
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let ask = |value| {
        call(
            libc::SYS_futex,
            &[page, operation, value, now.as_ptr() as usize],
        )
    };
    page != 0 && ask(0x5a5a_1234) != EFAULT
}
