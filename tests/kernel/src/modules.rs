//! Which modules are loaded, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What the socket families need, by the modules' names; depmod's list says what these need in turn.
const WANTED: &[&str] = &[
    // The root file system that forgets.
    "overlay",
    "ipv6",
    // CAN, and its virtual interfaces.
    "can",
    "can-raw",
    "can-bcm",
    "can-gw",
    "can-j1939",
    "vcan",
    "vxcan",
    "vsock",
    "vsock_loopback",
    "vsock_diag",
    "tipc",
    "tipc_diag",
    "rds",
    "rds_tcp",
    // SCTP asks for its HMAC by name.
    "hmac",
    "sctp",
    "sctp_diag",
    "dccp",
    "dccp_ipv4",
    "dccp_ipv6",
    "kcm",
    "tls",
    // AF_ALG and algorithms to try it with.
    "af_alg",
    "algif_hash",
    "algif_skcipher",
    "algif_aead",
    "algif_rng",
    "sha512_generic",
    "md4",
    "cbc",
    "ecb",
    "ctr",
    "xts",
    "gcm",
    "ccm",
    "ghash-generic",
    "cmac",
    "chacha20poly1305",
    "authenc",
    "drbg",
    "ansi_cprng",
    // Bluetooth's pairing.
    "ecdh_generic",
    // Sockets that tell of sockets, ss(8).
    "unix_diag",
    "af_packet_diag",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "raw_diag",
    "netlink_diag",
    // Families that only a socket(2) is tried of.
    "rxrpc",
    "llc2",
    "phonet",
    "x25",
    "appletalk",
    "caif_socket",
    "ieee802154_socket",
    "nfc",
    "pppoe",
    "l2tp_ppp",
    "af_key",
    "xfrm_user",
    "nfnetlink_log",
    "nfnetlink_queue",
    "crypto_user",
    // Interfaces and queues for tests of IP and packet sockets.
    "dummy",
    "veth",
    "tun",
    "nlmon",
    "sch_netem",
    "sch_tbf",
    "sch_fq_codel",
];

/// What is built from the kernel's sources, in the order that it loads in.
pub(crate) const BUILT: &[&str] = &[
    "can-isotp",
    "qrtr",
    "qrtr-tun",
    "bluetooth",
    "rfcomm",
    "bnep",
    "hidp",
    "hci_vhci",
];

/// The modules' files beneath the package's folder, each after what it needs; unknown names are left out.
pub(crate) fn in_order(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = folder.join("modules.dep");
    let text =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let dependencies = Dependencies::parse(&text);
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    for name in WANTED {
        dependencies.add(name, &mut done, &mut order);
    }
    Ok(order.into_iter().map(|path| folder.join(path)).collect())
}

/// depmod's list, modules.dep(5): by module name its file, and the names of what it needs.
struct Dependencies<'a>(BTreeMap<String, (&'a str, Vec<&'a str>)>);

impl<'a> Dependencies<'a> {
    fn parse(text: &'a str) -> Dependencies<'a> {
        let rows = text.lines().filter_map(|line| {
            let (file, needs) = line.split_once(':')?;
            Some((
                module_name(file),
                (file, needs.split_whitespace().collect()),
            ))
        });
        Dependencies(rows.collect())
    }

    fn add(&self, file_or_name: &str, done: &mut BTreeSet<String>, order: &mut Vec<&'a str>) {
        let name = module_name(file_or_name);
        let Some((file, needs)) = self.0.get(&name) else {
            return;
        };
        if !done.insert(name) {
            return;
        }
        // depmod lists the nearest first.
        for need in needs.iter().rev() {
            self.add(need, done, order);
        }
        order.push(file);
    }
}

/// A module's name from its file or from another spelling: no folder, no `.ko`, no dashes.
fn module_name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    let name = base.split(".ko").next().unwrap_or(base);
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
kernel/net/can/can-raw.ko: kernel/net/can/can.ko
kernel/net/can/can.ko:
kernel/net/sctp/sctp_diag.ko: kernel/net/sctp/sctp.ko kernel/lib/crc.ko kernel/net/diag.ko
kernel/net/sctp/sctp.ko: kernel/lib/crc.ko
kernel/lib/crc.ko:
kernel/net/diag.ko:
kernel/net/unused.ko:
";

    #[test]
    fn a_module_comes_after_what_it_needs_and_once() {
        let dependencies = Dependencies::parse(LIST);
        let (mut done, mut order) = (BTreeSet::new(), Vec::new());
        for name in ["can_raw", "sctp_diag", "sctp", "nowhere"] {
            dependencies.add(name, &mut done, &mut order);
        }
        assert_eq!(
            order,
            [
                "kernel/net/can/can.ko",
                "kernel/net/can/can-raw.ko",
                "kernel/net/diag.ko",
                "kernel/lib/crc.ko",
                "kernel/net/sctp/sctp.ko",
                "kernel/net/sctp/sctp_diag.ko",
            ]
        );
    }
}
