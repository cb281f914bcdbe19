//! What all sockets of one guest share: its policy, its waits, its operator's eyes.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sockgate_policy::{
    BufferSlot, Denial, FlightSlot, Gate, LimitReached, Meters, Operation, Permit, Policy,
    SocketSlot,
};

use super::descriptors::Adrift;
use super::sys::unix_path::Root;
use super::wait::{Cancel, Timeout, WaitMode};
use super::{Errno, Failure, Inner, Outcome};
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
    /// The open ones by number, for reloads.
    open: Mutex<HashMap<u64, Weak<Inner>>>,
    roots: Mutex<HashMap<PathBuf, Arc<Root>>>,
    granted: Mutex<Vec<Granted>>,
    last_denial: Mutex<Option<String>>,
    resolvers: super::names::Resolvers,
    pollables: Arc<AtomicUsize>,
    /// Descriptors that were sent by sockets which are gone, and that nobody received yet.
    adrift: Mutex<Vec<Adrift>>,
}

/// So many pollables of `wasi:io` and look-ups of `wasi:sockets` may a guest have at a time.
const POLLABLES: usize = 4096;

/// A place among the guest's pollables. Dropping it gives it back.
pub(crate) struct PollablePlace(Arc<AtomicUsize>);

impl Drop for PollablePlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
            open: Mutex::new(HashMap::new()),
            roots: Mutex::new(HashMap::new()),
            granted: Mutex::new(granted),
            last_denial: Mutex::new(None),
            resolvers: super::names::Resolvers::default(),
            pollables: Arc::default(),
            adrift: Mutex::default(),
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

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Weak<Inner>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket is there from now on.
    pub(super) fn opened(&self, inner: &Arc<Inner>) {
        self.open().insert(inner.number, Arc::downgrade(inner));
        self.audit.opened();
    }

    /// It is gone.
    pub(super) fn closed(&self, number: u64) {
        self.open().remove(&number);
        self.audit.closed();
    }

    /// Puts another policy in force: open sockets are judged by it at once, and waits are woken to ask it.
    pub(crate) fn replace_policy(&self, policy: Policy) {
        self.gate.replace(policy);
        self.audit.reloaded();
        for inner in self.open_sockets() {
            inner.judge_anew();
        }
        self.cancel.policy_replaced();
    }

    /// In *ready* a guest whose calls never have to wait gives way to the other guests of its thread now and
    /// then, as tokio's own sockets do.
    #[inline]
    pub(crate) async fn take_turn(&self) {
        if self.wait_mode == WaitMode::Ready {
            tokio::task::coop::consume_budget().await;
        }
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
        self.told_denial().clone()
    }

    fn told_denial(&self) -> MutexGuard<'_, Option<String>> {
        self.last_denial
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the guest ask for this reason, where the policy reveals it.
    fn reveal(&self, reason: impl fmt::Display) {
        if self.gate.reveals_denials() {
            *self.told_denial() = Some(reason.to_string());
        }
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
    pub(crate) fn refuse(&self, denial: &Denial, event: impl FnOnce() -> Event) -> Failure {
        self.audit.note(|| event().denied(denial));
        self.reveal(denial);
        Errno::ACCES.into()
    }

    /// Refuses a use that the rule of an otherwise granted operation does not list.
    #[cold]
    pub(crate) fn withhold(
        &self,
        event: impl FnOnce() -> Event,
        reason: fmt::Arguments<'_>,
    ) -> Failure {
        self.audit.note(|| event().withheld(reason));
        self.reveal(reason);
        Errno::ACCES.into()
    }

    /// A place for one more socket; `mfile` where the guest has as many as its policy allows.
    pub(super) fn slot(&self, event: impl FnOnce() -> Event) -> Outcome<SocketSlot> {
        let slot = self.gate.slot();
        slot.map_err(|limit| self.limited(event, &limit, Errno::MFILE))
    }

    /// What reaching a limit answers, with its record.
    #[cold]
    pub(super) fn limited(
        &self,
        event: impl FnOnce() -> Event,
        limit: &LimitReached,
        errno: Errno,
    ) -> Failure {
        self.audit.note(|| event().limited(limit, errno));
        self.reveal(limit);
        errno.into()
    }

    /// A place for one more pollable; `mfile` where the guest has 4096.
    pub(crate) fn pollable(&self) -> Outcome<PollablePlace> {
        let place = PollablePlace(self.pollables.clone());
        if self.pollables.fetch_add(1, Ordering::Relaxed) >= POLLABLES {
            return Err(Errno::MFILE.into());
        }
        Ok(place)
    }

    /// All of its open sockets. None of them may go while their list is locked: each leaves it as it goes.
    pub(super) fn open_sockets(&self) -> Vec<Arc<Inner>> {
        self.open().values().filter_map(Weak::upgrade).collect()
    }

    /// The open socket of that number.
    pub(super) fn socket(&self, number: u64) -> Option<Weak<Inner>> {
        self.open().get(&number).cloned()
    }

    fn adrift(&self) -> MutexGuard<'_, Vec<Adrift>> {
        self.adrift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket is gone whose descriptors nobody received yet.
    pub(super) fn set_adrift(&self, adrift: Adrift) {
        self.adrift().push(adrift);
    }

    /// So many descriptors leave; `mfile` where as many are in flight as the policy allows.
    pub(super) fn send_off(
        &self,
        meters: Option<&Meters>,
        descriptors: u64,
        event: impl FnOnce() -> Event,
    ) -> Outcome<FlightSlot> {
        let flight = self.gate.flight(meters, descriptors).or_else(|_| {
            // Those that arrived meanwhile do not count any more.
            self.adrift().retain_mut(Adrift::is_unread);
            for socket in self.open_sockets() {
                socket.note_landed();
            }
            self.gate.flight(meters, descriptors)
        });
        flight.map_err(|limit| self.limited(event, &limit, Errno::MFILE))
    }

    /// Room in the host's buffers for one call; what every socket may keep anyway is not counted.
    /// `nobufs` where the guest holds as much as its policy allows.
    pub(super) fn hold(
        &self,
        bytes: usize,
        meters: Option<&Meters>,
    ) -> Outcome<Option<BufferSlot>> {
        if bytes <= super::data::MESSAGE_CHUNK {
            return Ok(None);
        }
        let held = self.gate.buffer(meters, bytes as u64);
        held.map(Some)
            .map_err(|limit| self.limited(|| Event::new("buffer"), &limit, Errno::NOBUFS))
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

    /// Takes the socket that was granted under this name; of several the first.
    pub(super) fn take_granted(&self, name: &str) -> Option<OwnedFd> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = granted.iter().position(|socket| socket.name == name)?;
        Some(granted.remove(place).fd)
    }
}
