//! Carries the frames of one CAN bus to another bus, or in UDP datagrams to a collector, and gives those of one
//! range of 11-bit ids another range.
//!
//! ```sh
//! sockgate run --policy examples/policies/can-gateway.toml --var from=vcan0 --var to=vcan1 \
//!     target/wasm32-wasip2/debug/can-gateway.wasm vcan0 vcan1 --rewrite 120/7F0=320
//! sockgate run --policy examples/policies/can-udp-gateway.toml --var from=vcan0 \
//!     --var address=192.0.2.1 --var port=5000 \
//!     target/wasm32-wasip2/debug/can-gateway.wasm vcan0 192.0.2.1:5000
//! ```
//!
//! A datagram holds one frame as cansend(1) takes it. What the policy does not let out is counted and left out.
//! `--clients N` ends after N frames.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::Errno;
use sockgate_guest::can::{AnyCanFrame, CanFrame, CanId, CanSocket};
use sockgate_guest::net::UdpSocket;

fn main() -> ExitCode {
    run(carry)
}

fn carry(mut arguments: Arguments) -> io::Result<()> {
    let from = arguments.word("FROM")?;
    let to = arguments.word("TO")?;
    let rewrite = arguments.option::<Rewrite>("rewrite")?;
    let source = CanSocket::open(&from).trying(format_args!("open {from}"))?;
    source.set_fd_frames(true).trying("hear CAN FD")?;
    let way = Way::open(&to).trying(format_args!("open {to}"))?;
    eprintln!("listening on can {from}");
    let (mut carried, mut refused) = (0u64, 0u64);
    for _ in 0..arguments.clients()? {
        let frame = source.recv_any().trying("receive")?;
        let frame = match &rewrite {
            Some(rewrite) => rewrite.apply(frame)?,
            None => frame,
        };
        match way.send(&frame) {
            Ok(()) => carried += 1,
            Err(error) if Errno::of(&error) == Some(Errno::ACCES) => refused += 1,
            Err(error) => return Err(error).trying(format_args!("send {frame}")),
        }
    }
    eprintln!("{carried} carried, {refused} refused");
    Ok(())
}

/// Where frames go.
enum Way {
    Bus(CanSocket),
    Datagrams(UdpSocket, SocketAddr),
}

impl Way {
    fn open(to: &str) -> io::Result<Self> {
        if let Ok(collector) = to.parse::<SocketAddr>() {
            let any = match collector {
                SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
                SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
            };
            return Ok(Self::Datagrams(UdpSocket::bind(any)?, collector));
        }
        let bus = CanSocket::open(to)?;
        bus.set_filters(&[])?;
        bus.set_fd_frames(true)?;
        Ok(Self::Bus(bus))
    }

    fn send(&self, frame: &AnyCanFrame) -> io::Result<()> {
        match self {
            Self::Bus(bus) => bus.send(frame.clone()),
            Self::Datagrams(socket, collector) => {
                socket.send_to(frame.to_string().as_bytes(), *collector)?;
                Ok(())
            }
        }
    }
}

/// `ID/MASK=NEW`: ids that equal ID in the bits of MASK have NEW there afterwards.
struct Rewrite {
    id: u16,
    mask: u16,
    new: u16,
}

impl Rewrite {
    /// The frame under its new id; frames of 29 bits, remote requests and error frames stay as they are.
    fn apply(&self, frame: AnyCanFrame) -> io::Result<AnyCanFrame> {
        let AnyCanFrame::Classic(classic) = &frame else {
            return Ok(frame);
        };
        match classic.id() {
            CanId::Standard(id) if !classic.is_remote() && id & self.mask == self.id => {
                let id = CanId::Standard(id & !self.mask | self.new);
                Ok(CanFrame::new(id, classic.data())?.into())
            }
            _ => Ok(frame),
        }
    }
}

impl FromStr for Rewrite {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is no rewrite rule, like 120/7F0=320";
        let (old, new) = text.split_once('=').ok_or(wrong)?;
        let (id, mask) = old.split_once('/').ok_or(wrong)?;
        let number = |digits| u16::from_str_radix(digits, 16).map_err(|_| wrong);
        let rule = Self {
            id: number(id)?,
            mask: number(mask)?,
            new: number(new)?,
        };
        let fits = rule.mask <= 0x7ff && (rule.id | rule.new) & !rule.mask == 0;
        if fits {
            Ok(rule)
        } else {
            Err("its ids have bits outside of its mask, or that has more than 11")
        }
    }
}
