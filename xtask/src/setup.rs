//! What a bare machine lacks: the wasm target, and the programs that serve the tests as oracles.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::guests::TARGET;
use crate::workspace::{Workspace, execute, output};

/// The version that the Python bindings are made with.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

#[derive(Args)]
pub struct Options {
    /// Install missing Debian packages (as root or through sudo) and componentize-py (below target/).
    #[arg(long)]
    pub install: bool,
}

/// A program that tests compare with, and how to see that it is there.
struct Oracle {
    /// The Debian package that brings it.
    package: &'static str,
    /// A command that succeeds where it is usable.
    probe: &'static [&'static str],
}

/// Native peers and witnesses, each used by a test.
const ORACLES: [Oracle; 7] = [
    Oracle {
        package: "socat",
        probe: &["socat", "-V"],
    },
    Oracle {
        package: "curl",
        probe: &["curl", "--version"],
    },
    Oracle {
        package: "strace",
        probe: &["strace", "--version"],
    },
    Oracle {
        package: "openssl",
        probe: &["openssl", "version"],
    },
    Oracle {
        package: "iproute2",
        probe: &["ss", "--version"],
    },
    Oracle {
        package: "python3",
        probe: &["python3", "-c", "import socket, ssl"],
    },
    Oracle {
        package: "python3-venv",
        probe: &["python3", "-c", "import venv, ensurepip"],
    },
];

/// `cargo xtask setup`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    wasm_target(workspace)?;
    oracles(workspace, options.install)
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
    let missing = missing_packages();
    if !missing.is_empty() {
        if install {
            install_packages(&missing)?;
        } else {
            eprintln!(
                "missing, so that tests will be skipped: {}\n  `--install` installs them, or: apt-get install {}",
                missing.join(", "),
                missing.join(" ")
            );
        }
    }
    componentize_py(workspace, install)
}

/// The Debian packages whose programs do not answer.
fn missing_packages() -> Vec<&'static str> {
    ORACLES
        .iter()
        .filter(|oracle| !answers(oracle.probe))
        .map(|oracle| oracle.package)
        .collect()
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
