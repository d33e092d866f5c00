//! The program; all of it is in the library.

fn main() {
    crucible_vm::main();
}
