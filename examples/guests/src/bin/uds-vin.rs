//! Asks a control unit for the vehicle identification number, by UDS (ISO 14229) over ISO-TP.
//!
//! ```sh
//! sockgate run --policy examples/policies/uds-vin.toml \
//!     target/wasm32-wasip2/debug/uds-vin.wasm vcan0 7e8 7e0
//! ```
//!
//! The ids are hexadecimal: that of the answers, then that of the requests.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::can::{CanId, IsoTpSocket};

/// ReadDataByIdentifier of the data identifier F190.
const READ_VIN: [u8; 3] = [0x22, 0xf1, 0x90];
/// A positive answer has the request's service and 0x40; a negative one begins with this.
const NEGATIVE: u8 = 0x7f;
/// The negative answer that says: wait, the answer comes later.
const PENDING: u8 = 0x78;

fn main() -> ExitCode {
    run(ask)
}

fn id(arguments: &mut Arguments, name: &str) -> io::Result<CanId> {
    let word = arguments.word(name)?;
    let id = u16::from_str_radix(&word, 16)
        .ok()
        .and_then(CanId::standard);
    id.ok_or_else(|| io::Error::other(format!("{name} {word} is no 11-bit id in hexadecimal")))
}

fn ask(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let (rx, tx) = (id(&mut arguments, "RX")?, id(&mut arguments, "TX")?);
    let channel = IsoTpSocket::open(&interface, rx, tx)
        .trying(format_args!("bind to {interface} with {rx} and {tx}"))?;
    channel.as_ref().set_timeout(Duration::from_secs(5));
    channel.send(&READ_VIN).trying("ask for the number")?;
    loop {
        let answer = channel.recv_vec(4095).trying("hear the answer")?;
        match answer.as_slice() {
            [0x62, 0xf1, 0x90, vin @ ..] => {
                println!("vin {}", String::from_utf8_lossy(vin).escape_debug());
                return Ok(());
            }
            [NEGATIVE, 0x22, PENDING] => {}
            other => return Err(io::Error::other(format!("it answered {other:02x?}"))),
        }
    }
}
