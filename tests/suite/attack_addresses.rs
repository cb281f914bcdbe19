//! Ways round a policy by the spelling of an address, and by what a name stands for. All in a namespace of the
//! test's own, where the addresses that must not be reached are there to be reached.

use std::net::UdpSocket;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Attack, Ended, Native, Tool, asked_names, door, ear, free_port, heard, isolated, knocked,
    oracle, patience, steps, watched, with_names,
};

const SECTION: &str = "Addresses";

/// Every call that may reach a peer.
const REACHES: &[&str] = &["connect", "sendto", "sendmsg", "sendmmsg"];

/// Inet and inet6 with these operations and addresses.
fn rule(id: &str, ops: &str, keys: &str) -> String {
    format!(
        "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"stream\", \"datagram\"]\n\
         ops = [{ops}]\n{keys}\n"
    )
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status()?;
    ensure!(status.success(), "ip {arguments}: {status}");
    Ok(())
}

/// Everything that an ear heard.
fn all(ear: &UdpSocket) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Some(line) = heard(ear)? {
        lines.push(line);
    }
    Ok(lines)
}

/// An address that means this machine: its id, its phrase, the socket's family, and its text.
type Spelling = (&'static str, &'static str, &'static str, &'static str);

const SPELLINGS: &[Spelling] = &[
    ("mapped", "::ffff:127.0.0.1", "inet6", "[::ffff:127.0.0.1]"),
    (
        "mapped-any",
        "::ffff:127.0.0.1",
        "inet6",
        "[::ffff:0.0.0.0]",
    ),
    (
        "mapped-other",
        "::ffff:127.0.0.1",
        "inet6",
        "[::ffff:127.1.2.3]",
    ),
    ("compatible", "::127.0.0.1", "inet6", "[::127.0.0.1]"),
    ("nat64", "NAT64 64:ff9b::/96", "inet6", "[64:ff9b::7f00:1]"),
    ("6to4", "6to4", "inet6", "[2002:7f00:1::]"),
    ("teredo", "Teredo", "inet6", "[2001:0:7f00:1::80ff:fffe]"),
    ("any4", "0.0.0.0 as destination", "inet", "0.0.0.0"),
    ("any6", "`::` as destination", "inet6", "[::]"),
    ("broadcast", "broadcast", "inet", "255.255.255.255"),
    (
        "broadcast-of-net",
        "directed broadcast",
        "inet",
        "127.255.255.255",
    ),
    (
        "broadcast-of-lan",
        "directed broadcast",
        "inet",
        "10.9.0.255",
    ),
    ("scope", "scope ids", "inet6", "[fe80::9%1]"),
    ("scope-of-loopback", "scope ids", "inet6", "[::1%1]"),
];

/// Each spelling in each call that takes an address. A rule for all the world, in which nothing special is, grants
/// none of them.
#[test]
fn no_spelling_of_an_address_is_another_one() -> Result<()> {
    let name = "no_spelling_of_an_address_is_another_one";
    isolated(name, &[], || {
        ip("addr add 10.9.0.1/24 brd 10.9.0.255 dev lo")?;
        let (four, port) = ear("127.0.0.1:0")?;
        let six = ear(&format!("[::1]:{port}"))?.0;
        let calls = [
            ("connect", "connect S A"),
            ("sendto", "send-to S hello A"),
            ("sendmsg", "send-msg-to S hello A"),
            ("sendmmsg", "send-many S A"),
        ];
        let mut script = Vec::new();
        let mut tries = Vec::new();
        for (id, phrase, family, host) in SPELLINGS {
            for (call, words) in calls {
                let socket = format!("{id}-{call}");
                script.push(format!("{socket} = socket {family} datagram"));
                if *family == "inet" {
                    script.push(format!("typed {socket} broadcast 1"));
                }
                let step = words
                    .replace('S', &socket)
                    .replace('A', &format!("{host}:{port}"));
                script.push(step.clone());
                tries.push((id, phrase, call, step));
            }
        }
        let listed = "options = { set = [\"so.broadcast\"] }";
        let ops = "\"connect\", \"send-to\"";
        let world = rule("world", ops, &format!("class = [\"global\"]\n{listed}"));
        let all_of_it = rule("all", ops, &format!("cidr = [\"*\"]\n{listed}"));
        let attack = watched(
            steps(&script).policy_text(&format!("version = 1\n{world}")),
            name,
        )?;
        let reached = [all(&four)?, all(&six)?].concat();
        let control = watched(
            steps(&script).policy_text(&format!("version = 1\n{all_of_it}")),
            name,
        )?;
        let reached_then = [all(&four)?, all(&six)?].concat();
        for (id, phrase, call, step) in tries {
            Attack::new(format!("{id}-{call}"), SECTION, phrase)
                .tried(format!(
                    "names the peer so: `{step}`, under a grant for global addresses"
                ))
                .step((&attack, &step), (&control, &step), REACHES)?
                .saw("ears on loopback", reached.clone(), reached_then.clone())
                .state()?;
        }
        Ok(())
    })
}

/// Sends a datagram from `::127.0.0.1` and this port to that port of `::1`. IPV6_TRANSPARENT, 75, lets it.
const FORGE: &str = "import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, 75, 1)
s.bind(('::127.0.0.1', int(sys.argv[1])))
s.sendto(b'hello', ('::1', int(sys.argv[2])))";

/// A sender may have a name that stands for another host where it is a destination. Who may answer whom it heard
/// reaches nobody by that who did not write.
#[test]
fn a_sender_by_the_name_of_another_host_opens_no_way_there() -> Result<()> {
    let name = "a_sender_by_the_name_of_another_host_opens_no_way_there";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let (four, port) = ear("127.0.0.1:0")?;
        let send = format!("send-to s stray [::ffff:127.0.0.1]:{port}");
        let run = |forged: bool| -> Result<Ended> {
            let at = free_port()?;
            let keys = format!("local = {{ cidr = [\"*\"], port = [\"{at}\"] }}\npeer = \"*\"");
            let rule = rule("server", "\"bind\", \"receive\", \"reply\"", &keys);
            let bind = format!("bind s [::]:{at}");
            let script = ["s = socket inet6 datagram", &bind, "recv-from s 9", &send];
            let guest = steps(script).policy_text(&format!("version = 1\n{rule}"));
            let guest = guest.start()?;
            guest.wait_for_line(&bind, patience())?;
            if forged {
                let ports = [port.to_string(), at.to_string()];
                let status = Command::new(&python)
                    .args(["-c", FORGE])
                    .args(ports)
                    .status()?;
                ensure!(status.success(), "python3: {status}");
            } else {
                four.send_to(b"hello", ("127.0.0.1", at))?;
            }
            let ended = guest.wait(patience())?.success()?;
            ensure!(ended.step("recv-from s 9")?.starts_with("\"hello\" from "));
            Ok(ended)
        };
        let attack = run(true)?;
        let reached = all(&four)?;
        let control = run(false)?;
        assert_eq!(control.step(&send)?, "ok 5");
        attack.audit.denied("send-to")?;
        Attack::new("answer-compatible", SECTION, "::127.0.0.1")
            .tried("answers a datagram that came from `::127.0.0.1`, at the IPv4 address inside")
            .got(attack.step(&send)?)
            .saw("an ear on loopback", reached, all(&four)?)
            .state()
    })
}

/// The same for the calls that take an address of this machine.
#[test]
fn no_spelling_of_an_own_address_is_another_one() -> Result<()> {
    let name = "no_spelling_of_an_own_address_is_another_one";
    isolated(name, &[], || {
        let tries = [
            (
                "bind-mapped",
                "::ffff:127.0.0.1",
                "inet6",
                "bind S [::ffff:127.0.0.1]:5001",
                "bind",
            ),
            (
                "bind-compatible",
                "::127.0.0.1",
                "inet6",
                "bind S [::127.0.0.1]:5002",
                "bind",
            ),
            (
                "bind-any4",
                "port 0 on bind",
                "inet",
                "bind S 0.0.0.0:0",
                "bind",
            ),
            (
                "bind-any6",
                "port 0 on bind",
                "inet6",
                "bind S [::]:0",
                "bind",
            ),
            (
                "bind-port-0",
                "port 0 on bind",
                "inet",
                "bind S 127.0.0.1:0",
                "bind",
            ),
            (
                "bind-port-0-mapped",
                "port 0 on bind",
                "inet6",
                "bind S [::ffff:127.0.0.1]:0",
                "bind",
            ),
        ];
        let mut script = Vec::new();
        for (id, _, family, step, _) in &tries {
            script.push(format!("{id} = socket {family} datagram"));
            script.push(step.replace('S', id));
        }
        let own = |keys: &str| format!("version = 1\n{}", rule("own", "\"bind\"", keys));
        let strict = own("cidr = [\"::1\", \"127.0.0.1\"]\nport = [\"5353\"]");
        let open = own("cidr = [\"*\"]\nport = [\"*\"]");
        let attack = watched(steps(&script).policy_text(&strict), name)?;
        let control = watched(steps(&script).policy_text(&open), name)?;
        for (id, phrase, _, step, call) in tries {
            let step = step.replace('S', id);
            Attack::new(id, SECTION, phrase)
                .tried(format!("`{step}`, under a grant for port 5353 of loopback"))
                .step((&attack, &step), (&control, &step), &[call])?
                .state()?;
        }
        Ok(())
    })
}

/// A name that the guest may look up and connect to stands for a place that it may not reach.
#[test]
fn a_name_leads_to_no_place_that_is_not_granted() -> Result<()> {
    let name = "a_name_leads_to_no_place_that_is_not_granted";
    with_names(name, |_| {
        let tries = [
            (
                "loopback",
                "a name that resolves to loopback",
                "loop",
                "127.0.0.1",
            ),
            (
                "link-local",
                "a name that resolves to link-local",
                "link-local",
                "169.254.7.7",
            ),
            (
                "metadata",
                "a name that resolves to metadata (169.254.169.254)",
                "metadata",
                "169.254.169.254",
            ),
            (
                "private",
                "a name that resolves to private space",
                "private",
                "10.1.2.3",
            ),
            (
                "private-by-alias",
                "a name that resolves to private space",
                "elsewhere",
                "10.1.2.3",
            ),
            (
                "private-mapped",
                "a name that resolves to private space",
                "mapped",
                "10.1.2.3",
            ),
        ];
        let mut script = Vec::new();
        let mut doors = Vec::new();
        let (first, port) = door("127.0.0.1:0")?;
        doors.push(first);
        for address in ["169.254.7.7", "169.254.169.254", "10.1.2.3"] {
            ip(&format!("addr add {address}/32 dev lo"))?;
            doors.push(door(&format!("{address}:{port}"))?.0);
        }
        let knocks = || -> Result<Vec<String>> {
            let mut seen = Vec::new();
            for door in &doors {
                while knocked(door)? {
                    seen.push(door.local_addr()?.to_string());
                }
            }
            Ok(seen)
        };
        for (id, _, host, address) in tries {
            let family = if host == "mapped" { "inet6" } else { "inet" };
            script.push(format!("{id} = socket {family} stream"));
            script.push(format!("connect-name {id} {host}.rig.test:{port}"));
            script.push(format!("{id}-number = socket inet stream"));
            script.push(format!("connect {id}-number {address}:{port}"));
        }
        let policy = |may_be: &str| {
            let keys = format!("host = [\"*.rig.test\"]\nport = [\"{port}\"]\n{may_be}");
            format!(
                "version = 1\n{}",
                rule("names", "\"resolve\", \"connect\"", &keys)
            )
        };
        let attack = watched(steps(&script).policy_text(&policy("")), name)?;
        let reached = knocks()?;
        let may_be =
            "host-may-be = [\"loopback\", \"link-local\", \"metadata\", \"private\", \"reserved\"]";
        let control = watched(steps(&script).policy_text(&policy(may_be)), name)?;
        let reached_then = knocks()?;
        // Each class may be answered now, and one of them is denied to be reached.
        let alias = format!("connect-name private-by-alias elsewhere.rig.test:{port}");
        let denied = policy(may_be) + "[[deny]]\nid = \"no-lan\"\nclass = [\"private\"]\n";
        let by_alias = watched(steps(&script).policy_text(&denied), name)?;
        let private = |seen: &[String]| seen.iter().any(|seen| seen.starts_with("10."));
        let reached_so = private(&knocks()?);
        Attack::new(
            "alias-into-denied",
            "Beyond",
            "a CNAME into a denied network",
        )
        .tried("connects to a granted name that is an alias of one in a denied network")
        .got(by_alias.step(&alias)?)
        .checked("the denied address is not among the answers")
        .saw("a listener on 10.1.2.3", reached_so, private(&reached_then))
        .state()?;
        for (id, phrase, host, address) in tries {
            let at = |seen: &[String]| -> Vec<String> {
                let place = format!("{address}:{port}");
                seen.iter()
                    .filter(|seen| **seen == place)
                    .cloned()
                    .collect()
            };
            let by_name = format!("connect-name {id} {host}.rig.test:{port}");
            let by_number = format!("connect {id}-number {address}:{port}");
            ensure!(!attack.step(&by_name)?.starts_with("ok"));
            Attack::new(format!("name-{id}"), SECTION, phrase)
                .tried(format!(
                    "connects to {host}.rig.test, then to {address}, under a grant for that name"
                ))
                .step((&attack, &by_number), (&control, &by_number), &["connect"])?
                .saw(
                    format!("a listener on {address}"),
                    at(&reached),
                    at(&reached_then),
                )
                .state()?;
        }
        Ok(())
    })
}

/// The name server answers with a good address first and with loopback afterwards.
#[test]
fn a_name_that_changes_its_address_changes_no_grant() -> Result<()> {
    let name = "a_name_that_changes_its_address_changes_no_grant";
    with_names(name, |_| {
        ip("addr add 192.0.2.90/32 dev lo")?;
        let (good, port) = door("192.0.2.90:0")?;
        let secret = door(&format!("127.0.0.1:{port}"))?.0;
        let by_name = |socket: &str| format!("connect-name {socket} rebinding.rig.test:{port}");
        let script = [
            "first = socket inet stream".to_owned(),
            by_name("first"),
            "second = socket inet stream".to_owned(),
            by_name("second"),
            "third = socket inet stream".to_owned(),
            format!("connect third 127.0.0.1:{port}"),
        ];
        let policy = |may_be: &str| {
            let keys = format!(
                "host = [\"rebinding.rig.test\"]\nport = [\"{port}\"]\nhost-may-be = [{may_be}]"
            );
            format!(
                "version = 1\n{}",
                rule("site", "\"resolve\", \"connect\"", &keys)
            )
        };
        let attack = watched(steps(&script).policy_text(&policy("\"reserved\"")), name)?;
        assert_eq!(attack.step(&by_name("first"))?, "ok", "{}", attack.stdout);
        ensure!(knocked(&good)?);
        let reached = knocked(&secret)?;
        let both = "\"reserved\", \"loopback\"";
        let control = watched(steps(&script).policy_text(&policy(both)), name)?;
        Attack::new("rebinding", SECTION, "DNS rebinding between check and use")
            .tried("connects to a name that then stands for 127.0.0.1, and to that, once more")
            .step((&attack, &script[5]), (&control, &script[5]), &["connect"])?
            .saw("a listener on 127.0.0.1", reached, knocked(&secret)?)
            .state()
    })
}

/// Numbers are no names: whatever the notation, a denied network is denied.
#[test]
fn a_number_in_any_notation_is_that_address() -> Result<()> {
    let name = "a_number_in_any_notation_is_that_address";
    let notations = [
        ("hexadecimal", "0x7f.1", "0x7f.1"),
        ("octal", "0177.0.0.1", "0177.0.0.1"),
        ("decimal", "2130706433", "2130706433"),
        ("short", "0x7f.1", "127.1"),
        ("one-hexadecimal", "2130706433", "0x7f000001"),
    ];
    let (listener, port) = door("127.0.0.1:0")?;
    let mut script = Vec::new();
    for (id, _, notation) in notations {
        script.push(format!("{id} = socket inet stream"));
        script.push(format!("connect-name {id} {notation}:{port}"));
    }
    let all = rule("all", "\"connect\"", "cidr = [\"*\"]");
    let deny = "[[deny]]\nid = \"no-loopback\"\nclass = [\"loopback\"]\n";
    let attack = watched(
        steps(&script).policy_text(&format!("version = 1\n{all}{deny}")),
        name,
    )?;
    let reached = knocked(&listener)?;
    let control = watched(
        steps(&script).policy_text(&format!("version = 1\n{all}")),
        name,
    )?;
    let reached_then = knocked(&listener)?;
    for (id, phrase, notation) in notations {
        let step = format!("connect-name {id} {notation}:{port}");
        Attack::new(format!("number-{id}"), SECTION, phrase)
            .tried(format!(
                "`{step}`, where loopback is denied and the rest is granted"
            ))
            .step((&attack, &step), (&control, &step), &["connect"])?
            .saw("a listener on 127.0.0.1", reached, reached_then)
            .state()?;
    }
    Ok(())
}

/// Other spellings of a name that is denied, beneath one that is granted.
#[test]
fn a_denied_name_is_denied_in_every_spelling() -> Result<()> {
    let name = "a_denied_name_is_denied_in_every_spelling";
    with_names(name, |server| {
        let tries = [
            ("trailing-dot", "trailing dot", "xn--bcher-kva.rig.test."),
            ("mixed-case", "mixed case", "XN--BCHER-kVa.Rig.tEST"),
            ("mixed-case-dot", "mixed case", "xN--bcher-kva.rig.test."),
            ("idna", "IDNA", "b\u{fc}cher.rig.test"),
            ("idna-capital", "IDNA", "B\u{dc}CHER.rig.test"),
            ("idna-decomposed", "IDNA", "bu\u{308}cher.rig.test"),
            (
                "idna-wide-dot",
                "IDNA",
                "b\u{fc}cher\u{3002}rig\u{ff0e}test",
            ),
            ("idna-wide", "IDNA", "b\u{fc}\u{ff43}her.rig.test"),
        ];
        let script: Vec<String> = tries
            .iter()
            .map(|(_, _, host)| format!("lookup {host}"))
            .collect();
        let grant = rule(
            "names",
            "\"resolve\", \"connect\"",
            "host = [\"*.rig.test\"]\nhost-may-be = [\"reserved\"]",
        );
        let deny =
            "[[deny]]\nid = \"secret\"\nops = [\"resolve\"]\nhost = [\"xn--bcher-kva.rig.test\"]\n";
        let count = |server: &Native| {
            let names = asked_names(server);
            let secret = "xn--bcher-kva.rig.test";
            names
                .iter()
                .filter(|name| name.eq_ignore_ascii_case(secret))
                .count()
        };
        let attack = watched(
            steps(&script).policy_text(&format!("version = 1\n{grant}{deny}")),
            name,
        )?;
        let before = count(server);
        let control = watched(
            steps(&script).policy_text(&format!("version = 1\n{grant}")),
            name,
        )?;
        let after = count(server) - before;
        for (id, phrase, host) in tries {
            let step = format!("lookup {host}");
            println!(
                "{host}: {} and {}",
                attack.step(&step)?,
                control.step(&step)?
            );
            stated_of_names(id, phrase, &attack, &step, before, after)?;
        }
        Ok(())
    })
}

/// Labels and names that are longer than any can be are no way to another name, nor are wildcards.
#[test]
fn long_names_ask_for_nothing() -> Result<()> {
    let name = "long_names_ask_for_nothing";
    with_names(name, |server| {
        let label = |length| "a".repeat(length);
        let good = format!("{}.rig.test", label(63));
        let tries = [
            ("label-64", format!("{}.rig.test", label(64))),
            ("label-200", format!("{}.rig.test", label(200))),
            (
                "name-254",
                format!("{0}.{0}.{0}.{1}.rig.test", label(63), label(53)),
            ),
            ("name-4096", format!("{}rig.test", "a.".repeat(2044))),
            ("label-empty", "a..rig.test".to_owned()),
        ];
        let mut script: Vec<String> = tries
            .iter()
            .map(|(_, host)| format!("lookup {host}"))
            .collect();
        let policy = format!(
            "version = 1\n{}",
            rule(
                "names",
                "\"resolve\"",
                "host = [\"*.rig.test\"]\nhost-may-be = [\"reserved\"]"
            )
        );
        let attack = watched(steps(&script).policy_text(&policy), name)?;
        let before = asked_names(server).len();
        script.push(format!("lookup {good}"));
        let control = watched(steps(&script[5..]).policy_text(&policy), name)?;
        ensure!(control.step(&script[5])?.starts_with("ok"));
        let after = asked_names(server).len() - before;
        for ((id, _), step) in tries.iter().zip(&script) {
            stated_of_names(id, "very long labels", &attack, step, before, after)?;
        }
        Ok(())
    })
}

/// States what the name server heard of a look-up.
fn stated_of_names(
    id: &str,
    phrase: &str,
    attack: &Ended,
    step: &str,
    heard: usize,
    heard_then: usize,
) -> Result<()> {
    let got = attack.step(step)?;
    let shown: String = step.chars().take(60).collect();
    Attack::new(format!("name-{id}"), SECTION, phrase)
        .tried(format!("`{shown}`, which no rule grants"))
        .got(got.split(' ').next().context("no outcome")?)
        .checked("nobody was asked for that name")
        .saw("the name server", heard, heard_then)
        .state()
}
