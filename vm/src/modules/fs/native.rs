//! What the server's broker does, done in this process: for children outside the jail. Paths are the system's own, and
//! relative ones begin at the working directory.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::frames::v1::{value::Kind, ListValue, NullValue, ObjectValue, Value};

/// At once. A larger file is read in parts.
const MAX_READ_BYTES: u64 = 64 << 20;
const MAX_SHOWN_CHARS: usize = 80;

type Answer = Result<Kind, String>;

/// Does what a host call would ask for; the error names the path.
pub fn answer(name: &str, arguments: &[(&str, Kind)]) -> Answer {
    let text = |wanted: &str| match find(arguments, wanted) {
        Some(Kind::StringValue(text)) => text.as_str(),
        _ => "",
    };
    let number = |wanted: &str| match find(arguments, wanted) {
        Some(Kind::IntValue(number)) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    };
    let data = || match find(arguments, "data") {
        Some(Kind::BytesValue(bytes)) => &bytes[..],
        Some(Kind::StringValue(text)) => text.as_bytes(),
        _ => &[],
    };
    let path = text("path");
    let at = Path::new(path);
    let (from, to) = (text("from"), text("to"));
    let (place, done) = match name {
        "read" => (shown(path), read(at)),
        "read_part" => (
            shown(path),
            read_part(at, number("offset"), number("length")),
        ),
        "write" => (shown(path), replace(at, data())),
        "append" => (shown(path), append(at, data())),
        "exists" => (shown(path), exists(at)),
        "metadata" => (shown(path), metadata(at)),
        "list" => (shown(path), list(at)),
        "create_dir" => (shown(path), done(fs::create_dir(at))),
        "remove" => (shown(path), remove(at)),
        "rename" => (
            format!("{} to {}", shown(from), shown(to)),
            done(fs::rename(from, to)),
        ),
        "copy" => (
            format!("{} to {}", shown(from), shown(to)),
            copy(Path::new(from), Path::new(to)),
        ),
        _ => {
            return Err(format!(
                "fs: expected a function of crucible::fs, got {name}"
            ))
        }
    };
    done.map_err(|problem| format!("fs: {place}: {problem}"))
}

fn find<'a>(arguments: &'a [(&str, Kind)], wanted: &str) -> Option<&'a Kind> {
    let mut arguments = arguments.iter();
    arguments
        .find(|(name, _)| *name == wanted)
        .map(|(_, kind)| kind)
}

fn done(result: Result<(), Error>) -> Answer {
    result.map(|()| nothing()).map_err(said)
}

fn nothing() -> Kind {
    Kind::NullValue(NullValue {})
}

fn read(path: &Path) -> Answer {
    let mut data = Vec::new();
    let file = open_file(path)?;
    // Not by its size, which files of /proc do not tell.
    let mut bounded = file.take(MAX_READ_BYTES + 1);
    bounded.read_to_end(&mut data).map_err(said)?;
    if data.len() as u64 > MAX_READ_BYTES {
        return Err(format!(
            "expected a file of at most {MAX_READ_BYTES} bytes to read at once, got more; read it in parts with read_part"
        ));
    }
    Ok(Kind::BytesValue(data))
}

fn read_part(path: &Path, offset: u64, length: u64) -> Answer {
    if length > MAX_READ_BYTES {
        return Err(format!(
            "expected at most {MAX_READ_BYTES} bytes at once, got {length}"
        ));
    }
    let file = open_file(path)?;
    let mut data = vec![0; length as usize];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(said(error)),
        }
    }
    data.truncate(filled);
    Ok(Kind::BytesValue(data))
}

/// Opens what can be read to an end. Without waiting: a pipe would hold up the whole script until someone writes to it.
fn open_file(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(said)?;
    require_file(&file.metadata().map_err(said)?)?;
    Ok(file)
}

fn require_file(metadata: &Metadata) -> Result<(), String> {
    match metadata {
        file if file.is_file() => Ok(()),
        folder if folder.is_dir() => Err("expected a file, got a directory".into()),
        _ => Err("expected a file, got a pipe, a socket or a device; crucible::process can start what reads it".into()),
    }
}

/// Fills a file beside it that then takes its name, as the broker does: nobody ever sees half of it.
fn replace(path: &Path, data: &[u8]) -> Answer {
    // Through a link, what it leads to is replaced and not the link.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(said(error)),
    };
    let before = match fs::symlink_metadata(&target) {
        Ok(before) if before.is_symlink() => {
            return Err("expected a file, got a symbolic link that leads nowhere".into())
        }
        Ok(before) => {
            require_file(&before)?;
            Some(before)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(said(error)),
    };
    let temporary = beside(&target)?;
    let fill = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        file.write_all(data)?;
        if let Some(before) = before {
            file.set_permissions(before.permissions())?;
        }
        file.sync_data()?;
        fs::rename(&temporary, &target)
    };
    fill().map(|()| nothing()).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        match error.kind() {
            ErrorKind::PermissionDenied => format!(
                "{}; a file is replaced as a whole, by a new one in its directory",
                said(error)
            ),
            _ => said(error),
        }
    })
}

/// A name that nothing else has: of this process by its number, of this moment among its own.
fn beside(target: &Path) -> Result<PathBuf, String> {
    if target.file_name().is_none() {
        return Err("expected the path of a file".into());
    }
    let moment = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    // Process numbers repeat: each execution has its own.
    let name = format!(".crucible-{}-{moment:x}", std::process::id());
    Ok(target.with_file_name(name))
}

fn append(path: &Path, data: &[u8]) -> Answer {
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let mut file = opened.map_err(said)?;
    require_file(&file.metadata().map_err(said)?)?;
    done(file.write_all(data))
}

fn exists(path: &Path) -> Answer {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(Kind::BoolValue(true)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kind::BoolValue(false)),
        Err(error) => Err(said(error)),
    }
}

fn metadata(path: &Path) -> Answer {
    let found = fs::metadata(path).map_err(said)?;
    let size = if found.is_file() { found.len() } else { 0 };
    let modified = match found.modified().map_err(said)?.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    };
    Ok(object([
        ("size", Kind::IntValue(size as i64)),
        ("modified", Kind::DoubleValue(modified)),
        ("is_file", Kind::BoolValue(found.is_file())),
        ("is_dir", Kind::BoolValue(found.is_dir())),
    ]))
}

fn list(path: &Path) -> Answer {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(said)? {
        let entry = entry.map_err(said)?;
        // A name that is no UTF-8 is one that no script can say.
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.file_type().map_err(said)?));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let entry = |(name, kind): (String, fs::FileType)| Value {
        kind: Some(object([
            ("name", Kind::StringValue(name)),
            ("is_file", Kind::BoolValue(kind.is_file())),
            ("is_dir", Kind::BoolValue(kind.is_dir())),
        ])),
    };
    let values = found.into_iter().map(entry).collect();
    Ok(object([
        ("is_more", Kind::BoolValue(false)),
        ("entries", Kind::ListValue(ListValue { values })),
    ]))
}

fn remove(path: &Path) -> Answer {
    let found = fs::symlink_metadata(path).map_err(said)?;
    done(match found.is_dir() {
        true => fs::remove_dir(path),
        false => fs::remove_file(path),
    })
}

fn copy(from: &Path, to: &Path) -> Answer {
    drop(open_file(from)?);
    if let Ok(target) = fs::metadata(to) {
        require_file(&target)?;
    }
    let copied = fs::copy(from, to).map_err(said)?;
    Ok(Kind::IntValue(copied as i64))
}

fn object<const N: usize>(fields: [(&str, Kind); N]) -> Kind {
    let fields = fields
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), Value { kind: Some(kind) }))
        .collect();
    Kind::ObjectValue(ObjectValue { fields })
}

/// What the system said, in words for a script's author.
fn said(error: Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".into(),
        ErrorKind::PermissionDenied => {
            // SAFETY: getuid takes nothing and cannot fail.
            let uid = unsafe { libc::getuid() };
            format!("permission denied: the script runs as user {uid} of the server's machine")
        }
        ErrorKind::CrossesDevices => {
            "expected both in one file system; copy the file and remove it instead".into()
        }
        ErrorKind::DirectoryNotEmpty => "the directory is not empty".into(),
        ErrorKind::AlreadyExists => "there is something of this name already".into(),
        _ => format!("the system says: {error}"),
    }
}

/// A path for a message: cut, and with nothing that a terminal would act on.
fn shown(path: &str) -> String {
    if path.is_empty()
        || path.chars().any(char::is_control)
        || path.chars().count() > MAX_SHOWN_CHARS
    {
        let cut: String = path.chars().take(MAX_SHOWN_CHARS).collect();
        return format!("{cut:?}");
    }
    path.to_owned()
}
