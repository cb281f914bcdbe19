//! Opens sockets and lets them go: `embed_churn COUNT`. Every kind in turn: dropped, closed by hand, held as
//! a pair, registered with a poller, waited for, taken as a second handle.

use std::env;
use std::io;

use sockgate_guest::{Family, Interest, Poller, Protocol, Socket, SocketType, Timeout, poll};

fn main() -> io::Result<()> {
    let count: usize = env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::other("give COUNT"))?;
    let poller = Poller::new()?;
    let mut opened = 0;
    while opened < count {
        let tcp = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
        tcp.bind("127.0.0.1:0")?;
        tcp.listen(1)?;
        poller.register(&tcp, 1, Interest::READABLE)?;
        let udp = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)?;
        udp.bind("127.0.0.1:0")?;
        let again = udp.try_clone()?;
        poll(&[(&again, Interest::READABLE)], Timeout::After(1))?;
        let pollable = udp.subscribe(Interest::WRITABLE)?;
        pollable.block();
        let (one, other) = Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default)?;
        poller.register(&one, 2, Interest::WRITABLE)?;
        poller.wait(4, Timeout::Blocking)?;
        other.send(b"left behind")?;
        one.close()?;
        opened += 5;
    }
    println!("opened {opened}");
    Ok(())
}
