//! Answers in capitals over TCP, one client after the other.
//!
//! ```sh
//! sockgate run --allow 'tcp listen 127.0.0.1:7007' \
//!     target/wasm32-wasip2/debug/upper-tcp.wasm 127.0.0.1:7007
//! ```
//!
//! With `--clients N` it ends after N connections.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{TcpListener, TcpStream};

fn main() -> ExitCode {
    run(serve)
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("ADDRESS")?;
    let listener = TcpListener::bind(&address).trying(format_args!("listen on {address}"))?;
    println!("listening on tcp {}", listener.local_addr()?);
    for stream in listener.incoming().take(arguments.clients()?) {
        if let Err(error) = answer(stream.trying("accept")?) {
            eprintln!("a client is lost: {error}");
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        buffer[..length].make_ascii_uppercase();
        stream.write_all(&buffer[..length])?;
    }
}
