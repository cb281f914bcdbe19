//! `sockgate check`: whether policies load, and what is odd about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sockgate::ReadPolicyError;
use sockgate::policy::{LoadError, Policy, Warning};

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

    /// How the findings are printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// The policy files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For editors and CI: one array of findings
    Json,
}

impl Check {
    pub fn execute(self) -> Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        let mut used = BTreeSet::new();
        let mut findings = Vec::new();
        for file in &self.files {
            match load_file(file, &self.variables) {
                Ok(policy) => {
                    used.extend(policy.variables().map(str::to_owned));
                    self.tell(file, &policy, &mut findings);
                }
                Err(error) => {
                    // What it would have used is not known.
                    used.extend(self.variables.names().map(str::to_owned));
                    findings.extend(findings_of(file, &error));
                    code = ExitCode::FAILURE;
                    if self.format == Format::Text {
                        eprintln!("{:#}", Error::from(error));
                    }
                }
            }
        }
        for name in self.variables.names().filter(|name| !used.contains(*name)) {
            let message = format!("the variable `{name}` is used by no policy");
            match self.format {
                Format::Text => println!("warning: {message}"),
                Format::Json => findings.push(json!({ "severity": "warning", "message": message })),
            }
        }
        if self.format == Format::Json {
            println!("{}", serde_json::to_string_pretty(&findings)?);
        }
        Ok(code)
    }

    fn tell(&self, file: &Path, policy: &Policy, findings: &mut Vec<Value>) {
        let warnings = policy.warnings();
        if self.format == Format::Json {
            findings.extend(warnings.iter().map(finding_of_warning));
            return;
        }
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
}

fn findings_of(file: &Path, error: &ReadPolicyError) -> Vec<Value> {
    match error {
        ReadPolicyError::Wrong { errors, .. } => errors.iter().map(finding_of_error).collect(),
        ReadPolicyError::Unreadable { source, .. } => vec![json!({
            "severity": "error",
            "file": file.display().to_string(),
            "message": format!("the policy file cannot be read: {source}"),
        })],
    }
}

fn finding_of_error(error: &LoadError) -> Value {
    let (line, column) = error.position().unzip();
    let (end_line, end_column) = error.end_position().unzip();
    json!({
        "severity": "error",
        "file": error.file(),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "message": error.message(),
        "help": error.help(),
    })
}

fn finding_of_warning(warning: &Warning) -> Value {
    // A place is the file with the line behind it, where the file has more than one.
    let place = warning.place.rsplit_once(':');
    let (file, line) = match place.and_then(|(file, line)| Some((file, line.parse::<u64>().ok()?)))
    {
        Some((file, line)) => (file, Some(line)),
        None => (warning.place.as_str(), None),
    };
    json!({
        "severity": "warning",
        "file": file,
        "line": line,
        "rule": warning.rule,
        "message": warning.message,
    })
}
