//! Ways to a file. Where one would be opened, what it holds would be read.

use super::raw::{attempt, call, reached};
use super::{Attempt, Reached};

const READ: usize = libc::O_RDONLY as usize;
const WRITE: usize = (libc::O_WRONLY | libc::O_TRUNC | libc::O_CREAT) as usize;
const HERE: usize = libc::AT_FDCWD as usize;

pub const ATTEMPTS: &[Attempt] = &[
    ("open-passwd", |_| read(c"/etc/passwd".to_owned())),
    ("open-proc-1-environ", |_| {
        read(c"/proc/1/environ".to_owned())
    }),
    ("open-proc-1-maps", |_| read(c"/proc/1/maps".to_owned())),
    ("open-proc-1-root", |_| {
        read(c"/proc/1/root/etc/shadow".to_owned())
    }),
    ("open-proc-self-mem", |_| {
        write(c"/proc/self/mem".to_owned())
    }),
    ("open-proc-self-maps", |_| {
        read(c"/proc/self/maps".to_owned())
    }),
    ("open-proc-parent-mem", |pid| {
        read(path(&format!("/proc/{pid}/mem")))
    }),
    ("open-dev-mem", |_| read(c"/dev/mem".to_owned())),
    ("leave-its-control-group", |_| {
        write(c"/sys/fs/cgroup/cgroup.procs".to_owned())
    }),
    ("leave-its-control-group-of-old", |_| {
        write(c"/sys/fs/cgroup/pids/cgroup.procs".to_owned())
    }),
    ("open-canary-for-writing", |canary| write(path(canary))),
    #[cfg(target_arch = "x86_64")]
    ("open-old-style", |_| {
        attempt(
            "open",
            libc::SYS_open,
            &[c"/etc/passwd".as_ptr() as usize, READ],
        )
    }),
    #[cfg(target_arch = "x86_64")]
    ("creat", |canary| {
        let path = path(canary);
        attempt("creat", libc::SYS_creat, &[path.as_ptr() as usize, 0o666])
    }),
    ("openat2", |_| {
        let how = [0_u64; 3];
        let path = c"/etc/passwd".as_ptr() as usize;
        attempt(
            "openat2",
            libc::SYS_openat2,
            &[HERE, path, how.as_ptr() as usize, 24],
        )
    }),
    ("open-by-handle-at", |_| {
        // The handle of an inode number that every file system has: its root.
        let handle: [u32; 4] = [8, 1, 2, 0];
        let at = handle.as_ptr() as usize;
        attempt(
            "open_by_handle_at",
            libc::SYS_open_by_handle_at,
            &[HERE, at, READ],
        )
    }),
    ("name-to-handle-at", |_| {
        let (mut handle, mut mount) = ([8_u32, 0, 0, 0], 0_i32);
        let [handle, mount] = [handle.as_mut_ptr() as usize, &raw mut mount as usize];
        let path = c"/etc/passwd".as_ptr() as usize;
        attempt(
            "name_to_handle_at",
            libc::SYS_name_to_handle_at,
            &[HERE, path, handle, mount, 0],
        )
    }),
    ("unlink-canary", |canary| {
        let path = path(canary);
        attempt(
            "unlinkat",
            libc::SYS_unlinkat,
            &[HERE, path.as_ptr() as usize, 0],
        )
    }),
    ("truncate-canary", |canary| {
        let path = path(canary);
        attempt("truncate", libc::SYS_truncate, &[path.as_ptr() as usize, 0])
    }),
    ("rename-canary", |canary| {
        let (from, to) = (path(canary), path(&format!("{canary}.moved")));
        let [from, to] = [from.as_ptr() as usize, to.as_ptr() as usize];
        attempt("renameat2", libc::SYS_renameat2, &[HERE, from, HERE, to, 0])
    }),
    ("symlink-canary", |canary| {
        let (to, at) = (
            c"/etc/passwd".as_ptr() as usize,
            path(&format!("{canary}.link")),
        );
        attempt(
            "symlinkat",
            libc::SYS_symlinkat,
            &[to, HERE, at.as_ptr() as usize],
        )
    }),
    ("mkdir-canary", |canary| {
        let path = path(&format!("{canary}.d"));
        attempt(
            "mkdirat",
            libc::SYS_mkdirat,
            &[HERE, path.as_ptr() as usize, 0o777],
        )
    }),
    ("mknod-canary", |canary| {
        let path = path(&format!("{canary}.fifo"));
        let kind = (libc::S_IFIFO | 0o666) as usize;
        attempt(
            "mknodat",
            libc::SYS_mknodat,
            &[HERE, path.as_ptr() as usize, kind, 0],
        )
    }),
    ("chmod-canary", |canary| {
        let path = path(canary);
        attempt(
            "fchmodat",
            libc::SYS_fchmodat,
            &[HERE, path.as_ptr() as usize, 0],
        )
    }),
    ("setxattr-canary", |canary| {
        let (path, name, value) = (path(canary), c"user.escape", c"x");
        let [path, name, value] = [&path[..], name, value].map(|text| text.as_ptr() as usize);
        attempt("setxattr", libc::SYS_setxattr, &[path, name, value, 1, 0])
    }),
    ("stat-passwd", |_| {
        let mut buffer = [0_u8; 256];
        let [path, to] = [
            c"/etc/passwd".as_ptr() as usize,
            buffer.as_mut_ptr() as usize,
        ];
        attempt("statx", libc::SYS_statx, &[HERE, path, 0, 0xfff, to])
    }),
    ("access-shadow", |_| {
        attempt(
            "faccessat",
            libc::SYS_faccessat,
            &[HERE, c"/etc/shadow".as_ptr() as usize, 0],
        )
    }),
    ("readlink-exe", |_| {
        let mut buffer = [0_u8; 256];
        let [path, to] = [
            c"/proc/self/exe".as_ptr() as usize,
            buffer.as_mut_ptr() as usize,
        ];
        attempt("readlinkat", libc::SYS_readlinkat, &[HERE, path, to, 256])
    }),
    ("chdir", |_| {
        attempt("chdir", libc::SYS_chdir, &[c"/".as_ptr() as usize])
    }),
    ("getcwd", |_| {
        let mut buffer = [0_u8; 256];
        attempt(
            "getcwd",
            libc::SYS_getcwd,
            &[buffer.as_mut_ptr() as usize, 256],
        )
    }),
    ("inotify", |_| {
        attempt("inotify_init1", libc::SYS_inotify_init1, &[0])
    }),
    ("fanotify", |_| {
        attempt("fanotify_init", libc::SYS_fanotify_init, &[0, 0])
    }),
    ("memfd-create", |_| {
        attempt(
            "memfd_create",
            libc::SYS_memfd_create,
            &[c"escape".as_ptr() as usize, 0],
        )
    }),
    ("memfd-secret", |_| {
        attempt("memfd_secret", libc::SYS_memfd_secret, &[0])
    }),
    ("core-dump", |_| {
        // An instruction that does not exist: a signal whose default is a core.
        // SAFETY: it does not return.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            std::arch::asm!("ud2", options(noreturn));
            #[cfg(target_arch = "aarch64")]
            std::arch::asm!("udf #0", options(noreturn));
        }
    }),
];

fn path(text: &str) -> std::ffi::CString {
    std::ffi::CString::new(text).unwrap_or_default()
}

fn read(path: std::ffi::CString) -> Reached {
    let descriptor = call(libc::SYS_openat, &[HERE, path.as_ptr() as usize, READ]);
    if descriptor < 0 {
        return reached("openat", descriptor);
    }
    let mut buffer = [0_u8; 64];
    call(
        libc::SYS_read,
        &[
            descriptor as usize,
            buffer.as_mut_ptr() as usize,
            buffer.len(),
        ],
    );
    Reached::Gained(String::from_utf8_lossy(&buffer).into_owned())
}

fn write(path: std::ffi::CString) -> Reached {
    let descriptor = call(
        libc::SYS_openat,
        &[HERE, path.as_ptr() as usize, WRITE, 0o666],
    );
    if descriptor < 0 {
        return reached("openat", descriptor);
    }
    let text = c"escaped";
    reached(
        "write",
        call(
            libc::SYS_write,
            &[descriptor as usize, text.as_ptr() as usize, 7],
        ),
    )
}
