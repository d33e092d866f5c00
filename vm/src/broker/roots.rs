//! The roots, and the only ways from a path to a descriptor. The kernel resolves every path below its root: it follows no
//! link, leaves no root by `..`, and crosses into no other file system.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use rustix::fs::{openat2, Access, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::Failure;
use crate::frames::vm::{BrokerSetup, FilePath};

const MAX_PATH_BYTES: usize = 4095;
const MAX_NAME_BYTES: usize = 255;
/// Files that are being written: scripts neither see nor reach them.
pub const TEMPORARY: &str = ".crucible-tmp-";

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);

pub struct Root {
    name: String,
    pub folder: OwnedFd,
    pub is_writable: bool,
}

/// What was opened at the start, and the bounds.
pub struct Roots {
    pub list: Vec<Root>,
    pub max_file_bytes: u64,
    pub max_read_bytes: u64,
    pub max_list_entries: usize,
    /// Held while a file grows at its end, so that its size can be judged.
    pub appending: Mutex<()>,
}

/// The last name of a path, and the folder that has it.
pub struct Place {
    pub folder: OwnedFd,
    pub name: CString,
}

impl Roots {
    /// Opens every root. The error names the one that cannot be had.
    pub fn open(setup: &BrokerSetup) -> Result<Roots, String> {
        let mut list = Vec::new();
        for root in &setup.roots {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = openat2(
                rustix::fs::CWD,
                root.path.as_str(),
                flags,
                Mode::empty(),
                ResolveFlags::NO_MAGICLINKS,
            );
            let folder = opened.map_err(|error| match error {
                Errno::NOSYS => {
                    "the kernel has no openat2, without which no path can be kept below a root: Linux 5.6 or newer \
                     is needed"
                        .to_owned()
                }
                Errno::PERM => {
                    format!("the root `{}` cannot be opened: openat2 is not permitted; a container has to allow it", root.name)
                }
                _ => format!(
                    "the root `{}`: expected a directory at {}, got: {error}",
                    root.name, root.path
                ),
            })?;
            list.push(Root {
                name: root.name.clone(),
                folder,
                is_writable: root.is_writable,
            });
        }
        Ok(Roots {
            list,
            max_file_bytes: setup.max_file_bytes,
            max_read_bytes: setup.max_read_bytes,
            max_list_entries: setup.max_list_entries as usize,
            appending: Mutex::new(()),
        })
    }

    /// Refuses a root that the rights which are left do not suffice for.
    pub fn check(&self) -> Result<(), String> {
        for root in &self.list {
            let (access, verb) = if root.is_writable {
                (
                    Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
                    "write",
                )
            } else {
                (Access::READ_OK | Access::EXEC_OK, "read")
            };
            rustix::fs::accessat(&root.folder, ".", access, AtFlags::EACCESS).map_err(|error| {
                // SAFETY: geteuid takes nothing and cannot fail.
                let uid = unsafe { libc::geteuid() };
                format!(
                    "user {uid}, without capabilities, cannot {verb} the root `{}`: {error}; change its owner or \
                     mode, its `access`, or the user of the server",
                    root.name
                )
            })?;
        }
        Ok(())
    }

    fn root(&self, at: &FilePath) -> Result<&Root, Failure> {
        let root = self.list.get(at.root as usize);
        root.ok_or_else(|| Failure::new("expected the number of a root"))
    }

    /// Opens what is at a path for reading; the root itself when the path is empty.
    pub fn folder(&self, at: &FilePath) -> Result<OwnedFd, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = self.root(at)?;
        if at.path.is_empty() {
            return open(root.folder.as_fd(), ".", flags).map_err(said);
        }
        check(&at.path)?;
        open(root.folder.as_fd(), &at.path, flags).map_err(|error| match error {
            Errno::NOTDIR => Failure::new("expected a directory, got something else"),
            error => said(error),
        })
    }

    /// The place of a path that is not the root.
    pub fn place(&self, at: &FilePath) -> Result<Place, Failure> {
        let root = self.root(at)?;
        if at.path.is_empty() {
            return Err(Failure::new(
                "expected a path below the root, got the root itself",
            ));
        }
        check(&at.path)?;
        let (above, name) = at.path.rsplit_once('/').unwrap_or((".", &at.path));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(root.folder.as_fd(), above, flags).map_err(|error| match error {
            Errno::NOENT => Failure {
                message:
                    "the directory that should hold it does not exist; make it with create_dir"
                        .to_owned(),
                is_missing: true,
            },
            error => said(error),
        })?;
        let name = CString::new(name).map_err(|_| Failure::new("expected a path without NUL"))?;
        Ok(Place { folder, name })
    }

    /// The same for what is going to change.
    pub fn writable_place(&self, at: &FilePath) -> Result<Place, Failure> {
        // The server has refused this before; here it would be its mistake.
        if !self.root(at)?.is_writable {
            return Err(Failure::new("the root is read-only"));
        }
        self.place(at)
    }
}

impl Place {
    /// What is known of it, itself and not what a link leads to.
    pub fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Opens a regular file. Anything else is refused, before it is opened and after: what a name stands for can change
    /// in between, and then a pipe may have been opened, but nothing is read from it or written to it.
    pub fn open_file(&self, flags: OFlags, mode: Mode) -> Result<File, Failure> {
        match self.stat() {
            Ok(stat) => require_file(&stat)?,
            Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
            Err(error) => return Err(said(error)),
        }
        self.open_beside(&self.name, flags, mode)
    }

    /// Opens a regular file of another name in the same folder.
    pub fn open_beside(&self, name: &CStr, flags: OFlags, mode: Mode) -> Result<File, Failure> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat2(&self.folder, name, flags, mode, RESOLVE).map_err(said)?;
        require_file(&rustix::fs::fstat(&opened).map_err(said)?)?;
        Ok(File::from(opened))
    }
}

fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(root, path, flags, Mode::empty(), RESOLVE)
}

/// Refuses whatever is not names joined by single slashes.
fn check(path: &str) -> Result<(), Failure> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Failure::new(format!(
            "expected a path of at most {MAX_PATH_BYTES} bytes, got {}",
            path.len()
        )));
    }
    for name in path.split('/') {
        let wrong = match name {
            "" => "an empty name: paths have single slashes and none at the end",
            "." | ".." => "`.` or `..`: name the place by its path from the root",
            _ if name.contains('\0') => "a NUL",
            _ if name.len() > MAX_NAME_BYTES => "a name of more than 255 bytes",
            _ if name.starts_with(TEMPORARY) => "a name that is kept for files being written",
            _ => continue,
        };
        return Err(Failure::new(format!(
            "expected names joined by `/`, got {wrong}"
        )));
    }
    Ok(())
}

/// Refuses what is no regular file.
pub fn require_file(stat: &Stat) -> Result<(), Failure> {
    let got = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link, which is not followed",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Err(Failure::new(format!("expected a file, got {got}")))
}

/// What the kernel said, in words for a script's author.
pub fn said(error: Errno) -> Failure {
    let message = match error {
        Errno::NOENT => {
            return Failure {
                message: "no such file or directory".to_owned(),
                is_missing: true,
            }
        }
        Errno::LOOP => "a symbolic link is on the way, and links are not followed",
        Errno::XDEV => {
            "it leads out of the root or into another file system; mounts need a root of their own"
        }
        Errno::NOTDIR => {
            "a part of the path is no directory, or a symbolic link, which is not followed"
        }
        Errno::EXIST => "there is something of this name already",
        Errno::NOTEMPTY => "the directory is not empty",
        Errno::ISDIR => "expected a file, got a directory",
        Errno::ACCESS | Errno::PERM => {
            "permission denied: the user that the server runs as may not do this here"
        }
        Errno::NOSPC | Errno::DQUOT => "no space is left on the device",
        Errno::FBIG => "the file would grow larger than the server's max_file_bytes",
        Errno::ROFS => "the file system is read-only",
        Errno::NAMETOOLONG => "the path is too long",
        Errno::ILSEQ | Errno::INVAL => "the file system does not take such a name",
        Errno::NXIO => "expected a file, got something that is none",
        Errno::BUSY => "it is in use",
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
            "the server is short of memory or descriptors; try again"
        }
        error => return Failure::new(format!("the system says: {error}")),
    };
    Failure::new(message)
}

/// The same for errors of the standard library.
pub fn said_io(error: std::io::Error) -> Failure {
    match Errno::from_io_error(&error) {
        Some(errno) => said(errno),
        None => Failure::new(format!("the system says: {error}")),
    }
}
