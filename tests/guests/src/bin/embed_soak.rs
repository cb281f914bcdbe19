//! Works at random on every kind of socket that it is granted, in periods: a byte on the socket `pace` begins one
//! of so many hundredths of a second, and a byte back says that it has ended and nothing is held. The end of `pace`
//! is the guest's own end; it then prints how often it did each job.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use sockgate_guest::addresses::VsockAddress;
use sockgate_guest::ancillary::BorrowedHandle;
use sockgate_guest::names::{self, Hints, LookupFlags};
use sockgate_guest::netlink::{NetlinkSocket, route};
use sockgate_guest::raw::Ping;
use sockgate_guest::vsock::{VsockListener, VsockStream};
use sockgate_guest::{
    Batch, Errno, Family, Interest, MessageFlags, Poller, Protocol, Shutdown, Socket, SocketType,
    Timeout,
};
use sockgate_test_guests::{address, pattern};

/// What a job does, and whether every machine can.
type Job = (&'static str, bool, fn(&mut Random) -> io::Result<()>);

const JOBS: [Job; 11] = [
    ("tcp", true, tcp),
    ("udp", true, udp),
    ("batch", true, batch),
    ("pair", true, pair),
    ("rights", true, rights),
    ("poller", true, poller),
    ("options", true, options),
    ("names", true, numbers),
    ("netlink", false, netlink),
    ("ping", false, ping),
    ("vsock", false, vsock),
];

fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let mut random = Random(seed.unwrap_or(1) | 1);
    let pace = Socket::granted("pace")?;
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let mut told = [0];
    while pace.recv(&mut told)? == 1 {
        let end = Instant::now() + Duration::from_millis(u64::from(told[0]) * 10);
        while Instant::now() < end {
            let (name, everywhere, job) = JOBS[random.below(JOBS.len())];
            match job(&mut random) {
                Ok(()) => *done.entry(name).or_default() += 1,
                Err(error) if everywhere => {
                    println!("failed {name}: {error}");
                    return Err(error);
                }
                // This kernel or this user has no such sockets.
                Err(_) => {}
            }
        }
        pace.send_all(b"x")?;
    }
    for (name, times) in done {
        println!("{name} {times}");
    }
    Ok(())
}

/// A small generator: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn data(&mut self, most: usize) -> Vec<u8> {
        let length = 1 + self.below(most);
        pattern(self.next(), length)
    }
}

fn inet(socket_type: SocketType) -> io::Result<Socket> {
    let socket = Socket::new(Family::Inet, socket_type, Protocol::Default)?;
    socket.set_timeout(Some(Duration::from_secs(60)));
    Ok(socket)
}

fn two(socket_type: SocketType) -> io::Result<(Socket, Socket)> {
    let (one, other) = Socket::pair(Family::Unix, socket_type, Protocol::Default)?;
    for socket in [&one, &other] {
        socket.set_timeout(Some(Duration::from_secs(60)));
    }
    Ok((one, other))
}

/// What was sent has to arrive as it was.
fn same(sent: &[u8], received: &[u8]) -> io::Result<()> {
    match sent == received {
        true => Ok(()),
        false => Err(io::Error::other("other bytes arrived than were sent")),
    }
}

fn exactly(socket: &Socket, length: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < length {
        let piece = socket.recv_vec(length - all.len())?;
        if piece.is_empty() {
            return Err(io::Error::other("the stream ended"));
        }
        all.extend(piece);
    }
    Ok(all)
}

fn tcp(random: &mut Random) -> io::Result<()> {
    let listener = inet(SocketType::Stream)?;
    // Ports are in use for a minute after each connection: one address would soon have none left.
    let [_, one, two, three, ..] = random.next().to_ne_bytes();
    // The last address of all, 127.255.255.255, is for broadcasts: nobody connects there.
    let last = three % 255;
    listener.bind(&address(&format!("127.{one}.{two}.{last}:0"))?)?;
    listener.listen(4)?;
    let client = inet(SocketType::Stream)?;
    client.connect(&listener.local_address()?)?;
    let (served, _) = listener.accept()?;
    // Reset at the end, so that nothing lingers.
    client.set_linger(Some(Duration::ZERO))?;
    for _ in 0..=random.below(4) {
        let data = random.data(20_000);
        client.send_all(&data)?;
        same(&data, &exactly(&served, data.len())?)?;
    }
    if random.below(2) == 0 {
        client.shutdown(Shutdown::Both)?;
        same(b"", &served.recv_vec(1)?)?;
    }
    Ok(())
}

fn udp(random: &mut Random) -> io::Result<()> {
    let (one, other) = (inet(SocketType::Datagram)?, inet(SocketType::Datagram)?);
    for socket in [&one, &other] {
        socket.bind(&address("127.0.0.1:0")?)?;
    }
    let to = other.local_address()?;
    for _ in 0..=random.below(6) {
        let data = random.data(4000);
        one.send_to(&data, &to)?;
        same(&data, &other.recv_vec(8000)?)?;
    }
    Ok(())
}

fn batch(random: &mut Random) -> io::Result<()> {
    let (one, other) = two(SocketType::Datagram)?;
    let mut batch = Batch::new();
    let messages: Vec<Vec<u8>> = (0..=random.below(6)).map(|_| random.data(300)).collect();
    for message in &messages {
        batch.push(message);
    }
    let sent = one.send_many(&batch, MessageFlags::empty())?.count;
    let received = other.recv_many(sent as u32, 400)?;
    for (message, received) in messages.iter().zip(received.iter()) {
        same(message, received.data)?;
    }
    Ok(())
}

fn pair(random: &mut Random) -> io::Result<()> {
    let kinds = [
        SocketType::Stream,
        SocketType::Datagram,
        SocketType::Seqpacket,
    ];
    let (one, other) = two(kinds[random.below(3)])?;
    let data = random.data(9000);
    one.send(&data)?;
    same(&data, &other.recv_vec(10_000)?)
}

/// A socket goes through another one, and sometimes stays there.
fn rights(random: &mut Random) -> io::Result<()> {
    let (one, other) = two(SocketType::Stream)?;
    let (left, right) = two(SocketType::Stream)?;
    one.send_fds(
        &[b"x"],
        &[BorrowedHandle::from(&left)],
        MessageFlags::empty(),
        None,
    )?;
    if random.below(3) == 0 {
        // Nobody can receive it any more, so that it is not in flight when its sender closes.
        drop(other);
        return Ok(());
    }
    let (_, handles, ..) = other.recv_fds(1, 4, MessageFlags::empty())?;
    drop(left);
    right.send(b"y")?;
    match handles.len() {
        1 => Ok(()),
        _ => Err(io::Error::other("no handle arrived")),
    }
}

fn poller(random: &mut Random) -> io::Result<()> {
    let poller = Poller::new()?;
    let pairs: Vec<_> = (0..=random.below(5))
        .map(|_| two(SocketType::Stream))
        .collect::<io::Result<_>>()?;
    for (token, (one, _)) in (0..).zip(&pairs) {
        poller.register(one, token, Interest::READABLE)?;
    }
    let chosen = random.below(pairs.len());
    pairs[chosen].1.send(b"x")?;
    let ready = poller.wait(16, Some(Duration::from_secs(60)))?;
    match ready.first() {
        Some(event) if event.token == chosen as u64 => Ok(()),
        _ => Err(io::Error::other("another socket is ready")),
    }
}

fn options(random: &mut Random) -> io::Result<()> {
    let (one, _other) = two(SocketType::Stream)?;
    let copy = one.try_clone()?;
    copy.set_timeout(Some(Duration::from_millis(1)));
    for _ in 0..random.below(4) {
        one.local_address()?;
        one.take_error()?;
    }
    match copy.recv(&mut [0]) {
        Err(error) if Errno::of(&error) == Some(Errno::TIMEDOUT) => Ok(()),
        other => Err(io::Error::other(format!(
            "{other:?} where nothing was sent"
        ))),
    }
}

fn numbers(random: &mut Random) -> io::Result<()> {
    let hints = Hints {
        flags: LookupFlags::NUMERIC_HOST,
        timeout: Timeout::Blocking,
        ..Hints::default()
    };
    let host = format!("127.0.0.{}", random.below(255));
    names::look_up(Some(&host), Some("80"), &hints).map_err(io::Error::from)?;
    Ok(())
}

fn netlink(_: &mut Random) -> io::Result<()> {
    let socket = NetlinkSocket::open(Protocol::NetlinkRoute)?;
    route::links(&socket).map(drop)
}

fn ping(_: &mut Random) -> io::Result<()> {
    let to = std::net::Ipv4Addr::LOCALHOST;
    Ping::v4()?
        .ping(to.into(), Duration::from_secs(1))
        .map(drop)
}

fn vsock(random: &mut Random) -> io::Result<()> {
    let port = 20_000 + random.below(40_000) as u32;
    let listener = VsockListener::bind(VsockAddress::local(port))?;
    let client = VsockStream::connect(VsockAddress::local(port))?;
    let (served, _) = listener.accept()?;
    drop((client, served));
    Ok(())
}
