//! Asks a Unix datagram service, from a path of its own so that it can be answered.
//!
//! ```sh
//! sockgate run --policy examples/policies/unix-datagram-client.toml --var dir=/tmp \
//!     target/wasm32-wasip2/debug/unix-datagram-client.wasm /tmp/service.sock /tmp/client-1.sock hello
//! ```

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::UnixDatagram;

fn main() -> ExitCode {
    run(ask)
}

fn ask(mut arguments: Arguments) -> io::Result<()> {
    let service = arguments.word("SERVICE_PATH")?;
    let own = arguments.word("OWN_PATH")?;
    let message = arguments.next_word().unwrap_or_else(|| "hello".to_owned());

    let socket = UnixDatagram::bind(&own).trying(format_args!("bind {own}"))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket
        .connect(&service)
        .trying(format_args!("connect to {service}"))?;
    socket.send(message.as_bytes()).trying("send")?;
    let mut buffer = [0; 65536];
    let length = socket.recv(&mut buffer).trying("receive")?;
    println!("answer: {}", String::from_utf8_lossy(&buffer[..length]));
    Ok(())
}
