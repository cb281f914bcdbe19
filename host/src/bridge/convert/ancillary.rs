//! Ancillary data. Handles are looked up and made in the store's table.

use wasmtime::component::ResourceTable;

use super::{address_to_wit, errno, v4_from_wit, v4_to_wit, v6_from_wit, v6_to_wit};
use crate::bridge::Refusal;
use crate::bridge::bindings::sockgate::sockets::{ancillary as types, socket as wit};
use crate::socket::cmsg::{ControlIn, ExtendedError, Timestamp};
use crate::socket::{AncillaryIn, AncillaryOut, Errno, Handle, Passed, PlainOut, names};

/// What a guest gives to be sent; its handles stay its own.
pub(crate) fn ancillary_from_wit(
    table: &ResourceTable,
    ancillary: Vec<wit::AncillaryOut>,
) -> Result<Vec<AncillaryOut>, Refusal> {
    ancillary
        .into_iter()
        .map(|message| match message {
            wit::AncillaryOut::Rights(handles) => {
                let passed = handles.into_iter().map(|handle| passed(table, &handle));
                Ok(AncillaryOut::Rights(passed.collect::<Result<_, _>>()?))
            }
            plain => Ok(AncillaryOut::Plain(plain_from_wit(plain)?)),
        })
        .collect()
}

fn passed(table: &ResourceTable, handle: &wit::BorrowedHandle) -> Result<Passed, Refusal> {
    Ok(match handle {
        wit::BorrowedHandle::Socket(socket) => Passed::Socket(table.get(socket)?.inner()?.clone()),
        wit::BorrowedHandle::Descriptor(descriptor) => {
            Passed::Opaque(table.get(descriptor)?.clone())
        }
    })
}

fn index_of(interface: Option<String>) -> Result<u32, Errno> {
    interface.map_or(Ok(0), |name| names::scope_index(&name))
}

fn plain_from_wit(message: wit::AncillaryOut) -> Result<PlainOut, Errno> {
    Ok(match message {
        wit::AncillaryOut::Credentials(types::Credentials { pid, uid, gid }) => {
            PlainOut::Credentials { pid, uid, gid }
        }
        wit::AncillaryOut::PacketInfoV4(info) => PlainOut::PacketInfoV4 {
            interface_index: index_of(info.interface)?,
            source: v4_from_wit(info.source),
        },
        wit::AncillaryOut::PacketInfoV6(info) => PlainOut::PacketInfoV6 {
            interface_index: index_of(info.interface)?,
            address: v6_from_wit(info.address),
        },
        wit::AncillaryOut::HopLimit(limit) => PlainOut::HopLimit(limit),
        wit::AncillaryOut::TrafficClass(class) => PlainOut::TrafficClass(class),
        wit::AncillaryOut::SegmentSize(size) => PlainOut::SegmentSize(size),
        wit::AncillaryOut::TxTime(time) => PlainOut::TxTime(time),
        wit::AncillaryOut::Raw(raw) => PlainOut::Raw {
            level: raw.level,
            kind: raw.type_,
            data: raw.data,
        },
        wit::AncillaryOut::AlgOperation(operation) => PlainOut::AlgOperation(match operation {
            types::AlgOperation::Decrypt => 0,
            types::AlgOperation::Encrypt => 1,
            types::AlgOperation::Sign => 2,
            types::AlgOperation::Verify => 3,
        }),
        wit::AncillaryOut::AlgIv(iv) => PlainOut::AlgIv(iv),
        wit::AncillaryOut::AlgAssociatedLength(length) => PlainOut::AlgAssociatedLength(length),
        wit::AncillaryOut::Rights(_) => return Err(Errno::OPNOTSUPP),
    })
}

/// What arrived, with handles in the table. Those that the table has no room for are closed.
pub(crate) fn ancillary_to_wit(
    table: &mut ResourceTable,
    ancillary: Vec<AncillaryIn>,
) -> Result<Vec<wit::AncillaryIn>, Refusal> {
    ancillary
        .into_iter()
        .map(|message| one_to_wit(table, message))
        .collect()
}

fn one_to_wit(
    table: &mut ResourceTable,
    message: AncillaryIn,
) -> Result<wit::AncillaryIn, Refusal> {
    Ok(match message {
        AncillaryIn::Rights(handles) => {
            let owned = handles.into_iter().map(|handle| owned(table, handle));
            wit::AncillaryIn::Rights(owned.collect::<Result<_, _>>()?)
        }
        AncillaryIn::PidFd(pidfd) => wit::AncillaryIn::Pidfd(table.push(pidfd)?),
        AncillaryIn::Plain(plain) => plain_to_wit(plain),
    })
}

fn owned(table: &mut ResourceTable, handle: Handle) -> Result<wit::OwnedHandle, Refusal> {
    Ok(match handle {
        Handle::Socket(socket) => wit::OwnedHandle::Socket(table.push(socket)?),
        Handle::Opaque(opaque) => wit::OwnedHandle::Descriptor(table.push(opaque)?),
    })
}

fn timestamp(stamp: Timestamp) -> types::Timestamp {
    types::Timestamp {
        seconds: stamp.seconds,
        nanoseconds: stamp.nanoseconds,
    }
}

/// The interface's name, or its index where it is gone.
fn interface(index: u32) -> Option<String> {
    (index != 0).then(|| names::scope_name(index).unwrap_or_else(|| index.to_string()))
}

fn plain_to_wit(message: ControlIn) -> wit::AncillaryIn {
    match message {
        ControlIn::Credentials { pid, uid, gid } => {
            wit::AncillaryIn::Credentials(types::Credentials { pid, uid, gid })
        }
        ControlIn::Security(label) => wit::AncillaryIn::SecurityLabel(label),
        ControlIn::Timestamp(stamp) => wit::AncillaryIn::Timestamp(timestamp(stamp)),
        ControlIn::Timestamping { software, hardware } => {
            wit::AncillaryIn::Timestamping(types::Timestamping {
                software: software.map(timestamp),
                hardware: hardware.map(timestamp),
            })
        }
        ControlIn::PacketInfoV4 {
            interface_index,
            source,
            destination,
        } => wit::AncillaryIn::PacketInfoV4(types::PacketInfoV4 {
            interface: interface(interface_index),
            source: v4_to_wit(source),
            destination: v4_to_wit(destination),
        }),
        ControlIn::PacketInfoV6 {
            interface_index,
            address,
        } => wit::AncillaryIn::PacketInfoV6(types::PacketInfoV6 {
            interface: interface(interface_index),
            address: v6_to_wit(address),
        }),
        ControlIn::HopLimit(limit) => wit::AncillaryIn::HopLimit(limit),
        ControlIn::TrafficClass(class) => wit::AncillaryIn::TrafficClass(class),
        ControlIn::OriginalDestination(address) => {
            wit::AncillaryIn::OriginalDestination(address_to_wit(&address))
        }
        ControlIn::IpOptions(options) => wit::AncillaryIn::IpOptions(options),
        ControlIn::HopOptions(header) => wit::AncillaryIn::HopOptions(header),
        ControlIn::DestinationOptions(header) => wit::AncillaryIn::DestinationOptions(header),
        ControlIn::RoutingHeader(header) => wit::AncillaryIn::RoutingHeader(header),
        ControlIn::PathMtu { destination, mtu } => wit::AncillaryIn::PathMtu(types::PathMtu {
            destination: destination.as_ref().map(address_to_wit),
            mtu,
        }),
        ControlIn::FragmentSize(size) => wit::AncillaryIn::FragmentSize(size),
        ControlIn::BluetoothPacketStatus(status) => wit::AncillaryIn::BluetoothPacketStatus(status),
        ControlIn::ExtendedError(error) => wit::AncillaryIn::ExtendedError(extended_error(error)),
        ControlIn::DropCount(count) => wit::AncillaryIn::DropCount(count),
        ControlIn::SegmentSize(size) => wit::AncillaryIn::SegmentSize(size),
        ControlIn::Mark(mark) => wit::AncillaryIn::Mark(mark),
        ControlIn::PacketAuxdata(auxdata) => wit::AncillaryIn::PacketAuxdata(wit::PacketAuxdata {
            status: auxdata.status,
            length: auxdata.length,
            captured: auxdata.captured,
            vlan_tag: auxdata.vlan_tag,
            vlan_protocol: auxdata.vlan_protocol,
        }),
        ControlIn::J1939DestinationAddress(address) => {
            wit::AncillaryIn::J1939DestinationAddress(address)
        }
        ControlIn::J1939DestinationName(name) => wit::AncillaryIn::J1939DestinationName(name),
        ControlIn::J1939Priority(priority) => wit::AncillaryIn::J1939Priority(priority),
        ControlIn::Raw { level, kind, data } => wit::AncillaryIn::Raw(types::RawAncillary {
            level,
            type_: kind,
            data,
        }),
        // Descriptors took the other way; what is left of one is closed with it.
        ControlIn::Rights(_) | ControlIn::PidFd(_) => wit::AncillaryIn::Rights(Vec::new()),
    }
}

/// SO_EE_ORIGIN_*, linux/errqueue.h.
fn extended_error(error: ExtendedError) -> types::ExtendedError {
    let origin = match error.origin {
        0 => types::ErrorOrigin::None,
        1 => types::ErrorOrigin::Local,
        2 => types::ErrorOrigin::Icmp,
        3 => types::ErrorOrigin::Icmp6,
        4 => types::ErrorOrigin::TxStatus,
        5 => types::ErrorOrigin::ZeroCopy,
        6 => types::ErrorOrigin::TxTime,
        7 => types::ErrorOrigin::J1939,
        other => types::ErrorOrigin::Other(other),
    };
    types::ExtendedError {
        error: errno(error.errno),
        origin,
        type_: error.kind,
        code: error.code,
        info: error.info,
        data: error.data,
        offender: error.offender.as_ref().map(address_to_wit),
    }
}
