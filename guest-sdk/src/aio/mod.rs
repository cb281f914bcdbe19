//! `async fn` on sockets and timers: a small executor of this guest's one thread, over one
//! [`Poller`](crate::Poller).
//!
//! ```no_run
//! use sockgate_guest::aio::{self, TcpListener, TcpStream};
//! use std::io;
//! use std::time::Duration;
//!
//! fn main() -> io::Result<()> {
//!     aio::run(async {
//!         let listener = TcpListener::bind("127.0.0.1:7007")?;
//!         loop {
//!             let (stream, peer) = listener.accept().await?;
//!             aio::spawn(async move {
//!                 if let Err(error) = echo(stream).await {
//!                     eprintln!("{peer} is lost: {error}");
//!                 }
//!             });
//!         }
//!     })
//! }
//!
//! async fn echo(stream: TcpStream) -> io::Result<()> {
//!     let mut buffer = [0; 4096];
//!     loop {
//!         match aio::timeout(Duration::from_secs(60), stream.read(&mut buffer)).await?? {
//!             0 => return Ok(()),
//!             length => stream.write_all(&buffer[..length]).await?,
//!         }
//!     }
//! }
//! ```
//!
//! * [`run`] runs a future, [`spawn`] others beside it; a [`Task`] is awaited, dropped (and goes on) or
//!   [aborted](Task::abort).
//! * [`Async`] makes any typed socket one to be awaited; [`TcpStream`], [`TcpListener`], [`UdpSocket`],
//!   [`UnixStream`], [`UnixListener`] and [`UnixDatagram`] are short for the usual ones.
//! * [`sleep`], [`timeout`], [`select`], [`join_all`], [`yield_now`]. Whatever else is made of std's futures
//!   works here too: the combinators, channels and locks of the `futures` crate, for example.
//!
//! Futures need not be `Send`; they share by `Rc` and `RefCell`. A future that is dropped while it waits
//! leaves nothing behind: that is how [`timeout`] and [`Task::abort`] end what they end.
//!
//! # What it costs
//!
//! A socket is watched from when it is first waited for, by the poller that this thread has (it counts as
//! one socket of the policy's limit). An event costs the same however many sockets are watched, and a task
//! that waits again for the same socket needs no call to the host but the wait that all share. Operations
//! are tried before anything is waited for. A task whose sockets are always ready lets the others have
//! their turn after some operations.
//!
//! # What blocks
//!
//! Every call that is no future of this module's: looking a name up
//! ([`ToSocketAddrs`](crate::ToSocketAddrs), [`names`](crate::names)), files, [`std::thread::sleep`], long
//! computations. All tasks wait meanwhile.
//!
//! Where the embedder interrupts a guest that waits here, the tasks go on waiting.
//!
//! A panic ends the guest, as everywhere in `wasm32-wasip2`: there is no unwinding that would end one task.

mod buffered;
mod combine;
mod executor;
mod kinds;
mod reactor;
mod socket;
mod time;

pub use buffered::BufReader;
pub use combine::{Either, join_all, select};
pub use executor::{Task, run, spawn, yield_now};
pub use kinds::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
pub use socket::Async;
pub use time::{Sleep, sleep, sleep_until, timeout};

#[cfg(test)]
mod tests;
