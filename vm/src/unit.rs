//! The container of byte code: what a compile child makes, the server keeps under a MAC, and an execute child loads.
//!
//! Nothing inside is validated by Rune when it is loaded: a unit that was tampered with can do anything to the process.
//! So it is only ever loaded in a jailed child.

use bincode::Options;
use rune::runtime::{unit::Logic, DebugInfo};
use rune::{Source, Sources, Unit};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"CRUCUNIT";
const FORMAT_VERSION: u16 = 1;
/// The version of Rune that the crate is built against.
pub const RUNE_VERSION: &str = "0.14.2";
/// Which patches that Rune carries.
pub const RUNE_PATCH_LEVEL: &str = env!("CRUCIBLE_RUNE_PATCH_LEVEL");

/// A function as an execution has to know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    /// Its path, such as `util::clean`.
    pub name: String,
    pub parameters: Vec<String>,
    pub is_public: bool,
    pub is_async: bool,
    pub is_generator: bool,
}

#[derive(Serialize, Deserialize)]
struct Text {
    name: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format_version: u16,
    rune_version: String,
    patch_level: String,
}

/// A unit with what is needed to name places in it.
pub struct Loaded {
    pub unit: Unit,
    pub functions: Vec<Function>,
    pub sources: Sources,
}

/// Encodes a unit. `sources` are names and texts in the order of their ids.
pub fn encode(
    unit: &Unit,
    functions: &[Function],
    sources: &[(String, String)],
) -> Result<Vec<u8>, String> {
    let header = Header {
        format_version: FORMAT_VERSION,
        rune_version: RUNE_VERSION.to_owned(),
        patch_level: RUNE_PATCH_LEVEL.to_owned(),
    };
    let texts: Vec<Text> = sources
        .iter()
        .map(|(name, text)| Text {
            name: name.clone(),
            text: text.clone(),
        })
        .collect();
    let mut bytes = MAGIC.to_vec();
    let body = (&header, functions, &texts, unit.logic(), unit.debug_info());
    bincode::serialize_into(&mut bytes, &body)
        .map_err(|error| format!("the unit cannot be encoded: {error}"))?;
    Ok(bytes)
}

/// Loads what [`encode`] made with this very version of Rune and its patches.
pub fn decode(bytes: &[u8]) -> Result<Loaded, String> {
    let body = bytes
        .strip_prefix(MAGIC)
        .ok_or("expected byte code of Crucible, got other bytes; compile again")?;
    let unreadable = |error| format!("the byte code is damaged ({error}); compile again");
    // From the slice: a reader would allocate whatever length a text claims to have.
    let mut body = bincode::Deserializer::from_slice(body, options());
    let header = Header::deserialize(&mut body).map_err(unreadable)?;
    if header.format_version != FORMAT_VERSION
        || header.rune_version != RUNE_VERSION
        || header.patch_level != RUNE_PATCH_LEVEL
    {
        return Err(format!(
            "expected byte code of Rune {RUNE_VERSION} at patch level {RUNE_PATCH_LEVEL}, got {} at {}; compile again",
            header.rune_version, header.patch_level
        ));
    }
    type Body = (Vec<Function>, Vec<Text>, Logic, Option<DebugInfo>);
    let (functions, texts, logic, debug) = Body::deserialize(&mut body).map_err(unreadable)?;
    let unit = Unit::from_parts(logic, debug).map_err(|error| error.to_string())?;
    let mut sources = Sources::new();
    for text in &texts {
        let source = Source::new(&text.name, &text.text).map_err(|error| error.to_string())?;
        sources.insert(source).map_err(|error| error.to_string())?;
    }
    Ok(Loaded {
        unit,
        functions,
        sources,
    })
}

/// Those of `bincode::serialize`.
fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .allow_trailing_bytes()
}
