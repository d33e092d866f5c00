//! What is done to names: listed, looked at, made, removed, renamed.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, RawDir, RenameFlags, Stat};
use rustix::io::Errno;

use super::roots::{said, Place, Roots, TEMPORARY};
use super::Failure;
use crate::frames::vm::{
    broker_reply::Outcome, BrokerDone, CreateFolder, FileKind, FileMetadata, FilePath,
    FolderEntries, FolderEntry, ListFolder, ReadMetadata, RemovePath, RenamePath,
};

/// Bounded further by the umask that the server was started with.
const NEW_FOLDER: Mode = Mode::from_raw_mode(0o777);
/// Names that one request looks at, whatever it returns.
const MAX_SCANNED: usize = 1_000_000;
const BUFFER_BYTES: usize = 64 << 10;

type Answer = Result<Outcome, Failure>;

fn at(path: &Option<FilePath>) -> Result<&FilePath, Failure> {
    path.as_ref().ok_or_else(|| Failure::new("expected a path"))
}

fn done() -> Answer {
    Ok(Outcome::Done(BrokerDone {}))
}

/// What is at a path: the thing itself, not what a link leads to.
pub fn metadata(roots: &Roots, request: &ReadMetadata) -> Answer {
    let at = at(&request.at)?;
    let stat = if at.path.is_empty() {
        rustix::fs::fstat(roots.folder(at)?)
    } else {
        roots.place(at)?.stat()
    };
    let stat = stat.map_err(said)?;
    let kind = kind_of(FileType::from_raw_mode(stat.st_mode));
    Ok(Outcome::Metadata(FileMetadata {
        size: if kind == FileKind::File {
            stat.st_size as u64
        } else {
            0
        },
        kind: kind.into(),
        modified_ns: modified(&stat),
    }))
}

fn modified(stat: &Stat) -> i64 {
    stat.st_mtime
        .saturating_mul(1_000_000_000)
        .saturating_add(stat.st_mtime_nsec as i64)
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        _ => FileKind::Other,
    }
}

/// The first names after one, by a walk over all: a folder has no order of its own.
pub fn list(roots: &Roots, request: &ListFolder) -> Answer {
    let folder = roots.folder(at(&request.at)?)?;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut found: BTreeMap<String, FileType> = BTreeMap::new();
    let mut is_more = false;
    let mut scanned = 0;
    let mut entries = RawDir::new(&folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(said)?;
        scanned += 1;
        if scanned > MAX_SCANNED {
            return Err(Failure::new(format!(
                "expected a directory of at most {MAX_SCANNED} entries, got more"
            )));
        }
        // A name that is no UTF-8 is one that no script can say.
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if matches!(name, "." | "..")
            || name.starts_with(TEMPORARY)
            || name <= request.after.as_str()
        {
            continue;
        }
        found.insert(name.to_owned(), entry.file_type());
        if found.len() > roots.max_list_entries {
            found.pop_last();
            is_more = true;
        }
    }
    let mut listed = Vec::with_capacity(found.len());
    for (name, mut kind) in found {
        if kind == FileType::Unknown {
            // Not every file system tells it along with the name.
            match rustix::fs::statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => kind = FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(said(error)),
            }
        }
        let kind = kind_of(kind).into();
        listed.push(FolderEntry { name, kind });
    }
    Ok(Outcome::Entries(FolderEntries {
        entries: listed,
        is_more,
    }))
}

/// Makes a folder in one that is there.
pub fn create(roots: &Roots, request: &CreateFolder) -> Answer {
    let place = roots.writable_place(at(&request.at)?)?;
    rustix::fs::mkdirat(&place.folder, &place.name, NEW_FOLDER).map_err(said)?;
    done()
}

/// Removes a file, whatever kind it is, or an empty folder.
pub fn remove(roots: &Roots, request: &RemovePath) -> Answer {
    let place = roots.writable_place(at(&request.at)?)?;
    let stat = place.stat().map_err(said)?;
    let flags = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        _ => AtFlags::empty(),
    };
    match rustix::fs::unlinkat(&place.folder, &place.name, flags) {
        Err(Errno::NOTEMPTY) => {
            sweep(&roots.folder(at(&request.at)?)?)?;
            rustix::fs::unlinkat(&place.folder, &place.name, flags).map_err(said)?;
        }
        outcome => outcome.map_err(said)?,
    }
    done()
}

/// Removes what writes left that were cut off; whoever sees nothing in a folder may remove it. Nothing is done where there
/// is more.
fn sweep(folder: &OwnedFd) -> Result<(), Failure> {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut leftovers = Vec::new();
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(said)?;
        let name = entry.file_name();
        match name.to_bytes() {
            b"." | b".." => {}
            bytes if bytes.starts_with(TEMPORARY.as_bytes()) => leftovers.push(name.to_owned()),
            _ => return Err(said(Errno::NOTEMPTY)),
        }
    }
    for name in leftovers {
        match rustix::fs::unlinkat(folder, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(said(error)),
        }
    }
    Ok(())
}

/// Renames within a root.
pub fn rename(roots: &Roots, request: &RenamePath) -> Answer {
    let (from, to) = (at(&request.at)?, at(&request.to)?);
    if from.root != to.root {
        return Err(Failure::new(
            "expected both paths in one root; copy the file and remove it instead",
        ));
    }
    let (from, to): (Place, Place) = (roots.writable_place(from)?, roots.writable_place(to)?);
    match FileType::from_raw_mode(from.stat().map_err(said)?.st_mode) {
        FileType::RegularFile | FileType::Directory => {}
        _ => {
            return Err(Failure::new(
                "expected a file or a directory, got a link, a device, a pipe or a socket",
            ))
        }
    }
    let flags = RenameFlags::empty();
    rustix::fs::renameat_with(&from.folder, &from.name, &to.folder, &to.name, flags).map_err(
        |error| match error {
            Errno::INVAL => Failure::new("a directory cannot be moved into itself"),
            Errno::ISDIR | Errno::NOTDIR => {
                Failure::new("a file cannot take the place of a directory, nor the other way round")
            }
            error => said(error),
        },
    )?;
    done()
}
