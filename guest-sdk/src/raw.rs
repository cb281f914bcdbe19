//! Raw IP sockets and ping: raw(7), icmp(7), RFC 792, RFC 4443.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::address::{SocketAddress, std_address};
use crate::consts::{ICMP_FILTER, ICMPV6_FILTER, IP_HDRINCL, SOL_ICMPV6, SOL_IP, SOL_RAW};
use crate::error::Errno;
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};
use crate::wire::{malformed, unfit};

/// The Internet checksum of these bytes, RFC 1071: 0 over a message that holds its own checksum.
///
/// ```
/// assert_eq!(sockgate_guest::raw::checksum(&[0x08, 0, 0xf7, 0xff]), 0);
/// ```
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(high) << 8,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An ICMP echo message of either IP version: ping's question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IcmpEcho {
    /// Whether it is ICMPv6.
    pub v6: bool,
    /// Whether it is the answer.
    pub reply: bool,
    /// Whose question it is; a [`Ping`] socket's kernel fills it in.
    pub identifier: u16,
    /// Which one.
    pub sequence: u16,
    /// What comes back unchanged.
    pub payload: Vec<u8>,
}

impl IcmpEcho {
    /// Type numbers of question and answer.
    fn types(v6: bool) -> (u8, u8) {
        if v6 { (128, 129) } else { (8, 0) }
    }

    /// The message. ICMPv6 has its checksum from the kernel (RFC 3542), since it covers the addresses.
    pub fn encode(&self) -> Vec<u8> {
        let (request, reply) = Self::types(self.v6);
        let mut bytes = vec![if self.reply { reply } else { request }, 0, 0, 0];
        bytes.extend(self.identifier.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(&self.payload);
        if !self.v6 {
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// The echo message in these bytes, which begin with the ICMP header; none where it is none.
    pub fn decode(bytes: &[u8], v6: bool) -> Option<Self> {
        let (head, payload) = bytes.split_first_chunk::<8>()?;
        let (request, reply) = Self::types(v6);
        let [kind, 0, _, _, a, b, c, d] = *head else {
            return None;
        };
        if kind != request && kind != reply || !v6 && checksum(bytes) != 0 {
            return None;
        }
        Some(Self {
            v6,
            reply: kind == reply,
            identifier: u16::from_be_bytes([a, b]),
            sequence: u16::from_be_bytes([c, d]),
            payload: payload.to_vec(),
        })
    }
}

/// Which ICMP types a raw socket hears; all at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpFilter {
    /// A bit that is set keeps its type out, as the kernel has it.
    blocked: [u32; 8],
}

impl IcmpFilter {
    /// Every type.
    pub fn all() -> Self {
        Self { blocked: [0; 8] }
    }

    /// No type.
    pub fn none() -> Self {
        Self {
            blocked: [u32::MAX; 8],
        }
    }

    /// This type as well.
    pub fn pass(mut self, kind: u8) -> Self {
        self.blocked[usize::from(kind >> 5)] &= !(1 << (kind & 31));
        self
    }

    /// Not this type.
    pub fn block(mut self, kind: u8) -> Self {
        self.blocked[usize::from(kind >> 5)] |= 1 << (kind & 31);
        self
    }

    /// Whether this type is heard.
    pub fn passes(&self, kind: u8) -> bool {
        self.blocked[usize::from(kind >> 5)] & 1 << (kind & 31) == 0
    }
}

/// A raw IP socket.
///
/// ```no_run
/// use sockgate_guest::Protocol;
/// use sockgate_guest::raw::{IcmpFilter, RawSocket};
///
/// let socket = RawSocket::v4(Protocol::Icmp)?;
/// socket.set_icmp_filter(&IcmpFilter::none().pass(0))?;
/// let mut packet = [0; 1500];
/// let (length, from) = socket.recv_from(&mut packet)?;
/// println!("{from}: {:x?}", &packet[..length]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RawSocket {
    socket: Socket,
}

data_socket! { RawSocket }

impl RawSocket {
    /// IPv4 packets of this protocol ([`Protocol::Other`] for those without a name). What is received
    /// begins with the IP header. Policy: `receive` and `send-to` with `protocol`, `icmp-type`.
    ///
    /// socket(2), raw(7). Errors: `EACCES`, `EPERM` where the host lacks cap_net_raw.
    pub fn v4(protocol: Protocol) -> io::Result<Self> {
        Ok(Socket::new(Family::Inet, SocketType::Raw, protocol)?.into())
    }

    /// IPv6 packets of this protocol. What is received begins behind the IP header.
    ///
    /// socket(2), raw(7). Policy: a rule with `type = ["raw"]` and `protocol`. Errors: `EACCES`, `EPERM`
    /// where the host lacks cap_net_raw.
    pub fn v6(protocol: Protocol) -> io::Result<Self> {
        Ok(Socket::new(Family::Inet6, SocketType::Raw, protocol)?.into())
    }

    /// Hears only what comes to this address.
    ///
    /// bind(2). Policy: `bind`, or `receive` with that local address. Errors: `EACCES`, `EADDRNOTAVAIL`.
    pub fn bind(&self, address: IpAddr) -> io::Result<()> {
        self.socket.bind((address, 0))
    }

    /// Sets the one peer.
    ///
    /// connect(2). Policy: `connect`. Errors: `EACCES`, `ENETUNREACH`.
    pub fn connect(&self, address: IpAddr) -> io::Result<()> {
        self.socket.connect((address, 0))
    }

    /// Sends to the peer.
    ///
    /// send(2). Policy: part of `connect`. Errors: `EDESTADDRREQ` without a peer, `EMSGSIZE`.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    /// Sends to this address: what follows the IP header, or with [`set_header_included`](
    /// Self::set_header_included) the whole packet.
    ///
    /// sendto(2). Policy: `send-to` with the address, `protocol` and `icmp-type`. Errors: `EACCES`,
    /// `EMSGSIZE`, `ENETUNREACH`.
    pub fn send_to(&self, data: &[u8], to: IpAddr) -> io::Result<usize> {
        self.socket.send_to(data, (to, 0))
    }

    /// Receives from the peer.
    ///
    /// recv(2). Policy: part of `connect`. Errors: `ETIMEDOUT`, `ECONNREFUSED` after an ICMP error.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Receives a packet: how many bytes, and from whom.
    ///
    /// recvfrom(2). Policy: `receive` with the sender. Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let (length, source) = self.socket.recv_from(buffer)?;
        Ok((length, sender(source)?.ip()))
    }

    /// ICMP_FILTER: which types an IPv4 ICMP socket hears; types above 31 are always heard.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EOPNOTSUPP` on other protocols.
    pub fn set_icmp_filter(&self, filter: &IcmpFilter) -> io::Result<()> {
        let value = filter.blocked[0].to_le_bytes();
        self.socket.set_raw_option(SOL_RAW, ICMP_FILTER, &value)
    }

    /// ICMP6_FILTER: which types an ICMPv6 socket hears.
    ///
    /// ICMPV6_FILTER, setsockopt(2). Policy: `options.set`. Errors: `EOPNOTSUPP` on other protocols.
    pub fn set_icmpv6_filter(&self, filter: &IcmpFilter) -> io::Result<()> {
        let words = filter.blocked.iter();
        let value: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        self.socket
            .set_raw_option(SOL_ICMPV6, ICMPV6_FILTER, &value)
    }

    /// IP_HDRINCL: whether what is sent begins with its IP header. Policy: `header-include`.
    ///
    /// Errors: `EACCES`.
    pub fn set_header_included(&self, on: bool) -> io::Result<()> {
        self.socket.set_number(SOL_IP, IP_HDRINCL, on.into())
    }
}

/// Who sent a packet.
fn sender(source: Option<SocketAddress>) -> io::Result<SocketAddr> {
    let source = source.ok_or_else(|| malformed("a packet without a sender"))?;
    std_address(&source)
}

/// A ping socket: ICMP echo without any privilege (net.ipv4.ping_group_range), icmp(7).
///
/// ```no_run
/// use std::time::Duration;
/// use sockgate_guest::raw::Ping;
///
/// let ping = Ping::v4()?;
/// println!("{:?}", ping.ping("127.0.0.1".parse().unwrap(), Duration::from_secs(1))?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Ping {
    socket: Socket,
    v6: bool,
}

impl AsRef<Socket> for Ping {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

/// How many bytes ping(8) sends.
const PAYLOAD: usize = 56;

impl Ping {
    /// Pings IPv4 hosts. Policy: `send-to` with the host, `receive`, `protocol = ["icmp"]`.
    ///
    /// socket(2), icmp(7). Errors: `EACCES`, also from kernels whose net.ipv4.ping_group_range leaves the
    /// host out.
    pub fn v4() -> io::Result<Self> {
        let socket = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Icmp)?;
        Ok(Self { socket, v6: false })
    }

    /// Pings IPv6 hosts.
    ///
    /// socket(2), icmp(7). Policy: `send-to` with the host, `receive`, `protocol = ["icmpv6"]`. Errors:
    /// `EACCES`.
    pub fn v6() -> io::Result<Self> {
        let socket = Socket::new(Family::Inet6, SocketType::Datagram, Protocol::Ipv6Icmp)?;
        Ok(Self { socket, v6: true })
    }

    /// Sends a question.
    ///
    /// sendto(2). Policy: `send-to` with the host. Errors: `EACCES`, `ENETUNREACH`.
    pub fn send_to(&self, to: IpAddr, sequence: u16, payload: &[u8]) -> io::Result<()> {
        let echo = IcmpEcho {
            v6: self.v6,
            reply: false,
            identifier: 0,
            sequence,
            payload: payload.to_vec(),
        };
        self.socket.send_to(&echo.encode(), (to, 0))?;
        Ok(())
    }

    /// Receives an answer to this socket's questions, and who gave it.
    ///
    /// recvfrom(2). Policy: `receive` with the host. Errors: `ETIMEDOUT`, `EHOSTUNREACH` after an ICMP
    /// error.
    pub fn recv_from(&self) -> io::Result<(IcmpEcho, IpAddr)> {
        let mut buffer = [0; 2048];
        let (length, source) = self.socket.recv_from(&mut buffer)?;
        let echo = buffer
            .get(..length)
            .and_then(|bytes| IcmpEcho::decode(bytes, self.v6));
        let echo = echo.ok_or_else(|| malformed("no ICMP echo"))?;
        Ok((echo, sender(source)?.ip()))
    }

    /// Asks once and waits for the answer: how long that took. [`Errno::TIMEDOUT`] where none comes in
    /// time. The socket keeps what is left of the time-out.
    ///
    /// sendto(2), recvfrom(2). Policy: `send-to` and `receive` with the host.
    pub fn ping(&self, to: IpAddr, timeout: Duration) -> io::Result<Duration> {
        if to.is_ipv6() != self.v6 {
            return Err(unfit(format!(
                "{to} is not of this ping socket's IP version"
            )));
        }
        let start = Instant::now();
        // A late answer to an earlier question has another number.
        let sequence = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.send_to(to, sequence, &[0; PAYLOAD])?;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT.into());
            }
            self.socket.set_read_timeout(left);
            let (echo, from) = self.recv_from()?;
            if echo.reply && echo.sequence == sequence && from == to {
                return Ok(start.elapsed());
            }
        }
    }

    /// The [`Socket`] in it.
    pub fn into_socket(self) -> Socket {
        self.socket
    }
}

/// The number of the next question that [`Ping::ping`] asks.
static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn echoes_survive_their_encoding(
            (v6, reply) in any::<(bool, bool)>(),
            (identifier, sequence) in any::<(u16, u16)>(),
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let echo = IcmpEcho { v6, reply, identifier, sequence, payload };
            prop_assert_eq!(IcmpEcho::decode(&echo.encode(), v6), Some(echo));
        }

        #[test]
        fn whatever_decodes_is_an_echo(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), v6: bool
        ) {
            if let Some(echo) = IcmpEcho::decode(&bytes, v6) {
                prop_assert_eq!(IcmpEcho::decode(&echo.encode(), v6), Some(echo));
            }
        }

        #[test]
        fn a_filter_passes_what_it_was_told(kinds in proptest::collection::vec(any::<u8>(), 0..20)) {
            let filter = kinds.iter().fold(IcmpFilter::none(), |filter, kind| filter.pass(*kind));
            for kind in 0..=255 {
                prop_assert_eq!(filter.passes(kind), kinds.contains(&kind));
                prop_assert!(!filter.block(kind).passes(kind));
            }
        }
    }

    #[test]
    fn checksums_are_those_of_rfc_1071() {
        assert_eq!(checksum(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[1]), !0x0100);
        assert_eq!(checksum(&[]), 0xffff);
        let mut damaged = IcmpEcho {
            v6: false,
            reply: false,
            identifier: 1,
            sequence: 2,
            payload: vec![3],
        }
        .encode();
        damaged[8] ^= 1;
        assert_eq!(IcmpEcho::decode(&damaged, false), None);
    }
}
