//! RDS through a guest: reliable datagrams between IP addresses, to and from native peers.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sockgate_tests::{
    GuestRun, Native, Need, Tool, folder, kernel, net_and_python, oracle, patience, told,
};

fn guest(keys: &str, steps: &[&str]) -> GuestRun {
    let policy = format!("version = 1\n[[allow]]\nid = \"rds\"\nfamily = [\"rds\"]\n{keys}\n");
    steps
        .iter()
        .fold(GuestRun::new("family_misc_steps"), |run, step| {
            run.argument(*step)
        })
        .policy_text(&policy)
}

fn needs(name: &str) -> Option<PathBuf> {
    kernel::has(Need::RdsSeqpacket, name)?;
    oracle(Tool::Python, name)
}

fn native(python: &Path, words: &[&str]) -> Result<Native> {
    Native::python(python, "families_misc.py", words)
}

#[test]
fn messages_go_both_ways() -> Result<()> {
    let name = "messages_go_both_ways";
    let Some(python) = needs(name) else {
        return Ok(());
    };
    let server = native(
        &python,
        &["answer", "rds", "seqpacket", "127.0.0.1:4501", "2"],
    )?;
    server.wait_for_line("listening", patience())?;
    let keys = "ops = [\"bind\", \"send-to\", \"receive\", \"connect\"]\n\
                local = { cidr = [\"127.0.0.1\"], port = [\"4500\"] }\n\
                peer = { cidr = [\"127.0.0.1\"], port = [\"4501\"] }\n\
                options = { set = [\"rds.recverr\", \"rds.cong-monitor\"], get = [\"rds.*\"] }";
    let words = [
        "s = socket rds seqpacket",
        "timeout s 30000",
        "bind s 127.0.0.1:4500",
        "local s",
        "set s 276 5 x01000000",
        "get s 276 5 4",
        "set s 276 6 x01000000",
        "send-to s abc 127.0.0.1:4501",
        "recv-from s 1000",
        "connect s 127.0.0.1:4501",
        "send s defg",
        "recv-from s 1001",
    ];
    let ended = guest(keys, &words).finish(patience())?.success()?;
    assert_eq!(ended.step("local s")?, "ok 127.0.0.1:4500");
    assert_eq!(ended.step("get s 276 5 4")?, "ok 01000000");
    assert_eq!(ended.step("set s 276 6 x01000000")?, "ok");
    assert_eq!(
        ended.step("recv-from s 1000")?,
        "\"cba\" from 127.0.0.1:4501"
    );
    assert_eq!(ended.step("send s defg")?, "ok 4");
    assert_eq!(
        ended.step("recv-from s 1001")?,
        "\"gfed\" from 127.0.0.1:4501"
    );
    let seen = server.finish(patience())?;
    assert_eq!(told(&seen, "from"), ["127.0.0.1:4500", "127.0.0.1:4500"]);

    // The guest answers; a message as large as it may be, and a sender that the rule does not name.
    let keys = "ops = [\"bind\", \"receive\", \"reply\"]\n\
                local = { cidr = [\"127.0.0.1\"], port = [\"4510\"] }\n\
                peer = { cidr = [\"127.0.0.1\"], port = [\"4511-4512\"] }";
    let words = [
        "s = socket rds seqpacket",
        "timeout s 30000",
        "bind s 127.0.0.1:4510",
        "recv-from s 70000",
        "reply s answer",
    ];
    let run = guest(keys, &words).start()?;
    run.wait_for_line("bind s 127.0.0.1:4510 -> ok", patience())?;
    for stranger in ["127.0.0.1:4513", "127.0.0.1:4509"] {
        let write = [
            "write",
            "rds",
            "seqpacket",
            "127.0.0.1:4510",
            stranger,
            "hidden",
        ];
        native(&python, &write)?.finish(patience())?;
    }
    let ask = [
        "ask",
        "rds",
        "seqpacket",
        "127.0.0.1:4510",
        "127.0.0.1:4512",
        "60000",
    ];
    let seen = native(&python, &ask)?.finish(patience())?;
    let ended = run.wait(patience())?.success()?;
    ensure!(told(&seen, "received")[0].starts_with("6 "), "{seen:?}");
    let heard = ended.step("recv-from s 70000")?;
    ensure!(
        heard.ends_with("from 127.0.0.1:4512"),
        "{}",
        &heard[heard.len() - 60..]
    );
    assert_eq!(
        ended
            .audit
            .of("recv-from")
            .filter_map(|r| r.bytes())
            .sum::<u64>(),
        60_000
    );
    let hidden = ended
        .audit
        .of("receive")
        .filter(|record| record.is_denied());
    assert_eq!(hidden.count(), 2);
    Ok(())
}

/// A send to a port whose owner does not read waits until it reads again.
#[test]
fn a_congested_port_is_waited_for() -> Result<()> {
    let name = "a_congested_port_is_waited_for";
    let Some(_kernel) = kernel::has(Need::RdsSeqpacket, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    // The loopback network knows no congestion.
    net.ip(&["addr", "add", "192.0.2.21/32", "dev", "lo"])?;
    let script = "import hashlib, os, socket, time\n\
                  s = socket.socket(socket.AF_RDS, socket.SOCK_SEQPACKET, 0)\n\
                  s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)\n\
                  s.bind(('192.0.2.21', 4521)); print('listening', flush=True)\n\
                  while not os.path.exists(GO): time.sleep(0.01)\n\
                  s.settimeout(2)\n\
                  while True:\n\
                  \x20try: data = s.recv(65536)\n\
                  \x20except TimeoutError: break\n\
                  \x20print('received', len(data), hashlib.sha256(data).hexdigest())";
    let place = folder()?;
    let go = place.path().join("go");
    let script = script.replace("GO", &format!("{:?}", go.display().to_string()));
    let server = Native::start(net.command(&python).args(["-c", &script]))?;
    server.wait_for_line("listening", patience())?;
    let keys = "ops = [\"bind\", \"connect\"]\n\
                local = { cidr = [\"192.0.2.21\"], port = [\"4520\"] }\n\
                peer = { cidr = [\"192.0.2.21\"], port = [\"4521\"] }";
    let sends: Vec<String> = (0..12).map(|seed| format!("push s {seed} 8000")).collect();
    let again: Vec<String> = (20..32).map(|seed| format!("push s {seed} 8000")).collect();
    let mut words = vec![
        "s = socket rds seqpacket",
        "bind s 192.0.2.21:4520",
        "connect s 192.0.2.21:4521",
        "timeout s 200",
    ];
    words.extend(sends.iter().map(String::as_str));
    // From now on with all the time there is.
    words.push("timeout s 60000");
    words.extend(again.iter().map(String::as_str));
    let run = guest(keys, &words).net(&net).start()?;
    run.wait_for_line("timeout s 60000 -> ok", patience())?;
    std::fs::write(&go, "")?;
    let ended = run.wait(patience())?.success()?;
    let outcome = |step: &String| ended.step(step);
    let first = sends.iter().map(outcome).collect::<Result<Vec<_>>>()?;
    let late = first
        .iter()
        .filter(|outcome| **outcome == "timedout")
        .count();
    ensure!(late > 0 && late < first.len(), "{first:?}");
    let second = again.iter().map(outcome).collect::<Result<Vec<_>>>()?;
    // What went out arrived, in order, and nothing else did.
    let sent = first.iter().chain(&second);
    let sent: Vec<&str> = sent
        .filter_map(|outcome| outcome.strip_prefix("ok "))
        .collect();
    assert_eq!(sent.len(), first.len() - late + again.len());
    assert_eq!(told(&server.finish(patience())?, "received"), sent);
    Ok(())
}

#[test]
fn nothing_is_bound_or_reached_without_a_grant() -> Result<()> {
    let name = "nothing_is_bound_or_reached_without_a_grant";
    let (Some(python), Some(strace)) = (needs(name), oracle(Tool::Strace, name)) else {
        return Ok(());
    };
    // A rule for IP is none for RDS.
    let ended = GuestRun::new("family_misc_steps")
        .argument("s = socket rds seqpacket")
        .policy_text(
            "version = 1\n[[allow]]\nid = \"ip\"\nops = [\"bind\", \"send-to\"]\nlocal = \"*\"\npeer = \"*\"\n",
        )
        .strace(&strace)
        .finish(patience())?;
    assert_eq!(ended.step("s = socket rds seqpacket")?, "acces");
    ended.audit.denied("socket")?;
    ensure!(ended.made("socket")?.is_empty());

    let hearer = native(&python, &["hear", "rds", "seqpacket", "127.0.0.1:4531"])?;
    hearer.wait_for_line("listening", patience())?;
    let keys = "ops = [\"bind\", \"send-to\"]\n\
                local = { cidr = [\"127.0.0.1\"], port = [\"4530\"] }\n\
                peer = { cidr = [\"127.0.0.1\"], port = [\"4532-4540\"] }\n\
                options = { set = [\"rds.get-mr\"] }\nancillary = { send = [\"276/1\"] }";
    let refused = [
        "send-to s early 127.0.0.1:4532",
        "bind s 127.0.0.1:4531",
        "bind s 127.0.0.2:4530",
        "bind s 0.0.0.0:4530",
        "set s 276 8 x02000000",
    ];
    let late = [
        "send-to s x 127.0.0.1:4531",
        "send-to s x 127.0.0.1:4541",
        "send-to s x 127.0.0.2:4532",
        "connect s 127.0.0.1:4532",
        // Remote memory access names memory of the host; no rule lets it through.
        "send-raw s 276 1 x00000000000000000000000000000000",
        "recv s 10",
    ];
    let mut all = vec!["s = socket rds seqpacket"];
    all.extend(refused);
    all.push("bind s 127.0.0.1:4530");
    all.extend(late);
    all.push("set s 276 2 x0000000000000000000000000000000000000000000000000000000000000000");
    let ended = guest(keys, &all)
        .strace(&strace)
        .finish(patience())?
        .success()?;
    for step in refused.iter().chain(&late) {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step("bind s 127.0.0.1:4530")?, "ok");
    ensure!(ended.step(all[all.len() - 1])? != "ok");
    assert_eq!(ended.made("bind")?.len(), 1);
    for call in ["sendto", "sendmsg", "connect", "setsockopt"] {
        ensure!(ended.made(call)?.is_empty(), "{call}");
    }
    ended.audit.denied("send-to")?;
    assert!(told(&hearer.stop()?, "heard").is_empty());
    Ok(())
}
