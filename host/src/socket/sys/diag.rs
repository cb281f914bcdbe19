//! sock_diag(7): where in the filesystem a Unix socket is bound.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use super::{Errno, Result, check, check_count, check_descriptor, life};

/// A place in the filesystem, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VfsPlace {
    /// The lower 32 bits of the inode's number.
    pub inode: u32,
    /// The device, in the form that stat(2) has.
    pub device: libc::dev_t,
}

// linux/sock_diag.h, linux/unix_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UDIAG_SHOW_VFS: u32 = 2;
const UNIX_DIAG_VFS: u16 = 1;
/// `nlmsghdr`: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// `unix_diag_msg`: family, type, state, padding, inode, cookie.
const ANSWER: usize = 16;

/// UNIX_DIAG_VFS of a bound Unix socket; none for one that is not bound to a path. sock_diag(7).
pub fn unix_place(socket: BorrowedFd<'_>) -> Result<Option<VfsPlace>> {
    // The request has 32 bits for the number, and the kernel's socket inodes no more.
    let inode = u32::try_from(life::status(socket)?.st_ino).map_err(|_| Errno::OVERFLOW)?;
    let style = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the descriptor is new.
    let netlink = unsafe {
        check_descriptor(libc::socket(
            libc::AF_NETLINK,
            style,
            libc::NETLINK_SOCK_DIAG,
        ))
    }?;
    ask(netlink.as_fd(), inode)?;
    let mut answer = [0; 8192];
    // Netlink answers a request for one socket before the request's send returns.
    // SAFETY: the pointer and the length are of one live array.
    let length = check_count(unsafe {
        libc::recv(
            netlink.as_raw_fd(),
            answer.as_mut_ptr().cast(),
            answer.len(),
            libc::MSG_DONTWAIT,
        )
    })?;
    parse(&answer[..length], inode)
}

/// Sends the request for the one socket that has this inode.
fn ask(netlink: BorrowedFd<'_>, inode: u32) -> Result<()> {
    let mut request = Vec::with_capacity(40);
    request.extend_from_slice(&40u32.to_ne_bytes());
    request.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    // unix_diag_req: family, protocol, padding; states, inode, what to show, cookie (all ones: any).
    request.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [u32::MAX, inode, UDIAG_SHOW_VFS, u32::MAX, u32::MAX] {
        request.extend_from_slice(&word.to_ne_bytes());
    }
    // SAFETY: the pointer and the length are of one live slice.
    check_count(unsafe {
        libc::send(
            netlink.as_raw_fd(),
            request.as_ptr().cast(),
            request.len(),
            libc::MSG_NOSIGNAL,
        )
    })?;
    Ok(())
}

/// Reads the answer: an error, or the socket with its attributes.
fn parse(answer: &[u8], inode: u32) -> Result<Option<VfsPlace>> {
    let word = |offset: usize| -> Result<u32> {
        let bytes = answer
            .get(offset..offset + 4)
            .and_then(|bytes| bytes.first_chunk());
        bytes
            .map(|bytes| u32::from_ne_bytes(*bytes))
            .ok_or(Errno::BADMSG)
    };
    let half = |offset: usize| -> Result<u16> {
        let bytes = answer
            .get(offset..offset + 2)
            .and_then(|bytes| bytes.first_chunk());
        bytes
            .map(|bytes| u16::from_ne_bytes(*bytes))
            .ok_or(Errno::BADMSG)
    };
    let end = (word(0)? as usize).min(answer.len());
    match half(4)? {
        SOCK_DIAG_BY_FAMILY => {}
        kind if c_int::from(kind) == libc::NLMSG_ERROR => {
            return Err(Errno::from_raw((word(HEADER)? as i32).saturating_neg()));
        }
        _ => return Err(Errno::BADMSG),
    }
    if word(HEADER + 4)? != inode {
        return Err(Errno::BADMSG);
    }
    let mut at = HEADER + ANSWER;
    while at + 4 <= end {
        let length = usize::from(half(at)?);
        if length < 4 {
            return Err(Errno::BADMSG);
        }
        if half(at + 2)? == UNIX_DIAG_VFS {
            return Ok(Some(VfsPlace {
                inode: word(at + 4)?,
                device: device(word(at + 8)?),
            }));
        }
        at += length.next_multiple_of(4);
    }
    Ok(None)
}

/// The kernel's own device number (12 bits major, 20 bits minor) in the form of stat(2).
fn device(kernel: u32) -> libc::dev_t {
    libc::makedev(kernel >> 20, kernel & 0xf_ffff)
}

/// SIOCUNIXFILE, unix(7): an O_PATH descriptor of the file that a Unix socket is bound to. For holders of
/// CAP_NET_ADMIN.
pub fn unix_file(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    const SIOCUNIXFILE: libc::Ioctl = 0x89e0;
    // SAFETY: the request takes no argument and gives a new descriptor.
    let descriptor = check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCUNIXFILE) })?;
    // SAFETY: the kernel has just made it for this call; nobody else knows it.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // Unlike others, this call cannot be asked for a descriptor that is closed on exec.
    // SAFETY: F_SETFD takes an integer, no pointer.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lying_answers_are_errors() {
        assert_eq!(parse(&[], 1), Err(Errno::BADMSG));
        let mut answer = vec![0; 44];
        answer[..4].copy_from_slice(&44u32.to_ne_bytes());
        answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        answer[20..24].copy_from_slice(&7u32.to_ne_bytes());
        assert_eq!(
            parse(&answer, 8),
            Err(Errno::BADMSG),
            "another socket's answer"
        );
        assert_eq!(
            parse(&answer, 7),
            Err(Errno::BADMSG),
            "an attribute of no length"
        );
        answer[32..34].copy_from_slice(&12u16.to_ne_bytes());
        answer[34..36].copy_from_slice(&UNIX_DIAG_VFS.to_ne_bytes());
        answer[36..40].copy_from_slice(&5u32.to_ne_bytes());
        answer[40..44].copy_from_slice(&(8u32 << 20 | 3).to_ne_bytes());
        let place = VfsPlace {
            inode: 5,
            device: libc::makedev(8, 3),
        };
        assert_eq!(parse(&answer, 7), Ok(Some(place)));
        for length in 0..40 {
            let cut = parse(&answer[..length], 7);
            assert!(!matches!(cut, Ok(Some(_))), "{length} bytes gave {cut:?}");
        }
    }

    #[test]
    fn the_kernels_refusal_is_told() {
        let mut answer = vec![0; 36];
        answer[..4].copy_from_slice(&36u32.to_ne_bytes());
        answer[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        answer[16..20].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(parse(&answer, 1), Err(Errno::NOENT));
    }
}
