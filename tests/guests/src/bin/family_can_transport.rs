//! Steps on the broadcast manager, ISO-TP and J1939 of CAN, one per argument: `b = bcm vcan0`,
//! `i = isotp vcan0 7e8 7e0 [pad=cc] [stmin=SEPARATION] [block=FRAMES] [address=f1] [broadcast]`,
//! `j = j1939 vcan0 20|any [PGN] [NAME]`; then `VERB SOCKET ARGUMENTS...`.
//!
//! Ids, addresses and parameter groups are hexadecimal, frames are written as cansend(1) takes them. A step
//! prints `STEP -> OUTCOME`; an error is its errno's name in small letters. The first line is `@guest`.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::Duration;

use sockgate_guest::addresses::{CanAddress, CanId, J1939Address};
use sockgate_guest::can::{
    AnyCanFrame, BcmFlags, BcmMessage, BcmOperation, BcmSocket, CanFdFrame, CanFrame,
    IsoTpFlowControl, IsoTpOptions, IsoTpSocket, J1939Socket,
};
use sockgate_guest::{Batch, Family, MessageFlags, Protocol, Socket, SocketType, UnixStream};
use sockgate_test_guests::{named, pattern, tell, wrong};

/// CAN_ISOTP_SF_BROADCAST: single frames to everybody, without flow control.
const SINGLE_FRAME_BROADCAST: u32 = 0x800;
const SOL_SOCKET: i32 = 1;
const SO_TIMESTAMPING: i32 = 37;
const TIMESTAMPING_TX_ACK: u32 = 1 << 9;

enum Transport {
    Bcm(BcmSocket),
    IsoTp(IsoTpSocket),
    J1939(J1939Socket),
}

impl Transport {
    fn socket(&self) -> &Socket {
        match self {
            Self::Bcm(socket) => socket.as_ref(),
            Self::IsoTp(socket) => socket.as_ref(),
            Self::J1939(socket) => socket.as_ref(),
        }
    }
}

fn main() {
    println!("@guest");
    let mut sockets = HashMap::new();
    for step in std::env::args().skip(1) {
        let outcome = take(&mut sockets, &step).unwrap_or_else(|error| named(&error));
        println!("{step} -> {outcome}");
        // Tests wait for lines.
        let _ = io::stdout().flush();
    }
}

fn hex(word: &str) -> io::Result<u64> {
    u64::from_str_radix(word, 16).map_err(|_| wrong(word))
}

fn narrow<T: TryFrom<u64>>(word: &str) -> io::Result<T> {
    T::try_from(hex(word)?).map_err(|_| wrong(word))
}

fn milliseconds(word: &str) -> io::Result<Duration> {
    let number = word.parse().map_err(|_| wrong(word))?;
    Ok(Duration::from_millis(number))
}

fn id(word: &str) -> io::Result<CanId> {
    match word.len() {
        8 => Ok(CanId::Extended(narrow(word)?)),
        _ => Ok(CanId::Standard(narrow(word)?)),
    }
}

/// `123#DEAD`, or `123##0DEAD` for CAN FD.
fn frame(word: &str) -> io::Result<AnyCanFrame> {
    let (to, data) = word.split_once('#').ok_or_else(|| wrong(word))?;
    let (fd, data) = match data.strip_prefix("#0") {
        Some(data) => (true, data),
        None => (false, data),
    };
    let bytes: Vec<u8> = (0..data.len() / 2)
        .map(|at| narrow(&data[2 * at..2 * at + 2]))
        .collect::<io::Result<_>>()?;
    if fd {
        return Ok(CanFdFrame::new(id(to)?, &bytes)?.into());
    }
    Ok(CanFrame::new(id(to)?, &bytes)?.into())
}

fn take(sockets: &mut HashMap<String, Transport>, step: &str) -> io::Result<String> {
    if let Some((name, call)) = step.split_once(" = ") {
        let words: Vec<&str> = call.split(' ').collect();
        let transport = make(&words)?;
        transport.socket().set_timeout(Duration::from_secs(20));
        sockets.insert(name.to_owned(), transport);
        return Ok("ok".to_owned());
    }
    let words: Vec<&str> = step.split(' ').collect();
    match words[..] {
        ["say", ..] => {}
        ["sleep", time] => std::thread::sleep(milliseconds(time)?),
        // Until the test lets go of the connection.
        ["wait", path] => {
            UnixStream::connect(path)?.read_to_end(&mut Vec::new())?;
        }
        ["close", name] => drop(sockets.remove(name).ok_or_else(|| wrong(name))?),
        [verb, name, ref rest @ ..] => {
            let transport = sockets.get(name).ok_or_else(|| wrong(name))?;
            if let ("timeout", [time]) = (verb, rest) {
                transport.socket().set_timeout(milliseconds(time)?);
                return Ok("ok".to_owned());
            }
            return match transport {
                Transport::Bcm(socket) => on_bcm(socket, verb, rest),
                Transport::IsoTp(socket) => on_isotp(socket, verb, rest),
                Transport::J1939(socket) => on_j1939(socket, verb, rest),
            };
        }
        _ => return Err(wrong(step)),
    }
    Ok("ok".to_owned())
}

fn make(words: &[&str]) -> io::Result<Transport> {
    match words {
        ["bcm", "any"] => {
            let socket = Socket::new(Family::Can, SocketType::Datagram, Protocol::CanBcm)?;
            socket.connect(CanAddress::any())?;
            Ok(Transport::Bcm(socket.into()))
        }
        ["bcm", interface] => Ok(Transport::Bcm(BcmSocket::open(interface)?)),
        ["isotp", interface, rx, tx, options @ ..] => {
            let channel = IsoTpSocket::unbound()?;
            set_options(&channel, options)?;
            channel.bind(interface, id(rx)?, id(tx)?)?;
            Ok(Transport::IsoTp(channel))
        }
        ["j1939", interface, address, rest @ ..] => {
            let mut node = node(address)?;
            if let Some(pgn) = rest.first().filter(|pgn| **pgn != "any") {
                node = node.pgn(narrow(pgn)?);
            }
            if let Some(name) = rest.get(1) {
                node.name = Some(hex(name)?);
            }
            Ok(Transport::J1939(J1939Socket::open(interface, node)?))
        }
        _ => Err(wrong(words.join(" "))),
    }
}

fn node(address: &str) -> io::Result<J1939Address> {
    match address {
        "any" => Ok(J1939Address::any()),
        number => Ok(J1939Address::at(narrow(number)?)),
    }
}

fn set_options(channel: &IsoTpSocket, words: &[&str]) -> io::Result<()> {
    let mut options = IsoTpOptions::default();
    let mut flow = IsoTpFlowControl::default();
    for word in words {
        match word.split_once('=') {
            Some(("pad", byte)) => options.transmit_padding = Some(narrow(byte)?),
            Some(("address", byte)) => options.extended_address = Some(narrow(byte)?),
            Some(("stmin", time)) => flow.separation = narrow(time)?,
            Some(("block", frames)) => flow.block_size = narrow(frames)?,
            None if *word == "broadcast" => options.flags |= SINGLE_FRAME_BROADCAST,
            _ => return Err(wrong(word)),
        }
    }
    if options != IsoTpOptions::default() {
        channel.set_options(&options)?;
    }
    if flow != IsoTpFlowControl::default() {
        channel.set_flow_control(&flow)?;
    }
    Ok(())
}

fn on_bcm(socket: &BcmSocket, verb: &str, words: &[&str]) -> io::Result<String> {
    match (verb, words) {
        // The job's own id, the interval, and the frames.
        ("cycle", [job, interval, frames @ ..]) => socket.send(&BcmMessage {
            flags: BcmFlags::SET_TIMER | BcmFlags::START_TIMER,
            interval2: milliseconds(interval)?,
            frames: frames
                .iter()
                .map(|word| frame(word))
                .collect::<io::Result<_>>()?,
            ..BcmMessage::new(BcmOperation::TxSetup, id(job)?)
        })?,
        ("once", [word]) => {
            let frame = frame(word)?;
            let job = id(word.split('#').next().unwrap_or_default())?;
            socket.send(&BcmMessage {
                frames: vec![frame],
                ..BcmMessage::new(BcmOperation::TxSend, job)
            })?;
        }
        ("end-cycle", [job]) => socket.stop_sending(id(job)?)?,
        // In one call.
        ("end-cycles", jobs) => {
            let mut batch = Batch::new();
            for job in jobs {
                let end = BcmMessage::new(BcmOperation::TxDelete, id(job)?);
                batch.push(&end.encode()?);
            }
            let socket: &Socket = socket.as_ref();
            let sent = socket.send_many(&batch, MessageFlags::empty())?;
            return Ok(format!("ok {}", sent.count));
        }
        ("watch", [job, timeout, throttle]) => {
            socket.watch(id(job)?, milliseconds(timeout)?, milliseconds(throttle)?)?;
        }
        ("changes", [mask, timeout, throttle]) => {
            let AnyCanFrame::Classic(mask) = frame(mask)? else {
                return Err(wrong(mask));
            };
            socket.watch_changes(&mask, milliseconds(timeout)?, milliseconds(throttle)?)?;
        }
        ("end-watch", [job]) => socket.stop_watching(id(job)?)?,
        ("hear", []) => {
            let message = socket.recv()?;
            let mut told = format!("{:?}", message.operation);
            for frame in &message.frames {
                if let AnyCanFrame::Classic(frame) = frame {
                    told += &format!(" {frame}");
                }
            }
            return Ok(told);
        }
        _ => return Err(wrong(verb)),
    }
    Ok("ok".to_owned())
}

fn on_isotp(channel: &IsoTpSocket, verb: &str, words: &[&str]) -> io::Result<String> {
    match (verb, words) {
        ("push", [seed, length]) => {
            let data = pattern(hex(seed)?, length.parse().map_err(|_| wrong(length))?);
            let sent = channel.send(&data)?;
            tell("sent", &data[..sent]);
            Ok(format!("ok {sent}"))
        }
        ("pull", [max]) => {
            let data = channel.recv_vec(max.parse().map_err(|_| wrong(max))?)?;
            tell("received", &data);
            Ok(format!("ok {}", data.len()))
        }
        _ => Err(wrong(verb)),
    }
}

fn on_j1939(socket: &J1939Socket, verb: &str, words: &[&str]) -> io::Result<String> {
    match (verb, words) {
        ("broadcasts", []) => socket.set_broadcast(true)?,
        // What was acknowledged is reported where SOF_TIMESTAMPING_TX_ACK asks for it.
        ("reports", []) => {
            socket.set_error_queue(true)?;
            let asked = TIMESTAMPING_TX_ACK.to_le_bytes();
            socket
                .as_ref()
                .set_raw_option(SOL_SOCKET, SO_TIMESTAMPING, &asked)?;
        }
        ("push", [to, pgn, seed, length]) => {
            let data = pattern(hex(seed)?, length.parse().map_err(|_| wrong(length))?);
            let sent = socket.send_to(&data, node(to)?.pgn(narrow(pgn)?))?;
            tell("sent", &data[..sent]);
            return Ok(format!("ok {sent}"));
        }
        // The claim of an address: the NAME, as the bus has it.
        ("claim", [name]) => {
            let to = J1939Address::any().pgn(0xee00);
            socket.send_to(&hex(name)?.to_le_bytes(), to)?;
        }
        ("pull", [max]) => {
            let message = socket.recv(max.parse().map_err(|_| wrong(max))?)?;
            tell("received", &message.data);
            let told = |value: Option<u8>| value.map_or("-".to_owned(), |it| format!("{it:02x}"));
            return Ok(format!(
                "from {} pgn {:05x} to {} priority {}",
                told(message.source.address),
                message.source.pgn.unwrap_or_default(),
                told(message.destination),
                told(message.priority),
            ));
        }
        ("report", []) => {
            return Ok(match socket.recv_error()? {
                Some(error) => format!("{:?} {}", error.origin, error.error.name()),
                None => "none".to_owned(),
            });
        }
        _ => return Err(wrong(verb)),
    }
    Ok("ok".to_owned())
}
