//! What the compiler mentions on its way.

use std::collections::{BTreeMap, HashMap};

use rune::compile::{meta::Kind, CompileVisitor, Located, MetaError, MetaRef};
use rune::{Hash, Item, SourceId};

/// A function of the script.
pub struct Declared {
    pub hash: Hash,
    pub name: String,
    pub source_id: SourceId,
    pub start: usize,
    pub end: usize,
}

/// Collects functions, doc comments and the items of other crates that are used.
#[derive(Default)]
pub struct Visitor {
    pub functions: Vec<Declared>,
    pub docs: HashMap<Hash, String>,
    /// With the place where each was first met.
    pub items: BTreeMap<String, Place>,
}

/// A place in a source.
#[derive(Clone, Copy)]
pub struct Place {
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

impl CompileVisitor for Visitor {
    fn register_meta(&mut self, meta: MetaRef<'_>) -> Result<(), MetaError> {
        let (Kind::Function { .. }, false, Some(source)) = (meta.kind, meta.context, meta.source)
        else {
            return Ok(());
        };
        let span = source.location.span.range();
        self.functions.push(Declared {
            hash: meta.hash,
            name: meta.item.to_string().trim_start_matches("::").to_owned(),
            source_id: source.location.source_id,
            start: span.start,
            end: span.end,
        });
        Ok(())
    }

    fn visit_meta(&mut self, location: &dyn Located, meta: MetaRef<'_>) -> Result<(), MetaError> {
        if meta.context {
            let item = meta.item.to_string();
            if item.trim_start_matches("::").starts_with("crucible") {
                let location = location.location();
                let span = location.span.range();
                let place = Place {
                    source: location.source_id.into_index(),
                    start: span.start,
                    end: span.end,
                };
                self.items
                    .entry(item.trim_start_matches("::").to_owned())
                    .or_insert(place);
            }
        }
        Ok(())
    }

    fn visit_doc_comment(
        &mut self,
        _location: &dyn Located,
        _item: &Item,
        hash: Hash,
        text: &str,
    ) -> Result<(), MetaError> {
        let doc = self.docs.entry(hash).or_default();
        if !doc.is_empty() {
            doc.push('\n');
        }
        doc.push_str(text.strip_prefix(' ').unwrap_or(text).trim_end());
        Ok(())
    }
}
