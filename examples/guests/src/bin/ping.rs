//! Asks hosts whether they are there: ping(8), without privileges.
//!
//! ```sh
//! sockgate run --policy examples/policies/ping.toml target/wasm32-wasip2/debug/ping.wasm 127.0.0.1 ::1
//! ```
//!
//! `--count N` questions for each host (3), `--wait MILLISECONDS` for an answer (1000). Linux lets the groups
//! of `net.ipv4.ping_group_range` open ping sockets.

use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::raw::Ping;

fn main() -> ExitCode {
    run(ping)
}

fn ping(mut arguments: Arguments) -> io::Result<()> {
    let count: u32 = arguments.option("count")?.unwrap_or(3);
    let wait = Duration::from_millis(arguments.option("wait")?.unwrap_or(1000));
    let mut host = arguments.word("HOST")?;
    loop {
        let address: IpAddr = host
            .parse()
            .map_err(io::Error::other)
            .trying(format_args!("HOST {host}"))?;
        ask(address, count, wait).trying(format_args!("ping {address}"))?;
        match arguments.next_word() {
            Some(next) => host = next,
            None => return Ok(()),
        }
    }
}

fn ask(host: IpAddr, count: u32, wait: Duration) -> io::Result<()> {
    let socket = match host {
        IpAddr::V4(_) => Ping::v4()?,
        IpAddr::V6(_) => Ping::v6()?,
    };
    for number in 1..=count {
        let time = socket.ping(host, wait)?;
        println!("{host} answered number {number} in {} us", time.as_micros());
    }
    Ok(())
}
