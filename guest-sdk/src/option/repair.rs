//! TCP_REPAIR and its kin: taking a connection apart and putting it together elsewhere, as CRIU does. They take
//! privilege (CAP_NET_ADMIN).

use std::io;

use crate::consts::*;
use crate::socket::Socket;
use crate::wire::{Fields, malformed, words};

/// TCP_REPAIR_QUEUE: which queue is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RepairQueue {
    /// None of them.
    None,
    /// What has arrived.
    Receive,
    /// What was sent.
    Send,
}

/// TCP_REPAIR_WINDOW: `struct tcp_repair_window`, in bytes and sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RepairWindow {
    /// Sequence number of the last change of the send window.
    pub send_update: u32,
    /// The peer's window.
    pub send_window: u32,
    /// The largest that it was.
    pub largest_window: u32,
    /// The own window.
    pub receive_window: u32,
    /// What had been acknowledged when it was offered last.
    pub receive_update: u32,
}

/// Options of a TCP socket under repair, linux/tcp.h. Policy: each is granted by name; a wildcard leaves them out.
impl Socket {
    /// TCP_REPAIR: whether the connection is under repair.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn repair(&self) -> io::Result<bool> {
        Ok(self.number(SOL_TCP, TCP_REPAIR)? != 0)
    }

    /// Begins or ends a repair (TCP_REPAIR_ON, TCP_REPAIR_OFF).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_repair(&self, on: bool) -> io::Result<()> {
        self.set_number(SOL_TCP, TCP_REPAIR, on.into())
    }

    /// Ends a repair and sends no window probe (TCP_REPAIR_OFF_NO_WP).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn end_repair_quietly(&self) -> io::Result<()> {
        self.set_number(SOL_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)
    }

    /// TCP_REPAIR_QUEUE
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn repair_queue(&self) -> io::Result<RepairQueue> {
        match self.number(SOL_TCP, TCP_REPAIR_QUEUE)? {
            0 => Ok(RepairQueue::None),
            1 => Ok(RepairQueue::Receive),
            2 => Ok(RepairQueue::Send),
            other => Err(malformed(&format!("{other} as a queue"))),
        }
    }

    /// Sets [`repair_queue`](Self::repair_queue).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_repair_queue(&self, queue: RepairQueue) -> io::Result<()> {
        let number = match queue {
            RepairQueue::None => 0,
            RepairQueue::Receive => 1,
            RepairQueue::Send => 2,
        };
        self.set_number(SOL_TCP, TCP_REPAIR_QUEUE, number)
    }

    /// TCP_QUEUE_SEQ: the sequence number of the chosen queue.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn queue_sequence(&self) -> io::Result<u32> {
        Ok(self.number(SOL_TCP, TCP_QUEUE_SEQ)?.cast_unsigned())
    }

    /// Sets [`queue_sequence`](Self::queue_sequence), of a socket that is not connected.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_queue_sequence(&self, sequence: u32) -> io::Result<()> {
        self.set_number(SOL_TCP, TCP_QUEUE_SEQ, sequence.cast_signed())
    }

    /// TCP_REPAIR_OPTIONS: what was agreed on in the handshake, as pairs of the option's kind and its value.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_repair_options(&self, options: &[(u32, u32)]) -> io::Result<()> {
        let pairs = options.iter().flat_map(|(kind, value)| [*kind, *value]);
        let bytes: Vec<u8> = pairs.flat_map(u32::to_le_bytes).collect();
        self.set_raw_option(SOL_TCP, TCP_REPAIR_OPTIONS, &bytes)
    }

    /// TCP_REPAIR_WINDOW
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn repair_window(&self) -> io::Result<RepairWindow> {
        let bytes: [u8; 20] = self.fixed(SOL_TCP, TCP_REPAIR_WINDOW)?;
        let mut fields = Fields::new(&bytes);
        let mut next = || fields.u32().unwrap_or_default();
        Ok(RepairWindow {
            send_update: next(),
            send_window: next(),
            largest_window: next(),
            receive_window: next(),
            receive_update: next(),
        })
    }

    /// Sets [`repair_window`](Self::repair_window).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_repair_window(&self, window: &RepairWindow) -> io::Result<()> {
        let bytes: [u8; 20] = words([
            window.send_update,
            window.send_window,
            window.largest_window,
            window.receive_window,
            window.receive_update,
        ]);
        self.set_raw_option(SOL_TCP, TCP_REPAIR_WINDOW, &bytes)
    }
}
