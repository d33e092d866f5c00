//! Values that are left behind: dropping deep ones overflows the stack, and the process is about to end anyway. Under
//! fuzzing it goes on, so there they are dropped.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// Leaves a value behind.
pub fn behind<T>(value: T) {
    let _left = Left::new(value);
}

/// A value that is left behind where it goes out of scope.
pub struct Left<T>(ManuallyDrop<T>);

impl<T> Left<T> {
    pub fn new(value: T) -> Left<T> {
        Left(ManuallyDrop::new(value))
    }
}

impl<T> Deref for Left<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Left<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(feature = "fuzz")]
impl<T> Drop for Left<T> {
    fn drop(&mut self) {
        // What a panic went through may be in any state.
        if !std::thread::panicking() {
            // SAFETY: it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}
