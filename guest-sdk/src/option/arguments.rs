//! Options by Linux's numbers, in the three forms of Python's `setsockopt`: a number, bytes, a length alone.

use std::io;

use crate::bindings::sockgate::sockets::options as raw;
use crate::socket::Socket;
use crate::wire::malformed;

/// The value of an option for [`Socket::set_option`]: a number, bytes, or a length alone.
///
/// ```
/// use sockgate_guest::OptionArgument;
///
/// assert_eq!(OptionArgument::from(true), OptionArgument::Number(1));
/// assert_eq!(OptionArgument::from(b"eth0"), OptionArgument::Bytes(b"eth0"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionArgument<'a> {
    /// An `int`, as most options take it.
    Number(i32),
    /// A 64-bit number, as vsock's sizes and SO_MAX_PACING_RATE take it.
    Wide(u64),
    /// A structure or text.
    Bytes(&'a [u8]),
    /// No value, only its length (ALG_SET_AEAD_AUTHSIZE, TIPC_GROUP_LEAVE): Python's `None` with `optlen`.
    Length(u32),
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl From<$type> for OptionArgument<'_> {
            fn from(number: $type) -> Self {
                Self::Number(number.into())
            }
        }
    )*};
}

numbers! { bool u8 u16 i32 }

impl From<u64> for OptionArgument<'_> {
    fn from(number: u64) -> Self {
        Self::Wide(number)
    }
}

impl<'a> From<&'a [u8]> for OptionArgument<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for OptionArgument<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for OptionArgument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

/// Options by Linux's numbers ([`consts`](crate::consts)), getsockopt(2). Policy: as for typed ones; one that is
/// refused typed is refused here, by its name and by its numbers alike.
///
/// [`Errno::NOPROTOOPT`](crate::Errno::NOPROTOOPT) where this kind of socket has none such,
/// [`Errno::INVAL`](crate::Errno::INVAL) for a value of a length that it does not take,
/// [`Errno::OPNOTSUPP`](crate::Errno::OPNOTSUPP) for the few that no policy can grant, since their value is an
/// address or a descriptor of the host's process (SO_ATTACH_BPF, TCP_ZEROCOPY_RECEIVE).
///
/// SO_RCVTIMEO and SO_SNDTIMEO hold beside [`set_timeout`](Socket::set_timeout): what is over first ends the
/// operation, with [`Errno::AGAIN`](crate::Errno::AGAIN), or
/// [`Errno::INPROGRESS`](crate::Errno::INPROGRESS) for connect, as socket(7) has it. Memberships
/// (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP, MCAST_JOIN_GROUP and their kin) are judged like
/// [`join_group`](Socket::join_group).
impl Socket {
    /// Sets an option: Python's `setsockopt`.
    ///
    /// ```no_run
    /// use sockgate_guest::consts::{SOL_SOCKET, SOL_TCP, SO_BINDTODEVICE, TCP_SYNCNT};
    /// # let socket = sockgate_guest::TcpStream::connect("192.0.2.1:80")?;
    ///
    /// socket.as_ref().set_option(SOL_TCP, TCP_SYNCNT, 3)?;
    /// socket.as_ref().set_option(SOL_SOCKET, SO_BINDTODEVICE, "eth0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_option<'a>(
        &self,
        level: i32,
        name: i32,
        value: impl Into<OptionArgument<'a>>,
    ) -> io::Result<()> {
        match value.into() {
            OptionArgument::Number(number) => {
                self.set_raw_option(level, name, &number.to_le_bytes())
            }
            OptionArgument::Wide(number) => self.set_raw_option(level, name, &number.to_le_bytes()),
            OptionArgument::Bytes(bytes) => self.set_raw_option(level, name, bytes),
            OptionArgument::Length(length) => self.set_raw_option_length(level, name, length),
        }
    }

    /// Reads an option that is an `int`: Python's `getsockopt(level, name)`. A shorter value is filled up with
    /// zeros.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn option(&self, level: i32, name: i32) -> io::Result<i32> {
        let value = self.raw_option(level, name, 4)?;
        let mut bytes = [0; 4];
        let length = value.len().min(bytes.len());
        bytes[..length].copy_from_slice(&value[..length]);
        Ok(i32::from_le_bytes(bytes))
    }

    /// Reads an option's bytes, at most `max` of them: Python's `getsockopt(level, name, max)`.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn raw_option(&self, level: i32, name: i32, max: u32) -> io::Result<Vec<u8>> {
        Ok(raw::get_raw(&self.raw, level, name, max)?)
    }

    /// Sets an option's bytes.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_raw_option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        Ok(raw::set_raw(&self.raw, level, name, value)?)
    }

    /// Sets an option by a length, with no value: Python's `setsockopt(level, name, None, length)`.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_raw_option_length(&self, level: i32, name: i32, length: u32) -> io::Result<()> {
        Ok(raw::set_raw_length(&self.raw, level, name, length)?)
    }
}

/// Raw options for the typed ones.
impl Socket {
    /// Sets an option whose value is an `int`.
    pub(crate) fn set_number(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        self.set_raw_option(level, name, &value.to_le_bytes())
    }

    /// Reads an option whose value is an `int`.
    pub(crate) fn number(&self, level: i32, name: i32) -> io::Result<i32> {
        self.fixed(level, name).map(i32::from_le_bytes)
    }

    /// Reads an option of exactly so many bytes.
    pub(crate) fn fixed<const LENGTH: usize>(
        &self,
        level: i32,
        name: i32,
    ) -> io::Result<[u8; LENGTH]> {
        let value = self.raw_option(level, name, LENGTH as u32)?;
        value.first_chunk().copied().ok_or_else(|| {
            let length = value.len();
            malformed(&format!("an option of {length} bytes instead of {LENGTH}"))
        })
    }
}
