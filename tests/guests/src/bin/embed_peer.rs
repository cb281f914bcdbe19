//! One of many guests that talk to each other: `embed_peer serve`, `embed_peer ask ADDRESS ROUNDS`, and
//! `embed_peer greedy CALL`, which makes a call that never has to wait, again and again.

use std::env;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use sockgate_guest::names::{self, Hints, NameFlags};
use sockgate_guest::{
    Family, Interest, Poller, Protocol, Socket, SocketType, TcpListener, TcpStream, Timeout, poll,
};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => serve(),
        ["ask", address, rounds] => ask(address, rounds.parse().map_err(io::Error::other)?),
        ["greedy", call] => greedy(call),
        _ => Err(io::Error::other(
            "give serve, ask ADDRESS ROUNDS, or greedy CALL",
        )),
    }
}

fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    let (mut client, _) = listener.accept()?;
    let mut buffer = [0; 64];
    loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            length => client.write_all(&buffer[..length])?,
        }
    }
}

fn ask(address: &str, rounds: usize) -> io::Result<()> {
    let mut server = TcpStream::connect(address)?;
    for round in 0..rounds {
        let question = (round as u64).to_le_bytes();
        server.write_all(&question)?;
        let mut answer = [0; 8];
        server.read_exact(&mut answer)?;
        if answer != question {
            return Err(io::Error::other("another answer"));
        }
        if round == rounds / 2 {
            println!("half");
        }
    }
    println!("asked {rounds}");
    Ok(())
}

fn greedy(call: &str) -> io::Result<()> {
    let pair = || Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default);
    let udp = || Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default);
    let ((one, other), datagrams, poller) = (pair()?, udp()?, Poller::new()?);
    poller.register(&one, 1, Interest::WRITABLE)?;
    let address = SocketAddr::from(([127, 0, 0, 1], 80)).into();
    for round in 0_u64.. {
        if round == 1 {
            println!("greedy");
        }
        match call {
            "send" => {
                one.send(b"x")?;
                other.recv(&mut [0])?;
            }
            "socket" => drop(udp()?),
            "socketpair" => drop(pair()?),
            "disconnect" => datagrams.disconnect()?,
            "poller" => drop(Poller::new()?),
            "poller-wait" => drop(poller.wait(1, Timeout::Blocking)?),
            "look-up" => drop(names::look_up(Some("127.0.0.1"), None, &Hints::default())?),
            "poll" => drop(poll(&[(&one, Interest::WRITABLE)], Timeout::Blocking)?),
            // Nobody grants these: that they are refused is an answer too.
            "granted" => drop(Socket::granted("nothing")),
            "host-by-name" => drop(names::host_by_name("127.0.0.1", Timeout::Blocking)?),
            "host-by-address" => {
                drop(names::host_by_address(
                    [127, 0, 0, 1].into(),
                    Timeout::Blocking,
                ));
            }
            "name-of" => {
                names::name_of(&address, NameFlags::NUMERIC_HOST, Timeout::Blocking)?;
            }
            _ => return Err(io::Error::other("no such call")),
        }
    }
    Ok(())
}
