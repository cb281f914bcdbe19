//! Policies for tests.

use std::path::Path;

use anyhow::Result;
use sockgate::policy::{Policy, Source};

/// Everything that the tests do on this machine: TCP and UDP on 127.0.0.0/8, pairs that pass descriptors,
/// and Unix sockets beneath `folder`.
pub fn policy(folder: &Path) -> Result<Policy> {
    let source = Source::new("loopback.toml", include_str!("loopback.toml"));
    let source = source.with_variable("folder", &folder.display().to_string());
    Ok(Policy::from_toml(&source)?)
}

/// A policy file with this text.
pub fn policy_from(text: &str) -> Result<Policy> {
    Ok(Policy::from_toml(&Source::new("test.toml", text))?)
}
