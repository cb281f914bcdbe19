//! What options bring about: on packets, on peers, in ss(8) and ip(8), in how long a call waits; and what becomes of
//! those that are refused or make no sense.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, Net, Tool, covers, free_port, net_and_python, oracle, patience,
    root, told,
};

/// A namespace of the test's own with a second interface `d0` (10.9.0.1), and python3.
struct Bench {
    net: Net,
    python: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Result<Option<Bench>> {
        let Some((net, python)) = net_and_python(name)? else {
            return Ok(None);
        };
        net.ip(&["link", "add", "d0", "type", "veth", "peer", "name", "d1"])?;
        net.ip(&["address", "add", "10.9.0.1/24", "dev", "d0"])?;
        for interface in ["d0", "d1"] {
            net.ip(&["link", "set", interface, "up"])?;
        }
        Ok(Some(Bench { net, python }))
    }

    /// A native peer that says `ready PORT`.
    fn peer(&self, words: &[&str]) -> Result<(Native, String)> {
        let script = root().join("tests/native/options.py");
        let mut command = self.net.command(&self.python);
        let native = Native::start(command.arg(script).args(words))?;
        let port = native.wait_for_line("ready ", patience())?;
        Ok((native, port))
    }

    /// One that is done when it ends.
    fn native(&self, words: &[&str]) -> Result<Vec<String>> {
        let script = root().join("tests/native/options.py");
        let mut command = self.net.command(&self.python);
        Native::start(command.arg(script).args(words))?.finish(patience())
    }

    fn guest<S: AsRef<str>>(&self, policy: &str, steps: &[S]) -> GuestRun {
        let run = GuestRun::new("options").net(&self.net);
        let run = run.policy_text(&format!("version = 1\n{policy}"));
        steps
            .iter()
            .fold(run, |run, step| run.argument(step.as_ref()))
    }

    fn run<S: AsRef<str>>(&self, policy: &str, steps: &[S]) -> Result<Ended> {
        self.guest(policy, steps).finish(patience())?.success()
    }

    /// A guest that holds its sockets.
    fn held(&self, policy: &str, steps: &[&str]) -> Result<Guest> {
        let guest = self.guest(policy, steps).argument("hold").start()?;
        guest.wait_for_line("holding", patience())?;
        Ok(guest)
    }

    /// What a native program prints in the namespace.
    fn shown(&self, program: &str, words: &[&str]) -> Result<String> {
        let output = self.net.command(program).args(words).output()?;
        ensure!(output.status.success(), "{program} {words:?}: {output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A rule for IP sockets of either version.
fn rule(ops: &str, set: &str) -> String {
    format!(
        "[[allow]]\nid = \"ip\"\nfamily = [\"inet\", \"inet6\"]\nops = [{ops}]\nlocal = \"*\"\npeer = \"*\"\n\
         options = {{ set = [{set}], get = [\"*\"] }}\n"
    )
}

const SENDING: &str = "\"connect\", \"send-to\"";

#[test]
fn hop_limits_traffic_classes_and_ip_options_are_on_the_packets() -> Result<()> {
    let name = "hop_limits_traffic_classes_and_ip_options_are_on_the_packets";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let (four, port4) = bench.peer(&["hear", "127.0.0.1:0", "2"])?;
    let (six, port6) = bench.peer(&["hear", "[::1]:0", "2"])?;
    let policy = rule(SENDING, "\"*\", \"ip.options\"");
    let steps = [
        "s = socket 2 2 0".to_owned(),
        format!("send-to s plain 127.0.0.1:{port4}"),
        "use s hop_limit 9".to_owned(),
        "use s traffic_class 16".to_owned(),
        "use s ip_options x01010101".to_owned(),
        format!("send-to s marked 127.0.0.1:{port4}"),
        "t = socket 10 2 0".to_owned(),
        format!("send-to t plain [::1]:{port6}"),
        "use t hop_limit 7".to_owned(),
        "use t traffic_class 32".to_owned(),
        format!("send-to t marked [::1]:{port6}"),
    ];
    bench.run(&policy, &steps)?;
    let heard = told(&four.finish(patience())?, "received");
    assert_eq!(heard, ["64 0 x plain", "9 16 x01010101 marked"]);
    let heard = told(&six.finish(patience())?, "received");
    assert_eq!(heard, ["64 0 x plain", "7 32 x marked"]);
    covers(&[
        "IP_TTL",
        "IP_TOS",
        "IP_OPTIONS",
        "IPV6_UNICAST_HOPS",
        "IPV6_TCLASS",
    ]);
    Ok(())
}

#[test]
fn multicasts_leave_by_the_interface_and_with_the_hops_that_were_set() -> Result<()> {
    let name = "multicasts_leave_by_the_interface_and_with_the_hops_that_were_set";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let port = free_port()?.to_string();
    let at = format!("0.0.0.0:{port}");
    let (peer, _) = bench.peer(&["hear", &at, "2", "239.1.2.3", "d0"])?;
    let send = |text: &str| format!("send-to s {text} 239.1.2.3:{port}");
    let steps = [
        "s = socket 2 2 0".to_owned(),
        "use s multicast_interface d0".to_owned(),
        "read s multicast_interface".to_owned(),
        "use s multicast_hops 5".to_owned(),
        send("first"),
        "use s multicast_loop off".to_owned(),
        send("silent"),
        "use s multicast_loop on".to_owned(),
        send("last"),
    ];
    let policy = rule(SENDING, "\"*\", \"ip.multicast-if\"");
    let ended = bench.run(&policy, &steps)?;
    assert_eq!(ended.step("read s multicast_interface")?, "ok \"d0\"");
    let heard = told(&peer.finish(patience())?, "received");
    assert_eq!(heard, ["5 0 x first", "5 0 x last"]);
    covers(&["IP_MULTICAST_IF", "IP_MULTICAST_TTL", "IP_MULTICAST_LOOP"]);
    Ok(())
}

/// A rule for groups, and one for the sockets that join them.
fn groups(group: &str) -> String {
    format!(
        "{}[[allow]]\nid = \"groups\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"datagram\"]\n\
         ops = [\"join-group\"]\n{group}\n",
        rule("\"bind\", \"receive\"", "\"*\"")
    )
}

#[test]
fn memberships_are_joined_by_call_and_by_number_and_show_in_ip_maddr() -> Result<()> {
    let name = "memberships_are_joined_by_call_and_by_number_and_show_in_ip_maddr";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let policy = groups("group = [\"*\"]");
    // 239.1.2.4 on the interface with 10.9.0.1, and 239.1.2.5 there from 10.9.0.7 alone.
    let steps = [
        "s = socket 2 2 0",
        "t = socket 10 2 0",
        "join s 239.1.2.3%d0",
        "join s 239.1.2.6%d0",
        "leave s 239.1.2.6%d0",
        "block s 239.1.2.3/10.9.0.8%d0",
        "block s 239.1.2.3/10.9.0.9%d0",
        "unblock s 239.1.2.3/10.9.0.9%d0",
        "set s 0 35 xef0102040a090001",
        "set s 0 39 xef0102050a0900010a090007",
        "join t ff05::123%d0",
        "block t ff05::123/2001:db8::8%d0",
    ];
    let guest = bench.held(&policy, &steps)?;
    for step in steps {
        let line = format!("{step} -> ok");
        let lines = guest.stdout.lines();
        ensure!(lines.contains(&line), "{step}: {lines:?}");
    }
    let maddr = bench.shown("ip", &["maddr", "show", "dev", "d0"])?;
    for group in ["239.1.2.3", "239.1.2.4", "239.1.2.5", "ff05::123"] {
        ensure!(maddr.contains(group), "no {group} in:\n{maddr}");
    }
    ensure!(!maddr.contains("239.1.2.6"), "{maddr}");
    // Group, source, how many sockets include it, how many exclude it.
    let filter = bench.shown("cat", &["/proc/net/mcfilter"])?;
    let mut sources: Vec<String> = filter
        .lines()
        .skip(1)
        .map(|line| {
            line.split_whitespace()
                .skip(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    sources.sort();
    assert_eq!(
        sources,
        ["0xef010203 0x0a090008 0 1", "0xef010205 0x0a090007 1 0"],
        "{filter}"
    );
    let six = bench.shown("cat", &["/proc/net/mcfilter6"])?;
    let lines = six.lines().skip(1);
    assert_eq!(
        lines.filter(|line| line.ends_with(" 0      1")).count(),
        1,
        "{six}"
    );
    drop(guest);
    // The twin: another group is granted, and each way to join this one is refused.
    let ended = bench.run(&groups("group = [\"239.9.9.9\"]"), &steps)?;
    for step in [
        "join s 239.1.2.3%d0",
        "block s 239.1.2.3/10.9.0.8%d0",
        "set s 0 35 xef0102040a090001",
        "set s 0 39 xef0102050a0900010a090007",
        "join t ff05::123%d0",
    ] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.audit.denied("join-group")?.errno(), "acces");
    // A rule for one source does not carry the group from every other one but some.
    let one = groups("group = [\"239.1.2.3\"]\nsource = [\"10.9.0.7\"]");
    let steps = ["s = socket 2 2 0", "block s 239.1.2.3/10.9.0.8%d0"];
    assert_eq!(bench.run(&one, &steps)?.step(steps[1])?, "acces");
    covers(&[
        "IP_ADD_MEMBERSHIP",
        "IP_ADD_SOURCE_MEMBERSHIP",
        "IP_DROP_MEMBERSHIP",
        "IP_BLOCK_SOURCE",
        "IP_UNBLOCK_SOURCE",
        "IPV6_JOIN_GROUP",
    ]);
    Ok(())
}

#[test]
fn ss_shows_what_a_guest_set_on_its_connection() -> Result<()> {
    let name = "ss_shows_what_a_guest_set_on_its_connection";
    if oracle(Tool::Ss, name).is_none() {
        return Ok(());
    }
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let (_peer, port) = bench.peer(&["serve"])?;
    let to = format!("connect s 127.0.0.1:{port}");
    let steps = [
        "s = socket 2 1 0",
        "use s keep_alive on",
        "use s keep_alive_idle 60000",
        "use s congestion reno",
        "use s receive_buffer_size 8192",
        "use s traffic_class 16",
        "use s mark 9",
        "use s maximum_segment 600",
        "use s maximum_pacing_rate 1000000",
        &to,
        "read s tcp_info",
        "read s cookie",
    ];
    let policy = rule("\"connect\"", "\"*\", \"so.mark\"");
    let guest = bench.held(&policy, &steps)?;
    let shown = bench.shown(
        "ss",
        &["-tieomnH", "--tos", "dst", &format!("127.0.0.1:{port}")],
    )?;
    let said = |step: &str| -> Result<String> {
        let prefix = format!("{step} -> ok ");
        let lines = guest.stdout.lines();
        let line = lines.iter().find_map(|line| line.strip_prefix(&prefix));
        Ok(line.context("no such step")?.to_owned())
    };
    let cookie: u64 = said("read s cookie")?.parse()?;
    let info = said("read s tcp_info")?;
    let field = |name: &str| -> Result<&str> {
        let (_, rest) = info
            .split_once(&format!(" {name}: "))
            .context(info.clone())?;
        Ok(rest.split([',', ' ']).next().unwrap_or_default())
    };
    assert_eq!(field("state")?, "Established");
    for part in [
        "timer:(keepalive,",
        " reno ",
        "rb16384",
        "tos:0x10",
        "fwmark:0x9",
        &format!("sk:{cookie:x} "),
        &format!(" mss:{} ", field("snd_mss")?),
        &format!(
            " rto:{}",
            field("rto")?
                .trim_end_matches("ms")
                .split('.')
                .next()
                .unwrap_or_default()
        ),
        "/8000000bps",
    ] {
        ensure!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let segment: u32 = field("snd_mss")?.parse()?;
    ensure!(segment <= 600, "{segment}");
    covers(&[
        "TCP_INFO",
        "TCP_MAXSEG",
        "TCP_CONGESTION",
        "TCP_KEEPIDLE",
        "SO_KEEPALIVE",
        "SO_MARK",
        "SO_RCVBUF",
    ]);
    Ok(())
}

/// `OUTCOME MILLISECONDS` of a `waits` step.
fn waited(ended: &Ended, step: &str) -> Result<(String, u64)> {
    let (outcome, time) = ended.step(step)?.split_once(' ').context("no time")?;
    Ok((outcome.to_owned(), time.parse()?))
}

#[test]
fn receives_accepts_and_sends_end_when_so_rcvtimeo_and_so_sndtimeo_are_over() -> Result<()> {
    let name = "receives_accepts_and_sends_end_when_so_rcvtimeo_and_so_sndtimeo_are_over";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let policy = format!(
        "{}[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [\"socketpair\"]\noptions = {{ set = [\"*\"] }}\n",
        rule("\"bind\", \"receive\", \"listen\", \"connect\"", "\"*\"")
    );
    // 0.3 s in either direction; 20 s.
    let short = "x0000000000000000e093040000000000";
    let long = "x14000000000000000000000000000000";
    let steps = [
        "u = socket 2 2 0".to_owned(),
        "bind u 127.0.0.1:0".to_owned(),
        format!("set u 1 20 {short}"),
        "waits u recv".to_owned(),
        "l = socket 2 1 0".to_owned(),
        format!("set l 1 66 {short}"),
        "bind l 127.0.0.1:0".to_owned(),
        "listen l".to_owned(),
        "waits l accept".to_owned(),
        // What a listener has its connections have.
        "c = socket 2 1 0".to_owned(),
        "connect-to c l".to_owned(),
        "a = accept l".to_owned(),
        "waits a recv".to_owned(),
        "p q = pair 1 1 0".to_owned(),
        format!("set p 1 21 {short}"),
        "waits p send".to_owned(),
        // What is over first counts.
        "v = socket 2 2 0".to_owned(),
        "bind v 127.0.0.1:0".to_owned(),
        format!("set v 1 20 {long}"),
        "timeout v 100".to_owned(),
        "waits v recv".to_owned(),
    ];
    for wait in ["park", "ready"] {
        let run = bench.guest(&policy, &steps).wait_kind(wait);
        let ended = run.finish(patience())?.success()?;
        for (step, outcome, least) in [
            ("waits u recv", "again", 300),
            ("waits l accept", "again", 300),
            ("waits a recv", "again", 300),
            ("waits p send", "again", 300),
            ("waits v recv", "timedout", 100),
        ] {
            let (ended, time) = waited(&ended, step)?;
            ensure!(
                ended == outcome && (least..15_000).contains(&time),
                "{wait}, {step}: {ended} after {time} ms"
            );
        }
    }
    covers(&["SO_RCVTIMEO", "SO_SNDTIMEO"]);
    Ok(())
}

#[test]
fn addresses_ports_and_interfaces_are_what_the_options_say() -> Result<()> {
    let name = "addresses_ports_and_interfaces_are_what_the_options_say";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let policy = rule(
        "\"bind\", \"receive\", \"send-to\"",
        "\"*\", \"ip.freebind\", \"ip.transparent\", \"so.bindtodevice\", \"so.bindtoifindex\"",
    );
    let ports = [free_port()?, free_port()?];
    let [on_d0, on_lo] = ports;
    let steps = [
        "s = socket 2 2 0".to_owned(),
        "bind s 192.0.2.77:0".to_owned(),
        "close s".to_owned(),
        "f = socket 2 2 0".to_owned(),
        "use f free_bind on".to_owned(),
        "bind f 192.0.2.78:0".to_owned(),
        "t = socket 2 2 0".to_owned(),
        "use t transparent on".to_owned(),
        "bind t 192.0.2.79:0".to_owned(),
        "r = socket 2 2 0".to_owned(),
        "use r local_port_range 40100-40103".to_owned(),
        "bind r 127.0.0.1:0".to_owned(),
        "local r".to_owned(),
        "d = socket 2 2 0".to_owned(),
        "use d bind_to_device d0".to_owned(),
        format!("bind d 0.0.0.0:{on_d0}"),
        "l = socket 2 2 0".to_owned(),
        "use l bind_to_device lo".to_owned(),
        format!("bind l 0.0.0.0:{on_lo}"),
    ];
    let guest = bench.guest(&policy, &steps);
    let guest = guest.argument("timeout d 1").argument("timeout l 30000");
    let guest = guest
        .argument("hold-for l")
        .argument("recv l 64")
        .argument("recv d 64")
        .start()?;
    guest.wait_for_line("holding for l", patience())?;
    // What goes over lo reaches the socket on lo, and never that on d0.
    bench.native(&["send", &format!("127.0.0.1:{on_d0}"), "200=elsewhere"])?;
    bench.native(&["send", &format!("127.0.0.1:{on_lo}"), "64=here"])?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("bind s 192.0.2.77:0")?, "addrnotavail");
    assert_eq!(ended.step("bind f 192.0.2.78:0")?, "ok");
    assert_eq!(ended.step("bind t 192.0.2.79:0")?, "ok");
    let local = ended
        .step("local r")?
        .rsplit(':')
        .next()
        .context("no port")?;
    ensure!(
        (40_100..=40_103).contains(&local.parse::<u16>()?),
        "{local}"
    );
    assert_eq!(ended.step("recv l 64")?, "\"here\"");
    assert_eq!(ended.step("recv d 64")?, "timedout");
    covers(&["IP_FREEBIND", "IP_TRANSPARENT", "SO_BINDTODEVICE"]);
    Ok(())
}

#[test]
fn connections_from_too_far_away_are_dropped() -> Result<()> {
    let name = "connections_from_too_far_away_are_dropped";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let steps = [
        "l = socket 2 1 0",
        "use l minimum_hop_limit 100",
        "bind l 127.0.0.1:0",
        "listen l",
        "far = socket 2 1 0",
        "timeout far 300",
        "connect-to far l",
        "near = socket 2 1 0",
        "use near hop_limit 200",
        "connect-to near l",
    ];
    let ended = bench.run(&rule("\"listen\", \"connect\"", "\"*\""), &steps)?;
    assert_eq!(ended.step("connect-to far l")?, "timedout");
    assert_eq!(ended.step("connect-to near l")?, "ok");
    Ok(())
}

#[test]
fn datagrams_are_corked_and_kept_from_being_fragmented() -> Result<()> {
    let name = "datagrams_are_corked_and_kept_from_being_fragmented";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    bench.net.ip(&["link", "set", "lo", "mtu", "1500"])?;
    let (peer, port) = bench.peer(&["hear", "127.0.0.1:0", "1"])?;
    let sink = free_port()?;
    let steps = [
        "s = socket 2 2 0".to_owned(),
        format!("connect s 127.0.0.1:{port}"),
        "use s udp_cork on".to_owned(),
        "send s one".to_owned(),
        "send s two".to_owned(),
        "use s udp_cork off".to_owned(),
        "m = socket 2 2 0".to_owned(),
        format!("connect m 127.0.0.1:{sink}"),
        "read m mtu".to_owned(),
        "use m mtu_discovery always".to_owned(),
        "send-bytes m 3000".to_owned(),
        "n = socket 10 2 0".to_owned(),
        format!("connect n [::1]:{sink}"),
        "use n dont_fragment on".to_owned(),
        "use n mtu_discovery always".to_owned(),
        "send-bytes n 3001".to_owned(),
        "read n path_mtu".to_owned(),
        "o = socket 2 2 0".to_owned(),
        format!("connect o 127.0.0.1:{sink}"),
        "use o mtu_discovery off".to_owned(),
        "send-bytes o 3002".to_owned(),
    ];
    let ended = bench.run(&rule("\"connect\"", "\"*\""), &steps)?;
    assert_eq!(
        told(&peer.finish(patience())?, "received"),
        ["64 0 x onetwo"]
    );
    assert_eq!(ended.step("read m mtu")?, "ok 1500");
    assert_eq!(ended.step("read n path_mtu")?, "ok 1500");
    assert_eq!(ended.step("send-bytes m 3000")?, "msgsize");
    assert_eq!(ended.step("send-bytes n 3001")?, "msgsize");
    assert_eq!(ended.step("send-bytes o 3002")?, "ok 3002");
    covers(&["IPV6_DONTFRAG", "IPV6_PATHMTU"]);
    Ok(())
}

#[test]
fn a_listener_keeps_the_packet_that_a_connection_began_with() -> Result<()> {
    let name = "a_listener_keeps_the_packet_that_a_connection_began_with";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let port = free_port()?;
    let at = format!("127.0.0.1:{port}");
    let steps = [
        "l = socket 2 1 0",
        "use l save_syn on",
        &format!("bind l {at}"),
        "listen l",
        "hold-for l",
        "a = accept l",
        "read a saved_syn",
        "read a tcp_info",
    ];
    let policy = rule("\"listen\"", "\"*\"");
    let guest = bench.guest(&policy, &steps).start()?;
    guest.wait_for_line("holding for l", patience())?;
    bench.native(&["call", &at])?;
    let ended = guest.wait(patience())?.success()?;
    let packet = ended.step("read a saved_syn")?;
    // An IPv4 header without options, and the port that was called in the TCP header behind it.
    let header = packet.strip_prefix("ok x45").context(packet.to_owned())?;
    assert_eq!(
        header.get(42..46),
        Some(format!("{port:04x}").as_str()),
        "{packet}"
    );
    ensure!(
        ended
            .step("read a tcp_info")?
            .contains("state: Established")
    );
    covers(&["TCP_SAVE_SYN", "TCP_SAVED_SYN"]);
    Ok(())
}

#[test]
fn what_makes_no_sense_is_an_error_and_what_is_denied_is_denied_by_name_and_by_number() -> Result<()>
{
    let name = "what_makes_no_sense_is_an_error_and_what_is_denied_is_denied_by_name_and_by_number";
    let Some(bench) = Bench::new(name)? else {
        return Ok(());
    };
    let steps = [
        "s = socket 2 1 0",
        // Only for reading; of another kind of socket; of no kind; too long; too much asked for.
        "set-int s 1 3 1",
        "set-int s 41 26 1",
        "set-int s 6 4711 1",
        "set-zeros s 1 9 65536",
        "set-zeros s 1 9 65537",
        "set-length s 1 9 4294967295",
        "get s 1 9 4294967295",
        "get s 1 9 0",
        "u = socket 2 2 0",
        "set-int u 6 1 1",
    ];
    let set = "\"*\", \"1/3\", \"41/26\", \"6/4711\"";
    let ended = bench.run(&rule("\"connect\"", set), &steps)?;
    for (step, errno) in [
        ("set-int s 1 3 1", "noprotoopt"),
        ("set-int s 41 26 1", "noprotoopt"),
        ("set-int s 6 4711 1", "noprotoopt"),
        ("set-zeros s 1 9 65536", "ok"),
        ("set-zeros s 1 9 65537", "inval"),
        ("set-length s 1 9 4294967295", "inval"),
        ("get s 1 9 4294967295", "x00000000"),
        ("get s 1 9 0", "x"),
        ("set-int u 6 1 1", "noprotoopt"),
    ] {
        assert_eq!(ended.step(step)?, errno, "{step}");
    }
    // Three ways to each of these options: typed, by numbers in the form of an int, and of bytes.
    let ways: &[(&str, &str, &[&str])] = &[
        (
            "so.keepalive",
            "1/9",
            &[
                "use s keep_alive on",
                "set-int s 1 9 1",
                "set s 1 9 x01000000",
            ],
        ),
        (
            "tcp.cork",
            "6/3",
            &["use s cork on", "set-int s 6 3 1", "set s 6 3 x01000000"],
        ),
        (
            "ip.ttl",
            "0/2",
            &["use s hop_limit 9", "set-int s 0 2 9", "set s 0 2 x09"],
        ),
        (
            "tcp.user-timeout",
            "6/18",
            &["use s user_timeout 1000", "set-int s 6 18 1000"],
        ),
        (
            "so.rcvtimeo",
            "1/20",
            &["set s 1 20 x00000000000000000000000000000000"],
        ),
    ];
    for (readable, number, ways) in ways {
        let steps: Vec<&str> = [&["s = socket 2 1 0"], *ways].concat();
        for granted in [readable, number] {
            let policy = rule("\"connect\"", &format!("\"{granted}\""));
            let ended = bench.run(&policy, &steps)?;
            for way in *ways {
                let outcome = ended.step(way)?;
                ensure!(outcome.starts_with("ok"), "{granted}, {way}: {outcome}");
            }
            for denied in [readable, number] {
                let deny = format!(
                    "{policy}[[deny]]\nid = \"no\"\nfamily = [\"inet\"]\noptions = {{ set = [\"{denied}\"] }}\n"
                );
                let ended = bench.run(&deny, &steps)?;
                for way in *ways {
                    assert_eq!(
                        ended.step(way)?,
                        "acces",
                        "{granted} denied as {denied}, {way}"
                    );
                }
                let record = ended.audit.denied("set-option")?;
                assert_eq!(record.errno(), "acces");
            }
        }
    }
    Ok(())
}
