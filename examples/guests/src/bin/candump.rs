//! Prints the frames of a CAN bus as `candump -L` does, which canplayer(1) reads.
//!
//! ```sh
//! sockgate run --policy examples/policies/candump.toml --var interface=vcan0 \
//!     target/wasm32-wasip2/debug/candump.wasm vcan0,100:700
//! ```
//!
//! Behind the interface come filters as candump has them: `,ID:MASK` (frames that match), `,ID~MASK` (that do
//! not), `,#MASK` (error frames of these classes), `,j` (all filters at once). `--clients N` ends after N frames.

use std::io::{self, Write};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::can::{CanAddress, CanFilter, CanReceived, CanSocket};

fn main() -> ExitCode {
    run(dump)
}

fn dump(mut arguments: Arguments) -> io::Result<()> {
    let word = arguments.word("INTERFACE")?;
    let (interface, filters) = word.split_once(',').unwrap_or((&word, ""));
    let socket = CanSocket::unbound().trying("open a CAN socket")?;
    socket.set_fd_frames(true).trying("hear CAN FD")?;
    socket.set_timestamps(true).trying("ask for the time")?;
    socket.set_drop_count(true).trying("ask for what is lost")?;
    Filters::parse(filters)?.apply(&socket)?;
    // Bound at last, so that not one frame comes that was not asked for.
    socket
        .as_ref()
        .bind(CanAddress::on(interface))
        .trying(format_args!("listen on {interface}"))?;
    eprintln!("listening on can {interface}");
    let mut dropped = 0;
    let mut out = io::stdout();
    for _ in 0..arguments.clients()? {
        let received = socket.recv_detailed().trying("receive")?;
        out.write_all(line(&received).as_bytes())?;
        out.flush()?;
        dropped = received.dropped.unwrap_or(dropped);
    }
    eprintln!("{dropped} dropped");
    Ok(())
}

/// `(1700000000.123456) vcan0 123#DEADBEEF`
fn line(received: &CanReceived) -> String {
    let (seconds, micros) = received
        .timestamp
        .map_or((0, 0), |at| (at.seconds, at.nanoseconds / 1000));
    let interface = received.interface.as_deref().unwrap_or("?");
    format!("({seconds}.{micros:06}) {interface} {}\n", received.frame)
}

/// What is heard: every frame that is no error frame where nothing is said.
struct Filters {
    frames: Vec<CanFilter>,
    errors: u32,
    joined: bool,
}

impl Filters {
    fn parse(text: &str) -> io::Result<Self> {
        let mut filters = Self {
            frames: Vec::new(),
            errors: 0,
            joined: false,
        };
        for word in text.split(',').filter(|word| !word.is_empty()) {
            if word == "j" {
                filters.joined = true;
            } else if let Some(classes) = word.strip_prefix('#') {
                filters.errors = number(classes)?;
            } else {
                filters.frames.push(filter(word)?);
            }
        }
        Ok(filters)
    }

    fn apply(&self, socket: &CanSocket) -> io::Result<()> {
        if !self.frames.is_empty() {
            socket.set_filters(&self.frames).trying("filter")?;
        }
        if self.joined {
            socket.set_join_filters(true).trying("join the filters")?;
        }
        if self.errors != 0 {
            socket
                .set_error_filter(self.errors)
                .trying("hear error frames")?;
        }
        Ok(())
    }
}

/// `ID:MASK` or `ID~MASK`; an id of eight digits is one of 29 bits.
fn filter(word: &str) -> io::Result<CanFilter> {
    let (at, inverted) = match (word.find(':'), word.find('~')) {
        (Some(at), _) => (at, false),
        (None, Some(at)) => (at, true),
        (None, None) => return Err(wrong(word)),
    };
    let (id, mask) = (&word[..at], &word[at + 1..]);
    let format = if id.len() == 8 { 1 << 31 } else { 0 };
    let filter = CanFilter::from_raw(number(id)? | format, number(mask)?);
    Ok(if inverted { filter.inverted() } else { filter })
}

fn number(digits: &str) -> io::Result<u32> {
    u32::from_str_radix(digits, 16).map_err(|_| wrong(digits))
}

fn wrong(word: &str) -> io::Error {
    let text =
        format!("`{word}` is no filter: ID:MASK, ID~MASK, #MASK or j, in hexadecimal digits");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
