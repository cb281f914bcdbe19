//! Error numbers, errno(3).

use std::{fmt, io};

/// The result of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// An error of the system, by Linux's number. It shows as its symbolic name in lower case without the E:
/// `connrefused`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

impl Errno {
    /// The error of the system call that this thread made last.
    pub fn last() -> Self {
        io::Error::last_os_error().into()
    }

    /// The error with this number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Linux's number.
    pub const fn raw(self) -> i32 {
        self.0
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        match (error.raw_os_error(), error.kind()) {
            (Some(number), _) => Self(number),
            (None, io::ErrorKind::InvalidInput) => Self::INVAL,
            (None, io::ErrorKind::WouldBlock) => Self::AGAIN,
            (None, io::ErrorKind::TimedOut) => Self::TIMEDOUT,
            (None, io::ErrorKind::Interrupted) => Self::INTR,
            (None, io::ErrorKind::NotFound) => Self::NOENT,
            (None, io::ErrorKind::PermissionDenied) => Self::ACCES,
            (None, io::ErrorKind::Unsupported) => Self::OPNOTSUPP,
            (None, io::ErrorKind::OutOfMemory) => Self::NOMEM,
            (None, _) => Self::IO,
        }
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

/// One table makes the constants and their names.
macro_rules! errors {
    ($($constant:ident $number:ident $name:literal,)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($number), "`, errno(3).")]
                pub const $constant: Self = Self(libc::$number);
            )*

            /// Every error that has a name here.
            pub const ALL: &[Self] = &[$(Self::$constant,)*];

            /// The symbolic name in lower case without the E; none for a number that has no name.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $(libc::$number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

errors! {
    PERM EPERM "perm",
    NOENT ENOENT "noent",
    SRCH ESRCH "srch",
    INTR EINTR "intr",
    IO EIO "io",
    NXIO ENXIO "nxio",
    E2BIG E2BIG "e2big",
    NOEXEC ENOEXEC "noexec",
    BADF EBADF "badf",
    CHILD ECHILD "child",
    AGAIN EAGAIN "again",
    NOMEM ENOMEM "nomem",
    ACCES EACCES "acces",
    FAULT EFAULT "fault",
    NOTBLK ENOTBLK "notblk",
    BUSY EBUSY "busy",
    EXIST EEXIST "exist",
    XDEV EXDEV "xdev",
    NODEV ENODEV "nodev",
    NOTDIR ENOTDIR "notdir",
    ISDIR EISDIR "isdir",
    INVAL EINVAL "inval",
    NFILE ENFILE "nfile",
    MFILE EMFILE "mfile",
    NOTTY ENOTTY "notty",
    TXTBSY ETXTBSY "txtbsy",
    FBIG EFBIG "fbig",
    NOSPC ENOSPC "nospc",
    SPIPE ESPIPE "spipe",
    ROFS EROFS "rofs",
    MLINK EMLINK "mlink",
    PIPE EPIPE "pipe",
    DOM EDOM "dom",
    RANGE ERANGE "range",
    DEADLK EDEADLK "deadlk",
    NAMETOOLONG ENAMETOOLONG "nametoolong",
    NOLCK ENOLCK "nolck",
    NOSYS ENOSYS "nosys",
    NOTEMPTY ENOTEMPTY "notempty",
    LOOP ELOOP "loop",
    NOMSG ENOMSG "nomsg",
    IDRM EIDRM "idrm",
    CHRNG ECHRNG "chrng",
    L2NSYNC EL2NSYNC "l2nsync",
    L3HLT EL3HLT "l3hlt",
    L3RST EL3RST "l3rst",
    LNRNG ELNRNG "lnrng",
    UNATCH EUNATCH "unatch",
    NOCSI ENOCSI "nocsi",
    L2HLT EL2HLT "l2hlt",
    BADE EBADE "bade",
    BADR EBADR "badr",
    XFULL EXFULL "xfull",
    NOANO ENOANO "noano",
    BADRQC EBADRQC "badrqc",
    BADSLT EBADSLT "badslt",
    BFONT EBFONT "bfont",
    NOSTR ENOSTR "nostr",
    NODATA ENODATA "nodata",
    TIME ETIME "time",
    NOSR ENOSR "nosr",
    NONET ENONET "nonet",
    NOPKG ENOPKG "nopkg",
    REMOTE EREMOTE "remote",
    NOLINK ENOLINK "nolink",
    ADV EADV "adv",
    SRMNT ESRMNT "srmnt",
    COMM ECOMM "comm",
    PROTO EPROTO "proto",
    MULTIHOP EMULTIHOP "multihop",
    DOTDOT EDOTDOT "dotdot",
    BADMSG EBADMSG "badmsg",
    OVERFLOW EOVERFLOW "overflow",
    NOTUNIQ ENOTUNIQ "notuniq",
    BADFD EBADFD "badfd",
    REMCHG EREMCHG "remchg",
    LIBACC ELIBACC "libacc",
    LIBBAD ELIBBAD "libbad",
    LIBSCN ELIBSCN "libscn",
    LIBMAX ELIBMAX "libmax",
    LIBEXEC ELIBEXEC "libexec",
    ILSEQ EILSEQ "ilseq",
    RESTART ERESTART "restart",
    STRPIPE ESTRPIPE "strpipe",
    USERS EUSERS "users",
    NOTSOCK ENOTSOCK "notsock",
    DESTADDRREQ EDESTADDRREQ "destaddrreq",
    MSGSIZE EMSGSIZE "msgsize",
    PROTOTYPE EPROTOTYPE "prototype",
    NOPROTOOPT ENOPROTOOPT "noprotoopt",
    PROTONOSUPPORT EPROTONOSUPPORT "protonosupport",
    SOCKTNOSUPPORT ESOCKTNOSUPPORT "socktnosupport",
    OPNOTSUPP EOPNOTSUPP "opnotsupp",
    PFNOSUPPORT EPFNOSUPPORT "pfnosupport",
    AFNOSUPPORT EAFNOSUPPORT "afnosupport",
    ADDRINUSE EADDRINUSE "addrinuse",
    ADDRNOTAVAIL EADDRNOTAVAIL "addrnotavail",
    NETDOWN ENETDOWN "netdown",
    NETUNREACH ENETUNREACH "netunreach",
    NETRESET ENETRESET "netreset",
    CONNABORTED ECONNABORTED "connaborted",
    CONNRESET ECONNRESET "connreset",
    NOBUFS ENOBUFS "nobufs",
    ISCONN EISCONN "isconn",
    NOTCONN ENOTCONN "notconn",
    SHUTDOWN ESHUTDOWN "shutdown",
    TOOMANYREFS ETOOMANYREFS "toomanyrefs",
    TIMEDOUT ETIMEDOUT "timedout",
    CONNREFUSED ECONNREFUSED "connrefused",
    HOSTDOWN EHOSTDOWN "hostdown",
    HOSTUNREACH EHOSTUNREACH "hostunreach",
    ALREADY EALREADY "already",
    INPROGRESS EINPROGRESS "inprogress",
    STALE ESTALE "stale",
    UCLEAN EUCLEAN "uclean",
    NOTNAM ENOTNAM "notnam",
    NAVAIL ENAVAIL "navail",
    ISNAM EISNAM "isnam",
    REMOTEIO EREMOTEIO "remoteio",
    DQUOT EDQUOT "dquot",
    NOMEDIUM ENOMEDIUM "nomedium",
    MEDIUMTYPE EMEDIUMTYPE "mediumtype",
    CANCELED ECANCELED "canceled",
    NOKEY ENOKEY "nokey",
    KEYEXPIRED EKEYEXPIRED "keyexpired",
    KEYREVOKED EKEYREVOKED "keyrevoked",
    KEYREJECTED EKEYREJECTED "keyrejected",
    OWNERDEAD EOWNERDEAD "ownerdead",
    NOTRECOVERABLE ENOTRECOVERABLE "notrecoverable",
    RFKILL ERFKILL "rfkill",
    HWPOISON EHWPOISON "hwpoison",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_symbols_in_lower_case() {
        assert_eq!(Errno::CONNREFUSED.to_string(), "connrefused");
        assert_eq!(format!("{:?}", Errno::E2BIG), "e2big");
        assert_eq!(Errno::from_raw(libc::EWOULDBLOCK), Errno::AGAIN);
        assert_eq!(Errno::from_raw(libc::ENOTSUP), Errno::OPNOTSUPP);
        assert_eq!(Errno::from_raw(4095).to_string(), "errno 4095");
    }

    #[test]
    fn every_number_of_linux_has_a_name() {
        // 41 and 58 are holes in Linux's numbering.
        let unnamed: Vec<i32> = (1..=133)
            .filter(|number| Errno::from_raw(*number).name().is_none())
            .collect();
        assert_eq!(unnamed, [41, 58]);
        assert_eq!(Errno::ALL.len(), 131);
    }

    #[test]
    fn io_errors_keep_their_number_both_ways() {
        let error: io::Error = Errno::NOBUFS.into();
        assert_eq!(Errno::from(error), Errno::NOBUFS);
        assert_eq!(
            Errno::from(io::Error::from(io::ErrorKind::InvalidInput)),
            Errno::INVAL
        );
        assert_eq!(Errno::from(io::Error::other("no number")), Errno::IO);
    }
}
