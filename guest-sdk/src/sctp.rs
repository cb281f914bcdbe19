//! SCTP: connections of several streams of messages, sctp(7), RFC 6458.

use std::io;
use std::net::SocketAddr;

use crate::address::{SocketAddress, std_address};
use crate::ancillary::{AncillaryIn, AncillaryOut, RawAncillary, space};
use crate::consts::{
    SCTP_AUTOCLOSE, SCTP_INITMSG, SCTP_NODELAY, SCTP_RCVINFO, SCTP_RECVRCVINFO, SCTP_SNDINFO,
    SOL_SCTP,
};
use crate::convenience::{BACKLOG, family_of};
use crate::message::{Message, MessageOut};
use crate::shape::{data_socket, listener};
use crate::socket::Socket;
use crate::types::{MessageFlags, Protocol, SocketType};
use crate::wire::Fields;

/// How a message is sent: struct sctp_sndinfo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SctpSend {
    /// The stream.
    pub stream: u16,
    /// SCTP_UNORDERED (1), SCTP_ABORT (4), SCTP_EOF (0x200) ...
    pub flags: u16,
    /// Payload protocol identifier; 0 is none.
    pub protocol: u32,
    /// What errors about it bring back.
    pub context: u32,
    /// The association, on sockets that have several; 0 is that of the address.
    pub association: i32,
}

impl SctpSend {
    /// On this stream.
    pub const fn on(stream: u16) -> Self {
        Self {
            stream,
            flags: 0,
            protocol: 0,
            context: 0,
            association: 0,
        }
    }

    /// As a struct sctp_sndinfo. The protocol identifier is in network byte order, as everybody has it.
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&self.stream.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.flags.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.protocol.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.context.to_le_bytes());
        bytes[12..].copy_from_slice(&self.association.to_le_bytes());
        bytes
    }
}

/// How a message came: struct sctp_rcvinfo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SctpReceive {
    /// The stream.
    pub stream: u16,
    /// Its number within the stream.
    pub sequence: u16,
    /// SCTP_UNORDERED (1) ...
    pub flags: u16,
    /// Payload protocol identifier.
    pub protocol: u32,
    /// Transmission sequence number.
    pub tsn: u32,
    /// The association.
    pub association: i32,
}

impl SctpReceive {
    /// From a struct sctp_rcvinfo; none where it is cut.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (stream, sequence, flags) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.u16()?;
        let protocol = u32::from_be_bytes(fields.array()?);
        let tsn = fields.u32()?;
        // The cumulative number and the context.
        fields.take(8)?;
        Some(Self {
            stream,
            sequence,
            flags,
            protocol,
            tsn,
            association: fields.u32()? as i32,
        })
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctpMessage {
    /// Its bytes, or those of an event.
    pub data: Vec<u8>,
    /// Who sent it.
    pub source: Option<SocketAddr>,
    /// How it came, with [`Socket::set_sctp_receive_info`].
    pub info: Option<SctpReceive>,
    /// Whether it ends here (MSG_EOR); what was too long goes on in the next one.
    pub end_of_record: bool,
    /// Whether it is an event and no data (MSG_NOTIFICATION).
    pub event: bool,
}

impl From<Message> for SctpMessage {
    fn from(message: Message) -> Self {
        let info = message
            .ancillary
            .iter()
            .find_map(|ancillary| match ancillary {
                AncillaryIn::Raw(raw) if (raw.level, raw.type_) == (SOL_SCTP, SCTP_RCVINFO) => {
                    SctpReceive::decode(&raw.data)
                }
                _ => None,
            });
        Self {
            info,
            source: message.source.as_ref().and_then(SocketAddress::as_ip),
            end_of_record: message.flags.contains(MessageFlags::EOR),
            event: message.flags.contains(MessageFlags::NOTIFICATION),
            data: message.data,
        }
    }
}

fn new_socket(address: &SocketAddr, socket_type: SocketType) -> io::Result<Socket> {
    Socket::new(family_of(&(*address).into()), socket_type, Protocol::Sctp)
}

fn listening(address: SocketAddr, socket_type: SocketType) -> io::Result<Socket> {
    let socket = new_socket(&address, socket_type)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn send(socket: &Socket, data: &[u8], how: SctpSend, to: Option<SocketAddr>) -> io::Result<usize> {
    let to = to.map(SocketAddress::from);
    let info = RawAncillary {
        level: SOL_SCTP,
        type_: SCTP_SNDINFO,
        data: how.encode().to_vec(),
    };
    let message = MessageOut::new()
        .piece(data)
        .ancillary(AncillaryOut::Raw(&info));
    match &to {
        Some(to) => socket.send_msg(&message.to(to)),
        None => socket.send_msg(&message),
    }
}

fn receive(socket: &Socket, max: usize) -> io::Result<SctpMessage> {
    let message = socket.recv_msg(max, space(28), MessageFlags::empty())?;
    Ok(message.into())
}

/// A connection of one peer (one-to-one style).
///
/// ```no_run
/// use sockgate_guest::sctp::{SctpSend, SctpStream};
///
/// let stream = SctpStream::connect("127.0.0.1:9899".parse().unwrap())?;
/// stream.send(b"hello", SctpSend::on(1))?;
/// println!("{:?}", stream.recv(1000)?.data);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SctpStream {
    socket: Socket,
}

data_socket! { SctpStream }

impl SctpStream {
    /// Connects. Policy: `connect` with `protocol = ["sctp"]`.
    ///
    /// connect(2), sctp(7). Errors: `EACCES`, `ECONNREFUSED`, `ETIMEDOUT`.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = new_socket(&address, SocketType::Stream)?;
        socket.connect(address)?;
        Ok(socket.into())
    }

    /// Sends a message. Policy: the ancillary data `sctp-info` as well.
    ///
    /// sendmsg(2) with SCTP_SNDINFO. Errors: `EMSGSIZE`, `EPIPE`, `EINVAL` for a stream that is not there.
    pub fn send(&self, data: &[u8], how: SctpSend) -> io::Result<usize> {
        send(&self.socket, data, how, None)
    }

    /// Receives at most `max` bytes of a message; empty at the end of the connection.
    ///
    /// recvmsg(2). Policy: part of `connect` or `listen`; [`info`](SctpMessage::info) needs
    /// `ancillary.receive = ["sctp-info"]`. Errors: `ETIMEDOUT`, `ECONNRESET`.
    pub fn recv(&self, max: usize) -> io::Result<SctpMessage> {
        receive(&self.socket, max)
    }

    /// The address of this end.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }

    /// The address of the other end.
    ///
    /// getpeername(2). Policy: part of what connected it. Errors: `ENOTCONN`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.peer_address()?)
    }
}

/// A server of SCTP connections.
#[derive(Debug)]
pub struct SctpListener {
    socket: Socket,
}

listener! { SctpListener, SctpStream }

impl SctpListener {
    /// Binds and listens. Policy: `listen` with the local address.
    ///
    /// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(listening(address, SocketType::Stream)?.into())
    }

    /// Waits for a connection, and tells who it comes from.
    ///
    /// accept(2). Policy: part of `listen`; peers that the rule does not name are reset and not reported.
    /// Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking), `EMFILE` at the policy's limit.
    pub fn accept(&self) -> io::Result<(SctpStream, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), std_address(&peer)?))
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }
}

/// A socket with associations to many peers (one-to-many style).
#[derive(Debug)]
pub struct SctpEndpoint {
    socket: Socket,
}

data_socket! { SctpEndpoint }

impl SctpEndpoint {
    /// Binds, and takes associations from others. Policy: `listen` with the local address.
    ///
    /// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(listening(address, SocketType::Seqpacket)?.into())
    }

    /// Sends to a peer, with a new association where there is none. Policy: `send-to`.
    ///
    /// sendmsg(2). Errors: `EACCES`, `EMSGSIZE`, `ECONNREFUSED`.
    pub fn send_to(&self, data: &[u8], to: SocketAddr, how: SctpSend) -> io::Result<usize> {
        send(&self.socket, data, how, Some(to))
    }

    /// Receives at most `max` bytes of a message from anyone.
    ///
    /// recvmsg(2). Policy: part of `connect` or `listen`; [`info`](SctpMessage::info) needs
    /// `ancillary.receive = ["sctp-info"]`. Errors: `ETIMEDOUT`, `ECONNRESET`.
    pub fn recv(&self, max: usize) -> io::Result<SctpMessage> {
        receive(&self.socket, max)
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }
}

/// What an association begins with: struct sctp_initmsg; 0 is the kernel's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SctpInit {
    /// Streams out.
    pub streams_out: u16,
    /// Streams in, at most.
    pub streams_in: u16,
    /// How often the first message is tried.
    pub attempts: u16,
    /// How long between two of them at most, in milliseconds.
    pub timeout: u16,
}

impl SctpInit {
    /// As a struct sctp_initmsg.
    pub fn encode(&self) -> [u8; 8] {
        let [a, b] = self.streams_out.to_le_bytes();
        let [c, d] = self.streams_in.to_le_bytes();
        let [e, f] = self.attempts.to_le_bytes();
        let [g, h] = self.timeout.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// Options of SCTP sockets, sctp(7).
impl Socket {
    /// SCTP_INITMSG, before connecting or listening.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_sctp_init(&self, init: &SctpInit) -> io::Result<()> {
        self.set_raw_option(SOL_SCTP, SCTP_INITMSG, &init.encode())
    }

    /// SCTP_NODELAY: whether small messages go out at once.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_sctp_nodelay(&self, on: bool) -> io::Result<()> {
        self.set_number(SOL_SCTP, SCTP_NODELAY, on.into())
    }

    /// SCTP_RECVRCVINFO: whether each message tells how it came; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_sctp_receive_info(&self, on: bool) -> io::Result<()> {
        self.set_number(SOL_SCTP, SCTP_RECVRCVINFO, on.into())
    }

    /// SCTP_AUTOCLOSE: ends associations that were idle for so many seconds; 0 is never.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EOPNOTSUPP` on streams.
    pub fn set_sctp_autoclose(&self, seconds: u32) -> io::Result<()> {
        self.set_number(SOL_SCTP, SCTP_AUTOCLOSE, seconds as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_the_kernel_s() {
        let how = SctpSend {
            protocol: 46,
            ..SctpSend::on(3)
        };
        let bytes = [3, 0, 0, 0, 0, 0, 0, 46, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(how.encode(), bytes);
        let mut bytes = [0; 28];
        (bytes[0], bytes[2], bytes[11], bytes[12], bytes[24]) = (3, 7, 46, 9, 5);
        let info = SctpReceive::decode(&bytes).unwrap();
        assert_eq!((info.stream, info.sequence, info.protocol), (3, 7, 46));
        assert_eq!((info.tsn, info.association), (9, 5));
        assert_eq!(SctpReceive::decode(&bytes[..27]), None);
        let message = SctpMessage::from(Message {
            data: b"x".to_vec(),
            true_length: 1,
            flags: MessageFlags::EOR,
            source: None,
            ancillary: vec![AncillaryIn::Raw(RawAncillary {
                level: SOL_SCTP,
                type_: SCTP_RCVINFO,
                data: bytes.to_vec(),
            })],
        });
        assert!(message.end_of_record && !message.event && message.info == Some(info));
        let init = SctpInit {
            streams_out: 2,
            timeout: 500,
            ..SctpInit::default()
        };
        assert_eq!(init.encode(), [2, 0, 0, 0, 0, 0, 0xf4, 1]);
    }
}
