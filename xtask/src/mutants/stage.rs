//! The stages that a mutant may go through until something catches it: the policy's own tests, the attacks and
//! denials on the command, all other tests of the command and of the library, and those of socket families, also
//! in User Mode Linux.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use super::build::{Built, build};
use super::trial::{Bench, Outcome, Suite, Tell};
use super::{Fate, Forest, Mutant};
use crate::guests;
use crate::kernel;
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
        self.try_on(suites, &tell, workspace).map(drop)
    }

    /// Builds the command with all mutants, and tries on it what is not caught yet with the suites that are about
    /// the policy.
    pub(super) fn try_attacks(&mut self, workspace: &Workspace) -> Result<()> {
        self.build_command(workspace)?;
        let suites = of_command(workspace, |binary| {
            binary.phase == Phase::Integration && is_attack(&binary.name)
        })?;
        let tell = tell_command(workspace)?;
        self.try_on(suites, &tell, workspace).map(drop)
    }

    fn build_command(&mut self, workspace: &Workspace) -> Result<()> {
        let cargo = |tree: &Path| copied(workspace, tree, &["build", "--bin", "sockgate"]);
        self.build(workspace, cargo).map(drop)
    }

    /// Tries what is left with all other suites of the command, and of the library.
    pub(super) fn try_rest(&mut self, workspace: &Workspace) -> Result<()> {
        let mut suites = self.build(workspace, |tree| {
            let mut cargo = copied(workspace, tree, &["test", "--no-run"]);
            for suite in EMBEDDED {
                cargo.args(["--test", suite]);
            }
            cargo
        })?;
        suites.extend(of_command(workspace, |binary| {
            binary.phase == Phase::Integration && !is_attack(&binary.name)
        })?);
        let tell = tell_command(workspace)?;
        self.try_on(suites, &tell, workspace).map(drop)
    }

    /// Tries what is left with the suites of socket families: on the machine's kernel, and what that lacks in User
    /// Mode Linux, each test in a boot of its own.
    pub(super) fn try_families(&mut self, workspace: &Workspace) -> Result<()> {
        let suites = of_command(workspace, |binary| binary.phase == Phase::Families)?;
        let tell = tell_command(workspace)?;
        let Some(bench) = self.try_on(suites, &tell, workspace)? else {
            return Ok(());
        };
        if let Err(why) = kernel::find(workspace, false)? {
            println!("no test was run in User Mode Linux: {why}");
            return Ok(());
        }
        let mut through = vec![env::current_exe()?.into_os_string()];
        through.extend(["kernel", "--"].map(OsString::from));
        let start = Instant::now();
        let bench = bench.elsewhere(&through, &folder(workspace).join("reached"))?;
        self.judge(&bench, start)
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

    /// Tries what is not caught yet; answers the tests it was tried on, if there was something to try.
    fn try_on<'a>(
        &mut self,
        suites: Vec<Suite>,
        tell: Tell<'a>,
        workspace: &Workspace,
    ) -> Result<Option<Bench<'a>>> {
        if self.open().is_empty() {
            return Ok(None);
        }
        let start = Instant::now();
        let bench = Bench::of(suites, tell, &folder(workspace).join("reached"))?;
        self.judge(&bench, start)?;
        Ok(Some(bench))
    }

    /// What nothing has caught yet.
    fn open(&self) -> Vec<usize> {
        let open = |mutant: &Mutant| matches!(mutant.outcome, Fate::Untried | Fate::Survived(_));
        (0..self.mutants.len())
            .filter(|number| open(&self.mutants[*number]))
            .collect()
    }

    /// Tries what is not caught yet on tests that were looked at since `start`.
    fn judge(&mut self, bench: &Bench<'_>, start: Instant) -> Result<()> {
        let [unfit, elsewhere] = bench.silent();
        for name in unfit {
            println!("says nothing, since it fails or skips unmutated: {name}");
        }
        for name in elsewhere {
            println!("says nothing on this kernel: {name}");
        }
        let open = self.open();
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

fn is_attack(name: &str) -> bool {
    ATTACKS.iter().any(|attack| name.starts_with(attack))
}

/// The wanted ones of the suites that run the command.
fn of_command(workspace: &Workspace, wanted: impl Fn(&TestBinary) -> bool) -> Result<Vec<Suite>> {
    let binaries = test_binaries(workspace, "*")?.into_iter();
    Ok(binaries.filter(wanted).map(suite).collect())
}

/// Builds the guests, and tells a test where they and the command with the mutants are.
fn tell_command(workspace: &Workspace) -> Result<impl Fn(&mut Command) + Sync> {
    let command = folder(workspace).join("command/debug/sockgate");
    let guests = guests::build(workspace)?;
    Ok(move |run: &mut Command| {
        workspace.tell(run, &command, &guests);
    })
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
        through: Vec::new(),
    }
}
