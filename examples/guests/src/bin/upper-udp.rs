//! Answers datagrams in capitals.
//!
//! ```sh
//! sockgate run --allow 'udp bind,receive,reply 127.0.0.1:7007' \
//!     target/wasm32-wasip2/debug/upper-udp.wasm 127.0.0.1:7007
//! ```
//!
//! With `--clients N` it ends after N datagrams.

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::UdpSocket;

fn main() -> ExitCode {
    run(serve)
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("ADDRESS")?;
    let socket = UdpSocket::bind(&address).trying(format_args!("bind {address}"))?;
    println!("listening on udp {}", socket.local_addr()?);
    let mut buffer = [0; 65536];
    for _ in 0..arguments.clients()? {
        let (length, peer) = socket.recv_from(&mut buffer).trying("receive")?;
        buffer[..length].make_ascii_uppercase();
        socket
            .send_to(&buffer[..length], peer)
            .trying(format_args!("answer {peer}"))?;
    }
    Ok(())
}
