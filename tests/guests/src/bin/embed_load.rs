//! Talks while its policy is replaced: `embed_load STREAM DATAGRAM PATH OTHER`. Over a stream, datagrams and a
//! Unix stream it says a pattern that goes on from message to message, and hears it back; between them it
//! connects to OTHER. Each try is two lines, `try` before it and `ok` or `denied ERRNO` after it. It ends when the
//! stream does, and then says how many bytes it sent over each.

use std::env;
use std::io::{self, Read, Write};

use sockgate_guest::{Errno, Family, Protocol, Socket, SocketType, TcpStream, UnixStream};

/// So many bytes go at once.
const PIECE: usize = 100;

/// The byte at a place of the pattern.
fn byte(place: usize) -> u8 {
    ((place * 31 + 7) % 251) as u8
}

fn piece(place: usize) -> Vec<u8> {
    (place..place + PIECE).map(byte).collect()
}

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [stream, datagram, path, other] = words.as_slice() else {
        return Err(io::Error::other("give STREAM DATAGRAM PATH OTHER"));
    };
    let datagram: std::net::SocketAddr = datagram.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(stream)?;
    let mut unix = UnixStream::connect(path)?;
    let udp = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)?;
    udp.connect(datagram)?;
    println!("talking");
    let mut sent = 0;
    loop {
        let said = piece(sent);
        stream.write_all(&said)?;
        let mut heard = vec![0; PIECE];
        match stream.read_exact(&mut heard) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        compare(&heard, &said)?;
        unix.write_all(&said)?;
        unix.read_exact(&mut heard)?;
        compare(&heard, &said)?;
        udp.send(&said)?;
        let length = udp.recv(&mut heard)?;
        compare(&heard[..length], &said)?;
        sent += PIECE;
        println!("try");
        match attempt(other) {
            Ok(()) => println!("ok"),
            Err(error) => match Errno::of(&error) {
                Some(errno @ (Errno::ACCES | Errno::BADF)) => println!("denied {errno:?}"),
                _ => return Err(error),
            },
        }
    }
    println!("sent {sent}");
    Ok(())
}

fn compare(heard: &[u8], said: &[u8]) -> io::Result<()> {
    if heard == said {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "said {said:?} and heard {heard:?}"
    )))
}

fn attempt(other: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(other)?;
    stream.write_all(b"x")?;
    match stream.read(&mut [0])? {
        0 => Err(Errno::BADF.into()),
        _ => Ok(()),
    }
}
