//! getaddrinfo(3) and getnameinfo(3): netdb.h.

super::numbers! {
    "Flag of getaddrinfo(3)": i32 {
        AI_PASSIVE = 1,
        AI_CANONNAME = 2,
        AI_NUMERICHOST = 4,
        AI_V4MAPPED = 8,
        AI_ALL = 0x10,
        AI_ADDRCONFIG = 0x20,
        AI_IDN = 0x40,
        AI_CANONIDN = 0x80,
        AI_NUMERICSERV = 0x400,
    }
    "Flag of getnameinfo(3)": i32 {
        NI_NUMERICHOST = 1,
        NI_NUMERICSERV = 2,
        NI_NOFQDN = 4,
        NI_NAMEREQD = 8,
        NI_DGRAM = 16,
        NI_IDN = 32,
    }
    "Length of a buffer for getnameinfo(3)": i32 {
        NI_MAXSERV = 32,
        NI_MAXHOST = 1025,
    }
    "Error of getaddrinfo(3); this package's own are [`NameError`](crate::NameError)": i32 {
        EAI_IDN_ENCODE = -105,
        EAI_INTR = -104,
        EAI_ALLDONE = -103,
        EAI_NOTCANCELED = -102,
        EAI_CANCELED = -101,
        EAI_INPROGRESS = -100,
        EAI_OVERFLOW = -12,
        EAI_SYSTEM = -11,
        EAI_MEMORY = -10,
        EAI_ADDRFAMILY = -9,
        EAI_SERVICE = -8,
        EAI_SOCKTYPE = -7,
        EAI_FAMILY = -6,
        EAI_NODATA = -5,
        EAI_FAIL = -4,
        EAI_AGAIN = -3,
        EAI_NONAME = -2,
        EAI_BADFLAGS = -1,
    }
}
