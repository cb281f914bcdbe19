//! What is handed over in families and kernels that not every machine has: vsock listeners, raw and packet sockets
//! that write headers, descriptors of a peer's process.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use sockgate_tests::{
    Ended, Native, Need, Net, Tool, command_path, covers, folder, guest_path, hex, kernel,
    net_and_python, oracle, patience, root, steps, told,
};

#[test]
fn a_vsock_listener_is_handed_over() -> Result<()> {
    let name = "a_vsock_listener_is_handed_over";
    let Some(_kernel) = kernel::has(Need::VsockStream, name) else {
        return Ok(());
    };
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let taken = [
        "g = granted web",
        "c = accept g",
        "recv c 5",
        "send c welcome",
        "shutdown c",
    ];
    let guest = steps(taken)
        .option("--socket")
        .option("web=vsock-listen:any:7070")
        .start()?;
    guest.wait_for_line("g = granted web -> ok", patience())?;
    let client = "import socket
s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
s.connect((1, 7070))
s.send(b'hello')
print(s.recv(100).decode())";
    let native = Native::start(Command::new(python).args(["-c", client]))?;
    assert_eq!(native.finish(patience())?, ["welcome"]);
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("recv c 5")?, "\"hello\"");
    Ok(())
}

/// What steps of the guest `family_net` come to on sockets that a service manager hands over within the namespace.
fn handed(
    net: &Net,
    python: &Path,
    sockets: [&str; 2],
    policy: &str,
    taken: &[&str],
) -> Result<Vec<String>> {
    let place = folder()?;
    let file = place.path().join("policy.toml");
    std::fs::write(&file, policy)?;
    let spec = format!(
        r#"{{"sockets": ["{}", "{}"], "names": "plain:header"}}"#,
        sockets[0], sockets[1]
    );
    let mut launcher = net.command(python);
    launcher
        .arg(root().join("tests/native/activation.py"))
        .arg(spec)
        .arg(command_path()?)
        .args(["run", "--policy"])
        .arg(&file)
        .arg(guest_path("family_net")?)
        .args(taken);
    Native::start(&mut launcher)?.finish(patience())
}

fn outcome<'a>(lines: &'a [String], step: &str) -> &'a str {
    let mut found = lines
        .iter()
        .filter_map(|line| line.strip_prefix(step)?.strip_prefix(" -> "));
    found.next().unwrap_or("missing")
}

/// An echo request, and the same behind an IPv4 header that names another host.
fn requests() -> (String, String) {
    let mut echo = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    let sum: u32 = echo
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    echo[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut whole = vec![
        0x45, 0, 0, 28, 0, 7, 0, 0, 64, 1, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1,
    ];
    whole.extend(&echo);
    (hex(&echo), hex(&whole))
}

/// A granted raw socket is read as it is: with a header of its own where the operator set IP_HDRINCL, which a rule
/// for sends has to grant.
#[test]
fn a_granted_raw_socket_s_header_is_known() -> Result<()> {
    let name = "a_granted_raw_socket_s_header_is_known";
    let Some(_kernel) = kernel::has(Need::InetRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    let (echo, whole) = requests();
    let (plain, header) = (
        format!("send-to g {echo} ip:127.0.0.1"),
        format!("send-to h {whole} ip:127.0.0.1"),
    );
    let taken = ["g = granted plain", "h = granted header", &plain, &header];
    let policy = "version = 1\n[[allow]]\nid = \"ping\"\nfamily = [\"inet\"]\ntype = [\"raw\"]\n\
                  ops = [\"send-to\"]\ncidr = [\"127.0.0.1\"]\n";
    let sockets = ["raw", "raw-with-header"];
    let lines = handed(&net, &python, sockets, policy, &taken)?;
    assert_eq!(outcome(&lines, &plain), "ok 8", "{lines:?}");
    assert_eq!(outcome(&lines, &header), "acces", "{lines:?}");
    let lines = handed(
        &net,
        &python,
        sockets,
        &format!("{policy}header-include = true\n"),
        &taken,
    )?;
    assert_eq!(outcome(&lines, &plain), "ok 8", "{lines:?}");
    assert_eq!(outcome(&lines, &header), "ok 28", "{lines:?}");
    Ok(())
}

/// Frames behind a virtio header are not where they are looked for, so that no rule grants them.
#[test]
fn a_granted_packet_socket_s_header_is_known() -> Result<()> {
    let name = "a_granted_packet_socket_s_header_is_known";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    // To everybody, from nobody, of an Ethernet protocol for experiments; and behind ten bytes of virtio_net_hdr.
    let frame = format!(
        "{}{}88b5{}",
        "ff".repeat(6),
        "00".repeat(6),
        "00".repeat(46)
    );
    let behind = format!("{}{frame}", "00".repeat(10));
    let (plain, header) = (
        format!("send-to g {frame} ll:lo:88b5"),
        format!("send-to h {behind} ll:lo:88b5"),
    );
    let taken = ["g = granted plain", "h = granted header", &plain, &header];
    let policy = "version = 1\n[[allow]]\nid = \"frames\"\nfamily = [\"packet\"]\n\
                  ops = [\"bind\", \"send-to\"]\ninterface = [\"lo\"]\nethertype = [\"0x88b5\"]\n\
                  options = { set = [\"packet.vnet-hdr\"] }\n";
    let sockets = ["packet", "packet-with-header"];
    let lines = handed(&net, &python, sockets, policy, &taken)?;
    assert_eq!(outcome(&lines, &plain), "ok 60", "{lines:?}");
    assert_eq!(outcome(&lines, &header), "acces", "{lines:?}");
    Ok(())
}

/// A descriptor of the peer's process needs the option and the kind of descriptor, and names the peer.
#[test]
fn a_guest_has_a_descriptor_of_its_peer_s_process() -> Result<()> {
    let name = "a_guest_has_a_descriptor_of_its_peer_s_process";
    let Some(_kernel) = kernel::has(Need::UnixPeerPidfd, name) else {
        return Ok(());
    };
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let run = |granted: &str| -> Result<(Ended, Vec<String>)> {
        let place = folder()?;
        let path = place.path().join("letters.sock").display().to_string();
        let native = Native::python(&python, "descriptors.py", ["whose-pidfd", &path])?;
        native.wait_for_line("listening", patience())?;
        let connect = format!("connect s path:{path}");
        let guest = steps([
            "s = socket unix stream",
            &connect,
            "d = pidfd s",
            "get s 1 77 4",
            "send-handles s 1 d",
        ])
        .allow(&format!("unix-stream connect,descriptor-send,{granted}").replace("{path}", &path))
        .start()?;
        let ended = guest.wait(patience())?.success()?;
        Ok((ended, told(&native.finish(patience())?, "letter")))
    };
    let (ended, letter) = run("descriptor-receive {path} kinds=opaque get=so.peerpidfd")?;
    assert_eq!(ended.step("d = pidfd s")?, "ok", "{:?}", ended.audit);
    // As bytes it would be a number of the host's.
    assert_eq!(ended.step("get s 1 77 4")?, "opnotsupp");
    assert_eq!(letter, ["handles mine"]);
    for (granted, missing) in [
        ("descriptor-receive {path} kinds=opaque", "get-option"),
        (
            "descriptor-receive {path} kinds=socket get=so.peerpidfd",
            "descriptor-receive",
        ),
    ] {
        let (ended, letter) = run(granted)?;
        assert_eq!(ended.step("d = pidfd s")?, "acces", "{granted}");
        ended.audit.denied(missing)?;
        assert_eq!(letter, ["none"]);
    }
    covers(&["SCM_RIGHTS"]);
    Ok(())
}
