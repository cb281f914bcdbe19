use std::os::fd::AsFd;

use sockgate_policy::MessageFlags;

use super::super::Errno;
use super::super::message;
use super::super::testing::{datagram_pair, kind, received, stream_pair};
use super::*;
use crate::socket::sys::testing::{accept, local_address, peer_address};

const KINDS: &[(Family, SocketType)] = &[
    (Family::Inet, SocketType::Stream),
    (Family::Inet, SocketType::Datagram),
    (Family::Inet6, SocketType::Stream),
    (Family::Inet6, SocketType::Datagram),
    (Family::Unix, SocketType::Stream),
    (Family::Unix, SocketType::Datagram),
    (Family::Unix, SocketType::SeqPacket),
];

fn encoded(address: &str) -> EncodedAddress {
    let address = match address.parse().unwrap() {
        std::net::SocketAddr::V4(v4) => Address::Inet(v4),
        std::net::SocketAddr::V6(v6) => Address::Inet6(v6),
    };
    EncodedAddress::try_from(&address).unwrap()
}

fn is_closed_on_exec(socket: &OwnedFd) -> bool {
    // SAFETY: F_GETFD takes no argument.
    unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFD) & libc::FD_CLOEXEC != 0 }
}

#[test]
fn new_sockets_are_what_was_asked_for_and_never_block() {
    for (family, socket_type) in KINDS {
        let made = socket(kind(*family, *socket_type)).unwrap();
        let found = kind_of(made.as_fd()).unwrap();
        assert_eq!((found.family, found.socket_type), (*family, *socket_type));
        let protocol = match (family, socket_type) {
            (Family::Unix, _) => 0,
            (_, SocketType::Stream) => 6,
            _ => 17,
        };
        assert_eq!(found.protocol, protocol, "{found:?}");
        assert!(is_nonblocking(made.as_fd()).unwrap() && is_closed_on_exec(&made));
        assert_eq!(is_socket(made.as_fd()), Ok(true));
        let copy = duplicate(made.as_fd()).unwrap();
        assert!(is_closed_on_exec(&copy));
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(is_socket(file.as_fd()), Ok(false));
    assert_eq!(kind_of(file.as_fd()), Err(Errno::NOTSOCK));
    let unknown = Kind {
        protocol: u32::MAX,
        ..kind(Family::Inet, SocketType::Stream)
    };
    assert!(socket(unknown).is_err());
    assert_eq!(
        socket(kind(Family::Other(200), SocketType::Stream)).unwrap_err(),
        Errno::AFNOSUPPORT
    );
}

#[test]
fn creation_flags_never_come_from_outside() {
    let flags = (libc::SOCK_STREAM | libc::SOCK_NONBLOCK) as u16;
    let odd = kind(Family::Unix, SocketType::Other(flags));
    assert_eq!(
        kind_of(socket(odd).unwrap().as_fd()).unwrap().socket_type,
        SocketType::Stream
    );
}

#[test]
fn ip_sockets_start_with_the_strict_options() {
    for (family, socket_type) in KINDS {
        if *family == Family::Unix {
            continue;
        }
        let made = socket(kind(*family, *socket_type)).unwrap();
        let get = |level, name| option::get_int(made.as_fd(), level, name).unwrap();
        if *family == Family::Inet6 {
            assert_eq!(get(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), 1);
            set_v6only(made.as_fd(), false).unwrap();
            assert_eq!(get(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), 0);
        }
        if *socket_type == SocketType::Datagram {
            assert_eq!(get(libc::IPPROTO_IP, libc::IP_MULTICAST_ALL), 0);
            if *family == Family::Inet6 {
                assert_eq!(get(libc::IPPROTO_IPV6, option::IPV6_MULTICAST_ALL), 0);
            }
        }
    }
}

#[test]
fn a_wildcard_socket_does_not_hear_other_sockets_groups() {
    let bound = |address: &str| {
        let made = socket(kind(Family::Inet, SocketType::Datagram)).unwrap();
        option::set_int(made.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1).unwrap();
        bind(made.as_fd(), &encoded(address)).unwrap();
        made
    };
    let member = bound("0.0.0.0:0");
    let Address::Inet(local) = local_address(member.as_fd()).unwrap() else {
        panic!()
    };
    let stranger = bound(&local.to_string());
    let lo = super::super::interface::index("lo").unwrap();
    let group = "239.255.77.7".parse().unwrap();
    option::group_v4(member.as_fd(), option::Membership::Join, group, None, lo).unwrap();
    let sender = bound("127.0.0.1:0");
    let interface = [0u8, 0, 0, 0, 127, 0, 0, 1];
    let request = [&interface[..], &lo.to_ne_bytes()].concat();
    option::set(
        sender.as_fd(),
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_IF,
        &request,
    )
    .unwrap();
    let to = encoded(&format!("{group}:{}", local.port()));
    message::send_to(sender.as_fd(), b"all", MessageFlags::empty(), &to).unwrap();
    assert_eq!(received(member.as_fd()), b"all");
    let mut buffer = bytes::BytesMut::new();
    let heard = message::recv(stranger.as_fd(), &mut buffer, 9, MessageFlags::empty());
    assert_eq!(heard, Err(Errno::AGAIN));
    option::group_v4(member.as_fd(), option::Membership::Leave, group, None, lo).unwrap();
    message::send_to(sender.as_fd(), b"gone", MessageFlags::empty(), &to).unwrap();
    let heard = message::recv(member.as_fd(), &mut buffer, 9, MessageFlags::empty());
    assert_eq!(heard, Err(Errno::AGAIN));
}

#[test]
fn a_connection_from_both_ends() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let family = if any.starts_with('[') {
            Family::Inet6
        } else {
            Family::Inet
        };
        let listener = socket(kind(family, SocketType::Stream)).unwrap();
        bind(listener.as_fd(), &encoded(any)).unwrap();
        listen(listener.as_fd(), u32::MAX).unwrap();
        assert_eq!(accept(listener.as_fd()).unwrap_err(), Errno::AGAIN);
        let to = EncodedAddress::try_from(&local_address(listener.as_fd()).unwrap()).unwrap();
        let client = socket(kind(family, SocketType::Stream)).unwrap();
        assert_eq!(peer_address(client.as_fd()), Err(Errno::NOTCONN));
        assert!(matches!(
            connect(client.as_fd(), &to),
            Ok(()) | Err(Errno::INPROGRESS)
        ));
        let (server, peer) = accept(listener.as_fd()).unwrap();
        assert!(is_nonblocking(server.as_fd()).unwrap() && is_closed_on_exec(&server));
        assert_eq!(peer, Some(local_address(client.as_fd()).unwrap()));
        assert_eq!(peer_address(server.as_fd()).ok(), peer);
        message::send(client.as_fd(), b"hi", MessageFlags::empty()).unwrap();
        shutdown(client.as_fd(), How::Write).unwrap();
        assert_eq!(received(server.as_fd()), b"hi");
        assert_eq!(received(server.as_fd()), b"", "the end of the stream");
        reset_on_close(server.as_fd()).unwrap();
        drop(server);
        let mut buffer = bytes::BytesMut::new();
        let end = message::recv(client.as_fd(), &mut buffer, 9, MessageFlags::empty());
        assert_eq!(end, Err(Errno::CONNRESET), "a reset, no orderly end");
    }
}

#[test]
fn only_errors_of_a_connection_let_a_listener_go_on() {
    assert!(is_transient_accept_error(Errno::CONNABORTED));
    for made in [
        (Family::Inet, SocketType::Stream),
        (Family::Inet, SocketType::Datagram),
    ] {
        let no_listener = socket(kind(made.0, made.1)).unwrap();
        let error = accept(no_listener.as_fd()).unwrap_err();
        assert!(
            !is_transient_accept_error(error),
            "{error} would be tried for ever"
        );
    }
    for error in [Errno::AGAIN, Errno::MFILE, Errno::INTR, Errno::BADF] {
        assert!(!is_transient_accept_error(error));
    }
}

#[test]
fn a_datagram_socket_drops_its_peer() {
    let sender = socket(kind(Family::Inet, SocketType::Datagram)).unwrap();
    connect(sender.as_fd(), &encoded("127.0.0.1:9")).unwrap();
    assert_eq!(
        peer_address(sender.as_fd()),
        Ok(Address::Inet("127.0.0.1:9".parse().unwrap()))
    );
    disconnect(sender.as_fd()).unwrap();
    assert_eq!(peer_address(sender.as_fd()), Err(Errno::NOTCONN));
}

#[test]
fn pairs_talk_and_have_no_names() {
    for (left, right) in [stream_pair(), datagram_pair()] {
        assert!(is_nonblocking(left.as_fd()).unwrap() && is_closed_on_exec(&right));
        message::send(left.as_fd(), b"x", MessageFlags::empty()).unwrap();
        assert_eq!(received(right.as_fd()), b"x");
        let unnamed = Ok(Address::Unix(UnixAddress::Unnamed));
        assert_eq!(
            (local_address(left.as_fd()), peer_address(left.as_fd())),
            (unnamed.clone(), unnamed)
        );
    }
}

#[test]
fn the_flag_travels_with_the_open_socket() {
    let (left, _right) = stream_pair();
    let copy = duplicate(left.as_fd()).unwrap();
    set_nonblocking(copy.as_fd(), false).unwrap();
    assert_eq!(is_nonblocking(left.as_fd()), Ok(false));
    set_nonblocking(copy.as_fd(), true).unwrap();
    assert_eq!(is_nonblocking(left.as_fd()), Ok(true));
}
