//! The child's end of its stream socket: four bytes of length, little endian, then one message.

use std::os::fd::RawFd;

use prost::Message;

use crate::exit;
use crate::frames::vm::{child_frame, server_frame, ChildFrame, ServerFrame};

/// The largest frame that is read: a Start with a source, or byte code, and arguments.
const MAX_FRAME_BYTES: usize = 64 << 20;
const HEADER_BYTES: usize = 4;
const READ_BYTES: usize = 8 << 10;

/// Frames in both directions. Every failure ends the process: there is nobody left to report it to.
pub struct Channel {
    fd: RawFd,
    sequence: u64,
    unread: Vec<u8>,
    start: usize,
}

impl Channel {
    pub fn new(fd: RawFd) -> Channel {
        Channel {
            fd,
            sequence: 0,
            unread: Vec::new(),
            start: 0,
        }
    }

    /// What to poll for frames of the server.
    pub fn descriptor(&self) -> RawFd {
        self.fd
    }

    /// Whether bytes were read that no frame was made of yet: polling says nothing of them.
    pub fn has_read_ahead(&self) -> bool {
        self.start < self.unread.len()
    }

    /// Sends one frame with the next sequence number.
    pub fn send(&mut self, frame: child_frame::Frame) {
        self.sequence += 1;
        let frame = ChildFrame {
            sequence: self.sequence,
            frame: Some(frame),
        };
        let length = frame.encoded_len();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        // A Vec grows as needed, so encoding cannot fail.
        let _ = frame.encode(&mut bytes);
        self.write_all(&bytes);
    }

    /// Waits for the next frame of the server. When a signal comes meanwhile and `is_over` says so, it is None, and
    /// nothing can be received from then on.
    pub fn receive(&mut self, is_over: fn() -> bool) -> Option<server_frame::Frame> {
        let header = self.take(HEADER_BYTES, is_over)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if length > MAX_FRAME_BYTES {
            end(exit::PROTOCOL);
        }
        let decoded = ServerFrame::decode(self.take(length, is_over)?);
        match decoded.ok().and_then(|frame| frame.frame) {
            Some(frame) => Some(frame),
            None => end(exit::PROTOCOL),
        }
    }

    fn take(&mut self, count: usize, is_over: fn() -> bool) -> Option<&[u8]> {
        if self.start == self.unread.len() {
            self.unread.clear();
            self.start = 0;
        }
        while self.unread.len() - self.start < count {
            if is_over() {
                return None;
            }
            self.fill(count);
        }
        let start = self.start;
        self.start += count;
        Some(&self.unread[start..start + count])
    }

    fn fill(&mut self, wanted: usize) {
        let filled = self.unread.len();
        let missing = wanted - (filled - self.start);
        self.unread.resize(filled + missing.max(READ_BYTES), 0);
        let free = &mut self.unread[filled..];
        // SAFETY: `free` is writable memory of exactly this length.
        let count = unsafe { libc::read(self.fd, free.as_mut_ptr().cast(), free.len()) };
        self.unread.truncate(filled + count.max(0) as usize);
        match count {
            0 => end(exit::ORPHANED),
            1.. => {}
            _ if interrupted() => {}
            _ => end(exit::ORPHANED),
        }
    }

    fn write_all(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // SAFETY: `bytes` is readable memory of exactly this length.
            let count = unsafe { libc::write(self.fd, bytes.as_ptr().cast(), bytes.len()) };
            match count {
                0.. => bytes = &bytes[count as usize..],
                _ if interrupted() => {}
                _ => end(exit::ORPHANED),
            }
        }
    }
}

fn interrupted() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
}

/// Ends the process at once: no destructor runs, since those of hostile values can overflow the stack.
pub fn end(code: i32) -> ! {
    #[cfg(feature = "fuzz")]
    super::fuzz::unwind(code);
    #[cfg(not(feature = "fuzz"))]
    // SAFETY: `_exit` does not return and touches no memory.
    unsafe {
        libc::_exit(code)
    }
}
