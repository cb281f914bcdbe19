//! TIPC through a guest: streams, packets and messages to and from native peers, by service, by range, by node
//! and in groups; and which of it the policy lets through.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Tool, agree, kernel, oracle, patience, policy_path, told,
};

fn rule(keys: &str) -> String {
    format!(
        "[[allow]]\nid = \"r{}\"\nfamily = [\"tipc\"]\n{keys}\n",
        keys.len()
    )
}

fn policy(rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|keys| rule(keys)).collect();
    format!("version = 1\n{rules}")
}

fn guest(policy: &str, steps: &[&str]) -> GuestRun {
    steps
        .iter()
        .fold(GuestRun::new("family_misc_steps"), |run, step| {
            run.argument(*step)
        })
        .policy_text(policy)
}

/// What the guest says that it moved, as native peers say it.
fn moved(ended: &Ended) -> Vec<String> {
    let lines = ended.stdout.lines().filter_map(|line| {
        let (step, outcome) = line.split_once(" -> ok ")?;
        match step.split(' ').next()? {
            "push" => Some(format!("sent {outcome}")),
            "pull" => Some(format!("received {outcome}")),
            _ => None,
        }
    });
    lines.collect()
}

fn needs(need: Need, name: &str) -> Option<PathBuf> {
    kernel::has(need, name)?;
    oracle(Tool::Python, name)
}

fn native(python: &Path, words: &[&str]) -> Result<Native> {
    Native::python(python, "families_misc.py", words)
}

/// Both kinds of connections, the guest at either end.
fn connections(need: Need, style: &str, name: &str, lengths: [&str; 2]) -> Result<()> {
    let Some(python) = needs(need, name) else {
        return Ok(());
    };
    let service = if style == "stream" { "18001" } else { "18002" };
    let [one, other] = lengths;
    let make = format!("s = socket tipc {style}");
    let steps = |socket: &str| {
        [
            format!("push {socket} 1 {one}"),
            format!("pull {socket} {one}"),
            format!("push {socket} 2 {other}"),
            format!("pull {socket} {other}"),
        ]
    };
    // The guest calls.
    let at = format!("{service}:5");
    let server = native(&python, &["serve", "tipc", style, &at, one, other])?;
    server.wait_for_line("listening", patience())?;
    let connect = format!("connect s tipc:{service}:5");
    let rounds = steps("s");
    let mut words = vec![make.as_str(), connect.as_str()];
    words.extend(rounds.iter().map(String::as_str));
    // Without it the peer's connection counts as broken.
    words.push("shutdown s");
    let keys = format!("ops = [\"connect\"]\nservice = [{service}]\ninstance = [5]");
    let ended = guest(&policy(&[&keys]), &words)
        .finish(patience())?
        .success()?;
    agree(&moved(&ended), &server.finish(patience())?)?;

    // The guest is called.
    let bind = format!("bind s tipc:{service}:6");
    let rounds = steps("c");
    // It receives first.
    let order = [&rounds[1], &rounds[0], &rounds[3], &rounds[2]];
    let mut words = vec![make.as_str(), bind.as_str(), "listen s", "c = accept s"];
    words.extend(order.into_iter().map(String::as_str));
    let keys = format!("ops = [\"listen\"]\nlocal = {{ service = [{service}], instance = [6] }}");
    let run = guest(&policy(&[&keys]), &words).start()?;
    run.wait_for_line("listen s -> ok", patience())?;
    let at = format!("{service}:6");
    let client = native(&python, &["call", "tipc", style, &at, "-", one, other])?;
    let seen = client.finish(patience())?;
    agree(&moved(&run.wait(patience())?.success()?), &seen)
}

#[test]
fn a_stream_moves_every_byte_both_ways() -> Result<()> {
    let name = "a_stream_moves_every_byte_both_ways";
    connections(Need::TipcStream, "stream", name, ["1", "200000"])
}

#[test]
fn packets_keep_their_bounds() -> Result<()> {
    let name = "packets_keep_their_bounds";
    connections(Need::TipcSeqpacket, "seqpacket", name, ["1", "60000"])
}

#[test]
fn messages_reach_a_service_and_are_answered() -> Result<()> {
    let name = "messages_reach_a_service_and_are_answered";
    for (need, style) in [(Need::TipcRdm, "rdm"), (Need::TipcDgram, "datagram")] {
        let Some(python) = needs(need, name) else {
            return Ok(());
        };
        // The guest asks: by service, by service on this node, and by the socket that answered.
        let node = told(
            &native(&python, &["tipc-node"])?.finish(patience())?,
            "node",
        );
        let server = native(&python, &["answer", "tipc", style, "18010:7", "3"])?;
        server.wait_for_line("listening", patience())?;
        let make = format!("s = socket tipc {style}");
        let on_node = format!("send-to s second tipc:18010:7:{}", node[0]);
        let words = [
            make.as_str(),
            "timeout s 20000",
            "send-to s first tipc:18010:7",
            "recv-from s 100",
            "reply s third",
            "recv-from s 101",
            on_node.as_str(),
            "recv-from s 102",
        ];
        let rules = [
            "ops = [\"send-to\"]\nservice = [18010]\ninstance = [\"7\"]",
            "ops = [\"receive\", \"reply\"]\npeer = \"*\"",
        ];
        let ended = guest(&policy(&rules), &words)
            .finish(patience())?
            .success()?;
        for (step, answer) in [
            ("recv-from s 100", "tsrif"),
            ("recv-from s 101", "driht"),
            ("recv-from s 102", "dnoces"),
        ] {
            let outcome = ended.step(step)?;
            ensure!(
                outcome.starts_with(&format!("\"{answer}\" from <")),
                "{outcome}"
            );
        }
        server.finish(patience())?;

        // The guest answers, to whoever wrote.
        let words = [
            make.as_str(),
            "bind s tipc-range:18011:3:4",
            "recv-from s 66000",
            "reply s answer",
        ];
        let rules = ["ops = [\"bind\", \"receive\", \"reply\"]\n\
                      local = { service = [18011], instance = [\"0-9\"] }\npeer = \"*\""];
        let run = guest(&policy(&rules), &words).start()?;
        run.wait_for_line("bind s tipc-range:18011:3:4 -> ok", patience())?;
        let client = native(&python, &["ask", "tipc", style, "18011:4", "-", "7"])?;
        let seen = client.finish(patience())?;
        let ended = run.wait(patience())?.success()?;
        assert_eq!(ended.step("reply s answer")?, "ok 6");
        // SHA-256 of `answer`.
        assert_eq!(told(&seen, "received"), [format!("6 {ANSWER}")]);
    }
    Ok(())
}

/// SHA-256 of `answer`.
const ANSWER: &str = "0db52f4076c082518412afd3dd3576e2cb0c63703fd7fed5e23ade60efef31d9";

#[test]
fn a_range_reaches_every_service_in_it() -> Result<()> {
    let name = "a_range_reaches_every_service_in_it";
    let Some(python) = needs(Need::TipcRdm, name) else {
        return Ok(());
    };
    let hear = |at: &str| -> Result<Native> {
        let hearer = native(&python, &["hear", "tipc", "rdm", at])?;
        hearer.wait_for_line("listening", patience())?;
        Ok(hearer)
    };
    let (one, other, outside) = (hear("18020:1")?, hear("18020:2-3")?, hear("18020:10")?);
    let words = [
        "s = socket tipc rdm",
        "send-to s too-wide tipc-range:18020:0:10",
        "send-to s edge tipc-range:18020:0:9",
        "send-to s outside tipc:18020:10",
        "send-to s end-1 tipc:18020:1",
        "send-to s end-2 tipc:18020:2",
    ];
    let rules = ["ops = [\"send-to\"]\nservice = [18020]\ninstance = [\"0-9\"]"];
    let ended = guest(&policy(&rules), &words)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(words[1])?, "acces");
    assert_eq!(ended.step(words[2])?, "ok 4");
    assert_eq!(ended.step(words[3])?, "acces");
    one.wait_for_line("heard end-1", patience())?;
    other.wait_for_line("heard end-2", patience())?;
    assert_eq!(told(&one.stop()?, "heard"), ["edge", "end-1"]);
    assert_eq!(told(&other.stop()?, "heard"), ["edge", "end-2"]);
    assert!(told(&outside.stop()?, "heard").is_empty());
    let denied = ended
        .audit
        .of("send-to")
        .filter(|record| record.is_denied());
    let denied: Vec<_> = denied.map(|record| record.address()).collect();
    assert_eq!(
        denied,
        ["service 18020 instance 0-10", "service 18020 instance 10"]
    );
    Ok(())
}

#[test]
fn members_of_a_group_hear_each_other() -> Result<()> {
    let name = "members_of_a_group_hear_each_other";
    let Some(python) = needs(Need::TipcRdm, name) else {
        return Ok(());
    };
    let member = native(&python, &["tipc-group", "18030", "1", "2"])?;
    member.wait_for_line("listening", patience())?;
    // struct tipc_group_req: the group, the member's instance, the cluster's scope, no flags.
    let join = "set s 271 135 x6e460000020000000200000000000000";
    let words = [
        "s = socket tipc rdm",
        "timeout s 20000",
        "set s 271 135 x6f460000020000000200000000000000",
        join,
        "send s to-everybody",
        "recv-from s 100",
        "send-to s to-one tipc:18030:1",
        "set-length s 271 136 0",
        "send s to-nobody",
    ];
    let rules = [
        "ops = [\"bind\", \"send-to\", \"receive\"]\nlocal = { service = [18030] }\n\
         peer = { service = [18030] }\noptions = { set = [\"tipc.group-join\", \"tipc.group-leave\"] }",
        "ops = [\"receive\"]\npeer = \"*\"\n\
         options = { set = [\"tipc.group-join\", \"tipc.group-leave\"] }",
    ];
    let ended = guest(&policy(&rules), &words)
        .finish(patience())?
        .success()?;
    // Group 18031 is another one.
    assert_eq!(ended.step(words[2])?, "acces");
    assert_eq!(ended.step(join)?, "ok");
    assert_eq!(ended.step("send s to-everybody")?, "ok 12");
    let heard = ended.step("recv-from s 100")?;
    ensure!(
        heard.starts_with("\"from-the-native-member\" from <"),
        "{heard}"
    );
    assert_eq!(ended.step("send-to s to-one tipc:18030:1")?, "ok 6");
    assert_eq!(ended.step("set-length s 271 136 0")?, "ok");
    assert_eq!(ended.step("send s to-nobody")?, "notconn");
    let seen = member.finish(patience())?;
    assert_eq!(told(&seen, "heard"), ["to-everybody", "to-one"]);
    Ok(())
}

#[test]
fn nothing_is_bound_or_reached_without_a_grant() -> Result<()> {
    let name = "nothing_is_bound_or_reached_without_a_grant";
    let (Some(python), Some(strace)) = (needs(Need::TipcRdm, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let ended = guest("version = 1\n", &["s = socket tipc rdm"])
        .strace(&strace)
        .finish(patience())?;
    assert_eq!(ended.step("s = socket tipc rdm")?, "acces");
    ended.audit.denied("socket")?;
    ensure!(ended.made("socket")?.is_empty());

    let hearer = native(&python, &["hear", "tipc", "rdm", "18040:5"])?;
    hearer.wait_for_line("listening", patience())?;
    let rules = [
        "type = [\"rdm\"]\nops = [\"bind\"]\nservice = [18041]\ninstance = [\"1-5\"]\nscope = [\"node\"]",
        "type = [\"rdm\"]\nops = [\"send-to\"]\nservice = [18040]\ninstance = [\"6-9\"]",
    ];
    let refused = [
        "bind s tipc:18041:0/3",
        "bind s tipc:18041:6/3",
        "bind s tipc-range:18041:1:6/3",
        "bind s tipc:18041:3/2",
        "bind s tipc:18041:3/0",
        "bind s tipc:18041:3/4",
        "bind s tipc:18042:3/3",
        "send-to s x tipc:18040:5",
        "send-to s x tipc:18040:10",
        "send-to s x tipc-range:18040:5:9",
        "send-to s x tipc:1:1",
        "send-to s x tipc-socket:0:1",
        "connect s tipc:18040:6",
        "recv-from s 10",
        "listen s",
        "t = socket tipc stream",
        "set s 271 135 x79460000020000000300000000000000",
    ];
    let start = ["s = socket tipc rdm"];
    let end = [
        "bind s tipc:18041:1/3",
        "bind s tipc-range:18041:2:5/3",
        "bind s tipc:18041:6/3",
        "bind s tipc:18041:1/-3",
    ];
    let all: Vec<&str> = start.iter().chain(&refused).chain(&end).copied().collect();
    let ended = guest(&policy(&rules), &all)
        .strace(&strace)
        .finish(patience())?
        .success()?;
    for step in refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    for step in [end[0], end[1], end[3]] {
        assert_eq!(ended.step(step)?, "ok", "{step}");
    }
    let bound = ended.made("bind")?;
    assert_eq!(bound.len(), 3, "{bound:?}");
    for call in [
        "sendto",
        "sendmsg",
        "connect",
        "recvfrom",
        "listen",
        "setsockopt",
    ] {
        ensure!(ended.made(call)?.is_empty(), "{call}");
    }
    let denied = ended.audit.denied("bind")?;
    assert_eq!(denied.address(), "service 18041 instance 0");
    assert!(told(&hearer.stop()?, "heard").is_empty());
    Ok(())
}

/// What is judged with every operation is bounded: names that a guest binds, and those that it has by joining.
#[test]
fn a_socket_has_only_so_many_names() -> Result<()> {
    let name = "a_socket_has_only_so_many_names";
    let (Some(_), Some(strace)) = (kernel::has(Need::TipcRdm, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let rules = [
        "type = [\"rdm\"]\nops = [\"bind\"]\nservice = [18061]\nscope = [\"node\"]\noptions = { set = [\"271/135\"] }",
    ];
    let names: Vec<String> = (1..=66)
        .map(|at| format!("bind s tipc:18061:{at}/3"))
        .collect();
    let join = "set s 271 135 x8d460000470000000300000000000000";
    let mut words = vec!["s = socket tipc rdm"];
    words.extend(names.iter().map(String::as_str));
    words.push(join);
    let ended = guest(&policy(&rules), &words)
        .strace(&strace)
        .finish(patience())?
        .success()?;
    for step in &names[..65] {
        assert_eq!(ended.step(step)?, "ok", "{step}");
    }
    for step in [&names[65], join] {
        assert_eq!(ended.step(step)?, "nobufs", "{step}");
    }
    assert_eq!(ended.made("bind")?.len(), 65);
    ensure!(ended.made("setsockopt")?.is_empty());
    Ok(())
}

/// A second name does not let the guest hear under the first what is granted under none or the other alone.
#[test]
fn two_names_add_up_to_no_third_power() -> Result<()> {
    let name = "two_names_add_up_to_no_third_power";
    let Some(python) = needs(Need::TipcRdm, name) else {
        return Ok(());
    };
    let rules = [
        "ops = [\"bind\", \"receive\"]\nlocal = { service = [18050] }\npeer = \"*\"",
        "ops = [\"bind\"]\nservice = [18051]",
    ];
    let words = [
        "s = socket tipc rdm",
        "timeout s 20000",
        "bind s tipc:18050:1",
        "say ready",
        "recv-from s 100",
        "bind s tipc:18051:1",
        "recv-from s 101",
        "timeout s 0",
        "recv s 102",
    ];
    let run = guest(&policy(&rules), &words).start()?;
    run.wait_for_line("say ready", patience())?;
    let write = |to: &str, text: &str| -> Result<()> {
        let seen = native(&python, &["write", "tipc", "rdm", to, "-", text])?.finish(patience())?;
        ensure!(seen == ["wrote"], "{seen:?}");
        Ok(())
    };
    write("18050:1", "heard")?;
    let ended = run.wait(patience())?.success()?;
    let heard = ended.step("recv-from s 100")?;
    ensure!(heard.starts_with("\"heard\" from <"), "{heard}");
    assert_eq!(ended.step("bind s tipc:18051:1")?, "ok");
    assert_eq!(ended.step("recv-from s 101")?, "acces");
    assert_eq!(ended.step("recv s 102")?, "acces");
    Ok(())
}

#[test]
fn the_example_waits_for_its_service_by_name() -> Result<()> {
    let name = "the_example_waits_for_its_service_by_name";
    let Some(python) = needs(Need::TipcSeqpacket, name) else {
        return Ok(());
    };
    let run = |words: &[&str]| {
        let run = GuestRun::new("tipc-service").policy(policy_path("tipc-service"));
        words.iter().fold(run, |run, word| run.argument(*word))
    };
    // The client is there first.
    let client = run(&["ask", "18888", "17", "where are you"]).start()?;
    client.wait_for_line("waiting for service 18888", patience())?;
    let server = run(&["serve", "18888", "17", "--clients", "1"]).start()?;
    let asked = client.wait(patience())?.success()?;
    ensure!(
        asked.stdout.ends_with("answer: WHERE ARE YOU"),
        "{}",
        asked.stdout
    );
    let served = server.wait(patience())?.success()?;
    ensure!(
        served.stdout.ends_with("answered 13 bytes"),
        "{}",
        served.stdout
    );

    // A native service is found as well.
    let client = run(&["ask", "18888", "99", "native"]).start()?;
    client.wait_for_line("waiting for service 18888", patience())?;
    let server = native(&python, &["answer", "tipc", "rdm", "18888:99", "1"])?;
    let asked = client.wait(patience())?.success()?;
    ensure!(asked.stdout.ends_with("answer: evitan"), "{}", asked.stdout);
    server.finish(patience())?;

    // The twins: an instance that may not be served, another service, no look-up.
    let ended = run(&["serve", "18888", "100", "--clients", "1"]).finish(patience())?;
    ensure!(!ended.status.success());
    let denied = ended.audit.denied("bind")?;
    assert_eq!(
        (denied.address(), denied.errno()),
        ("service 18888 instance 100", "acces")
    );
    let hearer = native(&python, &["hear", "tipc", "rdm", "18889:17"])?;
    hearer.wait_for_line("listening", patience())?;
    let ended = run(&["ask", "18889", "17", "x"]).finish(patience())?;
    ensure!(!ended.status.success());
    ended.audit.denied("send-to")?;
    assert!(told(&hearer.stop()?, "heard").is_empty());
    let text = std::fs::read_to_string(policy_path("tipc-service"))?;
    let text = text.replace("service = [\"1\"] ", "service = [\"2\"] ");
    let ended = GuestRun::new("tipc-service")
        .policy_text(&text)
        .argument("ask")
        .argument("18888")
        .argument("17")
        .argument("x")
        .finish(patience())?;
    let denied = ended
        .audit
        .denied("connect")
        .context("no look-up was refused")?;
    assert_eq!(denied.address(), "service 1 instance 1");
    Ok(())
}
