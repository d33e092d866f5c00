//! What is done to the content of files.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::roots::{require_file, said, said_io, Place, Roots, TEMPORARY};
use super::Failure;
use crate::frames::vm::{
    broker_reply::Outcome, BrokerDone, CopyFile, FilePath, ReadFile, WriteFile,
};

/// Bounded further by the umask that the server was started with.
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);
const PERMISSIONS: u32 = 0o777;
const COPY_BYTES: usize = 64 << 10;

static TEMPORARIES: AtomicU64 = AtomicU64::new(0);

type Answer = Result<Outcome, Failure>;

fn at(path: &Option<FilePath>) -> Result<&FilePath, Failure> {
    path.as_ref().ok_or_else(|| Failure::new("expected a path"))
}

/// Reads a part of a file, from one descriptor: a file that is replaced meanwhile is read as it was.
pub fn read(roots: &Roots, request: &ReadFile) -> Answer {
    let place = roots.place(at(&request.at)?)?;
    let file = place.open_file(OFlags::RDONLY, Mode::empty())?;
    let size = file.metadata().map_err(said_io)?.len();
    let length = request.length.min(roots.max_read_bytes);
    let left = size.saturating_sub(request.offset);
    if request.is_whole && left > length {
        return Err(too_large(left, length));
    }
    let mut data = vec![0; left.min(length) as usize];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], request.offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(said_io(error)),
        }
    }
    data.truncate(filled);
    Ok(Outcome::Data(data))
}

fn too_large(size: u64, limit: u64) -> Failure {
    Failure::new(format!(
        "expected a file of at most {limit} bytes to read at once, got {size}; read it in parts with read_part"
    ))
}

/// Replaces a file as a whole, or makes one; or adds to its end.
pub fn write(roots: &Roots, request: &WriteFile) -> Answer {
    let place = roots.writable_place(at(&request.at)?)?;
    if request.is_append {
        append(roots, &place, &request.data)?;
    } else {
        check_size(roots, request.data.len() as u64)?;
        replace(&place, |file| {
            file.write_all(&request.data).map_err(said_io)?;
            Ok(())
        })?;
    }
    Ok(Outcome::Done(BrokerDone {}))
}

fn check_size(roots: &Roots, size: u64) -> Result<(), Failure> {
    if size > roots.max_file_bytes {
        return Err(Failure::new(format!(
            "expected a file of at most {} bytes (the server's max_file_bytes), but it would have {size}",
            roots.max_file_bytes
        )));
    }
    Ok(())
}

fn append(roots: &Roots, place: &Place, data: &[u8]) -> Result<(), Failure> {
    let _only_one = roots.appending.lock();
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let mut file = place.open_file(flags, NEW_FILE)?;
    let metadata = file.metadata().map_err(said_io)?;
    // Its other names may be anywhere. To replace it gives this name a file of its own.
    if metadata.nlink() > 1 {
        return Err(Failure::new(
            "the file has other names (hard links), which would change too; write it as a whole instead",
        ));
    }
    let before = metadata.len();
    check_size(roots, before.saturating_add(data.len() as u64))?;
    let Err(error) = file.write_all(data) else {
        return Ok(());
    };
    // Half of it is worse than nothing. Where another program has written behind it, it stays.
    let after = file.metadata().map_err(said_io)?.len();
    if after > before && after - before <= data.len() as u64 {
        let _ = file.set_len(before);
    }
    Err(said_io(error))
}

/// Copies a file, within a root or from one to another.
pub fn copy(roots: &Roots, request: &CopyFile) -> Answer {
    let source = roots.place(at(&request.at)?)?;
    let target = roots.writable_place(at(&request.to)?)?;
    let mut file = source.open_file(OFlags::RDONLY, Mode::empty())?;
    let metadata = file.metadata().map_err(said_io)?;
    check_size(roots, metadata.len())?;
    let copied = replace(&target, |copy| {
        let mut buffer = vec![0; COPY_BYTES];
        let mut copied = 0;
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => return Ok(copied),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(said_io(error)),
            };
            copied += count as u64;
            check_size(roots, copied)?;
            copy.write_all(&buffer[..count]).map_err(said_io)?;
        }
    })?;
    Ok(Outcome::Copied(copied))
}

/// Fills a file beside the place and lets it take its name, so that nobody ever sees half of it. It keeps the permissions
/// of the file that it takes the place of.
fn replace<T>(
    place: &Place,
    fill: impl FnOnce(&mut &File) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let permissions = match place.stat() {
        Ok(stat) => {
            require_file(&stat)?;
            Some(stat.st_mode & PERMISSIONS)
        }
        Err(Errno::NOENT) => None,
        Err(error) => return Err(said(error)),
    };
    let temporary = temporary_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = place.open_beside(&temporary, flags, NEW_FILE)?;
    let filled = fill(&mut &file).and_then(|filled| {
        if let Some(permissions) = permissions {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(permissions)).map_err(said)?;
        }
        // Before the name: after a power cut there is the old content or the new, never a part.
        file.sync_data().map_err(said_io)?;
        let flags = RenameFlags::empty();
        rustix::fs::renameat_with(&place.folder, &temporary, &place.folder, &place.name, flags)
            .map_err(said)?;
        Ok(filled)
    });
    if filled.is_err() {
        let _ = rustix::fs::unlinkat(&place.folder, &temporary, AtFlags::empty());
    }
    filled
}

fn temporary_name() -> CString {
    let number = TEMPORARIES.fetch_add(1, Ordering::Relaxed);
    let moment = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    // Digits and letters hold no NUL.
    CString::new(format!("{TEMPORARY}{moment:x}-{number:x}")).unwrap_or_default()
}
