//! Datagrams and sequenced packets between guests and Python, both ways round, from 0 bytes to the family's
//! limit and one byte beyond: what native code is told there, measured in the same test, the guest is told too.
//! Unix sockets of every kind of name show true names on both sides, and answers go by them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    GuestRun, Native, TempDir, Tool, agree, folder, free_port, has_ipv6, oracle, patience, skip,
    told,
};

/// A kind of message socket between two names; `-` is no name.
struct Case {
    kind: &'static str,
    server: String,
    client: String,
    /// What the server has to see as the client's name; nothing where the kernel chooses it.
    seen: Option<String>,
}

impl Case {
    fn new(kind: &'static str, server: &str, client: &str, seen: Option<&str>) -> Case {
        Case {
            kind,
            server: server.to_owned(),
            client: client.to_owned(),
            seen: seen.map(str::to_owned),
        }
    }

    fn is_unix(&self) -> bool {
        self.server.starts_with(['/', '@'])
    }

    /// Whether there is a name to answer to: a datagram socket without one gets no answer.
    fn can_be_answered(&self) -> bool {
        self.kind != "datagram" || !self.is_unix() || self.client != "-"
    }

    fn transport(&self) -> String {
        match self.is_unix() {
            true => format!("unix-{}", self.kind),
            false => "udp".to_owned(),
        }
    }

    fn server_rule(&self) -> String {
        let transport = self.transport();
        match self.kind {
            "seqpacket" => format!("{transport} listen {}", self.server),
            _ => format!("{transport} bind,receive,reply {} peer *", self.server),
        }
    }

    /// For a connected socket, or for one that names its peer with each datagram.
    fn client_rules(&self, connected: bool) -> Vec<String> {
        let transport = self.transport();
        let peer = &self.server;
        let local = match self.client.as_str() {
            "-" => "*",
            "auto" => "@auto",
            name => name,
        };
        let mut rules = match connected || self.kind == "seqpacket" {
            true => vec![format!("{transport} connect {peer}")],
            false => vec![
                format!("{transport} send-to {peer}"),
                format!("{transport} receive from {local} to {peer}"),
            ],
        };
        if self.client != "-" {
            rules.push(format!("{transport} bind {local}"));
        }
        rules
    }
}

/// The largest message of this kind, and what native code is told about one more byte.
fn native_limit(python: &Path, case: &Case) -> Result<(usize, String)> {
    let any = match case.server.starts_with('[') {
        true => "[::1]:0",
        false if case.is_unix() => "/",
        false => "127.0.0.1:0",
    };
    let arguments = ["limit", case.kind, any];
    let lines = Native::python(python, "peers.py", arguments)?.finish(patience())?;
    let line = told(&lines, "limit").pop().context("no limit")?;
    let (limit, errno) = line.split_once(' ').context("no errno")?;
    Ok((limit.parse()?, errno.to_owned()))
}

fn ip_cases(name: &str) -> Result<Vec<Case>> {
    let mut cases = vec![
        Case::new(
            "datagram",
            &format!("127.0.0.1:{}", free_port()?),
            "-",
            None,
        ),
        Case::new(
            "datagram",
            &format!("127.0.0.1:{}", free_port()?),
            &format!("127.0.0.1:{}", free_port()?),
            None,
        ),
    ];
    if has_ipv6() {
        let (server, client) = (free_port()?, free_port()?);
        let server = format!("[::1]:{server}");
        cases.push(Case::new(
            "datagram",
            &server,
            &format!("[::1]:{client}"),
            None,
        ));
    } else {
        skip(&format!("{name}: inet6"), "this machine has no IPv6");
    }
    Ok(cases)
}

/// Pathnames, abstract names, names that the kernel chooses, and none, for both types.
fn unix_cases(place: &TempDir) -> Result<Vec<Case>> {
    let folder = place.path().display();
    let unique = place.path().file_name().context("no name")?.display();
    let mut cases = Vec::new();
    for kind in ["datagram", "seqpacket"] {
        let path = |end: &str| format!("{folder}/{kind}-{end}.sock");
        let name = |end: &str| format!("@{unique}-{kind}-{end}");
        for (number, client) in [path("c"), name("c"), "auto".to_owned(), "-".to_owned()]
            .into_iter()
            .enumerate()
        {
            let seen = match client.as_str() {
                "auto" => None,
                "-" => Some("(unnamed)"),
                client => Some(client),
            };
            let path = path(&format!("s{number}"));
            cases.push(Case::new(kind, &path, &client, seen));
        }
        cases.push(Case::new(kind, &name("s"), &name("d"), Some(&name("d"))));
    }
    Ok(cases)
}

/// What a test checks on the lines of both peers, whichever of them is the guest.
fn check(case: &Case, sizes: &[usize], server: &[String], client: &[String]) -> Result<()> {
    agree(server, client)?;
    ensure!(told(client, "sent").len() == sizes.len(), "{client:?}");
    if case.kind == "seqpacket" {
        // Both ends call each other what each calls itself.
        for (one, other) in [("local", "peer"), ("peer", "local")] {
            let (ours, theirs) = (told(server, one), told(client, other));
            ensure!(
                ours.first() == theirs.last() && !ours.is_empty(),
                "{ours:?} {theirs:?}"
            );
        }
        ensure!(told(server, "from") == told(server, "peer"), "{server:?}");
    }
    let seen = told(server, "from")
        .pop()
        .context("the server saw nobody")?;
    if let Some(name) = &case.seen {
        ensure!(&seen == name, "the client is {name}, the server saw {seen}");
    }
    if case.client == "auto" {
        let own = told(client, "local");
        ensure!(
            own.first() == Some(&seen) && seen.len() == 6 && seen.starts_with('@'),
            "{seen}"
        );
    }
    if case.kind == "datagram" {
        let from = told(client, "from");
        ensure!(from.iter().all(|from| *from == case.server), "{from:?}");
    }
    Ok(())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn words(sizes: &[usize]) -> Vec<String> {
    sizes.iter().map(usize::to_string).collect()
}

/// A Python client of a guest server; answers what was refused to the client.
fn python_asks(
    python: &Path,
    case: &Case,
    role: &str,
    sizes: &[usize],
    sent: usize,
) -> Result<Vec<String>> {
    let guest = GuestRun::new("peer_message")
        .allow(&case.server_rule())
        .argument("serve")
        .argument(case.kind)
        .argument(&case.server)
        .argument(sent.to_string())
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let mut arguments = vec![role, case.kind, &case.server, &case.client];
    let sizes_text = words(sizes);
    arguments.extend(sizes_text.iter().map(String::as_str));
    let native = Native::python(python, "peers.py", arguments)?.finish(patience())?;
    let guest = guest.wait(patience())?.success()?;
    check(case, &sizes[..sent], &lines(&guest.stdout), &native)?;
    Ok(told(&native, "refused"))
}

/// A guest client of a Python server; answers what was refused to the client.
fn guest_asks(
    python: &Path,
    case: &Case,
    role: &str,
    sizes: &[usize],
    sent: usize,
) -> Result<Vec<String>> {
    let count = sent.to_string();
    let arguments = ["serve-messages", case.kind, &case.server, &count];
    let native = Native::python(python, "peers.py", arguments)?;
    native.wait_for_line("listening on ", patience())?;
    let mode = match role {
        "ask-connected" => "ask-connected",
        _ => "ask",
    };
    let mut run = GuestRun::new("peer_message");
    for rule in case.client_rules(role == "ask-connected") {
        run = run.allow(&rule);
    }
    run = run.argument(mode).argument(case.kind);
    run = run.argument(&case.server).argument(&case.client);
    for size in words(sizes) {
        run = run.argument(size);
    }
    let guest = run.finish(patience())?.success()?;
    let native = native.finish(patience())?;
    let guest = lines(&guest.stdout);
    check(case, &sizes[..sent], &native, &guest)?;
    Ok(told(&guest, "refused"))
}

/// Every size, with one byte beyond the limit at the end, both ways round.
fn both_ways(python: &Path, case: &Case) -> Result<()> {
    if !case.can_be_answered() {
        return Ok(());
    }
    let (limit, errno) = native_limit(python, case)?;
    let sizes = [0, 1, 1472, 9000, limit - 1, limit, limit + 1];
    let beyond = vec![format!("{} {errno}", limit + 1)];
    let roles: &[&str] = match case.kind {
        "seqpacket" => &["ask-messages"],
        _ => &["ask-messages", "ask-connected"],
    };
    for role in roles {
        let what = |who: &str| {
            format!(
                "{who} {role} {} from {} at {}",
                case.kind, case.client, case.server
            )
        };
        let native = python_asks(python, case, role, &sizes, sizes.len() - 1)
            .with_context(|| what("python"))?;
        ensure!(native == beyond, "{native:?} is not {beyond:?}");
        unlink(case);
        let guest = guest_asks(python, case, role, &sizes, sizes.len() - 1)
            .with_context(|| what("the guest"))?;
        ensure!(
            guest == native,
            "{}: {guest:?} is not {native:?}",
            what("the guest")
        );
        unlink(case);
    }
    println!(
        "{} at {}: {limit} bytes, then {errno}",
        case.kind, case.server
    );
    Ok(())
}

/// What Python bound stays; what the guest bound the host has taken away already.
fn unlink(case: &Case) {
    for name in [&case.server, &case.client] {
        if name.starts_with('/') {
            // Gone already where the guest had it.
            let _ = std::fs::remove_file(name);
        }
    }
}

#[test]
fn ip_datagrams_up_to_the_limit_and_beyond() -> Result<()> {
    let name = "ip_datagrams_up_to_the_limit_and_beyond";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for case in ip_cases(name)? {
        both_ways(&python, &case)?;
    }
    Ok(())
}

#[test]
fn unix_messages_up_to_the_limit_and_beyond_under_every_kind_of_name() -> Result<()> {
    let name = "unix_messages_up_to_the_limit_and_beyond_under_every_kind_of_name";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    for case in unix_cases(&place)? {
        both_ways(&python, &case)?;
    }
    Ok(())
}
