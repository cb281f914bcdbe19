//! gethostbyname(3), gethostbyaddr(3): a host with its other names.

use std::cell::Cell;
use std::ffi::{CString, c_char};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{c_int, c_void, hostent, size_t, socklen_t};

use super::databases::{row, texts};
use super::{Eai, search, text};
use crate::socket::sys::Errno;

/// A host, with its other names and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its official name.
    pub name: Vec<u8>,
    /// Its other names.
    pub aliases: Vec<Vec<u8>>,
    /// Its addresses, all of one family.
    pub addresses: Vec<IpAddr>,
}

// libc declares only the forms that share one static buffer among all threads.
unsafe extern "C" {
    fn gethostbyname_r(
        name: *const c_char,
        entry: *mut hostent,
        buffer: *mut c_char,
        length: size_t,
        result: *mut *mut hostent,
        error: *mut c_int,
    ) -> c_int;
    fn gethostbyaddr_r(
        address: *const c_void,
        address_length: socklen_t,
        family: c_int,
        entry: *mut hostent,
        buffer: *mut c_char,
        length: size_t,
        result: *mut *mut hostent,
        error: *mut c_int,
    ) -> c_int;
}

/// gethostbyname(3): a name's IPv4 addresses. Names are absolute, as in [`look_up`](super::look_up).
pub fn host_by_name(name: &[u8]) -> Result<Host, Eai> {
    let name = CString::new(name).map_err(|_| Eai::NONAME)?;
    entry(|entry, buffer, length, result, error| {
        // SAFETY: the name lives until the call returns, and `entry` gives the rest.
        unsafe { gethostbyname_r(name.as_ptr(), entry, buffer, length, result, error) }
    })
}

/// gethostbyaddr(3): the names of an address.
pub fn host_by_address(ip: IpAddr) -> Result<Host, Eai> {
    let (family, octets) = match ip {
        IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
    };
    entry(|entry, buffer, length, result, error| {
        // SAFETY: the octets are as many as their length says and live until the call returns; `entry`
        // gives the rest.
        unsafe {
            gethostbyaddr_r(
                octets.as_ptr().cast(),
                octets.len() as socklen_t,
                family,
                entry,
                buffer,
                length,
                result,
                error,
            )
        }
    })
}

/// Asks for one host; h_errno tells why there is none.
fn entry(
    ask: impl Fn(*mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int,
) -> Result<Host, Eai> {
    let why = Cell::new(0);
    search::switch_off();
    row(
        |entry, buffer, length, result| ask(entry, buffer, length, result, why.as_ptr()),
        // SAFETY: `row` gives a filled entry.
        |entry| unsafe { host(entry) },
    )
    .map_err(|errno| from_h_errno(why.get(), errno))
}

/// h_errno, gethostbyname(3), as what getaddrinfo(3) has for it.
fn from_h_errno(number: c_int, errno: Errno) -> Eai {
    // netdb.h has the same in glibc and musl.
    match number {
        1 => Eai::NONAME,
        2 => Eai::AGAIN,
        3 => Eai::FAIL,
        4 => Eai::NODATA,
        _ => Eai::System(errno),
    }
}

/// # Safety
/// The entry's strings are live and end in NUL, its lists in a null pointer, and its addresses have the
/// length that it says.
unsafe fn host(entry: &hostent) -> Host {
    let mut addresses = Vec::new();
    // SAFETY: the caller vouches for it.
    unsafe {
        let mut list = entry.h_addr_list;
        while !list.is_null() && !(*list).is_null() {
            addresses.extend(match entry.h_addrtype {
                libc::AF_INET if entry.h_length == 4 => {
                    Some(Ipv4Addr::from((*list).cast::<[u8; 4]>().read_unaligned()).into())
                }
                libc::AF_INET6 if entry.h_length == 16 => {
                    Some(Ipv6Addr::from((*list).cast::<[u8; 16]>().read_unaligned()).into())
                }
                _ => None::<IpAddr>,
            });
            list = list.add(1);
        }
        Host {
            name: text(entry.h_name).unwrap_or_default(),
            aliases: texts(entry.h_aliases),
            addresses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_own_host() {
        let host = host_by_name(b"192.0.2.7").unwrap();
        assert_eq!(host.name, b"192.0.2.7");
        assert_eq!(host.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(host_by_name(b"192.0\0.2.7"), Err(Eai::NONAME));
    }

    #[test]
    fn every_h_errno_has_its_own_error() {
        let errors = [
            (1, Eai::NONAME),
            (2, Eai::AGAIN),
            (3, Eai::FAIL),
            (4, Eai::NODATA),
            (-1, Eai::System(Errno::NOMEM)),
        ];
        for (number, error) in errors {
            assert_eq!(from_h_errno(number, Errno::NOMEM), error);
        }
    }
}
