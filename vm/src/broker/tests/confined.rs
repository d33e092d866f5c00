//! What the broker takes from itself is gone: each attempt in a fork of its own.

use super::super::confine;
use super::{read, setup, write, Ground, Outcome};

/// The wait status of a fork that confines itself and then runs `attempt`.
fn confined(attempt: fn(&Ground) -> i32) -> libc::c_int {
    let ground = Ground::new();
    // SAFETY: what runs in the fork allocates, which the C library of this platform makes safe after a fork; it leaves by
    // _exit alone.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            // A test's bounds would be those of a broker; its threads are not here.
            let setup = setup(&ground.base);
            let done = confine::give_up_rights(&setup)
                .and_then(|()| confine::restrict(&ground.roots))
                .and_then(|layers| {
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                    confine::forbid_the_rest().map(|()| layers)
                });
            libc::_exit(match done {
                Ok(_) => attempt(&ground),
                Err(_) => 99,
            });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        status
    }
}

fn open_outside() -> i32 {
    let path = c"/etc/passwd";
    let how: [u64; 3] = [libc::O_RDONLY as u64, 0, 0];
    // SAFETY: a static string and an array of the kernel's layout.
    unsafe {
        let opened = libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            how.as_ptr(),
            std::mem::size_of_val(&how),
        );
        match opened {
            -1 => *libc::__errno_location(),
            _ => 0,
        }
    }
}

#[test]
fn confined_it_still_works_below_the_roots() {
    let status = confined(|ground| match ground.do_it(write("f", b"data", false)) {
        Outcome::Done(_) => match ground.do_it(read("f")) {
            Outcome::Data(data) if data == b"data" => 42,
            _ => 2,
        },
        _ => 1,
    });
    assert!(libc::WIFEXITED(status));
    assert_eq!(libc::WEXITSTATUS(status), 42);
}

#[test]
fn confined_it_opens_nothing_outside_whatever_it_asks() {
    let status = confined(|_| open_outside());
    assert!(libc::WIFEXITED(status));
    // SAFETY: asks for the version, which takes neither rules nor their size.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0,
            1,
        )
    };
    if version > 0 {
        assert_eq!(libc::WEXITSTATUS(status), libc::EACCES);
    }
}

#[test]
fn confined_it_is_killed_by_any_other_call() {
    // SAFETY: the calls are meant to end the process.
    let attempts: [fn(&Ground) -> i32; 8] = [
        |_| unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) },
        |_| unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) },
        |_| unsafe { libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY) },
        |_| unsafe { libc::execv(c"/bin/true".as_ptr(), std::ptr::null()) },
        |_| unsafe { libc::fork() },
        |_| unsafe { libc::kill(libc::getppid(), 0) },
        |_| unsafe { libc::symlink(c"/".as_ptr(), c"link".as_ptr()) },
        |_| unsafe {
            let (length, kind) = (4096, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let access = libc::PROT_READ | libc::PROT_EXEC;
            libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0);
            0
        },
    ];
    for (number, attempt) in attempts.into_iter().enumerate() {
        let status = confined(attempt);
        assert!(libc::WIFSIGNALED(status), "attempt {number}: {status:#x}");
        assert_eq!(libc::WTERMSIG(status), libc::SIGSYS, "attempt {number}");
    }
}
