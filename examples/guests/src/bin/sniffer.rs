//! Writes the frames of an interface as pcapng, which tcpdump(8) and Wireshark read.
//!
//! ```sh
//! sockgate run --policy examples/policies/sniffer.toml --var interface=eth0 \
//!     target/wasm32-wasip2/debug/sniffer.wasm eth0 | tcpdump -n -r -
//! ```
//!
//! `--clients N` ends after N frames; `--file NAME` writes there instead of to stdout (`--dir`).

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::addresses::PacketType;
use sockgate_guest::consts::ETH_P_ALL;
use sockgate_guest::packet::{PacketMembership, PacketReceived, PacketSocket};

/// The longest frame that is kept whole.
const SNAP_LENGTH: usize = 65535;

fn main() -> ExitCode {
    run(sniff)
}

fn sniff(mut arguments: Arguments) -> io::Result<()> {
    let interface = arguments.word("INTERFACE")?;
    let socket =
        PacketSocket::open(&interface, ETH_P_ALL).trying(format_args!("open {interface}"))?;
    socket.as_ref().set_receive_timestamp(true)?;
    socket.set_auxdata(true)?;
    socket
        .join(&interface, &PacketMembership::Promiscuous)
        .trying("hear what is meant for others")?;
    let mut out: Box<dyn Write> = match arguments.option::<String>("file")? {
        Some(name) => Box::new(File::create(&name).trying(name)?),
        None => Box::new(io::stdout()),
    };
    out.write_all(&beginning(&interface))?;
    out.flush()?;
    eprintln!("listening on packet {interface}");
    for _ in 0..arguments.clients()? {
        let frame = socket.recv_frame(SNAP_LENGTH).trying("receive")?;
        out.write_all(&block(&frame))?;
        out.flush()?;
    }
    let counts = socket.statistics()?;
    eprintln!("{} frames, {} dropped", counts.frames, counts.dropped);
    Ok(())
}

/// A pcapng block: type, length, body, length again (draft-ietf-opsawg-pcapng).
fn framed(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len().next_multiple_of(4) + 12) as u32;
    let mut block = kind.to_le_bytes().to_vec();
    block.extend(length.to_le_bytes());
    block.extend(body);
    block.resize(length as usize - 4, 0);
    block.extend(length.to_le_bytes());
    block
}

/// An option within a block: code, length, value.
fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = code.to_le_bytes().to_vec();
    option.extend((value.len() as u16).to_le_bytes());
    option.extend(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

/// The section's header, and the one interface: Ethernet, times in nanoseconds.
fn beginning(interface: &str) -> Vec<u8> {
    let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend(u64::MAX.to_le_bytes());
    let mut description = vec![1, 0, 0, 0];
    description.extend((SNAP_LENGTH as u32).to_le_bytes());
    description.extend(option(2, interface.as_bytes()));
    description.extend(option(9, &[9]));
    description.extend([0; 4]);
    [framed(0x0a0d_0d0a, &section), framed(1, &description)].concat()
}

/// One frame, with its time and direction.
fn block(frame: &PacketReceived) -> Vec<u8> {
    let data = tagged(frame);
    let length = frame.true_length as usize + data.len() - frame.data.len();
    let time = frame.timestamp.map_or(0, |at| {
        at.seconds as u64 * 1_000_000_000 + u64::from(at.nanoseconds)
    });
    let outwards = frame
        .source
        .as_ref()
        .is_some_and(|source| matches!(source.packet_type, PacketType::Outgoing));
    let mut body = vec![0; 4];
    body.extend(((time >> 32) as u32).to_le_bytes());
    body.extend((time as u32).to_le_bytes());
    body.extend((data.len() as u32).to_le_bytes());
    body.extend((length as u32).to_le_bytes());
    body.extend(&data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(option(2, &(if outwards { 2u32 } else { 1 }).to_le_bytes()));
    body.extend([0; 4]);
    framed(6, &body)
}

/// The frame as it was on the wire: the kernel takes a VLAN tag out and tells of it.
fn tagged(frame: &PacketReceived) -> Vec<u8> {
    let tag = frame.auxdata.as_ref().and_then(|auxdata| {
        let protocol = auxdata.vlan_protocol.unwrap_or(0x8100);
        Some((protocol, auxdata.vlan_tag?))
    });
    match (tag, frame.data.split_at_checked(12)) {
        (Some((protocol, tag)), Some((addresses, rest))) => {
            let tag = [protocol.to_be_bytes(), tag.to_be_bytes()].concat();
            [addresses, &tag, rest].concat()
        }
        _ => frame.data.clone(),
    }
}
