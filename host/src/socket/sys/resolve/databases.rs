//! services(5) and protocols(5).

use std::ffi::{CString, c_char};
use std::ptr;

use libc::{c_int, protoent, servent, size_t};

use super::text;
use crate::socket::sys::{Errno, Result};

/// A row of services(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its official name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// In host byte order.
    pub port: u16,
    /// `tcp`, `udp`, ...
    pub protocol: String,
}

/// A row of protocols(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its official name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// IPPROTO_*
    pub number: u32,
}

// libc declares only the forms that share one static buffer among all threads.
unsafe extern "C" {
    fn getservbyname_r(
        name: *const c_char,
        protocol: *const c_char,
        entry: *mut servent,
        buffer: *mut c_char,
        length: size_t,
        result: *mut *mut servent,
    ) -> c_int;
    fn getservbyport_r(
        port: c_int,
        protocol: *const c_char,
        entry: *mut servent,
        buffer: *mut c_char,
        length: size_t,
        result: *mut *mut servent,
    ) -> c_int;
    #[cfg(target_env = "gnu")]
    fn getprotobyname_r(
        name: *const c_char,
        entry: *mut protoent,
        buffer: *mut c_char,
        length: size_t,
        result: *mut *mut protoent,
    ) -> c_int;
    #[cfg(target_env = "gnu")]
    fn getprotobynumber_r(
        number: c_int,
        entry: *mut protoent,
        buffer: *mut c_char,
        length: size_t,
        result: *mut *mut protoent,
    ) -> c_int;
}

/// getservbyname(3); `noent` where there is none.
pub fn service_by_name(name: &str, protocol: Option<&str>) -> Result<Service> {
    let name = CString::new(name).map_err(|_| Errno::NOENT)?;
    let protocol = protocol
        .map(CString::new)
        .transpose()
        .map_err(|_| Errno::NOENT)?;
    let protocol = protocol
        .as_ref()
        .map_or(ptr::null(), |protocol| protocol.as_ptr());
    row(
        // SAFETY: the strings live until the call returns, and `row` gives the rest.
        |entry, buffer, length, result| unsafe {
            getservbyname_r(name.as_ptr(), protocol, entry, buffer, length, result)
        },
        // SAFETY: `row` gives a filled entry.
        |entry| unsafe { service(entry) },
    )
}

/// getservbyport(3); the port in host byte order; `noent` where there is none.
pub fn service_by_port(port: u16, protocol: Option<&str>) -> Result<Service> {
    let protocol = protocol
        .map(CString::new)
        .transpose()
        .map_err(|_| Errno::NOENT)?;
    let protocol = protocol
        .as_ref()
        .map_or(ptr::null(), |protocol| protocol.as_ptr());
    row(
        // SAFETY: the string lives until the call returns, and `row` gives the rest.
        |entry, buffer, length, result| unsafe {
            getservbyport_r(port.to_be().into(), protocol, entry, buffer, length, result)
        },
        // SAFETY: `row` gives a filled entry.
        |entry| unsafe { service(entry) },
    )
}

/// getprotobyname(3); `noent` where there is none.
#[cfg(target_env = "gnu")]
pub fn protocol_by_name(name: &str) -> Result<Protocol> {
    let name = CString::new(name).map_err(|_| Errno::NOENT)?;
    row(
        // SAFETY: the string lives until the call returns, and `row` gives the rest.
        |entry, buffer, length, result| unsafe {
            getprotobyname_r(name.as_ptr(), entry, buffer, length, result)
        },
        // SAFETY: `row` gives a filled entry.
        |entry| unsafe { protocol(entry) },
    )
}

/// getprotobynumber(3); `noent` where there is none.
#[cfg(target_env = "gnu")]
pub fn protocol_by_number(number: u32) -> Result<Protocol> {
    let number = c_int::try_from(number).map_err(|_| Errno::NOENT)?;
    row(
        // SAFETY: `row` gives everything that the call reads and writes.
        |entry, buffer, length, result| unsafe {
            getprotobynumber_r(number, entry, buffer, length, result)
        },
        // SAFETY: `row` gives a filled entry.
        |entry| unsafe { protocol(entry) },
    )
}

/// musl has no reentrant forms, and its table is built in; one lock keeps its static entry ours.
#[cfg(not(target_env = "gnu"))]
mod protocols {
    use std::sync::Mutex;

    use super::*;

    static TABLE: Mutex<()> = Mutex::new(());

    unsafe extern "C" {
        fn getprotobynumber(number: c_int) -> *mut protoent;
    }

    /// getprotobyname(3); `noent` where there is none.
    pub fn protocol_by_name(name: &str) -> Result<Protocol> {
        let name = CString::new(name).map_err(|_| Errno::NOENT)?;
        let _turn = TABLE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // SAFETY: the name lives until the call returns; the entry until the next call, which the lock
        // holds off.
        unsafe {
            libc::getprotobyname(name.as_ptr())
                .as_ref()
                .map(|entry| protocol(entry))
        }
        .ok_or(Errno::NOENT)
    }

    /// getprotobynumber(3); `noent` where there is none.
    pub fn protocol_by_number(number: u32) -> Result<Protocol> {
        let number = c_int::try_from(number).map_err(|_| Errno::NOENT)?;
        let _turn = TABLE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // SAFETY: the entry lives until the next call, which the lock holds off.
        unsafe {
            getprotobynumber(number)
                .as_ref()
                .map(|entry| protocol(entry))
        }
        .ok_or(Errno::NOENT)
    }
}
#[cfg(not(target_env = "gnu"))]
pub use protocols::{protocol_by_name, protocol_by_number};

/// Asks for one row of a database, with a buffer that grows until the row fits (ERANGE), and `read`s it
/// while the buffer lives.
pub(super) fn row<Entry, T>(
    ask: impl Fn(*mut Entry, *mut c_char, size_t, *mut *mut Entry) -> c_int,
    read: impl FnOnce(&Entry) -> T,
) -> Result<T> {
    const LONGEST: usize = 1024 * 1024;
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        let mut entry = std::mem::MaybeUninit::<Entry>::uninit();
        let mut found = ptr::null_mut();
        let result = ask(
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut found,
        );
        match result {
            // SAFETY: what was found is `entry`, filled, with its strings in the buffer.
            0 => return unsafe { found.as_ref() }.map(read).ok_or(Errno::NOENT),
            libc::ERANGE if buffer.len() < LONGEST => buffer.resize(buffer.len() * 4, 0),
            error => return Err(Errno::from_raw(error)),
        }
    }
}

/// # Safety
/// The entry's strings are live and end in NUL, its list of aliases in a null pointer.
unsafe fn service(entry: &servent) -> Service {
    // SAFETY: the caller vouches for it.
    unsafe {
        Service {
            name: string(entry.s_name),
            aliases: strings(entry.s_aliases),
            port: u16::from_be(entry.s_port as u16),
            protocol: string(entry.s_proto),
        }
    }
}

/// # Safety
/// As for [`service`].
unsafe fn protocol(entry: &protoent) -> Protocol {
    // SAFETY: the caller vouches for it.
    unsafe {
        Protocol {
            name: string(entry.p_name),
            aliases: strings(entry.p_aliases),
            number: u32::try_from(entry.p_proto).unwrap_or(0),
        }
    }
}

/// # Safety
/// The list is null, or its strings are live and end in NUL, and it ends in a null pointer.
pub(super) unsafe fn texts(mut list: *mut *mut c_char) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // SAFETY: the caller vouches for it.
    unsafe {
        while !list.is_null() && !(*list).is_null() {
            found.extend(text(*list));
            list = list.add(1);
        }
    }
    found
}

/// # Safety
/// As for [`texts`].
unsafe fn strings(list: *mut *mut c_char) -> Vec<String> {
    // SAFETY: the caller vouches for it.
    let texts = unsafe { texts(list) };
    let texts = texts.iter();
    texts
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// # Safety
/// As for [`text`].
unsafe fn string(pointer: *const c_char) -> String {
    // SAFETY: the caller vouches for it.
    let bytes = unsafe { text(pointer) }.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_agree_with_their_files() {
        let rows = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines()
                .filter_map(|line| line.split('#').next()?.split_once(char::is_whitespace))
                .map(|(name, rest)| {
                    (
                        name.to_owned(),
                        rest.split_whitespace().next().unwrap_or("").to_owned(),
                    )
                })
                .next()
        };
        match rows("/etc/services") {
            None => assert_eq!(service_by_name("http", None), Err(Errno::NOENT)),
            Some((name, place)) => {
                let (port, protocol) = place.split_once('/').unwrap();
                let found = service_by_name(&name, Some(protocol)).unwrap();
                assert_eq!(
                    (found.port.to_string(), &found.protocol[..]),
                    (port.into(), protocol)
                );
                assert_eq!(
                    service_by_port(found.port, Some(protocol)).unwrap().port,
                    found.port
                );
            }
        }
        match rows("/etc/protocols") {
            None => assert_eq!(protocol_by_name("tcp"), Err(Errno::NOENT)),
            Some((name, number)) => {
                let found = protocol_by_name(&name).unwrap();
                assert_eq!(found.number.to_string(), number);
                assert_eq!(protocol_by_number(found.number).unwrap().name, name);
            }
        }
        assert_eq!(service_by_name("no-such-service", None), Err(Errno::NOENT));
        assert_eq!(protocol_by_number(u32::MAX), Err(Errno::NOENT));
    }
}
