//! Page tables of the program's own pages, for the children.
//!
//! A fork copies no page tables of a file's mapping, since they can be filled again from the file: so every child would
//! fault on every page of the program that it runs. A mapping of which one page has been written is copied whole. Each
//! mapping of code and constants gets one of its bytes written over with itself.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error};
use std::os::unix::fs::FileExt;

/// To be called before the first use of what children use. They are only slower for a failure.
pub fn own() -> Result<(), String> {
    let failed = |what: &str, error: Error| format!("{what}: {error}");
    let maps =
        File::open("/proc/self/maps").map_err(|e| failed("cannot open /proc/self/maps", e))?;
    // Writes through this file pass over the protection of a private mapping, without lifting it for anybody.
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .map_err(|e| failed("cannot open /proc/self/mem", e))?;
    for line in BufReader::new(maps).lines() {
        let line = line.map_err(|e| failed("cannot read /proc/self/maps", e))?;
        if let Some(address) = read_only_file(&line) {
            let mut byte = [0u8];
            memory
                .read_exact_at(&mut byte, address)
                .and_then(|()| memory.write_all_at(&byte, address))
                .map_err(|e| failed(&format!("cannot write at {address:#x}"), e))?;
        }
    }
    Ok(())
}

/// The first address of a mapping of code or constants in a file.
fn read_only_file(line: &str) -> Option<u64> {
    let mut fields = line.split_whitespace();
    let range = fields.next()?;
    let is_read_only = matches!(fields.next()?, "r-xp" | "r--p");
    let is_file = fields.nth(3)?.starts_with('/');
    let start = u64::from_str_radix(range.split('-').next()?, 16).ok()?;
    (is_read_only && is_file).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_code_and_constants_of_files_only() {
        let line = "55d0c000-55d0d000 r-xp 00001000 08:01 1234  /usr/bin/crucible-vm";
        assert_eq!(read_only_file(line), Some(0x55d0_c000));
        assert_eq!(read_only_file(&line.replace("r-xp", "rw-p")), None);
        assert_eq!(
            read_only_file("7ffc0000-7ffd0000 r-xp 00000000 00:00 0  [vdso]"),
            None
        );
        assert_eq!(
            read_only_file("7ffc0000-7ffd0000 r--p 00000000 00:00 0"),
            None
        );
    }

    #[test]
    fn leaves_the_program_as_it_is() {
        own().unwrap();
        own().unwrap();
    }
}
