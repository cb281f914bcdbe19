//! Waits in one call while its policy is replaced: `embed_reload WAY ADDRESS`. It prints `ready` before the
//! wait, what came of it, and what the next calls on the same socket answer.

use std::env;
use std::io;

use sockgate_guest::{
    Errno, Events, Family, Interest, MessageFlags, Poller, Protocol, Socket, SocketType, Timeout,
    poll,
};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [way, address] = arguments.as_slice() else {
        return Err(io::Error::other("give WAY ADDRESS"));
    };
    let address: std::net::SocketAddr = address.parse().map_err(io::Error::other)?;
    let stream = || Socket::new(Family::Inet, SocketType::Stream, Protocol::Default);
    match way.as_str() {
        "recv" | "poll" | "poller" => {
            let socket = stream()?;
            socket.connect(address)?;
            loop {
                println!("ready");
                match way.as_str() {
                    "poll" => {
                        let ready = poll(&[(&socket, Interest::READABLE)], Timeout::Blocking)?;
                        tell_events(ready.into_iter().map(|(_, events)| events));
                    }
                    "poller" => {
                        let poller = Poller::new()?;
                        poller.register(&socket, 1, Interest::READABLE)?;
                        let ready = poller.wait(4, Timeout::Blocking)?;
                        tell_events(ready.into_iter().map(|event| event.events));
                    }
                    _ => {}
                }
                if !tell(socket.recv_vec(16)) {
                    break;
                }
            }
            tell(socket.recv_vec_with(16, MessageFlags::DONT_WAIT));
            tell(socket.send(b"x").map(|_| Vec::new()));
        }
        "connect" => {
            let socket = stream()?;
            println!("ready");
            tell(socket.connect(address).map(|()| Vec::new()));
        }
        "accept" => {
            let listener = stream()?;
            listener.bind(address)?;
            listener.listen(4)?;
            println!("listening on {:?}", listener.local_address()?.as_ip());
            loop {
                println!("ready");
                if !tell(listener.accept().map(|_| b"a client".to_vec())) {
                    break;
                }
            }
            tell(listener.accept().map(|_| b"a client".to_vec()));
        }
        "recv-from" | "poller-from" => {
            let socket = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)?;
            socket.bind(address)?;
            let poller = Poller::new()?;
            poller.register(&socket, 1, Interest::READABLE)?;
            loop {
                println!("ready");
                if way == "poller-from"
                    && let Err(error) = poller.wait(4, Timeout::Blocking)
                {
                    tell(Err(error));
                    break;
                }
                let mut buffer = [0; 16];
                let received = socket.recv_from(&mut buffer);
                if !tell(received.map(|(length, _)| buffer[..length].to_vec())) {
                    break;
                }
            }
            tell(socket.recv_vec_with(16, MessageFlags::DONT_WAIT));
        }
        _ => return Err(io::Error::other("no such way")),
    }
    println!("done");
    Ok(())
}

/// Whether it went well.
fn tell(outcome: io::Result<Vec<u8>>) -> bool {
    match outcome {
        Ok(bytes) => {
            println!("got {}", String::from_utf8_lossy(&bytes));
            !bytes.is_empty()
        }
        Err(error) => {
            println!("{}", Errno::of(&error).map_or("unknown", Errno::name));
            false
        }
    }
}

fn tell_events(events: impl Iterator<Item = Events>) {
    for events in events {
        if events.contains(Events::HANG_UP) {
            println!("hung up");
        }
    }
}
