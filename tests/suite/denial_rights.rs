//! Descriptors that travel over Unix sockets: what may leave, what may arrive, and that what is not let
//! in is closed.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{Ended, GuestRun, Tool, folder, oracle, patience, steps};

/// Python passes any descriptors, in any number: std has nothing for it.
const SENDER: &str = "
import array, os, select, socket, sys
path, what, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(path)
keep = []
def one():
    if what == 'file':
        f = open('/etc/hostname'); keep.append(f); return f.fileno()
    if what == 'pipe':
        r, w = os.pipe(); keep.append((r, w)); return r
    if what == 'epoll':
        e = select.epoll(); keep.append(e); return e.fileno()
    if what == 'pidfd':
        return os.pidfd_open(os.getpid())
    if what == 'netlink':
        n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); keep.append(n); return n.fileno()
    if what == 'udp':
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); keep.append(u)
        return u.fileno()
    if what == 'tcp':
        t = socket.create_connection(('127.0.0.1', int(sys.argv[4]))); keep.append(t); return t.fileno()
    if what == 'self':
        return s.fileno()
first = one()
s.sendmsg([b'handles'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [first] * count))])
if what == 'pipe':
    # The guest's copy is closed where it was not let in: then nobody else holds the reading end.
    r, w = keep[0]
    os.close(r)
s.recv(1)
if what == 'pipe':
    try:
        os.write(w, b'x'); print('open')
    except BrokenPipeError:
        print('closed')
s.close()
";

/// A guest that listens, takes one message with room for `room` bytes of control data, and answers.
fn receiver(folder: &Path, keys: &str, room: usize, more: &[&str]) -> GuestRun {
    let bind = format!("bind s path:{}/hand-over", folder.display());
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"hand-over\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\n\
         ops = [\"listen\", \"descriptor-receive\"]\npeer = \"*\"\n\
         local = {{ root = \"{}\", path = [\"hand-over\"] }}\n{keys}\n",
        folder.display()
    );
    // Without `kinds` nothing is received at all, so the operation is left out then.
    let policy = match keys.contains("kinds") {
        true => policy,
        false => policy.replace(", \"descriptor-receive\"", ""),
    };
    let receive = format!("recv-msg c 100 {room}");
    let start = [
        "s = socket unix stream",
        &bind,
        "listen s",
        "c = accept s",
        &receive,
    ];
    steps(start.iter().chain(more).chain(&["send c !", "recv c 1"])).policy_text(&policy)
}

/// What a native sender of `count` descriptors of this kind comes to, and what the guest saw.
fn hand_over(
    keys: &str,
    room: usize,
    what: &str,
    count: usize,
    port: u16,
    more: &[&str],
) -> Result<Option<(Ended, String)>> {
    let Some(python) = oracle(Tool::Python, "denial_rights") else {
        return Ok(None);
    };
    let place = folder()?;
    let guest = receiver(place.path(), keys, room, more).start()?;
    guest.wait_for_line("listen s -> ok", patience())?;
    let sender = std::process::Command::new(python)
        .args(["-c", SENDER])
        .arg(place.path().join("hand-over"))
        .args([what, &count.to_string(), &port.to_string()])
        .output()?;
    ensure!(
        sender.status.success(),
        "{}",
        String::from_utf8_lossy(&sender.stderr)
    );
    let said = String::from_utf8_lossy(&sender.stdout).trim().to_owned();
    Ok(Some((guest.wait(patience())?.success()?, said)))
}

const ROOM: usize = 2048;

/// Nothing that was not granted arrives, and the kernel's copy of it is closed.
#[test]
fn nothing_arrives_without_a_grant() -> Result<()> {
    for what in ["file", "pipe", "epoll", "pidfd", "netlink", "udp", "self"] {
        for keys in ["", "kinds = [\"socket\"]"] {
            let Some((ended, said)) = hand_over(keys, ROOM, what, 1, 0, &[])? else {
                return Ok(());
            };
            // `self` is an end of a connection that this guest accepted: `listen` grants it.
            if what == "self" && !keys.is_empty() {
                continue;
            }
            let seen = ended.step(&format!("recv-msg c 100 {ROOM}"))?;
            assert_eq!(seen, "\"handles\"", "{what} with `{keys}`");
            if what == "pipe" {
                assert_eq!(said, "closed");
            }
        }
    }
    // The twin: granted as opaque, a pipe and a file arrive, and are kept open.
    for what in ["file", "pipe", "pidfd", "epoll"] {
        let Some((ended, said)) = hand_over("kinds = [\"opaque\"]", ROOM, what, 1, 0, &[])? else {
            return Ok(());
        };
        let seen = ended.step(&format!("recv-msg c 100 {ROOM}"))?;
        assert_eq!(seen, "\"handles\" + opaque in0", "{what}");
        if what == "pipe" {
            assert_eq!(said, "open");
        }
    }
    Ok(())
}

/// An opaque descriptor is good for passing on and for nothing else; a socket of a family that no rule
/// names is not even that where only opaque ones are granted.
#[test]
fn a_socket_is_no_opaque_descriptor() -> Result<()> {
    for what in ["udp", "netlink", "self"] {
        let Some((ended, _)) = hand_over("kinds = [\"opaque\"]", ROOM, what, 1, 0, &[])? else {
            return Ok(());
        };
        let seen = ended.step(&format!("recv-msg c 100 {ROOM}"))?;
        assert_eq!(seen, "\"handles\"", "{what}");
        ended.audit.denied("descriptor-receive")?;
    }
    Ok(())
}

/// A connected socket that arrives is judged as if this guest had connected it.
#[test]
fn an_arriving_connection_is_judged_by_the_receiver_s_own_policy() -> Result<()> {
    let peer = TcpListener::bind("127.0.0.1:0")?;
    let port = peer.local_addr()?.port();
    let more = ["send in0 by-the-guest"];
    let Some((refused, _)) = hand_over("kinds = [\"socket\"]", ROOM, "tcp", 1, port, &more)? else {
        return Ok(());
    };
    let seen = refused.step(&format!("recv-msg c 100 {ROOM}"))?;
    assert_eq!(seen, "\"handles\"");
    let record = refused
        .audit
        .of("descriptor-receive")
        .find(|record| record.is_denied())
        .context("no record of the refused connection")?;
    assert_eq!(record.address(), format!("127.0.0.1:{port}"));
    let mut first = peer.accept()?.0;
    let mut got = Vec::new();
    first.read_to_end(&mut got)?;
    assert_eq!(got, b"");

    // The twin: with `connect` to that peer it arrives and works.
    let keys = format!(
        "kinds = [\"socket\"]\n[[allow]]\nid = \"server\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\n\
         ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nport = [\"{port}\"]"
    );
    let Some((granted, _)) = hand_over(&keys, ROOM, "tcp", 1, port, &more)? else {
        return Ok(());
    };
    assert_eq!(granted.step(more[0])?, "ok 12", "{}", granted.stdout);
    let mut second = peer.accept()?.0;
    second.read_to_end(&mut got)?;
    assert_eq!(got, b"by-the-guest");
    Ok(())
}

/// 253 descriptors fit in one message; with less room than they need the rest is closed by the kernel,
/// and the guest is told by `ctrunc`.
#[test]
fn as_many_as_fit_and_the_rest_is_cut() -> Result<()> {
    let Some((all, _)) = hand_over("kinds = [\"opaque\"]", ROOM, "file", 253, 0, &[])? else {
        return Ok(());
    };
    let seen = all.step(&format!("recv-msg c 100 {ROOM}"))?;
    assert_eq!(seen.matches("opaque").count(), 253);
    ensure!(!seen.contains("ctrunc"));

    // Room for four.
    let Some((cut, said)) = hand_over("kinds = [\"opaque\"]", 32, "pipe", 100, 0, &[])? else {
        return Ok(());
    };
    let seen = cut.step("recv-msg c 100 32")?;
    assert_eq!(seen.matches("opaque").count(), 4, "{seen}");
    ensure!(seen.contains("ctrunc"), "{seen}");
    assert_eq!(said, "open");

    // A guest that asks for no control data is given none, and none is held for it.
    for (receive, more) in [("recv-msg c 100 0", vec![]), ("recv-msg c 100 16", vec![])] {
        let room = receive.rsplit(' ').next().unwrap_or_default().parse()?;
        let Some((none, said)) = hand_over("kinds = [\"opaque\"]", room, "pipe", 3, 0, &more)?
        else {
            return Ok(());
        };
        ensure!(!none.step(receive)?.contains("opaque"));
        assert_eq!(said, "closed", "{receive}");
    }
    Ok(())
}

/// 254 descriptors in one message are one too many, as for native code; and sending needs its grant.
#[test]
fn sending_descriptors_needs_a_grant_and_has_a_limit() -> Result<()> {
    let name = "sending_descriptors_needs_a_grant_and_has_a_limit";
    let policy = |ops: &str, kinds: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [{ops}]\n{kinds}\n"
        )
    };
    let script = [
        "p = pair stream",
        "send-handles p 1 p'",
        "send-handles p 253 p'",
        "send-handles p 254 p'",
        "send-raw p 1 1 05000000",
    ];
    let run = steps(script).policy_text(&policy("\"socketpair\"", ""));
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    let refused = run.finish(patience())?.success()?;
    for step in &script[1..4] {
        assert_eq!(refused.step(step)?, "acces");
    }
    // SCM_RIGHTS as raw bytes would name the host's own descriptors by number.
    let raw = refused.step(script[4])?;
    ensure!(matches!(raw, "acces" | "inval"), "{raw}");
    refused.audit.denied("descriptor-send")?;
    if refused.syscalls.is_some() {
        ensure!(refused.made("sendmsg")?.is_empty());
    }

    let both = "\"socketpair\", \"descriptor-send\", \"descriptor-receive\"";
    let granted = steps([
        "p = pair stream",
        "send-handles p 1 p'",
        "recv-msg p' 100 2048",
        "send-handles p 254 p'",
        "send-raw p 1 1 05000000",
        "timeout p' 100",
        "recv-msg p' 101 2048",
    ])
    .policy_text(&policy(both, "kinds = [\"socket\"]"))
    .finish(patience())?
    .success()?;
    assert_eq!(granted.step("send-handles p 1 p'")?, "ok 7");
    // A descriptor sent to itself is judged like any other.
    assert_eq!(
        granted.step("recv-msg p' 100 2048")?,
        "\"handles\" + socket in0",
        "{}",
        granted.stderr
    );
    let outcome = granted.step("send-handles p 254 p'")?;
    ensure!(matches!(outcome, "inval" | "nobufs"), "{outcome}");
    let raw = granted.step("send-raw p 1 1 05000000")?;
    ensure!(matches!(raw, "acces" | "inval"), "{raw}");
    assert_eq!(granted.step("recv-msg p' 101 2048")?, "timedout");
    Ok(())
}

/// Pairs on which descriptors may travel both ways, and this.
fn travelling(more: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
         ops = [\"socketpair\", \"descriptor-send\", \"descriptor-receive\"]\nkinds = [\"socket\"]\n{more}"
    )
}

/// A descriptor that found no room has not left: it is on no record, and counts for nothing.
#[test]
fn a_descriptor_is_on_record_when_it_left() -> Result<()> {
    let script = [
        "p = pair stream",
        "o = pair stream",
        "send-handles o 1 p",
        "fill p",
        "timeout p 300",
        "send-handles p 1 o",
    ];
    let ended = steps(script)
        .policy_text(&travelling("limits = { descriptors-in-flight = 2 }\n"))
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("send-handles o 1 p")?, "ok 7");
    assert_eq!(ended.step("send-handles p 1 o")?, "timedout");
    assert_eq!(ended.audit.of("descriptor-send").count(), 1);
    Ok(())
}

/// A connection that was accepted, and sent to itself, is still what `listen` grants: no more and no less.
#[test]
fn an_arriving_connection_stays_granted_by_what_accepted_it() -> Result<()> {
    let port = sockgate_tests::free_port()?;
    let bind = format!("bind l 127.0.0.1:{port}");
    let script = [
        "l = socket inet stream",
        &bind,
        "listen l",
        "c = accept l",
        "p = pair stream",
        "send-handles p 1 c",
        "recv-msg p' 100 2048",
        "send in0 hello",
    ];
    let listen = format!(
        "[[allow]]\nid = \"door\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
         local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\npeer = {{ cidr = [\"127.0.0.1\"] }}\n"
    );
    let guest = steps(script).policy_text(&travelling(&listen)).start()?;
    guest.wait_for_line("listen l -> ok", patience())?;
    let mut peer = std::net::TcpStream::connect(("127.0.0.1", port))?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("send in0 hello")?, "ok 5", "{}", ended.stdout);
    let mut got = String::new();
    peer.read_to_string(&mut got)?;
    assert_eq!(got, "hello");
    Ok(())
}

/// A descriptor of the peer's process is one that arrives: the option alone does not bring it.
#[test]
fn a_peer_s_process_needs_its_kind_of_descriptor() -> Result<()> {
    let script = ["p = pair stream", "d = pidfd p"];
    let ended = steps(script)
        .policy_text(&travelling("options = { get = [\"so.peerpidfd\"] }\n"))
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("d = pidfd p")?, "acces");
    ended.audit.denied("descriptor-receive")?;
    Ok(())
}

/// RDS's control messages name memory of the process that sends them, which is the host's: no rule lists them.
#[test]
fn no_message_names_the_host_s_memory() -> Result<()> {
    let raw = "send-raw p 276 1 00000000000000000000000000000000";
    let ended = steps(["p = pair stream", raw])
        .policy_text(&travelling("ancillary = { send = [\"276/1\"] }\n"))
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(raw)?, "acces");
    let reason = ended.audit.denied("send-msg")?.reason();
    ensure!(reason.contains("memory of the host"), "{reason}");
    Ok(())
}

/// A socket whose options cannot be compared with a new one's is not let in.
#[test]
fn a_socket_that_cannot_be_compared_is_closed() -> Result<()> {
    let name = "a_socket_that_cannot_be_compared_is_closed";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let udp = "[[allow]]\nid = \"udp\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\nops = [\"connect\"]\n\
               peer = \"*\"\n";
    let receive = "recv-msg p' 100 2048";
    let script = [
        "p = pair stream",
        "u = socket inet datagram",
        "send-handles p 1 u",
        receive,
    ];
    let run = || steps(script).policy_text(&travelling(udp)).strace(&strace);
    let refused = run()
        .inject("socket:error=EMFILE:when=2")
        .finish(patience())?
        .success()?;
    assert_eq!(refused.step(receive)?, "\"handles\"", "{}", refused.stdout);
    let reason = refused.audit.denied("descriptor-receive")?.reason();
    ensure!(reason.contains("compare"), "{reason}");
    let granted = run().finish(patience())?.success()?;
    assert_eq!(granted.step(receive)?, "\"handles\" + socket in0");
    Ok(())
}
