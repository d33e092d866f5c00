//! The zygote's side of the control socket, as far as it needs no child.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use super::control::{Control, Received};
use super::limits::{Bounds, Sizes};
use crate::frames::vm::zygote_request::Request;

/// Receives what a server might have sent, a datagram each, and takes over the limits in it.
pub fn receive(datagrams: &[&[u8]]) {
    let mut ends = [-1; 2];
    // SAFETY: `ends` is an array of two to write to; the descriptors are new and ours.
    let (server, zygote) = unsafe {
        let result = libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, ends.as_mut_ptr());
        assert_eq!(result, 0, "a socket pair can be made");
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let control = Control::new(zygote.into_raw_fd()).expect("it is a SOCK_SEQPACKET socket");
    let baseline = Sizes {
        mapped: 300 << 20,
        resident: 10 << 20,
        data: 5 << 20,
    };
    let mut bounds: Option<Bounds> = None;
    for datagram in datagrams {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `datagram` is readable memory of exactly this length.
        unsafe {
            libc::send(
                server.as_raw_fd(),
                datagram.as_ptr().cast(),
                datagram.len(),
                flags,
            )
        };
        let received = control.receive().expect("the socket works");
        let Received::Request(request) = received else {
            continue;
        };
        match request.request {
            Some(Request::Spawn(spawn)) => {
                bounds = spawn.limits.map(|limits| Bounds::new(&limits, baseline));
            }
            Some(Request::Assign(assign)) => {
                if let (Some(before), Some(limits)) = (&bounds, &assign.limits) {
                    if let Ok(lowered) = before.lowered(limits, assign.child_id) {
                        assert!(lowered.rlimits.cpu_seconds <= before.rlimits.cpu_seconds);
                        assert!(lowered.rlimits.data <= before.rlimits.data);
                        bounds = Some(lowered);
                    }
                }
            }
            Some(Request::Ping(_)) | None => {}
        }
    }
}
