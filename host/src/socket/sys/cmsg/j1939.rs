//! What comes beside a J1939 message, Documentation/networking/j1939.rst, linux/can/j1939.h.

use libc::c_int;

use super::{ControlIn, error};

pub(super) const SOL_CAN_J1939: c_int = 107;
const SCM_J1939_DEST_ADDR: c_int = 1;
const SCM_J1939_DEST_NAME: c_int = 2;
const SCM_J1939_PRIO: c_int = 3;
const SCM_J1939_ERRQUEUE: c_int = 4;

pub(super) fn decode(kind: c_int, data: &[u8]) -> Option<ControlIn> {
    match kind {
        SCM_J1939_DEST_ADDR => byte(data).map(ControlIn::J1939DestinationAddress),
        SCM_J1939_DEST_NAME => {
            let name = data.try_into().ok().map(u64::from_ne_bytes);
            name.map(ControlIn::J1939DestinationName)
        }
        SCM_J1939_PRIO => byte(data).map(ControlIn::J1939Priority),
        SCM_J1939_ERRQUEUE => error::decode(data),
        _ => None,
    }
}

fn byte(data: &[u8]) -> Option<u8> {
    match data {
        [byte] => Some(*byte),
        _ => None,
    }
}
