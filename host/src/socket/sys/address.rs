//! Socket addresses as the kernel has them (sockaddr(3type)).

use std::fmt;
use std::hash::{Hash, Hasher};

use libc::{sa_family_t, sockaddr, socklen_t};
use sockgate_policy::{Address, Family, Kind};

use super::{
    Errno, Result, alg, bluetooth, can, inet, netlink, packet, qipcrtr, tipc, unix, vsock,
};

/// Room for any address: the size of `sockaddr_storage`.
pub const CAPACITY: usize = size_of::<libc::sockaddr_storage>();

/// Bytes of the family field at the head of every address.
pub(super) const FAMILY_LENGTH: usize = size_of::<sa_family_t>();

/// An address in the kernel's form: what `bind` and `connect` take and receives give. It lives on the
/// stack, and making one from an IP address allocates nothing.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct EncodedAddress {
    storage: [u8; CAPACITY],
    length: socklen_t,
}

impl EncodedAddress {
    /// An address of no family and no length: what a message without a sender has.
    pub const fn empty() -> Self {
        Self {
            storage: [0; CAPACITY],
            length: 0,
        }
    }

    /// An address whose bytes are `family` and then `parts`.
    ///
    /// # Panics
    /// Where the whole is longer than [`CAPACITY`]: the codecs check their lengths first.
    pub(super) fn new(family: libc::c_int, parts: &[&[u8]]) -> Self {
        let mut address = Self::empty();
        // Families are small numbers; the kernel's own field has 16 bits.
        address.storage[..FAMILY_LENGTH].copy_from_slice(&(family as sa_family_t).to_ne_bytes());
        let mut end = FAMILY_LENGTH;
        for part in parts {
            address.storage[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        address.length = end as socklen_t;
        address
    }

    /// The address that `bytes` hold, cut where no address is that long.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut address = Self::empty();
        let length = bytes.len().min(CAPACITY);
        address.storage[..length].copy_from_slice(&bytes[..length]);
        address.length = length as socklen_t;
        address
    }

    /// The bytes, family first.
    pub fn as_bytes(&self) -> &[u8] {
        // The kernel may report a length beyond the room it was given (a Unix path of 108 bytes).
        &self.storage[..(self.length as usize).min(CAPACITY)]
    }

    /// Whether the kernel gave no address at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// For a system call that reads the address.
    pub(super) fn pointer(&self) -> *const sockaddr {
        self.storage.as_ptr().cast()
    }

    /// For a system call that writes the address.
    pub(super) fn pointer_mut(&mut self) -> *mut sockaddr {
        self.storage.as_mut_ptr().cast()
    }

    /// How much of it counts.
    pub(super) fn length(&self) -> socklen_t {
        self.length.min(CAPACITY as socklen_t)
    }

    /// Says how much the kernel wrote.
    pub(super) fn set_length(&mut self, length: socklen_t) {
        self.length = length;
    }

    /// The address as the policy sees it, of a socket of this kind: the bytes of CAN and Bluetooth do not
    /// say which of their protocols they belong to. None where there is none (length 0, or AF_UNSPEC).
    ///
    /// # Errors
    /// `afnosupport` for a family or a protocol that has no codec here, `inval` for one that is too short
    /// or of a form that its family does not have.
    pub fn decode(&self, kind: Kind) -> Result<Option<Address>> {
        match self.split()? {
            Some((libc::AF_CAN, body)) => {
                can::decode(kind.protocol, body).map(Address::Can).map(Some)
            }
            Some((libc::AF_BLUETOOTH, body)) => bluetooth::decode(kind.protocol, body)
                .map(Address::Bluetooth)
                .map(Some),
            _ => self.decode_by_family(),
        }
    }

    /// The same for an address whose family says everything, wherever it comes from.
    ///
    /// # Errors
    /// As for [`Self::decode`], which CAN and Bluetooth need: here they answer `afnosupport`.
    pub fn decode_by_family(&self) -> Result<Option<Address>> {
        let Some((family, body)) = self.split()? else {
            return Ok(None);
        };
        Ok(Some(match family {
            libc::AF_INET => Address::Inet(inet::decode_v4(body)?),
            libc::AF_INET6 => Address::Inet6(inet::decode_v6(body)?),
            libc::AF_UNIX => Address::Unix(unix::decode(body)),
            libc::AF_NETLINK => Address::Netlink(netlink::decode(body)?),
            libc::AF_PACKET => Address::Packet(packet::decode(body)?),
            libc::AF_VSOCK => Address::Vsock(vsock::decode(body)?),
            libc::AF_TIPC => Address::Tipc(tipc::decode(body)?),
            libc::AF_ALG => Address::Alg(alg::decode(body)?),
            qipcrtr::AF_QIPCRTR => Address::Qipcrtr(qipcrtr::decode(body)?),
            _ => return Err(Errno::AFNOSUPPORT),
        }))
    }

    /// Family and body; none where there is no address.
    fn split(&self) -> Result<Option<(libc::c_int, &[u8])>> {
        let bytes = self.as_bytes();
        if bytes.is_empty() {
            return Ok(None);
        }
        let (family, body) = bytes
            .split_first_chunk::<FAMILY_LENGTH>()
            .ok_or(Errno::INVAL)?;
        let family = libc::c_int::from(sa_family_t::from_ne_bytes(*family));
        Ok((family != libc::AF_UNSPEC).then_some((family, body)))
    }

    /// The kernel's form of an address for a socket of this kind.
    ///
    /// # Errors
    /// `afnosupport` for an address of another family, `inval` for the form of another of its protocols;
    /// and as for the conversion without a kind.
    pub fn encode(kind: Kind, address: &Address) -> Result<Self> {
        let family = address.family();
        let borrows_ip = matches!(kind.family, Family::Rds | Family::Smc) && address.ip().is_some();
        if family != kind.family && !borrows_ip {
            return Err(Errno::AFNOSUPPORT);
        }
        let fits = match address {
            Address::Can(address) => can::fits(kind.protocol, &address.endpoint),
            Address::Bluetooth(address) => bluetooth::fits(kind.protocol, address),
            _ => true,
        };
        if !fits {
            return Err(Errno::INVAL);
        }
        Self::try_from(address)
    }
}

impl TryFrom<&Address> for EncodedAddress {
    type Error = Errno;

    /// # Errors
    /// `nametoolong` for a name that does not fit (Unix, ALG), `inval` for an empty path, for a name with a
    /// NUL, and for numbers that the family does not have; `nodev` for an interface that is not there.
    fn try_from(address: &Address) -> Result<Self> {
        match address {
            Address::Inet(v4) => Ok(inet::encode_v4(v4)),
            Address::Inet6(v6) => Ok(inet::encode_v6(v6)),
            Address::Unix(unix) => unix::encode(unix),
            Address::Netlink(address) => Ok(netlink::encode(address)),
            Address::Packet(address) => packet::encode(address),
            Address::Can(address) => can::encode(address),
            Address::Vsock(address) => Ok(vsock::encode(address)),
            Address::Tipc(address) => Ok(tipc::encode(address)),
            Address::Bluetooth(address) => Ok(bluetooth::encode(address)),
            Address::Alg(address) => alg::encode(address),
            Address::Qipcrtr(address) => Ok(qipcrtr::encode(address)),
        }
    }
}

/// The fields of a structure, from its first byte on.
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl Fields<'_> {
    /// The next field's bytes.
    ///
    /// # Errors
    /// `inval` where the structure ends before them.
    pub(super) fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(*field)
    }

    /// Goes past padding.
    pub(super) fn skip<const LENGTH: usize>(&mut self) -> Result<()> {
        self.take::<LENGTH>().map(drop)
    }
}

impl PartialEq for EncodedAddress {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for EncodedAddress {}

impl Hash for EncodedAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for EncodedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode_by_family() {
            Ok(address) => write!(f, "EncodedAddress({address:?})"),
            Err(_) => write!(f, "EncodedAddress({:02x?})", self.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
