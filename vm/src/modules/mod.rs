//! The modules that a script sees beside the Rune core, one file each.

pub mod basic;
pub mod fs;
pub mod host;
pub mod http;
mod info;
pub mod io;
pub mod json;
pub mod net;
mod options;
#[cfg(test)]
pub mod probe;
pub mod process;
mod random;
mod time;

pub use random::Random;

use rune::{Context, ContextError};

use crate::frames::v1::ModuleInfo;

type Install = fn(&mut Context) -> Result<(), ContextError>;

/// A module that may be installed, by the path that scripts import.
pub struct Known {
    pub path: &'static str,
    pub install: Option<Install>,
    /// The lowest level that has it.
    pub level: &'static str,
    /// On what condition besides, for people; mostly empty.
    pub condition: &'static str,
}

/// Every module that Crucible defines. Those without an `install` are named so that a script which imports one learns
/// that its level lacks it, rather than that it does not exist.
pub const KNOWN: &[Known] = &[
    Known {
        path: "crucible::basic",
        install: Some(|context| {
            context.install(basic::module()?)?;
            context.install(random::module()?)?;
            context.install(time::module()?)
        }),
        level: "SAFE",
        condition: "",
    },
    #[cfg(test)]
    Known {
        path: "crucible::probe",
        install: Some(|context| context.install(probe::module()?)),
        level: "SAFE",
        condition: "",
    },
    Known {
        path: "crucible::fs",
        install: Some(|context| context.install(fs::module()?)),
        level: "PRODUCTION",
        condition: " where the server's operator allows files (`allow_file_access` and roots in [engine.files]), DEVELOPMENT always",
    },
    Known {
        path: "crucible::http",
        install: Some(|context| context.install(http::module()?)),
        level: "PRODUCTION",
        condition: "",
    },
    Known {
        path: "crucible::json",
        install: Some(|context| context.install(json::module()?)),
        level: "PRODUCTION",
        condition: "",
    },
    Known {
        path: "crucible::process",
        install: Some(|context| context.install(process::module()?)),
        level: "DEVELOPMENT",
        condition: "",
    },
    Known {
        path: "crucible::net",
        install: Some(|context| context.install(net::module()?)),
        level: "DEVELOPMENT",
        condition: "",
    },
];

/// What children run with: the smallest of these that has all modules of the job. A job may have fewer, which the compiler
/// sees to; a set for each choice would be memory that every fork has to map.
pub const SETS: &[&[&str]] = &[
    &["crucible::basic"],
    &[
        "crucible::basic",
        "crucible::fs",
        "crucible::http",
        "crucible::json",
    ],
];

/// What Development has. Only its own zygote holds what these need to run; every other knows their names, to compile.
pub const EVERY: &[&str] = &[
    "crucible::basic",
    "crucible::fs",
    "crucible::http",
    "crucible::json",
    "crucible::net",
    "crucible::process",
];

/// A context with the Rune core and the modules whose bit is set, in the order of [`KNOWN`].
pub fn context(mask: u32) -> Result<Context, ContextError> {
    let mut context = Context::with_config(false)?;
    context.install(io::module()?)?;
    for (bit, known) in KNOWN.iter().enumerate() {
        if let (true, Some(install)) = (mask & (1 << bit) != 0, known.install) {
            install(&mut context)?;
        }
    }
    Ok(context)
}

/// The bits of those modules that exist and are named in `paths`.
pub fn mask<P: AsRef<str>>(paths: &[P]) -> u32 {
    KNOWN
        .iter()
        .enumerate()
        .filter(|(_, known)| {
            known.install.is_some() && paths.iter().any(|path| path.as_ref() == known.path)
        })
        .fold(0, |mask, (bit, _)| mask | 1 << bit)
}

/// What each installable module offers, for people.
pub fn catalogue() -> Vec<ModuleInfo> {
    vec![
        basic::info(),
        fs::info(),
        http::info(),
        json::info(),
        net::info(),
        process::info(),
    ]
}
