//! `cargo xtask parity`: for each name of Python's socket and socketserver modules the item of the guest SDK and
//! the test that runs it, or why it does not apply.
//!
//! The tables below tests/parity say what answers for a name; a passed test says with `covers` that it asserts
//! it. Both together make docs/python-parity.md, the module `sockgate_guest::python`, and
//! target/reports/parity.json. A name that lacks one of the two fails the command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use sockgate_tests::parity::{self, Name};

use crate::libtest::{Case, Outcome};
use crate::report;
use crate::test::{self, Pages, Table, Where};
use crate::workspace::Workspace;

mod page;

#[derive(Args)]
pub struct Options {
    /// Install what the tests need, User Mode Linux as well.
    #[arg(long)]
    install: bool,

    /// Where the tests of socket families run.
    #[arg(long, value_name = "KERNEL", value_enum, default_value_t)]
    kernel: Where,

    /// Write docs/python-parity.md and the SDK's page anew.
    #[arg(long)]
    write: bool,
}

/// `cargo xtask parity`: the stages of the tests that cover names, which end with the table.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let pages = match options.write {
        true => Pages::Write,
        false => Pages::Compare,
    };
    let options = test::Options {
        install: options.install,
        only: None,
        kernel: options.kernel,
        long: false,
        table: Some((Table::Parity, pages)),
    };
    test::run(workspace, &options)
}

/// Judges what was tested, writes target/reports/parity.json and with [`Pages::Write`] the pages, and prints
/// the counts: what is wrong, if anything.
pub fn judge(workspace: &Workspace, cases: &[Case], pages: Pages) -> Result<Option<String>> {
    let tables = Tables::read()?;
    let path = workspace.root.join("docs/python-parity.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let claims = page::claims(&committed);
    let judgement = Judgement::of(&tables, cases, &claims);

    report::write(workspace, "parity.json", judgement.json(&tables))?;
    judgement.print(&tables);

    let mut problems = judgement.problems(&tables);
    let wanted = [
        (path, page::repository(&tables, &judgement)),
        (
            workspace.root.join("guest-sdk/src/python.md"),
            page::rustdoc(&tables),
        ),
    ];
    for (path, text) in wanted {
        if pages == Pages::Write {
            write(path, &text)?;
        } else if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            problems.push(format!(
                "{} is not up to date: `cargo xtask parity --write` renews it",
                path.strip_prefix(&workspace.root)
                    .unwrap_or(&path)
                    .display()
            ));
        }
    }
    Ok((!problems.is_empty()).then(|| problems.join("\n")))
}

fn write(path: PathBuf, text: &str) -> Result<()> {
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The three tables.
struct Tables {
    /// The module `socket`, its methods and constants.
    socket: Vec<Name>,
    /// The module `socketserver`.
    socketserver: Vec<Name>,
    /// What both modules' documentation has for Windows alone.
    windows: Vec<Name>,
}

impl Tables {
    fn read() -> Result<Tables> {
        Ok(Tables {
            socket: parity::names("socket")?,
            socketserver: parity::names("socketserver")?,
            windows: parity::names("windows")?,
        })
    }

    /// By the name of their file.
    fn each(&self) -> [(&'static str, &[Name]); 3] {
        [
            ("socket", &self.socket),
            ("socketserver", &self.socketserver),
            ("windows", &self.windows),
        ]
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &Name)> {
        self.each()
            .into_iter()
            .flat_map(|(table, names)| names.iter().map(move |name| (table, name)))
    }
}

/// What answers for a name.
#[derive(Clone, Debug, PartialEq)]
enum Answer<'a> {
    /// A test that the page names; whether one passed in this run, or why that one did not run.
    Tested(&'a str, Result<(), &'a str>),
    NotApplicable,
    Missing,
}

/// Every name's answer.
struct Judgement<'a> {
    /// The passed tests of each name that a test covers.
    passed: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// By name; the same for a function and a method that share theirs.
    answers: BTreeMap<&'a str, Answer<'a>>,
}

/// The suite that compares constants with their numbers: a test of a constant's effect says more.
const CONSTANTS: &str = "parity_constants::";

impl<'a> Judgement<'a> {
    /// `claims` are the tests that the committed page names: they stay on it where they still hold, or could
    /// not run here.
    fn of(
        tables: &'a Tables,
        cases: &'a [Case],
        claims: &'a BTreeMap<String, String>,
    ) -> Judgement<'a> {
        let mut passed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut others: BTreeMap<&str, &Outcome> = BTreeMap::new();
        for case in cases {
            if case.outcome != Outcome::Passed {
                others.insert(&case.name, &case.outcome);
                continue;
            }
            for name in &case.covers {
                passed.entry(name).or_default().insert(&case.name);
            }
        }
        let mut answers = BTreeMap::new();
        for (_, row) in tables.all() {
            let tests = passed.get(row.name.as_str());
            let claim = claims.get(&row.name).map(String::as_str);
            let answer = match row.item.is_empty() {
                true if row.reason.is_empty() => Answer::Missing,
                true => Answer::NotApplicable,
                false => tested(tests, claim, &others),
            };
            answers.insert(row.name.as_str(), answer);
        }
        Judgement { passed, answers }
    }

    fn answer(&self, name: &Name) -> &Answer<'a> {
        self.answers
            .get(name.name.as_str())
            .unwrap_or(&Answer::Missing)
    }

    /// Everything that fails the command.
    fn problems(&self, tables: &Tables) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for (table, row) in tables.all() {
            let Name { name, item, .. } = row;
            let place = format!("tests/parity/{table}.tsv: {name}");
            if !seen.insert((table, name, &row.kind)) {
                problems.push(format!("{place} stands there twice"));
            }
            match (item.is_empty(), row.reason.is_empty()) {
                (true, true) => {
                    problems.push(format!("{place} has neither an item nor a reason"));
                }
                (false, false) => problems.push(format!("{place} has an item and a reason")),
                (true, false) if self.passed.contains_key(name.as_str()) => problems.push(format!(
                    "{place} does not apply, and {} covers it",
                    self.tests(name)
                )),
                (false, true) if *self.answer(row) == Answer::Missing => {
                    problems.push(format!("{place}: no test that passed covers it"));
                }
                _ => {}
            }
            if page::paths(item).any(|path| !is_path(path)) {
                problems.push(format!(
                    "{place}: `{item}` is no list of paths, separated by `, `"
                ));
            }
        }
        for name in self.passed.keys() {
            if !self.answers.contains_key(name) {
                problems.push(format!(
                    "{} covers {name}, which no table below tests/parity has",
                    self.tests(name)
                ));
            }
        }
        problems
    }

    fn tests(&self, name: &str) -> String {
        let tests = self.passed.get(name).into_iter().flatten();
        tests.copied().collect::<Vec<_>>().join(", ")
    }

    fn count(&self, names: &[Name], what: impl Fn(&Answer) -> bool) -> usize {
        names.iter().filter(|name| what(self.answer(name))).count()
    }

    /// One line for each table, and the names that could not be tested here.
    fn print(&self, tables: &Tables) {
        println!("\nparity with Python:");
        for (table, names) in tables.each() {
            println!(
                "  {table:<13} {:4} names: {} tested, {} do not apply, {} not tested here, {} missing",
                names.len(),
                self.count(names, |answer| matches!(answer, Answer::Tested(_, Ok(())))),
                self.count(names, |answer| *answer == Answer::NotApplicable),
                self.count(names, |answer| matches!(answer, Answer::Tested(_, Err(_)))),
                self.count(names, |answer| *answer == Answer::Missing),
            );
        }
        let mut untested: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for (name, answer) in &self.answers {
            if let Answer::Tested(test, Err(why)) = answer {
                untested.entry((test, why)).or_default().push(name);
            }
        }
        for ((test, why), names) in untested {
            println!(
                "  not tested here, since {test}: {why}: {}",
                names.join(" ")
            );
        }
    }

    /// target/reports/parity.json: the module socket's counts, and an object of the same form for each of the
    /// other tables.
    fn json(&self, tables: &Tables) -> Value {
        let mut value = self.table_json(&tables.socket);
        value["socketserver"] = self.table_json(&tables.socketserver);
        value["windows"] = self.table_json(&tables.windows);
        value["problems"] = json!(self.problems(tables));
        value
    }

    fn table_json(&self, names: &[Name]) -> Value {
        let list = |what: fn(&Answer) -> bool| -> Vec<&str> {
            let rows = names.iter().filter(|name| what(self.answer(name)));
            rows.map(|name| name.name.as_str()).collect()
        };
        let answers: Vec<Value> = names
            .iter()
            .map(|row| {
                json!({
                    "name": row.name,
                    "kind": row.kind,
                    "item": row.item,
                    "tests": self.passed.get(row.name.as_str()),
                    "reason": row.reason,
                })
            })
            .collect();
        json!({
            "names": names.len(),
            "tested": self.count(names, |answer| matches!(answer, Answer::Tested(_, Ok(())))),
            "not_applicable": self.count(names, |answer| *answer == Answer::NotApplicable),
            "missing": list(|answer| *answer == Answer::Missing),
            "untested_here": list(|answer| matches!(answer, Answer::Tested(_, Err(_)))),
            "answers": answers,
        })
    }
}

/// The answer for a name that has an item.
fn tested<'a>(
    passed: Option<&BTreeSet<&'a str>>,
    claim: Option<&'a str>,
    others: &BTreeMap<&'a str, &'a Outcome>,
) -> Answer<'a> {
    let passed = passed.into_iter().flatten().copied();
    let effect = |test: &&str| !test.starts_with(CONSTANTS);
    let first = passed.clone().find(effect).or(passed.clone().next());
    let Some(claim) = claim else {
        return first.map_or(Answer::Missing, |test| Answer::Tested(test, Ok(())));
    };
    match (others.get(claim), first) {
        // It could not show anything in this run, so nothing speaks against it.
        (Some(Outcome::Skipped(why)), None) => Answer::Tested(claim, Err(why)),
        (Some(_), Some(_)) => Answer::Tested(claim, Ok(())),
        (_, None) => Answer::Missing,
        (None, Some(first)) => {
            let holds =
                passed.clone().any(|test| test == claim) && (effect(&claim) || !effect(&first));
            Answer::Tested(if holds { claim } else { first }, Ok(()))
        }
    }
}

/// Whether this is a path below the crate's root.
fn is_path(text: &str) -> bool {
    text.split("::").all(|segment| {
        let mut letters = segment.chars();
        letters.next().is_some_and(|c| c.is_ascii_alphabetic())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests;
