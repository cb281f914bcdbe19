//! Answers questions about names, one a line on stdin: `gethostbyname | localhost`. Each answer is one line
//! in the words of tests/native/names.py, whose Python answers the same questions.

use std::fmt::Display;
use std::io::{self, BufRead};
use std::net::{IpAddr, SocketAddr};

use sockgate_guest::addresses::Scope;
use sockgate_guest::names::{
    self, AddressInfo, Hints, HostEntry, IpAddress, LookupFlags, NameFlags,
};
use sockgate_guest::{
    Errno, Family, HostError, NameError, Protocol, Socket, SocketAddress, SocketType, Timeout,
    ToAddress,
};

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split('|').map(|word| text(word.trim_matches(' ')));
        let call = words.next().flatten().unwrap_or_default();
        if call == "@guest" {
            // Where a log of system calls is cut.
            println!("@guest");
            continue;
        }
        let words: Vec<_> = words.collect();
        let words: Vec<_> = words.iter().map(Option::as_deref).collect();
        match answer(&call, &words) {
            Ok(answer) if answer.is_empty() => println!("ok"),
            Ok(answer) => println!("ok {answer}"),
            Err(failure) => println!("{}", failure.0),
        }
    }
    Ok(())
}

/// What Python raises, in one line.
struct Failure(String);

impl Failure {
    fn name(error: NameError) -> Failure {
        match error {
            NameError::System(errno) => Failure(format!("error {}", errno.name())),
            error => Failure(format!(
                "gaierror {} {} {}",
                error.name(),
                error.number(),
                error.message()
            )),
        }
    }

    fn host(error: NameError) -> Failure {
        match error.host_error() {
            Some(host) => Failure(format!("herror {} {}", host.number(), host.message())),
            None => Failure::name(error),
        }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Failure {
        Failure::name(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let name = error.get_ref().and_then(|inner| inner.downcast_ref());
        match (name, Errno::of(&error)) {
            (Some(name), _) => Failure::name(*name),
            (None, Some(errno)) => Failure(format!("error {}", errno.name())),
            (None, None) => Failure("error".to_owned()),
        }
    }
}

/// A number that Python's call does not take either.
fn number<T: std::str::FromStr>(word: &str) -> Result<T, Failure> {
    word.parse().map_err(|_| Failure("error".to_owned()))
}

/// A field: `none`, text with escapes, or `""`.
fn text(word: &str) -> Option<String> {
    match word {
        "none" => None,
        "\"\"" => Some(String::new()),
        word => Some(
            word.replace("\\t", "\t")
                .replace("\\n", "\n")
                .replace("\\x0b", "\u{b}")
                .replace("\\0", "\0")
                .replace("\\x20", " "),
        ),
    }
}

fn answer(call: &str, words: &[Option<&str>]) -> Result<String, Failure> {
    match (call, words) {
        ("getaddrinfo", [host, service, family, kind, protocol, flags]) => {
            // `=80` is a number in Python's hands and the same text in ours.
            let service = service.map(|service| service.strip_prefix('=').unwrap_or(service));
            let hints = Hints {
                family: family.map(family_of).transpose()?.flatten(),
                socket_type: kind.map(type_of).transpose()?.flatten(),
                protocol: protocol.map(protocol_of).transpose()?.flatten(),
                flags: LookupFlags::from_number(bits(flags.unwrap_or("0"))?)
                    .ok_or(NameError::BadFlags)?,
                timeout: Timeout::Blocking,
            };
            let found = names::look_up(*host, service, &hints)?;
            let found: Vec<_> = found.iter().map(info).collect();
            Ok(found.join("; "))
        }
        ("getnameinfo", [Some(host), Some(port), Some(flags), scope @ ..]) => {
            let flags = NameFlags::from_number(bits(flags)?).ok_or(NameError::BadFlags)?;
            let hints = Hints {
                socket_type: Some(SocketType::Datagram),
                flags: LookupFlags::NUMERIC_HOST,
                ..Hints::default()
            };
            let port: u16 = number(port)?;
            let found = names::look_up(Some(host), Some(&port.to_string()), &hints)?;
            let mut address = found[0].address.clone();
            if let SocketAddress::Inet6(v6) = &mut address {
                // Python's tuple has the scope apart, and none is 0.
                v6.scope = match scope.first().copied().flatten() {
                    None => Scope::Unscoped,
                    Some(scope) => Scope::Index(number(scope)?),
                };
            }
            let (host, service) = names::name_of(&address, flags, Timeout::Blocking)?;
            Ok(format!("{host} {service}"))
        }
        ("gethostbyname", [Some(name)]) => shown(names::host_address(name, None)?),
        ("gethostbyname_ex", [Some(name)]) => Ok(entry(names::host_by_name(name, None)?)),
        ("gethostbyaddr", [Some(name)]) => {
            // Python resolves the name first, and its own errors are those of that step.
            let any = Hints {
                socket_type: Some(SocketType::Datagram),
                ..Hints::default()
            };
            let found = names::look_up(Some(name), None, &any)?;
            let ip = found[0].address.as_ip().ok_or(NameError::NoData)?.ip();
            let found = names::host_by_address(ip, None).map_err(Failure::host)?;
            Ok(entry(found))
        }
        ("getfqdn", [Some(name)]) => shown(names::fqdn(name, None)?),
        ("gethostname", []) => shown(names::host_name()?),
        ("getservbyname", [Some(name), protocol @ ..]) => {
            let protocol = protocol.first().copied().flatten();
            shown(names::service_by_name(name, protocol)?.port)
        }
        ("getservbyport", [Some(port), protocol @ ..]) => {
            let protocol = protocol.first().copied().flatten();
            shown(names::service_by_port(number(port)?, protocol)?.name)
        }
        ("getprotobyname", [Some(name)]) => shown(names::protocol_by_name(name)?.number),
        ("if_nameindex", []) => {
            let all = names::interfaces()?;
            let all: Vec<_> = all
                .iter()
                .map(|i| format!("{}={}", i.index, i.name))
                .collect();
            Ok(all.join(" "))
        }
        ("if_nametoindex", [Some(name)]) => shown(names::interface_index(name)?),
        ("if_indextoname", [Some(index)]) => shown(names::interface_name(number(index)?)?),
        ("inet_aton", [Some(text)]) => Ok(hex(&names::inet_aton(text)?)),
        ("inet_ntoa", [Some(packed)]) => shown(names::inet_ntoa(&bytes(packed)?)?),
        ("inet_pton", [Some(family), Some(text)]) => {
            let family = family_of(family)?.unwrap_or(Family::Other(0));
            Ok(hex(&names::inet_pton(family, text)?))
        }
        ("inet_ntop", [Some(family), Some(packed)]) => {
            let family = family_of(family)?.unwrap_or(Family::Other(0));
            shown(names::inet_ntop(family, &bytes(packed)?)?)
        }
        ("htons", [Some(value)]) => shown(names::htons(number(value)?)),
        ("htonl", [Some(value)]) => shown(names::htonl(number(value)?)),
        ("ntohs", [Some(value)]) => shown(names::ntohs(number(value)?)),
        ("ntohl", [Some(value)]) => shown(names::ntohl(number(value)?)),
        ("gai_error", [Some(value)]) => {
            let error = NameError::from_number(number(value)?);
            Ok(format!(
                "{} {} {}",
                error.name(),
                error.number(),
                error.message()
            ))
        }
        ("host_error", [Some(value)]) => {
            let value: i32 = number(value)?;
            let errors = [
                HostError::HostNotFound,
                HostError::TryAgain,
                HostError::NoRecovery,
                HostError::NoData,
            ];
            let error = errors.iter().find(|error| error.number() == value);
            shown(error.map_or("none", |error| error.message()))
        }
        ("lookup_flags", [Some(value)]) => {
            let flags = LookupFlags::from_number(bits(value)?);
            let flags = flags.ok_or(NameError::BadFlags)?;
            let named = LOOKUP_FLAGS
                .iter()
                .filter(|(flag, _)| flags.contains(*flag));
            let named: Vec<_> = named.map(|(_, name)| *name).collect();
            Ok(format!("{} {}", flags.number(), named.join(" ")))
        }
        // Beyond what Python is asked.
        ("protocol-name", [Some(value)]) => {
            let found = names::protocol_by_number(number(value)?)?;
            Ok(format!("{} {:?}", found.name, found.aliases))
        }
        ("service-row", [Some(name)]) => {
            let found = names::service_by_name(name, None)?;
            Ok(format!(
                "{} {:?} {} {}",
                found.name, found.aliases, found.port, found.protocol
            ))
        }
        ("sethostname", [Some(name)]) => {
            names::set_host_name(name)?;
            Ok(String::new())
        }
        ("within", [Some(milliseconds), Some(name)]) => {
            let hints = Hints {
                timeout: Timeout::After(number::<u64>(milliseconds)? * 1_000_000),
                ..Hints::default()
            };
            let error = match names::look_up(Some(name), None, &hints) {
                Ok(found) => return shown(found.len()),
                Err(error) => error,
            };
            let late = error.is_timeout();
            Ok(format!("{late} {:?}", io::Error::from(error).kind()))
        }
        ("address", [Some(kind), Some(address)]) => given(kind, address),
        ("host-port", [Some(kind), Some(host), Some(port)]) => {
            place(&socket(kind)?, (*host, number(port)?))
        }
        ("flow", [Some(kind), Some(host), Some(port), Some(flow), Some(scope)]) => place(
            &socket(kind)?,
            (*host, number(port)?, number(flow)?, number(scope)?),
        ),
        ("bind", [Some(kind), Some(address)]) => {
            let socket = socket(kind)?;
            socket.bind(*address)?;
            shown(socket.local_address()?)
        }
        ("send", [Some(kind), Some(address), Some(data)]) => {
            let socket = socket(kind)?;
            socket.send_to(data.as_bytes(), *address)?;
            shown(socket.local_address()?.as_ip().map_or(0, |ip| ip.port()))
        }
        ("broadcast", [Some(address), Some(data)]) => {
            let socket = socket("udp")?;
            socket.set_broadcast(true)?;
            socket.send_to(data.as_bytes(), *address)?;
            shown(socket.local_address()?)
        }
        ("connect", [Some(kind), Some(address)]) => {
            let socket = socket(kind)?;
            socket.connect(*address)?;
            shown(socket.peer_address()?)
        }
        _ => Err(Failure(format!("no such question: {call} {words:?}"))),
    }
}

/// What text becomes as an address of a socket.
fn given(kind: &str, address: &str) -> Result<String, Failure> {
    place(&socket(kind)?, address)
}

fn place(socket: &Socket, address: impl ToAddress) -> Result<String, Failure> {
    let address = address.to_address(socket)?;
    Ok(match &*address {
        SocketAddress::Inet6(v6) => format!("{address} flow {}", v6.flowinfo),
        other => other.to_string(),
    })
}

fn socket(kind: &str) -> io::Result<Socket> {
    let (family, socket_type) = match kind {
        "udp" => (Family::Inet, SocketType::Datagram),
        "udp6" => (Family::Inet6, SocketType::Datagram),
        "tcp" => (Family::Inet, SocketType::Stream),
        "tcp6" => (Family::Inet6, SocketType::Stream),
        _ => (Family::Unix, SocketType::Datagram),
    };
    Socket::new(family, socket_type, Protocol::Default)
}

/// Which flag is called what in netdb.h.
const LOOKUP_FLAGS: [(LookupFlags, &str); 7] = [
    (LookupFlags::PASSIVE, "AI_PASSIVE"),
    (LookupFlags::CANONICAL_NAME, "AI_CANONNAME"),
    (LookupFlags::NUMERIC_HOST, "AI_NUMERICHOST"),
    (LookupFlags::V4_MAPPED, "AI_V4MAPPED"),
    (LookupFlags::ALL, "AI_ALL"),
    (LookupFlags::ADDRESS_CONFIG, "AI_ADDRCONFIG"),
    (LookupFlags::NUMERIC_SERVICE, "AI_NUMERICSERV"),
];

fn shown(value: impl Display) -> Result<String, Failure> {
    Ok(value.to_string())
}

/// A number as Python's `int(word, 0)` reads it.
fn bits(word: &str) -> Result<i32, Failure> {
    match word.strip_prefix("0x") {
        Some(digits) => i32::from_str_radix(digits, 16).map_err(|_| Failure("error".into())),
        None => number(word),
    }
}

fn family_of(word: &str) -> Result<Option<Family>, Failure> {
    let family = number(word)?;
    Ok((family != 0).then(|| Family::from_number(family)))
}

fn type_of(word: &str) -> Result<Option<SocketType>, Failure> {
    let socket_type = number(word)?;
    Ok((socket_type != 0).then(|| SocketType::from_number(socket_type)))
}

fn protocol_of(word: &str) -> Result<Option<Protocol>, Failure> {
    let protocol = number(word)?;
    Ok((protocol != 0).then(|| Protocol::from_number(Family::Inet, protocol)))
}

fn info(info: &AddressInfo) -> String {
    let family = info.family.number().unwrap_or_default();
    let (kind, protocol) = (info.socket_type.number(), info.protocol.number());
    let name = info.canonical_name.as_deref().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    format!(
        "{family} {kind} {protocol} '{name}' {}",
        parts(&info.address)
    )
}

/// An address as Python's tuples have it.
fn parts(address: &SocketAddress) -> String {
    match (address.as_ip(), address) {
        (Some(SocketAddr::V6(ip)), SocketAddress::Inet6(v6)) => {
            let host = ip_text(IpAddr::V6(*ip.ip()));
            format!("{host}/{}/{}/{}", v6.port, v6.flowinfo, ip.scope_id())
        }
        (Some(ip), _) => format!("{}/{}", ip.ip(), ip.port()),
        (None, other) => other.to_string(),
    }
}

fn entry(entry: HostEntry) -> String {
    let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
    let aliases: Vec<_> = entry.aliases.iter().map(text).collect();
    let ips = entry.addresses.iter().map(|ip| match *ip {
        IpAddress::V4(octets) => IpAddr::from(<[u8; 4]>::from(octets)),
        IpAddress::V6(groups) => IpAddr::from(<[u16; 8]>::from(groups)),
    });
    let ips: Vec<_> = ips.map(ip_text).collect();
    format!(
        "{} [{}] [{}]",
        text(&entry.name),
        aliases.join(" "),
        ips.join(" ")
    )
}

/// The text that the C library makes of an address.
fn ip_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => names::inet_ntop(Family::Inet6, &ip.octets()).unwrap_or_default(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(word: &str) -> Result<Vec<u8>, Failure> {
    sockgate_test_guests::from_hex(word).map_err(Failure::from)
}
