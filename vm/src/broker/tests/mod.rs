//! What the broker does with requests, without a socket or a server.

mod confined;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::roots::Roots;
use super::{answer, PROTOCOL_VERSION};
use crate::frames::vm::{
    broker_reply::Outcome, broker_request::Request, BrokerRoot, BrokerSetup, CopyFile,
    CreateFolder, FileKind, FilePath, ListFolder, ReadFile, ReadMetadata, RemovePath, RenamePath,
    WriteFile,
};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A writable root 0, a read-only root 1, and a place outside of both.
struct Ground {
    base: PathBuf,
    roots: Roots,
}

impl Ground {
    fn new() -> Ground {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("crucible-broker-{}-{number}", std::process::id());
        let base = std::env::temp_dir().join(name);
        for folder in ["root", "fixed", "outside"] {
            fs::create_dir_all(base.join(folder)).expect("a folder can be made");
        }
        fs::write(base.join("outside/secret"), "SECRET").expect("a file can be made");
        let roots = Roots::open(&setup(&base)).expect("the roots are there");
        Ground { base, roots }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.base.join("root").join(name)
    }

    fn do_it(&self, request: Request) -> Outcome {
        answer(&self.roots, Some(request))
    }

    fn refusal(&self, request: Request) -> String {
        match self.do_it(request) {
            Outcome::Failure(failure) => failure.message,
            outcome => panic!("it was done: {outcome:?}"),
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn setup(base: &Path) -> BrokerSetup {
    let root = |name: &str, is_writable| BrokerRoot {
        name: name.into(),
        path: base.join(name).to_str().expect("UTF-8").into(),
        is_writable,
    };
    BrokerSetup {
        protocol_version: PROTOCOL_VERSION,
        roots: vec![root("root", true), root("fixed", false)],
        max_file_bytes: 1000,
        max_read_bytes: 500,
        max_list_entries: 3,
        uid: 0,
        gid: 0,
    }
}

fn at(path: &str) -> Option<FilePath> {
    Some(FilePath {
        root: 0,
        path: path.into(),
    })
}

fn read(path: &str) -> Request {
    Request::Read(ReadFile {
        at: at(path),
        offset: 0,
        length: 500,
        is_whole: true,
    })
}

fn write(path: &str, data: &[u8], is_append: bool) -> Request {
    Request::Write(WriteFile {
        at: at(path),
        data: data.into(),
        is_append,
    })
}

fn list(after: &str) -> Request {
    Request::List(ListFolder {
        at: at(""),
        after: after.into(),
    })
}

fn every(path: &str) -> Vec<Request> {
    vec![
        read(path),
        write(path, b"x", false),
        write(path, b"x", true),
        Request::Metadata(ReadMetadata { at: at(path) }),
        Request::List(ListFolder {
            at: at(path),
            after: String::new(),
        }),
        Request::CreateFolder(CreateFolder { at: at(path) }),
        Request::Remove(RemovePath { at: at(path) }),
        Request::Rename(RenamePath {
            at: at(path),
            to: at("to"),
        }),
        Request::Rename(RenamePath {
            at: at("f"),
            to: at(path),
        }),
        Request::Copy(CopyFile {
            at: at(path),
            to: at("to"),
        }),
        Request::Copy(CopyFile {
            at: at("f"),
            to: at(path),
        }),
    ]
}

#[test]
fn paths_that_are_none_are_refused_by_every_request() {
    let ground = Ground::new();
    fs::write(ground.root("f"), "x").expect("a file can be made");
    let long = "n".repeat(256);
    let paths = [
        "..",
        ".",
        "../outside/secret",
        "a/../f",
        "./f",
        "/etc/passwd",
        "a//b",
        "f/",
        "a\0b",
        long.as_str(),
        ".crucible-tmp-0-0",
    ];
    for path in paths {
        for request in every(path) {
            let message = ground.refusal(request.clone());
            assert!(
                message.starts_with("expected names joined by `/`"),
                "{request:?}: {message}"
            );
        }
    }
    for request in every(&"n/".repeat(2100)) {
        assert!(ground.refusal(request).contains("at most 4095 bytes"));
    }
    assert_eq!(fs::read_dir(ground.base.join("root")).unwrap().count(), 1);
}

#[test]
fn the_root_is_listed_and_looked_at_only() {
    let ground = Ground::new();
    fs::write(ground.root("f"), "x").expect("a file can be made");
    for request in every("") {
        match ground.do_it(request) {
            Outcome::Failure(failure) => assert!(failure.message.contains("the root itself")),
            Outcome::Entries(entries) => assert_eq!(entries.entries.len(), 1),
            Outcome::Metadata(metadata) => assert_eq!(metadata.kind(), FileKind::Folder),
            outcome => panic!("it was done: {outcome:?}"),
        }
    }
}

#[test]
fn no_link_is_followed() {
    let ground = Ground::new();
    fs::write(ground.root("f"), "x").expect("a file can be made");
    symlink(ground.base.join("outside"), ground.root("out")).expect("a link can be made");
    symlink("f", ground.root("in")).expect("a link can be made");
    for path in ["out/secret", "out/new", "in/f"] {
        for request in every(path) {
            let message = ground.refusal(request.clone());
            assert!(message.contains("link"), "{request:?}: {message}");
        }
    }
    for request in [
        read("in"),
        write("in", b"y", false),
        write("in", b"y", true),
    ] {
        assert!(ground.refusal(request).contains("link"));
    }
    assert_eq!(fs::read(ground.root("f")).unwrap(), b"x");
    assert_eq!(
        fs::read_dir(ground.base.join("outside")).unwrap().count(),
        1
    );
}

#[test]
fn a_read_only_root_is_kept_here_too() {
    let ground = Ground::new();
    fs::write(ground.base.join("fixed/f"), "x").expect("a file can be made");
    let fixed = |path: &str| {
        Some(FilePath {
            root: 1,
            path: path.into(),
        })
    };
    let requests = [
        Request::Write(WriteFile {
            at: fixed("f"),
            data: b"y".to_vec(),
            is_append: false,
        }),
        Request::CreateFolder(CreateFolder { at: fixed("d") }),
        Request::Remove(RemovePath { at: fixed("f") }),
        Request::Rename(RenamePath {
            at: fixed("f"),
            to: fixed("g"),
        }),
        Request::Copy(CopyFile {
            at: fixed("f"),
            to: fixed("g"),
        }),
    ];
    for request in requests {
        assert_eq!(ground.refusal(request), "the root is read-only");
    }
    let across = Request::Rename(RenamePath {
        at: fixed("f"),
        to: at("f"),
    });
    assert!(ground.refusal(across).contains("both paths in one root"));
    assert_eq!(fs::read(ground.base.join("fixed/f")).unwrap(), b"x");
}

#[test]
fn sizes_are_bounded() {
    let ground = Ground::new();
    assert!(matches!(
        ground.do_it(write("f", &[b'x'; 1000], false)),
        Outcome::Done(_)
    ));
    for request in [write("f", b"y", true), write("f", &[b'y'; 1001], false)] {
        assert!(ground.refusal(request).contains("max_file_bytes"));
    }
    assert!(ground.refusal(read("f")).contains("read it in parts"));
    let part = |offset, length| {
        ground.do_it(Request::Read(ReadFile {
            at: at("f"),
            offset,
            length,
            is_whole: false,
        }))
    };
    // Whatever the server asks for.
    assert_eq!(part(0, u64::MAX), Outcome::Data(vec![b'x'; 500]));
    assert_eq!(part(990, 500), Outcome::Data(vec![b'x'; 10]));
    assert_eq!(part(u64::MAX, u64::MAX), Outcome::Data(Vec::new()));
}

#[test]
fn listings_come_in_pages_in_the_order_of_bytes() {
    let ground = Ground::new();
    for name in ["b", "a", "d", "c", "B", ".crucible-tmp-1"] {
        fs::write(ground.root(name), "x").expect("a file can be made");
    }
    let page = |after: &str| match ground.do_it(list(after)) {
        Outcome::Entries(found) => {
            let names: Vec<_> = found.entries.into_iter().map(|entry| entry.name).collect();
            (names.join(""), found.is_more)
        }
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(page(""), ("Bab".into(), true));
    assert_eq!(page("b"), ("cd".into(), false));
    assert_eq!(page("\u{10ffff}"), (String::new(), false));
}

#[test]
fn what_is_missing_is_told_from_what_is_refused() {
    let ground = Ground::new();
    for path in ["none", "none/f"] {
        match ground.do_it(read(path)) {
            Outcome::Failure(failure) => assert!(failure.is_missing, "{path}"),
            outcome => panic!("{outcome:?}"),
        }
    }
    match ground.do_it(read("..")) {
        Outcome::Failure(failure) => assert!(!failure.is_missing),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn roots_that_are_none_are_named() {
    let ground = Ground::new();
    fs::write(ground.root("f"), "x").expect("a file can be made");
    for path in ["/nowhere/at/all", ground.root("f").to_str().unwrap()] {
        let mut setup = setup(&ground.base);
        setup.roots[1].path = path.into();
        let Err(message) = Roots::open(&setup) else {
            panic!("{path} was opened");
        };
        assert!(message.starts_with("the root `fixed`: expected a directory"));
    }
}
