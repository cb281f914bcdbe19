//! Lets the kernel send a frame at an interval, for as long as the guest runs.
//!
//! ```sh
//! sockgate run --policy examples/policies/can-cyclic.toml \
//!     target/wasm32-wasip2/debug/can-cyclic.wasm vcan0 100 50 10
//! ```
//!
//! The id is hexadecimal; the interval is in milliseconds, the time in seconds. The data count seconds.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::can::{BcmSocket, CanFrame, CanId};

fn main() -> ExitCode {
    run(send)
}

fn number(arguments: &mut Arguments, name: &str, base: u32) -> io::Result<u32> {
    let word = arguments.word(name)?;
    u32::from_str_radix(&word, base)
        .map_err(|error| io::Error::other(format!("{name} {word}: {error}")))
}

fn send(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let id = number(&mut arguments, "ID", 16)?;
    let id = u16::try_from(id).ok().and_then(CanId::standard);
    let id = id.ok_or_else(|| io::Error::other("ID has more than 11 bits"))?;
    let interval = Duration::from_millis(number(&mut arguments, "INTERVAL", 10)?.into());
    let seconds = number(&mut arguments, "SECONDS", 10)?;
    let manager = BcmSocket::open(&interface).trying(format_args!("connect to {interface}"))?;
    for second in 0..seconds {
        // The same job with other data: its interval goes on.
        let frame = CanFrame::new(id, &second.to_be_bytes())?;
        manager
            .send_cyclic(&[frame], interval)
            .trying(format_args!("send {id} every {interval:?}"))?;
        println!("sending {frame}");
        std::thread::sleep(Duration::from_secs(1));
    }
    // The job would end with its socket as well.
    manager.stop_sending(id).trying("end the job")
}
