//! Ancillary data to send, except for descriptors: what of it no grant covers.

use std::net::IpAddr;

use sockgate_policy::AncillaryKind;

use crate::socket::Errno;
use crate::socket::sys::cmsg::ControlOut;
use crate::socket::sys::host::own_credentials;

/// Ancillary data without descriptors.
pub(crate) enum PlainOut {
    Credentials {
        pid: i32,
        uid: u32,
        gid: u32,
    },
    PacketInfoV4 {
        interface_index: u32,
        source: std::net::Ipv4Addr,
    },
    PacketInfoV6 {
        interface_index: u32,
        address: std::net::Ipv6Addr,
    },
    HopLimit(u8),
    TrafficClass(u8),
    SegmentSize(u16),
    TxTime(u64),
    AlgOperation(u32),
    AlgIv(Vec<u8>),
    AlgAssociatedLength(u32),
    Raw {
        level: i32,
        kind: i32,
        data: Vec<u8>,
    },
}

impl PlainOut {
    pub(super) fn kind(&self) -> AncillaryKind {
        match self {
            PlainOut::Credentials { .. } => AncillaryKind::Credentials,
            PlainOut::PacketInfoV4 { .. } | PlainOut::PacketInfoV6 { .. } => {
                AncillaryKind::PacketInfo
            }
            PlainOut::HopLimit(_) => AncillaryKind::HopLimit,
            PlainOut::TrafficClass(_) => AncillaryKind::TrafficClass,
            PlainOut::SegmentSize(_) => AncillaryKind::SegmentSize,
            PlainOut::TxTime(_) => AncillaryKind::TxTime,
            PlainOut::AlgOperation(_) | PlainOut::AlgIv(_) | PlainOut::AlgAssociatedLength(_) => {
                AncillaryKind::Algorithm
            }
            PlainOut::Raw { level, kind, .. } => AncillaryKind::Raw {
                level: *level,
                kind: *kind,
            }
            .canonical(),
        }
    }

    /// A privileged host could claim to be anybody by SCM_CREDENTIALS; a guest may claim to be its host
    /// and nobody else, by name or by number. Process 0 is the host's own, as it is in what comes in.
    pub(super) fn claims_the_host(&self) -> Result<bool, Errno> {
        let claimed = match self {
            PlainOut::Credentials { .. } => self.credentials(),
            PlainOut::Raw { .. } if self.kind() == AncillaryKind::Credentials => {
                Some(self.credentials().ok_or(Errno::INVAL)?)
            }
            _ => None,
        };
        let own = own_credentials();
        Ok(claimed.is_none_or(|claimed| claimed == own || claimed == (0, own.1, own.2)))
    }

    /// Process, user and group of credentials, by name or by number.
    fn credentials(&self) -> Option<(i32, u32, u32)> {
        match self {
            PlainOut::Credentials { pid, uid, gid } => Some((*pid, *uid, *gid)),
            PlainOut::Raw { data, .. } if self.kind() == AncillaryKind::Credentials => {
                // struct ucred, unix(7)
                let number = |at| {
                    let bytes = data.get(at..at + 4)?.try_into().ok()?;
                    Some(u32::from_ne_bytes(bytes))
                };
                Some((number(0)?.cast_signed(), number(4)?, number(8)?))
            }
            _ => None,
        }
    }

    /// RDS's control messages are all about memory that others may write to, linux/rds.h; the kernel would
    /// take the guest's addresses for the host's.
    pub(super) fn names_host_memory(&self) -> bool {
        const SOL_RDS: i32 = 276;
        matches!(self, PlainOut::Raw { level: SOL_RDS, .. })
    }

    /// Whether it would send elsewhere than to the address that was judged: by way of other nodes (a source
    /// route, a routing header), to every association of a socket (SCTP_SENDALL), or to one by its number,
    /// sctp(7). `inval` for a structure that is too short.
    pub(super) fn strays(&self) -> Result<bool, Errno> {
        const IP: i32 = 0;
        const IPV6: i32 = 41;
        const RETOPTS: i32 = 7;
        const RTHDR: i32 = 57;
        const RTHDR_2292: i32 = 5;
        match self {
            PlainOut::Raw {
                level: IP,
                kind: RETOPTS,
                data,
            } => return Ok(has_source_route(data)),
            PlainOut::Raw {
                level: IPV6,
                kind: RTHDR | RTHDR_2292,
                ..
            } => return Ok(true),
            _ => {}
        }
        self.strays_in_sctp()
    }

    fn strays_in_sctp(&self) -> Result<bool, Errno> {
        const SCTP: i32 = 132;
        const SNDRCV: i32 = 1;
        const SNDINFO: i32 = 2;
        const SENDALL: u16 = 1 << 6;
        // struct sctp_sndrcvinfo, struct sctp_sndinfo: where the flags and the association stand.
        let (flags, association) = match self {
            PlainOut::Raw {
                level: SCTP, kind, ..
            } => match *kind {
                SNDRCV => (4, 28),
                SNDINFO => (2, 12),
                // SCTP_INIT, SCTP_PRINFO, SCTP_AUTHINFO; SCTP_DSTADDRV4 and its kin name more addresses.
                0 | 5 | 6 => return Ok(false),
                _ => return Ok(true),
            },
            _ => return Ok(false),
        };
        let PlainOut::Raw { data, .. } = self else {
            return Ok(false);
        };
        let flags = data.get(flags..flags + 2).ok_or(Errno::INVAL)?;
        let association = data.get(association..association + 4).ok_or(Errno::INVAL)?;
        let all = flags
            .try_into()
            .is_ok_and(|flags| u16::from_ne_bytes(flags) & SENDALL != 0);
        Ok(all || association.iter().any(|byte| *byte != 0))
    }

    /// The source address that the message is to bear, if this names one: IP_PKTINFO and IPV6_PKTINFO, by
    /// name or by number. `inval` for a structure that is too short.
    pub(super) fn source(&self) -> Result<Option<IpAddr>, Errno> {
        let named: IpAddr = match self {
            PlainOut::PacketInfoV4 { source, .. } => (*source).into(),
            PlainOut::PacketInfoV6 { address, .. } => (*address).into(),
            PlainOut::Raw { level, data, .. } if self.kind() == AncillaryKind::PacketInfo => {
                if *level == 0 {
                    // struct in_pktinfo, ip(7): the interface's index, then ipi_spec_dst.
                    let octets = data.get(4..8).and_then(|octets| octets.try_into().ok());
                    <[u8; 4]>::into(octets.ok_or(Errno::INVAL)?)
                } else {
                    // struct in6_pktinfo, ipv6(7): the address comes first.
                    let octets = data.get(..16).and_then(|octets| octets.try_into().ok());
                    <[u8; 16]>::into(octets.ok_or(Errno::INVAL)?)
                }
            }
            _ => return Ok(None),
        };
        Ok((!named.is_unspecified()).then_some(named))
    }

    pub(super) fn control(&self) -> ControlOut<'_> {
        if let Some((pid, uid, gid)) = self.credentials() {
            let pid = if pid == 0 { own_credentials().0 } else { pid };
            return ControlOut::Credentials { pid, uid, gid };
        }
        match *self {
            PlainOut::Credentials { pid, uid, gid } => ControlOut::Credentials { pid, uid, gid },
            PlainOut::PacketInfoV4 {
                interface_index,
                source,
            } => ControlOut::PacketInfoV4 {
                interface_index,
                source,
            },
            PlainOut::PacketInfoV6 {
                interface_index,
                address,
            } => ControlOut::PacketInfoV6 {
                interface_index,
                address,
            },
            PlainOut::HopLimit(limit) => ControlOut::HopLimit(limit),
            PlainOut::TrafficClass(class) => ControlOut::TrafficClass(class),
            PlainOut::SegmentSize(size) => ControlOut::SegmentSize(size),
            PlainOut::TxTime(time) => ControlOut::TxTime(time),
            PlainOut::AlgOperation(operation) => ControlOut::AlgOperation(operation),
            PlainOut::AlgIv(ref iv) => ControlOut::AlgIv(iv),
            PlainOut::AlgAssociatedLength(length) => ControlOut::AlgAssociatedLength(length),
            PlainOut::Raw {
                level,
                kind,
                ref data,
            } => ControlOut::Raw { level, kind, data },
        }
    }
}

/// Whether the options of an IPv4 header have a loose or a strict source route in them, RFC 791.
fn has_source_route(mut options: &[u8]) -> bool {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    loop {
        options = match options {
            [] | [END, ..] => return false,
            [LOOSE | STRICT, ..] => return true,
            [NOTHING, rest @ ..] => rest,
            // The kernel takes no option that is shorter than its own head, or longer than the rest.
            [_, length, ..] => match options.get(usize::from(*length).max(2)..) {
                Some(rest) => rest,
                None => return false,
            },
            [_] => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(level: i32, kind: i32, data: &[u8]) -> PlainOut {
        PlainOut::Raw {
            level,
            kind,
            data: data.to_vec(),
        }
    }

    #[test]
    fn a_message_goes_no_way_of_its_own() {
        for (kind, strays) in [(131, true), (137, true), (68, false)] {
            let route = [1, kind, 7, 4, 10, 0, 0, 1];
            assert_eq!(raw(0, 7, &route).strays(), Ok(strays), "option {kind}");
        }
        // Behind another option, and behind the end of all.
        assert_eq!(raw(0, 7, &[68, 4, 5, 0, 131, 3, 4]).strays(), Ok(true));
        assert_eq!(raw(0, 7, &[0, 131, 3, 4]).strays(), Ok(false));
        // Lengths that lie end it, or go on at the next byte.
        for lie in [&[68][..], &[68, 0, 131], &[68, 200, 1], &[]] {
            let found = raw(0, 7, lie).strays();
            assert_eq!(found, Ok(lie.contains(&131)), "{lie:?}");
        }
        assert_eq!(raw(41, 57, &[0; 8]).strays(), Ok(true));
        assert_eq!(raw(41, 5, &[0; 8]).strays(), Ok(true));
        assert_eq!(raw(41, 59, &[0; 8]).strays(), Ok(false));
    }
}
