//! What the host is called, which interfaces it has, how many descriptors it may open.

use std::ffi::{CStr, CString, c_int};
use std::net::Ipv4Addr;

use super::{Errno, Result, check};

/// gethostname(2)
pub fn hostname() -> Result<Vec<u8>> {
    // HOST_NAME_MAX is 64 on Linux, 255 in POSIX.
    let mut name = vec![0u8; 256];
    // SAFETY: the pointer and the length are of one live buffer.
    check(unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) })?;
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    name.truncate(end);
    Ok(name)
}

/// This process, its effective user and group, as the kernel fills them into SCM_CREDENTIALS; unix(7).
pub fn own_credentials() -> (i32, u32, u32) {
    // SAFETY: these calls have no arguments and always succeed.
    unsafe { (libc::getpid(), libc::geteuid(), libc::getegid()) }
}

/// sethostname(2)
pub fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: the pointer and the length are of one live slice.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })?;
    Ok(())
}

/// if_nameindex(3): index and name of every interface.
pub fn interfaces() -> Result<Vec<(u32, String)>> {
    // SAFETY: no arguments.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(Errno::last());
    }
    let mut found = Vec::new();
    let mut entry = list;
    // SAFETY: the list ends with an entry of index 0 and no name; each other has a name that ends in NUL.
    unsafe {
        while (*entry).if_index != 0 && !(*entry).if_name.is_null() {
            let name = CStr::from_ptr((*entry).if_name);
            found.push(((*entry).if_index, name.to_string_lossy().into_owned()));
            entry = entry.add(1);
        }
        libc::if_freenameindex(list);
    }
    Ok(found)
}

/// The name of the interface that has this IPv4 address, getifaddrs(3).
pub fn interface_with(address: Ipv4Addr) -> Result<Option<String>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the pointer is to one live pointer, which the call fills.
    check(unsafe { libc::getifaddrs(&mut list) })?;
    let mut found = None;
    let mut entry = list;
    // SAFETY: each entry of the list lives until it is freed below; its name ends in NUL, and an address of the
    // family AF_INET is a `sockaddr_in`.
    unsafe {
        while !entry.is_null() && found.is_none() {
            let (name, own) = ((*entry).ifa_name, (*entry).ifa_addr);
            if !own.is_null() && c_int::from((*own).sa_family) == libc::AF_INET {
                let own = own.cast::<libc::sockaddr_in>().read_unaligned();
                if Ipv4Addr::from(own.sin_addr.s_addr.to_ne_bytes()) == address {
                    found = Some(CStr::from_ptr(name).to_string_lossy().into_owned());
                }
            }
            entry = (*entry).ifa_next;
        }
        libc::freeifaddrs(list);
    }
    Ok(found)
}

/// if_nametoindex(3): `nodev` where there is none. [`super::interface::index`] answers without asking.
pub(super) fn ask_index(name: &str) -> Result<u32> {
    let name = CString::new(name).map_err(|_| Errno::NODEV)?;
    // SAFETY: the name lives until the call returns.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(Errno::last()),
        index => Ok(index),
    }
}

/// if_indextoname(3): `nxio` where there is none. [`super::interface::name`] answers without asking.
pub(super) fn ask_name(index: u32) -> Result<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the call writes at most IF_NAMESIZE bytes.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) }.is_null() {
        return Err(Errno::last());
    }
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| Errno::IO)?;
    Ok(name.to_string_lossy().into_owned())
}

/// Raises the soft limit of open descriptors to the hard one (RLIMIT_NOFILE, getrlimit(2)), and gives
/// both as they are then.
pub fn raise_descriptor_limit() -> Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` has room for one `rlimit`.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is one `rlimit`.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    }
    Ok((limit.rlim_cur, limit.rlim_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_both_ways() {
        let all = interfaces().unwrap();
        let (index, name) = all
            .iter()
            .find(|(_, name)| name == "lo")
            .expect("Linux has lo");
        assert_eq!(ask_index(name), Ok(*index));
        assert_eq!(ask_name(*index).as_deref(), Ok("lo"));
        assert_eq!(ask_index("no-such-if"), Err(Errno::NODEV));
        assert_eq!(ask_index("l\0o"), Err(Errno::NODEV));
        assert_eq!(ask_name(0), Err(Errno::NXIO));
    }

    #[test]
    fn the_hosts_name_is_the_kernels() {
        let kernel = std::fs::read("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(hostname().unwrap(), kernel.trim_ascii_end());
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let (soft, hard) = raise_descriptor_limit().unwrap();
        assert_eq!(soft, hard);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, [soft.to_string(), hard.to_string()]);
    }
}
