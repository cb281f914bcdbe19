//! Options of every socket whose value is more than an `int`, socket(7).

use std::io;

use crate::consts::*;
use crate::socket::Socket;
use crate::wire::Fields;

/// Most bytes of a security label, and of the list of a peer's groups, that are read.
const LONGEST: u32 = 64 * 1024;

/// SO_TXTIME: by which clock messages are sent at a time of their own
/// ([`AncillaryOut`](crate::ancillary::AncillaryOut)), Documentation/networking/timestamping.rst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransmitTime {
    /// clock_gettime(2): 0 real time, 1 monotonic, 11 TAI.
    pub clock: i32,
    /// The time is a deadline: the message may go earlier.
    pub deadline: bool,
    /// What was dropped comes to the error queue.
    pub report_errors: bool,
}

impl TransmitTime {
    /// `struct sock_txtime`
    fn encode(self) -> [u8; 8] {
        let flags = u32::from(self.deadline) | u32::from(self.report_errors) << 1;
        crate::wire::words([self.clock.cast_unsigned(), flags])
    }

    fn decode(bytes: [u8; 8]) -> Self {
        let [clock, flags] = [0, 4].map(|at| {
            let word = bytes[at..].first_chunk();
            u32::from_le_bytes(*word.unwrap_or(&[0; 4]))
        });
        Self {
            clock: clock.cast_signed(),
            deadline: flags & 1 != 0,
            report_errors: flags & 2 != 0,
        }
    }
}

/// Options of every socket, socket(7). Policy: each is granted by name (`options = { set = [..], get = [..] }`).
impl Socket {
    /// SO_PEEK_OFF: where the next MSG_PEEK begins, in bytes from what is received next; none is switched off.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn peek_offset(&self) -> io::Result<Option<u32>> {
        Ok(u32::try_from(self.number(SOL_SOCKET, SO_PEEK_OFF)?).ok())
    }

    /// Sets [`peek_offset`](Self::peek_offset).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_peek_offset(&self, offset: Option<u32>) -> io::Result<()> {
        let offset = offset.map_or(-1, |offset| i32::try_from(offset).unwrap_or(i32::MAX));
        self.set_number(SOL_SOCKET, SO_PEEK_OFF, offset)
    }

    /// SO_MAX_PACING_RATE in bytes per second; none is without limit.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn maximum_pacing_rate(&self) -> io::Result<Option<u64>> {
        let rate = u64::from_le_bytes(self.fixed(SOL_SOCKET, SO_MAX_PACING_RATE)?);
        Ok((rate != u64::MAX).then_some(rate))
    }

    /// Sets [`maximum_pacing_rate`](Self::maximum_pacing_rate).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_maximum_pacing_rate(&self, rate: Option<u64>) -> io::Result<()> {
        self.set_option(SOL_SOCKET, SO_MAX_PACING_RATE, rate.unwrap_or(u64::MAX))
    }

    /// SO_COOKIE: a number that is this socket's alone while the machine runs; ss(8) shows it.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn cookie(&self) -> io::Result<u64> {
        self.fixed(SOL_SOCKET, SO_COOKIE).map(u64::from_le_bytes)
    }

    /// SO_NETNS_COOKIE: the same for the network namespace.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn network_namespace_cookie(&self) -> io::Result<u64> {
        self.fixed(SOL_SOCKET, SO_NETNS_COOKIE)
            .map(u64::from_le_bytes)
    }

    /// SO_PEERSEC: the security label of the peer of a Unix or TCP connection, without the NUL at its end.
    /// [`Errno::NOPROTOOPT`](crate::Errno::NOPROTOOPT) where no security module labels sockets.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn peer_security(&self) -> io::Result<Vec<u8>> {
        let mut label = self.raw_option(SOL_SOCKET, SO_PEERSEC, LONGEST)?;
        if label.last() == Some(&0) {
            label.pop();
        }
        Ok(label)
    }

    /// SO_PEERGROUPS: the further groups of the peer of a Unix connection.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn peer_groups(&self) -> io::Result<Vec<u32>> {
        let groups = self.raw_option(SOL_SOCKET, SO_PEERGROUPS, LONGEST)?;
        let mut fields = Fields::new(&groups);
        Ok(std::iter::from_fn(|| fields.u32()).collect())
    }

    /// SO_TIMESTAMPING: which time stamps are made, as bits (`SOF_TIMESTAMPING_*` in
    /// [`consts`](crate::consts)).
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn timestamping(&self) -> io::Result<u32> {
        Ok(self.number(SOL_SOCKET, SO_TIMESTAMPING)?.cast_unsigned())
    }

    /// Sets [`timestamping`](Self::timestamping).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_timestamping(&self, bits: u32) -> io::Result<()> {
        self.set_number(SOL_SOCKET, SO_TIMESTAMPING, bits.cast_signed())
    }

    /// SO_TXTIME
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn transmit_time(&self) -> io::Result<TransmitTime> {
        self.fixed(SOL_SOCKET, SO_TXTIME).map(TransmitTime::decode)
    }

    /// Sets SO_TXTIME.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_transmit_time(&self, time: TransmitTime) -> io::Result<()> {
        self.set_raw_option(SOL_SOCKET, SO_TXTIME, &time.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transmit_times_are_what_the_kernel_has() {
        let time = TransmitTime {
            clock: 11,
            deadline: false,
            report_errors: true,
        };
        assert_eq!(time.encode(), [11, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(TransmitTime::decode(time.encode()), time);
    }
}
