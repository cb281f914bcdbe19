//! Sends to an echo server, over either IP version or a Unix socket, and compares what comes back.
//!
//! ```sh
//! sockgate run --allow 'tcp connect 127.0.0.1:7007' \
//!     target/wasm32-wasip2/debug/echo-client.wasm 127.0.0.1:7007 hello
//! ```
//!
//! A path (with a `/`) is a Unix socket. `--bytes N` sends a pattern of N bytes instead of a message.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{Socket, UnixStream, create_connection};

fn main() -> ExitCode {
    run(talk)
}

fn talk(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("ADDRESS")?;
    let stream = connect(&address).trying(format_args!("connect to {address}"))?;
    println!("connected to {}", stream.peer_address()?);
    match arguments.option("bytes")? {
        None => {
            let message = arguments.next_word().unwrap_or_else(|| "hello".to_owned());
            let answer = exchange(&stream, message.as_bytes())?;
            println!("answer: {}", String::from_utf8_lossy(&answer));
        }
        Some(bytes) => {
            let chunk: Vec<u8> = (0..65536u32).map(|byte| (byte % 251) as u8).collect();
            let mut left: usize = bytes;
            while left > 0 {
                let length = left.min(chunk.len());
                exchange(&stream, &chunk[..length])?;
                left -= length;
            }
            println!("{bytes} bytes came back as they were");
        }
    }
    Ok(())
}

fn connect(address: &str) -> io::Result<Socket> {
    let patience = Duration::from_secs(10);
    if address.contains('/') {
        let stream = UnixStream::connect(address)?.into_socket();
        stream.set_timeout(patience);
        return Ok(stream);
    }
    Ok(create_connection(address, Some(patience))?.into_socket())
}

/// Sends a piece and reads as much again.
fn exchange(mut stream: &Socket, piece: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(piece).trying("send")?;
    let mut answer = vec![0; piece.len()];
    stream.read_exact(&mut answer).trying("receive")?;
    if answer != piece {
        return Err(io::Error::other(
            "the server answered other bytes than it was sent",
        ));
    }
    Ok(answer)
}
