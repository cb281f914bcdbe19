//! `sockgate schema`: the JSON Schema of policies.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sockgate::policy::json_schema;

/// Print the JSON Schema of policies, for editors
///
/// An editor with support for TOML completes keys and words by it, and marks what is
/// unknown: `sockgate schema > sockgate.schema.json`, and `#:schema sockgate.schema.json`
/// as the first line of a policy.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Schema;

impl Schema {
    pub fn execute(self) -> Result<ExitCode> {
        println!("{}", serde_json::to_string_pretty(&json_schema())?);
        Ok(ExitCode::SUCCESS)
    }
}
