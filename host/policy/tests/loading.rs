//! Broken policies and what is said about them; the policies that people copy from.
//!
//! `UPDATE_EXPECTED=1 cargo test -p sockgate-policy --test loading` writes the expected texts anew; read
//! the difference before you keep it.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::path::{Path, PathBuf};

use sockgate_policy::{Count, Policy, Rule, Source};

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|known| known == extension))
        .collect();
    files.sort();
    files
}

#[test]
fn broken_policies_tell_place_and_mend() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let files = files(&directory, "toml");
    assert!(files.len() >= 70, "only {} broken policies", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let source = Source::new(name, &text)
            .with_variable("dir", "/run/app")
            .with_base("/policies");
        let read = |path: &Path| {
            let beneath = path.strip_prefix("/policies").unwrap();
            std::fs::read_to_string(directory.join(beneath)).map_err(|_| "no such file".to_owned())
        };
        let said = match Policy::from_files(&source, read) {
            Ok(_) => panic!("{name} loads"),
            Err(errors) => format!("{errors}\n"),
        };
        let expected_file = file.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected_file, &said).unwrap();
        }
        if std::fs::read_to_string(&expected_file).unwrap_or_default() != said {
            wrong.push(format!("{name} says\n{said}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "not as expected:\n\n{}\nIf that is better, renew the expected texts: UPDATE_EXPECTED=1 cargo test -p sockgate-policy --test loading",
        wrong.join("\n")
    );
}

#[test]
fn the_example_policies_load_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies");
    let files = files(&directory, "toml");
    for expected in [
        "udp-answers-anyone",
        "http-client",
        "broadcaster",
        "unix-datagram-client",
        "multicast-listener",
        "socket-activation",
        "socketpair",
        "pass-a-socket-from",
        "pass-a-socket-to",
        "echo",
        "hci-monitor",
    ] {
        let file = files
            .iter()
            .find(|file| file.file_stem().unwrap() == expected);
        let file = file.unwrap_or_else(|| panic!("{expected}.toml is missing"));
        let source = Source::new(expected, &std::fs::read_to_string(file).unwrap())
            .with_variable("dir", "/run/app")
            .with_variable("port", "7007");
        let policy = Policy::from_toml(&source).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(policy.warnings(), [], "{expected}");
    }
}

#[test]
fn every_line_of_an_example_policy_has_its_comment() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies");
    for file in files(&directory, "toml") {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let bare = line.is_empty() || line.starts_with('[') || line.contains('#');
            assert!(bare, "{}: {line}", file.display());
        }
    }
}

fn faults_of_line(line: &str) -> String {
    Policy::allow_line(line).map(drop).unwrap_err().to_string()
}

#[test]
fn a_line_says_what_is_wrong_with_it() {
    for (line, expected) in [
        ("", "the rule grants no operation"),
        ("tcp", "the rule grants no operation"),
        ("tpc connect 10.0.0.1:1", "did you mean `tcp`?"),
        ("tcp conect 10.0.0.1:1", "did you mean `connect`?"),
        ("tcp connect", "`connect` without a peer"),
        ("tcp connect 10.0.0.1:http", "`http` is no port"),
        ("tcp connect 10.0.0.1/8:1", "has bits set behind its prefix"),
        ("tcp connect 10.0.0.1:1 10.0.0.2:1", "one address too many"),
        ("tcp connect 10.0.0.1:1 to 10.0.0.2", "one address too many"),
        (
            "tcp connect peer 10.0.0.1:1 to 10.0.0.2",
            "one address too many",
        ),
        (
            "tcp listen 10.0.0.1:1 from 10.0.0.2",
            "one address too many",
        ),
        ("tcp connect 10.0.0.1:1 from", "`from` without an address"),
        ("tcp connect /run/x.sock", "an IP address has no `path`"),
        (
            "unix connect 10.0.0.1:1",
            "a Unix address has no IP address",
        ),
        ("unix connect run/x.sock", "is no network"),
        ("tcp connect 1:2:3:4", "`1:2:3:4` is no address"),
        ("tcp connect 10.0.0.1:1 sett=so.mark", "did you mean `set`?"),
        ("tcp connect 10.0.0.1:1 set=", "`set` is empty"),
        (
            "tcp listen localhost:80",
            "a local address is not named by `host`",
        ),
        ("resolve", "`resolve` without `host`"),
    ] {
        let said = faults_of_line(line);
        assert!(said.contains(expected), "{line:?} says\n{said}");
    }
}

#[test]
fn a_line_points_at_the_word() {
    assert_eq!(
        faults_of_line("tcp connect 10.0.0.1:80,http"),
        "--allow:1:25: error: `http` is no port\n\
         1 | tcp connect 10.0.0.1:80,http\n  \
           |                         ^^^^\n  \
           = help: write `443`, `8000-9000` or `*`; ports go from 0 to 65535"
    );
}

#[test]
fn merging_keeps_the_stricter_setting_and_unique_ids() {
    let one = Policy::from_toml(&Source::new(
        "one",
        "version = 1\nmode = \"audit\"\n[limits]\nsockets = 5",
    ))
    .unwrap();
    let other = Policy::from_toml(&Source::new(
        "two",
        "version = 1\nmode = \"enforce\"\n[limits]\nsockets = 9",
    ))
    .unwrap();
    let line = || Policy::allow_line("interfaces").unwrap();
    let merged = one.clone().merge(other).unwrap();
    assert_eq!(merged.mode(), sockgate_policy::Mode::Enforce);
    assert_eq!(merged.limits().count(Count::Sockets), Some(5));
    assert_eq!(
        one.merge(Policy::deny_all()).unwrap().mode(),
        sockgate_policy::Mode::Audit
    );
    let learning = line().with_mode(sockgate_policy::Mode::Learn);
    assert_eq!(
        learning.merge(Policy::deny_all()).unwrap().mode(),
        sockgate_policy::Mode::Learn
    );
    assert_eq!(line().merge(line()).unwrap().rule_ids().count(), 1);
    let built = |op: &str| {
        Policy::builder()
            .allow(Rule::new("a").ops(&[op]))
            .build()
            .unwrap()
    };
    let errors = built("hostname")
        .merge(built("interfaces"))
        .unwrap_err()
        .to_string();
    assert!(errors.contains("the id `a` stands at"), "{errors}");
}

#[test]
fn the_builder_checks_as_files_are_checked() {
    let errors = Policy::builder()
        .allow(Rule::new("a").tcp().ops(&["connect"]))
        .build()
        .unwrap_err()
        .to_string();
    assert!(errors.contains("`connect` without a peer"), "{errors}");
    assert!(Rule::new("a").tcp().connect("1:2:3").is_err());
}

#[test]
fn warnings_name_what_never_matches() {
    let warned = |text: &str| {
        let policy =
            Policy::from_toml(&Source::new("p.toml", &format!("version = 1\n{text}"))).unwrap();
        policy
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (text, expected) in [
        (
            "[[deny]]\nid = \"a\"\nhost = [\"x.example\"]",
            "acts on `resolve` only",
        ),
        (
            "[[allow]]\nid = \"a\"\nops = [\"connect\"]\nhost = [\"x.example\"]",
            "no rule grants `resolve` for it",
        ),
        (
            "[[allow]]\nid = \"a\"\nfamily = [\"inet6\"]\nops = [\"connect\"]\ncidr = [\"10.0.0.0/8\"]",
            "IPv4 networks alone",
        ),
        (
            "[[allow]]\nid = \"a\"\nops = [\"connect\"]\ncidr = [\"10.1.0.0/16\"]\n[[deny]]\nid = \"d\"\ncidr = [\"10.0.0.0/8\"]",
            "p.toml:2: warning: rule `a` never matches: deny rule `d` (p.toml:6) forbids all of it",
        ),
        (
            "[[allow]]\nid = \"a\"\nfamily = [\"inet\"]\nops = [\"reply\"]",
            "there is nothing to answer",
        ),
        (
            "[[allow]]\nid = \"a\"\ntype = [\"stream\"]\nprotocol = [\"udp\"]\nops = [\"connect\"]\ncidr = [\"*\"]",
            "streams are not of protocol udp",
        ),
    ] {
        let said = warned(text);
        assert!(said.contains(expected), "{text}\nsays\n{said}");
    }
    assert_eq!(
        warned("[[allow]]\nid = \"a\"\nops = [\"resolve\", \"connect\"]\nhost = [\"x.example\"]"),
        ""
    );
}

#[test]
fn an_abstract_name_is_as_long_as_an_address_has_room_for() {
    for (name, loads) in [
        ("x".repeat(107), true),
        ("x".repeat(108), false),
        ("x".repeat(108) + "*", true),
    ] {
        let line = format!("unix connect @{name}");
        assert_eq!(Policy::allow_line(&line).is_ok(), loads, "{line}");
    }
}
