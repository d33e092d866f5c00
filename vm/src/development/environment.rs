//! What the processes of a script find around them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::child;

/// Where programs are looked for, unless the execution says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of the execution, with a PATH, and nothing of the server's.
pub fn inherited() -> BTreeMap<String, String> {
    let own = child::with(|session| session.environment.clone()).unwrap_or_default();
    let path = [("PATH".to_owned(), PATH.to_owned())];
    path.into_iter().chain(own).collect()
}

/// Enters the working directory of an execution. The error is for its caller.
pub fn enter(directory: &str) -> Result<(), String> {
    std::env::set_current_dir(Path::new(directory)).map_err(|error| {
        // SAFETY: getuid takes nothing and cannot fail.
        let uid = unsafe { libc::getuid() };
        format!(
            "the working directory {directory:?} cannot be entered: {error}; scripts run as user {uid} of the server's \
             machine, which needs the right to"
        )
    })
}
