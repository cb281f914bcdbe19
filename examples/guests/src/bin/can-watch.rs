//! Lets the kernel watch one CAN id: prints a frame whose content is new, and when none came in time.
//!
//! ```sh
//! sockgate run --policy examples/policies/can-watch.toml --var interface=vcan0 \
//!     target/wasm32-wasip2/debug/can-watch.wasm vcan0 100 ff00 500
//! ```
//!
//! The id and the mask are hexadecimal; of the data the bits that are set in the mask count, here the first
//! byte. The timeout is in milliseconds. With `--clients N` it ends after N lines.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::can::{AnyCanFrame, BcmFlags, BcmMessage, BcmOperation, BcmSocket};
use sockgate_guest::can::{CanFrame, CanId};

fn main() -> ExitCode {
    run(watch)
}

fn id(word: &str) -> io::Result<CanId> {
    let id = u16::from_str_radix(word, 16).ok().and_then(CanId::standard);
    id.ok_or_else(|| io::Error::other(format!("ID {word}: not hexadecimal with at most 11 bits")))
}

fn bytes(word: &str) -> io::Result<Vec<u8>> {
    let pairs = (0..word.len()).step_by(2).map(|at| word.get(at..at + 2));
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok());
    let bytes: Option<_> = bytes.collect();
    bytes.ok_or_else(|| io::Error::other(format!("MASK {word}: not pairs of hexadecimal digits")))
}

fn watch(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let id = id(&arguments.word("ID")?)?;
    let mask = CanFrame::new(id, &bytes(&arguments.word("MASK")?)?)?;
    let word = arguments.word("TIMEOUT")?;
    let timeout = word
        .parse()
        .map(Duration::from_millis)
        .map_err(|error| io::Error::other(format!("TIMEOUT {word}: {error}")))?;
    let manager = BcmSocket::open(&interface).trying(format_args!("connect to {interface}"))?;
    let job = BcmMessage {
        // The timer runs from now on. What comes after a silence is told even if it is nothing new.
        flags: BcmFlags::SET_TIMER | BcmFlags::START_TIMER | BcmFlags::ANNOUNCE_RESUME,
        interval1: timeout,
        frames: vec![AnyCanFrame::from(&mask)],
        ..BcmMessage::new(BcmOperation::RxSetup, id)
    };
    manager
        .send(&job)
        .trying(format_args!("watch {id} on {interface}"))?;
    println!("listening on {interface} for {id}");
    for _ in 0..arguments.clients()? {
        let told = manager.recv().trying("receive")?;
        match (told.operation, &told.frames[..]) {
            (BcmOperation::RxChanged, [AnyCanFrame::Classic(frame)]) => {
                println!("RX_CHANGED {frame}");
            }
            (BcmOperation::RxTimeout, _) => println!("RX_TIMEOUT {}", told.id),
            // One job of one classic frame has no other answer.
            _ => return Err(io::Error::other(format!("not asked for: {told:?}"))),
        }
    }
    Ok(())
}
