//! Verdicts on connections: what each word of a policy grants, and what it does not.

mod common;

use std::net::IpAddr;

use common::{
    ONE, TCP4, TCP6, UDP4, UNIX, at, bound, data, fresh, gate, lines, option, with_option,
};
use sockgate_policy::{
    Address, Adopted, AdoptedState, Denial, Gate, MessageFlags, Origin, Policy, Reason,
    SocketFacts, UnixAddress,
};

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
    assert!(
        gate.interfaces().is_err() && gate.hostname().is_err() && gate.set_hostname(b"x").is_err()
    );
    assert!(
        gate.get_option(&fresh(TCP4), option("so.keepalive"))
            .is_err()
    );
    assert!(gate.disconnect(&fresh(UDP4)).is_err());
    assert!(gate.splice(&fresh(TCP4), &fresh(TCP4)).is_err());
    assert!(gate.ioctl(&fresh(TCP4), "bytes-readable").is_err());
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
    assert!(
        gate.send_to(&fresh(TCP4), &at("10.1.2.3:443"), &data(&fresh(TCP4)))
            .is_err()
    );
}

#[test]
fn every_spelling_of_an_address_is_the_same_address() {
    let gate = lines(&[
        "tcp connect 10.0.0.0/8:443",
        "tcp connect 127.0.0.1:80",
        "tcp connect [::1]:80",
    ]);
    for mapped in ["[::ffff:10.0.0.1]:443", "[::10.0.0.1]:443"] {
        let permit = gate.connect(&fresh(TCP6), &at(mapped)).unwrap();
        assert_eq!(permit.subject().address, at("10.0.0.1:443"));
    }
    assert!(
        gate.connect(&fresh(TCP6), &at("[::ffff:11.0.0.1]:443"))
            .is_err()
    );
    assert_eq!(
        gate.connect(&fresh(TCP4), &at("0.0.0.0:80"))
            .unwrap()
            .subject()
            .address,
        at("127.0.0.1:80")
    );
    assert_eq!(
        gate.connect(&fresh(TCP6), &at("[::]:80"))
            .unwrap()
            .subject()
            .address,
        at("[::1]:80")
    );
}

#[test]
fn a_rule_for_one_family_does_not_grant_the_other_by_mapping() {
    let six = gate("[[allow]]\nid='a'\nfamily=['inet6']\nops=['connect']\ncidr=['*']");
    assert!(six.connect(&fresh(TCP6), &at("[2001:db8::1]:1")).is_ok());
    assert!(
        six.connect(&fresh(TCP6), &at("[::ffff:10.0.0.1]:1"))
            .is_err()
    );
    let denied =
        gate("[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\n[[deny]]\nid='d'\nfamily=['inet']");
    assert!(
        denied
            .connect(&fresh(TCP6), &at("[::ffff:10.0.0.1]:1"))
            .is_err()
    );
    assert!(denied.connect(&fresh(TCP6), &at("[2001:db8::1]:1")).is_ok());
    assert!(denied.create(TCP4).is_err());
}

#[test]
fn addresses_inside_addresses_are_judged_as_well() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\n[[deny]]\nid='d'\nclass=['private','loopback','metadata']",
    );
    for denied in [
        "[64:ff9b::10.0.0.1]:1",
        "[2002:7f00:1::]:1",
        "[2001:0:808:808:0:0:5601:5601]:1",
        "[64:ff9b::169.254.169.254]:1",
    ] {
        let denial = gate.connect(&fresh(TCP6), &at(denied)).unwrap_err();
        assert!(
            matches!(denial.reason(), Reason::Rule(rule) if rule.as_str() == "d"),
            "{denied}: {denial}"
        );
    }
    assert!(
        gate.connect(&fresh(TCP6), &at("[64:ff9b::8.8.8.8]:1"))
            .is_ok()
    );
    let narrow = lines(&[
        "tcp connect [2001:db8::/32]:1",
        "tcp connect [64:ff9b::/96]:1",
    ]);
    assert!(
        narrow
            .connect(&fresh(TCP6), &at("[64:ff9b::8.8.8.8]:1"))
            .is_err(),
        "8.8.8.8 itself is not granted"
    );
}

#[test]
fn deny_beats_allow_whatever_the_order() {
    let gate = gate(
        "[[deny]]\nid='no'\ncidr=['10.0.0.5']\n[[allow]]\nid='yes'\nops=['connect','interfaces']\ncidr=['10.0.0.0/8']",
    );
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.4:1")).is_ok());
    let denial = gate.connect(&fresh(TCP4), &at("10.0.0.5:1")).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "deny rule `no` forbids connect to 10.0.0.5:1"
    );
    assert!(gate.interfaces().is_ok());
}

#[test]
fn a_name_grants_what_it_resolved_to_until_its_pin_ends() {
    let gate = gate(
        "[[allow]]\nid='db'\nfamily=['inet','inet6']\nops=['resolve','connect']\nhost=['db.example.com']\nport=['5432']\npin='80ms'",
    );
    let (public, private): (IpAddr, IpAddr) = (
        "93.184.216.34".parse().unwrap(),
        "10.0.0.1".parse().unwrap(),
    );
    assert!(
        gate.connect(&fresh(TCP4), &at("93.184.216.34:5432"))
            .is_err(),
        "not resolved yet"
    );
    assert!(gate.resolve(b"example.com").is_err() && gate.resolve(b"evildb.example.com").is_err());
    assert!(gate.resolve(b"127.1").is_err());
    let resolved = gate.resolve(b"DB.Example.com.").unwrap();
    assert_eq!(resolved.subject().as_str(), "db.example.com");
    assert_eq!(gate.pin(&resolved, &[private, public, public]), [public]);
    let permit = gate
        .connect(&fresh(TCP4), &at("93.184.216.34:5432"))
        .unwrap();
    assert!(permit.holds(&gate) && permit.expires().is_some());
    assert!(gate.connect(&fresh(TCP4), &at("93.184.216.34:22")).is_err());
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:5432")).is_err());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!permit.holds(&gate));
    assert!(
        gate.connect(&fresh(TCP4), &at("93.184.216.34:5432"))
            .is_err()
    );
    let established = SocketFacts {
        peer: Some(at("93.184.216.34:5432")),
        ..fresh(TCP4)
    };
    assert!(
        gate.converse(&established).unwrap().expires().is_none(),
        "a connection outlives its pin"
    );
}

#[test]
fn a_name_for_loopback_needs_leave() {
    let answer: IpAddr = "127.0.0.1".parse().unwrap();
    let rule = "[[allow]]\nid='l'\nops=['resolve','connect']\nhost=['localhost']\n";
    let without = gate(rule);
    assert!(
        without
            .pin(&without.resolve(b"localhost").unwrap(), &[answer])
            .is_empty()
    );
    let with = gate(&format!("{rule}host-may-be=['loopback']"));
    assert_eq!(
        with.pin(&with.resolve(b"localhost").unwrap(), &[answer]),
        [answer]
    );
    assert!(with.connect(&fresh(TCP4), &at("127.0.0.1:1")).is_ok());
    let denied = gate(&format!(
        "{rule}host-may-be=['loopback']\n[[deny]]\nid='d'\nclass=['loopback']"
    ));
    assert!(
        denied
            .pin(&denied.resolve(b"localhost").unwrap(), &[answer])
            .is_empty()
    );
}

#[test]
fn every_name_in_a_line_is_every_name_in_a_file() {
    let answer: IpAddr = "93.184.216.34".parse().unwrap();
    let resolved = |gate: &Gate| gate.pin(&gate.resolve(b"a.example").unwrap(), &[answer]);
    let reaches = |gate: &Gate, peer: &str| gate.connect(&fresh(TCP4), &at(peer)).is_ok();
    let file = "[[allow]]\nid='n'\nfamily=['inet','inet6']\ntype=['stream']\nops=['resolve','connect']\nhost=['*']\n";
    for (gate, other_port) in [
        (lines(&["tcp resolve,connect *"]), true),
        (gate(file), true),
        (lines(&["tcp resolve,connect *:443"]), false),
        (lines(&["tcp connect,resolve peer *:443"]), false),
        (gate(&format!("{file}port=['443']")), false),
    ] {
        assert!(!reaches(&gate, "93.184.216.34:443"), "not resolved yet");
        assert_eq!(resolved(&gate), [answer]);
        assert!(reaches(&gate, "93.184.216.34:443"));
        assert_eq!(reaches(&gate, "93.184.216.34:80"), other_port);
        assert!(!reaches(&gate, "93.184.216.35:443"));
    }
    let alone = lines(&["resolve *"]);
    assert_eq!(resolved(&alone), [answer]);
    assert!(!reaches(&alone, "93.184.216.34:443"));
    let unresolving = lines(&["tcp connect *:443"]);
    assert!(unresolving.resolve(b"a.example").is_err());
    assert!(reaches(&unresolving, "93.184.216.34:443"));
}

#[test]
fn a_reload_ends_permits_and_forgets_names() {
    let gate = lines(&["tcp resolve,connect db.example.com:5432"]);
    let resolved = gate.resolve(b"db.example.com").unwrap();
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    assert_eq!(gate.pin(&resolved, &[public]), [public]);
    let permit = gate
        .connect(&fresh(TCP4), &at("93.184.216.34:5432"))
        .unwrap();
    gate.replace(Policy::allow_line("tcp resolve,connect *.example.com:5432").unwrap());
    assert!(!permit.holds(&gate));
    assert!(
        gate.pin(&resolved, &[public]).is_empty(),
        "an old permit pins nothing"
    );
    assert!(
        gate.connect(&fresh(TCP4), &at("93.184.216.34:5432"))
            .is_ok(),
        "the name is still granted"
    );
    gate.replace(Policy::deny_all());
    gate.replace(Policy::allow_line("tcp resolve,connect db.example.com:5432").unwrap());
    assert!(
        gate.connect(&fresh(TCP4), &at("93.184.216.34:5432"))
            .is_err()
    );
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
    assert!(
        loopback.listen(&fresh(TCP4)).is_err(),
        "never bound: 0.0.0.0 and port 0"
    );
    assert!(loopback.bind(&fresh(TCP4), &at("127.0.0.1:80")).is_ok());
    assert!(
        lines(&["tcp listen *:80"])
            .bind(&fresh(TCP4), &at("0.0.0.0:80"))
            .is_ok()
    );
    assert!(
        lines(&["tcp listen 0.0.0.0/0:80"])
            .bind(&fresh(TCP4), &at("0.0.0.0:80"))
            .is_ok()
    );
    let denied = gate(
        "[[allow]]\nid='a'\nops=['listen']\ncidr=['*']\n[[deny]]\nid='d'\nops=['bind','listen']\ncidr=['127.0.0.0/8']",
    );
    assert!(
        denied.bind(&fresh(TCP4), &at("0.0.0.0:80")).is_err(),
        "the wildcard has the loopback address in it"
    );
    assert!(denied.bind(&fresh(TCP4), &at("10.0.0.1:80")).is_ok());
}

#[test]
fn listening_carries_what_a_server_does() {
    let gate = gate(
        "[[allow]]\nid='web'\nfamily=['inet']\ntype=['stream']\nops=['listen']\ncidr=['127.0.0.1']\nport=['80']\npeer={cidr=['10.0.0.0/8']}",
    );
    let listener = bound(TCP4, "127.0.0.1:80");
    assert!(gate.bind(&fresh(TCP4), &at("127.0.0.1:80")).is_ok());
    assert_eq!(
        gate.listen(&listener).unwrap().subject(),
        &at("127.0.0.1:80")
    );
    assert!(gate.accept(&listener, &at("10.0.0.9:5000")).is_ok());
    assert!(gate.accept(&listener, &at("11.0.0.9:5000")).is_err());
    let accepted = SocketFacts {
        peer: Some(at("10.0.0.9:5000")),
        origin: Origin::Accept,
        ..listener.clone()
    };
    assert!(gate.converse(&accepted).is_ok() && gate.shutdown(&accepted).is_ok());
    let connected = SocketFacts {
        origin: Origin::Socket,
        ..accepted
    };
    assert!(
        gate.converse(&connected).is_err(),
        "listening is no leave to connect"
    );
    assert!(
        gate.set_option(&fresh(TCP4), option("so.reuseaddr"), &ONE)
            .is_ok()
    );
    assert!(
        gate.listen(&with_option(listener, "so.reuseaddr", 1))
            .is_ok()
    );
    assert!(
        gate.set_option(&fresh(TCP4), option("so.reuseport"), &ONE)
            .is_err()
    );
}

#[test]
fn both_families_on_one_socket_need_both_wildcards() {
    let both = lines(&["tcp listen *:80"]);
    assert!(both.dual_stack(&fresh(TCP6), &at("[::]:80")));
    let six = lines(&["tcp listen [::]:80"]);
    assert!(!six.dual_stack(&fresh(TCP6), &at("[::]:80")));
    assert!(six.bind(&fresh(TCP6), &at("[::]:80")).is_ok());
    let open = SocketFacts {
        v6only: false,
        ..fresh(TCP6)
    };
    assert!(six.bind(&open, &at("[::]:80")).is_err() && both.bind(&open, &at("[::]:80")).is_ok());
    assert!(
        six.listen(&SocketFacts {
            v6only: false,
            ..bound(TCP6, "[::]:80")
        })
        .is_err()
    );
    assert!(
        six.accept(&bound(TCP6, "[::]:80"), &at("[::ffff:10.0.0.1]:9"))
            .is_ok()
    );
}

#[test]
fn a_datagram_server_answers_only_who_wrote() {
    let gate = lines(&["udp bind,receive,reply 127.0.0.1:5353"]);
    let socket = bound(UDP4, "127.0.0.1:5353");
    assert!(gate.receive(&socket).is_ok());
    assert!(
        gate.receive_from(&socket, &at("10.0.0.1:9"), &data(&socket))
            .is_ok()
    );
    assert!(
        gate.reply(&socket, &at("10.0.0.1:9"), &data(&socket))
            .is_ok()
    );
    assert!(
        gate.send_to(&socket, &at("10.0.0.1:9"), &data(&socket))
            .is_err()
    );
    assert!(gate.receive(&bound(UDP4, "127.0.0.1:5354")).is_err());
    assert!(
        gate.receive(&fresh(UDP4)).is_err(),
        "an implicitly bound socket counts as any"
    );
    assert!(
        gate.reply(&fresh(UDP4), &at("10.0.0.1:9"), &data(&fresh(UDP4)))
            .is_err()
    );
}

#[test]
fn receiving_is_judged_on_both_ends_of_one_rule() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['receive']\nlocal={cidr=['127.0.0.1'],port=['1']}\npeer={cidr=['10.0.0.1']}\n[[allow]]\nid='b'\nops=['receive']\nlocal={cidr=['127.0.0.1'],port=['2']}\npeer={cidr=['10.0.0.2']}",
    );
    assert!(
        gate.receive_from(
            &bound(UDP4, "127.0.0.1:1"),
            &at("10.0.0.1:9"),
            &data(&bound(UDP4, "127.0.0.1:1"))
        )
        .is_ok()
    );
    assert!(
        gate.receive_from(
            &bound(UDP4, "127.0.0.1:1"),
            &at("10.0.0.2:9"),
            &data(&bound(UDP4, "127.0.0.1:1"))
        )
        .is_err()
    );
    assert!(
        gate.receive_from(
            &bound(UDP4, "127.0.0.1:2"),
            &at("10.0.0.1:9"),
            &data(&bound(UDP4, "127.0.0.1:2"))
        )
        .is_err()
    );
}

#[test]
fn a_connected_datagram_socket_hears_its_peer_alone() {
    let gate = lines(&["udp connect 10.0.0.1:53"]);
    let socket = SocketFacts {
        peer: Some(at("10.0.0.1:53")),
        ..fresh(UDP4)
    };
    assert!(gate.receive(&socket).is_ok());
    assert!(
        gate.receive_from(&socket, &at("10.0.0.1:53"), &data(&socket))
            .is_ok()
    );
    assert!(
        gate.receive_from(&socket, &at("10.0.0.2:53"), &data(&socket))
            .is_err()
    );
    assert!(
        gate.send_to(&socket, &at("10.0.0.1:53"), &data(&socket))
            .is_ok()
    );
    assert!(
        gate.send_to(&socket, &at("10.0.0.2:53"), &data(&socket))
            .is_err()
    );
    assert!(
        gate.send_to(&fresh(UDP4), &at("10.0.0.1:53"), &data(&fresh(UDP4)))
            .is_err(),
        "connect is no send-to"
    );
    assert!(
        lines(&["udp send-to 10.0.0.1:53"])
            .receive(&fresh(UDP4))
            .is_err(),
        "send-to is no receive"
    );
}

#[test]
fn a_source_port_is_not_got_round_by_an_implicit_bind() {
    let gate = lines(&["tcp connect 10.0.0.1:80 from 127.0.0.1:2000-3000"]);
    assert!(gate.connect(&fresh(TCP4), &at("10.0.0.1:80")).is_err());
    assert!(
        gate.connect(&bound(TCP4, "127.0.0.1:2500"), &at("10.0.0.1:80"))
            .is_ok()
    );
    assert!(
        gate.connect(&bound(TCP4, "127.0.0.1:1999"), &at("10.0.0.1:80"))
            .is_err()
    );
}

#[test]
fn adopted_sockets_are_judged_as_if_made_here() {
    let gate = lines(&[
        "tcp connect 10.0.0.1:80",
        "tcp listen 127.0.0.1:81",
        "udp bind,receive,reply 127.0.0.1:82",
        "udp bind 127.0.0.1:83",
    ]);
    let connected = |peer: &str| SocketFacts {
        peer: Some(at(peer)),
        ..bound(TCP4, "127.0.0.1:5000")
    };
    assert!(matches!(
        gate.adopt(&connected("10.0.0.1:80"), AdoptedState::Connected),
        Ok(Adopted::Connected(_))
    ));
    assert!(
        gate.adopt(&connected("10.0.0.2:80"), AdoptedState::Connected)
            .is_err()
    );
    let server_side = SocketFacts {
        peer: Some(at("10.0.0.2:5000")),
        ..bound(TCP4, "127.0.0.1:81")
    };
    assert!(gate.adopt(&server_side, AdoptedState::Connected).is_ok());
    assert!(matches!(
        gate.adopt(&bound(TCP4, "127.0.0.1:81"), AdoptedState::Listening),
        Ok(Adopted::Listening(_))
    ));
    assert!(
        gate.adopt(&bound(TCP4, "127.0.0.1:82"), AdoptedState::Listening)
            .is_err()
    );
    assert!(matches!(
        gate.adopt(&bound(UDP4, "127.0.0.1:82"), AdoptedState::Bound),
        Ok(Adopted::Bound(_))
    ));
    assert!(
        gate.adopt(&bound(UDP4, "127.0.0.1:83"), AdoptedState::Bound)
            .is_err(),
        "bind alone is too little"
    );
    assert!(matches!(
        gate.adopt(&fresh(TCP4), AdoptedState::Unbound),
        Ok(Adopted::Unbound(_))
    ));
    assert!(gate.adopt(&fresh(UNIX), AdoptedState::Unbound).is_err());
    let marked = with_option(connected("10.0.0.1:80"), "so.mark", 1);
    assert!(
        gate.adopt(&marked, AdoptedState::Connected).is_err(),
        "its options must be listed"
    );
}

#[test]
fn granted_sockets_need_no_rule_and_obey_deny() {
    let gate = gate("[[deny]]\nid='d'\npeer={class=['global']}");
    let listener = SocketFacts {
        granted: true,
        ..bound(TCP4, "0.0.0.0:80")
    };
    assert!(gate.granted(&listener).is_ok());
    assert_eq!(
        gate.accept(&listener, &at("10.0.0.1:9")).unwrap().rule(),
        "(granted)"
    );
    assert!(gate.accept(&listener, &at("8.8.8.8:9")).is_err());
    let datagram = SocketFacts {
        granted: true,
        ..bound(UDP4, "0.0.0.0:53")
    };
    assert!(
        gate.receive(&datagram).is_ok()
            && gate
                .reply(&datagram, &at("10.0.0.1:9"), &data(&datagram))
                .is_ok()
    );
    assert!(
        gate.receive_from(&datagram, &at("8.8.8.8:9"), &data(&datagram))
            .is_err()
    );
    assert!(
        gate.send_to(&datagram, &at("10.0.0.1:9"), &data(&datagram))
            .is_err()
    );
    assert!(gate.connect(&listener, &at("10.0.0.1:9")).is_err());
    assert!(gate.bind(&listener, &at("0.0.0.0:81")).is_err());
    assert!(gate.set_option(&listener, option("so.mark"), &ONE).is_err());
}

#[test]
fn a_socket_is_made_for_the_operations_that_no_deny_rule_takes() {
    let rules = |denied: &str| {
        gate(&format!(
            "[[allow]]\nid='listen'\nops=['listen']\ncidr=['127.0.0.1']\n\
             [[deny]]\nid='deny'\nops=[{denied}]\npeer='*'\nlocal='*'\n"
        ))
    };
    let here = bound(TCP4, "127.0.0.1:80");
    let no_connections = rules("'connect'");
    assert!(no_connections.create(TCP4).is_ok());
    assert!(no_connections.listen(&here).is_ok());
    let nothing = rules("'connect','bind','listen','send-to','receive'");
    assert!(nothing.create(TCP4).is_err());
}

#[test]
fn a_suggestion_is_a_line_that_loads_or_says_why_there_is_none() {
    let nothing = Gate::new(Policy::deny_all());
    let hint = |denial: Denial| denial.grant_hint();
    let nat64 = hint(
        nothing
            .connect(&fresh(TCP6), &at("[64:ff9b::a00:1]:80"))
            .unwrap_err(),
    );
    assert!(nat64.contains("lists both"), "{nat64}");
    let relative = Address::Unix(UnixAddress::Pathname(b"x.sock".to_vec()));
    let relative = hint(nothing.connect(&fresh(UNIX), &relative).unwrap_err());
    assert!(relative.contains("not absolute"), "{relative}");
    let listening = hint(nothing.listen(&bound(UDP4, "127.0.0.1:80")).unwrap_err());
    assert!(listening.contains("do not listen"), "{listening}");
    let isotp = hint(nothing.create(common::families::CAN_ISOTP).unwrap_err());
    let line = isotp.trim_start_matches("--allow '").trim_end_matches('\'');
    assert!(Policy::allow_line(line).is_ok(), "{line}");
}
