//! Messages in pieces and into several buffers, empty ones, cut ones, and ones that are only looked at: a guest
//! gets of its socket pairs what Python gets of the same calls.

use anyhow::{Result, ensure};
use sockgate_tests::{
    Tool, carried, covers, free_port, message_steps, oracle, outcome, patience, python_steps,
};

/// What the guest was told in each step, and that Python was told the same; only the guest is told a cut
/// message's own length.
fn alike(policy: &str, steps: &[&str], name: &str) -> Result<Option<Vec<String>>> {
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(None);
    };
    let lines = python_steps(&python, None, steps)?.finish(patience())?;
    let ended = message_steps(policy, steps).finish(patience())?.success()?;
    let mut all = Vec::new();
    for step in steps {
        let (ours, theirs) = (ended.step(step)?, outcome(&lines, step)?);
        let length = |word: &str| word.parse::<u64>().is_ok();
        let known = match ours.split_once(" of ") {
            Some((head, tail)) => match tail.split_once(' ') {
                Some((word, tail)) if length(word) => format!("{head} {tail}"),
                None if length(tail) => head.to_owned(),
                _ => ours.to_owned(),
            },
            None => ours.to_owned(),
        };
        ensure!(known == theirs, "{step}: {ours} is not {theirs}");
        all.push(ours.to_owned());
    }
    Ok(Some(all))
}

const PAIRS: &str = "version = 1\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
                     ops = [\"socketpair\"]\n";

#[test]
fn pieces_are_one_message() -> Result<()> {
    for kind in ["datagram", "seqpacket", "stream"] {
        let pair = format!("a b = pair {kind}");
        let steps = [
            pair.as_str(),
            "send-msg a - - one+two+three",
            "recv b 100 -",
            // Empty pieces, first, in the middle and last.
            "send-msg a - - -+one+-+-+two+-",
            "recv b 101 -",
            // IOV_MAX pieces, and one more.
            "send-msg a - - 1*1024",
            "recv b 2000 -",
            "send-msg a - - 1*1025",
            "send-msg a EOR+NOSIGNAL - last+one",
            "recv b 102 -",
        ];
        let Some(shown) = alike(PAIRS, &steps, "pieces_are_one_message")? else {
            return Ok(());
        };
        assert_eq!(shown[2], "onetwothree", "{kind}");
        assert_eq!(shown[4], "onetwo", "{kind}");
        ensure!(shown[6].starts_with("1024 "), "{kind}: {shown:?}");
        assert_eq!(shown[7], "msgsize", "{kind}");
        assert_eq!(shown[9], "lastone", "{kind}");
    }
    covers(&["sendmsg", "MSG_NOSIGNAL"]);
    Ok(())
}

#[test]
fn one_message_fills_several_buffers() -> Result<()> {
    for kind in ["datagram", "seqpacket", "stream"] {
        let pair = format!("a b = pair {kind}");
        let steps = [
            pair.as_str(),
            "send a - abcdef",
            "recv-into b 2+0+3+4 0 -",
            "send a - abcdef",
            // Looked at, and cut where it is a message.
            "recv-into b 1+2 0 PEEK",
            "recv-into b 2+1 0 -",
        ];
        let Some(shown) = alike(PAIRS, &steps, "one_message_fills_several_buffers")? else {
            return Ok(());
        };
        assert_eq!(shown[2], "6 in ab x cde x66000000", "{kind}");
        let cut = if kind == "stream" { "" } else { " flags TRUNC" };
        assert_eq!(shown[4], format!("3 in a bc{cut}"), "{kind}");
        assert_eq!(shown[5], format!("3 in ab c{cut}"), "{kind}");
    }
    covers(&["recvmsg_into", "MSG_PEEK", "MSG_TRUNC"]);
    Ok(())
}

#[test]
fn a_pair_has_urgent_data_where_the_kernel_has_it() -> Result<()> {
    let steps = [
        "a b = pair stream",
        "timeout b -",
        "send a - before",
        "send a OOB !",
        "send a - after",
        "recv b 100 -",
        "recv b 1 OOB",
        "recv b 101 -",
        "recv b 1 OOB+DONTWAIT",
    ];
    let granted = format!("{PAIRS}flags = [\"oob\"]\n");
    let name = "a_pair_has_urgent_data_where_the_kernel_has_it";
    let Some(shown) = alike(&granted, &steps, name)? else {
        return Ok(());
    };
    // Linux 5.15, CONFIG_AF_UNIX_OOB.
    if shown[3] == "ok 1" {
        assert_eq!(shown[5..8], ["before", "!", "after"]);
        assert_eq!(shown[8], "inval");
    }
    Ok(())
}

#[test]
fn a_message_of_nothing_is_a_message() -> Result<()> {
    for kind in ["datagram", "seqpacket"] {
        let pair = format!("a b = pair {kind}");
        let steps = [
            pair.as_str(),
            "send a - -",
            "send-msg a - - -",
            "send-msg a - - -+-",
            "send a - end",
            "recv-msg b 100 0 -",
            "recv-msg b 101 0 -",
            "recv-into b 4+4 0 -",
            "recv b 102 -",
        ];
        let Some(shown) = alike(PAIRS, &steps, "a_message_of_nothing_is_a_message")? else {
            return Ok(());
        };
        assert_eq!(shown[1..4], ["ok 0", "ok 0", "ok 0"], "{kind}");
        assert_eq!(shown[5..7], ["x", "x"], "{kind}");
        assert_eq!(shown[7], "0 in x00000000 x00000000", "{kind}");
        assert_eq!(shown[8], "end", "{kind}");
    }
    Ok(())
}

#[test]
fn a_datagram_is_looked_at_and_cut() -> Result<()> {
    let name = "a_datagram_is_looked_at_and_cut";
    let ports = [free_port()?, free_port()?];
    let policy = "version = 1\n[[allow]]\nid = \"udp\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
                  ops = [\"bind\", \"receive\", \"send-to\"]\n\
                  local = { cidr = [\"127.0.0.1\"], port = [\"*\"] }\n\
                  peer = { cidr = [\"127.0.0.1\"], port = [\"*\"] }\n";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let mut told = Vec::new();
    for port in ports {
        let (bind, to) = (
            format!("bind s 127.0.0.1:{port}"),
            format!("send s - abcdef 127.0.0.1:{port}"),
        );
        let nothing = format!("send s - - 127.0.0.1:{port}");
        let steps = [
            "s = socket inet datagram",
            &bind,
            &to,
            "recv-msg s 3 0 PEEK",
            "recv s 4 PEEK",
            "recv-msg s 5 0 PEEK+TRUNC",
            "recv-msg s 2 0 -",
            &nothing,
            "recv-msg s 1 0 -",
        ];
        let lines = match port == ports[0] {
            true => {
                let ended = message_steps(policy, &steps).finish(patience())?;
                ended.success()?.stdout.lines().map(str::to_owned).collect()
            }
            false => {
                // Python takes no MSG_TRUNC from the caller here: it would cut its own buffer.
                let steps: Vec<_> = steps.iter().filter(|it| !it.contains("+TRUNC")).collect();
                python_steps(&python, None, &steps)?.finish(patience())?
            }
        };
        let at = format!(" from 127.0.0.1:{port}");
        let plain = |step| Ok(outcome(&lines, step)?.replace(&at, "")) as Result<String>;
        told.push([
            plain("recv-msg s 3 0 PEEK")?.replace(" of 6", ""),
            plain("recv s 4 PEEK")?,
            plain("recv-msg s 2 0 -")?.replace(" of 6", ""),
            plain("recv-msg s 1 0 -")?,
        ]);
        if port == ports[0] {
            let whole = outcome(&lines, "recv-msg s 5 0 PEEK+TRUNC")?;
            ensure!(whole.starts_with("abcde of 6 flags TRUNC"), "{whole}");
        }
    }
    assert_eq!(told[0], ["abc flags TRUNC", "abcd", "ab flags TRUNC", "x"]);
    assert_eq!(told[0], told[1]);
    covers(&["MSG_PEEK", "MSG_TRUNC", "recvmsg"]);
    Ok(())
}

#[test]
fn everything_is_waited_for() -> Result<()> {
    let name = "everything_is_waited_for";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let port = free_port()?;
    let bind = format!("bind l 127.0.0.1:{port}");
    // More than the host makes room for at once, and more than the kernel holds.
    let server = [
        "l = socket inet stream",
        &bind,
        "listen l",
        "say ready",
        "c = accept l",
        "send-all c *3000000",
        "send-all c *3000000",
        "send-all c *1000",
        "send-all c *1000",
        "close c",
    ];
    let native = python_steps(&python, None, &server)?;
    native.wait_for_line("say ready", patience())?;
    let connect = format!("connect s 127.0.0.1:{port}");
    let steps = [
        "s = socket inet stream",
        &connect,
        "timeout s -",
        "recv s 3000000 WAITALL",
        "recv-msg s 3000000 100 WAITALL",
        "recv-into s 400+600 0 WAITALL",
        // The end comes first.
        "recv-msg s 2000 100 WAITALL",
        "recv-msg s 2001 100 WAITALL",
    ];
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"tcp\"\nfamily = [\"inet\"]\nops = [\"connect\"]\n\
         peer = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\n{}",
        carried(&["so.timestampns"], &[], &["timestamp"], &[])
    );
    let ended = message_steps(&policy, &steps)
        .finish(patience())?
        .success()?;
    native.finish(patience())?;
    let whole = ended.step("recv s 3000000 WAITALL")?;
    ensure!(whole.starts_with("3000000 "), "{whole}");
    assert_eq!(ended.step("recv-msg s 3000000 100 WAITALL")?, whole);
    let two = ended.step("recv-into s 400+600 0 WAITALL")?;
    ensure!(
        two.starts_with("1000 in 400 ") && two.contains(" 600 "),
        "{two}"
    );
    let short = ended.step("recv-msg s 2000 100 WAITALL")?;
    ensure!(short.starts_with("1000 "), "{short}");
    assert_eq!(ended.step("recv-msg s 2001 100 WAITALL")?, "x");

    // On a Unix stream what bears descriptors ends it, as it does natively.
    let steps = [
        "a b = pair stream",
        "timeout b -",
        "send a - abc",
        "send a - def",
        "recv-msg b 6 0 WAITALL",
        "send a - abc",
        "shutdown a",
        "recv-msg b 7 0 WAITALL",
    ];
    let Some(shown) = alike(PAIRS, &steps, name)? else {
        return Ok(());
    };
    assert_eq!((shown[4].as_str(), shown[7].as_str()), ("abcdef", "abc"));
    covers(&["MSG_WAITALL", "recvmsg", "recvmsg_into"]);
    Ok(())
}
