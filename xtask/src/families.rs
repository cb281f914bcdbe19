//! `cargo xtask families`: which families were tested where, printed and in target/reports/families.json.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sockgate_tests::{Kernel, Need};

use crate::libtest::{Case, Outcome};
use crate::report;
use crate::test::{self, Phase, Where};
use crate::workspace::Workspace;

#[derive(Args)]
pub struct Options {
    /// Install what the tests need, User Mode Linux as well.
    #[arg(long)]
    install: bool,

    /// Where the tests run.
    #[arg(long, value_name = "KERNEL", value_enum, default_value_t)]
    kernel: Where,
}

/// `cargo xtask families`: the stage `families` of the tests, which ends with the table.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let options = test::Options {
        install: options.install,
        only: Some(Phase::Families.name().to_owned()),
        kernel: options.kernel,
        long: false,
        table: None,
    };
    test::run(workspace, &options)
}

/// What became of one family and protocol.
#[derive(Default)]
struct Row<'a> {
    /// Passed and failed, by kernel.
    ran: BTreeMap<&'static str, (usize, usize)>,
    skipped: usize,
    reasons: BTreeSet<&'a str>,
}

/// Prints one row per family and protocol that a kernel may have, whether it has tests or not.
pub fn print(cases: &[Case]) {
    println!("\nfamilies:");
    println!(
        "  {:<10} {:<10} {:<9} tests",
        "family", "protocol", "kernel"
    );
    for ((family, protocol), row) in rows(cases) {
        let kernels: Vec<&str> = row.ran.keys().copied().collect();
        let kernels = match kernels.is_empty() {
            true => "-".to_owned(),
            false => kernels.join(", "),
        };
        println!("  {family:<10} {protocol:<10} {kernels:<9} {}", row.tests());
    }
}

/// Writes target/reports/families.json: an array with an object per test, family and protocol.
pub fn write(workspace: &Workspace, cases: &[Case]) -> Result<()> {
    report::write(workspace, "families.json", json(cases))
}

fn json(cases: &[Case]) -> Value {
    let mut entries = Vec::new();
    for case in cases {
        let (status, reason) = match &case.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed => ("failed", Some(case.output.trim())),
            Outcome::Skipped(reason) => ("skipped", Some(reason.as_str())),
        };
        for (family, protocol) in &case.families {
            entries.push(json!({
                "family": family,
                "protocol": protocol,
                "kernel": case.kernel.name(),
                "status": status,
                "reason": reason,
                "test": case.name,
            }));
        }
    }
    Value::Array(entries)
}

/// The table's rows in the order of [`Need::ALL`].
fn rows(cases: &[Case]) -> Vec<((&str, &str), Row<'_>)> {
    let mut by_name: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    for case in cases {
        for (family, protocol) in &case.families {
            by_name.entry((family, protocol)).or_default().count(case);
        }
    }
    Need::ALL
        .iter()
        .map(|need| {
            let name = (need.family(), need.protocol());
            (name, by_name.remove(&name).unwrap_or_default())
        })
        .collect()
}

impl<'a> Row<'a> {
    fn count(&mut self, case: &'a Case) {
        let (passed, failed) = match &case.outcome {
            Outcome::Passed => (1, 0),
            Outcome::Failed => (0, 1),
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                self.reasons.insert(reason);
                return;
            }
        };
        let name = match case.kernel {
            Kernel::Host => "host",
            Kernel::Uml => "UML",
        };
        let ran = self.ran.entry(name).or_default();
        ran.0 += passed;
        ran.1 += failed;
    }

    fn tests(&self) -> String {
        let passed: usize = self.ran.values().map(|ran| ran.0).sum();
        let failed: usize = self.ran.values().map(|ran| ran.1).sum();
        let mut parts = Vec::new();
        for (count, what) in [
            (passed, "passed"),
            (failed, "FAILED"),
            (self.skipped, "skipped"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if parts.is_empty() {
            return "none ran".to_owned();
        }
        let mut text = parts.join(", ");
        if !self.reasons.is_empty() {
            let reasons: Vec<&str> = self.reasons.iter().copied().collect();
            text.push_str(&format!(" ({})", reasons.join("; ")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, outcome: Outcome, kernel: Kernel, protocols: &[&str]) -> Case {
        let mut case = Case::new(name, outcome);
        case.kernel = kernel;
        case.families = protocols
            .iter()
            .map(|protocol| ("can".to_owned(), (*protocol).to_owned()))
            .collect();
        case
    }

    fn cases() -> Vec<Case> {
        vec![
            case("a", Outcome::Passed, Kernel::Uml, &["raw", "fd"]),
            case("b", Outcome::Failed, Kernel::Uml, &["raw"]),
            case(
                "c",
                Outcome::Skipped("too old".to_owned()),
                Kernel::Uml,
                &["xl"],
            ),
            case("d", Outcome::Passed, Kernel::Host, &["raw"]),
        ]
    }

    #[test]
    fn the_table_counts_by_protocol_and_names_what_nobody_tests() {
        let cases = cases();
        let rows = rows(&cases);
        assert_eq!(rows.len(), Need::ALL.len());
        let tests = |protocol| {
            let row = rows.iter().find(|(name, _)| *name == ("can", protocol));
            row.map(|(_, row)| row.tests())
        };
        assert_eq!(tests("raw").as_deref(), Some("2 passed, 1 FAILED"));
        assert_eq!(tests("fd").as_deref(), Some("1 passed"));
        assert_eq!(tests("xl").as_deref(), Some("1 skipped (too old)"));
        assert_eq!(tests("bcm").as_deref(), Some("none ran"));
    }

    #[test]
    fn the_file_has_an_object_per_test_and_protocol() {
        let value = json(&cases());
        let entries = value.as_array().unwrap();
        assert_eq!(entries.len(), 5);
        assert_eq!(entries[0]["kernel"], "uml");
        assert_eq!(entries[0]["reason"], Value::Null);
        assert_eq!(entries[3]["status"], "skipped");
        assert_eq!(entries[3]["reason"], "too old");
    }
}
