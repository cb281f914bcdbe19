//! Sockets for WebAssembly guests of [sockgate](https://github.com/sockgate/sockgate): every kind of
//! socket that the host's kernel has, and nothing that the host's policy does not name.
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use sockgate_guest::{Errno, TcpListener};
//!
//! fn main() -> std::io::Result<()> {
//!     let listener = match TcpListener::bind("127.0.0.1:7007") {
//!         Err(error) if Errno::of(&error) == Some(Errno::ACCES) => {
//!             eprintln!("the policy does not let me listen there");
//!             return Err(error);
//!         }
//!         listener => listener?,
//!     };
//!     for stream in listener.incoming() {
//!         let mut stream = stream?;
//!         let mut buffer = [0; 1024];
//!         let length = stream.read(&mut buffer)?;
//!         stream.write_all(&buffer[..length])?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Build it with `cargo build --target wasm32-wasip2` and run it with
//! `sockgate run --allow 'tcp listen 127.0.0.1:7007' target/wasm32-wasip2/debug/NAME.wasm`.
//!
//! # Where to begin
//!
//! * From Rust's std: [`net`] and [`unix`] have `TcpStream`, `TcpListener`, `UdpSocket`, `UnixStream`,
//!   `UnixListener` and `UnixDatagram` with std's methods. Change `use std::net` to
//!   `use sockgate_guest::net`.
//! * From Python or C: [`Socket`] has every method of Python's socket object.
//! * For many sockets at once: [`Poller`], or [`poll`] for a handful.
//! * For a family of its own: [`can`], [`netlink`], [`vsock`], [`packet`], [`raw`] (and ping), [`alg`]
//!   (the kernel's ciphers), [`tipc`], [`bluetooth`], [`sctp`], [`rds`], [`qrtr`], [`transports`]
//!   (UDPLITE, DCCP, MPTCP). [`addresses`] has everybody's addresses, [`consts`] Linux's numbers.
//!
//! | Python | here |
//! |---|---|
//! | `socket.socket(AF_INET, SOCK_STREAM)` | [`Socket::new`] |
//! | `socketpair()` | [`socketpair`], [`Socket::pair`] |
//! | `create_connection((host, port), timeout)` | [`create_connection`] |
//! | `create_server(address, dualstack_ipv6=True)` | [`create_server`] |
//! | `has_dualstack_ipv6()` | [`has_dualstack_ipv6`] |
//! | `getdefaulttimeout`, `setdefaulttimeout` | [`default_timeout`], [`set_default_timeout`] |
//! | `s.bind`, `s.listen`, `s.accept`, `s.connect`, `s.shutdown`, `s.close`, `s.detach` | the same |
//! | `s.connect_ex` | [`Socket::connect_ex`] |
//! | `s.send`, `s.sendall`, `s.sendto`, `s.sendmsg` | [`Socket::send`], [`send_all`](Socket::send_all), [`send_to`](Socket::send_to), [`send_msg`](Socket::send_msg) |
//! | `s.recv` | [`Socket::recv_vec`] |
//! | `s.recv_into`, `s.recvfrom_into` | [`Socket::recv`], [`recv_from`](Socket::recv_from) |
//! | `s.recvmsg` | [`Socket::recv_msg`] |
//! | (sendmmsg, recvmmsg) | [`Socket::send_many`], [`recv_many`](Socket::recv_many) |
//! | `send_fds`, `recv_fds` | [`Socket::send_handles`], [`recv_handles`](Socket::recv_handles) |
//! | `s.settimeout`, `s.gettimeout`, `s.setblocking` | [`Socket::set_timeout`], [`timeout`](Socket::timeout), [`set_blocking`](Socket::set_blocking) |
//! | `s.getsockname`, `s.getpeername` | [`Socket::local_address`], [`peer_address`](Socket::peer_address) |
//! | `s.getsockopt`, `s.setsockopt` | typed ([`Socket::set_reuse_address`] ...), [`raw_option`](Socket::raw_option), [`set_raw_option`](Socket::set_raw_option) |
//! | `s.dup`, `s.makefile` | [`Socket::try_clone`]; `Socket` is `Read` and `Write` |
//! | `s.family`, `s.type`, `s.proto` | [`Socket::family`], [`socket_type`](Socket::socket_type), [`protocol`](Socket::protocol) |
//! | `getaddrinfo`, `getnameinfo` | [`names::look_up`], [`names::name_of`] |
//! | `gethostbyname_ex`, `gethostbyaddr` | [`names::host_by_name`], [`names::host_by_address`] |
//! | `gethostname`, `sethostname` | [`names::host_name`], [`names::set_host_name`] |
//! | `if_nameindex`, `if_nametoindex`, `if_indextoname` | [`names::interfaces`], [`names::interface_index`], [`names::interface_name`] |
//! | `getservbyname`, `getservbyport`, `getprotobyname` | [`names::service_by_name`], [`names::service_by_port`], [`names::protocol_by_name`] |
//! | `selectors` | [`Poller`] |
//!
//! # Errors
//!
//! Everything answers [`std::io::Error`]; [`Errno::of`] tells the error by its symbolic name, and
//! [`ErrorKind`](std::io::ErrorKind) is what std has for it. There are no error numbers: systems count them
//! differently. Look-ups answer [`NameError`], which becomes an `io::Error` with `?`.
//!
//! # Time-outs
//!
//! As in Python, a socket is blocking, non-blocking, or has a time-out ([`Socket::set_timeout`]): it holds
//! for each operation, and for [`Socket::send_all`] and [`create_connection`] as a whole. What passes is
//! [`Errno::TIMEDOUT`]; what would wait on a non-blocking socket is [`Errno::AGAIN`]. The typed sockets have
//! one for each direction, as in std.
//!
//! # What a denial looks like
//!
//! What the policy does not grant answers [`Errno::ACCES`]
//! ([`PermissionDenied`](std::io::ErrorKind::PermissionDenied)), always the same, before any system call is
//! made; whether the peer exists shows in nothing. What is hidden by the policy (datagrams from others,
//! connections from others) never arrives and wakes no wait. The operator sees which rule is missing
//! (`sockgate run --trace`); the guest is told only where the policy says `reveal = true`
//! ([`last_denial`]). Each item says which operation of the policy it needs.
//!
//! # Outside WebAssembly
//!
//! The crate compiles for native targets, so that documentation and tests of pure code run there; a call to
//! the host panics there, since there is none.

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod address;
#[allow(unsafe_code)]
mod bindings;
mod convenience;
mod data;
mod error;
mod message;
mod number;
mod option;
mod poller;
mod shape;
mod socket;
mod types;
mod wire;

pub mod alg;
pub mod ancillary;
pub mod bluetooth;
pub mod can;
pub mod consts;
pub mod names;
pub mod net;
pub mod netlink;
pub mod packet;
pub mod qrtr;
pub mod raw;
pub mod rds;
pub mod sctp;
pub mod tipc;
pub mod transports;
pub mod unix;
pub mod vsock;

/// Addresses of every family, by their kernel's names.
pub mod addresses {
    pub use crate::address::{
        ANY_DEVICE, AlgAddress, BluetoothAddressType, BluetoothDevice, CanAddress, CanEndpoint,
        CanId, Guid, HciAddress, HypervAddress, Inet6Address, InetAddress, IsotpAddress,
        J1939Address, L2capAddress, LinkAddress, NetlinkAddress, OtherAddress, PacketAddress,
        PacketType, QipcrtrAddress, RfcommAddress, ScoAddress, Scope, SystemAddress, TipcAddress,
        TipcEndpoint, TipcId, TipcName, TipcNameSequence, VsockAddress, parse_device,
    };
}

pub use address::{SocketAddress, ToAddress, UnixAddress};
pub use convenience::{
    ServerOptions, create_connection, create_server, has_dualstack_ipv6, socketpair,
};
pub use error::{Errno, Error, NameError, Result};
pub use message::{Batch, Message, MessageOut, Received, ReceivedBatch, Sent};
pub use net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
pub use option::{
    Group, MemoryInfo, MtuDiscovery, OptionArgument, RepairQueue, RepairWindow, TcpInfo, TcpState,
    TransmitTime,
};
pub use poller::{Event, Pollable, Poller, poll};
pub use socket::{
    Descriptor, IoctlRequest, Shutdown, Socket, default_timeout, last_denial, set_default_timeout,
};
pub use types::{Events, Family, Interest, MessageFlags, Protocol, SocketType, Timeout};
pub use unix::{UnixDatagram, UnixListener, UnixStream};

/// Compiles the guest that the README shows.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;
