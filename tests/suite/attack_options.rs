//! Ways round a policy by what options do: sources, routes and ports that are another's, options under other numbers
//! and lengths, and options set early for an address that comes later.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use anyhow::{Result, ensure};
use socket2::{Domain, Socket, Type};
use sockgate_tests::{Attack, ear, folder, free_port, heard, isolated, patience, steps, watched};

const SECTION: &str = "Options";
const SET: &[&str] = &["setsockopt"];
const SENDS: &[&str] = &["sendto", "sendmsg", "sendmmsg"];

/// A rule for one kind of socket with everything granted but options and ancillary data, and with these keys.
fn rule(family: &str, style: &str, keys: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"socket\"\nfamily = [{family}]\ntype = [\"{style}\"]\n\
         ops = [\"bind\", \"connect\"]\nlocal = \"*\"\npeer = \"*\"\n{keys}\n"
    )
}

/// A value that the rule binds is bound for every way of setting it, and a denied option for every number.
#[test]
fn an_option_s_value_and_its_denial_hold_for_its_number() -> Result<()> {
    let name = "an_option_s_value_and_its_denial_hold_for_its_number";
    let numbers = "raw level/name numbers for an option denied by its name";
    let tries = [
        ("priority-7", "SO_PRIORITY above 6", "set s 1 12 07000000"),
        (
            "priority-7-typed",
            "SO_PRIORITY above 6",
            "typed s priority 7",
        ),
        (
            "priority-negative",
            "SO_PRIORITY above 6",
            "set s 1 12 ffffffff",
        ),
        ("device-other", "SO_BINDTODEVICE", "set s 1 25 6c6f3100"),
        ("device-none", "SO_BINDTODEVICE", "set s 1 25 00000000"),
        (
            "device-typed",
            "SO_BINDTODEVICE",
            "typed s bind-to-device lo1",
        ),
        ("device-by-index", "SO_BINDTOIFINDEX", "set s 1 62 01000000"),
        ("mark-typed", "SO_MARK", "typed s mark 1"),
        ("keepalive-denied", numbers, "set s 1 9 01000000"),
        ("keepalive-denied-typed", numbers, "typed s keep-alive 1"),
        ("number-negative", numbers, "set s 1 -9 01000000"),
        ("level-negative", numbers, "set s -1 9 01000000"),
        ("level-unknown", numbers, "set s 255 9 01000000"),
        (
            "bound-value-huge",
            "option length huge",
            &format!("set s 1 12 06000000{}", "00".repeat(300)),
        ),
        ("bound-value-short", "option length 3", "set s 1 12 060000"),
    ];
    let mut script = vec!["s = socket inet datagram".to_owned()];
    script.extend(tries.iter().map(|(_, _, step)| (*step).to_owned()));
    script.push("set s 1 12 06000000".to_owned());
    let strict = rule(
        "\"inet\"",
        "datagram",
        "options = { set = [\"*\", \"so.priority=6\", \"so.bindtodevice=lo\"] }\n\
         [[deny]]\nid = \"no-keepalive\"\noptions = { set = [\"so.keepalive\"] }\n",
    );
    let attack = watched(steps(&script).policy_text(&strict), name)?;
    let granted = &script[script.len() - 1];
    ensure!(attack.step(granted)? == "ok", "{}", attack.stdout);
    let open = rule(
        "\"inet\"",
        "datagram",
        "options = { set = [\"*\", \"so.priority\", \"so.bindtodevice\", \"so.bindtoifindex\", \"so.mark\"] }",
    );
    let control = watched(steps(&script).policy_text(&open), name)?;
    for (id, phrase, step) in tries {
        let shown: String = step.chars().take(60).collect();
        // What the kernel has not is compared with what it has.
        let made = match &control.syscalls {
            Some(log) => log
                .of_step(step)?
                .iter()
                .any(|call| call.name == "setsockopt"),
            None => true,
        };
        Attack::new(format!("value-{id}"), SECTION, phrase)
            .tried(format!(
                "`{shown}`, where so.priority=6 and so.bindtodevice=lo are granted and so.keepalive is denied"
            ))
            .step((&attack, step), (&control, if made { step } else { granted }), SET)?
            .state()?;
    }
    Ok(())
}

/// Lengths that lie about a value change nothing, and bring no byte beyond it.
#[test]
fn lengths_that_lie_change_nothing() -> Result<()> {
    let name = "lengths_that_lie_change_nothing";
    let sets = [
        ("length-0", "option length 0", "set s 1 9 x".to_owned()),
        ("length-1", "option length 3", "set s 1 9 01".to_owned()),
        ("length-3", "option length 3", "set s 1 9 010000".to_owned()),
    ];
    let keep_alive = "get s 1 9 4";
    let mut script = vec!["s = socket inet stream".to_owned()];
    script.extend(sets.iter().map(|(_, _, step)| step.clone()));
    script.push(keep_alive.to_owned());
    let gets = [
        ("get-0", "option length 0", "get s 1 9 0"),
        ("get-3", "option length 3", "get s 1 9 3"),
        ("get-huge", "option length huge", "get s 1 9 1000000"),
        (
            "get-negative",
            "option length negative as unsigned",
            "get s 1 9 4294967295",
        ),
        (
            "get-most-negative",
            "option length negative as unsigned",
            "get s 1 9 2147483648",
        ),
        (
            "get-info-negative",
            "option length negative as unsigned",
            "get s 1 3 4294967292",
        ),
    ];
    script.extend(gets.iter().map(|(_, _, step)| (*step).to_owned()));
    // More than four bytes, where there are more: TCP_INFO.
    let info = "get s 6 11 4294967295";
    script.push(info.to_owned());
    let all = rule(
        "\"inet\"",
        "stream",
        "options = { set = [\"*\"], get = [\"*\"] }",
    );
    let attack = watched(steps(&script).policy_text(&all), name)?.success()?;
    let set = ["s = socket inet stream", "set s 1 9 01000000", keep_alive];
    let control = steps(set).policy_text(&all).finish(patience())?;
    let on = |answer: &str| answer.starts_with("ok 01");
    for (id, phrase, step) in &sets {
        Attack::new(*id, SECTION, phrase)
            .tried(format!(
                "`{step}`: a value of another length than the option's"
            ))
            .got(attack.step(step)?)
            .saw(
                "getsockopt afterwards",
                on(attack.step(keep_alive)?),
                on(control.step(keep_alive)?),
            )
            .state()?;
    }
    let beyond = |answer: &str| answer.trim_start_matches("ok").trim().len() > 8;
    for (id, phrase, step) in gets {
        Attack::new(id, SECTION, phrase)
            .tried(format!(
                "`{step}`: asks an option of four bytes for another length"
            ))
            .got(attack.step(step)?)
            .checked("no more than the option's four bytes came, and the host goes on")
            .saw(
                "bytes beyond the fourth",
                beyond(attack.step(step)?),
                beyond(attack.step(info)?),
            )
            .state()?;
    }
    let long = format!("set s 1 9 {}", "01".repeat(1000));
    let bounded = rule(
        "\"inet\"",
        "stream",
        "options = { set = [\"so.keepalive=0\"] }",
    );
    let script = ["s = socket inet stream", &long, "set s 1 9 00000000"];
    let attack = watched(steps(script).policy_text(&bounded), name)?;
    Attack::new("length-huge", SECTION, "option length huge")
        .tried("sets SO_KEEPALIVE to a thousand bytes, of which the first four are no value that is granted")
        .step((&attack, &long), (&attack, script[2]), SET)?
        .state()?;
    // What is longer than any option has no value that a policy could look at.
    let listed = rule(
        "\"inet\"",
        "stream",
        "options = { set = [\"so.keepalive\"] }",
    );
    let sizes = ["set-zeros s 1 9 65537", "set-zeros s 1 9 65536"];
    let script = ["s = socket inet stream", sizes[0], sizes[1]];
    let attack = watched(steps(script).policy_text(&listed), name)?;
    assert_eq!(attack.step(sizes[0])?, "inval");
    assert_eq!(attack.step(sizes[1])?, "ok");
    Attack::new("length-beyond-any", SECTION, "option length huge")
        .tried("sets SO_KEEPALIVE to more bytes than any option has")
        .step((&attack, sizes[0]), (&attack, sizes[1]), SET)?
        .state()
}

/// What was set before the address was known is part of every later question.
#[test]
fn an_early_option_is_judged_with_the_later_address() -> Result<()> {
    let name = "an_early_option_is_judged_with_the_later_address";
    let (peer, port) = ear("127.0.0.1:0")?;
    let (door, tcp) = sockgate_tests::door("127.0.0.1:0")?;
    let own = free_port()?;
    let script: Vec<String> = [
        "u = socket inet datagram",
        "set u 1 6 01000000",
        "send-to u stray 127.0.0.1:UDP",
        "connect u 127.0.0.1:UDP",
        "send-many u 127.0.0.1:UDP",
        "t = socket inet stream",
        "timeout t 500",
        "set t 1 9 01000000",
        "connect t 127.0.0.1:TCP",
        "b = socket inet stream",
        "set b 1 15 01000000",
        "bind b 127.0.0.1:OWN",
        "listen b",
        "d = socket inet datagram",
        "e = dup d",
        "set e 1 6 01000000",
        "send-to d stray 127.0.0.1:UDP",
    ]
    .map(|step| {
        step.replace("UDP", &port.to_string())
            .replace("TCP", &tcp.to_string())
            .replace("OWN", &own.to_string())
    })
    .to_vec();
    // Each option is granted towards another address than the one that the guest goes for.
    let policy = |here: &str| {
        let rule = |id: &str, style: &str, ops: &str, address: &str, port: u16, options: &str| {
            format!(
                "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"{style}\"]\nops = [{ops}]\n\
                 cidr = [\"{address}\"]\nport = [\"{port}\"]\noptions = {{ set = [{options}] }}\n"
            )
        };
        let peers = "\"send-to\", \"connect\"";
        let listed = |id: &str, style: &str, ops: &str, port: u16, option: &str| {
            let elsewhere = rule(
                &format!("{id}-elsewhere"),
                style,
                ops,
                "127.0.0.9",
                port,
                option,
            );
            let here = rule(
                id,
                style,
                ops,
                "127.0.0.1",
                port,
                if here.is_empty() { "" } else { option },
            );
            elsewhere + &here.replace("options = { set = [] }\n", "")
        };
        format!(
            "version = 1\n{}{}{}",
            listed("udp", "datagram", peers, port, "\"so.broadcast\""),
            listed("tcp", "stream", "\"connect\"", tcp, "\"so.keepalive\""),
            listed("own", "stream", "\"listen\"", own, "\"so.reuseport\""),
        )
    };
    let attack = watched(steps(&script).policy_text(&policy("")), name)?;
    for set in [1, 7, 10, 15] {
        assert_eq!(attack.step(&script[set])?, "ok", "{}", script[set]);
    }
    let reached = (heard(&peer)?, sockgate_tests::knocked(&door)?);
    let control = watched(steps(&script).policy_text(&policy("all")), name)?;
    let reached_then = (heard(&peer)?, sockgate_tests::knocked(&door)?);
    let connect: &[&str] = &["connect"];
    let tries = [
        ("send-to", 2, SENDS),
        ("connect-datagrams", 3, connect),
        ("send-many", 4, SENDS),
        ("connect", 8, connect),
        ("bind", 11, &["bind"]),
        ("listen", 12, &["listen"]),
        ("by-another-handle", 16, SENDS),
    ];
    for (id, step, calls) in tries {
        let step = &script[step];
        Attack::new(
            format!("early-{id}"),
            "Beyond",
            "an option set early for another address",
        )
        .tried(format!(
            "`{step}` after an option that is granted towards another address alone"
        ))
        .step((&attack, step), (&control, step), calls)?
        .saw(
            "the peer over UDP",
            reached.0.clone(),
            reached_then.0.clone(),
        )
        .saw("the peer over TCP", reached.1, reached_then.1)
        .state()?;
    }
    Ok(())
}

/// A listener of the test's that lets others share its port.
fn shared_listener(port: u16) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(128)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Another program's port is shared only where the policy says so: its clients do not come to the guest.
#[test]
fn another_program_s_port_is_not_shared() -> Result<()> {
    let ports = [
        (
            "so.reuseport",
            "SO_REUSEPORT to share another program's port",
            "typed s reuse-port 1",
        ),
        (
            "so.reuseaddr",
            "SO_REUSEADDR to share another program's port",
            "typed s reuse-address 1",
        ),
    ];
    // The guest accepts none of them: they have to fit in its backlog.
    const CLIENTS: usize = 16;
    let clients = |options: &str, set: &str| -> Result<(String, usize)> {
        let port = free_port()?;
        let place = folder()?;
        let listener = shared_listener(port)?;
        let bind = format!("bind s 127.0.0.1:{port}");
        let listed = match options {
            "" => String::new(),
            options => format!(" set={options}"),
        };
        let guest = steps([
            "s = socket inet stream",
            set,
            "typed s reuse-port 1",
            &bind,
            "listen s",
            "until /steps/seen",
        ])
        .allow(&format!("tcp bind 127.0.0.1:{port}{listed}"))
        .allow(&format!("tcp listen 127.0.0.1:{port}{listed}"))
        .directory(place.path(), "/steps")
        .start()?;
        guest.wait_for_line("listen s", patience())?;
        let connected: Vec<TcpStream> = (0..CLIENTS)
            .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
            .collect::<std::io::Result<_>>()?;
        let mut came = 0;
        while listener.accept().is_ok() {
            came += 1;
        }
        std::fs::write(place.path().join("seen"), "")?;
        let ended = guest.wait(patience())?;
        drop(connected);
        Ok((ended.step(&bind)?.to_owned(), CLIENTS - came))
    };
    // Both options at the same time, since the one does nothing to the other's listener.
    let (_, lost_then) = clients("so.reuseport,so.reuseaddr", "typed s reuse-address 1")?;
    for (option, phrase, set) in ports {
        let (got, lost) = clients("", set)?;
        Attack::new(
            format!("share-{}", option.replace('.', "-")),
            SECTION,
            phrase,
        )
        .tried(format!(
            "sets {option} and listens on the port of a program that shares it"
        ))
        .got(got)
        .saw(
            "clients that the other program did not get",
            lost,
            lost_then,
        )
        .state()?;
    }
    Ok(())
}

/// SO_REUSEADDR lets a datagram socket take another's port and its datagrams.
#[test]
fn another_program_s_datagrams_are_not_taken() -> Result<()> {
    let clients = |options: &str| -> Result<(String, bool)> {
        let port = free_port()?;
        let place = folder()?;
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        let native = UdpSocket::from(socket);
        native.set_nonblocking(true)?;
        let bind = format!("bind s 127.0.0.1:{port}");
        let guest = steps([
            "s = socket inet datagram",
            "set s 1 2 01000000",
            &bind,
            "until /steps/seen",
        ])
        .allow(&format!(
            "udp bind,receive 127.0.0.1:{port} peer 127.0.0.1{options}"
        ))
        .directory(place.path(), "/steps")
        .start()?;
        guest.wait_for_line("bind s", patience())?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        sender.send_to(b"for the other program", (Ipv4Addr::LOCALHOST, port))?;
        let lost = heard(&native)?.is_none();
        std::fs::write(place.path().join("seen"), "")?;
        let ended = guest.wait(patience())?;
        Ok((ended.step(&bind)?.to_owned(), lost))
    };
    let (_, lost_then) = clients(" set=so.reuseaddr")?;
    let (got, lost) = clients("")?;
    Attack::new(
        "take-datagrams",
        SECTION,
        "SO_REUSEADDR to share another program's port",
    )
    .tried("sets SO_REUSEADDR and binds the port of a program that set it too")
    .got(got)
    .saw(
        "datagrams that the other program did not get",
        lost,
        lost_then,
    )
    .state()
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status()?;
    ensure!(status.success(), "ip {arguments}: {status}");
    Ok(())
}

/// What stands beside a datagram: sources that the rule would not bind, routes, times and headers.
#[test]
fn control_data_is_no_way_round_options() -> Result<()> {
    let name = "control_data_is_no_way_round_options";
    isolated(name, &[], || {
        ip("addr add fd00::2/128 dev lo")?;
        let (four, port) = ear("127.0.0.1:0")?;
        let six = ear(&format!("[::1]:{port}"))?.0;
        let own = free_port()?;
        let raw = |socket: &str, level: u32, kind: u32, data: &str| {
            format!("send-raw {socket} {level} {kind} {data}")
        };
        let (v4, v6) = ("IP_PKTINFO source", "IPV6_PKTINFO source");
        let script = [
            "four = socket inet datagram".to_owned(),
            format!("bind four 127.0.0.1:{own}"),
            format!("connect four 127.0.0.1:{port}"),
            "six = socket inet6 datagram".to_owned(),
            format!("bind six [::1]:{own}"),
            format!("connect six [::1]:{port}"),
            "mapped = socket inet6 datagram".to_owned(),
            "bind mapped [::ffff:127.0.0.1]:0".to_owned(),
            format!("connect mapped [::ffff:127.0.0.1]:{port}"),
        ];
        let tries = [
            (
                "pktinfo",
                v4,
                format!("send-from four stray 127.0.0.9 127.0.0.1:{port}"),
            ),
            (
                "pktinfo-by-number",
                v4,
                raw("four", 0, 8, "000000007f00000900000000"),
            ),
            (
                "pktinfo-broadcast",
                v4,
                raw("four", 0, 8, "00000000ffffffff00000000"),
            ),
            (
                "pktinfo-6",
                v6,
                format!("send-from six stray fd00::2 [::1]:{port}"),
            ),
            (
                "pktinfo-6-by-number",
                v6,
                raw("six", 41, 50, "fd00000000000000000000000000000200000000"),
            ),
            (
                "pktinfo-mapped",
                v6,
                format!("send-from mapped stray ::ffff:127.0.0.9 [::ffff:127.0.0.1]:{port}"),
            ),
            (
                "pktinfo-4-on-6",
                v4,
                raw("mapped", 0, 8, "000000007f00000900000000"),
            ),
            // A loose and a strict way by 10.0.0.1, ip(7).
            (
                "loose-route",
                "IP_OPTIONS source routing",
                raw("four", 0, 7, "8307040a00000100"),
            ),
            (
                "strict-route",
                "IP_OPTIONS source routing",
                raw("four", 0, 7, "018907040a000001"),
            ),
            (
                "routing-header",
                "IPV6_RTHDR",
                raw("six", 41, 57, "0002040000000000"),
            ),
            (
                "routing-header-2292",
                "IPV6_RTHDR",
                raw("six", 41, 5, "0002040000000000"),
            ),
            (
                "destination-options",
                "IPv6 destination options",
                raw("six", 41, 59, "0000010400000000"),
            ),
            (
                "hop-by-hop-options",
                "IPv6 destination options",
                raw("six", 41, 54, "0000010400000000"),
            ),
            (
                "send-time",
                "SCM_TXTIME",
                raw("four", 1, 61, "0000000000000000"),
            ),
            ("mark-beside", "SO_MARK", raw("four", 1, 36, "01000000")),
            (
                "priority-beside",
                "SO_PRIORITY above 6",
                raw("four", 1, 12, "07000000"),
            ),
        ];
        let script: Vec<String> = script
            .into_iter()
            .chain(tries.iter().map(|(_, _, step)| step.clone()))
            .collect();
        let policy = |local: &str, keys: &str| {
            format!(
                "version = 1\n[[allow]]\nid = \"udp\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"datagram\"]\n\
                 ops = [\"bind\", \"connect\"]\nlocal = {{ cidr = [{local}], port = [\"*\"] }}\n\
                 peer = {{ cidr = [\"127.0.0.1\", \"::1\"], port = [\"{port}\"] }}\n{keys}\n"
            )
        };
        // The kind is granted, the source is not; and every other kind is not.
        let strict = policy(
            "\"127.0.0.1\", \"::1\"",
            "ancillary = { send = [\"packet-info\"] }",
        );
        let attack = watched(steps(&script).policy_text(&strict), name)?;
        for step in &script[..9] {
            ensure!(attack.step(step)? == "ok", "{}", attack.stdout);
        }
        let all =
            |ear: &UdpSocket| -> Vec<String> { std::iter::from_fn(|| heard(ear).ok()?).collect() };
        let reached = [all(&four), all(&six)].concat();
        let kinds = "ancillary = { send = [\"packet-info\", \"ip-options\", \"txtime\", \"mark\", \"1/12\"] }\n\
                     options = { set = [\"so.txtime\", \"so.mark\", \"so.priority\", \"ipv6.dstopts\", \"ipv6.hopopts\"] }";
        let control = watched(steps(&script).policy_text(&policy("\"*\"", kinds)), name)?;
        let reached_then = [all(&four), all(&six)].concat();
        let sent = &tries[0].2;
        for (id, phrase, step) in &tries {
            // Some are never sent, whoever grants them.
            let made = match &control.syscalls {
                Some(log) => log.of_step(step)?.iter().any(|call| call.name == "sendmsg"),
                None => true,
            };
            println!("{id}: {} {}", attack.step(step)?, control.step(step)?);
            Attack::new(*id, SECTION, phrase)
                .tried(format!(
                    "`{step}`, where packet-info is granted and the source is not"
                ))
                .step(
                    (&attack, step),
                    (&control, if made { step } else { sent }),
                    SENDS,
                )?
                .saw("the peers", reached.clone(), reached_then.clone())
                .state()?;
        }
        Ok(())
    })
}

/// A wildcard socket of IPv6 serves IPv4 as well, where IPV6_V6ONLY is off.
#[test]
fn a_rule_for_ipv4_is_none_for_both() -> Result<()> {
    let name = "a_rule_for_ipv4_is_none_for_both";
    let port = free_port()?;
    let script = [
        "l = socket inet6 stream".to_owned(),
        "typed l v6-only 0".to_owned(),
        "set l 41 26 00000000".to_owned(),
        format!("bind l [::]:{port}"),
        "listen l".to_owned(),
        "m = socket inet6 stream".to_owned(),
        format!("bind m [::ffff:127.0.0.1]:{port}"),
        "listen m".to_owned(),
        "u = socket inet6 datagram".to_owned(),
        "typed u v6-only 0".to_owned(),
        format!("bind u [::]:{port}"),
        "c = socket inet6 stream".to_owned(),
        "timeout c 500".to_owned(),
        "connect c [::ffff:127.0.0.1]:9".to_owned(),
    ];
    let policy = |family: &str, cidr: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"four\"\nfamily = [{family}]\n\
             ops = [\"bind\", \"listen\"]\ncidr = [{cidr}]\nport = [\"{port}\"]\n"
        )
    };
    // Sockets of IPv6 can be made, and bound elsewhere.
    let strict = policy("\"inet\"", "\"0.0.0.0/0\"")
        + "[[allow]]\nid = \"six\"\nfamily = [\"inet6\"]\nops = [\"bind\", \"listen\"]\ncidr = [\"fd00::1\"]\nport = [\"1\"]\n";
    let attack = watched(steps(&script).policy_text(&strict), name)?;
    let both = policy("\"inet\", \"inet6\"", "\"*\"")
        + "[[allow]]\nid = \"peers\"\nfamily = [\"inet\", \"inet6\"]\nops = [\"connect\"]\ncidr = [\"*\"]\n";
    let control = watched(steps(&script).policy_text(&both), name)?;
    let phrase = "IPV6_V6ONLY off on a rule for IPv4 only";
    for (id, at) in [
        ("v6only-off-bind", 3),
        ("v6only-off-mapped", 6),
        ("v6only-off-datagram", 10),
        ("v6only-off-connect", 13),
    ] {
        Attack::new(id, SECTION, phrase)
            .tried(format!(
                "`{}` with IPV6_V6ONLY off, under a rule for IPv4",
                script[at]
            ))
            .step(
                (&attack, &script[at]),
                (&control, &script[at]),
                &["bind", "connect", "setsockopt"],
            )?
            .state()?;
    }
    Ok(())
}

/// Groups are joined under `join-group` alone, however they are spelled.
#[test]
fn no_group_is_joined_without_its_grant() -> Result<()> {
    let name = "no_group_is_joined_without_its_grant";
    let joins = [
        ("join", "four", "join four 239.1.1.1:1"),
        ("join-all-hosts", "four", "join four 224.0.0.1:1"),
        ("join-6", "six", "join six [ff02::1]:1"),
        ("join-by-number", "four", "set four 0 35 ef0101017f000001"),
        (
            "join-by-interface",
            "four",
            "set four 0 35 ef0101010000000001000000",
        ),
        ("join-4-on-6", "six", "set six 0 35 ef0101017f000001"),
        (
            "join-6-by-number",
            "six",
            "set six 41 20 ff02000000000000000000000000000100000000",
        ),
    ];
    let mut script = vec![
        "four = socket inet datagram".to_owned(),
        "six = socket inet6 datagram".to_owned(),
    ];
    script.extend(joins.iter().map(|(_, _, step)| (*step).to_owned()));
    let policy = |groups: &str| {
        let options = "options = { set = [\"*\", \"ip.add-membership\", \"ipv6.join-group\"] }";
        rule("\"inet\", \"inet6\"", "datagram", options)
            + &format!(
                "[[allow]]\nid = \"groups\"\nfamily = [\"inet\", \"inet6\"]\nops = [\"join-group\"]\ngroup = [{groups}]\n{options}\n"
            )
    };
    let attack = watched(steps(&script).policy_text(&policy("\"239.7.7.7\"")), name)?;
    let control = watched(steps(&script).policy_text(&policy("\"*\"")), name)?;
    for (id, _, step) in joins {
        Attack::new(format!("group-{id}"), SECTION, "multicast membership")
            .tried(format!(
                "`{step}`, under a grant for 239.7.7.7 and for the options by name"
            ))
            .step((&attack, step), (&control, step), SET)?
            .state()?;
    }
    Ok(())
}
