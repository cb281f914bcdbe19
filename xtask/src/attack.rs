//! `cargo xtask attack`: every known way round a socket policy is tried, and witnesses say what came of it.
//!
//! Passed tests state attacks (`sockgate_tests::attack`). Gathered they make target/reports/attacks.json. A phrase
//! of tests/attacks/phrases.tsv that no attack tries fails the command, and so does an attack that succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use sockgate_tests::attack::{self, Phrase};

use crate::libtest::{Case, Outcome};
use crate::mutants;
use crate::report;
use crate::test::{self, Pages, Table, Where};
use crate::workspace::Workspace;

#[derive(Args)]
pub struct Options {
    /// Install what the tests need, User Mode Linux as well.
    #[arg(long)]
    install: bool,

    /// Where the tests of socket families run.
    #[arg(long, value_name = "KERNEL", value_enum, default_value_t)]
    kernel: Where,

    /// Renew the last column of tests/attacks/phrases.tsv.
    #[arg(long)]
    write: bool,
}

/// So many attacks there are at least.
const LEAST: usize = 150;

/// Where the ways round a policy stand.
const PHRASES: &str = "tests/attacks/phrases.tsv";

/// `cargo xtask attack`: the tests that state attacks, which end with the table.
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
        table: Some((Table::Attacks, pages)),
    };
    test::run(workspace, &options)
}

/// Judges what was tried, writes target/reports/attacks.json and with [`Pages::Write`] the list's last column, and
/// prints the counts: what is wrong, if anything.
pub fn judge(workspace: &Workspace, cases: &[Case], pages: Pages) -> Result<Option<String>> {
    let mut phrases = attack::phrases()?;
    let mut judgement = Judgement::of(&phrases, cases);
    if pages == Pages::Write {
        let path = workspace.root.join(PHRASES);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = renewed(&text, &phrases, &judgement.answers);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        phrases = attack::phrases()?;
        judgement = Judgement::of(&phrases, cases);
    }
    let report = json!({
        "attacks": judgement.json(),
        "not_tried": judgement.untried(),
        "mutations": mutations(workspace)?,
        "problems": judgement.problems,
    });
    report::write(workspace, "attacks.json", report)?;
    judgement.print();
    Ok((!judgement.problems.is_empty()).then(|| judgement.problems.join("\n")))
}

/// How many changes of the policy's code the tests noticed, where that was tried.
fn mutations(workspace: &Workspace) -> Result<Value> {
    let path = report::folder(workspace).join(mutants::REPORT);
    let Ok(text) = fs::read_to_string(&path) else {
        let how = "`cargo xtask test --long --only mutants` counts them";
        return Ok(json!({"total": 0, "caught": 0, "not_run": how}));
    };
    let report: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is no JSON: remove it", path.display()))?;
    let counts = ["total", "caught", "equivalent", "unbuildable", "survived"];
    Ok(counts
        .map(|count| (count, report[count].clone()))
        .into_iter()
        .collect())
}

/// The list with the tests that try each phrase.
fn renewed(text: &str, phrases: &[Phrase], answers: &[Answer]) -> String {
    let mut tests = phrases.iter().zip(answers);
    let mut lines = String::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            lines += line;
        } else if let Some((
            Phrase {
                section, phrase, ..
            },
            answer,
        )) = tests.next()
        {
            let test = answer.test().unwrap_or_default();
            lines += &format!("{section}\t{phrase}\t{test}");
        }
        lines.push('\n');
    }
    lines
}

/// What became of a phrase.
#[derive(Clone, Debug, PartialEq)]
enum Answer<'a> {
    /// A test that tried it.
    Tried(&'a str),
    /// The test that tries it was skipped here, for this reason.
    NotHere(&'a str, &'a str),
    Missing,
}

impl<'a> Answer<'a> {
    fn of(phrase: &'a Phrase, tests: &BTreeSet<&'a str>, cases: &'a [Case]) -> Answer<'a> {
        let skipped = cases
            .iter()
            .filter(|case| case.name == phrase.test)
            .find_map(|case| match &case.outcome {
                Outcome::Skipped(why) => Some(why),
                _ => None,
            });
        match (tests.contains(phrase.test.as_str()), skipped, tests.first()) {
            (true, _, _) | (false, Some(_), Some(_)) => Answer::Tried(&phrase.test),
            (false, Some(why), None) => Answer::NotHere(&phrase.test, why),
            (false, None, Some(test)) => Answer::Tried(test),
            (false, None, None) => Answer::Missing,
        }
    }

    /// The test that the list names.
    fn test(&self) -> Option<&'a str> {
        match self {
            Answer::Tried(test) | Answer::NotHere(test, _) => Some(test),
            Answer::Missing => None,
        }
    }
}

/// Every attack, and what it says of the list.
struct Judgement<'a> {
    attacks: Vec<(&'a Case, &'a Value)>,
    /// One for each phrase.
    answers: Vec<Answer<'a>>,
    phrases: &'a [Phrase],
    problems: Vec<String>,
}

impl<'a> Judgement<'a> {
    fn of(phrases: &'a [Phrase], cases: &'a [Case]) -> Judgement<'a> {
        let attacks: Vec<(&Case, &Value)> = cases
            .iter()
            .filter(|case| !matches!(case.outcome, Outcome::Skipped(_)))
            .flat_map(|case| case.attacks.iter().map(move |attack| (case, attack)))
            .collect();
        let mut tests: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for (case, attack) in &attacks {
            let tried = tests
                .entry((text(attack, "section"), text(attack, "phrase")))
                .or_default();
            if case.outcome == Outcome::Passed {
                tried.insert(&case.name);
            }
        }
        let mut answers = Vec::new();
        for phrase in phrases {
            let tried = tests
                .remove(&(phrase.section.as_str(), phrase.phrase.as_str()))
                .unwrap_or_default();
            answers.push(Answer::of(phrase, &tried, cases));
        }
        let unknown = tests.into_keys().collect();
        let mut judgement = Judgement {
            attacks,
            answers,
            phrases,
            problems: Vec::new(),
        };
        judgement.problems = judgement.find_problems(unknown);
        judgement
    }

    /// Everything that fails the command; `unknown` are sections and phrases that the list does not have.
    fn find_problems(&self, unknown: Vec<(&str, &str)>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
        for (case, attack) in &self.attacks {
            let id = text(attack, "id");
            if let Some(first) = ids.insert(id, &case.name) {
                problems.push(format!(
                    "attack {id} is stated by {first} and by {}",
                    case.name
                ));
            }
            if text(attack, "outcome") == "succeeded" {
                problems.push(format!("attack {id} succeeded: {}", case.name));
            }
        }
        for (section, phrase) in unknown {
            problems.push(format!("{PHRASES} has no `{phrase}` in {section}"));
        }
        for (phrase, answer) in self.phrases.iter().zip(&self.answers) {
            let Phrase {
                section,
                phrase,
                test,
            } = phrase;
            match answer.test() {
                None => problems.push(format!(
                    "{PHRASES}: {section}: {phrase}: no test that passed tries it"
                )),
                Some(found) if found != test => problems.push(format!(
                    "{PHRASES}: {section}: {phrase}: {found} tries it: `cargo xtask attack --write` says so there"
                )),
                Some(_) => {}
            }
        }
        let count = self.attacks.len();
        if count < LEAST {
            problems.push(format!("{count} attacks; there have to be {LEAST}"));
        }
        problems
    }

    /// Phrases whose test could not run: with its name and the reason.
    fn not_here(&self) -> impl Iterator<Item = (&'a Phrase, &'a str, &'a str)> {
        let answers = self.phrases.iter().zip(&self.answers);
        answers.filter_map(|(phrase, answer)| match answer {
            Answer::NotHere(test, why) => Some((phrase, *test, *why)),
            _ => None,
        })
    }

    /// The counts, and what could not be tried here.
    fn print(&self) {
        let count = |outcome| {
            let attacks = self.attacks.iter();
            attacks
                .filter(|(_, attack)| text(attack, "outcome") == outcome)
                .count()
        };
        println!(
            "\nattacks: {} on {} phrases: {} refused, {} harmless, {} succeeded; {} phrases not tried here",
            self.attacks.len(),
            self.phrases.len(),
            count("refused"),
            count("harmless"),
            count("succeeded"),
            self.not_here().count(),
        );
        let mut untried: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for (phrase, test, why) in self.not_here() {
            untried.entry((test, why)).or_default().push(&phrase.phrase);
        }
        for ((test, why), phrases) in untried {
            println!(
                "  not tried here, since {test}: {why}: {}",
                phrases.join("; ")
            );
        }
    }

    /// The phrases that nothing tried on the kernels here, with the test that would have and why it did not.
    fn untried(&self) -> Vec<Value> {
        self.not_here()
            .map(|(phrase, test, why)| {
                json!({"section": phrase.section, "phrase": phrase.phrase, "test": test, "why": why})
            })
            .collect()
    }

    fn json(&self) -> Vec<Value> {
        let attacks = self.attacks.iter();
        attacks
            .map(|(case, attack)| {
                let mut attack = (*attack).clone();
                attack["test"] = json!(case.name);
                attack["kernel"] = json!(case.kernel.name());
                attack
            })
            .collect()
    }
}

/// A field's text; nothing where it is missing.
fn text<'a>(attack: &'a Value, field: &str) -> &'a str {
    attack[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(phrase: &str, test: &str) -> Phrase {
        Phrase {
            section: "Unix".to_owned(),
            phrase: phrase.to_owned(),
            test: test.to_owned(),
        }
    }

    fn case(name: &str, outcome: Outcome, attacks: &[(&str, &str, &str)]) -> Case {
        let mut case = Case::new(name, outcome);
        let attacks = attacks.iter().map(|(id, phrase, outcome)| {
            json!({"id": id, "section": "Unix", "phrase": phrase, "outcome": outcome})
        });
        case.attacks = attacks.collect();
        case
    }

    fn phrases() -> Vec<Phrase> {
        vec![phrase("..", "a::b"), phrase("autobind", "c::d")]
    }

    /// Without the one about the number of attacks.
    fn problems(cases: &[Case]) -> Vec<String> {
        let phrases = phrases();
        let mut problems = Judgement::of(&phrases, cases).problems;
        assert!(problems.pop().is_some_and(|last| last.contains("150")));
        problems
    }

    #[test]
    fn each_phrase_needs_an_attack_that_passed() {
        let good = case("a::b", Outcome::Passed, &[("x", "..", "refused")]);
        let other = case("c::d", Outcome::Passed, &[("y", "autobind", "harmless")]);
        assert_eq!(
            problems(&[good.clone(), other.clone()]),
            Vec::<String>::new()
        );
        let failed = case("c::d", Outcome::Failed, &[("y", "autobind", "refused")]);
        let found = problems(&[good.clone(), failed]);
        assert!(
            found.len() == 1 && found[0].contains("autobind: no test"),
            "{found:?}"
        );
        let moved = case("c::e", Outcome::Passed, &[("y", "autobind", "refused")]);
        let found = problems(&[good, moved]);
        assert!(
            found.len() == 1 && found[0].contains("c::e tries it"),
            "{found:?}"
        );
    }

    #[test]
    fn what_cannot_run_here_is_said_and_kept_in_the_list() {
        let good = case("a::b", Outcome::Passed, &[("x", "..", "refused")]);
        let skipped = case("c::d", Outcome::Skipped("no kernel".to_owned()), &[]);
        let (phrases, cases) = (phrases(), [good, skipped]);
        let judgement = Judgement::of(&phrases, &cases);
        assert_eq!(judgement.answers[1], Answer::NotHere("c::d", "no kernel"));
        let untried =
            json!({"section": "Unix", "phrase": "autobind", "test": "c::d", "why": "no kernel"});
        assert_eq!(judgement.untried(), [untried]);
        let text = "# why\nUnix\t..\t\nUnix\tautobind\tc::d\n";
        assert_eq!(
            renewed(text, &phrases, &judgement.answers),
            "# why\nUnix\t..\ta::b\nUnix\tautobind\tc::d\n"
        );
    }

    #[test]
    fn success_a_second_use_of_an_id_and_an_unknown_phrase_fail() {
        let found = problems(&[
            case(
                "a::b",
                Outcome::Passed,
                &[("x", "..", "refused"), ("z", "...", "refused")],
            ),
            case("c::d", Outcome::Passed, &[("x", "autobind", "succeeded")]),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("attack x is stated by a::b and by c::d"));
        assert!(found[1].contains("attack x succeeded"));
        assert!(found[2].contains("no `...` in Unix"));
    }
}
