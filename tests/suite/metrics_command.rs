//! The metrics of `sockgate run --metrics`: the text is Prometheus's own format, and counts what the audit log tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{GuestRun, folder, free_port, guest_path, patience, tcp_echo};

/// One sample: its name, its labels, its value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text format of Prometheus, version 0.0.4, strictly.
fn exposition(text: &str) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut family = None;
    let mut told = BTreeSet::new();
    ensure!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("a type without a kind")?;
            ensure!(
                matches!(kind, "counter" | "gauge") && told.insert(name.to_owned()),
                "{line}"
            );
            ensure!((kind == "counter") == name.ends_with("_total"), "{line}");
            family = Some(name.to_owned());
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let sample = sample(line).with_context(|| line.to_owned())?;
        ensure!(
            Some(&sample.0) == family.as_ref(),
            "{line} stands under another name"
        );
        let twice = samples
            .iter()
            .any(|known| (&known.0, &known.1) == (&sample.0, &sample.1));
        ensure!(!twice, "{line} comes twice");
        samples.push(sample);
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample> {
    let (name, rest) = line.split_once('{').context("no labels")?;
    let named = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    ensure!(!name.is_empty() && named(name));
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        let (label, behind) = rest.split_once("=\"").context("a label without a value")?;
        ensure!(named(label));
        let mut value = String::new();
        let mut characters = behind.char_indices();
        let end = loop {
            match characters.next().context("a value without an end")? {
                (_, '\\') => match characters.next().context("nothing is escaped")?.1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    other => bail!("\\{other} is no escape"),
                },
                (at, '"') => break at,
                (_, plain) => value.push(plain),
            }
        };
        ensure!(labels.insert(label.to_owned(), value).is_none());
        rest = &behind[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let value = rest.strip_prefix("} ").context("no end of the labels")?;
    Ok((name.to_owned(), labels, value.parse()?))
}

#[test]
fn metrics_count_what_the_audit_log_tells() -> Result<()> {
    let place = folder()?;
    // Names that have to be escaped: of the guest, which is its file's, and of the rule.
    let guest = place.path().join("a \"guest\"\\\n.wasm");
    fs::copy(guest_path("std-net-twin")?, &guest)?;
    let peer = tcp_echo("127.0.0.1:0")?;
    let policy = place.path().join("policy.toml");
    let id = r#"say \"hi\" \\ there"#;
    let text = format!(
        "version = 1\n[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
         cidr = [\"127.0.0.1\"]\nport = [\"{}\"]\n",
        peer.port()
    );
    fs::write(&policy, text)?;
    let metrics = place.path().join("metrics.prom");
    let granted = format!("127.0.0.1:{}", peer.port());
    let denied = format!("127.0.0.1:{}", free_port()?);
    let run = |audited: bool| {
        let run = GuestRun::new(guest.clone())
            .policy(&policy)
            .option("--metrics")
            .option(&metrics);
        let words = ["connect", &granted, "connect", &denied, "connect", &denied];
        let run = words.iter().fold(run, |run, word| run.argument(*word));
        match audited {
            true => run,
            false => run.without_audit(),
        }
    };
    let ended = run(true).finish(patience())?;
    let samples = exposition(&fs::read_to_string(&metrics)?)?;
    let mut wanted: BTreeMap<(String, String, String), f64> = BTreeMap::new();
    for record in ended.audit.records() {
        let key = (
            record.operation().to_owned(),
            record.verdict().to_owned(),
            record.rule().to_owned(),
        );
        *wanted.entry(key).or_default() += 1.0;
    }
    let label = |labels: &BTreeMap<String, String>, name: &str| {
        labels.get(name).cloned().unwrap_or_default()
    };
    let mut counted = BTreeMap::new();
    for (name, labels, value) in &samples {
        ensure!(labels["guest"] == "a \"guest\"\\\n", "{labels:?}");
        if name == "sockgate_operations_total" {
            let key = ["operation", "verdict", "rule"].map(|name| label(labels, name));
            let [operation, verdict, rule] = key;
            counted.insert((operation, verdict, rule), *value);
        }
    }
    assert_eq!(counted, wanted);
    let rule = "say \"hi\" \\ there".to_owned();
    let connects = |verdict: &str, rule: &str| {
        let key = ("connect".to_owned(), verdict.to_owned(), rule.to_owned());
        counted.get(&key).copied()
    };
    assert_eq!(connects("deny", ""), Some(2.0));
    ensure!(connects("allow", &rule) >= Some(1.0), "{counted:?}");
    let sum = |wanted: &str| -> f64 {
        let all = samples.iter().filter(|(name, ..)| name == wanted);
        all.map(|(.., value)| value).sum()
    };
    // "hello" there and back.
    assert_eq!(sum("sockgate_bytes_total"), 10.0);
    ensure!(sum("sockgate_messages_total") >= 2.0 && sum("sockgate_open_sockets") == 0.0);

    // Without an audit log nothing else is counted.
    run(false).finish(patience())?;
    let again = exposition(&fs::read_to_string(&metrics)?)?;
    let names = |samples: &[Sample]| -> BTreeSet<_> {
        let samples = samples.iter();
        samples
            .map(|(name, labels, _)| (name.clone(), labels.clone()))
            .collect()
    };
    assert_eq!(names(&again), names(&samples));
    Ok(())
}
