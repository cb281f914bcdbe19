//! Guests that do what a test spells out, step by step: the guests `denial_steps` and `family_net`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::guest::{Ended, GuestRun};
use crate::kernel::Net;
use crate::native::Native;
use crate::place::root;

/// A guest that takes these steps, one after the other, whatever comes of each. Its steps are described
/// in `tests/guests/src/bin/denial_steps.rs`; it prints `STEP -> OUTCOME` for each.
pub fn steps<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> GuestRun {
    steps
        .into_iter()
        .fold(GuestRun::new("denial_steps"), |run, step| {
            run.argument(step.as_ref())
        })
}

/// A guest that takes such steps on netlink, packet and raw IP sockets within the namespace. They are
/// described in `tests/guests/src/bin/family_net.rs`.
pub fn net_steps<S: AsRef<str>>(net: &Net, policy: &str, steps: &[S]) -> GuestRun {
    let run = GuestRun::new("family_net").net(net).policy_text(policy);
    steps
        .iter()
        .fold(run, |run, step| run.argument(step.as_ref()))
}

/// A guest that takes such steps on messages, in the words of Python's socket module. They are described in
/// `tests/guests/src/bin/ancillary.rs`.
pub fn message_steps<S: AsRef<str>>(policy: &str, steps: &[S]) -> GuestRun {
    let run = GuestRun::new("ancillary").policy_text(policy);
    steps
        .iter()
        .fold(run, |run, step| run.argument(step.as_ref()))
}

/// What a rule lets messages carry, as lines of its table: the options that may be set, flags, and the kinds of
/// ancillary data to receive and to send.
pub fn carried(options: &[&str], flags: &[&str], receive: &[&str], send: &[&str]) -> String {
    let mut text = String::new();
    let entries = [
        ("options.set", options),
        ("flags", flags),
        ("ancillary.receive", receive),
        ("ancillary.send", send),
    ];
    for (key, list) in entries.into_iter().filter(|(_, list)| !list.is_empty()) {
        text += &format!("{key} = {list:?}\n");
    }
    text
}

/// A rule for all that IP has, with more lines of its table: what messages carry.
pub fn ip_policy(carried: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"ip\"\nfamily = [\"inet\", \"inet6\"]\n\
         ops = [\"bind\", \"receive\", \"send-to\", \"connect\"]\n\
         local = {{ cidr = [\"*\"], port = [\"*\"] }}\npeer = {{ cidr = [\"*\"], port = [\"*\"] }}\n\
         {carried}"
    )
}

/// A rule for all UDP with these options, and these kinds of ancillary data to receive and to send.
pub fn udp_policy(options: &[&str], receive: &[&str], send: &[&str]) -> String {
    let carried = carried(options, &[], receive, send);
    ip_policy(&format!("type = [\"datagram\"]\n{carried}"))
}

/// Python, which takes the same steps with its own module, in the namespace if there is one.
pub fn python_steps<S: AsRef<str>>(
    python: &Path,
    net: Option<&Net>,
    steps: &[S],
) -> Result<Native> {
    let mut command = match net {
        Some(net) => net.command(python),
        None => Command::new(python),
    };
    command
        .arg(root().join("tests/native/ancillary.py"))
        .args(steps.iter().map(AsRef::as_ref));
    Native::start(&mut command)
}

/// What came of a step, of those that a native program printed.
///
/// # Errors
/// It did not take this step.
pub fn outcome<'a>(lines: &'a [String], step: &str) -> Result<&'a str> {
    lines
        .iter()
        .find_map(|line| line.strip_prefix(step)?.strip_prefix(" -> "))
        .with_context(|| format!("no step `{step}` in:\n{}", lines.join("\n")))
}

impl Ended {
    /// What came of a step: `ok`, what it answered, or an errno's name in small letters (`acces`).
    ///
    /// # Errors
    /// The guest did not take this step.
    pub fn step(&self, step: &str) -> Result<&str> {
        self.stdout
            .lines()
            .find_map(|line| line.strip_prefix(step)?.strip_prefix(" -> "))
            .with_context(|| {
                format!(
                    "no step `{step}` in:\n{}\nstderr:\n{}",
                    self.stdout, self.stderr
                )
            })
    }

    /// The system calls of this name that the command made after the guest began, as strace prints them.
    ///
    /// # Errors
    /// The guest ran without strace, or did not say where it began.
    pub fn made(&self, name: &str) -> Result<Vec<String>> {
        let calls = self.syscalls()?.of_guest()?;
        let calls = calls.into_iter().filter(|call| call.name == name);
        Ok(calls.map(|call| call.line.clone()).collect())
    }
}
