//! Sockets, addresses and messages of families, for tests of what they have in common.

use sockgate_policy::{
    Address, AlgAddress, CanAddress, CanEndpoint, CanId, Content, Family, Kind, PacketAddress,
    QipcrtrAddress, SocketFacts, SocketType, TipcAddress, TipcEndpoint, VSOCK_ANY, VsockAddress,
};

use super::fresh;

pub const fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type,
        protocol,
    }
}

pub const CAN_RAW: Kind = kind(Family::Can, SocketType::Raw, 1);
pub const CAN_ISOTP: Kind = kind(Family::Can, SocketType::Datagram, 6);
pub const VSOCK: Kind = kind(Family::Vsock, SocketType::Stream, 0);
/// ETH_P_ALL as the protocol of socket(2).
pub const PACKET: Kind = kind(Family::Packet, SocketType::Datagram, 3);
pub const TIPC: Kind = kind(Family::Tipc, SocketType::Rdm, 0);
pub const QIPCRTR: Kind = kind(Family::Qipcrtr, SocketType::Datagram, 0);
pub const ALG: Kind = kind(Family::Alg, SocketType::SeqPacket, 0);

pub fn can(interface: &str) -> Address {
    Address::Can(CanAddress {
        interface: (interface != "*").then(|| interface.to_owned()),
        endpoint: CanEndpoint::Bus,
    })
}

pub fn isotp(interface: &str, rx: u16, tx: u16) -> Address {
    Address::Can(CanAddress {
        interface: Some(interface.to_owned()),
        endpoint: CanEndpoint::IsoTp {
            rx: CanId::Standard(rx),
            tx: CanId::Standard(tx),
        },
    })
}

pub fn vsock(cid: u32, port: u32) -> Address {
    Address::Vsock(VsockAddress {
        cid,
        port,
        flags: 0,
    })
}

pub fn packet(interface: &str, protocol: u16) -> Address {
    Address::Packet(PacketAddress {
        interface: (interface != "*").then(|| interface.to_owned()),
        protocol,
        packet_type: 0,
        hardware_type: 0,
        hardware_address: Vec::new(),
    })
}

pub fn tipc(service: u32, instance: u32) -> Address {
    Address::Tipc(TipcAddress {
        endpoint: TipcEndpoint::Name {
            service,
            instance,
            domain: 0,
        },
        scope: 2,
    })
}

pub fn qipcrtr(node: u32, port: u32) -> Address {
    Address::Qipcrtr(QipcrtrAddress { node, port })
}

pub fn alg(alg_type: &str, name: &str) -> Address {
    Address::Alg(AlgAddress {
        alg_type: alg_type.to_owned(),
        name: name.to_owned(),
        feature: 0,
        mask: 0,
    })
}

pub fn bound(kind: Kind, local: &Address) -> SocketFacts {
    SocketFacts {
        local: Some(local.clone()),
        ..fresh(kind)
    }
}

pub fn connected(kind: Kind, peer: &Address) -> SocketFacts {
    SocketFacts {
        peer: Some(peer.clone()),
        ..fresh(kind)
    }
}

/// A classic frame, or an FD one.
pub fn frame(can_id: u32, fd: bool) -> Content {
    let mut bytes = vec![0; if fd { 72 } else { 16 }];
    bytes[..4].copy_from_slice(&can_id.to_ne_bytes());
    Content::sent(CAN_RAW, &bytes)
}

/// Some message of such a socket: a frame where it sends frames.
pub fn message(kind: Kind) -> Content {
    match kind {
        CAN_RAW => frame(0x123, false),
        PACKET => Content::sent(kind, &[0; 64]),
        _ => Content::sent(kind, b"message"),
    }
}

/// A family's sockets, an address of theirs, and others that differ from it in one value.
pub fn places() -> Vec<(Kind, Address, Vec<Address>)> {
    vec![
        (CAN_RAW, can("can0"), vec![can("can1"), can("*")]),
        (
            CAN_ISOTP,
            isotp("can0", 0x7e8, 0x7e0),
            vec![
                isotp("can1", 0x7e8, 0x7e0),
                isotp("can0", 0x7e9, 0x7e0),
                isotp("can0", 0x7e8, 0x7e1),
            ],
        ),
        (
            VSOCK,
            vsock(7, 1234),
            vec![vsock(8, 1234), vsock(7, 1235), vsock(VSOCK_ANY, 1234)],
        ),
        (
            PACKET,
            packet("eth0", 0x88cc),
            vec![
                packet("eth1", 0x88cc),
                packet("eth0", 0x0800),
                packet("eth0", 3),
                packet("*", 0x88cc),
            ],
        ),
        (TIPC, tipc(7, 9), vec![tipc(8, 9), tipc(7, 10)]),
        (QIPCRTR, qipcrtr(7, 9), vec![qipcrtr(8, 9), qipcrtr(7, 10)]),
        (
            ALG,
            alg("aead", "authenc(hmac(sha1),cbc(aes))"),
            vec![
                alg("hash", "authenc(hmac(sha1),cbc(aes))"),
                alg("aead", "cbc(aes)"),
                alg("aead", "cbc(aes))"),
                alg("aead", "authenc(hmac(sha1)"),
            ],
        ),
    ]
}
