//! Writes `vm/src/gen/*.rs`: the messages that server and interpreter exchange.
//!
//! Usage: `crucible-vm-codegen PROTO_ROOT OUT_DIR`. The result is committed so that building needs no code generator.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(out)) = (args.next(), args.next()) else {
        return Err(
            "expected two arguments: the folder of the .proto files and the folder to write to"
                .into(),
        );
    };
    let files = [
        "crucible/vm/v1/broker.proto",
        "crucible/vm/v1/child.proto",
        "crucible/vm/v1/zygote.proto",
    ];
    let descriptors = protox::compile(files, [Path::new(&root)])?;
    prost_build::Config::new()
        // A map in a hash table would be encoded in another order each time; replay needs the same bytes.
        .btree_map(["."])
        .out_dir(out)
        .compile_fds(descriptors)?;
    Ok(())
}
