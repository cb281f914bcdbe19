//! Sockets between virtual machines and their host: vsock(7).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libc::c_int;

use super::super::{EncodedAddress, Errno, Result, check, life};
use super::find::{Finding, Source, built};
use super::look::{Kind, Look, Place, open, or_exhausted};

/// VMADDR_CID_LOCAL: this machine.
const LOCAL: u32 = 1;
/// VMADDR_CID_HOST: the machine that runs virtual ones.
const HOST: u32 = 2;
/// VMADDR_CID_ANY, and VMADDR_PORT_ANY.
const ANY: u32 = u32::MAX;

const VSOCK: Source = built("CONFIG_VSOCKETS", "vsock");
const GUEST: &str = "run in a virtual machine that has a vsock device (QEMU: -device \
                     vhost-vsock-pci,guest-cid=3; module vmw_vsock_virtio_transport)";

const fn kind(socket_type: &'static str, style: c_int, source: Source) -> Kind {
    Kind::new(socket_type, None, (libc::AF_VSOCK, style, 0), source)
}

const KINDS: &[Kind] = &[
    kind("stream", libc::SOCK_STREAM, VSOCK),
    kind("seqpacket", libc::SOCK_SEQPACKET, Source::Since(5, 14)),
    kind(
        "datagram",
        libc::SOCK_DGRAM,
        Source::Told(
            "no transport of Linux has datagrams but VMware's (module vmw_vsock_vmci_transport): use \
             seqpacket",
        ),
    ),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("vsock", KINDS)?;
    let ways = [
        (Place::of("vsock", "loopback"), loopback(look)?),
        (Place::of("vsock", "host"), host(look)?),
        (Place::of("vsock", "guest"), guest()),
    ];
    for (place, finding) in ways {
        look.tell(place, finding);
    }
    Ok(())
}

/// A machine that can talk to itself.
fn loopback(look: &Look<'_>) -> Result<Finding> {
    const SOURCE: Source = built("CONFIG_VSOCKETS_LOOPBACK", "vsock_loopback");
    way(look, LOCAL, &SOURCE)
}

/// A machine that runs virtual ones, and has a transport towards them.
fn host(look: &Look<'_>) -> Result<Finding> {
    const SOURCE: Source = built("CONFIG_VHOST_VSOCK", "vhost_vsock");
    way(look, HOST, &SOURCE)
}

/// bind(2) takes the context ids that a transport stands behind, and no others.
fn way(look: &Look<'_>, cid: u32, source: &Source) -> Result<Finding> {
    let bound = or_exhausted(bind(cid))?;
    Ok(match bound {
        Ok(_) => Finding::works(format!("cid {cid}")),
        Err(error @ Errno::ADDRNOTAVAIL) => Finding::absent(
            format!("bind(2) to cid {cid}: {error}"),
            look.kernel.missing(source),
        ),
        Err(Errno::AFNOSUPPORT) => Finding::absent(
            "there is no socket to try it on",
            look.kernel.missing(&VSOCK),
        ),
        Err(error) => look.kernel.refused("bind(2)", error, source, None),
    })
}

fn bind(cid: u32) -> Result<OwnedFd> {
    let socket = open(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
    // sockaddr_vm: family, reserved, port, cid, flags and padding.
    let address = EncodedAddress::new(
        libc::AF_VSOCK,
        &[&[0; 2], &ANY.to_ne_bytes(), &cid.to_ne_bytes(), &[0; 4]],
    );
    life::bind(socket.as_fd(), &address)?;
    Ok(socket)
}

/// A virtual machine that was given a context id.
fn guest() -> Finding {
    let device = match File::open("/dev/vsock") {
        Ok(device) => device,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Finding::denied(
                "/dev/vsock: acces",
                "chmod a+r /dev/vsock (only the context id is asked there)",
            );
        }
        Err(error) => {
            return Finding::absent(format!("/dev/vsock: {}", Errno::from(error)), GUEST);
        }
    };
    match local_cid(&device) {
        Ok(cid) if cid > HOST && cid != ANY => Finding::works(format!("cid {cid}")),
        Ok(_) => Finding::absent("this machine has no context id of its own", GUEST),
        Err(error) => Finding::limited(format!("ioctl(2) of /dev/vsock: {error}"), GUEST),
    }
}

/// IOCTL_VM_SOCKETS_GET_LOCAL_CID, vsock(7).
fn local_cid(device: &File) -> Result<u32> {
    const GET_LOCAL_CID: libc::Ioctl = 0x7b9;
    let mut cid: u32 = ANY;
    // SAFETY: the request writes one 32-bit number.
    check(unsafe { libc::ioctl(device.as_raw_fd(), GET_LOCAL_CID, &mut cid) })?;
    Ok(cid)
}
