//! UDP-Lite, MPTCP, SCTP and DCCP: guests and native peers as both ends, and what a policy keeps from them.

use anyhow::{Result, ensure};
use sockgate_tests::{
    GuestRun, Native, Need, Tool, free_port, kernel, made_none, oracle, patience, told,
};

/// A kind as both peers call it, what the kernel needs for it, and how a rule calls it.
struct Kin {
    need: Need,
    kind: &'static str,
    word: &'static str,
    /// What the guest does beyond naming addresses.
    uses: &'static str,
    /// What carries a server: `listen`, or the operations of datagrams.
    serving: &'static str,
    calling: &'static str,
}

const UDPLITE: Kin = Kin {
    need: Need::Udplite,
    kind: "udplite",
    word: "inet-udplite",
    uses: " set=udplite.*",
    serving: "bind,receive,reply",
    calling: "connect",
};
const MPTCP: Kin = Kin {
    need: Need::Mptcp,
    kind: "mptcp",
    word: "inet-mptcp",
    uses: " get=mptcp.info",
    serving: "listen",
    calling: "connect",
};
const SCTP: Kin = Kin {
    need: Need::Sctp,
    kind: "sctp",
    word: "inet-sctp",
    uses: " set=sctp.recvrcvinfo send-ancillary=sctp-info receive-ancillary=sctp-info",
    serving: "listen",
    calling: "connect",
};
const MANY: Kin = Kin {
    need: Need::Sctp,
    kind: "sctp-many",
    word: "inet-sctp",
    uses: " send-ancillary=sctp-info",
    serving: "listen,receive,reply",
    calling: "send-to,receive",
};
const DCCP: Kin = Kin {
    need: Need::Dccp,
    kind: "dccp",
    word: "inet-dccp",
    uses: " set=dccp.service",
    serving: "listen",
    calling: "connect",
};

impl Kin {
    fn rule(&self, ops: &str, address: &str) -> String {
        format!("{} {ops} {address}{}", self.word, self.uses)
    }

    fn guest(&self, task: &str, address: &str) -> GuestRun {
        GuestRun::new("family_kin")
            .argument(task)
            .argument(self.kind)
            .argument(address)
    }
}

fn both_ways(kin: &Kin, name: &str) -> Result<()> {
    if kernel::has(kin.need, name).is_none() {
        return Ok(());
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let address = format!("127.0.0.1:{}", free_port()?);
    let guest = kin
        .guest("serve", &address)
        .allow(&kin.rule(kin.serving, &address))
        .start()?;
    guest.wait_for_line("listening", patience())?;
    let native = Native::python(&python, "kin.py", ["call", kin.kind, &address])?;
    let native = native.finish(patience())?;
    let ended = guest.wait(patience())?.success()?;
    let lines: Vec<&str> = ended.stdout.lines().collect();
    agreed(&told(&native, "agreed"), &told(&lines, "echoed"))?;

    let native = Native::python(&python, "kin.py", ["serve", kin.kind, "127.0.0.1:0"])?;
    let address = native.wait_for_line("listening ", patience())?;
    let ended = kin
        .guest("call", &address)
        .allow(&kin.rule(kin.calling, &address))
        .finish(patience())?
        .success()?;
    let native = native.finish(patience())?;
    let lines: Vec<&str> = ended.stdout.lines().collect();
    agreed(&told(&lines, "agreed"), &told(&native, "echoed"))?;
    refused(kin, name, &python)
}

fn agreed(one: &[String], other: &[String]) -> Result<()> {
    ensure!(one.len() == 1 && one == other, "{one:?} and {other:?}");
    ensure!(one[0].starts_with("20000 "), "{one:?}");
    Ok(())
}

/// The same guest one port off, under another protocol's grant, and under none.
fn refused(kin: &Kin, name: &str, python: &std::path::Path) -> Result<()> {
    let native = Native::python(python, "kin.py", ["serve", kin.kind, "127.0.0.1:0"])?;
    let address = native.wait_for_line("listening ", patience())?;
    let port: u16 = address.rsplit(':').next().unwrap_or_default().parse()?;
    let next = kin.rule(kin.calling, &format!("127.0.0.1:{}", port.wrapping_add(1)));
    let host = kin.rule(kin.calling, &format!("127.0.0.2:{port}"));
    let operation = if kin.kind == "sctp-many" {
        "send-to"
    } else {
        "connect"
    };
    for (rule, operation) in [
        (next.as_str(), operation),
        (host.as_str(), operation),
        ("tcp,udp connect *", "socket"),
    ] {
        let rules: Vec<String> = match operation {
            "socket" => vec![
                "tcp connect *".to_owned(),
                "udp connect,send-to *".to_owned(),
            ],
            _ => vec![rule.to_owned()],
        };
        let run = rules
            .iter()
            .fold(kin.guest("call", &address), |run, rule| run.allow(rule));
        let run = match oracle(Tool::Strace, name) {
            Some(strace) => run.strace(&strace),
            None => run,
        };
        let ended = run.finish(patience())?;
        ensure!(
            ended.stdout.contains("failed EACCES"),
            "{rule}: {}",
            ended.stdout
        );
        let record = ended.audit.denied(operation)?;
        ensure!(record.errno() == "acces", "{record:?}");
        let calls: &[&str] = match operation {
            "socket" => &["socket"],
            _ => &["connect", "sendto", "sendmsg"],
        };
        made_none(&ended, calls)?;
    }
    let lines = native.stop()?;
    ensure!(told(&lines, "accepted").is_empty(), "{lines:?}");
    Ok(())
}

#[test]
fn udplite_datagrams_go_both_ways() -> Result<()> {
    both_ways(&UDPLITE, "udplite_datagrams_go_both_ways")
}

#[test]
fn mptcp_streams_go_both_ways() -> Result<()> {
    both_ways(&MPTCP, "mptcp_streams_go_both_ways")
}

#[test]
fn sctp_one_to_one_goes_both_ways() -> Result<()> {
    both_ways(&SCTP, "sctp_one_to_one_goes_both_ways")
}

#[test]
fn sctp_one_to_many_goes_both_ways() -> Result<()> {
    both_ways(&MANY, "sctp_one_to_many_goes_both_ways")
}

#[test]
fn dccp_goes_both_ways() -> Result<()> {
    both_ways(&DCCP, "dccp_goes_both_ways")
}

#[test]
fn sctp_takes_no_address_by_an_option() -> Result<()> {
    let name = "sctp_takes_no_address_by_an_option";
    if kernel::has(Need::Sctp, name).is_none() {
        return Ok(());
    }
    for task in ["bindx", "connectx"] {
        let run = GuestRun::new("family_kin")
            .argument("try")
            .argument(task)
            .argument("127.0.0.1:9")
            .allow("inet-sctp connect 127.0.0.1 set=sctp.bindx-add,sctp.connectx");
        let run = match oracle(Tool::Strace, name) {
            Some(strace) => run.strace(&strace),
            None => run,
        };
        let ended = run.finish(patience())?;
        ensure!(
            ended.stdout.contains("failed EACCES"),
            "{task}: {}",
            ended.stdout
        );
        let record = ended.audit.denied("set-option")?;
        ensure!(
            record
                .reason()
                .contains("addresses go through `bind` and `connect`"),
            "{record:?}"
        );
    }
    Ok(())
}

#[test]
fn no_sctp_message_strays_from_its_address() -> Result<()> {
    let name = "no_sctp_message_strays_from_its_address";
    if kernel::has(Need::Sctp, name).is_none() {
        return Ok(());
    }
    let run = GuestRun::new("family_kin")
        .argument("try")
        .argument("sendall")
        .argument("127.0.0.1:9")
        .allow("inet-sctp listen 127.0.0.1:0")
        .allow("inet-sctp send-to 127.0.0.1:9 send-ancillary=sctp-info");
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    let ended = run.finish(patience())?;
    ensure!(ended.stdout.contains("failed EACCES"), "{}", ended.stdout);
    made_none(&ended, &["sendmsg", "sendto", "sendmmsg"])?;
    let record = ended.audit.denied("send-msg")?;
    ensure!(
        record
            .reason()
            .contains("goes elsewhere than to the address"),
        "{record:?}"
    );
    Ok(())
}
