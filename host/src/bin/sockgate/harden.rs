//! `sockgate run --harden`: the second wall.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use sockgate::policy::{Policy, Reach};
use sockgate::{Confinement, User};

/// How the command gives up what the policy cannot need.
#[derive(Args)]
pub struct HardenArgs {
    /// Before the guest runs, give up every privilege that the policy cannot need:
    /// capabilities, system calls, kinds of sockets, files, TCP ports. What this kernel
    /// cannot do of it is told; with --harden=strict it ends the run
    #[arg(
        long,
        value_enum,
        value_name = "strict",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "possible",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    harden: Option<Degree>,

    /// With --harden: go on as this user (a name, or UID:GID), after all sockets and
    /// files of the command line are open
    #[arg(long, value_name = "USER", requires = "harden", value_parser = User::find, verbatim_doc_comment)]
    user: Option<User>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Degree {
    /// As far as this kernel can.
    Possible,
    /// In full, or not at all.
    Strict,
}

/// What the command goes on using of the file system.
pub struct Places {
    /// Directories whose files the guest uses.
    pub used: Vec<PathBuf>,
    /// Directories where the command writes, renames and removes files.
    pub written: Vec<PathBuf>,
    /// Files that are read again.
    pub read: Vec<PathBuf>,
}

/// What the walls let through: a policy that needs more cannot have it any more.
pub struct Walls {
    reach: Reach,
    first_free_port: u16,
}

impl Walls {
    /// Tells the operator what a policy grants in vain.
    pub fn compare(&self, policy: &Policy) {
        for missing in self.reach.missing(&policy.reach(), self.first_free_port) {
            eprintln!("sockgate: the walls of --harden stay, and hold back: {missing}");
        }
    }
}

impl HardenArgs {
    /// Whether it was asked for.
    pub fn is_wanted(&self) -> bool {
        self.harden.is_some()
    }

    /// Confines this process, if that was asked for.
    pub fn apply(&self, reach: &Reach, places: Places) -> Result<Option<Walls>> {
        let Some(degree) = self.harden else {
            return Ok(None);
        };
        let walls = Walls {
            reach: reach.clone(),
            // Behind the walls nobody can read it any more.
            first_free_port: sockgate::first_free_port(),
        };
        let mut confinement = Confinement::new(reach.clone());
        for directory in places.used {
            confinement = confinement.directory(directory);
        }
        for directory in places.written {
            confinement = confinement.writes_to(directory);
        }
        for file in places.read {
            confinement = confinement.file(file);
        }
        if let Some(user) = &self.user {
            confinement = confinement.user(user.clone());
        }
        let gaps = confinement.apply().context("--harden")?;
        for gap in &gaps {
            eprintln!("sockgate: not hardened: {gap}");
        }
        if degree == Degree::Strict && !gaps.is_empty() {
            bail!("--harden=strict: the process is not confined in full");
        }
        Ok(Some(walls))
    }
}
