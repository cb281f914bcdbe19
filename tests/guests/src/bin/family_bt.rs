//! Bluetooth, as told by its first word:
//!
//! - `serve KIND DEVICE NUMBER` accepts one connection and echoes until it ends;
//! - `call KIND OWN DEVICE NUMBER MESSAGES SIZE` sends messages, and compares what comes back;
//! - `send KIND OWN DEVICE NUMBER MESSAGES SIZE` sends messages that nobody answers;
//! - `version DEVICE` asks a controller for its version through the raw channel;
//! - `options OWN DEVICE NUMBER` sets and reads what an L2CAP socket can be told, and connects;
//! - `hci DEVICE CHANNEL` binds to a channel of a controller.
//!
//! KIND is `l2cap`, `rfcomm` or `sco`.

use std::io;

use sockgate_guest::bluetooth::{HciAddress, HciFilter, HciSocket, L2capAddress, L2capSocket};
use sockgate_guest::bluetooth::{RfcommAddress, ScoAddress, parse_device};
use sockgate_guest::{Errno, Family, Protocol, Socket, SocketAddress, SocketType};
use sockgate_test_guests::{pattern, tell, word, words};

fn main() {
    println!("@guest");
    if let Err(error) = run() {
        match Errno::of(&error) {
            Some(errno) => println!("failed {}", errno.name()),
            None => println!("failed {error}"),
        }
        std::process::exit(1);
    }
}

fn run() -> io::Result<()> {
    let mut words = words();
    let mut next = |name| word(&mut words, name);
    match next("TASK")?.as_str() {
        "serve" => serve(&next("KIND")?, &next("DEVICE")?, &next("NUMBER")?),
        task @ ("call" | "send") => {
            let kind = next("KIND")?;
            let (own, device) = (next("OWN")?, next("DEVICE")?);
            let socket = socket_of(&kind)?;
            socket.bind(name(&kind, &own, "0")?)?;
            socket.connect(name(&kind, &device, &next("NUMBER")?)?)?;
            println!("connected");
            let (messages, size) = (number(&next("MESSAGES")?)?, number(&next("SIZE")?)?);
            if task == "send" {
                send(&socket, messages, size)
            } else {
                call(&socket, messages, size)
            }
        }
        "version" => version(number(&next("DEVICE")?)? as u16),
        "options" => options(&next("OWN")?, &next("DEVICE")?, &next("NUMBER")?),
        "hci" => {
            let (device, channel) = (number(&next("DEVICE")?)?, number(&next("CHANNEL")?)?);
            let address = HciAddress {
                device: device as u16,
                channel: channel as u16,
            };
            println!("bound to {}", HciSocket::open(address)?.local_addr()?);
            Ok(())
        }
        other => Err(io::Error::other(format!("no such task: {other}"))),
    }
}

fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(io::Error::other)
}

fn socket_of(kind: &str) -> io::Result<Socket> {
    let (socket_type, protocol) = match kind {
        "l2cap" => (SocketType::Seqpacket, Protocol::L2cap),
        "rfcomm" => (SocketType::Stream, Protocol::Rfcomm),
        _ => (SocketType::Seqpacket, Protocol::Sco),
    };
    Socket::new(Family::Bluetooth, socket_type, protocol)
}

fn name(kind: &str, device: &str, number: &str) -> io::Result<SocketAddress> {
    let device = parse_device(device)?;
    let number: u16 = number.parse().map_err(io::Error::other)?;
    Ok(match kind {
        "l2cap" => L2capAddress::new(device, number).into(),
        "rfcomm" => RfcommAddress::new(device, number as u8).into(),
        _ => ScoAddress::new(device).into(),
    })
}

fn serve(kind: &str, device: &str, number: &str) -> io::Result<()> {
    let listener = socket_of(kind)?;
    listener.bind(name(kind, device, number)?)?;
    listener.listen(5)?;
    println!("listening on {}", listener.local_address()?);
    let (connection, peer) = listener.accept()?;
    println!("accepted {peer}");
    let mut whole = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = match connection.recv(&mut buffer) {
            Ok(0) => break,
            Err(error) if Errno::of(&error) == Some(Errno::CONNRESET) => break,
            length => length?,
        };
        whole.extend_from_slice(&buffer[..length]);
        connection.send_all(&buffer[..length])?;
    }
    tell("echoed", &whole);
    Ok(())
}

fn call(socket: &Socket, messages: u64, size: u64) -> io::Result<()> {
    let mut whole = Vec::new();
    let mut buffer = [0; 4096];
    for seed in 0..messages {
        let message = pattern(seed, size as usize);
        socket.send_all(&message)?;
        let mut back = Vec::new();
        while back.len() < message.len() {
            match socket.recv(&mut buffer)? {
                0 => return Err(io::Error::other(format!("message {seed} was cut"))),
                length => back.extend_from_slice(&buffer[..length]),
            }
        }
        if back != message {
            return Err(io::Error::other(format!(
                "message {seed} came back as another"
            )));
        }
        whole.extend(back);
    }
    tell("agreed", &whole);
    Ok(())
}

fn send(socket: &Socket, messages: u64, size: u64) -> io::Result<()> {
    let mut whole = Vec::new();
    for seed in 0..messages {
        let message = pattern(seed, size as usize);
        socket.send_all(&message)?;
        whole.extend(message);
    }
    tell("sent", &whole);
    // What was sent goes out before the connection ends.
    std::thread::sleep(std::time::Duration::from_secs(1));
    Ok(())
}

/// HCI_Read_Local_Version_Information: the event that answers names the command.
fn version(device: u16) -> io::Result<()> {
    const READ_LOCAL_VERSION: u16 = 0x1001;
    let socket = HciSocket::open(HciAddress::raw(device))?;
    let filter = HciFilter::none()
        .packet(4)
        .event(0x0e)
        .opcode(READ_LOCAL_VERSION);
    socket.set_filter(&filter)?;
    if socket.filter()? != filter {
        return Err(io::Error::other(
            "the filter is another than the one that was set",
        ));
    }
    socket.send(&[1, 0x01, 0x10, 0])?;
    let mut buffer = [0; 260];
    let length = socket.recv(&mut buffer)?;
    let hex: Vec<String> = buffer[..length]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    println!("answer {}", hex.join(" "));
    Ok(())
}

fn options(own: &str, device: &str, number: &str) -> io::Result<()> {
    let socket = L2capSocket::unbound()?;
    let mut options = socket.options()?;
    options.receive_mtu = 512;
    socket.set_options(&options)?;
    println!("receive mtu {}", socket.options()?.receive_mtu);
    let socket = socket.into_socket();
    socket.set_bluetooth_security(1)?;
    println!("security {}", socket.bluetooth_security()?);
    socket.bind(name("l2cap", own, "0")?)?;
    socket.connect(name("l2cap", device, number)?)?;
    println!("connected");
    let socket = L2capSocket::from(socket);
    let options = socket.options()?;
    println!("send mtu {}", options.send_mtu);
    println!("receive mtu {}", options.receive_mtu);
    call(socket.as_ref(), 2, 40)
}
