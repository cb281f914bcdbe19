//! Permits: the proof that a policy granted one operation on one subject.
//!
//! Every operation of the host demands its permit, and only a [`Gate`] can make one. A
//! permit tells its subject in canonical form; the host acts on that and not on what the guest wrote.
//!
//! Nobody else can make a permit:
//!
//! ```compile_fail,E0451
//! use sockgate_policy::{Permit, op};
//! fn forge(model: Permit<op::Interfaces>) -> Permit<op::Interfaces> {
//!     Permit { subject: (), ..model }
//! }
//! ```
//!
//! ```
//! use sockgate_policy::{Permit, op};
//! fn forge(model: Permit<op::Interfaces>) -> Permit<op::Interfaces> {
//!     model
//! }
//! ```
//!
//! nor turn one into a permit for another operation:
//!
//! ```compile_fail,E0308
//! use sockgate_policy::{Permit, op};
//! fn turn(permit: &Permit<op::GetOption>) -> Permit<op::SetOption> {
//!     permit.clone()
//! }
//! ```
//!
//! ```
//! use sockgate_policy::{Permit, op};
//! fn turn(permit: &Permit<op::GetOption>) -> Permit<op::GetOption> {
//!     permit.clone()
//! }
//! ```
//!
//! nor change what it is for:
//!
//! ```compile_fail,E0594
//! use sockgate_policy::{Address, Permit, op};
//! fn change(permit: &mut Permit<op::Converse>, other: Address) {
//!     *permit.subject() = other;
//! }
//! ```
//!
//! ```
//! use sockgate_policy::{Address, Permit, op};
//! fn change(permit: &mut Permit<op::Converse>, other: Address) {
//!     let _ = *permit.subject() == other;
//! }
//! ```
//!
//! ```compile_fail,E0616
//! use sockgate_policy::{Address, Permit, op};
//! fn change(permit: &mut Permit<op::Converse>, other: Address) {
//!     permit.subject = other;
//! }
//! ```
//!
//! ```
//! use sockgate_policy::{Address, Permit, op};
//! fn change(permit: &mut Permit<op::Converse>, other: Address) {
//!     let _ = permit.subject() == &other;
//! }
//! ```
//!
//! nor invent an operation:
//!
//! ```compile_fail,E0277
//! use sockgate_policy::Operation;
//! struct Mine;
//! impl Operation for Mine {
//!     type Subject = ();
//!     const NAME: &'static str = "mine";
//! }
//! ```
//!
//! ```
//! trait Operation { type Subject; const NAME: &'static str; }
//! struct Mine;
//! impl Operation for Mine {
//!     type Subject = ();
//!     const NAME: &'static str = "mine";
//! }
//! ```
//!
//! nor keep one operation's flags for an operation that has none:
//!
//! ```compile_fail,E0599
//! use sockgate_policy::{Permit, op};
//! fn flags(permit: &Permit<op::Shutdown>) {
//!     let _ = permit.flags();
//! }
//! ```
//!
//! ```
//! use sockgate_policy::{Permit, op};
//! fn flags(permit: &Permit<op::Converse>) {
//!     let _ = permit.flags();
//! }
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::address::Address;
use crate::denial::Denial;
use crate::gate::{Gate, Meters};
use crate::learn::Entry;
use crate::message::{AncillarySet, DescriptorKinds, MessageFlags};
use crate::model::{Carried, Few, PeerUsers};

/// The `id` of a rule. Cheap to clone.
#[derive(Clone)]
pub struct RuleId {
    /// The ids of all rules of a policy, one after the other: a count of each would be one more place in memory
    /// that a verdict has to wait for.
    ids: Arc<String>,
    from: u32,
    to: u32,
}

impl RuleId {
    pub(crate) fn new(id: &str) -> RuleId {
        RuleId::within(&Arc::new(id.to_owned()), 0..id.len())
    }

    fn within(ids: &Arc<String>, own: Range<usize>) -> RuleId {
        // A policy is shorter than 4 GiB.
        let number = |place| u32::try_from(place).unwrap_or(u32::MAX);
        RuleId {
            ids: ids.clone(),
            from: number(own.start),
            to: number(own.end),
        }
    }

    /// Puts the ids of a policy together.
    pub(crate) fn gather(separate: Vec<&mut RuleId>) {
        let ids: String = separate.iter().map(|id| id.as_str()).collect();
        let ids = Arc::new(ids);
        let mut from = 0;
        for id in separate {
            let to = from + id.as_str().len();
            *id = RuleId::within(&ids, from..to);
            from = to;
        }
    }

    /// The id as the policy writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.ids
            .get(self.from as usize..self.to as usize)
            .unwrap_or_default()
    }

    /// The same id by itself: it keeps those of the policy's other rules in memory no longer, for what outlives
    /// the policy.
    #[must_use]
    pub fn alone(&self) -> RuleId {
        RuleId::new(self.as_str())
    }
}

impl PartialEq for RuleId {
    fn eq(&self, other: &RuleId) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RuleId {}

impl PartialOrd for RuleId {
    fn partial_cmp(&self, other: &RuleId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RuleId {
    fn cmp(&self, other: &RuleId) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for RuleId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RuleId").field(&self.as_str()).finish()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// An operation that can be granted: the types in [`op`]. Sealed.
pub trait Operation: sealed::Sealed {
    /// What the operation is done to, in canonical form.
    type Subject: Clone + fmt::Debug;
    /// The operation's name as policies and traces write it.
    const NAME: &'static str;
}

/// An operation whose permit says what a data call under it may carry. Sealed.
pub trait Carries: Operation {}

/// A Unix socket's place in the file system. The host opens `root` once and goes to `beneath` from there
/// without following symlinks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnixPlace {
    /// The operator's directory. It may be a symlink.
    pub root: PathBuf,
    /// The path beneath it: relative, at least one component, none of them empty, `.` or `..`.
    pub beneath: PathBuf,
}

/// Where a connection or datagram goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectTarget {
    /// The canonical address; the host connects to this one.
    pub address: Address,
    /// For a pathname: where the socket's inode is looked up.
    pub unix: Option<UnixPlace>,
}

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BindTarget {
    /// The canonical address; the host binds this one.
    pub address: Address,
    /// For a pathname: where the socket's inode is made.
    pub unix: Option<UnixPlace>,
    /// For a pathname: the permission bits to give the inode, if the rule says.
    pub mode: Option<u32>,
    /// For a pathname: whether a socket that nobody listens on any more may be replaced.
    pub replace_stale: bool,
}

/// A multicast membership that a guest asks for, see ip(7) and ipv6(7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupRequest {
    /// The group.
    pub group: std::net::IpAddr,
    /// The only sender to be heard, for a source-specific membership.
    pub source: Option<std::net::IpAddr>,
    /// The interface by name; `None` lets the kernel choose.
    pub interface: Option<String>,
}

/// A host name as it is looked up: lower case, A-labels, absolute, without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(pub(crate) Arc<str>);

impl HostName {
    /// The name without its final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an ioctl(2) request, as policies write it: `bytes-readable`, `bytes-unsent`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IoctlName(pub(crate) Arc<str>);

impl IoctlName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IoctlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The operations, as types.
pub mod op {
    use super::{
        Address, BindTarget, Carries, ConnectTarget, DescriptorKinds, GroupRequest, HostName,
        IoctlName, Operation, sealed,
    };
    use crate::kind::Kind;
    use crate::option::OptionName;

    macro_rules! operations {
        ($($(#[$doc:meta])* $name:ident($subject:ty) = $text:literal;)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Operation for $name {
                type Subject = $subject;
                const NAME: &'static str = $text;
            }
        )*};
    }

    operations! {
        /// socket(2).
        Create(Kind) = "create";
        /// socketpair(2).
        Pair(Kind) = "socketpair";
        /// bind(2).
        Bind(BindTarget) = "bind";
        /// listen(2), on that local address.
        Listen(Address) = "listen";
        /// connect(2).
        Connect(ConnectTarget) = "connect";
        /// Sending to and receiving from that peer on a connected or accepted socket.
        Converse(Address) = "converse";
        /// sendto(2) and sendmsg(2) with a name.
        SendTo(ConnectTarget) = "send-to";
        /// Receiving on a socket where each message has a sender of its own.
        Receive(()) = "receive";
        /// Delivering one message from that sender.
        ReceiveFrom(Address) = "receive-from";
        /// getsockopt(2).
        GetOption(OptionName) = "get-option";
        /// setsockopt(2).
        SetOption(OptionName) = "set-option";
        /// Joining a multicast group.
        JoinGroup(GroupRequest) = "join-group";
        /// shutdown(2).
        Shutdown(()) = "shutdown";
        /// getaddrinfo(3) for a name.
        Resolve(HostName) = "resolve";
        /// getnameinfo(3) for an address.
        ReverseResolve(std::net::IpAddr) = "reverse-resolve";
        /// if_nameindex(3) and its kin.
        Interfaces(()) = "interfaces";
        /// gethostname(2).
        Hostname(()) = "hostname";
        /// sethostname(2).
        SetHostname(Vec<u8>) = "set-hostname";
        /// connect(2) with AF_UNSPEC.
        Disconnect(()) = "disconnect";
        /// Moving data between two sockets inside the host.
        Splice(()) = "splice";
        /// ioctl(2), by the request's name.
        Ioctl(IoctlName) = "ioctl";
        /// Sending descriptors (SCM_RIGHTS).
        DescriptorSend(DescriptorKinds) = "descriptor-send";
        /// Accepting descriptors (SCM_RIGHTS).
        DescriptorReceive(DescriptorKinds) = "descriptor-receive";
        /// Using a socket that the operator handed in.
        Granted(()) = "granted";
    }

    impl Carries for Listen {}
    impl Carries for Connect {}
    impl Carries for Converse {}
    impl Carries for SendTo {}
    impl Carries for Receive {}
    impl Carries for ReceiveFrom {}
    impl Carries for Granted {}
}

/// What a data call may carry under a permit: the union over the rules that grant exactly this operation
/// between exactly these addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cargo {
    pub(crate) flags: MessageFlags,
    pub(crate) ancillary_out: AncillarySet,
    pub(crate) ancillary_in: AncillarySet,
    pub(crate) descriptors_out: DescriptorKinds,
    pub(crate) descriptors_in: DescriptorKinds,
    /// Whom the peer may run as, one for each granting rule; nobody in particular where there is none.
    pub(crate) peer_users: Few<PeerUsers>,
    /// Flags that learn mode lets pass, and writes down.
    pub(crate) learnt_flags: MessageFlags,
}

impl Cargo {
    /// What needs no grant at all.
    pub(crate) fn bare() -> Cargo {
        Cargo {
            flags: MessageFlags::ALWAYS,
            ancillary_out: AncillarySet::default(),
            ancillary_in: AncillarySet::default(),
            descriptors_out: DescriptorKinds::empty(),
            descriptors_in: DescriptorKinds::empty(),
            peer_users: Few::new(),
            learnt_flags: MessageFlags::empty(),
        }
    }

    /// Everything: what audit mode lets through.
    pub(crate) fn everything() -> Cargo {
        Cargo {
            flags: MessageFlags::all(),
            ancillary_out: AncillarySet::everything(),
            ancillary_in: AncillarySet::everything(),
            descriptors_out: DescriptorKinds::all(),
            descriptors_in: DescriptorKinds::all(),
            peer_users: Few::new(),
            learnt_flags: MessageFlags::empty(),
        }
    }

    /// Adds what a granting rule lets through.
    pub(crate) fn add(&mut self, carried: &Carried) {
        self.flags |= carried.flags;
        self.ancillary_out.extend(&carried.ancillary_out);
        self.ancillary_in.extend(&carried.ancillary_in);
        self.peer_users.push(carried.peer_users.clone());
    }

    /// Has what is carried written down.
    pub(crate) fn watched_by(&mut self, entry: &Entry) {
        self.learnt_flags = self.flags;
        self.flags &= MessageFlags::ALWAYS;
        self.ancillary_out.watched_by(&entry.sent);
        self.ancillary_in.watched_by(&entry.received);
    }
}

/// The proof that the policy granted operation `O` on one subject. See the [module](self) on why it
/// cannot be forged.
///
/// A kept permit is compared with one relaxed load before each use: [`Permit::holds`].
pub struct Permit<O: Operation> {
    subject: O::Subject,
    rule: RuleId,
    generation: u64,
    expires: Option<Instant>,
    meters: Option<Meters>,
    cargo: Option<Arc<Cargo>>,
    unguarded: Option<Denial>,
}

/// What a [`Permit`] is made of besides its subject.
pub(crate) struct Terms {
    pub(crate) rule: RuleId,
    pub(crate) generation: u64,
    pub(crate) expires: Option<Instant>,
    pub(crate) meters: Option<Meters>,
    pub(crate) cargo: Option<Arc<Cargo>>,
    pub(crate) unguarded: Option<Denial>,
}

impl<O: Operation> Permit<O> {
    pub(crate) fn new(subject: O::Subject, terms: Terms) -> Permit<O> {
        let Terms {
            rule,
            generation,
            expires,
            meters,
            cargo,
            unguarded,
        } = terms;
        Permit {
            subject,
            rule,
            generation,
            expires,
            meters,
            cargo,
            unguarded,
        }
    }

    /// What is done under it counts for these; none where nothing is limited.
    #[inline]
    #[must_use]
    pub fn meters(&self) -> Option<&Meters> {
        self.meters.as_ref()
    }

    pub(crate) fn counting_also_for(mut self, general: Option<Meters>) -> Permit<O> {
        self.meters = Meters::joined(general, self.meters);
        self
    }

    /// What the operation is done to, in canonical form.
    #[must_use]
    pub fn subject(&self) -> &O::Subject {
        &self.subject
    }

    /// The `id` of the rule that granted it; `(audit)` where none did and the mode let it through,
    /// `(granted)` for a socket that the operator handed in, `(always)` for what needs no grant.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.rule.as_str()
    }

    /// The same, cheap to clone.
    #[must_use]
    pub fn rule_id(&self) -> &RuleId {
        &self.rule
    }

    /// The generation of the policy that granted it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The permit, which ends then at the latest: so does what stands on a table that forgets.
    #[must_use]
    pub(crate) fn until(mut self, end: Instant) -> Permit<O> {
        self.expires = Some(self.expires.map_or(end, |pinned| pinned.min(end)));
        self
    }

    /// When the permit ends by itself: with a name's pin, or 60 seconds after a peer was heard that may be
    /// [answered](Gate::answer).
    #[must_use]
    pub fn expires(&self) -> Option<Instant> {
        self.expires
    }

    /// Whether the permit still counts: made by the gate's present policy, and not expired.
    #[must_use]
    pub fn holds(&self, gate: &Gate) -> bool {
        self.holds_at(gate, Instant::now)
    }

    /// The clock is read only where the permit ends by itself: most last, and are looked at before every message.
    pub(crate) fn holds_at(&self, gate: &Gate, now: impl FnOnce() -> Instant) -> bool {
        self.generation == gate.generation() && self.expires.is_none_or(|end| now() < end)
    }

    /// The denial that audit or learn mode passed over, if no rule granted this.
    #[must_use]
    pub fn unguarded(&self) -> Option<&Denial> {
        self.unguarded.as_ref()
    }
}

impl<O: Carries> Permit<O> {
    /// The message flags that a call may use, with those that need no grant.
    #[must_use]
    pub fn flags(&self) -> MessageFlags {
        self.cargo
            .as_ref()
            .map_or(MessageFlags::ALWAYS, |cargo| cargo.flags)
    }

    /// Whether learn mode lets these flags pass, which the permit does not list. They are written down.
    #[must_use]
    pub fn learns_flags(&self, flags: MessageFlags) -> bool {
        let learnt = self
            .cargo
            .as_ref()
            .is_some_and(|cargo| (cargo.learnt_flags | cargo.flags).contains(flags));
        match self.unguarded.as_ref().and_then(Denial::entry) {
            Some(entry) if learnt => {
                entry.note_flags(flags - MessageFlags::ALWAYS);
                true
            }
            _ => false,
        }
    }

    /// The ancillary data that may be sent.
    #[must_use]
    pub fn ancillary_out(&self) -> &AncillarySet {
        const NONE: &AncillarySet = &AncillarySet::NONE;
        self.cargo
            .as_ref()
            .map_or(NONE, |cargo| &cargo.ancillary_out)
    }

    /// The ancillary data that may be delivered.
    #[must_use]
    pub fn ancillary_in(&self) -> &AncillarySet {
        const NONE: &AncillarySet = &AncillarySet::NONE;
        self.cargo
            .as_ref()
            .map_or(NONE, |cargo| &cargo.ancillary_in)
    }

    /// The descriptors that may be sent along.
    #[must_use]
    pub fn descriptors_out(&self) -> DescriptorKinds {
        self.cargo
            .as_ref()
            .map_or(DescriptorKinds::empty(), |cargo| cargo.descriptors_out)
    }

    /// The descriptors that may be delivered.
    #[must_use]
    pub fn descriptors_in(&self) -> DescriptorKinds {
        self.cargo
            .as_ref()
            .map_or(DescriptorKinds::empty(), |cargo| cargo.descriptors_in)
    }

    /// Whether a granting rule asks who the peer is (`peer-uid`, `peer-gid`): the host then looks at
    /// SO_PEERCRED, unix(7), and closes the connection unless [`Permit::lets_in`] the peer.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        !self.peer_users().iter().any(PeerUsers::is_anyone)
    }

    /// Whether one granting rule lets a peer in that runs as this user and this group.
    #[must_use]
    pub fn lets_in(&self, uid: u32, gid: u32) -> bool {
        let mut rules = self.peer_users().iter();
        rules.any(|users| users.has(uid, gid))
    }

    fn peer_users(&self) -> &[PeerUsers] {
        const ANYONE: &[PeerUsers] = &[PeerUsers {
            uids: None,
            gids: None,
        }];
        match &self.cargo {
            Some(cargo) if !cargo.peer_users.is_empty() => &cargo.peer_users,
            _ => ANYONE,
        }
    }
}

impl<O: Operation> Clone for Permit<O> {
    fn clone(&self) -> Permit<O> {
        Permit {
            subject: self.subject.clone(),
            rule: self.rule.clone(),
            generation: self.generation,
            expires: self.expires,
            meters: self.meters.clone(),
            cargo: self.cargo.clone(),
            unguarded: self.unguarded.clone(),
        }
    }
}

impl<O: Operation> fmt::Debug for Permit<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("operation", &O::NAME)
            .field("subject", &self.subject)
            .field("rule", &self.rule.as_str())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
