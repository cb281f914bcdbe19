//! What can stand in an address's place: names, nothing at all, `<broadcast>`, scopes, flow information,
//! paths. Each is used, not only read: a peer hears of it, or the kernel tells where the socket is bound.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{Ended, GuestRun, covers, ear, heard, patience, with_names};

/// Every IP address and every name, and a folder for Unix sockets.
const POLICY: &str = r#"
version = 1
[[allow]]
id = "names"
ops = ["resolve"]
host = ["*"]
host-may-be = ["loopback", "reserved"]
[[allow]]
id = "peers"
family = ["inet", "inet6"]
type = ["stream", "datagram"]
ops = ["connect", "send-to"]
cidr = ["0.0.0.0/0", "::/0"]
port = ["*"]
options = { set = ["so.broadcast"] }
[[allow]]
id = "own"
family = ["inet", "inet6"]
type = ["stream", "datagram"]
ops = ["bind"]
cidr = ["0.0.0.0/0", "::/0"]
port = ["*"]
options = { set = ["so.broadcast"] }
[[allow]]
id = "path"
family = ["unix"]
type = ["datagram"]
ops = ["bind"]
path = ["/**"]
abstract = ["*", "auto"]
"#;

fn run(questions: &[&str]) -> Result<Ended> {
    let text = questions.join("\n") + "\n";
    GuestRun::new("names")
        .policy_text(POLICY)
        .input(text.as_bytes())
        .finish(patience())?
        .success()
}

/// Asks each question and compares its answer.
fn expect(pairs: &[(&str, &str)]) -> Result<()> {
    let questions: Vec<_> = pairs.iter().map(|(question, _)| *question).collect();
    let ended = run(&questions)?;
    let wrong: Vec<_> = ended
        .stdout
        .lines()
        .zip(pairs)
        .filter(|(answer, (_, wanted))| answer != wanted)
        .collect();
    ensure!(
        wrong.is_empty() && ended.stdout.lines().count() == pairs.len(),
        "{wrong:#?}"
    );
    Ok(())
}

/// As in Python's setipaddr: the first address of the socket's family.
#[test]
fn a_name_becomes_the_first_address_of_the_sockets_family() -> Result<()> {
    with_names(
        "a_name_becomes_the_first_address_of_the_sockets_family",
        |_| {
            expect(&[
                ("address | udp | both.rig.test:7", "ok 192.0.2.20:7"),
                (
                    "address | udp6 | both.rig.test:7",
                    "ok [2001:db8::20]:7 flow 0",
                ),
                ("address | udp | many.rig.test:7", "ok 192.0.2.41:7"),
                (
                    "address | tcp6 | sixes.rig.test:7",
                    "ok [2001:db8::41]:7 flow 0",
                ),
                ("host-port | tcp | www.rig.test | 443", "ok 192.0.2.20:443"),
                ("host-port | udp | 0x7f.1 | 7", "ok 127.0.0.1:7"),
                ("address | udp | 127.1:7", "ok 127.0.0.1:7"),
                (
                    "address | udp | six.rig.test:7",
                    "gaierror EAI_NODATA -5 No address associated with hostname",
                ),
                (
                    "address | udp | no.rig.test:7",
                    "gaierror EAI_NONAME -2 Name or service not known",
                ),
                ("address | udp | no-port", "error"),
                ("address | udp | host:70000", "error"),
            ])
        },
    )
}

#[test]
fn nothing_is_every_address_and_broadcast_is_one() -> Result<()> {
    with_names("nothing_is_every_address_and_broadcast_is_one", |_| {
        expect(&[
            ("address | udp | :7", "ok 0.0.0.0:7"),
            ("address | udp6 | :7", "ok [::]:7 flow 0"),
            ("host-port | tcp | \"\" | 80", "ok 0.0.0.0:80"),
            ("host-port | tcp6 | \"\" | 80", "ok [::]:80 flow 0"),
            ("address | udp | <broadcast>:7", "ok 255.255.255.255:7"),
            ("host-port | udp | <broadcast> | 7", "ok 255.255.255.255:7"),
            (
                "address | udp6 | <broadcast>:7",
                "gaierror EAI_ADDRFAMILY -9 Address family for hostname not supported",
            ),
        ])?;
        // The kernel binds them.
        let ended = run(&[
            "bind | udp | :0",
            "bind | udp6 | :0",
            "bind | tcp | localhost:0",
        ])?;
        let bound: Vec<_> = ended.stdout.lines().collect();
        ensure!(
            bound[0].starts_with("ok 0.0.0.0:")
                && bound[1].starts_with("ok [::]:")
                && bound[2].starts_with("ok 127.0.0.1:"),
            "{bound:?}"
        );
        // And a broadcast goes out to whoever is on the network.
        ip(&["link", "add", "d0", "type", "veth", "peer", "name", "d1"])?;
        ip(&["link", "set", "d1", "up"])?;
        ip(&["addr", "add", "192.0.2.250/24", "brd", "+", "dev", "d0"])?;
        ip(&["link", "set", "d0", "up"])?;
        ip(&["route", "add", "default", "dev", "d0"])?;
        let ear = UdpSocket::bind("0.0.0.0:0")?;
        let port = ear.local_addr()?.port();
        let ended = run(&[&format!("broadcast | <broadcast>:{port} | anybody")])?;
        ensure!(ended.stdout.starts_with("ok "), "{}", ended.stdout);
        ear.set_read_timeout(Some(patience()))?;
        let mut data = [0; 16];
        let (length, from) = ear.recv_from(&mut data)?;
        assert_eq!(&data[..length], b"anybody");
        assert_eq!(from.ip().to_string(), "192.0.2.250");
        Ok(())
    })
}

#[test]
fn ipv6_addresses_have_scopes_and_flow_information() -> Result<()> {
    with_names("ipv6_addresses_have_scopes_and_flow_information", |_| {
        expect(&[
            (
                "address | udp6 | [fe80::1%lo]:9",
                "ok [fe80::1%lo]:9 flow 0",
            ),
            ("address | udp6 | [fe80::1%1]:9", "ok [fe80::1%1]:9 flow 0"),
            (
                "host-port | udp6 | fe80::1%lo | 9",
                "ok [fe80::1%lo]:9 flow 0",
            ),
            ("flow | udp6 | ::1 | 9 | 5 | 0", "ok [::1]:9 flow 5"),
            (
                "flow | udp6 | fe80::1 | 9 | 0 | 1",
                "ok [fe80::1%1]:9 flow 0",
            ),
            (
                "flow | udp6 | fe80::1%lo | 9 | 1048575 | 0",
                "ok [fe80::1%lo]:9 flow 1048575",
            ),
            ("flow | udp6 | ::1 | 9 | 1048576 | 0", "error"),
            ("flow | udp | 127.0.0.1 | 9 | 1 | 0", "error"),
            (
                "flow | udp6 | six.rig.test | 9 | 7 | 0",
                "ok [2001:db8::10]:9 flow 7",
            ),
        ])?;
        ip(&["addr", "add", "fe80::5/64", "dev", "lo", "nodad"])?;
        let ear = UdpSocket::bind("[::]:0")?;
        ear.set_nonblocking(true)?;
        let port = ear.local_addr()?.port();
        let ended = run(&[
            "bind | udp6 | [fe80::5%lo]:0",
            &format!("send | udp6 | [fe80::5%lo]:{port} | scoped"),
            // Without a scope the kernel does not know where that is.
            "bind | udp6 | [fe80::5]:0",
        ])?;
        let told: Vec<_> = ended.stdout.lines().collect();
        ensure!(told[0].starts_with("ok [fe80::5%lo]:"), "{told:?}");
        ensure!(told[1].starts_with("ok "), "{told:?}");
        assert_eq!(told[2], "error EINVAL");
        assert_eq!(heard(&ear)?.as_deref(), Some("scoped"));
        Ok(())
    })
}

#[test]
fn a_connection_and_a_datagram_reach_a_name() -> Result<()> {
    with_names("a_connection_and_a_datagram_reach_a_name", |_| {
        let four = TcpListener::bind("127.0.0.1:0")?;
        let six = TcpListener::bind("[::1]:0")?;
        let (ear, udp) = ear("127.0.0.1:0")?;
        let (four_port, six_port) = (four.local_addr()?.port(), six.local_addr()?.port());
        expect(&[
            (
                &format!("connect | tcp | loop.rig.test:{four_port}"),
                &format!("ok 127.0.0.1:{four_port}"),
            ),
            (
                &format!("connect | tcp6 | localhost:{six_port}"),
                &format!("ok [::1]:{six_port}"),
            ),
        ])?;
        four.accept()?;
        six.accept()?;
        let ended = run(&[&format!("send | udp | loop.rig.test:{udp} | by name")])?;
        ensure!(ended.stdout.starts_with("ok "), "{}", ended.stdout);
        assert_eq!(heard(&ear)?.as_deref(), Some("by name"));
        covers(&["connect", "sendto", "bind"]);
        Ok(())
    })
}

/// A path is a Unix socket's address where the socket is one, as in Python.
#[test]
fn text_is_a_path_for_a_unix_socket() -> Result<()> {
    let folder = sockgate_tests::folder()?;
    let path = folder.path().join("a:80");
    let path = path.to_str().context("a path that is no text")?;
    let ended = run(&[
        &format!("bind | unix | {path}"),
        "bind | unix | \\0an-abstract-name",
        "address | unix | \"\"",
    ])?;
    let told: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(
        told,
        [
            &format!("ok {path}"),
            "ok @an-abstract-name",
            "ok (unnamed)"
        ]
    );
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(arguments).status()?;
    ensure!(status.success(), "ip {arguments:?}: {status}");
    Ok(())
}
