//! From a host and a port to a socket.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::time::Instant;

use rune::runtime::VmResult;
use socket2::{Domain, Protocol, Socket, Type};

use crate::development::waits;

const BACKLOG: i32 = 128;

/// Where to, as the script says it.
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Ends the script for what is no port.
    pub fn read(function: &str, host: &str, port: i64) -> VmResult<Address> {
        match u16::try_from(port) {
            Ok(port) => VmResult::Ok(Address {
                host: host.to_owned(),
                port,
            }),
            Err(_) => VmResult::panic(format!(
                "{function}: expected a port from 0 to 65535, got {port}"
            )),
        }
    }

    /// Asks the system, which holds up the whole script until it answers.
    fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found: Vec<_> = found
            .map_err(|error| format!("{self}: the host cannot be resolved: {error}"))?
            .collect();
        if found.is_empty() {
            return Err(format!("{self}: the host has no address"));
        }
        Ok(found)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// Connects to the first of the host's addresses that answers.
pub async fn connect(address: &Address, until: Option<Instant>) -> Result<Socket, String> {
    let mut failure = String::new();
    for found in address.resolve()? {
        match dial(found, until).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = format!("{address}: cannot connect to {found}: {error}"),
        }
    }
    Err(failure)
}

async fn dial(address: SocketAddr, until: Option<Instant>) -> Result<Socket, String> {
    let said = |error: std::io::Error| error.to_string();
    let socket = open(address).map_err(said)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            let interest = vec![(socket.as_raw_fd(), libc::POLLOUT)];
            if !waits::any(interest, until).await {
                return Err("no answer within the timeout".into());
            }
            if let Some(error) = socket.take_error().map_err(said)? {
                return Err(error.to_string());
            }
        }
        Err(error) => return Err(error.to_string()),
    }
    Ok(socket)
}

/// Listens at the first of the host's addresses.
pub fn listen(address: &Address) -> Result<Socket, String> {
    let found = address.resolve()?[0];
    let begin = || {
        let socket = open(found)?;
        socket.set_reuse_address(true)?;
        socket.bind(&found.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    begin().map_err(|error: std::io::Error| format!("{address}: cannot listen: {error}"))
}

fn open(address: SocketAddr) -> Result<Socket, std::io::Error> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
