//! Verdicts on TIPC: services, ranges of them, sockets and groups.

mod common;

use common::{data, fresh, gate, option};
use sockgate_policy::{
    Address, Family, Gate, Kind, Policy, SocketFacts, SocketType, TipcAddress, TipcEndpoint,
    unnamed_destination,
};

const RDM: Kind = Kind {
    family: Family::Tipc,
    socket_type: SocketType::Rdm,
    protocol: 0,
};
const STREAM: Kind = Kind {
    socket_type: SocketType::Stream,
    ..RDM
};
const CLUSTER: i8 = 2;
const NODE: i8 = 3;

fn tipc(endpoint: TipcEndpoint, scope: i8) -> Address {
    Address::Tipc(TipcAddress { endpoint, scope })
}

fn service(service: u32, instance: u32) -> Address {
    scoped(service, instance, CLUSTER)
}

fn scoped(service: u32, instance: u32, scope: i8) -> Address {
    on_node(service, instance, 0, scope)
}

fn on_node(service: u32, instance: u32, domain: u32, scope: i8) -> Address {
    let name = TipcEndpoint::Name {
        service,
        instance,
        domain,
    };
    tipc(name, scope)
}

fn range(service: u32, lower: u32, upper: u32) -> Address {
    let range = TipcEndpoint::Range {
        service,
        lower,
        upper,
    };
    tipc(range, CLUSTER)
}

fn socket(node: u32, reference: u32) -> Address {
    tipc(TipcEndpoint::Id { reference, node }, 0)
}

fn bound(kind: Kind, local: Address) -> SocketFacts {
    SocketFacts {
        local: Some(local),
        ..fresh(kind)
    }
}

fn sends(gate: &Gate, s: &SocketFacts, to: &Address) -> bool {
    gate.send_to(s, to, &data(s)).is_ok()
}

fn hears(gate: &Gate, s: &SocketFacts, from: &Address) -> bool {
    gate.receive_from(s, from, &data(s)).is_ok()
}

const CLIENT: &str = "[[allow]]\nid='a'\nfamily=['tipc']\nops=['send-to', 'connect']\n\
                      service=[18888]\ninstance=['30-40','10-20']";

#[test]
fn a_service_is_reached_inside_its_instances_and_at_their_edges() {
    let gate = gate(CLIENT);
    for to in [
        service(18888, 10),
        service(18888, 20),
        range(18888, 10, 20),
        range(18888, 12, 12),
        on_node(18888, 15, 0x1001, CLUSTER),
    ] {
        assert!(sends(&gate, &fresh(RDM), &to), "{to}");
        assert!(gate.connect(&fresh(STREAM), &to).is_ok(), "{to}");
    }
    for to in [
        service(18888, 9),
        service(18888, 21),
        range(18888, 15, 30),
        service(18889, 15),
        range(18888, 9, 20),
        range(18888, 10, 21),
        range(18888, 0, u32::MAX),
        socket(0x1001, 5),
    ] {
        assert!(!sends(&gate, &fresh(RDM), &to), "{to}");
        assert!(gate.connect(&fresh(STREAM), &to).is_err(), "{to}");
    }
}

/// A message comes from a socket, whatever names that is bound to: only its node says something of it.
#[test]
fn senders_and_callers_are_known_by_their_node_alone() {
    let named = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind', 'receive', 'listen']\n\
         local={service=[18888]}\npeer={service=[18889]}",
    );
    let server = bound(RDM, service(18888, 1));
    assert!(!hears(&named, &server, &socket(0, 5)));
    assert!(
        named
            .accept(&bound(STREAM, service(18888, 1)), &socket(0, 5))
            .is_err()
    );
    let node = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind', 'receive', 'listen']\n\
         local={service=[18888]}\npeer={node=['0x1001']}",
    );
    assert!(hears(&node, &server, &socket(0x1001, 5)));
    assert!(!hears(&node, &server, &socket(0x1002, 5)));
    let listener = bound(STREAM, service(18888, 1));
    assert!(node.accept(&listener, &socket(0x1001, 5)).is_ok());
    assert!(node.accept(&listener, &socket(0x1002, 5)).is_err());
    let all = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind', 'receive', 'reply']\n\
         local={service=[18888]}\npeer='*'",
    );
    assert!(hears(&all, &server, &socket(0x1002, 5)));
    assert!(
        all.reply(&server, &socket(0x1002, 5), &data(&server))
            .is_ok()
    );
    assert!(!sends(&all, &server, &socket(0x1002, 5)));
}

/// One socket of the cluster may be bound to any name.
#[test]
fn a_socket_is_every_service_and_of_no_scope() {
    let asks = |rules: &str| {
        let gate = gate(&format!("{}\n{rules}", CLIENT.replace("'10-20'", "'*'")));
        sends(&gate, &fresh(RDM), &socket(0x1001, 5))
    };
    let every = |keys: &str| {
        asks(&format!(
            "[[allow]]\nid='b'\nfamily=['tipc']\nops=['send-to']\nservice=['*']\n{keys}"
        ))
    };
    assert!(!asks(""));
    assert!(every("") && every("instance=['*']"));
    assert!(!every("instance=[1]") && !every("scope=['cluster']"));
    let denied = |key: &str| every(&format!("[[deny]]\nid='d'\nfamily=['tipc']\n{key}"));
    assert!(!denied("service=[1]") && !denied("instance=[1]") && !denied("node=['0x1001']"));
    assert!(denied("node=['0x1002']"));
}

#[test]
fn a_destination_may_be_held_to_a_node() {
    // A service that is looked up everywhere may be found on the denied node.
    let denying = self::gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['send-to']\nservice=['*']\n\
         [[deny]]\nid='d'\nfamily=['tipc']\nnode=['5']",
    );
    for (domain, granted) in [(6, true), (5, false), (0, false)] {
        let to = on_node(18888, 1, domain, CLUSTER);
        assert_eq!(sends(&denying, &fresh(RDM), &to), granted, "{domain}");
    }
    let gate = gate("[[allow]]\nid='a'\nfamily=['tipc']\nops=['send-to']\nnode=['5']");
    assert!(sends(&gate, &fresh(RDM), &on_node(18888, 1, 5, CLUSTER)));
    assert!(sends(&gate, &fresh(RDM), &socket(5, 77)));
    for to in [
        on_node(18888, 1, 6, CLUSTER),
        service(18888, 1),
        range(18888, 1, 1),
        socket(6, 77),
    ] {
        assert!(!sends(&gate, &fresh(RDM), &to), "{to}");
    }
}

/// The kernel takes every scope but the node's for the cluster's, and a negative one for a withdrawal.
#[test]
fn a_binding_s_scope_is_what_the_kernel_makes_of_it() {
    let node =
        gate("[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind']\nservice=[18888]\nscope=['node']");
    for scope in [NODE, -NODE] {
        assert!(node.bind(&fresh(RDM), &scoped(18888, 1, scope)).is_ok());
    }
    for scope in [CLUSTER, 0, 1, 4, 127, -1, -2, -128] {
        assert!(node.bind(&fresh(RDM), &scoped(18888, 1, scope)).is_err());
    }
    let local = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind']\nservice=[18888]\n\
         [[deny]]\nid='d'\nfamily=['tipc']\nops=['bind']\nscope=['cluster']",
    );
    assert!(local.bind(&fresh(RDM), &scoped(18888, 1, NODE)).is_ok());
    for scope in [CLUSTER, 0, 1, 4, 127] {
        assert!(local.bind(&fresh(RDM), &scoped(18888, 1, scope)).is_err());
    }
    // Towards others a scope says nothing.
    let client = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['send-to']\nservice=[18888]\nscope=['node']",
    );
    assert!(!sends(&client, &fresh(RDM), &scoped(18888, 1, NODE)));
}

#[test]
fn a_further_name_adds_no_power_to_the_first() {
    let gate = gate(
        "[[allow]]\nid='heard'\nfamily=['tipc']\nops=['bind', 'receive']\n\
         local={service=[100]}\npeer='*'\n\
         [[allow]]\nid='held'\nfamily=['tipc']\nops=['bind']\nservice=[200]",
    );
    let one = bound(RDM, service(100, 1));
    assert!(gate.receive(&one).is_ok() && hears(&gate, &one, &socket(0, 5)));
    // Names of service 200 may be taken, and nothing heard under them.
    assert!(gate.bind(&one, &service(200, 1)).is_ok());
    let both = SocketFacts {
        further_locals: vec![service(200, 1)],
        ..one
    };
    assert!(gate.receive(&both).is_err() && !hears(&gate, &both, &socket(0, 5)));
    let turned = SocketFacts {
        further_locals: vec![service(100, 1)],
        ..bound(RDM, service(200, 1))
    };
    assert!(gate.receive(&turned).is_err() && !hears(&gate, &turned, &socket(0, 5)));
    let same = SocketFacts {
        further_locals: vec![service(100, 2)],
        ..bound(RDM, service(100, 1))
    };
    assert!(gate.receive(&same).is_ok() && hears(&gate, &same, &socket(0, 5)));
}

/// In a group the kernel takes the group's type for that of every service that is named.
#[test]
fn a_member_of_a_group_reaches_that_group_whatever_it_names() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\nops=['send-to']\nservice=[100]\n\
         [[allow]]\nid='g'\nfamily=['tipc']\nops=['bind']\nservice=[200]\n\
         options={set=['tipc.group-join']}",
    );
    let group = Some(Address::Tipc(TipcAddress::every_instance(200)));
    let member = SocketFacts {
        group: group.clone(),
        ..bound(RDM, service(200, 1))
    };
    assert_eq!(unnamed_destination(&member), group);
    assert_eq!(unnamed_destination(&fresh(RDM)), None);
    assert!(sends(&gate, &fresh(RDM), &service(100, 1)));
    for named in [
        service(100, 1),
        service(200, 1),
        range(100, 1, 2),
        range(200, 0, u32::MAX),
    ] {
        assert!(!sends(&gate, &member, &named), "{named}");
    }
}

#[test]
fn joining_a_group_is_named_in_the_options() {
    let rule = |set: &str| {
        gate(&format!(
            "[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind']\nservice=[200]\noptions={{set=['{set}']}}"
        ))
    };
    let join = option("tipc.group-join");
    assert!(rule("*").set_option(&fresh(RDM), join, &[0; 16]).is_err());
    assert!(
        rule("tipc.*")
            .set_option(&fresh(RDM), join, &[0; 16])
            .is_err()
    );
    assert!(
        rule("tipc.group-join")
            .set_option(&fresh(RDM), join, &[0; 16])
            .is_ok()
    );
    let importance = option("tipc.importance");
    assert!(
        rule("*")
            .set_option(&fresh(RDM), importance, &[1, 0, 0, 0])
            .is_ok()
    );
    assert!(
        rule("tipc.importance=1")
            .set_option(&fresh(RDM), importance, &[2, 0, 0, 0])
            .is_err()
    );
}

#[test]
fn the_topology_server_is_a_service_like_others() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['tipc']\ntype=['seqpacket']\nops=['connect']\n\
         service=[1]\ninstance=[1]",
    );
    let packets = Kind {
        socket_type: SocketType::SeqPacket,
        ..RDM
    };
    assert!(gate.connect(&fresh(packets), &service(1, 1)).is_ok());
    assert!(gate.connect(&fresh(packets), &service(1, 2)).is_err());
    assert!(gate.connect(&fresh(STREAM), &service(1, 1)).is_err());
    let none = Gate::new(Policy::deny_all());
    assert!(none.create(packets).is_err() && none.create(RDM).is_err());
    assert!(!sends(&none, &fresh(RDM), &service(1, 1)));
}
