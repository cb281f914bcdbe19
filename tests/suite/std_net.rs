//! `std::net` without a line of sockgate in it, and its twin on the SDK, under the same policies: what the
//! one may do the other may, and what is refused reaches nobody.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Attack, Ended, GuestRun, Tool, free_port, has_ipv6, oracle, patience, skip, tcp_echo, udp_echo,
};

/// The same program on `std::net` and on the SDK.
const TWINS: [&str; 2] = ["std-net", "std-net-twin"];

/// What the program printed of an action: `connect 127.0.0.1:80: answered "hello"`.
fn outcome<'a>(ended: &'a Ended, action: &str) -> Result<&'a str> {
    ended
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix(action)?.strip_prefix(": "))
        .with_context(|| format!("no `{action}` in:\n{}\n{}", ended.stdout, ended.stderr))
}

/// Runs both under one policy file, with the same actions; what they print has to be the same.
fn both(policy: &str, actions: &[(&str, String)], name: &str) -> Result<[Ended; 2]> {
    let run = |program: &str| -> Result<Ended> {
        let mut run = GuestRun::new(program).policy_text(policy);
        for (action, address) in actions {
            run = run.argument(*action).argument(address);
        }
        if let Some(strace) = oracle(Tool::Strace, name) {
            run = run.strace(&strace);
        }
        run.finish(patience())
    };
    let ended = [run(TWINS[0])?, run(TWINS[1])?];
    assert_eq!(
        ended[0].stdout, ended[1].stdout,
        "std::net and the SDK differ; stderr:\n{}\n--\n{}",
        ended[0].stderr, ended[1].stderr
    );
    Ok(ended)
}

/// A policy of these rules.
fn policy(rules: &[String]) -> String {
    format!("version = 1\n{}", rules.concat())
}

fn rule(id: &str, style: &str, ops: &str, rest: &str) -> String {
    format!(
        "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"{style}\"]\n\
         ops = [{ops}]\n{rest}\n"
    )
}

#[test]
fn connects_are_granted_and_refused_alike() -> Result<()> {
    let name = "connects_are_granted_and_refused_alike";
    let granted = tcp_echo("127.0.0.1:0")?;
    let refused = tcp_echo("127.0.0.1:0")?;
    let (yes, no) = (
        format!("127.0.0.1:{}", granted.port()),
        format!("127.0.0.1:{}", refused.port()),
    );
    let policy = policy(&[rule(
        "one",
        "stream",
        "\"connect\"",
        &format!("cidr = [\"127.0.0.1\"]\nport = [\"{}\"]", granted.port()),
    )]);
    let actions = [("connect", yes.clone()), ("connect", no.clone())];
    for ended in both(&policy, &actions, name)? {
        assert_eq!(
            outcome(&ended, &format!("connect {yes}"))?,
            "answered \"hello\""
        );
        assert_eq!(
            outcome(&ended, &format!("connect {no}"))?,
            "PermissionDenied"
        );
        let record = ended.audit.denied("connect")?;
        assert_eq!(record.address(), no);
        assert_eq!(record.grant(), format!("--allow 'tcp connect {no}'"));
        ended.audit.granted("connect")?;
        if ended.syscalls.is_some() {
            for line in ended.syscalls()?.of("connect") {
                ensure!(
                    !line.line.contains(&format!("htons({})", refused.port())),
                    "{}",
                    line.line
                );
            }
        }
    }
    // Other spellings of the refused one: wasi:sockets itself takes none of them, the SDK's are judged.
    for (program, error) in TWINS.iter().zip(["InvalidInput", "PermissionDenied"]) {
        for host in ["[::ffff:127.0.0.1]", "0.0.0.0"] {
            let address = format!("{host}:{}", refused.port());
            let ended = GuestRun::new(*program)
                .policy_text(&policy)
                .argument("connect")
                .argument(&address)
                .finish(patience())?;
            assert_eq!(outcome(&ended, &format!("connect {address}"))?, error);
        }
    }
    Attack::new(
        "wasi-connect",
        "Beyond",
        "wasi:sockets beside sockgate's own",
    )
    .tried(
        "connects with std::net and with the SDK to a peer that no rule grants, in every spelling",
    )
    .got("acces")
    .saw(
        "the peer, and the one that is granted",
        refused.seen(),
        granted.seen(),
    )
    .state()?;
    assert_eq!((granted.seen(), refused.seen()), (2, 0));
    Ok(())
}

/// The other peer is granted once the rule says so: the refusals above were the policy's.
#[test]
fn what_the_audit_says_lets_std_net_connect() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", peer.port());
    for program in TWINS {
        let run = || {
            GuestRun::new(program)
                .argument("connect")
                .argument(&address)
        };
        let refused = run().allow("tcp connect 127.0.0.77:1").finish(patience())?;
        ensure!(!refused.status.success());
        let grant = refused.audit.denied("connect")?.grant().to_owned();
        let rule = grant
            .strip_prefix("--allow '")
            .and_then(|rest| rest.strip_suffix('\''))
            .with_context(|| grant.clone())?;
        let granted = run().allow(rule).finish(patience())?.success()?;
        assert_eq!(
            outcome(&granted, &format!("connect {address}"))?,
            "answered \"hello\""
        );
    }
    assert_eq!(peer.seen(), 2);
    Ok(())
}

/// A name is resolved by the policy's own resolver, and its addresses are pinned: the number alone is not
/// granted, the name is.
#[test]
fn a_name_is_pinned_for_std_net_too() -> Result<()> {
    let name = "a_name_is_pinned_for_std_net_too";
    let peer = tcp_echo("127.0.0.1:0")?;
    let (by_name, by_number) = (
        format!("localhost:{}", peer.port()),
        format!("127.0.0.1:{}", peer.port()),
    );
    let policy = policy(&[rule(
        "site",
        "stream",
        "\"resolve\", \"connect\"",
        &format!(
            "host = [\"localhost\"]\nhost-may-be = [\"loopback\"]\nport = [\"{}\"]",
            peer.port()
        ),
    )]);
    let actions = [
        ("connect", by_number.clone()),
        ("connect", by_name.clone()),
        ("connect", "example.invalid:80".to_owned()),
    ];
    for ended in both(&policy, &actions, name)? {
        assert_eq!(
            outcome(&ended, &format!("connect {by_number}"))?,
            "PermissionDenied"
        );
        assert_eq!(
            outcome(&ended, &format!("connect {by_name}"))?,
            "answered \"hello\""
        );
        ended.audit.granted("resolve")?;
        ended.audit.denied("resolve")?;
        ended.audit.denied("connect")?;
    }
    assert_eq!(peer.seen(), 2);
    Ok(())
}

#[test]
fn binds_are_granted_and_refused_alike() -> Result<()> {
    let name = "binds_are_granted_and_refused_alike";
    let (yes, no) = (free_port()?, free_port()?);
    let policy = policy(&[rule(
        "server",
        "stream",
        "\"listen\"",
        &format!("local = {{ cidr = [\"127.0.0.1\"], port = [\"{yes}\"] }}\npeer = \"*\""),
    )]);
    let actions = [
        ("bind", format!("127.0.0.1:{yes}")),
        ("bind", format!("127.0.0.1:{no}")),
        ("bind", format!("0.0.0.0:{yes}")),
    ];
    for ended in both(&policy, &actions, name)? {
        assert_eq!(outcome(&ended, &format!("bind 127.0.0.1:{yes}"))?, "bound");
        assert_eq!(
            outcome(&ended, &format!("bind 127.0.0.1:{no}"))?,
            "PermissionDenied"
        );
        assert_eq!(
            outcome(&ended, &format!("bind 0.0.0.0:{yes}"))?,
            "PermissionDenied"
        );
        let record = ended.audit.denied("bind")?;
        assert_eq!(record.address(), format!("127.0.0.1:{no}"));
        if ended.syscalls.is_some() {
            let bound: Vec<_> = ended
                .syscalls()?
                .of("bind")
                .filter(|call| call.line.contains("AF_INET"))
                .collect();
            assert_eq!(bound.len(), 1, "{bound:?}");
        }
    }
    Ok(())
}

/// Both serve: a granted peer gets its answer; one from outside the rule is reset and not even noticed.
#[test]
fn accept_serves_whom_the_rule_names() -> Result<()> {
    for program in TWINS {
        let port = free_port()?;
        let policy = policy(&[rule(
            "server",
            "stream",
            "\"listen\"",
            &format!(
                "local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\n\
                 peer = {{ cidr = [\"127.0.0.2\"] }}"
            ),
        )]);
        let guest = GuestRun::new(program)
            .policy_text(&policy)
            .argument("serve")
            .argument(format!("127.0.0.1:{port}"))
            .start()?;
        guest.wait_for_line("listening on tcp ", patience())?;
        let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stranger.set_read_timeout(Some(patience()))?;
        // Reset, or closed before a byte: the stranger gets nothing.
        let got = stranger.read(&mut [0; 16]).unwrap_or(0);
        assert_eq!(got, 0, "{program} answered a stranger");

        let answer = ask_from(Ipv4Addr::new(127, 0, 0, 2), port)?;
        assert_eq!(answer, "A QUESTION", "{program}");
        Attack::new(
            format!("wasi-accept-{program}"),
            "Beyond",
            "wasi:sockets beside sockgate's own",
        )
        .tried("accepts with std::net a connection whose peer its rule does not name")
        .got("nothing")
        .checked("the stranger read nothing, the granted peer its answer")
        .saw("what the client read", got, answer.len())
        .state()?;
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(
            outcome(&ended, &format!("serve 127.0.0.1:{port}"))?,
            "was asked \"a question\""
        );
        ensure!(
            ended
                .audit
                .denied("accept")?
                .address()
                .starts_with("127.0.0.1:")
        );
    }
    Ok(())
}

fn ask_from(source: Ipv4Addr, port: u16) -> Result<String> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&std::net::SocketAddr::from((source, 0)).into())?;
    socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience()))?;
    stream.write_all(b"a question")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// UDP: bound to port 0 and connected, as `std::net` programs do it, over both IP versions.
#[test]
fn datagrams_are_granted_and_refused_alike() -> Result<()> {
    let name = "datagrams_are_granted_and_refused_alike";
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let four = udp_echo("127.0.0.1:0")?;
    let six = udp_echo("[::1]:0")?;
    let refused = udp_echo("127.0.0.1:0")?;
    let addresses = [
        format!("127.0.0.1:{}", four.port()),
        format!("[::1]:{}", six.port()),
        format!("127.0.0.1:{}", refused.port()),
    ];
    let policy = policy(&[
        rule(
            "echo",
            "datagram",
            "\"connect\"",
            &format!(
                "cidr = [\"127.0.0.1\", \"::1\"]\nport = [\"{}\", \"{}\"]",
                four.port(),
                six.port()
            ),
        ),
        rule(
            "own",
            "datagram",
            "\"bind\"",
            "local = { cidr = [\"0.0.0.0\", \"::\"], port = [\"0\"] }",
        ),
    ]);
    let actions: Vec<_> = addresses
        .iter()
        .map(|address| ("udp", address.clone()))
        .collect();
    for ended in both(&policy, &actions, name)? {
        for address in &addresses[..2] {
            assert_eq!(
                outcome(&ended, &format!("udp {address}"))?,
                "answered \"hello\""
            );
        }
        assert_eq!(
            outcome(&ended, &format!("udp {}", addresses[2]))?,
            "PermissionDenied"
        );
    }
    Attack::new(
        "wasi-datagrams",
        "Beyond",
        "wasi:sockets beside sockgate's own",
    )
    .tried("sends with std::net and with the SDK to a peer that no rule grants")
    .got("acces")
    .saw(
        "the peer, and the one that is granted",
        refused.seen(),
        four.seen(),
    )
    .state()?;
    assert_eq!((four.seen(), six.seen(), refused.seen()), (2, 2, 0));
    Ok(())
}

/// Without a policy `std::net` reaches nobody.
#[test]
fn without_a_policy_std_net_reaches_nobody() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    for program in TWINS {
        let ended = GuestRun::new(program)
            .argument("connect")
            .argument(&address)
            .argument("bind")
            .argument("127.0.0.1:0")
            .argument("udp")
            .argument(&address)
            .finish(patience())?;
        ensure!(!ended.status.success());
        for action in [
            format!("connect {address}"),
            "bind 127.0.0.1:0".to_owned(),
            format!("udp {address}"),
        ] {
            assert_eq!(outcome(&ended, &action)?, "PermissionDenied", "{program}");
        }
        ensure!(
            ended
                .audit
                .records()
                .iter()
                .all(|record| record.is_denied())
        );
    }
    ensure!(listener.accept().is_err());
    Ok(())
}
