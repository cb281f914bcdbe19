use super::*;

fn name(name: &str, kind: &str, item: &str, reason: &str) -> Name {
    Name {
        name: name.to_owned(),
        kind: kind.to_owned(),
        item: item.to_owned(),
        reason: reason.to_owned(),
        ..Name::default()
    }
}

fn tables() -> Tables {
    Tables {
        socket: vec![
            name("bind", "method", "Socket::bind", ""),
            name(
                "SO_LINGER",
                "const",
                "consts::SO_LINGER, Socket::set_linger",
                "",
            ),
            name("AF_CAN", "const", "consts::AF_CAN", ""),
            name("AF_LINK", "const", "", "of others"),
        ],
        socketserver: vec![name(
            "BaseServer.timeout",
            "",
            "server::Server::timeout",
            "",
        )],
        windows: vec![name("fromshare", "", "", "Windows'")],
    }
}

fn case(name: &str, outcome: Outcome, covers: &[&str]) -> Case {
    let mut case = Case::new(name, outcome);
    case.covers = covers.iter().map(|name| (*name).to_owned()).collect();
    case
}

fn cases() -> Vec<Case> {
    vec![
        case(
            "parity_constants::all",
            Outcome::Passed,
            &["SO_LINGER", "AF_CAN"],
        ),
        case("options::linger", Outcome::Passed, &["SO_LINGER"]),
        case("options::again", Outcome::Passed, &["SO_LINGER", "bind"]),
        case("server::b", Outcome::Passed, &["BaseServer.timeout"]),
    ]
}

fn claims(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs
        .iter()
        .map(|(name, test)| ((*name).to_owned(), (*test).to_owned()));
    pairs.collect()
}

#[test]
fn each_name_has_the_test_that_says_most() {
    let (tables, cases, none) = (tables(), cases(), claims(&[]));
    let judgement = Judgement::of(&tables, &cases, &none);
    assert_eq!(judgement.problems(&tables), Vec::<String>::new());
    let answer = |name| judgement.answers[name].clone();
    assert_eq!(
        answer("SO_LINGER"),
        Answer::Tested("options::again", Ok(()))
    );
    assert_eq!(
        answer("AF_CAN"),
        Answer::Tested("parity_constants::all", Ok(()))
    );
    assert_eq!(answer("AF_LINK"), Answer::NotApplicable);
    let json = judgement.json(&tables);
    assert_eq!((&json["names"], &json["tested"]), (&json!(4), &json!(3)));
    assert_eq!(
        (&json["not_applicable"], &json["missing"]),
        (&json!(1), &json!([]))
    );
    assert_eq!(json["socketserver"]["tested"], json!(1));
}

#[test]
fn a_claim_on_the_page_stays_while_it_holds() {
    let (tables, mut cases) = (tables(), cases());
    let page = claims(&[
        ("SO_LINGER", "options::linger"),
        ("bind", "options::gone"),
        ("AF_CAN", "family_can::a"),
    ]);
    cases.push(case(
        "family_can::a",
        Outcome::Skipped("no CAN".to_owned()),
        &[],
    ));
    let judgement = Judgement::of(&tables, &cases, &page);
    let answer = |name| judgement.answers[name].clone();
    assert_eq!(
        answer("SO_LINGER"),
        Answer::Tested("options::linger", Ok(()))
    );
    assert_eq!(answer("bind"), Answer::Tested("options::again", Ok(())));
    assert_eq!(answer("AF_CAN"), Answer::Tested("family_can::a", Ok(())));
    // Only the skipped test stands for it.
    cases.remove(0);
    let judgement = Judgement::of(&tables, &cases, &page);
    assert_eq!(
        judgement.answers["AF_CAN"],
        Answer::Tested("family_can::a", Err("no CAN"))
    );
    assert_eq!(judgement.problems(&tables), Vec::<String>::new());
    assert_eq!(judgement.json(&tables)["untested_here"], json!(["AF_CAN"]));
    // Whatever failed shows nothing.
    cases.pop();
    cases.push(case("family_can::a", Outcome::Failed, &["AF_CAN"]));
    let judgement = Judgement::of(&tables, &cases, &page);
    assert_eq!(judgement.answers["AF_CAN"], Answer::Missing);
}

#[test]
fn every_kind_of_gap_is_named() {
    let (mut tables, mut cases, none) = (tables(), cases(), claims(&[]));
    tables.socket.extend([
        name("dup", "method", "Socket::try_clone", ""),
        name("dup", "func", "Socket::try_clone", ""),
        name("fileno", "method", "", ""),
        name("AF_X", "const", "consts::AF_X", "and not"),
        name("AF_CAN", "const", "consts::AF_CAN", ""),
        name("recv", "method", "Socket::recv()", ""),
    ]);
    cases.push(case(
        "a::b",
        Outcome::Passed,
        &["recv", "nonsense", "AF_LINK"],
    ));
    let judgement = Judgement::of(&tables, &cases, &none);
    let problems = judgement.problems(&tables);
    let expected = [
        "dup: no test that passed covers it",
        "dup: no test that passed covers it",
        "fileno has neither an item nor a reason",
        "AF_X has an item and a reason",
        "AF_CAN stands there twice",
        "AF_LINK does not apply, and a::b covers it",
        "recv: `Socket::recv()` is no list of paths, separated by `, `",
        "a::b covers nonsense, which no table below tests/parity has",
    ];
    for text in expected {
        assert!(
            problems.iter().any(|problem| problem.ends_with(text)),
            "{text}: {problems:#?}"
        );
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    assert_eq!(
        judgement.json(&tables)["missing"],
        json!(["dup", "dup", "fileno", "AF_X"])
    );
}

#[test]
fn the_page_is_read_back_as_it_was_written() {
    let (tables, cases, none) = (tables(), cases(), claims(&[]));
    let text = page::repository(&tables, &Judgement::of(&tables, &cases, &none));
    let claims = page::claims(&text);
    assert_eq!(claims.len(), 4, "{text}");
    assert_eq!(claims["bind"], "options::again");
    assert!(text.contains(
        "| `SO_LINGER` | `consts::SO_LINGER`, `Socket::set_linger` | `options::again` |\n"
    ));
    assert!(text.contains(
        "## Constants: Families\n\n| Python | here | test |\n|---|---|---|\n| `AF_CAN` |"
    ));
    assert!(text.contains("| `AF_LINK` | of others |\n"));
    // The page decides nothing by itself: written again with its own claims, it stays.
    assert_eq!(
        page::repository(&tables, &Judgement::of(&tables, &cases, &claims)),
        text
    );
    let rustdoc = page::rustdoc(&tables);
    assert!(
        rustdoc.contains("| `bind` | [`Socket::bind`](crate::Socket::bind) |\n"),
        "{rustdoc}"
    );
    assert!(!rustdoc.contains("| `AF_CAN` |"));
}
