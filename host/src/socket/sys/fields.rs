//! The fields of an address in the kernel's form, one after the other.

use super::{Errno, Result};

/// What is left of an address's body.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(body: &'a [u8]) -> Fields<'a> {
        Fields(body)
    }

    /// The next `N` bytes: `inval` where the address is too short for them.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.take().map(u8::from_ne_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_ne_bytes)
    }
}

/// A text of the kernel's in a fixed room: up to its NUL.
pub(super) fn text(room: &[u8]) -> Result<String> {
    let end = room
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(room.len());
    String::from_utf8(room[..end].to_vec()).map_err(|_| Errno::INVAL)
}
