//! Netlink: what a guest hears and asks is what ip(8), ss(8) and the kernel say; what its policy does not
//! grant is refused, and changes nothing.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sockgate_tests::{
    Attack, Ended, GuestRun, Need, Net, Tool, from_hex, hex, kernel, net_and_python, net_steps,
    oracle, patience, policy_path, watched,
};

/// One message in hexadecimal digits: struct nlmsghdr, netlink(7), and what follows it.
fn message(number: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = 16 + payload.len() as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(number.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute, padded.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// struct ifinfomsg with an index, flags and which flags change.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let words = [0, index, flags, change];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

const REQUEST: u16 = 0x1;
const ACKNOWLEDGED: u16 = 0x5;
const DUMP: u16 = 0x301;
const CREATE: u16 = 0x605;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const DELETE_ADDRESS: u16 = 21;

/// `ip link add evil0 type veth`.
fn new_cable() -> Vec<u8> {
    let kind = attribute(18, &attribute(1, b"veth"));
    let payload = [link(0, 0, 0), attribute(3, b"evil0\0"), kind].concat();
    message(NEW_LINK, CREATE, &payload)
}

/// What ip(8) prints as JSON within the namespace.
fn ip(net: &Net, arguments: &[&str]) -> Result<Vec<Value>> {
    let output = net
        .command("ip")
        .args(["-N", "-j"])
        .args(arguments)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The links, addresses and routes of ip(8) in the form that the example prints.
fn listing_of_ip(net: &Net) -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for link in ip(net, &["address"])? {
        let name = text(&link, "ifname");
        let flags = link["flags"].as_array().context("a link without flags")?;
        let state = match flags.iter().any(|flag| flag == "UP") {
            true => "up",
            false => "down",
        };
        lines.insert(format!(
            "link {} {name} {state} mtu {} {}",
            link["ifindex"],
            link["mtu"],
            text(&link, "address")
        ));
        for address in link["addr_info"].as_array().into_iter().flatten() {
            lines.insert(format!(
                "address {name} {}/{}",
                text(address, "local"),
                address["prefixlen"]
            ));
        }
    }
    for route in ip(net, &["route", "show", "table", "all"])? {
        let destination = match text(&route, "dst") {
            "default" => "default".to_owned(),
            network if network.contains('/') => network.to_owned(),
            host if host.contains(':') => format!("{host}/128"),
            host => format!("{host}/32"),
        };
        let mut line = format!("route {destination}");
        if let Some(gateway) = route["gateway"].as_str() {
            line += &format!(" via {gateway}");
        }
        line += &format!(" dev {}", text(&route, "dev"));
        // The main table goes without saying.
        let table = route["table"].as_str().unwrap_or("254");
        lines.insert(line + &format!(" table {table}"));
    }
    Ok(lines)
}

/// A namespace with something to list.
fn furnished(name: &str) -> Result<Option<Net>> {
    let Some(net) = Net::new(name)? else {
        return Ok(None);
    };
    net.ip(&["link", "add", "d0", "type", "veth", "peer", "name", "d1"])?;
    net.ip(&["link", "set", "d0", "mtu", "1345", "up"])?;
    // Without duplicate detection the addresses are there at once, and stay as they are.
    net.ip(&["address", "add", "192.0.2.7/25", "dev", "d0"])?;
    net.ip(&["address", "add", "2001:db8::7/64", "dev", "d0", "nodad"])?;
    net.ip(&["route", "add", "198.51.100.0/24", "via", "192.0.2.1"])?;
    net.ip(&["route", "add", "default", "via", "192.0.2.2"])?;
    Ok(Some(net))
}

#[test]
fn the_listing_is_that_of_ip() -> Result<()> {
    let name = "the_listing_is_that_of_ip";
    let Some(_kernel) = kernel::has(Need::NetlinkRoute, name) else {
        return Ok(());
    };
    let Some(net) = furnished(name)? else {
        return Ok(());
    };
    let run = || GuestRun::new("ip-show").net(&net);
    let ended = run()
        .policy(policy_path("ip-show"))
        .finish(patience())?
        .success()?;
    let shown: BTreeSet<String> = ended
        .stdout
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    assert_eq!(shown, listing_of_ip(&net)?);
    ensure!(shown.contains("address d0 192.0.2.7/25"), "{shown:#?}");
    ensure!(shown.len() > 10, "{shown:#?}");

    // The twin: a policy that does not name the routes.
    let policy = std::fs::read_to_string(policy_path("ip-show"))?;
    let fewer = policy.replace(", \"getroute\"", "");
    let ended = run().policy_text(&fewer).finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    ensure!(ended.stderr.contains("list the routes"), "{}", ended.stderr);
    let denied = ended.audit.denied("send-to")?;
    assert_eq!(denied.errno(), "acces");
    ensure!(denied.grant().contains("getroute"), "{}", denied.grant());
    // And with none at all.
    let ended = run().finish(patience())?;
    assert_eq!(ended.audit.denied("socket")?.errno(), "acces");
    Ok(())
}

#[test]
fn a_monitor_hears_the_events_of_its_groups() -> Result<()> {
    let name = "a_monitor_hears_the_events_of_its_groups";
    let Some(_kernel) = kernel::has(Need::NetlinkRoute, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let run = || GuestRun::new("link-monitor").net(&net);
    let guest = run().policy(policy_path("link-monitor")).start()?;
    guest.wait_for_line("listening on netlink", patience())?;
    net.ip(&["link", "add", "d1", "type", "veth", "peer", "name", "d2"])?;
    guest.wait_for_line("link d1 down mtu 1500", patience())?;
    net.ip(&["address", "add", "192.0.2.1/24", "dev", "d1"])?;
    let index = &ip(&net, &["link", "show", "d1"])?[0]["ifindex"];
    let added = format!("address 192.0.2.1/24 on #{index}");
    guest.wait_for_line(&added, patience())?;
    net.ip(&["link", "delete", "d1"])?;
    guest.wait_for_line("address gone 192.0.2.1/24", patience())?;
    guest.wait_for_line("link gone d1", patience())?;
    guest.kill()?;
    // It ends by itself after so many events.
    let guest = run()
        .policy(policy_path("link-monitor"))
        .argument("--clients")
        .argument("1")
        .start()?;
    guest.wait_for_line("listening on netlink", patience())?;
    net.ip(&["link", "set", "lo", "mtu", "60000"])?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.stdout.lines().nth(1), Some("link lo up mtu 60000"));

    // The twin: a policy without the addresses' groups.
    let policy = std::fs::read_to_string(policy_path("link-monitor"))?;
    let fewer = policy.replace(", \"ipv4-ifaddr\", \"ipv6-ifaddr\"", "");
    let ended = run().policy_text(&fewer).finish(patience())?;
    ensure!(ended.stderr.contains("join group 5"), "{}", ended.stderr);
    assert_eq!(ended.audit.denied("set-option")?.errno(), "acces");
    Ok(())
}

const READ_ONLY: &str = "version = 1\n[[allow]]\nid = \"read\"\nfamily = [\"netlink\"]\nprotocol = [\"route\"]\n\
    ops = [\"bind\", \"send-to\", \"receive\"]\nmessages = [\"get*\"]\ndump-only = true\ngroups = [\"link\"]\n";

const SECTION: &str = "Netlink, packet, raw";

/// Every call that brings the kernel a message.
const SENDS: &[&str] = &["sendto", "sendmsg", "sendmmsg"];

/// Everything that may not go out under [`READ_ONLY`]: an attack's id, its phrase, and the bytes. The first four are
/// messages that another rule grants; the rest is refused under every rule.
fn forbidden_datagrams() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let dump = message(GET_LINK, DUMP, &link(0, 0, 0));
    let down = message(SET_LINK, ACKNOWLEDGED, &link(1, 0, 1));
    let lying = |length: u32| {
        let mut bytes = dump.clone();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    };
    let batch = [
        message(16, REQUEST, &[0; 4]),
        dump.clone(),
        new_cable(),
        message(17, REQUEST, &[0; 4]),
    ];
    let no_dump = message(GET_LINK, ACKNOWLEDGED, &link(1, 0, 0));
    let (new, delete, set) = (
        "RTM_NEW* on a read-only grant",
        "RTM_DEL* on a read-only grant",
        "RTM_SET* on a read-only grant",
    );
    let several = "several messages in one datagram (the second one forbidden)";
    let lies = "message length fields that lie";
    // An address of the loopback: struct ifaddrmsg, and IFA_LOCAL.
    let address = [
        &[2, 8, 0, 0, 1, 0, 0, 0],
        &attribute(2, &[127, 0, 0, 1])[..],
    ]
    .concat();
    vec![
        ("netlink-new-link", new, new_cable()),
        ("netlink-set-link", set, down.clone()),
        (
            "netlink-delete-link",
            delete,
            message(DELETE_LINK, ACKNOWLEDGED, &link(2, 0, 0)),
        ),
        (
            "netlink-delete-address",
            delete,
            message(DELETE_ADDRESS, ACKNOWLEDGED, &address),
        ),
        (
            "netlink-second-message",
            several,
            [dump.clone(), down].concat(),
        ),
        (
            "netlink-set-behind-get",
            set,
            [no_dump.clone(), message(SET_LINK, 0, &link(1, 0, 1))].concat(),
        ),
        ("netlink-batch", "nested batches", batch.concat()),
        ("netlink-length-zero", lies, lying(0)),
        ("netlink-length-beyond-the-end", lies, lying(33)),
        ("netlink-length-before-the-end", lies, lying(20)),
        ("netlink-length-huge", lies, lying(u32::MAX)),
        // The header says 20 bytes and the rest of the first message is a second one's header.
        (
            "netlink-hidden-in-payload",
            lies,
            [lying(20), new_cable()].concat(),
        ),
        ("netlink-rest", lies, [dump.clone(), vec![0; 8]].concat()),
        ("netlink-no-dump", several, no_dump),
        ("netlink-nothing", lies, Vec::new()),
    ]
}

#[test]
fn a_read_only_grant_changes_nothing() -> Result<()> {
    let name = "a_read_only_grant_changes_nothing";
    let Some(_kernel) = kernel::has(Need::NetlinkRoute, name) else {
        return Ok(());
    };
    let Some(net) = furnished(name)? else {
        return Ok(());
    };
    let mut script = vec!["s = netlink route".to_owned(), "bind s nl:0:0".to_owned()];
    let forbidden = forbidden_datagrams();
    let send = |bytes: &[u8]| format!("send-to s x{} nl:0:0", hex(bytes));
    script.extend(forbidden.iter().map(|(.., bytes)| send(bytes)));
    // Without a name it goes the same way.
    let nameless = format!("send s x{}", hex(&new_cable()));
    script.push(nameless.clone());
    let granted = send(&message(GET_LINK, DUMP, &link(0, 0, 0)));
    script.extend([granted.clone(), "recv s 65536".to_owned()]);
    let before = listing_of_ip(&net)?;
    let ended = watched(net_steps(&net, READ_ONLY, &script), name)?;
    let changed = |before: &BTreeSet<String>| -> Result<Vec<String>> {
        let now = listing_of_ip(&net)?;
        Ok(before.symmetric_difference(&now).cloned().collect())
    };
    let by_attack = changed(&before)?;
    let everything = READ_ONLY
        .replace("\"get*\"", "\"*\"")
        .replace("dump-only = true\n", "");
    let control = watched(net_steps(&net, &everything, &script), name)?;
    let by_control = changed(&before)?;
    for (id, phrase, bytes) in &forbidden {
        let step = send(bytes);
        assert_eq!(ended.step(&step)?, "acces", "{id}");
        // What no rule grants would be seen as the granted dump is.
        let seen = match control.step(&step)? {
            "acces" => &granted,
            _ => &step,
        };
        Attack::new(*id, SECTION, phrase)
            .tried("asks the kernel for more than dumps")
            .step((&ended, &step), (&control, seen), SENDS)?
            .saw(
                "ip(8), before and behind",
                by_attack.clone(),
                by_control.clone(),
            )
            .state()?;
    }
    Attack::new("netlink-nameless", SECTION, "RTM_NEW* on a read-only grant")
        .tried("asks for a new link in a send without a name")
        .step((&ended, &nameless), (&control, &nameless), SENDS)?
        .state()?;
    assert_eq!(ended.step(&granted)?, "ok 32");
    let answer = from_hex(ended.step("recv s 65536")?)?;
    assert_eq!(answer[4..6], NEW_LINK.to_ne_bytes(), "the answer is heard");
    let denied = ended
        .audit
        .of("send-to")
        .filter(|record| record.is_denied());
    assert_eq!(denied.count(), forbidden.len() + 1);
    ip(&net, &["link", "show", "evil0"])?;
    Ok(())
}

#[test]
fn groups_ports_and_protocols_beyond_the_grant_are_refused() -> Result<()> {
    let name = "groups_ports_and_protocols_beyond_the_grant_are_refused";
    let Some(_kernel) = kernel::has(Need::NetlinkRoute, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let dump = hex(&message(GET_LINK, DUMP, &link(0, 0, 0)));
    let to_another = format!("send-to s x{dump} nl:4711:0");
    let to_a_group = format!("send-to s x{dump} nl:0:2");
    let groups = [
        // RTNLGRP_NOTIFY, two at once, every one.
        ("bind", "bind s nl:0:2"),
        ("bind", "bind s nl:0:3"),
        ("bind", "bind s nl:0:4294967295"),
        // NETLINK_ADD_MEMBERSHIP of IPV4_IFADDR, of one above 32, of none.
        ("setsockopt", "set s 270 1 05000000"),
        ("setsockopt", "set s 270 1 21000000"),
        ("setsockopt", "set s 270 1 00000000"),
    ];
    let protocols = [
        "u = netlink usersock",
        "n = netlink netfilter",
        "k = netlink uevent",
        "g = netlink generic",
        "x = netlink 31",
        // NETLINK_XFRM and NETLINK_AUDIT.
        "y = netlink 6",
        "z = netlink 9",
    ];
    let others = [
        // A port of one's own choice.
        "bind s nl:4711:0",
        // NETLINK_LISTEN_ALL_NSID, NETLINK_RX_RING, a filter.
        "set s 270 8 01000000",
        "set s 270 6 00100000010000000010000001000000",
        "set s 1 26 0600000000000000",
        &to_another,
        &to_a_group,
        "connect s nl:4711:0",
        "connect s nl:0:0",
    ];
    let granted = [
        "bind s nl:0:1",
        "set s 270 1 01000000",
        "set s 270 2 01000000",
    ];
    let asked = groups.map(|(_, step)| step);
    let refused = [&asked[..], &others, &protocols].concat();
    let script = [&["s = netlink route"], &refused[..], &granted].concat();
    let ended = watched(net_steps(&net, READ_ONLY, &script), name)?;
    for step in refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    for step in granted {
        assert_eq!(ended.step(step)?, "ok", "{step}");
    }
    if ended.syscalls.is_some() {
        assert_eq!(ended.made("bind")?.len(), 1);
        assert_eq!(ended.made("setsockopt")?.len(), 2);
        let none = ["connect", "sendto", "sendmsg"];
        for call in none {
            assert_eq!(ended.made(call)?, Vec::<String>::new());
        }
        assert_eq!(ended.made("socket")?.len(), 1);
    }
    ended.audit.denied("socket")?;
    ended.audit.denied("set-option")?;

    let every_group = READ_ONLY.replace("\"link\"", "\"*\"");
    let every_protocol = "version = 1\n[[allow]]\nid = \"all\"\nfamily = [\"netlink\"]\nops = [\"bind\"]\n\
        protocol = [\"usersock\", \"netfilter\", \"kobject-uevent\", \"generic\", \"xfrm\", \"audit\", 31]\n";
    let of_groups = watched(net_steps(&net, &every_group, &script), name)?;
    let of_protocols = watched(net_steps(&net, every_protocol, &protocols), name)?;
    for (number, (call, step)) in groups.into_iter().enumerate() {
        Attack::new(
            format!("netlink-group-{number}"),
            SECTION,
            "NETLINK_ADD_MEMBERSHIP",
        )
        .tried(format!("joins groups that its rule does not list: {step}"))
        .step((&ended, step), (&of_groups, step), &[call])?
        .state()?;
    }
    for step in protocols {
        let number = step.rsplit(' ').next().unwrap_or_default();
        let id = format!("netlink-protocol-{number}");
        Attack::new(id, SECTION, "other netlink protocols by number")
            .tried(format!("makes a socket of another protocol: {step}"))
            .step((&ended, step), (&of_protocols, step), &["socket"])?
            .state()?;
    }
    Ok(())
}

/// What the controller of generic netlink is asked: CTRL_CMD_GETFAMILY of a name.
fn get_family(name: &str) -> Vec<u8> {
    let name = attribute(2, format!("{name}\0").as_bytes());
    message(16, REQUEST, &[&[3, 1, 0, 0], &name[..]].concat())
}

/// The attribute's value in an answer of the controller.
fn found(answer: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = answer.get(20..)?;
    while let [a, b, c, d, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        if u16::from_ne_bytes([c, d]) == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[test]
fn generic_families_are_granted_by_name() -> Result<()> {
    let name = "generic_families_are_granted_by_name";
    let Some(_kernel) = kernel::has(Need::NetlinkGeneric, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let policy = |messages: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"genl\"\nfamily = [\"netlink\"]\nprotocol = [\"generic\"]\n\
             ops = [\"bind\", \"send-to\", \"receive\"]\nmessages = [{messages}]\n"
        )
    };
    let ask = format!("send-to s x{} nl:0:0", hex(&get_family("netdev")));
    // tcp_metrics is in every kernel with IPv4; netdev is in none before 6.3.
    let ask_old = ask.replace(
        &hex(&get_family("netdev")),
        &hex(&get_family("tcp_metrics")),
    );
    let script = [
        "s = netlink generic",
        "bind s nl:0:0",
        &ask_old,
        "recv s 8192",
    ];
    let ended = net_steps(&net, &policy("\"ctrl:3\""), &script)
        .finish(patience())?
        .success()?;
    let answer = from_hex(ended.step("recv s 8192")?)?;
    assert_eq!(found(&answer, 2), Some(&b"tcp_metrics\0"[..]));
    let number: [u8; 2] = found(&answer, 1).context("no number")?.try_into()?;
    let number = u16::from_ne_bytes(number);
    ensure!(number > 16, "{number}");

    // TCP_METRICS_CMD_GET, a dump, by the family's name; and TCP_METRICS_CMD_DEL.
    let send = |command: u8, flags: u16| {
        let bytes = message(number, flags, &[command, 1, 0, 0]);
        format!("send-to s x{} nl:0:0", hex(&bytes))
    };
    let (get, delete) = (send(1, DUMP), send(2, ACKNOWLEDGED));
    let script = [
        "s = netlink generic",
        "bind s nl:0:0",
        &get,
        &delete,
        &ask_old,
    ];
    let by_number = format!("\"{number}:1\"");
    for messages in ["\"tcp_metrics:1\"", &by_number] {
        let ended = net_steps(&net, &policy(messages), &script).finish(patience())?;
        assert_eq!(ended.step(&get)?, "ok 20", "{messages}");
        assert_eq!(ended.step(&delete)?, "acces", "{messages}");
        assert_eq!(ended.step(&ask_old)?, "acces", "{messages}");
        let denied = ended.audit.denied("send-to")?;
        let grant = "messages=tcp_metrics:2";
        ensure!(denied.grant().contains(grant), "{}", denied.grant());
    }
    let ended = net_steps(&net, &policy("\"ctrl:*\""), &script).finish(patience())?;
    assert_eq!(ended.step(&get)?, "acces");
    ensure!(ended.step(&ask_old)?.starts_with("ok"));
    Ok(())
}

#[test]
fn devices_are_told_of() -> Result<()> {
    let name = "devices_are_told_of";
    let Some(_kernel) = kernel::has(Need::NetlinkUevent, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let policy = "version = 1\n[[allow]]\nid = \"devices\"\nfamily = [\"netlink\"]\n\
        protocol = [\"kobject-uevent\"]\nops = [\"bind\", \"receive\"]\ngroups = [1]\n";
    // Group 2 is udev's.
    let script = [
        "s = netlink uevent",
        "bind s nl:0:2",
        "bind s nl:0:1",
        "recv s 8192",
    ];
    let guest = net_steps(&net, policy, &script).start()?;
    guest.wait_for_line("bind s nl:0:1 -> ok", patience())?;
    // The other end is told of first.
    net.ip(&["link", "add", "d1", "type", "veth", "peer", "name", "d2"])?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("bind s nl:0:2")?, "acces");
    let event = from_hex(ended.step("recv s 8192")?)?;
    let event = String::from_utf8(event)?;
    let mut words = event.split('\0');
    assert_eq!(words.next(), Some("add@/devices/virtual/net/d2"));
    ensure!(words.any(|word| word == "INTERFACE=d2"), "{event:?}");
    Ok(())
}

/// inet_diag_req_v2 for listening TCP sockets over IPv4, sock_diag(7).
fn listening_sockets() -> Vec<u8> {
    const LISTEN: u32 = 1 << 10;
    let mut request = vec![2, 6, 0, 0];
    request.extend(LISTEN.to_ne_bytes());
    request.extend([0; 48]);
    message(20, DUMP, &request)
}

/// The ports of the inet_diag_msg in the answers.
fn ports(answers: &Ended, step: &str) -> Result<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    let bytes = from_hex(answers.step(step)?)?;
    let mut rest = &bytes[..];
    while let Some(header) = rest.first_chunk::<6>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if header[4] == 20 {
            let port = rest.get(20..22).context("a short answer")?;
            ports.insert(u16::from_be_bytes([port[0], port[1]]));
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    Ok(ports)
}

#[test]
fn listening_sockets_are_those_of_ss() -> Result<()> {
    let name = "listening_sockets_are_those_of_ss";
    let Some(_kernel) = kernel::has(Need::NetlinkSockDiag, name) else {
        return Ok(());
    };
    if oracle(Tool::Ss, name).is_none() {
        return Ok(());
    }
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    let listen = "import socket, time\n\
        held = [socket.create_server(('127.0.0.1', port)) for port in (4001, 4003, 60000)]\n\
        print('ready', flush=True)\ntime.sleep(600)";
    let native = sockgate_tests::Native::start(net.command(&python).args(["-c", listen]))?;
    native.wait_for_line("ready", patience())?;
    let shown = net
        .command("ss")
        .args(["-4", "-t", "-l", "-n", "-H"])
        .output()?;
    let shown = String::from_utf8(shown.stdout)?;
    let expected: BTreeSet<u16> = shown
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3)?.rsplit_once(':'))
        .map(|(_, port)| Ok(port.parse()?))
        .collect::<Result<_>>()?;
    ensure!(expected.len() == 3, "{shown}");
    let policy = "version = 1\n[[allow]]\nid = \"sockets\"\nfamily = [\"netlink\"]\n\
        protocol = [\"sock-diag\"]\nops = [\"bind\", \"send-to\", \"receive\"]\n\
        messages = [\"diag-by-family\"]\ndump-only = true\n";
    let ask = format!("send-to s x{} nl:0:0", hex(&listening_sockets()));
    // SOCK_DESTROY of the same.
    let mut destroy = listening_sockets();
    destroy[4] = 21;
    let destroy = format!("send-to s x{} nl:0:0", hex(&destroy));
    let script = [
        "s = netlink sock-diag",
        "bind s nl:0:0",
        &destroy,
        &ask,
        "recv s 65536",
    ];
    let ended = net_steps(&net, policy, &script)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(&destroy)?, "acces");
    assert_eq!(ports(&ended, "recv s 65536")?, expected);
    Ok(())
}
