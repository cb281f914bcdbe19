//! `cargo xtask demo`: a sandboxed guest serves native clients, and its policy refuses another.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Guest, GuestRun, TempDir, folder, free_port, has_ipv6, patience, policy_path,
};

use crate::guests;
use crate::setup;
use crate::workspace::Workspace;

mod clients;

/// The policy that both guests of the demo run under, in examples/policies.
const POLICY: &str = "echo";

/// The server says that it listens on each of these.
const LISTENERS: [&str; 3] = ["tcp", "udp", "unix"];

/// Builds what is missing, then shows the main job from end to end; an error where anything is wrong.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::wasm_target(workspace)?;
    ensure!(
        has_ipv6(),
        "this machine has no IPv6, which the demo's one socket for both IP versions needs"
    );
    eprintln!("== building the command and the guests: minutes the first time, then seconds");
    workspace.build_command()?;
    guests::build(workspace)?;
    let start = Instant::now();
    let stage = Stage {
        folder: folder()?,
        port: free_port()?,
    };
    serve(&stage)?;
    trace(&stage)?;
    refuse(&stage)?;
    println!(
        "\nEvery answer had the right bytes. {:.1} s in all.",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What a run of the demo stands on.
struct Stage {
    folder: TempDir,
    port: u16,
}

impl Stage {
    /// A guest under the demo's policy.
    fn guest(&self, name: &str) -> GuestRun {
        GuestRun::new(name)
            .policy(policy_path(POLICY))
            .variable("port", self.port)
            .variable("dir", self.folder.path().display())
            .without_audit()
    }

    /// The echo server's arguments are its port and its Unix socket's path.
    fn server(&self) -> GuestRun {
        self.guest("echo-server")
            .argument(self.port.to_string())
            .argument(self.unix_path())
    }

    fn unix_path(&self) -> PathBuf {
        self.folder.path().join("echo.sock")
    }

    fn v4(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn v6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }
}

/// Starts a server and waits until it listens everywhere.
fn listening(server: GuestRun) -> Result<Guest> {
    let server = server.start()?;
    for kind in LISTENERS {
        server.wait_for_line(&format!("listening on {kind}"), patience())?;
    }
    Ok(server)
}

/// One line of the table.
struct Row {
    what: &'static str,
    address: String,
    speed: clients::Speed,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {:<12} {:<34} {:>8.0} round trips/s {:>8.0} MB/s",
            self.what, self.address, self.speed.round_trips, self.speed.megabytes
        )
    }
}

/// The main job: native clients of a guest server on three families, bytes compared.
fn serve(stage: &Stage) -> Result<()> {
    let server = listening(stage.server())?;
    println!("echo-server.wasm serves native clients under examples/policies/{POLICY}.toml:");
    show(&server.stdout.text());
    println!();
    for (what, address) in [("TCP over v4", stage.v4()), ("TCP over v6", stage.v6())] {
        row(what, address.to_string(), clients::tcp(address))?;
    }
    for (what, address) in [("UDP over v4", stage.v4()), ("UDP over v6", stage.v6())] {
        row(what, address.to_string(), clients::udp(address))?;
    }
    let path = stage.unix_path();
    row(
        "Unix stream",
        path.display().to_string(),
        clients::unix(&path),
    )?;
    if let Some(answer) = clients::socat(&path)? {
        println!(
            "  {:<12} {:<34} answered {answer:?}",
            "socat",
            path.display()
        );
    }
    Ok(())
}

fn row(what: &'static str, address: String, speed: Result<clients::Speed>) -> Result<()> {
    let speed = speed.with_context(|| format!("{what}, {address}"))?;
    println!(
        "{}",
        Row {
            what,
            address,
            speed
        }
    );
    Ok(())
}

/// The same server again with --trace: one client on each family, and what the operator sees.
fn trace(stage: &Stage) -> Result<()> {
    let server = listening(stage.server().trace())?;
    clients::greet_tcp(stage.v6())?;
    clients::greet_udp(stage.v4())?;
    clients::greet_unix(&stage.unix_path())?;
    let trace = server.kill()?.stderr;
    ensure!(
        trace.contains(" = ok"),
        "--trace shows no call of a server that served three clients:\n{trace}"
    );
    println!("\nwith --trace, one client on each family:");
    show(&trace);
    Ok(())
}

/// Another guest under the same policy reaches for what it does not grant; a native listener watches.
fn refuse(stage: &Stage) -> Result<()> {
    let watched = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = watched.local_addr()?.port();
    let scanner = stage
        .guest("port-scanner")
        .trace()
        .argument("127.0.0.1")
        .argument(format!("{port}-{port}"))
        .finish(patience())?;
    println!(
        "\nport-scanner.wasm under the same policy, against a port where a native program listens:"
    );
    show(&scanner.stderr);
    ensure!(
        scanner.stderr.contains("= acces"),
        "the trace shows no refused call of the port scanner"
    );
    watched.set_nonblocking(true)?;
    ensure!(
        watched.accept().is_err(),
        "the port scanner reached a listener that its policy does not grant"
    );
    println!("  and the native program saw no connection.");
    Ok(())
}

/// What a guest or its trace says, cut where it is long.
fn show(text: &str) {
    const SHOWN: usize = 24;
    let lines: Vec<_> = text.lines().collect();
    for line in lines.iter().take(SHOWN) {
        println!("  | {line}");
    }
    if lines.len() > SHOWN {
        println!("  | ... and {} lines more", lines.len() - SHOWN);
    }
}
