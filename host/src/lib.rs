//! sockgate
mod audit;
mod socket;
pub mod bridge { pub mod bindings; }
