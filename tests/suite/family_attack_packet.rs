//! Options of packet sockets that reach beyond the socket: frames of other sockets, and memory that they share.

use anyhow::Result;
use sockgate_tests::{Attack, Need, Net, kernel, net_steps, watched};

/// PACKET_FANOUT joins a group of sockets, whose members share what comes; rings are memory that the kernel writes.
#[test]
fn packet_options_that_reach_further_need_their_names() -> Result<()> {
    let name = "packet_options_that_reach_further_need_their_names";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let auxdata = "set p 263 8 01000000";
    let script = [
        "p = packet raw 0",
        auxdata,
        "set p 263 18 01000000",
        "set p 263 18 01001000",
        "set p 263 5 00100000010000000001000010000000",
        "set p 263 13 00100000010000000001000010000000",
        "set p 263 20 01000000",
    ];
    let policy = |options: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"arp\"\nfamily = [\"packet\"]\ntype = [\"raw\"]\nops = [\"bind\"]\n\
             interface = [\"lo\"]\nethertype = [\"0x0806\"]\noptions = {{ set = [\"*\"{options}] }}\n"
        )
    };
    let attack = watched(net_steps(&net, &policy(""), &script), name)?;
    let named =
        ", \"packet.fanout\", \"packet.rx-ring\", \"packet.tx-ring\", \"packet.qdisc-bypass\"";
    let control = watched(net_steps(&net, &policy(named), &script), name)?;
    let tries = [
        ("fanout", "PACKET_FANOUT", script[2]),
        ("fanout-unique", "PACKET_FANOUT", script[3]),
        ("rx-ring", "PACKET_RX_RING", script[4]),
        ("tx-ring", "PACKET_RX_RING", script[5]),
        ("qdisc-bypass", "PACKET_FANOUT", script[6]),
    ];
    for (id, phrase, step) in tries {
        // What is never set is compared with what a wildcard lists.
        let made = match &control.syscalls {
            Some(log) => log
                .of_step(step)?
                .iter()
                .any(|call| call.name == "setsockopt"),
            None => true,
        };
        Attack::new(format!("packet-{id}"), "Options", phrase)
            .tried(format!("`{step}`, where a wildcard lists every option"))
            .step(
                (&attack, step),
                (&control, if made { step } else { auxdata }),
                &["setsockopt"],
            )?
            .state()?;
    }
    Ok(())
}
