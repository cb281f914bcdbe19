//! What the policy reads out of messages, beside another reading of the same bytes. Each rule here names one key;
//! whether the gate grants a message tells what its inspector made of it.

use arbitrary::{Result, Unstructured};
use sockgate_policy::{
    Address, CanAddress, CanEndpoint, Content, Family, Gate, Kind, NetlinkAddress, PacketAddress,
    Policy, SocketFacts, SocketType, Source,
};

/// One kind of message.
pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0..=6)? {
        0 => frame(input),
        1 => job(input),
        2 => requests(input),
        3 => ethernet(input),
        4 => icmp(input),
        5 => own_header(input),
        _ => anything(input),
    }
}

fn gate(rule: &str) -> Gate {
    let text = format!("version = 1\n[[allow]]\nid='x'\n{rule}");
    match Policy::from_toml(&Source::new("content", &text)) {
        Ok(policy) => Gate::new(policy),
        Err(errors) => panic!("{errors}"),
    }
}

const fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type,
        protocol,
    }
}

fn bound(kind: Kind, local: &Address) -> SocketFacts {
    SocketFacts {
        local: Some(local.clone()),
        ..SocketFacts::new(kind)
    }
}

/// Asks whether a message may be sent to a place, or received from it.
fn granted(gate: &Gate, facts: &SocketFacts, place: &Address, bytes: &[u8], sent: bool) -> bool {
    if sent {
        let content = Content::sent_by(facts, bytes);
        gate.send_to(facts, place, &content).is_ok()
    } else {
        let content = Content::received(facts.kind, bytes);
        gate.receive_from(facts, place, &content).is_ok()
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Any message on any socket is read without a panic, in both directions, whole or cut.
fn anything(input: &mut Unstructured<'_>) -> Result<()> {
    let kind = crate::question::any_kind(input)?;
    let facts = crate::question::any_facts(input, kind)?;
    let bytes = input.bytes(input.len())?;
    for end in [bytes.len(), bytes.len() / 2, bytes.len().min(16)] {
        let bytes = &bytes[..end];
        for content in [
            Content::sent(kind, bytes),
            Content::sent_by(&facts, bytes),
            Content::received(kind, bytes),
        ] {
            let _ = content.to_string();
            assert!(
                content.malformed().is_none()
                    || Content::head(kind).is_some()
                    || !facts.options.is_empty()
            );
        }
    }
    Ok(())
}

/// Whether an id with its flags (linux/can.h) is meant.
type IsMeant = fn(u32) -> bool;

/// Ids as rules write them, and what each means.
const IDS: [(&str, IsMeant); 7] = [
    ("0x123", |id| id == 0x123),
    ("0x100/0x700", |id| id & !0xff == 0x100),
    ("0x0f0-0x201", |id| (0x0f0..=0x201).contains(&id)),
    ("*", |id| id < 0x800),
    ("ext:*", |id| id >> 29 == 0b100),
    ("rtr:0x001", |id| id == 0x4000_0001),
    ("err:*", |id| id >> 29 == 0b001),
];

/// Whether the id is one at all.
fn is_id(id: u32) -> bool {
    match id >> 29 {
        // Data and remote frames of 11 bits.
        0b000 | 0b010 => id & 0x1fff_ffff < 0x800,
        // Those of 29, and error frames.
        0b100 | 0b110 | 0b001 => true,
        _ => false,
    }
}

/// An id that rules speak of, more often than not.
fn some_id(input: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match input.int_in_range(0..=3)? {
        0 => *input.choose(&[0, 0x123, 0x100, 0x1ff, 0x0ef, 0x202, 0x7ff, 0x800])?,
        1 => *input.choose(&[
            0x8000_0123,
            0x4000_0001,
            0x2000_0004,
            0xe000_0000,
            0xc000_0001,
        ])?,
        2 => u32::from(input.arbitrary::<u16>()? & 0xfff),
        _ => input.arbitrary()?,
    })
}

fn bus() -> Address {
    Address::Can(CanAddress {
        interface: Some("can0".into()),
        endpoint: CanEndpoint::Bus,
    })
}

/// CAN_RAW: one frame of one of three formats.
fn frame(input: &mut Unstructured<'_>) -> Result<()> {
    let (ids, names) = input.choose(&IDS)?;
    let (fd, xl) = (input.arbitrary()?, input.arbitrary()?);
    let gate = gate(&format!(
        "family=['can']\nprotocol=['raw']\nops=['send-to','receive']\ninterface=['can0']\ncan-id=['{ids}']\nfd={fd}\nxl={xl}"
    ));
    let length = match input.int_in_range(0..=4)? {
        0 => 16,
        1 => 72,
        2 => 12 + input.int_in_range(0..=80)?,
        3 => *input.choose(&[0, 1, 4, 5, 15, 17, 71, 73, 2060, 2061])?,
        _ => input.int_in_range(0..=100)?,
    };
    let mut bytes = some_id(input)?.to_le_bytes().to_vec();
    bytes.push(*input.choose(&[0, 8, 64, 0x80, 0x81, 0xff])?);
    bytes.resize(length, 0x5a);
    let covered = |id: u32| is_id(id) && names(id);
    let expected = match bytes.len() {
        ..5 => false,
        length if bytes[4] & 0x80 != 0 => {
            // An XL frame has a priority of 11 bits, and beside it a virtual network that is no part of it.
            let priority = word(&bytes, 0) & 0xff00_ffff;
            xl && (13..=2060).contains(&length) && priority < 0x800 && covered(priority)
        }
        16 => covered(word(&bytes, 0)),
        72 => fd && covered(word(&bytes, 0)),
        _ => false,
    };
    let facts = bound(kind(Family::Can, SocketType::Raw, 1), &bus());
    for sent in [true, false] {
        let found = granted(&gate, &facts, &bus(), &bytes, sent);
        assert_eq!(
            found, expected,
            "{ids} fd={fd} xl={xl} sent={sent} {bytes:02x?}"
        );
    }
    Ok(())
}

/// CAN_BCM: a head of 56 bytes, and frames.
fn job(input: &mut Unstructured<'_>) -> Result<()> {
    const OPS: [&str; 8] = [
        "*",
        "tx-setup",
        "tx-delete",
        "tx-read",
        "tx-send",
        "rx-setup",
        "rx-delete",
        "rx-read",
    ];
    let (ids, names) = input.choose(&IDS)?;
    let listed = input.int_in_range(0..=7)?;
    let fd = input.arbitrary()?;
    let gate = gate(&format!(
        "family=['can']\nprotocol=['bcm']\nops=['connect','send-to','receive']\ninterface=['can0']\n\
         can-id=['{ids}']\nfd={fd}\nbcm-ops=['{}']",
        OPS[listed]
    ));
    let mut bytes = vec![0; 56];
    let opcode = input.int_in_range(0..=13u32)?;
    let flags = u32::from(input.arbitrary::<u16>()?) & 0x0fff;
    let own = some_id(input)?;
    let count = input.int_in_range(0..=3u32)?;
    let told = if input.ratio(1, 8)? {
        input.arbitrary()?
    } else {
        count
    };
    for (at, number) in [(0, opcode), (4, flags), (48, own), (52, told)] {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    let size = if flags & 0x800 != 0 { 72 } else { 16 };
    let mut frames = Vec::new();
    for _ in 0..count {
        let id = if input.arbitrary()? {
            own
        } else {
            some_id(input)?
        };
        frames.push(id);
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.resize(bytes.len() + size - 4, 0);
    }
    let cut = if input.ratio(1, 8)? {
        input.int_in_range(0..=60)?
    } else {
        0
    };
    bytes.truncate(bytes.len().saturating_sub(cut));
    // A cut may take just the frames that the head does not count.
    let whole = bytes.len() as u64 == 56 + u64::from(told) * size as u64;
    frames.truncate(told as usize);
    let facts = SocketFacts {
        peer: Some(bus()),
        ..SocketFacts::new(kind(Family::Can, SocketType::Datagram, 2))
    };
    for sent in [true, false] {
        let asked = match opcode {
            8 => 3,
            9 => 1,
            10 => 7,
            11 | 12 => 5,
            opcode => opcode,
        };
        let operation = listed == 0 || asked as usize == listed;
        let of_direction = !sent || opcode == asked;
        let covered = |id: u32| is_id(id) && names(id);
        // Every id that the job puts on the bus or was seen there, and that of the job itself.
        let goes_out = |id: u32| match opcode {
            2 | 3 | 10 => None,
            5 if flags & 0x400 == 0 => None,
            5 if flags & 0x10 != 0 || id == own => Some(own & !0x4000_0000),
            1 if flags & 0x10 != 0 => Some(own),
            _ => Some(id),
        };
        let ids_covered = covered(own) && frames.iter().copied().filter_map(goes_out).all(covered);
        let known = listed != 0 || (1..=7).contains(&asked);
        let expected =
            whole && operation && of_direction && ids_covered && (fd || flags & 0x800 == 0);
        let found = granted(&gate, &facts, &bus(), &bytes, sent);
        if known {
            assert_eq!(
                found, expected,
                "{ids} {} fd={fd} sent={sent} {bytes:02x?}",
                OPS[listed]
            );
        } else {
            assert!(expected || !found, "no more than the rest of the rule");
        }
    }
    Ok(())
}

/// Netlink: several requests in one datagram, all of which count.
fn requests(input: &mut Unstructured<'_>) -> Result<()> {
    let (messages, numbers): (&str, fn(u16) -> bool) = *input.choose(&[
        ("'getlink'", (|number| number == 18) as fn(u16) -> bool),
        ("'get*'", |number| GETTERS.contains(&number)),
        ("'18','22'", |number| number == 18 || number == 22),
        ("'*'", |_| true),
    ])?;
    let dump_only: bool = input.arbitrary()?;
    let gate = gate(&format!(
        "family=['netlink']\nprotocol=['route']\nops=['bind','send-to']\nmessages=[{messages}]\ndump-only={dump_only}"
    ));
    let mut bytes = Vec::new();
    for _ in 0..input.int_in_range(0..=4)? {
        let payload = input.int_in_range(0..=9u32)?;
        let length = if input.ratio(1, 12)? {
            input.arbitrary()?
        } else {
            16 + payload
        };
        bytes.extend_from_slice(&length.to_le_bytes());
        let number = match input.int_in_range(0..=2)? {
            0 => *input.choose(&[16u16, 18, 18, 20, 22, 26, 10, 2])?,
            1 => u16::from(input.arbitrary::<u8>()?),
            _ => input.arbitrary()?,
        };
        bytes.extend_from_slice(&number.to_le_bytes());
        let flags = *input.choose(&[0x301u16, 0x300, 0x101, 0x201, 1, 0])?;
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.resize(bytes.len() + 8 + payload as usize, 0);
        if !input.ratio(1, 12)? {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
    }
    let mut at = 0;
    let mut expected = !bytes.is_empty();
    while at < bytes.len() {
        let length = if bytes.len() - at >= 16 {
            word(&bytes, at) as usize
        } else {
            0
        };
        if length < 16 || length > bytes.len() - at {
            expected = false;
            break;
        }
        let (number, flags) = (half(&bytes, at + 4), half(&bytes, at + 6));
        let reads = number >= 16 && number % 4 == 2 && flags & 0x300 == 0x300;
        expected &= numbers(number) && (reads || !dump_only);
        at = (at + length.div_ceil(4) * 4).min(bytes.len());
    }
    let kernel = Address::Netlink(NetlinkAddress { pid: 0, groups: 0 });
    let local = Address::Netlink(NetlinkAddress { pid: 77, groups: 0 });
    let mut facts = bound(kind(Family::Netlink, SocketType::Raw, 0), &local);
    facts.local_chosen = true;
    let found = granted(&gate, &facts, &kernel, &bytes, true);
    assert_eq!(found, expected, "{messages} {dump_only} {bytes:02x?}");
    Ok(())
}

/// RTM_GET*, linux/rtnetlink.h.
const GETTERS: [u16; 24] = [
    18, 22, 26, 30, 34, 38, 42, 46, 50, 58, 62, 66, 74, 78, 82, 86, 90, 94, 102, 106, 110, 114,
    118, 122,
];

/// Packet sockets: an Ethernet frame, with tags or without.
fn ethernet(input: &mut Unstructured<'_>) -> Result<()> {
    let (types, covers): (&str, fn(u16) -> bool) = *input.choose(&[
        ("'ipv4'", (|number| number == 0x0800) as fn(u16) -> bool),
        ("'0x0600-0x9fff'", |number| {
            (0x0600..=0x9fff).contains(&number)
        }),
        ("'vlan','ipv4'", |number| {
            number == 0x8100 || number == 0x0800
        }),
        ("'llc'", |number| number == 4),
    ])?;
    let direction = *input.choose(&["in", "out"])?;
    let gate = gate(&format!(
        "family=['packet']\ntype=['raw']\nops=['send-to','receive']\ninterface=['eth0']\nethertype=[{types}]\ndirection=['{direction}']"
    ));
    let mut bytes = vec![2; 12];
    for _ in 0..input.int_in_range(0..=6)? {
        let number: u16 =
            *input.choose(&[0x0800, 0x8100, 0x88a8, 0x9100, 0x05ff, 0x0600, 0x86dd])?;
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&[0, 7]);
    }
    let cut = input.int_in_range(0..=6)?;
    bytes.truncate(bytes.len() - cut);
    // The chain: each tag says that another follows four bytes on.
    let mut chain = Vec::new();
    let mut whole = false;
    for place in 0.. {
        let at = 12 + 4 * place;
        if at + 2 > bytes.len() {
            break;
        }
        let number = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        chain.push(if number < 0x600 { 4 } else { number });
        if ![0x8100, 0x88a8, 0x9100].contains(&number) {
            whole = true;
            break;
        }
    }
    let too_deep = chain.len() > 5 || (chain.len() == 5 && !whole);
    let place = |protocol, packet_type| {
        Address::Packet(PacketAddress {
            interface: Some("eth0".into()),
            protocol,
            packet_type,
            hardware_type: 1,
            hardware_address: vec![2; 6],
        })
    };
    let first = chain.first().copied().unwrap_or(0);
    // Bound to what the frame is, where a socket can be.
    let own = place(first.max(1), 0);
    let facts = bound(kind(Family::Packet, SocketType::Raw, 0), &own);
    let sent = granted(&gate, &facts, &own, &bytes, true);
    let expected =
        whole && !too_deep && direction == "out" && chain.iter().all(|number| covers(*number));
    assert_eq!(sent, expected, "sent {types} {direction} {bytes:02x?}");
    for (packet_type, word) in [(0, "in"), (3, "in"), (4, "out")] {
        let from = place(first.max(1), packet_type);
        let heard = granted(&gate, &facts, &from, &bytes, false);
        // The kernel has said what the frame is; what it left in a tag counts, as far as it is there.
        let inner = chain.iter().skip(1).all(|number| covers(*number)) || (!whole && !too_deep);
        let expected = covers(first.max(1)) && direction == word && inner && !too_deep;
        assert_eq!(
            heard, expected,
            "received {types} {direction} {packet_type} {bytes:02x?}"
        );
    }
    Ok(())
}

/// Raw ICMP: the type is the first byte; IPv4 gives its header along when it arrives.
fn icmp(input: &mut Unstructured<'_>) -> Result<()> {
    let six = input.arbitrary()?;
    let (family, protocol, names, numbers) = if six {
        (
            Family::Inet6,
            58,
            "'v6-echo-request','v6-echo-reply'",
            [128, 129],
        )
    } else {
        (Family::Inet, 1, "'echo-request','echo-reply'", [8, 0])
    };
    let gate = gate(&format!(
        "family=['{family}']\ntype=['raw']\nops=['send-to','receive']\ncidr=['*']\nicmp-type=[{names}]"
    ));
    let mut bytes = vec![0; input.int_in_range(0..=70)?];
    for _ in 0..input.int_in_range(0..=3)? {
        let at = *input.choose(&[0, 0, 20, 24, 40, 60, 63])?;
        let value = *input.choose(&[0x45, 0x46, 0x40, 0x4f, 0x4a, 8, 0, 128, 129, 13])?;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    let place: Address = if six { "[2001:db8::1]:0" } else { "8.8.8.8:0" }
        .parse::<std::net::SocketAddr>()
        .expect("an address")
        .into();
    let facts = SocketFacts::new(kind(family, SocketType::Raw, protocol));
    let type_at = |at: usize| bytes.get(at).is_some_and(|number| numbers.contains(number));
    let sent = granted(&gate, &facts, &place, &bytes, true);
    assert_eq!(sent, type_at(0), "sent {names} {bytes:02x?}");
    let behind = match (six, bytes.first()) {
        (false, Some(first)) => usize::from(first % 16) * 4,
        _ => 0,
    };
    let heard = granted(&gate, &facts, &place, &bytes, false);
    assert_eq!(heard, type_at(behind), "received {names} {bytes:02x?}");
    Ok(())
}

/// IPPROTO_RAW: the guest writes the header, and the destination in it is the one that counts.
fn own_header(input: &mut Unstructured<'_>) -> Result<()> {
    let gate = gate(
        "family=['inet']\ntype=['raw']\nprotocol=['raw-ip']\nops=['send-to']\ncidr=['10.0.0.0/8']\nheader-include=true",
    );
    let words = input.int_in_range(0..=15u8)?;
    let version = if input.ratio(1, 8)? {
        input.int_in_range(0..=15u8)?
    } else {
        4
    };
    let mut bytes = vec![0; 20];
    bytes[0] = version << 4 | words;
    let inside: [u8; 4] = *input.choose(&[[10, 1, 2, 3], [10, 9, 9, 9], [8, 8, 8, 8]])?;
    bytes[16..].copy_from_slice(&inside);
    let options = input.int_in_range(0..=44usize)?;
    for _ in 0..options {
        bytes.push(*input.choose(&[0, 1, 1, 1, 2, 3, 4, 7, 0x83, 0x89, 0x44])?);
    }
    let cut = input.int_in_range(0..=4)?;
    bytes.truncate(bytes.len() - cut);
    let to = std::net::SocketAddr::from(([10, 1, 2, 3], 0)).into();
    let facts = SocketFacts::new(kind(Family::Inet, SocketType::Raw, 255));
    let header = usize::from(words) * 4;
    let whole = bytes.len() >= 20 && version == 4 && header >= 20 && header <= bytes.len();
    let expected = whole && inside == [10, 1, 2, 3] && !has_route(&bytes[20..header]);
    let found = granted(&gate, &facts, &to, &bytes, true);
    assert_eq!(found, expected, "{bytes:02x?}");
    Ok(())
}

/// Whether options (RFC 791) hold a source route, or cannot be walked to their end.
fn has_route(options: &[u8]) -> bool {
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => return false,
            1 => at += 1,
            0x83 | 0x89 => return true,
            _ => {
                let length = options.get(at + 1).copied().unwrap_or(0);
                if length < 2 || at + usize::from(length) > options.len() {
                    return true;
                }
                at += usize::from(length);
            }
        }
    }
    false
}
