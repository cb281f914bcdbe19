//! One stream in both directions, half after half: `serve|connect ADDRESS BYTES [OWN]`.
//!
//! The client sends its bytes and ends its half; the server reads to that end, sends its own, and closes.
//! Each says lengths and hashes, and the names of both ends.

use std::io::{self, Read};

use sockgate_guest::{Shutdown, Socket, SocketType};
use sockgate_test_guests::{address, pattern, socket_for, tell, tell_names, word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let mode = word(&mut words, "MODE")?;
    let there = address(&word(&mut words, "ADDRESS")?)?;
    let bytes: usize = word(&mut words, "BYTES")?
        .parse()
        .map_err(io::Error::other)?;
    let socket = socket_for(&there, SocketType::Stream)?;
    if mode == "serve" {
        socket.bind(&there)?;
        socket.listen(16)?;
        println!("listening on {}", socket.local_address()?);
        let (client, from) = socket.accept()?;
        println!("from {from}");
        tell_names(&client)?;
        receive(&client)?;
        send(&client, &pattern(1, bytes))
    } else {
        if let Some(own) = words.next() {
            socket.bind(address(&own)?)?;
        }
        socket.connect(&there)?;
        tell_names(&socket)?;
        send(&socket, &pattern(2, bytes))?;
        socket.shutdown(Shutdown::Write)?;
        receive(&socket)
    }
}

fn send(socket: &Socket, data: &[u8]) -> io::Result<()> {
    socket.send_all(data)?;
    tell("sent", data);
    Ok(())
}

fn receive(mut socket: &Socket) -> io::Result<()> {
    let mut data = Vec::new();
    socket.read_to_end(&mut data)?;
    tell("received", &data);
    Ok(())
}
