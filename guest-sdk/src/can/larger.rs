//! CAN FD and CAN XL frames (linux/can.h).

use std::fmt;
use std::io;

use super::frame::{check_id, check_length, id_of_word, id_word, write_data};
use crate::address::CanId;
use crate::consts::{CAN_SFF_MASK, CANFD_BRS, CANFD_ESI, CANFD_FDF, CANXL_SEC, CANXL_XLF};
use crate::wire::Fields;

/// Bytes of a struct canfd_frame (CANFD_MTU).
pub const FD_SIZE: usize = 72;
/// Bytes of the largest struct canxl_frame (CANXL_MTU).
pub const XL_SIZE: usize = XL_HEADER + XL_DATA;

const FD_DATA: usize = 64;
const XL_DATA: usize = 2048;
const XL_HEADER: usize = 12;

/// A CAN FD frame: struct canfd_frame, up to 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CanFdFrame {
    id: CanId,
    flags: u8,
    length: u8,
    data: [u8; FD_DATA],
}

impl CanFdFrame {
    /// A frame of at most 64 bytes. The bus knows 0 to 8, 12, 16, 20, 24, 32, 48 and 64: drivers pad what
    /// lies between.
    pub fn new(id: CanId, data: &[u8]) -> io::Result<Self> {
        check_id(id)?;
        check_length(data.len(), 0, FD_DATA)?;
        Ok(Self::build(id, 0, data))
    }

    /// `data` is at most 64 bytes.
    fn build(id: CanId, flags: u8, data: &[u8]) -> Self {
        let mut frame = Self {
            id,
            flags: flags & (CANFD_BRS | CANFD_ESI | CANFD_FDF),
            length: data.len() as u8,
            data: [0; FD_DATA],
        };
        frame.data[..data.len()].copy_from_slice(data);
        frame
    }

    /// With the second bit rate for its data (CANFD_BRS).
    pub fn with_bit_rate_switch(mut self) -> Self {
        self.flags |= CANFD_BRS;
        self
    }

    /// As of a sender that is error-passive (CANFD_ESI): controllers set it themselves, gateways hand it on.
    pub fn with_error_state(mut self) -> Self {
        self.flags |= CANFD_ESI;
        self
    }

    /// The identifier.
    pub fn id(&self) -> CanId {
        self.id
    }

    /// The data.
    pub fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.length)]
    }

    /// Whether its data travel at the second bit rate.
    pub fn bit_rate_switch(&self) -> bool {
        self.flags & CANFD_BRS != 0
    }

    /// Whether its sender is error-passive (CANFD_ESI).
    pub fn error_state(&self) -> bool {
        self.flags & CANFD_ESI != 0
    }

    /// The frame as a struct canfd_frame.
    pub fn encode(&self) -> [u8; FD_SIZE] {
        let mut bytes = [0; FD_SIZE];
        bytes[..4].copy_from_slice(&id_word(self.id).to_le_bytes());
        bytes[4] = self.length;
        bytes[5] = self.flags;
        bytes[8..].copy_from_slice(&self.data);
        bytes
    }

    /// The frame in a struct canfd_frame; none where there is no such frame.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FD_SIZE] = bytes.try_into().ok()?;
        let mut fields = Fields::new(bytes);
        let id = id_of_word(fields.u32()?);
        let [length, flags, _, _] = fields.array()?;
        let data = fields.rest().get(..usize::from(length))?;
        Some(Self::build(id, flags, data))
    }
}

/// As cansend takes it: `123##1DEAD`, with the flags as one digit.
impl fmt::Display for CanFdFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}##{:X}", self.id, self.flags)?;
        write_data(f, self.data())
    }
}

impl fmt::Debug for CanFdFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanFdFrame({self})")
    }
}

/// A CAN XL frame: struct canxl_frame, 1 to 2048 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanXlFrame {
    priority: u16,
    /// Virtual CAN network id, 0 for none.
    network: u8,
    flags: u8,
    /// Service data unit type.
    sdu_type: u8,
    /// Acceptance field.
    acceptance: u32,
    data: Vec<u8>,
}

impl CanXlFrame {
    /// A frame of 1 to 2048 bytes with an 11-bit priority, a service data unit type (SDT) and an
    /// acceptance field (AF).
    pub fn new(priority: u16, sdu_type: u8, acceptance: u32, data: &[u8]) -> io::Result<Self> {
        check_id(CanId::Standard(priority))?;
        check_length(data.len(), 1, XL_DATA)?;
        Ok(Self {
            priority,
            network: 0,
            flags: CANXL_XLF,
            sdu_type,
            acceptance,
            data: data.to_vec(),
        })
    }

    /// On this virtual CAN network (VCID).
    pub fn with_network(mut self, network: u8) -> Self {
        self.network = network;
        self
    }

    /// With the simple extended content bit (SEC).
    pub fn with_extended_content(mut self) -> Self {
        self.flags |= CANXL_SEC;
        self
    }

    /// The priority, 11 bits.
    pub fn priority(&self) -> u16 {
        self.priority
    }

    /// The virtual CAN network id.
    pub fn network(&self) -> u8 {
        self.network
    }

    /// The service data unit type.
    pub fn sdu_type(&self) -> u8 {
        self.sdu_type
    }

    /// The acceptance field.
    pub fn acceptance(&self) -> u32 {
        self.acceptance
    }

    /// Whether the simple extended content bit is set.
    pub fn extended_content(&self) -> bool {
        self.flags & CANXL_SEC != 0
    }

    /// The data.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The frame as a struct canxl_frame, cut behind its data.
    pub fn encode(&self) -> Vec<u8> {
        let word = u32::from(self.network) << 16 | u32::from(self.priority);
        let mut bytes = Vec::with_capacity(XL_HEADER + self.data.len());
        bytes.extend(word.to_le_bytes());
        bytes.extend([self.flags, self.sdu_type]);
        bytes.extend((self.data.len() as u16).to_le_bytes());
        bytes.extend(self.acceptance.to_le_bytes());
        bytes.extend(&self.data);
        bytes
    }

    /// The frame in a struct canxl_frame that ends behind its data; none where there is no such frame.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let word = fields.u32()?;
        let [flags, sdu_type] = fields.array()?;
        let length = usize::from(fields.u16()?);
        let acceptance = fields.u32()?;
        let data = fields.rest();
        if flags & CANXL_XLF == 0 || data.len() != length || !(1..=XL_DATA).contains(&length) {
            return None;
        }
        Some(Self {
            priority: (word & CAN_SFF_MASK) as u16,
            network: (word >> 16) as u8,
            flags: flags & (CANXL_XLF | CANXL_SEC),
            sdu_type,
            acceptance,
            data: data.to_vec(),
        })
    }
}

/// As candump -L prints it: virtual network and priority, flags, type and acceptance field, data.
impl fmt::Display for CanXlFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}{:03X}#", self.network, self.priority)?;
        write!(
            f,
            "{:02X}:{:02X}:{:08X}#",
            self.flags, self.sdu_type, self.acceptance
        )?;
        write_data(f, &self.data)
    }
}
