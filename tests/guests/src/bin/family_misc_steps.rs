//! Steps on sockets of the families that name algorithms, machines, services and processors, as the guest
//! `denial_steps` takes them on IP and Unix: `s = socket vsock stream`, `connect s vsock:1:1234`.
//!
//! Addresses: `alg:TYPE:NAME`, `vsock:CID:PORT`, `tipc:SERVICE:INSTANCE[:NODE]`, `tipc-range:SERVICE:LOW:HIGH`,
//! `tipc-socket:NODE:SOCKET` (both with `/SCOPE`, as a number), `qrtr:NODE:PORT`, and for RDS `IP:PORT`.
//! A step prints `STEP -> OUTCOME`; an error is its errno's name in small letters. Its first line is `@guest`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use sockgate_guest::addresses::{AlgAddress, QipcrtrAddress, TipcAddress, VsockAddress};
use sockgate_guest::ancillary::{AncillaryIn, AncillaryOut, RawAncillary};
use sockgate_guest::{
    Family, IoctlRequest, MessageFlags, MessageOut, Protocol, Shutdown, Socket, SocketAddress,
    SocketType,
};
use sockgate_test_guests::{from_hex, named, pattern, sha256, wrong};

fn main() {
    println!("@guest");
    let mut guest = Guest::default();
    for step in std::env::args().skip(1) {
        let outcome = guest.take(&step).unwrap_or_else(|error| named(&error));
        println!("{step} -> {outcome}");
        // Tests wait for lines.
        let _ = io::stdout().flush();
    }
}

/// What the steps made so far, and who was heard last.
#[derive(Default)]
struct Guest {
    sockets: HashMap<String, Socket>,
    heard: Option<SocketAddress>,
}

impl Guest {
    fn take(&mut self, step: &str) -> io::Result<String> {
        if let Some((name, call)) = step.split_once(" = ") {
            let (socket, outcome) = self.make(call)?;
            self.sockets.insert(name.to_owned(), socket);
            return Ok(outcome);
        }
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["say", ..] => done(),
            ["close", name] => self
                .sockets
                .remove(name)
                .ok_or_else(|| wrong(name))
                .and_then(|_| done()),
            ["recv-from", name, max] => {
                let mut buffer = vec![0; number(max)?];
                let (length, source) = self.socket(name)?.recv_from(&mut buffer)?;
                let shown = source.as_ref().map(ToString::to_string);
                self.heard = source;
                let data = text(&buffer[..length]);
                Ok(format!(
                    "{data} from {}",
                    shown.as_deref().unwrap_or("nobody")
                ))
            }
            ["reply", name, words] => {
                let to = self
                    .heard
                    .as_ref()
                    .ok_or_else(|| wrong("nobody was heard"))?;
                bytes(self.socket(name)?.send_to(words.as_bytes(), to)?)
            }
            // What an address says stays one word, whatever is in it.
            [verb, name, ref rest @ ..] => self.on_socket(verb, self.socket(name)?, rest),
            _ => Err(wrong(step)),
        }
    }

    fn socket(&self, name: &str) -> io::Result<&Socket> {
        self.sockets
            .get(name)
            .ok_or_else(|| wrong(format_args!("no socket is called {name}")))
    }

    fn make(&self, call: &str) -> io::Result<(Socket, String)> {
        match call.split(' ').collect::<Vec<_>>()[..] {
            ["socket", kind, style] => {
                let socket = Socket::new(family(kind)?, style_of(style)?, Protocol::Default)?;
                Ok((socket, "ok".to_owned()))
            }
            ["accept", listener] => {
                let (socket, peer) = self.socket(listener)?.accept()?;
                Ok((socket, format!("ok {peer}")))
            }
            _ => Err(wrong(call)),
        }
    }

    fn on_socket(&self, verb: &str, socket: &Socket, arguments: &[&str]) -> io::Result<String> {
        match (verb, arguments) {
            ("timeout", [milliseconds]) => {
                socket.set_timeout(Duration::from_millis(number(milliseconds)?));
                done()
            }
            ("bind", [to]) => socket.bind(address(to)?).and_then(|()| done()),
            ("listen", []) => socket.listen(16).and_then(|()| done()),
            ("connect", [to]) => socket.connect(address(to)?).and_then(|()| done()),
            ("disconnect", []) => socket.disconnect().and_then(|()| done()),
            ("shutdown", []) => socket.shutdown(Shutdown::Both).and_then(|()| done()),
            ("local", []) => Ok(format!("ok {}", socket.local_address()?)),
            ("peer", []) => Ok(format!("ok {}", socket.peer_address()?)),
            ("cid", []) => Ok(format!(
                "ok {}",
                socket.ioctl(IoctlRequest::VmSocketsGetLocalCid)?
            )),
            ("send", [words]) => bytes(socket.send(words.as_bytes())?),
            ("send-to", [words, to]) => bytes(socket.send_to(words.as_bytes(), address(to)?)?),
            ("send-hex-to", [hex, to]) => bytes(socket.send_to(&from_hex(hex)?, address(to)?)?),
            ("send-raw", [level, kind, hex]) => {
                let raw = RawAncillary {
                    level: number(level)?,
                    type_: number(kind)?,
                    data: from_hex(hex)?,
                };
                let message = MessageOut::new().piece(b"raw");
                bytes(socket.send_msg(&message.ancillary(AncillaryOut::Raw(&raw)))?)
            }
            ("recv", [max]) => Ok(text(&socket.recv_vec(number(max)?)?)),
            ("recv-hex", [max]) => Ok(hex(&socket.recv_vec(number(max)?)?)),
            ("recv-msg", [max, room]) => recv_msg(socket, number(max)?, number(room)?),
            ("push", [seed, length]) => push(socket, number(seed)?, number(length)?),
            ("pull", [length]) => pull(socket, number(length)?),
            ("set", [level, option, hex]) => socket
                .set_raw_option(number(level)?, number(option)?, &from_hex(hex)?)
                .and_then(|()| done()),
            ("set-length", [level, option, length]) => socket
                .set_raw_option_length(number(level)?, number(option)?, number(length)?)
                .and_then(|()| done()),
            ("get", [level, option, max]) => {
                let value = socket.raw_option(number(level)?, number(option)?, number(max)?)?;
                Ok(format!("ok {}", hex(&value)))
            }
            _ => Err(wrong(format_args!("{verb} {arguments:?}"))),
        }
    }
}

/// Sends bytes of a pattern, all of them.
fn push(socket: &Socket, seed: u64, length: usize) -> io::Result<String> {
    let data = pattern(seed, length);
    socket.send_all(&data)?;
    Ok(format!("ok {length} {}", sha256(&data)))
}

/// Receives so many bytes, in as many pieces as they come in.
fn pull(socket: &Socket, length: usize) -> io::Result<String> {
    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        let piece = socket.recv_vec(length - data.len())?;
        if piece.is_empty() {
            break;
        }
        data.extend(piece);
    }
    Ok(format!("ok {} {}", data.len(), sha256(&data)))
}

/// The data, and the control messages that came by number.
fn recv_msg(socket: &Socket, max: usize, room: u32) -> io::Result<String> {
    let message = socket.recv_msg(max, room, MessageFlags::empty())?;
    let mut parts = vec![text(&message.data)];
    for (flag, name) in [(MessageFlags::OOB, "oob"), (MessageFlags::EOR, "eor")] {
        if message.flags.contains(flag) {
            parts.push(name.to_owned());
        }
    }
    for ancillary in &message.ancillary {
        parts.push(match ancillary {
            AncillaryIn::Raw(raw) => format!("{}/{} {}", raw.level, raw.type_, hex(&raw.data)),
            other => format!("{other:?}"),
        });
    }
    Ok(parts.join(" + "))
}

fn family(word: &str) -> io::Result<Family> {
    Ok(match word {
        "alg" => Family::Alg,
        "vsock" => Family::Vsock,
        "tipc" => Family::Tipc,
        "rds" => Family::Rds,
        "qrtr" => Family::Qipcrtr,
        _ => return Err(wrong(word)),
    })
}

fn style_of(word: &str) -> io::Result<SocketType> {
    Ok(match word {
        "stream" => SocketType::Stream,
        "datagram" => SocketType::Datagram,
        "seqpacket" => SocketType::Seqpacket,
        "rdm" => SocketType::Rdm,
        _ => return Err(wrong(word)),
    })
}

fn address(word: &str) -> io::Result<SocketAddress> {
    let (word, scope) = match word.split_once('/') {
        Some((word, scope)) => (word, Some(number(scope)?)),
        None => (word, None),
    };
    // A NUL cannot stand in an argument.
    let unescape = |text: &str| text.replace("%00", "\0");
    let mut address = match word.splitn(4, ':').collect::<Vec<_>>()[..] {
        ["alg", kind, name] => AlgAddress::new(unescape(kind), unescape(name)).into(),
        ["vsock", cid, port] => VsockAddress::new(number(cid)?, number(port)?).into(),
        ["tipc", service, instance] => {
            TipcAddress::service(number(service)?, number(instance)?).into()
        }
        ["tipc", service, instance, node] => {
            TipcAddress::service_on(number(service)?, number(instance)?, number(node)?).into()
        }
        ["tipc-range", service, low, high] => {
            TipcAddress::range(number(service)?, number(low)?, number(high)?).into()
        }
        ["tipc-socket", node, socket] => TipcAddress::socket(number(node)?, number(socket)?).into(),
        ["qrtr", node, port] => QipcrtrAddress::new(number(node)?, number(port)?).into(),
        _ => {
            let ip: std::net::SocketAddr = word.parse().map_err(wrong)?;
            ip.into()
        }
    };
    if let (SocketAddress::Tipc(tipc), Some(scope)) = (&mut address, scope) {
        tipc.scope = scope;
    }
    Ok(address)
}

fn done() -> io::Result<String> {
    Ok("ok".to_owned())
}

fn bytes(count: usize) -> io::Result<String> {
    Ok(format!("ok {count}"))
}

fn text(data: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(data))
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number, decimal or with `0x`.
fn number<T: TryFrom<i64>>(word: &str) -> io::Result<T> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    number
        .ok()
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(format_args!("{word} is no number that fits here")))
}
