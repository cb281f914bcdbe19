//! Answers each CAN frame with its data, under its id and 0x80.
//!
//! ```sh
//! sockgate run --policy examples/policies/can-echo.toml --var interface=vcan0 \
//!     target/wasm32-wasip2/debug/can-echo.wasm vcan0
//! ```
//!
//! The policy lets it hear 0x100-0x17F and send 0x180-0x1FF, so that no echo is ever answered. With `--clients N` it
//! ends after N frames.

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::can::{CanFrame, CanId, CanSocket};

fn main() -> ExitCode {
    run(echo)
}

fn echo(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let socket = CanSocket::open(&interface).trying(format_args!("open {interface}"))?;
    println!("listening on can {interface}");
    for _ in 0..arguments.clients()? {
        let frame = socket.recv().trying("receive")?;
        let Some(answer) = answer_to(&frame) else {
            println!("{frame} has no answer");
            continue;
        };
        match socket.send(answer) {
            Ok(()) => println!("{frame} answered {answer}"),
            // A frame that the policy does not let out is no reason to end.
            Err(error) => println!("{frame} not answered {answer}: {error}"),
        }
    }
    Ok(())
}

/// The frame to send back: none for a remote request, for an error, and where the id would not fit.
fn answer_to(frame: &CanFrame) -> Option<CanFrame> {
    if frame.is_remote() || frame.error_classes().is_some() {
        return None;
    }
    let id = match frame.id() {
        CanId::Standard(id) => CanId::standard(id + 0x80)?,
        CanId::Extended(id) => CanId::extended(id + 0x80)?,
    };
    CanFrame::new(id, frame.data()).ok()
}
