//! Ancillary data (control messages), cmsg(3): what travels beside a message's bytes.
//!
//! [`Control`] is the encoded form of what goes out. What came in is decoded once, at once, into
//! [`ControlIn`], whose descriptors have an owner from then on. The parsers trust no length: what does
//! not have its type's form is given as it is ([`ControlIn::Raw`]).

mod algorithm;
mod bluetooth;
mod credentials;
mod datagram;
mod error;
mod extension;
mod hop;
mod j1939;
mod packet_info;
mod rights;
mod timestamp;

use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};

use libc::c_int;
use sockgate_policy::{Address, Family};

use super::{Errno, Result};

/// The most bytes of control data that one message takes or gives. Linux's own limit for sending is
/// net.core.optmem_max (128 KiB at most by default).
pub const MAXIMUM_LENGTH: usize = 128 * 1024;

/// Ancillary data to send. Descriptors are borrowed: the kernel makes duplicates for the receiver.
#[derive(Debug)]
pub enum ControlOut<'a> {
    /// SCM_RIGHTS, unix(7): at most 253 descriptors.
    Rights(Vec<BorrowedFd<'a>>),
    /// SCM_CREDENTIALS, unix(7): the kernel refuses what is not this process's own.
    Credentials { pid: i32, uid: u32, gid: u32 },
    /// IP_PKTINFO, ip(7). Interface 0 lets the kernel choose.
    PacketInfoV4 {
        interface_index: u32,
        source: Ipv4Addr,
    },
    /// IPV6_PKTINFO, RFC 3542: the source address and the interface.
    PacketInfoV6 {
        interface_index: u32,
        address: Ipv6Addr,
    },
    /// IP_TTL or IPV6_HOPLIMIT
    HopLimit(u8),
    /// IP_TOS or IPV6_TCLASS
    TrafficClass(u8),
    /// UDP_SEGMENT in bytes, udp(7).
    SegmentSize(u16),
    /// SCM_TXTIME in nanoseconds of the clock that SO_TXTIME named.
    TxTime(u64),
    /// ALG_SET_OP, Documentation/crypto/userspace-if.rst: ALG_OP_DECRYPT (0), ALG_OP_ENCRYPT (1) ...
    AlgOperation(u32),
    /// ALG_SET_IV
    AlgIv(&'a [u8]),
    /// ALG_SET_AEAD_ASSOCLEN: so many of the first bytes are authenticated only.
    AlgAssociatedLength(u32),
    /// Any other, by Linux's numbers. Never SCM_RIGHTS: numbers from outside are not this host's
    /// descriptors.
    Raw {
        level: c_int,
        kind: c_int,
        data: &'a [u8],
    },
}

/// Received ancillary data.
#[derive(Debug)]
pub enum ControlIn {
    /// SCM_RIGHTS, unix(7). Closed when this is dropped.
    Rights(Vec<OwnedFd>),
    /// SCM_CREDENTIALS, unix(7).
    Credentials { pid: i32, uid: u32, gid: u32 },
    /// SCM_PIDFD, unix(7).
    PidFd(OwnedFd),
    /// SCM_SECURITY, unix(7), without a final NUL.
    Security(Vec<u8>),
    /// SCM_TIMESTAMP, SCM_TIMESTAMPNS: since the epoch.
    Timestamp(Timestamp),
    /// SCM_TIMESTAMPING, Documentation/networking/timestamping.rst.
    Timestamping {
        software: Option<Timestamp>,
        hardware: Option<Timestamp>,
    },
    /// IP_PKTINFO, ip(7): interface, local address (ipi_spec_dst), destination in the header (ipi_addr).
    PacketInfoV4 {
        interface_index: u32,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    },
    /// IPV6_PKTINFO, RFC 3542: interface and destination.
    PacketInfoV6 {
        interface_index: u32,
        address: Ipv6Addr,
    },
    /// IP_TTL or IPV6_HOPLIMIT
    HopLimit(u8),
    /// IP_TOS or IPV6_TCLASS
    TrafficClass(u8),
    /// IP_ORIGDSTADDR or IPV6_ORIGDSTADDR
    OriginalDestination(Address),
    /// IP_RECVOPTS or IP_RETOPTS
    IpOptions(Vec<u8>),
    /// IPV6_HOPOPTS, RFC 3542: the whole extension header.
    HopOptions(Vec<u8>),
    /// IPV6_DSTOPTS
    DestinationOptions(Vec<u8>),
    /// IPV6_RTHDR
    RoutingHeader(Vec<u8>),
    /// IPV6_PATHMTU: where it was to go, and what the path takes.
    PathMtu {
        destination: Option<Address>,
        mtu: u32,
    },
    /// IP_RECVFRAGSIZE or IPV6_RECVFRAGSIZE
    FragmentSize(u32),
    /// IP_RECVERR, IPV6_RECVERR, SCM_J1939_ERRQUEUE, SCM_CAN_RAW_ERRQUEUE or PACKET_TX_TIMESTAMP
    ExtendedError(ExtendedError),
    /// SO_RXQ_OVFL: messages dropped since the socket was made.
    DropCount(u32),
    /// UDP_GRO: the size of the datagrams that were joined here.
    SegmentSize(u16),
    /// SO_MARK of the packet (SO_RCVMARK).
    Mark(u32),
    /// PACKET_AUXDATA
    PacketAuxdata(PacketAuxdata),
    /// BT_SCM_PKT_STATUS
    BluetoothPacketStatus(u8),
    /// SCM_J1939_DEST_ADDR
    J1939DestinationAddress(u8),
    /// SCM_J1939_DEST_NAME
    J1939DestinationName(u64),
    /// SCM_J1939_PRIO
    J1939Priority(u8),
    /// Any other, or one whose data does not have the form of its type, by Linux's numbers.
    Raw {
        level: c_int,
        kind: c_int,
        data: Vec<u8>,
    },
}

/// What is told about a frame: `tpacket_auxdata`, packet(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketAuxdata {
    /// TP_STATUS_*
    pub status: u32,
    /// The frame's own length in bytes.
    pub length: u32,
    /// How many bytes of it were captured.
    pub captured: u32,
    /// VLAN tag control information, where the frame was tagged.
    pub vlan_tag: Option<u16>,
    /// The tag's Ethernet protocol.
    pub vlan_protocol: Option<u16>,
}

/// A point in time since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Below 1,000,000,000.
    pub nanoseconds: u32,
}

/// `sock_extended_err` with the offender's address, ip(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// What a call would have answered.
    pub errno: Errno,
    /// SO_EE_ORIGIN_*
    pub origin: u8,
    /// The ICMP type, where the origin is ICMP.
    pub kind: u8,
    /// The ICMP code, likewise.
    pub code: u8,
    /// The discovered MTU for `msgsize`; other meanings by origin.
    pub info: u32,
    /// Meanings by origin.
    pub data: u32,
    /// The node that reported the error.
    pub offender: Option<Address>,
}

/// Encoded control messages, ready for sendmsg(2). It keeps the descriptors in it borrowed.
#[derive(Debug, Default)]
pub struct Control<'a> {
    bytes: Vec<u8>,
    descriptors: PhantomData<BorrowedFd<'a>>,
}

impl<'a> Control<'a> {
    /// Encodes `messages` for a socket of `family`.
    ///
    /// # Errors
    /// `inval` for a kind that the family does not have and for SCM_RIGHTS as raw bytes; `opnotsupp` for
    /// raw messages that hold addresses of this process; `nobufs` for more than [`MAXIMUM_LENGTH`].
    pub fn encode(family: Family, messages: &[ControlOut<'a>]) -> Result<Self> {
        let mut control = Self::default();
        for message in messages {
            control.push_message(family, message)?;
        }
        Ok(control)
    }

    /// How many bytes they are, headers and padding included.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    fn push_message(&mut self, family: Family, message: &ControlOut<'a>) -> Result<()> {
        match message {
            ControlOut::Rights(descriptors) => rights::encode(self, descriptors),
            ControlOut::Credentials { pid, uid, gid } => {
                credentials::encode(self, *pid, *uid, *gid)
            }
            ControlOut::PacketInfoV4 {
                interface_index,
                source,
            } => packet_info::encode_v4(self, *interface_index, *source),
            ControlOut::PacketInfoV6 {
                interface_index,
                address,
            } => packet_info::encode_v6(self, *interface_index, *address),
            ControlOut::HopLimit(limit) => hop::encode_limit(self, family, *limit),
            ControlOut::TrafficClass(class) => hop::encode_class(self, family, *class),
            ControlOut::SegmentSize(size) => datagram::encode_segment_size(self, *size),
            ControlOut::TxTime(time) => timestamp::encode_transmit_time(self, *time),
            ControlOut::AlgOperation(operation) => algorithm::encode_operation(self, *operation),
            ControlOut::AlgIv(iv) => algorithm::encode_iv(self, iv),
            ControlOut::AlgAssociatedLength(length) => {
                algorithm::encode_associated_length(self, *length)
            }
            ControlOut::Raw { level, kind, data } => self.push_raw(*level, *kind, data),
        }
    }

    /// Bytes from outside, under numbers from outside.
    fn push_raw(&mut self, level: c_int, kind: c_int, data: &[u8]) -> Result<()> {
        // RDS describes memory of the sending process in its messages.
        const SOL_RDS: c_int = 276;
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => Err(Errno::INVAL),
            (SOL_RDS, _) => Err(Errno::OPNOTSUPP),
            _ => self.push(level, kind, data),
        }
    }

    /// Appends one message: header, data, and padding to the header's alignment.
    fn push(&mut self, level: c_int, kind: c_int, data: &[u8]) -> Result<()> {
        let length = HEADER + data.len();
        if self.bytes.len() + aligned(length) > MAXIMUM_LENGTH {
            return Err(Errno::NOBUFS);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&level.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(start + aligned(length), 0);
        Ok(())
    }

    /// The encoded messages.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes of the kernel's `cmsghdr`: the length as a word, level and type.
const HEADER: usize = aligned(size_of::<usize>() + 2 * size_of::<c_int>());

/// CMSG_ALIGN
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

/// The control messages in a buffer. It ends where a length makes no sense.
struct Messages<'b>(&'b [u8]);

impl<'b> Iterator for Messages<'b> {
    /// Level, type, data.
    type Item = (c_int, c_int, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        let data = self.0.get(HEADER..length)?;
        let next = length
            .next_multiple_of(size_of::<usize>())
            .min(self.0.len());
        self.0 = &self.0[next..];
        Some((
            c_int::from_ne_bytes(*level),
            c_int::from_ne_bytes(*kind),
            data,
        ))
    }
}

impl ControlIn {
    /// Decodes what one receive on a socket of `family` stored.
    ///
    /// # Safety
    /// `bytes` are the control data of one successful receive of this process, decoded for the first
    /// time: descriptors in it are new, and nobody owns them.
    pub(super) unsafe fn decode_all(family: Family, bytes: &[u8]) -> Vec<Self> {
        Messages(bytes)
            // SAFETY: the caller vouches for the bytes, and each message is looked at once.
            .map(|(level, kind, data)| unsafe { Self::decode(family, level, kind, data) })
            .collect()
    }

    /// Decodes one message.
    ///
    /// # Safety
    /// As for [`Self::decode_all`].
    unsafe fn decode(family: Family, level: c_int, kind: c_int, data: &[u8]) -> Self {
        let known = match (level, kind) {
            // SAFETY: the caller vouches for the descriptors.
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => Some(unsafe { rights::decode(data) }),
            // SAFETY: likewise.
            (libc::SOL_SOCKET, rights::SCM_PIDFD) => unsafe { rights::decode_pidfd(data) },
            // SOL_HCI has the number of IPPROTO_IP.
            (libc::IPPROTO_IP, _) if family == Family::Bluetooth => None,
            _ => Self::decode_plain(level, kind, data),
        };
        known.unwrap_or_else(|| Self::Raw {
            level,
            kind,
            data: data.to_vec(),
        })
    }

    /// Decodes one message that holds no descriptors. None for what has no case or not its form.
    fn decode_plain(level: c_int, kind: c_int, data: &[u8]) -> Option<Self> {
        use super::option::{SOL_UDP, UDP_GRO};
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => credentials::decode(data),
            (libc::SOL_SOCKET, credentials::SCM_SECURITY) => Some(credentials::decode_label(data)),
            (libc::SOL_SOCKET, timestamp::SCM_TIMESTAMP | timestamp::SCM_TIMESTAMP_NEW) => {
                timestamp::decode_microseconds(data)
            }
            (libc::SOL_SOCKET, timestamp::SCM_TIMESTAMPNS | timestamp::SCM_TIMESTAMPNS_NEW) => {
                timestamp::decode_nanoseconds(data)
            }
            (libc::SOL_SOCKET, timestamp::SCM_TIMESTAMPING | timestamp::SCM_TIMESTAMPING_NEW) => {
                timestamp::decode_triple(data)
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => datagram::decode_drop_count(data),
            (libc::SOL_SOCKET, libc::SO_MARK) => datagram::decode_mark(data),
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => packet_info::decode_v4(data),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => packet_info::decode_v6(data),
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                hop::decode_limit(data)
            }
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                hop::decode_class(data)
            }
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR)
            | (libc::IPPROTO_IPV6, datagram::IPV6_ORIGDSTADDR) => {
                datagram::decode_original_destination(data)
            }
            (libc::IPPROTO_IP, datagram::IP_RECVOPTS | datagram::IP_RETOPTS) => {
                Some(Self::IpOptions(data.to_vec()))
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                error::decode(data)
            }
            (libc::IPPROTO_IP, extension::IP_RECVFRAGSIZE)
            | (libc::IPPROTO_IPV6, extension::IPV6_RECVFRAGSIZE) => {
                extension::decode_fragment_size(data)
            }
            (libc::IPPROTO_IPV6, kind) => extension::decode(kind, data),
            (datagram::SOL_PACKET, datagram::PACKET_AUXDATA) => datagram::decode_auxdata(data),
            (datagram::SOL_PACKET, datagram::PACKET_TX_TIMESTAMP)
            | (error::SOL_CAN_RAW, error::SCM_CAN_RAW_ERRQUEUE) => error::decode(data),
            (bluetooth::SOL_BLUETOOTH, kind) => bluetooth::decode(kind, data),
            (SOL_UDP, UDP_GRO) => datagram::decode_segment_size(data),
            (j1939::SOL_CAN_J1939, kind) => j1939::decode(kind, data),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
