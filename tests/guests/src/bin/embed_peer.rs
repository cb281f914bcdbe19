//! One of many guests that talk to each other: `embed_peer serve`, `embed_peer ask ADDRESS ROUNDS`, and
//! `embed_peer greedy`, which never has to wait.

use std::env;
use std::io::{self, Read, Write};

use sockgate_guest::{Family, Protocol, Socket, SocketType, TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => serve(),
        ["ask", address, rounds] => ask(address, rounds.parse().map_err(io::Error::other)?),
        ["greedy"] => greedy(),
        _ => Err(io::Error::other(
            "give serve, ask ADDRESS ROUNDS, or greedy",
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

fn greedy() -> io::Result<()> {
    let (one, other) = Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default)?;
    println!("greedy");
    loop {
        one.send(b"x")?;
        other.recv(&mut [0])?;
    }
}
