//! An embedder.
fn main() {}
