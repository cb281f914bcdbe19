//! What comes beside IP datagrams and goes with them, to and from Python: a guest is shown what Python's own
//! `recvmsg` shows beside the same datagram, and nothing of it where the rule lists no ancillary data.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Net, Tool, covers, message_steps, net_and_python, oracle, outcome, patience,
    python_steps, udp_policy,
};

fn owned(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|step| (*step).to_owned()).collect()
}

/// A guest and Python receive what Python sends to each of them; all take the same steps at addresses of
/// their own.
struct Listening<'a> {
    net: &'a Net,
    python: &'a Path,
    /// The guest's address and Python's.
    at: [&'a str; 2],
    /// What each does, with `@` where its address stands.
    steps: &'a [&'a str],
    /// What is sent to each, with `@` likewise.
    sender: &'a [&'a str],
}

impl Listening<'_> {
    fn steps_at(steps: &[&str], at: &str) -> Vec<String> {
        steps.iter().map(|step| step.replace('@', at)).collect()
    }

    /// The guest's end and what Python printed, whose own address reads as the guest's.
    fn run(&self, policy: &str) -> Result<(Ended, Vec<String>)> {
        let [here, there] = self.at;
        let guest_steps = Self::steps_at(self.steps, here);
        let guest = message_steps(policy, &guest_steps).net(self.net).start()?;
        let native_steps = Self::steps_at(self.steps, there);
        let native = python_steps(self.python, Some(self.net), &native_steps)?;
        guest.wait_for_line("say ready", patience())?;
        native.wait_for_line("say ready", patience())?;
        for at in self.at {
            let steps = Self::steps_at(self.sender, at);
            let lines = python_steps(self.python, Some(self.net), &steps)?.finish(patience())?;
            ensure!(
                lines.iter().all(|line| line.contains(" -> ok")),
                "{lines:?}"
            );
        }
        let ended = guest.wait(patience())?.success()?;
        let lines = native.finish(patience())?;
        let ip = |at: &'_ str| at.parse().map(|at: SocketAddr| at.ip().to_string());
        let (here, there) = (
            ip(here).unwrap_or(here.to_owned()),
            ip(there).unwrap_or(there.to_owned()),
        );
        let alike = lines.iter().map(|line| line.replace(&there, &here));
        Ok((ended, alike.collect()))
    }

    /// What the guest was shown in each of its `recv-msg` steps, which is what Python was shown.
    fn agree(&self, policy: &str) -> Result<Vec<String>> {
        let (ended, native) = self.run(policy)?;
        let told = Self::steps_at(self.steps, self.at[0]);
        let receipts = told.iter().filter(|step| step.starts_with("recv-msg "));
        let mut all = Vec::new();
        for step in receipts {
            let (ours, theirs) = (ended.step(step)?, outcome(&native, step)?);
            ensure!(ours == theirs, "{step}: {ours} is not {theirs}");
            all.push(ours.to_owned());
        }
        Ok(all)
    }

    /// Under a policy that lists none of these kinds nothing is shown, and each is on record.
    fn withheld(&self, policy: &str, kinds: &[&str]) -> Result<()> {
        let (ended, _) = self.run(policy)?;
        let told = Self::steps_at(self.steps, self.at[0]);
        for step in told.iter().filter(|step| step.starts_with("recv-msg ")) {
            let shown = ended.step(step)?;
            ensure!(!shown.contains(" | "), "{shown}");
        }
        for kind in kinds {
            let named = format!("no rule lists `{kind}` under ancillary.receive");
            let mut denied = ended.audit.of("recv-msg").filter(|it| it.is_denied());
            ensure!(
                denied.any(|record| record.reason() == named),
                "no record of {kind}: {:?}",
                ended.audit
            );
        }
        Ok(())
    }
}

#[test]
fn what_an_ipv4_datagram_brings() -> Result<()> {
    let Some((net, python)) = net_and_python("what_an_ipv4_datagram_brings")? else {
        return Ok(());
    };
    net.ip(&["link", "set", "lo", "mtu", "1500"])?;
    let options = [
        "ip.pktinfo",
        "ip.recvttl",
        "ip.recvtos",
        "ip.recvorigdstaddr",
        "ip.recvopts",
        "0/7",
        "ip.recvfragsize",
        "so.rcvmark",
    ];
    let kinds = [
        "packet-info",
        "hop-limit",
        "traffic-class",
        "original-destination",
        "ip-options",
        "fragment-size",
        "mark",
    ];
    let listening = Listening {
        net: &net,
        python: &python,
        at: ["127.0.0.7:7001", "127.0.0.8:7001"],
        steps: &[
            "s = socket inet datagram",
            "set s SOL_IP IP_PKTINFO 1",
            "set s SOL_IP IP_RECVTTL 1",
            "set s SOL_IP IP_RECVTOS 1",
            "set s SOL_IP IP_RECVORIGDSTADDR 1",
            "set s SOL_IP IP_RECVOPTS 1",
            "set s SOL_IP IP_RECVRETOPTS 1",
            "set s SOL_IP IP_RECVFRAGSIZE 1",
            "set s SOL_SOCKET SO_RCVMARK 1",
            "bind s @",
            "say ready",
            "recv-msg s 5000 1000 -",
            "recv-msg s 5001 1000 -",
        ],
        sender: &[
            "s = socket inet datagram",
            "bind s 127.0.0.1:7002",
            "set s SOL_SOCKET SO_MARK 7",
            "send-msg s - @ *3000 hops=77 class=32",
            // A record route with room for one address.
            "set s SOL_IP IP_OPTIONS x0707040000000000",
            "send s - optional @",
        ],
    };
    let shown = listening.agree(&udp_policy(&options, &kinds, &[]))?;
    for part in [
        " from 127.0.0.1:7002",
        " | mark 7",
        " | pktinfo lo 127.0.0.7 127.0.0.7",
        " | hops 77",
        " | class 32",
        " | original 127.0.0.7:7001",
        " | fragment 1500",
    ] {
        ensure!(shown[0].contains(part), "no{part}: {}", shown[0]);
    }
    ensure!(
        shown[1].starts_with("optional ") && shown[1].contains(" | options x07070"),
        "{shown:?}"
    );
    ensure!(shown[1].matches(" | options ").count() == 2, "{shown:?}");
    listening.withheld(&udp_policy(&options, &[], &[]), &kinds)?;
    covers(&[
        "recvmsg",
        "IP_PKTINFO",
        "IP_RECVTTL",
        "IP_RECVTOS",
        "IP_RECVORIGDSTADDR",
        "IP_RECVOPTS",
        "IP_RECVRETOPTS",
        "IP_RETOPTS",
        "IP_OPTIONS",
    ]);
    Ok(())
}

#[test]
fn what_an_ipv6_datagram_brings() -> Result<()> {
    let Some((net, python)) = net_and_python("what_an_ipv6_datagram_brings")? else {
        return Ok(());
    };
    net.ip(&["link", "set", "lo", "mtu", "1500"])?;
    net.ip(&["address", "add", "fd00::7/128", "dev", "lo", "nodad"])?;
    net.ip(&["address", "add", "fd00::8/128", "dev", "lo", "nodad"])?;
    let options = [
        "ipv6.recvpktinfo",
        "ipv6.recvhoplimit",
        "ipv6.recvtclass",
        "ipv6.recvorigdstaddr",
        "ipv6.recvfragsize",
        "41/53",
        "41/56",
        "41/58",
    ];
    let kinds = [
        "packet-info",
        "hop-limit",
        "traffic-class",
        "original-destination",
        "ip-options",
        "fragment-size",
    ];
    let listening = Listening {
        net: &net,
        python: &python,
        at: ["[fd00::7]:7001", "[fd00::8]:7001"],
        steps: &[
            "s = socket inet6 datagram",
            "set s SOL_IPV6 IPV6_RECVPKTINFO 1",
            "set s SOL_IPV6 IPV6_RECVHOPLIMIT 1",
            "set s SOL_IPV6 IPV6_RECVTCLASS 1",
            "set s SOL_IPV6 IPV6_RECVORIGDSTADDR 1",
            "set s SOL_IPV6 IPV6_RECVFRAGSIZE 1",
            "set s SOL_IPV6 IPV6_RECVHOPOPTS 1",
            "set s SOL_IPV6 IPV6_RECVDSTOPTS 1",
            "set s SOL_IPV6 IPV6_RECVRTHDR 1",
            "bind s @",
            "say ready",
            "recv-msg s 5000 1000 -",
            "recv-msg s 5001 1000 -",
            "recv-msg s 5002 1000 -",
        ],
        sender: &[
            "s = socket inet6 datagram",
            "bind s [::1]:7002",
            "send-msg s - @ *3000 hops6=77 class6=32",
            // A router alert, and an option that nobody knows and everybody skips.
            "send-msg s - @ headed raw=SOL_IPV6,IPV6_HOPOPTS,x0000050200000100 \
             raw=SOL_IPV6,IPV6_DSTOPTS,x00001e0401020304",
            "r = socket inet6 raw ipv6-raw",
            "set r SOL_IPV6 IPV6_HDRINCL 1",
            "send-routed r routed @",
        ],
    };
    let shown = listening.agree(&udp_policy(&options, &kinds, &[]))?;
    for part in [
        " from [::1]:7002",
        " | pktinfo lo fd00::7",
        " | hops 77",
        " | class 32",
        " | original [fd00::7]:7001",
        " | fragment 1496",
    ] {
        ensure!(shown[0].contains(part), "no{part}: {}", shown[0]);
    }
    for part in [
        "headed ",
        " | hop-options x3c00050200000100",
        " | destination-options x11001e0401020304",
    ] {
        ensure!(shown[1].contains(part), "no{part}: {}", shown[1]);
    }
    ensure!(
        shown[2].starts_with("routed ") && shown[2].contains(" | routing-header x1100fd0000000000"),
        "{shown:?}"
    );
    listening.withheld(&udp_policy(&options, &[], &[]), &kinds)?;
    covers(&[
        "recvmsg",
        "IPV6_RECVPKTINFO",
        "IPV6_PKTINFO",
        "IPV6_RECVHOPLIMIT",
        "IPV6_HOPLIMIT",
        "IPV6_RECVTCLASS",
        "IPV6_TCLASS",
        "IPV6_RECVHOPOPTS",
        "IPV6_HOPOPTS",
        "IPV6_RECVDSTOPTS",
        "IPV6_DSTOPTS",
        "IPV6_RECVRTHDR",
        "IPV6_RTHDR",
    ]);
    Ok(())
}

/// The time of the stamp behind `kind` in what was shown.
fn stamp_of(shown: &str, kind: &str) -> Result<Duration> {
    let word = shown
        .split(" | ")
        .find_map(|part| part.strip_prefix(kind)?.trim().split(' ').next())
        .with_context(|| format!("no {kind}in {shown}"))?;
    let (seconds, nanoseconds) = word.split_once('.').context("no dot")?;
    Ok(Duration::new(seconds.parse()?, nanoseconds.parse()?))
}

#[test]
fn every_form_of_time_stamp_is_of_now() -> Result<()> {
    let Some((net, python)) = net_and_python("every_form_of_time_stamp_is_of_now")? else {
        return Ok(());
    };
    // RX_SOFTWARE and SOFTWARE, linux/net_tstamp.h.
    let forms = [
        ("SO_TIMESTAMP", "1", "timestamp "),
        ("SO_TIMESTAMP_NEW", "1", "timestamp "),
        ("SO_TIMESTAMPNS", "1", "timestamp "),
        ("SO_TIMESTAMPNS_NEW", "1", "timestamp "),
        ("SO_TIMESTAMPING", "24", "timestamping "),
        ("SO_TIMESTAMPING_NEW", "24", "timestamping "),
    ];
    let mut steps = Vec::new();
    let mut sender = vec!["s = socket inet datagram".to_owned()];
    for (number, (option, value, _)) in forms.iter().enumerate() {
        let port = 7010 + number;
        steps.push(format!("s{number} = socket inet datagram"));
        steps.push(format!("set s{number} SOL_SOCKET {option} {value}"));
        steps.push(format!("bind s{number} @:{port}"));
        sender.push(format!("send s - {option} @:{port}"));
    }
    steps.push("say ready".to_owned());
    steps.extend((0..forms.len()).map(|number| format!("recv-msg s{number} 100 200 -")));
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let sender: Vec<&str> = sender.iter().map(String::as_str).collect();
    let listening = Listening {
        net: &net,
        python: &python,
        at: ["127.0.0.7", "127.0.0.8"],
        steps: &steps,
        sender: &sender,
    };
    let options = [
        "so.timestamp",
        "so.timestampns",
        "so.timestamping",
        "1/63",
        "1/64",
        "1/65",
    ];
    let before = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let (ended, native) = listening.run(&udp_policy(&options, &["timestamp"], &[]))?;
    let after = SystemTime::now().duration_since(UNIX_EPOCH)?;
    // A stamp in microseconds is cut.
    let (before, after) = (
        before - Duration::from_micros(1),
        after + Duration::from_micros(1),
    );
    for (number, (option, _, kind)) in forms.iter().enumerate() {
        let step = format!("recv-msg s{number} 100 200 -");
        let (ours, theirs) = (ended.step(&step)?, outcome(&native, &step)?);
        for shown in [ours, theirs] {
            ensure!(shown.starts_with(&format!("{option} ")), "{shown}");
            ensure!(shown.matches(" | ").count() == 1, "{shown}");
            let stamp = stamp_of(shown, kind)?;
            ensure!(
                (before..=after).contains(&stamp),
                "{option}: {stamp:?} is not between {before:?} and {after:?}"
            );
        }
        if *kind == "timestamping " {
            // No card, no stamp of one.
            ensure!(ours.ends_with(" -") && theirs.ends_with(" -"), "{ours}");
        }
    }
    listening.withheld(&udp_policy(&options, &[], &[]), &["timestamp"])
}

#[test]
fn dropped_datagrams_are_counted() -> Result<()> {
    let Some((net, python)) = net_and_python("dropped_datagrams_are_counted")? else {
        return Ok(());
    };
    let policy = udp_policy(&["so.rxq-ovfl", "so.rcvbuf"], &["drop-count"], &[]);
    let sends = 60;
    let steps = |count: usize| {
        let mut steps = owned(&[
            "s = socket inet datagram",
            "set s SOL_SOCKET SO_RCVBUF 4096",
            "set s SOL_SOCKET SO_RXQ_OVFL 1",
            "bind s 127.0.0.7:7001",
            "g = socket inet datagram",
            "bind g 127.0.0.7:7003",
            "say ready",
            // Told to go on once everything was sent.
            "recv g 10 -",
        ]);
        steps.extend((0..count).map(|number| format!("recv-msg s {} 100 -", 2000 + number)));
        steps
    };
    let mut sender = owned(&["s = socket inet datagram"]);
    sender.extend((0..sends).map(|_| "send s - *1000 127.0.0.7:7001".to_owned()));
    sender.push("send s - go 127.0.0.7:7003".to_owned());
    // Two are received, so that there is room for a last one, which bears the count.
    let mut steps = steps(2);
    steps.push("say room".to_owned());
    steps.push("timeout s 200".to_owned());
    steps.extend((0..20).map(|number| format!("recv-msg s {} 100 -", 3000 + number)));
    let guest = message_steps(&policy, &steps).net(&net).start()?;
    guest.wait_for_line("say ready", patience())?;
    python_steps(&python, Some(&net), &sender)?.finish(patience())?;
    guest.wait_for_line("say room", patience())?;
    let last = ["s = socket inet datagram", "send s - last 127.0.0.7:7001"];
    python_steps(&python, Some(&net), &last)?.finish(patience())?;
    let ended = guest.wait(patience())?.success()?;
    let received: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("recv-msg s ")?.split_once(" -> "))
        .map(|(_, shown)| shown)
        .filter(|shown| shown.starts_with("1000 "))
        .collect();
    let last = ended.stdout.lines().find(|line| line.contains(" -> last "));
    let last = last.context("the last one is missing")?;
    let drops: usize = last.split("drops ").nth(1).context("no count")?.parse()?;
    ensure!(
        drops > 0 && drops + received.len() == sends,
        "{drops} dropped and {} received",
        received.len()
    );
    // The first that came found room.
    ensure!(!received[0].contains("drops"), "{received:?}");
    Ok(())
}

#[test]
fn datagrams_are_cut_and_joined() -> Result<()> {
    let Some((net, python)) = net_and_python("datagrams_are_cut_and_joined")? else {
        return Ok(());
    };
    let receiving = udp_policy(&["udp.gro"], &["segment-size"], &[]);
    // From the guest: one call, three datagrams.
    let listener = [
        "s = socket inet datagram",
        "bind s 127.0.0.8:7001",
        "say ready",
        "recv s 2000 -",
        "recv s 2001 -",
        "recv s 2002 -",
    ];
    let native = python_steps(&python, Some(&net), &listener)?;
    native.wait_for_line("say ready", patience())?;
    let send = "send-msg s - 127.0.0.8:7001 *2500 segment=1000";
    let steps = ["s = socket inet datagram", send];
    let ended = message_steps(&udp_policy(&[], &[], &["segment-size"]), &steps)
        .net(&net)
        .finish(patience())?;
    assert_eq!(ended.step(send)?, "ok 2500");
    let lines = native.finish(patience())?;
    let length = |step| outcome(&lines, step).map(|shown| shown.split(' ').next().unwrap_or(""));
    let lengths = [
        length("recv s 2000 -")?,
        length("recv s 2001 -")?,
        length("recv s 2002 -")?,
    ];
    assert_eq!(lengths, ["1000", "1000", "500"]);
    // The twin.
    let refused = message_steps(&udp_policy(&[], &[], &[]), &steps)
        .net(&net)
        .finish(patience())?;
    assert_eq!(refused.step(send)?, "acces");
    let denied = refused.audit.denied("send-msg")?;
    ensure!(denied.reason().contains("segment-size"), "{denied:?}");

    // To the guest: three datagrams, one receive.
    let listening = Listening {
        net: &net,
        python: &python,
        at: ["127.0.0.7:7001", "127.0.0.8:7001"],
        steps: &[
            "s = socket inet datagram",
            "set s SOL_UDP UDP_GRO 1",
            "bind s @",
            "say ready",
            "recv-msg s 5000 100 -",
        ],
        sender: &[
            "s = socket inet datagram",
            "bind s 127.0.0.1:7002",
            "send-msg s - @ *2500 segment=1000",
        ],
    };
    let shown = listening.agree(&receiving)?;
    ensure!(
        shown[0].starts_with("2500 ") && shown[0].ends_with(" | segment 1000"),
        "{shown:?}"
    );
    listening.withheld(&udp_policy(&["udp.gro"], &[], &[]), &["segment-size"])
}

#[test]
fn what_has_no_room_is_told_to_be_cut() -> Result<()> {
    let Some((net, python)) = net_and_python("what_has_no_room_is_told_to_be_cut")? else {
        return Ok(());
    };
    let listening = Listening {
        net: &net,
        python: &python,
        at: ["127.0.0.7:7001", "127.0.0.8:7001"],
        steps: &[
            "s = socket inet datagram",
            "set s SOL_IP IP_PKTINFO 1",
            "set s SOL_IP IP_RECVTTL 1",
            "bind s @",
            "say ready",
            // Room for both, for one, for a part of one, for a header, and for none.
            "recv-msg s 100 56 -",
            "recv-msg s 101 32 -",
            "recv-msg s 102 24 -",
            "recv-msg s 103 16 -",
            "recv-msg s 104 0 -",
            // And for a part of the message.
            "recv-msg s 2 56 -",
        ],
        sender: &[
            "s = socket inet datagram",
            "bind s 127.0.0.1:7002",
            "send-msg s - @ first hops=5",
            "send-msg s - @ first hops=5",
            "send-msg s - @ first hops=5",
            "send-msg s - @ first hops=5",
            "send-msg s - @ first hops=5",
            "send-msg s - @ first hops=5",
        ],
    };
    let kinds = ["packet-info", "hop-limit"];
    let options = ["ip.pktinfo", "ip.recvttl"];
    let (ended, native) = listening.run(&udp_policy(&options, &kinds, &[]))?;
    let whole = "first from 127.0.0.1:7002 | pktinfo lo 127.0.0.7 127.0.0.7 | hops 5";
    assert_eq!(ended.step("recv-msg s 100 56 -")?, whole);
    let one = "first flags CTRUNC from 127.0.0.1:7002 | pktinfo lo 127.0.0.7 127.0.0.7";
    assert_eq!(ended.step("recv-msg s 101 32 -")?, one);
    // What is left of a structure is shown as it is.
    let part = "first flags CTRUNC from 127.0.0.1:7002 | raw 0/8 x010000007f000007";
    assert_eq!(ended.step("recv-msg s 102 24 -")?, part);
    let none = "first flags CTRUNC from 127.0.0.1:7002";
    assert_eq!(ended.step("recv-msg s 104 0 -")?, none);
    assert_eq!(
        ended.step("recv-msg s 2 56 -")?,
        "fi of 5 flags TRUNC from 127.0.0.1:7002 | pktinfo lo 127.0.0.7 127.0.0.7 | hops 5"
    );
    for step in [
        "recv-msg s 100 56 -",
        "recv-msg s 101 32 -",
        "recv-msg s 104 0 -",
    ] {
        assert_eq!(ended.step(step)?, outcome(&native, step)?);
    }
    covers(&["recvmsg", "MSG_CTRUNC", "MSG_TRUNC"]);
    Ok(())
}

#[test]
fn lengths_and_rooms_are_pythons() -> Result<()> {
    let Some(python) = oracle(Tool::Python, "lengths_and_rooms_are_pythons") else {
        return Ok(());
    };
    let limit = u64::from(i32::MAX.unsigned_abs());
    let mut steps: Vec<String> = (0..66).map(|length| format!("cmsg {length}")).collect();
    let edges = (limit - 40..limit + 2).chain([1 << 20, u64::from(u32::MAX), 1 << 40]);
    steps.extend(edges.map(|length| format!("cmsg {length}")));
    let ended = message_steps("version = 1\n", &steps).finish(patience())?;
    let native = python_steps(&python, None, &steps)?.finish(patience())?;
    for step in &steps {
        assert_eq!(ended.step(step)?, outcome(&native, step)?, "{step}");
    }
    assert_eq!(ended.step("cmsg 12")?, "28 32");
    assert_eq!(ended.step(&format!("cmsg {limit}"))?, "overflow overflow");
    covers(&["CMSG_LEN", "CMSG_SPACE"]);
    Ok(())
}

#[test]
fn every_datagram_of_a_batch_brings_its_own() -> Result<()> {
    let Some((net, python)) = net_and_python("every_datagram_of_a_batch_brings_its_own")? else {
        return Ok(());
    };
    let steps = [
        "s = socket inet datagram",
        "set s SOL_IP IP_RECVTTL 1",
        "bind s 127.0.0.7:7001",
        "g = socket inet datagram",
        "bind g 127.0.0.7:7003",
        "say ready",
        "recv g 10 -",
        "recv-many s 8 3 100 PEEK",
        // Room for less than a header.
        "recv-many s 1 9 8 -",
        "recv-many s 8 3 100 -",
    ];
    let send = [
        "s = socket inet datagram",
        "bind s 127.0.0.1:7002",
        "send-msg s - 127.0.0.7:7001 one hops=11",
        "send-msg s - 127.0.0.7:7001 two hops=22",
        "send-msg s - 127.0.0.7:7001 three hops=33",
        "send s - go 127.0.0.7:7003",
    ];
    let run = |kinds: &[&str]| -> Result<Ended> {
        let guest = message_steps(&udp_policy(&["ip.recvttl"], kinds, &[]), &steps)
            .net(&net)
            .start()?;
        guest.wait_for_line("say ready", patience())?;
        python_steps(&python, Some(&net), &send)?.finish(patience())?;
        guest.wait(patience())?.success()
    };
    let from = "from 127.0.0.1:7002";
    let ended = run(&["hop-limit"])?;
    assert_eq!(
        ended.step("recv-many s 1 9 8 -")?,
        format!("one flags CTRUNC {from}")
    );
    assert_eq!(
        ended.step("recv-many s 8 3 100 -")?,
        format!("two {from} | hops 22 & thr of 5 flags TRUNC {from} | hops 33")
    );
    let ended = run(&[])?;
    assert_eq!(
        ended.step("recv-many s 8 3 100 -")?,
        format!("two {from} & thr of 5 flags TRUNC {from}")
    );
    let mut denied = ended.audit.records().iter().filter(|it| it.is_denied());
    ensure!(
        denied.any(|record| record.reason().contains("hop-limit")),
        "{:?}",
        ended.audit
    );
    Ok(())
}
