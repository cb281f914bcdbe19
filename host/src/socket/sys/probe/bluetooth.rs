//! Bluetooth: hci(4), l2cap(4), rfcomm(4), sco(4) of BlueZ.

use libc::c_int;

use super::super::Result;
use super::find::{Finding, Source, built};
use super::kernel::entries;
use super::look::{Kind, Look, Place};

const CORE: Source = built("CONFIG_BT", "bluetooth");

const fn kind(
    socket_type: &'static str,
    protocol: &'static str,
    numbers: (c_int, c_int),
    source: Source,
) -> Kind {
    let (style, number) = numbers;
    Kind::new(
        socket_type,
        Some(protocol),
        (libc::AF_BLUETOOTH, style, number),
        source,
    )
}

const KINDS: &[Kind] = &[
    kind("stream", "l2cap", (libc::SOCK_STREAM, 0), CORE),
    kind("datagram", "l2cap", (libc::SOCK_DGRAM, 0), CORE),
    kind("seqpacket", "l2cap", (libc::SOCK_SEQPACKET, 0), CORE),
    kind("raw", "hci", (libc::SOCK_RAW, 1), CORE),
    kind("seqpacket", "sco", (libc::SOCK_SEQPACKET, 2), CORE),
    kind(
        "stream",
        "rfcomm",
        (libc::SOCK_STREAM, 3),
        built("CONFIG_BT_RFCOMM", "rfcomm"),
    ),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("bluetooth", KINDS)?;
    look.tell(Place::of("bluetooth", "controllers"), controllers());
    Ok(())
}

/// Which adapters there are; connections below one (`hci0:11`) are not meant.
fn controllers() -> Finding {
    let found: Vec<String> = entries("/sys/class/bluetooth")
        .unwrap_or_default()
        .into_iter()
        .filter(|name| name.starts_with("hci") && !name.contains(':'))
        .collect();
    match found.is_empty() {
        false => Finding::works(found.join(", ")),
        true => Finding::absent(
            "no controller in /sys/class/bluetooth",
            "plug in an adapter and see `rfkill list`; for tests, module hci_vhci makes virtual ones",
        ),
    }
}
