//! Ways round a policy that need more than IP and Unix sockets: runs the steps that its arguments say and
//! prints `STEP -> OUTCOME` for each, as `denial_steps` does, with sockets of any protocol and bytes in hex.
//!
//! `s = socket FAMILY TYPE PROTOCOL`, `p = pair FAMILY TYPE` (its other end is `p'`), `c = accept s`; addresses are
//! `127.0.0.1:7`, `can:vcan0`, `packet:d0/0x88b5`, `netlink:0`; bytes are a word, or hex after `0x`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sockgate_guest::addresses::{CanAddress, NetlinkAddress, PacketAddress};
use sockgate_guest::{
    Family, Interest, MessageFlags, Protocol, Socket, SocketAddress, SocketType, poll,
};
use sockgate_test_guests::{named, wrong};

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

type Sockets = HashMap<String, Socket>;

fn called<'a>(sockets: &'a Sockets, name: &str) -> io::Result<&'a Socket> {
    let missing = || wrong(format_args!("no socket is called {name}"));
    sockets.get(name).ok_or_else(missing)
}

fn take(sockets: &mut Sockets, step: &str) -> io::Result<String> {
    if let Some((name, call)) = step.split_once(" = ") {
        return make(sockets, name, call);
    }
    let words: Vec<&str> = step.split(' ').collect();
    match words[..] {
        ["say", ..] => done(),
        ["until", file] => until(Path::new(file)),
        [verb, name, ref arguments @ ..] => on_socket(called(sockets, name)?, verb, arguments),
        _ => Err(wrong(step)),
    }
}

/// Steps that make a socket.
fn make(sockets: &mut Sockets, name: &str, call: &str) -> io::Result<String> {
    let words: Vec<&str> = call.split(' ').collect();
    match words[..] {
        ["socket", kind, style, of] => {
            let socket = Socket::new(family(kind)?, socket_type(style)?, protocol(of)?)?;
            sockets.insert(name.to_owned(), socket);
        }
        ["pair", kind, style] => {
            let (one, other) = Socket::pair(family(kind)?, socket_type(style)?, Protocol::Default)?;
            sockets.insert(name.to_owned(), one);
            sockets.insert(format!("{name}'"), other);
        }
        ["accept", listener] => {
            let (socket, _) = called(sockets, listener)?.accept()?;
            sockets.insert(name.to_owned(), socket);
        }
        _ => return Err(wrong(call)),
    }
    done()
}

fn on_socket(socket: &Socket, verb: &str, arguments: &[&str]) -> io::Result<String> {
    match (verb, arguments) {
        ("timeout", [milliseconds]) => {
            socket.set_timeout(Duration::from_millis(number(milliseconds)?));
            done()
        }
        ("bind", [to]) => socket.bind(address(to)?).and_then(|()| done()),
        ("connect", [to]) => socket.connect(address(to)?).and_then(|()| done()),
        ("listen", []) => socket.listen(16).and_then(|()| done()),
        ("send", [data]) => Ok(format!("ok {}", socket.send(&bytes(data)?)?)),
        ("send-to", [data, to]) => {
            let sent = socket.send_to(&bytes(data)?, address(to)?)?;
            Ok(format!("ok {sent}"))
        }
        ("recv", [flags_]) => Ok(text(&socket.recv_vec_with(2048, flags(flags_)?)?)),
        ("recv-many", [count, flags_]) => {
            let batch = socket.recv_many_with(number(count)?, 2048, 0, flags(flags_)?)?;
            let found: Vec<_> = batch.iter().map(|message| text(message.data)).collect();
            Ok(found.join(" "))
        }
        ("poll", [milliseconds]) => {
            let wait = Duration::from_millis(number(milliseconds)?);
            let ready = poll(&[(socket, Interest::READABLE)], wait)?;
            Ok(if ready.is_empty() { "nothing" } else { "ready" }.to_owned())
        }
        ("set", [level, name, value]) => socket
            .set_raw_option(number(level)?, number(name)?, &bytes(value)?)
            .and_then(|()| done()),
        ("set-length", [level, name, length]) => socket
            .set_raw_option_length(number(level)?, number(name)?, number(length)?)
            .and_then(|()| done()),
        ("get", [level, name]) => {
            let value = socket.raw_option(number(level)?, number(name)?, 4)?;
            let number = value.first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
            Ok(format!("ok {}", number.ok_or_else(|| wrong("no number"))?))
        }
        _ => Err(wrong(format_args!("{verb} {arguments:?}"))),
    }
}

fn done() -> io::Result<String> {
    Ok("ok".to_owned())
}

fn text(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) if !text.contains(char::is_control) => format!("{text:?}"),
        _ => format!("{} bytes", data.len()),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    let unfit = |_| wrong(format_args!("{word} is no number that fits here"));
    word.parse().map_err(unfit)
}

fn bytes(word: &str) -> io::Result<Vec<u8>> {
    let Some(digits) = word.strip_prefix("0x") else {
        return Ok(word.as_bytes().to_vec());
    };
    let byte = |at: usize| {
        let pair = digits.get(at..at + 2).unwrap_or_default();
        u8::from_str_radix(pair, 16).map_err(wrong)
    };
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Waits until the test makes this file (`--dir`).
fn until(file: &Path) -> io::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !file.exists() {
        if Instant::now() > deadline {
            return Err(wrong(format_args!("{} never came", file.display())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    done()
}

fn family(word: &str) -> io::Result<Family> {
    Ok(match word {
        "inet" => Family::Inet,
        "inet6" => Family::Inet6,
        "unix" => Family::Unix,
        "netlink" => Family::Netlink,
        "packet" => Family::Packet,
        "can" => Family::Can,
        "tipc" => Family::Tipc,
        _ => return Err(wrong(word)),
    })
}

fn socket_type(word: &str) -> io::Result<SocketType> {
    Ok(match word {
        "stream" => SocketType::Stream,
        "datagram" => SocketType::Datagram,
        "seqpacket" => SocketType::Seqpacket,
        "raw" => SocketType::Raw,
        _ => return Err(wrong(word)),
    })
}

fn protocol(word: &str) -> io::Result<Protocol> {
    Ok(match word {
        "default" => Protocol::Default,
        "can-raw" => Protocol::CanRaw,
        "icmp" => Protocol::Icmp,
        "netlink-route" => Protocol::NetlinkRoute,
        _ => return Err(wrong(word)),
    })
}

fn address(word: &str) -> io::Result<SocketAddress> {
    if let Some(interface) = word.strip_prefix("can:") {
        return Ok(CanAddress::on(interface).into());
    }
    if let Some(pid) = word.strip_prefix("netlink:") {
        return Ok(NetlinkAddress::port(number(pid)?).into());
    }
    if let Some(rest) = word.strip_prefix("packet:") {
        let (interface, ethertype) = rest.split_once("/0x").ok_or_else(|| wrong(rest))?;
        let ethertype = u16::from_str_radix(ethertype, 16).map_err(wrong)?;
        return Ok(PacketAddress::on(interface, ethertype).into());
    }
    Ok(word.parse::<SocketAddr>().map_err(wrong)?.into())
}

fn flags(word: &str) -> io::Result<MessageFlags> {
    word.split('|')
        .try_fold(MessageFlags::empty(), |set, flag| {
            Ok(set
                | match flag {
                    "none" => MessageFlags::empty(),
                    "peek" => MessageFlags::PEEK,
                    "dont-wait" => MessageFlags::DONT_WAIT,
                    "err-queue" => MessageFlags::ERR_QUEUE,
                    _ => return Err(wrong(flag)),
                })
        })
}
