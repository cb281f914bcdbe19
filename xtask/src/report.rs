//! The tally of a test run: printed for people, and written to target/reports/tests.json.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::libtest::{Case, Outcome, Run};
use crate::workspace::{Workspace, output};

/// How many of the slowest are shown.
const SLOWEST: usize = 10;

/// Everything that ran.
#[derive(Default)]
pub struct Report {
    cases: Vec<Case>,
    stages: Vec<(String, Duration)>,
    /// Times of tests and of parts of tests, in seconds.
    times: Vec<(String, f64)>,
}

impl Report {
    /// Adds a stage that is one check, such as a lint.
    pub fn check(&mut self, name: &str, problem: Option<String>) {
        let outcome = match problem {
            Some(_) => Outcome::Failed,
            None => Outcome::Passed,
        };
        let mut case = Case::new(name, outcome);
        case.output = problem.unwrap_or_default();
        self.cases.push(case);
    }

    /// Adds what a test binary reported.
    pub fn add(&mut self, run: Run) {
        self.times.extend(run.times);
        for case in run.cases {
            if let Some(seconds) = case.seconds {
                self.times.push((case.name.clone(), seconds));
            }
            self.cases.push(case);
        }
    }

    /// Adds a stage's wall time.
    pub fn stage(&mut self, name: &str, time: Duration) {
        self.stages.push((name.to_owned(), time));
    }

    /// Adds a time that no test line gives, such as a build's.
    pub fn time(&mut self, name: &str, time: Duration) {
        self.times.push((name.to_owned(), time.as_secs_f64()));
    }

    /// Everything that ran, or was skipped.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// How many cases there are by now.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether nothing failed.
    pub fn clean(&self) -> bool {
        self.failed().next().is_none()
    }

    fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases
            .iter()
            .filter(|case| case.outcome == Outcome::Failed)
    }

    fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cases.iter().filter_map(|case| match &case.outcome {
            Outcome::Skipped(reason) => Some((case.name.as_str(), reason.as_str())),
            _ => None,
        })
    }

    /// The slowest first.
    fn slowest(&self) -> Vec<&(String, f64)> {
        let mut times: Vec<_> = self.times.iter().collect();
        times.sort_by(|a, b| b.1.total_cmp(&a.1));
        times.truncate(SLOWEST);
        times
    }

    /// Prints stages, the slowest, skips, failures, and the line with the counts last.
    pub fn print(&self) {
        println!("\nstages:");
        for (name, time) in &self.stages {
            println!("{:9.1} s  {name}", time.as_secs_f64());
        }
        println!("\nslowest:");
        for (name, seconds) in self.slowest() {
            println!("{seconds:9.3} s  {name}");
        }
        if self.skipped().next().is_some() {
            println!("\nskipped:");
            for (name, reason) in self.skipped() {
                println!("  {name}: {reason}");
            }
        }
        if !self.clean() {
            println!("\nfailed:");
            for case in self.failed() {
                println!("  {}", case.name);
                for line in case.output.trim_end().lines() {
                    println!("    {line}");
                }
            }
        }
        let (failed, skipped) = (self.failed().count(), self.skipped().count());
        let passed = self.cases.len() - failed - skipped;
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    }

    /// Writes target/reports/tests.json.
    pub fn write(&self, workspace: &Workspace) -> Result<()> {
        write(workspace, "tests.json", self.json())
    }

    fn json(&self) -> Value {
        let failed: Vec<Value> = self
            .failed()
            .map(|case| json!({"name": case.name, "output": case.output}))
            .collect();
        let skipped: Vec<Value> = self
            .skipped()
            .map(|(name, reason)| json!({"name": name, "reason": reason}))
            .collect();
        let stages: Vec<Value> = self
            .stages
            .iter()
            .map(|(name, time)| json!({"name": name, "seconds": time.as_secs_f64()}))
            .collect();
        let slowest: Vec<Value> = self
            .slowest()
            .into_iter()
            .map(|(name, seconds)| json!({"name": name, "seconds": seconds}))
            .collect();
        let passed: Vec<&str> = self
            .cases
            .iter()
            .filter(|case| case.outcome == Outcome::Passed)
            .map(|case| case.name.as_str())
            .collect();
        json!({
            "counts": {
                "passed": passed.len(),
                "failed": failed.len(),
                "skipped": skipped.len(),
            },
            "stages": stages,
            "slowest": slowest,
            "failed": failed,
            "skipped": skipped,
            "passed": passed,
        })
    }
}

/// Where reports are kept.
pub fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("reports")
}

/// A report that was written before.
pub fn read(path: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))
}

/// What says which commit a report is about.
const COMMIT: &str = "commit";
/// What says whether the tests of a report ran with `--long`.
pub const LONG: &str = "long";

/// Says of each report that a test wrote since then which commit it is about, and whether it is of a long run: tests
/// do not know the first.
pub fn complete(workspace: &Workspace, since: SystemTime, long: bool) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder(workspace)) else {
        // No test has written any.
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if entry.metadata()?.modified()? < since {
            continue;
        }
        let mut report = read(&entry.path())?;
        if report.is_object() && report.get(COMMIT).is_none() {
            report[LONG] = json!(long);
            write(workspace, &entry.file_name().to_string_lossy(), report)?;
        }
    }
    Ok(())
}

/// Writes a report, and into an object which commit it is about and when.
pub fn write(workspace: &Workspace, name: &str, mut report: Value) -> Result<()> {
    if let Some(report) = report.as_object_mut() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |since| since.as_secs());
        report.insert(COMMIT.to_owned(), commit(workspace));
        report.insert("unix_time".to_owned(), json!(seconds));
    }
    let folder = folder(workspace);
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, format!("{report:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The commit that was tested, with `-dirty` where files differ from it; null outside git.
fn commit(workspace: &Workspace) -> Value {
    output(Command::new("git").current_dir(&workspace.root).args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]))
    .map_or(Value::Null, |line| json!(line.trim()))
}
