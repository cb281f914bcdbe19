//! CAN ids: those of frames, those that rules write, and where a message goes.

use super::*;

fn frame(word: &str) -> Option<FrameId> {
    FrameId::parse(word)
}

fn ids(words: &[&str]) -> Result<FrameIds, String> {
    let mut ids = FrameIds::default();
    for word in words {
        ids.add(word)?;
    }
    Ok(ids)
}

/// Whether the words cover the ids, and nothing just beside them.
fn covers(word: &str, inside: &[&str], outside: &[&str]) {
    let ids = ids(&[word]).unwrap();
    for id in inside {
        assert!(ids.covers(frame(id).unwrap()), "{word} has {id}");
    }
    for id in outside {
        assert!(!ids.covers(frame(id).unwrap()), "{word} has not {id}");
    }
}

#[test]
fn a_frame_has_the_id_that_its_format_can_have() {
    let of = |id| FrameId::of(id).map(|frame| frame.to_string());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(0x7ff), some("0x7FF"));
    assert_eq!(of(0x800), None);
    assert_eq!(of(REMOTE | 0x7ff), some("rtr:0x7FF"));
    assert_eq!(of(REMOTE | 0x800), None);
    assert_eq!(of(EXTENDED | 0x800), some("ext:0x00000800"));
    assert_eq!(of(EXTENDED | REMOTE | 0x800), some("rtr:ext:0x00000800"));
    // An error frame has no format, and more classes than 11 bits hold.
    assert_eq!(of(ERROR | 0x1fff_ffff), some("err:0x1FFFFFFF"));
    assert_eq!(of(ERROR | EXTENDED | 1), None);
    assert_eq!(of(ERROR | REMOTE | 1), None);
}

#[test]
fn a_question_names_one_id() {
    for word in [
        "0x7FF",
        "ext:0x1FFFFFFF",
        "rtr:0x001",
        "rtr:ext:0x00000001",
        "err:0x1FFFFFFF",
    ] {
        assert_eq!(
            frame(word).map(|frame| frame.to_string()).as_deref(),
            Some(word)
        );
    }
    for word in [
        "0x800",
        "ext:0x20000000",
        "err:ext:0x1",
        "err:0x20000000",
        "rtr:0x800",
        "*",
        "",
    ] {
        assert_eq!(frame(word), None, "{word}");
    }
}

#[test]
fn rules_name_ids_by_number_mask_and_range() {
    covers(
        "0x7ff",
        &["0x7ff"],
        &["0x7fe", "ext:0x7ff", "rtr:0x7ff", "err:0x7ff"],
    );
    covers("*", &["0", "0x7ff"], &["ext:0", "rtr:0", "err:0"]);
    covers("ext:*", &["ext:0", "ext:0x1fffffff"], &["0", "rtr:ext:0"]);
    covers("err:*", &["err:0", "err:0x1fffffff"], &["0", "ext:0"]);
    covers(
        "rtr:ext:0x100",
        &["rtr:ext:0x100"],
        &["ext:0x100", "rtr:0x100"],
    );
    covers(
        "0x100/0x700",
        &["0x100", "0x1ff"],
        &["0xff", "0x200", "ext:0x100"],
    );
    covers(
        "ext:0x12345600/0x1fffff00",
        &["ext:0x123456ff"],
        &["ext:0x12345700"],
    );
    covers("0x100-0x1ff", &["0x100", "0x1ff"], &["0xff", "0x200"]);
    covers(
        "0x101-0x106",
        &["0x101", "0x102", "0x105", "0x106"],
        &["0x100", "0x107"],
    );
    covers("5-5", &["5"], &["4", "6", "7"]);
    covers("0-0x7ff", &["0", "0x400", "0x7ff"], &["ext:1"]);
    covers(
        "ext:0x7ff-0x801",
        &["ext:0x7ff", "ext:0x800", "ext:0x801"],
        &["ext:0x7fe", "ext:0x802"],
    );
    covers("err:0x800", &["err:0x800"], &["err:0x801"]);
}

#[test]
fn what_is_no_id_is_no_rule() {
    for word in [
        "0x800",
        "ext:0x20000000",
        "err:0x20000000",
        "rtr:0x800",
        "err:ext:0x1",
        "0x101/0x700",
        "0x100/0x800",
        "0x1ff-0x100",
        "0x100-0x800",
        "x",
        "",
    ] {
        assert!(ids(&[word]).is_err(), "{word}");
    }
    // Which of the two it is: an id of the other format, or none at all.
    for (word, longer) in [
        ("0x800", true),
        ("rtr:0x1fffffff", true),
        ("0x20000000", false),
        ("ext:0x20000000", false),
    ] {
        let message = ids(&[word]).unwrap_err();
        assert_eq!(message.contains("begin with `ext:`"), longer, "{message}");
    }
}

#[test]
fn ids_hold_those_that_they_cover_all_of() {
    for (wide, narrow, held) in [
        (&["0x100/0x700"][..], &["0x123"][..], true),
        (&["0x100/0x700"], &["0x120/0x7f0", "0x1ff"], true),
        (&["0x100/0x700"], &["0x100/0x700"], true),
        (&["0x100/0x700"], &["0x200"], false),
        (&["0x100/0x700"], &["0x100/0x500"], false),
        (&["0x100/0x700"], &["0x100", "0x200"], false),
        (&["0x100", "0x200"], &["0x200"], true),
        (&["*"], &["0x7ff", "*"], true),
        (&["*"], &["ext:0x1"], false),
        (&["*"], &["rtr:0x1"], false),
        (&["ext:*", "rtr:*"], &["rtr:ext:0x1"], false),
        (&["0x1"], &["*"], false),
    ] {
        let holds = ids(wide).unwrap().holds(&ids(narrow).unwrap());
        assert_eq!(holds, held, "{wide:?} {narrow:?}");
    }
}

#[test]
fn a_range_is_as_few_blocks_as_it_can_be() {
    let all = STANDARD_IDS;
    assert_eq!(blocks(0x100, 0x1ff, all), [(0x100, 0x700)]);
    assert_eq!(blocks(0, all, all), [(0, 0)]);
    assert_eq!(blocks(7, 7, all), [(7, all)]);
    assert_eq!(
        blocks(0x101, 0x104, all),
        [(0x101, 0x7ff), (0x102, 0x7fe), (0x104, 0x7ff)]
    );
    assert_eq!(blocks(6, 9, all), [(6, 0x7fe), (8, 0x7fe)]);
}

#[test]
fn a_channel_is_a_pair_of_ids() {
    let pair = |word: &str| Pair::parse(word).map(|pair| (pair.rx, pair.tx));
    use CanId::{Extended, Standard};
    assert_eq!(pair("0x7E8:0x7E0"), Ok((Standard(0x7e8), Standard(0x7e0))));
    assert_eq!(pair("0x7ff:0x800"), Ok((Standard(0x7ff), Extended(0x800))));
    assert_eq!(
        pair("ext:0x7E8:0x7E0"),
        Ok((Extended(0x7e8), Standard(0x7e0)))
    );
    assert_eq!(
        pair("0x7E8:ext:0x7E0"),
        Ok((Standard(0x7e8), Extended(0x7e0)))
    );
    assert_eq!(
        pair("0x1fffffff:0x10000"),
        Ok((Extended(0x1fff_ffff), Extended(0x1_0000)))
    );
    for word in [
        "0x7E8",
        "0x20000000:1",
        "1:0x20000000",
        "ext:0x7E8",
        "a:b",
        "",
    ] {
        assert!(Pair::parse(word).is_err(), "{word}");
    }
    assert_eq!(
        Pair::parse("ext:0x7E8:0x7E0").unwrap().to_string(),
        "ext:0x000007E8:0x7E0"
    );
}

fn on(interface: Option<&str>, endpoint: CanEndpoint) -> Address {
    Address::Can(CanAddress {
        interface: interface.map(str::to_owned),
        endpoint,
    })
}

fn socket(protocol: u32) -> SocketFacts {
    SocketFacts::new(Kind {
        family: Family::Can,
        socket_type: crate::kind::SocketType::Datagram,
        protocol,
    })
}

#[test]
fn some_sockets_do_not_look_at_the_name() {
    let bus = |name| on(Some(name), CanEndpoint::Bus);
    let every = on(None, CanEndpoint::Bus);
    let mut manager = socket(BCM);
    manager.peer = Some(bus("can0"));
    assert_eq!(*destination(&manager, &bus("can1")), bus("can0"));
    assert_eq!(*sender(&manager, &every), bus("can0"));
    assert_eq!(*sender(&manager, &bus("can1")), bus("can1"));
    manager.peer = Some(every.clone());
    assert_eq!(*destination(&manager, &bus("can1")), bus("can1"));

    let ids = CanEndpoint::IsoTp {
        rx: CanId::Standard(1),
        tx: CanId::Standard(2),
    };
    let mut channel = socket(ISOTP);
    channel.local = Some(on(Some("can0"), ids));
    assert_eq!(*destination(&channel, &bus("can1")), on(Some("can0"), ids));
    assert_eq!(*sender(&channel, &bus("can1")), on(Some("can0"), ids));

    let mut raw = socket(RAW);
    raw.local = Some(bus("can0"));
    raw.peer = Some(bus("can0"));
    assert_eq!(*destination(&raw, &bus("can1")), bus("can1"));
    assert_eq!(*sender(&raw, &every), every);
}

#[test]
fn a_node_hears_on_its_own_interface() {
    let end = |address| CanEndpoint::J1939 {
        name: None,
        pgn: Some(0xfeca),
        address: Some(address),
    };
    let mut node = socket(J1939);
    node.local = Some(on(Some("can0"), end(1)));
    assert_eq!(*sender(&node, &on(None, end(2))), on(Some("can0"), end(2)));
    assert_eq!(
        *sender(&node, &on(Some("can1"), end(2))),
        on(Some("can1"), end(2))
    );
    let everybody = CanEndpoint::J1939 {
        name: None,
        pgn: None,
        address: None,
    };
    assert_eq!(
        unnamed_destination(&node),
        Some(on(Some("can0"), everybody))
    );
    assert_eq!(unnamed_destination(&socket(J1939)), None);
}

#[test]
fn a_message_begins_or_ends_a_job() {
    let message = |opcode: u32, flags: u32, id: u32| {
        let mut message = vec![0; 56];
        for (place, word) in [(0, opcode), (4, flags), (48, id)] {
            message[place..place + 4].copy_from_slice(&word.to_ne_bytes());
        }
        JobChange::of(&message)
    };
    // By their numbers in linux/can/bcm.h: TX_SETUP, TX_DELETE, TX_READ, TX_SEND, RX_SETUP, RX_DELETE, RX_READ.
    let [setup, delete, read, send, watch, forget, look] =
        [1, 2, 3, 4, 5, 6, 7].map(|opcode| message(opcode, 0, 0x123));
    let (Some(JobChange::Begins(cycle)), Some(JobChange::Begins(heard))) = (setup, watch) else {
        panic!("{setup:?} {watch:?}");
    };
    assert_ne!(cycle, heard);
    assert_eq!(delete, Some(JobChange::Ends(cycle)));
    assert_eq!(forget, Some(JobChange::Ends(heard)));
    assert_eq!([read, send, look], [None; 3]);
    // CAN_FD_FRAME makes another job, and so does another id; no other flag does.
    assert_eq!(message(1, 1, 0x123), setup);
    assert_ne!(message(1, 0x800, 0x123), setup);
    assert_ne!(message(1, 0, 0x124), setup);
    assert_eq!(JobChange::of(&[0; 12]), None);
}
