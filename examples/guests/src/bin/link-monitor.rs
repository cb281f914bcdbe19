//! Prints what changes about this host's interfaces and addresses, as `ip monitor` does.
//!
//! ```sh
//! sockgate run --policy examples/policies/link-monitor.toml target/wasm32-wasip2/debug/link-monitor.wasm
//! ```
//!
//! With `--clients N` it ends after N events.

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::Protocol;
use sockgate_guest::consts::{RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK};
use sockgate_guest::netlink::NetlinkSocket;
use sockgate_guest::netlink::route::{InterfaceAddress, Link, RouteEvent};

fn main() -> ExitCode {
    run(monitor)
}

fn monitor(arguments: Arguments) -> io::Result<()> {
    let socket = NetlinkSocket::open(Protocol::NetlinkRoute).trying("open a netlink socket")?;
    for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
        socket
            .join(group)
            .trying(format_args!("join group {group}"))?;
    }
    println!("listening on netlink");
    let events = arguments.clients()?;
    let mut seen = 0;
    while seen < events {
        for message in socket.recv().trying("receive")? {
            if let Some(text) = described(RouteEvent::decode(message)?) {
                println!("{text}");
                seen += 1;
            }
        }
    }
    Ok(())
}

fn described(event: RouteEvent) -> Option<String> {
    let link = |link: Link| {
        let state = if link.is_up() { "up" } else { "down" };
        format!("{} {state} mtu {}", link.name, link.mtu.unwrap_or(0))
    };
    let address = |address: InterfaceAddress| {
        let InterfaceAddress {
            address,
            prefix_length,
            interface,
            ..
        } = address;
        format!("{address}/{prefix_length} on #{interface}")
    };
    Some(match event {
        RouteEvent::Link(changed) => format!("link {}", link(changed)),
        RouteEvent::LinkGone(gone) => format!("link gone {}", link(gone)),
        RouteEvent::Address(new) => format!("address {}", address(new)),
        RouteEvent::AddressGone(gone) => format!("address gone {}", address(gone)),
        _ => return None,
    })
}
