use std::os::fd::AsFd;

use sockgate_policy::{Family, MessageFlags, SocketType};

use super::super::testing::{datagram_pair, kind, stream_pair};
use super::super::{life, message, testing};
use super::*;

fn tcp() -> std::os::fd::OwnedFd {
    life::socket(kind(Family::Inet, SocketType::Stream)).unwrap()
}

#[test]
fn values_come_back_and_are_cut_at_max() {
    let socket = tcp();
    let socket = socket.as_fd();
    set_int(socket, SOL_SOCKET, SO_KEEPALIVE, 1).unwrap();
    assert_eq!(get_int(socket, SOL_SOCKET, SO_KEEPALIVE), Ok(1));
    assert_eq!(
        get(socket, SOL_SOCKET, SO_KEEPALIVE, 100),
        Ok(1i32.to_ne_bytes().to_vec())
    );
    assert_eq!(
        get(socket, SOL_SOCKET, SO_KEEPALIVE, 2),
        Ok(1i32.to_ne_bytes()[..2].to_vec())
    );
    assert_eq!(get(socket, SOL_SOCKET, SO_KEEPALIVE, 0), Ok(vec![]));
    assert_eq!(
        get(socket, IPPROTO_TCP, TCP_CONGESTION, usize::MAX)
            .unwrap()
            .len(),
        16
    );
    assert_eq!(get(socket, SOL_SOCKET, 9999, 4), Err(Errno::NOPROTOOPT));
}

#[test]
fn bad_lengths_are_the_kernels_errors() {
    let socket = tcp();
    let socket = socket.as_fd();
    for length in [0, 3] {
        let value = vec![1; length];
        assert_eq!(
            set(socket, SOL_SOCKET, SO_KEEPALIVE, &value),
            Err(Errno::INVAL)
        );
    }
    for length in [4, u32::MAX] {
        let answer = set_length(socket, SOL_SOCKET, SO_KEEPALIVE, length);
        assert!(
            matches!(answer, Err(Errno::FAULT | Errno::INVAL)),
            "{length}: {answer:?}"
        );
    }
}

#[test]
fn a_missing_value_is_not_zero_for_ipv6() {
    let socket = life::socket(kind(Family::Inet6, SocketType::Datagram)).unwrap();
    let socket = socket.as_fd();
    for length in [0, 4, u32::MAX] {
        assert_eq!(
            set_length(socket, IPPROTO_IPV6, IPV6_V6ONLY, length),
            Err(Errno::FAULT)
        );
    }
    assert_eq!(get_int(socket, IPPROTO_IPV6, IPV6_V6ONLY), Ok(1));
}

#[test]
fn options_with_addresses_or_descriptors_inside_are_refused_before_the_kernel() {
    let socket = tcp();
    let socket = socket.as_fd();
    // ATTACH_REUSEPORT_CBPF reads a filter from an address in the value: here from a page that is not there.
    let filter = [0xff; 16];
    for name in [26, 50, 51, 52, 77] {
        let set = set(socket, SOL_SOCKET, name, &filter);
        // ATTACH_FILTER takes the instructions themselves: these are none.
        let refusal = if name == 26 {
            Errno::INVAL
        } else {
            Errno::OPNOTSUPP
        };
        assert_eq!(set, Err(refusal), "{name}");
        assert_eq!(
            get(socket, SOL_SOCKET, name, 64),
            Err(Errno::OPNOTSUPP),
            "{name}"
        );
        assert_eq!(
            set_length(socket, SOL_SOCKET, name, 4),
            Err(Errno::OPNOTSUPP),
            "{name}"
        );
    }
    for (level, name) in [
        (IPPROTO_TCP, 35),
        (IPPROTO_TCP, 41),
        (IPPROTO_IP, 64),
        (libc::IPPROTO_IPV6, 1),
        (libc::IPPROTO_IPV6, 65),
        (libc::IPPROTO_IPV6, 68),
        (255, 36),
        (263, 22),
        (283, 4),
    ] {
        assert!(is_unsafe_option(level, name));
    }
    for (level, name) in [
        (SOL_SOCKET, SO_KEEPALIVE),
        (IPPROTO_TCP, TCP_NODELAY),
        (IPPROTO_IP, 42),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    ] {
        assert!(!is_unsafe_option(level, name));
    }
}

#[test]
fn lingering_and_errors() {
    let socket = tcp();
    let socket = socket.as_fd();
    assert_eq!(linger(socket), Ok(None));
    set_linger(socket, Some(7)).unwrap();
    assert_eq!(linger(socket), Ok(Some(7)));
    set_linger(socket, None).unwrap();
    assert_eq!(linger(socket), Ok(None));
    assert_eq!(take_error(socket), Ok(None));

    let (gone, sender) = datagram_pair();
    drop(gone);
    let sent = message::send(sender.as_fd(), b"x", MessageFlags::empty());
    assert_eq!(sent, Err(Errno::CONNREFUSED));
    let refused = life::socket(kind(Family::Inet, SocketType::Datagram)).unwrap();
    let to = inet::encode_v4(&"127.0.0.1:1".parse().unwrap());
    life::connect(refused.as_fd(), &to).unwrap();
    message::send(refused.as_fd(), b"x", MessageFlags::empty()).unwrap();
    assert_eq!(take_error(refused.as_fd()), Ok(Some(Errno::CONNREFUSED)));
    assert_eq!(take_error(refused.as_fd()), Ok(None));
}

#[test]
fn queues_are_counted() {
    let (near, far) = stream_pair();
    message::send(near.as_fd(), b"12345", MessageFlags::empty()).unwrap();
    assert_eq!(inq(far.as_fd()), Ok(5));
    assert!(outq(near.as_fd()).unwrap() >= 5);
    assert_eq!(outq(far.as_fd()), Ok(0));
}

#[test]
fn the_mark_is_where_the_urgent_byte_is() {
    let listener = tcp();
    life::bind(
        listener.as_fd(),
        &inet::encode_v4(&"127.0.0.1:0".parse().unwrap()),
    )
    .unwrap();
    life::listen(listener.as_fd(), 1).unwrap();
    let to = testing::local_address(listener.as_fd()).unwrap();
    let client = tcp();
    let _ = life::connect(client.as_fd(), &EncodedAddress::try_from(&to).unwrap());
    let (server, _) = testing::accept(listener.as_fd()).unwrap();
    message::send(client.as_fd(), b"ab", MessageFlags::empty()).unwrap();
    message::send(client.as_fd(), b"!", MessageFlags::OOB).unwrap();
    assert_eq!(at_mark(server.as_fd()), Ok(false));
    assert_eq!(super::super::testing::received(server.as_fd()), b"ab");
    assert_eq!(at_mark(server.as_fd()), Ok(true));
}

#[test]
fn memberships_with_and_without_a_source() {
    let lo = super::super::interface::index("lo").unwrap();
    let v4 = life::socket(kind(Family::Inet, SocketType::Datagram)).unwrap();
    let group = "239.255.77.8".parse().unwrap();
    let source = Some("127.0.0.1".parse().unwrap());
    for (source, stranger) in [(None, Errno::ADDRNOTAVAIL), (source, Errno::INVAL)] {
        let change = |what| group_v4(v4.as_fd(), what, group, source, lo);
        assert_eq!(change(Membership::Leave), Err(stranger));
        assert_eq!(change(Membership::Join), Ok(()));
        assert!(change(Membership::Join).is_err(), "twice");
        assert_eq!(change(Membership::Leave), Ok(()));
    }
    let v6 = life::socket(kind(Family::Inet6, SocketType::Datagram)).unwrap();
    let group = "ff02::7707".parse().unwrap();
    assert_eq!(
        group_v6(v6.as_fd(), Membership::Join, group, None, lo),
        Ok(())
    );
    assert_eq!(
        group_v6(v6.as_fd(), Membership::Leave, group, None, lo),
        Ok(())
    );
    let no_group = "127.0.0.1".parse().unwrap();
    assert_eq!(
        group_v4(v4.as_fd(), Membership::Join, no_group, None, lo),
        Err(Errno::INVAL)
    );
}

#[test]
fn a_filter_is_its_instructions() {
    let (one, other) = datagram_pair();
    // ldb [0]; jeq #'y', accept, drop; ret #65535; ret #0, Documentation/networking/filter.rst
    let program: [(u16, u8, u8, u32); 4] = [
        (0x30, 0, 0, 0),
        (0x15, 0, 1, u32::from(b'y')),
        (0x06, 0, 0, 0xffff),
        (0x06, 0, 0, 0),
    ];
    let bytes: Vec<u8> = program
        .iter()
        .flat_map(|(code, jt, jf, k)| {
            [&code.to_ne_bytes()[..], &[*jt, *jf], &k.to_ne_bytes()].concat()
        })
        .collect();
    let attach = |bytes: &[u8]| set(other.as_fd(), SOL_SOCKET, libc::SO_ATTACH_FILTER, bytes);
    for length in [0, 7, 9, 31] {
        assert_eq!(attach(&bytes[..length]), Err(Errno::INVAL), "{length}");
    }
    assert_eq!(attach(&bytes[8..16].repeat(4097)), Err(Errno::INVAL));
    attach(&bytes).unwrap();
    for text in [b"no", b"ye", b"na"] {
        let flags = MessageFlags::empty();
        message::send(one.as_fd(), text, flags).unwrap();
    }
    let mut buffer = bytes::BytesMut::new();
    let kind = kind(Family::Unix, SocketType::Datagram);
    let received =
        message::recv_from(other.as_fd(), kind, &mut buffer, 64, MessageFlags::empty()).unwrap();
    assert_eq!((received.length, &buffer[..]), (2, &b"ye"[..]));
    let next = message::recv_from(other.as_fd(), kind, &mut buffer, 64, MessageFlags::empty());
    assert_eq!(next.map(|next| next.length), Err(Errno::AGAIN));
}
