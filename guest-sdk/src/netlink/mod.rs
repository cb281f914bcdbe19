//! Netlink: asking the kernel, and hearing from it; netlink(7).
//!
//! [`NetlinkSocket`] sends requests and collects answers; [`route`] knows links, addresses and routes,
//! [`generic`] the families of generic netlink, [`diag`] the host's sockets, [`uevent`] its devices. A
//! policy names protocols, messages and groups.

pub mod diag;
pub mod generic;
mod message;
pub mod route;
pub mod uevent;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

pub use crate::address::NetlinkAddress;
pub use message::{Attribute, AttributeList, Attributes, NetlinkMessage, NetlinkRequest};

use crate::consts::{
    NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK,
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE,
    NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, SOL_NETLINK,
};
use crate::error::Errno;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};
use crate::wire::{Fields, malformed};

/// The kernel sends at most 32 KiB at once (NLMSG_GOODSIZE and dumps); twice that is room for all.
const ROOM: usize = 64 * 1024;
/// NLMSGERR_ATTR_MSG
const ERROR_TEXT: u16 = 1;
/// NLMSGERR_ATTR_OFFS
const ERROR_OFFSET: u16 = 2;

/// What the kernel says of a request that it refused. [`Errno::of`] finds its number in an
/// [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetlinkError {
    /// Why.
    pub errno: Errno,
    /// Why, in the kernel's own words ([`NetlinkSocket::set_extended_ack`]).
    pub text: Option<String>,
    /// Which byte of the request is meant.
    pub offset: Option<u32>,
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errno.fmt(f)?;
        match &self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NetlinkError {}

impl From<NetlinkError> for io::Error {
    fn from(error: NetlinkError) -> Self {
        io::Error::new(error.errno.kind(), error)
    }
}

impl NetlinkError {
    /// The error in an NLMSG_ERROR or NLMSG_DONE message; none where it says that all went well.
    ///
    /// Pure: no grant.
    pub fn decode(message: &NetlinkMessage) -> io::Result<Option<Self>> {
        let mut fields = Fields::new(&message.payload);
        let number = match fields.u32() {
            Some(number) => number as i32,
            // Some families end a dump without a number.
            None if message.kind == NLMSG_DONE => 0,
            None => return Err(malformed("a netlink error without a number")),
        };
        if number == 0 {
            return Ok(None);
        }
        let mut error = Self {
            errno: Errno::from_linux(number.saturating_neg()),
            text: None,
            offset: None,
        };
        if message.flags & NLM_F_ACK_TLVS != 0 {
            for attribute in message.attributes(details_offset(message)) {
                let attribute = attribute?;
                match attribute.kind {
                    ERROR_TEXT => error.text = Some(attribute.text()),
                    ERROR_OFFSET => error.offset = Some(attribute.u32()?),
                    _ => {}
                }
            }
        }
        Ok(Some(error))
    }
}

/// Where the details of an error begin: behind the request that it repeats, of which the header alone is
/// there where it is capped.
fn details_offset(message: &NetlinkMessage) -> usize {
    if message.kind == NLMSG_DONE {
        return 4;
    }
    let repeated = Fields::new(message.payload.get(4..).unwrap_or_default()).u32();
    match repeated {
        Some(length) if message.flags & NLM_F_CAPPED == 0 => 4usize.saturating_add(length as usize),
        _ => 20,
    }
}

/// A netlink socket.
///
/// ```no_run
/// use sockgate_guest::Protocol;
/// use sockgate_guest::netlink::{NetlinkSocket, route};
///
/// let socket = NetlinkSocket::open(Protocol::NetlinkRoute)?;
/// for link in route::links(&socket)? {
///     println!("{}: {}", link.index, link.name);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct NetlinkSocket {
    socket: Socket,
    sequence: AtomicU32,
}

impl AsRef<Socket> for NetlinkSocket {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

impl NetlinkSocket {
    /// A socket of this protocol, with a port that the kernel chooses. Policy: `bind`, `send-to` and
    /// `receive` with the protocol and the messages.
    ///
    /// socket(2), bind(2). Errors: `EACCES`, `EPROTONOSUPPORT` where the kernel has no such subsystem.
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        Self::bind(protocol, NetlinkAddress::auto())
    }

    /// A socket of this protocol at this address: with a port of one's own, or in groups.
    ///
    /// socket(2), bind(2). Policy: `bind` with `protocol` and `groups`. Errors: `EACCES`, `EADDRINUSE`
    /// where the port is taken, `EPERM` for a group that needs privilege.
    pub fn bind(protocol: Protocol, address: NetlinkAddress) -> io::Result<Self> {
        let socket = Socket::new(Family::Netlink, SocketType::Raw, protocol)?;
        socket.bind(address)?;
        Ok(Self {
            socket,
            sequence: AtomicU32::new(1),
        })
    }

    /// Joins a multicast group, by number. Policy: the group.
    ///
    /// NETLINK_ADD_MEMBERSHIP, setsockopt(2). Errors: `EACCES`, `EINVAL` for a group that is none.
    pub fn join(&self, group: u32) -> io::Result<()> {
        self.set(NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Leaves a multicast group.
    ///
    /// NETLINK_DROP_MEMBERSHIP, setsockopt(2). Policy: as [`join`](Self::join). Errors: the same.
    pub fn leave(&self, group: u32) -> io::Result<()> {
        self.set(NETLINK_DROP_MEMBERSHIP, group)
    }

    /// NETLINK_EXT_ACK: whether errors say more than a number; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`.
    pub fn set_extended_ack(&self, on: bool) -> io::Result<()> {
        self.set(NETLINK_EXT_ACK, on.into())
    }

    /// NETLINK_GET_STRICT_CHK: whether dumps are filtered by what the request holds; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_strict_check(&self, on: bool) -> io::Result<()> {
        self.set(NETLINK_GET_STRICT_CHK, on.into())
    }

    fn set(&self, option: i32, value: u32) -> io::Result<()> {
        self.socket.set_number(SOL_NETLINK, option, value as i32)
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<NetlinkAddress> {
        self.socket.local_address()?.try_into()
    }

    /// Sends a request with an acknowledgement wanted, and collects what answers it. A refusal is a
    /// [`NetlinkError`]. What groups bring meanwhile is lost: listen to them on a socket of its own.
    ///
    /// sendto(2), recvmsg(2). Policy: the message's kind (`messages`); its answers come with it.
    pub fn request(&self, request: &NetlinkRequest) -> io::Result<Vec<NetlinkMessage>> {
        self.exchange(request, NLM_F_ACK)
    }

    /// Sends a request for everything there is of its kind, and collects it.
    /// [`Interrupted`](io::ErrorKind::Interrupted) where it changed meanwhile: ask again.
    ///
    /// sendto(2) with NLM_F_DUMP, recvmsg(2). Policy: the message's kind (`messages`; `dump-only` is
    /// enough).
    pub fn dump(&self, request: &NetlinkRequest) -> io::Result<Vec<NetlinkMessage>> {
        self.exchange(request, NLM_F_DUMP)
    }

    fn exchange(&self, request: &NetlinkRequest, flags: u16) -> io::Result<Vec<NetlinkMessage>> {
        let sequence = self.sequence.fetch_add(1, Relaxed);
        self.send(&request.message(flags, sequence)?)?;
        let mut answer = Answer::default();
        loop {
            for message in self.recv()? {
                if message.sequence == sequence && answer.take(message)? {
                    return answer.finish();
                }
            }
        }
    }

    /// Sends a message to the kernel as it is.
    ///
    /// sendto(2). Policy: the message's kind (`messages`). Errors: `EACCES`, `EPERM` where the kernel wants
    /// privilege.
    pub fn send(&self, message: &NetlinkMessage) -> io::Result<()> {
        self.socket
            .send_to(&message.encode()?, NetlinkAddress::KERNEL)?;
        Ok(())
    }

    /// Receives the messages that come next: answers, and what the groups bring.
    /// [`Errno::NOBUFS`] where some were lost.
    ///
    /// recvmsg(2). Policy: `receive`; answers come with their request.
    pub fn recv(&self) -> io::Result<Vec<NetlinkMessage>> {
        NetlinkMessage::decode_all(&self.recv_bytes()?)
    }

    /// Receives what comes next as it is.
    ///
    /// recvmsg(2). Policy: as [`recv`](Self::recv). Errors: the same.
    pub fn recv_bytes(&self) -> io::Result<Vec<u8>> {
        let message = self.socket.recv_msg(ROOM, 0, MessageFlags::empty())?;
        if message.is_truncated() {
            let length = message.true_length;
            return Err(malformed(&format!(
                "{length} bytes of netlink at once, which were cut"
            )));
        }
        Ok(message.data)
    }

    /// The [`Socket`] in it.
    pub fn into_socket(self) -> Socket {
        self.socket
    }
}

/// The answer to one request, as it comes.
#[derive(Debug, Default)]
struct Answer {
    messages: Vec<NetlinkMessage>,
    changed: bool,
}

impl Answer {
    /// Takes a message; whether it was the last one.
    fn take(&mut self, message: NetlinkMessage) -> io::Result<bool> {
        self.changed |= message.flags & NLM_F_DUMP_INTR != 0;
        match message.kind {
            NLMSG_NOOP => Ok(false),
            NLMSG_OVERRUN => Err(Errno::NOBUFS.into()),
            NLMSG_ERROR | NLMSG_DONE => match NetlinkError::decode(&message)? {
                Some(error) => Err(error.into()),
                // An acknowledgement within a dump is not its end.
                None => Ok(message.kind == NLMSG_DONE || message.flags & NLM_F_MULTI == 0),
            },
            _ => {
                self.messages.push(message);
                Ok(false)
            }
        }
    }

    fn finish(self) -> io::Result<Vec<NetlinkMessage>> {
        if self.changed {
            let text = "what was dumped changed meanwhile: ask again";
            return Err(io::Error::new(io::ErrorKind::Interrupted, text));
        }
        Ok(self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_payloads_are_read_or_refused(
            done: bool, flags: u16, payload in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            let kind = if done { NLMSG_DONE } else { NLMSG_ERROR };
            let message = NetlinkMessage { kind, flags, payload, ..NetlinkMessage::default() };
            let bytes = &message.payload;
            let error = NetlinkError::decode(&message);
            prop_assert!(error.is_err() || done || bytes.len() >= 4);
            prop_assert!(diag::InetSocket::decode(&message).is_err() || bytes.len() >= 72);
            prop_assert!(generic::GenericFamily::decode(&message).is_err() || bytes.len() >= 4);
            let event = uevent::Uevent::decode(bytes);
            prop_assert!(event.is_none() || bytes.contains(&b'@'));
        }
    }

    fn error(number: i32, flags: u16, rest: &[u8]) -> NetlinkMessage {
        NetlinkMessage {
            kind: NLMSG_ERROR,
            flags,
            payload: [&number.to_le_bytes(), rest].concat(),
            ..NetlinkMessage::default()
        }
    }

    #[test]
    fn errors_tell_their_text() {
        let details = AttributeList::new().text(1, "no such device").number(2, 24);
        let repeated = NetlinkMessage::default().encode().unwrap();
        let rest = [&repeated, details.encode().unwrap()].concat();
        for flags in [NLM_F_ACK_TLVS, NLM_F_ACK_TLVS | NLM_F_CAPPED] {
            let found = NetlinkError::decode(&error(-19, flags, &rest))
                .unwrap()
                .unwrap();
            assert_eq!((found.errno, found.offset), (Errno::NODEV, Some(24)));
            assert_eq!(found.text.as_deref(), Some("no such device"));
            let error = io::Error::from(found);
            assert_eq!(Errno::of(&error), Some(Errno::NODEV));
        }
        assert_eq!(NetlinkError::decode(&error(0, 0, &repeated)).unwrap(), None);
        assert!(
            NetlinkError::decode(&NetlinkMessage {
                kind: NLMSG_ERROR,
                ..Default::default()
            })
            .is_err()
        );
        let cut = error(i32::MIN, NLM_F_ACK_TLVS, &[255; 4]);
        assert!(NetlinkError::decode(&cut).is_err());
    }

    #[test]
    fn a_dump_that_changed_is_told() {
        let part = NetlinkMessage {
            kind: 16,
            flags: NLM_F_DUMP_INTR,
            ..Default::default()
        };
        let done = NetlinkMessage {
            kind: NLMSG_DONE,
            ..Default::default()
        };
        let mut answer = Answer::default();
        assert!(!answer.take(part).unwrap());
        assert!(answer.take(done).unwrap());
        assert_eq!(
            answer.finish().unwrap_err().kind(),
            io::ErrorKind::Interrupted
        );
    }
}
