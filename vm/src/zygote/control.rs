//! The control socket: one datagram, one message, with the descriptors that belong to it. Nothing here waits.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use prost::Message;

use crate::frames::vm::{zygote_event::Event, ZygoteEvent, ZygoteRequest};

/// Far above any request.
const REQUEST_BYTES: usize = 4096;
/// No more requests are read while this many events wait for the server, which bounds the queue and its descriptors.
const QUEUE_LIMIT: usize = 64;
/// Spawned carries two.
const MAX_DESCRIPTORS: usize = 2;

/// What came, if anything.
pub enum Received {
    Request(ZygoteRequest),
    /// A datagram that is no request: what is wrong with it.
    Malformed(String),
    Nothing,
}

struct Outgoing {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

pub struct Control {
    socket: OwnedFd,
    queue: VecDeque<Outgoing>,
}

impl Control {
    /// Takes over the descriptor, which has to be a SOCK_SEQPACKET socket.
    pub fn new(descriptor: RawFd) -> Result<Control, String> {
        let mut kind: libc::c_int = 0;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the kernel writes an int.
        let result = unsafe {
            let kind: *mut libc::c_int = &mut kind;
            libc::getsockopt(
                descriptor,
                libc::SOL_SOCKET,
                libc::SO_TYPE,
                kind.cast(),
                &mut length,
            )
        };
        if result != 0 || kind != libc::SOCK_SEQPACKET {
            return Err(format!(
                "expected descriptor {descriptor} to be a SOCK_SEQPACKET socket to the server, got {}",
                if result == 0 { format!("a socket of type {kind}") } else { Error::last_os_error().to_string() }
            ));
        }
        // SAFETY: it is open, as just seen, and nobody else here owns it.
        Ok(Control {
            socket: unsafe { OwnedFd::from_raw_fd(descriptor) },
            queue: VecDeque::new(),
        })
    }

    /// What to poll for.
    pub fn interest(&self) -> libc::pollfd {
        let mut events = libc::POLLRDHUP;
        if self.queue.len() < QUEUE_LIMIT {
            events |= libc::POLLIN;
        }
        if !self.queue.is_empty() {
            events |= libc::POLLOUT;
        }
        libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events,
            revents: 0,
        }
    }

    /// Whether another request may be read.
    pub fn accepts(&self) -> bool {
        self.queue.len() < QUEUE_LIMIT
    }

    /// Reads one datagram.
    pub fn receive(&self) -> Result<Received, String> {
        let mut buffer = [0u8; REQUEST_BYTES];
        // MSG_TRUNC makes the kernel tell the real length of a datagram that does not fit.
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the buffer lives in this frame. Descriptors that come along are dropped by the kernel.
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
            )
        };
        if length < 0 {
            let error = Error::last_os_error();
            return match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(Received::Nothing),
                // Polling tells that the server has gone.
                ErrorKind::ConnectionReset => Ok(Received::Nothing),
                _ => Err(format!("cannot read the control socket: {error}")),
            };
        }
        let length = length as usize;
        // The end of the stream, which polling tells, or an empty datagram, which says nothing.
        if length == 0 {
            return Ok(Received::Nothing);
        }
        if length > buffer.len() {
            return Ok(Received::Malformed(format!(
                "expected at most {REQUEST_BYTES} bytes, got {length}"
            )));
        }
        Ok(match ZygoteRequest::decode(&buffer[..length]) {
            Ok(request) => Received::Request(request),
            Err(error) => Received::Malformed(format!(
                "expected a ZygoteRequest, got {length} bytes: {error}"
            )),
        })
    }

    /// Queues an event and sends as much of the queue as the socket takes. The descriptors are closed once sent.
    pub fn send(&mut self, event: Event, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let bytes = ZygoteEvent { event: Some(event) }.encode_to_vec();
        self.queue.push_back(Outgoing { bytes, descriptors });
        self.flush()
    }

    /// Sends as much of the queue as the socket takes.
    pub fn flush(&mut self) -> Result<(), String> {
        while let Some(outgoing) = self.queue.front() {
            if let Err(error) = send_one(self.socket.as_raw_fd(), outgoing) {
                return match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
                    // Polling tells that the server has gone.
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
                    _ => Err(format!("cannot write to the control socket: {error}")),
                };
            }
            self.queue.pop_front();
        }
        Ok(())
    }
}

fn send_one(socket: RawFd, outgoing: &Outgoing) -> Result<(), Error> {
    let mut part = libc::iovec {
        iov_base: outgoing.bytes.as_ptr() as *mut libc::c_void,
        iov_len: outgoing.bytes.len(),
    };
    // Aligned as a cmsghdr has to be, and with room for its header besides.
    let mut ancillary = [0u64; 2 + MAX_DESCRIPTORS];
    let count = outgoing.descriptors.len();
    debug_assert!(count <= MAX_DESCRIPTORS);
    // SAFETY: every pointer is into this frame or into `outgoing`; the ancillary buffer holds MAX_DESCRIPTORS.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        if count > 0 {
            let length = (count * size_of::<RawFd>()) as libc::c_uint;
            message.msg_control = ancillary.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(length) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(length) as _;
            let slots = libc::CMSG_DATA(header) as *mut RawFd;
            for (index, descriptor) in outgoing.descriptors.iter().enumerate() {
                slots.add(index).write(descriptor.as_raw_fd());
            }
        }
        match libc::sendmsg(socket, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) {
            0.. => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    }
}
