//! Ways to a network, and to other sockets on this machine.

use super::raw::{attempt, call, reached};
use super::{word, Attempt, Reached};

const STREAM: i32 = libc::SOCK_STREAM;

pub const ATTEMPTS: &[Attempt] = &[
    ("socket-inet", |_| socket(libc::AF_INET, STREAM)),
    ("socket-inet6", |_| socket(libc::AF_INET6, STREAM)),
    ("socket-udp", |_| socket(libc::AF_INET, libc::SOCK_DGRAM)),
    ("socket-raw", |_| socket(libc::AF_INET, libc::SOCK_RAW)),
    ("socket-unix", |_| socket(libc::AF_UNIX, STREAM)),
    ("socket-netlink", |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW)
    }),
    ("socket-packet", |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    ("socket-alg", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET)),
    ("socket-vsock", |_| socket(libc::AF_VSOCK, STREAM)),
    ("socket-bluetooth", |_| {
        socket(libc::AF_BLUETOOTH, libc::SOCK_RAW)
    }),
    ("socketpair", |_| {
        let mut pair = [0_i32; 2];
        let (family, kind) = (libc::AF_UNIX as usize, STREAM as usize);
        attempt(
            "socketpair",
            libc::SYS_socketpair,
            &[family, kind, 0, pair.as_mut_ptr() as usize],
        )
    }),
    // Its own socket made into another one.
    ("connect-to-the-server", |argument| {
        let address = loopback(word(argument, 0));
        let fresh = call(
            libc::SYS_socket,
            &[libc::AF_INET as usize, STREAM as usize, 0],
        );
        reached(
            "connect",
            call(
                libc::SYS_connect,
                &[fresh as usize, address.as_ptr() as usize, 16],
            ),
        )
    }),
    ("connect-its-own-socket", |argument| {
        let address = loopback(word(argument, 0));
        attempt(
            "connect",
            libc::SYS_connect,
            &[0, address.as_ptr() as usize, 16],
        )
    }),
    ("bind-and-listen", |argument| {
        let address = loopback(word(argument, 0));
        let fresh = call(
            libc::SYS_socket,
            &[libc::AF_INET as usize, STREAM as usize, 0],
        );
        call(
            libc::SYS_bind,
            &[fresh as usize, address.as_ptr() as usize, 16],
        );
        reached("listen", call(libc::SYS_listen, &[fresh as usize, 1]))
    }),
    ("listen-on-its-own-socket", |_| {
        attempt("listen", libc::SYS_listen, &[0, 1])
    }),
    ("accept-on-its-own-socket", |_| {
        attempt("accept4", libc::SYS_accept4, &[0, 0, 0, 0])
    }),
    ("sendto", |_| {
        let text = c"x".as_ptr() as usize;
        attempt("sendto", libc::SYS_sendto, &[0, text, 1, 0, 0, 0])
    }),
    ("recvfrom", |_| {
        let mut buffer = [0_u8; 16];
        let to = buffer.as_mut_ptr() as usize;
        attempt(
            "recvfrom",
            libc::SYS_recvfrom,
            &[0, to, 16, libc::MSG_DONTWAIT as usize, 0, 0],
        )
    }),
    ("sendmsg-descriptor", |_| {
        let mut message = Message::new();
        attempt("sendmsg", libc::SYS_sendmsg, &[0, message.header(), 0])
    }),
    ("recvmsg-descriptor", |_| {
        let mut message = Message::new();
        let flags = libc::MSG_DONTWAIT as usize;
        attempt("recvmsg", libc::SYS_recvmsg, &[0, message.header(), flags])
    }),
    ("sendmmsg-descriptor", |_| {
        let mut message = Message::new();
        attempt("sendmmsg", libc::SYS_sendmmsg, &[0, message.header(), 1, 0])
    }),
    ("getsockopt-peer", |_| {
        let (mut peer, mut length) = ([0_i32; 3], 12_u32);
        let [to, size] = [peer.as_mut_ptr() as usize, &raw mut length as usize];
        let (level, option) = (libc::SOL_SOCKET as usize, libc::SO_PEERCRED as usize);
        attempt(
            "getsockopt",
            libc::SYS_getsockopt,
            &[0, level, option, to, size],
        )
    }),
    ("setsockopt-buffers", |_| {
        let size = i32::MAX;
        let (level, option) = (libc::SOL_SOCKET as usize, libc::SO_SNDBUF as usize);
        attempt(
            "setsockopt",
            libc::SYS_setsockopt,
            &[0, level, option, &raw const size as usize, 4],
        )
    }),
    ("getpeername", |_| {
        let (mut name, mut length) = ([0_u8; 128], 128_u32);
        let [to, size] = [name.as_mut_ptr() as usize, &raw mut length as usize];
        attempt("getpeername", libc::SYS_getpeername, &[0, to, size])
    }),
    ("shutdown", |_| {
        attempt("shutdown", libc::SYS_shutdown, &[0, 2])
    }),
];

fn socket(family: i32, kind: i32) -> Reached {
    attempt(
        "socket",
        libc::SYS_socket,
        &[family as usize, kind as usize, 0],
    )
}

/// A sockaddr_in of 127.0.0.1.
fn loopback(port: usize) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&(port as u16).to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

/// A message of one byte that carries descriptor 0.
struct Message {
    byte: u8,
    part: [usize; 2],
    control: [u64; 4],
    header: [usize; 8],
}

impl Message {
    fn new() -> Message {
        let kind = (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32;
        Message {
            byte: b'x',
            part: [0; 2],
            control: [20, kind, 0, 0],
            header: [0; 8],
        }
    }

    fn header(&mut self) -> usize {
        self.part = [&raw const self.byte as usize, 1];
        // struct msghdr, then the length that sendmmsg fills in.
        self.header = [
            0,
            0,
            self.part.as_ptr() as usize,
            1,
            self.control.as_ptr() as usize,
            24,
            0,
            0,
        ];
        self.header.as_mut_ptr() as usize
    }
}
