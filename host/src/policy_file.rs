//! Policies from files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::policy::{LoadErrors, Policy, Source};

/// Why a policy could not be had from its file.
#[derive(Debug, thiserror::Error)]
pub enum ReadPolicyError {
    /// The file cannot be read.
    #[error("the policy file {} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something is wrong with what it says, or with a file that it includes.
    #[error("{} is no policy:\n{errors}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong.
        errors: LoadErrors,
    },
}

/// Reads a policy from its file, with the files that it includes. `variables` are what `${name}` stands for
/// in all of them.
///
/// # Errors
/// The file cannot be read, or is no policy.
pub fn read_policy(
    file: impl AsRef<Path>,
    variables: HashMap<String, String>,
) -> Result<Policy, ReadPolicyError> {
    read(file.as_ref(), variables, |_| {})
}

/// The files that [`read_policy`] reads: this one, and those that it includes. A process that is confined and
/// means to read them again goes on being let ([`Confinement::file`](crate::Confinement::file)).
///
/// # Errors
/// As [`read_policy`].
pub fn policy_files(
    file: impl AsRef<Path>,
    variables: HashMap<String, String>,
) -> Result<Vec<PathBuf>, ReadPolicyError> {
    let mut files = vec![file.as_ref().to_owned()];
    read(file.as_ref(), variables, |included| {
        files.push(included.to_owned())
    })?;
    Ok(files)
}

fn read(
    file: &Path,
    variables: HashMap<String, String>,
    mut includes: impl FnMut(&Path),
) -> Result<Policy, ReadPolicyError> {
    let unreadable = |source| ReadPolicyError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let absolute = std::path::absolute(file).map_err(unreadable)?;
    let source = Source {
        name: file.display().to_string(),
        text,
        base: absolute.parent().unwrap_or(Path::new("/")).to_owned(),
        variables,
    };
    let read = |path: &Path| {
        includes(path);
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    };
    Policy::from_files(&source, read).map_err(|errors| ReadPolicyError::Wrong {
        file: file.to_owned(),
        errors,
    })
}
