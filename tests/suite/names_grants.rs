//! Each name function under its own grant: refused with a record and without asking anybody, and answered
//! once the rule that the record names is there. A name server that is mute ends in a time-out.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Tool, asked_names, covers, isolated, made_none, name_server, oracle, patience,
    watched,
};

/// A guest that answers these questions; see tests/guests/src/bin/names.rs.
fn asked(questions: &[&str]) -> GuestRun {
    let text = format!("@guest\n{}\n", questions.join("\n"));
    GuestRun::new("names").input(text.as_bytes())
}

/// What it answered, question by question.
fn answers(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().skip(1).collect()
}

fn hostname() -> Result<String> {
    let told = Command::new("hostname").output()?;
    Ok(String::from_utf8(told.stdout)?.trim_end().to_owned())
}

/// A question that needs a grant, its operation, another question of the same kind about what is not there,
/// and what it is answered once granted.
struct Guarded {
    question: &'static str,
    operation: &'static str,
    nowhere: &'static str,
    answer: &'static str,
    /// Whether its system calls are looked at, which takes a while.
    watched: bool,
}

const GUARDED: &[Guarded] = &[
    Guarded {
        question: "getaddrinfo | box | 80 | 0 | 1 | 0 | 0",
        operation: "resolve",
        nowhere: "getaddrinfo | no.rig.test | 80 | 0 | 1 | 0 | 0",
        answer: "ok 2 1 6 '' 192.0.2.1/80",
        watched: false,
    },
    Guarded {
        question: "gethostbyname | a.rig.test",
        operation: "resolve",
        nowhere: "gethostbyname | no.rig.test",
        answer: "ok 192.0.2.10",
        watched: true,
    },
    Guarded {
        question: "gethostbyname_ex | www.rig.test",
        operation: "resolve",
        nowhere: "gethostbyname_ex | no.rig.test",
        answer: "ok both.rig.test [www.rig.test web.rig.test] [192.0.2.20]",
        watched: false,
    },
    Guarded {
        question: "getnameinfo | 192.0.2.10 | 80 | 0",
        operation: "reverse-resolve",
        nowhere: "getnameinfo | 192.0.2.99 | 80 | 0",
        answer: "ok a.rig.test http",
        watched: false,
    },
    Guarded {
        question: "gethostbyaddr | 192.0.2.1",
        operation: "reverse-resolve",
        nowhere: "gethostbyaddr | 192.0.2.99",
        answer: "ok box [b box.rig.test] [192.0.2.1]",
        watched: true,
    },
    Guarded {
        question: "gethostname",
        operation: "hostname",
        nowhere: "getfqdn | \"\"",
        answer: "ok full",
        watched: true,
    },
    Guarded {
        question: "if_nameindex",
        operation: "interfaces",
        nowhere: "if_nameindex",
        answer: "ok 1=lo",
        watched: true,
    },
    Guarded {
        question: "if_nametoindex | lo",
        operation: "interfaces",
        nowhere: "if_nametoindex | nothing",
        answer: "ok 1",
        watched: false,
    },
    Guarded {
        question: "if_indextoname | 1",
        operation: "interfaces",
        nowhere: "if_indextoname | 99",
        answer: "ok lo",
        watched: false,
    },
];

#[test]
fn each_name_function_needs_its_own_grant() -> Result<()> {
    let name = "each_name_function_needs_its_own_grant";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let server = name_server(&python)?;
        for guarded in GUARDED {
            let before = asked_names(&server);
            let rule = refused(guarded, name)?;
            // Nobody was asked.
            assert_eq!(asked_names(&server), before, "{}", guarded.question);
            let granted = asked(&[guarded.question])
                .allow(&rule)
                .finish(patience())?
                .success()?;
            let answer = answers(&granted)[0];
            ensure!(
                answer.starts_with(guarded.answer),
                "{}: {answer} with {rule}",
                guarded.question
            );
        }
        covers(&[
            "getaddrinfo",
            "gethostbyname",
            "gethostbyname_ex",
            "getnameinfo",
            "gethostbyaddr",
            "gethostname",
            "if_nameindex",
            "if_nametoindex",
            "if_indextoname",
        ]);
        Ok(())
    })
}

/// Asks without a grant: the rule that was missing.
fn refused(guarded: &Guarded, name: &str) -> Result<String> {
    let run = asked(&[guarded.question, guarded.nowhere]);
    let ended = match guarded.watched {
        true => watched(run, name)?,
        false => run.finish(patience())?.success()?,
    };
    // What is there and what is not look the same.
    assert_eq!(answers(&ended), ["error EACCES"; 2], "{}", guarded.question);
    made_none(&ended, &["socket", "connect", "sendto", "sendmmsg"])?;
    let record = ended.audit.denied(guarded.operation)?;
    assert_eq!(record.errno(), "acces");
    let rule = record.missing_rule()?;
    Ok(match guarded.operation {
        // The addresses are those of documentation, which are reserved.
        "resolve" => format!("{rule} host-may-be=reserved"),
        _ => rule.to_owned(),
    })
}

/// What a name stands for is shown as far as the policy lets the guest see it; what is hidden looks like a
/// name that is not there.
#[test]
fn answers_that_are_not_global_are_hidden_from_every_look_up() -> Result<()> {
    let name = "answers_that_are_not_global_are_hidden_from_every_look_up";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let _server = name_server(&python)?;
        let questions = [
            "getaddrinfo | loop.rig.test | 80 | 0 | 1 | 0 | 0",
            "getaddrinfo | loop.rig.test | 80 | 10 | 1 | 0 | 0x8",
            "gethostbyname | loop.rig.test",
            "gethostbyname_ex | loop.rig.test",
        ];
        let hidden = asked(&questions)
            .allow("resolve loop.rig.test")
            .finish(patience())?
            .success()?;
        let nowhere = "gaierror EAI_NONAME -2 Name or service not known";
        assert_eq!(answers(&hidden), [nowhere; 4]);
        let record = hidden.audit.granted("resolve")?;
        assert_eq!(record.field("arguments"), "loop.rig.test (1 hidden)");
        let shown = asked(&questions)
            .allow("resolve loop.rig.test host-may-be=loopback")
            .finish(patience())?
            .success()?;
        assert_eq!(
            answers(&shown),
            [
                "ok 2 1 6 '' 127.0.0.1/80",
                "ok 10 1 6 '' ::ffff:127.0.0.1/80/0/0",
                "ok 127.0.0.1",
                "ok loop.rig.test [] [127.0.0.1]",
            ]
        );
        Ok(())
    })
}

/// What asks nobody about anything of this machine's needs no grant.
#[test]
fn numbers_services_and_protocols_need_no_grant() -> Result<()> {
    let name = "numbers_services_and_protocols_need_no_grant";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let server = name_server(&python)?;
        let questions = [
            (
                "getaddrinfo | 127.1 | http | 0 | 1 | 0 | 0",
                "ok 2 1 6 '' 127.0.0.1/80",
            ),
            (
                "getaddrinfo | none | 80 | 2 | 1 | 0 | 0x1",
                "ok 2 1 6 '' 0.0.0.0/80",
            ),
            ("getnameinfo | 127.0.0.1 | 80 | 1", "ok 127.0.0.1 http"),
            (
                "gethostbyname_ex | 127.0.0.1",
                "ok 127.0.0.1 [] [127.0.0.1]",
            ),
            ("getservbyname | www | tcp", "ok 80"),
            (
                "service-row | second",
                "ok two-names [\"second\", \"third\"] 4002 tcp",
            ),
            ("getservbyport | 4001", "ok only-sctp"),
            ("getservbyname | nothing", "error ENOENT"),
            ("getprotobyname | udp", "ok 17"),
            ("protocol-name | 58", "ok ipv6-icmp [\"IPv6-ICMP\"]"),
            ("protocol-name | 99", "error ENOENT"),
            ("inet_aton | 0x7f.1", "ok 7f000001"),
        ];
        let asks: Vec<_> = questions.iter().map(|(question, _)| *question).collect();
        let ended = asked(&asks).finish(patience())?.success()?;
        let wanted: Vec<_> = questions.iter().map(|(_, answer)| *answer).collect();
        assert_eq!(answers(&ended), wanted);
        assert!(asked_names(&server).is_empty());
        covers(&[
            "getservbyname",
            "getservbyport",
            "getprotobyname",
            "inet_aton",
        ]);
        Ok(())
    })
}

/// What can be no host's name is looked up nowhere, and the operator sees that it was asked for.
#[test]
fn what_can_be_no_name_is_told() -> Result<()> {
    let ended = asked(&["gethostbyname | no name", "gethostbyname | 127.0.0.1"])
        .allow("resolve *")
        .finish(patience())?
        .success()?;
    let told: Vec<_> = ended.audit.of("resolve").collect();
    let [record] = told.as_slice() else {
        anyhow::bail!("{told:?}");
    };
    assert_eq!(record.field("arguments"), "no name");
    ensure!(record.verdict() == "free" && !record.errno().is_empty());
    Ok(())
}

/// The machine's name is everybody's, and changing it needs a grant of its own.
#[test]
fn the_machine_is_renamed_only_once_granted() -> Result<()> {
    let name = "the_machine_is_renamed_only_once_granted";
    isolated(name, &[], || {
        let before = hostname()?;
        let questions = ["sethostname | renamed-by-test", "gethostname"];
        let refused = watched(asked(&questions).allow("hostname"), name)?;
        assert_eq!(answers(&refused), ["error EACCES", &format!("ok {before}")]);
        assert_eq!(hostname()?, before);
        let record = refused.audit.denied("set-hostname")?;
        assert_eq!(record.field("arguments"), "renamed-by-test");
        let granted = asked(&questions)
            .allow("hostname")
            .allow(record.missing_rule()?)
            .finish(patience())?
            .success()?;
        assert_eq!(answers(&granted), ["ok", "ok renamed-by-test"]);
        assert_eq!(hostname()?, "renamed-by-test");
        granted.audit.granted("set-hostname")?;
        // Longer than the kernel takes, sethostname(2).
        let long = format!("sethostname | {}", "a".repeat(65));
        let ended = asked(&[&long]).allow("set-hostname").finish(patience())?;
        assert_eq!(answers(&ended), ["error EINVAL"]);
        covers(&["sethostname", "gethostname"]);
        Ok(())
    })
}

/// A time-out is an error of its own, and comes when it is due though the resolver would wait on.
#[test]
fn a_mute_name_server_ends_in_a_time_out() -> Result<()> {
    let name = "a_mute_name_server_ends_in_a_time_out";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[("RES_OPTIONS", "timeout:30 attempts:5")], || {
        let server = name_server(&python)?;
        for kind in ["park", "ready"] {
            let start = Instant::now();
            let ended = asked(&[
                "within | 300 | mute.rig.test",
                "within | 20000 | a.rig.test",
            ])
            .wait_kind(kind)
            .allow("resolve *.rig.test host-may-be=reserved")
            .finish(patience())?
            .success()?;
            let took = start.elapsed();
            assert_eq!(answers(&ended)[0], "ok true TimedOut");
            // The guest goes on, with another look-up.
            assert_eq!(answers(&ended)[1], "ok 3");
            ensure!(took >= Duration::from_millis(300), "{took:?}");
        }
        ensure!(asked_names(&server).contains(&"mute.rig.test".to_owned()));
        covers(&["getaddrinfo", "timeout"]);
        Ok(())
    })
}
