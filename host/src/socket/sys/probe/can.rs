//! Controller area networks: Documentation/networking/can.rst, iso15765-2.rst, j1939.rst.

use libc::c_int;

use super::super::Result;
use super::find::{Finding, Source, built};
use super::kernel::{entries, text};
use super::look::{Kind, Look, Place, Setting};

const SOL_CAN_RAW: c_int = 101;
/// What `/sys/class/net/NAME/type` says of a CAN interface.
const ARPHRD_CAN: &str = "280";

const RAW: &[Setting] = &[
    Setting::new("CAN_RAW_FD_FRAMES", SOL_CAN_RAW, 5, Source::Since(3, 6))
        .note("CAN FD; the interface needs an MTU of 72"),
    Setting::new("CAN_RAW_XL_FRAMES", SOL_CAN_RAW, 7, Source::Since(6, 2))
        .note("CAN XL; the interface needs an MTU of up to 2060"),
    Setting::new("CAN_RAW_JOIN_FILTERS", SOL_CAN_RAW, 6, Source::Since(4, 1)),
    Setting::new("CAN_RAW_RECV_OWN_MSGS", SOL_CAN_RAW, 4, Source::Since(2, 6)),
];

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
        (libc::AF_CAN, style, number),
        source,
    )
}

const KINDS: &[Kind] = &[
    kind(
        "raw",
        "raw",
        (libc::SOCK_RAW, 1),
        built("CONFIG_CAN_RAW", "can_raw"),
    )
    .settings(RAW),
    kind(
        "datagram",
        "bcm",
        (libc::SOCK_DGRAM, 2),
        built("CONFIG_CAN_BCM", "can_bcm"),
    ),
    kind(
        "datagram",
        "isotp",
        (libc::SOCK_DGRAM, 6),
        built("CONFIG_CAN_ISOTP", "can_isotp"),
    ),
    kind(
        "datagram",
        "j1939",
        (libc::SOCK_DGRAM, 7),
        built("CONFIG_CAN_J1939", "can_j1939"),
    ),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("can", KINDS)?;
    interfaces(look);
    Ok(())
}

/// Which interfaces there are to bind to, and whether they are up.
fn interfaces(look: &mut Look<'_>) {
    const CREATE: &str = "ip link add vcan0 type vcan && ip link set vcan0 up (module vcan, \
                          CAP_NET_ADMIN), or a CAN adapter";
    let finding = match entries("/sys/class/net") {
        None => Finding::limited("/sys/class/net cannot be read", "mount -t sysfs sysfs /sys"),
        Some(all) => {
            let of = |name: &str, file: &str| text(&format!("/sys/class/net/{name}/{file}"));
            let found: Vec<String> = all
                .iter()
                .filter(|name| of(name, "type").is_some_and(|kind| kind == ARPHRD_CAN))
                .map(|name| {
                    let mtu = of(name, "mtu").unwrap_or_default();
                    match is_up(of(name, "flags")) {
                        true => format!("{name} (MTU {mtu})"),
                        false => format!("{name} (MTU {mtu}, down)"),
                    }
                })
                .collect();
            match found.iter().any(|name| !name.ends_with("down)")) {
                true => Finding::works(found.join(", ")),
                false if found.is_empty() => Finding::absent("no CAN interface", CREATE),
                false => Finding::limited(found.join(", "), "ip link set INTERFACE up"),
            }
        }
    };
    look.tell(Place::of("can", "interfaces"), finding);
}

/// IFF_UP in `flags`: `0x1003`.
fn is_up(flags: Option<String>) -> bool {
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok())
        .is_some_and(|flags| flags & 1 != 0)
}
