//! The file broker: acts on files for jailed scripts. It opens the roots that the server names, confines itself to them
//! for good, and only then answers requests. Whether a script may ask for something is the server's to decide; that
//! nothing outside of the roots is ever touched is kept here, by the kernel.

mod confine;
mod files;
mod filter;
mod folders;
mod options;
mod roots;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread::{self, JoinHandle};

use crate::frames::vm::{
    broker_reply::Outcome, broker_request::Request, BrokerFailure, BrokerReady, BrokerRequest,
    BrokerSetup,
};
use roots::Roots;
use wire::{Reader, Writer};

/// Of the frames between server and broker, which change apart from those of the zygote.
const PROTOCOL_VERSION: u32 = 1;
/// Requests that are worked on at once: one that waits for a disk does not hold up the others.
const WORKERS: usize = 4;
const WORKER_STACK: usize = 256 << 10;

/// Why a request was not done; the message is for the script's author.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub is_missing: bool,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            is_missing: false,
        }
    }
}

/// Serves the control socket until the server closes it. Errors are those of starting, and of a server that does not
/// keep to the protocol.
pub fn run(args: &[String]) -> Result<(), String> {
    let control = options::control_fd(args)?;
    confine::leave_server(control)?;
    let (mut reader, writer) = wire::split(control)?;
    let (request_id, setup) = match reader.receive()? {
        Some(BrokerRequest {
            request_id,
            request: Some(Request::Setup(setup)),
        }) => (request_id, setup),
        Some(_) => return Err("expected a BrokerSetup first".to_owned()),
        None => return Ok(()),
    };
    match start(&setup, writer) {
        Ok((ready, workers)) => {
            workers.writer.send(request_id, Outcome::Ready(ready));
            workers.serve(&mut reader)
        }
        Err((message, writer)) => {
            // The server says it; here it would be said twice.
            writer.send(request_id, refusal(Failure::new(message)));
            Ok(())
        }
    }
}

type Started = Result<(BrokerReady, Workers), (String, Arc<Writer>)>;

/// Opens the roots and gives up every right that is not needed from then on.
fn start(setup: &BrokerSetup, writer: Writer) -> Started {
    let writer = Arc::new(writer);
    if setup.protocol_version != PROTOCOL_VERSION {
        let message = format!(
            "expected frames of version {PROTOCOL_VERSION}, got {}; install server and crucible-vm of one version",
            setup.protocol_version
        );
        return Err((message, writer));
    }
    let confined = || -> Result<_, String> {
        let roots = Roots::open(setup)?;
        confine::give_up_rights(setup)?;
        roots.check()?;
        let layers = confine::restrict(&roots)?;
        let workers = Workers::spawn(roots, writer.clone())?;
        // Only now are there as many threads as there will ever be.
        confine::forbid_the_rest()?;
        let ready = BrokerReady {
            protocol_version: PROTOCOL_VERSION,
            layers,
        };
        Ok((ready, workers))
    };
    confined().map_err(|message| (message, writer.clone()))
}

struct Workers {
    writer: Arc<Writer>,
    queue: mpsc::SyncSender<BrokerRequest>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Returns once every thread waits for work.
    fn spawn(roots: Roots, writer: Arc<Writer>) -> Result<Workers, String> {
        let (queue, requests) = mpsc::sync_channel::<BrokerRequest>(WORKERS);
        let (roots, requests) = (Arc::new(roots), Arc::new(Mutex::new(requests)));
        let barrier = Arc::new(Barrier::new(WORKERS + 1));
        let mut threads = Vec::new();
        for _ in 0..WORKERS {
            let (roots, requests) = (roots.clone(), requests.clone());
            let (writer, barrier) = (writer.clone(), barrier.clone());
            let work = move || {
                barrier.wait();
                loop {
                    // In a statement of its own, so that the lock is not held while working.
                    let next = requests.lock().map(|requests| requests.recv());
                    let Ok(Ok(request)) = next else { return };
                    writer.send(request.request_id, answer(&roots, request.request));
                }
            };
            let thread = thread::Builder::new().stack_size(WORKER_STACK).spawn(work);
            threads.push(thread.map_err(|error| format!("cannot start a thread: {error}"))?);
        }
        barrier.wait();
        Ok(Workers {
            writer,
            queue,
            threads,
        })
    }

    /// Hands out requests until the server closes the socket, and finishes those that were begun.
    fn serve(self, reader: &mut Reader) -> Result<(), String> {
        let end = loop {
            match reader.receive() {
                Ok(Some(request)) => {
                    if self.queue.send(request).is_err() {
                        break Err("all workers are gone".to_owned());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(self.queue);
        for thread in self.threads {
            let _ = thread.join();
        }
        end
    }
}

fn answer(roots: &Roots, request: Option<Request>) -> Outcome {
    let outcome = match request {
        Some(Request::Read(request)) => files::read(roots, &request),
        Some(Request::Write(request)) => files::write(roots, &request),
        Some(Request::Copy(request)) => files::copy(roots, &request),
        Some(Request::Metadata(request)) => folders::metadata(roots, &request),
        Some(Request::List(request)) => folders::list(roots, &request),
        Some(Request::CreateFolder(request)) => folders::create(roots, &request),
        Some(Request::Remove(request)) => folders::remove(roots, &request),
        Some(Request::Rename(request)) => folders::rename(roots, &request),
        Some(Request::Setup(_)) => Err(Failure::new("the broker is set up already")),
        None => Err(Failure::new("expected a request that this broker knows")),
    };
    outcome.unwrap_or_else(refusal)
}

fn refusal(failure: Failure) -> Outcome {
    Outcome::Failure(BrokerFailure {
        message: failure.message,
        is_missing: failure.is_missing,
    })
}
