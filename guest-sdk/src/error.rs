//! Errors by name.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::bindings::sockgate::sockets::errors::Errno as Raw;
use crate::connect::ConnectError;
use crate::netlink::NetlinkError;

mod name;

pub use name::{HostError, NameError};

/// What every operation answers: [`std::io::Error`]. [`Errno::of`] tells which error number it carries.
pub type Error = io::Error;

/// [`std::result::Result`] with [`Error`].
pub type Result<T> = io::Result<T>;

/// An error number by its symbolic name, without the leading `E` (errno(3)).
///
/// Systems number their errors differently, so there is no number here. The constants can be matched:
///
/// ```no_run
/// use sockgate_guest::{Errno, TcpStream};
///
/// match TcpStream::connect("192.0.2.1:80") {
///     Ok(_) => println!("connected"),
///     Err(error) => match Errno::of(&error) {
///         Some(Errno::ACCES) => println!("the policy does not grant it"),
///         Some(Errno::CONNREFUSED) => println!("nobody listens there"),
///         _ => println!("{error}"),
///     },
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(Raw);

macro_rules! errnos {
    ($($name:ident $case:ident $message:literal)*) => {
        impl Errno {
            $(#[doc = concat!($message, ".")] pub const $name: Self = Self(Raw::$case);)*

            /// The symbolic name: `ECONNREFUSED`.
            pub const fn name(self) -> &'static str {
                if matches!(self, Self::TOOBIG) {
                    return "E2BIG";
                }
                match self { $(Self::$name => concat!("E", stringify!($name)),)* }
            }

            /// What it means, in English: `Connection refused`.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }

        /// All of them in the order of Linux's numbers.
        const IN_ORDER: &[Errno] = &[$(Errno::$name,)*];
    };
}

errnos! {
    PERM Perm "Operation not permitted"
    NOENT Noent "No such file or directory"
    SRCH Srch "No such process"
    INTR Intr "Interrupted"
    IO Io "Input/output error"
    NXIO Nxio "No such device or address"
    TOOBIG E2big "Argument list too long"
    NOEXEC Noexec "Exec format error"
    BADF Badf "Bad descriptor: the socket was closed or detached"
    CHILD Child "No child processes"
    AGAIN Again "Operation would block"
    NOMEM Nomem "Out of memory"
    ACCES Acces "Permission denied"
    FAULT Fault "Bad address"
    NOTBLK Notblk "Block device required"
    BUSY Busy "Device or resource busy"
    EXIST Exist "Exists already"
    XDEV Xdev "Invalid cross-device link"
    NODEV Nodev "No such device"
    NOTDIR Notdir "Not a directory"
    ISDIR Isdir "Is a directory"
    INVAL Inval "Invalid argument"
    NFILE Nfile "Too many open files in the host"
    MFILE Mfile "Too many open sockets"
    NOTTY Notty "Inappropriate request for this device"
    TXTBSY Txtbsy "Text file busy"
    FBIG Fbig "File too large"
    NOSPC Nospc "No space left on device"
    SPIPE Spipe "Illegal seek"
    ROFS Rofs "Read-only file system"
    MLINK Mlink "Too many links"
    PIPE Pipe "Broken pipe"
    DOM Dom "Argument out of domain"
    RANGE Range "Result out of range"
    DEADLK Deadlk "Resource deadlock avoided"
    NAMETOOLONG Nametoolong "Name too long"
    NOLCK Nolck "No locks available"
    NOSYS Nosys "Function not implemented"
    NOTEMPTY Notempty "Directory not empty"
    LOOP Loop "Too many levels of symbolic links"
    NOMSG Nomsg "No message of the desired type"
    IDRM Idrm "Identifier removed"
    CHRNG Chrng "Channel number out of range"
    L2NSYNC L2nsync "Level 2 not synchronized"
    L3HLT L3hlt "Level 3 halted"
    L3RST L3rst "Level 3 reset"
    LNRNG Lnrng "Link number out of range"
    UNATCH Unatch "Protocol driver not attached"
    NOCSI Nocsi "No CSI structure available"
    L2HLT L2hlt "Level 2 halted"
    BADE Bade "Invalid exchange"
    BADR Badr "Invalid request descriptor"
    XFULL Xfull "Exchange full"
    NOANO Noano "No anode"
    BADRQC Badrqc "Invalid request code"
    BADSLT Badslt "Invalid slot"
    BFONT Bfont "Bad font file format"
    NOSTR Nostr "Device not a stream"
    NODATA Nodata "No data available"
    TIME Time "Timer expired"
    NOSR Nosr "Out of streams resources"
    NONET Nonet "Machine is not on the network"
    NOPKG Nopkg "Package not installed"
    REMOTE Remote "Object is remote"
    NOLINK Nolink "Link has been severed"
    ADV Adv "Advertise error"
    SRMNT Srmnt "Srmount error"
    COMM Comm "Communication error on send"
    PROTO Proto "Protocol error"
    MULTIHOP Multihop "Multihop attempted"
    DOTDOT Dotdot "RFS specific error"
    BADMSG Badmsg "Bad message"
    OVERFLOW Overflow "Value too large"
    NOTUNIQ Notuniq "Name not unique on network"
    BADFD Badfd "Descriptor in bad state"
    REMCHG Remchg "Remote address changed"
    LIBACC Libacc "Can not access a needed shared library"
    LIBBAD Libbad "Accessing a corrupted shared library"
    LIBSCN Libscn "Corrupted .lib section"
    LIBMAX Libmax "Too many shared libraries"
    LIBEXEC Libexec "Cannot exec a shared library directly"
    ILSEQ Ilseq "Illegal byte sequence"
    RESTART Restart "Interrupted call should be restarted"
    STRPIPE Strpipe "Streams pipe error"
    USERS Users "Too many users"
    NOTSOCK Notsock "Not a socket"
    DESTADDRREQ Destaddrreq "Destination address required"
    MSGSIZE Msgsize "Message too long"
    PROTOTYPE Prototype "Protocol wrong type for socket"
    NOPROTOOPT Noprotoopt "Option not available for this socket"
    PROTONOSUPPORT Protonosupport "Protocol not supported"
    SOCKTNOSUPPORT Socktnosupport "Socket type not supported"
    OPNOTSUPP Opnotsupp "Operation not supported"
    PFNOSUPPORT Pfnosupport "Protocol family not supported"
    AFNOSUPPORT Afnosupport "Address family not supported"
    ADDRINUSE Addrinuse "Address already in use"
    ADDRNOTAVAIL Addrnotavail "Cannot assign requested address"
    NETDOWN Netdown "Network is down"
    NETUNREACH Netunreach "Network is unreachable"
    NETRESET Netreset "Connection reset by the network"
    CONNABORTED Connaborted "Connection aborted"
    CONNRESET Connreset "Connection reset by peer"
    NOBUFS Nobufs "No buffer space available"
    ISCONN Isconn "Socket is connected"
    NOTCONN Notconn "Socket is not connected"
    SHUTDOWN Shutdown "Cannot send after shutdown"
    TOOMANYREFS Toomanyrefs "Too many references: descriptors in flight"
    TIMEDOUT Timedout "Timed out"
    CONNREFUSED Connrefused "Connection refused"
    HOSTDOWN Hostdown "Host is down"
    HOSTUNREACH Hostunreach "No route to host"
    ALREADY Already "Operation already in progress"
    INPROGRESS Inprogress "Operation now in progress"
    STALE Stale "Stale file handle"
    UCLEAN Uclean "Structure needs cleaning"
    NOTNAM Notnam "Not a named type file"
    NAVAIL Navail "No semaphores available"
    ISNAM Isnam "Is a named type file"
    REMOTEIO Remoteio "Remote input/output error"
    DQUOT Dquot "Quota exceeded"
    NOMEDIUM Nomedium "No medium found"
    MEDIUMTYPE Mediumtype "Wrong medium type"
    CANCELED Canceled "Operation canceled"
    NOKEY Nokey "Required key not available"
    KEYEXPIRED Keyexpired "Key has expired"
    KEYREVOKED Keyrevoked "Key has been revoked"
    KEYREJECTED Keyrejected "Key was rejected"
    OWNERDEAD Ownerdead "Owner died"
    NOTRECOVERABLE Notrecoverable "State not recoverable"
    RFKILL Rfkill "Not possible due to RF-kill"
    HWPOISON Hwpoison "Memory page has a hardware error"
    UNKNOWN Unknown "Unknown error"
}

impl Errno {
    /// The error with this number on Linux, as the kernel writes it into messages (netlink, J1939);
    /// [`UNKNOWN`](Self::UNKNOWN) where there is none.
    pub fn from_linux(number: i32) -> Self {
        let index = match usize::try_from(number) {
            // Linux has no 41 and no 58.
            Ok(number @ 1..=40) => number - 1,
            Ok(number @ 42..=57) => number - 2,
            Ok(number @ 59..=133) => number - 3,
            _ => return Self::UNKNOWN,
        };
        IN_ORDER.get(index).copied().unwrap_or(Self::UNKNOWN)
    }

    /// The error number that an [`io::Error`] carries; none for errors that no socket call made.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref() {
            Some(inner) => match inner.downcast_ref::<Errno>() {
                Some(errno) => Some(*errno),
                None => match inner.downcast_ref::<NetlinkError>() {
                    Some(error) => Some(error.errno),
                    None => match inner.downcast_ref::<ConnectError>() {
                        Some(error) => error.errno(),
                        None => inner.downcast_ref::<NameError>().and_then(NameError::errno),
                    },
                },
            },
            // `again` is passed on without a box: non-blocking code sees it all the time.
            None => (error.kind() == ErrorKind::WouldBlock).then_some(Self::AGAIN),
        }
    }

    /// The [`ErrorKind`] that [`std::io`] has for it.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::ACCES | Self::PERM => ErrorKind::PermissionDenied,
            Self::ADDRINUSE => ErrorKind::AddrInUse,
            Self::ADDRNOTAVAIL => ErrorKind::AddrNotAvailable,
            Self::AGAIN => ErrorKind::WouldBlock,
            Self::BUSY => ErrorKind::ResourceBusy,
            Self::CONNABORTED => ErrorKind::ConnectionAborted,
            Self::CONNREFUSED => ErrorKind::ConnectionRefused,
            Self::CONNRESET => ErrorKind::ConnectionReset,
            Self::DEADLK => ErrorKind::Deadlock,
            Self::DQUOT => ErrorKind::QuotaExceeded,
            Self::EXIST => ErrorKind::AlreadyExists,
            Self::FBIG => ErrorKind::FileTooLarge,
            Self::HOSTUNREACH => ErrorKind::HostUnreachable,
            Self::INTR => ErrorKind::Interrupted,
            Self::INVAL => ErrorKind::InvalidInput,
            Self::ISDIR => ErrorKind::IsADirectory,
            Self::NAMETOOLONG => ErrorKind::InvalidFilename,
            Self::NETDOWN => ErrorKind::NetworkDown,
            Self::NETUNREACH => ErrorKind::NetworkUnreachable,
            Self::NOENT => ErrorKind::NotFound,
            Self::NOMEM => ErrorKind::OutOfMemory,
            Self::NOSPC => ErrorKind::StorageFull,
            Self::NOTCONN => ErrorKind::NotConnected,
            Self::NOTDIR => ErrorKind::NotADirectory,
            Self::NOTEMPTY => ErrorKind::DirectoryNotEmpty,
            Self::PIPE => ErrorKind::BrokenPipe,
            Self::ROFS => ErrorKind::ReadOnlyFilesystem,
            Self::TIMEDOUT => ErrorKind::TimedOut,
            Self::TOOBIG => ErrorKind::ArgumentListTooLong,
            Self::NOSYS
            | Self::OPNOTSUPP
            | Self::AFNOSUPPORT
            | Self::PFNOSUPPORT
            | Self::PROTONOSUPPORT
            | Self::SOCKTNOSUPPORT
            | Self::NOPROTOOPT => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message(), self.name())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Errno {}

impl From<Raw> for Errno {
    fn from(raw: Raw) -> Self {
        Self(raw)
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        if errno == Errno::AGAIN {
            return ErrorKind::WouldBlock.into();
        }
        io::Error::new(errno.kind(), errno)
    }
}

impl From<Raw> for io::Error {
    fn from(raw: Raw) -> Self {
        Errno(raw).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_keeps_its_errno_and_has_std_s_kind() {
        for (errno, kind) in [
            (Errno::ACCES, ErrorKind::PermissionDenied),
            (Errno::AGAIN, ErrorKind::WouldBlock),
            (Errno::TIMEDOUT, ErrorKind::TimedOut),
            (Errno::CONNREFUSED, ErrorKind::ConnectionRefused),
            (Errno::HWPOISON, ErrorKind::Other),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(error.kind(), kind);
            assert_eq!(Errno::of(&error), Some(errno));
        }
        let name = io::Error::from(NameError::System(Errno::ACCES));
        assert_eq!(Errno::of(&name), Some(Errno::ACCES));
        assert_eq!(name.kind(), ErrorKind::PermissionDenied);
        assert_eq!(Errno::of(&io::Error::other("elsewhere")), None);
    }

    #[test]
    fn linux_s_numbers_are_known() {
        for (number, errno) in [
            (1, Errno::PERM),
            (13, Errno::ACCES),
            (40, Errno::LOOP),
            (42, Errno::NOMSG),
            (57, Errno::BADSLT),
            (59, Errno::BFONT),
            (95, Errno::OPNOTSUPP),
            (110, Errno::TIMEDOUT),
            (133, Errno::HWPOISON),
            (0, Errno::UNKNOWN),
            (41, Errno::UNKNOWN),
            (134, Errno::UNKNOWN),
            (i32::MIN, Errno::UNKNOWN),
        ] {
            assert_eq!(Errno::from_linux(number), errno, "{number}");
        }
    }

    #[test]
    fn names_are_the_symbolic_ones() {
        assert_eq!(
            Errno::CONNREFUSED.to_string(),
            "Connection refused (ECONNREFUSED)"
        );
        assert_eq!(Errno::TOOBIG.name(), "E2BIG");
        assert_eq!(format!("{:?}", Errno::OPNOTSUPP), "EOPNOTSUPP");
    }
}
