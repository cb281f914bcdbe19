//! Prints what passes between the kernel and its Bluetooth controllers, and writes it down for btmon(1) or
//! Wireshark.
//!
//! ```sh
//! sockgate run --policy examples/policies/hci-monitor.toml --dir /tmp::/out \
//!     target/wasm32-wasip2/debug/hci-monitor.wasm /out/trace.btsnoop
//! btmon --read /tmp/trace.btsnoop
//! ```
//!
//! Without a file it prints alone. With `--clients N` it ends after N packets.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::bluetooth::{HciAddress, HciSocket};

/// HCI_CHANNEL_MONITOR and HCI_DEV_NONE: the channel is of all controllers.
const MONITOR: HciAddress = HciAddress {
    device: 0xffff,
    channel: 2,
};
/// The length of struct hci_mon_hdr: what it is, of which controller, and how long.
const HEAD: usize = 6;
/// The largest packet that the channel gives.
const LARGEST: usize = HEAD + 65535;

/// What a packet is, by HCI_MON_*.
const KINDS: &[&str] = &[
    "controller added",
    "controller removed",
    "command",
    "event",
    "acl sent",
    "acl received",
    "sco sent",
    "sco received",
    "controller opened",
    "controller closed",
    "controller told",
    "vendor message",
    "system note",
    "user note",
    "management opened",
    "management closed",
    "management command",
    "management event",
    "iso sent",
    "iso received",
];

fn main() -> ExitCode {
    run(watch)
}

fn watch(mut arguments: Arguments) -> io::Result<()> {
    let mut trace = match arguments.next_word() {
        Some(file) => Some(Trace::create(&file).trying(format_args!("write {file}"))?),
        None => None,
    };
    let socket = HciSocket::open(MONITOR).trying("bind to the monitor channel")?;
    println!("listening on the controllers");
    let mut buffer = vec![0; LARGEST];
    for _ in 0..arguments.clients()? {
        let length = socket.recv(&mut buffer).trying("receive")?;
        let Some(packet) = Packet::decode(&buffer[..length]) else {
            return Err(io::Error::other("the kernel gave a packet that was cut"));
        };
        if let Some(trace) = &mut trace {
            trace.write(&packet).trying("write the trace")?;
        }
        println!("{packet}");
    }
    Ok(())
}

struct Packet<'p> {
    kind: u16,
    controller: u16,
    data: &'p [u8],
}

impl<'p> Packet<'p> {
    fn decode(bytes: &'p [u8]) -> Option<Self> {
        let (head, data) = bytes.split_first_chunk::<HEAD>()?;
        let [kind, controller, length] =
            [0, 2, 4].map(|at| u16::from_le_bytes([head[at], head[at + 1]]));
        Some(Self {
            kind,
            controller,
            data: data.get(..length.into())?,
        })
    }
}

impl std::fmt::Display for Packet<'_> {
    /// `hci0 command 01 10 00`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.controller {
            0xffff => f.write_str("-")?,
            number => write!(f, "hci{number}")?,
        }
        match KINDS.get(usize::from(self.kind)) {
            Some(kind) => write!(f, " {kind}")?,
            None => write!(f, " kind {}", self.kind)?,
        }
        self.data
            .iter()
            .try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

/// A btsnoop file of data link type 2001: the monitor's own packets.
struct Trace(BufWriter<File>);

impl Trace {
    fn create(name: &str) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(name)?);
        file.write_all(b"btsnoop\0")?;
        file.write_all(&1u32.to_be_bytes())?;
        file.write_all(&2001u32.to_be_bytes())?;
        Ok(Self(file))
    }

    fn write(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        /// Microseconds from the year 0 to 1970, as Symbian counted them.
        const EPOCH: u64 = 0x00dc_ddb3_0f2f_8000;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(io::Error::other)?.as_micros() as u64;
        let length = (packet.data.len() as u32).to_be_bytes();
        self.0.write_all(&length)?;
        self.0.write_all(&length)?;
        self.0.write_all(&packet.controller.to_be_bytes())?;
        self.0.write_all(&packet.kind.to_be_bytes())?;
        // Nothing is known of packets that were dropped.
        self.0.write_all(&0u32.to_be_bytes())?;
        self.0.write_all(&(EPOCH + now).to_be_bytes())?;
        self.0.write_all(packet.data)?;
        self.0.flush()
    }
}
