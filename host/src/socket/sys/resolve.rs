//! The C library's databases: getaddrinfo(3), getnameinfo(3), gethostbyname(3), services(5), protocols(5).
//!
//! Unlike everything else here, these wait (for name servers, for files): callers give them a thread.

use std::ffi::{CStr, CString, c_char};
use std::{fmt, ptr};

use libc::{addrinfo, c_int, socklen_t};
use sockgate_policy::{Address, Family, SocketType};

use super::{EncodedAddress, Errno, kind};

mod databases;
mod hosts;

pub use databases::{
    Protocol, Service, protocol_by_name, protocol_by_number, service_by_name, service_by_port,
};
pub use hosts::{Host, host_by_address, host_by_name};

/// An error of getaddrinfo(3) or getnameinfo(3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eai {
    /// EAI_*, by the C library's number: see the constants.
    Code(i32),
    /// EAI_SYSTEM: the error beneath.
    System(Errno),
}

impl Eai {
    /// The name servers do not answer now.
    pub const AGAIN: Self = Self::Code(libc::EAI_AGAIN);
    /// Flags that contradict each other.
    pub const BADFLAGS: Self = Self::Code(libc::EAI_BADFLAGS);
    /// The name servers refuse for good.
    pub const FAIL: Self = Self::Code(libc::EAI_FAIL);
    /// No such family here.
    pub const FAMILY: Self = Self::Code(libc::EAI_FAMILY);
    /// Out of memory.
    pub const MEMORY: Self = Self::Code(libc::EAI_MEMORY);
    /// No such host or service.
    pub const NONAME: Self = Self::Code(libc::EAI_NONAME);
    /// A name longer than its room.
    pub const OVERFLOW: Self = Self::Code(libc::EAI_OVERFLOW);
    /// No such service for this type.
    pub const SERVICE: Self = Self::Code(libc::EAI_SERVICE);
    /// No such type here.
    pub const SOCKTYPE: Self = Self::Code(libc::EAI_SOCKTYPE);
    /// No address of that name.
    pub const NODATA: Self = Self::Code(-5);
    /// No address of that name in that family.
    pub const ADDRFAMILY: Self = Self::Code(-9);

    /// What a call returned, which is not 0. Errno is read at once, before anything changes it.
    fn from_result(result: c_int) -> Self {
        match result {
            libc::EAI_SYSTEM => Self::System(Errno::last()),
            code => Self::Code(code),
        }
    }
}

impl fmt::Debug for Eai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Eai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AGAIN => f.write_str("again"),
            Self::BADFLAGS => f.write_str("badflags"),
            Self::FAIL => f.write_str("fail"),
            Self::FAMILY => f.write_str("family"),
            Self::MEMORY => f.write_str("memory"),
            Self::NONAME => f.write_str("noname"),
            Self::OVERFLOW => f.write_str("overflow"),
            Self::SERVICE => f.write_str("service"),
            Self::SOCKTYPE => f.write_str("socktype"),
            Self::NODATA => f.write_str("nodata"),
            Self::ADDRFAMILY => f.write_str("addrfamily"),
            Self::Code(code) => write!(f, "resolver error {code}"),
            Self::System(errno) => write!(f, "system: {errno}"),
        }
    }
}

impl std::error::Error for Eai {}

bitflags::bitflags! {
    /// AI_*, getaddrinfo(3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LookupFlags: i32 {
        /// AI_PASSIVE: no host is the wildcard address, to bind to.
        const PASSIVE = libc::AI_PASSIVE;
        /// AI_CANONNAME
        const CANONICAL_NAME = libc::AI_CANONNAME;
        /// AI_NUMERICHOST: no look-up.
        const NUMERIC_HOST = libc::AI_NUMERICHOST;
        /// AI_NUMERICSERV: no look-up.
        const NUMERIC_SERVICE = libc::AI_NUMERICSERV;
        /// AI_V4MAPPED
        const V4_MAPPED = libc::AI_V4MAPPED;
        /// AI_ALL
        const ALL = libc::AI_ALL;
        /// AI_ADDRCONFIG: only families that this host has addresses of.
        const ADDRESS_CONFIG = libc::AI_ADDRCONFIG;
    }

    /// NI_*, getnameinfo(3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct NameFlags: i32 {
        /// NI_NUMERICHOST
        const NUMERIC_HOST = libc::NI_NUMERICHOST;
        /// NI_NUMERICSERV
        const NUMERIC_SERVICE = libc::NI_NUMERICSERV;
        /// NI_NAMEREQD: an error where only numbers are known.
        const NAME_REQUIRED = libc::NI_NAMEREQD;
        /// NI_DGRAM: services of udp.
        const DATAGRAM = libc::NI_DGRAM;
        /// NI_NOFQDN
        const NO_FQDN = libc::NI_NOFQDN;
        /// NI_IDN. The C library is not asked for it: it would write the name in the process's locale.
        const INTERNATIONAL = 32;
    }
}

/// What to look for; none is any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// ai_family
    pub family: Option<Family>,
    /// ai_socktype
    pub socket_type: Option<SocketType>,
    /// ai_protocol
    pub protocol: Option<u32>,
    /// ai_flags
    pub flags: LookupFlags,
}

/// One answer of getaddrinfo(3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressInfo {
    /// Of the socket to make for it.
    pub family: Family,
    /// Likewise.
    pub socket_type: SocketType,
    /// Likewise.
    pub protocol: u32,
    /// In the first answer, when it was asked for.
    pub canonical_name: Option<Vec<u8>>,
    /// With the port of the service.
    pub address: Address,
}

/// getaddrinfo(3). Names are absolute: the search domains of resolv.conf(5) are not tried. Answers of
/// families without a codec here are left out.
pub fn look_up(
    host: Option<&[u8]>,
    service: Option<&[u8]>,
    hints: &Hints,
) -> std::result::Result<Vec<AddressInfo>, Eai> {
    let host = host
        .map(CString::new)
        .transpose()
        .map_err(|_| Eai::NONAME)?;
    let service = service
        .map(CString::new)
        .transpose()
        .map_err(|_| Eai::SERVICE)?;
    // SAFETY: null pointers and zeros are what hints have beside the four fields below.
    let mut wanted: addrinfo = unsafe { std::mem::zeroed() };
    wanted.ai_flags = hints.flags.bits();
    wanted.ai_family = hints.family.map_or(libc::AF_UNSPEC, kind::domain);
    wanted.ai_socktype = hints.socket_type.map_or(0, kind::style);
    wanted.ai_protocol = match hints.protocol.map(c_int::try_from) {
        None => 0,
        Some(Ok(protocol)) => protocol,
        Some(Err(_)) => return Err(Eai::SERVICE),
    };
    let mut list = ptr::null_mut();
    search::switch_off();
    // SAFETY: the strings and the hints live until the call returns; `list` is where it puts its answer.
    let result = unsafe {
        libc::getaddrinfo(
            host.as_ref().map_or(ptr::null(), |host| host.as_ptr()),
            service
                .as_ref()
                .map_or(ptr::null(), |service| service.as_ptr()),
            &wanted,
            &mut list,
        )
    };
    if result != 0 {
        return Err(Eai::from_result(result));
    }
    let mut answers = Vec::new();
    let mut next = list;
    // SAFETY: the list ends with a null pointer; each entry's pointers are null or of live objects, until
    // the list is freed, once, at its end.
    unsafe {
        while let Some(entry) = next.as_ref() {
            answers.extend(address_info(entry));
            next = entry.ai_next;
        }
        libc::freeaddrinfo(list);
    }
    Ok(answers)
}

/// One entry of the C library's list; none for a family without a codec.
///
/// # Safety
/// The entry's pointers are null or of live objects with the lengths beside them.
unsafe fn address_info(entry: &addrinfo) -> Option<AddressInfo> {
    if entry.ai_addr.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for the address.
    let bytes = unsafe {
        std::slice::from_raw_parts(entry.ai_addr.cast::<u8>(), entry.ai_addrlen as usize)
    };
    // SAFETY: the caller vouches for the name, which ends in NUL.
    let canonical_name = unsafe { text(entry.ai_canonname) };
    Some(AddressInfo {
        family: kind::family_of(entry.ai_family),
        socket_type: kind::type_of(entry.ai_socktype),
        protocol: u32::try_from(entry.ai_protocol).unwrap_or(0),
        canonical_name,
        address: EncodedAddress::from_bytes(bytes)
            .decode_by_family()
            .ok()??,
    })
}

/// Search domains: resolv.conf(5) has them, and a policy's names are absolute.
#[cfg(target_env = "gnu")]
mod search {
    use libc::{c_int, c_ulong};

    /// The head of glibc's `struct __res_state`, resolver(3), which is part of its ABI.
    #[repr(C)]
    struct State {
        retransmission: c_int,
        retries: c_int,
        options: c_ulong,
    }

    unsafe extern "C" {
        fn __res_state() -> *mut State;
    }

    const RES_INIT: c_ulong = 0x1;
    /// RES_DEFNAMES: the default domain for names without a dot. RES_DNSRCH: the search list for others.
    const SEARCH: c_ulong = 0x80 | 0x200;

    /// Switches them off for this thread, until its resolver is initialised anew.
    pub fn switch_off() {
        // SAFETY: glibc's resolver state belongs to this thread and lives as long as it does; nothing else
        // uses it meanwhile. `res_init` fills it from resolv.conf and fails harmlessly.
        unsafe {
            let state = __res_state();
            if (*state).options & RES_INIT == 0 {
                libc::res_init();
            }
            (*state).options &= !SEARCH;
        }
    }

    /// Whether this thread's resolver would search.
    #[cfg(test)]
    pub fn is_on() -> bool {
        // SAFETY: as above.
        unsafe { (*__res_state()).options & SEARCH != 0 }
    }
}

/// Other C libraries have no such switch.
#[cfg(not(target_env = "gnu"))]
mod search {
    pub fn switch_off() {}
}

// Their lengths in glibc's and musl's netdb.h.
const HOST_CAPACITY: usize = 1025;
const SERVICE_CAPACITY: usize = 32;

/// getnameinfo(3): the host and the service of an address. An internationalised name comes in A-labels.
pub fn name_of(
    address: &EncodedAddress,
    flags: NameFlags,
) -> std::result::Result<(Vec<u8>, Vec<u8>), Eai> {
    let mut host = vec![0u8; HOST_CAPACITY];
    let mut service = vec![0u8; SERVICE_CAPACITY];
    search::switch_off();
    // SAFETY: each pointer and its length are of one live object.
    let result = unsafe {
        libc::getnameinfo(
            address.pointer(),
            address.length(),
            host.as_mut_ptr().cast(),
            host.len() as socklen_t,
            service.as_mut_ptr().cast(),
            service.len() as socklen_t,
            (flags - NameFlags::INTERNATIONAL).bits(),
        )
    };
    if result != 0 {
        return Err(Eai::from_result(result));
    }
    for name in [&mut host, &mut service] {
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        name.truncate(end);
    }
    Ok((host, service))
}

/// # Safety
/// The pointer is null, or of a live string that ends in NUL.
unsafe fn text(pointer: *const c_char) -> Option<Vec<u8>> {
    // SAFETY: the caller vouches for it.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_hosts_in_any_notation_are_addresses() {
        let hints = Hints {
            socket_type: Some(SocketType::Stream),
            ..Hints::default()
        };
        for host in ["127.0.0.1", "0x7f.1", "0177.0.0.1", "2130706433"] {
            let answers = look_up(Some(host.as_bytes()), Some(b"80"), &hints).unwrap();
            let [answer] = &answers[..] else {
                panic!("{host}: {answers:?}")
            };
            assert_eq!(
                answer.address,
                Address::Inet("127.0.0.1:80".parse().unwrap()),
                "{host}"
            );
            assert_eq!(
                (answer.family, answer.protocol),
                (Family::Inet, 6),
                "{host}"
            );
        }
        let v6 = look_up(Some(b"::1"), None, &hints).unwrap();
        assert_eq!(v6[0].address, Address::Inet6("[::1]:0".parse().unwrap()));
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        let flags = LookupFlags::NUMERIC_HOST;
        let hints = Hints {
            flags,
            ..Hints::default()
        };
        assert_eq!(
            look_up(Some(b"not-a-number"), None, &hints),
            Err(Eai::NONAME)
        );
        assert_eq!(
            look_up(Some(b"127.0\0.0.1"), None, &hints),
            Err(Eai::NONAME)
        );
        assert_eq!(look_up(None, None, &hints), Err(Eai::NONAME));
        let hints = Hints {
            protocol: Some(u32::MAX),
            ..hints
        };
        assert_eq!(look_up(Some(b"127.0.0.1"), None, &hints), Err(Eai::SERVICE));
        assert_eq!(Eai::NONAME.to_string(), "noname");
    }

    #[test]
    fn no_host_is_loopback_or_the_wildcard() {
        let ask = |flags| {
            let hints = Hints {
                family: Some(Family::Inet),
                flags,
                ..Hints::default()
            };
            look_up(None, Some(b"7"), &hints).unwrap()[0]
                .address
                .clone()
        };
        assert_eq!(
            ask(LookupFlags::empty()),
            Address::Inet("127.0.0.1:7".parse().unwrap())
        );
        assert_eq!(
            ask(LookupFlags::PASSIVE),
            Address::Inet("0.0.0.0:7".parse().unwrap())
        );
    }

    #[test]
    fn names_of_addresses_come_in_numbers() {
        let address = EncodedAddress::try_from(&Address::Inet("127.0.0.1:80".parse().unwrap()));
        let flags = NameFlags::NUMERIC_HOST | NameFlags::NUMERIC_SERVICE;
        assert_eq!(
            name_of(&address.unwrap(), flags),
            Ok((b"127.0.0.1".to_vec(), b"80".to_vec()))
        );
        let none = EncodedAddress::empty();
        assert_eq!(name_of(&none, flags), Err(Eai::FAMILY));
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn search_domains_are_off_in_every_thread_that_looks_up() {
        std::thread::spawn(|| {
            look_up(Some(b"127.0.0.1"), None, &Hints::default()).unwrap();
            assert!(!search::is_on());
        })
        .join()
        .unwrap();
    }
}
