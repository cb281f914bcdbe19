//! Network namespaces, through ip(8).

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use super::elsewhere;
use crate::oracle::{Tool, oracle};

/// A network namespace of a test's own, network_namespaces(7); dropping it removes it.
///
/// Its loopback interface is up, and every group may open ping sockets in it.
pub struct Net {
    name: String,
}

/// The largest frame that a virtual CAN interface carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frames {
    /// Classic CAN, up to 8 bytes.
    Classic,
    /// CAN FD, up to 64 bytes; classic frames as well.
    Fd,
    /// CAN XL, up to 2048 bytes; the others as well. Linux 6.2 or newer.
    Xl,
}

impl Frames {
    /// The interface's MTU in bytes: the size of struct can_frame, canfd_frame, canxl_frame.
    fn mtu(self) -> &'static str {
        match self {
            Frames::Classic => "16",
            Frames::Fd => "72",
            Frames::Xl => "2060",
        }
    }
}

/// Makes names that no other process and no other test has.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Net {
    /// A new namespace, or a skip of the test `name` where this user may make none.
    pub fn new(name: &str) -> Result<Option<Net>> {
        match Net::make() {
            Ok(net) => Ok(Some(net)),
            Err(why) => {
                elsewhere(
                    name,
                    format!("no network namespace: {why}; run the tests as root"),
                );
                Ok(None)
            }
        }
    }

    /// A new namespace, or why there is none.
    pub(super) fn make() -> Result<Net, String> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sg-{}-{number}", std::process::id());
        let added = run(Command::new("ip").args(["netns", "add", &name]));
        added.map_err(|error| format!("{error:#}"))?;
        let net = Net { name };
        net.ready().map_err(|error| format!("{error:#}"))?;
        Ok(net)
    }

    fn ready(&self) -> Result<()> {
        self.ip(&["link", "set", "lo", "up"])?;
        run(self.command("sh").args([
            "-c",
            "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range",
        ]))
    }

    /// The namespace's name, for `ip -n NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// ip(8) within the namespace: `net.ip(&["link", "add", "d0", "type", "dummy"])`.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    /// A virtual CAN interface for classic and FD frames, up.
    pub fn vcan(&self, interface: &str) -> Result<()> {
        self.vcan_of(interface, Frames::Fd)
    }

    /// A virtual CAN interface for frames up to this kind, up.
    pub fn vcan_of(&self, interface: &str, frames: Frames) -> Result<()> {
        self.ip(&["link", "add", "dev", interface, "type", "vcan"])?;
        // On its own, since only then the driver is asked whether it can.
        self.ip(&["link", "set", interface, "mtu", frames.mtu(), "up"])
    }

    /// A program that will run within the namespace, with the process id that it is started with.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        within(&self.name, &Command::new(program))
    }
}

/// The same command, to run within the network namespace of this name.
///
/// ip(8) becomes the program, so that the process id and the status are the program's own.
pub(crate) fn within(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside
        .args(["netns", "exec", namespace])
        .arg(command.get_program())
        .args(command.get_args());
    inside
}

impl Drop for Net {
    fn drop(&mut self) {
        // The name goes at once; the namespace with its last process.
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// Runs a command to its end; an error shows what it printed.
fn run(command: &mut Command) -> Result<()> {
    let answer = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !answer.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.stderr).trim()
        );
    }
    Ok(())
}

/// A namespace of the test's own, and Python; a skip of the test `name` where there is one of them not.
pub fn net_and_python(name: &str) -> Result<Option<(Net, PathBuf)>> {
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(None);
    };
    Ok(Net::new(name)?.map(|net| (net, python)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_own_interfaces_and_goes_with_the_value() -> Result<()> {
        let name = "a_namespace_has_its_own_interfaces_and_goes_with_the_value";
        let Some(net) = Net::new(name)? else {
            return Ok(());
        };
        net.ip(&["addr", "add", "192.0.2.1/32", "dev", "lo"])?;
        let shown = net.command("ip").args(["-o", "addr"]).output()?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("192.0.2.1"), "{shown}");
        let outside = Command::new("ip").args(["-o", "addr"]).output()?;
        let outside = String::from_utf8_lossy(&outside.stdout).into_owned();
        assert!(!outside.contains("192.0.2.1"), "{outside}");
        let list = || -> Result<String> {
            let names = Command::new("ip").args(["netns", "list"]).output()?;
            Ok(String::from_utf8_lossy(&names.stdout).into_owned())
        };
        let own = net.name().to_owned();
        assert!(list()?.contains(&own));
        drop(net);
        assert!(!list()?.contains(&own));
        Ok(())
    }
}
