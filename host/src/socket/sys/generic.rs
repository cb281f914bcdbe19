//! The families of generic netlink, Documentation/userspace-api/netlink/intro.rst: which number each has.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::c_int;
use sockgate_policy::{Family, Kind};

use super::address::Fields;
use super::{Errno, Result, check_count, check_descriptor};

/// GENL_ID_CTRL, CTRL_CMD_GETFAMILY and its version, linux/genetlink.h.
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const VERSION: u8 = 2;
/// CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME.
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `nlmsghdr`, and `genlmsghdr` behind it.
const HEADER: usize = 16;
const COMMAND: usize = 4;
/// The kernel sends at most 32 KiB of a dump at once.
const ROOM: usize = 64 * 1024;

/// Whether sockets of the kind speak with such families.
pub fn is_generic(kind: Kind) -> bool {
    kind.family == Family::Netlink && c_int::try_from(kind.protocol) == Ok(libc::NETLINK_GENERIC)
}

/// Every family that the kernel has now: number and name.
pub fn families() -> Result<Vec<(u16, String)>> {
    let style = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the descriptor is new.
    let socket =
        unsafe { check_descriptor(libc::socket(libc::AF_NETLINK, style, libc::NETLINK_GENERIC)) }?;
    ask(socket.as_fd())?;
    let mut answer = vec![0; ROOM];
    let mut families = Vec::new();
    loop {
        // The kernel goes on with a dump within the receive that took its last part: nothing is waited for.
        // SAFETY: the pointer and the length are of one live vector.
        let length = check_count(unsafe {
            libc::recv(
                socket.as_raw_fd(),
                answer.as_mut_ptr().cast(),
                answer.len(),
                libc::MSG_DONTWAIT,
            )
        })?;
        if read(&answer[..length], &mut families)? {
            return Ok(families);
        }
    }
}

/// Sends the request for all of them.
fn ask(socket: BorrowedFd<'_>) -> Result<()> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut request = Vec::with_capacity(HEADER + COMMAND);
    request.extend_from_slice(&20u32.to_ne_bytes());
    request.extend_from_slice(&CONTROLLER.to_ne_bytes());
    request.extend_from_slice(&flags.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[GET_FAMILY, VERSION, 0, 0]);
    // SAFETY: the pointer and the length are of one live slice.
    check_count(unsafe {
        libc::send(
            socket.as_raw_fd(),
            request.as_ptr().cast(),
            request.len(),
            libc::MSG_NOSIGNAL,
        )
    })?;
    Ok(())
}

/// Reads one part of the answer; whether it was the last one. `badmsg` where a length is not its own.
fn read(answer: &[u8], families: &mut Vec<(u16, String)>) -> Result<bool> {
    let mut rest = answer;
    while !rest.is_empty() {
        let mut header = Fields(rest);
        let length = u32::from_ne_bytes(header.take()?) as usize;
        let kind = u16::from_ne_bytes(header.take()?);
        let message = rest.get(HEADER..length).ok_or(Errno::BADMSG)?;
        match c_int::from(kind) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let number = i32::from_ne_bytes(Fields(message).take()?);
                return Err(Errno::from_raw(number.saturating_neg()));
            }
            _ => families.extend(family(message.get(COMMAND..).ok_or(Errno::BADMSG)?)?),
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    Ok(false)
}

/// A text that ends with a NUL.
fn text(value: &[u8]) -> Result<String> {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8(text.to_vec()).map_err(|_| Errno::BADMSG)
}

/// The family in one message's attributes.
fn family(attributes: &[u8]) -> Result<Option<(u16, String)>> {
    let (mut number, mut name) = (None, None);
    let mut rest = attributes;
    while !rest.is_empty() {
        let mut header = Fields(rest);
        let length = usize::from(u16::from_ne_bytes(header.take()?));
        let kind = u16::from_ne_bytes(header.take()?);
        let value = rest.get(4..length).ok_or(Errno::BADMSG)?;
        match kind {
            FAMILY_ID => number = Some(u16::from_ne_bytes(Fields(value).take()?)),
            FAMILY_NAME => name = Some(text(value)?),
            _ => {}
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    Ok(number.zip(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_controller_is_among_the_families() {
        let families = families().unwrap();
        assert!(
            families.contains(&(CONTROLLER, "nlctrl".to_owned())),
            "{families:?}"
        );
    }

    #[test]
    fn lying_lengths_are_errors() {
        let mut answer = vec![0; 36];
        answer[..4].copy_from_slice(&36u32.to_ne_bytes());
        answer[4..6].copy_from_slice(&CONTROLLER.to_ne_bytes());
        answer[20..24].copy_from_slice(&[6, 0, 1, 0]);
        answer[24] = 33;
        answer[28..32].copy_from_slice(&[7, 0, 2, 0]);
        answer[32..35].copy_from_slice(b"ab\0");
        let mut families = Vec::new();
        assert_eq!(read(&answer, &mut families), Ok(false));
        assert_eq!(families, [(33, "ab".to_owned())]);
        for length in [0u32, 15, 37, u32::MAX] {
            answer[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(read(&answer, &mut families).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn random_answers_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut families = Vec::new();
            let end = read(&bytes, &mut families);
            prop_assert!(end.is_ok() || !bytes.is_empty());
        }
    }
}
