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
    /// ip(8): interfaces, addresses, namespaces
    Ip,
    /// tipc(8): TIPC's bearers, names and links
    TipcTool,
    /// bridge(8)
    Bridge,
    /// ping(8)
    Ping,
    /// tcpdump(8)
    Tcpdump,
    /// candump(1): prints CAN frames
    Candump,
    /// cansend(1): sends one CAN frame
    Cansend,
    /// cangen(1): sends many
    Cangen,
    /// isotpsend(1): sends one ISO-TP message
    Isotpsend,
    /// isotprecv(1): receives ISO-TP messages
    Isotprecv,
    /// j1939cat(1): sends and receives with J1939
    J1939cat,
    /// testj1939(1): J1939's addresses, names and messages by hand
    Testj1939,
    /// btmgmt(1): sets Bluetooth controllers up
    Btmgmt,
    /// btvirt(1): virtual Bluetooth controllers that hear each other
    Btvirt,
    /// l2cap-tester(1)
    L2capTester,
    /// rfcomm-tester(1)
    RfcommTester,
    /// sco-tester(1)
    ScoTester,
    /// sctp_test(1)
    SctpTest,
    /// systemd-socket-activate(1): hands listening sockets, or each connection, to a command
    SystemdSocketActivate,
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
            Tool::Ip => "ip",
            Tool::TipcTool => "tipc",
            Tool::Bridge => "bridge",
            Tool::Ping => "ping",
            Tool::Tcpdump => "tcpdump",
            Tool::Candump => "candump",
            Tool::Cansend => "cansend",
            Tool::Cangen => "cangen",
            Tool::Isotpsend => "isotpsend",
            Tool::Isotprecv => "isotprecv",
            Tool::J1939cat => "j1939cat",
            Tool::Testj1939 => "testj1939",
            Tool::Btmgmt => "btmgmt",
            Tool::Btvirt => "btvirt",
            Tool::L2capTester => "l2cap-tester",
            Tool::RfcommTester => "rfcomm-tester",
            Tool::ScoTester => "sco-tester",
            Tool::SctpTest => "sctp_test",
            Tool::SystemdSocketActivate => "systemd-socket-activate",
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
            Tool::Curl | Tool::Ss | Tool::Python | Tool::ComponentizePy => probe.arg("--version"),
            // Most of the families' tools know no option that only asks whether they are there.
            _ => return true,
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
    // Some are root's, which an ordinary user may run where the kernel lets them.
    let root = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&env::var_os("PATH")?)
        .chain(root)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
