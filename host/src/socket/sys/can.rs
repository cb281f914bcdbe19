//! `sockaddr_can`, Documentation/networking/can.rst, .../iso15765-2.rst, .../j1939.rst.

use libc::c_int;
use sockgate_policy::{CanAddress, CanEndpoint, CanId};

use super::address::{EncodedAddress, Fields};
use super::{Errno, Result, interface};

/// CAN_RAW, CAN_BCM, CAN_ISOTP, CAN_J1939, linux/can.h.
const RAW: u32 = 1;
const BCM: u32 = 2;
const ISOTP: u32 = 6;
const J1939: u32 = 7;

/// CAN_EFF_FLAG: the identifier has 29 bits.
const EXTENDED_FLAG: u32 = 1 << 31;
/// CAN_SFF_MASK and CAN_EFF_MASK.
const STANDARD_MASK: u32 = 0x7ff;
const EXTENDED_MASK: u32 = 0x1fff_ffff;

/// J1939_NO_NAME, J1939_NO_PGN, J1939_NO_ADDR, linux/can/j1939.h.
const NO_NAME: u64 = 0;
const NO_PGN: u32 = 0x40000;
const NO_ADDRESS: u8 = 0xff;

/// Bytes of the union behind the interface: a J1939 endpoint with its padding.
const ENDPOINT: usize = 16;

/// Whether sockets of this protocol have addresses of this form.
pub(super) fn fits(protocol: u32, endpoint: &CanEndpoint) -> bool {
    match endpoint {
        CanEndpoint::Bus => matches!(protocol, RAW | BCM),
        CanEndpoint::IsoTp { .. } => protocol == ISOTP,
        CanEndpoint::J1939 { .. } => protocol == J1939,
    }
}

/// Padding, interface, and what the protocol has behind it.
///
/// # Errors
/// `nodev` for an interface that is not there; `inval` for an identifier of too many bits, and for a
/// value that means "none" where one is given.
pub(super) fn encode(address: &CanAddress) -> Result<EncodedAddress> {
    let endpoint = match address.endpoint {
        CanEndpoint::Bus => [0; ENDPOINT],
        CanEndpoint::IsoTp { rx, tx } => encode_isotp(rx, tx)?,
        CanEndpoint::J1939 { name, pgn, address } => encode_j1939(name, pgn, address)?,
    };
    let index = interface::index_or_any(address.interface.as_deref())?;
    Ok(EncodedAddress::new(
        libc::AF_CAN,
        &[&[0; 2], &index.to_ne_bytes(), &endpoint],
    ))
}

fn encode_isotp(rx: CanId, tx: CanId) -> Result<[u8; ENDPOINT]> {
    let mut endpoint = [0; ENDPOINT];
    endpoint[..4].copy_from_slice(&encode_id(rx)?.to_ne_bytes());
    endpoint[4..8].copy_from_slice(&encode_id(tx)?.to_ne_bytes());
    Ok(endpoint)
}

fn encode_id(id: CanId) -> Result<u32> {
    match id {
        CanId::Standard(id) if u32::from(id) <= STANDARD_MASK => Ok(id.into()),
        CanId::Extended(id) if id <= EXTENDED_MASK => Ok(id | EXTENDED_FLAG),
        _ => Err(Errno::INVAL),
    }
}

fn encode_j1939(
    name: Option<u64>,
    pgn: Option<u32>,
    address: Option<u8>,
) -> Result<[u8; ENDPOINT]> {
    let none_given = name == Some(NO_NAME) || address == Some(NO_ADDRESS);
    if none_given || pgn.is_some_and(|pgn| pgn >= NO_PGN) {
        return Err(Errno::INVAL);
    }
    let mut endpoint = [0; ENDPOINT];
    endpoint[..8].copy_from_slice(&name.unwrap_or(NO_NAME).to_ne_bytes());
    endpoint[8..12].copy_from_slice(&pgn.unwrap_or(NO_PGN).to_ne_bytes());
    endpoint[12] = address.unwrap_or(NO_ADDRESS);
    Ok(endpoint)
}

/// The address of a socket of `protocol`: the bytes alone do not say what follows the interface.
pub(super) fn decode(protocol: u32, body: &[u8]) -> Result<CanAddress> {
    let mut fields = Fields(body);
    fields.skip::<2>()?;
    // Linux's field is signed; an index never is.
    let index = c_int::from_ne_bytes(fields.take()?);
    let index = u32::try_from(index).map_err(|_| Errno::INVAL)?;
    let endpoint = match protocol {
        RAW | BCM => CanEndpoint::Bus,
        ISOTP => CanEndpoint::IsoTp {
            rx: decode_id(u32::from_ne_bytes(fields.take()?))?,
            tx: decode_id(u32::from_ne_bytes(fields.take()?))?,
        },
        J1939 => decode_j1939(&mut fields)?,
        _ => return Err(Errno::INVAL),
    };
    Ok(CanAddress {
        interface: interface::name_or_any(index),
        endpoint,
    })
}

fn decode_id(id: u32) -> Result<CanId> {
    let bits = id & !EXTENDED_FLAG;
    match u16::try_from(bits) {
        _ if id != bits && bits <= EXTENDED_MASK => Ok(CanId::Extended(bits)),
        Ok(standard) if id == bits && bits <= STANDARD_MASK => Ok(CanId::Standard(standard)),
        _ => Err(Errno::INVAL),
    }
}

fn decode_j1939(fields: &mut Fields<'_>) -> Result<CanEndpoint> {
    let name = u64::from_ne_bytes(fields.take()?);
    let pgn = u32::from_ne_bytes(fields.take()?);
    let [address] = fields.take()?;
    if pgn > NO_PGN {
        return Err(Errno::INVAL);
    }
    Ok(CanEndpoint::J1939 {
        name: (name != NO_NAME).then_some(name),
        pgn: (pgn != NO_PGN).then_some(pgn),
        address: (address != NO_ADDRESS).then_some(address),
    })
}
