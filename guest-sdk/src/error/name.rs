//! Errors of names: the EAI_* of getaddrinfo(3), the h_errno of gethostbyname(3).

use std::fmt;
use std::io::{self, ErrorKind};

use crate::bindings::sockgate::sockets::names::NameError as RawNameError;
use crate::consts;
use crate::error::Errno;

/// Why a name was not found: the EAI_* errors of getaddrinfo(3), and those of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameError {
    /// EAI_ADDRFAMILY: the host has no address of that family.
    AddressFamily,
    /// EAI_AGAIN: the name server failed for now; try again later.
    Again,
    /// EAI_BADFLAGS: flags that do not go together.
    BadFlags,
    /// EAI_FAIL: the name server failed for good.
    Fail,
    /// EAI_FAMILY: no such family here.
    Family,
    /// EAI_MEMORY: out of memory.
    Memory,
    /// EAI_NODATA: the name exists and has no addresses.
    NoData,
    /// EAI_NONAME: no such host or service.
    NoName,
    /// EAI_OVERFLOW: a name that is too long.
    Overflow,
    /// EAI_SERVICE: no such service for this type of socket.
    Service,
    /// EAI_SOCKTYPE: no such type of socket here.
    SocketType,
    /// EAI_SYSTEM: [`Errno::ACCES`] where the policy does not grant the name, [`Errno::TIMEDOUT`],
    /// [`Errno::INTR`], [`Errno::OPNOTSUPP`].
    System(Errno),
    /// Another error, by the host's number.
    Other(i32),
}

macro_rules! known {
    ($($error:expr, $name:ident, $text:literal;)*) => {
        /// Number, name and text of each error, as netdb.h and gai_strerror(3) have them.
        const KNOWN: &[(NameError, i32, &str, &str)] =
            &[$(($error, consts::$name, stringify!($name), $text),)*];
    };
}

known! {
    NameError::BadFlags, EAI_BADFLAGS, "Bad value for ai_flags";
    NameError::NoName, EAI_NONAME, "Name or service not known";
    NameError::Again, EAI_AGAIN, "Temporary failure in name resolution";
    NameError::Fail, EAI_FAIL, "Non-recoverable failure in name resolution";
    NameError::NoData, EAI_NODATA, "No address associated with hostname";
    NameError::Family, EAI_FAMILY, "ai_family not supported";
    NameError::SocketType, EAI_SOCKTYPE, "ai_socktype not supported";
    NameError::Service, EAI_SERVICE, "Servname not supported for ai_socktype";
    NameError::AddressFamily, EAI_ADDRFAMILY, "Address family for hostname not supported";
    NameError::Memory, EAI_MEMORY, "Memory allocation failure";
    // The only one that gai_strerror(3) has no text for.
    NameError::Overflow, EAI_OVERFLOW, "Name longer than its room";
    NameError::Other(consts::EAI_INPROGRESS), EAI_INPROGRESS, "Processing request in progress";
    NameError::Other(consts::EAI_CANCELED), EAI_CANCELED, "Request canceled";
    NameError::Other(consts::EAI_NOTCANCELED), EAI_NOTCANCELED, "Request not canceled";
    NameError::Other(consts::EAI_ALLDONE), EAI_ALLDONE, "All requests done";
    NameError::Other(consts::EAI_INTR), EAI_INTR, "Interrupted by a signal";
    NameError::Other(consts::EAI_IDN_ENCODE), EAI_IDN_ENCODE, "Parameter string not correctly encoded";
}

impl NameError {
    /// The error with this number on Linux (netdb.h). EAI_SYSTEM comes without the errno beneath, which is
    /// then [`Errno::UNKNOWN`].
    pub fn from_number(number: i32) -> Self {
        if number == consts::EAI_SYSTEM {
            return Self::System(Errno::UNKNOWN);
        }
        KNOWN
            .iter()
            .find(|(_, known, ..)| *known == number)
            .map_or(Self::Other(number), |(error, ..)| *error)
    }

    /// Linux's number of it (netdb.h): what Python's `gaierror` has as its `errno`.
    pub fn number(&self) -> i32 {
        match self {
            Self::System(_) => consts::EAI_SYSTEM,
            Self::Other(number) => *number,
            known => known.row().map_or(0, |(number, ..)| number),
        }
    }

    /// The symbolic name: `EAI_NONAME`; for an error of the host that has none, `EAI_?`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::System(_) => "EAI_SYSTEM",
            other => other.row().map_or("EAI_?", |(_, name, _)| name),
        }
    }

    /// What it means, in the words of gai_strerror(3): `Name or service not known`. For
    /// [`NameError::System`] those of the [`Errno`].
    pub fn message(&self) -> &'static str {
        match self {
            Self::System(errno) => errno.message(),
            other => other.row().map_or("Unknown error", |(.., text)| text),
        }
    }

    fn row(&self) -> Option<(i32, &'static str, &'static str)> {
        KNOWN
            .iter()
            .find(|(error, ..)| error == self)
            .map(|(_, number, name, text)| (*number, *name, *text))
    }

    /// The error number of [`NameError::System`].
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(errno) => Some(*errno),
            _ => None,
        }
    }

    /// Whether the time that the caller gave has passed. A name server that does not answer within the
    /// resolver's own time (resolv.conf(5)) is [`NameError::Again`] instead.
    ///
    /// As an [`io::Error`] a time-out is of the kind [`TimedOut`](ErrorKind::TimedOut).
    pub fn is_timeout(&self) -> bool {
        *self == Self::System(Errno::TIMEDOUT)
    }

    /// The same error as gethostbyname(3) and gethostbyaddr(3) have it in h_errno: Python's `herror`. None
    /// for what has no number there.
    pub fn host_error(&self) -> Option<HostError> {
        match self {
            Self::NoName => Some(HostError::HostNotFound),
            Self::Again => Some(HostError::TryAgain),
            Self::Fail => Some(HostError::NoRecovery),
            Self::NoData => Some(HostError::NoData),
            _ => None,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => errno.fmt(f),
            Self::Other(number) if self.row().is_none() => {
                write!(f, "Name resolution error {number}")
            }
            known => write!(f, "{} ({})", known.message(), known.name()),
        }
    }
}

impl std::error::Error for NameError {}

impl From<RawNameError> for NameError {
    fn from(raw: RawNameError) -> Self {
        match raw {
            RawNameError::Addrfamily => Self::AddressFamily,
            RawNameError::Again => Self::Again,
            RawNameError::Badflags => Self::BadFlags,
            RawNameError::Fail => Self::Fail,
            RawNameError::Family => Self::Family,
            RawNameError::Memory => Self::Memory,
            RawNameError::Nodata => Self::NoData,
            RawNameError::Noname => Self::NoName,
            RawNameError::Overflow => Self::Overflow,
            RawNameError::Service => Self::Service,
            RawNameError::Socktype => Self::SocketType,
            RawNameError::System(errno) => Self::System(errno.into()),
            RawNameError::Other(number) => Self::Other(number),
        }
    }
}

impl From<NameError> for io::Error {
    fn from(error: NameError) -> Self {
        let kind = match error {
            NameError::System(errno) => errno.kind(),
            NameError::AddressFamily | NameError::NoData | NameError::NoName => ErrorKind::NotFound,
            NameError::Memory => ErrorKind::OutOfMemory,
            NameError::BadFlags | NameError::Overflow | NameError::Service => {
                ErrorKind::InvalidInput
            }
            NameError::Family | NameError::SocketType => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Why gethostbyname(3) or gethostbyaddr(3) found no host: their h_errno, and Python's `herror`. See
/// [`NameError::host_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostError {
    /// HOST_NOT_FOUND: there is no such host.
    HostNotFound,
    /// TRY_AGAIN: the name server failed for now.
    TryAgain,
    /// NO_RECOVERY: the name server failed for good.
    NoRecovery,
    /// NO_DATA: the host exists and has no address, or the address no name.
    NoData,
}

impl HostError {
    /// The number in h_errno (netdb.h).
    pub const fn number(self) -> i32 {
        match self {
            Self::HostNotFound => 1,
            Self::TryAgain => 2,
            Self::NoRecovery => 3,
            Self::NoData => 4,
        }
    }

    /// The symbolic name: `HOST_NOT_FOUND`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostNotFound => "HOST_NOT_FOUND",
            Self::TryAgain => "TRY_AGAIN",
            Self::NoRecovery => "NO_RECOVERY",
            Self::NoData => "NO_DATA",
        }
    }

    /// What it means, in the words of hstrerror(3): `Unknown host`.
    pub const fn message(self) -> &'static str {
        match self {
            Self::HostNotFound => "Unknown host",
            Self::TryAgain => "Host name lookup failure",
            Self::NoRecovery => "Unknown server error",
            Self::NoData => "No address associated with name",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message(), self.name())
    }
}

impl std::error::Error for HostError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_linux_s_numbers_and_names() {
        for (error, number, name, message) in KNOWN {
            assert_eq!(NameError::from_number(*number), *error);
            assert_eq!(error.number(), *number);
            assert_eq!((error.name(), error.message()), (*name, *message));
        }
        let system = NameError::System(Errno::ACCES);
        assert_eq!((system.number(), system.name()), (-11, "EAI_SYSTEM"));
        assert_eq!(system.to_string(), "Permission denied (EACCES)");
        let odd = NameError::from_number(-42);
        assert_eq!(
            (odd, odd.to_string()),
            (
                NameError::Other(-42),
                "Name resolution error -42".to_owned()
            )
        );
        assert_eq!(
            NameError::NoName.to_string(),
            "Name or service not known (EAI_NONAME)"
        );
    }

    #[test]
    fn a_time_out_is_told_from_a_server_that_fails() {
        let late = NameError::System(Errno::TIMEDOUT);
        assert!(late.is_timeout() && !NameError::Again.is_timeout());
        assert_eq!(io::Error::from(late).kind(), ErrorKind::TimedOut);
        assert_ne!(
            io::Error::from(NameError::Again).kind(),
            ErrorKind::TimedOut
        );
    }

    #[test]
    fn four_of_them_are_h_errnos() {
        let errors: Vec<_> = KNOWN
            .iter()
            .filter_map(|(error, ..)| error.host_error())
            .collect();
        let numbers: Vec<_> = errors.iter().map(|error| error.number()).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(NameError::System(Errno::INTR).host_error(), None);
        assert_eq!(
            HostError::HostNotFound.to_string(),
            "Unknown host (HOST_NOT_FOUND)"
        );
    }
}
