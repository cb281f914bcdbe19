//! One socket's life: facts for the policy, permits, state, time-outs, attempt and wait.
//!
//! Every operation takes the same way. It gathers the *facts* of its socket, [judges](judge) them (asks
//! the policy and tells the operator of a refusal), and with the permit in hand makes an
//! [attempt](attempt): one non-blocking system call through `sys`, which nothing outside this module can
//! reach. Where the kernel would block, it [waits](wait), asks the policy again, and attempts again.
//!
//! ```compile_fail,E0603
//! use sockgate::socket::sys;
//! ```
//!
//! ```
//! use sockgate::SocketsCtx;
//! ```

mod ancillary;
mod attempt;
mod batch;
mod collect;
mod connection;
mod data;
mod descriptors;
pub(crate) mod group;
mod guest;
mod heard;
mod jobs;
mod judge;
mod life;
mod lifetime;
mod limit;
mod meter;
pub(crate) mod names;
pub(crate) mod option;
mod poller;
mod readiness;
mod receipt;
mod send;
mod sys;
mod tipc;
mod transfer;
mod wait;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use bytes::BytesMut;
use sockgate_policy::{
    Address, Content, Family, FlightSlot, Kind, Origin, Permit, SocketFacts, SocketSlot, op,
};

pub(crate) use ancillary::{AncillaryIn, AncillaryOut, MessageIn, PlainOut};
pub(crate) use batch::{BatchIn, BatchSent, OutgoingHead};
pub(crate) use data::Attempt;
pub use descriptors::Opaque;
pub(crate) use descriptors::{Handle, Passed};
pub(crate) use guest::{Granted, Guest, PollablePlace};
use limit::{Direction, WaitLimits};
pub(crate) use names::{Host, Lookup, LookupError};
pub(crate) use option::Queue;
pub use poller::Poller;
pub(crate) use readiness::{POLL_LIMIT, Watched, poll};
pub(crate) use sys::cmsg;
pub(crate) use sys::confine;
pub use sys::errno::Errno;
pub use sys::host::raise_descriptor_limit;
pub use sys::inherited::{InheritedSocket, inherited_sockets};
pub(crate) use sys::life::How;
pub(crate) use sys::message::ReceivedFlags;
pub(crate) use sys::poll::Readiness;
pub use sys::probe::{Probe, ProbeError, ProbeStatus, probe, probe_families};
pub(crate) use sys::resolve::{Eai, Hints, LookupFlags, NameFlags};
pub use wait::{CancelHandle, Timeout, WaitMode};
pub(crate) use wait::{Descriptor, Interest};

pub(crate) use heard::Heard;
use sys::batch::BatchScratch;

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The guest gets this error.
    Errno(Errno),
    /// The embedder stopped the guest: it traps.
    Stopped,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Errno(errno)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Errno(errno) => errno.fmt(f),
            Failure::Stopped => f.write_str("stopped"),
        }
    }
}

/// What an operation answers.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A guest's handle on a socket. Several handles may share one socket (`dup`); the time-out and the
/// receive buffer are each handle's own.
pub struct Socket {
    /// `None` once closed or detached.
    inner: Option<Arc<Inner>>,
    timeout: Timeout,
    /// Receives go into its spare capacity and leave as `Bytes`: one copy, no allocation where the guest
    /// has let go of the last one.
    buffer: BytesMut,
    /// What recv-many needs besides, kept from call to call.
    scratch: BatchScratch,
    /// A further handle on a socket counts like another socket.
    slot: Option<SocketSlot>,
}

/// One socket.
pub(crate) struct Inner {
    guest: Arc<Guest>,
    kind: Kind,
    /// Whether what is received may come from somebody else than the peer.
    has_senders: bool,
    /// Each message is judged by what is in it; of a received one the policy wants to see so many bytes.
    inspected: Option<usize>,
    /// A send without a name may go to where the socket is bound, and is judged as if it named that.
    sends_unnamed: bool,
    number: u64,
    state: Mutex<State>,
    interrupted: AtomicBool,
    /// Somebody else has the socket too and expects it to be blocking.
    shared: AtomicBool,
    /// It was passed on or detached: it may outlive this guest's last handle.
    given: AtomicBool,
    /// It lost its grant: it answers `badf` from then on.
    retired: AtomicBool,
    /// SO_RCVTIMEO and SO_SNDTIMEO.
    limits: WaitLimits,
    /// What a rate held back last.
    held_back: Mutex<meter::HeldBack>,
    /// Descriptors that were sent and perhaps not received yet.
    in_flight: Mutex<Vec<FlightSlot>>,
    /// The rules that it counts for, and when it ends by its lifetime.
    term: Mutex<lifetime::Term>,
    descriptor: Descriptor,
    _slot: SocketSlot,
}

/// What is known of a socket; it changes with what the guest does.
struct State {
    facts: SocketFacts,
    /// The guest set IPV6_V6ONLY itself; otherwise the policy decides.
    wants_v6only: bool,
    /// The kept verdict on the conversation with the peer.
    converse: Option<Permit<op::Converse>>,
    /// The generation of the policy that keeps the conversation although it no longer grants it
    /// (`on-reload = "keep"`).
    kept_by: Option<u64>,
    /// The kept verdict on receiving at all (datagrams).
    receive: Option<Permit<op::Receive>>,
    /// Whether it listens.
    listening: bool,
    /// The kept verdict on accepting.
    listen: Option<Permit<op::Listen>>,
    /// The kept verdict on the last destination.
    destination: Option<attempt::Destination>,
    /// The sender that was let through last.
    sender: Option<attempt::Sender>,
    /// From whom this socket received, for `reply`.
    heard: Heard,
    /// What it has to do, if it is a broadcast manager.
    jobs: Option<jobs::Jobs>,
    /// The file that bind made.
    bound: Option<sys::unix_path::BoundPath>,
    /// The pollers that watch this socket.
    pollers: Vec<Weak<poller::Interests>>,
    /// Connections that were accepted and judged before the guest asked (poll).
    pending: std::collections::VecDeque<(Arc<Inner>, Address)>,
}

impl State {
    /// The facts have changed that the kept verdicts were about: each is asked for anew. The conversation
    /// stays, which outlives the verdict that began it.
    fn forget_verdicts(&mut self) {
        self.receive = None;
        self.listen = None;
        self.destination = None;
        self.sender = None;
    }
}

impl Inner {
    fn new(
        guest: &Arc<Guest>,
        fd: std::os::fd::OwnedFd,
        facts: SocketFacts,
        slot: SocketSlot,
    ) -> Arc<Inner> {
        let jobs = facts.kind.works_by_itself().then(jobs::Jobs::default);
        let inner = Arc::new(Inner {
            guest: guest.clone(),
            kind: facts.kind,
            has_senders: facts.kind.is_datagram() && facts.origin != Origin::Pair,
            inspected: Content::head(facts.kind),
            sends_unnamed: Content::head(facts.kind).is_some()
                || !(facts.kind.has_ip_addresses() || facts.kind.family == Family::Unix),
            number: guest.next_number(),
            state: Mutex::new(State {
                facts,
                wants_v6only: false,
                converse: None,
                kept_by: None,
                receive: None,
                listening: false,
                listen: None,
                destination: None,
                sender: None,
                heard: Heard::default(),
                jobs,
                bound: None,
                pollers: Vec::new(),
                pending: std::collections::VecDeque::new(),
            }),
            interrupted: AtomicBool::new(false),
            shared: AtomicBool::new(false),
            given: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            limits: WaitLimits::default(),
            held_back: Mutex::default(),
            in_flight: Mutex::default(),
            term: Mutex::new(lifetime::Term::begun(now())),
            descriptor: Descriptor::new(fd),
            _slot: slot,
        });
        guest.opened(&inner);
        inner.renew_term();
        inner
    }

    /// See [`Guest::take_turn`].
    #[inline]
    pub(crate) async fn take_turn(&self) {
        self.guest.take_turn().await;
    }

    /// A panic elsewhere cannot leave the state half changed: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another attempt is worth it.
    async fn wait(&self, interest: Interest, deadline: wait::Deadline) -> Outcome<()> {
        use wait::Wait;
        self.check_interrupted()?;
        self.guest.audit().waited();
        self.guest
            .wait_mode()
            .wait(&self.descriptor, interest, deadline, self.guest.cancel())
            .await?;
        self.check_interrupted()
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn check_interrupted(&self) -> Outcome<()> {
        // The load keeps the common case free of a write.
        if self.is_interrupted() && self.interrupted.swap(false, Ordering::SeqCst) {
            return Err(Errno::INTR.into());
        }
        Ok(())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.fd()
    }

    /// The pollers that watch this socket.
    fn pollers(&self) -> Vec<Arc<poller::Interests>> {
        let state = self.state();
        state.pollers.iter().filter_map(Weak::upgrade).collect()
    }

    /// Something became the case that the kernel does not tell: every poller of this socket looks at it.
    fn tell_pollers(&self) {
        for poller in self.pollers() {
            poller.tell(self.number);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.guest.closed(self.number);
        self.end_term();
        self.set_adrift();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (pollers, bound) = (std::mem::take(&mut state.pollers), state.bound.take());
        for poller in pollers.iter().filter_map(Weak::upgrade) {
            poller.forget(self);
        }
        // Who was given the socket too may go on serving at its name.
        if let Some(bound) = bound
            && !self.given.load(Ordering::Relaxed)
        {
            let path = bound.path().to_path_buf();
            if let Err(errno) = bound.unlink_if_ours() {
                tracing::warn!(path = %path.display(), %errno, "a socket file could not be removed");
            }
        }
    }
}

impl Socket {
    fn from_inner(inner: Arc<Inner>) -> Socket {
        let timeout = inner.guest.default_timeout();
        Socket {
            inner: Some(inner),
            timeout,
            buffer: BytesMut::new(),
            scratch: BatchScratch::default(),
            slot: None,
        }
    }

    /// The socket, or `badf` after close and detach.
    pub(crate) fn inner(&self) -> Outcome<&Arc<Inner>> {
        self.inner.as_ref().ok_or(Failure::Errno(Errno::BADF))
    }

    pub(crate) fn timeout(&self) -> Timeout {
        self.timeout
    }

    pub(crate) fn set_timeout(&mut self, timeout: Timeout) {
        self.timeout = timeout;
    }

    pub(crate) fn interrupt(&self) {
        if let Some(inner) = &self.inner {
            inner.interrupted.store(true, Ordering::SeqCst);
            inner.tell_pollers();
        }
    }

    /// The deadline of a data call that begins now.
    fn deadline(&self, inner: &Inner, direction: Direction, dont_wait: bool) -> wait::Deadline {
        if dont_wait {
            wait::Deadline::Now(Errno::AGAIN)
        } else {
            self.patience(inner, direction, Errno::AGAIN)
        }
    }

    /// How long an operation may wait that begins now: the handle's time-out, and the socket's own limit.
    fn patience(&self, inner: &Inner, direction: Direction, errno: Errno) -> wait::Deadline {
        let limit = inner.limits.get(direction);
        self.timeout.deadline(errno).within(limit, errno)
    }

    /// Closes this handle; the socket goes with its last one.
    pub(crate) fn close(&mut self) -> Outcome<()> {
        let inner = self.inner.take().ok_or(Failure::Errno(Errno::BADF))?;
        self.slot = None;
        inner
            .guest
            .audit()
            .note(|| crate::audit::Event::new("close").socket(inner.number));
        Ok(())
    }

    /// Another handle on the same socket.
    pub(crate) fn dup(&self) -> Outcome<Socket> {
        let inner = self.inner()?.clone();
        let slot = inner.guest.slot(|| inner.event("dup"))?;
        Ok(Socket {
            timeout: self.timeout,
            slot: Some(slot),
            ..Socket::from_inner(inner)
        })
    }
}

/// Now, for tables that forget.
fn now() -> Instant {
    Instant::now()
}
