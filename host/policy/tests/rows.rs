//! Every question of the bench, asked of many small policies: the files of `tests/rows` list what each refuses,
//! or grants.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

mod common;

use std::fmt::Write as _;

use common::gate;
use common::questions::QUESTIONS;
use sockgate_policy::Gate;

/// The rows of a file: what is written before `=>`, and the names behind it.
fn rows(file: &str) -> Vec<(String, String)> {
    let path = format!("{}/tests/rows/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text: String = lines.collect::<Vec<_>>().join("\n");
    text.split("\n\n")
        .filter(|row| !row.trim().is_empty())
        .map(|row| {
            let (policy, names) = row.split_once("=>").unwrap_or((row, ""));
            let words: Vec<&str> = names.split_whitespace().collect();
            (policy.trim().to_owned(), words.join(" "))
        })
        .collect()
}

/// A row's policy as TOML: `allow KEY=VALUE; KEY=VALUE`, a rule a line; other lines are those of the file itself.
fn policy(text: &str) -> Gate {
    let (mut file, mut rules) = (String::new(), String::new());
    for (number, line) in text.lines().filter(|line| *line != "-").enumerate() {
        let (verdict, keys) = line.split_once(' ').unwrap_or((line, ""));
        if !["allow", "deny"].contains(&verdict) {
            file.push_str(line);
            file.push('\n');
            continue;
        }
        let _ = write!(rules, "[[{verdict}]]\nid = 'rule {number}'\n");
        rules.push_str(&keys.replace("; ", "\n"));
        rules.push('\n');
    }
    gate(&(file + &rules))
}

/// The names of the questions that the gate answers so.
fn answered(gate: &Gate, verdict: bool) -> Vec<&'static str> {
    let answers = QUESTIONS.iter().filter(|(_, ask)| ask(gate) == verdict);
    answers.map(|(name, _)| *name).collect()
}

/// Compares every row; a difference shows the row as it would have to be. The row `-` has no rule of its own;
/// what it lists goes without saying in the others.
fn compare(file: &str, base: &str, verdict: bool) {
    let mut wrong = String::new();
    let plain = answered(&policy(base), verdict);
    for (text, expected) in rows(file) {
        let mut found = answered(&policy(&format!("{base}{text}")), verdict);
        if text != "-" {
            found.retain(|name| !plain.contains(name));
        }
        let found = found.join(" ");
        if found != expected {
            let _ = write!(wrong, "{text}\n  => {found}\n\n");
        }
    }
    assert!(wrong.is_empty(), "these rows of {file} differ:\n\n{wrong}");
}

/// Grants whatever a rule of those families that need no name can grant, and more.
const EVERYTHING: &str = "\
allow ops=['connect','bind','listen','send-to','receive','reply']; local='*'; peer='*'; options={set=['*','so.mark','so.reuseaddr'],get=['*']}
allow ops=['socketpair','disconnect','splice']; options={get=['*']}
allow family=['unix']; ops=['descriptor-send','descriptor-receive']; kinds=['socket','opaque']
allow ops=['join-group']; group=['*']
allow ops=['ioctl']; ioctl=['bytes-readable','bytes-unsent']
allow ops=['resolve']; host=['*']
allow ops=['reverse-resolve']; cidr=['*']
allow ops=['interfaces','hostname','set-hostname']
allow family=['inet']; type=['raw']; protocol=['icmp']; ops=['connect']; cidr=['*']
allow family=['can']; ops=['bind','send-to','receive']; interface=['*']; can-id=['*']; fd=true
allow family=['vsock']; ops=['connect','listen']; local={cid=['*'],port=['*']}; peer={cid=['*'],port=['*']}
allow family=['netlink']; protocol=['route']; ops=['bind']; pid=['*']; groups=['*']
";

#[test]
fn a_deny_rule_refuses_this_and_nothing_else() {
    compare("refused.txt", EVERYTHING, false);
}

#[test]
fn audit_mode_refuses_this_and_nothing_else() {
    compare("audit.txt", "mode = 'audit'\n", false);
}

#[test]
fn an_allow_rule_grants_this_and_nothing_else() {
    compare("granted.txt", "", true);
}
