//! The policy engine of sockgate: what one guest may do with sockets.
//!
//! The crate is pure. It opens no socket, reads no file and knows no runtime; the host gathers
//! [facts](SocketFacts), asks the [`Gate`] and receives a [`Permit`] or a [`Denial`].
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
// Nothing that a guest does may end the process.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
#![warn(missing_docs)]

mod address;
mod check;
mod class;
mod compare;
mod denial;
mod diff;
mod explain;
mod facts;
mod family;
mod gate;
mod judge;
mod kind;
mod learn;
mod load;
mod message;
mod model;
mod option;
pub mod permit;
mod reach;
mod schema;

pub use address::{Address, UnixAddress};
pub use check::Warning;
pub use class::{ClassSet, classify};
pub use denial::{Denial, Reason};
pub use diff::{Change, Difference};
pub use explain::{Candidate, Explanation, Question, QuestionError};
pub use facts::{AdoptedState, Origin, SocketFacts};
pub use family::{
    AlgAddress, BluetoothAddress, BluetoothDevice, BroadcastJob, CanAddress, CanEndpoint, CanId,
    Content, JobChange, Membership, NetlinkAddress, PacketAddress, QipcrtrAddress, TipcAddress,
    TipcEndpoint, VSOCK_ANY, VsockAddress, unnamed_destination,
};
pub use gate::{
    Adopted, BufferSlot, Counted, Delay, End, FlightSlot, Gate, LimitReached, Meters, Passage,
    Short, SocketSlot, Toll, Way,
};
pub use kind::{Family, Kind, SocketType};
pub use learn::{Generalise, Learner, Ports};
pub use load::{LoadError, LoadErrors, PolicyBuilder, Rule, Source};
pub use message::{AncillaryKind, AncillarySet, DescriptorKind, DescriptorKinds, MessageFlags};
pub use model::{
    Count, Flow, Limits, Mode, OnReload, Policy, Rate, is_host_name, unicode_host_name,
};
pub use option::{OptionName, OptionOn, OptionsSet};
pub use permit::{
    BindTarget, Carries, ConnectTarget, GroupRequest, HostName, IoctlName, Operation, Permit,
    RuleId, UnixPlace, op,
};
pub use reach::{Capabilities, KindReach, PortSet, Protocols, Reach};
pub use schema::json_schema;
