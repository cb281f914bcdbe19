//! What the typed sockets have in common: they are a [`Socket`](crate::Socket) with std's methods.

use std::io;
use std::time::Duration;

use crate::types::Timeout;

/// A time-out as std takes it: zero is refused, none is "as long as it takes".
pub(crate) fn std_timeout(timeout: Option<Duration>) -> io::Result<Timeout> {
    match timeout {
        Some(Duration::ZERO) => {
            let text = "a time-out of zero: see set_nonblocking";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        timeout => Ok(timeout.into()),
    }
}

/// A time-out as std reports it.
pub(crate) fn reported(timeout: Timeout) -> Option<Duration> {
    match timeout {
        Timeout::After(nanoseconds) => Some(Duration::from_nanos(nanoseconds)),
        Timeout::Blocking | Timeout::NonBlocking => None,
    }
}

/// What every typed socket has.
macro_rules! every_socket {
    ($type:ident) => {
        impl $type {
            /// Another handle on the same socket, dup(2). Its time-outs are copied, and its own from then
            /// on.
            pub fn try_clone(&self) -> std::io::Result<Self> {
                Ok(Self {
                    socket: self.socket.try_clone()?,
                })
            }

            /// Whether operations answer [`WouldBlock`](std::io::ErrorKind::WouldBlock) where they would
            /// wait. The time-outs rest meanwhile.
            pub fn set_nonblocking(&self, non_blocking: bool) -> std::io::Result<()> {
                self.socket.set_nonblocking(non_blocking);
                Ok(())
            }

            /// SO_ERROR: takes the error that waits on the socket, if there is one.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.socket.take_error()
            }

            /// The [`Socket`](crate::Socket) in it.
            pub fn into_socket(self) -> crate::Socket {
                self.socket
            }
        }

        impl AsRef<crate::Socket> for $type {
            fn as_ref(&self) -> &crate::Socket {
                &self.socket
            }
        }

        /// Takes the socket as it is.
        impl From<crate::Socket> for $type {
            fn from(socket: crate::Socket) -> Self {
                Self { socket }
            }
        }
    };
}
pub(crate) use every_socket;

/// What sockets that carry data have: a time-out for each direction.
macro_rules! data_socket {
    ($type:ident) => {
        crate::shape::every_socket! { $type }

        impl $type {
            /// How long receives wait; `None` as long as it takes. Zero is refused.
            pub fn set_read_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.socket
                    .set_read_timeout(crate::shape::std_timeout(timeout)?);
                Ok(())
            }

            /// How long sends wait; `None` as long as it takes. Zero is refused.
            pub fn set_write_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.socket
                    .set_write_timeout(crate::shape::std_timeout(timeout)?);
                Ok(())
            }

            /// How long receives wait.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(crate::shape::reported(self.socket.read_timeout()))
            }

            /// How long sends wait.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(crate::shape::reported(self.socket.write_timeout()))
            }
        }
    };
}
pub(crate) use data_socket;

/// What streams have: `Read` and `Write`, by value and by reference, and `shutdown`.
macro_rules! stream_socket {
    ($type:ident) => {
        crate::shape::data_socket! { $type }

        impl $type {
            /// shutdown(2): ends one half of the connection or both.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                self.socket.shutdown(how)
            }
        }

        impl std::io::Read for &$type {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.socket.recv(buffer)
            }
        }

        impl std::io::Write for &$type {
            fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
                self.socket.send(data)
            }

            fn write_vectored(
                &mut self,
                pieces: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                (&self.socket).write_vectored(pieces)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Read for $type {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.socket.recv(buffer)
            }
        }

        impl std::io::Write for $type {
            fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
                self.socket.send(data)
            }

            fn write_vectored(
                &mut self,
                pieces: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                (&self.socket).write_vectored(pieces)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}
pub(crate) use stream_socket;

/// What listeners have: an iterator of connections.
macro_rules! listener {
    ($type:ident, $stream:ident) => {
        crate::shape::every_socket! { $type }

        impl $type {
            /// The connections as they come, without end.
            pub fn incoming(&self) -> Incoming<'_> {
                Incoming { listener: self }
            }
        }

        /// The connections of a listener as they come: [`accept`](
        #[doc = concat!(stringify!($type), "::accept")]
        /// ) in a loop.
        #[derive(Debug)]
        pub struct Incoming<'a> {
            listener: &'a $type,
        }

        impl Iterator for Incoming<'_> {
            type Item = std::io::Result<$stream>;

            fn next(&mut self) -> Option<Self::Item> {
                Some(self.listener.accept().map(|(stream, _)| stream))
            }
        }

        impl std::iter::FusedIterator for Incoming<'_> {}

        impl<'a> IntoIterator for &'a $type {
            type Item = std::io::Result<$stream>;
            type IntoIter = Incoming<'a>;

            fn into_iter(self) -> Incoming<'a> {
                self.incoming()
            }
        }
    };
}
pub(crate) use listener;
