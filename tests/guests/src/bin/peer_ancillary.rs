//! Ancillary data to and from a native peer; the first word says which.

use std::io::{self, Read};
use std::time::Duration;

use sockgate_guest::ancillary::{
    AncillaryIn, AncillaryOut, BorrowedHandle, Credentials, OwnedHandle, PacketInfoV4, PacketInfoV6,
};
use sockgate_guest::{
    Message, MessageFlags, MessageOut, Socket, SocketAddress, SocketType, TcpStream,
};
use sockgate_test_guests::{address, socket_for, word, words};

/// Room for the control data of every test here.
const CONTROL: u32 = 1024;

fn main() -> io::Result<()> {
    let mut words = words();
    match word(&mut words, "ACTION")?.as_str() {
        "pass" => pass(
            &word(&mut words, "UNIX_PATH")?,
            &word(&mut words, "ADDRESS")?,
        ),
        "take" => take(&word(&mut words, "UNIX_PATH")?),
        "credentials" => credentials(&word(&mut words, "UNIX_PATH")?),
        "datagram" => {
            let here = address(&word(&mut words, "ADDRESS")?)?;
            datagram(&here, &word(&mut words, "SOURCE")?, number(&mut words)?)
        }
        other => Err(io::Error::other(format!("no such action: {other}"))),
    }
}

fn number<N: std::str::FromStr<Err = std::num::ParseIntError>>(
    words: &mut impl Iterator<Item = String>,
) -> io::Result<N> {
    word(words, "NUMBER")?.parse().map_err(io::Error::other)
}

fn connect_unix(path: &str) -> io::Result<Socket> {
    let there = address(path)?;
    let socket = socket_for(&there, SocketType::Stream)?;
    socket.connect(&there)?;
    Ok(socket)
}

/// Connects to `to`, says hello, and passes the connection on.
fn pass(path: &str, to: &str) -> io::Result<()> {
    let connection = TcpStream::connect(to)?.into_socket();
    connection.send_all(b"hello from the guest, ")?;
    let receiver = connect_unix(path)?;
    receiver.send_handles(b"yours", &[(&connection).into()])?;
    println!("passed");
    // The guest keeps its own: its word comes after the receiver's.
    let mut done = [0];
    receiver.recv(&mut done)?;
    connection.send_all(b", and the guest again")?;
    Ok(())
}

/// Takes what comes, says what it is, talks on sockets, and sends everything back.
fn take(path: &str) -> io::Result<()> {
    let sender = connect_unix(path)?;
    let mut letter = sender.recv_handles(1024, 8)?;
    println!("letter {}", String::from_utf8_lossy(&letter.data));
    let handles = letter.take_handles();
    println!("handles {}", handles.len());
    for handle in &handles {
        match handle {
            OwnedHandle::Descriptor(_) => println!("handle opaque"),
            OwnedHandle::Socket(_) => println!("handle socket"),
        }
    }
    let mut sockets = Vec::new();
    let mut descriptors = Vec::new();
    for handle in handles {
        match handle.into_socket() {
            Ok(socket) => {
                println!("connected to {}", socket.peer_address()?);
                socket.send_all(b"the guest was here")?;
                sockets.push(socket);
            }
            Err(descriptor) => descriptors.push(descriptor),
        }
    }
    let back: Vec<BorrowedHandle<'_>> = descriptors
        .iter()
        .map(BorrowedHandle::from)
        .chain(sockets.iter().map(BorrowedHandle::from))
        .collect();
    if !back.is_empty() {
        sender.send_handles(b"back", &back)?;
        println!("returned {}", back.len());
    }
    drop((sockets, descriptors));
    // Until the sender ends, so that nothing is closed by this guest's end alone.
    println!("waiting");
    let mut rest = Vec::new();
    (&sender).read_to_end(&mut rest)?;
    Ok(())
}

/// Sends the credentials that the peer says this process has, and shows the peer's.
fn credentials(path: &str) -> io::Result<()> {
    let peer = connect_unix(path)?;
    let told = peer.recv_vec(100)?;
    let told = String::from_utf8_lossy(&told).into_owned();
    let mut told = told.split(' ').map(str::to_owned);
    let own = Credentials {
        pid: number(&mut told)?,
        uid: number(&mut told)?,
        gid: number(&mut told)?,
    };
    peer.set_pass_credentials(true)?;
    peer.send_msg(
        &MessageOut::new()
            .piece(b"mine")
            .ancillary(AncillaryOut::Credentials(own)),
    )?;
    println!("sent as {} {} {}", own.pid, own.uid, own.gid);
    describe(&peer.recv_msg(100, CONTROL, MessageFlags::empty())?);
    let seen = peer.peer_credentials()?;
    println!("peer {} {} {}", seen.pid, seen.uid, seen.gid);
    Ok(())
}

/// Receives one datagram with everything that can come beside it, and answers from the address
/// `source` (none where that is `-`) with the hop limit `hops`.
fn datagram(here: &SocketAddress, source: &str, hops: u8) -> io::Result<()> {
    let socket = socket_for(here, SocketType::Datagram)?;
    socket.bind(here)?;
    socket.set_timeout(Duration::from_secs(60));
    socket.set_receive_packet_info(true)?;
    socket.set_receive_hop_limit(true)?;
    socket.set_receive_traffic_class(true)?;
    socket.set_receive_timestamp(true)?;
    println!("listening on {}", socket.local_address()?);
    let letter = socket.recv_msg(1500, CONTROL, MessageFlags::empty())?;
    describe(&letter);
    let from = letter
        .source
        .ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    let (v4, v6) = match source {
        "-" => (None, None),
        source => match address(source)? {
            SocketAddress::Inet(source) => (Some(source_v4(source.address)), None),
            SocketAddress::Inet6(source) => (None, Some(source_v6(source.address))),
            other => return Err(io::Error::other(format!("{other} is no IP address"))),
        },
    };
    let mut answer = MessageOut::new()
        .piece(b"an ")
        .piece(b"answer")
        .ancillary(AncillaryOut::HopLimit(hops))
        .to(&from);
    if let Some(v4) = &v4 {
        answer = answer.ancillary(AncillaryOut::PacketInfoV4(v4));
    }
    if let Some(v6) = &v6 {
        answer = answer.ancillary(AncillaryOut::PacketInfoV6(v6));
    }
    socket.send_msg(&answer)?;
    println!("answered {from}");
    Ok(())
}

fn source_v4(source: (u8, u8, u8, u8)) -> PacketInfoV4 {
    PacketInfoV4 {
        interface: None,
        source,
        destination: (0, 0, 0, 0),
    }
}

fn source_v6(address: (u16, u16, u16, u16, u16, u16, u16, u16)) -> PacketInfoV6 {
    PacketInfoV6 {
        interface: None,
        address,
    }
}

fn describe(letter: &Message) {
    println!("data {}", String::from_utf8_lossy(&letter.data));
    for ancillary in &letter.ancillary {
        match ancillary {
            AncillaryIn::Credentials(their) => {
                println!("credentials {} {} {}", their.pid, their.uid, their.gid);
            }
            AncillaryIn::PacketInfoV4(info) => {
                let (a, b, c, d) = info.destination;
                let interface = info.interface.as_deref().unwrap_or("?");
                println!("packet-info {a}.{b}.{c}.{d} {interface}");
            }
            AncillaryIn::PacketInfoV6(info) => {
                let address: [u16; 8] = info.address.into();
                let interface = info.interface.as_deref().unwrap_or("?");
                println!(
                    "packet-info {} {interface}",
                    std::net::Ipv6Addr::from(address)
                );
            }
            AncillaryIn::HopLimit(hops) => println!("hop-limit {hops}"),
            AncillaryIn::TrafficClass(class) => println!("traffic-class {class}"),
            AncillaryIn::Timestamp(stamp) => {
                println!("timestamp {}.{:09}", stamp.seconds, stamp.nanoseconds);
            }
            other => println!("other {other:?}"),
        }
    }
}
