//! Controller area networks: Documentation/networking/can.rst, iso15765-2.rst, j1939.rst.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::c_int;

use super::super::{Errno, Result, check, host};
use super::find::{Finding, Source, built};
use super::look::{Kind, Look, Place, Setting, open, or_exhausted};

const SOL_CAN_RAW: c_int = 101;

const RAW: &[Setting] = &[
    Setting::new("CAN_RAW_FD_FRAMES", SOL_CAN_RAW, 5, Source::Since(3, 6))
        .note("CAN FD; the interface needs an MTU of 72"),
    Setting::new("CAN_RAW_XL_FRAMES", SOL_CAN_RAW, 7, Source::Since(6, 1))
        .note("CAN XL; the interface needs an MTU of up to 2060"),
    Setting::new("CAN_RAW_JOIN_FILTERS", SOL_CAN_RAW, 6, Source::Since(4, 1)),
    Setting::new("CAN_RAW_RECV_OWN_MSGS", SOL_CAN_RAW, 4, Source::Since(2, 6)),
];

const fn kind(
    socket_type: &'static str,
    protocol: &'static str,
    numbers: (c_int, c_int),
    source: Source,
) -> Kind {
    let (style, number) = numbers;
    Kind::new(
        socket_type,
        Some(protocol),
        (libc::AF_CAN, style, number),
        source,
    )
}

const KINDS: &[Kind] = &[
    kind(
        "raw",
        "raw",
        (libc::SOCK_RAW, 1),
        built("CONFIG_CAN_RAW", "can_raw"),
    )
    .settings(RAW),
    kind(
        "datagram",
        "bcm",
        (libc::SOCK_DGRAM, 2),
        built("CONFIG_CAN_BCM", "can_bcm"),
    ),
    kind(
        "datagram",
        "isotp",
        (libc::SOCK_DGRAM, 6),
        built("CONFIG_CAN_ISOTP", "can_isotp"),
    ),
    kind(
        "datagram",
        "j1939",
        (libc::SOCK_DGRAM, 7),
        built("CONFIG_CAN_J1939", "can_j1939"),
    ),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("can", KINDS)?;
    interfaces(look)
}

/// Which interfaces there are to bind to, and whether they are up.
fn interfaces(look: &mut Look<'_>) -> Result<()> {
    const CREATE: &str = "ip link add vcan0 type vcan && ip link set vcan0 up (module vcan, \
                          CAP_NET_ADMIN), or a CAN adapter";
    let socket = or_exhausted(open(libc::AF_UNIX, libc::SOCK_DGRAM, 0))?;
    let finding = match socket.and_then(|socket| all(socket.as_fd())) {
        Err(error) => Finding::limited(
            format!("if_nameindex(3): {error}"),
            look.kernel.permission(None),
        ),
        Ok(found) if found.is_empty() => Finding::absent("no CAN interface", CREATE),
        Ok(found) => {
            let told: Vec<String> = found.iter().map(Interface::to_string).collect();
            match found.iter().any(|interface| interface.up) {
                true => Finding::works(told.join(", ")),
                false => Finding::limited(told.join(", "), "ip link set INTERFACE up"),
            }
        }
    };
    look.tell(Place::of("can", "interfaces"), finding);
    Ok(())
}

/// A CAN interface.
struct Interface {
    name: String,
    mtu: c_int,
    up: bool,
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let down = if self.up { "" } else { ", down" };
        write!(f, "{} (MTU {}{down})", self.name, self.mtu)
    }
}

/// The CAN interfaces of this network namespace. One that goes away meanwhile is left out.
fn all(socket: BorrowedFd<'_>) -> Result<Vec<Interface>> {
    let names = host::interfaces()?.into_iter().map(|(_, name)| name);
    Ok(names
        .filter_map(|name| interface(socket, name).ok().flatten())
        .collect())
}

/// What netdevice(7) says of an interface; none where it is not of CAN.
fn interface(socket: BorrowedFd<'_>, name: String) -> Result<Option<Interface>> {
    let hardware = request(socket, &name, libc::SIOCGIFHWADDR)?;
    // SAFETY: the request filled in a hardware address, which begins with its type.
    if unsafe { hardware.ifr_ifru.ifru_hwaddr.sa_family } != libc::ARPHRD_CAN {
        return Ok(None);
    }
    let flags = request(socket, &name, libc::SIOCGIFFLAGS)?;
    let mtu = request(socket, &name, libc::SIOCGIFMTU)?;
    // SAFETY: each request filled in the field that is read, and any bytes are an integer.
    let (flags, mtu) = unsafe { (flags.ifr_ifru.ifru_flags, mtu.ifr_ifru.ifru_mtu) };
    Ok(Some(Interface {
        name,
        mtu,
        up: c_int::from(flags) & libc::IFF_UP != 0,
    }))
}

/// ioctl(2) with a request that fills in an `ifreq`.
fn request(socket: BorrowedFd<'_>, name: &str, request: libc::c_ulong) -> Result<libc::ifreq> {
    // SAFETY: `ifreq` is integers and arrays of them, for which zero is a value.
    let mut answer: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= answer.ifr_name.len() {
        return Err(Errno::NAMETOOLONG);
    }
    for (to, from) in answer.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the requests above read the name and write one field of the same `ifreq`.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), request as libc::Ioctl, &mut answer) })?;
    Ok(answer)
}
