//! What the documents say of policies: every policy and every line in them loads.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::path::Path;

use sockgate_policy::{Policy, Source};

/// The blocks of one language in a document of the tree, with their line numbers.
fn blocks(file: &str, language: &str) -> Vec<(usize, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line == format!("```{language}") => open = Some((number, String::new())),
            None => {}
        }
    }
    blocks
}

#[test]
fn the_policies_in_the_documents_load() {
    for (file, least) in [
        ("README.md", 1),
        ("docs/policy.md", 2),
        ("docs/families.md", 4),
    ] {
        let policies = blocks(file, "toml");
        assert!(policies.len() >= least, "{file} has {}", policies.len());
        for (line, block) in policies {
            // An excerpt leaves out the version that the page has shown before.
            let text = if block.contains("version") {
                block
            } else {
                format!("version = 1\n{block}")
            };
            let policy = Policy::from_toml(&Source::new(file, &text))
                .unwrap_or_else(|errors| panic!("{file}:{line}:\n{errors}"));
            let warnings = policy.warnings();
            assert!(warnings.is_empty(), "{file}:{line}: {warnings:?}");
        }
    }
}

#[test]
fn the_rules_in_one_line_load() {
    let (_, block) = blocks("docs/policy.md", "text")
        .into_iter()
        .find(|(_, block)| block.starts_with("[TRANSPORT]"))
        .unwrap();
    let lines: Vec<&str> = block.lines().skip(2).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    for line in lines {
        if let Err(errors) = Policy::allow_line(line) {
            panic!("{line}:\n{errors}");
        }
    }
}
