//! Control messages: those that the kernel stores, with lengths that lie, and those that a guest sends.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read, pipe};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use sockgate_policy::Family;

use crate::socket::sys::cmsg::{Control, ControlIn, ControlOut, Timestamp};
use crate::socket::sys::{control_bytes, decode_control};

/// Bytes of a cmsghdr: a word, level, type.
const HEADER: usize = 16;
/// No more descriptors than this in one input.
const MOST_DESCRIPTORS: usize = 32;

/// The families whose messages are read differently.
const FAMILIES: [Family; 5] = [
    Family::Inet,
    Family::Inet6,
    Family::Unix,
    Family::Bluetooth,
    Family::Packet,
];

/// Half of the inputs are what the kernel stored, half what a guest sends.
pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let family = *input.choose(&FAMILIES)?;
    if input.arbitrary()? {
        received(family, input)
    } else {
        sent(family, input)
    }
}

/// One message in a buffer, read without any of the host's code.
struct Message {
    level: i32,
    kind: i32,
    /// Where its data are.
    from: usize,
    to: usize,
}

/// The messages of a buffer, cmsg(3): each tells its length, header included, and the next begins at a
/// multiple of 8. It ends at a length that is no header's or goes beyond the end.
fn walk(bytes: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEADER <= bytes.len() {
        let number = |from: usize, to: usize| {
            let mut field = [0; 8];
            field[..to - from].copy_from_slice(&bytes[at + from..at + to]);
            u64::from_le_bytes(field)
        };
        let length = number(0, 8);
        if length < HEADER as u64 || length > (bytes.len() - at) as u64 {
            break;
        }
        let length = length as usize;
        found.push(Message {
            level: number(8, 12) as u32 as i32,
            kind: number(12, 16) as u32 as i32,
            from: at + HEADER,
            to: at + length,
        });
        at += length.div_ceil(8) * 8;
    }
    found
}

/// The buffer is made of messages with plausible numbers, and then some bytes of it are others.
fn buffer(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const NUMBERS: [(i32, i32); 44] = [
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 29),
        (1, 35),
        (1, 37),
        (1, 63),
        (1, 64),
        (1, 65),
        (1, 36),
        (1, 40),
        (1, 61),
        (0, 1),
        (0, 2),
        (0, 6),
        (0, 7),
        (0, 8),
        (0, 11),
        (0, 20),
        (0, 25),
        (41, 25),
        (41, 50),
        (41, 52),
        (41, 54),
        (41, 57),
        (41, 59),
        (41, 61),
        (41, 67),
        (41, 74),
        (41, 77),
        (17, 103),
        (17, 104),
        (263, 8),
        (263, 16),
        (101, 1),
        (274, 3),
        (107, 1),
        (107, 2),
        (107, 3),
        (107, 4),
        (279, 3),
        (276, 1),
        (132, 2),
    ];
    let mut bytes = Vec::new();
    for _ in 0..input.int_in_range(0..=6)? {
        let (level, kind) = *input.choose(&NUMBERS)?;
        let data: Vec<u8> = match input.int_in_range(0..=3)? {
            0 => input.bytes(input.len().min(4))?.to_vec(),
            1 => input.bytes(input.len().min(12))?.to_vec(),
            2 => input.bytes(input.len().min(16))?.to_vec(),
            _ => {
                let length = input.int_in_range(0..=64)?.min(input.len());
                input.bytes(length)?.to_vec()
            }
        };
        bytes.extend_from_slice(&(HEADER + data.len()).to_ne_bytes());
        bytes.extend_from_slice(&level.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    for _ in 0..input.int_in_range(0..=3)? {
        let at = input.arbitrary::<u16>()? as usize;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = input.arbitrary()?;
        }
    }
    let cut = input.int_in_range(0..=24)?;
    bytes.truncate(bytes.len().saturating_sub(cut));
    Ok(bytes)
}

fn received(family: Family, input: &mut Unstructured<'_>) -> Result<()> {
    let mut bytes = buffer(input)?;
    let messages = walk(&bytes);
    let (reader, writer) = pipe().expect("a pipe");
    let Some(passed) = put_descriptors(&mut bytes, &messages, &writer) else {
        return Ok(());
    };
    // SAFETY: every number in the messages that hold descriptors was put there, and its owner given up.
    #[allow(unsafe_code, reason = "the decoder takes descriptors into ownership")]
    let decoded = unsafe { decode_control(family, &bytes) };
    assert_eq!(decoded.len(), messages.len(), "{family:?} {bytes:02x?}");
    let mut taken = 0;
    for (control, message) in decoded.iter().zip(&messages) {
        let data = &bytes[message.from..message.to];
        taken += owned(control);
        assert!(
            agrees(control, message, data),
            "{control:?} from {}/{} {data:02x?}",
            message.level,
            message.kind
        );
    }
    assert_eq!(taken, passed, "descriptors that arrived have an owner");
    drop(decoded);
    all_closed(reader, writer);
    Ok(())
}

/// Puts a duplicate of `writer` wherever a message has a descriptor's number, and answers how many there
/// are; none where they are too many.
fn put_descriptors(bytes: &mut [u8], messages: &[Message], writer: &PipeWriter) -> Option<usize> {
    let mut places = Vec::new();
    for message in messages.iter().filter(|message| message.level == 1) {
        let numbers = (message.to - message.from) / 4;
        let count = match message.kind {
            1 => numbers,
            4 => numbers.min(1),
            _ => 0,
        };
        places.extend((0..count).map(|place| message.from + place * 4));
    }
    if places.len() > MOST_DESCRIPTORS {
        return None;
    }
    for place in &places {
        let copy: OwnedFd = writer.try_clone().expect("a descriptor").into();
        bytes[*place..place + 4].copy_from_slice(&copy.into_raw_fd().to_ne_bytes());
    }
    Some(places.len())
}

fn owned(control: &ControlIn) -> usize {
    match control {
        ControlIn::Rights(descriptors) => descriptors.len(),
        ControlIn::PidFd(_) => 1,
        _ => 0,
    }
}

/// Where every duplicate of a pipe's writing end is closed, reading finds its end: soon, since whoever looks into
/// this process's /proc/PID/fd holds what it looks at a moment longer.
fn all_closed(mut reader: PipeReader, writer: PipeWriter) {
    drop(writer);
    rustix::io::ioctl_fionbio(&reader, true).expect("non-blocking");
    let end = Instant::now() + Duration::from_secs(1);
    let read = loop {
        match reader.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            read => break read.expect("a descriptor was left open"),
        }
    };
    assert_eq!(read, 0);
}

/// Whether what was decoded says what the bytes say: written back, they are the same.
fn agrees(control: &ControlIn, message: &Message, data: &[u8]) -> bool {
    let numbers = (message.level, message.kind);
    let word = |value: u32| data == value.to_ne_bytes();
    match control {
        ControlIn::Raw {
            level,
            kind,
            data: raw,
        } => (*level, *kind) == numbers && raw == data && numbers != (1, 1),
        ControlIn::Rights(_) => numbers == (1, 1),
        ControlIn::PidFd(_) => numbers == (1, 4),
        ControlIn::Credentials { pid, uid, gid } => {
            let bytes = [pid.to_ne_bytes(), uid.to_ne_bytes(), gid.to_ne_bytes()].concat();
            numbers == (1, 2) && data.starts_with(&bytes)
        }
        ControlIn::Security(label) => {
            numbers == (1, 3) && (data == label || data == [label.as_slice(), &[0]].concat())
        }
        ControlIn::Timestamp(stamp) => matches!(numbers, (1, 29 | 35 | 63 | 64)) && in_order(stamp),
        ControlIn::Timestamping { software, hardware } => {
            matches!(numbers, (1, 37 | 65))
                && [software, hardware].into_iter().flatten().all(in_order)
        }
        ControlIn::PacketInfoV4 {
            interface_index,
            source,
            destination,
        } => {
            let octets = [
                interface_index.to_ne_bytes(),
                source.octets(),
                destination.octets(),
            ];
            numbers == (0, 8) && data.starts_with(&octets.concat())
        }
        ControlIn::PacketInfoV6 {
            interface_index,
            address,
        } => {
            let mut bytes = address.octets().to_vec();
            bytes.extend(interface_index.to_ne_bytes());
            numbers == (41, 50) && data.starts_with(&bytes)
        }
        ControlIn::HopLimit(value) => {
            matches!(numbers, (0, 2) | (41, 52)) && (data == [*value] || word(u32::from(*value)))
        }
        ControlIn::TrafficClass(value) => {
            matches!(numbers, (0, 1) | (41, 67)) && (data == [*value] || word(u32::from(*value)))
        }
        ControlIn::OriginalDestination(_) => matches!(numbers, (0, 20) | (41, 74)),
        ControlIn::IpOptions(bytes) => matches!(numbers, (0, 6 | 7)) && bytes == data,
        ControlIn::HopOptions(bytes) => numbers == (41, 54) && header(bytes, data),
        ControlIn::RoutingHeader(bytes) => numbers == (41, 57) && header(bytes, data),
        ControlIn::DestinationOptions(bytes) => numbers == (41, 59) && header(bytes, data),
        ControlIn::PathMtu { mtu, .. } => {
            numbers == (41, 61) && data.len() == 32 && data[28..] == mtu.to_ne_bytes()
        }
        ControlIn::FragmentSize(size) => matches!(numbers, (0, 25) | (41, 77)) && word(*size),
        ControlIn::ExtendedError(error) => {
            let told = [error.origin, error.kind, error.code];
            matches!(
                numbers,
                (0, 11) | (41, 25) | (107, 4) | (101, 1) | (263, 16)
            ) && data.len() >= 16
                && data[..4] == error.errno.raw().to_ne_bytes()
                && data[4..7] == told
                && data[8..12] == error.info.to_ne_bytes()
                && data[12..16] == error.data.to_ne_bytes()
                && (error.offender.is_none() || data.len() >= 18)
        }
        ControlIn::DropCount(count) => numbers == (1, 40) && word(*count),
        ControlIn::SegmentSize(size) => numbers == (17, 104) && word(u32::from(*size)),
        ControlIn::Mark(mark) => numbers == (1, 36) && word(*mark),
        ControlIn::PacketAuxdata(told) => {
            numbers == (263, 8)
                && data.len() == 20
                && data[..4] == told.status.to_ne_bytes()
                && data[4..8] == told.length.to_ne_bytes()
                && data[8..12] == told.captured.to_ne_bytes()
                && told
                    .vlan_tag
                    .is_none_or(|tag| data[16..18] == tag.to_ne_bytes())
                && told
                    .vlan_protocol
                    .is_none_or(|kind| data[18..] == kind.to_ne_bytes())
        }
        ControlIn::BluetoothPacketStatus(status) => numbers == (274, 3) && data == [*status],
        ControlIn::J1939DestinationAddress(address) => numbers == (107, 1) && data == [*address],
        ControlIn::J1939DestinationName(name) => numbers == (107, 2) && data == name.to_ne_bytes(),
        ControlIn::J1939Priority(priority) => numbers == (107, 3) && data == [*priority],
    }
}

fn in_order(stamp: &Timestamp) -> bool {
    stamp.nanoseconds < 1_000_000_000
}

/// An extension header says its length in units of 8 bytes beyond the first.
fn header(bytes: &[u8], data: &[u8]) -> bool {
    bytes == data && data.len() >= 8 && data.len() == 8 + 8 * usize::from(data[1])
}

/// What a guest sends is what the kernel will read.
fn sent(family: Family, input: &mut Unstructured<'_>) -> Result<()> {
    let (_, writer) = pipe().expect("a pipe");
    let long = vec![7; if input.ratio(1, 32)? { 140_000 } else { 40 }];
    let mut out = Vec::new();
    for _ in 0..input.int_in_range(0..=8)? {
        let length = input.int_in_range(0..=40)?;
        let data = if length == 40 { &long } else { &long[..length] };
        out.push(match input.int_in_range(0..=11)? {
            0 => ControlOut::Rights(vec![writer.as_fd(); length]),
            1 => ControlOut::Credentials {
                pid: input.arbitrary()?,
                uid: input.arbitrary()?,
                gid: input.arbitrary()?,
            },
            2 => ControlOut::PacketInfoV4 {
                interface_index: input.arbitrary()?,
                source: Ipv4Addr::from(input.arbitrary::<[u8; 4]>()?),
            },
            3 => ControlOut::PacketInfoV6 {
                interface_index: input.arbitrary()?,
                address: Ipv6Addr::from(input.arbitrary::<[u8; 16]>()?),
            },
            4 => ControlOut::HopLimit(input.arbitrary()?),
            5 => ControlOut::TrafficClass(input.arbitrary()?),
            6 => ControlOut::SegmentSize(input.arbitrary()?),
            7 => ControlOut::TxTime(input.arbitrary()?),
            8 => ControlOut::AlgOperation(input.arbitrary()?),
            9 => ControlOut::AlgIv(data),
            10 => ControlOut::AlgAssociatedLength(input.arbitrary()?),
            _ => ControlOut::Raw {
                level: *input.choose(&[0, 1, 41, 132, 276])?,
                kind: input.int_in_range(0..=80)?,
                data,
            },
        });
    }
    let Ok(control) = Control::encode(family, &out) else {
        return Ok(());
    };
    let bytes = control_bytes(&control);
    assert!(bytes.len() <= 128 * 1024);
    let messages = walk(bytes);
    assert_eq!(messages.len(), out.len());
    for (message, out) in messages.iter().zip(&out) {
        let data = &bytes[message.from..message.to];
        let numbers = (message.level, message.kind);
        match out {
            ControlOut::Rights(descriptors) => {
                assert_eq!((numbers, data.len()), ((1, 1), 4 * descriptors.len()));
            }
            ControlOut::Raw {
                level,
                kind,
                data: given,
            } => {
                assert_eq!((*level, *kind), numbers);
                assert_eq!(data, *given);
                assert!(numbers != (1, 1) && numbers.0 != 276, "never by numbers");
            }
            ControlOut::PacketInfoV4 { .. } => assert_eq!((numbers, data.len()), ((0, 8), 12)),
            ControlOut::PacketInfoV6 { .. } => assert_eq!((numbers, data.len()), ((41, 50), 20)),
            ControlOut::HopLimit(value) | ControlOut::TrafficClass(value) => {
                assert_eq!(data, i32::from(*value).to_ne_bytes());
            }
            ControlOut::AlgIv(iv) => {
                assert_eq!(data[..4], (iv.len() as u32).to_ne_bytes());
                assert_eq!(&data[4..], *iv);
            }
            _ => assert!(!data.is_empty()),
        }
    }
    Ok(())
}
