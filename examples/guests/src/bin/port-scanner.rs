//! Tries a range of ports and says what it found: what a plugin must not do. A policy that does not grant
//! it stops it before any packet is sent.
//!
//! ```sh
//! sockgate run --trace --policy examples/policies/echo.toml --var port=7007 --var dir=/tmp \
//!     target/wasm32-wasip2/debug/port-scanner.wasm 127.0.0.1 20-25
//! ```

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{Errno, TcpStream, ToSocketAddrs};

fn main() -> ExitCode {
    run(scan)
}

fn scan(mut arguments: Arguments) -> io::Result<()> {
    let host = arguments.word("HOST")?;
    let range = arguments.word("PORTS")?;
    let (from, to) = range.split_once('-').unwrap_or((&range, &range));
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(io::Error::other)
            .trying("PORTS")
    };
    let (mut open, mut refused, mut tried) = (0, 0, 0);
    for port in port(from)?..=port(to)? {
        let addresses = (host.as_str(), port)
            .to_socket_addrs()
            .trying(format_args!("look up {host}"))?;
        for address in addresses {
            tried += 1;
            match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                Ok(_) => {
                    open += 1;
                    println!("{address} is open");
                }
                Err(error) => {
                    refused += usize::from(Errno::of(&error) == Some(Errno::ACCES));
                    println!("{address}: {error}");
                }
            }
        }
    }
    println!("{tried} tried, {open} open, {refused} refused by the policy");
    Ok(())
}
