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
//! * For many sockets at once: [`aio`] for `async fn`, [`Poller`] for a loop of your own, or [`poll`] for
//!   a handful.
//! * For a server: [`server`] (Python's socketserver), [`create_server`]; for a client [`create_connection`].
//! * For a family of its own: [`can`], [`netlink`], [`vsock`], [`packet`], [`raw`] (and ping), [`alg`]
//!   (the kernel's ciphers), [`tipc`], [`bluetooth`], [`sctp`], [`rds`], [`qrtr`], [`transports`]
//!   (UDPLITE, DCCP, MPTCP). [`addresses`] has everybody's addresses, [`consts`] Linux's numbers.
//!
//! [`python`] has every name of Python's `socket` and `socketserver`, and what does its work here.
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
//! The crate compiles for native targets, so that a guest's own logic is tested there with plain `cargo test`; a
//! call to the host panics there, since there is none. (An SDK over native sockets would be a second host, with
//! a policy of its own.) Two ways lead there:
//!
//! * Logic that is generic over [`Read`](std::io::Read) and [`Write`](std::io::Write) takes this crate's sockets in
//!   the guest, and std's or a `Vec<u8>` in a test. The example guests `hmac-server` and `hmac-client` do it: their
//!   handshake (`examples/guests/src/challenge.rs`) is tested over std's TCP by `cargo test -p sockgate-examples --lib`.
//! * The typed sockets of [`net`] and [`unix`] have std's methods, so that one `use` makes the whole program native:
//!
//! ```no_run
//! #[cfg(target_family = "wasm")]
//! use sockgate_guest::net::{TcpListener, TcpStream};
//! #[cfg(not(target_family = "wasm"))]
//! use std::net::{TcpListener, TcpStream};
//!
//! fn serve(listener: &TcpListener) -> std::io::Result<TcpStream> {
//!     Ok(listener.accept()?.0)
//! }
//! ```

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod address;
#[allow(unsafe_code)]
mod bindings;
mod buffered;
mod connect;
mod convenience;
mod data;
mod deadline;
mod descriptors;
mod error;
mod message;
mod number;
mod option;
mod poller;
mod shape;
mod socket;
mod types;
mod wire;

pub mod aio;
pub mod alg;
pub mod ancillary;
pub mod bluetooth;
pub mod can;
pub mod consts;
pub mod files;
pub mod names;
pub mod net;
pub mod netlink;
pub mod packet;
#[doc = include_str!("python.md")]
pub mod python {}
pub mod qrtr;
pub mod raw;
pub mod rds;
pub mod sctp;
pub mod server;
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
pub use buffered::SocketFile;
pub use connect::{ConnectError, ConnectOptions, create_connection};
pub use convenience::{ServerOptions, create_server, has_dualstack_ipv6, socketpair};
pub use descriptors::ReceivedFds;
pub use error::{Errno, Error, HostError, NameError, Result};
pub use message::{Batch, Message, MessageOut, Received, ReceivedBatch, ReceivedInto, Sent};
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
