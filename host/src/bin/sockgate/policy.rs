//! Reading the policy that the command line names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use sockgate::policy::Policy;
use sockgate::{ReadPolicyError, policy_files, read_policy};

/// What grants: files, rules in one line, variables.
#[derive(Args)]
pub struct PolicyArgs {
    /// A policy file; the rules of several add up
    #[arg(long = "policy", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// A rule in a line: 'tcp connect 10.0.0.0/8:443', 'unix listen /run/x.sock',
    /// 'tcp resolve,connect db.example.com:5432'
    #[arg(long = "allow", value_name = "RULE", verbatim_doc_comment)]
    rules: Vec<String>,

    #[command(flatten)]
    variables: Variables,
}

/// What policy files leave open.
#[derive(Args)]
pub struct Variables {
    /// What ${NAME} in a policy file stands for
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
}

impl Variables {
    fn all(&self) -> HashMap<String, String> {
        self.variables.iter().cloned().collect()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, _)| name.as_str())
    }
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("`{text}` has no `=`: write NAME=VALUE")),
    }
}

impl PolicyArgs {
    /// Whether nothing was given: then everything is refused.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.rules.is_empty()
    }

    /// Whether some of it stands in files, which may change.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Those files, and what they include.
    pub fn read_files(&self) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for file in &self.files {
            all.extend(policy_files(file, self.variables.all())?);
        }
        Ok(all)
    }

    /// The policy of all files and rules together.
    pub fn load(&self) -> Result<Policy> {
        let mut policy = Policy::deny_all();
        for file in &self.files {
            policy = merge(policy, load_file(file, &self.variables)?)?;
        }
        for rule in &self.rules {
            let rule = Policy::allow_line(rule)
                .map_err(|errors| anyhow!("--allow '{rule}':\n{errors}"))?;
            policy = merge(policy, rule)?;
        }
        Ok(policy)
    }
}

fn merge(policy: Policy, more: Policy) -> Result<Policy> {
    policy
        .merge(more)
        .map_err(|errors| anyhow!("the policies do not go together:\n{errors}"))
}

/// One policy file, with what it includes.
pub fn load_file(file: &Path, variables: &Variables) -> Result<Policy, ReadPolicyError> {
    read_policy(file, variables.all())
}
