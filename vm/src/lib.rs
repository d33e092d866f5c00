//! `crucible-vm`: the zygote, and the children that it forks.

mod child;
mod compile;
mod convert;
#[cfg(feature = "escape")]
mod escape;
mod execute;
mod exit;
mod frames;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod jail;
mod leave;
mod modules;
mod unit;
mod zygote;

const USAGE: &str = "usage: crucible-vm zygote --control-fd N [--uid N] | crucible-vm --version";

/// What the program does. A library besides, so that the fuzz targets of `fuzz/` can call what is inside.
pub fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version"] => println!("crucible-vm {}", env!("CARGO_PKG_VERSION")),
        ["zygote", ..] => {
            if let Err(error) = zygote::run(&args[1..]) {
                eprintln!("crucible-vm zygote: {error}");
                std::process::exit(exit::ZYGOTE_FAILED);
            }
        }
        _ => {
            eprintln!("crucible-vm: expected a command, got {args:?}\n{USAGE}");
            std::process::exit(exit::USAGE);
        }
    }
}
