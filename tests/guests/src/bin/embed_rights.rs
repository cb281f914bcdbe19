//! Descriptors in flight: `embed_rights WAY`. It prints `ready`, and then waits until it is ended, with
//! descriptors on their way that nobody has taken.

use std::env;
use std::io;

use sockgate_guest::ancillary::space;
use sockgate_guest::{Family, MessageFlags, Poller, Protocol, Socket, SocketType};

fn main() -> io::Result<()> {
    let way = env::args().nth(1).unwrap_or_default();
    if way == "refused" {
        return refused();
    }
    let (one, other) = Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default)?;
    match way.as_str() {
        // Sent, and never received.
        "queued" => {
            for _ in 0..4 {
                let passed = udp()?;
                one.send_handles(b"x", &[(&passed).into(), (&one).into()])?;
            }
        }
        // Received with room for fewer than came.
        "cut" => {
            let passed = (udp()?, udp()?, udp()?);
            let handles = [(&passed.0).into(), (&passed.1).into(), (&passed.2).into()];
            for _ in 0..4 {
                one.send_handles(b"x", &handles)?;
                let message = other.recv_msg(1, space(4), MessageFlags::empty())?;
                println!("cut {}", message.flags.contains(MessageFlags::CTRUNC));
                one.send_handles(b"x", &handles)?;
                other.recv_msg(1, 0, MessageFlags::empty())?;
                one.send_handles(b"x", &handles)?;
                other.recv_vec(1)?;
            }
        }
        // Received and held, some as sockets and some detached.
        "held" => {
            let mut held = Vec::new();
            for _ in 0..4 {
                let passed = udp()?;
                one.send_handles(b"x", &[(&passed).into()])?;
                let mut message = other.recv_handles(1, 4)?;
                held.append(&mut message.take_handles());
                let opaque = passed.detach()?;
                one.send_handles(b"y", &[(&opaque).into()])?;
                let mut message = other.recv_handles(1, 4)?;
                held.append(&mut message.take_handles());
            }
            println!("held {}", held.len());
            return wait_for_end();
        }
        _ => return Err(io::Error::other("give queued, cut, held or refused")),
    }
    wait_for_end()
}

/// What a native peer sends on the granted socket, and this guest may not have.
fn refused() -> io::Result<()> {
    let granted = Socket::granted("native")?;
    for _ in 0..4 {
        let mut message = granted.recv_handles(1, 4)?;
        println!("arrived {}", message.take_handles().len());
    }
    wait_for_end()
}

fn udp() -> io::Result<Socket> {
    let socket = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)?;
    socket.bind("127.0.0.1:0")?;
    Ok(socket)
}

fn wait_for_end() -> io::Result<()> {
    println!("ready");
    let poller = Poller::new()?;
    loop {
        poller.wait(1, sockgate_guest::Timeout::Blocking)?;
    }
}
