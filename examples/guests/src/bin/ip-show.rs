//! Lists this host's interfaces, addresses and routes, as ip(8) does: over netlink.
//!
//! ```sh
//! sockgate run --policy examples/policies/ip-show.toml target/wasm32-wasip2/debug/ip-show.wasm
//! ```

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::Protocol;
use sockgate_guest::netlink::NetlinkSocket;
use sockgate_guest::netlink::route::{self, Link, Route};

fn main() -> ExitCode {
    run(show)
}

fn show(_: Arguments) -> io::Result<()> {
    let socket = NetlinkSocket::open(Protocol::NetlinkRoute).trying("open a netlink socket")?;
    // Refused requests say why in words.
    socket.set_extended_ack(true).trying("ask for words")?;
    let links = route::links(&socket).trying("list the interfaces")?;
    for link in &links {
        let state = if link.is_up() { "up" } else { "down" };
        let mtu = link.mtu.unwrap_or(0);
        let hardware = colons(&link.address);
        println!(
            "link {} {} {state} mtu {mtu} {hardware}",
            link.index, link.name
        );
    }
    for address in route::addresses(&socket).trying("list the addresses")? {
        let interface = name(&links, address.interface);
        println!(
            "address {interface} {}/{}",
            address.address, address.prefix_length
        );
    }
    for route in route::routes(&socket).trying("list the routes")? {
        println!("route {}", described(&links, &route));
    }
    Ok(())
}

/// `default via 192.0.2.1 dev eth0 table 254`.
fn described(links: &[Link], route: &Route) -> String {
    let mut text = match route.destination {
        Some(network) => format!("{network}/{}", route.prefix_length),
        None => "default".to_owned(),
    };
    if let Some(gateway) = route.gateway {
        text += &format!(" via {gateway}");
    }
    if let Some(interface) = route.interface {
        text += &format!(" dev {}", name(links, interface));
    }
    text + &format!(" table {}", route.table)
}

fn name(links: &[Link], index: u32) -> String {
    let link = links.iter().find(|link| link.index == index);
    link.map_or(format!("#{index}"), |link| link.name.clone())
}

fn colons(address: &[u8]) -> String {
    let octets: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
    octets.join(":")
}
