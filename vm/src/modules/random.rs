//! `crucible::basic::random`: numbers that follow from the seed of the execution alone.

use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_chacha::ChaCha12Rng;
use rune::runtime::VmResult;
use rune::{ContextError, Module, Value};

use super::info::function;
use crate::child;
use crate::frames::v1::ModuleFunction;

/// The generator of one execution: the same seed gives the same numbers.
pub struct Random(ChaCha12Rng);

impl Random {
    /// A seed of another length than 32 bytes is repeated or cut.
    pub fn new(seed: &[u8]) -> Random {
        let mut bytes = [0; 32];
        for (byte, given) in bytes.iter_mut().zip(seed.iter().cycle()) {
            *byte = *given;
        }
        Random(ChaCha12Rng::from_seed(bytes))
    }

    /// Below `bound`, each number as likely as another. Zero stands for 2^64.
    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return self.0.next_u64();
        }
        // What is left of 2^64 after whole multiples of the bound would favour the lowest numbers.
        let whole = u64::MAX - (u64::MAX % bound + 1) % bound;
        loop {
            let number = self.0.next_u64();
            if number <= whole {
                return number % bound;
            }
        }
    }
}

pub fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("crucible", ["basic", "random"])?;
    module.function("int", int).build()?;
    module
        .function("float", || {
            // 53 bits: as many as a float below 1 has.
            with(|random| (random.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64)
        })
        .build()?;
    module.function("shuffle", shuffle).build()?;
    module.function("choose", choose).build()?;
    Ok(module)
}

fn int(low: i64, high: i64) -> VmResult<i64> {
    if low > high {
        return VmResult::panic(format!(
            "random::int: expected the lower bound first, got {low} and {high}"
        ));
    }
    let span = (high.wrapping_sub(low) as u64).wrapping_add(1);
    with(|random| low.wrapping_add(random.below(span) as i64))
}

fn shuffle(list: &mut rune::runtime::Vec) -> VmResult<()> {
    with(|random| {
        for at in (1..list.len()).rev() {
            list.swap(at, random.below(at as u64 + 1) as usize);
        }
    })
}

fn choose(list: &[Value]) -> VmResult<Option<Value>> {
    if list.is_empty() {
        return VmResult::Ok(None);
    }
    with(|random| list.get(random.below(list.len() as u64) as usize).cloned())
}

fn with<T>(draw: impl FnOnce(&mut Random) -> T) -> VmResult<T> {
    match child::with(|session| draw(&mut session.random)) {
        Some(drawn) => VmResult::Ok(drawn),
        None => VmResult::panic("there is no seed"),
    }
}

pub fn functions() -> Vec<ModuleFunction> {
    vec![
        function(
            "random::int",
            "random::int(low, high)",
            "An integer from low to high, both included.",
        ),
        function(
            "random::float",
            "random::float()",
            "A float from 0 up to, not including, 1.",
        ),
        function(
            "random::shuffle",
            "random::shuffle(list)",
            "Puts the elements of the list into random order.",
        ),
        function(
            "random::choose",
            "random::choose(list)",
            "One of the elements: `Some(element)`, or `None` of an empty list.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn every_number_below_the_bound_comes_and_none_else() {
        let mut random = Random::new(&[3; 32]);
        for bound in [1, 2, 3, 7, 10] {
            let mut seen = vec![0; bound as usize];
            for _ in 0..1000 {
                seen[random.below(bound) as usize] += 1;
            }
            assert!(seen.iter().all(|count| *count > 500 / bound), "{seen:?}");
        }
        assert!((0..200).any(|_| random.below(0) > u64::MAX / 2));
    }

    #[test]
    fn the_seed_alone_decides() {
        let draw = |seed: &[u8]| {
            let mut random = Random::new(seed);
            [random.below(0), random.below(0)]
        };
        assert_eq!(draw(&[1; 32]), draw(&[1; 32]));
        assert_ne!(draw(&[1; 32]), draw(&[2; 32]));
        assert_eq!(draw(&[]), draw(&[0; 32]));
    }
}
