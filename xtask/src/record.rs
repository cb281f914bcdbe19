//! `cargo xtask record`: what the long checks said, from target/reports into docs/long-checks.md.
//!
//! A row is renewed where there is a report of that check, and stays as it is where there is none: the checks take
//! hours together, and each row names its own commit.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::report::{self, LONG};
use crate::workspace::{Workspace, output};

/// One of the long checks.
struct Check {
    /// What `--only` calls it.
    stage: &'static str,
    /// Its reports.
    files: &'static [&'static str],
    /// What they say, in words.
    told: fn(&[Value]) -> Option<String>,
}

const CHECKS: [Check; 4] = [
    Check {
        stage: "mutants",
        files: &["mutants.json"],
        told: mutants,
    },
    Check {
        stage: "fuzz",
        files: &["fuzz.json"],
        told: fuzz,
    },
    Check {
        stage: "boundary",
        files: &["boundary-model.json", "boundary-wild.json"],
        told: boundary,
    },
    Check {
        stage: "soak",
        files: &["soak.json"],
        told: soak,
    },
];

/// Where the rows stand.
const PAGE: &str = "docs/long-checks.md";

const HEAD: &str = "# The long checks

Some checks take up to an hour each, so that `cargo xtask test` leaves them to `cargo xtask test --long --only NAME`.
This is what each said the last time, on a clean checkout of the commit it names; `cargo xtask record` writes this page
out of their reports in `target/reports`, which have the details.

* **mutants**: each place of the policy and of the host where something is decided is changed, one at a time. A test
  has to fail for it, or it is listed in [tests/mutants](../tests/mutants) with the reason why no input can tell it
  from the original. Those that the compiler refuses are no mutants.
* **fuzz**: what reads policies, questions, addresses, control messages and the messages of netlink and CAN's broadcast
  manager gets inputs of libFuzzer's making, and the matcher has to agree with a slow and obvious one.
* **boundary**: guests call at random. A model of a socket says what each answer may be; a second kind of guest calls as
  strangely as it can.
* **soak**: a hundred guests work at random in one process. Descriptors and memory are compared with those of the first
  minute.

| check | commit | day | what it said |
|---|---|---|---|
";

/// Renews the rows of those checks that have reports.
pub fn run(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(PAGE);
    let page = fs::read_to_string(&path).unwrap_or_default();
    let mut rows = Vec::new();
    for check in &CHECKS {
        let row = match check.renewed(&report::folder(workspace))? {
            Some(row) => {
                println!("{row}");
                row
            }
            None => kept(&page, check.stage)
                .with_context(|| {
                    format!(
                        "{} has no report, and {PAGE} no row of it: `cargo xtask test --long --only {0}` makes one",
                        check.stage
                    )
                })?
                .to_owned(),
        };
        rows.push(row);
    }
    fs::write(&path, format!("{HEAD}{}\n", rows.join("\n")))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The row that the page has for a check.
fn kept<'a>(page: &'a str, stage: &str) -> Option<&'a str> {
    let begins = format!("| {stage} |");
    page.lines().find(|line| line.starts_with(&begins))
}

impl Check {
    /// The row that its reports make; none where one of them is missing, or of an ordinary run.
    fn renewed(&self, folder: &Path) -> Result<Option<String>> {
        let paths: Vec<_> = self.files.iter().map(|file| folder.join(file)).collect();
        if !paths.iter().all(|path| path.exists()) {
            return Ok(None);
        }
        let reports: Vec<Value> = paths
            .iter()
            .map(|path| report::read(path))
            .collect::<Result<_>>()?;
        if reports.iter().any(|report| report[LONG] == false) {
            return Ok(None);
        }
        let (commit, seconds) = self.made(&reports)?;
        let told = (self.told)(&reports)
            .with_context(|| format!("the report of {} lacks its figures", self.stage))?;
        let day = output(Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%F"]))?;
        Ok(Some(format!(
            "| {} | {commit:.10} | {} | {told} |",
            self.stage,
            day.trim()
        )))
    }

    /// The commit that all its reports are about, and the second in which the first of them was written.
    fn made<'a>(&self, reports: &'a [Value]) -> Result<(&'a str, u64)> {
        let again = format!(
            "run `cargo xtask test --long --only {}` on a clean checkout",
            self.stage
        );
        let mut all = reports.iter().map(|report| {
            let commit = report["commit"].as_str();
            Some((commit?, report["unix_time"].as_u64()?))
        });
        let Some((commit, seconds)) = all.next().flatten() else {
            bail!("the report of {} names no commit: {again}", self.stage);
        };
        ensure!(
            !commit.ends_with("-dirty"),
            "{} was run while files differed from their commit: {again}",
            self.stage
        );
        for other in all {
            ensure!(
                other.is_some_and(|(other, _)| other == commit),
                "the reports of {} are of several commits: {again}",
                self.stage
            );
        }
        Ok((commit, seconds))
    }
}

/// A number with its thousands apart: `3,440`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn mutants(reports: &[Value]) -> Option<String> {
    let [report] = reports else { return None };
    let count = |which: &str| report[which].as_u64();
    Some(format!(
        "{} tried: {} caught, {} equivalent, {} survived; the compiler refused {}",
        grouped(count("total")? - count("unbuildable")?),
        grouped(count("caught")?),
        grouped(count("equivalent")?),
        grouped(count("survived")?),
        grouped(count("unbuildable")?),
    ))
}

fn fuzz(reports: &[Value]) -> Option<String> {
    let [report] = reports else { return None };
    let targets = report["targets"].as_array()?;
    let (mut names, mut executions, mut findings) = (Vec::new(), 0, 0);
    let mut least = f64::INFINITY;
    for target in targets {
        names.push(target["target"].as_str()?);
        executions += target["executions"].as_u64()?;
        findings += target["findings"].as_array()?.len();
        least = least.min(target["cpu_seconds"].as_f64()?);
    }
    Some(format!(
        "{findings} findings in {}, {least:.0} seconds of processor time or more each, {} inputs",
        names.join(", "),
        grouped(executions)
    ))
}

fn boundary(reports: &[Value]) -> Option<String> {
    let ways = ["against the model", "of the strangest"];
    let ways: Option<Vec<String>> = reports
        .iter()
        .zip(ways)
        .map(|(report, way)| {
            Some(format!(
                "{} findings in {} calls {way}, by {} guests in {} seconds of processor time",
                report["findings"].as_u64()?,
                grouped(report["calls"].as_u64()?),
                grouped(report["guests"].as_u64()?),
                report["cpu_seconds"].as_u64()?,
            ))
        })
        .collect();
    Some(ways?.join("; "))
}

fn soak(reports: &[Value]) -> Option<String> {
    let [report] = reports else { return None };
    let looks = report["looks"].as_array()?;
    let warm = looks
        .iter()
        .find(|look| look["seconds"].as_f64() >= Some(60.0))?;
    let last = looks.last()?;
    let mebibytes =
        |look: &Value| Some(look["resident_bytes"].as_u64()? as f64 / f64::from(1 << 20));
    let jobs: Option<u64> = report["jobs"]
        .as_object()?
        .values()
        .map(Value::as_u64)
        .sum();
    Some(format!(
        "{} guests, {} jobs in {:.0} seconds: {} descriptors after a minute and {} at the end, {:.1} and {:.1} MiB resident",
        report["guests"].as_u64()?,
        grouped(jobs?),
        last["seconds"].as_f64()?,
        warm["descriptors"].as_u64()?,
        last["descriptors"].as_u64()?,
        mebibytes(warm)?,
        mebibytes(last)?,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_has_a_row_of_each_check() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/long-checks.md");
        let page = fs::read_to_string(page).expect("the page is there");
        let rows = page.strip_prefix(HEAD).expect("it begins as it is written");
        assert_eq!(rows.lines().count(), CHECKS.len());
        for check in CHECKS {
            let row = kept(&page, check.stage).expect(check.stage);
            assert_eq!(row.split(" | ").count(), 4, "{row}");
        }
    }

    /// A folder with a report of the boundary's two ways, of these commits.
    fn reports(commits: [&str; 2], long: bool) -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (way, commit) in ["model", "wild"].into_iter().zip(commits) {
            let report = json!({
                "guests": 12, "calls": 24000, "cpu_seconds": 600, "findings": 0,
                "commit": commit, "unix_time": 1_795_385_192, "long": long,
            });
            let path = folder.path().join(format!("boundary-{way}.json"));
            fs::write(path, report.to_string())?;
        }
        Ok(folder)
    }

    #[test]
    fn a_row_names_commit_and_day() -> Result<()> {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let folder = reports([commit, commit], true)?;
        let row = CHECKS[2].renewed(folder.path())?;
        assert_eq!(
            row.as_deref(),
            Some(
                "| boundary | 0123456789 | 2026-11-22 | 0 findings in 24,000 calls against the model, by 12 guests \
                 in 600 seconds of processor time; 0 findings in 24,000 calls of the strangest, by 12 guests in 600 \
                 seconds of processor time |"
            )
        );
        assert_eq!(CHECKS[3].renewed(folder.path())?, None, "no report of it");
        let ordinary = reports([commit, commit], false)?;
        assert_eq!(CHECKS[2].renewed(ordinary.path())?, None, "some seconds");
        Ok(())
    }

    #[test]
    fn a_report_of_no_commit_makes_no_row() -> Result<()> {
        for (commits, why) in [
            (["a", "b"], "several commits"),
            (["a-dirty", "a-dirty"], "files differed"),
        ] {
            let refused = CHECKS[2].renewed(reports(commits, true)?.path());
            let refused = refused.expect_err("it makes no row").to_string();
            assert!(refused.contains(why), "{refused}");
            assert!(
                refused.contains("test --long --only boundary"),
                "the mend: {refused}"
            );
        }
        Ok(())
    }

    #[test]
    fn what_reports_say_is_told_in_words() {
        let told = mutants(&[
            json!({"total": 3490, "caught": 3440, "equivalent": 40, "survived": 0, "unbuildable": 10}),
        ]);
        let words = "3,480 tried: 3,440 caught, 40 equivalent, 0 survived; the compiler refused 10";
        assert_eq!(told.as_deref(), Some(words));
        let target = |name: &str, seconds: f64, findings: &[&str]| json!({"target": name, "executions": 500, "cpu_seconds": seconds, "findings": findings});
        let told = fuzz(&[
            json!({"targets": [target("line", 604.0, &[]), target("policy", 600.0, &["it fell"])]}),
        ]);
        let words =
            "1 findings in line, policy, 600 seconds of processor time or more each, 1,000 inputs";
        assert_eq!(told.as_deref(), Some(words));
        let look = |seconds: f64, bytes: u64| json!({"seconds": seconds, "descriptors": 392, "resident_bytes": bytes});
        let told = soak(&[json!({
            "guests": 100, "jobs": {"tcp": 1000, "udp": 234},
            "looks": [look(2.8, 1 << 20), look(61.0, 2 << 20), look(1801.0, 3 << 20)],
        })]);
        let words = "100 guests, 1,234 jobs in 1801 seconds: 392 descriptors after a minute and 392 at the end, 2.0 \
                     and 3.0 MiB resident";
        assert_eq!(told.as_deref(), Some(words));
        assert_eq!(soak(&[json!({"guests": 100})]), None);
    }
}
