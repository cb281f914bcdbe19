//! Classic frames as embedded-can has them, so that its protocols run over them.

use super::{CanFrame, CanId};
use crate::consts::{CAN_EFF_MASK, CAN_SFF_MASK};

impl embedded_can::Frame for CanFrame {
    fn new(id: impl Into<embedded_can::Id>, data: &[u8]) -> Option<Self> {
        Self::new(id.into().into(), data).ok()
    }

    fn new_remote(id: impl Into<embedded_can::Id>, dlc: usize) -> Option<Self> {
        Self::remote(id.into().into(), dlc).ok()
    }

    fn is_extended(&self) -> bool {
        CanFrame::id(self).is_extended()
    }

    fn is_remote_frame(&self) -> bool {
        self.is_remote()
    }

    fn id(&self) -> embedded_can::Id {
        CanFrame::id(self).into()
    }

    fn dlc(&self) -> usize {
        self.length()
    }

    fn data(&self) -> &[u8] {
        CanFrame::data(self)
    }
}

impl From<embedded_can::Id> for CanId {
    fn from(id: embedded_can::Id) -> Self {
        match id {
            embedded_can::Id::Standard(id) => Self::Standard(id.as_raw()),
            embedded_can::Id::Extended(id) => Self::Extended(id.as_raw()),
        }
    }
}

/// What does not fit its format is cut to it.
impl From<CanId> for embedded_can::Id {
    fn from(id: CanId) -> Self {
        match id {
            CanId::Standard(id) => embedded_can::StandardId::new(id & CAN_SFF_MASK as u16)
                .unwrap_or(embedded_can::StandardId::MAX)
                .into(),
            CanId::Extended(id) => embedded_can::ExtendedId::new(id & CAN_EFF_MASK)
                .unwrap_or(embedded_can::ExtendedId::MAX)
                .into(),
        }
    }
}
