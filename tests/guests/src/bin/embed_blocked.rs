//! Makes one call that waits, again and again: `embed_blocked CALL COUNT ADDRESS [NANOSECONDS]`.
//!
//! Before each it prints `ready`, after it what came of it (the errno, `ok`, or `empty` where a poll found
//! nothing) and how many nanoseconds it took. With NANOSECONDS that is the time-out of each.

use std::env;
use std::io;
use std::time::Instant;

use sockgate_guest::{
    Batch, Errno, Family, Interest, MessageFlags, MessageOut, Poller, Protocol, Socket,
    SocketAddress, SocketType, Timeout, UnixAddress, poll, set_default_timeout,
};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [call, count, address, rest @ ..] = arguments.as_slice() else {
        return Err(io::Error::other("give CALL COUNT ADDRESS [NANOSECONDS]"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    let timeout = match rest {
        [nanoseconds] => Timeout::After(nanoseconds.parse().map_err(io::Error::other)?),
        _ => Timeout::Blocking,
    };
    set_default_timeout(timeout);
    let mut blocking = blocking(call, address, timeout)?;
    for _ in 0..count {
        println!("ready");
        let start = Instant::now();
        let outcome = blocking();
        let took = start.elapsed().as_nanos();
        match outcome {
            Ok(word) => println!("{word} {took}"),
            Err(error) => match Errno::of(&error) {
                Some(errno) => println!("{} {took}", errno.name()),
                None => return Err(error),
            },
        }
    }
    println!("done");
    Ok(())
}

type Blocking = Box<dyn FnMut() -> io::Result<&'static str>>;

/// The call, on sockets that keep it waiting.
fn blocking(call: &str, address: &str, timeout: Timeout) -> io::Result<Blocking> {
    Ok(match call {
        "connect" => {
            let peer: std::net::SocketAddr = address.parse().map_err(io::Error::other)?;
            Box::new(move || {
                let socket = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
                socket.connect(peer).map(|()| "ok")
            })
        }
        "connect-unix" => {
            let peer = unix(address)?;
            Box::new(move || {
                let socket = Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)?;
                socket.connect(&peer).map(|()| "ok")
            })
        }
        "accept" => {
            let listener = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
            listener.bind("127.0.0.1:0")?;
            listener.listen(1)?;
            Box::new(move || listener.accept().map(|_| "ok"))
        }
        "recv" => {
            let (one, other) = pair()?;
            Box::new(move || {
                let _held = &other;
                one.recv_vec(16).map(|_| "ok")
            })
        }
        "recv-all" => {
            let (one, other) = pair()?;
            Box::new(move || {
                let _held = &other;
                one.recv_vec_with(16, MessageFlags::WAIT_ALL).map(|_| "ok")
            })
        }
        "recv-from" => {
            let socket = udp()?;
            Box::new(move || socket.recv_from(&mut [0; 16]).map(|_| "ok"))
        }
        "recv-msg" => {
            let (one, other) = pair()?;
            Box::new(move || {
                let _held = &other;
                one.recv_msg(16, 64, MessageFlags::empty()).map(|_| "ok")
            })
        }
        "recv-many" => {
            let socket = udp()?;
            Box::new(move || socket.recv_many(8, 64).map(|_| "ok"))
        }
        "send" => {
            let (one, other) = full_pair()?;
            Box::new(move || {
                let _held = &other;
                one.send(b"more").map(|_| "ok")
            })
        }
        "send-msg" => {
            let (one, other) = full_pair()?;
            Box::new(move || {
                let _held = &other;
                one.send_msg(&MessageOut::new().piece(b"mo").piece(b"re"))
                    .map(|_| "ok")
            })
        }
        "send-to" => {
            let (socket, peer) = full_queue(address)?;
            Box::new(move || socket.send_to(b"more", &peer).map(|_| "ok"))
        }
        "send-many" => {
            let (socket, peer) = full_queue(address)?;
            Box::new(move || {
                let mut batch = Batch::new();
                batch.push_to(b"more", &peer);
                batch.push_to(b"and more", &peer);
                let sent = socket.send_many(&batch, MessageFlags::empty())?;
                match sent.error {
                    Some(errno) if sent.count == 0 => Err(errno.into()),
                    _ => Ok("ok"),
                }
            })
        }
        "splice" => {
            let ((from, from_end), (to, to_end)) = (pair()?, pair()?);
            Box::new(move || {
                let _held = (&from_end, &to_end);
                from.splice(&to, 16).map(|_| "ok")
            })
        }
        "poll" => {
            let socket = udp()?;
            Box::new(move || {
                let ready = poll(&[(&socket, Interest::READABLE)], timeout)?;
                Ok(if ready.is_empty() { "empty" } else { "ok" })
            })
        }
        "poller-wait" => {
            let (socket, poller) = (udp()?, Poller::new()?);
            poller.register(&socket, 1, Interest::READABLE)?;
            Box::new(move || {
                let _held = &socket;
                let ready = poller.wait(8, timeout)?;
                Ok(if ready.is_empty() { "empty" } else { "ok" })
            })
        }
        "pollable" => {
            let socket = udp()?;
            Box::new(move || {
                let pollable = socket.subscribe(Interest::READABLE)?;
                pollable.block();
                // wasi:io has no errno: the next call on a socket tells.
                socket
                    .recv_vec_with(16, MessageFlags::DONT_WAIT)
                    .map(|_| "ok")
            })
        }
        _ => return Err(io::Error::other("no such call")),
    })
}

fn unix(path: &str) -> io::Result<SocketAddress> {
    Ok(UnixAddress::from_pathname(path)?.into())
}

fn udp() -> io::Result<Socket> {
    let socket = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)?;
    socket.bind("127.0.0.1:0")?;
    Ok(socket)
}

fn pair() -> io::Result<(Socket, Socket)> {
    Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default)
}

/// A pair whose first end takes nothing more.
fn full_pair() -> io::Result<(Socket, Socket)> {
    let (one, other) = pair()?;
    let full = vec![0; 1 << 16];
    until_again(|| one.send_with(&full, MessageFlags::DONT_WAIT))?;
    until_again(|| one.send_with(b"x", MessageFlags::DONT_WAIT))?;
    Ok((one, other))
}

/// A socket and a peer whose queue takes nothing more.
fn full_queue(address: &str) -> io::Result<(Socket, SocketAddress)> {
    let peer = unix(address)?;
    let socket = Socket::new(Family::Unix, SocketType::Datagram, Protocol::Default)?;
    until_again(|| socket.send_to_with(b"x", &peer, MessageFlags::DONT_WAIT))?;
    Ok((socket, peer))
}

fn until_again(mut send: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    loop {
        match send() {
            Ok(_) => {}
            Err(error) if Errno::of(&error) == Some(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
