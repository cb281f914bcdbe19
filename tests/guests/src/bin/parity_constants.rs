//! Prints every constant of the SDK: `NAME NUMBER`, and for families, types, protocols and flags the number that
//! comes back from the SDK's own name for it.

use sockgate_guest::names::{LookupFlags, NameFlags};
use sockgate_guest::{Family, MessageFlags, NameError, Protocol, SocketType, consts};

fn main() {
    for (name, number) in consts::ALL {
        match back(name, *number) {
            Some(back) => println!("{name} {number} {back}"),
            None => println!("{name} {number}"),
        }
    }
    println!("BDADDR_ANY {}", consts::BDADDR_ANY);
    println!("BDADDR_LOCAL {}", consts::BDADDR_LOCAL);
}

/// The number by way of the SDK's kind; `-` where that has none.
fn back(name: &str, number: i64) -> Option<String> {
    let number = i32::try_from(number).ok()?;
    let protocol = |family| Some(Protocol::from_number(family, number).number());
    let back = match name.split_once('_')? {
        ("AF" | "PF", _) => Family::from_number(number).number(),
        ("SOCK", "NONBLOCK" | "CLOEXEC" | "DIAG_BY_FAMILY") => return None,
        ("SOCK", _) => Some(SocketType::from_number(number).number()),
        ("IPPROTO", _) => protocol(Family::Inet),
        ("BTPROTO", _) => protocol(Family::Bluetooth),
        ("CAN", "RAW" | "BCM" | "ISOTP" | "J1939" | "TP16" | "TP20" | "MCNET") => {
            protocol(Family::Can)
        }
        ("AI", _) => LookupFlags::from_number(number).map(LookupFlags::number),
        ("NI", "MAXHOST" | "MAXSERV") => return None,
        ("NI", _) => NameFlags::from_number(number).map(NameFlags::number),
        // The asynchronous look-up's, which glibc has beside.
        ("EAI", "ALLDONE" | "CANCELED" | "INPROGRESS" | "INTR" | "NOTCANCELED" | "IDN_ENCODE") => {
            return None;
        }
        ("EAI", _) => Some(NameError::from_number(number).number()),
        ("MSG", _) => MessageFlags::from_number(number).map(MessageFlags::number),
        _ => return None,
    };
    Some(back.map_or("-".to_owned(), |back| back.to_string()))
}
