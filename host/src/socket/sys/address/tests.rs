use std::os::fd::{AsFd, OwnedFd};

use proptest::prelude::*;
use sockgate_policy::{
    AlgAddress, BluetoothAddress, CanAddress, CanEndpoint, CanId, NetlinkAddress, PacketAddress,
    QipcrtrAddress, SocketType, TipcAddress, TipcEndpoint, VSOCK_ANY, VsockAddress,
};

use super::super::{life, testing};
use super::*;

fn kind(family: Family, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type: SocketType::Raw,
        protocol,
    }
}

const CAN_RAW: u32 = 1;
const CAN_ISOTP: u32 = 6;
const CAN_J1939: u32 = 7;
const BT_L2CAP: u32 = 0;
const BT_HCI: u32 = 1;
const BT_SCO: u32 = 2;
const BT_RFCOMM: u32 = 3;

#[test]
fn nothing_decodes_to_none() {
    let any = kind(Family::Unix, 0);
    assert_eq!(EncodedAddress::empty().decode(any), Ok(None));
    let unspecified = EncodedAddress::new(libc::AF_UNSPEC, &[&[0; 14]]);
    assert_eq!(unspecified.decode(any), Ok(None));
}

#[test]
fn too_few_bytes_are_an_error() {
    let short = EncodedAddress::from_bytes(&[2]);
    assert_eq!(short.decode(kind(Family::Inet, 6)), Err(Errno::INVAL));
    for (family, protocol, whole) in [
        (Family::Inet, 6, 16),
        (Family::Inet6, 6, 28),
        (Family::Netlink, 0, 12),
        (Family::Packet, 0, 12),
        (Family::Can, CAN_RAW, 8),
        (Family::Can, CAN_ISOTP, 16),
        (Family::Can, CAN_J1939, 21),
        (Family::Vsock, 0, 13),
        (Family::Tipc, 0, 16),
        (Family::Alg, 0, 88),
        (Family::Qipcrtr, 0, 12),
        (Family::Bluetooth, BT_L2CAP, 13),
        (Family::Bluetooth, BT_RFCOMM, 9),
        (Family::Bluetooth, BT_SCO, 8),
        (Family::Bluetooth, BT_HCI, 6),
    ] {
        let kind = kind(family, protocol);
        let domain = super::super::kind::domain(family);
        // A form that TIPC has, and no bytes of a packet's hardware address.
        let body = |length: usize| {
            let mut body = vec![0; length - FAMILY_LENGTH];
            if family == Family::Tipc && !body.is_empty() {
                body[0] = 3;
            }
            body
        };
        for length in FAMILY_LENGTH..whole {
            let address = EncodedAddress::new(domain, &[&body(length)]);
            assert_eq!(address.decode(kind), Err(Errno::INVAL), "{kind} {length}");
        }
        let address = EncodedAddress::new(domain, &[&body(whole)]);
        assert!(address.decode(kind).is_ok(), "{kind} has {whole} bytes");
    }
}

#[test]
fn unknown_families_protocols_and_forms_are_errors() {
    let decode = |domain, kind| EncodedAddress::new(domain, &[&[9; 100]]).decode(kind);
    let other = decode(libc::AF_APPLETALK, kind(Family::Other(5), 0));
    assert_eq!(other, Err(Errno::AFNOSUPPORT));
    let xdp = decode(44, kind(Family::Xdp, 0));
    assert_eq!(xdp, Err(Errno::AFNOSUPPORT));
    let bnep = decode(libc::AF_BLUETOOTH, kind(Family::Bluetooth, 4));
    assert_eq!(bnep, Err(Errno::AFNOSUPPORT));
    assert_eq!(
        decode(libc::AF_CAN, kind(Family::Can, 3)),
        Err(Errno::INVAL)
    );
    assert_eq!(
        decode(libc::AF_TIPC, kind(Family::Tipc, 0)),
        Err(Errno::INVAL)
    );
    // CAN and Bluetooth are nothing without their protocol.
    for domain in [libc::AF_CAN, libc::AF_BLUETOOTH] {
        let address = EncodedAddress::new(domain, &[&[0; 30]]);
        assert_eq!(address.decode_by_family(), Err(Errno::AFNOSUPPORT));
    }
}

#[test]
fn a_length_beyond_the_room_reads_only_the_room() {
    let mut address = EncodedAddress::from_bytes(&[7; 400]);
    assert_eq!(address.as_bytes().len(), CAPACITY);
    address.set_length(4000);
    assert_eq!(address.as_bytes().len(), CAPACITY);
    assert_eq!(address.length() as usize, CAPACITY);
}

#[test]
fn equality_looks_at_the_used_bytes_only() {
    let mut left = EncodedAddress::from_bytes(&[1, 2, 3]);
    left.set_length(2);
    assert_eq!(left, EncodedAddress::from_bytes(&[1, 2]));
    assert_ne!(left, EncodedAddress::from_bytes(&[1, 2, 3]));
}

#[test]
fn an_address_is_for_the_sockets_that_have_it() {
    let bus = Address::Can(CanAddress {
        interface: None,
        endpoint: CanEndpoint::Bus,
    });
    let encode = |kind, address| EncodedAddress::encode(kind, address).map(drop);
    assert_eq!(encode(kind(Family::Can, CAN_RAW), &bus), Ok(()));
    for protocol in [CAN_ISOTP, CAN_J1939] {
        // Zeros would be ids of the bus, or its address 0.
        assert_eq!(encode(kind(Family::Can, protocol), &bus), Err(Errno::INVAL));
    }
    let sco = Address::Bluetooth(BluetoothAddress::Sco { device: [0; 6] });
    assert_eq!(encode(kind(Family::Bluetooth, BT_SCO), &sco), Ok(()));
    let hci = kind(Family::Bluetooth, BT_HCI);
    assert_eq!(encode(hci, &sco), Err(Errno::INVAL));
    let ip = Address::Inet("127.0.0.1:1".parse().unwrap());
    assert_eq!(encode(kind(Family::Rds, 0), &ip), Ok(()));
    assert_eq!(encode(kind(Family::Smc, 0), &ip), Ok(()));
    assert_eq!(encode(hci, &ip), Err(Errno::AFNOSUPPORT));
    assert_eq!(encode(kind(Family::Unix, 0), &bus), Err(Errno::AFNOSUPPORT));
}

#[test]
fn what_the_kernel_has_no_field_for_is_refused() {
    let can = |endpoint| {
        let interface = None;
        EncodedAddress::try_from(&Address::Can(CanAddress {
            interface,
            endpoint,
        }))
        .map(drop)
    };
    let isotp = |rx, tx| can(CanEndpoint::IsoTp { rx, tx });
    let id = CanId::Standard(1);
    assert_eq!(isotp(CanId::Standard(0x800), id), Err(Errno::INVAL));
    assert_eq!(isotp(id, CanId::Extended(0x2000_0000)), Err(Errno::INVAL));
    let j1939 = |name, pgn, address| can(CanEndpoint::J1939 { name, pgn, address });
    assert_eq!(j1939(Some(0), None, None), Err(Errno::INVAL));
    assert_eq!(j1939(None, Some(0x40000), None), Err(Errno::INVAL));
    assert_eq!(j1939(None, None, Some(0xff)), Err(Errno::INVAL));
    assert_eq!(j1939(None, None, None), Ok(()));
    let gone = Address::Can(CanAddress {
        interface: Some("no-such-if".into()),
        endpoint: CanEndpoint::Bus,
    });
    assert_eq!(EncodedAddress::try_from(&gone), Err(Errno::NODEV));
    let alg = |alg_type: &str, name: &str| {
        EncodedAddress::try_from(&Address::Alg(AlgAddress {
            alg_type: alg_type.into(),
            name: name.into(),
            feature: 0,
            mask: 0,
        }))
        .map(drop)
    };
    assert_eq!(alg("hash", &"x".repeat(63)), Ok(()));
    assert_eq!(alg("hash", &"x".repeat(64)), Err(Errno::NAMETOOLONG));
    assert_eq!(alg("fourteen-bytes", "x"), Err(Errno::NAMETOOLONG));
    assert_eq!(alg("hash", "sha\0"), Err(Errno::INVAL));
    let long = Address::Packet(PacketAddress {
        interface: None,
        protocol: 0,
        packet_type: 0,
        hardware_type: 0,
        hardware_address: vec![0; 9],
    });
    assert_eq!(EncodedAddress::try_from(&long), Err(Errno::INVAL));
}

#[test]
fn the_layouts_are_libcs() {
    let length = |address| EncodedAddress::try_from(&address).unwrap().length() as usize;
    let netlink = Address::Netlink(NetlinkAddress { pid: 0, groups: 0 });
    assert_eq!(length(netlink), size_of::<libc::sockaddr_nl>());
    let vsock = VsockAddress {
        cid: 2,
        port: 5,
        flags: 1,
    };
    let encoded = EncodedAddress::try_from(&Address::Vsock(vsock)).unwrap();
    assert_eq!(encoded.length() as usize, size_of::<libc::sockaddr_vm>());
    assert_eq!(encoded.as_bytes()[4..8], 5u32.to_ne_bytes());
    assert_eq!(
        encoded.as_bytes()[8..13],
        [2u32.to_ne_bytes().as_slice(), &[1]].concat()
    );
    let device = [1, 2, 3, 4, 5, 6];
    let l2cap = Address::Bluetooth(BluetoothAddress::L2cap {
        device,
        address_type: 2,
        psm: 0x0102,
        cid: 0x0304,
    });
    let encoded = EncodedAddress::try_from(&l2cap).unwrap();
    let expected = [2, 1, 6, 5, 4, 3, 2, 1, 4, 3, 2, 0];
    assert_eq!(
        encoded.as_bytes()[2..],
        expected,
        "little-endian, device reversed"
    );
    let packet = Address::Packet(PacketAddress {
        interface: None,
        protocol: 0x88cc,
        packet_type: 1,
        hardware_type: 2,
        hardware_address: vec![7; 6],
    });
    let encoded = EncodedAddress::try_from(&packet).unwrap();
    assert_eq!(encoded.length() as usize, size_of::<libc::sockaddr_ll>());
    assert_eq!(encoded.as_bytes()[2..4], [0x88, 0xcc], "in network order");
    assert_eq!(encoded.as_bytes()[10..13], [1, 6, 7]);
    let can = Address::Can(CanAddress {
        interface: None,
        endpoint: CanEndpoint::IsoTp {
            rx: CanId::Standard(1),
            tx: CanId::Extended(2),
        },
    });
    let encoded = EncodedAddress::try_from(&can).unwrap();
    assert_eq!(encoded.length() as usize, size_of::<libc::sockaddr_can>());
    assert_eq!(encoded.as_bytes()[12..16], 0x8000_0002u32.to_ne_bytes());
    let alg = Address::Alg(AlgAddress {
        alg_type: "hash".into(),
        name: "sha256".into(),
        feature: 0,
        mask: 0,
    });
    assert_eq!(length(alg), size_of::<libc::sockaddr_alg>());
}

fn bound(kind: Kind, address: &Address) -> (OwnedFd, Address) {
    let socket = life::socket(kind).unwrap();
    let encoded = EncodedAddress::encode(kind, address).unwrap();
    life::bind(socket.as_fd(), &encoded).unwrap();
    let name = life::local_address(socket.as_fd(), kind).unwrap();
    (socket, name)
}

#[test]
fn the_kernel_reads_and_writes_netlink_names() {
    let groups = Address::Netlink(NetlinkAddress { pid: 0, groups: 1 });
    let (socket, name) = bound(kind(Family::Netlink, 0), &groups);
    let Address::Netlink(name) = name else {
        panic!("{name:?}")
    };
    assert_eq!(name.groups, 1);
    assert_ne!(name.pid, 0, "the kernel chose");
    assert_eq!(
        testing::peer_address(socket.as_fd()),
        Ok(Address::Netlink(NetlinkAddress { pid: 0, groups: 0 }))
    );
}

#[test]
fn the_kernel_reads_and_writes_vsock_names() {
    let kind = Kind::new(Family::Vsock, SocketType::Stream);
    let asked = Address::Vsock(VsockAddress {
        cid: VSOCK_ANY,
        port: VSOCK_ANY,
        flags: 0,
    });
    // Not every kernel that runs the tests has vsock: the others say so, and nothing else.
    let Ok(socket) = life::socket(kind) else {
        assert_eq!(life::socket(kind).unwrap_err(), Errno::AFNOSUPPORT);
        return;
    };
    life::bind(
        socket.as_fd(),
        &EncodedAddress::encode(kind, &asked).unwrap(),
    )
    .unwrap();
    let Address::Vsock(name) = life::local_address(socket.as_fd(), kind).unwrap() else {
        panic!("another family")
    };
    assert_eq!((name.cid, name.flags), (VSOCK_ANY, 0));
    assert_ne!(name.port, VSOCK_ANY, "the kernel chose");
}

fn small_text(length: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::char::range('!', '~'), 0..length)
        .prop_map(|text| text.into_iter().collect())
}

/// No interface, or the one that every machine has.
fn any_interface() -> impl Strategy<Value = Option<String>> {
    prop::option::of(Just("lo".to_owned()))
}

fn any_can_id() -> impl Strategy<Value = CanId> {
    prop_oneof![
        (0..=0x7ffu16).prop_map(CanId::Standard),
        (0..=0x1fff_ffffu32).prop_map(CanId::Extended),
    ]
}

fn any_can() -> impl Strategy<Value = (Kind, Address)> {
    let j1939 = (
        prop::option::of(1u64..),
        prop::option::of(0..0x40000u32),
        prop::option::of(0..0xffu8),
    );
    let endpoint = prop_oneof![
        Just((CAN_RAW, CanEndpoint::Bus)),
        (any_can_id(), any_can_id())
            .prop_map(|(rx, tx)| (CAN_ISOTP, CanEndpoint::IsoTp { rx, tx })),
        j1939.prop_map(|(name, pgn, address)| {
            (CAN_J1939, CanEndpoint::J1939 { name, pgn, address })
        }),
    ];
    (any_interface(), endpoint).prop_map(|(interface, (protocol, endpoint))| {
        let address = CanAddress {
            interface,
            endpoint,
        };
        (kind(Family::Can, protocol), Address::Can(address))
    })
}

fn any_bluetooth() -> impl Strategy<Value = (Kind, Address)> {
    let device = any::<[u8; 6]>();
    let address = prop_oneof![
        (device, any::<u8>(), any::<u16>(), any::<u16>()).prop_map(
            |(device, address_type, psm, cid)| {
                let address = BluetoothAddress::L2cap {
                    device,
                    address_type,
                    psm,
                    cid,
                };
                (BT_L2CAP, address)
            }
        ),
        (device, any::<u8>()).prop_map(|(device, channel)| {
            (BT_RFCOMM, BluetoothAddress::Rfcomm { device, channel })
        }),
        device.prop_map(|device| (BT_SCO, BluetoothAddress::Sco { device })),
        (any::<u16>(), any::<u16>())
            .prop_map(|(device, channel)| (BT_HCI, BluetoothAddress::Hci { device, channel })),
    ];
    address.prop_map(|(protocol, address)| {
        (
            kind(Family::Bluetooth, protocol),
            Address::Bluetooth(address),
        )
    })
}

fn any_tipc() -> impl Strategy<Value = Address> {
    let endpoint =
        (0..3, any::<[u32; 3]>()).prop_map(|(form, [first, second, third])| match form {
            0 => TipcEndpoint::Id {
                reference: first,
                node: second,
            },
            1 => TipcEndpoint::Name {
                service: first,
                instance: second,
                domain: third,
            },
            _ => TipcEndpoint::Range {
                service: first,
                lower: second,
                upper: third,
            },
        });
    (endpoint, any::<i8>())
        .prop_map(|(endpoint, scope)| Address::Tipc(TipcAddress { endpoint, scope }))
}

fn any_packet() -> impl Strategy<Value = Address> {
    let hardware = proptest::collection::vec(any::<u8>(), 0..=8);
    (
        any_interface(),
        any::<u16>(),
        any::<u8>(),
        any::<u16>(),
        hardware,
    )
        .prop_map(
            |(interface, protocol, packet_type, hardware_type, hardware_address)| {
                Address::Packet(PacketAddress {
                    interface,
                    protocol,
                    packet_type,
                    hardware_type,
                    hardware_address,
                })
            },
        )
}

fn any_other() -> impl Strategy<Value = Address> {
    prop_oneof![
        (any::<u32>(), any::<u32>())
            .prop_map(|(pid, groups)| Address::Netlink(NetlinkAddress { pid, groups })),
        (any::<u32>(), any::<u32>(), any::<u8>())
            .prop_map(|(cid, port, flags)| Address::Vsock(VsockAddress { cid, port, flags })),
        (any::<u32>(), any::<u32>())
            .prop_map(|(node, port)| Address::Qipcrtr(QipcrtrAddress { node, port })),
        (small_text(14), small_text(64), any::<u32>(), any::<u32>()).prop_map(
            |(alg_type, name, feature, mask)| {
                Address::Alg(AlgAddress {
                    alg_type,
                    name,
                    feature,
                    mask,
                })
            }
        ),
        any_tipc(),
        any_packet(),
    ]
}

fn any_address() -> impl Strategy<Value = (Kind, Address)> {
    let simple = any_other().prop_map(|address| (kind(address.family(), 0), address));
    prop_oneof![4 => simple, 2 => any_can(), 2 => any_bluetooth()]
}

proptest! {
    #[test]
    fn every_address_survives_the_round_trip((kind, address) in any_address()) {
        let encoded = EncodedAddress::encode(kind, &address).unwrap();
        prop_assert_eq!(encoded.decode(kind), Ok(Some(address)));
    }

    /// What decodes is an address that encodes to the same again, but for interfaces that are not there.
    #[test]
    fn no_bytes_make_decoding_panic(
        domain in 0..50i32,
        protocol in 0..9u32,
        body in proptest::collection::vec(any::<u8>(), 0..126),
    ) {
        let kind = kind(super::super::kind::family_of(domain), protocol);
        let encoded = EncodedAddress::new(domain, &[&body]);
        if let Ok(Some(address)) = encoded.decode(kind)
            && let Ok(again) = EncodedAddress::encode(kind, &address)
        {
            prop_assert_eq!(again.decode(kind), Ok(Some(address)));
        }
    }
}
