use std::net::{Ipv4Addr, Ipv6Addr};

use sockgate_policy::{Address, Family};

use super::*;

/// Decodes what holds no descriptors.
fn decode(bytes: &[u8]) -> Vec<ControlIn> {
    for (level, kind, _) in Messages(bytes) {
        assert!(
            level != libc::SOL_SOCKET || ![libc::SCM_RIGHTS, rights::SCM_PIDFD].contains(&kind)
        );
    }
    // SAFETY: no descriptors, as asserted.
    unsafe { ControlIn::decode_all(Family::Inet, bytes) }
}

/// One message as the kernel would store it.
fn one(level: c_int, kind: c_int, data: &[u8]) -> ControlIn {
    let mut control = Control::default();
    control.push(level, kind, data).unwrap();
    let mut all = decode(control.as_bytes());
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn is_raw(control: ControlIn, length: usize) -> bool {
    matches!(control, ControlIn::Raw { data, .. } if data.len() == length)
}

#[test]
fn the_layout_is_libcs() {
    assert_eq!(HEADER, size_of::<libc::cmsghdr>());
    for length in [0, 1, 4, 7, 8, 9, 1012] {
        let mut control = Control::default();
        control.push(1, 2, &vec![0; length]).unwrap();
        // SAFETY: CMSG_SPACE only computes.
        let space = unsafe { libc::CMSG_SPACE(length as u32) };
        assert_eq!(control.as_bytes().len(), space as usize);
    }
}

#[test]
fn messages_that_follow_each_other_are_all_found() {
    let out = [
        ControlOut::TxTime(9),
        ControlOut::Raw {
            level: 77,
            kind: 1,
            data: b"odd",
        },
        ControlOut::Raw {
            level: 77,
            kind: 2,
            data: b"",
        },
        ControlOut::SegmentSize(1200),
    ];
    let control = Control::encode(Family::Inet, &out).unwrap();
    let found: Vec<_> = Messages(control.as_bytes()).collect();
    assert_eq!(
        found,
        [
            (libc::SOL_SOCKET, 61, &9u64.to_ne_bytes()[..]),
            (77, 1, b"odd"),
            (77, 2, b""),
            (libc::IPPROTO_UDP, 103, &1200u16.to_ne_bytes()),
        ]
    );
}

#[test]
fn a_cut_last_message_is_found_without_its_padding() {
    let mut control = Control::default();
    control.push(77, 1, b"12345").unwrap();
    let bytes = &control.as_bytes()[..HEADER + 5];
    assert_eq!(
        Messages(bytes).collect::<Vec<_>>(),
        [(77, 1, &b"12345"[..])]
    );
}

#[test]
fn lying_lengths_end_the_list() {
    let mut control = Control::default();
    control.push(77, 1, b"first").unwrap();
    let second = control.as_bytes().len();
    control.push(77, 2, b"second").unwrap();
    for lie in [
        0,
        1,
        HEADER - 1,
        HEADER + 100,
        usize::MAX,
        usize::MAX - 7,
        1 << 31,
    ] {
        let mut bytes = control.as_bytes().to_vec();
        bytes[second..second + size_of::<usize>()].copy_from_slice(&lie.to_ne_bytes());
        assert_eq!(
            Messages(&bytes).collect::<Vec<_>>(),
            [(77, 1, &b"first"[..])],
            "length {lie}"
        );
    }
    for end in 0..HEADER {
        assert_eq!(
            Messages(&control.as_bytes()[..end]).count(),
            0,
            "{end} bytes"
        );
    }
}

#[test]
fn any_bytes_are_parsed_without_panic_and_within_bounds() {
    // A small generator of its own, with the same numbers in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut found = 0;
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random() % 160).map(|_| random() as u8).collect();
        // Half of them get a plausible first length and level, or nearly everything would end there.
        if bytes.len() > HEADER && random() % 2 == 0 {
            let length = (random() % 200) as usize;
            bytes[..8].copy_from_slice(&length.to_ne_bytes()[..8]);
            let level =
                [libc::SOL_SOCKET, libc::IPPROTO_IP, libc::IPPROTO_IPV6][random() as usize % 3];
            bytes[8..12].copy_from_slice(&level.to_ne_bytes());
            bytes[12..16].copy_from_slice(&((random() % 80) as c_int).to_ne_bytes());
        }
        let mut total = 0;
        for (level, kind, data) in Messages(&bytes) {
            total += HEADER + data.len();
            // Descriptors aside: made-up numbers must not be closed.
            found += usize::from(ControlIn::decode_plain(level, kind, data).is_some());
        }
        assert!(total <= bytes.len());
    }
    assert!(found > 50, "only {found} had their type's form");
}

#[test]
fn packet_info_goes_both_ways() {
    let ip = Ipv4Addr::new(10, 1, 2, 3);
    let out = [ControlOut::PacketInfoV4 {
        interface_index: 7,
        source: ip,
    }];
    let control = Control::encode(Family::Inet, &out).unwrap();
    let [
        ControlIn::PacketInfoV4 {
            interface_index: 7,
            source,
            destination,
        },
    ] = decode(control.as_bytes())[..]
    else {
        panic!("no packet info")
    };
    assert_eq!((source, destination), (ip, Ipv4Addr::UNSPECIFIED));

    let ip: Ipv6Addr = "2001:db8::5".parse().unwrap();
    let out = [ControlOut::PacketInfoV6 {
        interface_index: 9,
        address: ip,
    }];
    let control = Control::encode(Family::Inet6, &out).unwrap();
    let [
        ControlIn::PacketInfoV6 {
            interface_index: 9,
            address,
        },
    ] = decode(control.as_bytes())[..]
    else {
        panic!("no packet info")
    };
    assert_eq!(address, ip);
}

#[test]
fn hop_limit_and_traffic_class_have_each_familys_number() {
    let out = [ControlOut::HopLimit(3), ControlOut::TrafficClass(0xb8)];
    for family in [Family::Inet, Family::Inet6] {
        let control = Control::encode(family, &out).unwrap();
        let decoded = decode(control.as_bytes());
        let [ControlIn::HopLimit(3), ControlIn::TrafficClass(0xb8)] = decoded[..] else {
            panic!("{family:?}: {decoded:?}")
        };
    }
    assert_eq!(
        Control::encode(Family::Unix, &out).unwrap_err(),
        Errno::INVAL
    );
    let tos = one(libc::IPPROTO_IP, libc::IP_TOS, &[0x10]);
    assert!(
        matches!(tos, ControlIn::TrafficClass(0x10)),
        "IPv4 has one byte: {tos:?}"
    );
    assert!(is_raw(
        one(libc::IPPROTO_IP, libc::IP_TTL, &256i32.to_ne_bytes()),
        4
    ));
}

#[test]
fn timestamps_of_every_width() {
    let long = |values: &[i64]| {
        values
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect::<Vec<_>>()
    };
    let stamp = |seconds, nanoseconds| Timestamp {
        seconds,
        nanoseconds,
    };
    for kind in [libc::SCM_TIMESTAMP, timestamp::SCM_TIMESTAMP_NEW] {
        let decoded = one(libc::SOL_SOCKET, kind, &long(&[5, 999_999]));
        let ControlIn::Timestamp(found) = decoded else {
            panic!("{decoded:?}")
        };
        assert_eq!(found, stamp(5, 999_999_000));
    }
    let short: Vec<u8> = [-1i32, 8]
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect();
    let decoded = one(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &short);
    let ControlIn::Timestamp(found) = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!(found, stamp(-1, 8));
    assert!(is_raw(
        one(
            libc::SOL_SOCKET,
            libc::SCM_TIMESTAMPNS,
            &long(&[1, 1_000_000_000])
        ),
        16
    ));
    assert!(is_raw(
        one(libc::SOL_SOCKET, libc::SCM_TIMESTAMP, &long(&[1, i64::MAX])),
        16
    ));
    assert!(is_raw(
        one(libc::SOL_SOCKET, libc::SCM_TIMESTAMP, &[1; 15]),
        15
    ));

    let decoded = one(
        libc::SOL_SOCKET,
        libc::SCM_TIMESTAMPING,
        &long(&[1, 2, 0, 0, 0, 0]),
    );
    let ControlIn::Timestamping { software, hardware } = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!((software, hardware), (Some(stamp(1, 2)), None));
    // A card's clock, as it is told where there is such a card.
    let decoded = one(
        libc::SOL_SOCKET,
        timestamp::SCM_TIMESTAMPING_NEW,
        &long(&[0, 0, 0, 0, 3, 4]),
    );
    let ControlIn::Timestamping { software, hardware } = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!((software, hardware), (None, Some(stamp(3, 4))));
}

#[test]
fn extended_errors_with_and_without_an_offender() {
    let mut data = libc::ECONNREFUSED.to_ne_bytes().to_vec();
    data.extend([2, 3, 4, 0]);
    data.extend(1500u32.to_ne_bytes());
    data.extend(6u32.to_ne_bytes());
    let expected = ExtendedError {
        errno: Errno::CONNREFUSED,
        origin: 2,
        kind: 3,
        code: 4,
        info: 1500,
        data: 6,
        offender: None,
    };
    let decode = |data: &[u8]| match one(libc::IPPROTO_IP, libc::IP_RECVERR, data) {
        ControlIn::ExtendedError(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(decode(&data), expected);
    let offender = Address::Inet("192.0.2.1:0".parse().unwrap());
    let encoded = crate::socket::sys::EncodedAddress::try_from(&offender).unwrap();
    data.extend(encoded.as_bytes());
    assert_eq!(
        decode(&data),
        ExtendedError {
            offender: Some(offender),
            ..expected
        }
    );
    assert!(is_raw(
        one(libc::IPPROTO_IP, libc::IP_RECVERR, &data[..15]),
        15
    ));
}

#[test]
fn what_comes_beside_a_j1939_message() {
    let at = |kind, data: &[u8]| one(107, kind, data);
    assert!(matches!(
        at(1, &[0x20]),
        ControlIn::J1939DestinationAddress(0x20)
    ));
    let name = 0x0123_4567_89ab_cdef_u64;
    assert!(matches!(
        at(2, &name.to_ne_bytes()),
        ControlIn::J1939DestinationName(told) if told == name
    ));
    assert!(matches!(at(3, &[6]), ControlIn::J1939Priority(6)));
    let mut data = libc::ENOMSG.to_ne_bytes().to_vec();
    data.extend([7, 1, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0]);
    let ControlIn::ExtendedError(error) = at(4, &data) else {
        panic!("no report")
    };
    assert_eq!(
        (error.origin, error.kind, error.info, error.data),
        (7, 1, 2, 9)
    );
    for (kind, length) in [(1, 2), (2, 4), (3, 0), (4, 15)] {
        assert!(is_raw(at(kind, &vec![0; length]), length));
    }
}

#[test]
fn extension_headers_and_what_a_path_takes() {
    let at = |kind, data: &[u8]| one(libc::IPPROTO_IPV6, kind, data);
    let header = [17, 0, 1, 4, 0, 0, 0, 0];
    assert!(matches!(at(54, &header), ControlIn::HopOptions(data) if data == header));
    assert!(matches!(at(59, &header), ControlIn::DestinationOptions(data) if data == header));
    assert!(matches!(at(57, &header), ControlIn::RoutingHeader(data) if data == header));
    // A length that lies.
    assert!(is_raw(at(54, &[17, 1, 1, 4, 0, 0, 0, 0]), 8));
    assert!(is_raw(at(59, &[17]), 1));

    let there = Address::Inet6("[2001:db8::1]:0".parse().unwrap());
    let encoded = crate::socket::sys::EncodedAddress::try_from(&there).unwrap();
    let mut data = encoded.as_bytes().to_vec();
    data.extend(1280u32.to_ne_bytes());
    let ControlIn::PathMtu { destination, mtu } = at(61, &data) else {
        panic!("no path")
    };
    assert_eq!((destination, mtu), (Some(there), 1280));
    assert!(is_raw(at(61, &data[..31]), 31));
    for level in [libc::IPPROTO_IP, libc::IPPROTO_IPV6] {
        let kind = if level == libc::IPPROTO_IP { 25 } else { 77 };
        let size = one(level, kind, &1448i32.to_ne_bytes());
        assert!(matches!(size, ControlIn::FragmentSize(1448)), "{size:?}");
        assert!(is_raw(one(level, kind, &(-1i32).to_ne_bytes()), 4));
    }
}

#[test]
fn bluetooth_has_numbers_of_its_own() {
    let status = one(274, 3, &[2]);
    assert!(matches!(status, ControlIn::BluetoothPacketStatus(2)));
    assert!(is_raw(one(274, 3, &[2, 0]), 2));
    // HCI_CMSG_DIR, which would be IP_TOS.
    let mut control = Control::default();
    control.push(0, 1, &1i32.to_ne_bytes()).unwrap();
    // SAFETY: no descriptors in it.
    let all = unsafe { ControlIn::decode_all(Family::Bluetooth, control.as_bytes()) };
    assert!(matches!(&all[..], [ControlIn::Raw { level: 0, kind: 1, data }] if data.len() == 4));
}

#[test]
fn every_error_queue_has_one_form() {
    let mut data = libc::ENOMSG.to_ne_bytes().to_vec();
    data.extend([4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]);
    for (level, kind) in [(101, 1), (263, 16), (libc::IPPROTO_IPV6, 25)] {
        let ControlIn::ExtendedError(error) = one(level, kind, &data) else {
            panic!("{level}/{kind}")
        };
        assert_eq!((error.origin, error.data), (4, 9));
    }
}

#[test]
fn numbers_of_this_process_never_come_from_outside() {
    let raw = |level, kind| {
        Control::encode(
            Family::Unix,
            &[ControlOut::Raw {
                level,
                kind,
                data: &[0; 4],
            }],
        )
        .map(|_| ())
    };
    assert_eq!(raw(libc::SOL_SOCKET, libc::SCM_RIGHTS), Err(Errno::INVAL));
    assert_eq!(raw(276, 1), Err(Errno::OPNOTSUPP));
    assert_eq!(raw(libc::SOL_SOCKET, libc::SCM_CREDENTIALS), Ok(()));
}

#[test]
fn control_data_is_bounded() {
    let data = vec![0; MAXIMUM_LENGTH - HEADER];
    let raw = [ControlOut::Raw {
        level: 9,
        kind: 9,
        data: &data,
    }];
    assert!(Control::encode(Family::Unix, &raw).is_ok());
    let [raw] = raw;
    let two = [raw, ControlOut::TxTime(0)];
    assert_eq!(
        Control::encode(Family::Unix, &two).unwrap_err(),
        Errno::NOBUFS
    );
}
