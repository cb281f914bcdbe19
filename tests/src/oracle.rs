//! Native programs that tests compare with.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::place::target_folder;
use crate::skip::skip;

/// A program that tests use as peer, witness or reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tool {
    /// socat(1): relays between any two sockets.
    Socat,
    /// curl(1)
    Curl,
    /// Usable only where the machine lets processes be traced.
    Strace,
    /// openssl(1)
    Openssl,
    /// iproute2's list of sockets.
    Ss,
    /// python3 with its `socket` module
    Python,
    /// Makes Python guests; lives in a virtual environment below target/.
    ComponentizePy,
}

impl Tool {
    /// The program's name.
    pub fn program(self) -> &'static str {
        match self {
            Tool::Socat => "socat",
            Tool::Curl => "curl",
            Tool::Strace => "strace",
            Tool::Openssl => "openssl",
            Tool::Ss => "ss",
            Tool::Python => "python3",
            Tool::ComponentizePy => "componentize-py",
        }
    }

    /// Where it is, if it works here.
    fn find(self) -> Option<PathBuf> {
        let path = match self {
            Tool::ComponentizePy => oracles()?.join("python/bin/componentize-py"),
            _ => on_path(self.program())?,
        };
        self.works(&path).then_some(path)
    }

    fn works(self, path: &Path) -> bool {
        let mut probe = Command::new(path);
        match self {
            Tool::Socat => probe.arg("-V"),
            Tool::Strace => probe.args(["-f", "-D", "-o", "/dev/null", "true"]),
            Tool::Openssl => probe.arg("version"),
            _ => probe.arg("--version"),
        };
        probe
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// The tool's path, or a skip of the test `name` that says what is missing.
pub fn oracle(tool: Tool, name: &str) -> Option<PathBuf> {
    let found = tool.find();
    if found.is_none() {
        skip(
            name,
            format!(
                "{tool} is missing or does not work here; `cargo xtask test --install` brings it"
            ),
        );
    }
    found
}

/// The folder that `cargo xtask setup --install` fills.
fn oracles() -> Option<PathBuf> {
    match env::var_os("SOCKGATE_ORACLES") {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(target_folder().ok()?.join("oracles")),
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
