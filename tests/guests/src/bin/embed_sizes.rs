//! Names sizes that no host should take at their word: `embed_sizes CASE`. It prints what came of it.

use std::env;
use std::io;

use sockgate_guest::{
    Batch, Errno, Events, Family, Interest, MessageFlags, MessageOut, Poller, Protocol, Socket,
    SocketType, Timeout, poll,
};

/// A million.
const MANY: usize = 1_000_000;
/// Within what wasmtime lets one call hand over, 128 MiB, and beyond it.
const HUGE: usize = 100 << 20;
const BEYOND: usize = 129 << 20;

fn main() -> io::Result<()> {
    let case = env::args().nth(1).unwrap_or_default();
    println!("begins");
    match outcome(&case) {
        Ok(answer) => println!("ok {answer}"),
        Err(error) => match Errno::of(&error) {
            Some(errno) => println!("{}", errno.name()),
            None => return Err(error),
        },
    }
    Ok(())
}

fn outcome(case: &str) -> io::Result<usize> {
    let whole = u32::MAX as usize;
    let none = MessageFlags::empty();
    Ok(match case {
        "recv-stream" => {
            let (one, _other) = filled(1 << 16)?;
            one.recv_vec(whole)?.len()
        }
        "recv-all" => {
            // MSG_WAITALL of 4 GiB with a peer that ends: what came.
            let (one, other) = filled(1 << 16)?;
            drop(other);
            one.recv_vec_with(whole, MessageFlags::WAIT_ALL)?.len()
        }
        "recv-datagram" => {
            let (one, other) = pair(SocketType::Datagram)?;
            other.send(b"datagram")?;
            one.recv_vec(whole)?.len()
        }
        "recv-from" => {
            let (one, other) = pair(SocketType::Seqpacket)?;
            other.send(b"record")?;
            one.recv_msg(whole, 0, none)?.data.len()
        }
        "recv-msg-control" => {
            let (one, other) = filled(16)?;
            drop(other);
            one.recv_msg(whole, u32::MAX, none)?.data.len()
        }
        "recv-many" => {
            let (one, other) = pair(SocketType::Datagram)?;
            other.send(b"datagram")?;
            one.recv_many_with(u32::MAX, whole, u32::MAX, none)?.len()
        }
        "recv-many-none" => {
            let (one, _other) = pair(SocketType::Datagram)?;
            one.recv_many(0, 16)?.len()
        }
        "gather" | "gather-empty" => {
            let (one, _other) = pair(SocketType::Stream)?;
            let piece: &[u8] = if case == "gather" { b"x" } else { b"" };
            let mut message = MessageOut::new();
            for _ in 0..MANY {
                message = message.piece(piece);
            }
            one.send_msg(&message)?
        }
        "send-many" => {
            let (one, _other) = pair(SocketType::Datagram)?;
            let mut batch = Batch::new();
            for _ in 0..MANY {
                batch.push(b"");
            }
            one.send_many(&batch, none)?.count
        }
        // More handles than wasmtime lends at a time.
        "poll" => {
            let (one, _other) = pair(SocketType::Stream)?;
            let all = vec![(&one, Interest::READABLE); MANY];
            poll(&all, Timeout::NonBlocking)?.len()
        }
        "poll-thousands" => {
            let (one, _other) = pair(SocketType::Stream)?;
            let all = vec![(&one, Interest::READABLE); 5_000];
            poll(&all, Timeout::NonBlocking)?.len()
        }
        "poll-most" => {
            let (one, _other) = filled(1)?;
            let all = vec![(&one, Interest::READABLE); 4096];
            let ready = poll(&all, Timeout::NonBlocking)?;
            let readable = ready
                .iter()
                .filter(|(_, events)| events.contains(Events::READABLE));
            readable.count()
        }
        "poller-wait" => {
            let (one, _other) = filled(1)?;
            let poller = Poller::new()?;
            poller.register(&one, u64::MAX, Interest::READABLE)?;
            poller
                .wait(u32::MAX, Timeout::After(u64::MAX))?
                .iter()
                .filter(|event| event.token == u64::MAX)
                .count()
        }
        "listen" => {
            let socket = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
            socket.bind("127.0.0.1:0")?;
            socket.listen(u32::MAX)?;
            0
        }
        "option" => {
            let (one, _other) = pair(SocketType::Stream)?;
            one.raw_option(1, 3, u32::MAX)?.len()
        }
        "name" => {
            let name = "x".repeat(1 << 20);
            let hints = sockgate_guest::names::Hints::default();
            sockgate_guest::names::look_up(Some(&name), None, &hints)?.len()
        }
        "path" => {
            let path = format!("/{}", "x".repeat(1 << 20));
            let socket = Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)?;
            let address: sockgate_guest::SocketAddress =
                sockgate_guest::UnixAddress::Pathname(path.into_bytes()).into();
            socket.connect(&address)?;
            0
        }
        "splice" => {
            let ((from, _from), (to, _to)) = (filled(1 << 10)?, pair(SocketType::Stream)?);
            from.splice(&to, u64::MAX)? as usize
        }
        // More than wasmtime lets a host call lift: the guest alone traps.
        "option-beyond" => {
            let (one, _other) = pair(SocketType::Stream)?;
            let value = vec![0; BEYOND];
            one.set_raw_option(1, 2, &value)?;
            0
        }
        "send-beyond" => {
            let (one, _other) = pair(SocketType::Stream)?;
            one.send(&vec![0; BEYOND])?
        }
        "send-huge" => {
            // Borrowed: the kernel takes what it has room for.
            let (one, _other) = pair(SocketType::Stream)?;
            let data = vec![0; HUGE];
            usize::from(one.send_with(&data, MessageFlags::DONT_WAIT)? > 0)
        }
        "datagram-huge" => {
            let (one, _other) = pair(SocketType::Datagram)?;
            one.send(&vec![0; HUGE])?
        }
        "closed" => return closed(),
        _ => return Err(io::Error::other("no such case")),
    })
}

/// Every call on a socket that was closed.
fn closed() -> io::Result<usize> {
    let (one, other) = pair(SocketType::Stream)?;
    one.close()?;
    let none = MessageFlags::empty();
    let poller = Poller::new()?;
    let peer: std::net::SocketAddr = ([127, 0, 0, 1], 9).into();
    let answers = [
        ("close", one.close()),
        ("dup", one.try_clone().map(drop)),
        ("family", one.family().map(drop)),
        ("bind", one.bind(peer)),
        ("listen", one.listen(1)),
        ("accept", one.accept().map(drop)),
        ("connect", one.connect(peer)),
        ("shutdown", one.shutdown(sockgate_guest::Shutdown::Both)),
        ("local-address", one.local_address().map(drop)),
        ("peer-address", one.peer_address().map(drop)),
        ("send", one.send(b"x").map(drop)),
        ("send-to", one.send_to(b"x", peer).map(drop)),
        (
            "send-msg",
            one.send_msg(&MessageOut::new().piece(b"x")).map(drop),
        ),
        ("send-many", one.send_many(&Batch::new(), none).map(drop)),
        ("recv", one.recv_vec(1).map(drop)),
        ("recv-from", one.recv_from(&mut [0]).map(drop)),
        ("recv-msg", one.recv_msg(1, 16, none).map(drop)),
        ("recv-many", one.recv_many(1, 1).map(drop)),
        ("at-mark", one.at_mark().map(drop)),
        ("take-error", one.take_error().map(drop)),
        ("raw-option", one.raw_option(1, 3, 4).map(drop)),
        ("set-raw-option", one.set_raw_option(1, 9, &[1, 0, 0, 0])),
        ("splice from", one.splice(&other, 1).map(drop)),
        ("splice to", other.splice(&one, 1).map(drop)),
        (
            "poll",
            poll(&[(&one, Interest::READABLE)], Timeout::NonBlocking).map(drop),
        ),
        ("poller.add", poller.register(&one, 1, Interest::READABLE)),
        ("poller.remove", poller.unregister(&one)),
        ("subscribe", one.subscribe(Interest::READABLE).map(drop)),
        ("pass", other.send_handles(b"x", &[(&one).into()]).map(drop)),
    ];
    let count = answers.len();
    for (call, answer) in answers {
        match answer {
            Err(error) if Errno::of(&error) == Some(Errno::BADF) => {}
            other => println!("{call}: {other:?}"),
        }
    }
    one.set_timeout(Timeout::After(u64::MAX));
    one.interrupt();
    Ok(count)
}

fn pair(socket_type: SocketType) -> io::Result<(Socket, Socket)> {
    Socket::pair(Family::Unix, socket_type, Protocol::Default)
}

/// A pair whose first end has so many bytes to read.
fn filled(length: usize) -> io::Result<(Socket, Socket)> {
    let (one, other) = pair(SocketType::Stream)?;
    other.send_all(&vec![7; length])?;
    Ok((one, other))
}
