//! `sockgate diff`: what a guest gains and loses between two policies.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::policy::{Variables, load_file};

/// Tell what a guest gains and loses between two policies
///
/// One line for each difference: `-` for what it may no longer do, `+` for what it may do
/// besides, `~` for what is done in another way. Ids, comments, and the order of rules make
/// no difference.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit status: 0 when the policies grant the same, 1 when they differ, 2 when one of them cannot be loaded."
)]
pub struct Diff {
    #[command(flatten)]
    variables: Variables,

    /// The policy that was in force
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The one that takes its place
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

impl Diff {
    pub fn execute(self) -> Result<ExitCode> {
        let old = load_file(&self.old, &self.variables)?;
        let new = load_file(&self.new, &self.variables)?;
        let differences = old.diff(&new);
        for difference in &differences {
            println!("{difference}");
        }
        if differences.is_empty() {
            println!("the same");
            return Ok(ExitCode::SUCCESS);
        }
        Ok(ExitCode::FAILURE)
    }
}
