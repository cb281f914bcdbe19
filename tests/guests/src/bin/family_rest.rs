//! What is left of the Unix domain, and the families that a guest can do little with, as told by its first word:
//!
//! - `peer PATH` connects and tells who listens there: label, groups;
//! - `labels PATH` binds a datagram socket and tells the label and the process of one message;
//! - `kcm` and `xdp` make such a socket and try what it is for;
//! - `smc-serve ADDRESS` and `smc-call ADDRESS` echo and compare.

use std::io;

use sockgate_guest::addresses::OtherAddress;
use sockgate_guest::{Errno, Family, MessageFlags, Protocol, Socket, SocketType, UnixDatagram};
use sockgate_test_guests::{address, pattern, tell, word, words};

const SOL_SOCKET: i32 = 1;
const SO_PEERSEC: i32 = 31;
const SO_PASSSEC: i32 = 34;
const SO_PEERGROUPS: i32 = 59;
const SO_PASSPIDFD: i32 = 76;
const SO_PEERPIDFD: i32 = 77;
const SOL_KCM: i32 = 281;
const SOL_XDP: i32 = 283;
const AF_XDP: u16 = 44;

fn main() {
    println!("@guest");
    if let Err(error) = run() {
        println!("failed {}", said(&error));
        std::process::exit(1);
    }
}

fn said(error: &io::Error) -> String {
    Errno::of(error).map_or_else(|| error.to_string(), |errno| errno.name().to_owned())
}

/// Tells what came of one step, which is no reason to end.
fn step<T>(name: &str, outcome: io::Result<T>, shown: impl Fn(T) -> String) {
    match outcome {
        Ok(value) => println!("{name}: {}", shown(value)),
        Err(error) => println!("{name}: {}", said(&error)),
    }
}

fn run() -> io::Result<()> {
    let mut words = words();
    let mut next = |name| word(&mut words, name);
    match next("TASK")?.as_str() {
        "peer" => peer(&next("PATH")?),
        "labels" => labels(&next("PATH")?),
        "kcm" => {
            let socket = Socket::new(Family::Kcm, SocketType::Datagram, Protocol::Default)?;
            println!("made {:?}", socket.family()?);
            step(
                "option",
                socket.set_raw_option(SOL_KCM, 1, &[1, 0, 0, 0]),
                |()| "set".to_owned(),
            );
            // No connection was attached to its multiplexor: there is nothing to receive yet.
            socket.set_nonblocking(true);
            step("receive", socket.recv(&mut [0; 10]), |length| {
                length.to_string()
            });
            Ok(())
        }
        "xdp" => {
            let socket = Socket::new(Family::Xdp, SocketType::Raw, Protocol::Default)?;
            println!("made {:?}", socket.family()?);
            // XDP_UMEM_REG names memory of the process.
            step(
                "memory",
                socket.set_raw_option(SOL_XDP, 4, &[0; 32]),
                |()| "set".to_owned(),
            );
            let name = OtherAddress::new(AF_XDP, [0; 14]);
            step("bind", socket.bind(name), |()| "bound".to_owned());
            Ok(())
        }
        "smc-serve" => {
            let listener = Socket::new(Family::Smc, SocketType::Stream, Protocol::Default)?;
            listener.bind(address(&next("ADDRESS")?)?)?;
            listener.listen(5)?;
            println!("listening on {}", listener.local_address()?);
            let (connection, _) = listener.accept()?;
            let data = connection.recv_vec(4096)?;
            connection.send_all(&data)?;
            tell("echoed", &data);
            Ok(())
        }
        "smc-call" => {
            let socket = Socket::new(Family::Smc, SocketType::Stream, Protocol::Default)?;
            socket.connect(address(&next("ADDRESS")?)?)?;
            let data = pattern(1, 1000);
            socket.send_all(&data)?;
            let mut back = Vec::new();
            while back.len() < data.len() {
                back.extend(socket.recv_vec(4096)?);
            }
            tell("agreed", &back);
            Ok(())
        }
        other => Err(io::Error::other(format!("no such task: {other}"))),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}

fn peer(path: &str) -> io::Result<()> {
    let socket = Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)?;
    socket.connect(address(path)?)?;
    println!("connected");
    step(
        "label",
        socket.raw_option(SOL_SOCKET, SO_PEERSEC, 1000),
        |label| text(&label),
    );
    step(
        "groups",
        socket.raw_option(SOL_SOCKET, SO_PEERGROUPS, 1000),
        |groups| {
            let groups = groups.chunks_exact(4);
            let groups =
                groups.map(|group| u32::from_le_bytes([group[0], group[1], group[2], group[3]]));
            groups
                .map(|group| group.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        },
    );
    // A bare descriptor's number would be one of the host's.
    step(
        "pidfd",
        socket.raw_option(SOL_SOCKET, SO_PEERPIDFD, 4),
        |fd| format!("{fd:?}"),
    );
    Ok(())
}

fn labels(path: &str) -> io::Result<()> {
    let datagrams = UnixDatagram::bind(path)?;
    let socket = datagrams.as_ref();
    for (name, option) in [("pass label", SO_PASSSEC), ("pass pidfd", SO_PASSPIDFD)] {
        step(
            name,
            socket.set_raw_option(SOL_SOCKET, option, &[1, 0, 0, 0]),
            |()| "set".to_owned(),
        );
    }
    println!("listening");
    let message = socket.recv_msg(100, 1000, MessageFlags::empty())?;
    println!("message {}", text(&message.data));
    for ancillary in &message.ancillary {
        use sockgate_guest::ancillary::AncillaryIn;
        match ancillary {
            AncillaryIn::SecurityLabel(label) => println!("label {}", text(label)),
            AncillaryIn::Pidfd(_) => println!("a pidfd"),
            other => println!("also {other:?}"),
        }
    }
    Ok(())
}
