//! How long a refused connect takes: `denial_timing ADDRESS ADDRESS [ROUNDS]` tries the two in turn and
//! prints the median of each in nanoseconds, and the outcomes. An address with a `/` is a Unix path.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use sockgate_guest::{
    Errno, Family, Protocol, Socket, SocketAddress, SocketType, Timeout, UnixAddress,
};

fn main() -> std::io::Result<()> {
    println!("@guest");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds: usize = words
        .get(2)
        .map_or(Ok(500), |word| word.parse())
        .map_err(std::io::Error::other)?;
    let targets: Vec<SocketAddress> = words.iter().take(2).map(|word| target(word)).collect();
    let mut times = vec![Vec::with_capacity(rounds); targets.len()];
    let mut outcomes = vec![BTreeSet::new(); targets.len()];
    for _ in 0..rounds {
        for (place, target) in targets.iter().enumerate() {
            let family = match target {
                SocketAddress::Unix(_) => Family::Unix,
                SocketAddress::Inet6(_) => Family::Inet6,
                _ => Family::Inet,
            };
            let socket = Socket::new(family, SocketType::Stream, Protocol::Default)?;
            socket.set_timeout(Timeout::Blocking);
            let start = Instant::now();
            let outcome = socket.connect(target);
            times[place].push(start.elapsed().as_nanos());
            outcomes[place].insert(match outcome {
                Ok(()) => "ok".to_owned(),
                Err(error) => match Errno::of(&error) {
                    Some(errno) => errno.name().to_owned(),
                    None => error.to_string(),
                },
            });
        }
    }
    for (times, outcomes) in times.iter_mut().zip(outcomes) {
        times.sort_unstable();
        println!("median {} {outcomes:?}", times[times.len() / 2]);
    }
    Ok(())
}

fn target(word: &str) -> SocketAddress {
    match word.parse::<SocketAddr>() {
        Ok(address) => address.into(),
        Err(_) => UnixAddress::Pathname(word.as_bytes().to_vec()).into(),
    }
}
