//! What a child outside the jail does itself instead of asking the server: it waits for descriptors and for processes.

pub mod environment;
pub mod incoming;
pub mod processes;
pub mod waits;
