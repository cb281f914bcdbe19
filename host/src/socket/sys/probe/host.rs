//! What the host itself needs of its kernel, and what its user may.

use std::os::fd::AsFd;
use std::path::Path;

use super::super::unix_path::Root;
use super::super::{Errno, Result, check_descriptor, confine, diag};
use super::ProbeStatus;
use super::find::{Capability, Finding, NET_ADMIN, NET_BIND_SERVICE, NET_RAW, Source, built};
use super::kernel::text;
use super::look::{Look, Place, open, or_exhausted};

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    let rows = [
        ("kernel", kernel(look)),
        ("openat2", openat2(look)?),
        ("epoll", epoll(look)?),
        ("/proc/self/fd", proc_descriptors()),
        ("UNIX_DIAG_VFS", unix_diag(look)?),
        ("seccomp", seccomp(look)),
        ("landlock", landlock(look)),
        (
            NET_RAW.name,
            capability(look, NET_RAW, "packets, raw sockets, XDP"),
        ),
        (
            NET_ADMIN.name,
            capability(look, NET_ADMIN, "interfaces, marks, transparent proxies"),
        ),
        (NET_BIND_SERVICE.name, low_ports(look)),
    ];
    for (name, finding) in rows {
        look.tell(Place::of("host", name), finding);
    }
    Ok(())
}

fn kernel(look: &Look<'_>) -> Finding {
    match look.kernel.release.as_str() {
        "" => Finding::limited(
            "/proc/sys/kernel/osrelease cannot be read",
            "mount -t proc proc /proc",
        ),
        release => Finding::works(format!("Linux {release}")),
    }
}

/// openat2(2) beneath a directory: Unix paths are opened with nothing else. What is opened is no socket,
/// so that `acces` comes of the look at it.
fn openat2(look: &Look<'_>) -> Result<Finding> {
    const SOURCE: Source = Source::Since(5, 6);
    let opened = Root::open(Path::new("/")).and_then(|root| root.socket_at(Path::new(".")));
    Ok(match or_exhausted(opened)? {
        Ok(_) | Err(Errno::ACCES) => Finding::works(""),
        Err(error) => look.kernel.refused("openat2(2)", error, &SOURCE, None),
    })
}

/// epoll_create1(2), for guests that share a thread.
fn epoll(look: &Look<'_>) -> Result<Finding> {
    // SAFETY: no pointers; the descriptor is new.
    let made = unsafe { check_descriptor(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    Ok(match or_exhausted(made)? {
        Ok(_) => Finding::works(""),
        Err(error) => {
            let source = built("CONFIG_EPOLL", "");
            look.kernel
                .refused("epoll_create1(2)", error, &source, None)
        }
    })
}

/// The way to a Unix socket by its inode: connect and send-to of a path go through it.
fn proc_descriptors() -> Finding {
    match Path::new("/proc/self/fd").is_dir() {
        true => Finding::works(""),
        false => Finding::absent(
            "there is no such directory; guests cannot connect to Unix paths",
            "mount -t proc proc /proc",
        ),
    }
}

/// Where a Unix socket is bound, sock_diag(7). A socket without a path is found too, and says that it has
/// none.
fn unix_diag(look: &Look<'_>) -> Result<Finding> {
    const SOURCE: Source = built("CONFIG_UNIX_DIAG", "unix_diag");
    let asked = open(libc::AF_UNIX, libc::SOCK_STREAM, 0)
        .and_then(|socket| diag::unix_place(socket.as_fd()));
    let error = match or_exhausted(asked)? {
        Ok(_) => return Ok(Finding::works("")),
        Err(error) => error,
    };
    let mut finding = look.kernel.refused("sock_diag(7)", error, &SOURCE, None);
    // The host asks the socket itself then, SIOCUNIXFILE.
    let other_way = look.kernel.capabilities.is_some() && look.kernel.holds(NET_ADMIN);
    finding.detail = match other_way {
        true => format!(
            "{}; paths are bound all the same, with CAP_NET_ADMIN",
            finding.detail
        ),
        false => format!("{}; guests cannot bind Unix paths", finding.detail),
    };
    if other_way {
        finding.status = ProbeStatus::Limited;
    }
    Ok(finding)
}

/// Filters of system calls, for `--harden`.
fn seccomp(look: &Look<'_>) -> Finding {
    match confine::can_filter() {
        Ok(()) => Finding::works("--harden filters system calls"),
        Err(error) => {
            let source = built("CONFIG_SECCOMP_FILTER", "");
            look.kernel.refused("seccomp(2)", error, &source, None)
        }
    }
}

/// Landlock, for `--harden`.
fn landlock(look: &Look<'_>) -> Finding {
    match confine::landlock_version() {
        Ok(version) => {
            let held = match version {
                ..=3 => "--harden narrows files",
                4 | 5 => "--harden narrows files and TCP ports",
                _ => "--harden narrows files, TCP ports, signals and abstract Unix names",
            };
            Finding::works(format!("version {version}: {held}"))
        }
        Err(Errno::OPNOTSUPP) => Finding::absent(
            "the kernel has it, and it is switched off",
            "add landlock to the kernel's lsm= list, and restart",
        ),
        Err(error) => {
            let source = built("CONFIG_SECURITY_LANDLOCK", "");
            let call = "landlock_create_ruleset(2)";
            look.kernel.refused(call, error, &source, None)
        }
    }
}

/// Whether this user has the capability.
fn capability(look: &Look<'_>, capability: Capability, purpose: &str) -> Finding {
    if look.kernel.capabilities.is_none() {
        return Finding::limited(
            "/proc/self/status cannot be read",
            "mount -t proc proc /proc",
        );
    }
    match (look.kernel.holds(capability), look.kernel.user_namespace) {
        (true, false) => Finding::works(purpose),
        (true, true) => Finding::limited(
            format!("{purpose}; in this user namespace only"),
            "run outside of the user namespace for what belongs to the whole machine",
        ),
        (false, _) => Finding::denied(
            format!("this user lacks it: {purpose}"),
            look.kernel.permission(Some(capability)),
        ),
    }
}

/// Ports that not everybody may bind, ip(7).
fn low_ports(look: &Look<'_>) -> Finding {
    let first = text("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .and_then(|value| value.parse::<u32>().ok())
        .unwrap_or(1024);
    let purpose = format!("ports below {first}");
    let mut finding = capability(look, NET_BIND_SERVICE, &purpose);
    if finding.status == ProbeStatus::Denied {
        finding.mend = format!(
            "{}; or sysctl -w net.ipv4.ip_unprivileged_port_start=PORT",
            finding.mend
        );
    }
    finding
}
