//! SIGHUP: the policy files are read again, and the audit log is opened anew.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use sockgate::PolicyHandle;
use sockgate::policy::Policy;
use tokio::signal::unix::Signal;

use super::harden::Walls;
use super::policy::PolicyArgs;
use super::report::Report;

/// What SIGHUP renews.
pub struct Reload {
    pub policies: PolicyHandle,
    pub arguments: PolicyArgs,
    /// What becomes of a policy before it is put in force.
    pub adapt: fn(Policy) -> Policy,
    pub report: Report,
    /// Of --harden.
    pub walls: Option<Walls>,
    pub under_way: UnderWay,
}

/// Whether something is being renewed. The guest may see it and end while it is still being told of: who ends the
/// process waits for that.
#[derive(Clone, Default)]
pub struct UnderWay(Arc<Mutex<()>>);

impl UnderWay {
    fn during<T>(&self, renew: impl FnOnce() -> T) -> T {
        let _held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        renew()
    }

    pub fn wait(&self) {
        self.during(|| ());
    }
}

/// Answers SIGHUP for as long as it means to renew something. It ends where the signal means what it does
/// without a handler, and the guest is to end: nothing was read from a file, or the terminal went away.
pub async fn on_hang_up(mut hang_up: Signal, reload: Reload) {
    let has_terminal = || std::io::stdin().is_terminal();
    let began_at_terminal = has_terminal();
    while hang_up.recv().await.is_some() {
        let nothing_to_read = !reload.arguments.has_files() && !reload.report.has_log();
        if nothing_to_read || (began_at_terminal && !has_terminal()) {
            return;
        }
        reload.under_way.during(|| {
            reload.report.reopen();
            reload.read_policy();
        });
    }
    std::future::pending().await
}

impl Reload {
    fn read_policy(&self) {
        if !self.arguments.has_files() {
            return;
        }
        let policy = match self.arguments.load() {
            Ok(policy) => (self.adapt)(policy),
            Err(error) => {
                return eprintln!("sockgate: the policy stays as it was: {error:#}");
            }
        };
        let Some(former) = self.policies.policy() else {
            return;
        };
        let differences = former.diff(&policy);
        // Before it is told of, so that who reads of it finds it in force.
        self.policies.replace(policy.clone());
        match differences.as_slice() {
            [] => eprintln!("sockgate: the policy was read again, and grants the same"),
            _ => eprintln!("sockgate: the policy was read again:"),
        }
        for difference in differences {
            eprintln!("  {difference}");
        }
        if let Some(walls) = &self.walls {
            walls.compare(&policy);
        }
    }
}
