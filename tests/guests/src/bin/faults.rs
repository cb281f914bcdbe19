//! One operation, prepared, then done twice: the first time the test makes one of the system calls in it fail.
//!
//! Prints `@op` before each time, `first -> OUTCOME` and `second -> OUTCOME`, lets go of everything, prints `@end`, and
//! waits for the file `/w/go`, so that the test can count what the host still holds.

use std::io;
use std::path::Path;
use std::time::Duration;

use sockgate_guest::ancillary::BorrowedHandle;
use sockgate_guest::files::File;
use sockgate_guest::names::{self, Hints};
use sockgate_guest::{
    Batch, Family, Interest, IoctlRequest, MessageFlags, MessageOut, Poller, Protocol, Shutdown,
    Socket, SocketAddress, SocketType, Timeout, poll,
};
use sockgate_test_guests::{address, named, wrong};

type Done = io::Result<String>;

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    {
        let mut operation = prepared(&name)?;
        for time in ["first", "second"] {
            println!("@op");
            let outcome = operation();
            println!(
                "{time} -> {}",
                outcome.unwrap_or_else(|error| named(&error))
            );
        }
    }
    println!("@end");
    while !Path::new("/w/go").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn ok<T>(outcome: io::Result<T>) -> Done {
    outcome.map(|_| "ok".to_owned())
}

fn tcp() -> io::Result<Socket> {
    Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)
}

fn udp() -> io::Result<Socket> {
    Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)
}

fn unix() -> io::Result<Socket> {
    Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)
}

fn pair(socket_type: SocketType) -> io::Result<(Socket, Socket)> {
    Socket::pair(Family::Unix, socket_type, Protocol::Default)
}

fn anywhere() -> io::Result<SocketAddress> {
    address("127.0.0.1:0")
}

fn listening() -> io::Result<(Socket, SocketAddress)> {
    let listener = tcp()?;
    listener.bind(&anywhere()?)?;
    listener.listen(8)?;
    let place = listener.local_address()?;
    Ok((listener, place))
}

fn bound_udp() -> io::Result<(Socket, SocketAddress)> {
    let socket = udp()?;
    socket.bind(&anywhere()?)?;
    let place = socket.local_address()?;
    // A fault may lose a datagram: nobody waits for it for ever.
    socket.set_timeout(Some(Duration::from_secs(5)));
    Ok((socket, place))
}

/// The operation, with all that it needs made ready.
fn prepared(name: &str) -> io::Result<Box<dyn FnMut() -> Done>> {
    match name {
        "bind-unix" | "connect-unix" | "send-file" | "interfaces" | "host-name"
        | "set-host-name" | "look-up" => on_host(name),
        "listen" | "accept" | "connect" | "bind" | "socket" | "socketpair" | "close" => {
            making(name)
        }
        "poll" | "poller" | "wait" | "sleep" | "splice" | "pass" | "dup" => waiting(name),
        _ => talking(name),
    }
}

fn making(name: &str) -> io::Result<Box<dyn FnMut() -> Done>> {
    Ok(match name {
        "socket" => Box::new(|| ok(tcp())),
        "socketpair" => Box::new(|| ok(pair(SocketType::Stream))),
        "bind" => {
            let mut sockets = vec![tcp()?, tcp()?];
            Box::new(move || {
                let socket = sockets.pop().ok_or_else(|| wrong("bind"))?;
                ok(socket.bind(&anywhere()?))
            })
        }
        "listen" => {
            let mut sockets = vec![tcp()?, tcp()?];
            for socket in &sockets {
                socket.bind(&anywhere()?)?;
            }
            Box::new(move || ok(sockets.pop().ok_or_else(|| wrong("listen"))?.listen(4)))
        }
        "connect" => {
            let (listener, place) = listening()?;
            let mut sockets = vec![tcp()?, tcp()?];
            Box::new(move || {
                let socket = sockets.pop().ok_or_else(|| wrong("connect"))?;
                let outcome = ok(socket.connect(&place));
                listener.set_blocking(false);
                let _ = listener.accept();
                outcome
            })
        }
        "accept" => {
            let (listener, place) = listening()?;
            let clients = [tcp()?, tcp()?, tcp()?];
            for client in &clients {
                client.connect(&place)?;
            }
            Box::new(move || {
                let _ = &clients;
                ok(listener.accept())
            })
        }
        _ => Box::new(|| {
            let socket = tcp()?;
            ok(socket.close())
        }),
    })
}

fn talking(name: &str) -> io::Result<Box<dyn FnMut() -> Done>> {
    let (one, other) = pair(SocketType::Stream)?;
    for socket in [&one, &other] {
        socket.set_timeout(Some(Duration::from_secs(5)));
    }
    other.send(b"0123456789")?;
    Ok(match name {
        "send" => Box::new(move || {
            let _ = &other;
            ok(one.send(b"word"))
        }),
        "recv" => Box::new(move || {
            let _ = &other;
            ok(one.recv(&mut [0; 4]))
        }),
        "send-msg" => Box::new(move || {
            let _ = &other;
            ok(one.send_msg(&MessageOut::new().piece(b"two").piece(b"pieces")))
        }),
        "recv-msg" => Box::new(move || {
            let _ = &other;
            ok(one.recv_msg(4, 100, MessageFlags::empty()))
        }),
        "send-to" | "recv-from" | "send-many" | "recv-many" => datagrams(name)?,
        "local-address" => Box::new(move || {
            let _ = &other;
            ok(one.local_address())
        }),
        "peer-address" => Box::new(move || {
            let _ = &other;
            ok(one.peer_address())
        }),
        "get-option" => Box::new(move || {
            let _ = &other;
            ok(one.keep_alive())
        }),
        "set-option" => Box::new(move || {
            let _ = &other;
            ok(one.set_keep_alive(true))
        }),
        "take-error" => Box::new(move || {
            let _ = &other;
            ok(one.take_error())
        }),
        "ioctl" => Box::new(move || {
            let _ = &other;
            ok(one.ioctl(IoctlRequest::BytesReadable))
        }),
        "shutdown" => Box::new(move || {
            let _ = &other;
            ok(one.shutdown(Shutdown::Write))
        }),
        _ => return Err(wrong(name)),
    })
}

fn datagrams(name: &str) -> io::Result<Box<dyn FnMut() -> Done>> {
    let (socket, place) = bound_udp()?;
    let (peer, peer_place) = bound_udp()?;
    for _ in 0..6 {
        peer.send_to(b"word", &place)?;
    }
    Ok(match name {
        "send-to" => Box::new(move || {
            let _ = &peer;
            ok(socket.send_to(b"word", &peer_place))
        }),
        "recv-from" => Box::new(move || {
            let _ = &peer;
            ok(socket.recv_from(&mut [0; 8]))
        }),
        "send-many" => Box::new(move || {
            let _ = &peer;
            let mut batch = Batch::new();
            for _ in 0..3 {
                batch.push_to(b"word", &peer_place);
            }
            let sent = socket.send_many(&batch, MessageFlags::empty())?;
            match sent.error {
                Some(errno) => Err(errno.into()),
                None => Ok(format!("ok {}", sent.count)),
            }
        }),
        _ => Box::new(move || {
            let _ = &peer;
            ok(socket.recv_many(2, 8))
        }),
    })
}

fn waiting(name: &str) -> io::Result<Box<dyn FnMut() -> Done>> {
    let (one, other) = pair(SocketType::Stream)?;
    Ok(match name {
        "poll" => Box::new(move || {
            let _ = &other;
            ok(poll(&[(&one, Interest::WRITABLE)], Timeout::Blocking))
        }),
        "poller" => Box::new(move || {
            let _ = &other;
            let poller = Poller::new()?;
            poller.register(&one, 7, Interest::WRITABLE)?;
            let ready = poller.wait(4, Some(Duration::from_secs(5)))?;
            Ok(format!("ok {}", ready.len()))
        }),
        // Nothing comes: the time runs out.
        "wait" => Box::new(move || {
            let _ = &other;
            one.set_timeout(Some(Duration::from_millis(30)));
            ok(one.recv(&mut [0]))
        }),
        "sleep" => Box::new(move || {
            let _ = &other;
            let ready = poll(
                &[(&one, Interest::READABLE)],
                Some(Duration::from_millis(30)),
            )?;
            Ok(format!("ok {}", ready.len()))
        }),
        "splice" => {
            let (three, four) = pair(SocketType::Stream)?;
            other.send(b"0123456789")?;
            Box::new(move || {
                let _ = (&other, &four);
                ok(one.splice(&three, 4))
            })
        }
        "pass" => Box::new(move || {
            let (passed, _) = pair(SocketType::Stream)?;
            one.send_fds(
                &[b"x"],
                &[BorrowedHandle::from(&passed)],
                MessageFlags::empty(),
                None,
            )?;
            other.set_timeout(Some(Duration::from_secs(5)));
            let received = other.recv_fds(1, 1, MessageFlags::empty());
            if received.is_err() {
                // What was sent is not to be in flight for ever.
                let _ = other.recv_fds(1, 1, MessageFlags::empty());
            }
            let (_, handles, ..) = received?;
            Ok(format!("ok {}", handles.len()))
        }),
        _ => Box::new(move || {
            let _ = &other;
            ok(one.try_clone())
        }),
    })
}

fn on_host(name: &str) -> io::Result<Box<dyn FnMut() -> Done>> {
    let folder = std::env::args().nth(2).unwrap_or_default();
    let mut number = 0;
    Ok(match name {
        "bind-unix" => Box::new(move || {
            number += 1;
            let socket = unix()?;
            ok(socket.bind(&address(&format!("{folder}/bound-{number}"))?))
        }),
        "connect-unix" => {
            let listener = unix()?;
            let place = address(&format!("{folder}/listener"))?;
            listener.bind(&place)?;
            listener.listen(4)?;
            Box::new(move || {
                let _ = &listener;
                ok(unix()?.connect(&place))
            })
        }
        "send-file" => {
            let (one, other) = pair(SocketType::Stream)?;
            let file = File::open("/w/file")?;
            Box::new(move || {
                let _ = &other;
                ok(one.send_file(&file, 0, Some(4)))
            })
        }
        "interfaces" => Box::new(|| ok(names::interfaces())),
        "host-name" => Box::new(|| ok(names::host_name())),
        "set-host-name" => {
            // Nothing changes: it has that name.
            let own = names::host_name()?;
            Box::new(move || ok(names::set_host_name(&own)))
        }
        _ => {
            let look_up = || {
                let found = names::look_up(Some("localhost"), Some("80"), &Hints::default());
                ok(found.map_err(io::Error::from))
            };
            // The first one reads the C library's own files.
            look_up()?;
            Box::new(look_up)
        }
    })
}
