//! Privileges of this whole process: its user, its capabilities, the system calls that it may still make.
//!
//! Linux keeps all of them for each thread, so they are given up while there is but one, and threads inherit
//! what is left. Nothing here can be taken back.

mod filter;
mod user;

pub use filter::{Use, install as install_filter};
pub use user::{User, UserError};

use std::ffi::CString;

use libc::{c_int, c_ulong};
use sockgate_policy::Capabilities;

use super::{Errno, Result, check};

/// How many threads this process has, proc(5).
pub fn threads() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// PR_SET_NO_NEW_PRIVS, prctl(2): no program that this process starts has more than it.
pub fn no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    Ok(())
}

/// prctl(2) of numbers alone.
fn prctl(option: c_int, first: c_ulong, second: c_ulong) -> Result<c_int> {
    const NONE: c_ulong = 0;
    // SAFETY: none of the options that this module uses takes a pointer.
    check(unsafe { libc::prctl(option, first, second, NONE, NONE) })
}

/// The first IP port that everybody may bind, ip(7), as [`Reach`](sockgate_policy::Reach) asks for it. It is read
/// from /proc, which a [`Confinement`](crate::Confinement) takes out of reach.
pub fn first_free_port() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// The version of Landlock that the kernel has, landlock(7): `nosys` where it was not built in, `opnotsupp`
/// where it is switched off.
pub fn landlock_version() -> Result<i32> {
    const VERSION: c_int = 1;
    // SAFETY: the call with this flag takes no attributes, and answers a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0usize,
            VERSION,
        )
    };
    check(version as c_int)
}

/// Whether a filter can refuse a system call with an error: seccomp(2), SECCOMP_GET_ACTION_AVAIL.
pub fn can_filter() -> Result<()> {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the call reads one 32-bit number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &action,
        )
    };
    check(result as c_int).map(drop)
}

/// The head of capset(2): the version with sets of 64 bits, and this thread.
#[repr(C)]
struct Head {
    version: u32,
    thread: c_int,
}

/// One half of capset(2)'s sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const HEAD: Head = Head {
    version: 0x2008_0522,
    thread: 0,
};

/// What the thread may make use of, capget(2).
pub fn permitted() -> Result<u64> {
    let mut head = HEAD;
    let mut halves = [Half::default(); 2];
    // SAFETY: the head is of the version that fills two halves.
    check(unsafe { libc::syscall(libc::SYS_capget, &mut head, halves.as_mut_ptr()) } as c_int)?;
    Ok(u64::from(halves[1].permitted) << 32 | u64::from(halves[0].permitted))
}

/// Gives up every capability but these for whatever this process might ever start: the bounding set,
/// capabilities(7), and the ambient one. The right to do so ends with the process's user.
pub fn bound_capabilities(kept: Capabilities) -> Result<()> {
    for number in 0..64 {
        if kept.bits() >> number & 1 == 0 {
            match prctl(libc::PR_CAPBSET_DROP, number, 0) {
                // The kernel knows no more; or this user may not, and has nothing to lose either.
                Err(Errno::INVAL | Errno::PERM) => break,
                other => other?,
            };
        }
    }
    match prctl(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong,
        0,
    ) {
        // Before Linux 4.3 there were none.
        Err(Errno::INVAL) => {}
        other => drop(other?),
    }
    Ok(())
}

/// Gives up every capability of this process but these. What it does not have it does not get.
pub fn keep_capabilities(kept: Capabilities) -> Result<()> {
    let kept = kept.bits() & permitted()?;
    let mut head = HEAD;
    let halves = [kept, kept >> 32].map(|half| Half {
        effective: half as u32,
        permitted: half as u32,
        inheritable: 0,
    });
    // SAFETY: the head is of the version that reads two halves.
    check(unsafe { libc::syscall(libc::SYS_capset, &mut head, halves.as_ptr()) } as c_int)?;
    Ok(())
}

/// Loads the libraries of the name services that nsswitch.conf(5) lists for hosts, which the C library would
/// otherwise load at the first look-up. Those that cannot be loaded are left out then as well.
#[cfg(target_env = "gnu")]
pub fn load_name_services() {
    let text = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let hosts = text.lines().filter_map(|line| line.strip_prefix("hosts:"));
    let plain = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for service in hosts.flat_map(str::split_whitespace).filter(plain) {
        let Ok(library) = CString::new(format!("libnss_{service}.so.2")) else {
            continue;
        };
        // SAFETY: the library is one that the C library loads by itself, under this name, for a look-up.
        unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    }
}

/// Other C libraries load none.
#[cfg(not(target_env = "gnu"))]
pub fn load_name_services() {}

#[cfg(test)]
mod tests;
