//! The example policies once more, each behind the second wall that is derived from it (`sockgate run --harden`).

#[path = "examples_policies.rs"]
mod policies;
