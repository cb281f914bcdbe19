//! What a data call may carry: message flags, ancillary data, descriptors. See send(2), recv(2), cmsg(3).

use std::fmt;

use bitflags::bitflags;

use crate::learn::NotedAncillary;

bitflags! {
    /// Flags of a send or receive call, see send(2) and recv(2). The values are this crate's own, since
    /// the kernels' differ.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct MessageFlags: u32 {
        /// MSG_OOB.
        const OOB = 1 << 0;
        /// MSG_PEEK.
        const PEEK = 1 << 1;
        /// MSG_DONTROUTE.
        const DONTROUTE = 1 << 2;
        /// MSG_DONTWAIT.
        const DONTWAIT = 1 << 3;
        /// MSG_WAITALL.
        const WAITALL = 1 << 4;
        /// MSG_TRUNC.
        const TRUNC = 1 << 5;
        /// MSG_NOSIGNAL.
        const NOSIGNAL = 1 << 6;
        /// MSG_MORE.
        const MORE = 1 << 7;
        /// MSG_EOR.
        const EOR = 1 << 8;
        /// MSG_ERRQUEUE.
        const ERRQUEUE = 1 << 9;
        /// MSG_FASTOPEN.
        const FASTOPEN = 1 << 10;
        /// MSG_CONFIRM.
        const CONFIRM = 1 << 11;
        /// MSG_ZEROCOPY.
        const ZEROCOPY = 1 << 12;
        /// MSG_PROXY.
        const PROXY = 1 << 13;
    }
}

impl MessageFlags {
    /// The flags that need no grant.
    pub const ALWAYS: MessageFlags = MessageFlags::PEEK
        .union(MessageFlags::DONTWAIT)
        .union(MessageFlags::WAITALL)
        .union(MessageFlags::TRUNC)
        .union(MessageFlags::NOSIGNAL)
        .union(MessageFlags::MORE)
        .union(MessageFlags::EOR);

    /// The flags that a policy's name list stands for, if the name is one: `errqueue`, `oob`, ...
    pub(crate) fn from_policy_name(name: &str) -> Option<MessageFlags> {
        if name.chars().any(|c| c.is_ascii_uppercase()) {
            return None;
        }
        MessageFlags::from_name(&name.to_ascii_uppercase())
    }

    /// The names as a policy writes them.
    pub fn policy_names(self) -> impl Iterator<Item = String> {
        self.iter_names().map(|(name, _)| name.to_ascii_lowercase())
    }
}

/// One kind of ancillary data (a control message), see cmsg(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AncillaryKind {
    /// SCM_RIGHTS. Governed by `descriptor-send` and `descriptor-receive`, never by `ancillary`.
    Rights,
    /// SCM_CREDENTIALS, see unix(7).
    Credentials,
    /// SCM_TIMESTAMP, SCM_TIMESTAMPNS and SCM_TIMESTAMPING, see socket(7).
    Timestamp,
    /// IP_PKTINFO and IPV6_PKTINFO. When sent, it picks the source address.
    PacketInfo,
    /// IP_TTL and IPV6_HOPLIMIT.
    HopLimit,
    /// IP_TOS and IPV6_TCLASS.
    TrafficClass,
    /// SCM_PIDFD, see unix(7).
    PidFd,
    /// SCM_SECURITY, see unix(7).
    Security,
    /// IP_ORIGDSTADDR and IPV6_ORIGDSTADDR.
    OriginalDestination,
    /// IP_RECVERR, IPV6_RECVERR, SCM_J1939_ERRQUEUE, SCM_CAN_RAW_ERRQUEUE and PACKET_TX_TIMESTAMP: reports
    /// what a router or peer said, and who, or that something went out.
    ExtendedError,
    /// SO_RXQ_OVFL.
    DropCount,
    /// UDP_SEGMENT and UDP_GRO, see udp(7).
    SegmentSize,
    /// SCM_TXTIME.
    TxTime,
    /// PACKET_AUXDATA, packet(7).
    PacketAuxdata,
    /// ALG_SET_OP, ALG_SET_IV and ALG_SET_AEAD_ASSOCLEN: the parameters of a cipher's operation, which an
    /// algorithm's socket always takes.
    Algorithm,
    /// SCTP_SNDINFO and SCTP_SNDRCV when sent, SCTP_RCVINFO, SCTP_SNDRCV and SCTP_NXTINFO when received, see
    /// sctp(7): the stream of a message, and how it goes.
    SctpInfo,
    /// SCM_J1939_DEST_ADDR, SCM_J1939_DEST_NAME and SCM_J1939_PRIO: to whom a message went, and how urgent.
    J1939Info,
    /// IP_RECVOPTS and IP_RETOPTS; IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_RTHDR and their older forms: the options
    /// and extension headers of a packet.
    IpOptions,
    /// IPV6_PATHMTU.
    PathMtu,
    /// IP_RECVFRAGSIZE and IPV6_RECVFRAGSIZE.
    FragmentSize,
    /// SO_MARK: as SO_RCVMARK tells it, and of one packet when sent.
    Mark,
    /// BT_SCM_PKT_STATUS.
    BluetoothStatus,
    /// Any other control message, by Linux's numbers.
    Raw {
        /// cmsg_level.
        level: i32,
        /// cmsg_type.
        kind: i32,
    },
}

/// A name of a policy, its kind, and the (level, type) numbers that mean the same.
type NamedAncillary = (&'static str, AncillaryKind, &'static [(i32, i32)]);

const ANCILLARY: &[NamedAncillary] = &[
    ("rights", AncillaryKind::Rights, &[(1, 1)]),
    ("credentials", AncillaryKind::Credentials, &[(1, 2)]),
    (
        "timestamp",
        AncillaryKind::Timestamp,
        &[(1, 29), (1, 35), (1, 37), (1, 63), (1, 64), (1, 65)],
    ),
    (
        "packet-info",
        AncillaryKind::PacketInfo,
        &[(0, 8), (41, 50), (41, 2)],
    ),
    (
        "hop-limit",
        AncillaryKind::HopLimit,
        &[(0, 2), (41, 52), (41, 8)],
    ),
    (
        "traffic-class",
        AncillaryKind::TrafficClass,
        &[(0, 1), (41, 67)],
    ),
    ("pidfd", AncillaryKind::PidFd, &[(1, 4)]),
    ("security", AncillaryKind::Security, &[(1, 3)]),
    (
        "original-destination",
        AncillaryKind::OriginalDestination,
        &[(0, 20), (41, 74)],
    ),
    (
        "extended-error",
        AncillaryKind::ExtendedError,
        &[(0, 11), (41, 25), (107, 4), (101, 1), (263, 16)],
    ),
    ("drop-count", AncillaryKind::DropCount, &[(1, 40)]),
    (
        "segment-size",
        AncillaryKind::SegmentSize,
        &[(17, 103), (17, 104)],
    ),
    ("txtime", AncillaryKind::TxTime, &[(1, 61)]),
    ("packet-auxdata", AncillaryKind::PacketAuxdata, &[(263, 8)]),
    (
        "algorithm",
        AncillaryKind::Algorithm,
        &[(279, 2), (279, 3), (279, 4)],
    ),
    (
        "sctp-info",
        AncillaryKind::SctpInfo,
        &[(132, 1), (132, 2), (132, 3), (132, 4)],
    ),
    (
        "j1939-info",
        AncillaryKind::J1939Info,
        &[(107, 1), (107, 2), (107, 3)],
    ),
    (
        "ip-options",
        AncillaryKind::IpOptions,
        &[
            (0, 6),
            (0, 7),
            (41, 3),
            (41, 4),
            (41, 5),
            (41, 54),
            (41, 55),
            (41, 57),
            (41, 59),
        ],
    ),
    ("path-mtu", AncillaryKind::PathMtu, &[(41, 61)]),
    (
        "fragment-size",
        AncillaryKind::FragmentSize,
        &[(0, 25), (41, 77)],
    ),
    ("mark", AncillaryKind::Mark, &[(1, 36)]),
    (
        "bluetooth-status",
        AncillaryKind::BluetoothStatus,
        &[(274, 3)],
    ),
];

impl AncillaryKind {
    /// The named kind where a raw one has a name, so that numbers are no way round a name.
    #[must_use]
    pub fn canonical(self) -> AncillaryKind {
        let AncillaryKind::Raw { level, kind } = self else {
            return self;
        };
        ANCILLARY
            .iter()
            .find(|(_, _, numbers)| numbers.contains(&(level, kind)))
            .map_or(self, |(_, named, _)| *named)
    }

    /// The kind that a policy's name stands for: `timestamp`, or `1/29` by numbers.
    pub(crate) fn from_policy_name(name: &str) -> Option<AncillaryKind> {
        if let Some((_, kind, _)) = ANCILLARY.iter().find(|(known, _, _)| *known == name) {
            return Some(*kind);
        }
        let (level, kind) = name.split_once('/')?;
        let raw = AncillaryKind::Raw {
            level: level.parse().ok()?,
            kind: kind.parse().ok()?,
        };
        Some(raw.canonical())
    }

    pub(crate) fn policy_names() -> impl Iterator<Item = &'static str> {
        ANCILLARY
            .iter()
            .map(|(name, _, _)| *name)
            .filter(|name| *name != "rights")
    }

    fn bit(self) -> Option<u32> {
        let place = ANCILLARY.iter().position(|(_, kind, _)| *kind == self)?;
        Some(1 << place)
    }
}

impl fmt::Display for AncillaryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (ANCILLARY.iter().find(|(_, kind, _)| kind == self), self) {
            (Some((name, _, _)), _) => f.write_str(name),
            (None, AncillaryKind::Raw { level, kind }) => write!(f, "{level}/{kind}"),
            (None, _) => f.write_str("unknown"),
        }
    }
}

/// A set of kinds of ancillary data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AncillarySet {
    everything: bool,
    named: u32,
    /// In order, so that equal sets are equal.
    raw: Vec<AncillaryKind>,
    watcher: Watcher,
}

/// Where learn mode writes down which kinds were asked for. It is no part of what the set holds.
#[derive(Clone, Debug, Default)]
struct Watcher(Option<NotedAncillary>);

impl PartialEq for Watcher {
    fn eq(&self, _: &Watcher) -> bool {
        true
    }
}

impl Eq for Watcher {}

impl AncillarySet {
    /// The set of nothing.
    pub const NONE: AncillarySet = AncillarySet {
        everything: false,
        named: 0,
        raw: Vec::new(),
        watcher: Watcher(None),
    };

    /// The set of all kinds but [`AncillaryKind::Rights`].
    #[must_use]
    pub fn everything() -> AncillarySet {
        AncillarySet {
            everything: true,
            named: 0,
            raw: Vec::new(),
            watcher: Watcher(None),
        }
    }

    /// Has each kind written down that is found in the set from now on.
    pub(crate) fn watched_by(&mut self, noted: &NotedAncillary) {
        self.watcher = Watcher(Some(noted.clone()));
    }

    /// Whether the kind is in the set; a raw kind that has a name counts as the named one.
    /// [`AncillaryKind::Rights`] never is.
    #[must_use]
    pub fn contains(&self, kind: AncillaryKind) -> bool {
        let kind = kind.canonical();
        if kind == AncillaryKind::Rights {
            return false;
        }
        let listed = match kind.bit() {
            Some(bit) => self.named & bit != 0,
            None => self.raw.contains(&kind),
        };
        // In "everything but", the list names what is taken out.
        let contained = listed != self.everything;
        if let Some(noted) = self.watcher.0.as_ref().filter(|_| contained) {
            noted.note(kind);
        }
        contained
    }

    /// Whether no kind is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everything && self.named == 0 && self.raw.is_empty()
    }

    pub(crate) fn insert(&mut self, kind: AncillaryKind) {
        let kind = kind.canonical();
        if !self.contains(kind) {
            self.toggle(kind);
        }
    }

    fn toggle(&mut self, kind: AncillaryKind) {
        match kind.bit() {
            Some(bit) => self.named ^= bit,
            None => match self.raw.binary_search(&kind) {
                Ok(place) => drop(self.raw.remove(place)),
                Err(place) => self.raw.insert(place, kind),
            },
        }
    }

    fn kinds(&self) -> impl Iterator<Item = AncillaryKind> {
        ANCILLARY
            .iter()
            .map(|(_, kind, _)| *kind)
            .filter(|kind| kind.bit().is_some_and(|bit| self.named & bit != 0))
            .chain(self.raw.iter().copied())
    }

    /// Adds what `other` lists. Only lists are united, never an "everything but".
    pub(crate) fn extend(&mut self, other: &AncillarySet) {
        self.named |= other.named;
        for kind in &other.raw {
            self.insert(*kind);
        }
    }

    /// Whether everything that this lists is in `other`. Only lists are compared, never an "everything but".
    pub(crate) fn is_within(&self, other: &AncillarySet) -> bool {
        self.kinds().all(|kind| other.contains(kind))
    }

    /// Takes out what `other` lists.
    pub(crate) fn remove(&mut self, other: &AncillarySet) {
        match self.everything {
            true => self.named |= other.named,
            false => self.named &= !other.named,
        }
        for kind in &other.raw {
            if self.contains(*kind) {
                self.toggle(*kind);
            }
        }
    }
}

bitflags! {
    /// Which descriptors may travel over a Unix socket (SCM_RIGHTS, see unix(7)).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct DescriptorKinds: u8 {
        /// Sockets that the policy of the receiver grants.
        const SOCKET = 1;
        /// Everything else, as an opaque handle that can only be passed on or dropped.
        const OPAQUE = 2;
    }
}

/// One descriptor's kind, seen from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DescriptorKind {
    /// A socket.
    Socket,
    /// Any other descriptor: a file, a pipe, a pidfd.
    Opaque,
}

impl From<DescriptorKind> for DescriptorKinds {
    fn from(kind: DescriptorKind) -> DescriptorKinds {
        match kind {
            DescriptorKind::Socket => DescriptorKinds::SOCKET,
            DescriptorKind::Opaque => DescriptorKinds::OPAQUE,
        }
    }
}

impl fmt::Display for DescriptorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DescriptorKind::Socket => "socket",
            DescriptorKind::Opaque => "opaque",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_way_round_a_name() {
        let mut set = AncillarySet::default();
        set.insert(AncillaryKind::Timestamp);
        assert!(set.contains(AncillaryKind::Raw { level: 1, kind: 29 }));
        assert!(!set.contains(AncillaryKind::Raw { level: 1, kind: 2 }));
        assert!(!AncillarySet::everything().contains(AncillaryKind::Raw { level: 1, kind: 1 }));
    }

    #[test]
    fn a_deny_takes_out_of_everything() {
        let mut denied = AncillarySet::default();
        denied.insert(AncillaryKind::Credentials);
        denied.insert(AncillaryKind::Raw { level: 9, kind: 9 });
        let mut set = AncillarySet::everything();
        set.remove(&denied);
        assert!(!set.contains(AncillaryKind::Credentials));
        assert!(!set.contains(AncillaryKind::Raw { level: 9, kind: 9 }));
        assert!(set.contains(AncillaryKind::Timestamp));
        set.insert(AncillaryKind::Credentials);
        assert!(set.contains(AncillaryKind::Credentials));
    }

    #[test]
    fn flags_have_the_names_of_the_policy() {
        assert_eq!(
            MessageFlags::from_policy_name("oob"),
            Some(MessageFlags::OOB)
        );
        assert_eq!(MessageFlags::from_policy_name("OOB"), None);
        assert_eq!(MessageFlags::ALWAYS.policy_names().count(), 7);
    }

    #[test]
    fn a_set_has_what_was_put_in_and_not_taken_out() {
        let (first, other) = (
            AncillaryKind::Raw { level: 9, kind: 1 },
            AncillaryKind::Raw { level: 9, kind: 2 },
        );
        let mut set = AncillarySet::default();
        assert!(set.is_empty() && AncillarySet::NONE.is_empty());
        for kind in [first, other, AncillaryKind::Mark] {
            set.insert(kind);
            set.insert(kind);
            assert!(set.contains(kind) && !set.is_empty(), "{kind}");
        }
        set.insert(AncillaryKind::Rights);
        assert!(!set.contains(AncillaryKind::Rights));
        let mut taken = AncillarySet::default();
        taken.insert(other);
        assert!(!taken.is_empty() && !taken.contains(first));
        // Also what the set does not have.
        taken.insert(AncillaryKind::TxTime);
        set.remove(&taken);
        assert!(set.contains(first) && !set.contains(other));
        assert!(set.contains(AncillaryKind::Mark) && !set.contains(AncillaryKind::TxTime));
        assert!(!AncillarySet::everything().is_empty());
        let mut named = AncillarySet::default();
        named.insert(AncillaryKind::Mark);
        assert!(!named.is_empty());
        let mut everything = AncillarySet::everything();
        everything.remove(&named);
        assert!(!everything.is_empty());
    }

    #[test]
    fn only_lists_are_united() {
        let mut set = AncillarySet::default();
        set.insert(AncillaryKind::Mark);
        let mut more = AncillarySet::default();
        more.insert(AncillaryKind::Mark);
        more.insert(AncillaryKind::HopLimit);
        set.extend(&more);
        assert!(set.contains(AncillaryKind::Mark) && set.contains(AncillaryKind::HopLimit));
        assert!(!set.contains(AncillaryKind::TxTime));
    }

    #[test]
    fn rights_have_a_name_that_no_rule_writes() {
        assert!(AncillaryKind::policy_names().all(|name| name != "rights"));
        assert_eq!(AncillaryKind::policy_names().count(), ANCILLARY.len() - 1);
        assert_eq!(MessageFlags::from_policy_name("Oob"), None);
    }
}
