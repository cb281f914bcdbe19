//! `sockgate explain`: which rule decides an operation, and what would have to change.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use sockgate::policy::{Explanation, Question, Reason};

use super::policy::PolicyArgs;

/// Explain how a policy decides an operation
///
/// Prints the verdict, what each rule that comes near lacks, and what would change it.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit status: 0 when it is granted, 1 when it is denied, 2 when the question cannot be read."
)]
pub struct Explain {
    #[command(flatten)]
    policy: PolicyArgs,

    /// The operation, with concrete addresses: tcp connect 10.1.2.3:22,
    /// udp receive 10.0.0.1:53 from 127.0.0.1:5353, unix listen /run/x.sock,
    /// udp join-group 239.1.1.1 source=10.0.0.1, resolve db.example.com
    #[arg(value_name = "OPERATION", required = true, verbatim_doc_comment)]
    question: Vec<String>,
}

impl Explain {
    pub fn execute(self) -> Result<ExitCode> {
        if self.policy.is_empty() {
            bail!("no policy to explain: give --policy FILE or --allow RULE");
        }
        let question =
            Question::parse(&self.question.join(" ")).map_err(|error| anyhow!("{error}"))?;
        let explanation = self.policy.load()?.explain(&question);
        print(&explanation);
        Ok(if explanation.granted() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn print(explanation: &Explanation) {
    match &explanation.verdict {
        Ok(rule) => println!("granted by rule `{rule}`: {}", explanation.question),
        Err(Reason::Rule(rule)) => {
            println!("denied by deny rule `{rule}`: {}", explanation.question)
        }
        Err(Reason::NoRule) => println!("denied, no rule grants it: {}", explanation.question),
    }
    if let Some(let_through) = &explanation.let_through {
        println!("{let_through}");
    }
    for candidate in &explanation.candidates {
        match &candidate.lacks {
            None => println!("  {} `{}` grants it", candidate.place, candidate.rule),
            Some(lacks) => println!("  {} `{}`: {lacks}", candidate.place, candidate.rule),
        }
    }
    if let Some(change) = &explanation.change {
        println!("{change}");
    }
}
