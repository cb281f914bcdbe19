//! Socket addresses as the kernel has them (sockaddr(3type)).

use std::fmt;
use std::hash::{Hash, Hasher};

use libc::{sa_family_t, sockaddr, socklen_t};
use sockgate_policy::Address;

use super::qipcrtr::AF_QIPCRTR;
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

    /// The address as the policy sees it, of a socket of `protocol`, which says what a CAN or Bluetooth
    /// address holds. None where there is none (length 0, or AF_UNSPEC).
    ///
    /// # Errors
    /// `afnosupport` for a family that has no codec here, `inval` for one that is too short.
    pub fn decode_of(&self, protocol: u32) -> Result<Option<Address>> {
        let bytes = self.as_bytes();
        if bytes.is_empty() {
            return Ok(None);
        }
        let (family, body) = bytes
            .split_first_chunk::<FAMILY_LENGTH>()
            .ok_or(Errno::INVAL)?;
        match i32::from(sa_family_t::from_ne_bytes(*family)) {
            libc::AF_UNSPEC => Ok(None),
            libc::AF_INET => inet::decode_v4(body).map(|v4| Some(Address::Inet(v4))),
            libc::AF_INET6 => inet::decode_v6(body).map(|v6| Some(Address::Inet6(v6))),
            libc::AF_UNIX => Ok(Some(Address::Unix(unix::decode(body)))),
            libc::AF_NETLINK => netlink::decode(body).map(|nl| Some(Address::Netlink(nl))),
            libc::AF_PACKET => packet::decode(body).map(|ll| Some(Address::Packet(ll))),
            libc::AF_CAN => can::decode(protocol, body).map(|can| Some(Address::Can(can))),
            libc::AF_VSOCK => vsock::decode(body).map(|vm| Some(Address::Vsock(vm))),
            libc::AF_TIPC => tipc::decode(body).map(|tipc| Some(Address::Tipc(tipc))),
            libc::AF_ALG => alg::decode(body).map(|alg| Some(Address::Alg(alg))),
            libc::AF_BLUETOOTH => {
                bluetooth::decode(protocol, body).map(|bt| Some(Address::Bluetooth(bt)))
            }
            AF_QIPCRTR => qipcrtr::decode(body).map(|qrtr| Some(Address::Qipcrtr(qrtr))),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }

    /// An IP or Unix address, for which no protocol matters.
    pub fn decode(&self) -> Result<Option<Address>> {
        self.decode_of(0)
    }
}

impl TryFrom<&Address> for EncodedAddress {
    type Error = Errno;

    /// # Errors
    /// `nametoolong` for a Unix name or an algorithm's that does not fit, `inval` for an empty path, one with
    /// a NUL, and what is no CAN id; `nodev` for an interface that there is not.
    fn try_from(address: &Address) -> Result<Self> {
        match address {
            Address::Inet(v4) => Ok(inet::encode_v4(v4)),
            Address::Inet6(v6) => Ok(inet::encode_v6(v6)),
            Address::Unix(unix) => unix::encode(unix),
            Address::Netlink(nl) => Ok(netlink::encode(nl)),
            Address::Packet(ll) => packet::encode(ll),
            Address::Can(can) => can::encode(can),
            Address::Vsock(vm) => Ok(vsock::encode(vm)),
            Address::Tipc(tipc) => Ok(tipc::encode(tipc)),
            Address::Alg(alg) => alg::encode(alg),
            Address::Bluetooth(bt) => Ok(bluetooth::encode(bt)),
            Address::Qipcrtr(qrtr) => Ok(qipcrtr::encode(qrtr)),
        }
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
        match self.decode() {
            Ok(address) => write!(f, "EncodedAddress({address:?})"),
            Err(_) => write!(f, "EncodedAddress({:02x?})", self.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_decodes_to_none() {
        assert_eq!(EncodedAddress::empty().decode(), Ok(None));
        let unspecified = EncodedAddress::new(libc::AF_UNSPEC, &[&[0; 14]]);
        assert_eq!(unspecified.decode(), Ok(None));
    }

    #[test]
    fn bad_lengths_and_families_are_errors() {
        assert_eq!(EncodedAddress::from_bytes(&[2]).decode(), Err(Errno::INVAL));
        for (family, whole) in [(libc::AF_INET, 16), (libc::AF_INET6, 28)] {
            for length in FAMILY_LENGTH..whole {
                let body = vec![0; length - FAMILY_LENGTH];
                let address = EncodedAddress::new(family, &[&body]);
                assert_eq!(
                    address.decode(),
                    Err(Errno::INVAL),
                    "family {family} length {length}"
                );
            }
        }
        let other = EncodedAddress::new(libc::AF_APPLETALK, &[&[0; 10]]);
        assert_eq!(other.decode(), Err(Errno::AFNOSUPPORT));
    }

    #[test]
    fn a_length_beyond_the_room_reads_only_the_room() {
        let mut address = EncodedAddress::from_bytes(&[7; 400]);
        assert_eq!(address.as_bytes().len(), CAPACITY);
        address.set_length(4000);
        assert_eq!(address.as_bytes().len(), CAPACITY);
        assert_eq!(address.length() as usize, CAPACITY);
    }

    #[test]
    fn equality_looks_at_the_used_bytes_only() {
        let mut left = EncodedAddress::from_bytes(&[1, 2, 3]);
        left.set_length(2);
        assert_eq!(left, EncodedAddress::from_bytes(&[1, 2]));
        assert_ne!(left, EncodedAddress::from_bytes(&[1, 2, 3]));
    }
}
