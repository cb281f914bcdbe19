//! Batches in native code: sendmmsg(2), recvmmsg(2).

// The lint is for the crates that run guests; std has no batches.
#![allow(
    unsafe_code,
    reason = "sendmmsg(2) and recvmmsg(2) have no safe form in std"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, iovec, mmsghdr};

use crate::case::BATCH;
use crate::native::MESSAGE;

/// The memory of one batch: bytes, and headers that point into them.
pub struct Batch {
    headers: Vec<mmsghdr>,
    /// The headers point to these.
    _pieces: Vec<iovec>,
    /// The pieces point to these.
    _bytes: Vec<u8>,
}

impl Batch {
    /// A batch of messages of [`MESSAGE`] bytes.
    pub fn new() -> Batch {
        let mut bytes = vec![7; BATCH as usize * MESSAGE];
        let mut pieces: Vec<iovec> = bytes
            .chunks_mut(MESSAGE)
            .map(|message| iovec {
                iov_base: message.as_mut_ptr().cast(),
                iov_len: MESSAGE,
            })
            .collect();
        let headers = pieces.iter_mut().map(|piece| {
            // SAFETY: null pointers and zero lengths are a valid header.
            let mut header: mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        Batch {
            headers: headers.collect(),
            _pieces: pieces,
            _bytes: bytes,
        }
    }

    /// Sends all of it to the socket's peer. `flags` are MSG_*.
    pub fn send(&mut self, socket: BorrowedFd<'_>, flags: c_int) -> io::Result<()> {
        // SAFETY: the headers point to pieces and these to bytes that live as long as this batch, and
        // stay where they are.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH,
                flags as _,
            )
        };
        self.all("were sent", sent, false)
    }

    /// Receives a whole batch that is there already. `flags` are MSG_*.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, flags: c_int) -> io::Result<()> {
        // SAFETY: as in `send`; the kernel writes within the pieces, which nobody else refers to.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH,
                (flags | libc::MSG_WAITFORONE) as _,
                std::ptr::null_mut(),
            )
        };
        self.all("came", received, true)
    }

    fn all(&self, what: &str, count: c_int, received: bool) -> io::Result<()> {
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        let whole = |header: &mmsghdr| header.msg_len as usize == MESSAGE;
        if count as u32 == BATCH && (!received || self.headers.iter().all(whole)) {
            return Ok(());
        }
        let text = format!("of {BATCH} datagrams {count} {what}, or in part");
        Err(io::Error::other(text))
    }
}
