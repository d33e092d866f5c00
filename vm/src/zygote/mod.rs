//! The zygote: exec'd once, loads everything a script could need, then forks a jailed child for each job and reports its
//! end. Single-threaded. It never reads what scripts or children say.

mod children;
mod control;
mod fork;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod limits;
mod log;
mod moments;
mod options;
mod service;
mod setup;

use crate::child::Preloaded;
use crate::frames::vm::{zygote_event::Event, Ready};
use crate::frames::PROTOCOL_VERSION;
use crate::jail::{inherited, layers, memory, Jail};
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
    let control = control::Control::new(options.control_fd)?;
    let preloaded = Preloaded::new()?;
    let jail = Jail::prepare()?;
    jail.probe()?;
    memory::trim();
    let baseline = limits::Baseline::open()?;
    let ready = Ready {
        protocol_version: PROTOCOL_VERSION,
        vm_version: env!("CARGO_PKG_VERSION").into(),
        rune_version: crate::unit::RUNE_VERSION.into(),
        rune_patch_level: crate::unit::RUNE_PATCH_LEVEL.into(),
        layers: layers::describe(inherited::soft_limit(libc::RLIMIT_STACK)?),
        modules: preloaded.modules(),
        baseline_bytes: baseline.read()?.resident,
    };
    let mut service = service::Service::new(control, jail, preloaded, baseline)?;
    service.send(Event::Ready(ready));
    service.run()
}
