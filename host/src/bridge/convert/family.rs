//! Addresses of families whose WIT cases are more than a record of the same fields.

use sockgate_policy::{
    BluetoothAddress, BluetoothDevice, CanAddress, CanEndpoint, CanId, PacketAddress, TipcAddress,
    TipcEndpoint,
};

use crate::bridge::bindings::sockgate::sockets::addresses as wit;

fn id_from_wit(id: wit::CanId) -> CanId {
    match id {
        wit::CanId::Standard(id) => CanId::Standard(id),
        wit::CanId::Extended(id) => CanId::Extended(id),
    }
}

fn id_to_wit(id: CanId) -> wit::CanId {
    match id {
        CanId::Standard(id) => wit::CanId::Standard(id),
        CanId::Extended(id) => wit::CanId::Extended(id),
    }
}

pub(super) fn can_from_wit(can: wit::CanAddress) -> CanAddress {
    CanAddress {
        interface: can.interface,
        endpoint: match can.endpoint {
            wit::CanEndpoint::None => CanEndpoint::Bus,
            wit::CanEndpoint::Isotp(isotp) => CanEndpoint::IsoTp {
                rx: id_from_wit(isotp.rx),
                tx: id_from_wit(isotp.tx),
            },
            wit::CanEndpoint::J1939(wit::J1939Address { name, pgn, address }) => {
                CanEndpoint::J1939 { name, pgn, address }
            }
        },
    }
}

pub(super) fn can_to_wit(can: &CanAddress) -> wit::CanAddress {
    wit::CanAddress {
        interface: can.interface.clone(),
        endpoint: match can.endpoint {
            CanEndpoint::Bus => wit::CanEndpoint::None,
            CanEndpoint::IsoTp { rx, tx } => wit::CanEndpoint::Isotp(wit::IsotpAddress {
                rx: id_to_wit(rx),
                tx: id_to_wit(tx),
            }),
            CanEndpoint::J1939 { name, pgn, address } => {
                wit::CanEndpoint::J1939(wit::J1939Address { name, pgn, address })
            }
        },
    }
}

/// PACKET_HOST and its kin, packet(7), in the order of their numbers; the fifth is unused.
fn packet_type_to_wit(number: u8) -> wit::PacketType {
    match number {
        0 => wit::PacketType::ToHost,
        1 => wit::PacketType::Broadcast,
        2 => wit::PacketType::Multicast,
        3 => wit::PacketType::OtherHost,
        4 => wit::PacketType::Outgoing,
        5 => wit::PacketType::Loopback,
        other => wit::PacketType::Other(other),
    }
}

fn packet_type_from_wit(packet_type: wit::PacketType) -> u8 {
    match packet_type {
        wit::PacketType::ToHost => 0,
        wit::PacketType::Broadcast => 1,
        wit::PacketType::Multicast => 2,
        wit::PacketType::OtherHost => 3,
        wit::PacketType::Outgoing => 4,
        wit::PacketType::Loopback => 5,
        wit::PacketType::Other(other) => other,
    }
}

pub(super) fn packet_from_wit(packet: wit::PacketAddress) -> PacketAddress {
    PacketAddress {
        interface: packet.interface,
        protocol: packet.protocol,
        packet_type: packet_type_from_wit(packet.packet_type),
        hardware_type: packet.hardware_type,
        hardware_address: packet.hardware_address,
    }
}

pub(super) fn packet_to_wit(packet: &PacketAddress) -> wit::PacketAddress {
    wit::PacketAddress {
        interface: packet.interface.clone(),
        protocol: packet.protocol,
        packet_type: packet_type_to_wit(packet.packet_type),
        hardware_type: packet.hardware_type,
        hardware_address: packet.hardware_address.clone(),
    }
}

pub(super) fn tipc_from_wit(tipc: wit::TipcAddress) -> TipcAddress {
    TipcAddress {
        endpoint: match tipc.endpoint {
            wit::TipcEndpoint::Id(wit::TipcId { reference, node }) => {
                TipcEndpoint::Id { reference, node }
            }
            wit::TipcEndpoint::Name(name) => TipcEndpoint::Name {
                service: name.type_,
                instance: name.instance,
                domain: name.domain,
            },
            wit::TipcEndpoint::NameSequence(range) => TipcEndpoint::Range {
                service: range.type_,
                lower: range.lower,
                upper: range.upper,
            },
        },
        scope: tipc.scope,
    }
}

pub(super) fn tipc_to_wit(tipc: &TipcAddress) -> wit::TipcAddress {
    wit::TipcAddress {
        endpoint: match tipc.endpoint {
            TipcEndpoint::Id { reference, node } => {
                wit::TipcEndpoint::Id(wit::TipcId { reference, node })
            }
            TipcEndpoint::Name {
                service,
                instance,
                domain,
            } => wit::TipcEndpoint::Name(wit::TipcName {
                type_: service,
                instance,
                domain,
            }),
            TipcEndpoint::Range {
                service,
                lower,
                upper,
            } => wit::TipcEndpoint::NameSequence(wit::TipcNameSequence {
                type_: service,
                lower,
                upper,
            }),
        },
        scope: tipc.scope,
    }
}

pub(super) fn l2cap_from_wit(l2cap: wit::L2capAddress) -> BluetoothAddress {
    BluetoothAddress::L2cap {
        device: l2cap.device.into(),
        address_type: match l2cap.address_type {
            wit::BluetoothAddressType::Classic => 0,
            wit::BluetoothAddressType::LePublic => 1,
            wit::BluetoothAddressType::LeRandom => 2,
            wit::BluetoothAddressType::Other(other) => other,
        },
        psm: l2cap.psm,
        cid: l2cap.cid,
    }
}

fn device_to_wit([a, b, c, d, e, f]: BluetoothDevice) -> wit::BluetoothDevice {
    (a, b, c, d, e, f)
}

pub(super) fn bluetooth_to_wit(bluetooth: &BluetoothAddress) -> wit::SocketAddress {
    match *bluetooth {
        BluetoothAddress::L2cap {
            device,
            address_type,
            psm,
            cid,
        } => wit::SocketAddress::L2cap(wit::L2capAddress {
            device: device_to_wit(device),
            address_type: match address_type {
                0 => wit::BluetoothAddressType::Classic,
                1 => wit::BluetoothAddressType::LePublic,
                2 => wit::BluetoothAddressType::LeRandom,
                other => wit::BluetoothAddressType::Other(other),
            },
            psm,
            cid,
        }),
        BluetoothAddress::Rfcomm { device, channel } => {
            wit::SocketAddress::Rfcomm(wit::RfcommAddress {
                device: device_to_wit(device),
                channel,
            })
        }
        BluetoothAddress::Sco { device } => wit::SocketAddress::Sco(wit::ScoAddress {
            device: device_to_wit(device),
        }),
        BluetoothAddress::Hci { device, channel } => {
            wit::SocketAddress::Hci(wit::HciAddress { device, channel })
        }
    }
}
