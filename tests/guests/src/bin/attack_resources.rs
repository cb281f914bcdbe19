//! Takes as much of one thing as it gets: `attack_resources CASE COUNT`. It prints how many it holds and the errno
//! that ended it, and then waits, holding them.

use std::env;
use std::io;

use sockgate_guest::{
    Errno, Family, Interest, MessageFlags, Poller, Protocol, Socket, SocketType, Timeout,
};

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [case, count] = words.as_slice() else {
        return Err(io::Error::other("give CASE COUNT"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    let (one, other) = pair(SocketType::Stream)?;
    one.set_timeout(Timeout::NonBlocking);
    match case.as_str() {
        "sockets" => {
            hold(count, || {
                Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)
            });
        }
        "handles" => hold(count, || one.try_clone()),
        "pollers" => hold(count, Poller::new),
        "pollables" => hold(count, || one.subscribe(Interest::READABLE)),
        "descriptors" => hold(count, || {
            one.send_handles(b"!", &[(&one).into()])?;
            other.recv_msg(1, 64, MessageFlags::empty())
        }),
        // On their way, and never taken in.
        "in-flight" => hold(count, || {
            one.send_handles(b"!", &std::array::from_fn::<_, 16, _>(|_| (&other).into()))
        }),
        // Into a pair that nobody reads.
        "bytes" => hold(count, || {
            one.send_with(&[0; 1 << 16], MessageFlags::DONT_WAIT)
        }),
        "datagrams" => {
            let (one, _other) = pair(SocketType::Datagram)?;
            hold(count, || {
                one.send_with(&[0; 1 << 10], MessageFlags::DONT_WAIT)
            });
        }
        // The guest's own.
        "memory" => hold(count, || Ok(vec![1u8; 1 << 20])),
        _ => return Err(io::Error::other("no such case")),
    }
    Ok(())
}

fn pair(socket_type: SocketType) -> io::Result<(Socket, Socket)> {
    Socket::pair(Family::Unix, socket_type, Protocol::Default)
}

/// Makes so many and keeps them all.
fn hold<T>(count: usize, mut make: impl FnMut() -> io::Result<T>) {
    let mut held = Vec::new();
    let ended = loop {
        if held.len() == count {
            break "nothing".to_owned();
        }
        match make() {
            Ok(one) => held.push(one),
            Err(error) => match Errno::of(&error) {
                Some(errno) => break errno.name().trim_start_matches('E').to_lowercase(),
                None => break error.to_string(),
            },
        }
    };
    println!("holds {} then {ended}", held.len());
    // Until it is killed, with everything still there.
    let idle = std::time::Duration::from_secs(600);
    std::thread::sleep(idle);
    drop(held);
}
