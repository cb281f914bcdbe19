//! vsock through a guest: streams and packets to and from native peers over the loopback, and who may talk to
//! whom.

use anyhow::{Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Kernel, Native, Need, Tool, agree, folder, kernel, oracle, patience,
    policy_path, steps, told,
};

/// One rule about vsock sockets of every type.
fn rule(keys: &str) -> String {
    format!("version = 1\n[[allow]]\nid = \"one\"\nfamily = [\"vsock\"]\n{keys}\n")
}

fn guest(policy: &str, steps: &[&str]) -> GuestRun {
    steps
        .iter()
        .fold(GuestRun::new("family_misc_steps"), |run, step| {
            run.argument(*step)
        })
        .policy_text(policy)
}

/// What the guest says that it moved, as native peers say it: `sent 5 2cf2...`.
fn moved(ended: &Ended) -> Vec<String> {
    let lines = ended.stdout.lines().filter_map(|line| {
        let (step, outcome) = line.split_once(" -> ok ")?;
        let verb = step.split(' ').next()?;
        Some(match verb {
            "push" => format!("sent {outcome}"),
            "pull" => format!("received {outcome}"),
            _ => return None,
        })
    });
    lines.collect()
}

/// The kernel that has it, and python3; or a skip.
fn needs(need: Need, name: &str) -> Option<(Kernel, std::path::PathBuf)> {
    Some((kernel::has(need, name)?, oracle(Tool::Python, name)?))
}

fn native(python: &std::path::Path, words: &[&str]) -> Result<Native> {
    Native::python(python, "families_misc.py", words)
}

#[test]
fn a_stream_moves_every_byte_both_ways() -> Result<()> {
    let name = "a_stream_moves_every_byte_both_ways";
    let Some((_, python)) = needs(Need::VsockStream, name) else {
        return Ok(());
    };
    // The guest connects.
    let server = native(
        &python,
        &["serve", "vsock", "stream", "4294967295:7001", "1", "300000"],
    )?;
    server.wait_for_line("listening", patience())?;
    let words = [
        "s = socket vsock stream",
        "connect s vsock:1:7001",
        "peer s",
        "push s 1 1",
        "pull s 1",
        "push s 2 300000",
        "pull s 300000",
        "close s",
    ];
    let policy =
        rule("type = [\"stream\"]\nops = [\"connect\"]\ncid = [\"local\"]\nport = [\"7001\"]");
    let ended = guest(&policy, &words).finish(patience())?.success()?;
    let seen = server.finish(patience())?;
    agree(&moved(&ended), &seen)?;
    assert_eq!(ended.step("peer s")?, "ok local:7001");
    assert_eq!(told(&seen, "end"), ["0"]);

    // The guest listens, on a port that the kernel chooses.
    let words = [
        "s = socket vsock stream",
        "bind s vsock:4294967295:4294967295",
        "listen s",
        "local s",
        "c = accept s",
        "pull c 300000",
        "push c 3 300000",
    ];
    let policy = rule(
        "type = [\"stream\"]\nops = [\"listen\"]\nlocal = { cid = [\"any\"], port = [\"any\"] }",
    );
    let run = guest(&policy, &words).start()?;
    let local = run.wait_for_line("local s -> ok any:", patience())?;
    let address = format!("1:{local}");
    let client = native(
        &python,
        &["call", "vsock", "stream", &address, "-", "300000"],
    )?;
    let seen = client.finish(patience())?;
    let ended = run.wait(patience())?.success()?;
    agree(&moved(&ended), &seen)?;
    assert_eq!(ended.audit.granted("bind")?.address(), "cid any port any");
    Ok(())
}

#[test]
fn packets_keep_their_bounds() -> Result<()> {
    let name = "packets_keep_their_bounds";
    let Some((_, python)) = needs(Need::VsockSeqpacket, name) else {
        return Ok(());
    };
    let lengths = ["1", "4096", "50000"];
    let mut words = vec!["serve", "vsock", "seqpacket", "4294967295:7002"];
    words.extend(lengths);
    let server = native(&python, &words)?;
    server.wait_for_line("listening", patience())?;
    let mut words = vec!["s = socket vsock seqpacket", "connect s vsock:1:7002"];
    let rounds = lengths.map(|length| {
        (
            format!("push s 1 {length}"),
            // Room for more than one message: each receive answers one.
            format!("pull s {length}"),
        )
    });
    for (push, pull) in &rounds {
        words.extend([push.as_str(), pull.as_str()]);
    }
    words.push("close s");
    let policy = rule("type = [\"seqpacket\"]\nops = [\"connect\"]\ncid = [1]\nport = [\"7002\"]");
    let ended = guest(&policy, &words).finish(patience())?.success()?;
    agree(&moved(&ended), &server.finish(patience())?)?;

    // Two messages that wait are received one at a time.
    let words = [
        "s = socket vsock seqpacket",
        "bind s vsock:1:7003",
        "listen s",
        "c = accept s",
        "recv c 100",
        "recv c 3",
        "send c done",
    ];
    let policy = rule(
        "type = [\"seqpacket\"]\nops = [\"listen\"]\nlocal = { cid = [\"local\"], port = [\"7003\"] }",
    );
    let run = guest(&policy, &words).start()?;
    run.wait_for_line("listen s -> ok", patience())?;
    let script = "import socket; s = socket.socket(socket.AF_VSOCK, socket.SOCK_SEQPACKET, 0); \
                  s.connect((1, 7003)); s.send(b'one'); s.send(b'another'); print(s.recv(9))";
    let client = Native::start(std::process::Command::new(&python).args(["-c", script]))?;
    assert_eq!(client.finish(patience())?, ["b'done'"]);
    let ended = run.wait(patience())?.success()?;
    assert_eq!(ended.step("recv c 100")?, "\"one\"");
    assert_eq!(ended.step("recv c 3")?, "\"ano\"");
    Ok(())
}

#[test]
fn buffers_time_outs_and_the_local_id_are_the_kernel_s() -> Result<()> {
    let name = "buffers_time_outs_and_the_local_id_are_the_kernel_s";
    let Some((_, python)) = needs(Need::VsockStream, name) else {
        return Ok(());
    };
    let policy = rule(
        "ops = [\"connect\", \"ioctl\"]\ncid = [\"local\", \"77\"]\n\
         ioctl = [\"vm-sockets.get-local-cid\"]\n\
         options = { set = [\"vsock.*\"], get = [\"vsock.*\"] }",
    );
    let words = [
        "s = socket vsock stream",
        "cid s",
        "get s 40 0 8",
        // 65536, then beyond the largest size, which the kernel keeps it within.
        "set s 40 0 x0000010000000000",
        "get s 40 0 9",
        "set s 40 0 x0000000100000000",
        "get s 40 0 10",
        "get s 40 2 8",
        "set s 40 2 x0000000100000000",
        // A quarter of a second.
        "set s 40 8 x000000000000000090d0030000000000",
        "get s 40 8 16",
        // Nobody listens there; and that machine is none.
        "connect s vsock:1:7099",
        "t = socket vsock stream",
        "connect t vsock:77:7099",
    ];
    let ended = guest(&policy, &words).finish(patience())?.success()?;
    let cid = told(&native(&python, &["local-cid"])?.finish(patience())?, "cid");
    assert_eq!(ended.step("cid s")?, format!("ok {}", cid[0]));
    // 256 KiB, vsock(7).
    assert_eq!(ended.step("get s 40 0 8")?, "ok 0000040000000000");
    assert_eq!(ended.step("get s 40 0 9")?, "ok 0000010000000000");
    assert_eq!(
        ended.step("get s 40 0 10")?,
        format!("ok {}", &ended.step("get s 40 2 8")?[3..])
    );
    // A wildcard leaves out what bounds the others.
    assert_eq!(ended.step("set s 40 2 x0000000100000000")?, "acces");
    assert_eq!(
        ended.step("get s 40 8 16")?,
        "ok 000000000000000090d0030000000000"
    );
    assert_eq!(ended.step("connect s vsock:1:7099")?, "connreset");
    let elsewhere = ended.step("connect t vsock:77:7099")?;
    ensure!(elsewhere != "ok" && elsewhere != "acces", "{elsewhere}");
    Ok(())
}

#[test]
fn nobody_is_reached_without_a_grant() -> Result<()> {
    let name = "nobody_is_reached_without_a_grant";
    let (Some((_, python)), Some(strace)) =
        (needs(Need::VsockStream, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let inside = native(
        &python,
        &["accept-all", "vsock", "stream", "4294967295:7010"],
    )?;
    let outside = native(
        &python,
        &["accept-all", "vsock", "stream", "4294967295:7021"],
    )?;
    inside.wait_for_line("listening", patience())?;
    outside.wait_for_line("listening", patience())?;

    let ended = guest("version = 1\n", &["s = socket vsock stream"])
        .strace(&strace)
        .finish(patience())?;
    assert_eq!(ended.step("s = socket vsock stream")?, "acces");
    ended.audit.denied("socket")?;
    ensure!(ended.made("socket")?.is_empty());

    // Inside, at the edges, and outside of both keys. Nobody listens at 7020: the kernel says so.
    let policy =
        rule("type = [\"stream\"]\nops = [\"connect\"]\ncid = [\"local\"]\nport = [\"7010-7020\"]");
    let refused = [
        "connect s vsock:1:7009",
        "connect s vsock:1:7021",
        "connect s vsock:2:7010",
        "connect s vsock:0:7010",
        "connect s vsock:3:7010",
        "connect s vsock:4294967295:7010",
        "connect s vsock:1:4294967295",
        "bind s vsock:1:7015",
        "listen s",
        "cid s",
        "get s 40 0 8",
        "q = socket vsock seqpacket",
        "q = socket vsock datagram",
    ];
    let start = ["s = socket vsock stream"];
    let end = [
        "connect s vsock:1:7010",
        "t = socket vsock stream",
        "connect t vsock:1:7020",
    ];
    let all: Vec<&str> = start.iter().chain(&refused).chain(&end).copied().collect();
    let ended = guest(&policy, &all)
        .strace(&strace)
        .finish(patience())?
        .success()?;
    for step in refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step("connect s vsock:1:7010")?, "ok");
    assert_eq!(ended.step("connect t vsock:1:7020")?, "connreset");
    assert_eq!(ended.made("connect")?.len(), 2);
    ensure!(ended.made("bind")?.is_empty() && ended.made("listen")?.is_empty());
    assert_eq!(ended.audit.denied("connect")?.address(), "cid 1 port 7009");
    assert_eq!(told(&inside.stop()?, "caller").len(), 1);
    assert!(told(&outside.stop()?, "caller").is_empty());
    Ok(())
}

/// A caller from outside of the rule is reset, and the next one is served.
#[test]
fn a_caller_that_is_not_granted_never_arrives() -> Result<()> {
    let name = "a_caller_that_is_not_granted_never_arrives";
    let Some((_, python)) = needs(Need::VsockStream, name) else {
        return Ok(());
    };
    let policy = rule(
        "ops = [\"listen\"]\nlocal = { cid = [\"any\"], port = [\"7030\"] }\n\
         peer = { cid = [\"local\"], port = [\"7040-7049\"] }",
    );
    let words = [
        "s = socket vsock stream",
        "bind s vsock:4294967295:7030",
        "listen s",
        "c = accept s",
        "pull c 5",
        "push c 1 5",
    ];
    let run = guest(&policy, &words).start()?;
    run.wait_for_line("listen s -> ok", patience())?;
    for stranger in ["4294967295:7039", "4294967295:7050"] {
        let call = ["call", "vsock", "stream", "1:7030", stranger, "5"];
        let seen = native(&python, &call)?.finish(patience())?;
        let reset = told(&seen, "reset").len() == 1
            || told(&seen, "received")
                == ["0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"];
        ensure!(reset, "{seen:?}");
    }
    let call = ["call", "vsock", "stream", "1:7030", "4294967295:7049", "5"];
    let seen = native(&python, &call)?.finish(patience())?;
    let ended = run.wait(patience())?.success()?;
    agree(&moved(&ended), &seen)?;
    let hidden = ended.audit.of("accept").filter(|record| record.is_denied());
    assert_eq!(hidden.count(), 2);
    Ok(())
}

/// A socket that arrives is judged as if this guest had made it.
#[test]
fn an_arriving_socket_is_judged_by_the_receiver_s_policy() -> Result<()> {
    let name = "an_arriving_socket_is_judged_by_the_receiver_s_policy";
    let Some((_, python)) = needs(Need::VsockStream, name) else {
        return Ok(());
    };
    let peer = native(
        &python,
        &["accept-all", "vsock", "stream", "4294967295:7060"],
    )?;
    peer.wait_for_line("listening", patience())?;
    for (port, what, arrives) in [
        ("7060", "vsock-stream-connected", true),
        ("7061", "vsock-stream-connected", false),
        ("7060", "vsock-stream-listening", false),
    ] {
        let place = folder()?;
        let path = place.path().join("hand-over").display().to_string();
        let policy = format!(
            "{}[[allow]]\nid = \"in\"\nfamily = [\"unix\"]\nops = [\"listen\", \"descriptor-receive\"]\n\
             kinds = [\"socket\"]\npeer = \"*\"\nlocal = {{ root = \"{}\", path = [\"hand-over\"] }}\n",
            rule(&format!(
                "ops = [\"connect\"]\ncid = [\"local\"]\nport = [\"{port}\"]"
            )),
            place.path().display()
        );
        let bind = format!("bind s path:{path}");
        let run = steps([
            "s = socket unix stream",
            &bind,
            "listen s",
            "c = accept s",
            "recv-msg c 100 2048",
            "send c !",
        ])
        .policy_text(&policy)
        .start()?;
        run.wait_for_line("listen s -> ok", patience())?;
        let to = if what.ends_with("connected") {
            "1:7060"
        } else {
            "4294967295:7062"
        };
        native(&python, &["hand-over", &path, what, to])?.finish(patience())?;
        let ended = run.wait(patience())?.success()?;
        let seen = ended.step("recv-msg c 100 2048")?;
        if arrives {
            assert_eq!(seen, "\"socket\" + socket in0", "{what} {port}");
        } else {
            assert_eq!(seen, "\"socket\"", "{what} {port}");
            ended.audit.denied("descriptor-receive")?;
        }
    }
    Ok(())
}

#[test]
fn the_example_agent_answers_its_host() -> Result<()> {
    let name = "the_example_agent_answers_its_host";
    let Some((_, python)) = needs(Need::VsockStream, name) else {
        return Ok(());
    };
    let policy = std::fs::read_to_string(policy_path("vsock-agent"))?;
    ensure!(policy.contains("peer = { cid = [\"host\"] }") && policy.contains("\"5000\""));
    // The loopback is neither host nor guest: its connections come from CID 1.
    let here = policy.replace("\"host\"", "\"local\"");
    let script = "import socket; s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM, 0); \
                  s.connect((1, 5000)); f = s.makefile('rw');\n\
                  for question in ('ping', 'echo a b', 'cid', 'time', 'nonsense'):\n\
                  \x20print(question, file=f, flush=True); print(f.readline(), end='')";
    let ask = || Native::start(std::process::Command::new(&python).args(["-c", script]));
    let run = |policy: &str| {
        GuestRun::new("vsock-agent")
            .policy_text(policy)
            .argument("5000")
            .argument("--clients")
            .argument("1")
            .start()
    };
    let agent = run(&here)?;
    agent.wait_for_line("listening on vsock any:5000", patience())?;
    let answers = ask()?.finish(patience())?;
    let cid = told(&native(&python, &["local-cid"])?.finish(patience())?, "cid");
    assert_eq!(
        answers[..3],
        ["pong".to_owned(), "a b".to_owned(), cid[0].clone()]
    );
    let (guest_time, own) = (
        answers[3].parse::<u64>()?,
        std::time::SystemTime::UNIX_EPOCH,
    );
    ensure!(
        own.elapsed()?.as_secs().abs_diff(guest_time) < 60,
        "{answers:?}"
    );
    assert_eq!(answers[4], "what?");
    agent.wait(patience())?.success()?;

    // The twin: the file as it stands hears the host alone, and this is not the host.
    let agent = run(&policy)?;
    agent.wait_for_line("listening on vsock any:5000", patience())?;
    ensure!(
        ask()?.finish(patience()).is_err(),
        "a stranger was answered"
    );
    let ended = agent.kill()?;
    assert_eq!(ended.audit.denied("accept")?.rule(), "");
    ensure!(!ended.stdout.contains("asked by"), "{}", ended.stdout);
    Ok(())
}
