//! Options step by step, on sockets of every family: `tests/native/options.py` takes the same steps natively, so that
//! a test can compare line by line.
//!
//! Steps: `s = socket FAMILY TYPE PROTOCOL` (Linux's numbers), `a b = pair FAMILY TYPE PROTOCOL`, `c = accept l`,
//! `bind s ADDRESS`, `listen s`, `connect s ADDRESS`, `connect-to s l` (where `l` is bound), `send s TEXT`,
//! `send-to s TEXT ADDRESS`, `send-bytes s LENGTH`, `local s`, `recv s MAX`, `close s`; `int s LEVEL NAME`, `get s LEVEL NAME MAX`,
//! `length s LEVEL NAME MAX`, `set-int s LEVEL NAME NUMBER`, `set s LEVEL NAME xHEX`, `set-zeros s LEVEL NAME LENGTH`,
//! `set-length s LEVEL NAME LENGTH`. In the guest alone: `use s ACCESSOR VALUE` and `read s ACCESSOR` for the SDK's own
//! accessors (see `accessors`), `waits s VERB` (how long, in milliseconds, and what it ended with), `hold` (says so,
//! and waits for its end), `hold-for NAME` (only says so), and the groups: `join s GROUP[/SOURCE][%INTERFACE]`, `leave`, `block`, `unblock`.
//! Addresses: `127.0.0.1:80`, `@abstract`, `can:INTERFACE`, `isotp:INTERFACE:RX:TX`, `j1939:INTERFACE:ADDRESS`,
//! `vsock:CID:PORT`, `tipc:SERVICE:INSTANCE`, `alg:TYPE:NAME`, `l2cap:PSM`, `hci:DEVICE`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sockgate_guest::addresses::{
    ANY_DEVICE, AlgAddress, CanAddress, CanId, HciAddress, J1939Address, L2capAddress,
    NetlinkAddress, PacketAddress, TipcAddress, VsockAddress,
};
use sockgate_guest::{Family, Group, Protocol, Socket, SocketAddress, SocketType};
use sockgate_test_guests::{address, from_hex, named, to_hex, wrong};

#[path = "options/accessors.rs"]
mod accessors;

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

#[derive(Default)]
struct Guest {
    sockets: HashMap<String, Socket>,
}

impl Guest {
    fn take(&mut self, step: &str) -> io::Result<String> {
        if let Some((names, call)) = step.split_once(" = ") {
            let sockets = self.make(call)?;
            for (name, socket) in names.split(' ').zip(sockets) {
                self.sockets.insert(name.to_owned(), socket);
            }
            return done();
        }
        let words: Vec<&str> = step.splitn(5, ' ').collect();
        match words[..] {
            ["hold"] => hold(),
            // For tests that wait for a line.
            ["hold-for", name] => {
                println!("holding for {name}");
                io::stdout().flush()?;
                done()
            }
            ["close", name] => {
                let socket = self.sockets.remove(name);
                socket
                    .map(drop)
                    .ok_or_else(|| wrong(name))
                    .and_then(|()| done())
            }
            ["connect-to", name, listener] => {
                let to = self.socket(listener)?.local_address()?;
                self.socket(name)?.connect(to)?;
                done()
            }
            [verb, name, ref rest @ ..] => on_socket(verb, self.socket(name)?, rest),
            _ => Err(wrong(step)),
        }
    }

    fn socket(&self, name: &str) -> io::Result<&Socket> {
        let socket = self.sockets.get(name);
        socket.ok_or_else(|| wrong(format_args!("no socket is called {name}")))
    }

    fn make(&self, call: &str) -> io::Result<Vec<Socket>> {
        match call.split(' ').collect::<Vec<_>>()[..] {
            ["accept", listener] => Ok(vec![self.socket(listener)?.accept()?.0]),
            [what, family, kind, protocol] => {
                let family = Family::from_number(number(family)?);
                let kind = SocketType::from_number(number(kind)?);
                let protocol = Protocol::from_number(family, number(protocol)?);
                if what == "pair" {
                    let (one, other) = Socket::pair(family, kind, protocol)?;
                    return Ok(vec![one, other]);
                }
                Ok(vec![Socket::new(family, kind, protocol)?])
            }
            _ => Err(wrong(call)),
        }
    }
}

fn on_socket(verb: &str, socket: &Socket, arguments: &[&str]) -> io::Result<String> {
    match (verb, arguments) {
        ("bind", [to]) => socket.bind(place(to)?)?,
        ("connect", [to]) => socket.connect(place(to)?)?,
        ("listen", []) => socket.listen(16)?,
        ("timeout", [milliseconds]) => {
            socket.set_timeout(Duration::from_millis(number(milliseconds)?));
        }
        ("send", [text]) => return count(socket.send(text.as_bytes())?),
        ("send-to", [text, to]) => return count(socket.send_to(text.as_bytes(), place(to)?)?),
        ("send-bytes", [length]) => {
            return count(socket.send(&vec![b'x'; number(length)?])?);
        }
        ("local", []) => return Ok(format!("ok {}", socket.local_address()?)),
        ("recv", [max]) => return Ok(text(&socket.recv_vec(number(max)?)?)),
        ("int", [level, name]) => {
            return Ok(format!(
                "ok {}",
                socket.option(number(level)?, number(name)?)?
            ));
        }
        ("get", [level, name, max]) => return Ok(to_hex(&read(socket, level, name, max)?)),
        ("length", [level, name, max]) => return count(read(socket, level, name, max)?.len()),
        ("set-int", [level, name, value]) => {
            let value: i32 = number(value)?;
            socket.set_option(number(level)?, number(name)?, value)?;
        }
        ("set", [level, name, value]) => {
            let value = from_hex(value)?;
            socket.set_option(number(level)?, number(name)?, &value[..])?;
        }
        ("set-zeros", [level, name, length]) => {
            let value = vec![0; number(length)?];
            socket.set_option(number(level)?, number(name)?, &value[..])?;
        }
        ("set-length", [level, name, length]) => {
            let length = sockgate_guest::OptionArgument::Length(number(length)?);
            socket.set_option(number(level)?, number(name)?, length)?;
        }
        ("use", [accessor, value]) => return accessors::set(socket, accessor, value),
        ("read", [accessor]) => return accessors::read(socket, accessor),
        ("waits", [what]) => return waits(socket, what),
        ("join", [at]) => socket.join_group(&group(at)?)?,
        ("leave", [at]) => socket.leave_group(&group(at)?)?,
        ("block", [at]) => socket.block_source(&group(at)?)?,
        ("unblock", [at]) => socket.unblock_source(&group(at)?)?,
        _ => return Err(wrong(format_args!("{verb} {arguments:?}"))),
    }
    done()
}

fn read(socket: &Socket, level: &str, name: &str, max: &str) -> io::Result<Vec<u8>> {
    socket.raw_option(number(level)?, number(name)?, number(max)?)
}

/// How long a call waits that nothing will ever end, and what it ends with.
fn waits(socket: &Socket, what: &str) -> io::Result<String> {
    let start = Instant::now();
    let outcome = match what {
        "recv" => socket.recv_vec(16).map(drop),
        "accept" => socket.accept().map(drop),
        // Until there is no more room.
        "send" => loop {
            if let Err(error) = socket.send(&[0; 65_536]) {
                break Err(error);
            }
        },
        _ => return Err(wrong(what)),
    };
    let ended = outcome.map_or_else(|error| named(&error), |()| "ok".to_owned());
    Ok(format!("{ended} {}", start.elapsed().as_millis()))
}

/// Keeps the sockets open until the guest is killed.
fn hold() -> io::Result<String> {
    println!("holding");
    io::stdout().flush()?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// `GROUP[/SOURCE][%INTERFACE]`
fn group(word: &str) -> io::Result<Group> {
    let (addresses, interface) = match word.split_once('%') {
        Some((addresses, interface)) => (addresses, Some(interface)),
        None => (word, None),
    };
    let (group, source) = match addresses.split_once('/') {
        Some((group, source)) => (group, Some(source.parse().map_err(wrong)?)),
        None => (addresses, None),
    };
    let group = match (group.parse().map_err(wrong)?, source) {
        (IpAddr::V4(group), None) => Group::v4(group),
        (IpAddr::V6(group), None) => Group::v6(group),
        (IpAddr::V4(group), Some(IpAddr::V4(source))) => Group::v4_from(group, source),
        (IpAddr::V6(group), Some(IpAddr::V6(source))) => Group::v6_from(group, source),
        _ => return Err(wrong(word)),
    };
    Ok(match interface {
        Some(interface) => group.on(interface),
        None => group,
    })
}

fn place(word: &str) -> io::Result<SocketAddress> {
    Ok(match word.split(':').collect::<Vec<_>>()[..] {
        ["can", interface] => CanAddress::on(interface).into(),
        ["isotp", interface, receive, send] => {
            let id = |word| io::Result::Ok(CanId::Standard(number(word)?));
            CanAddress::isotp(interface, id(receive)?, id(send)?).into()
        }
        ["j1939", interface, at] => {
            CanAddress::j1939(interface, J1939Address::at(number(at)?)).into()
        }
        ["packet", interface, protocol] => PacketAddress::on(interface, number(protocol)?).into(),
        ["netlink", "auto"] => NetlinkAddress::auto().into(),
        ["vsock", cid, port] => VsockAddress::new(number(cid)?, number(port)?).into(),
        ["tipc", service, instance] => {
            TipcAddress::service(number(service)?, number(instance)?).into()
        }
        ["alg", kind, name] => AlgAddress::new(kind, name).into(),
        ["l2cap", psm] => L2capAddress::new(ANY_DEVICE, number(psm)?).into(),
        ["hci", device] => HciAddress::raw(number(device)?).into(),
        _ => address(word)?,
    })
}

fn done() -> io::Result<String> {
    Ok("ok".to_owned())
}

fn count(length: usize) -> io::Result<String> {
    Ok(format!("ok {length}"))
}

fn text(data: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(data))
}

/// A number, decimal or with `0x`.
fn number<T: TryFrom<i64>>(word: &str) -> io::Result<T> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    let number = number.ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| wrong(format_args!("{word} is no number that fits here")))
}
