//! Broadcasts a message and prints who answers, as DHCP clients do.
//!
//! ```sh
//! sockgate run --policy examples/policies/broadcaster.toml \
//!     target/wasm32-wasip2/debug/broadcaster.wasm 0.0.0.0:68 255.255.255.255:67 discover
//! ```
//!
//! It waits one second for answers, or as many milliseconds as `--wait` says; with `--clients N` it ends
//! after N answers.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::UdpSocket;

fn main() -> ExitCode {
    run(broadcast)
}

fn broadcast(mut arguments: Arguments) -> io::Result<()> {
    let local = arguments.word("LOCAL")?;
    let to = arguments.word("BROADCAST")?;
    let message = arguments
        .next_word()
        .unwrap_or_else(|| "discover".to_owned());
    let wait = Duration::from_millis(arguments.option("wait")?.unwrap_or(1000));

    let socket = UdpSocket::bind(&local).trying(format_args!("bind {local}"))?;
    socket.set_broadcast(true).trying("allow broadcasts")?;
    socket
        .send_to(message.as_bytes(), &to)
        .trying(format_args!("send to {to}"))?;
    println!("sent to {to}");

    let deadline = Instant::now() + wait;
    let mut buffer = [0; 1500];
    for _ in 0..arguments.clients()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv_from(&mut buffer) {
            Ok((length, peer)) => {
                println!(
                    "{peer} answers: {}",
                    String::from_utf8_lossy(&buffer[..length])
                );
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
            Err(error) => return Err(error).trying("receive"),
        }
    }
    Ok(())
}
