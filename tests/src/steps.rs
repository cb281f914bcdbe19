//! Guests that do what a test spells out, step by step: the guests `denial_steps` and `family_net`.

use anyhow::{Context, Result};

use crate::guest::{Ended, GuestRun};
use crate::kernel::Net;

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
