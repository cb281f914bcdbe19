//! The suites of socket families: on the machine's kernel first, and what that lacks in User Mode Linux.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use sockgate_kernel::{Boot, Booted, Ended};
use sockgate_tests::{Kernel, Output};

use super::binaries::TestBinary;
use super::{LIBTEST, Place, Session};
use crate::libtest::{Case, Outcome, Reader, Run};
use crate::workspace::{Workspace, output};

/// Where the suites of families run.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub enum Where {
    /// On the machine's own kernel alone.
    Host,
    /// In User Mode Linux alone.
    Uml,
    /// On the machine's kernel, and what that lacks in User Mode Linux.
    #[default]
    Both,
}

/// How long one suite may take in User Mode Linux.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Tests by binary, to be run in User Mode Linux.
type Wanted<'a> = Vec<(&'a TestBinary, Vec<String>)>;

impl Session<'_> {
    /// Runs the suites and adds what came of each test, once.
    pub(super) fn families(
        &mut self,
        binaries: &[&TestBinary],
        place: &Place,
        filter: Option<&str>,
    ) -> Result<()> {
        let mut cases = Cases::default();
        let mut wanted = Wanted::new();
        for binary in binaries {
            let names = match self.options.kernel {
                Where::Uml => self.listed(binary, filter)?,
                _ => cases.add(&binary.name, self.on_host(binary, place, filter)?),
            };
            if !names.is_empty() {
                wanted.push((binary, names));
            }
        }
        if self.options.kernel != Where::Host && !wanted.is_empty() {
            match &mut self.uml {
                Ok(boot) => {
                    let count: usize = wanted.iter().map(|(_, names)| names.len()).sum();
                    println!("{count} tests go to User Mode Linux");
                    let suites = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
                    boot.limit = PATIENCE.saturating_mul(suites) + Duration::from_secs(60);
                    in_uml(boot, &wanted, place, self.workspace, &mut cases)?;
                }
                Err(why) => cases.unavailable(&wanted, why),
            }
        }
        self.report.add(cases.into_run());
        Ok(())
    }

    /// The names of a binary's tests, without running them.
    fn listed(&self, binary: &TestBinary, filter: Option<&str>) -> Result<Vec<String>> {
        let mut command = Command::new(&binary.executable);
        command.args(["--list", "--format", "terse"]).args(filter);
        let lines = output(&mut command)?;
        Ok(lines
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect())
    }
}

/// All suites in one boot.
fn in_uml(
    boot: &Boot,
    wanted: &Wanted,
    place: &Place,
    workspace: &Workspace,
    cases: &mut Cases,
) -> Result<()> {
    let mut command = Command::new("sh");
    command
        .args(["-c", &script(wanted)])
        .current_dir(&workspace.root);
    place.tell(&mut command, workspace);
    let _turn = alone(workspace)?;
    let start = Instant::now();
    let mut booted = boot.start(&command)?;
    let runs = follow(&mut booted)?;
    let (ended, log) = booted.wait()?;
    println!(
        "User Mode Linux ended after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    if ended == Ended::NotStarted {
        cases.unavailable(
            wanted,
            &format!("User Mode Linux does not start here: {log}"),
        );
        return Ok(());
    }
    let why = match ended {
        Ended::TimedOut => "User Mode Linux was ended, since it took too long".to_owned(),
        Ended::Died => format!("User Mode Linux died:\n{log}"),
        _ => "its suite ended before it".to_owned(),
    };
    cases.merge(wanted, runs, &why);
    Ok(())
}

/// Waits until no other run of the suites writes beneath this target folder.
fn alone(workspace: &Workspace) -> Result<File> {
    let path = workspace.target.join("kernel.lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if lock.try_lock().is_err() {
        println!("another run is in User Mode Linux; waiting for its end");
        lock.lock()?;
    }
    Ok(lock)
}

/// What the shell inside does: each suite in its folder, between lines that say which and with what status.
fn script(wanted: &Wanted) -> String {
    let mut text = String::new();
    for (binary, names) in wanted {
        let _ = write!(
            text,
            "echo '@suite {}'; cd {} && CARGO_MANIFEST_DIR=$PWD timeout {} {} {} --test-threads 1 --exact",
            binary.name,
            quoted(&binary.folder.to_string_lossy()),
            PATIENCE.as_secs(),
            quoted(&binary.executable.to_string_lossy()),
            LIBTEST.join(" "),
        );
        for name in names {
            let _ = write!(text, " {}", quoted(name));
        }
        text.push_str("; echo \"@status $?\"\n");
    }
    text
}

/// As a word of sh(1).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Reads what the suites print, and shows each test as it ends.
fn follow(booted: &mut Booted) -> Result<BTreeMap<String, Run>> {
    let stdout = Output::of(booted.stdout.take().context("it has no stdout")?);
    let stderr = booted.stderr.take().context("it has no stderr")?;
    // To our own, as with the suites that run on the machine.
    let copying = thread::spawn(move || std::io::copy(&mut { stderr }, &mut std::io::stderr()));
    let mut runs = BTreeMap::new();
    let mut reader: Option<(String, Reader)> = None;
    let mut seen = 0;
    loop {
        let more = stdout.more(seen, Duration::from_secs(60));
        seen += more.lines.len();
        for line in &more.lines {
            if let Some(suite) = line.strip_prefix("@suite ") {
                reader = Some((suite.to_owned(), Reader::new(suite, Kernel::Uml)));
            } else if let Some(status) = line.strip_prefix("@status ")
                && let Some((suite, reader)) = reader.take()
            {
                let why = format!("ended with status {status} in User Mode Linux");
                runs.insert(suite, reader.finish(status == "0", &why));
            } else if let Some((suite, reader)) = &mut reader
                && reader.line(line)
            {
                println!("{suite} (UML): {line}");
            }
        }
        if more.ended {
            break;
        }
    }
    // Cut short: what was seen counts.
    if let Some((suite, reader)) = reader {
        let why = format!("was cut short after {} suites", runs.len());
        runs.insert(suite, reader.finish(false, &why));
    }
    let _ = copying.join();
    Ok(runs)
}

/// The outcomes of every test by its name, of which a later one replaces an earlier.
#[derive(Default)]
struct Cases {
    cases: Vec<Case>,
    times: Vec<(String, f64)>,
}

impl Cases {
    /// Takes a suite's run on the machine's kernel: the names of the tests that another kernel may run.
    fn add(&mut self, suite: &str, run: Run) -> Vec<String> {
        let prefix = format!("{suite}::");
        let elsewhere = run
            .cases
            .iter()
            .filter(|case| case.elsewhere && matches!(case.outcome, Outcome::Skipped(_)))
            .filter_map(|case| Some(case.name.strip_prefix(&prefix)?.to_owned()))
            .collect();
        self.cases.extend(run.cases);
        self.times.extend(run.times);
        elsewhere
    }

    fn find(&mut self, name: &str) -> Option<&mut Case> {
        self.cases.iter_mut().find(|case| case.name == name)
    }

    /// Skips the tests, or adds to the reason for which they are skipped.
    fn unavailable(&mut self, wanted: &Wanted, why: &str) {
        for (binary, names) in wanted {
            for name in names {
                let full = format!("{}::{name}", binary.name);
                match self.find(&full) {
                    Some(case) => case.outcome = skipped(&case.outcome, why),
                    None => self
                        .cases
                        .push(Case::new(full, Outcome::Skipped(why.to_owned()))),
                }
            }
        }
    }

    /// Replaces what was skipped by what became of it in User Mode Linux; a test of which nothing is known
    /// has failed, for the reason `why`.
    fn merge(&mut self, wanted: &Wanted, runs: BTreeMap<String, Run>, why: &str) {
        for run in runs.into_values() {
            self.times.extend(run.times);
            for case in run.cases {
                self.replace(case);
            }
        }
        for (binary, names) in wanted {
            for name in names {
                let full = format!("{}::{name}", binary.name);
                if self
                    .find(&full)
                    .is_none_or(|case| case.kernel == Kernel::Host)
                {
                    let mut lost = Case::new(full, Outcome::Failed);
                    lost.kernel = Kernel::Uml;
                    lost.output = why.to_owned();
                    self.replace(lost);
                }
            }
        }
    }

    fn replace(&mut self, mut case: Case) {
        let Some(old) = self.find(&case.name) else {
            self.cases.push(case);
            return;
        };
        if let Outcome::Skipped(why) = &case.outcome {
            case.outcome = skipped(&old.outcome, why);
        }
        if case.families.is_empty() {
            case.families = std::mem::take(&mut old.families);
        }
        *old = case;
    }

    fn into_run(self) -> Run {
        Run {
            cases: self.cases,
            times: self.times,
        }
    }
}

/// A skip on this machine's kernel and elsewhere, with both reasons.
fn skipped(before: &Outcome, why: &str) -> Outcome {
    Outcome::Skipped(match before {
        Outcome::Skipped(reason) => format!("{reason}; {why}"),
        _ => why.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::binaries::Phase;

    fn suite() -> TestBinary {
        TestBinary {
            name: "family_can".to_owned(),
            executable: "/t/it's".into(),
            folder: "/t".into(),
            phase: Phase::Families,
            attacks: false,
        }
    }

    fn on_host() -> Run {
        let mut reader = Reader::new("family_can", Kernel::Host);
        for line in "test a ... ok\ntest b ... ok\ntest c ... ok\n\
             ---- a stdout ----\n@family can raw\n@elsewhere a\n@skip a: no CAN\n\
             ---- b stdout ----\n@family can xl\n@elsewhere b\n@skip b: no CAN\n\
             ---- c stdout ----\n@family can raw\n@skip c: no candump\n\
             test result: ok. 3 passed; 0 failed; 0 ignored\n"
            .lines()
        {
            reader.line(line);
        }
        reader.finish(true, "")
    }

    fn in_uml(text: &str) -> BTreeMap<String, Run> {
        let mut reader = Reader::new("family_can", Kernel::Uml);
        for line in text.lines() {
            reader.line(line);
        }
        BTreeMap::from([("family_can".to_owned(), reader.finish(true, ""))])
    }

    #[test]
    fn only_what_this_kernel_lacks_goes_elsewhere_and_counts_once() {
        let binary = suite();
        let mut cases = Cases::default();
        let names = cases.add(&binary.name, on_host());
        assert_eq!(names, ["a", "b"]);
        let wanted = vec![(&binary, names)];
        let runs = in_uml(
            "test a ... ok <0.1s>\ntest b ... ok <0.1s>\n\
             ---- a stdout ----\n@family can raw\n\
             ---- b stdout ----\n@family can xl\n@elsewhere b\n@skip b: 6.1 is too old\n\
             test result: ok. 2 passed; 0 failed; 0 ignored\n",
        );
        cases.merge(&wanted, runs, "lost");
        let cases = cases.into_run().cases;
        assert_eq!(cases.len(), 3);
        assert_eq!(cases[0].outcome, Outcome::Passed);
        assert_eq!(cases[0].kernel, Kernel::Uml);
        let both = Outcome::Skipped("no CAN; 6.1 is too old".to_owned());
        assert_eq!(cases[1].outcome, both);
        let own = Outcome::Skipped("no candump".to_owned());
        assert_eq!((&cases[2].outcome, cases[2].kernel), (&own, Kernel::Host));
    }

    #[test]
    fn a_test_that_the_kernel_took_with_it_has_failed() {
        let binary = suite();
        let mut cases = Cases::default();
        let names = cases.add(&binary.name, on_host());
        let wanted = vec![(&binary, names)];
        cases.merge(&wanted, BTreeMap::new(), "it died");
        let cases = cases.into_run().cases;
        assert_eq!(cases[0].outcome, Outcome::Failed);
        assert_eq!(cases[0].output, "it died");
        assert_eq!(cases[0].families.len(), 1);
    }

    #[test]
    fn without_the_kernel_each_test_is_skipped_by_name() {
        let binary = suite();
        let mut cases = Cases::default();
        let names = cases.add(&binary.name, on_host());
        cases.unavailable(&vec![(&binary, names)], "no User Mode Linux");
        let outcome = cases.cases[0].outcome.clone();
        let both = Outcome::Skipped("no CAN; no User Mode Linux".to_owned());
        assert_eq!(outcome, both);
        // Asked for there alone, so that nothing ran before.
        let mut cases = Cases::default();
        cases.unavailable(&vec![(&binary, vec!["a".to_owned()])], "none");
        assert_eq!(cases.cases[0].name, "family_can::a");
    }

    #[test]
    fn the_script_quotes_what_it_is_given() {
        let binary = suite();
        let text = script(&vec![(&binary, vec!["m::a".to_owned()])]);
        assert!(text.starts_with("echo '@suite family_can'; cd '/t' && "));
        assert!(text.contains("'/t/it'\\''s' "), "{text}");
        assert!(
            text.ends_with("--exact 'm::a'; echo \"@status $?\"\n"),
            "{text}"
        );
    }
}
