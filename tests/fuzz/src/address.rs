//! Addresses as the kernel writes them: no bytes make the codecs panic, and what they read comes out again.

use arbitrary::{Result, Unstructured};
use sockgate_policy::{Address, Family, Kind, SocketType, UnixAddress};

use crate::socket::sys::{self, EncodedAddress, Errno};

/// The first byte tells the family, the second the protocol, the rest is the address after its family.
pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let domain = i32::from(input.int_in_range(0..=50u8)?);
    let kind = Kind {
        family: sys::family_of(domain),
        socket_type: SocketType::Raw,
        protocol: input.int_in_range(0..=8)?,
    };
    let longer = input.ratio(1, 16)?;
    let mut bytes = u16::try_from(domain).unwrap_or(0).to_ne_bytes().to_vec();
    bytes.extend_from_slice(input.peek_bytes(input.len()).unwrap_or_default());
    if longer {
        // More than any address has: a length from outside is cut to the room that there is.
        bytes.resize(bytes.len() + 200, 0xa5);
    }
    read(kind, &bytes);
    for cut in [0, 1, 2, 3] {
        // And nothing is read that is not given: whatever follows, the shorter address says the same.
        let Some(shorter) = bytes.len().checked_sub(cut) else {
            break;
        };
        read(kind, &bytes[..shorter]);
    }
    Ok(())
}

fn read(kind: Kind, bytes: &[u8]) {
    let encoded = sys::address_of(bytes);
    let _ = format!("{encoded:?}");
    let by_family = encoded.decode_by_family();
    let Ok(Some(address)) = encoded.decode(kind) else {
        return;
    };
    if !matches!(kind.family, Family::Can | Family::Bluetooth) {
        assert_eq!(by_family, Ok(Some(address.clone())));
    }
    assert_eq!(address.family(), kind.family, "{bytes:02x?}");
    let again = match EncodedAddress::encode(kind, &address) {
        Ok(again) => again,
        Err(why) => {
            assert!(may_not_go_back(&address, why), "{address:?}: {why}");
            return;
        }
    };
    assert_eq!(
        again.decode(kind),
        Ok(Some(address.clone())),
        "{bytes:02x?}"
    );
    assert_eq!(sys::address_of(again.as_bytes()), again);
}

/// What can be read and not be asked for: a path without a byte, names longer than a sockaddr_un, an interface
/// that is gone.
fn may_not_go_back(address: &Address, why: Errno) -> bool {
    match address {
        Address::Unix(UnixAddress::Pathname(path)) if path.is_empty() => why == Errno::INVAL,
        Address::Unix(UnixAddress::Pathname(name) | UnixAddress::Abstract(name)) => {
            name.len() > 107 && why == Errno::NAMETOOLONG
        }
        Address::Packet(packet) => gone(packet.interface.as_deref()) && why == Errno::NODEV,
        Address::Can(can) => gone(can.interface.as_deref()) && why == Errno::NODEV,
        _ => false,
    }
}

fn gone(interface: Option<&str>) -> bool {
    interface.is_some_and(|name| name.starts_with(':'))
}
