//! Attacks on a policy: what a guest tried, what it got, and what witnesses saw.
//!
//! `tests/attacks/phrases.tsv` lists the known ways round a socket policy. A test that tries one states it, and
//! `cargo xtask attack` gathers what passed tests stated into `target/reports/attacks.json`:
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use sockgate_tests::{Attack, door, knocked, steps, watched};
//!
//! let name = "fast_open_is_no_way_round_connect";
//! let (peer, port) = door("127.0.0.1:0")?;
//! let send = format!("send-to s hello 127.0.0.1:{port} fast-open");
//! let run = || steps(["s = socket inet stream", &send]);
//! // The attack, and its control: the same under a rule that grants it.
//! let attack = watched(run().allow("tcp connect 127.0.0.1:1"), name)?;
//! let reached = knocked(&peer)?;
//! let control = watched(run().allow(&format!("tcp connect 127.0.0.1:{port} flags=fastopen")), name)?;
//! Attack::new("fast-open", "Connection", "MSG_FASTOPEN")
//!     .tried("connects within a send to a peer that no rule grants")
//!     .got(attack.step(&send)?)
//!     .calls(&attack, &control, &["connect", "sendto", "sendmsg"])?
//!     .saw("a native listener", reached, knocked(&peer)?)
//!     .state()?;
//! # Ok(())
//! # }
//! ```
//!
//! The outcome is computed from what the witnesses saw, never from the guest's own word:
//! * `succeeded`: some witness saw what no rule grants. [`state`](Attack::state) fails the test.
//! * `refused`: no witness saw it, and the guest got an errno.
//! * `harmless`: no witness saw it, and the guest got something else. [`checked`](Attack::checked) has to say
//!   what was made sure of.
//!
//! Each witness speaks twice, once of the attack and once of its control; one that saw nothing of the control
//! either could not have seen the attack, and fails the test. Several attacks may share runs and witnesses: state
//! each under its own id.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::guest::Ended;
use crate::place::root;
use crate::syscalls::Syscall;

/// One line of `tests/attacks/phrases.tsv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    /// What the attack is against: `Addresses`, `Unix`.
    pub section: String,
    /// The way round, in a few words.
    pub phrase: String,
    /// A test that tries it, as reports name it (`SUITE::TEST`); empty where there is none.
    pub test: String,
}

/// The lines of `tests/attacks/phrases.tsv`, in their order.
pub fn phrases() -> Result<Vec<Phrase>> {
    let path = root().join("tests/attacks/phrases.tsv");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&text).with_context(|| format!("in {}", path.display()))
}

fn read(text: &str) -> Result<Vec<Phrase>> {
    let mut phrases = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let &[section, phrase, test] = fields.as_slice() else {
            bail!(
                "line {}: {} columns; a line has section, phrase and test, separated by one tab each",
                index + 1,
                fields.len()
            );
        };
        ensure!(
            seen.insert((section, phrase)),
            "line {}: `{phrase}` stands there twice",
            index + 1
        );
        phrases.push(Phrase {
            section: section.to_owned(),
            phrase: phrase.to_owned(),
            test: test.to_owned(),
        });
    }
    Ok(phrases)
}

/// What a witness saw: each thing as a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen(Vec<String>);

impl From<bool> for Seen {
    fn from(seen: bool) -> Seen {
        Seen(seen.then(|| "it".to_owned()).into_iter().collect())
    }
}

impl From<usize> for Seen {
    fn from(count: usize) -> Seen {
        Seen(
            (count > 0)
                .then(|| format!("{count} times"))
                .into_iter()
                .collect(),
        )
    }
}

impl From<Option<String>> for Seen {
    fn from(line: Option<String>) -> Seen {
        Seen(line.into_iter().collect())
    }
}

impl<L: Into<String>> From<Vec<L>> for Seen {
    fn from(lines: Vec<L>) -> Seen {
        Seen(lines.into_iter().map(Into::into).collect())
    }
}

/// A witness: what it saw of the attack, and of its control.
struct Witness {
    name: String,
    attack: Vec<String>,
    control: Vec<String>,
}

/// An attack that a test has made, to be stated with [`state`](Attack::state).
#[must_use = "an attack counts once it is stated"]
pub struct Attack {
    id: String,
    section: String,
    phrase: String,
    tried: String,
    got: String,
    checked: String,
    witnesses: Vec<Witness>,
    /// Whether a log of system calls was asked for where no strace works.
    blind: bool,
}

impl Attack {
    /// An attack by its id (small letters, digits and hyphens; unique among all), and the section and the
    /// phrase of `tests/attacks/phrases.tsv` that it belongs to.
    pub fn new(id: impl Into<String>, section: &str, phrase: &str) -> Attack {
        Attack {
            id: id.into(),
            section: section.to_owned(),
            phrase: phrase.to_owned(),
            tried: String::new(),
            got: String::new(),
            checked: String::new(),
            witnesses: Vec::new(),
            blind: false,
        }
    }

    /// What the guest tried under which policy, as the end of a sentence that begins with "the guest".
    pub fn tried(mut self, what: impl Into<String>) -> Attack {
        self.tried = what.into();
        self
    }

    /// What the guest got: an errno's name in small letters (`acces`), or whatever it answered.
    pub fn got(mut self, outcome: impl Into<String>) -> Attack {
        self.got = outcome.into();
        self
    }

    /// What was made sure of where the guest got no errno: "the peer saw the granted source alone".
    pub fn checked(mut self, what: impl Into<String>) -> Attack {
        self.checked = what.into();
        self
    }

    /// The log of system calls: none of these names was called for the guest in the attack, and one of them
    /// was in the control. Where no strace works here this says nothing; the test is skipped for that by
    /// [`watched`](crate::watched), or has other witnesses.
    pub fn calls(self, attack: &Ended, control: &Ended, names: &[&str]) -> Result<Attack> {
        self.calls_with(attack, control, names, "")
    }

    /// As [`calls`](Attack::calls), of the calls whose line contains this text alone.
    pub fn calls_with(
        mut self,
        attack: &Ended,
        control: &Ended,
        names: &[&str],
        text: &str,
    ) -> Result<Attack> {
        if attack.syscalls.is_none() || control.syscalls.is_none() {
            self.blind = true;
            return Ok(self);
        }
        let name = match text {
            "" => format!("system calls {}", names.join(", ")),
            text => format!("system calls {} with `{text}`", names.join(", ")),
        };
        let (attack, control) = (made(attack, names, text)?, made(control, names, text)?);
        Ok(self.saw(name, attack, control))
    }

    /// One step of a guest that prints `STEP -> OUTCOME`, in the attack's run and in its control's: what the
    /// guest got for it, and the log of the system calls that it came to. Of these names none was called in the
    /// attack's, and one in the control's. Many attacks share a run so.
    pub fn step(
        self,
        (attack, step): (&Ended, &str),
        (control, granted): (&Ended, &str),
        names: &[&str],
    ) -> Result<Attack> {
        let got = attack.step(step)?;
        // A batch answers `N sent, then ERRNO`.
        let errno = got
            .split_once(" sent, then ")
            .map_or(got, |(_, errno)| errno);
        let mut stated = self.got(errno);
        let (Some(one), Some(other)) = (&attack.syscalls, &control.syscalls) else {
            stated.blind = true;
            return Ok(stated);
        };
        let called = |calls: Vec<&Syscall>| -> Vec<String> {
            let calls = calls.into_iter();
            calls
                .filter(|call| names.contains(&call.name.as_str()))
                .map(|call| call.line.clone())
                .collect()
        };
        let name = format!("system calls {} of `{step}`", names.join(", "));
        let (one, other) = (called(one.of_step(step)?), called(other.of_step(granted)?));
        Ok(stated.saw(name, one, other))
    }

    /// Any other witness: what it saw that no rule grants, in the attack and in its control.
    pub fn saw(
        mut self,
        witness: impl Into<String>,
        attack: impl Into<Seen>,
        control: impl Into<Seen>,
    ) -> Attack {
        self.witnesses.push(Witness {
            name: witness.into(),
            attack: attack.into().0,
            control: control.into().0,
        });
        self
    }

    /// Tells `cargo xtask` of the attack.
    ///
    /// # Errors
    /// It succeeded; a witness saw nothing of the control, or there is no witness; it is not described.
    pub fn state(self) -> Result<()> {
        let phrases = phrases()?;
        ensure!(
            phrases
                .iter()
                .any(|line| line.section == self.section && line.phrase == self.phrase),
            "attack {}: tests/attacks/phrases.tsv has no `{}` in {}",
            self.id,
            self.phrase,
            self.section
        );
        if self.witnesses.is_empty() && self.blind {
            return Ok(());
        }
        let outcome = self.outcome()?;
        println!("@attack {}", self.json(outcome));
        self.failed_if(outcome)
    }

    /// An attack that succeeded fails its test.
    fn failed_if(&self, outcome: &str) -> Result<()> {
        ensure!(
            outcome != "succeeded",
            "attack {} succeeded: {}",
            self.id,
            self.seen().join("\n")
        );
        Ok(())
    }

    fn outcome(&self) -> Result<&'static str> {
        let id = &self.id;
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !id.is_empty() && id.chars().all(kebab),
            "attack {id}: an id has small letters, digits and hyphens"
        );
        ensure!(
            !self.tried.is_empty() && !self.got.is_empty(),
            "attack {id}: say what the guest tried, and what it got"
        );
        ensure!(!self.witnesses.is_empty(), "attack {id} has no witness");
        for Witness { name, control, .. } in &self.witnesses {
            ensure!(
                !control.is_empty(),
                "attack {id}: {name}: nothing seen of the control, so nothing would be seen of the attack"
            );
        }
        if !self.seen().is_empty() {
            return Ok("succeeded");
        }
        if is_errno(&self.got) {
            return Ok("refused");
        }
        ensure!(
            !self.checked.is_empty(),
            "attack {id}: the guest got `{}`; say what makes it harmless",
            self.got
        );
        Ok("harmless")
    }

    /// What no rule grants, and some witness saw.
    fn seen(&self) -> Vec<String> {
        let witnesses = self.witnesses.iter();
        witnesses
            .flat_map(|witness| {
                let lines = witness.attack.iter();
                lines.map(|line| format!("{}: {line}", witness.name))
            })
            .collect()
    }

    fn json(&self, outcome: &str) -> Value {
        let witnesses: Vec<Value> = self
            .witnesses
            .iter()
            .map(|witness| {
                let control = witness.control.iter().take(3).collect::<Vec<_>>();
                json!({"witness": witness.name, "saw": witness.attack, "of_control": control})
            })
            .collect();
        let calls = self.witnesses.iter();
        let calls: Vec<&String> = calls
            .filter(|witness| witness.name.starts_with("system calls"))
            .flat_map(|witness| &witness.attack)
            .collect();
        json!({
            "id": self.id,
            "section": self.section,
            "phrase": self.phrase,
            "tried": self.tried,
            "outcome": outcome,
            "errno": is_errno(&self.got).then_some(&self.got),
            "got": self.got,
            "checked": self.checked,
            "syscalls": calls,
            "witnesses": witnesses,
        })
    }
}

/// Calls of these names after the guest began, of those whose line contains the text.
fn made(ended: &Ended, names: &[&str], text: &str) -> Result<Vec<String>> {
    let calls = ended.syscalls()?.of_guest()?;
    Ok(calls
        .into_iter()
        .filter(|call| names.contains(&call.name.as_str()) && call.line.contains(text))
        .map(|call| call.line.clone())
        .collect())
}

/// Whether this is an errno as the guests of the tests print it.
fn is_errno(word: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    word.len() > 1
        && word.starts_with(|c: char| c.is_ascii_lowercase() || c == '2')
        && word.chars().all(letters)
        && !["ok", "nothing", "ready"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attack(got: &str) -> Attack {
        Attack::new("an-id-1", "Connection", "MSG_FASTOPEN")
            .tried("connects within a send")
            .got(got)
    }

    #[test]
    fn the_outcome_is_the_witnesses() -> Result<()> {
        let refused = attack("acces").saw("a peer", false, true);
        assert_eq!(refused.outcome()?, "refused");
        let told_so_and_yet = attack("acces").saw("a peer", true, true);
        assert_eq!(told_so_and_yet.outcome()?, "succeeded");
        assert!(told_so_and_yet.failed_if("succeeded").is_err());
        let let_through = || attack("ok 5").saw("a peer", 0, 1);
        assert!(let_through().outcome().is_err());
        let harmless = let_through().checked("the peer saw the granted source alone");
        assert_eq!(harmless.outcome()?, "harmless");
        Ok(())
    }

    #[test]
    fn a_witness_that_cannot_speak_is_none() {
        assert!(attack("acces").outcome().is_err());
        let blind = attack("acces").saw("a peer", false, false);
        let error = blind.outcome().unwrap_err().to_string();
        assert!(error.contains("a peer: nothing seen"), "{error}");
    }

    #[test]
    fn an_attack_is_described_whole() {
        let nameless = Attack::new("Fast open", "Connection", "MSG_FASTOPEN")
            .tried("x")
            .got("acces")
            .saw("a peer", false, true);
        assert!(nameless.outcome().is_err());
        let unknown = Attack::new("x", "Connection", "MSG_SLOWOPEN")
            .tried("x")
            .got("acces")
            .saw("a peer", false, true);
        assert!(unknown.state().is_err());
    }

    #[test]
    fn the_list_has_three_columns_and_no_phrase_twice() -> Result<()> {
        let list = read("# why\nUnix\t`..`\tunix_paths::a\nUnix\tautobind\t\n")?;
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].test, "unix_paths::a");
        assert!(read("Unix\tautobind\n").is_err());
        assert!(read("Unix\ta\t\nUnix\ta\tb::c\n").is_err());
        assert!(phrases()?.len() > 100);
        Ok(())
    }
}
