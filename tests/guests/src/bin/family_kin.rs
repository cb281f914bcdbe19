//! The kin of TCP and UDP, as told by its words: `serve KIND ADDRESS` echoes what one peer sends (a message, or
//! until it ends), `call KIND ADDRESS` sends and compares what comes back.
//!
//! KIND is `udplite`, `mptcp`, `sctp` (one-to-one), `sctp-many` (one-to-many) or `dccp`; `bindx`, `connectx` and
//! `sendall` are what SCTP would allow and a policy does not.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use sockgate_guest::sctp::{SctpEndpoint, SctpListener, SctpSend, SctpStream};
use sockgate_guest::transports::{DccpListener, DccpSocket, mptcp_connect, mptcp_listen, udplite};
use sockgate_guest::{Errno, Family, Protocol, Socket, SocketType};
use sockgate_test_guests::{pattern, tell, word, words};

const SERVICE: u32 = 0x736f_636b;
const ROUNDS: u64 = 20;
const SIZE: usize = 1000;

fn main() {
    println!("@guest");
    if let Err(error) = run() {
        match Errno::of(&error) {
            Some(errno) => println!("failed {}", errno.name()),
            None => println!("failed {error}"),
        }
        std::process::exit(1);
    }
}

fn run() -> io::Result<()> {
    let mut words = words();
    let mut next = |name| word(&mut words, name);
    let (task, kind) = (next("TASK")?, next("KIND")?);
    let address: SocketAddr = next("ADDRESS")?.parse().map_err(io::Error::other)?;
    match (task.as_str(), kind.as_str()) {
        ("serve", "udplite") => serve_udplite(address),
        ("call", "udplite") => call_udplite(address),
        ("serve", "mptcp") => {
            let listener = mptcp_listen(address)?;
            println!("listening");
            let (stream, _) = listener.accept()?;
            println!("subflows {}", stream.as_ref().mptcp_info()?.subflows);
            echo_stream(stream)
        }
        ("call", "mptcp") => {
            let stream = mptcp_connect(address)?;
            println!("connected, protocol {:?}", stream.as_ref().protocol()?);
            call_stream(stream)
        }
        ("serve", "sctp") => serve_sctp(address),
        ("call", "sctp") => call_sctp(address),
        ("serve", "sctp-many") => serve_many(address),
        ("call", "sctp-many") => call_many(address),
        ("serve", "dccp") => serve_dccp(address),
        ("call", "dccp") => call_dccp(address),
        ("try", "bindx") => by_option(address, 100),
        ("try", "connectx") => by_option(address, 110),
        ("try", "sendall") => send_to_all(address),
        (_, other) => Err(io::Error::other(format!("no such kind: {other}"))),
    }
}

fn expect(data: &[u8], seed: u64) -> io::Result<()> {
    if data == pattern(seed, SIZE) {
        return Ok(());
    }
    let text = format!(
        "message {seed} came back as another of {} bytes",
        data.len()
    );
    Err(io::Error::other(text))
}

fn all() -> Vec<u8> {
    (0..ROUNDS).flat_map(|seed| pattern(seed, SIZE)).collect()
}

fn serve_udplite(address: SocketAddr) -> io::Result<()> {
    let socket = udplite(address)?;
    socket.as_ref().set_udplite_send_coverage(8)?;
    socket.as_ref().set_udplite_receive_coverage(8)?;
    println!("listening");
    let mut whole = Vec::new();
    let mut buffer = [0; 2000];
    for _ in 0..ROUNDS {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        whole.extend_from_slice(&buffer[..length]);
        socket.send_to(&buffer[..length], peer)?;
    }
    tell("echoed", &whole);
    Ok(())
}

fn call_udplite(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Udplite)?;
    socket.set_udplite_send_coverage(20)?;
    socket.connect(address)?;
    let mut buffer = [0; 2000];
    for seed in 0..ROUNDS {
        socket.send_all(&pattern(seed, SIZE))?;
        let length = socket.recv(&mut buffer)?;
        expect(&buffer[..length], seed)?;
    }
    tell("agreed", &all());
    Ok(())
}

fn echo_stream(mut stream: impl Read + Write) -> io::Result<()> {
    let mut whole = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            length => {
                whole.extend_from_slice(&buffer[..length]);
                stream.write_all(&buffer[..length])?;
            }
        }
    }
    tell("echoed", &whole);
    Ok(())
}

fn call_stream(mut stream: impl Read + Write) -> io::Result<()> {
    let mut back = vec![0; SIZE];
    for seed in 0..ROUNDS {
        stream.write_all(&pattern(seed, SIZE))?;
        stream.read_exact(&mut back)?;
        expect(&back, seed)?;
    }
    tell("agreed", &all());
    Ok(())
}

fn serve_sctp(address: SocketAddr) -> io::Result<()> {
    let listener = SctpListener::bind(address)?;
    println!("listening");
    let (stream, peer) = listener.accept()?;
    println!("accepted {}", peer.ip());
    stream.as_ref().set_sctp_receive_info(true)?;
    let mut whole = Vec::new();
    loop {
        let message = stream.recv(2000)?;
        if message.data.is_empty() {
            break;
        }
        let on = message.info.map_or(0, |info| info.stream);
        whole.extend_from_slice(&message.data);
        stream.send(&message.data, SctpSend::on(on))?;
    }
    tell("echoed", &whole);
    Ok(())
}

fn call_sctp(address: SocketAddr) -> io::Result<()> {
    let stream = SctpStream::connect(address)?;
    stream.as_ref().set_sctp_receive_info(true)?;
    for seed in 0..ROUNDS {
        let on = (seed % 3) as u16;
        stream.send(&pattern(seed, SIZE), SctpSend::on(on))?;
        let message = stream.recv(2000)?;
        expect(&message.data, seed)?;
        if message.info.map(|info| info.stream) != Some(on) {
            return Err(io::Error::other(format!(
                "message {seed} came on another stream"
            )));
        }
    }
    tell("agreed", &all());
    Ok(())
}

fn serve_many(address: SocketAddr) -> io::Result<()> {
    let endpoint = SctpEndpoint::bind(address)?;
    println!("listening");
    let mut whole = Vec::new();
    for _ in 0..ROUNDS {
        let message = endpoint.recv(2000)?;
        let peer = message
            .source
            .ok_or_else(|| io::Error::other("a message of nobody"))?;
        whole.extend_from_slice(&message.data);
        endpoint.send_to(&message.data, peer, SctpSend::on(0))?;
    }
    tell("echoed", &whole);
    Ok(())
}

fn call_many(address: SocketAddr) -> io::Result<()> {
    let endpoint = Socket::new(Family::Inet, SocketType::Seqpacket, Protocol::Sctp)?;
    let mut buffer = [0; 2000];
    for seed in 0..ROUNDS {
        endpoint.send_to(&pattern(seed, SIZE), address)?;
        let (length, peer) = endpoint.recv_from(&mut buffer)?;
        expect(&buffer[..length], seed)?;
        let peer = peer.and_then(|peer| peer.as_ip());
        if peer != Some(address) {
            return Err(io::Error::other(format!(
                "message {seed} came from {peer:?}"
            )));
        }
    }
    tell("agreed", &all());
    Ok(())
}

fn serve_dccp(address: SocketAddr) -> io::Result<()> {
    let listener = DccpListener::bind(address, SERVICE)?;
    println!("listening");
    let (connection, _) = listener.accept()?;
    let mut whole = Vec::new();
    let mut buffer = [0; 2000];
    loop {
        match connection.recv(&mut buffer)? {
            0 => break,
            length => {
                whole.extend_from_slice(&buffer[..length]);
                connection.send(&buffer[..length])?;
            }
        }
    }
    tell("echoed", &whole);
    Ok(())
}

fn call_dccp(address: SocketAddr) -> io::Result<()> {
    let connection = DccpSocket::connect(address, SERVICE)?;
    let mut buffer = [0; 2000];
    for seed in 0..ROUNDS {
        connection.send(&pattern(seed, SIZE))?;
        let length = connection.recv(&mut buffer)?;
        expect(&buffer[..length], seed)?;
    }
    tell("agreed", &all());
    Ok(())
}

/// SCTP_SOCKOPT_BINDX_ADD and SCTP_SOCKOPT_CONNECTX take an address as their value.
fn by_option(address: SocketAddr, name: i32) -> io::Result<()> {
    let SocketAddr::V4(four) = address else {
        return Err(io::Error::other("an IPv4 address is wanted"));
    };
    let socket = Socket::new(Family::Inet, SocketType::Stream, Protocol::Sctp)?;
    let mut value = [0; 16];
    value[..2].copy_from_slice(&2u16.to_le_bytes());
    value[2..4].copy_from_slice(&four.port().to_be_bytes());
    value[4..8].copy_from_slice(&four.ip().octets());
    socket.set_raw_option(132, name, &value)?;
    println!("set");
    Ok(())
}

/// SCTP_SENDALL in SCTP_SNDINFO would send to every association of the socket.
fn send_to_all(address: SocketAddr) -> io::Result<()> {
    const SENDALL: u16 = 1 << 6;
    let endpoint = SctpEndpoint::bind("127.0.0.1:0".parse().map_err(io::Error::other)?)?;
    let all = SctpSend {
        flags: SENDALL,
        ..SctpSend::on(0)
    };
    endpoint.send_to(b"to everybody", address, all)?;
    println!("sent");
    Ok(())
}
