//! `Stream` and `Listener`: connections that are open.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rune::runtime::{Bytes, Protocol, VmResult};
use rune::{vm_try, Any, ContextError, Module, Value};
use socket2::Socket;

use super::super::options::{self, fail, from_now, outcome, Outcome};
use crate::development::incoming::{self, Incoming, Shared};
use crate::development::waits;

#[derive(Any)]
#[rune(item = ::crucible::net)]
pub struct Stream {
    socket: Rc<Socket>,
    incoming: Shared,
    outgoing: Rc<OwnedFd>,
    timeout: Option<Duration>,
}

impl Stream {
    pub fn new(socket: Socket, timeout: Option<Duration>) -> Result<Stream, String> {
        let said = |error: std::io::Error| error.to_string();
        let incoming = socket.try_clone().map_err(said)?;
        let outgoing = socket.try_clone().map_err(said)?;
        Ok(Stream {
            socket: Rc::new(socket),
            incoming: Incoming::new(incoming.into()).map_err(said)?.shared(),
            outgoing: Rc::new(outgoing.into()),
            timeout,
        })
    }
}

#[derive(Any)]
#[rune(item = ::crucible::net)]
pub struct Listener {
    socket: Rc<Socket>,
    port: u16,
}

impl Listener {
    pub fn new(socket: Socket) -> Result<Listener, String> {
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        let port = address.as_socket().map_or(0, |address| address.port());
        Ok(Listener {
            socket: Rc::new(socket),
            port,
        })
    }
}

pub fn install(module: &mut Module) -> Result<(), ContextError> {
    module.ty::<Stream>()?;
    module.associated_function("read", |stream: &Stream, most: Value| {
        let most = options::count("Stream::read", "the most bytes", &most);
        let (incoming, until) = (stream.incoming.clone(), from_now(stream.timeout));
        async move {
            match incoming::read(incoming, vm_try!(most), until).await {
                Ok(data) => VmResult::Ok(Outcome::<Bytes>::Ok(vm_try!(options::bytes(&data)))),
                Err(message) => fail(message),
            }
        }
    })?;
    module.associated_function("read_line", |stream: &Stream| {
        let (incoming, until) = (stream.incoming.clone(), from_now(stream.timeout));
        async move { outcome(incoming::read_line(incoming, until).await) }
    })?;
    module.associated_function("write", |stream: &Stream, data: Value| {
        let data = options::data("Stream::write", "the data", &data);
        let (outgoing, until) = (stream.outgoing.clone(), from_now(stream.timeout));
        async move { outcome(incoming::write_all(outgoing, vm_try!(data), until).await) }
    })?;
    module.associated_function("close", |stream: &Stream| {
        // One that the other side has closed is closed.
        let _ = stream.socket.shutdown(Shutdown::Both);
    })?;
    module.ty::<Listener>()?;
    module.field_function(&Protocol::GET, "port", |listener: &Listener| {
        i64::from(listener.port)
    })?;
    module.associated_function("accept", |listener: &Listener| {
        accept(listener.socket.clone())
    })?;
    Ok(())
}

async fn accept(listener: Rc<Socket>) -> VmResult<Outcome<Stream>> {
    loop {
        match listener.accept() {
            Ok((socket, _)) => return outcome(Stream::new(socket, None)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                waits::any(vec![(listener.as_raw_fd(), libc::POLLIN)], None).await;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return fail(format!("accept: {error}")),
        }
    }
}
