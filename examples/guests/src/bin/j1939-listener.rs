//! Prints the messages of one J1939 parameter group, whoever sends them, of one frame or of many.
//!
//! ```sh
//! sockgate run --policy examples/policies/j1939-listener.toml \
//!     target/wasm32-wasip2/debug/j1939-listener.wasm vcan0 feca
//! ```
//!
//! The parameter group is hexadecimal. With `--clients N` it ends after N messages.

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::can::{J1939Address, J1939Filter, J1939Socket};

/// The longest message of the transport protocol, in bytes.
const MESSAGE: usize = 1785;

fn main() -> ExitCode {
    run(listen)
}

fn listen(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let word = arguments.word("PGN")?;
    let pgn = u32::from_str_radix(&word, 16)
        .map_err(|error| io::Error::other(format!("PGN {word}: {error}")))?;
    // A socket without an address of its own hears broadcasts alone.
    let socket = J1939Socket::open(&interface, J1939Address::any())
        .trying(format_args!("bind to {interface}"))?;
    socket.set_broadcast(true).trying("hear broadcasts")?;
    socket
        .set_filters(&[J1939Filter::pgn(pgn)])
        .trying(format_args!("hear {pgn:x} alone"))?;
    println!("listening on {interface} for {pgn:05x}");
    for _ in 0..arguments.clients()? {
        let message = socket.recv(MESSAGE).trying("receive")?;
        let sender = message.source.address;
        print!(
            "from {}",
            sender.map_or("-".into(), |it| format!("{it:02x}"))
        );
        println!(": {} bytes {:02x?}", message.data.len(), message.data);
    }
    Ok(())
}
