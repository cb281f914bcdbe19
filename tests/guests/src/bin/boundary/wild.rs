//! The strangest that can be asked: whatever it answers, it answers. The host interrupts what waits.

use std::time::Duration;

use sockgate_guest::ancillary::{AncillaryOut, BorrowedHandle, RawAncillary};
use sockgate_guest::names::{self, Hints, LookupFlags};
use sockgate_guest::{
    Batch, Family, Interest, IoctlRequest, MessageFlags, MessageOut, Poller, Protocol, Shutdown,
    Socket, SocketAddress, SocketType, Timeout, UnixAddress, poll, set_default_timeout,
};
use sockgate_test_guests::{address, pattern};

use super::Random;

const FAMILIES: [Family; 12] = [
    Family::Inet,
    Family::Inet6,
    Family::Unix,
    Family::Unix,
    Family::Inet,
    Family::Netlink,
    Family::Packet,
    Family::Can,
    Family::Vsock,
    Family::Alg,
    Family::Other(0),
    Family::Other(u16::MAX),
];
const TYPES: [SocketType; 6] = [
    SocketType::Stream,
    SocketType::Datagram,
    SocketType::Seqpacket,
    SocketType::Raw,
    SocketType::Other(0),
    SocketType::Other(u16::MAX),
];
const SIZES: [usize; 10] = [
    0,
    1,
    2,
    255,
    4096,
    65_536,
    1 << 20,
    1 << 30,
    u32::MAX as usize,
    u32::MAX as usize - 1,
];

/// Takes so many steps.
pub fn walk(random: &mut Random, steps: u64) {
    let mut sockets: Vec<Socket> = Vec::new();
    let mut pollers: Vec<Poller> = Vec::new();
    for _ in 0..steps {
        if sockets.len() < 3 {
            make(random, &mut sockets);
            continue;
        }
        let at = random.below(sockets.len());
        match random.below(24) {
            0 | 1 => make(random, &mut sockets),
            2 => drop(sockets.swap_remove(at)),
            3 => drop(sockets[at].close()),
            4 | 5 => named(random, &sockets[at]),
            6 => drop(sockets[at].accept().map(|(socket, _)| sockets.push(socket))),
            7 | 8 => sent(random, &sockets, at),
            9 | 10 => received(random, &sockets[at]),
            11 => message(random, &sockets, at),
            12 => batch(random, &sockets[at]),
            13 => options(random, &sockets[at]),
            14 => sockets[at].set_timeout(timeout(random)),
            15 => set_default_timeout(timeout(random)),
            16 => polled(random, &sockets),
            17 => poller(random, &sockets, &mut pollers),
            18 => lookup(random),
            19 => drop(sockets[at].try_clone().map(|socket| sockets.push(socket))),
            20 => drop(sockets[at].splice(&sockets[random.below(sockets.len())], random.next())),
            21 => asked(random, &sockets[at]),
            22 => drop(sockets[at].subscribe(Interest::READABLE | Interest::PRIORITY)),
            _ => drop(sockets[at].shutdown(random.of(&[
                Shutdown::Read,
                Shutdown::Write,
                Shutdown::Both,
            ]))),
        }
        if sockets.len() > 40 {
            sockets.truncate(4);
            pollers.clear();
        }
    }
}

fn timeout(random: &mut Random) -> Timeout {
    let nanoseconds = random.of(&[0, 1, 1000, 1_000_000, u64::MAX, u64::MAX - 1, 1 << 63]);
    match random.below(4) {
        0 => Timeout::Blocking,
        1 => Timeout::NonBlocking,
        _ => Timeout::from(Some(Duration::from_nanos(nanoseconds))),
    }
}

fn make(random: &mut Random, sockets: &mut Vec<Socket>) {
    let (family, socket_type) = (random.of(&FAMILIES), random.of(&TYPES));
    let number = random.next() as u32;
    let protocol = random.of(&[
        Protocol::Default,
        Protocol::Default,
        Protocol::Tcp,
        Protocol::Icmp,
        Protocol::Other(number),
    ]);
    if random.below(2) == 0 {
        if let Ok((one, other)) = Socket::pair(Family::Unix, socket_type, Protocol::Default) {
            sockets.extend([one, other]);
        }
    } else if let Ok(socket) = Socket::new(family, socket_type, protocol) {
        sockets.push(socket);
    }
    if sockets.is_empty() {
        let pair = Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default);
        sockets.extend(pair.into_iter().flat_map(|(one, other)| [one, other]));
    }
}

fn place(random: &mut Random) -> SocketAddress {
    let length = random.of(&[0, 1, 107, 108, 109, 5000]);
    let bytes = pattern(random.next(), length);
    match random.below(5) {
        0 => UnixAddress::from_abstract_name(&bytes).into(),
        1 => UnixAddress::Unnamed.into(),
        2 => sockgate_guest::addresses::NetlinkAddress::auto().into(),
        _ => {
            let text = random.of(&[
                "127.0.0.1:0",
                "127.0.0.1:65535",
                "[::1]:0",
                "0.0.0.0:0",
                "[::ffff:127.0.0.1]:9",
            ]);
            address(text).unwrap_or_else(|_| UnixAddress::Unnamed.into())
        }
    }
}

fn named(random: &mut Random, socket: &Socket) {
    let place = place(random);
    match random.below(4) {
        0 => drop(socket.bind(&place)),
        1 => drop(socket.connect(&place)),
        2 => drop(socket.listen(random.next() as u32)),
        _ => drop(socket.disconnect()),
    }
}

fn flags(random: &mut Random) -> MessageFlags {
    MessageFlags::from_bits_retain((random.next() & random.next()) as _)
}

fn sent(random: &mut Random, sockets: &[Socket], at: usize) {
    let data = vec![1; random.of(&[0, 1, 100, 70_000, 1 << 20])];
    let _ = match random.below(3) {
        0 => sockets[at].send(&data),
        1 => sockets[at].send_with(&data, flags(random)),
        _ => sockets[at].send_to_with(&data, place(random), flags(random)),
    };
}

fn received(random: &mut Random, socket: &Socket) {
    let max = random.of(&SIZES);
    let flags = flags(random);
    match random.below(3) {
        0 => drop(socket.recv_vec_with(max, flags)),
        1 => drop(socket.recv_msg(max, random.next() as u32, flags)),
        _ => drop(socket.recv_many_with(
            random.of(&[0, 1, 7, 1024, u32::MAX]),
            max,
            random.next() as u32,
            flags,
        )),
    }
}

fn message(random: &mut Random, sockets: &[Socket], at: usize) {
    let data = pattern(random.next(), 64);
    let handles: Vec<BorrowedHandle<'_>> = (0..random.of(&[0, 1, 3, 253, 254, 1000]))
        .map(|_| BorrowedHandle::from(&sockets[random.below(sockets.len())]))
        .collect();
    let length = random.below(65);
    let raw = RawAncillary {
        level: random.of(&[0, 1, 41, 279, -1, i32::MAX]),
        type_: random.next() as i32 & 0xff,
        data: data[..length].to_vec(),
    };
    let mut message = MessageOut::new().flags(flags(random));
    for _ in 0..random.of(&[0, 1, 3, 2000]) {
        message = message.piece(&data[..length]);
    }
    message = match random.below(4) {
        0 => message.ancillary(AncillaryOut::Rights(&handles)),
        1 => message.ancillary(AncillaryOut::Raw(&raw)),
        2 => message.ancillary(AncillaryOut::HopLimit(random.next() as u8)),
        _ => message,
    };
    let _ = sockets[at].send_msg(&message);
}

fn batch(random: &mut Random, socket: &Socket) {
    let to = place(random);
    let mut batch = Batch::new();
    for number in 0..random.of(&[0, 1, 5, 3000]) {
        match number % 3 {
            0 => batch.push_to(b"to", &to),
            _ => batch.push(&[]),
        }
    }
    let _ = socket.send_many(&batch, flags(random));
}

fn options(random: &mut Random, socket: &Socket) {
    let level = random.of(&[0, 1, 6, 17, 41, 263, 270, 279, -1, i32::MIN]);
    let some = random.next() as i32 & 0x7f;
    let name = random.of(&[some, some, -1, i32::MAX]);
    match random.below(2) {
        0 => drop(socket.raw_option(level, name, random.of(&[0, 1, 3, 4, 64, 1 << 20, u32::MAX]))),
        _ => {
            let value = pattern(
                random.next(),
                random.of(&[0, 1, 3, 4, 8, 16, 4096, 1 << 17]),
            );
            drop(socket.set_raw_option(level, name, &value));
        }
    }
}

fn polled(random: &mut Random, sockets: &[Socket]) {
    let count = random.of(&[0, 1, 3, 4096, 4097, 20_000]);
    let all: Vec<_> = (0..count)
        .map(|at| {
            (
                &sockets[at % sockets.len()],
                Interest::READABLE | Interest::WRITABLE,
            )
        })
        .collect();
    let _ = poll(&all, timeout(random));
}

fn poller(random: &mut Random, sockets: &[Socket], pollers: &mut Vec<Poller>) {
    if pollers.is_empty() || random.below(4) == 0 {
        pollers.extend(Poller::new());
    }
    let Some(poller) = pollers.last() else { return };
    let socket = &sockets[random.below(sockets.len())];
    let interest = Interest::from_bits_retain(random.next() as _);
    match random.below(5) {
        0 | 1 => drop(poller.register(socket, random.next(), interest)),
        2 => drop(poller.modify(socket, random.next(), interest)),
        3 => drop(poller.unregister(socket)),
        _ => drop(poller.wait(random.of(&[0, 1, 1024, u32::MAX]), timeout(random))),
    }
}

fn lookup(random: &mut Random) {
    let length = random.of(&[0, 1, 63, 64, 255, 300, 70_000]);
    let bytes = pattern(random.next(), length);
    let host = String::from_utf8_lossy(&bytes).into_owned();
    let hints = Hints {
        flags: LookupFlags::from_bits_retain(random.next() as _),
        timeout: timeout(random),
        ..Hints::default()
    };
    let service = random.of(&[Some("80"), Some("http"), Some("-1"), Some("\0"), None]);
    let _ = names::look_up(Some(&host), service, &hints);
    let _ = names::service_by_name(&host, service);
    let _ = names::interface_index(&host);
    let _ = names::interface_name(random.next() as u32);
    let _ = names::set_host_name(&host);
}

fn asked(random: &mut Random, socket: &Socket) {
    let _ = socket.ioctl(random.of(&[
        IoctlRequest::BytesReadable,
        IoctlRequest::BytesUnsent,
        IoctlRequest::VmSocketsGetLocalCid,
    ]));
    let _ = (
        socket.local_address(),
        socket.peer_address(),
        socket.at_mark(),
    );
    let _ = (socket.take_error(), socket.peer_pidfd(), socket.family());
    if random.below(8) == 0 {
        socket.interrupt();
    }
}
