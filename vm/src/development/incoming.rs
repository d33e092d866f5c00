//! Bytes that come in over a pipe or a connection, and bytes that go out, without holding up the rest of the script.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Instant;

use super::waits;

const READ_BYTES: usize = 64 << 10;
/// A line beyond this is an error: most likely there are no lines.
const MAX_LINE_BYTES: usize = 16 << 20;

/// The reading end of a pipe or a connection, with what was read ahead.
pub struct Incoming {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
    is_ended: bool,
}

pub type Shared = Rc<RefCell<Incoming>>;

impl Incoming {
    /// Takes over a descriptor. Reads will not block.
    pub fn new(descriptor: OwnedFd) -> Result<Incoming, Error> {
        set_nonblocking(descriptor.as_raw_fd())?;
        Ok(Incoming {
            descriptor,
            buffer: Vec::new(),
            is_ended: false,
        })
    }

    pub fn shared(self) -> Shared {
        Rc::new(RefCell::new(self))
    }

    /// What to wait for; None at the end.
    pub fn interest(&self) -> Option<(RawFd, libc::c_short)> {
        (!self.is_ended).then(|| (self.descriptor.as_raw_fd(), libc::POLLIN))
    }

    /// What was read and not taken yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes all of it.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Reads once; whether something came, the end included.
    pub fn fill(&mut self) -> Result<bool, Error> {
        if self.is_ended {
            return Ok(true);
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let free = &mut self.buffer[filled..];
        // SAFETY: `free` is writable memory of exactly this length.
        let count = unsafe {
            libc::read(
                self.descriptor.as_raw_fd(),
                free.as_mut_ptr().cast(),
                free.len(),
            )
        };
        let error = (count < 0).then(Error::last_os_error);
        self.buffer.truncate(filled + count.max(0) as usize);
        match error {
            None => {
                self.is_ended = count == 0;
                Ok(true)
            }
            Some(error) if is_for_later(&error) => Ok(false),
            Some(error) => Err(error),
        }
    }
}

/// At most `most` bytes as soon as there are any; none at the end.
pub async fn read(
    incoming: Shared,
    most: usize,
    until: Option<Instant>,
) -> Result<Vec<u8>, String> {
    loop {
        {
            let mut incoming = incoming.borrow_mut();
            if incoming.buffer.is_empty() && !incoming.is_ended {
                incoming.fill().map_err(|error| format!("read: {error}"))?;
            }
            if !incoming.buffer.is_empty() || incoming.is_ended {
                let count = most.min(incoming.buffer.len());
                return Ok(incoming.buffer.drain(..count).collect());
            }
        }
        more(&incoming, until).await?;
    }
}

/// The next line without its end, or what is left of one; None at the end.
pub async fn read_line(incoming: Shared, until: Option<Instant>) -> Result<Option<String>, String> {
    let mut looked = 0;
    loop {
        let found = {
            let incoming = &mut *incoming.borrow_mut();
            let from = looked.min(incoming.buffer.len());
            let end = incoming.buffer[from..]
                .iter()
                .position(|byte| *byte == b'\n');
            looked = incoming.buffer.len();
            match end {
                Some(at) => Some(incoming.buffer.drain(..=from + at).collect()),
                None if incoming.is_ended => Some(incoming.take()),
                None if incoming.buffer.len() > MAX_LINE_BYTES => {
                    return Err(format!(
                        "read_line: expected a line of at most {MAX_LINE_BYTES} bytes, got more without an end; use read"
                    ))
                }
                None => None,
            }
        };
        let Some(mut line): Option<Vec<u8>> = found else {
            let came = incoming.borrow_mut().fill();
            if !came.map_err(|error| format!("read: {error}"))? {
                more(&incoming, until).await?;
            }
            continue;
        };
        if line.is_empty() {
            return Ok(None);
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        let text = String::from_utf8(line);
        return text.map(Some).map_err(|_| {
            "read_line: expected a line of UTF-8 text, but it is not; use read".to_owned()
        });
    }
}

async fn more(incoming: &Shared, until: Option<Instant>) -> Result<(), String> {
    let interest = incoming.borrow().interest();
    match waits::any(interest.into_iter().collect(), until).await {
        true => Ok(()),
        false => Err("read: nothing came within the timeout".into()),
    }
}

/// Writes all of it, waiting where the other side is slower.
pub async fn write_all(
    descriptor: Rc<OwnedFd>,
    data: Vec<u8>,
    until: Option<Instant>,
) -> Result<(), String> {
    let mut rest = &data[..];
    while !rest.is_empty() {
        match write(descriptor.as_raw_fd(), rest) {
            Ok(0) => {
                let interest = vec![(descriptor.as_raw_fd(), libc::POLLOUT)];
                if !waits::any(interest, until).await {
                    return Err("write: the other side took nothing within the timeout".into());
                }
            }
            Ok(count) => rest = &rest[count..],
            Err(error) => return Err(format!("write: {error}")),
        }
    }
    Ok(())
}

/// Writes once to what does not block; 0 when nothing can be written now.
pub fn write(descriptor: RawFd, data: &[u8]) -> Result<usize, Error> {
    // SAFETY: `data` is readable memory of exactly this length.
    let count = unsafe { libc::write(descriptor, data.as_ptr().cast(), data.len()) };
    if count >= 0 {
        return Ok(count as usize);
    }
    let error = Error::last_os_error();
    if is_for_later(&error) {
        Ok(0)
    } else {
        Err(error)
    }
}

fn is_for_later(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

pub fn set_nonblocking(descriptor: RawFd) -> Result<(), Error> {
    // SAFETY: numbers only.
    unsafe {
        let flags = libc::fcntl(descriptor, libc::F_GETFL);
        if flags < 0 || libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
            return Err(Error::last_os_error());
        }
    }
    Ok(())
}
