//! Name functions beside Python's on the same machine: one list of questions, answered by the guest through
//! the host and by python3, compared line by line.
//!
//! Both run in namespaces of their own, where /etc/hosts, /etc/services and their kin are the test's
//! (`tests/native/names`), and a name server of the test's own listens on 127.0.0.1.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{
    GuestRun, Native, Tool, covers, folder, isolated, name_server, oracle, patience, root,
};

/// Everything that names can ask for.
const POLICY: &str = r#"
version = 1
[[allow]]
id = "names"
ops = ["resolve"]
host = ["*"]
host-may-be = ["loopback", "private", "link-local", "multicast", "broadcast", "reserved", "metadata"]
[[allow]]
id = "addresses"
ops = ["reverse-resolve"]
cidr = ["0.0.0.0/0", "::/0"]
[[allow]]
id = "machine"
ops = ["interfaces", "hostname"]
"#;

/// How many questions there are at least; the list may grow.
const AT_LEAST: usize = 500;

/// A question of the list, and where the guest's answer is another than Python's.
struct Question {
    text: String,
    ours: Option<Difference>,
}

struct Difference {
    answer: String,
    since: String,
}

/// Lines: comments, questions, and beneath a question `ours ANSWER` and `since REASON`.
fn questions(text: &str) -> Result<Vec<Question>> {
    let mut questions: Vec<Question> = Vec::new();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let Some(remark) = line.strip_prefix("    ") else {
            questions.push(Question {
                text: line.to_owned(),
                ours: None,
            });
            continue;
        };
        let question = questions.last_mut().context("a remark on no question")?;
        match (remark.split_once(' '), &mut question.ours) {
            (Some(("ours", answer)), None) => {
                question.ours = Some(Difference {
                    answer: answer.to_owned(),
                    since: String::new(),
                });
            }
            (Some(("since", reason)), Some(difference)) => difference.since = reason.to_owned(),
            _ => bail!("no remark: {line}"),
        }
    }
    for question in &questions {
        if let Some(difference) = &question.ours {
            ensure!(!difference.since.is_empty(), "no reason: {}", question.text);
        }
    }
    Ok(questions)
}

#[test]
fn the_guest_answers_what_python_answers() -> Result<()> {
    let name = "the_guest_answers_what_python_answers";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let _server = name_server(&python)?;
        let list = fs::read_to_string(root().join("tests/native/names/questions"))?;
        let questions = questions(&list)?;
        ensure!(questions.len() >= AT_LEAST, "{} questions", questions.len());
        let asked: Vec<_> = questions.iter().map(|q| q.text.as_str()).collect();
        let asked = asked.join("\n") + "\n";
        let place = folder()?;
        let file = place.path().join("questions");
        fs::write(&file, &asked)?;

        let native = Native::python(&python, "names.py", ["answer".as_ref(), file.as_os_str()])?;
        let guest = GuestRun::new("names")
            .policy_text(POLICY)
            .input(asked.as_bytes())
            .finish(patience())?
            .success()?;
        let theirs = native.finish(patience())?;
        let ours: Vec<_> = guest.stdout.lines().collect();
        ensure!(
            ours.len() == questions.len() && theirs.len() == questions.len(),
            "{} questions, {} answers of the guest, {} of Python",
            questions.len(),
            ours.len(),
            theirs.len()
        );
        let counts = compare(&questions, &ours, &theirs)?;
        for (call, count) in &counts {
            println!("{count} questions of {call}");
        }
        covers(&[
            "getaddrinfo",
            "getnameinfo",
            "gethostbyname",
            "gethostbyname_ex",
            "gethostbyaddr",
            "getfqdn",
            "gethostname",
            "getservbyname",
            "getservbyport",
            "getprotobyname",
            "if_nameindex",
            "if_nametoindex",
            "if_indextoname",
            "inet_aton",
            "inet_ntoa",
            "inet_pton",
            "inet_ntop",
            "htons",
            "htonl",
            "ntohs",
            "ntohl",
            "AddressInfo",
            "AI_PASSIVE",
            "AI_CANONNAME",
            "AI_NUMERICHOST",
            "AI_NUMERICSERV",
            "AI_V4MAPPED",
            "AI_ALL",
            "AI_ADDRCONFIG",
            "NI_NUMERICHOST",
            "NI_NUMERICSERV",
            "NI_NOFQDN",
            "NI_NAMEREQD",
            "NI_DGRAM",
            "NI_IDN",
            "EAI_FAIL",
            "EAI_MEMORY",
            "EAI_OVERFLOW",
            "EAI_SYSTEM",
        ]);
        seen_errors(&theirs, &ours)
    })
}

/// Whether each answer is Python's, or differs in the way that the list says; how many questions of each
/// call there were.
fn compare<'q>(
    questions: &'q [Question],
    ours: &[&str],
    theirs: &[String],
) -> Result<BTreeMap<&'q str, usize>> {
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for ((question, ours), theirs) in questions.iter().zip(ours).zip(theirs) {
        let call = question.text.split(' ').next().unwrap_or_default();
        *counts.entry(call).or_default() += 1;
        let alike = same(ours, theirs);
        match &question.ours {
            Some(difference) if !alike && *ours == difference.answer => {
                println!("differs: {}: {}", question.text, difference.since);
            }
            None if alike => {}
            difference => wrong.push(format!(
                "{}\n    guest  {ours}\n    python {theirs}\n    listed {:?}",
                question.text,
                difference.as_ref().map(|listed| &listed.answer)
            )),
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} answers are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(counts)
}

/// The same answer. Where Python's exception has no number, any error of the guest's is the same.
fn same(ours: &str, theirs: &str) -> bool {
    ours == theirs || theirs == "error" && !ours.starts_with("ok")
}

/// Names of errors and flags are covered by what Python really answered above.
fn seen_errors(theirs: &[String], ours: &[&str]) -> Result<()> {
    let both = |text: &str| {
        let mut pairs = theirs.iter().zip(ours);
        pairs.any(|(theirs, ours)| theirs.starts_with(text) && theirs == ours)
    };
    for eai in [
        "EAI_BADFLAGS",
        "EAI_NONAME",
        "EAI_AGAIN",
        "EAI_NODATA",
        "EAI_FAMILY",
        "EAI_SOCKTYPE",
        "EAI_SERVICE",
        "EAI_ADDRFAMILY",
    ] {
        ensure!(both(&format!("gaierror {eai} ")), "nothing answered {eai}");
        covers(&[eai]);
    }
    ensure!(both("herror 1 ") && both("herror 2 "));
    covers(&["gaierror", "herror"]);
    Ok(())
}
