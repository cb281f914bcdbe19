//! Classic frames, frames of any format, and their layout in memory (linux/can.h).

use std::fmt;
use std::io;

use super::larger::{CanFdFrame, CanXlFrame};
use crate::address::CanId;
use crate::consts::{
    CAN_EFF_FLAG, CAN_EFF_MASK, CAN_ERR_FLAG, CAN_ERR_MASK, CAN_RTR_FLAG, CAN_SFF_MASK, CANXL_XLF,
};
use crate::wire::{Fields, unfit};

/// Bytes of a struct can_frame (CAN_MTU).
pub const CLASSIC_SIZE: usize = 16;

const CLASSIC_DATA: usize = 8;

/// The identifier as the kernel has it: the number, and a bit for its format.
pub(super) fn id_word(id: CanId) -> u32 {
    match id {
        CanId::Standard(id) => u32::from(id) & CAN_SFF_MASK,
        CanId::Extended(id) => id & CAN_EFF_MASK | CAN_EFF_FLAG,
    }
}

pub(super) fn id_of_word(word: u32) -> CanId {
    if word & CAN_EFF_FLAG != 0 {
        CanId::Extended(word & CAN_EFF_MASK)
    } else {
        CanId::Standard((word & CAN_SFF_MASK) as u16)
    }
}

pub(super) fn check_id(id: CanId) -> io::Result<()> {
    if id.is_valid() {
        return Ok(());
    }
    let text = format!("the CAN identifier {id} does not fit: 11 bits (7FF), or 29 (1FFFFFFF)");
    Err(unfit(text))
}

pub(super) fn check_length(length: usize, least: usize, most: usize) -> io::Result<()> {
    if (least..=most).contains(&length) {
        return Ok(());
    }
    Err(unfit(format!(
        "{length} bytes in a CAN frame that holds {least} to {most}"
    )))
}

/// What a classic frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Data(CanId),
    Remote(CanId),
    /// CAN_ERR_*, linux/can/error.h
    Error(u32),
}

/// A classic CAN frame: struct can_frame. Data, a remote request, or an error that the controller
/// reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CanFrame {
    kind: Kind,
    length: u8,
    /// 9 to 15 where the bus carried such a length code for 8 bytes, else 0.
    raw_dlc: u8,
    data: [u8; CLASSIC_DATA],
}

impl CanFrame {
    /// A data frame of at most 8 bytes.
    ///
    /// ```
    /// use sockgate_guest::can::{CanFrame, CanId};
    ///
    /// let frame = CanFrame::new(CanId::Standard(0x123), &[0xde, 0xad])?;
    /// assert_eq!(frame.to_string(), "123#DEAD");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(id: CanId, data: &[u8]) -> io::Result<Self> {
        check_id(id)?;
        check_length(data.len(), 0, CLASSIC_DATA)?;
        Ok(Self::build(Kind::Data(id), data))
    }

    /// A remote request for a frame of `length` bytes (0 to 8).
    pub fn remote(id: CanId, length: usize) -> io::Result<Self> {
        check_id(id)?;
        check_length(length, 0, CLASSIC_DATA)?;
        Ok(Self {
            length: length as u8,
            ..Self::build(Kind::Remote(id), &[])
        })
    }

    /// An error frame: classes (`CAN_ERR_*` in [`consts`](crate::consts)) and eight bytes of detail.
    pub fn error(classes: u32, detail: [u8; 8]) -> Self {
        Self::build(Kind::Error(classes & CAN_ERR_MASK), &detail)
    }

    /// With a raw length code of 9 to 15, which the bus carries for 8 bytes; others are refused.
    pub fn with_raw_dlc(mut self, dlc: u8) -> io::Result<Self> {
        if usize::from(self.length) != CLASSIC_DATA || !(9..=15).contains(&dlc) {
            let length = self.length;
            let text =
                format!("a raw length code of {dlc} for {length} bytes: 9 to 15, for 8 bytes");
            return Err(unfit(text));
        }
        self.raw_dlc = dlc;
        Ok(self)
    }

    /// `data` is at most 8 bytes.
    fn build(kind: Kind, data: &[u8]) -> Self {
        let mut frame = Self {
            kind,
            length: data.len() as u8,
            raw_dlc: 0,
            data: [0; CLASSIC_DATA],
        };
        frame.data[..data.len()].copy_from_slice(data);
        frame
    }

    /// The identifier; of an error frame its classes, as if they were an extended one.
    pub fn id(&self) -> CanId {
        match self.kind {
            Kind::Data(id) | Kind::Remote(id) => id,
            Kind::Error(classes) => CanId::Extended(classes),
        }
    }

    /// The data; empty in a remote request.
    pub fn data(&self) -> &[u8] {
        match self.kind {
            Kind::Remote(_) => &[],
            _ => &self.data[..usize::from(self.length)],
        }
    }

    /// How many bytes it has, or asks for.
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The length code on the bus, 0 to 15; above 8 it stands for 8 bytes.
    pub fn raw_dlc(&self) -> u8 {
        self.length.max(self.raw_dlc)
    }

    /// Whether it asks for a frame instead of being one.
    pub fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Remote(_))
    }

    /// The classes of an error frame (`CAN_ERR_*` in [`consts`](crate::consts)); none for others.
    pub fn error_classes(&self) -> Option<u32> {
        match self.kind {
            Kind::Error(classes) => Some(classes),
            _ => None,
        }
    }

    /// The frame as a struct can_frame.
    pub fn encode(&self) -> [u8; CLASSIC_SIZE] {
        let word = match self.kind {
            Kind::Data(id) => id_word(id),
            Kind::Remote(id) => id_word(id) | CAN_RTR_FLAG,
            Kind::Error(classes) => classes | CAN_ERR_FLAG,
        };
        let mut bytes = [0; CLASSIC_SIZE];
        bytes[..4].copy_from_slice(&word.to_le_bytes());
        bytes[4] = self.length;
        bytes[7] = self.raw_dlc;
        bytes[8..].copy_from_slice(&self.data);
        bytes
    }

    /// The frame in a struct can_frame; none where there is no such frame.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; CLASSIC_SIZE] = bytes.try_into().ok()?;
        let mut fields = Fields::new(bytes);
        let word = fields.u32()?;
        let [length, _, _, raw_dlc] = fields.array()?;
        let data = fields.rest().get(..usize::from(length))?;
        let kind = if word & CAN_ERR_FLAG != 0 {
            Kind::Error(word & CAN_ERR_MASK)
        } else if word & CAN_RTR_FLAG != 0 {
            Kind::Remote(id_of_word(word))
        } else {
            Kind::Data(id_of_word(word))
        };
        let data = if matches!(kind, Kind::Remote(_)) {
            &[]
        } else {
            data
        };
        let raw_dlc = if length == 8 && (9..=15).contains(&raw_dlc) {
            raw_dlc
        } else {
            0
        };
        Some(Self {
            length,
            raw_dlc,
            ..Self::build(kind, data)
        })
    }
}

/// As cansend takes it and candump -L prints it: `123#DEAD`, `123#R2`, and `123#1122334455667788_9` with a raw
/// length code.
impl fmt::Display for CanFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Data(id) => write!(f, "{id}#")?,
            Kind::Remote(id) if self.length == 0 => return write!(f, "{id}#R"),
            Kind::Remote(id) => return write!(f, "{id}#R{}", self.length),
            Kind::Error(classes) => write!(f, "{:08X}#", classes | CAN_ERR_FLAG)?,
        }
        write_data(f, self.data())?;
        match self.raw_dlc {
            0 => Ok(()),
            code => write!(f, "_{code:X}"),
        }
    }
}

impl fmt::Debug for CanFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanFrame({self})")
    }
}

pub(super) fn write_data(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    data.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
}

/// A frame of any format.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnyCanFrame {
    /// A classic one.
    Classic(CanFrame),
    /// CAN FD
    Fd(CanFdFrame),
    /// CAN XL
    Xl(CanXlFrame),
}

impl AnyCanFrame {
    /// The data.
    pub fn data(&self) -> &[u8] {
        match self {
            Self::Classic(frame) => frame.data(),
            Self::Fd(frame) => frame.data(),
            Self::Xl(frame) => frame.data(),
        }
    }

    /// The identifier; of an XL frame its priority.
    pub fn id(&self) -> CanId {
        match self {
            Self::Classic(frame) => frame.id(),
            Self::Fd(frame) => frame.id(),
            Self::Xl(frame) => CanId::Standard(frame.priority()),
        }
    }

    /// The frame as the kernel's struct.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Classic(frame) => frame.encode().to_vec(),
            Self::Fd(frame) => frame.encode().to_vec(),
            Self::Xl(frame) => frame.encode(),
        }
    }

    /// The frame in what was received; none where it is no frame. XL is told by its flag, since a short
    /// one may be as long as a classic one; the others are told by their length.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match (bytes.get(4)? & CANXL_XLF, bytes.len()) {
            (CANXL_XLF, _) => CanXlFrame::decode(bytes).map(Self::Xl),
            (_, CLASSIC_SIZE) => CanFrame::decode(bytes).map(Self::Classic),
            _ => CanFdFrame::decode(bytes).map(Self::Fd),
        }
    }
}

/// As cansend takes it.
impl fmt::Display for AnyCanFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic(frame) => frame.fmt(f),
            Self::Fd(frame) => frame.fmt(f),
            Self::Xl(frame) => frame.fmt(f),
        }
    }
}

macro_rules! formats {
    ($($frame:ident $case:ident),*) => {$(
        impl From<$frame> for AnyCanFrame {
            fn from(frame: $frame) -> Self {
                Self::$case(frame)
            }
        }

        impl From<&$frame> for AnyCanFrame {
            fn from(frame: &$frame) -> Self {
                Self::$case(frame.clone())
            }
        }
    )*};
}

formats! { CanFrame Classic, CanFdFrame Fd, CanXlFrame Xl }

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::can) fn ids() -> impl Strategy<Value = CanId> {
        prop_oneof![
            (0..=0x7ffu16).prop_map(CanId::Standard),
            (0..=0x1fff_ffffu32).prop_map(CanId::Extended),
        ]
    }

    pub(in crate::can) fn classic() -> impl Strategy<Value = CanFrame> {
        let data = proptest::collection::vec(any::<u8>(), 0..=8);
        prop_oneof![
            (ids(), data).prop_map(|(id, data)| CanFrame::new(id, &data).unwrap()),
            (ids(), 0..=8usize).prop_map(|(id, length)| CanFrame::remote(id, length).unwrap()),
            (any::<u32>(), any::<[u8; 8]>())
                .prop_map(|(classes, detail)| CanFrame::error(classes, detail)),
            (ids(), any::<[u8; 8]>(), 9..=15u8).prop_map(|(id, data, dlc)| {
                CanFrame::new(id, &data).unwrap().with_raw_dlc(dlc).unwrap()
            }),
        ]
    }

    pub(in crate::can) fn fd() -> impl Strategy<Value = CanFdFrame> {
        let data = proptest::collection::vec(any::<u8>(), 0..=64);
        (ids(), data, any::<bool>()).prop_map(|(id, data, switch)| {
            let frame = CanFdFrame::new(id, &data).unwrap();
            if switch {
                frame.with_bit_rate_switch()
            } else {
                frame
            }
        })
    }

    fn xl() -> impl Strategy<Value = CanXlFrame> {
        let data = proptest::collection::vec(any::<u8>(), 1..=2048);
        let head = (0..=0x7ffu16, any::<u8>(), any::<u8>(), any::<u32>());
        (head, data, any::<bool>()).prop_map(|(head, data, content)| {
            let (priority, network, sdu_type, acceptance) = head;
            let frame = CanXlFrame::new(priority, sdu_type, acceptance, &data).unwrap();
            let frame = frame.with_network(network);
            if content {
                frame.with_extended_content()
            } else {
                frame
            }
        })
    }

    proptest! {
        #[test]
        fn frames_survive_their_encoding(
            frame in prop_oneof![
                classic().prop_map(AnyCanFrame::from),
                fd().prop_map(AnyCanFrame::from),
                xl().prop_map(AnyCanFrame::from),
            ]
        ) {
            prop_assert_eq!(AnyCanFrame::decode(&frame.encode()), Some(frame));
        }

        #[test]
        fn whatever_decodes_is_a_frame_of_its_own(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..100),
                proptest::collection::vec(any::<u8>(), 16),
                proptest::collection::vec(any::<u8>(), 72),
            ]
        ) {
            if let Some(frame) = AnyCanFrame::decode(&bytes) {
                prop_assert_eq!(AnyCanFrame::decode(&frame.encode()), Some(frame));
            }
        }
    }

    #[test]
    fn layouts_are_the_kernel_s() {
        let frame = CanFrame::new(CanId::Extended(0x12345), &[1, 2, 3]).unwrap();
        let bytes = [0x45, 0x23, 1, 0x80, 3, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0];
        assert_eq!(frame.encode(), bytes);
        let xl = CanXlFrame::new(0x123, 7, 0x0a0b_0c0d, &[9, 8, 7, 6]).unwrap();
        let bytes = [
            0x23, 1, 0, 0, 0x80, 7, 4, 0, 0x0d, 0x0c, 0x0b, 0x0a, 9, 8, 7, 6,
        ];
        assert_eq!(xl.encode(), bytes);
        assert_eq!(AnyCanFrame::decode(&bytes), Some(AnyCanFrame::Xl(xl)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(CanFrame::new(CanId::Standard(0x800), &[]).is_err());
        assert!(CanFrame::new(CanId::Standard(1), &[0; 9]).is_err());
        assert!(CanFrame::remote(CanId::Standard(1), 9).is_err());
        assert!(CanFdFrame::new(CanId::Standard(1), &[0; 65]).is_err());
        assert!(CanXlFrame::new(1, 0, 0, &[]).is_err());
        let frame = CanFrame::new(CanId::Standard(1), &[0; 8]).unwrap();
        assert!(frame.with_raw_dlc(8).is_err());
        assert_eq!(frame.with_raw_dlc(12).unwrap().raw_dlc(), 12);
        assert_eq!(
            CanFrame::remote(CanId::Standard(1), 2).unwrap().to_string(),
            "001#R2"
        );
    }

    #[test]
    fn embedded_can_sees_the_same_frame() {
        use embedded_can::{Frame, Id, StandardId};
        let id = StandardId::new(0x42).unwrap();
        let frame = <CanFrame as Frame>::new(id, &[5]).unwrap();
        assert_eq!(Frame::id(&frame), Id::Standard(id));
        assert_eq!((Frame::dlc(&frame), Frame::data(&frame)), (1, &[5][..]));
        assert!(Frame::is_data_frame(&frame) && Frame::is_standard(&frame));
    }
}
