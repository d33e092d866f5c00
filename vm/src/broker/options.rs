//! The command line of the broker.

use std::os::fd::RawFd;

/// The broker's end of the stream socket, from what follows the word `broker`.
pub fn control_fd(args: &[String]) -> Result<RawFd, String> {
    let [name, value] = args else {
        return Err(format!(
            "expected --control-fd N: the broker is started by the server; got {args:?}"
        ));
    };
    if name != "--control-fd" {
        return Err(format!("expected --control-fd, got {name:?}"));
    }
    match value.parse::<u16>() {
        Ok(number) if number > 2 => Ok(number.into()),
        _ => Err(format!(
            "expected a descriptor above 2 after --control-fd, got {value:?}"
        )),
    }
}
