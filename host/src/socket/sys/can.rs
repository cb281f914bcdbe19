//! `sockaddr_can`, linux/can.h, Documentation/networking/can.rst.

use sockgate_policy::{CanAddress, CanEndpoint, CanId};

use super::address::EncodedAddress;
use super::fields::Fields;
use super::interface::{optional_index, optional_name};
use super::{Errno, Result};

/// CAN_ISOTP and CAN_J1939, whose addresses hold more than an interface.
const ISOTP: u32 = 6;
const J1939: u32 = 7;

/// CAN_EFF_FLAG: the id has 29 bits.
const EXTENDED: u32 = 0x8000_0000;
const STANDARD_IDS: u32 = 0x7ff;
const EXTENDED_IDS: u32 = 0x1fff_ffff;

/// J1939_NO_NAME, J1939_NO_PGN, J1939_NO_ADDR, linux/can/j1939.h.
const NO_NAME: u64 = 0;
const NO_PGN: u32 = 0x4_0000;
const NO_ADDRESS: u8 = 0xff;
/// J1939_PGN_MAX and J1939_IDLE_ADDR.
const LAST_PGN: u32 = 0x3_ffff;
const IDLE_ADDRESS: u8 = 0xfe;

/// Padding between the family and the interface's index.
const PADDING: [u8; 2] = [0; 2];

/// # Errors
/// `nodev` for an interface that there is not, `inval` for an id, a parameter group or an address that is none.
pub(super) fn encode(address: &CanAddress) -> Result<EncodedAddress> {
    let index = optional_index(address.interface.as_deref())?.to_ne_bytes();
    let parts = |rest: &[u8]| EncodedAddress::new(libc::AF_CAN, &[&PADDING, &index, rest]);
    // The whole structure has 24 bytes, whatever is used of it.
    let mut rest = [0u8; 16];
    match address.endpoint {
        CanEndpoint::Bus => {}
        CanEndpoint::IsoTp { rx, tx } => {
            rest[..4].copy_from_slice(&encode_id(rx)?.to_ne_bytes());
            rest[4..8].copy_from_slice(&encode_id(tx)?.to_ne_bytes());
        }
        CanEndpoint::J1939 { name, pgn, address } => {
            if pgn.is_some_and(|pgn| pgn > LAST_PGN)
                || name == Some(NO_NAME)
                || address == Some(NO_ADDRESS)
            {
                return Err(Errno::INVAL);
            }
            rest[..8].copy_from_slice(&name.unwrap_or(NO_NAME).to_ne_bytes());
            rest[8..12].copy_from_slice(&pgn.unwrap_or(NO_PGN).to_ne_bytes());
            rest[12] = address.unwrap_or(NO_ADDRESS);
        }
    }
    Ok(parts(&rest))
}

fn encode_id(id: CanId) -> Result<u32> {
    match id {
        CanId::Standard(id) if u32::from(id) <= STANDARD_IDS => Ok(u32::from(id)),
        CanId::Extended(id) if id <= EXTENDED_IDS => Ok(id | EXTENDED),
        _ => Err(Errno::INVAL),
    }
}

fn decode_id(id: u32) -> Result<CanId> {
    if id & EXTENDED != 0 {
        return match id & !EXTENDED {
            id if id <= EXTENDED_IDS => Ok(CanId::Extended(id)),
            _ => Err(Errno::INVAL),
        };
    }
    match u16::try_from(id) {
        Ok(short) if id <= STANDARD_IDS => Ok(CanId::Standard(short)),
        _ => Err(Errno::INVAL),
    }
}

/// The body (what follows the family) of a `sockaddr_can` of a socket of `protocol`.
pub(super) fn decode(protocol: u32, body: &[u8]) -> Result<CanAddress> {
    let mut fields = Fields::new(body);
    fields.take::<2>()?;
    let interface = optional_name(fields.u32()?);
    let endpoint = match protocol {
        ISOTP => CanEndpoint::IsoTp {
            rx: decode_id(fields.u32()?)?,
            tx: decode_id(fields.u32()?)?,
        },
        J1939 => {
            let (name, pgn, address) = (fields.u64()?, fields.u32()?, fields.u8()?);
            CanEndpoint::J1939 {
                name: (name != NO_NAME).then_some(name),
                pgn: (pgn <= LAST_PGN).then_some(pgn),
                address: (address < IDLE_ADDRESS).then_some(address),
            }
        }
        _ => CanEndpoint::Bus,
    };
    Ok(CanAddress {
        interface,
        endpoint,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = CanId> {
        prop_oneof![
            (0u16..=0x7ff).prop_map(CanId::Standard),
            (0u32..=EXTENDED_IDS).prop_map(CanId::Extended),
        ]
    }

    fn endpoints() -> impl Strategy<Value = (u32, CanEndpoint)> {
        let j1939 = (
            proptest::option::of(1u64..),
            proptest::option::of(0..=LAST_PGN),
            proptest::option::of(0u8..IDLE_ADDRESS),
        );
        prop_oneof![
            Just((1, CanEndpoint::Bus)),
            (ids(), ids()).prop_map(|(rx, tx)| (ISOTP, CanEndpoint::IsoTp { rx, tx })),
            j1939.prop_map(|(name, pgn, address)| {
                (J1939, CanEndpoint::J1939 { name, pgn, address })
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            (protocol, endpoint) in endpoints(),
            loopback in any::<bool>(),
        ) {
            let interface = loopback.then(|| "lo".to_owned());
            let address = CanAddress { interface, endpoint };
            let encoded = encode(&address).unwrap();
            prop_assert_eq!(encoded.as_bytes().len(), 24);
            prop_assert_eq!(decode(protocol, &encoded.as_bytes()[2..]), Ok(address));
        }

        #[test]
        fn no_bytes_are_too_strange(
            protocol in 0u32..9,
            body in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = decode(protocol, &body);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let isotp = |rx, tx| CanAddress {
            interface: None,
            endpoint: CanEndpoint::IsoTp { rx, tx },
        };
        for (rx, tx) in [
            (CanId::Standard(0x800), CanId::Standard(1)),
            (CanId::Standard(1), CanId::Extended(0x2000_0000)),
        ] {
            assert_eq!(encode(&isotp(rx, tx)), Err(Errno::INVAL));
        }
    }

    #[test]
    fn short_addresses_are_refused() {
        let whole = encode(&CanAddress {
            interface: None,
            endpoint: CanEndpoint::Bus,
        })
        .unwrap();
        let body = &whole.as_bytes()[2..];
        for (protocol, needed) in [(1, 6), (ISOTP, 14), (J1939, 19)] {
            assert_eq!(decode(protocol, &body[..needed - 1]), Err(Errno::INVAL));
            assert!(decode(protocol, &body[..needed]).is_ok());
        }
    }
}
