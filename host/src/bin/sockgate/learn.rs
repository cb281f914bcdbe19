//! `sockgate learn`: what a guest does, as a policy.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use sockgate::policy::{Generalise, Learner, Mode, Policy, Ports};

use super::report::write_whole;
use super::run::{Ended, Run};

/// Run a guest and write the smallest policy that grants what it did
///
/// What merely lacks a grant is let through and learnt; deny rules and limits of --policy
/// hold. What --policy and --allow grant already is not learnt again: the two files go
/// together. The policy is written when the guest ends, and on a signal. Read it before you
/// use it: whatever the guest did is in it.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit status: the guest's own, as for run."
)]
pub struct Learn {
    /// The policy file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The ports that rules name
    #[arg(long, value_enum, default_value_t = PortsArg::Ephemeral)]
    ports: PortsArg,

    /// Name the networks of peers instead of their addresses: the length of IPv4 prefixes,
    /// and of IPv6 prefixes
    #[arg(long, value_name = "BITS,BITS", value_parser = prefixes, verbatim_doc_comment)]
    networks: Option<(u8, u8)>,

    #[command(flatten)]
    run: Run,
}

#[derive(Clone, Copy, ValueEnum)]
enum PortsArg {
    /// None of a peer's
    Any,
    /// Not those that a peer's kernel chose
    Ephemeral,
    /// Every one that was seen
    Exact,
}

/// `24,64`.
fn prefixes(text: &str) -> Result<(u8, u8), String> {
    let (four, six) = text.split_once(',').unwrap_or((text, "128"));
    match (four.trim().parse(), six.trim().parse()) {
        (Ok(four @ 0..=32), Ok(six @ 0..=128)) => Ok((four, six)),
        _ => Err("write the lengths of two prefixes: 24,64".to_owned()),
    }
}

impl Learn {
    pub fn execute(self) -> Result<ExitCode> {
        let how = Generalise {
            ports: match self.ports {
                PortsArg::Any => Ports::Any,
                PortsArg::Ephemeral => Ports::Ephemeral,
                PortsArg::Exact => Ports::Exact,
            },
            networks: self.networks,
        };
        let name = self.run.name();
        let out = self.out;
        // A place that cannot be written to is found out before the guest runs for an hour.
        let opened = File::options().append(true).create(true).open(&out);
        drop(opened.with_context(|| format!("the policy {} cannot be written", out.display()))?);
        let write = move |learner: &Learner| write(&out, &learner.policy(&name, &how));
        let cut_short = write.clone();
        let learning = |policy: Policy| policy.with_mode(Mode::Learn);
        let Ended { code, learner } = self.run.under(learning, move |learner| {
            if let Err(error) = cut_short(learner) {
                eprintln!("sockgate: {error:#}");
            }
        })?;
        write(&learner)?;
        Ok(code)
    }
}

fn write(out: &Path, text: &str) -> Result<()> {
    write_whole(out, text)
        .with_context(|| format!("the policy {} cannot be written", out.display()))
}
