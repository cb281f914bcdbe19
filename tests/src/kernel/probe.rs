//! Whether a kernel has something, seen by trying it.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::net::{Frames, Net};

const CAN: i32 = 29;
const RDS: i32 = 21;
const BLUETOOTH: i32 = 31;
const VSOCK: i32 = 40;

/// What stands for "any" and for "this machine" as a vsock(7) address.
const CID_ANY: u32 = u32::MAX;
const CID_LOCAL: u32 = 1;

/// One way of trying.
pub(super) enum Probe {
    /// socket(2) with family, type and protocol.
    Socket(i32, i32, i32),
    /// A socket of this type and protocol, and a virtual CAN interface with this MTU.
    Can(i32, i32, u32),
    /// A connection of this type from this machine to itself.
    Vsock(i32),
    /// An algorithm of this type and name, bound with AF_ALG.
    Alg(&'static str, &'static str),
    /// A socket bound to the loopback address, for which it needs a transport.
    Rds,
    /// A socket of this type and protocol, and the device that makes virtual controllers.
    Bluetooth(i32, i32),
    /// A script that ends with 0 where all is well.
    Python(&'static str),
}

impl Probe {
    /// What went wrong, if anything did.
    pub(super) fn problem(&self) -> Option<String> {
        match *self {
            Probe::Socket(family, kind, protocol) => made(family, kind, protocol).err(),
            Probe::Can(kind, protocol, mtu) => can(kind, protocol, mtu).err(),
            Probe::Vsock(kind) => vsock(kind).err(),
            Probe::Alg(kind, name) => python(&format!(
                "import socket\nsocket.socket(38, 5, 0).bind(('{kind}', '{name}'))\n"
            ))
            .err(),
            Probe::Rds => rds().err(),
            Probe::Bluetooth(kind, protocol) => bluetooth(kind, protocol).err(),
            Probe::Python(script) => python(script).err(),
        }
    }
}

/// An error of a call, in one line.
fn told<T>(call: impl Display, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{call}: {error}"))
}

fn made(family: i32, kind: i32, protocol: i32) -> Result<Socket, String> {
    told(
        format_args!("socket({family}, {kind}, {protocol})"),
        Socket::new(
            Domain::from(family),
            Type::from(kind),
            Some(Protocol::from(protocol)),
        ),
    )
}

fn can(kind: i32, protocol: i32, mtu: u32) -> Result<(), String> {
    made(CAN, kind, protocol)?;
    let net = Net::make()?;
    let frames = match mtu {
        16 => Frames::Classic,
        72 => Frames::Fd,
        _ => Frames::Xl,
    };
    net.vcan_of("vcan0", frames)
        .map_err(|error| format!("{error:#}"))
}

fn vsock(kind: i32) -> Result<(), String> {
    let listener = made(VSOCK, kind, 0)?;
    // The kernel gives the port out, so that probes of several processes do not meet.
    told("bind", listener.bind(&SockAddr::vsock(CID_ANY, u32::MAX)))?;
    told("listen", listener.listen(1))?;
    let address = told("getsockname", listener.local_addr())?;
    let (_, port) = address
        .as_vsock_address()
        .ok_or("getsockname answered no vsock address")?;
    let wait = Duration::from_secs(2);
    told(
        "connect to CID 1",
        made(VSOCK, kind, 0)?.connect_timeout(&SockAddr::vsock(CID_LOCAL, port), wait),
    )
}

fn rds() -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    told("bind", made(RDS, 5, 0)?.bind(&address.into()))
}

fn bluetooth(kind: i32, protocol: i32) -> Result<(), String> {
    made(BLUETOOTH, kind, protocol)?;
    let mut device = OpenOptions::new();
    device.read(true).write(true);
    told("/dev/vhci", device.open("/dev/vhci")).map(drop)
}

fn python(script: &str) -> Result<(), String> {
    let answer = told(
        "python3",
        Command::new("python3")
            .args(["-S", "-E", "-c", script])
            .stdin(Stdio::null())
            .output(),
    )?;
    if answer.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.stderr);
    // A traceback's last line is the error.
    let error = text.lines().last().unwrap_or("python3 failed in silence");
    Err(error.to_owned())
}
