//! Connects, sends and binds beneath a directory that somebody else turns upside down meanwhile:
//! `denial_race DIRECTORY SECONDS`. Prints how often each came to which end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sockgate_guest::{Errno, Family, Protocol, Socket, SocketAddress, SocketType, UnixAddress};

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [root, seconds] = &words[..] else {
        return Err(std::io::Error::other(
            "usage: denial_race DIRECTORY SECONDS",
        ));
    };
    let seconds = seconds.parse().map_err(std::io::Error::other)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    println!("@guest");
    while Instant::now() < end {
        for place in ["door/stream", "last", "moved/stream"] {
            let outcome = connect(&at(root, place));
            count(&mut ends, &format!("connect {place}"), outcome);
        }
        for place in ["door/datagram", "moved/datagram"] {
            let outcome = send_to(&at(root, place));
            count(&mut ends, &format!("send-to {place}"), outcome);
        }
        for place in ["door/own", "moved/own"] {
            let outcome = bind(&at(root, place));
            count(&mut ends, &format!("bind {place}"), outcome);
        }
    }
    for (end, times) in ends {
        println!("{end} {times}");
    }
    Ok(())
}

fn at(root: &str, place: &str) -> SocketAddress {
    UnixAddress::Pathname(format!("{root}/{place}").into_bytes()).into()
}

fn count(ends: &mut BTreeMap<String, u64>, call: &str, outcome: std::io::Result<()>) {
    let end = match outcome {
        Ok(()) => "ok".to_owned(),
        Err(error) => match Errno::of(&error) {
            Some(errno) => errno.name().trim_start_matches('E').to_lowercase(),
            None => error.to_string(),
        },
    };
    *ends.entry(format!("{call} -> {end}")).or_default() += 1;
}

fn connect(to: &SocketAddress) -> std::io::Result<()> {
    let socket = Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)?;
    socket.set_timeout(Duration::from_millis(50));
    socket.connect(to)?;
    socket.send(b"guest").map(drop)
}

fn send_to(to: &SocketAddress) -> std::io::Result<()> {
    let socket = Socket::new(Family::Unix, SocketType::Datagram, Protocol::Default)?;
    socket.set_timeout(Duration::from_millis(50));
    socket.send_to(b"guest", to).map(drop)
}

fn bind(to: &SocketAddress) -> std::io::Result<()> {
    let socket = Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)?;
    socket.bind(to)?;
    socket.listen(1)
}
