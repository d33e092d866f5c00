//! `crucible-vm`: the zygote, and the children that it forks.

mod exit;
mod frames;

fn main() {
    println!("{} {}", frames::PROTOCOL_VERSION, exit::DONE);
}
