//! Verdicts of the gate: what each word of a policy grants, and what it does not.

use std::net::IpAddr;

use sockgate_policy::{
    Address, Adopted, AdoptedState, AncillaryKind, DescriptorKind, DescriptorKinds, Family, Gate, GroupRequest, Kind,
    MessageFlags, Mode, OptionName, Origin, Policy, Reason, SocketFacts, SocketType, Source, UnixAddress,
};

const TCP4: Kind = Kind { family: Family::Inet, socket_type: SocketType::Stream, protocol: 6 };
const TCP6: Kind = Kind { family: Family::Inet6, socket_type: SocketType::Stream, protocol: 6 };
const UDP4: Kind = Kind { family: Family::Inet, socket_type: SocketType::Datagram, protocol: 17 };
const UNIX: Kind = Kind { family: Family::Unix, socket_type: SocketType::Stream, protocol: 0 };
const UNIX_DATAGRAM: Kind = Kind { family: Family::Unix, socket_type: SocketType::Datagram, protocol: 0 };

fn gate(text: &str) -> Gate {
    let source = Source::new("test.toml", &format!("version = 1\n{text}"));
    Gate::new(Policy::from_toml(&source).unwrap_or_else(|errors| panic!("{errors}")))
}

fn lines(lines: &[&str]) -> Gate {
    let policies = lines.iter().map(|line| Policy::allow_line(line).unwrap_or_else(|errors| panic!("{errors}")));
    Gate::new(policies.fold(Policy::deny_all(), |all, one| all.merge(one).unwrap()))
}

fn at(text: &str) -> Address {
    match text.as_bytes() {
        [b'/', ..] => Address::Unix(UnixAddress::Pathname(text.into())),
        [b'@', name @ ..] => Address::Unix(UnixAddress::Abstract(name.into())),
        b"" => Address::Unix(UnixAddress::Unnamed),
        _ => text.parse::<std::net::SocketAddr>().unwrap().into(),
    }
}

fn fresh(kind: Kind) -> SocketFacts {
    SocketFacts::new(kind)
}

fn bound(kind: Kind, local: &str) -> SocketFacts {
    SocketFacts { local: Some(at(local)), ..fresh(kind) }
}

fn option(name: &str) -> OptionName {
    OptionName::from_policy_name(name).unwrap()
}

fn with_option(mut facts: SocketFacts, name: &str, value: i32) -> SocketFacts {
    facts.options.remember(option(name), &value.to_ne_bytes());
    facts
}

const ONE: [u8; 4] = 1i32.to_ne_bytes();

#[test]
fn nothing_is_granted_by_default() {
    let gate = Gate::new(Policy::deny_all());
    for kind in [TCP4, TCP6, UDP4, UNIX] {
        assert!(gate.create(kind).is_err());
        assert!(gate.pair(kind).is_err());
    }
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).is_err());
    assert!(gate.bind(&fresh(TCP4), &at("0.0.0.0:0")).is_err());
    assert!(gate.listen(&fresh(TCP4)).is_err());
    assert!(gate.receive(&fresh(UDP4)).is_err());
    assert!(gate.resolve(b"example.com").is_err());
    assert!(gate.interfaces().is_err() && gate.hostname().is_err() && gate.set_hostname(b"x").is_err());
    assert!(gate.get_option(&fresh(TCP4), option("so.keepalive")).is_err());
    assert!(gate.disconnect(&fresh(UDP4)).is_err());
    assert!(gate.splice(&fresh(TCP4), &fresh(TCP4)).is_err());
    assert!(gate.ioctl(&fresh(TCP4), "siocatmark").is_err());
}

#[test]
fn connect_is_granted_to_the_peer_and_nothing_else() {
    let gate = lines(&["tcp connect 10.0.0.0/8:443"]);
    let permit = gate.connect(&fresh(TCP4), &at("10.1.2.3:443")).unwrap();
    assert_eq!(permit.subject().address, at("10.1.2.3:443"));
    assert_eq!(permit.rule(), "allow:tcp connect 10.0.0.0/8:443");
    assert_eq!(permit.flags(), MessageFlags::ALWAYS);
    assert!(gate.create(TCP4).is_ok() && gate.create(UDP4).is_err());
    for denied in ["10.1.2.3:22", "11.0.0.1:443", "[::1]:443", "0.0.0.0:443"] {
        assert!(gate.connect(&fresh(TCP4), &at(denied)).is_err(), "{denied}");
    }
    assert!(gate.connect(&fresh(UDP4), &at("10.1.2.3:443")).is_err());
    assert!(gate.bind(&fresh(TCP4), &at("10.1.2.3:443")).is_err());
    assert!(gate.send_to(&fresh(TCP4), &at("10.1.2.3:443")).is_err());
}

#[test]
fn every_spelling_of_an_address_is_the_same_address() {
    let gate = lines(&["tcp connect 10.0.0.0/8:443", "tcp connect 127.0.0.1:80", "tcp connect [::1]:80"]);
    for mapped in ["[::ffff:10.0.0.1]:443", "[::10.0.0.1]:443"] {
        let permit = gate.connect(&fresh(TCP6), &at(mapped)).unwrap();
        assert_eq!(permit.subject().address, at("10.0.0.1:443"));
    }
    assert!(gate.connect(&fresh(TCP6), &at("[::ffff:11.0.0.1]:443")).is_err());
    assert_eq!(gate.connect(&fresh(TCP4), &at("0.0.0.0:80")).unwrap().subject().address, at("127.0.0.1:80"));
    assert_eq!(gate.connect(&fresh(TCP6), &at("[::]:80")).unwrap().subject().address, at("[::1]:80"));
}

#[test]
fn a_rule_for_one_family_does_not_grant_the_other_by_mapping() {
    let six = gate("[[allow]]\nid='a'\nfamily=['inet6']\nops=['connect']\ncidr=['*']");
    assert!(six.connect(&fresh(TCP6), &at("[2001:db8::1]:1")).is_ok());
    assert!(six.connect(&fresh(TCP6), &at("[::ffff:10.0.0.1]:1")).is_err());
    let denied = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\n[[deny]]\nid='d'\nfamily=['inet']",
    );
    assert!(denied.connect(&fresh(TCP6), &at("[::ffff:10.0.0.1]:1")).is_err());
    assert!(denied.connect(&fresh(TCP6), &at("[2001:db8::1]:1")).is_ok());
    assert!(denied.create(TCP4).is_err());
}

#[test]
fn addresses_inside_addresses_are_judged_as_well() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\n[[deny]]\nid='d'\nclass=['private','loopback','metadata']",
    );
    for denied in ["[64:ff9b::10.0.0.1]:1", "[2002:7f00:1::]:1", "[2001:0:808:808:0:0:5601:5601]:1", "[64:ff9b::169.254.169.254]:1"] {
        let denial = gate.connect(&fresh(TCP6), &at(denied)).unwrap_err();
        assert!(matches!(denial.reason(), Reason::Rule(rule) if rule.as_str() == "d"), "{denied}: {denial}");
    }
    assert!(gate.connect(&fresh(TCP6), &at("[64:ff9b::8.8.8.8]:1")).is_ok());
    let narrow = lines(&["tcp connect [2001:db8::/32]:1", "tcp connect [64:ff9b::/96]:1"]);
    assert!(narrow.connect(&fresh(TCP6), &at("[64:ff9b::8.8.8.8]:1")).is_err(), "8.8.8.8 itself is not granted");
}

#[test]
fn deny_beats_allow_whatever_the_order() {
    let gate = gate(
        "[[deny]]\nid='no'\ncidr=['10.0.0.5']\n[[allow]]\nid='yes'\nops=['connect','interfaces']\ncidr=['10.0.0.0/8']",
    );
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.4:1")).is_ok());
    let denial = gate.connect(&fresh(TCP4), &at("10.0.0.5:1")).unwrap_err();
    assert_eq!(denial.to_string(), "deny rule `no` forbids connect to 10.0.0.5:1");
    assert!(gate.interfaces().is_ok());
}

#[test]
fn a_name_grants_what_it_resolved_to_until_its_pin_ends() {
    let gate = gate(
        "[[allow]]\nid='db'\nfamily=['inet','inet6']\nops=['resolve','connect']\nhost=['db.example.com']\nport=['5432']\npin='80ms'",
    );
    let (public, private): (IpAddr, IpAddr) = ("93.184.216.34".parse().unwrap(), "10.0.0.1".parse().unwrap());
    assert!(gate.connect(&fresh(TCP4), &at("93.184.216.34:5432")).is_err(), "not resolved yet");
    assert!(gate.resolve(b"example.com").is_err() && gate.resolve(b"evildb.example.com").is_err());
    assert!(gate.resolve(b"127.1").is_err());
    let resolved = gate.resolve(b"DB.Example.com.").unwrap();
    assert_eq!(resolved.subject().as_str(), "db.example.com");
    assert_eq!(gate.pin(&resolved, &[private, public, public]), [public]);
    let permit = gate.connect(&fresh(TCP4), &at("93.184.216.34:5432")).unwrap();
    assert!(permit.holds(&gate) && permit.expires().is_some());
    assert!(gate.connect(&fresh(TCP4), &at("93.184.216.34:22")).is_err());
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:5432")).is_err());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!permit.holds(&gate));
    assert!(gate.connect(&fresh(TCP4), &at("93.184.216.34:5432")).is_err());
    let established = SocketFacts { peer: Some(at("93.184.216.34:5432")), ..fresh(TCP4) };
    assert!(gate.converse(&established).unwrap().expires().is_none(), "a connection outlives its pin");
}

#[test]
fn a_name_for_loopback_needs_leave() {
    let answer: IpAddr = "127.0.0.1".parse().unwrap();
    let rule = "[[allow]]\nid='l'\nops=['resolve','connect']\nhost=['localhost']\n";
    let without = gate(rule);
    assert!(without.pin(&without.resolve(b"localhost").unwrap(), &[answer]).is_empty());
    let with = gate(&format!("{rule}host-may-be=['loopback']"));
    assert_eq!(with.pin(&with.resolve(b"localhost").unwrap(), &[answer]), [answer]);
    assert!(with.connect(&fresh(TCP4), &at("127.0.0.1:1")).is_ok());
    let denied = gate(&format!("{rule}host-may-be=['loopback']\n[[deny]]\nid='d'\nclass=['loopback']"));
    assert!(denied.pin(&denied.resolve(b"localhost").unwrap(), &[answer]).is_empty());
}

#[test]
fn a_reload_ends_permits_and_forgets_names() {
    let gate = lines(&["tcp resolve,connect db.example.com:5432"]);
    let resolved = gate.resolve(b"db.example.com").unwrap();
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    assert_eq!(gate.pin(&resolved, &[public]), [public]);
    let permit = gate.connect(&fresh(TCP4), &at("93.184.216.34:5432")).unwrap();
    gate.replace(Policy::allow_line("tcp resolve,connect *.example.com:5432").unwrap());
    assert!(!permit.holds(&gate));
    assert!(gate.pin(&resolved, &[public]).is_empty(), "an old permit pins nothing");
    assert!(gate.connect(&fresh(TCP4), &at("93.184.216.34:5432")).is_ok(), "the name is still granted");
    gate.replace(Policy::deny_all());
    gate.replace(Policy::allow_line("tcp resolve,connect db.example.com:5432").unwrap());
    assert!(gate.connect(&fresh(TCP4), &at("93.184.216.34:5432")).is_err());
}

#[test]
fn port_zero_and_the_port_that_the_kernel_chose() {
    let zero = lines(&["udp bind 127.0.0.1:0"]);
    assert!(zero.bind(&fresh(UDP4), &at("127.0.0.1:0")).is_ok());
    assert!(zero.bind(&fresh(UDP4), &at("127.0.0.1:40000")).is_err());
    assert!(zero.bound(&fresh(UDP4), &at("127.0.0.1:40000")).is_ok());
    assert!(zero.bound(&fresh(UDP4), &at("127.0.0.1:80")).is_err());
    let range = lines(&["udp bind 127.0.0.1:40000-50000"]);
    assert!(range.bind(&fresh(UDP4), &at("127.0.0.1:0")).is_ok());
    assert!(range.bound(&fresh(UDP4), &at("127.0.0.1:45000")).is_ok());
    assert!(range.bound(&fresh(UDP4), &at("127.0.0.1:39999")).is_err());
    let one = lines(&["udp bind 127.0.0.1:5353"]);
    assert!(one.bind(&fresh(UDP4), &at("127.0.0.1:0")).is_err());
    let any = lines(&["udp bind 127.0.0.1:*"]);
    assert!(any.bind(&fresh(UDP4), &at("127.0.0.1:0")).is_ok());
    assert!(any.bound(&fresh(UDP4), &at("127.0.0.1:40000")).is_ok());
}

#[test]
fn a_wildcard_is_no_loopback_address() {
    let loopback = lines(&["tcp listen 127.0.0.1:80"]);
    assert!(loopback.bind(&fresh(TCP4), &at("0.0.0.0:80")).is_err());
    assert!(loopback.listen(&fresh(TCP4)).is_err(), "never bound: 0.0.0.0 and port 0");
    assert!(loopback.bind(&fresh(TCP4), &at("127.0.0.1:80")).is_ok());
    assert!(lines(&["tcp listen *:80"]).bind(&fresh(TCP4), &at("0.0.0.0:80")).is_ok());
    assert!(lines(&["tcp listen 0.0.0.0/0:80"]).bind(&fresh(TCP4), &at("0.0.0.0:80")).is_ok());
    let denied = gate("[[allow]]\nid='a'\nops=['listen']\ncidr=['*']\n[[deny]]\nid='d'\nops=['bind','listen']\ncidr=['127.0.0.0/8']");
    assert!(denied.bind(&fresh(TCP4), &at("0.0.0.0:80")).is_err(), "the wildcard has the loopback address in it");
    assert!(denied.bind(&fresh(TCP4), &at("10.0.0.1:80")).is_ok());
}

#[test]
fn listening_carries_what_a_server_does() {
    let gate = gate("[[allow]]\nid='web'\nfamily=['inet']\ntype=['stream']\nops=['listen']\ncidr=['127.0.0.1']\nport=['80']\npeer={cidr=['10.0.0.0/8']}");
    let listener = bound(TCP4, "127.0.0.1:80");
    assert!(gate.bind(&fresh(TCP4), &at("127.0.0.1:80")).is_ok());
    assert_eq!(gate.listen(&listener).unwrap().subject(), &at("127.0.0.1:80"));
    assert!(gate.accept(&listener, &at("10.0.0.9:5000")).is_ok());
    assert!(gate.accept(&listener, &at("11.0.0.9:5000")).is_err());
    let accepted = SocketFacts { peer: Some(at("10.0.0.9:5000")), origin: Origin::Accept, ..listener.clone() };
    assert!(gate.converse(&accepted).is_ok() && gate.shutdown(&accepted).is_ok());
    let connected = SocketFacts { origin: Origin::Socket, ..accepted };
    assert!(gate.converse(&connected).is_err(), "listening is no leave to connect");
    assert!(gate.set_option(&fresh(TCP4), option("so.reuseaddr"), &ONE).is_ok());
    assert!(gate.listen(&with_option(listener, "so.reuseaddr", 1)).is_ok());
    assert!(gate.set_option(&fresh(TCP4), option("so.reuseport"), &ONE).is_err());
}

#[test]
fn both_families_on_one_socket_need_both_wildcards() {
    let both = lines(&["tcp listen *:80"]);
    assert!(both.dual_stack(&fresh(TCP6), &at("[::]:80")));
    let six = lines(&["tcp listen [::]:80"]);
    assert!(!six.dual_stack(&fresh(TCP6), &at("[::]:80")));
    assert!(six.bind(&fresh(TCP6), &at("[::]:80")).is_ok());
    let open = SocketFacts { v6only: false, ..fresh(TCP6) };
    assert!(six.bind(&open, &at("[::]:80")).is_err() && both.bind(&open, &at("[::]:80")).is_ok());
    assert!(six.listen(&SocketFacts { v6only: false, ..bound(TCP6, "[::]:80") }).is_err());
    assert!(six.accept(&bound(TCP6, "[::]:80"), &at("[::ffff:10.0.0.1]:9")).is_ok());
}

#[test]
fn a_datagram_server_answers_only_who_wrote() {
    let gate = lines(&["udp bind,receive,reply 127.0.0.1:5353"]);
    let socket = bound(UDP4, "127.0.0.1:5353");
    assert!(gate.receive(&socket).is_ok());
    assert!(gate.receive_from(&socket, &at("10.0.0.1:9")).is_ok());
    assert!(gate.reply(&socket, &at("10.0.0.1:9")).is_ok());
    assert!(gate.send_to(&socket, &at("10.0.0.1:9")).is_err());
    assert!(gate.receive(&bound(UDP4, "127.0.0.1:5354")).is_err());
    assert!(gate.receive(&fresh(UDP4)).is_err(), "an implicitly bound socket counts as any");
    assert!(gate.reply(&fresh(UDP4), &at("10.0.0.1:9")).is_err());
}

#[test]
fn receiving_is_judged_on_both_ends_of_one_rule() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['receive']\nlocal={cidr=['127.0.0.1'],port=['1']}\npeer={cidr=['10.0.0.1']}\n[[allow]]\nid='b'\nops=['receive']\nlocal={cidr=['127.0.0.1'],port=['2']}\npeer={cidr=['10.0.0.2']}",
    );
    assert!(gate.receive_from(&bound(UDP4, "127.0.0.1:1"), &at("10.0.0.1:9")).is_ok());
    assert!(gate.receive_from(&bound(UDP4, "127.0.0.1:1"), &at("10.0.0.2:9")).is_err());
    assert!(gate.receive_from(&bound(UDP4, "127.0.0.1:2"), &at("10.0.0.1:9")).is_err());
}

#[test]
fn a_connected_datagram_socket_hears_its_peer_alone() {
    let gate = lines(&["udp connect 10.0.0.1:53"]);
    let socket = SocketFacts { peer: Some(at("10.0.0.1:53")), ..fresh(UDP4) };
    assert!(gate.receive(&socket).is_ok());
    assert!(gate.receive_from(&socket, &at("10.0.0.1:53")).is_ok());
    assert!(gate.receive_from(&socket, &at("10.0.0.2:53")).is_err());
    assert!(gate.send_to(&socket, &at("10.0.0.1:53")).is_ok());
    assert!(gate.send_to(&socket, &at("10.0.0.2:53")).is_err());
    assert!(gate.send_to(&fresh(UDP4), &at("10.0.0.1:53")).is_err(), "connect is no send-to");
    assert!(lines(&["udp send-to 10.0.0.1:53"]).receive(&fresh(UDP4)).is_err(), "send-to is no receive");
}

#[test]
fn a_source_port_is_not_got_round_by_an_implicit_bind() {
    let gate = lines(&["tcp connect 10.0.0.1:80 from 127.0.0.1:2000-3000"]);
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:80")).is_err());
    assert!(gate.connect(&bound(TCP4, "127.0.0.1:2500"), &at("10.0.0.1:80")).is_ok());
    assert!(gate.connect(&bound(TCP4, "127.0.0.1:1999"), &at("10.0.0.1:80")).is_err());
}

#[test]
fn options_bind_later_verdicts() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['inet']\nops=['connect']\ncidr=['10.0.0.1']\noptions={set=['so.keepalive','so.bindtodevice=eth0'],get=['so.rcvbuf']}\n[[allow]]\nid='b'\nfamily=['inet']\nops=['connect']\ncidr=['10.0.0.2']",
    );
    let socket = fresh(TCP4);
    assert!(gate.set_option(&socket, option("so.keepalive"), &ONE).is_ok());
    assert!(gate.set_option(&socket, option("1/9"), &ONE).is_ok());
    assert!(gate.set_option(&socket, option("so.mark"), &ONE).is_err());
    assert!(gate.set_option(&socket, option("so.bindtodevice"), b"eth0\0").is_ok());
    assert!(gate.set_option(&socket, option("so.bindtodevice"), b"eth1\0").is_err());
    assert!(gate.get_option(&socket, option("so.rcvbuf")).is_ok());
    assert!(gate.get_option(&socket, option("so.sndbuf")).is_err());
    assert!(gate.get_option(&socket, option("so.error")).is_ok());
    let kept = with_option(socket, "so.keepalive", 1);
    assert!(gate.connect(&kept, &at("10.0.0.1:1")).is_ok());
    let denial = gate.connect(&kept, &at("10.0.0.2:1")).unwrap_err();
    assert!(denial.hint().contains("does not list the option `so.keepalive`"), "{}", denial.hint());
    let nodelay = with_option(fresh(TCP4), "tcp.nodelay", 1);
    assert!(gate.set_option(&nodelay, option("tcp.nodelay"), &ONE).is_ok());
    assert!(gate.connect(&nodelay, &at("10.0.0.2:1")).is_ok());
    let connected = SocketFacts { peer: Some(at("10.0.0.2:1")), ..fresh(TCP4) };
    assert!(gate.set_option(&connected, option("so.keepalive"), &ONE).is_err(), "the rule of that peer does not list it");
}

#[test]
fn a_denied_option_has_no_other_name() {
    let gate = gate("[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\noptions={set=['so.mark','so.priority','*']}\n[[deny]]\nid='d'\noptions={set=['so.mark']}\n[[deny]]\nid='e'\nflags=['oob']\nancillary={send=['credentials']}");
    assert!(gate.set_option(&fresh(TCP4), option("so.priority"), &ONE).is_ok());
    for name in ["so.mark", "1/36"] {
        assert!(gate.set_option(&fresh(TCP4), option(name), &ONE).is_err());
    }
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).is_ok(), "such a deny rule takes the use away, not the peer");
}

#[test]
fn permits_say_what_a_message_may_carry() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['10.0.0.1']\nflags=['oob']\nancillary={receive=['timestamp']}\n[[allow]]\nid='b'\nops=['connect']\ncidr=['10.0.0.0/8']\nflags=['errqueue']\n[[deny]]\nid='d'\nflags=['errqueue']\ncidr=['10.0.0.1']",
    );
    let permit = gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).unwrap();
    assert_eq!(permit.flags(), MessageFlags::ALWAYS | MessageFlags::OOB);
    assert!(permit.ancillary_in().contains(AncillaryKind::Timestamp) && permit.ancillary_out().is_empty());
    let other = gate.connect(&fresh(TCP4), &at("10.0.0.2:1")).unwrap();
    assert_eq!(other.flags(), MessageFlags::ALWAYS | MessageFlags::ERRQUEUE);
    assert!(other.ancillary_in().is_empty());
}

#[test]
fn unix_paths_have_a_place() {
    let gate = gate(
        "[[allow]]\nid='u'\nfamily=['unix']\nops=['connect','bind']\nlocal={root='/run/app',path=['c-*.sock']}\npeer={path=['/run/app/**']}\nmode='0660'\nreplace-stale=true",
    );
    let permit = gate.connect(&fresh(UNIX), &at("/run/app/sub/x.sock")).unwrap_err();
    assert!(permit.hint().contains("asks for a local address") || permit.hint().contains("local address"), "{}", permit.hint());
    let socket = bound(UNIX, "/run/app/c-1.sock");
    let permit = gate.connect(&socket, &at("/run/app/sub/x.sock")).unwrap();
    let place = permit.subject().unix.as_ref().unwrap();
    assert_eq!((place.root.to_str(), place.beneath.to_str()), (Some("/run/app"), Some("sub/x.sock")));
    let permit = gate.bind(&fresh(UNIX), &at("/run/app/c-2.sock")).unwrap();
    assert_eq!((permit.subject().mode, permit.subject().replace_stale), (Some(0o660), true));
    for denied in ["/run/app/../x", "/run/app//x", "/run/app", "/run/app/", "/run/app/./x", "/run/apple/x", "/run/app/x\0y"] {
        assert!(gate.connect(&socket, &at(denied)).is_err(), "{denied}");
    }
    assert!(gate.connect(&socket, &Address::Unix(UnixAddress::Pathname(b"run/app/x".to_vec()))).is_err());
    assert!(gate.bind(&fresh(UNIX), &at("/run/app/sub/c-2.sock")).is_err());
    assert!(gate.connect(&socket, &at("@/run/app/x")).is_err(), "an abstract name that spells a path");
}

#[test]
fn an_unclean_path_is_granted_in_no_mode() {
    let audit = Gate::new(Policy::deny_all().with_mode(Mode::Audit));
    assert!(audit.connect(&fresh(UNIX), &at("/run/../etc/x")).is_err());
    let permit = audit.connect(&fresh(UNIX), &at("/run/x")).unwrap();
    assert_eq!(permit.subject().unix.as_ref().unwrap().root.to_str(), Some("/"));
}

#[test]
fn autobind_is_granted_by_auto_alone() {
    let auto = gate("[[allow]]\nid='a'\nfamily=['unix']\nops=['bind']\nabstract=['auto']");
    assert!(auto.bind(&fresh(UNIX_DATAGRAM), &at("@")).is_ok());
    assert!(auto.bound(&fresh(UNIX_DATAGRAM), &at("@0001f")).is_ok());
    assert!(auto.bind(&fresh(UNIX_DATAGRAM), &at("@0001f")).is_err());
    assert!(auto.bound(&fresh(UNIX_DATAGRAM), &at("@name")).is_err());
    let named = gate("[[allow]]\nid='a'\nfamily=['unix']\nops=['bind']\nabstract=['*']");
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("@")).is_err());
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("@name")).is_ok());
    assert!(named.bind(&fresh(UNIX_DATAGRAM), &at("@a/b")).is_err());
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
    let pair = SocketFacts { origin: Origin::Pair, peer: Some(at("")), ..fresh(UNIX) };
    assert!(gate.pair(UNIX).is_ok() && gate.pair(TCP4).is_err());
    assert_eq!(gate.pair_end(&pair).unwrap().descriptors_out(), DescriptorKinds::empty());
    let connected = SocketFacts { peer: Some(at("/run/x")), ..fresh(UNIX) };
    assert!(gate.descriptor_send(&connected, DescriptorKind::Socket).is_ok());
    assert!(gate.descriptor_send(&connected, DescriptorKind::Opaque).is_err());
    assert!(gate.descriptor_receive(&connected, DescriptorKind::Socket).is_err());
    assert!(gate.descriptor_send(&pair, DescriptorKind::Socket).is_err());
}

#[test]
fn a_pair_may_pass_descriptors_where_its_rule_says_so() {
    let gate = gate("[[allow]]\nid='p'\nfamily=['unix']\nops=['socketpair','descriptor-send','descriptor-receive']\nkinds=['socket','opaque']\n[[allow]]\nid='c'\nfamily=['unix']\nops=['connect']\npath=['/run/x']");
    let pair = SocketFacts { origin: Origin::Pair, peer: Some(at("")), ..fresh(UNIX) };
    assert_eq!(gate.pair_end(&pair).unwrap().descriptors_in(), DescriptorKinds::all());
    assert!(gate.descriptor_send(&pair, DescriptorKind::Opaque).is_ok());
    let connected = gate.connect(&fresh(UNIX), &at("/run/x")).unwrap();
    assert_eq!(connected.descriptors_out(), DescriptorKinds::empty(), "the pair's rule is about pairs");
}

#[test]
fn adopted_sockets_are_judged_as_if_made_here() {
    let gate = lines(&["tcp connect 10.0.0.1:80", "tcp listen 127.0.0.1:81", "udp bind,receive,reply 127.0.0.1:82", "udp bind 127.0.0.1:83"]);
    let connected = |peer: &str| SocketFacts { peer: Some(at(peer)), ..bound(TCP4, "127.0.0.1:5000") };
    assert!(matches!(gate.adopt(&connected("10.0.0.1:80"), AdoptedState::Connected), Ok(Adopted::Connected(_))));
    assert!(gate.adopt(&connected("10.0.0.2:80"), AdoptedState::Connected).is_err());
    let server_side = SocketFacts { peer: Some(at("10.0.0.2:5000")), ..bound(TCP4, "127.0.0.1:81") };
    assert!(gate.adopt(&server_side, AdoptedState::Connected).is_ok());
    assert!(matches!(gate.adopt(&bound(TCP4, "127.0.0.1:81"), AdoptedState::Listening), Ok(Adopted::Listening(_))));
    assert!(gate.adopt(&bound(TCP4, "127.0.0.1:82"), AdoptedState::Listening).is_err());
    assert!(matches!(gate.adopt(&bound(UDP4, "127.0.0.1:82"), AdoptedState::Bound), Ok(Adopted::Bound(_))));
    assert!(gate.adopt(&bound(UDP4, "127.0.0.1:83"), AdoptedState::Bound).is_err(), "bind alone is too little");
    assert!(matches!(gate.adopt(&fresh(TCP4), AdoptedState::Unbound), Ok(Adopted::Unbound(_))));
    assert!(gate.adopt(&fresh(UNIX), AdoptedState::Unbound).is_err());
    let marked = with_option(connected("10.0.0.1:80"), "so.mark", 1);
    assert!(gate.adopt(&marked, AdoptedState::Connected).is_err(), "its options must be listed");
}

#[test]
fn granted_sockets_need_no_rule_and_obey_deny() {
    let gate = gate("[[deny]]\nid='d'\npeer={class=['global']}");
    let listener = SocketFacts { granted: true, ..bound(TCP4, "0.0.0.0:80") };
    assert!(gate.granted(&listener).is_ok());
    assert_eq!(gate.accept(&listener, &at("10.0.0.1:9")).unwrap().rule(), "(granted)");
    assert!(gate.accept(&listener, &at("8.8.8.8:9")).is_err());
    let datagram = SocketFacts { granted: true, ..bound(UDP4, "0.0.0.0:53") };
    assert!(gate.receive(&datagram).is_ok() && gate.reply(&datagram, &at("10.0.0.1:9")).is_ok());
    assert!(gate.receive_from(&datagram, &at("8.8.8.8:9")).is_err());
    assert!(gate.send_to(&datagram, &at("10.0.0.1:9")).is_err());
    assert!(gate.connect(&listener, &at("10.0.0.1:9")).is_err());
    assert!(gate.bind(&listener, &at("0.0.0.0:81")).is_err());
    assert!(gate.set_option(&listener, option("so.mark"), &ONE).is_err());
}

#[test]
fn groups_sources_and_interfaces() {
    let gate = gate("[[allow]]\nid='g'\nfamily=['inet']\nops=['join-group']\ngroup=['239.1.0.0/16']\nsource=['10.0.0.1']\ninterface=['eth*']");
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
    assert_eq!(permit.unguarded().unwrap().to_string(), "no rule grants connect to 10.0.0.2:1");
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).is_err());
    let slot = gate.slot().unwrap();
    assert!(gate.slot().is_err());
    drop(slot);
    assert!(gate.slot().is_ok());
}

#[test]
fn buffers_are_counted() {
    let gate = gate("[limits]\nbuffer-bytes='1 KiB'");
    let held = gate.buffer(1000).unwrap();
    let reached = gate.buffer(25).unwrap_err();
    assert_eq!((reached.key, reached.limit), ("buffer-bytes", 1024));
    assert!(gate.buffer(24).is_ok());
    assert!(gate.buffer(usize::MAX).is_err());
    drop(held);
    assert!(gate.buffer(1024).is_ok());
}

#[test]
fn kinds_that_no_rule_can_name_are_granted_by_none() {
    let gate = gate("[[allow]]\nid='a'\nops=['connect']\npeer='*'");
    assert!(gate.create(TCP4).is_ok());
    let kind = |family, socket_type, protocol| Kind { family, socket_type, protocol };
    assert!(gate.create(kind(Family::Other(29), SocketType::Raw, 1)).is_err());
    assert!(gate.create(kind(Family::Inet, SocketType::Raw, 255)).is_err());
    assert!(gate.create(kind(Family::Inet, SocketType::Datagram, 1)).is_err(), "a ping socket");
    assert!(gate.create(kind(Family::Inet, SocketType::Stream, 262)).is_ok(), "MPTCP is a stream to the same peers");
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
    assert_eq!((denial.operation(), denial.subject()), ("connect", "10.1.2.3:22".to_owned()));
}

/// Each hint's line, added to the policy, grants what was denied.
#[test]
fn hints_keep_their_word() {
    let gate = Gate::new(Policy::deny_all());
    let line = |hint: String| hint.strip_prefix("--allow '").unwrap().strip_suffix('\'').unwrap().to_owned();
    let granted = |hint: String, again: &dyn Fn(&Gate) -> bool| {
        let line = line(hint);
        let policy = Policy::allow_line(&line).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(again(&Gate::new(policy)), "`{line}` does not grant it");
    };
    for (kind, peer) in [(TCP4, "10.0.0.1:80"), (TCP6, "[2001:db8::1]:80"), (UNIX, "/run/x.sock"), (UNIX, "@name"), (UDP4, "0.0.0.0:53")] {
        let peer = at(peer);
        granted(gate.connect(&fresh(kind), &peer).unwrap_err().grant_hint(), &|gate| gate.connect(&fresh(kind), &peer).is_ok());
        granted(gate.bind(&fresh(kind), &peer).unwrap_err().grant_hint(), &|gate| gate.bind(&fresh(kind), &peer).is_ok());
        let marked = with_option(fresh(kind), "so.mark", 1);
        granted(gate.connect(&marked, &peer).unwrap_err().grant_hint(), &|gate| gate.connect(&marked, &peer).is_ok());
    }
    let listener = bound(TCP4, "0.0.0.0:80");
    let client = at("10.0.0.1:9999");
    granted(gate.listen(&listener).unwrap_err().grant_hint(), &|gate| gate.listen(&listener).is_ok());
    granted(gate.accept(&listener, &client).unwrap_err().grant_hint(), &|gate| gate.accept(&listener, &client).is_ok());
    let socket = bound(UDP4, "127.0.0.1:53");
    granted(gate.send_to(&socket, &client).unwrap_err().grant_hint(), &|gate| gate.send_to(&socket, &client).is_ok());
    granted(gate.reply(&socket, &client).unwrap_err().grant_hint(), &|gate| gate.reply(&socket, &client).is_ok());
    granted(gate.receive(&socket).unwrap_err().grant_hint(), &|gate| gate.receive(&socket).is_ok());
    granted(gate.receive_from(&socket, &client).unwrap_err().grant_hint(), &|gate| gate.receive_from(&socket, &client).is_ok());
    granted(gate.resolve(b"a.example").unwrap_err().grant_hint(), &|gate| gate.resolve(b"a.example").is_ok());
    granted(gate.interfaces().unwrap_err().grant_hint(), &|gate| gate.interfaces().is_ok());
    granted(gate.pair(UNIX).unwrap_err().grant_hint(), &|gate| gate.pair(UNIX).is_ok());
}

#[test]
fn explain_ranks_the_rules() {
    let policy = Policy::from_toml(&Source::new("p.toml", "version = 1\n[[allow]]\nid = 'far'\nops = ['interfaces']\n[[allow]]\nid = 'near'\nfamily = ['inet']\nops = ['connect']\ncidr = ['10.1.0.0/16']\nport = ['443']\n")).unwrap();
    let question = sockgate_policy::Question::parse("tcp connect 10.1.2.3:22").unwrap();
    assert_eq!(
        policy.explain(&question).to_string(),
        "denied: tcp connect 10.1.2.3:22 (no rule grants it)\n  \
         rule `near` (p.toml:5) covers the peer, but not its port 22\n  \
         rule `far` (p.toml:2) does not list `connect`\n  \
         to change that: rule `near` comes nearest: it covers the peer, but not its port 22; \
         this would grant it: --allow 'tcp connect 10.1.2.3:22'"
    );
    let granted = sockgate_policy::Question::parse("tcp connect 10.1.2.3:443 from 127.0.0.1:1").unwrap();
    assert!(policy.explain(&granted).granted());
}
