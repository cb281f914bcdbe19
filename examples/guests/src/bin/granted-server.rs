//! Serves on a listening socket that the operator gave it (socket activation): the guest can bind nothing
//! itself. It answers in capitals, one client after the other.
//!
//! ```sh
//! sockgate run --policy examples/policies/socket-activation.toml --socket web=tcp-listen:127.0.0.1:7007 \
//!     target/wasm32-wasip2/debug/granted-server.wasm web
//! ```
//!
//! With `--clients N` it ends after N connections.

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::Socket;

fn main() -> ExitCode {
    run(serve)
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let name = arguments.word("NAME")?;
    let listener = Socket::granted(&name).trying(format_args!("take the socket {name}"))?;
    println!("listening on {name}");
    for _ in 0..arguments.clients()? {
        let (stream, _) = listener.accept().trying("accept")?;
        if let Err(error) = answer(&stream) {
            eprintln!("a client is lost: {error}");
        }
    }
    Ok(())
}

fn answer(stream: &Socket) -> io::Result<()> {
    loop {
        let mut data = stream.recv_vec(65536)?;
        if data.is_empty() {
            return Ok(());
        }
        data.make_ascii_uppercase();
        stream.send_all(&data)?;
    }
}
