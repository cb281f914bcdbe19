//! Every denial has its audit record and no system call, says what would have granted it, and is gone
//! once that is granted. The guest learns nothing: not why, and not whether the peer exists.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{
    Audit, Ended, Record, Tool, folder, free_port, has_ipv6, oracle, patience, steps, tcp_echo,
};

/// A guest that wants one thing, and what it takes.
struct Want {
    /// What to call it in messages.
    name: &'static str,
    /// The guest's steps.
    steps: Vec<String>,
    /// The step that is refused at first.
    wanted: String,
    /// What lets the steps before it through.
    allowed: Vec<String>,
    /// The system call that must not be made while it is refused.
    call: &'static str,
    /// How the step's outcome begins once it is granted.
    granted: &'static str,
}

fn want(
    name: &'static str,
    steps: &[&str],
    allowed: &[&str],
    call: &'static str,
    granted: &'static str,
) -> Want {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let steps: Vec<String> = own(steps);
    Want {
        name,
        wanted: steps.last().cloned().unwrap_or_default(),
        steps,
        allowed: own(allowed),
        call,
        granted,
    }
}

/// The last refusal: that of the wanted step.
fn last_refusal(audit: &Audit) -> Result<&Record> {
    let mut refused = audit.records().iter().filter(|record| record.is_denied());
    refused.next_back().context("nothing was refused")
}

/// Runs it, feeds back what the audit says would grant it, and so on until it is granted.
fn fulfil(want: &Want) -> Result<usize> {
    let strace = oracle(Tool::Strace, want.name);
    let mut rules = want.allowed.clone();
    for round in 0..4 {
        let run = rules
            .iter()
            .fold(steps(&want.steps), |run, rule| run.allow(rule))
            .trace();
        let run = match &strace {
            Some(strace) => run.strace(strace),
            None => run,
        };
        let ended = run.finish(patience())?.success()?;
        let outcome = ended.step(&want.wanted)?;
        if outcome.starts_with(want.granted) {
            ensure!(round > 0, "{}: it was granted from the start", want.name);
            return Ok(round);
        }
        ensure!(
            outcome == "acces",
            "{}: {outcome}, with {rules:?}\n{}",
            want.name,
            ended.stderr
        );
        refused_without_a_call(want, &ended)?;
        let record = last_refusal(&ended.audit)?;
        let rule = record
            .missing_rule()
            .with_context(|| format!("{}: {record:?}", want.name))?;
        ensure!(
            !rules.iter().any(|known| known == rule),
            "{}: {rule} was granted and grants nothing: {record:?}",
            want.name
        );
        rules.push(rule.to_owned());
    }
    bail!("{}: still refused with {rules:?}", want.name)
}

/// The witnesses: the audit's record, the trace's line, the system call that is absent.
fn refused_without_a_call(want: &Want, ended: &Ended) -> Result<()> {
    let record = last_refusal(&ended.audit)?;
    ensure!(record.errno() == "acces", "{record:?}");
    ensure!(!record.reason().is_empty(), "{record:?}");
    let note = format!(" = acces  [{}]", record.reason());
    ensure!(
        ended.stderr.lines().any(|line| line.contains(&note)),
        "no line with `{note}` in:\n{}",
        ended.stderr
    );
    if ended.syscalls.is_some() {
        let made = ended.made(want.call)?;
        ensure!(made.is_empty(), "{}: {made:?}", want.name);
    }
    Ok(())
}

#[test]
fn what_the_audit_says_would_grant_it_does() -> Result<()> {
    let place = folder()?;
    let socket_path = place.path().join("native.sock");
    let _unix = UnixListener::bind(&socket_path)?;
    let path = format!("path:{}", socket_path.display());
    let own = format!("path:{}", place.path().join("own.sock").display());
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let tcp = tcp.local_addr()?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let udp = udp.local_addr()?;
    let abstract_name = format!("abstract:sockgate-{}", std::process::id());

    // Something that lets sockets be made and is of no use.
    let tcp_any = "tcp connect 127.0.0.77:1";
    let udp_any = "udp send-to 127.0.0.77:1";
    let unix_any = "unix connect @sockgate-elsewhere";
    let connect = format!("connect s {tcp}");
    let send_to = format!("send-to s hello {udp}");
    let udp_connect = format!("connect s {udp}");
    let unix_connect = format!("connect s {path}");
    let unix_bind = format!("bind s {own}");
    let abstract_bind = format!("bind s {abstract_name}");
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let (tcp_bind, udp_bind) = (
        format!("tcp bind 127.0.0.1:{port}"),
        format!("udp bind 127.0.0.1:{port}"),
    );
    let tcp_rule = format!("tcp connect {tcp}");
    let udp_rule = format!("udp connect {udp}");

    let mut wants = vec![
        want(
            "tcp connect",
            &["s = socket inet stream", &connect],
            &[tcp_any],
            "connect",
            "ok",
        ),
        want(
            "udp connect",
            &["s = socket inet datagram", &udp_connect],
            &[udp_any],
            "connect",
            "ok",
        ),
        want(
            "udp send-to",
            &["s = socket inet datagram", &send_to],
            &[udp_any],
            "sendto",
            "ok 5",
        ),
        want(
            "udp bind",
            &["s = socket inet datagram", "bind s 127.0.0.1:0"],
            &[udp_any],
            "bind",
            "ok",
        ),
        want(
            "tcp listen",
            &["s = socket inet stream", &bind, "listen s"],
            &[tcp_any, &tcp_bind],
            "listen",
            "ok",
        ),
        want(
            "udp receive",
            &["s = socket inet datagram", &bind, "recv s 9 dont-wait"],
            &[&udp_bind],
            "recvfrom",
            "again",
        ),
        want(
            "unix connect",
            &["s = socket unix stream", &unix_connect],
            &[unix_any],
            "connect",
            "ok",
        ),
        want(
            "unix bind",
            &["s = socket unix datagram", &unix_bind],
            &[unix_any],
            "bind",
            "ok",
        ),
        want(
            "abstract bind",
            &["s = socket unix datagram", &abstract_bind],
            &[unix_any],
            "bind",
            "ok",
        ),
        want(
            "socketpair",
            &["p = pair seqpacket"],
            &[unix_any],
            "socketpair",
            "ok",
        ),
        want(
            "disconnect",
            &[
                "s = socket inet datagram",
                &udp_connect,
                "connect s unspecified",
            ],
            &[&udp_rule],
            "none-such",
            "ok",
        ),
        want(
            "join-group",
            &["s = socket inet datagram", "join s 239.1.2.3:1"],
            &[udp_any],
            "none-such",
            "ok",
        ),
        want(
            "ioctl",
            &["s = socket inet stream", &connect, "readable s"],
            &[&tcp_rule],
            "ioctl",
            "ok 0",
        ),
        want("interfaces", &["interfaces"], &[], "sendto", "ok"),
        want("hostname", &["host-name"], &[], "uname", "ok"),
        want(
            "reverse-resolve",
            &["reverse 127.0.0.1"],
            &[],
            "none-such",
            "ok localhost",
        ),
    ];
    if has_ipv6() {
        wants.push(want(
            "udp6 bind",
            &["s = socket inet6 datagram", "bind s [::1]:0"],
            &["udp6 send-to [::1]:1"],
            "bind",
            "ok",
        ));
    }
    let mut rounds = 0;
    for want in &wants {
        rounds += fulfil(want)?;
    }
    println!(
        "{} denials, {rounds} grants of the audit fed back",
        wants.len()
    );
    Ok(())
}

/// What travels between the two ends of a pair is granted piece by piece, and a reply by `reply`.
#[test]
fn descriptors_splice_and_replies_are_granted_by_what_the_audit_says() -> Result<()> {
    let pair = "unix-stream socketpair";
    let (tcp, other) = (tcp_echo("127.0.0.1:0")?, tcp_echo("127.0.0.1:0")?);
    let (one, two) = (
        format!("connect a 127.0.0.1:{}", tcp.port()),
        format!("connect b 127.0.0.1:{}", other.port()),
    );
    let rules = [
        format!("tcp connect 127.0.0.1:{}", tcp.port()),
        format!("tcp connect 127.0.0.1:{}", other.port()),
    ];
    let wants = [
        want(
            "descriptor-send",
            &["p = pair stream", "send-handles p 1 p'"],
            &[pair],
            "sendmsg",
            "ok 7",
        ),
        want(
            "splice",
            &[
                "a = socket inet stream",
                "b = socket inet stream",
                &one,
                &two,
                "send a hello",
                "poll a 5000",
                "splice a b",
            ],
            &[&rules[0], &rules[1]],
            "none-such",
            "ok 5",
        ),
        want(
            "set-hostname",
            // The name that it has already; a user without the right gets `perm` from the kernel.
            &[&format!("set-host-name {}", host_name()?)],
            &[],
            "none-such",
            match is_root()? {
                true => "ok",
                false => "perm",
            },
        ),
    ];
    let mut rounds = 0;
    for want in &wants {
        rounds += fulfil(want)?;
    }
    println!(
        "{} denials, {rounds} grants of the audit fed back",
        wants.len()
    );

    // What arrives: nothing without the grant, the socket with it.
    let script = [
        "p = pair stream",
        "send-handles p 1 p'",
        "recv-msg p' 100 2048",
    ];
    let send = "unix-stream descriptor-send kinds=socket";
    let run = |rules: &[&str]| {
        rules
            .iter()
            .fold(steps(script), |run, rule| run.allow(rule))
            .finish(patience())
    };
    let hidden = run(&[pair, send])?;
    assert_eq!(hidden.step(script[2])?, "\"handles\"");
    let grant = hidden
        .audit
        .denied("descriptor-receive")?
        .missing_rule()?
        .to_owned();
    let shown = run(&[pair, send, &grant])?;
    assert_eq!(
        shown.step(script[2])?,
        "\"handles\" + socket in0",
        "{grant}\n{}",
        shown.stderr
    );
    Ok(())
}

/// A datagram server that may receive is refused its answer until `reply` is granted.
#[test]
fn a_reply_is_granted_by_what_the_audit_says() -> Result<()> {
    let port = free_port()?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let answer = format!("send-to s answer {}", client.local_addr()?);
    let run = |rules: &[String]| -> Result<Ended> {
        let script = [
            "s = socket inet datagram",
            &bind,
            "recv-from s 100",
            &answer,
        ];
        let guest = rules
            .iter()
            .fold(steps(script), |run, rule| run.allow(rule))
            .start()?;
        guest.wait_for_line("bind s", patience())?;
        client.send_to(b"question", ("127.0.0.1", port))?;
        guest.wait(patience())?.success()
    };
    let mut rules = vec![format!("udp bind,receive 127.0.0.1:{port} peer 127.0.0.1")];
    let refused = run(&rules)?;
    assert_eq!(refused.step(&answer)?, "acces");
    client.set_nonblocking(true)?;
    ensure!(client.recv(&mut [0; 16]).is_err());
    let record = last_refusal(&refused.audit)?;
    rules.push(record.missing_rule()?.to_owned());
    let granted = run(&rules)?;
    assert_eq!(granted.step(&answer)?, "ok 6", "{rules:?}");
    assert_eq!(client.recv(&mut [0; 16])?, 6);

    // `reply` itself does as well, and only towards who has written.
    rules[1] = format!("udp reply from 127.0.0.1:{port}");
    let granted = run(&rules)?;
    assert_eq!(granted.step(&answer)?, "ok 6", "{rules:?}");
    let early = rules
        .iter()
        .fold(
            steps(["s = socket inet datagram", &bind, &answer]),
            |run, rule| run.allow(rule),
        )
        .finish(patience())?;
    assert_eq!(early.step(&answer)?, "acces");
    Ok(())
}

fn host_name() -> Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(name.trim_end().to_owned())
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// Where the policy reveals it, the guest learns of limits and of what a rule does not list as of any refusal.
#[test]
fn every_kind_of_refusal_is_revealed() -> Result<()> {
    let ended = steps([
        "s = socket inet datagram",
        "t = socket inet datagram",
        "denial",
        "send-to s hello 127.0.0.1:9 dont-route",
        "denial",
    ])
    .policy_text(
        "version = 1\nreveal = true\n[limits]\nsockets = 1\n[[allow]]\nid = \"udp\"\n\
         family = [\"inet\"]\nops = [\"send-to\"]\ncidr = [\"127.0.0.1\"]\n",
    )
    .finish(patience())?
    .success()?;
    assert_eq!(ended.step("t = socket inet datagram")?, "mfile");
    assert_eq!(
        ended.step("send-to s hello 127.0.0.1:9 dont-route")?,
        "acces"
    );
    let told = ended
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("denial -> "));
    let told: Vec<&str> = told.collect();
    ensure!(
        matches!(told[..], [limit, flags] if limit.contains("sockets") && flags.contains("dontroute")),
        "{told:?}"
    );
    Ok(())
}

/// A socket that no rule is about names the kind of rule that would grant it.
#[test]
fn a_refused_socket_says_what_kind_of_rule_it_lacks() -> Result<()> {
    let ended = steps(["s = socket inet stream"])
        .finish(patience())?
        .success()?;
    let record = ended.audit.denied("socket")?;
    assert_eq!(record.grant(), "--allow 'tcp connect <address>'");
    let rule = record.missing_rule()?.replace("<address>", "127.0.0.1:80");
    let twin = steps(["s = socket inet stream"])
        .allow(&rule)
        .finish(patience())?;
    assert_eq!(twin.step("s = socket inet stream")?, "ok");
    Ok(())
}

/// A name on this machine is loopback, which a rule of names has to allow by `host-may-be`.
#[test]
fn a_name_is_resolved_and_pinned_once_granted() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let connect = format!("connect-name s localhost:{port}");
    let number = format!("connect s 127.0.0.1:{port}");
    let script = ["lookup localhost", "s = socket inet stream", &connect];
    let refused = steps(script)
        .allow("tcp connect 127.0.0.77:1")
        .finish(patience())?;
    assert_eq!(refused.step("lookup localhost")?, "acces");
    assert_eq!(refused.step(&connect)?, "acces");
    let record = refused.audit.denied("resolve")?;
    assert_eq!(record.missing_rule()?, "resolve localhost");

    // The record's rule grants the look-up, whose answer is hidden since it is loopback.
    let hidden = steps(script)
        .allow("tcp connect 127.0.0.77:1")
        .allow(record.missing_rule()?)
        .finish(patience())?;
    hidden.audit.granted("resolve")?;
    ensure!(!hidden.step("lookup localhost")?.starts_with("ok"));

    let rule = format!("tcp resolve,connect localhost:{port} host-may-be=loopback");
    let granted = steps([
        "s = socket inet stream",
        &number,
        "t = socket inet stream",
        &connect,
        &number,
    ])
    .allow(&rule)
    .finish(patience())?;
    // Before the name was looked up nothing is pinned to it: its address is as good as any other.
    assert_eq!(granted.step(&number)?, "acces");
    assert_eq!(granted.step(&connect)?, "ok", "{}", granted.stdout);
    Ok(())
}

/// Options, flags and ancillary data are granted inside the rule that grants the socket.
#[test]
fn an_option_is_granted_by_what_the_audit_says() -> Result<()> {
    let refused = steps([
        "s = socket inet stream",
        "typed s keep-alive 1",
        "get s 1 9 4",
    ])
    .allow("tcp connect 127.0.0.1:1")
    .finish(patience())?;
    assert_eq!(refused.step("typed s keep-alive 1")?, "acces");
    assert_eq!(refused.step("get s 1 9 4")?, "acces");
    let set = refused.audit.denied("set-option")?.grant().to_owned();
    let get = refused.audit.denied("get-option")?.grant().to_owned();
    assert_eq!(set, "options = { set = [\"so.keepalive\"] }");
    assert_eq!(get, "options = { get = [\"so.keepalive\"] }");

    let both = format!(
        "options = {{ {}, {} }}",
        set.trim_start_matches("options = {")
            .trim_end_matches('}')
            .trim(),
        get.trim_start_matches("options = {")
            .trim_end_matches('}')
            .trim()
    );
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"one\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\n\
         ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nport = [\"1\"]\n{both}\n"
    );
    let granted = steps([
        "s = socket inet stream",
        "typed s keep-alive 1",
        "get s 1 9 4",
    ])
    .policy_text(&policy)
    .finish(patience())?;
    assert_eq!(granted.step("typed s keep-alive 1")?, "ok");
    assert_eq!(granted.step("get s 1 9 4")?, "ok 01000000");
    Ok(())
}

/// Flags beyond the harmless ones are listed in the rule; the audit names those that are not.
#[test]
fn a_flag_that_no_rule_lists_is_refused() -> Result<()> {
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    peer.set_nonblocking(true)?;
    let to = peer.local_addr()?;
    let connect = format!("connect s {to}");
    let by_name = format!("send-to s hello {to} confirm");
    for flag in ["dont-route", "confirm", "proxy"] {
        let send = format!("send s hello {flag}");
        let ended = steps(["s = socket inet datagram", &connect, &send, &by_name])
            .allow(&format!("udp connect,send-to {to}"))
            .finish(patience())?;
        assert_eq!(ended.step(&send)?, "acces", "{flag}");
        assert_eq!(ended.step(&by_name)?, "acces");
        let record = ended.audit.denied("send")?;
        ensure!(
            record.reason().contains("does not list the flags"),
            "{}",
            record.reason()
        );
    }
    ensure!(peer.recv(&mut [0; 16]).is_err());
    let twin = steps([
        "s = socket inet datagram",
        &connect,
        "send s hello dont-route",
    ])
    .allow(&format!("udp connect {to} flags=dontroute"))
    .finish(patience())?;
    assert_eq!(twin.step("send s hello dont-route")?, "ok 5");
    assert_eq!(peer.recv(&mut [0; 16])?, 5);
    Ok(())
}

/// The guest is told why only where the policy says `reveal = true`.
#[test]
fn the_guest_is_told_nothing_unless_the_policy_reveals() -> Result<()> {
    let rule = "[[allow]]\nid = \"web\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\n\
                ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nport = [\"443\"]\n";
    let script = ["s = socket inet stream", "connect s 127.0.0.1:22", "denial"];
    let silent = steps(script)
        .policy_text(&format!("version = 1\n{rule}"))
        .finish(patience())?;
    assert_eq!(silent.step("connect s 127.0.0.1:22")?, "acces");
    assert_eq!(silent.step("denial")?, "none");
    ensure!(!silent.stderr.contains("web") && !silent.stdout.contains("web"));

    let open = steps(script)
        .policy_text(&format!("version = 1\nreveal = true\n{rule}"))
        .finish(patience())?;
    assert_eq!(open.step("connect s 127.0.0.1:22")?, "acces");
    ensure!(
        open.step("denial")?
            .contains("no rule grants connect to 127.0.0.1:22"),
        "{}",
        open.stdout
    );
    Ok(())
}
