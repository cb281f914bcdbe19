//! Connects somewhere and passes the connected socket to another program over a Unix socket (SCM_RIGHTS).
//!
//! ```sh
//! sockgate run --policy examples/policies/pass-a-socket-from.toml --var port=7007 --var dir=/tmp \
//!     target/wasm32-wasip2/debug/pass-socket-sender.wasm 127.0.0.1:7007 /tmp/hand-over.sock
//! ```

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{TcpStream, UnixStream};

fn main() -> ExitCode {
    run(pass)
}

fn pass(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("ADDRESS")?;
    let path = arguments.word("UNIX_PATH")?;
    let connection = TcpStream::connect(&address).trying(format_args!("connect to {address}"))?;
    let receiver = UnixStream::connect(&path).trying(format_args!("connect to {path}"))?;
    receiver
        .as_ref()
        .send_handles(b"a connection for you", &[connection.as_ref().into()])
        .trying("pass the connection")?;
    println!("passed the connection to {address} over {path}");
    Ok(())
}
