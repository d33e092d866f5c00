//! Files that come with the request, for `mod name;`.

use std::collections::BTreeMap;

use rune::alloc::path::Path;
use rune::ast::Spanned;
use rune::compile::{self, SourceLoader};
use rune::item::ComponentRef;
use rune::{Item, Source};

/// Texts by their path relative to the main file.
pub struct Files<'a>(pub &'a BTreeMap<String, String>);

impl SourceLoader for Files<'_> {
    fn load(&mut self, _root: &Path, item: &Item, span: &dyn Spanned) -> compile::Result<Source> {
        let mut parts = Vec::new();
        for component in item {
            match component {
                ComponentRef::Str(name) => parts.push(name),
                _ => {
                    return Err(compile::Error::msg(
                        span,
                        "expected a module with a plain name",
                    ))
                }
            }
        }
        let base = parts.join("/");
        for path in [format!("{base}.rn"), format!("{base}/mod.rn")] {
            if let Some(text) = self.0.get(&path) {
                let error =
                    |_| compile::Error::msg(span, "Failed to allocate the text of a module");
                return Source::with_path(&path, text, &path).map_err(error);
            }
        }
        let message = format!("expected the file `{base}.rn` or `{base}/mod.rn` among the files of the request, found neither");
        Err(compile::Error::msg(span, message))
    }
}
