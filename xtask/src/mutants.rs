//! `cargo xtask mutants`: shows that the tests bite.
//!
//! Every place where the policy decides is changed, one at a time ([`find`] says what is changed into what;
//! none is chosen by hand), and some test has to fail. One build holds all mutants, and a variable of the
//! environment turns one on ([`mod@write`]). First the policy's own tests are tried on each; what survives them,
//! and what the host does with verdicts, is tried with the attacks on a command that is built from the same
//! copy, and at last with all other suites, also in User Mode Linux ([`stage`]). A mutant that nothing catches is
//! a missing test, unless it stands in a list of `tests/mutants` with the reason why no input can tell it from
//! the original.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

mod build;
mod equivalents;
mod find;
mod stage;
mod trial;
mod write;

use equivalents::Equivalents;
use find::{Asks, Change, Names, Point};
use write::{Numbered, Written};

use crate::report;
use crate::workspace::Workspace;

/// Where the policy decides: its modules that read, match and judge. What writes text for people, and what
/// asks on behalf of `explain`, decides nothing.
const POLICY: [&str; 11] = [
    "address", "class", "facts", "family", "gate", "judge", "kind", "message", "model", "option",
    "permit",
];
const LEFT_OUT: [&str; 1] = ["family/given.rs"];

/// Where the host asks the policy and acts on what it answers.
const HOST: [&str; 2] = ["host/src/socket", "host/src/bridge"];
/// What is below holds no permits: the system calls, and waiting for them.
const HOST_LEFT_OUT: [&str; 2] = ["host/src/socket/sys", "host/src/socket/wait"];

/// Its name among the reports.
pub const REPORT: &str = "mutants.json";

#[derive(Args, Default)]
pub struct Options {
    /// List the mutants, and try none.
    #[arg(long)]
    list: bool,

    /// Try those alone of which the file or the function contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Try those alone that survived the last time or are new, and put into its report what becomes of them.
    #[arg(long)]
    again: bool,

    /// Try the policy's own tests alone.
    #[arg(long)]
    policy: bool,
}

impl Options {
    fn is_partial(&self) -> bool {
        self.only.is_some() || self.again || self.policy
    }
}

/// One mutant.
struct Mutant {
    /// The file, from the root of the tree.
    file: PathBuf,
    point: Point,
    outcome: Fate,
}

/// Whose mutant it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Policy,
    Host,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Untried,
    /// The compiler refuses it.
    Unbuildable,
    Caught(String),
    /// The number of tests that come by it.
    Survived(usize),
    /// With the reason.
    Equivalent(String),
}

/// Finds, tries and reports; an error where a mutant survives.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    let mut forest = Forest::find(workspace)?;
    println!("{} mutants", forest.mutants.len());
    if let Some(only) = &options.only {
        forest.leave(only);
    }
    if options.list {
        for mutant in &forest.mutants {
            println!("{}", mutant.line());
        }
        return Ok(());
    }
    let former = match options.again {
        true => forest.leave_open(last_report(workspace)?),
        false => Value::Null,
    };
    let mut list = Equivalents::read(&workspace.root.join("tests/mutants"))?;
    // After each stage, for what is cut off can go on with `--again`.
    let report = |forest: &Forest| match (options.is_partial(), options.again) {
        (false, _) => forest.write_report(workspace, start),
        (true, true) if options.only.is_none() && !options.policy => {
            report::write(workspace, REPORT, renewed(former.clone(), forest.rows()))
        }
        _ => Ok(()),
    };
    forest.try_policy(workspace)?;
    forest.excuse(&mut list, Part::Policy);
    forest.print("the policy's tests");
    if !options.policy {
        forest.try_attacks(workspace)?;
        // Whoever lists one has tried it on everything: each time would take an hour.
        forest.excuse(&mut list, Part::Host);
        forest.print("the attacks");
        report(&forest)?;
        forest.try_rest(workspace)?;
        forest.print("all suites but families");
        report(&forest)?;
        forest.try_families(workspace)?;
    }
    report(&forest)?;
    let survivors: Vec<String> = forest.survivors().map(Mutant::line).collect();
    for line in &survivors {
        println!("{line}");
    }
    forest.print("all tests");
    println!("{:.0} s", start.elapsed().as_secs_f64());
    if !options.is_partial() {
        list.check()?;
    }
    if !survivors.is_empty() {
        bail!("{} mutants survived", survivors.len());
    }
    Ok(())
}

impl Mutant {
    fn part(&self) -> Part {
        match is_of_host(&self.file) {
            true => Part::Host,
            false => Part::Policy,
        }
    }

    /// What tells it from the others; lines move.
    fn name(&self) -> [String; 3] {
        let file = self.file.to_string_lossy().into_owned();
        [file, self.point.function.clone(), self.point.text.clone()]
    }

    fn line(&self) -> String {
        let survived = match self.outcome {
            Fate::Survived(tests) => format!(" ({tests} tests)"),
            _ => String::new(),
        };
        format!(
            "{}:{} {}: {}{survived}",
            self.file.display(),
            self.point.line,
            self.point.function,
            self.point.text
        )
    }
}

fn is_of_host(file: &Path) -> bool {
    HOST.iter().any(|folder| file.starts_with(folder))
}

/// All mutants of the tree.
struct Forest {
    /// Every file that is mutated, with its text.
    sources: BTreeMap<PathBuf, String>,
    mutants: Vec<Mutant>,
}

impl Forest {
    fn find(workspace: &Workspace) -> Result<Forest> {
        let mut sources = BTreeMap::new();
        let policy = workspace.root.join("host/policy/src");
        for module in POLICY {
            for path in [policy.join(module), policy.join(format!("{module}.rs"))] {
                collect(&path, &workspace.root, &mut sources)?;
            }
        }
        for file in LEFT_OUT {
            sources.remove(&Path::new("host/policy/src").join(file));
        }
        let mut names = Names::default();
        for text in sources.values() {
            names.learn(text)?;
        }
        let mut host = BTreeMap::new();
        for folder in HOST {
            collect(&workspace.root.join(folder), &workspace.root, &mut host)?;
        }
        host.retain(|file, _| !HOST_LEFT_OUT.iter().any(|out| file.starts_with(out)));
        let mut mutants = Vec::new();
        for (files, asks) in [(&sources, Asks::Itself), (&host, Asks::Gate)] {
            for (file, text) in files {
                let points =
                    find::points(text, &names, asks).with_context(|| file.display().to_string())?;
                mutants.extend(points.into_iter().map(|point| Mutant {
                    file: file.clone(),
                    point,
                    outcome: Fate::Untried,
                }));
            }
        }
        sources.append(&mut host);
        Ok(Forest { sources, mutants })
    }

    /// Leaves those alone of which the file or the function contains the text.
    fn leave(&mut self, only: &str) {
        self.mutants.retain(|mutant| {
            mutant.file.to_string_lossy().contains(only) || mutant.point.function.contains(only)
        });
    }

    /// Leaves those alone that survived in this report or are new to it; the answer is the report without them and
    /// without what the code has no more.
    fn leave_open(&mut self, mut report: Value) -> Value {
        let mutants = std::mem::take(&mut self.mutants);
        let mut named: BTreeMap<_, _> = mutants
            .into_iter()
            .map(|mutant| (mutant.name(), mutant))
            .collect();
        if let Some(rows) = report["mutants"].as_array_mut() {
            rows.retain(|row| {
                row["outcome"] != "survived" && named.remove(&name_of(row)).is_some()
            });
        }
        self.mutants = named.into_values().collect();
        report
    }

    fn survivors(&self) -> impl Iterator<Item = &Mutant> {
        self.mutants
            .iter()
            .filter(|mutant| matches!(mutant.outcome, Fate::Survived(_)))
    }

    /// The mutated text of every file.
    fn written(&self) -> Result<BTreeMap<PathBuf, Written>> {
        let mut written = BTreeMap::new();
        for (file, text) in &self.sources {
            let numbered: Vec<Numbered<'_>> = self
                .mutants
                .iter()
                .enumerate()
                .filter(|(_, mutant)| mutant.file == *file && mutant.outcome != Fate::Unbuildable)
                .map(|(number, mutant)| Numbered {
                    number,
                    point: &mutant.point,
                })
                .collect();
            let mutated = match is_of_host(file) {
                true => write::mutated(text, &numbered, &[], "::sockgate_policy::mutants"),
                false => {
                    let passages = find::passages(text)?;
                    write::mutated(text, &numbered, &passages, "crate::mutants")
                }
            };
            written.insert(file.clone(), mutated);
        }
        Ok(written)
    }

    /// Writes the copy of the tree with all mutants that can be built.
    fn plant(&self, workspace: &Workspace, tree: &Path) -> Result<BTreeMap<PathBuf, Written>> {
        let written = self.written()?;
        let mut texts: BTreeMap<PathBuf, String> = written
            .iter()
            .map(|(file, written)| (workspace.root.join(file), written.text.clone()))
            .collect();
        let library = workspace.root.join("host/policy/src/lib.rs");
        let text = fs::read_to_string(&library)?;
        texts.insert(
            library,
            format!("#![allow(warnings)]\n{text}\n#[doc(hidden)]\npub mod mutants;\n"),
        );
        // Cargo tells packages apart by their versions: what it builds here is not taken for the tree's own.
        let manifest = workspace.root.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        let other = format!("version = \"{}-mutants\"", env!("CARGO_PKG_VERSION"));
        texts.insert(manifest, text.replacen(&version, &other, 1));
        let count = self.mutants.len().to_string();
        texts.insert(
            workspace.root.join("host/policy/src/mutants.rs"),
            write::SWITCH.replace("{COUNT}", &count),
        );
        write::copy_tree(&workspace.root, tree, &texts)?;
        Ok(written)
    }

    /// Takes the survivors of a part out that the list says are equivalent.
    fn excuse(&mut self, list: &mut Equivalents, part: Part) {
        for mutant in &mut self.mutants {
            if !matches!(mutant.outcome, Fate::Survived(_)) || mutant.part() != part {
                continue;
            }
            let file = mutant.file.to_string_lossy();
            if let Some(reason) = list.reason(&file, &mutant.point.function, &mutant.point.text) {
                mutant.outcome = Fate::Equivalent(reason.to_owned());
            }
        }
    }

    fn count(&self, which: fn(&Fate) -> bool) -> usize {
        let mutants = self.mutants.iter();
        mutants.filter(|mutant| which(&mutant.outcome)).count()
    }

    fn print(&self, tests: &str) {
        println!(
            "{tests}: {} caught, {} equivalent, {} survived, {} that the compiler refuses",
            self.count(|fate| matches!(fate, Fate::Caught(_))),
            self.count(|fate| matches!(fate, Fate::Equivalent(_))),
            self.count(|fate| matches!(fate, Fate::Survived(_))),
            self.count(|fate| matches!(fate, Fate::Unbuildable)),
        );
    }

    /// Writes target/reports/mutants.json.
    fn write_report(&self, workspace: &Workspace, start: Instant) -> Result<()> {
        let report = json!({
            "seconds": start.elapsed().as_secs(),
            "mutants": self.rows(),
        });
        report::write(workspace, REPORT, with_counts(report))
    }

    /// What became of each; `id` is what `SOCKGATE_MUTANT` calls it in the build of this run.
    fn rows(&self) -> Vec<Value> {
        let row = |(id, mutant): (usize, &Mutant)| {
            let (outcome, by) = match &mutant.outcome {
                Fate::Untried => ("untried", Value::Null),
                Fate::Unbuildable => ("unbuildable", Value::Null),
                Fate::Caught(by) => ("caught", json!(by)),
                Fate::Survived(_) => ("survived", Value::Null),
                Fate::Equivalent(reason) => ("equivalent", json!(reason)),
            };
            json!({
                "id": id,
                "file": mutant.file,
                "line": mutant.point.line,
                "function": mutant.point.function,
                "operator": operator(&mutant.point.change),
                "text": mutant.point.text,
                "outcome": outcome,
                "by": by,
            })
        };
        self.mutants.iter().enumerate().map(row).collect()
    }
}

/// The report of the last time.
fn last_report(workspace: &Workspace) -> Result<Value> {
    report::read(&report::folder(workspace).join(REPORT)).context("was nothing tried yet?")
}

/// What tells a row of a report from the others, as [`Mutant::name`].
fn name_of(row: &Value) -> [String; 3] {
    ["file", "function", "text"].map(|key| row[key].as_str().unwrap_or_default().to_owned())
}

/// A report with what became of those that were tried since.
fn renewed(mut report: Value, mut rows: Vec<Value>) -> Value {
    if report["whole_run_of"].is_null() {
        report["whole_run_of"] = report["commit"].take();
    }
    if let Some(all) = report["mutants"].as_array_mut() {
        for row in all.iter_mut().filter_map(Value::as_object_mut) {
            // The build that had this number is not there any more.
            row.remove("id");
        }
        all.append(&mut rows);
    }
    with_counts(report)
}

/// The report with the sums of its rows.
fn with_counts(mut report: Value) -> Value {
    let rows = report["mutants"].as_array().map_or(&[][..], Vec::as_slice);
    let count = |outcome: &str| rows.iter().filter(|row| row["outcome"] == outcome).count();
    let counts = ["caught", "equivalent", "survived", "unbuildable"]
        .map(|outcome| (outcome, count(outcome)));
    let total = rows.len();
    for (outcome, count) in counts {
        report[outcome] = json!(count);
    }
    report["total"] = json!(total);
    report
}

/// The kind of a change, for the report.
fn operator(change: &Change) -> &'static str {
    match change {
        Change::True | Change::Answers(true) => "always true",
        Change::False | Change::NeverLet | Change::Answers(false) => "always false",
        Change::Inverted => "inverted",
        Change::Instead { .. } => "replaced",
        Change::Passed(_) => "refusal left out",
        Change::LeftOut => "statement left out",
        Change::ArmLeftOut => "arm left out",
        Change::Granted => "granted though denied",
    }
}

/// Reads a file, or every file beneath a folder, but for tests.
fn collect(path: &Path, root: &Path, sources: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), root, sources)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "rs")
        && path.file_name().is_none_or(|name| name != "tests.rs")
        && path.is_file()
    {
        let name = path.strip_prefix(root)?.to_owned();
        sources.insert(name, fs::read_to_string(path)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
