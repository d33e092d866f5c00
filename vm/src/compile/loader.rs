//! Files that come with the request, for `mod name;`.

use std::collections::{BTreeMap, BTreeSet};

use rune::alloc::path::Path;
use rune::ast::Spanned;
use rune::compile::{self, SourceLoader};
use rune::item::ComponentRef;
use rune::{Item, Source};

/// So many names of files are told at most.
const MAX_NAMED: usize = 8;

/// Texts by their path relative to the main file.
pub struct Files<'a> {
    given: &'a BTreeMap<String, String>,
    included: BTreeSet<&'a str>,
}

impl<'a> Files<'a> {
    pub fn new(given: &'a BTreeMap<String, String>) -> Files<'a> {
        Files {
            given,
            included: BTreeSet::new(),
        }
    }

    /// What no `mod` has asked for: names for people and the number of files.
    pub fn left_over(&self) -> (String, usize) {
        let rest = || {
            let names = self.given.keys().map(String::as_str);
            names.filter(|name| !self.included.contains(name))
        };
        (listed(rest()), rest().count())
    }

    fn find(&self, module: &str) -> Result<(&'a str, &'a str), String> {
        let base = module.replace("::", "/");
        let candidates = [format!("{base}.rn"), format!("{base}/mod.rn")];
        let found = candidates
            .each_ref()
            .map(|path| self.given.get_key_value(path));
        match found {
            [Some((path, text)), None] | [None, Some((path, text))] => Ok((path, text)),
            [Some(_), Some(_)] => Err(format!(
                "expected one file for the module `{module}`, got both `{}` and `{}`; leave one out",
                candidates[0], candidates[1]
            )),
            [None, None] => Err(format!(
                "expected the file `{}` or `{}` among the files of the request, found neither; it has {}",
                candidates[0],
                candidates[1],
                listed(self.given.keys().map(String::as_str))
            )),
        }
    }
}

impl SourceLoader for Files<'_> {
    fn load(&mut self, _root: &Path, item: &Item, span: &dyn Spanned) -> compile::Result<Source> {
        let mut parts = Vec::new();
        for component in item {
            match component {
                ComponentRef::Str(name) => parts.push(name),
                _ => {
                    return Err(compile::Error::msg(
                        span,
                        "expected `mod name;` at the top of a file or of a module, got one inside of a function; move it there",
                    ))
                }
            }
        }
        let (path, text) = self
            .find(&parts.join("::"))
            .map_err(|message| compile::Error::msg(span, message))?;
        self.included.insert(path);
        let error = |_| compile::Error::msg(span, "Failed to allocate the text of a module");
        Source::with_path(path, text, path).map_err(error)
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let shown = names.iter().take(MAX_NAMED).map(|name| format!("`{name}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".to_owned(),
        count if count > MAX_NAMED => format!("{shown} and {} more", count - MAX_NAMED),
        _ => shown,
    }
}
