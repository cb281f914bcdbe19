//! `sockgate check`: whether policies load, and what is odd about them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::policy::{Variables, load_file};

/// Check policy files
///
/// Prints every error with its place and its mend, and warnings for rules that never
/// match or do less than they seem to.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit status: 0, or 1 when a file is no policy. Warnings do not change it."
)]
pub struct Check {
    #[command(flatten)]
    variables: Variables,

    /// The policy files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Check {
    pub fn execute(self) -> Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        for file in &self.files {
            match load_file(file, &self.variables) {
                Ok(policy) => {
                    let warnings = policy.warnings();
                    for warning in &warnings {
                        println!("{warning}");
                    }
                    let rules = policy.rule_ids().count();
                    println!(
                        "{}: ok, {rules} rules, {} warnings",
                        file.display(),
                        warnings.len()
                    );
                }
                Err(error) => {
                    eprintln!("{error:#}");
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }
}
