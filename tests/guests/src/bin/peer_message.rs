//! Datagrams and sequenced packets of given sizes that come back as they were.
//!
//! * `serve TYPE ADDRESS COUNT` answers so many messages, datagrams by their senders' names.
//! * `ask TYPE ADDRESS OWN SIZES...` sends them (from `OWN`, unless that is `-`) and compares the answers.
//! * `ask-connected` does the same with datagrams on a connected socket.
//!
//! A message that is not sent shows as `refused SIZE ERRNO`.

use std::io;

use sockgate_guest::{Errno, MessageFlags, Socket, SocketAddress, SocketType};
use sockgate_test_guests::{
    address, pattern, socket_for, socket_type, tell, tell_names, word, words,
};

/// More than any message here.
const ROOM: usize = 1 << 20;

fn main() -> io::Result<()> {
    let mut words = words();
    let mode = word(&mut words, "MODE")?;
    let kind = socket_type(&word(&mut words, "TYPE")?)?;
    let there = address(&word(&mut words, "ADDRESS")?)?;
    let socket = socket_for(&there, kind)?;
    if mode == "serve" {
        let count = word(&mut words, "COUNT")?
            .parse()
            .map_err(io::Error::other)?;
        return serve(socket, kind, &there, count);
    }
    let own = word(&mut words, "OWN")?;
    if own != "-" {
        socket.bind(address(&own)?)?;
        println!("local {}", socket.local_address()?);
    }
    let connected = mode == "ask-connected" || kind == SocketType::Seqpacket;
    if connected {
        socket.connect(&there)?;
        tell_names(&socket)?;
    }
    let to = (!connected).then_some(&there);
    for size in words {
        ask(&socket, to, size.parse().map_err(io::Error::other)?)?;
    }
    Ok(())
}

fn serve(socket: Socket, kind: SocketType, here: &SocketAddress, count: usize) -> io::Result<()> {
    socket.bind(here)?;
    let client = match kind {
        SocketType::Seqpacket => {
            socket.listen(16)?;
            println!("listening on {}", socket.local_address()?);
            let (client, from) = socket.accept()?;
            println!("from {from}");
            tell_names(&client)?;
            client
        }
        _ => {
            println!("listening on {}", socket.local_address()?);
            socket
        }
    };
    let mut buffer = vec![0; ROOM];
    for _ in 0..count {
        let (length, from) = client.recv_from(&mut buffer)?;
        let data = &buffer[..length];
        tell("received", data);
        match from {
            _ if kind == SocketType::Seqpacket => drop(client.send(data)?),
            Some(from) => {
                println!("from {from}");
                client.send_to(data, &from)?;
            }
            None => return Err(io::Error::other("a datagram that cannot be answered")),
        }
        tell("sent", data);
    }
    Ok(())
}

fn ask(socket: &Socket, to: Option<&SocketAddress>, size: usize) -> io::Result<()> {
    let data = pattern(size as u64, size);
    let sent = match to {
        Some(to) => socket.send_to(&data, to),
        None => socket.send(&data),
    };
    if let Err(error) = sent {
        let errno = Errno::of(&error).ok_or(error)?;
        println!("refused {size} {errno:?}");
        return Ok(());
    }
    tell("sent", &data);
    let answer = socket.recv_msg(ROOM, 0, MessageFlags::empty())?;
    tell("received", &answer.data);
    match answer.source {
        Some(from) => println!("from {from}"),
        None => println!("from nobody"),
    }
    Ok(())
}
