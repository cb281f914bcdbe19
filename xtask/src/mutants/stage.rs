//! The stages that a mutant may go through until something catches it: the policy's own tests, the attacks and
//! denials on the command, and all other tests of the command and of the library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use super::build::{Built, build};
use super::trial::{Bench, Outcome, Suite, Tell};
use super::{Fate, Forest};
use crate::guests;
use crate::test::{Phase, TestBinary, test_binaries};
use crate::workspace::Workspace;

/// The suites of the command that are about the policy alone.
const ATTACKS: [&str; 2] = ["attack_", "denial_"];

/// The suites that have the library within them. `serial` is about time and memory.
const EMBEDDED: [&str; 4] = ["neighbours", "rates", "reload", "resolver"];

/// Where everything of the mutants lies.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("mutants")
}

impl Forest {
    /// Builds the policy's tests with all mutants, and tries each on them.
    pub(super) fn try_policy(&mut self, workspace: &Workspace) -> Result<()> {
        let mut suites = self.build(workspace, |tree| {
            let mut cargo = workspace.cargo(&["test", "--no-run", "--package", "sockgate-policy"]);
            cargo
                .current_dir(tree)
                .env("CARGO_TARGET_DIR", folder(workspace).join("policy"))
                // Quick to build is worth more here than quick to run.
                .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
                .env("CARGO_PROFILE_DEV_DEBUG", "0");
            cargo
        })?;
        // What measures time fails for other reasons as well.
        suites.retain(|suite| !suite.name.starts_with("timing_"));
        let tell = |command: &mut Command| {
            command
                .env("PROPTEST_CASES", "64")
                .env("PROPTEST_RNG_SEED", "1")
                .env("PROPTEST_MAX_SHRINK_ITERS", "0")
                .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
        };
        self.try_on(suites, &tell, workspace)
    }

    /// Builds the command with all mutants, and tries on it what is not caught yet with the suites that are about
    /// the policy.
    pub(super) fn try_attacks(&mut self, workspace: &Workspace) -> Result<()> {
        self.build_command(workspace)?;
        self.try_command(workspace, Vec::new(), |name| {
            ATTACKS.iter().any(|attack| name.starts_with(attack))
        })
    }

    fn build_command(&mut self, workspace: &Workspace) -> Result<()> {
        let cargo = |tree: &Path| copied(workspace, tree, &["build", "--bin", "sockgate"]);
        self.build(workspace, cargo).map(drop)
    }

    /// Tries what is left with all other suites of the command, and of the library.
    pub(super) fn try_rest(&mut self, workspace: &Workspace) -> Result<()> {
        let embedded = self.build(workspace, |tree| {
            let mut cargo = copied(workspace, tree, &["test", "--no-run"]);
            for suite in EMBEDDED {
                cargo.args(["--test", suite]);
            }
            cargo
        })?;
        self.try_command(workspace, embedded, |name| {
            !ATTACKS.iter().any(|attack| name.starts_with(attack))
        })
    }

    /// Tries what is not caught yet with these suites, and with those of the command whose names are wanted.
    fn try_command(
        &mut self,
        workspace: &Workspace,
        mut suites: Vec<Suite>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let command = folder(workspace).join("command/debug/sockgate");
        let guests = guests::build(workspace)?;
        let binaries = test_binaries(workspace, "*")?.into_iter();
        let of_command = binaries.filter(|binary| binary.phase == Phase::Integration);
        suites.extend(of_command.filter(|binary| wanted(&binary.name)).map(suite));
        let tell = |run: &mut Command| {
            run.env("SOCKGATE_BIN", &command)
                .env("SOCKGATE_GUESTS", &guests)
                .env("SOCKGATE_ORACLES", workspace.oracles());
        };
        self.try_on(suites, &tell, workspace)
    }

    /// Builds something of the copy with all mutants; what the compiler refuses is taken out. Answers the test
    /// binaries that were built.
    fn build(
        &mut self,
        workspace: &Workspace,
        cargo: impl Fn(&Path) -> Command,
    ) -> Result<Vec<Suite>> {
        let tree = folder(workspace).join("tree");
        loop {
            let written = self.plant(workspace, &tree)?;
            let mut command = cargo(&tree);
            command.args(["--message-format", "json"]);
            match build(&mut command, &written)? {
                Built::Suites(suites) => return Ok(suites),
                Built::Refused(numbers) => self.refuse(&numbers),
            }
        }
    }

    /// Takes out what the compiler refuses.
    fn refuse(&mut self, numbers: &BTreeSet<usize>) {
        for number in numbers {
            println!("not built: {}", self.mutants[*number].line());
            self.mutants[*number].outcome = Fate::Unbuildable;
        }
    }

    /// Tries what is not caught yet.
    fn try_on(&mut self, suites: Vec<Suite>, tell: Tell<'_>, workspace: &Workspace) -> Result<()> {
        let open: Vec<usize> = (0..self.mutants.len())
            .filter(|number| {
                matches!(
                    self.mutants[*number].outcome,
                    Fate::Untried | Fate::Survived(_)
                )
            })
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let bench = Bench::survey(suites, tell, &folder(workspace).join("reached"))?;
        for name in &bench.unfit {
            println!("says nothing, since it fails or skips unmutated: {name}");
        }
        println!(
            "{} mutants on {} tests, looked at in {:.0} s",
            open.len(),
            bench.len(),
            start.elapsed().as_secs_f64()
        );
        for (number, outcome) in open.iter().zip(bench.judge(&open)?) {
            let mutant = &mut self.mutants[*number];
            mutant.outcome = match (outcome, &mutant.outcome) {
                (Outcome::Caught(test), _) => Fate::Caught(test),
                (Outcome::Survived(tests), Fate::Survived(more)) => Fate::Survived(tests + more),
                (Outcome::Survived(tests), _) => Fate::Survived(tests),
            };
        }
        Ok(())
    }
}

/// A cargo command over the copy's packages, which shares with the tree what is no part of either.
fn copied(workspace: &Workspace, tree: &Path, arguments: &[&str]) -> Command {
    let mut cargo = workspace.cargo_host(arguments);
    cargo
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", folder(workspace).join("command"))
        .env("CARGO_BUILD_BUILD_DIR", &workspace.target);
    cargo
}

fn suite(binary: TestBinary) -> Suite {
    Suite {
        name: binary.name,
        executable: binary.executable,
        folder: binary.folder,
    }
}
