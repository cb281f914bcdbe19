use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

use bytes::BytesMut;
use sockgate_policy::{Address, SocketType, UnixAddress};

use super::super::cmsg::ControlOut;
use super::super::testing::*;
use super::super::{Errno, life, option, testing};
use super::*;

const NONE: MessageFlags = MessageFlags::empty();

/// A pair of UDP sockets on the loopback address: the receiver, the sender, the sender's address.
fn udp_pair(family: Family) -> (OwnedFd, OwnedFd, Address) {
    let ends = [(); 2].map(|()| {
        let socket = life::socket(kind(family, SocketType::Datagram)).unwrap();
        let any = match family {
            Family::Inet6 => Address::Inet6("[::1]:0".parse().unwrap()),
            _ => Address::Inet("127.0.0.1:0".parse().unwrap()),
        };
        life::bind(socket.as_fd(), &EncodedAddress::try_from(&any).unwrap()).unwrap();
        socket
    });
    let [receiver, sender] = ends;
    let to = testing::local_address(receiver.as_fd()).unwrap();
    life::connect(sender.as_fd(), &EncodedAddress::try_from(&to).unwrap()).unwrap();
    let from = testing::local_address(sender.as_fd()).unwrap();
    (receiver, sender, from)
}

/// One message with everything that came with it.
fn message(socket: &OwnedFd, style: SocketType, room: usize) -> (Vec<u8>, Incoming) {
    let mut buffer = BytesMut::new();
    let kind = kind(Family::Unix, style);
    let incoming = recv_message(socket.as_fd(), kind, &mut buffer, 4096, room, NONE).unwrap();
    (buffer.to_vec(), incoming)
}

#[test]
fn flags_have_linuxs_numbers() {
    assert_eq!(numbers(NONE), 0);
    assert_eq!(
        numbers(MessageFlags::PEEK | MessageFlags::OOB),
        libc::MSG_PEEK | libc::MSG_OOB
    );
    assert_eq!(
        numbers(MessageFlags::DONTWAIT | MessageFlags::NOSIGNAL),
        0,
        "always there"
    );
    let all = numbers(MessageFlags::all());
    assert_eq!(
        all.count_ones() as usize,
        FLAGS.len(),
        "each has a bit of its own"
    );
}

/// Runs `call`, and tells whether it raised SIGPIPE in this thread (a blocked signal stays pending, even one
/// that is ignored otherwise).
fn with_pipe_signal_blocked<T>(call: impl FnOnce() -> T) -> (T, bool) {
    // SAFETY: the sets live as long as they are used, and the thread's mask is restored.
    unsafe {
        let mut pipe = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        let mut pending = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        assert_eq!(
            libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before),
            0
        );
        let result = call();
        assert_eq!(libc::sigpending(&mut pending), 0);
        let raised = libc::sigismember(&pending, libc::SIGPIPE) == 1;
        assert_eq!(
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()),
            0
        );
        (result, raised)
    }
}

#[test]
fn nothing_waits_and_a_vanished_peer_is_no_signal() {
    let (near, far) = stream_pair();
    life::set_nonblocking(near.as_fd(), false).unwrap();
    let mut buffer = BytesMut::from(&b"kept"[..]);
    assert_eq!(recv(near.as_fd(), &mut buffer, 10, NONE), Err(Errno::AGAIN));
    assert_eq!(&buffer[..], b"kept");
    drop(far);
    assert_eq!(recv(near.as_fd(), &mut buffer, 10, NONE), Ok(0));
    let (sent, signals) = with_pipe_signal_blocked(|| send(near.as_fd(), b"x", NONE));
    assert!(!signals, "SIGPIPE was raised");
    assert_eq!(sent, Err(Errno::PIPE));
}

#[test]
fn receives_append_and_never_take_more_than_max() {
    let (near, far) = stream_pair();
    send(near.as_fd(), b"abcdef", NONE).unwrap();
    let mut buffer = BytesMut::with_capacity(1000);
    assert_eq!(recv(far.as_fd(), &mut buffer, 4, NONE), Ok(4));
    assert_eq!(recv(far.as_fd(), &mut buffer, 4, NONE), Ok(2));
    assert_eq!(&buffer[..], b"abcdef");
}

#[test]
fn datagrams_tell_sender_and_true_length() {
    for family in [Family::Inet, Family::Inet6] {
        let (receiver, sender, from) = udp_pair(family);
        send(sender.as_fd(), b"0123456789", NONE).unwrap();
        let mut nothing = BytesMut::new();
        let peek = MessageFlags::PEEK;
        let next = recv_from(
            receiver.as_fd(),
            kind(Family::Unix, SocketType::Datagram),
            &mut nothing,
            0,
            peek,
        );
        assert_eq!(next.unwrap().true_length, 10);
        let mut buffer = BytesMut::new();
        let got = recv_from(
            receiver.as_fd(),
            kind(Family::Unix, SocketType::Datagram),
            &mut buffer,
            4,
            NONE,
        )
        .unwrap();
        assert_eq!((got.length, got.true_length), (4, 10));
        assert_eq!(&buffer[..], b"0123");
        assert_eq!(
            got.source.unwrap().decode_by_family(),
            Ok(Some(from.clone()))
        );
        send(sender.as_fd(), b"", NONE).unwrap();
        let (bytes, incoming) = message(&receiver, SocketType::Datagram, 0);
        assert_eq!((bytes.len(), incoming.true_length), (0, 0));
        assert_eq!(incoming.flags, ReceivedFlags::empty());
        assert_eq!(incoming.source.unwrap().decode_by_family(), Ok(Some(from)));
    }
}

#[test]
fn an_unnamed_sender_has_no_source() {
    let (near, far) = datagram_pair();
    send(near.as_fd(), b"x", NONE).unwrap();
    let mut buffer = BytesMut::new();
    let got = recv_from(
        far.as_fd(),
        kind(Family::Unix, SocketType::Datagram),
        &mut buffer,
        9,
        NONE,
    )
    .unwrap();
    assert!(got.source.is_none());
}

#[test]
fn a_named_unix_sender_is_told() {
    let (receiver, sender) = (unix(SocketType::Datagram), unix(SocketType::Datagram));
    let unnamed = EncodedAddress::try_from(&Address::Unix(UnixAddress::Unnamed)).unwrap();
    life::bind(receiver.as_fd(), &unnamed).unwrap();
    life::bind(sender.as_fd(), &unnamed).unwrap();
    let to = testing::local_address(receiver.as_fd()).unwrap();
    assert!(
        matches!(&to, Address::Unix(UnixAddress::Abstract(name)) if name.len() == 5),
        "{to:?}"
    );
    let to = EncodedAddress::try_from(&to).unwrap();
    assert_eq!(send_to(sender.as_fd(), b"hello", NONE, &to), Ok(5));
    let (bytes, incoming) = message(&receiver, SocketType::Datagram, 0);
    assert_eq!(bytes, b"hello");
    let from = testing::local_address(sender.as_fd()).unwrap();
    assert_eq!(incoming.source.unwrap().decode_by_family(), Ok(Some(from)));
}

#[test]
fn truncation_on_a_tcp_stream_shows_no_old_memory() {
    let listener = life::socket(kind(Family::Inet, SocketType::Stream)).unwrap();
    let any = Address::Inet("127.0.0.1:0".parse().unwrap());
    life::bind(listener.as_fd(), &EncodedAddress::try_from(&any).unwrap()).unwrap();
    life::listen(listener.as_fd(), 1).unwrap();
    let to = testing::local_address(listener.as_fd()).unwrap();
    let client = life::socket(kind(Family::Inet, SocketType::Stream)).unwrap();
    let _ = life::connect(client.as_fd(), &EncodedAddress::try_from(&to).unwrap());
    let (server, peer) = testing::accept(listener.as_fd()).unwrap();
    assert_eq!(peer, Some(testing::local_address(client.as_fd()).unwrap()));
    assert!(life::is_nonblocking(server.as_fd()).unwrap());
    send(client.as_fd(), b"secret", NONE).unwrap();
    let mut buffer = BytesMut::from(&[0xaa_u8; 64][..]);
    buffer.clear();
    assert_eq!(
        recv(server.as_fd(), &mut buffer, 64, MessageFlags::TRUNC),
        Ok(6)
    );
    assert_eq!(
        &buffer[..],
        [0; 6],
        "counted, thrown away, and not what was in the buffer"
    );
}

#[test]
fn pieces_go_out_in_order_and_too_many_are_refused() {
    let (near, far) = datagram_pair();
    let pieces = [b"one ".as_slice(), b"", b"two"].map(IoSlice::new);
    assert_eq!(send_message(near.as_fd(), &pieces, None, None, NONE), Ok(7));
    assert_eq!(received(far.as_fd()), b"one two");
    let many = vec![IoSlice::new(b""); 1024];
    assert_eq!(send_message(near.as_fd(), &many, None, None, NONE), Ok(0));
    let many = vec![IoSlice::new(b""); 1025];
    assert_eq!(
        send_message(near.as_fd(), &many, None, None, NONE),
        Err(Errno::MSGSIZE)
    );
}

/// Sends one byte with `count` duplicates of the socket's own descriptor.
fn send_rights(socket: &OwnedFd, count: usize) -> Result<usize> {
    let rights = [ControlOut::Rights(vec![socket.as_fd(); count])];
    let control = Control::encode(Family::Unix, &rights).unwrap();
    send_message(
        socket.as_fd(),
        &[IoSlice::new(b"x")],
        Some(&control),
        None,
        NONE,
    )
}

/// How many descriptors of this process lead to the same open socket inode.
fn descriptors_of(socket: &OwnedFd) -> usize {
    let inode = life::status(socket.as_fd()).unwrap().st_ino;
    let name = format!("socket:[{inode}]");
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.as_os_str() == name.as_str())
        .count()
}

fn rights_of(incoming: &Incoming) -> usize {
    incoming
        .control
        .iter()
        .map(|control| match control {
            ControlIn::Rights(descriptors) => descriptors.len(),
            _ => 0,
        })
        .sum()
}

#[test]
fn descriptors_travel_and_are_closed_with_the_message() {
    let (near, far) = stream_pair();
    send_rights(&near, 3).unwrap();
    let (bytes, incoming) = message(&far, SocketType::Stream, 1024);
    assert_eq!(bytes, b"x");
    let [ControlIn::Rights(descriptors)] = &incoming.control[..] else {
        panic!("{incoming:?}")
    };
    assert_eq!(descriptors.len(), 3);
    for descriptor in descriptors {
        // SAFETY: F_GETFD takes no argument.
        let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }
    assert_eq!(descriptors_of(&near), 4);
    drop(incoming);
    assert_eq!(descriptors_of(&near), 1);
}

#[test]
fn two_hundred_fifty_three_descriptors_fit_and_one_more_does_not() {
    let (near, far) = stream_pair();
    assert_eq!(send_rights(&near, 254), Err(Errno::INVAL));
    assert_eq!(send_rights(&near, 253), Ok(1));
    let (_, incoming) = message(&far, SocketType::Stream, 64 * 1024);
    assert_eq!(rights_of(&incoming), 253);
    assert_eq!(incoming.flags, ReceivedFlags::empty());
    drop(incoming);
    assert_eq!(descriptors_of(&near), 1);
}

#[test]
fn descriptors_without_room_leak_nothing() {
    for capacity in [0, 1, 15, 16, 17, 19, 20, 23, 24, 28, 31, 32, 40] {
        let (near, far) = stream_pair();
        send_rights(&near, 5).unwrap();
        let (bytes, incoming) = message(&far, SocketType::Stream, capacity);
        assert_eq!(bytes, b"x", "room {capacity}");
        let fits = capacity.saturating_sub(16) / 4;
        let fits = fits.min(5);
        assert_eq!(rights_of(&incoming), fits, "room {capacity}");
        assert_eq!(
            incoming.flags.contains(ReceivedFlags::CTRUNC),
            fits < 5,
            "room {capacity}"
        );
        assert_eq!(descriptors_of(&near), 1 + fits, "room {capacity}");
        drop(incoming);
        assert_eq!(descriptors_of(&near), 1, "room {capacity}");
    }
}

#[test]
fn descriptors_that_nobody_asked_for_leak_nothing() {
    let (near, far) = stream_pair();
    send_rights(&near, 5).unwrap();
    assert_eq!(received(far.as_fd()), b"x");
    send_rights(&near, 5).unwrap();
    let mut buffer = BytesMut::new();
    recv_from(
        far.as_fd(),
        kind(Family::Unix, SocketType::Stream),
        &mut buffer,
        9,
        NONE,
    )
    .unwrap();
    assert_eq!(descriptors_of(&near), 1);
}

#[test]
fn peeking_gives_duplicates_that_are_owned_too() {
    let (near, far) = stream_pair();
    send_rights(&near, 2).unwrap();
    let mut buffer = BytesMut::new();
    let style = kind(Family::Unix, SocketType::Stream);
    let peek = MessageFlags::PEEK;
    let peeked = recv_message(far.as_fd(), style, &mut buffer, 9, 256, peek).unwrap();
    assert_eq!((rights_of(&peeked), descriptors_of(&near)), (2, 3));
    let (_, taken) = message(&far, SocketType::Stream, 256);
    assert_eq!((rights_of(&taken), descriptors_of(&near)), (2, 5));
    drop((peeked, taken));
    assert_eq!(descriptors_of(&near), 1);
}

#[test]
fn credentials_are_this_processs_own() {
    let (near, far) = datagram_pair();
    option::set_int(far.as_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, 1).unwrap();
    send(near.as_fd(), b"x", NONE).unwrap();
    let (_, incoming) = message(&far, SocketType::Datagram, 64);
    let [ControlIn::Credentials { pid, uid, gid }] = incoming.control[..] else {
        panic!("{incoming:?}")
    };
    assert_eq!(pid, std::process::id() as i32);
    let own = option::peer_credentials(near.as_fd()).unwrap();
    assert_eq!((own.pid, own.uid, own.gid), (pid, uid, gid));
    let forged = [ControlOut::Credentials {
        pid: i32::MAX,
        uid,
        gid,
    }];
    let forged = Control::encode(Family::Unix, &forged).unwrap();
    let sent = send_message(
        near.as_fd(),
        &[IoSlice::new(b"x")],
        Some(&forged),
        None,
        NONE,
    );
    assert!(sent.is_err(), "a process that does not exist: {sent:?}");
}

#[test]
fn what_a_packet_brings_along_is_decoded() {
    let (receiver, sender, _) = udp_pair(Family::Inet);
    let on = |level, name| option::set_int(receiver.as_fd(), level, name, 1).unwrap();
    on(libc::IPPROTO_IP, libc::IP_PKTINFO);
    on(libc::IPPROTO_IP, libc::IP_RECVTTL);
    on(libc::IPPROTO_IP, libc::IP_RECVTOS);
    on(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    let out = [
        ControlOut::HopLimit(9),
        ControlOut::TrafficClass(0x10),
        ControlOut::PacketInfoV4 {
            interface_index: 0,
            source: [127, 0, 0, 1].into(),
        },
    ];
    let control = Control::encode(Family::Inet, &out).unwrap();
    send_message(
        sender.as_fd(),
        &[IoSlice::new(b"x")],
        Some(&control),
        None,
        NONE,
    )
    .unwrap();
    let (_, incoming) = message(&receiver, SocketType::Datagram, 512);
    let mut seen = [false; 4];
    for control in &incoming.control {
        match control {
            ControlIn::PacketInfoV4 {
                interface_index,
                destination,
                ..
            } => {
                seen[0] = *interface_index > 0 && destination.is_loopback();
            }
            ControlIn::HopLimit(limit) => seen[1] = *limit == 9,
            ControlIn::TrafficClass(class) => seen[2] = *class == 0x10,
            ControlIn::Timestamp(stamp) => seen[3] = stamp.seconds > 1_600_000_000,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [true; 4], "{incoming:?}");
}

#[test]
fn the_error_queue_names_the_refusal() {
    let (receiver, sender, _) = udp_pair(Family::Inet);
    let to = testing::local_address(receiver.as_fd()).unwrap();
    drop(receiver);
    option::set_int(sender.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, 1).unwrap();
    send(sender.as_fd(), b"lost", NONE).unwrap();
    let mut buffer = BytesMut::new();
    let style = kind(Family::Inet, SocketType::Datagram);
    let flags = MessageFlags::ERRQUEUE;
    let incoming = recv_message(sender.as_fd(), style, &mut buffer, 64, 512, flags).unwrap();
    assert_eq!(&buffer[..], b"lost");
    assert!(incoming.flags.contains(ReceivedFlags::ERRQUEUE));
    assert_eq!(incoming.source.unwrap().decode_by_family(), Ok(Some(to)));
    let [ControlIn::ExtendedError(error)] = &incoming.control[..] else {
        panic!("{incoming:?}")
    };
    assert_eq!((error.errno, error.origin), (Errno::CONNREFUSED, 2));
    assert_eq!(
        error.offender,
        Some(Address::Inet("127.0.0.1:0".parse().unwrap()))
    );
}
