//! Building the copy of the tree, and which mutants the compiler refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::trial::Suite;
use super::write::Written;
use crate::workspace::shown;

/// What came of a build.
pub enum Built {
    Suites(Vec<Suite>),
    /// The mutants for which the compiler refuses the text.
    Refused(BTreeSet<usize>),
}

/// Builds, and tells what test binaries that made, or which mutants stand where the compiler found errors.
pub fn build(command: &mut Command, written: &BTreeMap<PathBuf, Written>) -> Result<Built> {
    let answer = command
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let mut suites = Vec::new();
    let mut refused = BTreeSet::new();
    let mut errors = Vec::new();
    for line in String::from_utf8_lossy(&answer.stdout).lines() {
        let message: Value = serde_json::from_str(line)?;
        if let Some(suite) = suite(&message) {
            suites.push(suite);
        }
        let error = &message["message"];
        if error["level"] != "error" {
            continue;
        }
        errors.extend(error["rendered"].as_str().map(str::to_owned));
        for span in error["spans"].as_array().into_iter().flatten() {
            refused.extend(mutant_at(span, written));
        }
    }
    if answer.status.success() {
        return Ok(Built::Suites(suites));
    }
    if refused.is_empty() {
        bail!(
            "{} ended with {}, and not for a mutant:\n{}",
            shown(command),
            answer.status,
            errors.join("\n")
        );
    }
    Ok(Built::Refused(refused))
}

/// The smallest mutant around a place that the compiler names.
fn mutant_at(span: &Value, written: &BTreeMap<PathBuf, Written>) -> Option<usize> {
    let name = Path::new(span["file_name"].as_str()?);
    let (_, written) = written.iter().find(|(file, _)| name.ends_with(file))?;
    let start = usize::try_from(span["byte_start"].as_u64()?).ok()?;
    written
        .places
        .iter()
        .filter(|(_, place)| place.contains(&start))
        .min_by_key(|(_, place)| place.len())
        .map(|(number, _)| *number)
}

/// The test binary that a message of cargo's announces.
fn suite(message: &Value) -> Option<Suite> {
    if message["profile"]["test"] != true {
        return None;
    }
    let manifest = Path::new(message["manifest_path"].as_str()?);
    Some(Suite {
        name: message["target"]["name"].as_str()?.to_owned(),
        executable: message["executable"].as_str()?.into(),
        folder: manifest.parent()?.to_owned(),
        through: Vec::new(),
    })
}
