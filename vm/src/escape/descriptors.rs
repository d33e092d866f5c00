//! Descriptors that it may have been left, and new ones made of its own.

use super::raw::{attempt, call, number};
use super::{word, Attempt, Reached};

pub const ATTEMPTS: &[Attempt] = &[
    ("poll-for-descriptors", |_| poll_all()),
    ("read-descriptor", |argument| {
        let mut buffer = [0_u8; 64];
        let to = buffer.as_mut_ptr() as usize;
        attempt(
            "read",
            libc::SYS_read,
            &[word(argument, 0), to, buffer.len()],
        )
    }),
    ("readv-descriptor", |argument| {
        let mut buffer = [0_u8; 64];
        let part = [buffer.as_mut_ptr() as usize, 64];
        attempt(
            "readv",
            libc::SYS_readv,
            &[word(argument, 0), part.as_ptr() as usize, 1],
        )
    }),
    ("pread-descriptor", |argument| {
        let mut buffer = [0_u8; 64];
        let to = buffer.as_mut_ptr() as usize;
        attempt(
            "pread64",
            libc::SYS_pread64,
            &[word(argument, 0), to, 64, 0],
        )
    }),
    ("write-descriptor", |argument| {
        attempt(
            "write",
            libc::SYS_write,
            &[word(argument, 0), c"x".as_ptr() as usize, 1],
        )
    }),
    ("write-stderr", |_| {
        attempt("write", libc::SYS_write, &[2, c"x".as_ptr() as usize, 1])
    }),
    ("writev-stderr", |_| {
        let part = [c"x".as_ptr() as usize, 1];
        attempt("writev", libc::SYS_writev, &[2, part.as_ptr() as usize, 1])
    }),
    ("write-negative-descriptor", |_| {
        attempt(
            "write",
            libc::SYS_write,
            &[usize::MAX, c"x".as_ptr() as usize, 1],
        )
    }),
    // The kernel reads 32 bits of it: whatever a filter sees in the others, it is descriptor 3.
    ("read-descriptor-3-in-disguise", |_| {
        let mut buffer = [0_u8; 64];
        attempt(
            "read",
            libc::SYS_read,
            &[3 | 1 << 32, buffer.as_mut_ptr() as usize, 64],
        )
    }),
    ("fstat", |_| {
        let mut buffer = [0_u8; 256];
        attempt("fstat", libc::SYS_fstat, &[0, buffer.as_mut_ptr() as usize])
    }),
    ("dup", |_| attempt("dup", libc::SYS_dup, &[0])),
    ("dup3", |_| attempt("dup3", libc::SYS_dup3, &[0, 1, 0])),
    ("fcntl-dup", |_| {
        attempt("fcntl", libc::SYS_fcntl, &[0, libc::F_DUPFD as usize, 5])
    }),
    ("fcntl-owner", |_| {
        attempt("fcntl", libc::SYS_fcntl, &[0, libc::F_SETOWN as usize, 1])
    }),
    ("close-its-socket", |_| {
        attempt("close", libc::SYS_close, &[0])
    }),
    ("close-range", |_| {
        attempt("close_range", libc::SYS_close_range, &[0, 100, 0])
    }),
    ("lseek", |_| attempt("lseek", libc::SYS_lseek, &[0, 0, 0])),
    ("ioctl-tiocsti", |_| {
        attempt(
            "ioctl",
            libc::SYS_ioctl,
            &[0, libc::TIOCSTI as usize, c"x".as_ptr() as usize],
        )
    }),
    ("ioctl-fionread", |_| {
        let mut count = 0_i32;
        attempt(
            "ioctl",
            libc::SYS_ioctl,
            &[0, libc::FIONREAD as usize, &raw mut count as usize],
        )
    }),
    ("pipe", |_| {
        let mut pair = [0_i32; 2];
        attempt("pipe2", libc::SYS_pipe2, &[pair.as_mut_ptr() as usize, 0])
    }),
    ("eventfd", |_| {
        attempt("eventfd2", libc::SYS_eventfd2, &[0, 0])
    }),
    ("epoll", |_| {
        attempt("epoll_create1", libc::SYS_epoll_create1, &[0])
    }),
    ("signalfd", |_| {
        let mask = [u64::MAX];
        attempt(
            "signalfd4",
            libc::SYS_signalfd4,
            &[usize::MAX, mask.as_ptr() as usize, 8, 0],
        )
    }),
    ("sendfile", |_| {
        attempt("sendfile", libc::SYS_sendfile, &[0, 0, 0, 1])
    }),
    ("splice", |_| {
        attempt("splice", libc::SYS_splice, &[0, 0, 0, 0, 1, 0])
    }),
    ("copy-file-range", |_| {
        attempt(
            "copy_file_range",
            libc::SYS_copy_file_range,
            &[0, 0, 0, 0, 1, 0],
        )
    }),
    ("getdents", |_| {
        let mut buffer = [0_u8; 256];
        attempt(
            "getdents64",
            libc::SYS_getdents64,
            &[0, buffer.as_mut_ptr() as usize, 256],
        )
    }),
    // Any call by its number, with zeros: the table of the filter from outside.
    ("call", |argument| {
        let answer = number(word(argument, 0), [0; 6]);
        Reached::Nothing(format!("the call answered {answer}"))
    }),
];

/// Polling is allowed on any number, and tells which are open.
fn poll_all() -> Reached {
    let mut open = Vec::new();
    for descriptor in 0..70_000_i32 {
        let mut set = libc::pollfd {
            fd: descriptor,
            events: 0,
            revents: 0,
        };
        let time = [0_u64; 2];
        let [set_at, time_at] = [&raw mut set as usize, time.as_ptr() as usize];
        let answer = call(libc::SYS_ppoll, &[set_at, 1, time_at, 0, 8]);
        if answer < 0 {
            return Reached::Refused("ppoll".to_owned(), -answer as i32);
        }
        if set.revents & libc::POLLNVAL == 0 {
            open.push(descriptor);
        }
    }
    match open[..] {
        [0] => Reached::Nothing("only descriptor 0 is open".to_owned()),
        _ => Reached::Gained(format!("open descriptors: {open:?}")),
    }
}
