//! One guest's context, and how an embedder makes it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use sockgate_policy::{Gate, Learner, Mode, Policy};

use crate::audit::{Audit, Metrics, Sink};
use crate::socket::{CancelHandle, Errno, Granted, Guest, Timeout, WaitMode};

/// What one guest has of sockets: its policy, its waits, its operator's eyes. Make one per store.
pub struct SocketsCtx {
    guest: Arc<Guest>,
}

impl SocketsCtx {
    /// Begins a context under this policy.
    #[must_use]
    pub fn builder(policy: Policy) -> SocketsCtxBuilder {
        SocketsCtxBuilder {
            policy,
            name: "guest".into(),
            wait_mode: WaitMode::default(),
            sinks: Vec::new(),
            metrics: None,
            granted: Vec::new(),
            default_timeout: Timeout::Blocking,
        }
    }

    /// Interrupts or stops this guest from any thread.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.guest.cancel().clone())
    }

    /// Replaces this guest's policy from any thread, while it runs.
    #[must_use]
    pub fn policy_handle(&self) -> PolicyHandle {
        PolicyHandle {
            guest: Arc::downgrade(&self.guest),
        }
    }

    /// What the guest is seen doing under a policy in [`Mode::Learn`], as a policy of its own. The handle
    /// outlives the context.
    #[must_use]
    pub fn learner(&self) -> Learner {
        self.guest.gate().learner()
    }

    pub(crate) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }
}

impl std::fmt::Debug for SocketsCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketsCtx")
            .field("generation", &self.guest.gate().generation())
            .finish_non_exhaustive()
    }
}

/// Replaces a guest's policy while it runs.
#[derive(Clone)]
pub struct PolicyHandle {
    guest: Weak<Guest>,
}

impl PolicyHandle {
    /// The policy in force; none where the guest's store is gone.
    #[must_use]
    pub fn policy(&self) -> Option<Arc<Policy>> {
        let guest = self.guest.upgrade()?;
        Some(guest.gate().policy())
    }

    /// Puts another policy in force, and wakes the guest's waits so that they ask it. What happens to
    /// sockets that lose their grant is the new policy's `on-reload`: with `close` they end at once (their
    /// peers see that, and the guest's next calls answer `badf`), with `keep` what is connected stays so.
    /// Nothing happens where the guest's store is gone.
    pub fn replace(&self, policy: Policy) {
        if let Some(guest) = self.guest.upgrade() {
            guest.replace_policy(policy);
        }
    }
}

impl std::fmt::Debug for PolicyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let guest = self.guest.upgrade();
        f.debug_struct("PolicyHandle")
            .field("generation", &guest.map(|guest| guest.gate().generation()))
            .finish_non_exhaustive()
    }
}

/// Builds a [`SocketsCtx`].
pub struct SocketsCtxBuilder {
    policy: Policy,
    name: String,
    wait_mode: WaitMode,
    sinks: Vec<Box<dyn Sink>>,
    metrics: Option<Metrics>,
    granted: Vec<Granted>,
    default_timeout: Timeout,
}

/// Why a context could not be built.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// *park* blocks its thread, and on a current-thread runtime that is the thread that drives everything
    /// else: wasmtime-wasi's own tasks would never run.
    #[error(
        "WaitMode::Park needs a multi-thread tokio runtime (one worker is enough): on a current-thread \
         runtime the guest would block the thread that drives its standard streams and timers"
    )]
    ParkOnCurrentThread,
    /// The host has no descriptor left, or no memory.
    #[error("the guest's event descriptor could not be made: {0}")]
    Descriptor(Errno),
}

impl SocketsCtxBuilder {
    /// The guest's name in the audit log. Default `guest`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> SocketsCtxBuilder {
        self.name = name.into();
        self
    }

    /// How the guest waits. Default [`WaitMode::Ready`].
    #[must_use]
    pub fn wait_mode(mut self, wait_mode: WaitMode) -> SocketsCtxBuilder {
        self.wait_mode = wait_mode;
        self
    }

    /// One more place where the guest's events go.
    #[must_use]
    pub fn audit(mut self, sink: impl Sink + 'static) -> SocketsCtxBuilder {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Where the guest is counted. Guests of the same name are counted together.
    #[must_use]
    pub fn metrics(mut self, metrics: &Metrics) -> SocketsCtxBuilder {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Hands the guest a ready socket, which it takes by this name. It carries accept, send, receive and
    /// shutdown without a rule; deny rules and limits hold.
    #[must_use]
    pub fn grant_socket(
        mut self,
        name: impl Into<String>,
        socket: impl Into<OwnedFd>,
    ) -> SocketsCtxBuilder {
        self.granted.push(Granted {
            name: name.into(),
            fd: socket.into(),
        });
        self
    }

    /// The time-out that the guest's new sockets start with. Default [`Timeout::Blocking`].
    #[must_use]
    pub fn default_timeout(mut self, timeout: Timeout) -> SocketsCtxBuilder {
        self.default_timeout = timeout;
        self
    }

    /// The context.
    ///
    /// # Errors
    /// [`BuildError::ParkOnCurrentThread`] within a current-thread runtime;
    /// [`BuildError::Descriptor`] where the host has no descriptor left.
    pub fn build(self) -> Result<SocketsCtx, BuildError> {
        use tokio::runtime::{Handle, RuntimeFlavor};
        let on_current_thread = Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
        if self.wait_mode == WaitMode::Park && on_current_thread {
            return Err(BuildError::ParkOnCurrentThread);
        }
        let learns = self.policy.mode() == Mode::Learn;
        let audit = Audit::new(self.name, self.sinks, self.metrics.as_ref(), learns);
        let guest = Guest::new(Gate::new(self.policy), self.wait_mode, audit, self.granted)
            .map_err(BuildError::Descriptor)?;
        guest.set_default_timeout(self.default_timeout);
        Ok(SocketsCtx {
            guest: Arc::new(guest),
        })
    }
}
