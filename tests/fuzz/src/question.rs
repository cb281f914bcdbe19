//! What a host may ask a gate: sockets of all families, addresses, operations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arbitrary::{Result, Unstructured};
use sockgate_policy::{
    Address, AlgAddress, BluetoothAddress, CanAddress, CanEndpoint, CanId, Content, Denial, Family,
    Gate, Kind, NetlinkAddress, OptionName, PacketAddress, QipcrtrAddress, SocketFacts, SocketType,
    TipcAddress, TipcEndpoint, UnixAddress, VSOCK_ANY, VsockAddress,
};

const fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type,
        protocol,
    }
}

/// Sockets that the reference knows as well.
pub const PLAIN_KINDS: [Kind; 7] = [
    kind(Family::Inet, SocketType::Stream, 6),
    kind(Family::Inet, SocketType::Datagram, 17),
    kind(Family::Inet6, SocketType::Stream, 6),
    kind(Family::Inet6, SocketType::Datagram, 17),
    kind(Family::Unix, SocketType::Stream, 0),
    kind(Family::Unix, SocketType::Datagram, 0),
    kind(Family::Unix, SocketType::SeqPacket, 0),
];

const OTHER_KINDS: [Kind; 23] = [
    kind(Family::Inet, SocketType::Raw, 1),
    kind(Family::Inet, SocketType::Raw, 255),
    kind(Family::Inet6, SocketType::Raw, 58),
    kind(Family::Inet, SocketType::Datagram, 1),
    kind(Family::Inet, SocketType::Stream, 262),
    kind(Family::Inet, SocketType::SeqPacket, 132),
    kind(Family::Netlink, SocketType::Raw, 0),
    kind(Family::Netlink, SocketType::Raw, 4),
    kind(Family::Netlink, SocketType::Raw, 16),
    kind(Family::Packet, SocketType::Raw, 0),
    kind(Family::Packet, SocketType::Datagram, 3),
    kind(Family::Can, SocketType::Raw, 1),
    kind(Family::Can, SocketType::Datagram, 2),
    kind(Family::Can, SocketType::Datagram, 6),
    kind(Family::Can, SocketType::Datagram, 7),
    kind(Family::Vsock, SocketType::Stream, 0),
    kind(Family::Tipc, SocketType::Rdm, 0),
    kind(Family::Alg, SocketType::SeqPacket, 0),
    kind(Family::Qipcrtr, SocketType::Datagram, 0),
    kind(Family::Rds, SocketType::SeqPacket, 0),
    kind(Family::Bluetooth, SocketType::SeqPacket, 0),
    kind(Family::Bluetooth, SocketType::Stream, 3),
    kind(Family::Bluetooth, SocketType::Raw, 1),
];

/// Some kind of socket.
pub fn any_kind(input: &mut Unstructured<'_>) -> Result<Kind> {
    if input.ratio(1, 3)? {
        input.choose(&PLAIN_KINDS).copied()
    } else {
        input.choose(&OTHER_KINDS).copied()
    }
}

/// An IP address: those that rules speak of, in several forms, and any.
pub fn any_ip(input: &mut Unstructured<'_>) -> Result<IpAddr> {
    const FOUR: [[u8; 4]; 12] = [
        [10, 0, 0, 1],
        [10, 0, 0, 2],
        [10, 9, 9, 9],
        [192, 168, 1, 1],
        [127, 0, 0, 1],
        [0, 0, 0, 0],
        [8, 8, 8, 8],
        [169, 254, 169, 254],
        [169, 254, 1, 1],
        [224, 0, 0, 251],
        [255, 255, 255, 255],
        [100, 64, 0, 1],
    ];
    let octets = match input.int_in_range(0..=FOUR.len())? {
        12 => input.arbitrary()?,
        at => FOUR[at],
    };
    let four = Ipv4Addr::from(octets);
    let [a, b, c, d] = octets.map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    Ok(match input.int_in_range(0..=9)? {
        0..=3 => IpAddr::V4(four),
        4 => IpAddr::V6(four.to_ipv6_mapped()),
        5 => IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
        6 => IpAddr::V6(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)),
        7 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low)),
        8 => *input.choose(&[
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
            IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb)),
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
            IpAddr::V6(Ipv6Addr::new(0xfc00, 1, 0, 0, 0, 0, 0, 1)),
        ])?,
        _ => IpAddr::V6(Ipv6Addr::from(input.arbitrary::<[u8; 16]>()?)),
    })
}

fn interface(input: &mut Unstructured<'_>) -> Result<Option<String>> {
    let name = *input.choose(&["", "can0", "eth0", "lo", "a b", "*"])?;
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

fn can_id(input: &mut Unstructured<'_>) -> Result<CanId> {
    Ok(if input.arbitrary()? {
        CanId::Standard(input.int_in_range(0..=0x7ff)?)
    } else {
        CanId::Extended(input.int_in_range(0..=0x1fff_ffff)?)
    })
}

/// A number that is often one that rules name.
fn number(input: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match input.int_in_range(0..=3)? {
        0 => *input.choose(&[0, 1, 2, 3, 7, 1234, VSOCK_ANY])?,
        1 => u32::from(input.arbitrary::<u8>()?),
        _ => input.arbitrary()?,
    })
}

/// An address that a socket of the kind may have.
pub fn any_address(input: &mut Unstructured<'_>, kind: Kind) -> Result<Address> {
    Ok(match kind.family {
        Family::Inet | Family::Inet6 | Family::Rds => {
            let port = *input.choose(&[0, 53, 80, 81, 443, 8080, 40000])?;
            let ip = match (any_ip(input)?, kind) {
                // What the family's own addresses can say.
                (
                    IpAddr::V6(six),
                    Kind {
                        family: Family::Inet,
                        ..
                    },
                ) => {
                    let [.., a, b, c, d] = six.octets();
                    IpAddr::from([a, b, c, d])
                }
                (
                    ip,
                    Kind {
                        family: Family::Inet6,
                        socket_type: SocketType::Raw,
                        ..
                    },
                ) => match ip.to_canonical() {
                    IpAddr::V4(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
                    six => six,
                },
                (ip, _) => ip,
            };
            SocketAddr::new(ip, port).into()
        }
        Family::Unix => {
            let name = *input.choose(&[
                "/run/a.sock",
                "/run/b.sock",
                "/run/x/a.sock",
                "/tmp/q",
                "xyz",
                "abc",
            ])?;
            match input.int_in_range(0..=5)? {
                0..=2 => Address::Unix(UnixAddress::Pathname(name.into())),
                3 => Address::Unix(UnixAddress::Abstract(name.into())),
                4 => Address::Unix(UnixAddress::Unnamed),
                _ => {
                    let bytes = input.arbitrary::<[u8; 4]>()?.to_vec();
                    if input.arbitrary()? {
                        Address::Unix(UnixAddress::Abstract(bytes))
                    } else {
                        Address::Unix(UnixAddress::Pathname(
                            [b"/run/".as_slice(), &bytes].concat(),
                        ))
                    }
                }
            }
        }
        Family::Netlink => Address::Netlink(NetlinkAddress {
            pid: number(input)?,
            groups: *input.choose(&[0, 1, 0x11, u32::MAX])?,
        }),
        Family::Packet => Address::Packet(PacketAddress {
            interface: interface(input)?,
            protocol: *input.choose(&[0, 3, 4, 0x0800, 0x0806, 0x88cc])?,
            packet_type: input.int_in_range(0..=7)?,
            hardware_type: 1,
            hardware_address: input.arbitrary::<[u8; 6]>()?.to_vec(),
        }),
        Family::Can => Address::Can(CanAddress {
            interface: interface(input)?,
            endpoint: match kind.protocol {
                6 => CanEndpoint::IsoTp {
                    rx: can_id(input)?,
                    tx: can_id(input)?,
                },
                7 => CanEndpoint::J1939 {
                    name: input.arbitrary::<Option<u64>>()?.filter(|name| *name != 0),
                    pgn: input.arbitrary::<Option<u16>>()?.map(u32::from),
                    address: input
                        .arbitrary::<Option<u8>>()?
                        .filter(|address| *address != 255),
                },
                _ => CanEndpoint::Bus,
            },
        }),
        Family::Vsock => Address::Vsock(VsockAddress {
            cid: number(input)?,
            port: number(input)?,
            flags: 0,
        }),
        Family::Tipc => Address::Tipc(TipcAddress {
            endpoint: match input.int_in_range(0..=2)? {
                0 => TipcEndpoint::Id {
                    reference: number(input)?,
                    node: number(input)?,
                },
                1 => TipcEndpoint::Name {
                    service: number(input)?,
                    instance: number(input)?,
                    domain: number(input)?,
                },
                _ => {
                    let (one, other) = (number(input)?, number(input)?);
                    TipcEndpoint::Range {
                        service: number(input)?,
                        lower: one.min(other),
                        upper: one.max(other),
                    }
                }
            },
            scope: *input.choose(&[1, 2, 3, -1])?,
        }),
        Family::Alg => Address::Alg(AlgAddress {
            alg_type: (*input.choose(&["hash", "skcipher", "aead", "x y"])?).to_owned(),
            name: (*input.choose(&["sha256", "hmac(sha256)", "cbc(aes)", "*", "", "a,b"])?)
                .to_owned(),
            feature: 0,
            mask: 0,
        }),
        Family::Qipcrtr => Address::Qipcrtr(QipcrtrAddress {
            node: number(input)?,
            port: number(input)?,
        }),
        _ => {
            let device = if input.arbitrary()? {
                [0; 6]
            } else {
                input.arbitrary()?
            };
            Address::Bluetooth(match kind.protocol {
                0 => BluetoothAddress::L2cap {
                    device,
                    address_type: input.int_in_range(0..=2)?,
                    psm: *input.choose(&[0, 1, 0x1001])?,
                    cid: *input.choose(&[0, 4, 6])?,
                },
                3 => BluetoothAddress::Rfcomm {
                    device,
                    channel: input.int_in_range(0..=30)?,
                },
                _ => BluetoothAddress::Hci {
                    device: *input.choose(&[0, 1, u16::MAX])?,
                    channel: input.int_in_range(0..=4)?,
                },
            })
        }
    })
}

/// Options that a guest may have set before.
const OPTIONS: [&str; 4] = ["so.mark", "so.keepalive", "so.broadcast", "tcp.nodelay"];

/// A socket as it may stand.
pub fn any_facts(input: &mut Unstructured<'_>, kind: Kind) -> Result<SocketFacts> {
    let mut facts = SocketFacts::new(kind);
    if input.arbitrary()? {
        facts.local = Some(any_address(input, kind)?);
        facts.local_chosen = input.ratio(1, 4)?;
    }
    if input.ratio(1, 4)? {
        facts.peer = Some(any_address(input, kind)?);
    }
    if input.ratio(1, 6)? {
        let name = *input.choose(&OPTIONS)?;
        let option = OptionName::from_policy_name(name).expect("an option");
        facts.options.remember(option, &1i32.to_ne_bytes());
    }
    Ok(facts)
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// socket(2)
    Create,
    /// connect(2)
    Connect,
    /// bind(2)
    Bind,
    /// listen(2)
    Listen,
    /// accept(2), of this peer.
    Accept,
    /// sendto(2)
    SendTo,
    /// recvfrom(2), of this sender.
    ReceiveFrom,
}

impl Asked {
    /// All of them.
    pub const ALL: [Asked; 7] = [
        Asked::Create,
        Asked::Connect,
        Asked::Bind,
        Asked::Listen,
        Asked::Accept,
        Asked::SendTo,
        Asked::ReceiveFrom,
    ];

    /// Whether it is about single messages.
    pub fn is_of_datagrams(self) -> bool {
        matches!(self, Asked::SendTo | Asked::ReceiveFrom)
    }

    /// Asks a gate.
    pub fn of(
        self,
        gate: &Gate,
        facts: &SocketFacts,
        address: &Address,
        message: &[u8],
    ) -> std::result::Result<(), Denial> {
        match self {
            Asked::Create => gate.create(facts.kind).map(drop),
            Asked::Connect => gate.connect(facts, address).map(drop),
            Asked::Bind => gate.bind(facts, address).map(drop),
            Asked::Listen => gate.listen(facts).map(drop),
            Asked::Accept => gate.accept(facts, address).map(drop),
            Asked::SendTo => {
                let content = Content::sent_by(facts, message);
                gate.send_to(facts, address, &content).map(drop)
            }
            Asked::ReceiveFrom => {
                let content = Content::received(facts.kind, message);
                gate.receive_from(facts, address, &content).map(drop)
            }
        }
    }
}
