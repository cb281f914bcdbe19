//! Verdicts on netlink, packet and raw IP sockets: each key inside its range, at the edge and outside.

mod common;

use common::{fresh, gate, lines};
use sockgate_policy::{
    Address, Content, Family, Gate, Kind, Membership, NetlinkAddress, OptionName, PacketAddress,
    SocketFacts, SocketType,
};

const ROUTE: Kind = netlink(0);

const fn netlink(protocol: u32) -> Kind {
    Kind {
        family: Family::Netlink,
        socket_type: SocketType::Raw,
        protocol,
    }
}

const fn packet(socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family: Family::Packet,
        socket_type,
        protocol,
    }
}

const fn raw(family: Family, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type: SocketType::Raw,
        protocol,
    }
}

fn kernel() -> Address {
    port(0, 0)
}

fn port(pid: u32, groups: u32) -> Address {
    Address::Netlink(NetlinkAddress { pid, groups })
}

/// One message: struct nlmsghdr and what follows it.
fn message(number: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = 16 + payload.len() as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(number.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes
}

const REQUEST: u16 = 1;
const DUMP: u16 = 0x301;

fn sends(gate: &Gate, s: &SocketFacts, to: &Address, bytes: &[u8]) -> bool {
    gate.send_to(s, to, &Content::sent_by(s, bytes)).is_ok()
}

fn hears(gate: &Gate, s: &SocketFacts, from: &Address, bytes: &[u8]) -> bool {
    gate.receive_from(s, from, &Content::received(s.kind, bytes))
        .is_ok()
}

const MONITOR: &str = r#"
[[allow]]
id = "links"
family = ["netlink"]
protocol = ["route"]
ops = ["bind", "send-to", "receive"]
groups = ["link", "ipv4-ifaddr"]
messages = ["getlink", "22"]
"#;

#[test]
fn every_message_of_a_datagram_has_to_be_granted() {
    let gate = gate(MONITOR);
    let s = fresh(ROUTE);
    let to = kernel();
    let get = message(18, DUMP, &[0; 16]);
    assert!(sends(&gate, &s, &to, &get));
    // By its number.
    assert!(sends(&gate, &s, &to, &message(22, REQUEST, &[0; 8])));
    for (number, name) in [
        (16, "newlink"),
        (17, "dellink"),
        (19, "setlink"),
        (21, "deladdr"),
    ] {
        let forbidden = message(number, REQUEST, &[0; 16]);
        assert!(!sends(&gate, &s, &to, &forbidden), "{name}");
        let second = [get.clone(), forbidden.clone()].concat();
        assert!(!sends(&gate, &s, &to, &second), "{name} behind getlink");
        let denial = gate
            .send_to(&s, &to, &Content::sent_by(&s, &second))
            .unwrap_err();
        assert!(denial.hint().contains(name), "{}", denial.hint());
    }
    assert!(sends(&gate, &s, &to, &[get.clone(), get].concat()));
}

#[test]
fn lengths_that_lie_are_granted_by_nothing() {
    let gate = gate(
        "[[allow]]\nid = \"all\"\nfamily = [\"netlink\"]\nprotocol = [\"route\"]\nops = [\"send-to\"]\n",
    );
    let s = fresh(ROUTE);
    let to = kernel();
    let whole = message(18, REQUEST, &[0; 16]);
    assert!(sends(&gate, &s, &to, &whole));
    let with_length = |length: u32| {
        let mut bytes = whole.clone();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    };
    for length in [0, 15, 33, u32::MAX] {
        assert!(!sends(&gate, &s, &to, &with_length(length)), "{length}");
    }
    // Shorter than the datagram: what follows is read as another message, which it is not.
    assert!(!sends(&gate, &s, &to, &with_length(20)));
    for rest in [1, 4, 15] {
        let bytes = [whole.clone(), vec![0; rest]].concat();
        assert!(!sends(&gate, &s, &to, &bytes), "{rest} bytes behind it");
    }
    assert!(!sends(&gate, &s, &to, &[]));
    assert!(!sends(&gate, &s, &to, &whole[..15]));
    // The padding of the last message may be missing, as the kernel has it.
    assert!(sends(&gate, &s, &to, &message(18, REQUEST, &[0; 1])));
    let padded = [message(18, REQUEST, &[0; 1]), vec![0; 3], whole].concat();
    assert!(sends(&gate, &s, &to, &padded));
    let many = message(18, REQUEST, &[]).repeat(4097);
    assert!(!sends(&gate, &s, &to, &many));
    assert!(sends(&gate, &s, &to, &many[..4096 * 16]));
}

#[test]
fn dump_only_lets_nothing_through_that_does_more_than_read() {
    let gate = gate(
        "[[allow]]\nid = \"dumps\"\nfamily = [\"netlink\"]\nprotocol = [\"route\", \"netfilter\"]\n\
         ops = [\"send-to\"]\ndump-only = true\n",
    );
    let s = fresh(ROUTE);
    for number in [18, 22, 26, 30, 34] {
        assert!(sends(&gate, &s, &kernel(), &message(number, DUMP, &[])));
        assert!(!sends(&gate, &s, &kernel(), &message(number, REQUEST, &[])));
        // Half of NLM_F_DUMP is none.
        assert!(!sends(&gate, &s, &kernel(), &message(number, 0x101, &[])));
    }
    for number in [16, 17, 19, 20, 21, 24, 25, 2] {
        assert!(!sends(&gate, &s, &kernel(), &message(number, DUMP, &[])));
    }
    // Of other protocols nobody here knows what only reads.
    let other = fresh(netlink(12));
    assert!(!sends(&gate, &other, &kernel(), &message(18, DUMP, &[])));
}

#[test]
fn the_peer_is_the_kernel_unless_the_rule_says_otherwise() {
    let gate_kernel = gate(MONITOR);
    let get = message(18, DUMP, &[]);
    let s = fresh(ROUTE);
    assert!(!sends(&gate_kernel, &s, &port(77, 0), &get));
    assert!(!sends(&gate_kernel, &s, &port(0, 1 << 3), &get));
    assert!(hears(
        &gate_kernel,
        &s,
        &kernel(),
        &message(16, 0, &[0; 16])
    ));
    assert!(hears(&gate_kernel, &s, &port(0, 1), b"any bytes"));
    assert!(!hears(&gate_kernel, &s, &port(77, 0), &get));
    // The events of a group that the rule does not name.
    assert!(!hears(&gate_kernel, &s, &port(0, 1 << 6), &get));
    let named = gate(&MONITOR.replace("groups", "peer = { pid = [\"70-79\"] }\ngroups"));
    for (pid, heard) in [(69, false), (70, true), (79, true), (80, false), (0, false)] {
        assert_eq!(hears(&named, &s, &port(pid, 0), &get), heard, "{pid}");
        assert_eq!(sends(&named, &s, &port(pid, 0), &get), heard, "{pid}");
    }
    let anyone = gate(&MONITOR.replace("groups", "peer = \"*\"\ngroups"));
    assert!(hears(&anyone, &s, &port(77, 0), &get));
    // What the end does not write either keeps its meaning: no group.
    let silent = MONITOR.replace("groups = [\"link\", \"ipv4-ifaddr\"]", "PEER");
    for (peer, alone, in_group) in [
        ("pid = [\"77\"]", true, false),
        ("pid = [\"77\"], groups = [\"link\"]", true, true),
    ] {
        let gate = gate(&silent.replace("PEER", &format!("peer = {{ {peer} }}")));
        assert_eq!(hears(&gate, &s, &port(77, 0), &get), alone, "{peer}");
        assert_eq!(hears(&gate, &s, &port(77, 1), &get), in_group, "{peer}");
    }
}

#[test]
fn groups_are_granted_one_by_one_whichever_way_they_are_joined() {
    let gate = gate(MONITOR);
    let s = fresh(ROUTE);
    let may_bind = |groups: u32| gate.bind(&s, &port(0, groups)).is_ok();
    assert!(may_bind(0) && may_bind(1) && may_bind(1 << 4) && may_bind(1 | 1 << 4));
    assert!(!may_bind(1 << 1) && !may_bind(1 | 1 << 5) && !may_bind(1 << 31) && !may_bind(!0));
    // A number of its own is somebody else's to give.
    assert!(gate.bind(&s, &port(1234, 0)).is_err());
    assert!(gate.bound(&s, &port(1234, 1)).is_ok());
    let add = OptionName::new(270, 1);
    let bound = SocketFacts {
        local: Some(port(4242, 1)),
        local_chosen: true,
        ..fresh(ROUTE)
    };
    for s in [&s, &bound] {
        let joins = |group| gate.set_membership(s, add, &Membership::NetlinkGroup(group));
        assert!(joins(1).is_ok() && joins(5).is_ok());
        for group in [0, 2, 4, 6, 33, u32::MAX] {
            let denial = joins(group).unwrap_err();
            let line = format!("netlink-route bind groups={group}");
            let joined = lines(&[&line]).set_membership(s, add, &Membership::NetlinkGroup(group));
            // The rule has to cover the groups that the socket is bound to as well.
            assert_eq!(joined.is_ok(), s.local.is_none());
            let expected = match joined {
                Ok(_) => format!("--allow '{line}'"),
                Err(_) => {
                    format!("no one line grants it: a rule of the policy file may, with `{line}`")
                }
            };
            assert_eq!(denial.grant_hint(), expected);
        }
    }
    // Never by the option's number alone.
    assert!(gate.set_option(&s, add, &[1, 0, 0, 0]).is_err());
    // An absent key names no group.
    let silent = MONITOR.replace("groups = [\"link\", \"ipv4-ifaddr\"]", "");
    let silent = self::gate(&silent);
    assert!(silent.bind(&s, &port(0, 0)).is_ok());
    assert!(silent.bind(&s, &port(0, 1)).is_err());
    assert!(!hears(&silent, &s, &port(0, 1), b""));
}

#[test]
fn a_deny_rule_takes_a_group_and_a_message_away() {
    let text = format!(
        "{}\n[[deny]]\nid = \"no-link\"\nfamily = [\"netlink\"]\ngroups = [\"link\", 7]\n\
         [[deny]]\nid = \"no-writes\"\nfamily = [\"netlink\"]\nprotocol = [\"route\"]\nmessages = [\"new*\", \"del*\", \"set*\"]\n",
        MONITOR.replace("\"getlink\", \"22\"", "\"*\"")
    );
    let gate = gate(&text);
    let s = fresh(ROUTE);
    assert!(gate.bind(&s, &port(0, 1)).is_err());
    assert!(gate.bind(&s, &port(0, 1 << 4)).is_ok());
    let add = OptionName::new(270, 1);
    let joins = |group| gate.set_membership(&s, add, &Membership::NetlinkGroup(group));
    assert!(joins(1).is_err() && joins(5).is_ok());
    let get = message(18, DUMP, &[]);
    let set = message(19, REQUEST, &[]);
    assert!(sends(&gate, &s, &kernel(), &get));
    assert!(!sends(&gate, &s, &kernel(), &set));
    assert!(!sends(&gate, &s, &kernel(), &[get, set].concat()));
}

#[test]
fn netlink_is_granted_by_its_protocol_alone() {
    let gate = gate(MONITOR);
    assert!(gate.create(ROUTE).is_ok());
    for protocol in [2, 4, 9, 12, 15, 16, 31] {
        assert!(gate.create(netlink(protocol)).is_err(), "{protocol}");
    }
}

#[test]
fn generic_netlink_is_named_by_family_and_command() {
    let gate = gate(
        "[[allow]]\nid = \"ctrl\"\nfamily = [\"netlink\"]\nprotocol = [\"generic\"]\nops = [\"send-to\", \"receive\"]\n\
         messages = [\"ctrl:3\", \"nl80211:5\", \"29:*\"]\n",
    );
    let s = SocketFacts {
        generic_families: [(28, "nl80211".to_owned()), (30, "ethtool".to_owned())].into(),
        ..fresh(netlink(16))
    };
    let asks = |family: u16, command: u8| {
        let bytes = message(family, REQUEST, &[command, 1, 0, 0]);
        sends(&gate, &s, &kernel(), &bytes)
    };
    assert!(asks(16, 3) && asks(28, 5) && asks(29, 200));
    assert!(!asks(16, 4) && !asks(28, 6) && !asks(30, 3) && !asks(31, 5));
    assert!(!sends(&gate, &s, &kernel(), &message(16, REQUEST, &[])));
}

/// An Ethernet frame to everybody, with these protocols one behind the other.
fn frame(protocols: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0xff; 6];
    bytes.extend([2, 0, 0, 0, 0, 1]);
    for (place, protocol) in protocols.iter().enumerate() {
        if place > 0 {
            bytes.extend([0, 42]);
        }
        bytes.extend(protocol.to_be_bytes());
    }
    bytes.extend([0; 46]);
    bytes
}

fn on(interface: Option<&str>, protocol: u16, packet_type: u8) -> Address {
    Address::Packet(PacketAddress {
        interface: interface.map(str::to_owned),
        protocol,
        packet_type,
        hardware_type: 1,
        hardware_address: vec![0xff; 6],
    })
}

const LLDP: &str = r#"
[[allow]]
id = "neighbours"
family = ["packet"]
ops = ["bind", "send-to", "receive"]
interface = ["eth0"]
ethertype = ["lldp", "0x88a0-0x88a7"]
"#;

const FRAMES: Kind = packet(SocketType::Raw, 0x88cc);

#[test]
fn packet_sockets_are_bound_to_an_interface_and_a_protocol() {
    let gate = gate(LLDP);
    let s = fresh(FRAMES);
    let may_bind = |interface, protocol| gate.bind(&s, &on(interface, protocol, 0)).is_ok();
    assert!(may_bind(Some("eth0"), 0x88cc));
    for (protocol, bound) in [
        (0x889f, false),
        (0x88a0, true),
        (0x88a7, true),
        (0x88a8, false),
    ] {
        assert_eq!(may_bind(Some("eth0"), protocol), bound, "{protocol:#x}");
    }
    assert!(!may_bind(Some("eth1"), 0x88cc));
    assert!(!may_bind(None, 0x88cc), "every interface");
    assert!(!may_bind(Some("eth0"), 3), "every protocol");
    // Without a protocol the socket keeps its own.
    assert!(may_bind(Some("eth0"), 0));
    let arp = fresh(packet(SocketType::Raw, 0x0806));
    assert!(gate.bind(&arp, &on(Some("eth0"), 0, 0)).is_err());
    let silent = fresh(packet(SocketType::Raw, 0));
    assert!(
        gate.bind(&silent, &on(Some("eth0"), 0, 0)).is_ok(),
        "it hears nothing"
    );
    let everything = self::gate(&LLDP.replace("\"lldp\"", "\"all\""));
    assert!(everything.bind(&s, &on(Some("eth0"), 3, 0)).is_ok());
    let unsaid = self::gate(&LLDP.replace("ethertype", "#"));
    assert!(unsaid.bind(&s, &on(Some("eth0"), 0x0806, 0)).is_ok());
    assert!(
        unsaid.bind(&s, &on(Some("eth0"), 3, 0)).is_err(),
        "all is to be written"
    );
}

#[test]
fn a_frame_is_judged_by_its_own_protocol_too() {
    let gate = gate(LLDP);
    let s = fresh(FRAMES);
    for given in [0x88cc, 0, 3] {
        let to = on(Some("eth0"), given, 0);
        assert!(sends(&gate, &s, &to, &frame(&[0x88cc])), "{given:#x}");
        assert!(!sends(&gate, &s, &to, &frame(&[0x0806])), "{given:#x}");
        // Behind a tag, which the rule does not name either.
        assert!(!sends(&gate, &s, &to, &frame(&[0x8100, 0x88cc])));
    }
    assert!(!sends(
        &gate,
        &s,
        &on(Some("eth0"), 0x0806, 0),
        &frame(&[0x88cc])
    ));
    assert!(!sends(
        &gate,
        &s,
        &on(Some("eth1"), 0x88cc, 0),
        &frame(&[0x88cc])
    ));
    assert!(!sends(&gate, &s, &on(None, 0x88cc, 0), &frame(&[0x88cc])));
    let to = on(Some("eth0"), 0x88cc, 0);
    assert!(!sends(&gate, &s, &to, &frame(&[0x88cc])[..13]));
    let tagged = self::gate(&LLDP.replace("\"lldp\"", "\"vlan\", \"lldp\""));
    let to = on(Some("eth0"), 0x8100, 0);
    assert!(sends(&tagged, &s, &to, &frame(&[0x8100, 0x88cc])));
    assert!(!sends(&tagged, &s, &to, &frame(&[0x8100, 0x0800])));
    assert!(!sends(&tagged, &s, &to, &frame(&[0x8100; 6])));
    assert!(!sends(&tagged, &s, &to, &frame(&[0x8100, 0x88cc])[..17]));
    // Where the kernel writes the header, the address says it all.
    let payloads = fresh(packet(SocketType::Datagram, 0x88cc));
    assert!(sends(
        &gate,
        &payloads,
        &on(Some("eth0"), 0x88cc, 0),
        &frame(&[0x0806])
    ));
    assert!(!sends(&gate, &payloads, &on(Some("eth0"), 0, 0), b""));
    assert!(!sends(&gate, &payloads, &on(Some("eth0"), 0x0806, 0), b""));
}

#[test]
fn a_deny_rule_finds_a_protocol_in_the_frame() {
    let text = "[[allow]]\nid = \"all\"\nfamily = [\"packet\"]\nops = [\"send-to\", \"receive\"]\ninterface = [\"*\"]\n\
        ethertype = [\"*\"]\n[[deny]]\nid = \"no-arp\"\nfamily = [\"packet\"]\nethertype = [\"arp\"]\n";
    let gate = gate(text);
    let s = fresh(FRAMES);
    let to = on(Some("eth0"), 0x88cc, 0);
    assert!(sends(&gate, &s, &to, &frame(&[0x88cc])));
    assert!(!sends(&gate, &s, &to, &frame(&[0x0806])));
    assert!(!sends(&gate, &s, &to, &frame(&[0x8100, 0x0806])));
    // On the interface that the rule names beside it.
    let there = self::gate(&text.replace("[\"arp\"]", "[\"arp\"]\ninterface = [\"eth0\"]"));
    let tagged = frame(&[0x8100, 0x0806]);
    assert!(!sends(&there, &s, &on(Some("eth0"), 0x8100, 0), &tagged));
    assert!(sends(&there, &s, &on(Some("eth1"), 0x8100, 0), &tagged));
    let with = |option: i32| {
        let mut s = fresh(FRAMES);
        s.options
            .remember(OptionName::new(263, option), &[1, 0, 0, 0]);
        s
    };
    // A header before the frame moves what is looked at.
    let shifted = [vec![0; 10], frame(&[0x0806])].concat();
    let listed = self::gate(&text.replace(
        "ethertype = [\"*\"]",
        "ethertype = [\"*\"]\noptions = { set = [\"packet.vnet-hdr\", \"packet.auxdata\"] }",
    ));
    assert!(!sends(&listed, &with(15), &to, &shifted));
    assert!(sends(&listed, &with(8), &to, &frame(&[0x88cc])));
    // The host must have read it as this socket sends it.
    let unaware = Content::sent(FRAMES, &shifted);
    assert!(listed.send_to(&with(15), &to, &unaware).is_err());
}

#[test]
fn frames_are_heard_by_interface_protocol_and_direction() {
    let inwards = gate(&LLDP.replace("ethertype", "direction = [\"in\"]\nethertype"));
    let both = gate(LLDP);
    let s = fresh(FRAMES);
    let lldp = frame(&[0x88cc]);
    // PACKET_HOST, BROADCAST, MULTICAST, OTHERHOST, OUTGOING.
    for (packet_type, heard) in [(0, true), (1, true), (2, true), (3, true), (4, false)] {
        let from = on(Some("eth0"), 0x88cc, packet_type);
        assert_eq!(hears(&inwards, &s, &from, &lldp), heard, "{packet_type}");
        assert!(hears(&both, &s, &from, &lldp));
    }
    assert!(!sends(&inwards, &s, &on(Some("eth0"), 0x88cc, 0), &lldp));
    assert!(!hears(&both, &s, &on(Some("eth1"), 0x88cc, 0), &lldp));
    assert!(!hears(
        &both,
        &s,
        &on(Some("eth0"), 0x0800, 0),
        &frame(&[0x0800])
    ));
    // What the kernel left behind a tag.
    let tagged = gate(&LLDP.replace("\"lldp\"", "\"vlan\", \"lldp\""));
    let from = on(Some("eth0"), 0x8100, 0);
    assert!(hears(&tagged, &s, &from, &frame(&[0x8100, 0x88cc])));
    assert!(!hears(&tagged, &s, &from, &frame(&[0x8100, 0x0800])));
}

#[test]
fn promiscuous_mode_has_a_key_of_its_own() {
    let quiet = gate(LLDP);
    let loud = gate(&LLDP.replace("ethertype", "promiscuous = true\nethertype"));
    let s = fresh(FRAMES);
    let add = OptionName::new(263, 1);
    let joins = |gate: &Gate, interface: &str, promiscuous| {
        let membership = Membership::Frames {
            interface: interface.to_owned(),
            promiscuous,
        };
        gate.set_membership(&s, add, &membership).is_ok()
    };
    assert!(joins(&quiet, "eth0", false) && !joins(&quiet, "eth0", true));
    assert!(joins(&loud, "eth0", true) && !joins(&loud, "eth1", true));
    assert!(!joins(&loud, "eth1", false));
    assert!(loud.set_option(&s, add, &[0; 16]).is_err());
}

fn host() -> Address {
    common::at("192.0.2.1:0")
}

/// An IPv4 packet with a header of its own.
fn ipv4(protocol: u8, to: [u8; 4], options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() as u8 / 4;
    let mut bytes = vec![0x40 | words, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend([0; 4]);
    bytes.extend(to);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

const PING: &str = r#"
[[allow]]
id = "ping"
family = ["inet", "inet6"]
type = ["raw"]
protocol = ["icmp", "icmpv6", "raw-ip"]
ops = ["send-to", "receive"]
peer = { cidr = ["192.0.2.0/24", "2001:db8::/32"] }
icmp-type = ["echo-request", "echo-reply", "v6-echo-request"]
"#;

const ICMP: Kind = raw(Family::Inet, 1);

#[test]
fn icmp_types_are_granted_one_by_one() {
    let gate = gate(PING);
    let s = fresh(ICMP);
    let echo = |icmp_type: u8| [icmp_type, 0, 0, 0, 0, 1, 0, 1];
    for (icmp_type, sent) in [(8, true), (0, true), (5, false), (7, false), (9, false)] {
        assert_eq!(
            sends(&gate, &s, &host(), &echo(icmp_type)),
            sent,
            "{icmp_type}"
        );
        let packet = ipv4(1, [10, 0, 0, 1], &[1, 1, 1, 0], &echo(icmp_type));
        assert_eq!(hears(&gate, &s, &host(), &packet), sent, "{icmp_type}");
    }
    assert!(!sends(&gate, &s, &host(), b""));
    assert!(!sends(&gate, &s, &common::at("192.0.3.0:0"), &echo(8)));
    assert!(!hears(
        &gate,
        &s,
        &host(),
        &ipv4(1, [10, 0, 0, 1], &[], b"")
    ));
    let six = fresh(raw(Family::Inet6, 58));
    let to = common::at("[2001:db8::1]:0");
    for (icmp_type, sent) in [(128, true), (127, false), (129, false), (136, false)] {
        assert_eq!(
            sends(&gate, &six, &to, &echo(icmp_type)),
            sent,
            "{icmp_type}"
        );
        assert_eq!(
            hears(&gate, &six, &to, &echo(icmp_type)),
            sent,
            "{icmp_type}"
        );
    }
    // A rule with the key covers no socket that has no ICMP.
    assert!(gate.create(raw(Family::Inet, 255)).is_err());
    // Without `type` a rule covers no raw socket.
    let untyped = self::gate("[[allow]]\nid = \"x\"\nops = [\"connect\"]\ncidr = [\"*\"]\n");
    assert!(untyped.create(ICMP).is_err());
}

#[test]
fn a_packet_with_a_header_of_its_own_needs_it_granted() {
    let without = gate(PING);
    let with = gate(&PING.replace("icmp-type", "header-include = true\nicmp-type"));
    let option = OptionName::from_policy_name("ip.hdrincl").unwrap();
    let on = 1i32.to_ne_bytes();
    assert!(without.set_option(&fresh(ICMP), option, &on).is_err());
    assert!(with.set_option(&fresh(ICMP), option, &on).is_ok());
    let mut s = fresh(ICMP);
    s.options.remember(option, &on);
    let echo = [8, 0, 0, 0];
    let to = [192, 0, 2, 1];
    assert!(sends(&with, &s, &host(), &ipv4(1, to, &[], &echo)));
    assert!(!sends(&without, &s, &host(), &ipv4(1, to, &[], &echo)));
    let refused = [
        ("another destination", ipv4(1, [192, 0, 2, 2], &[], &echo)),
        ("another protocol", ipv4(6, to, &[], &echo)),
        ("another type", ipv4(1, to, &[], &[5, 0, 0, 0])),
        (
            "a source route",
            ipv4(1, to, &[0x83, 7, 4, 10, 0, 0, 1, 0], &echo),
        ),
        ("broken options", ipv4(1, to, &[7, 0, 0, 0], &echo)),
        ("no ICMP", ipv4(1, to, &[], &[])),
        ("no header", echo.to_vec()),
    ];
    for (what, bytes) in refused {
        assert!(!sends(&with, &s, &host(), &bytes), "{what}");
    }
    assert!(sends(
        &with,
        &s,
        &host(),
        &ipv4(1, to, &[0x94, 4, 0, 0], &echo)
    ));
    let mut fragment = ipv4(1, to, &[], &echo);
    fragment[7] = 1;
    assert!(!sends(&with, &s, &host(), &fragment));
    // Read without regard to the option it is another message.
    let unaware = Content::sent(ICMP, &ipv4(1, to, &[], &echo));
    assert!(with.send_to(&s, &host(), &unaware).is_err());
    // Switched off again.
    s.options.remember(option, &[0; 4]);
    assert!(sends(&with, &s, &host(), &echo));
    assert!(!sends(&with, &s, &host(), &ipv4(1, to, &[], &echo)));
}

#[test]
fn raw_ip_always_brings_its_header() {
    let text = PING.replace("icmp-type = [", "#");
    let plain = gate(&text);
    let with = gate(&text.replace("peer", "header-include = true\npeer"));
    let s = fresh(raw(Family::Inet, 255));
    let packet = ipv4(6, [192, 0, 2, 1], &[], &[0; 20]);
    assert!(!sends(&plain, &s, &host(), &packet));
    assert!(sends(&with, &s, &host(), &packet));
    assert!(!sends(
        &with,
        &s,
        &host(),
        &ipv4(6, [10, 0, 0, 1], &[], b"")
    ));
    let six = fresh(raw(Family::Inet6, 255));
    let to = common::at("[2001:db8::1]:0");
    let mut bytes = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    bytes.extend([0; 16]);
    bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert!(sends(&with, &six, &to, &bytes));
    assert!(!sends(&with, &six, &common::at("[2001:db8::2]:0"), &bytes));
    bytes[6] = 43;
    bytes.extend([0; 8]);
    assert!(!sends(&with, &six, &to, &bytes), "a routing header");
}

#[test]
fn rules_in_one_line_say_the_same() {
    let gate = lines(&[
        "netlink-route send-to,receive messages=getlink",
        "packet-raw bind interface=eth0 ethertype=arp",
    ]);
    let s = fresh(ROUTE);
    assert!(sends(&gate, &s, &kernel(), &message(18, DUMP, &[])));
    assert!(!sends(&gate, &s, &kernel(), &message(19, DUMP, &[])));
    let arp = fresh(packet(SocketType::Raw, 0x0806));
    assert!(gate.bind(&arp, &on(Some("eth0"), 0x0806, 0)).is_ok());
    assert!(gate.bind(&arp, &on(Some("eth0"), 0x0800, 0)).is_err());
}

#[test]
fn a_bound_socket_is_told_the_line_for_its_message() {
    let bound = SocketFacts {
        local: Some(port(4242, 0)),
        local_chosen: true,
        ..fresh(ROUTE)
    };
    let (to, bytes) = (port(0, 0), message(26, REQUEST, &[0; 16]));
    let content = Content::sent_by(&bound, &bytes);
    let denial = gate(MONITOR).send_to(&bound, &to, &content).unwrap_err();
    let hint = denial.grant_hint();
    let line = hint
        .strip_prefix("--allow '")
        .and_then(|rest| rest.strip_suffix('\''));
    let line = line.unwrap_or_else(|| panic!("{hint}"));
    assert!(line.contains("messages=getroute"), "{line}");
    assert!(sends(&lines(&[line]), &bound, &to, &bytes));
}
