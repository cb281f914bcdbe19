//! Runs the steps that its arguments say and prints what became of each, so that a test reads as what the
//! guest tries: `s = socket inet datagram`, `bind s 127.0.0.1:0`, `send-to s hello 127.0.0.1:7`.
//!
//! A step prints `STEP -> OUTCOME`; an error is its errno's name in small letters (`acces`). Steps go on
//! after an error. Its first line is `@guest`, where a log of system calls is cut.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use sockgate_guest::ancillary::{
    AncillaryIn, AncillaryOut, BorrowedHandle, Credentials, OwnedHandle, PacketInfoV4,
    PacketInfoV6, RawAncillary,
};
use sockgate_guest::files::File;
use sockgate_guest::{
    Batch, Descriptor, Family, Group, Interest, IoctlRequest, MessageFlags, MessageOut, Poller,
    Protocol, Shutdown, Socket, SocketAddress, SocketType, Timeout, UnixAddress, last_denial,
    names, poll,
};
use sockgate_test_guests::{from_hex, named, wrong};

fn main() {
    println!("@guest");
    let mut guest = Guest::default();
    for step in std::env::args().skip(1) {
        let outcome = match guest.take(&step) {
            Ok(text) => text,
            Err(error) => named(&error),
        };
        println!("{step} -> {outcome}");
        // Tests wait for lines.
        let _ = io::stdout().flush();
    }
}

/// What the steps made so far, by name.
#[derive(Default)]
struct Guest {
    sockets: HashMap<String, Socket>,
    descriptors: HashMap<String, Descriptor>,
    arrived: usize,
}

impl Guest {
    fn take(&mut self, step: &str) -> io::Result<String> {
        match step.split_once(" = ") {
            Some((name, call)) => self.make(name, call),
            None => self.call(step),
        }
    }

    fn socket(&self, name: &str) -> io::Result<&Socket> {
        self.sockets
            .get(name)
            .ok_or_else(|| wrong(format_args!("no socket is called {name}")))
    }

    /// Steps that make something.
    fn make(&mut self, name: &str, call: &str) -> io::Result<String> {
        let words: Vec<&str> = call.split(' ').collect();
        match words[..] {
            ["socket", kind, style] => {
                let socket = Socket::new(family(kind)?, socket_type(style)?, Protocol::Default)?;
                self.sockets.insert(name.to_owned(), socket);
                done()
            }
            ["pair", style] => {
                let (one, other) =
                    Socket::pair(Family::Unix, socket_type(style)?, Protocol::Default)?;
                self.sockets.insert(name.to_owned(), one);
                self.sockets.insert(format!("{name}'"), other);
                done()
            }
            ["accept", listener] => {
                let (socket, peer) = self.socket(listener)?.accept()?;
                self.sockets.insert(name.to_owned(), socket);
                Ok(format!("ok {peer}"))
            }
            ["granted", what] => {
                let socket = Socket::granted(what)?;
                self.sockets.insert(name.to_owned(), socket);
                done()
            }
            ["dup", what] => {
                let socket = self.socket(what)?.try_clone()?;
                self.sockets.insert(name.to_owned(), socket);
                done()
            }
            ["pidfd", what] => {
                let pidfd = self.socket(what)?.peer_pidfd()?;
                self.descriptors.insert(name.to_owned(), pidfd);
                done()
            }
            ["detach", what] => {
                let socket = self.sockets.remove(what).ok_or_else(|| wrong(what))?;
                self.descriptors.insert(name.to_owned(), socket.detach()?);
                done()
            }
            _ => Err(wrong(call)),
        }
    }

    fn call(&mut self, step: &str) -> io::Result<String> {
        let words: Vec<&str> = step.split(' ').collect();
        let [verb, rest @ ..] = &words[..] else {
            return Err(wrong(step));
        };
        match (*verb, rest) {
            // What is said and waited for, to keep in step with the test.
            ("say", _) => done(),
            ("until", [file]) => until(Path::new(file)),
            ("sleep", [milliseconds]) => {
                std::thread::sleep(Duration::from_millis(number(milliseconds)?));
                done()
            }
            // Nothing but the end of the process ends it.
            ("spin", []) => loop {
                std::hint::spin_loop();
            },
            ("denial", []) => Ok(last_denial().unwrap_or_else(|| "none".to_owned())),
            ("env", [name]) => Ok(std::env::var(name).unwrap_or_else(|_| "none".to_owned())),
            ("read", [file]) => std::fs::read_to_string(file),
            ("exit", [status]) => std::process::exit(number(status)?),
            ("panic", []) => panic!("as the test asked"),
            ("close", [name]) => {
                self.sockets.remove(*name).ok_or_else(|| wrong(name))?;
                done()
            }
            ("recv-msg", [name, max, room]) => self.recv_msg(name, number(max)?, number(room)?),
            ("lookup", [host]) => {
                let host: &str = &host.replace("%00", "\0");
                let found = names::look_up(Some(host), None, &names::Hints::default())?;
                let found: Vec<_> = found.iter().map(|info| info.address.to_string()).collect();
                Ok(format!("ok {}", found.join(" ")))
            }
            ("host-name", []) => Ok(format!("ok {}", names::host_name()?)),
            ("set-host-name", [name]) => names::set_host_name(name).and_then(|()| done()),
            ("interfaces", []) => Ok(format!("ok {}", names::interfaces()?.len())),
            ("reverse", [ip]) => {
                let ip = ip.parse().map_err(wrong)?;
                let found = names::host_by_address(ip, Timeout::Blocking)?;
                Ok(format!("ok {}", String::from_utf8_lossy(&found.name)))
            }
            (_, [name, arguments @ ..]) => self.on_socket(verb, name, arguments),
            _ => Err(wrong(step)),
        }
    }

    fn on_socket(&self, verb: &str, name: &str, arguments: &[&str]) -> io::Result<String> {
        let socket = self.socket(name)?;
        match (verb, arguments) {
            ("timeout", [milliseconds]) => {
                socket.set_timeout(Duration::from_millis(number(milliseconds)?));
                done()
            }
            ("bind", [to]) => socket.bind(address(to)?).and_then(|()| done()),
            ("listen", []) => socket.listen(16).and_then(|()| done()),
            ("accept", []) => socket.accept().map(|(_, peer)| format!("ok {peer}")),
            ("connect", [to]) => socket.connect(address(to)?).and_then(|()| done()),
            ("connect-name", [to]) => socket.connect(*to).and_then(|()| done()),
            ("shutdown", []) => socket.shutdown(Shutdown::Both).and_then(|()| done()),
            ("local", []) => Ok(format!("ok {}", socket.local_address()?)),
            ("peer", []) => Ok(format!("ok {}", socket.peer_address()?)),
            ("send", [text]) => bytes(socket.send(text.as_bytes())?),
            ("send", [text, set]) => bytes(socket.send_with(text.as_bytes(), flags(set)?)?),
            ("send-to", [text, to]) => bytes(socket.send_to(text.as_bytes(), address(to)?)?),
            ("send-to", [text, to, set]) => {
                bytes(socket.send_to_with(text.as_bytes(), address(to)?, flags(set)?)?)
            }
            ("send-msg-to", [text, to]) => {
                let to = address(to)?;
                bytes(socket.send_msg(&MessageOut::new().piece(text.as_bytes()).to(&to))?)
            }
            ("send-many", to) => send_many(socket, to),
            ("send-from", [text, source, to]) => send_from(socket, text, source, &address(to)?),
            ("send-credentials", [pid, uid]) => {
                let forged = Credentials {
                    pid: number(pid)?,
                    uid: number(uid)?,
                    gid: 0,
                };
                let message = MessageOut::new().piece(b"forged");
                bytes(socket.send_msg(&message.ancillary(AncillaryOut::Credentials(forged)))?)
            }
            ("send-raw", [level, kind, hex]) => {
                let raw = RawAncillary {
                    level: number(level)?,
                    type_: number(kind)?,
                    data: from_hex(hex)?,
                };
                let message = MessageOut::new().piece(b"raw");
                bytes(socket.send_msg(&message.ancillary(AncillaryOut::Raw(&raw)))?)
            }
            ("send-handles", [count, what]) => self.send_handles(socket, number(count)?, what),
            ("recv", [max]) => Ok(text(&socket.recv_vec(number(max)?)?)),
            ("recv", [max, set]) => Ok(text(&socket.recv_vec_with(number(max)?, flags(set)?)?)),
            ("recv-from", [max]) => {
                let mut buffer = vec![0; number(max)?];
                let (length, source) = socket.recv_from(&mut buffer)?;
                let source = source.map_or("nobody".to_owned(), |source| source.to_string());
                Ok(format!("{} from {source}", text(&buffer[..length])))
            }
            ("recv-many", [count]) => {
                let batch = socket.recv_many(number(count)?, 2048)?;
                let found: Vec<_> = batch.iter().map(|message| text(message.data)).collect();
                Ok(found.join(" "))
            }
            ("poll", [milliseconds]) => polled(socket, number(milliseconds)?),
            ("poller", [milliseconds]) => pollered(socket, number(milliseconds)?),
            ("set", [level, option, hex]) => socket
                .set_raw_option(number(level)?, number(option)?, &from_hex(hex)?)
                .and_then(|()| done()),
            ("error", []) => Ok(format!("ok {:?}", socket.take_error()?)),
            ("interrupt", []) => {
                socket.interrupt();
                done()
            }
            ("set-zeros", [level, option, count]) => socket
                .set_raw_option(number(level)?, number(option)?, &vec![0; number(count)?])
                .and_then(|()| done()),
            ("get", [level, option, max]) => {
                let found = socket.raw_option(number(level)?, number(option)?, number(max)?)?;
                let found: Vec<_> = found.iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(format!("ok {}", found.join("")))
            }
            ("typed", [option, value]) => typed(socket, option, value).and_then(|()| done()),
            ("join", [group]) => match group.parse() {
                Ok(SocketAddr::V4(group)) => socket.join_group(&Group::v4(*group.ip())),
                Ok(SocketAddr::V6(group)) => socket.join_group(&Group::v6(*group.ip())),
                Err(error) => Err(wrong(error)),
            }
            .and_then(|()| done()),
            ("peercred", []) => {
                let Credentials { pid, uid, gid } = socket.peer_credentials()?;
                Ok(format!("ok pid {pid} uid {uid} gid {gid}"))
            }
            ("readable", []) => Ok(format!("ok {}", socket.ioctl(IoctlRequest::BytesReadable)?)),
            ("splice", [to, max]) => bytes(socket.splice(self.socket(to)?, number(max)?)? as usize),
            ("send-file", [path, offset, count]) => send_file(socket, path, offset, count),
            ("send-file-piece", [path, offset, count]) => {
                let file = File::open(path)?;
                bytes(socket.send_file_piece(&file, number(offset)?, number(count)?)? as usize)
            }
            ("subscribe", [count]) => subscribe(socket, number(count)?),
            ("poll-list", [count]) => {
                let list: Vec<_> = (0..number(count)?)
                    .map(|_| (socket, Interest::READABLE))
                    .collect();
                poll(&list, Timeout::NonBlocking).map(|found| format!("ok {}", found.len()))
            }
            ("time-out", []) => Ok(format!("ok {:?}", socket.timeout())),
            ("fill", []) => fill(socket),
            ("splice", [to]) => bytes(socket.splice(self.socket(to)?, 1 << 16)? as usize),
            _ => Err(wrong(format_args!("{verb} {arguments:?}"))),
        }
    }

    fn send_handles(&self, through: &Socket, count: usize, what: &str) -> io::Result<String> {
        let mut handles: Vec<BorrowedHandle<'_>> = Vec::with_capacity(count);
        for _ in 0..count {
            handles.push(match (self.sockets.get(what), self.descriptors.get(what)) {
                (Some(socket), _) => socket.into(),
                (None, Some(descriptor)) => descriptor.into(),
                (None, None) => return Err(wrong(format_args!("nothing is called {what}"))),
            });
        }
        bytes(through.send_handles(b"handles", &handles)?)
    }

    /// Prints what came beside the data; sockets among it are kept as `in0`, `in1`, ...
    fn recv_msg(&mut self, name: &str, max: usize, room: u32) -> io::Result<String> {
        let mut message = self
            .socket(name)?
            .recv_msg(max, room, MessageFlags::empty())?;
        let mut parts = vec![text(&message.data)];
        if message.flags.contains(MessageFlags::CTRUNC) {
            parts.push("ctrunc".to_owned());
        }
        for handle in message.take_handles() {
            parts.push(self.keep(handle));
        }
        for ancillary in &message.ancillary {
            match ancillary {
                AncillaryIn::Rights(_) => {}
                AncillaryIn::Credentials(from) => {
                    parts.push(format!("credentials pid {} uid {}", from.pid, from.uid));
                }
                other => parts.push(format!("{other:?}")),
            }
        }
        Ok(parts.join(" + "))
    }

    fn keep(&mut self, handle: OwnedHandle) -> String {
        let name = format!("in{}", self.arrived);
        self.arrived += 1;
        match handle.into_socket() {
            Ok(socket) => {
                self.sockets.insert(name.clone(), socket);
                format!("socket {name}")
            }
            Err(descriptor) => {
                self.descriptors.insert(name.clone(), descriptor);
                format!("opaque {name}")
            }
        }
    }
}

/// Sends a file and says how many bytes went, and how far it came. `all` of it, or so many bytes.
fn send_file(socket: &Socket, path: &str, offset: &str, count: &str) -> io::Result<String> {
    let file = File::open(path)?;
    let count = match count {
        "all" => None,
        count => Some(number(count)?),
    };
    let outcome = match socket.send_file(&file, number(offset)?, count) {
        Ok(sent) => format!("ok {sent}"),
        Err(error) => named(&error),
    };
    Ok(format!("{outcome} at {}", file.position()))
}

/// Asks for so many pollables and keeps them all; how many there were, and what the next answered.
fn subscribe(socket: &Socket, count: usize) -> io::Result<String> {
    let mut kept = Vec::new();
    let error = loop {
        if kept.len() == count {
            break "none".to_owned();
        }
        match socket.subscribe(Interest::READABLE) {
            Ok(pollable) => kept.push(pollable),
            Err(error) => break named(&error),
        }
    };
    Ok(format!("{} kept, then {error}", kept.len()))
}

/// Sends until the socket takes nothing more.
fn fill(socket: &Socket) -> io::Result<String> {
    let data = vec![b'.'; 1 << 16];
    let mut sent = 0;
    loop {
        match socket.send_with(&data, MessageFlags::DONT_WAIT) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return bytes(sent),
            Err(error) => return Err(error),
        }
    }
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

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse()
        .map_err(|_| wrong(format_args!("{word} is no number that fits here")))
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
        _ => Family::Other(number(word)?),
    })
}

fn socket_type(word: &str) -> io::Result<SocketType> {
    Ok(match word {
        "stream" => SocketType::Stream,
        "datagram" => SocketType::Datagram,
        "seqpacket" => SocketType::Seqpacket,
        _ => return Err(wrong(word)),
    })
}

/// `127.0.0.1:80`, `[::1%lo]:80`, `path:/run/x`, `abstract:name`, `unnamed`, `unspecified`. `%00` in a name is a
/// NUL, which no argument can hold.
fn address(word: &str) -> io::Result<SocketAddress> {
    let bytes = |text: &str| text.replace("%00", "\0").into_bytes();
    if let Some(path) = word.strip_prefix("path:") {
        return Ok(UnixAddress::Pathname(bytes(path)).into());
    }
    if let Some(name) = word.strip_prefix("abstract:") {
        return Ok(UnixAddress::Abstract(bytes(name)).into());
    }
    match word {
        "unnamed" => return Ok(UnixAddress::Unnamed.into()),
        "unspecified" => return Ok(SocketAddress::Unspecified),
        _ => {}
    }
    Ok(word.parse::<SocketAddr>().map_err(wrong)?.into())
}

fn flags(word: &str) -> io::Result<MessageFlags> {
    let mut set = MessageFlags::empty();
    for word in word.split('|') {
        set |= match word {
            "oob" => MessageFlags::OOB,
            "peek" => MessageFlags::PEEK,
            "dont-wait" => MessageFlags::DONT_WAIT,
            "err-queue" => MessageFlags::ERR_QUEUE,
            "fast-open" => MessageFlags::FAST_OPEN,
            "dont-route" => MessageFlags::DONT_ROUTE,
            "confirm" => MessageFlags::CONFIRM,
            "zero-copy" => MessageFlags::ZERO_COPY,
            "proxy" => MessageFlags::PROXY,
            _ => return Err(wrong(word)),
        };
    }
    Ok(set)
}

/// One datagram `m0`, `m1`, ... to each address in one call.
fn send_many(socket: &Socket, to: &[&str]) -> io::Result<String> {
    let to: Vec<_> = to
        .iter()
        .map(|word| address(word))
        .collect::<io::Result<_>>()?;
    let mut batch = Batch::new();
    for (place, to) in to.iter().enumerate() {
        batch.push_to(format!("m{place}").as_bytes(), to);
    }
    let sent = socket.send_many(&batch, MessageFlags::empty())?;
    let error = sent.error.map_or("none".to_owned(), |errno| {
        errno.name().trim_start_matches('E').to_lowercase()
    });
    Ok(format!("{} sent, then {error}", sent.count))
}

/// A datagram whose source address is named by IP_PKTINFO or IPV6_PKTINFO.
fn send_from(socket: &Socket, text: &str, source: &str, to: &SocketAddress) -> io::Result<String> {
    let message = MessageOut::new().piece(text.as_bytes()).to(to);
    let sent = match source.parse().map_err(wrong)? {
        IpAddr::V4(source) => {
            let packet_info = PacketInfoV4 {
                interface: None,
                source: source.octets().into(),
                destination: Ipv4Addr::UNSPECIFIED.octets().into(),
            };
            socket.send_msg(&message.ancillary(AncillaryOut::PacketInfoV4(&packet_info)))
        }
        IpAddr::V6(source) => {
            let packet_info = PacketInfoV6 {
                interface: None,
                address: source.segments().into(),
            };
            socket.send_msg(&message.ancillary(AncillaryOut::PacketInfoV6(&packet_info)))
        }
    };
    bytes(sent?)
}

fn polled(socket: &Socket, milliseconds: u64) -> io::Result<String> {
    let ready = poll(
        &[(socket, Interest::READABLE)],
        Duration::from_millis(milliseconds),
    )?;
    Ok(match ready.first() {
        Some(_) => "ready".to_owned(),
        None => "nothing".to_owned(),
    })
}

fn pollered(socket: &Socket, milliseconds: u64) -> io::Result<String> {
    let poller = Poller::new()?;
    poller.register(socket, 7, Interest::READABLE)?;
    let ready = poller.wait(8, Duration::from_millis(milliseconds))?;
    Ok(match ready.first() {
        Some(_) => "ready".to_owned(),
        None => "nothing".to_owned(),
    })
}

/// Options by their names.
fn typed(socket: &Socket, option: &str, value: &str) -> io::Result<()> {
    let on = value == "1";
    match option {
        "v6-only" => socket.set_v6_only(on),
        "broadcast" => socket.set_broadcast(on),
        "reuse-port" => socket.set_reuse_port(on),
        "reuse-address" => socket.set_reuse_address(on),
        "keep-alive" => socket.set_keep_alive(on),
        "no-delay" => socket.set_no_delay(on),
        "pass-credentials" => socket.set_pass_credentials(on),
        "mark" => socket.set_mark(number(value)?),
        "priority" => socket.set_priority(number(value)?),
        "bind-to-device" => socket.set_bind_to_device(value),
        _ => Err(wrong(option)),
    }
}
