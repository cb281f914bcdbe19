//! Runs the steps that its arguments say on raw CAN sockets, and prints what became of each. Frames are written
//! in hexadecimal digits, so that a test sends exactly the bytes that it means: `s = can`, `bind s vcan0` (`*` is
//! every bus), `send s HEX`, `send-to s HEX vcan1`, `timeout s 100`, `recv s`, `recv s 16`,
//! `filters s ID:MASK ...`, `errors s MASK`, `loopback s 0`, `own s 1`, `join s 1`, `fd s 1`, `times s 1`,
//! `drops s 1`, `set s LEVEL OPTION HEX`, `idle s 500` (milliseconds).
//!
//! A step prints `STEP -> OUTCOME`; an error is its errno's name in small letters (`acces`). Steps go on after an
//! error. Its first line is `@guest`, where a log of system calls is cut.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use sockgate_guest::addresses::CanAddress;
use sockgate_guest::can::{CanFilter, CanReceived, CanSocket};
use sockgate_test_guests::{from_hex, named, to_hex, wrong};

fn main() {
    println!("@guest");
    let mut sockets = HashMap::new();
    for step in std::env::args().skip(1) {
        let outcome = take(&mut sockets, &step).unwrap_or_else(|error| named(&error));
        println!("{step} -> {outcome}");
        // Tests wait for lines.
        let _ = io::stdout().flush();
    }
}

fn take(sockets: &mut HashMap<String, CanSocket>, step: &str) -> io::Result<String> {
    if let Some((name, "can")) = step.split_once(" = ") {
        sockets.insert(name.to_owned(), CanSocket::unbound()?);
        return Ok("ok".to_owned());
    }
    let words: Vec<&str> = step.split(' ').collect();
    let [verb, name, arguments @ ..] = &words[..] else {
        return Err(wrong(step));
    };
    let socket = sockets.get(*name).ok_or_else(|| wrong(name))?;
    match (*verb, arguments) {
        ("send", [hex]) => return sent(socket.as_ref().send(&from_hex(hex)?)?),
        ("send-to", [hex, to]) => {
            return sent(socket.as_ref().send_to(&from_hex(hex)?, address(to))?);
        }
        ("recv", []) => return Ok(shown(&socket.recv_detailed()?)),
        ("recv", [max]) => return Ok(to_hex(&socket.as_ref().recv_vec(number(max)?)?)),
        ("bind", [to]) => socket.as_ref().bind(address(to))?,
        ("timeout", [time]) => socket.set_read_timeout(Some(milliseconds(time)?))?,
        ("idle", [time]) => std::thread::sleep(milliseconds(time)?),
        ("filters", filters) => {
            let filters: Vec<_> = filters
                .iter()
                .map(|word| filter(word))
                .collect::<Result<_, _>>()?;
            socket.set_filters(&filters)?;
        }
        ("errors", [mask]) => {
            socket.set_error_filter(u32::from_str_radix(mask, 16).map_err(wrong)?)?;
        }
        ("set", [level, option, hex]) => {
            let socket = socket.as_ref();
            socket.set_raw_option(number(level)?, number(option)?, &from_hex(hex)?)?;
        }
        (verb, [on]) => switch(socket, verb, number::<u8>(on)? != 0)?,
        _ => return Err(wrong(step)),
    }
    Ok("ok".to_owned())
}

fn switch(socket: &CanSocket, verb: &str, on: bool) -> io::Result<()> {
    match verb {
        "loopback" => socket.set_loopback(on),
        "own" => socket.set_receive_own(on),
        "join" => socket.set_join_filters(on),
        "fd" => socket.set_fd_frames(on),
        "xl" => socket.set_xl_frames(on),
        "times" => socket.set_timestamps(on),
        "drops" => socket.set_drop_count(on),
        other => Err(wrong(other)),
    }
}

/// `123#DEAD on vcan0`, and what else is known: `local`, `own`, `at SECONDS.NANOSECONDS`, `dropped N`.
fn shown(received: &CanReceived) -> String {
    let interface = received.interface.as_deref().unwrap_or("?");
    let mut text = format!("{} on {interface}", received.frame);
    for (is, word) in [(received.local, " local"), (received.own, " own")] {
        text.push_str(if is { word } else { "" });
    }
    // Writing to a string cannot fail.
    if let Some(at) = received.timestamp {
        let _ = write!(text, " at {}.{:09}", at.seconds, at.nanoseconds);
    }
    if let Some(count) = received.dropped {
        let _ = write!(text, " dropped {count}");
    }
    text
}

fn address(word: &str) -> CanAddress {
    match word {
        "*" => CanAddress::any(),
        name => CanAddress::on(name),
    }
}

/// can_id and can_mask of a struct can_filter.
fn filter(word: &str) -> io::Result<CanFilter> {
    let (id, mask) = word.split_once(':').ok_or_else(|| wrong(word))?;
    let number = |digits| u32::from_str_radix(digits, 16).map_err(wrong);
    Ok(CanFilter::from_raw(number(id)?, number(mask)?))
}

fn milliseconds(word: &str) -> io::Result<Duration> {
    Ok(Duration::from_millis(number(word)?))
}

fn number<T: FromStr<Err: Display>>(word: &str) -> io::Result<T> {
    word.parse().map_err(wrong)
}

fn sent(length: usize) -> io::Result<String> {
    Ok(format!("ok {length}"))
}
