//! The zygote: exec'd once, loads everything a script could need, then forks a jailed child for each job and reports its
//! end. Single-threaded. It never reads what scripts or children say.

mod children;
mod control;
mod development;
mod fork;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod limits;
mod log;
mod moments;
mod options;
mod processes;
mod service;
mod setup;

use crate::child::{Preloaded, Sets};
use crate::frames::v1::IsolationLayer;
use crate::frames::vm::{zygote_event::Event, Ready};
use crate::frames::PROTOCOL_VERSION;
use crate::jail::landlock::{self, Landlock};
use crate::jail::namespaces::{self, Kind, Offer};
use crate::jail::{capabilities, inherited, layers, memory, Jail};
use options::Options;

/// Serves the control socket until the server closes it. Errors are those of starting, and of a control socket that
/// broke; no child is left in either case.
pub fn run(args: &[String]) -> Result<(), String> {
    let options = Options::parse(args)?;
    #[cfg(feature = "escape")]
    log::line(crate::escape::MARKER);
    setup::reexec_with_large_stack()?;
    setup::leave_session();
    for note in inherited::restrict(options.uid)? {
        log::line(&note);
    }
    let mut control = control::Control::new(options.control_fd)?;
    if options.development {
        return development::run(control);
    }
    let namespaces = if options.namespaces {
        Offer::probe()?
    } else {
        Offer::off()
    };
    namespaces.enter()?;
    if namespaces.has(Kind::Pid) {
        setup::become_init(&mut control)?;
    }
    // The last file: there are none afterwards.
    let baseline = limits::Baseline::open()?;
    if namespaces.has(Kind::Mount) {
        namespaces::empty_root()?;
    }
    let is_bounding_empty = capabilities::drop_all()?;
    let landlock = if options.landlock {
        landlock::restrict()?
    } else {
        Landlock::Off
    };
    let facts = layers::Facts {
        stack_bytes: inherited::soft_limit(libc::RLIMIT_STACK)?,
        namespaces,
        is_bounding_empty,
        landlock,
    };
    let preloaded = Preloaded::new(Sets::Jailed)?;
    let jail = Jail::prepare()?;
    jail.probe()?;
    memory::trim();
    let layers = layers::describe(&facts);
    let ready = ready(&preloaded, layers, baseline.read()?.resident);
    let entry = development::Entry::Jail(jail);
    let mut service = service::Service::new(control, entry, preloaded, baseline)?;
    service.send(Event::Ready(ready));
    service.run()
}

fn ready(preloaded: &Preloaded, layers: Vec<IsolationLayer>, baseline_bytes: u64) -> Ready {
    Ready {
        protocol_version: PROTOCOL_VERSION,
        vm_version: env!("CARGO_PKG_VERSION").into(),
        rune_version: crate::unit::RUNE_VERSION.into(),
        rune_patch_level: crate::unit::RUNE_PATCH_LEVEL.into(),
        layers,
        modules: preloaded.modules(),
        baseline_bytes,
    }
}
