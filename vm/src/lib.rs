//! `crucible-vm`: the zygote, the children that it forks, and the file broker.

mod broker;
mod child;
mod compile;
mod convert;
mod development;
#[cfg(feature = "escape")]
mod escape;
mod execute;
mod exit;
mod filter;
mod frames;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod jail;
mod leave;
mod modules;
mod unit;
mod zygote;

const USAGE: &str = "usage: crucible-vm zygote --control-fd N [--uid N] [--development] [--without-namespaces] \
                     [--without-landlock] | crucible-vm broker --control-fd N | crucible-vm --version";

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
        ["broker", ..] => {
            if let Err(error) = broker::run(&args[1..]) {
                eprintln!("crucible-vm broker: {error}");
                std::process::exit(exit::BROKER_FAILED);
            }
        }
        _ => {
            eprintln!("crucible-vm: expected a command, got {args:?}\n{USAGE}");
            std::process::exit(exit::USAGE);
        }
    }
}
