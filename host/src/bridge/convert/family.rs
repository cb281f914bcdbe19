//! Addresses of the families beyond inet and unix. Interfaces have names on both sides.

use sockgate_policy::{
    Address, AlgAddress, BluetoothAddress, BluetoothDevice, CanAddress, CanEndpoint, CanId,
    NetlinkAddress, PacketAddress, QipcrtrAddress, TipcAddress, TipcEndpoint, VsockAddress,
};

use crate::bridge::bindings::sockgate::sockets::addresses as wit;

pub(super) fn netlink_from_wit(address: wit::NetlinkAddress) -> Address {
    let wit::NetlinkAddress { pid, groups } = address;
    Address::Netlink(NetlinkAddress { pid, groups })
}

pub(super) fn netlink_to_wit(address: &NetlinkAddress) -> wit::SocketAddress {
    let NetlinkAddress { pid, groups } = *address;
    wit::SocketAddress::Netlink(wit::NetlinkAddress { pid, groups })
}

pub(super) fn packet_from_wit(address: wit::PacketAddress) -> Address {
    Address::Packet(PacketAddress {
        interface: address.interface,
        protocol: address.protocol,
        packet_type: match address.packet_type {
            wit::PacketType::ToHost => 0,
            wit::PacketType::Broadcast => 1,
            wit::PacketType::Multicast => 2,
            wit::PacketType::OtherHost => 3,
            wit::PacketType::Outgoing => 4,
            wit::PacketType::Loopback => 5,
            wit::PacketType::Other(number) => number,
        },
        hardware_type: address.hardware_type,
        hardware_address: address.hardware_address,
    })
}

pub(super) fn packet_to_wit(address: &PacketAddress) -> wit::SocketAddress {
    wit::SocketAddress::Packet(wit::PacketAddress {
        interface: address.interface.clone(),
        protocol: address.protocol,
        packet_type: match address.packet_type {
            0 => wit::PacketType::ToHost,
            1 => wit::PacketType::Broadcast,
            2 => wit::PacketType::Multicast,
            3 => wit::PacketType::OtherHost,
            4 => wit::PacketType::Outgoing,
            5 => wit::PacketType::Loopback,
            number => wit::PacketType::Other(number),
        },
        hardware_type: address.hardware_type,
        hardware_address: address.hardware_address.clone(),
    })
}

fn can_id_from_wit(id: wit::CanId) -> CanId {
    match id {
        wit::CanId::Standard(id) => CanId::Standard(id),
        wit::CanId::Extended(id) => CanId::Extended(id),
    }
}

fn can_id_to_wit(id: CanId) -> wit::CanId {
    match id {
        CanId::Standard(id) => wit::CanId::Standard(id),
        CanId::Extended(id) => wit::CanId::Extended(id),
    }
}

pub(super) fn can_from_wit(address: wit::CanAddress) -> Address {
    Address::Can(CanAddress {
        interface: address.interface,
        endpoint: match address.endpoint {
            wit::CanEndpoint::None => CanEndpoint::Bus,
            wit::CanEndpoint::Isotp(wit::IsotpAddress { rx, tx }) => CanEndpoint::IsoTp {
                rx: can_id_from_wit(rx),
                tx: can_id_from_wit(tx),
            },
            wit::CanEndpoint::J1939(wit::J1939Address { name, pgn, address }) => {
                CanEndpoint::J1939 { name, pgn, address }
            }
        },
    })
}

pub(super) fn can_to_wit(address: &CanAddress) -> wit::SocketAddress {
    wit::SocketAddress::Can(wit::CanAddress {
        interface: address.interface.clone(),
        endpoint: match address.endpoint {
            CanEndpoint::Bus => wit::CanEndpoint::None,
            CanEndpoint::IsoTp { rx, tx } => wit::CanEndpoint::Isotp(wit::IsotpAddress {
                rx: can_id_to_wit(rx),
                tx: can_id_to_wit(tx),
            }),
            CanEndpoint::J1939 { name, pgn, address } => {
                wit::CanEndpoint::J1939(wit::J1939Address { name, pgn, address })
            }
        },
    })
}

pub(super) fn vsock_from_wit(address: wit::VsockAddress) -> Address {
    let wit::VsockAddress { cid, port, flags } = address;
    Address::Vsock(VsockAddress { cid, port, flags })
}

pub(super) fn vsock_to_wit(address: &VsockAddress) -> wit::SocketAddress {
    let VsockAddress { cid, port, flags } = *address;
    wit::SocketAddress::Vsock(wit::VsockAddress { cid, port, flags })
}

pub(super) fn tipc_from_wit(address: wit::TipcAddress) -> Address {
    let endpoint = match address.endpoint {
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
    };
    let scope = address.scope;
    Address::Tipc(TipcAddress { endpoint, scope })
}

pub(super) fn tipc_to_wit(address: &TipcAddress) -> wit::SocketAddress {
    let endpoint = match address.endpoint {
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
    };
    let scope = address.scope;
    wit::SocketAddress::Tipc(wit::TipcAddress { endpoint, scope })
}

fn device_from_wit((a, b, c, d, e, f): wit::BluetoothDevice) -> BluetoothDevice {
    [a, b, c, d, e, f]
}

fn device_to_wit([a, b, c, d, e, f]: BluetoothDevice) -> wit::BluetoothDevice {
    (a, b, c, d, e, f)
}

pub(super) fn l2cap_from_wit(address: wit::L2capAddress) -> Address {
    Address::Bluetooth(BluetoothAddress::L2cap {
        device: device_from_wit(address.device),
        address_type: match address.address_type {
            wit::BluetoothAddressType::Classic => 0,
            wit::BluetoothAddressType::LePublic => 1,
            wit::BluetoothAddressType::LeRandom => 2,
            wit::BluetoothAddressType::Other(number) => number,
        },
        psm: address.psm,
        cid: address.cid,
    })
}

pub(super) fn rfcomm_from_wit(address: wit::RfcommAddress) -> Address {
    Address::Bluetooth(BluetoothAddress::Rfcomm {
        device: device_from_wit(address.device),
        channel: address.channel,
    })
}

pub(super) fn sco_from_wit(address: wit::ScoAddress) -> Address {
    Address::Bluetooth(BluetoothAddress::Sco {
        device: device_from_wit(address.device),
    })
}

pub(super) fn hci_from_wit(address: wit::HciAddress) -> Address {
    let wit::HciAddress { device, channel } = address;
    Address::Bluetooth(BluetoothAddress::Hci { device, channel })
}

pub(super) fn bluetooth_to_wit(address: &BluetoothAddress) -> wit::SocketAddress {
    match *address {
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
                number => wit::BluetoothAddressType::Other(number),
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

pub(super) fn alg_from_wit(address: wit::AlgAddress) -> Address {
    Address::Alg(AlgAddress {
        alg_type: address.type_,
        name: address.name,
        feature: address.feature,
        mask: address.mask,
    })
}

pub(super) fn alg_to_wit(address: &AlgAddress) -> wit::SocketAddress {
    wit::SocketAddress::Alg(wit::AlgAddress {
        type_: address.alg_type.clone(),
        name: address.name.clone(),
        feature: address.feature,
        mask: address.mask,
    })
}

pub(super) fn qipcrtr_from_wit(address: wit::QipcrtrAddress) -> Address {
    let wit::QipcrtrAddress { node, port } = address;
    Address::Qipcrtr(QipcrtrAddress { node, port })
}

pub(super) fn qipcrtr_to_wit(address: &QipcrtrAddress) -> wit::SocketAddress {
    let QipcrtrAddress { node, port } = *address;
    wit::SocketAddress::Qipcrtr(wit::QipcrtrAddress { node, port })
}
