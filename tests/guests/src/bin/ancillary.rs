//! Steps on sockets of any family, in the words of Python's socket module: `tests/native/ancillary.py` takes
//! the same ones, and prints the same for them.
//!
//! * `s = socket FAMILY TYPE [PROTOCOL]`, `a b = pair TYPE`, `c = accept s`; `bind`, `connect` and `listen`.
//! * `set-length s LEVEL NAME LENGTH`, which has no value.
//! * `timeout s MILLISECONDS`; `-` is none.
//! * `set s LEVEL NAME VALUE`: names are constants of the module, or numbers; a value is a number or `xHEX`.
//! * `send s FLAGS DATA [ADDRESS]`, `send-msg s FLAGS ADDRESS PIECES [ANCILLARY...]`; `-` is none, flags and
//!   pieces are put together with `+`; data is a word, `xHEX`, or `*N` for so many bytes of a pattern.
//! * `send-all s DATA`.
//! * `send-many s FLAGS DATA ADDRESS...`, with `-` for no name, and `recv-many s COUNT MAX ROOM FLAGS`, the guest
//!   alone.
//! * `recv s MAX FLAGS`, `recv-msg s MAX ROOM FLAGS`, `recv-into s SIZES ROOM FLAGS`.
//! * Addresses: `IP:PORT`, `/PATH`, `@NAME`, `can:IF`, `j1939:IF:NAME:PGN:ADDRESS`, `vsock:CID:PORT`,
//!   `tipc:SERVICE:INSTANCE`, `alg:TYPE:NAME`.
//!
//! A step prints `STEP -> OUTCOME`; an error is its errno's name in small letters. The first line is `@guest`.

use std::collections::HashMap;
use std::io::{self, IoSliceMut, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sockgate_guest::addresses::{AlgAddress, CanAddress, J1939Address, TipcAddress, VsockAddress};
use sockgate_guest::ancillary::{
    AlgOperation, AncillaryIn, AncillaryOut, Credentials, ErrorOrigin, ExtendedError, PacketInfoV4,
    PacketInfoV6, RawAncillary, Timestamp, cmsg_len, cmsg_space,
};
use sockgate_guest::{
    Batch, Errno, Family, MessageFlags, MessageOut, Protocol, Shutdown, Socket, SocketAddress,
    SocketType, consts,
};
use sockgate_test_guests::{from_hex, named, sha256, to_hex, wrong};

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

/// What the steps made so far.
#[derive(Default)]
struct Guest {
    sockets: HashMap<String, Socket>,
    /// What came in, held until the guest ends.
    kept: Vec<AncillaryIn>,
}

impl Guest {
    fn take(&mut self, step: &str) -> io::Result<String> {
        if let Some((names, call)) = step.split_once(" = ") {
            return self.make(names, call);
        }
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["say", ..] => done(),
            ["line"] => io::stdin()
                .read_line(&mut String::new())
                .and_then(|_| done()),
            ["cmsg", length] => {
                let length = number(length)?;
                let show = |answer: io::Result<u32>| match answer {
                    Ok(length) => length.to_string(),
                    Err(error) => named(&error),
                };
                Ok(format!(
                    "{} {}",
                    show(cmsg_len(length)),
                    show(cmsg_space(length))
                ))
            }
            ["close", name] => self
                .sockets
                .remove(name)
                .ok_or_else(|| wrong(name))
                .and_then(|_| done()),
            ["recv-msg", name, max, room, word] => {
                let socket = self.socket(name)?;
                let message = socket.recv_msg(number(max)?, number(room)?, flags(word)?)?;
                let shown = Shown {
                    data: &message.data,
                    true_length: message.true_length,
                    flags: message.flags,
                    source: message.source.as_ref(),
                    ancillary: &message.ancillary,
                };
                let line = shown.line();
                self.kept.extend(message.ancillary);
                Ok(line)
            }
            [verb, name, ref rest @ ..] => on_socket(verb, self.socket(name)?, rest),
            _ => Err(wrong(step)),
        }
    }

    fn socket(&self, name: &str) -> io::Result<&Socket> {
        self.sockets
            .get(name)
            .ok_or_else(|| wrong(format_args!("no socket is called {name}")))
    }

    fn make(&mut self, names: &str, call: &str) -> io::Result<String> {
        let (sockets, outcome) = match call.split(' ').collect::<Vec<_>>()[..] {
            ["socket", family, kind, ref protocol @ ..] => {
                let protocol = protocol.first().copied().unwrap_or("-");
                let socket =
                    Socket::new(family_of(family)?, kind_of(kind)?, protocol_of(protocol)?)?;
                socket.set_timeout(Duration::from_secs(30));
                (vec![socket], "ok".to_owned())
            }
            ["pair", kind] => {
                let (one, other) = Socket::pair(Family::Unix, kind_of(kind)?, Protocol::Default)?;
                (vec![one, other], "ok".to_owned())
            }
            ["accept", listener] => {
                let (socket, _) = self.socket(listener)?.accept()?;
                (vec![socket], "ok".to_owned())
            }
            _ => return Err(wrong(call)),
        };
        for (name, socket) in names.split(' ').zip(sockets) {
            self.sockets.insert(name.to_owned(), socket);
        }
        Ok(outcome)
    }
}

fn on_socket(verb: &str, socket: &Socket, arguments: &[&str]) -> io::Result<String> {
    match (verb, arguments) {
        ("timeout", [milliseconds]) => {
            let limit = given(milliseconds).map(number).transpose()?;
            socket.set_timeout(limit.map(Duration::from_millis));
            done()
        }
        ("bind", [to]) => socket.bind(address(to)?).and_then(|()| done()),
        ("listen", []) => socket.listen(16).and_then(|()| done()),
        ("connect", [to]) => socket.connect(address(to)?).and_then(|()| done()),
        ("shutdown", []) => socket.shutdown(Shutdown::Both).and_then(|()| done()),
        ("local", []) => Ok(format!("ok {}", socket.local_address()?)),
        ("mark", []) => Ok(socket.at_mark()?.to_string()),
        ("set", [level, name, value]) => {
            let value = match value.starts_with('x') {
                true => from_hex(value)?,
                false => number::<i64>(value)?.to_le_bytes()[..4].to_vec(),
            };
            let (level, name) = (constant(level)?, constant(name)?);
            socket
                .set_raw_option(level, name, &value)
                .and_then(|()| done())
        }
        ("set-length", [level, name, length]) => socket
            .set_raw_option_length(constant(level)?, constant(name)?, number(length)?)
            .and_then(|()| done()),
        ("get", [level, name, max]) => {
            let value = socket.raw_option(constant(level)?, constant(name)?, number(max)?)?;
            Ok(to_hex(&value))
        }
        ("send", [word, text]) => sent(socket.send_with(&data(text)?, flags(word)?)?),
        ("send", [word, text, to]) => {
            sent(socket.send_to_with(&data(text)?, address(to)?, flags(word)?)?)
        }
        ("send-all", [text]) => socket.send_all(&data(text)?).and_then(|()| done()),
        ("send-many", [word, text, to @ ..]) => send_many(socket, flags(word)?, &data(text)?, to),
        ("send-msg", [word, to, pieces, beside @ ..]) => {
            send_msg(socket, flags(word)?, to, pieces, beside)
        }
        ("afalg", [operation, iv, associated, word, text]) => {
            let pieces = pieces(text)?;
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let operation = match *operation {
                "ALG_OP_ENCRYPT" => AlgOperation::Encrypt,
                "ALG_OP_DECRYPT" => AlgOperation::Decrypt,
                other => return Err(wrong(other)),
            };
            let iv = given(iv).map(from_hex).transpose()?;
            let associated = given(associated).map(number).transpose()?;
            sent(socket.send_msg_alg(
                &pieces,
                operation,
                iv.as_deref(),
                associated,
                flags(word)?,
            )?)
        }
        ("recv", [max, word]) => Ok(text(&socket.recv_vec_with(number(max)?, flags(word)?)?)),
        ("recv-many", [count, max, room, word]) => {
            let batch =
                socket.recv_many_with(number(count)?, number(max)?, number(room)?, flags(word)?)?;
            let lines = batch.iter().map(|message| {
                let shown = Shown {
                    data: message.data,
                    true_length: message.true_length as u64,
                    flags: message.flags,
                    source: message.source,
                    ancillary: message.ancillary,
                };
                shown.line()
            });
            Ok(lines.collect::<Vec<_>>().join(" & "))
        }
        ("recv-into", [sizes, room, word]) => recv_into(socket, sizes, number(room)?, flags(word)?),
        _ => Err(wrong(format_args!("{verb} {arguments:?}"))),
    }
}

fn recv_into(socket: &Socket, sizes: &str, room: u32, flags: MessageFlags) -> io::Result<String> {
    let mut buffers: Vec<Vec<u8>> = sizes
        .split('+')
        .map(|size| Ok(vec![0; number(size)?]))
        .collect::<io::Result<_>>()?;
    let mut slices: Vec<IoSliceMut<'_>> =
        buffers.iter_mut().map(|it| IoSliceMut::new(it)).collect();
    let received = socket.recv_msg_into(&mut slices, room, flags)?;
    let shown = Shown {
        data: &[],
        true_length: 0,
        flags: received.flags,
        source: received.source.as_ref(),
        ancillary: &received.ancillary,
    };
    let parts: Vec<String> = buffers.iter().map(|buffer| text(buffer)).collect();
    Ok(format!(
        "{} in {}{}",
        received.length,
        parts.join(" "),
        shown.rest()
    ))
}

/// The same datagram to each of these in one call.
fn send_many(socket: &Socket, flags: MessageFlags, data: &[u8], to: &[&str]) -> io::Result<String> {
    let to: Vec<Option<SocketAddress>> = to
        .iter()
        .map(|word| given(word).map(address).transpose())
        .collect::<io::Result<_>>()?;
    let mut batch = Batch::new();
    for to in &to {
        match to {
            Some(to) => batch.push_to(data, to),
            None => batch.push(data),
        }
    }
    let sent = socket.send_many(&batch, flags)?;
    let error = sent
        .error
        .map_or("none".to_owned(), |errno| named(&io::Error::from(errno)));
    Ok(format!("{} sent, then {error}", sent.count))
}

/// A received message, as both languages print it.
struct Shown<'a> {
    data: &'a [u8],
    true_length: u64,
    flags: MessageFlags,
    source: Option<&'a SocketAddress>,
    ancillary: &'a [AncillaryIn],
}

impl Shown<'_> {
    fn line(&self) -> String {
        let cut = match self.true_length == self.data.len() as u64 {
            true => String::new(),
            false => format!(" of {}", self.true_length),
        };
        format!("{}{cut}{}", text(self.data), self.rest())
    }

    fn rest(&self) -> String {
        let names: Vec<&str> = FLAGS
            .iter()
            .filter(|name| {
                let bit = consts::value_of(&format!("MSG_{name}")).unwrap_or(0);
                i64::from(self.flags.number()) & bit != 0
            })
            .copied()
            .collect();
        let mut line = match names.is_empty() {
            true => String::new(),
            false => format!(" flags {}", names.join("+")),
        };
        if let Some(source) = self.source {
            line += &format!(" from {source}");
        }
        for ancillary in self.ancillary {
            line += &format!(" | {}", describe(ancillary));
        }
        line
    }
}

/// Those that are printed where they are set.
const FLAGS: [&str; 7] = [
    "OOB",
    "TRUNC",
    "CTRUNC",
    "EOR",
    "ERRQUEUE",
    "DONTROUTE",
    "CONFIRM",
];

fn describe(ancillary: &AncillaryIn) -> String {
    let interface = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    match ancillary {
        AncillaryIn::Rights(handles) => format!("rights {}", handles.len()),
        AncillaryIn::Credentials(their) => {
            format!("credentials {} {} {}", their.pid, their.uid, their.gid)
        }
        AncillaryIn::Pidfd(_) => "pidfd".to_owned(),
        AncillaryIn::SecurityLabel(label) => format!("label {}", String::from_utf8_lossy(label)),
        AncillaryIn::Timestamp(stamp) => format!("timestamp {}", stamped(Some(stamp))),
        AncillaryIn::Timestamping(stamps) => {
            let hardware = stamped(stamps.hardware.as_ref());
            format!(
                "timestamping {} {hardware}",
                stamped(stamps.software.as_ref())
            )
        }
        AncillaryIn::PacketInfoV4(info) => {
            let ip = |(a, b, c, d)| Ipv4Addr::new(a, b, c, d);
            let (source, destination) = (ip(info.source), ip(info.destination));
            format!(
                "pktinfo {} {source} {destination}",
                interface(&info.interface)
            )
        }
        AncillaryIn::PacketInfoV6(info) => {
            let address: [u16; 8] = info.address.into();
            format!(
                "pktinfo {} {}",
                interface(&info.interface),
                Ipv6Addr::from(address)
            )
        }
        AncillaryIn::HopLimit(hops) => format!("hops {hops}"),
        AncillaryIn::TrafficClass(class) => format!("class {class}"),
        AncillaryIn::OriginalDestination(address) => format!("original {address}"),
        AncillaryIn::IpOptions(options) => format!("options {}", to_hex(options)),
        AncillaryIn::HopOptions(header) => format!("hop-options {}", to_hex(header)),
        AncillaryIn::DestinationOptions(header) => {
            format!("destination-options {}", to_hex(header))
        }
        AncillaryIn::RoutingHeader(header) => format!("routing-header {}", to_hex(header)),
        AncillaryIn::PathMtu(path) => match &path.destination {
            Some(destination) => format!("path-mtu {} {destination}", path.mtu),
            None => format!("path-mtu {} -", path.mtu),
        },
        AncillaryIn::FragmentSize(size) => format!("fragment {size}"),
        AncillaryIn::ExtendedError(error) => extended(error),
        AncillaryIn::DropCount(count) => format!("drops {count}"),
        AncillaryIn::SegmentSize(size) => format!("segment {size}"),
        AncillaryIn::Mark(mark) => format!("mark {mark}"),
        AncillaryIn::J1939DestinationAddress(address) => format!("j1939-address {address}"),
        AncillaryIn::J1939DestinationName(name) => format!("j1939-name {name:x}"),
        AncillaryIn::J1939Priority(priority) => format!("j1939-priority {priority}"),
        AncillaryIn::Raw(raw) => format!("raw {}/{} {}", raw.level, raw.type_, to_hex(&raw.data)),
        other => format!("{other:?}"),
    }
}

fn stamped(stamp: Option<&Timestamp>) -> String {
    stamp.map_or_else(
        || "-".to_owned(),
        |stamp| format!("{}.{:09}", stamp.seconds, stamp.nanoseconds),
    )
}

fn extended(error: &ExtendedError) -> String {
    let origin = match error.origin {
        ErrorOrigin::None => 0,
        ErrorOrigin::Local => 1,
        ErrorOrigin::Icmp => 2,
        ErrorOrigin::Icmp6 => 3,
        ErrorOrigin::TxStatus => 4,
        ErrorOrigin::ZeroCopy => 5,
        ErrorOrigin::TxTime => 6,
        ErrorOrigin::J1939 => 7,
        ErrorOrigin::Other(number) => number,
    };
    let name = named(&Errno::from(error.error).into());
    let offender = error.offender.as_ref().map(ToString::to_string);
    format!(
        "error {name} origin {origin} type {} code {} info {} data {} by {}",
        error.type_,
        error.code,
        error.info,
        error.data,
        offender.as_deref().unwrap_or("-")
    )
}

/// What goes beside a message, with what it borrows.
enum Beside {
    Credentials(Credentials),
    V4(PacketInfoV4),
    V6(PacketInfoV6),
    Hops(u8),
    Class(u8),
    Segment(u16),
    Time(u64),
    Raw(RawAncillary),
}

fn send_msg(
    socket: &Socket,
    flags: MessageFlags,
    to: &str,
    text: &str,
    beside: &[&str],
) -> io::Result<String> {
    let pieces = pieces(text)?;
    let beside: Vec<Beside> = beside
        .iter()
        .map(|word| beside_of(word))
        .collect::<io::Result<_>>()?;
    let to = given(to).map(address).transpose()?;
    let mut message = MessageOut::new().flags(flags);
    for piece in &pieces {
        message = message.piece(piece);
    }
    for beside in &beside {
        message = message.ancillary(match beside {
            Beside::Credentials(own) => AncillaryOut::Credentials(*own),
            Beside::V4(info) => AncillaryOut::PacketInfoV4(info),
            Beside::V6(info) => AncillaryOut::PacketInfoV6(info),
            Beside::Hops(hops) => AncillaryOut::HopLimit(*hops),
            Beside::Class(class) => AncillaryOut::TrafficClass(*class),
            Beside::Segment(size) => AncillaryOut::SegmentSize(*size),
            Beside::Time(time) => AncillaryOut::TxTime(*time),
            Beside::Raw(raw) => AncillaryOut::Raw(raw),
        });
    }
    if let Some(to) = &to {
        message = message.to(to);
    }
    sent(socket.send_msg(&message)?)
}

fn beside_of(word: &str) -> io::Result<Beside> {
    let (kind, rest) = word.split_once('=').unwrap_or((word, ""));
    let words: Vec<&str> = rest.split(',').collect();
    let interface = || words.first().copied().and_then(given).map(str::to_owned);
    Ok(match (kind, &words[..]) {
        ("credentials", [pid, uid, gid]) => Beside::Credentials(Credentials {
            pid: number(pid)?,
            uid: number(uid)?,
            gid: number(gid)?,
        }),
        ("pktinfo", [_, source]) => match source.parse().map_err(wrong)? {
            std::net::IpAddr::V4(source) => Beside::V4(PacketInfoV4 {
                interface: interface(),
                source: source.octets().into(),
                destination: (0, 0, 0, 0),
            }),
            std::net::IpAddr::V6(source) => Beside::V6(PacketInfoV6 {
                interface: interface(),
                address: source.segments().into(),
            }),
        },
        ("hops", [hops]) => Beside::Hops(number(hops)?),
        ("class", [class]) => Beside::Class(number(class)?),
        ("segment", [size]) => Beside::Segment(number(size)?),
        ("txtime", [time]) => Beside::Time(number(time)?),
        ("raw", [level, kind, data]) => Beside::Raw(RawAncillary {
            level: constant(level)?,
            type_: constant(kind)?,
            data: from_hex(data)?,
        }),
        _ => return Err(wrong(word)),
    })
}

fn family_of(word: &str) -> io::Result<Family> {
    Ok(match word {
        "inet" => Family::Inet,
        "inet6" => Family::Inet6,
        "unix" => Family::Unix,
        "can" => Family::Can,
        "alg" => Family::Alg,
        "vsock" => Family::Vsock,
        "tipc" => Family::Tipc,
        "netlink" => Family::Netlink,
        _ => return Err(wrong(word)),
    })
}

fn kind_of(word: &str) -> io::Result<SocketType> {
    Ok(match word {
        "stream" => SocketType::Stream,
        "datagram" => SocketType::Datagram,
        "seqpacket" => SocketType::Seqpacket,
        "raw" => SocketType::Raw,
        _ => return Err(wrong(word)),
    })
}

fn protocol_of(word: &str) -> io::Result<Protocol> {
    Ok(match word {
        "-" => Protocol::Default,
        "raw" => Protocol::CanRaw,
        "j1939" => Protocol::CanJ1939,
        "sctp" => Protocol::Sctp,
        "netlink-route" => Protocol::NetlinkRoute,
        _ => return Err(wrong(word)),
    })
}

fn address(word: &str) -> io::Result<SocketAddress> {
    Ok(match word.split(':').collect::<Vec<_>>()[..] {
        ["can", interface] => CanAddress::on(interface).into(),
        ["j1939", interface, name, pgn, address] => {
            let mut endpoint = match given(name) {
                Some(name) => J1939Address::named(number(name)?),
                None => J1939Address::any(),
            };
            if let Some(pgn) = given(pgn) {
                endpoint = endpoint.pgn(number(pgn)?);
            }
            endpoint.address = given(address).map(number).transpose()?;
            CanAddress::j1939(interface, endpoint).into()
        }
        ["vsock", cid, port] => VsockAddress::new(number(cid)?, number(port)?).into(),
        ["tipc", service, instance] => {
            TipcAddress::service(number(service)?, number(instance)?).into()
        }
        ["alg", kind, name] => AlgAddress::new(kind, name).into(),
        _ => sockgate_test_guests::address(word)?,
    })
}

/// The flags of Python's names, by their numbers.
fn flags(word: &str) -> io::Result<MessageFlags> {
    let mut numbers = 0;
    for name in given(word).into_iter().flat_map(|names| names.split('+')) {
        numbers |= constant(&format!("MSG_{name}"))?;
    }
    MessageFlags::from_number(numbers).ok_or_else(|| Errno::INVAL.into())
}

/// A constant by its name, or a number.
fn constant(word: &str) -> io::Result<i32> {
    match consts::value_of(word) {
        Some(value) => i32::try_from(value).map_err(wrong),
        None => number(word),
    }
}

fn given(word: &str) -> Option<&str> {
    Some(word).filter(|word| *word != "-")
}

fn pieces(text: &str) -> io::Result<Vec<Vec<u8>>> {
    match text {
        "-" => Ok(Vec::new()),
        // So many pieces of one byte each.
        text if text.starts_with("1*") => {
            Ok(data(&text[1..])?.chunks(1).map(<[u8]>::to_vec).collect())
        }
        text => text.split('+').map(data).collect(),
    }
}

fn data(word: &str) -> io::Result<Vec<u8>> {
    match word.strip_prefix('*') {
        Some(length) => {
            let length: usize = number(length)?;
            Ok((0..length).map(|at| (at % 251) as u8).collect())
        }
        None if word.starts_with('x') => from_hex(word),
        None if word == "-" => Ok(Vec::new()),
        None => Ok(word.as_bytes().to_vec()),
    }
}

fn done() -> io::Result<String> {
    Ok("ok".to_owned())
}

fn sent(count: usize) -> io::Result<String> {
    Ok(format!("ok {count}"))
}

/// Words as they are, other bytes in hexadecimal, much of either as its length and hash.
fn text(data: &[u8]) -> String {
    if data.len() > 100 {
        return format!("{} {}", data.len(), sha256(data));
    }
    match data.iter().all(u8::is_ascii_graphic) && !data.is_empty() {
        true => String::from_utf8_lossy(data).into_owned(),
        false => to_hex(data),
    }
}

/// A number, decimal or with `0x`.
fn number<T: TryFrom<i64>>(word: &str) -> io::Result<T> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => word.parse().ok(),
    };
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(format_args!("{word} is no number that fits here")))
}
