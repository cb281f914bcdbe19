//! A small program, all of whose mutants show.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::json;

use super::find::{self, Asks, Names};
use super::write::{self, Numbered};
use super::{Fate, Forest, Mutant, renewed};

/// Every operator has something to do here, and each mutant makes the program print something else.
const PROGRAM: &str = r#"
mod mutants;

fn is_inside(number: u32, flag: bool) -> bool {
    if number < 3 && !flag {
        return true;
    }
    number == 7
}

fn name(number: u32) -> &'static str {
    match number {
        1 => "one",
        other if other > 5 => "many",
        _ => "some",
    }
}

fn check(number: u32) -> Result<(), u32> {
    if number > 4 {
        return Err(number);
    }
    Ok(())
}

fn all(numbers: &[u32]) -> bool {
    numbers.iter().all(|number| check(*number).is_ok())
}

fn checked(number: u32) -> Result<u32, u32> {
    check(number)?;
    Ok(number.min(2))
}

fn main() {
    for number in 0..9 {
        let inside = [is_inside(number, false), is_inside(number, true)];
        println!("{number} {inside:?} {} {:?}", name(number), checked(number));
    }
    let mut seen = Vec::new();
    for one in [Some(1), Some(2), Some(3)] {
        if let Some(one) = one && one == 1 { seen.push(true); }
    }
    println!("{seen:?} {} {} {}", all(&[1, 9]), all(&[1, 2]), matches!(seen.len(), 1));
}
"#;

#[test]
fn each_mutant_of_a_program_shows() {
    let mut names = Names::default();
    names.learn(PROGRAM).unwrap();
    let points = find::points(PROGRAM, &names, Asks::Itself).unwrap();
    let text: Vec<String> = points
        .iter()
        .map(|point| format!("{} {}: {}", point.line, point.function, point.text))
        .collect();
    for expected in [
        "5 is_inside: number < 3 && !flag -> true",
        "5 is_inside: number < 3 && !flag -> `||` for `&&`",
        "5 is_inside: number < 3 -> `<=` for `<`",
        "5 is_inside: !flag -> inverted",
        "6 is_inside: true -> inverted",
        "8 is_inside: number == 7 -> false",
        "13 name: 1 -> arm left out",
        "14 name: other > 5 -> false",
        "21 check: Err(number) -> Ok(())",
        "27 all: numbers.iter().all(|number| check(*number).is_ok()) -> `any` for `all`",
        "31 checked: check(number)?; -> left out",
        "32 checked: number.min(2) -> `max` for `min`",
        "42 main: let Some(one) = one && one == 1 -> false",
        "42 main: seen.push(true); -> left out",
    ] {
        assert!(
            text.iter().any(|text| text == expected),
            "{expected}\nis none of\n{}",
            text.join("\n")
        );
    }
    // What macros print is not looked into, and no place is changed twice in the same way.
    assert!(text.iter().all(|text| !text.contains("println")));
    let mut once = text.clone();
    once.dedup();
    assert_eq!(once, text);

    let numbered: Vec<Numbered<'_>> = points
        .iter()
        .enumerate()
        .map(|(number, point)| Numbered { number, point })
        .collect();
    let written = write::mutated(PROGRAM, &numbered, &[], "crate::mutants");
    assert_eq!(written.text.lines().count(), PROGRAM.lines().count());
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("main.rs");
    fs::write(&source, &written.text).unwrap();
    let switch = write::SWITCH.replace("{COUNT}", &points.len().to_string());
    fs::write(folder.path().join("mutants.rs"), switch).unwrap();
    let program = folder.path().join("program");
    let status = Command::new("rustc")
        .args(["--edition", "2024", "--cap-lints", "allow", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(status.success(), "{}", written.text);

    let run = |mutant: &str| {
        let output = Command::new(&program)
            .env("SOCKGATE_MUTANT", mutant)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let original = run("");
    assert!(
        original.contains("0 [true, false] some Ok(0)"),
        "{original}"
    );
    for (number, text) in text.iter().enumerate() {
        assert_ne!(run(&number.to_string()), original, "{text} does not show");
    }
}

#[test]
fn a_question_to_the_policy_is_granted_though_denied() {
    let source = "impl Gate {\n\
        fn judge(&self) -> Result<Verdict, Denial> { no() }\n\
        fn bind(&self) -> Result<Permit<op::Bind>, Denial> { Ok(self.judge()?.permit()) }\n}\n\
        fn may_bind(gate: &Gate) -> bool { let permit = gate.bind(); permit.is_ok() }";
    let mut names = Names::default();
    names.learn(source).unwrap();
    let granted = |asks| {
        let points = find::points(source, &names, asks).unwrap();
        let points = points.into_iter().map(|point| point.text);
        let granted: Vec<String> = points
            .filter(|text| text.ends_with("though denied"))
            .collect();
        granted
    };
    assert_eq!(
        granted(Asks::Itself),
        ["self.judge() -> granted though denied"]
    );
    assert_eq!(
        granted(Asks::Gate),
        ["gate.bind() -> granted though denied"]
    );
    let passages = find::passages(source).unwrap();
    assert_eq!(passages.len(), 1);
    assert!(passages[0].answer.contains("generation: self.generation()"));
}

#[test]
fn a_report_is_renewed_by_what_survived_and_what_is_new() {
    let source = "fn is_inside(number: u32) -> bool { number < 3 }";
    let points = find::points(source, &Names::default(), Asks::Itself).unwrap();
    assert!(points.len() > 3);
    let mutants = points.into_iter().map(|point| Mutant {
        file: "f".into(),
        point,
        outcome: Fate::Caught("a test".to_owned()),
    });
    let mut forest = Forest {
        sources: BTreeMap::new(),
        mutants: mutants.collect(),
    };
    // The first was caught, the second survived, the others are new; one is in the code no more.
    let mut rows = forest.rows();
    let count = rows.len();
    rows.truncate(2);
    rows[1]["outcome"] = json!("survived");
    let mut gone = rows[0].clone();
    gone["text"] = json!("gone");
    rows.push(gone);
    let first = rows[0]["text"].clone();
    let former = forest.leave_open(json!({"commit": "before", "mutants": rows}));
    assert_eq!(forest.mutants.len(), count - 1);
    let after = renewed(former, forest.rows());
    assert_eq!(after["whole_run_of"], "before");
    assert_eq!(after["mutants"][0]["text"], first);
    let counts = ["total", "caught", "survived"].map(|key| &after[key]);
    assert_eq!(counts, [count, count, 0]);
}
