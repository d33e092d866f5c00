//! The command line of the zygote.

use std::os::fd::RawFd;

use crate::jail::inherited::DEFAULT_UID;

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The zygote's end of the SOCK_SEQPACKET socket.
    pub control_fd: RawFd,
    /// The user and group that root becomes.
    pub uid: u32,
    /// Whether to enter the namespaces that the machine gives.
    pub namespaces: bool,
    /// Whether to restrict itself by Landlock where the kernel has it.
    pub landlock: bool,
    /// Children run outside the jail, each in a pid namespace of its own.
    pub development: bool,
}

impl Options {
    /// Reads what follows the word `zygote`.
    pub fn parse(args: &[String]) -> Result<Options, String> {
        let mut control_fd = None;
        let mut uid = DEFAULT_UID;
        let (mut namespaces, mut landlock, mut development) = (true, true, false);
        let mut rest = args.iter();
        while let Some(name) = rest.next() {
            let flag = match name.as_str() {
                "--without-namespaces" => Some((&mut namespaces, false)),
                "--without-landlock" => Some((&mut landlock, false)),
                "--development" => Some((&mut development, true)),
                "--control-fd" | "--uid" => None,
                _ => {
                    return Err(format!(
                        "expected --control-fd, --uid, --development, --without-namespaces or --without-landlock, got \
                         {name:?}"
                    ))
                }
            };
            if let Some((option, value)) = flag {
                *option = value;
                continue;
            }
            let value = rest
                .next()
                .ok_or_else(|| format!("expected a number after {name}, got nothing"))?;
            let bad = |_| format!("expected a number after {name}, got {value:?}");
            if name == "--uid" {
                uid = value.parse().map_err(bad)?;
            } else {
                control_fd = Some(value.parse::<u16>().map_err(bad)?);
            }
        }
        if uid == 0 || uid == u32::MAX {
            return Err(format!(
                "expected an unprivileged user after --uid, got {uid}"
            ));
        }
        let control_fd =
            control_fd.ok_or("expected --control-fd N: the zygote is started by the server")?;
        // The numbers below are needed: the socket of a child, and standard output and error.
        if control_fd <= 2 {
            return Err(format!(
                "expected a descriptor above 2 after --control-fd, got {control_fd}"
            ));
        }
        Ok(Options {
            control_fd: control_fd.into(),
            uid,
            namespaces,
            landlock,
            development,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(
            &line
                .split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn reads_every_option() {
        assert_eq!(
            parse("--without-landlock --control-fd 7 --without-namespaces --uid 1000"),
            Ok(Options {
                control_fd: 7,
                uid: 1000,
                namespaces: false,
                landlock: false,
                development: false,
            })
        );
        assert_eq!(
            parse("--development --control-fd 3"),
            Ok(Options {
                control_fd: 3,
                uid: DEFAULT_UID,
                namespaces: true,
                landlock: true,
                development: true,
            })
        );
    }

    #[test]
    fn refuses_what_would_not_be_safe() {
        for line in [
            "",
            "--control-fd",
            "--control-fd x",
            "--control-fd 2",
            "--control-fd 3 --uid 0",
            "--user 3",
            "--control-fd 3 --without-seccomp",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
