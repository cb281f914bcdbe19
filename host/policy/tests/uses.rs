//! Verdicts on what is done with a socket (options, messages, descriptors, groups), on Unix names, and
//! what is said about them.

mod common;

use common::{
    ONE, TCP4, TCP6, UDP4, UNIX, UNIX_DATAGRAM, at, bound, data, fresh, gate, lines, option,
    with_option,
};
use sockgate_policy::{
    Address, AncillaryKind, DescriptorKind, DescriptorKinds, Family, Gate, GroupRequest, Kind,
    MessageFlags, Mode, Origin, Policy, SocketFacts, SocketType, Source, UnixAddress,
};

#[test]
fn options_bind_later_verdicts() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['inet']\nops=['connect']\ncidr=['10.0.0.1']\noptions={set=['so.keepalive','so.bindtodevice=eth0'],get=['so.rcvbuf']}\n[[allow]]\nid='b'\nfamily=['inet']\nops=['connect']\ncidr=['10.0.0.2']",
    );
    let socket = fresh(TCP4);
    assert!(
        gate.set_option(&socket, option("so.keepalive"), &ONE)
            .is_ok()
    );
    assert!(gate.set_option(&socket, option("1/9"), &ONE).is_ok());
    assert!(gate.set_option(&socket, option("so.mark"), &ONE).is_err());
    assert!(
        gate.set_option(&socket, option("so.bindtodevice"), b"eth0\0")
            .is_ok()
    );
    assert!(
        gate.set_option(&socket, option("so.bindtodevice"), b"eth1\0")
            .is_err()
    );
    assert!(gate.get_option(&socket, option("so.rcvbuf")).is_ok());
    assert!(gate.get_option(&socket, option("so.sndbuf")).is_err());
    assert!(gate.get_option(&socket, option("so.error")).is_ok());
    let kept = with_option(socket, "so.keepalive", 1);
    assert!(gate.connect(&kept, &at("10.0.0.1:1")).is_ok());
    let denial = gate.connect(&kept, &at("10.0.0.2:1")).unwrap_err();
    assert!(
        denial
            .hint()
            .contains("does not list the option `so.keepalive`"),
        "{}",
        denial.hint()
    );
    let nodelay = with_option(fresh(TCP4), "tcp.nodelay", 1);
    assert!(
        gate.set_option(&nodelay, option("tcp.nodelay"), &ONE)
            .is_ok()
    );
    assert!(gate.connect(&nodelay, &at("10.0.0.2:1")).is_ok());
    let connected = SocketFacts {
        peer: Some(at("10.0.0.2:1")),
        ..fresh(TCP4)
    };
    assert!(
        gate.set_option(&connected, option("so.keepalive"), &ONE)
            .is_err(),
        "the rule of that peer does not list it"
    );
}

#[test]
fn a_denied_option_has_no_other_name() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\noptions={set=['so.mark','so.priority','*']}\n[[deny]]\nid='d'\noptions={set=['so.mark']}\n[[deny]]\nid='e'\nflags=['oob']\nancillary={send=['credentials']}",
    );
    assert!(
        gate.set_option(&fresh(TCP4), option("so.priority"), &ONE)
            .is_ok()
    );
    for name in ["so.mark", "1/36"] {
        assert!(gate.set_option(&fresh(TCP4), option(name), &ONE).is_err());
    }
    assert!(
        gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).is_ok(),
        "such a deny rule takes the use away, not the peer"
    );
}

#[test]
fn permits_say_what_a_message_may_carry() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['10.0.0.1']\nflags=['oob']\nancillary={receive=['timestamp']}\n[[allow]]\nid='b'\nops=['connect']\ncidr=['10.0.0.0/8']\nflags=['errqueue']\n[[deny]]\nid='d'\nflags=['errqueue']\ncidr=['10.0.0.1']",
    );
    let permit = gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).unwrap();
    assert_eq!(permit.flags(), MessageFlags::ALWAYS | MessageFlags::OOB);
    assert!(
        permit.ancillary_in().contains(AncillaryKind::Timestamp)
            && permit.ancillary_out().is_empty()
    );
    let other = gate.connect(&fresh(TCP4), &at("10.0.0.2:1")).unwrap();
    assert_eq!(other.flags(), MessageFlags::ALWAYS | MessageFlags::ERRQUEUE);
    assert!(other.ancillary_in().is_empty());
}

#[test]
fn unix_paths_have_a_place() {
    let gate = gate(
        "[[allow]]\nid='u'\nfamily=['unix']\nops=['connect','bind']\nlocal={root='/run/app',path=['c-*.sock']}\npeer={path=['/run/app/**']}\nmode='0660'\nreplace-stale=true",
    );
    let permit = gate
        .connect(&fresh(UNIX), &at("/run/app/sub/x.sock"))
        .unwrap_err();
    assert!(
        permit.hint().contains("asks for a local address")
            || permit.hint().contains("local address"),
        "{}",
        permit.hint()
    );
    let socket = bound(UNIX, "/run/app/c-1.sock");
    let permit = gate.connect(&socket, &at("/run/app/sub/x.sock")).unwrap();
    let place = permit.subject().unix.as_ref().unwrap();
    assert_eq!(
        (place.root.to_str(), place.beneath.to_str()),
        (Some("/run/app"), Some("sub/x.sock"))
    );
    let permit = gate.bind(&fresh(UNIX), &at("/run/app/c-2.sock")).unwrap();
    assert_eq!(
        (permit.subject().mode, permit.subject().replace_stale),
        (Some(0o660), true)
    );
    for denied in [
        "/run/app/../x",
        "/run/app//x",
        "/run/app",
        "/run/app/",
        "/run/app/./x",
        "/run/apple/x",
        "/run/app/x\0y",
    ] {
        assert!(gate.connect(&socket, &at(denied)).is_err(), "{denied}");
    }
    assert!(
        gate.connect(
            &socket,
            &Address::Unix(UnixAddress::Pathname(b"run/app/x".to_vec()))
        )
        .is_err()
    );
    assert!(
        gate.bind(&fresh(UNIX), &at("/run/app/sub/c-2.sock"))
            .is_err()
    );
    assert!(
        gate.connect(&socket, &at("@/run/app/x")).is_err(),
        "an abstract name that spells a path"
    );
}

#[test]
fn an_unclean_path_is_granted_in_no_mode() {
    let audit = Gate::new(Policy::deny_all().with_mode(Mode::Audit));
    assert!(audit.connect(&fresh(UNIX), &at("/run/../etc/x")).is_err());
    let permit = audit.connect(&fresh(UNIX), &at("/run/x")).unwrap();
    assert_eq!(
        permit.subject().unix.as_ref().unwrap().root.to_str(),
        Some("/")
    );
    let server = gate(
        "[[allow]]\nid='s'\nfamily=['unix']\nops=['listen']\nlocal={path=['/run/x']}\npeer='*'",
    );
    let accepts = |peer: &[u8]| {
        let peer = Address::Unix(UnixAddress::Pathname(peer.to_vec()));
        server.accept(&bound(UNIX, "/run/x"), &peer).is_ok()
    };
    assert!(accepts(b"/run/y") && !accepts(b"run/y"));
}

#[test]
fn autobind_is_granted_by_auto_alone() {
    let auto = gate("[[allow]]\nid='a'\nfamily=['unix']\nops=['bind']\nabstract=['auto']");
    assert!(auto.bind(&fresh(UNIX_DATAGRAM), &at("")).is_ok());
    // A name of no bytes is a name like any other, and not what the kernel would choose.
    assert!(auto.bind(&fresh(UNIX_DATAGRAM), &at("@")).is_err());
    assert!(auto.bound(&fresh(UNIX_DATAGRAM), &at("@0001f")).is_ok());
    assert!(auto.bind(&fresh(UNIX_DATAGRAM), &at("@0001f")).is_err());
    assert!(auto.bound(&fresh(UNIX_DATAGRAM), &at("@name")).is_err());
    let named = gate("[[allow]]\nid='a'\nfamily=['unix']\nops=['bind']\nabstract=['*']");
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("")).is_err());
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("@")).is_err());
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("@name")).is_ok());
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("@a/b")).is_err());
}

#[test]
fn a_denied_autobind_says_what_would_grant_it() {
    let none = gate("[[allow]]\nid='a'\nfamily=['unix']\nops=['bind']\nunnamed=true");
    let denial = none.bind(&fresh(UNIX_DATAGRAM), &at("")).unwrap_err();
    assert_eq!(denial.grant_hint(), "--allow 'unix-datagram bind @auto'");
    let denied = gate(
        "[[allow]]\nid='a'\nfamily=['unix']\nops=['bind']\nabstract=['auto']\n[[deny]]\nid='d'\nfamily=['unix']\nabstract=['auto']",
    );
    assert!(denied.bind(&fresh(UNIX_DATAGRAM), &at("")).is_err());
}

#[test]
fn descriptors_pass_on_the_sockets_of_their_rule() {
    let gate = gate(
        "[[allow]]\nid='c'\nfamily=['unix']\nops=['connect','descriptor-send']\npath=['/run/x']\nkinds=['socket']\n[[allow]]\nid='p'\nfamily=['unix']\nops=['socketpair']\n[[allow]]\nid='o'\nfamily=['unix']\nops=['connect']\npath=['/run/y']",
    );
    let to = |path| gate.connect(&fresh(UNIX), &at(path)).unwrap();
    assert_eq!(to("/run/x").descriptors_out(), DescriptorKinds::SOCKET);
    assert_eq!(to("/run/x").descriptors_in(), DescriptorKinds::empty());
    assert_eq!(to("/run/y").descriptors_out(), DescriptorKinds::empty());
    let pair = SocketFacts {
        origin: Origin::Pair,
        peer: Some(at("")),
        ..fresh(UNIX)
    };
    assert!(gate.pair(UNIX).is_ok() && gate.pair(TCP4).is_err());
    assert_eq!(
        gate.pair_end(&pair).unwrap().descriptors_out(),
        DescriptorKinds::empty()
    );
    let connected = SocketFacts {
        peer: Some(at("/run/x")),
        ..fresh(UNIX)
    };
    assert!(
        gate.descriptor_send(&connected, DescriptorKind::Socket)
            .is_ok()
    );
    assert!(
        gate.descriptor_send(&connected, DescriptorKind::Opaque)
            .is_err()
    );
    assert!(
        gate.descriptor_receive(&connected, DescriptorKind::Socket)
            .is_err()
    );
    assert!(gate.descriptor_send(&pair, DescriptorKind::Socket).is_err());
}

#[test]
fn a_pair_may_pass_descriptors_where_its_rule_says_so() {
    let gate = gate(
        "[[allow]]\nid='p'\nfamily=['unix']\nops=['socketpair','descriptor-send','descriptor-receive']\nkinds=['socket','opaque']\n[[allow]]\nid='c'\nfamily=['unix']\nops=['connect']\npath=['/run/x']",
    );
    let pair = SocketFacts {
        origin: Origin::Pair,
        peer: Some(at("")),
        ..fresh(UNIX)
    };
    assert_eq!(
        gate.pair_end(&pair).unwrap().descriptors_in(),
        DescriptorKinds::all()
    );
    assert!(gate.descriptor_send(&pair, DescriptorKind::Opaque).is_ok());
    let connected = gate.connect(&fresh(UNIX), &at("/run/x")).unwrap();
    assert_eq!(
        connected.descriptors_out(),
        DescriptorKinds::empty(),
        "the pair's rule is about pairs"
    );
}

#[test]
fn groups_sources_and_interfaces() {
    let gate = gate(
        "[[allow]]\nid='g'\nfamily=['inet']\nops=['join-group']\ngroup=['239.1.0.0/16']\nsource=['10.0.0.1']\ninterface=['eth*']",
    );
    let join = |group: &str, source: Option<&str>, interface: Option<&str>| {
        let request = GroupRequest {
            group: group.parse().unwrap(),
            source: source.map(|source| source.parse().unwrap()),
            interface: interface.map(str::to_owned),
        };
        gate.join_group(&fresh(UDP4), &request).is_ok()
    };
    assert!(join("239.1.2.3", Some("10.0.0.1"), Some("eth0")));
    assert!(!join("239.2.2.3", Some("10.0.0.1"), Some("eth0")));
    assert!(!join("239.1.2.3", None, Some("eth0")));
    assert!(!join("239.1.2.3", Some("10.0.0.2"), Some("eth0")));
    assert!(!join("239.1.2.3", Some("10.0.0.1"), Some("wlan0")));
    assert!(!join("239.1.2.3", Some("10.0.0.1"), None));
}

#[test]
fn audit_lets_through_what_lacks_a_grant_and_no_more() {
    let gate = gate("mode='audit'\n[limits]\nsockets=1\n[[deny]]\nid='d'\ncidr=['10.0.0.1']");
    let permit = gate.connect(&fresh(TCP4), &at("10.0.0.2:1")).unwrap();
    assert_eq!(permit.rule(), "(audit)");
    assert_eq!(
        permit.unguarded().unwrap().to_string(),
        "no rule grants connect to 10.0.0.2:1"
    );
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).is_err());
    let slot = gate.slot().unwrap();
    assert!(gate.slot().is_err());
    drop(slot);
    assert!(gate.slot().is_ok());
}

#[test]
fn buffers_are_counted() {
    let gate = gate("[limits]\nbuffer-bytes='1 KiB'");
    let held = gate.buffer(None, 1000).unwrap();
    let reached = gate.buffer(None, 25).unwrap_err();
    assert_eq!((reached.key, reached.limit), ("buffer-bytes", 1024));
    assert!(gate.buffer(None, 24).is_ok());
    assert!(gate.buffer(None, u64::MAX).is_err());
    drop(held);
    assert!(gate.buffer(None, 1024).is_ok());
}

#[test]
fn kinds_that_no_rule_can_name_are_granted_by_none() {
    let gate = gate("[[allow]]\nid='a'\nops=['connect']\npeer='*'");
    assert!(gate.create(TCP4).is_ok());
    let kind = |family, socket_type, protocol| Kind {
        family,
        socket_type,
        protocol,
    };
    assert!(
        gate.create(kind(Family::Other(29), SocketType::Raw, 1))
            .is_err()
    );
    assert!(
        gate.create(kind(Family::Inet, SocketType::Raw, 255))
            .is_err()
    );
    assert!(
        gate.create(kind(Family::Inet, SocketType::Datagram, 1))
            .is_err(),
        "a ping socket"
    );
    assert!(
        gate.create(kind(Family::Inet, SocketType::Stream, 262))
            .is_ok(),
        "MPTCP is a stream to the same peers"
    );
}

#[test]
fn a_denial_says_what_would_grant_it() {
    let gate = lines(&["tcp connect 10.1.2.3:443", "udp receive 10.0.0.1:53"]);
    let denial = gate.connect(&fresh(TCP4), &at("10.1.2.3:22")).unwrap_err();
    assert_eq!(denial.to_string(), "no rule grants connect to 10.1.2.3:22");
    assert_eq!(
        denial.hint(),
        "rule `allow:tcp connect 10.1.2.3:443` comes nearest: it covers the peer, but not its port 22; \
         this would grant it: --allow 'tcp connect 10.1.2.3:22'"
    );
    assert_eq!(
        (denial.operation(), denial.subject()),
        ("connect", "10.1.2.3:22".to_owned())
    );
}

/// Each hint's line, added to the policy, grants what was denied.
#[test]
fn hints_keep_their_word() {
    let gate = Gate::new(Policy::deny_all());
    let line = |hint: String| {
        hint.strip_prefix("--allow '")
            .unwrap()
            .strip_suffix('\'')
            .unwrap()
            .to_owned()
    };
    let granted = |hint: String, again: &dyn Fn(&Gate) -> bool| {
        let line = line(hint);
        let policy = Policy::allow_line(&line).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(again(&Gate::new(policy)), "`{line}` does not grant it");
    };
    for (kind, peer) in [
        (TCP4, "10.0.0.1:80"),
        (TCP6, "[2001:db8::1]:80"),
        (UNIX, "/run/x.sock"),
        (UNIX, "@name"),
        (UDP4, "0.0.0.0:53"),
    ] {
        let peer = at(peer);
        granted(
            gate.connect(&fresh(kind), &peer).unwrap_err().grant_hint(),
            &|gate| gate.connect(&fresh(kind), &peer).is_ok(),
        );
        granted(
            gate.bind(&fresh(kind), &peer).unwrap_err().grant_hint(),
            &|gate| gate.bind(&fresh(kind), &peer).is_ok(),
        );
        let marked = with_option(fresh(kind), "so.mark", 1);
        granted(
            gate.connect(&marked, &peer).unwrap_err().grant_hint(),
            &|gate| gate.connect(&marked, &peer).is_ok(),
        );
    }
    let listener = bound(TCP4, "0.0.0.0:80");
    let client = at("10.0.0.1:9999");
    granted(gate.listen(&listener).unwrap_err().grant_hint(), &|gate| {
        gate.listen(&listener).is_ok()
    });
    granted(
        gate.accept(&listener, &client).unwrap_err().grant_hint(),
        &|gate| gate.accept(&listener, &client).is_ok(),
    );
    let socket = bound(UDP4, "127.0.0.1:53");
    granted(
        gate.send_to(&socket, &client, &data(&socket))
            .unwrap_err()
            .grant_hint(),
        &|gate| gate.send_to(&socket, &client, &data(&socket)).is_ok(),
    );
    granted(
        gate.reply(&socket, &client, &data(&socket))
            .unwrap_err()
            .grant_hint(),
        &|gate| gate.reply(&socket, &client, &data(&socket)).is_ok(),
    );
    granted(gate.receive(&socket).unwrap_err().grant_hint(), &|gate| {
        gate.receive(&socket).is_ok()
    });
    granted(
        gate.receive_from(&socket, &client, &data(&socket))
            .unwrap_err()
            .grant_hint(),
        &|gate| gate.receive_from(&socket, &client, &data(&socket)).is_ok(),
    );
    granted(
        gate.resolve(b"a.example").unwrap_err().grant_hint(),
        &|gate| gate.resolve(b"a.example").is_ok(),
    );
    granted(gate.interfaces().unwrap_err().grant_hint(), &|gate| {
        gate.interfaces().is_ok()
    });
    granted(gate.pair(UNIX).unwrap_err().grant_hint(), &|gate| {
        gate.pair(UNIX).is_ok()
    });
}

#[test]
fn explain_ranks_the_rules() {
    let policy = Policy::from_toml(&Source::new("p.toml", "version = 1\n[[allow]]\nid = 'far'\nops = ['interfaces']\n[[allow]]\nid = 'near'\nfamily = ['inet']\nops = ['connect']\ncidr = ['10.1.0.0/16']\nport = ['443']\n")).unwrap();
    let question = sockgate_policy::Question::parse("tcp connect 10.1.2.3:22").unwrap();
    assert_eq!(
        policy.explain(&question).to_string(),
        "denied: tcp connect 10.1.2.3:22 (no rule grants it)\n  \
         rule `near` (p.toml:5) covers the peer, but not its port 22 (it says `10.1.0.0/16:443`)\n  \
         rule `far` (p.toml:2) does not list `connect`\n  \
         to change that: rule `near` comes nearest: it covers the peer, but not its port 22; \
         this would grant it: --allow 'tcp connect 10.1.2.3:22'"
    );
    let granted =
        sockgate_policy::Question::parse("tcp connect 10.1.2.3:443 from 127.0.0.1:1").unwrap();
    assert!(policy.explain(&granted).granted());
}

#[test]
fn a_denied_option_counts_against_the_peer_that_came_later() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\noptions={set=['so.mark']}\n[[deny]]\nid='d'\npeer={cidr=['10.0.0.0/8']}\noptions={set=['1/36']}",
    );
    let marked = with_option(fresh(TCP4), "so.mark", 1);
    assert!(
        gate.set_option(&fresh(TCP4), option("so.mark"), &ONE)
            .is_ok()
    );
    assert!(gate.connect(&marked, &at("11.0.0.1:1")).is_ok());
    assert!(gate.connect(&marked, &at("10.0.0.1:1")).is_err());
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).is_ok());
}

#[test]
fn an_accepted_socket_has_the_options_of_listening_rules() {
    let gate = gate(
        "[[allow]]\nid='l'\nfamily=['inet']\nops=['listen']\ncidr=['127.0.0.1']\n[[allow]]\nid='c'\nfamily=['inet']\nops=['connect']\ncidr=['*']\noptions={set=['so.mark']}",
    );
    let socket = |origin| SocketFacts {
        peer: Some(at("10.0.0.1:9")),
        origin,
        ..bound(TCP4, "127.0.0.1:80")
    };
    assert!(
        gate.set_option(&socket(Origin::Accept), option("so.mark"), &ONE)
            .is_err()
    );
    assert!(
        gate.set_option(&socket(Origin::Socket), option("so.mark"), &ONE)
            .is_ok()
    );
}

#[test]
fn a_port_beside_a_path_names_no_ip_address() {
    let gate = gate("[[allow]]\nid='a'\nops=['connect']\npath=['/run/x']\nport=['80']");
    assert!(gate.connect(&fresh(UNIX), &at("/run/x")).is_ok());
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:80")).is_err());
}

#[test]
fn audit_names_the_rule_where_there_is_one() {
    let gate = Gate::new(
        Policy::allow_line("udp connect 10.0.0.1:53")
            .unwrap()
            .with_mode(Mode::Audit),
    );
    let socket = SocketFacts {
        peer: Some(at("10.0.0.1:53")),
        ..fresh(UDP4)
    };
    assert_eq!(
        gate.receive(&socket).unwrap().rule(),
        "allow:udp connect 10.0.0.1:53"
    );
    let other = SocketFacts {
        peer: Some(at("10.0.0.2:53")),
        ..fresh(UDP4)
    };
    assert_eq!(gate.receive(&other).unwrap().rule(), "(audit)");
}

#[test]
fn a_granted_socket_does_not_begin_to_listen_by_itself() {
    let socket = SocketFacts {
        granted: true,
        ..bound(TCP4, "127.0.0.1:80")
    };
    assert!(Gate::new(Policy::deny_all()).listen(&socket).is_err());
    assert!(
        Gate::new(Policy::deny_all())
            .accept(&socket, &at("10.0.0.1:9"))
            .is_ok()
    );
}
