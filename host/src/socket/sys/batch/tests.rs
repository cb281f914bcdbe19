use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

use bytes::BytesMut;
use sockgate_policy::{Address, Family, SocketType};

use super::super::cmsg::{Control, ControlOut};
use super::super::testing::{datagram_pair, kind};
use super::super::{life, message, option, testing};
use super::*;

const NONE: MessageFlags = MessageFlags::empty();
const STYLE: SocketType = SocketType::Datagram;
const DATAGRAMS: Kind = Kind {
    family: Family::Unix,
    socket_type: STYLE,
    protocol: 0,
};

/// A batch with room for `count` messages of `max` bytes: its bytes and heads.
fn batch(socket: &OwnedFd, count: usize, max: usize, control: usize) -> (Vec<u8>, Vec<BatchHead>) {
    let mut slab = BytesMut::new();
    let mut scratch = BatchScratch::default();
    let heads = recv_batch(
        socket.as_fd(),
        DATAGRAMS,
        &mut slab,
        count,
        max,
        control,
        NONE,
        &mut scratch,
    )
    .unwrap();
    (slab.to_vec(), heads)
}

#[test]
fn a_batch_arrives_in_order_and_lies_close() {
    let (near, far) = datagram_pair();
    let texts = ["first", "", "the third is longer", "4"];
    let messages: Vec<_> = texts
        .iter()
        .map(|text| Outgoing {
            data: text.as_bytes(),
            to: None,
        })
        .collect();
    assert_eq!(send_batch(near.as_fd(), &messages, NONE), (4, None));
    let (bytes, heads) = batch(&far, 10, 12, 0);
    assert_eq!(bytes, b"firstthe third is4");
    let lengths: Vec<_> = heads
        .iter()
        .map(|head| (head.length, head.true_length))
        .collect();
    assert_eq!(lengths, [(5, 5), (0, 0), (12, 19), (1, 1)]);
    let cut: Vec<_> = heads
        .iter()
        .map(|head| head.flags.contains(ReceivedFlags::TRUNC))
        .collect();
    assert_eq!(cut, [false, false, true, false]);
    assert!(
        heads.iter().all(|head| head.source.is_none()),
        "a pair's ends have no names"
    );
}

#[test]
fn batches_append_and_scratch_is_reused() {
    let (near, far) = datagram_pair();
    let mut slab = BytesMut::from(&b"before:"[..]);
    let mut scratch = BatchScratch::default();
    for (room, text) in [(3, "abc"), (8, "defghijk"), (1, "l")] {
        let messages: Vec<_> = text
            .as_bytes()
            .chunks(1)
            .map(|data| Outgoing { data, to: None })
            .collect();
        assert_eq!(
            send_batch(near.as_fd(), &messages, NONE),
            (text.len(), None)
        );
        let heads = recv_batch(
            far.as_fd(),
            DATAGRAMS,
            &mut slab,
            room,
            100,
            64,
            NONE,
            &mut scratch,
        )
        .unwrap();
        assert_eq!(heads.len(), room);
    }
    assert_eq!(&slab[..], b"before:abcdefghijkl");
    let empty = recv_batch(
        far.as_fd(),
        DATAGRAMS,
        &mut slab,
        4,
        100,
        0,
        NONE,
        &mut scratch,
    );
    assert_eq!(empty.unwrap_err(), Errno::AGAIN);
    assert_eq!(&slab[..], b"before:abcdefghijkl");
    let none = recv_batch(
        far.as_fd(),
        DATAGRAMS,
        &mut slab,
        0,
        100,
        0,
        NONE,
        &mut scratch,
    );
    assert!(none.unwrap().is_empty());
    let much = recv_batch(
        far.as_fd(),
        DATAGRAMS,
        &mut slab,
        9,
        usize::MAX,
        0,
        NONE,
        &mut scratch,
    );
    assert_eq!(much.unwrap_err(), Errno::NOBUFS);
}

#[test]
fn a_full_queue_is_told_with_the_count() {
    let (near, far) = datagram_pair();
    let data = [7; 8];
    let messages = vec![
        Outgoing {
            data: &data,
            to: None
        };
        3000
    ];
    let (sent, error) = send_batch(near.as_fd(), &messages, NONE);
    assert!(sent > 0 && sent < messages.len(), "{sent} sent");
    assert_eq!(error, Some(Errno::AGAIN));
    let (_, heads) = batch(&far, 2000, 8, 0);
    assert_eq!(heads.len(), sent.min(MAXIMUM_COUNT));
}

#[test]
fn longer_batches_than_one_call_takes_go_out_whole() {
    let receiver = life::socket(kind(Family::Inet, STYLE)).unwrap();
    let any = EncodedAddress::try_from(&Address::Inet("127.0.0.1:0".parse().unwrap())).unwrap();
    life::bind(receiver.as_fd(), &any).unwrap();
    let to = testing::local_address(receiver.as_fd()).unwrap();
    let to = EncodedAddress::try_from(&to).unwrap();
    let sender = life::socket(kind(Family::Inet, STYLE)).unwrap();
    life::bind(sender.as_fd(), &any).unwrap();
    let numbers: Vec<[u8; 2]> = (0..150u16).map(u16::to_be_bytes).collect();
    let messages: Vec<_> = numbers
        .iter()
        .map(|data| Outgoing {
            data,
            to: Some(&to),
        })
        .collect();
    assert_eq!(send_batch(sender.as_fd(), &messages, NONE), (150, None));
    let (bytes, heads) = batch(&receiver, 1000, 64, 0);
    assert_eq!(bytes, numbers.concat());
    let from = testing::local_address(sender.as_fd()).unwrap();
    assert!(
        heads
            .iter()
            .all(|head| head.source.unwrap().decode_by_family() == Ok(Some(from.clone())))
    );
}

#[test]
fn the_first_bad_message_stops_the_batch_and_is_named() {
    let (near, far) = datagram_pair();
    let nowhere = Address::Unix(sockgate_policy::UnixAddress::Abstract(
        b"sockgate-nobody".to_vec(),
    ));
    let nowhere = EncodedAddress::try_from(&nowhere).unwrap();
    let messages = [
        Outgoing {
            data: b"a",
            to: None,
        },
        Outgoing {
            data: b"b",
            to: None,
        },
        Outgoing {
            data: b"c",
            to: Some(&nowhere),
        },
        Outgoing {
            data: b"d",
            to: None,
        },
    ];
    assert_eq!(
        send_batch(near.as_fd(), &messages, NONE),
        (2, Some(Errno::CONNREFUSED))
    );
    assert_eq!(batch(&far, 9, 9, 0).0, b"ab");
}

#[test]
fn descriptors_in_a_batch_are_owned_or_closed_by_the_kernel() {
    let (near, far) = datagram_pair();
    let rights = [ControlOut::Rights(vec![near.as_fd(); 2])];
    let control = Control::encode(Family::Unix, &rights).unwrap();
    let send = || {
        let pieces = [IoSlice::new(b"x")];
        message::send_message(near.as_fd(), &pieces, Some(&control), None, NONE).unwrap();
    };
    let inode = life::status(near.as_fd()).unwrap().st_ino;
    let open = || {
        let name = format!("socket:[{inode}]");
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = links.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links
            .filter(|target| target.as_os_str() == name.as_str())
            .count()
    };
    (0..3).for_each(|_| send());
    let (_, heads) = batch(&far, 3, 9, 64);
    let numbers = heads.iter().map(|head| match &head.control[..] {
        [ControlIn::Rights(descriptors)] => descriptors.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!((numbers.sum::<usize>(), open()), (6, 7));
    drop(heads);
    assert_eq!(open(), 1);
    (0..3).for_each(|_| send());
    let (_, heads) = batch(&far, 3, 9, 0);
    assert!(
        heads
            .iter()
            .all(|head| head.flags.contains(ReceivedFlags::CTRUNC))
    );
    assert_eq!(open(), 1);
    // The scratch's control data of an earlier batch must not be decoded again: credentials, then none.
    option::set_int(far.as_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, 1).unwrap();
    let mut scratch = BatchScratch::default();
    let mut slab = BytesMut::new();
    for (pass, expected) in [(1, 1), (0, 0)] {
        option::set_int(far.as_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, pass).unwrap();
        message::send(near.as_fd(), b"y", NONE).unwrap();
        let heads = recv_batch(
            far.as_fd(),
            DATAGRAMS,
            &mut slab,
            1,
            9,
            64,
            NONE,
            &mut scratch,
        )
        .unwrap();
        assert_eq!(heads[0].control.len(), expected);
    }
}
