//! Capabilities: parts of root's power. Zygote and broker give up all of them, and ways to get some back.

use std::io::Error;

/// The layout of version 3, which every kernel since 2.6.26 knows: a header, and two words of each set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

// From linux/securebits.h: each bit, and above it the one that locks it.
const NO_ROOT: u64 = 0b11;
const SETUID_FIXUP_STAYS: u64 = 0b10 << 2;
const NO_KEEP_CAPS: u64 = 0b10 << 4;
const NO_AMBIENT_RAISE: u64 = 0b11 << 6;

/// Above the last capability that any kernel may come to have.
const MOST: libc::c_ulong = 64;

/// Empties the bounding set and locks the bits by which a user could be root again, where that is allowed.
pub fn lock() {
    empty_bounding_set();
    let bits = NO_ROOT | SETUID_FIXUP_STAYS | NO_KEEP_CAPS | NO_AMBIENT_RAISE;
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
}

/// Empties the bounding set, where that is allowed.
pub fn empty_bounding_set() {
    // SAFETY: numbers only.
    unsafe {
        for capability in 0..MOST {
            match libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) {
                0 => {}
                1 => {
                    libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
                }
                _ => break,
            }
        }
    }
}

/// Gives up all capabilities. Returns whether the bounding set is empty, too; it stays when nothing allows to change it.
pub fn drop_all() -> Result<bool, String> {
    lock();
    give_up().map_err(|error| format!("cannot give up capabilities: {error}"))?;
    // SAFETY: numbers only.
    let is_bound =
        |capability: libc::c_ulong| unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } == 1;
    Ok(!(0..MOST).any(is_bound))
}

/// Gives up all that this process has, and leaves what bounds those that it could get.
pub fn give_up() -> Result<(), Error> {
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let none = [Sets::default(); 2];
    let mut left = none;
    // SAFETY: the structures live in this frame and have the layout of the version.
    unsafe {
        // Kernels before 4.3 know no ambient set, so have none.
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
            0,
            0,
            0,
        );
        if libc::syscall(libc::SYS_capset, &header, none.as_ptr()) != 0
            || libc::syscall(libc::SYS_capget, &mut header, left.as_mut_ptr()) != 0
        {
            return Err(Error::last_os_error());
        }
    }
    if left != none {
        return Err(Error::other("some are left"));
    }
    Ok(())
}
