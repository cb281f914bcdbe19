//! WIT's types to ours and back: pure, without a system call but for the names of interfaces.

mod address;
mod ancillary;
mod errno;
mod family;
mod kind;
mod message;

pub(super) use address::{
    address_from_wit, address_to_wit, ip_from_wit, ip_to_wit, v4_from_wit, v4_to_wit, v6_from_wit,
    v6_to_wit,
};
pub(super) use ancillary::{ancillary_from_wit, ancillary_to_wit};
pub(super) use errno::errno;
pub(super) use kind::{
    family_from_wit, family_to_wit, kind_from_wit, protocol_from_wit, protocol_to_wit,
    socket_type_from_wit, socket_type_to_wit, timeout_from_wit, timeout_to_wit,
};
pub(super) use message::{flags_from_wit, flags_to_wit, interest_from_wit, readiness_to_wit};
