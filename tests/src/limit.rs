//! How many descriptors this process and those that it starts may have.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::skip::skip;

/// Whether a process may have so many descriptors: raises the soft limit of this one where it is lower, which
/// the command inherits. Where the hard limit is lower too, says that the test `name` cannot run.
pub fn descriptors(name: &str, wanted: u64) -> Result<bool> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    if current.is_none_or(|current| current >= wanted) {
        return Ok(true);
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < wanted) {
        skip(
            name,
            format!(
                "{wanted} descriptors are needed and RLIMIT_NOFILE ends at {maximum}; raise the hard limit"
            ),
        );
        return Ok(false);
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).context("RLIMIT_NOFILE could not be raised")?;
    println!("RLIMIT_NOFILE raised from {current:?} to {wanted}");
    Ok(true)
}
