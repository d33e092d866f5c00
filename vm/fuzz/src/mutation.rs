//! Byte code that no compiler made: units of real programs, changed instruction by instruction and byte by byte.

use arbitrary::{Result, Unstructured};
use crucible_vm::fuzz::{Function, Interpreter};
use rune::runtime::Inst;

use crate::sources;

const MAGIC_BYTES: usize = 8;
const MOST_CHANGES: usize = 12;

/// Numbers at which something ends.
const EDGES: [u64; 10] = [
    0,
    1,
    2,
    7,
    255,
    1 << 16,
    u32::MAX as u64,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// A unit in its three parts: the instructions, and the bytes before and after them.
struct Parts {
    before: Vec<u8>,
    instructions: Vec<Inst>,
    after: Vec<u8>,
}

fn bases() -> &'static [Vec<u8>] {
    static BASES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    BASES.get_or_init(|| {
        sources::texts()
            .iter()
            .map(|text| Interpreter::get().compile(text, &[]).unit)
            .filter(|unit| !unit.is_empty())
            .collect()
    })
}

/// A unit that may be anything.
pub fn unit(decisions: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let bases = bases();
    let mut parts = split(&bases[decisions.choose_index(bases.len())?]);
    if decisions.ratio(1, 16)? {
        // All that follows the header is chosen freely.
        parts.before.truncate(header_bytes(&parts.before));
        parts
            .before
            .extend_from_slice(decisions.bytes(decisions.len())?);
        return Ok(parts.before);
    }
    for _ in 0..decisions.int_in_range(1..=MOST_CHANGES)? {
        change(decisions, &mut parts)?;
    }
    Ok(join(parts))
}

fn change(decisions: &mut Unstructured<'_>, parts: &mut Parts) -> Result<()> {
    let count = parts.instructions.len();
    if count == 0 {
        return Ok(());
    }
    let at = decisions.choose_index(count)?;
    match decisions.int_in_range(0..=9)? {
        0..=3 => {
            let mut bytes = bincode::serialize(&parts.instructions[at]).unwrap_or_default();
            overwrite(decisions, &mut bytes)?;
            if let Ok(changed) = bincode::deserialize(&bytes) {
                parts.instructions[at] = changed;
            }
        }
        4 => parts.instructions.swap(at, decisions.choose_index(count)?),
        5 => parts.instructions[at] = parts.instructions[decisions.choose_index(count)?],
        6 => drop(parts.instructions.remove(at)),
        7 => {
            let bases = bases();
            let other = split(&bases[decisions.choose_index(bases.len())?]);
            let from = decisions.choose_index(other.instructions.len().max(1))?;
            if let Some(instruction) = other.instructions.get(from) {
                parts.instructions.insert(at, *instruction);
            }
        }
        8 => overwrite(decisions, &mut parts.after)?,
        _ => {
            let header = header_bytes(&parts.before);
            overwrite(decisions, &mut parts.before[header..])?;
        }
    }
    Ok(())
}

/// Changes a byte, or a number of four or eight.
fn overwrite(decisions: &mut Unstructured<'_>, bytes: &mut [u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let at = decisions.choose_index(bytes.len())?;
    let width = *decisions.choose(&[1, 4, 8, 8])?;
    let Some(place) = bytes.get_mut(at..at + width) else {
        bytes[at] = decisions.arbitrary()?;
        return Ok(());
    };
    let mut old = [0; 8];
    old[..width].copy_from_slice(place);
    let old = u64::from_le_bytes(old);
    let new = match decisions.int_in_range(0..=3)? {
        0 => u64::from(decisions.arbitrary::<u8>()?),
        1 => old.wrapping_add_signed(i64::from(decisions.arbitrary::<i8>()?)),
        2 => *decisions.choose(&EDGES)?,
        _ => decisions.arbitrary()?,
    };
    place.copy_from_slice(&new.to_le_bytes()[..width]);
    Ok(())
}

fn split(unit: &[u8]) -> Parts {
    let mut rest = &unit[header_bytes(unit)..];
    let known = "what was encoded can be decoded";
    let _: (Vec<Function>, Vec<(String, String)>) =
        bincode::deserialize_from(&mut rest).expect(known);
    let before = unit[..unit.len() - rest.len()].to_vec();
    let instructions = bincode::deserialize_from(&mut rest).expect(known);
    Parts {
        before,
        instructions,
        after: rest.to_vec(),
    }
}

fn header_bytes(unit: &[u8]) -> usize {
    let mut rest = &unit[MAGIC_BYTES..];
    let header: Result<(u16, String, String), _> = bincode::deserialize_from(&mut rest);
    header.expect("a unit begins with its header");
    unit.len() - rest.len()
}

fn join(parts: Parts) -> Vec<u8> {
    let Parts {
        mut before,
        instructions,
        after,
    } = parts;
    bincode::serialize_into(&mut before, &instructions).expect("instructions can be encoded");
    before.extend_from_slice(&after);
    before
}
