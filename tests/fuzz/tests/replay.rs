//! Every target with its corpus and with random inputs, as ordinary tests.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sockgate_fuzz::Target;

/// How long random inputs are tried for each target.
const PATIENCE: Duration = Duration::from_secs(4);
/// The longest of them.
const LONGEST: usize = 400;

fn replayed(name: &str) {
    let target = Target::named(name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut corpus = Vec::new();
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let input = fs::read(&path).expect("an input");
        println!("{}", path.display());
        target.run(&input);
        corpus.push(input);
    }
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < PATIENCE {
        // Some that are new, and some that are a little other than what the corpus has.
        let input = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..LONGEST),
            changed(corpus.clone()),
        ];
        let config = Config {
            cases: 256,
            failure_persistence: None,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(&input, |input| {
            target.run(&input);
            Ok(())
        });
        if let Err(why) = outcome {
            panic!("{why}");
        }
        count += 256;
    }
    println!(
        "{name}: {} inputs of the corpus, {count} others",
        corpus.len()
    );
}

/// An input of the corpus in which some bytes are others.
fn changed(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<u16>(), any::<u8>()), 1..8);
    (prop::sample::select(corpus), changes).prop_map(|(mut input, changes)| {
        for (at, byte) in changes {
            match input.len() {
                0 => input.push(byte),
                length => input[usize::from(at) % length] = byte,
            }
        }
        input
    })
}

#[test]
fn policy_files_are_read_or_refused_with_a_place() {
    replayed("policy");
}

#[test]
fn policy_lines_are_read_or_refused() {
    replayed("line");
}

#[test]
fn what_a_denial_suggests_grants_it() {
    replayed("suggestion");
}

#[test]
fn the_matcher_agrees_with_a_slow_and_obvious_one() {
    replayed("matcher");
}

#[test]
fn addresses_are_read_within_their_length_and_written_back() {
    replayed("address");
}

#[test]
fn control_messages_are_read_within_their_length_and_written_back() {
    replayed("ancillary");
}

#[test]
fn messages_are_read_as_another_reading_has_them() {
    replayed("content");
}
