//! Streams between guests and native programs, both ways round, in every family: up to 16 MiB, with SHA-256
//! compared on both sides.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Guest, GuestRun, Native, Tool, agree, folder, free_port, has_ipv6, oracle, patience, pattern,
    sha256, skip, told,
};

const SIZES: [usize; 3] = [0, 1, 16 << 20];
const WAITS: [&str; 2] = ["park", "ready"];

/// Fresh addresses of every family: IPv4, IPv6, a path, an abstract name.
fn addresses(place: &Path, name: &str) -> Result<Vec<String>> {
    let mut addresses = vec![format!("127.0.0.1:{}", free_port()?)];
    if has_ipv6() {
        addresses.push(format!("[::1]:{}", free_port()?));
    } else {
        skip(&format!("{name}: inet6"), "this machine has no IPv6");
    }
    addresses.push(place.join("peer.sock").display().to_string());
    let unique = place.file_name().context("a folder without a name")?;
    addresses.push(format!("@{}", unique.to_string_lossy()));
    Ok(addresses)
}

/// A rule in one line for this address.
fn rule(operation: &str, address: &str) -> String {
    let transport = match address.starts_with(['/', '@']) {
        true => "unix-stream",
        false => "tcp",
    };
    format!("{transport} {operation} {address}")
}

/// Every wait and size, at fresh addresses.
fn every_case(name: &str, case: impl Fn(&str, &str, usize) -> Result<()>) -> Result<()> {
    for wait in WAITS {
        for size in SIZES {
            let place = folder()?;
            for address in addresses(place.path(), name)? {
                case(wait, &address, size)
                    .with_context(|| format!("{wait}, {address}, {size} bytes"))?;
            }
        }
    }
    Ok(())
}

fn guest_server(wait: &str, address: &str, size: usize) -> Result<Guest> {
    let guest = GuestRun::new("peer_stream")
        .wait_kind(wait)
        .allow(&rule("listen", address))
        .argument("serve")
        .argument(address)
        .argument(size.to_string())
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
}

fn guest_client(wait: &str, address: &str, size: usize) -> GuestRun {
    GuestRun::new("peer_stream")
        .wait_kind(wait)
        .allow(&rule("connect", address))
        .argument("connect")
        .argument(address)
        .argument(size.to_string())
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// Each end's own name is what the other end calls its peer.
fn names_agree(guest: &[&str], native: &[String]) -> Result<()> {
    for (one, other) in [("local", "peer"), ("peer", "local")] {
        let (ours, theirs) = (told(guest, one), told(native, other));
        ensure!(
            ours.len() == 1 && ours == theirs,
            "{ours:?} is not {theirs:?}"
        );
    }
    Ok(())
}

#[test]
fn python_clients_of_guest_servers() -> Result<()> {
    let name = "python_clients_of_guest_servers";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    every_case(name, |wait, address, size| {
        let guest = guest_server(wait, address, size)?;
        let size = size.to_string();
        let arguments = ["connect-stream", address, &size];
        let native = Native::python(&python, "peers.py", arguments)?.finish(patience())?;
        let ended = guest.wait(patience())?.success()?;
        let guest = lines(&ended.stdout);
        agree(&guest, &native)?;
        names_agree(&guest, &native)?;
        // accept(2) tells the same peer as getpeername(2).
        ensure!(told(&guest, "from") == told(&guest, "peer"), "{guest:?}");
        ended.audit.granted("listen")?;
        Ok(())
    })
}

#[test]
fn guest_clients_of_python_servers() -> Result<()> {
    let name = "guest_clients_of_python_servers";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    every_case(name, |wait, address, size| {
        let bytes = size.to_string();
        let arguments = ["serve-stream", address, &bytes];
        let native = Native::python(&python, "peers.py", arguments)?;
        native.wait_for_line("listening on ", patience())?;
        let ended = guest_client(wait, address, size)
            .finish(patience())?
            .success()?;
        let native = native.finish(patience())?;
        let guest = lines(&ended.stdout);
        agree(&guest, &native)?;
        names_agree(&guest, &native)?;
        ensure!(told(&native, "from") == told(&native, "peer"), "{native:?}");
        ended.audit.granted("connect")?;
        Ok(())
    })
}

/// How socat calls the two ends of an address.
fn socat_ends(address: &str) -> (String, String) {
    if address.starts_with('/') {
        (
            format!("UNIX-CONNECT:{address}"),
            format!("UNIX-LISTEN:{address}"),
        )
    } else if let Some(name) = address.strip_prefix('@') {
        (
            format!("ABSTRACT-CONNECT:{name}"),
            format!("ABSTRACT-LISTEN:{name}"),
        )
    } else if let Some(port) = address.strip_prefix("[::1]:") {
        (
            format!("TCP6:[::1]:{port}"),
            format!("TCP6-LISTEN:{port},bind=[::1],reuseaddr"),
        )
    } else {
        let port = address.rsplit(':').next().unwrap_or_default();
        (
            format!("TCP4:127.0.0.1:{port}"),
            format!("TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr"),
        )
    }
}

#[test]
fn socat_clients_of_guest_servers() -> Result<()> {
    let name = "socat_clients_of_guest_servers";
    let Some(socat) = oracle(Tool::Socat, name) else {
        return Ok(());
    };
    every_case(name, |wait, address, size| {
        let place = folder()?;
        let (input, output) = (place.path().join("in"), place.path().join("out"));
        let data = pattern(11, size);
        fs::write(&input, &data)?;
        let guest = guest_server(wait, address, size)?;
        let mut client = Command::new(&socat);
        // -t: how long it waits for the other half once its own has ended.
        client
            .args(["-t", "60"])
            .arg(format!(
                "OPEN:{},rdonly!!OPEN:{},creat,wronly",
                input.display(),
                output.display()
            ))
            .arg(socat_ends(address).0);
        Native::start(&mut client)?.finish(patience())?;
        let ended = guest.wait(patience())?.success()?;
        let received = fs::read(&output)?;
        let native = [
            format!("sent {} {}", data.len(), sha256(&data)),
            format!("received {} {}", received.len(), sha256(&received)),
        ];
        agree(&lines(&ended.stdout), &native)
    })
}

#[test]
fn guest_clients_of_socat_servers() -> Result<()> {
    let name = "guest_clients_of_socat_servers";
    let Some(socat) = oracle(Tool::Socat, name) else {
        return Ok(());
    };
    every_case(name, |wait, address, size| {
        let place = folder()?;
        let (input, output) = (place.path().join("in"), place.path().join("out"));
        let data = pattern(12, size);
        fs::write(&input, &data)?;
        let mut server = Command::new(&socat);
        server
            .args(["-d", "-d", "-t", "60"])
            .arg(socat_ends(address).1)
            .arg(format!(
                "OPEN:{},rdonly!!OPEN:{},creat,wronly",
                input.display(),
                output.display()
            ));
        let server = Native::start(&mut server)?;
        server
            .stderr
            .wait_for(patience(), |line| line.contains("listening on "))?;
        let ended = guest_client(wait, address, size)
            .finish(patience())?
            .success()?;
        server.finish(patience())?;
        let received = fs::read(&output)?;
        let native = [
            format!("sent {} {}", data.len(), sha256(&data)),
            format!("received {} {}", received.len(), sha256(&received)),
        ];
        agree(&lines(&ended.stdout), &native)
    })
}

/// curl's options that lead to an address, and the URL's authority.
fn curl_to(curl: &Path, address: &str) -> (Command, String) {
    let mut command = Command::new(curl);
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    let mut authority = "localhost".to_owned();
    if address.starts_with('/') {
        command.args(["--unix-socket", address]);
    } else if let Some(name) = address.strip_prefix('@') {
        command.args(["--abstract-unix-socket", name]);
    } else {
        address.clone_into(&mut authority);
    }
    (command, authority)
}

#[test]
fn curl_gets_from_and_puts_to_guest_servers() -> Result<()> {
    let name = "curl_gets_from_and_puts_to_guest_servers";
    let Some(curl) = oracle(Tool::Curl, name) else {
        return Ok(());
    };
    every_case(name, |wait, address, size| {
        let place = folder()?;
        let (input, output) = (place.path().join("in"), place.path().join("out"));
        let data = pattern(13, size);
        fs::write(&input, &data)?;
        let guest = GuestRun::new("peer_http")
            .wait_kind(wait)
            .allow(&rule("listen", address))
            .argument(address)
            .argument(size.to_string())
            .argument("2")
            .start()?;
        guest.wait_for_line("listening on ", patience())?;

        let (mut get, authority) = curl_to(&curl, address);
        get.arg("--output").arg(&output);
        get.arg(format!("http://{authority}/"));
        Native::start(&mut get)?.finish(patience())?;
        // curl makes no file for an empty answer.
        let got = if size == 0 {
            Vec::new()
        } else {
            fs::read(&output)?
        };

        let (mut put, authority) = curl_to(&curl, address);
        // Otherwise curl waits a second for `100 Continue`.
        put.args(["--header", "Expect:", "--upload-file"]);
        put.arg(&input).arg(format!("http://{authority}/"));
        let answer = Native::start(&mut put)?.finish(patience())?;
        assert_eq!(answer, [sha256(&data)]);

        let ended = guest.wait(patience())?.success()?;
        let native = [
            format!("received {} {}", got.len(), sha256(&got)),
            format!("sent {} {}", data.len(), sha256(&data)),
        ];
        agree(&lines(&ended.stdout), &native)
    })
}

#[test]
fn the_http_guest_fetches_16_mib_from_a_python_server() -> Result<()> {
    let name = "the_http_guest_fetches_16_mib_from_a_python_server";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    // A page of text, since the guest's stdout is read as lines.
    let page = "0123456789abcde\n".repeat(1 << 20);
    fs::write(place.path().join("page"), &page)?;
    let port = free_port()?;
    let mut server = Command::new(&python);
    server
        .args([
            "-u",
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "--directory",
        ])
        .arg(place.path())
        .arg(port.to_string());
    let server = Native::start(&mut server)?;
    server.wait_for_line("Serving HTTP", patience())?;
    let fetch = |rule: &str| {
        GuestRun::new("http-client")
            .allow(rule)
            .argument(format!("http://127.0.0.1:{port}/page"))
            .finish(patience())
    };
    let ended = fetch(&format!("tcp connect 127.0.0.1:{port}"))?.success()?;
    assert_eq!(
        sha256((ended.stdout + "\n").as_bytes()),
        sha256(page.as_bytes())
    );

    // The twin: another port is granted, and the server sees nobody.
    let requests = server.stderr.lines().len();
    let refused = fetch(&format!("tcp connect 127.0.0.1:{}", free_port()?))?;
    assert!(!refused.status.success());
    let record = refused.audit.denied("connect")?;
    assert_eq!(record.address(), format!("127.0.0.1:{port}"));
    assert_eq!(server.stderr.lines().len(), requests);
    Ok(())
}
