//! What the fuzz targets share.

pub mod grammar;
pub mod mutation;
pub mod sources;
