//! Sends CAN frames as cansend(1) does: `ID#DATA`, `ID#R` or `ID#R8` for a remote request, `ID##FDATA` for CAN FD
//! with its flags as one digit. An id of eight digits has 29 bits.
//!
//! ```sh
//! sockgate run --policy examples/policies/cansend.toml --var interface=vcan0 \
//!     target/wasm32-wasip2/debug/cansend.wasm vcan0 123#DEADBEEF
//! ```
//!
//! Without frames it sends those that stand last in the lines of its stdin, so that it plays what candump logged.

use std::io::{self, BufRead};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::Errno;
use sockgate_guest::can::{AnyCanFrame, CanAddress, CanFdFrame, CanFrame, CanId, CanSocket};
use sockgate_guest::consts::{CAN_ERR_FLAG, CANFD_BRS, CANFD_ESI};

fn main() -> ExitCode {
    run(send)
}

fn send(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let socket = CanSocket::unbound().trying("open a CAN socket")?;
    // A frame that this sends is none that it waits for.
    socket.set_filters(&[]).trying("hear nothing")?;
    socket.set_fd_frames(true).trying("send CAN FD")?;
    socket
        .as_ref()
        .bind(CanAddress::on(&interface))
        .trying(format_args!("open {interface}"))?;
    let mut sent = 0u64;
    let mut next = |word: &str| -> io::Result<()> {
        let frame = parse(word).ok_or_else(|| wrong(word))?;
        sent += 1;
        put(&socket, &frame).trying(format_args!("send {word}"))
    };
    match arguments.next_word() {
        Some(first) => {
            next(&first)?;
            while let Some(word) = arguments.next_word() {
                next(&word)?;
            }
        }
        None => {
            for line in io::stdin().lock().lines() {
                if let Some(word) = line?.split_whitespace().next_back() {
                    next(word)?;
                }
            }
        }
    }
    eprintln!("{sent} sent");
    Ok(())
}

/// Sends a frame, and again where the interface's queue was full.
fn put(socket: &CanSocket, frame: &AnyCanFrame) -> io::Result<()> {
    loop {
        match socket.send(frame.clone()) {
            Err(error) if Errno::of(&error) == Some(Errno::NOBUFS) => {
                sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

fn parse(word: &str) -> Option<AnyCanFrame> {
    let (id, rest) = word.split_once('#')?;
    let number = u32::from_str_radix(id, 16).ok()?;
    let id = match id.len() {
        3 => CanId::standard(u16::try_from(number).ok()?)?,
        8 if number & CAN_ERR_FLAG != 0 => {
            let detail = bytes(rest)?.try_into().ok()?;
            return Some(CanFrame::error(number & !CAN_ERR_FLAG, detail).into());
        }
        8 => CanId::extended(number)?,
        _ => return None,
    };
    if let Some(rest) = rest.strip_prefix('#') {
        return fd(id, rest).map(AnyCanFrame::from);
    }
    if let Some(length) = rest.strip_prefix('R') {
        let length = match length {
            "" => 0,
            digits => digits.parse().ok()?,
        };
        return CanFrame::remote(id, length).ok().map(AnyCanFrame::from);
    }
    let (data, code) = match rest.split_once('_') {
        Some((data, code)) => (data, Some(u8::from_str_radix(code, 16).ok()?)),
        None => (rest, None),
    };
    let frame = CanFrame::new(id, &bytes(data)?).ok()?;
    match code {
        Some(code) => frame.with_raw_dlc(code).ok().map(AnyCanFrame::from),
        None => Some(frame.into()),
    }
}

/// The flags as one digit, and the data.
fn fd(id: CanId, rest: &str) -> Option<CanFdFrame> {
    let flags = u8::from_str_radix(rest.get(..1)?, 16).ok()?;
    let mut frame = CanFdFrame::new(id, &bytes(&rest[1..])?).ok()?;
    if flags & CANFD_BRS != 0 {
        frame = frame.with_bit_rate_switch();
    }
    if flags & CANFD_ESI != 0 {
        frame = frame.with_error_state();
    }
    Some(frame)
}

/// Pairs of hexadecimal digits, with dots between them or without.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = digits.chars().filter(|digit| *digit != '.').collect();
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some((high.to_digit(16)? << 4 | low.to_digit(16)?) as u8),
            _ => None,
        })
        .collect()
}

fn wrong(word: &str) -> io::Error {
    let text = format!("`{word}` is no frame: 123#DEAD, 12345678#R8, 123##1DEAD");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
