//! What a bare machine lacks: the wasm target, and the programs that serve the tests as oracles.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::guests::TARGET;
use crate::kernel;
use crate::workspace::{Workspace, execute, output};

/// The version that the Python bindings are made with.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

#[derive(Args)]
pub struct Options {
    /// Install missing Debian packages (as root or through sudo), componentize-py (below target/), and User
    /// Mode Linux.
    #[arg(long)]
    pub install: bool,
}

/// A Debian package, and a command that succeeds where what it brings is usable.
pub type Package = (&'static str, &'static [&'static str]);

/// Native peers and witnesses, each used by a test.
const ORACLES: &[Package] = &[
    ("socat", &["socat", "-V"]),
    ("curl", &["curl", "--version"]),
    ("strace", &["strace", "--version"]),
    ("openssl", &["openssl", "version"]),
    ("iproute2", &["ss", "--version"]),
    ("python3", &["python3", "-c", "import socket, ssl"]),
    ("python3-venv", &["python3", "-c", "import venv, ensurepip"]),
    // Peers of the families.
    (
        "can-utils",
        &["which", "candump", "cansend", "isotpsend", "j1939cat"],
    ),
    ("iproute2", &["which", "ip", "tipc", "bridge"]),
    ("iputils-ping", &["which", "ping"]),
    ("tcpdump", &["tcpdump", "--version"]),
    ("bluez", &["which", "btmgmt"]),
    (
        "bluez-test-tools",
        &["which", "l2cap-tester", "rfcomm-tester"],
    ),
    ("lksctp-tools", &["which", "sctp_test"]),
];

/// `cargo xtask setup`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    wasm_target(workspace)?;
    oracles(workspace, options.install)?;
    if let Err(why) = kernel::find(workspace, options.install)? {
        eprintln!("missing, so that tests of socket families may be skipped: {why}");
    }
    Ok(())
}

/// Adds the guests' target to the toolchain where it is missing.
pub fn wasm_target(workspace: &Workspace) -> Result<()> {
    let libraries = output(Command::new("rustc").current_dir(&workspace.root).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    eprintln!("adding the target {TARGET}");
    let mut rustup = Command::new("rustup");
    rustup
        .current_dir(&workspace.root)
        .args(["target", "add", TARGET]);
    if let Err(error) = execute(&mut rustup) {
        bail!(
            "the toolchain lacks the target {TARGET}, and rustup cannot add it: {error:#}. \
             With a toolchain from elsewhere, install its standard library for {TARGET}."
        );
    }
    Ok(())
}

/// Brings the oracles (`install`), or names what is missing and the command that brings it.
///
/// A missing oracle is no error: each test that needs it says that it is skipped, and why.
pub fn oracles(workspace: &Workspace, install: bool) -> Result<()> {
    packages(ORACLES, install)?;
    componentize_py(workspace, install)
}

/// Brings the packages whose probe fails (`install`), or names them and the command that brings them.
pub fn packages(wanted: &[Package], install: bool) -> Result<()> {
    let mut missing: Vec<&str> = wanted
        .iter()
        .filter(|(_, probe)| !answers(probe))
        .map(|(package, _)| *package)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    if install {
        return install_packages(&missing);
    }
    eprintln!(
        "missing, so that tests will be skipped: {}\n  `--install` installs them, or: apt-get install {}",
        missing.join(", "),
        missing.join(" ")
    );
    Ok(())
}

/// Whether a command starts and succeeds.
fn answers(probe: &[&str]) -> bool {
    Command::new(probe[0])
        .args(&probe[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// apt-get update and install, as root or through sudo.
fn install_packages(packages: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !answers(&["apt-get", "--version"]) {
        bail!(
            "cannot install {}: this machine has no apt-get. Bring them with its own package tool.",
            packages.join(", ")
        );
    }
    let sudo = output(Command::new("id").arg("-u"))?.trim() != "0";
    if sudo && !answers(&["sudo", "--version"]) {
        bail!("--install needs root or sudo. As root: {by_hand}");
    }
    eprintln!("installing {}", packages.join(", "));
    execute(&mut apt_get(sudo, &["update"]))?;
    let mut install = apt_get(sudo, &["install", "--yes", "--no-install-recommends"]);
    install.args(packages);
    execute(&mut install)
}

/// apt-get that asks no questions.
fn apt_get(sudo: bool, arguments: &[&str]) -> Command {
    let mut command = if sudo {
        let mut command = Command::new("sudo");
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    } else {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    command.arg("--quiet").args(arguments).stdin(Stdio::null());
    command
}

/// componentize-py in a virtual environment of its own, so that no other Python is touched.
fn componentize_py(workspace: &Workspace, install: bool) -> Result<()> {
    let environment = workspace.oracles().join("python");
    if answers(&[
        &environment.join("bin/componentize-py").to_string_lossy(),
        "--version",
    ]) {
        return Ok(());
    }
    if !install {
        eprintln!(
            "missing, so that the tests of the Python bindings will be skipped: componentize-py\n  \
             `--install` installs it below {}",
            environment.display()
        );
        return Ok(());
    }
    eprintln!(
        "installing {COMPONENTIZE_PY} below {}",
        environment.display()
    );
    execute(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    execute(
        Command::new(environment.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg(COMPONENTIZE_PY),
    )
}
