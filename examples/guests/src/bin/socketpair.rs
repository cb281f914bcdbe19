//! Two ends of one connection within the guest: nothing outside is reached.
//!
//! ```sh
//! sockgate run --policy examples/policies/socketpair.toml \
//!     target/wasm32-wasip2/debug/socketpair.wasm 'hello myself'
//! ```

use std::io::{self, Read};
use std::net::Shutdown;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{SocketType, socketpair};

fn main() -> ExitCode {
    run(talk)
}

fn talk(mut arguments: Arguments) -> io::Result<()> {
    let message = arguments.next_word().unwrap_or_else(|| "hello".to_owned());
    let (one, mut other) = socketpair(SocketType::Stream).trying("make a pair")?;
    one.send_all(message.as_bytes()).trying("send")?;
    one.shutdown(Shutdown::Write)?;
    let mut heard = String::new();
    other.read_to_string(&mut heard).trying("receive")?;
    println!("heard: {heard}");
    Ok(())
}
