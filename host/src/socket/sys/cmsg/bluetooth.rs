//! How well a packet of a synchronous link arrived: BT_SCM_PKT_STATUS, BlueZ's lib/bluetooth.h.

use libc::c_int;

use super::ControlIn;

pub(super) const SOL_BLUETOOTH: c_int = 274;
const BT_SCM_PKT_STATUS: c_int = 3;

/// One byte: 0 is correct, 1 possibly not, 2 nothing arrived, 3 a part.
pub(super) fn decode(kind: c_int, data: &[u8]) -> Option<ControlIn> {
    match (kind, data) {
        (BT_SCM_PKT_STATUS, [status]) => Some(ControlIn::BluetoothPacketStatus(*status)),
        _ => None,
    }
}
