//! How many processes the scripts of Development have at once, all together: what one of them starts without end is to
//! leave room for the server and for everybody else.

use crate::jail::inherited;

/// Of what the machine can number, and of the threads that it can have.
const SHARE_OF_MACHINE: u64 = 4;
/// Of what the user may have, who perhaps runs the server as well.
const SHARE_OF_USER: u64 = 2;

/// Bounds the processes and threads of this user in this user namespace, and returns how many there may be.
pub fn bound() -> Result<u64, String> {
    let mut most = share(inherited::soft_limit(libc::RLIMIT_NPROC)?, SHARE_OF_USER);
    for file in ["pid_max", "threads-max"] {
        let read = std::fs::read_to_string(format!("/proc/sys/kernel/{file}"));
        let number = read.ok().and_then(|text| text.trim().parse().ok());
        // A container may hide them; its own bound stays.
        most = most.min(share(
            number.unwrap_or(libc::RLIM_INFINITY),
            SHARE_OF_MACHINE,
        ));
    }
    inherited::set_limit(libc::RLIMIT_NPROC, most)
        .map_err(|error| format!("cannot set RLIMIT_NPROC to {most}: {error}"))?;
    Ok(most)
}

fn share(of: u64, parts: u64) -> u64 {
    if of == libc::RLIM_INFINITY {
        of
    } else {
        (of / parts).max(1)
    }
}
