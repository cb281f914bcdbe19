//! Runs the steps that its arguments say on netlink, packet and raw IP sockets, and prints what became of
//! each. Data are written in hexadecimal digits, so that a test sends exactly the bytes that it means:
//! `s = netlink route`, `bind s nl:0:1`, `send-to s 1400.. nl:0:0`, `p = packet raw 0806`,
//! `bind p ll:eth0:0806`, `r = ip inet raw 1`, `send-to r 08.. ip:192.0.2.1`, `g = granted NAME`.
//!
//! A step prints `STEP -> OUTCOME`; an error is its errno's name in small letters (`acces`). Steps go on
//! after an error. Its first line is `@guest`, where a log of system calls is cut.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use sockgate_guest::addresses::{NetlinkAddress, PacketAddress};
use sockgate_guest::{Family, Protocol, Socket, SocketAddress, SocketType};
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

fn take(sockets: &mut HashMap<String, Socket>, step: &str) -> io::Result<String> {
    if let Some((name, call)) = step.split_once(" = ") {
        sockets.insert(name.to_owned(), make(call)?);
        return done();
    }
    let words: Vec<&str> = step.split(' ').collect();
    let [verb, name, arguments @ ..] = &words[..] else {
        return Err(wrong(step));
    };
    let socket = sockets.get(*name).ok_or_else(|| wrong(name))?;
    match (*verb, arguments) {
        ("bind", [to]) => socket.bind(address(to)?).and_then(|()| done()),
        ("connect", [to]) => socket.connect(address(to)?).and_then(|()| done()),
        ("local", []) => Ok(format!("ok {}", socket.local_address()?)),
        ("timeout", [milliseconds]) => {
            socket.set_timeout(Duration::from_millis(number(milliseconds)?));
            done()
        }
        ("send", [hex]) => sent(socket.send(&from_hex(hex)?)?),
        ("send-to", [hex, to]) => sent(socket.send_to(&from_hex(hex)?, address(to)?)?),
        ("recv", [max]) => Ok(to_hex(&socket.recv_vec(number(max)?)?)),
        ("recv-from", [max]) => {
            let mut buffer = vec![0; number(max)?];
            let (length, from) = socket.recv_from(&mut buffer)?;
            let from = from.map_or("nobody".to_owned(), |from| from.to_string());
            Ok(format!("{} from {from}", to_hex(&buffer[..length])))
        }
        ("set", [level, option, hex]) => {
            socket.set_raw_option(number(level)?, number(option)?, &from_hex(hex)?)?;
            done()
        }
        ("get", [level, option, max]) => {
            let value = socket.raw_option(number(level)?, number(option)?, number(max)?)?;
            Ok(to_hex(&value))
        }
        _ => Err(wrong(step)),
    }
}

fn make(call: &str) -> io::Result<Socket> {
    let words: Vec<&str> = call.split(' ').collect();
    let (family, socket_type, protocol) = match words[..] {
        ["granted", name] => return Socket::granted(name),
        ["netlink", protocol] => (Family::Netlink, SocketType::Raw, netlink(protocol)?),
        ["packet", style, ethertype] => {
            let ethertype = u16::from_str_radix(ethertype, 16).map_err(wrong)?;
            let protocol = match ethertype {
                0 => Protocol::Default,
                other => Protocol::Ethertype(other),
            };
            (Family::Packet, style_of(style)?, protocol)
        }
        ["ip", family, style, protocol] => {
            let family = match family {
                "inet" => Family::Inet,
                "inet6" => Family::Inet6,
                other => return Err(wrong(other)),
            };
            let protocol = match protocol {
                "1" => Protocol::Icmp,
                "58" => Protocol::Ipv6Icmp,
                "255" => Protocol::RawIp,
                other => Protocol::Other(number(other)?),
            };
            (family, style_of(style)?, protocol)
        }
        _ => return Err(wrong(call)),
    };
    Socket::new(family, socket_type, protocol)
}

fn netlink(word: &str) -> io::Result<Protocol> {
    Ok(match word {
        "route" => Protocol::NetlinkRoute,
        "usersock" => Protocol::NetlinkUsersock,
        "sock-diag" => Protocol::NetlinkSockDiag,
        "netfilter" => Protocol::NetlinkNetfilter,
        "uevent" => Protocol::NetlinkKobjectUevent,
        "generic" => Protocol::NetlinkGeneric,
        other => Protocol::Other(number(other)?),
    })
}

fn style_of(word: &str) -> io::Result<SocketType> {
    match word {
        "raw" => Ok(SocketType::Raw),
        "datagram" => Ok(SocketType::Datagram),
        other => Err(wrong(other)),
    }
}

/// `nl:PID:GROUPS` (a mask), `ll:INTERFACE:ETHERTYPE` (`*` is every interface; hexadecimal), `ip:ADDRESS`.
fn address(word: &str) -> io::Result<SocketAddress> {
    let parts: Vec<&str> = word.splitn(3, ':').collect();
    Ok(match parts[..] {
        ["nl", pid, groups] => NetlinkAddress::port(number(pid)?)
            .groups(number(groups)?)
            .into(),
        ["ll", interface, ethertype] => {
            let ethertype = u16::from_str_radix(ethertype, 16).map_err(wrong)?;
            let address = match interface {
                "*" => PacketAddress::any(ethertype),
                name => PacketAddress::on(name, ethertype),
            };
            address.to([0xff; 6]).into()
        }
        ["ip", ..] => {
            let ip: IpAddr = word[3..].parse().map_err(wrong)?;
            std::net::SocketAddr::new(ip, 0).into()
        }
        _ => return Err(wrong(word)),
    })
}

fn number<T: FromStr<Err: std::fmt::Display>>(word: &str) -> io::Result<T> {
    word.parse().map_err(wrong)
}

fn done() -> io::Result<String> {
    Ok("ok".to_owned())
}

fn sent(length: usize) -> io::Result<String> {
    Ok(format!("ok {length}"))
}
