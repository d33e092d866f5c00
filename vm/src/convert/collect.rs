//! Values whose types Rune keeps to itself are taken apart by a few lines of Rune.

use std::sync::Arc;

use rune::runtime::{budget, RuntimeContext, VmError};
use rune::{Unit, Value, Vm};

use super::Refusal;
use crate::leave;

/// Trusted, and compiled in the zygote.
pub const SOURCE: &str = r#"
pub fn collect(values) { let out = []; for value in values { out.push(value); } out }
pub fn display(value) { format!("{}", value) }
"#;

/// Runs [`SOURCE`]. What it does is neither counted nor limited by the budget; memory is.
#[derive(Clone)]
pub struct Collector {
    pub runtime: Arc<RuntimeContext>,
    pub unit: Arc<Unit>,
}

impl Collector {
    /// The elements of a collection; of a map, pairs.
    pub fn collect(&self, values: Value) -> Result<Vec<Value>, Refusal> {
        let list = self
            .call("collect", values)
            .map_err(|error| Refusal::Unfit(error.to_string()))?;
        let list = list
            .into_ref::<rune::runtime::Vec>()
            .map_err(|error| Refusal::Unfit(error.to_string()))?;
        Ok(list.iter().cloned().collect())
    }

    /// The text of a value that can be displayed.
    pub fn display(&self, value: Value) -> Option<String> {
        let text = self.call("display", value).ok()?;
        let text = text.borrow_string_ref().ok()?.to_string();
        Some(text)
    }

    fn call(&self, function: &str, argument: Value) -> Result<Value, VmError> {
        let mut vm = Vm::new(self.runtime.clone(), self.unit.clone());
        let result = budget::with(usize::MAX, || vm.call([function], (argument,))).call();
        leave::behind(vm);
        result
    }
}
