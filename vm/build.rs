//! Tells the crate which patches its Rune carries: byte code of another patch level must never be loaded.

use std::path::Path;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn main() {
    println!("cargo:rerun-if-changed=patches");
    let mut patches: Vec<_> = std::fs::read_dir("patches")
        .expect("vm/patches holds the patches that are applied to Rune")
        .map(|entry| entry.expect("vm/patches can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "patch")
        })
        .collect();
    patches.sort();
    let mut level = FNV_OFFSET;
    for path in &patches {
        println!("cargo:rerun-if-changed={}", path.display());
        level = hash(level, &name(path));
        level = hash(level, &std::fs::read(path).expect("a patch can be read"));
    }
    println!(
        "cargo:rustc-env=CRUCIBLE_RUNE_PATCH_LEVEL={}-{level:016x}",
        patches.len()
    );
}

fn name(path: &Path) -> Vec<u8> {
    path.file_name()
        .map(|name| name.as_encoded_bytes().to_vec())
        .unwrap_or_default()
}

// FNV-1a: tells levels apart; it does not have to resist an attacker, who cannot choose the patches.
fn hash(mut state: u64, bytes: &[u8]) -> u64 {
    for byte in bytes.iter().chain(&[0]) {
        state = (state ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    }
    state
}
