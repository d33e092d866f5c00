//! The stream socket to the server: four bytes of length, little endian, then one message.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use prost::Message;

use crate::frames::vm::{broker_reply::Outcome, BrokerReply, BrokerRequest};

/// Above any request: data of a write arrives at the server in a frame of at most a mebibyte.
const MAX_FRAME_BYTES: usize = 2 << 20;

/// Takes over the descriptor.
pub fn split(control: RawFd) -> Result<(Reader, Writer), String> {
    // SAFETY: only a number; a descriptor that is not open is told by the call.
    if unsafe { libc::fcntl(control, libc::F_GETFD) } < 0 {
        return Err(format!("expected descriptor {control} to be open"));
    }
    // A file reads and writes by the calls of these names; those that are for sockets alone are forbidden later.
    // SAFETY: it is open, as just seen, and nobody else here owns it.
    let stream = File::from(unsafe { OwnedFd::from_raw_fd(control) });
    let other = stream
        .try_clone()
        .map_err(|error| format!("cannot use descriptor {control}: {error}"))?;
    Ok((Reader { stream: other }, Writer(Mutex::new(stream))))
}

pub struct Reader {
    stream: File,
}

impl Reader {
    /// The next request; None when the server has closed the socket.
    pub fn receive(&mut self) -> Result<Option<BrokerRequest>, String> {
        let mut header = [0; 4];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(header) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(format!(
                "expected a frame of at most {MAX_FRAME_BYTES} bytes, got {length}"
            ));
        }
        let mut bytes = vec![0; length];
        if !self.fill(&mut bytes)? {
            return Ok(None);
        }
        let decoded = BrokerRequest::decode(&bytes[..]);
        decoded
            .map(Some)
            .map_err(|error| format!("expected a BrokerRequest: {error}"))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, String> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(format!("cannot read the control socket: {error}")),
        }
    }
}

/// Shared by the workers.
pub struct Writer(Mutex<File>);

impl Writer {
    /// Sends one reply. That the server is gone is told by the reader.
    pub fn send(&self, request_id: u64, outcome: Outcome) {
        let reply = BrokerReply {
            request_id,
            outcome: Some(outcome),
        };
        let length = reply.encoded_len();
        let mut bytes = Vec::with_capacity(4 + length);
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        // A Vec grows as needed, so encoding cannot fail.
        let _ = reply.encode(&mut bytes);
        if let Ok(mut stream) = self.0.lock() {
            let _ = stream.write_all(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::frames::vm::{broker_request::Request, BrokerDone, ListFolder};

    fn pair() -> (UnixStream, Reader, Writer) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair can be made");
        let (reader, writer) = split(theirs.into_raw_fd()).expect("it is open");
        (ours, reader, writer)
    }

    #[test]
    fn frames_are_put_together_from_pieces() {
        let (mut ours, mut reader, _writer) = pair();
        let request = BrokerRequest {
            request_id: 7,
            request: Some(Request::List(ListFolder::default())),
        };
        let bytes = request.encode_to_vec();
        let server = std::thread::spawn(move || {
            let frame = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
            for piece in frame.chunks(1) {
                ours.write_all(piece).expect("the broker reads");
            }
        });
        assert_eq!(reader.receive(), Ok(Some(request)));
        assert_eq!(reader.receive(), Ok(None));
        server.join().expect("the server ends");
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let (mut ours, mut reader, _writer) = pair();
        ours.write_all(&[0xff; 4]).expect("it is written");
        assert!(reader
            .receive()
            .is_err_and(|error| error.contains("at most")));
        let (mut ours, mut reader, _writer) = pair();
        ours.write_all(&[2, 0, 0, 0, 0x0a, 0xff])
            .expect("it is written");
        assert!(reader
            .receive()
            .is_err_and(|error| error.contains("BrokerRequest")));
        // A server that dies in a frame has left, and that is all.
        let (mut ours, mut reader, _writer) = pair();
        ours.write_all(&[9, 0, 0, 0, 1]).expect("it is written");
        drop(ours);
        assert_eq!(reader.receive(), Ok(None));
    }

    #[test]
    fn replies_are_framed() {
        let (mut ours, _reader, writer) = pair();
        writer.send(9, Outcome::Done(BrokerDone {}));
        let mut header = [0; 4];
        ours.read_exact(&mut header).expect("a header");
        let mut bytes = vec![0; u32::from_le_bytes(header) as usize];
        ours.read_exact(&mut bytes).expect("a reply");
        let reply = BrokerReply::decode(&bytes[..]).expect("a BrokerReply");
        assert_eq!(reply.request_id, 9);
        assert_eq!(reply.outcome, Some(Outcome::Done(BrokerDone {})));
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_refused() {
        assert!(split(999).is_err_and(|error| error.contains("999")));
    }
}
