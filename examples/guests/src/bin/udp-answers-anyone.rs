//! A UDP server that answers whoever writes to it, and can write to nobody else.
//!
//! ```sh
//! sockgate run --policy examples/policies/udp-answers-anyone.toml \
//!     target/wasm32-wasip2/debug/udp-answers-anyone.wasm 127.0.0.1:5353
//! ```
//!
//! It tells each sender its address. With `--clients N` it ends after N datagrams. With `--then ADDRESS`
//! it then writes to somebody who never wrote, which this policy refuses.

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
        let answer = format!("you are {peer} and sent {length} bytes\n");
        socket
            .send_to(answer.as_bytes(), peer)
            .trying(format_args!("answer {peer}"))?;
    }
    if let Some(stranger) = arguments.option::<String>("then")? {
        socket
            .send_to(b"hello", &stranger)
            .trying(format_args!("write to {stranger}"))?;
        println!("wrote to {stranger}");
    }
    Ok(())
}
