//! What all sockets of one guest share: its policy, its waits, its operator's eyes.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sockgate_policy::{BufferSlot, Denial, Gate, Operation, Permit, SocketSlot};

use super::sys::unix_path::Root;
use super::wait::{Cancel, Timeout, WaitMode};
use super::{Errno, Failure, Outcome};
use crate::audit::{Audit, Event};

/// A socket that the operator granted by name.
pub(crate) struct Granted {
    /// The name that the guest takes it by.
    pub(crate) name: String,
    /// The socket.
    pub(crate) fd: OwnedFd,
}

/// One guest.
pub(crate) struct Guest {
    gate: Gate,
    wait_mode: WaitMode,
    cancel: Arc<Cancel>,
    audit: Audit,
    default_timeout: Mutex<Timeout>,
    sockets: AtomicU64,
    roots: Mutex<HashMap<PathBuf, Arc<Root>>>,
    granted: Mutex<Vec<Granted>>,
    last_denial: Mutex<Option<String>>,
    resolvers: super::names::Resolvers,
}

impl Guest {
    pub(crate) fn new(
        gate: Gate,
        wait_mode: WaitMode,
        audit: Audit,
        granted: Vec<Granted>,
    ) -> Result<Guest, Errno> {
        Ok(Guest {
            gate,
            wait_mode,
            cancel: Arc::new(Cancel::new()?),
            audit,
            default_timeout: Mutex::new(Timeout::Blocking),
            sockets: AtomicU64::new(0),
            roots: Mutex::new(HashMap::new()),
            granted: Mutex::new(granted),
            last_denial: Mutex::new(None),
            resolvers: super::names::Resolvers::default(),
        })
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(crate) fn cancel(&self) -> &Arc<Cancel> {
        &self.cancel
    }

    pub(super) fn wait_mode(&self) -> WaitMode {
        self.wait_mode
    }

    pub(super) fn resolvers(&self) -> &super::names::Resolvers {
        &self.resolvers
    }

    pub(super) fn next_number(&self) -> u64 {
        self.sockets.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn default_timeout(&self) -> Timeout {
        *self
            .default_timeout
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_default_timeout(&self, timeout: Timeout) {
        *self
            .default_timeout
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = timeout;
    }

    /// Why the last operation was refused, where the policy reveals it.
    pub(crate) fn last_denial(&self) -> Option<String> {
        if !self.gate.reveals_denials() {
            return None;
        }
        self.last_denial
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A stopped guest begins no operation any more.
    #[inline]
    pub(crate) fn check_stopped(&self) -> Outcome<()> {
        if self.cancel.is_stopped() {
            Err(Failure::Stopped)
        } else {
            Ok(())
        }
    }

    /// Passes a permit on; tells the operator of a refusal, and the guest nothing but `acces`.
    #[inline]
    pub(crate) fn decide<O: Operation>(
        &self,
        verdict: Result<Permit<O>, Denial>,
        event: impl FnOnce() -> Event,
    ) -> Outcome<Permit<O>> {
        verdict.map_err(|denial| self.refuse(&denial, event))
    }

    /// What a refusal answers, with its record.
    #[cold]
    pub(super) fn refuse(&self, denial: &Denial, event: impl FnOnce() -> Event) -> Failure {
        self.audit.note(|| event().denied(denial));
        if self.gate.reveals_denials() {
            *self
                .last_denial
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(denial.to_string());
        }
        Errno::ACCES.into()
    }

    /// Refuses a use that the rule of an otherwise granted operation does not list.
    #[cold]
    pub(super) fn withhold(
        &self,
        event: impl FnOnce() -> Event,
        reason: fmt::Arguments<'_>,
    ) -> Failure {
        self.audit.note(|| event().withheld(reason));
        if self.gate.reveals_denials() {
            *self
                .last_denial
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(reason.to_string());
        }
        Errno::ACCES.into()
    }

    /// A place for one more socket; `mfile` where the guest has as many as its policy allows.
    pub(super) fn slot(&self, event: impl FnOnce() -> Event) -> Outcome<SocketSlot> {
        self.gate.slot().map_err(|limit| {
            self.audit.note(|| event().limited(&limit, Errno::MFILE));
            Errno::MFILE.into()
        })
    }

    /// Room in the host's buffers for one call; what every socket may keep anyway is not counted.
    /// `nobufs` where the guest holds as much as its policy allows.
    pub(super) fn hold(&self, bytes: usize) -> Outcome<Option<BufferSlot>> {
        if bytes <= super::data::MESSAGE_CHUNK {
            return Ok(None);
        }
        let held = self.gate.buffer(bytes);
        held.map(Some).map_err(|limit| {
            self.audit
                .note(|| Event::new("buffer").limited(&limit, Errno::NOBUFS));
            Errno::NOBUFS.into()
        })
    }

    /// The operator's directory, opened once.
    pub(super) fn root(&self, path: &Path) -> Outcome<Arc<Root>> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots.get(path) {
            return Ok(root.clone());
        }
        let root = Arc::new(Root::open(path)?);
        roots.insert(path.to_path_buf(), root.clone());
        Ok(root)
    }

    /// Takes the socket that was granted under this name.
    pub(super) fn take_granted(&self, name: &str) -> Option<OwnedFd> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = granted.iter().position(|socket| socket.name == name)?;
        Some(granted.swap_remove(place).fd)
    }
}
