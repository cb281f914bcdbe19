//! The SDK's constants beside the table of Python's names, the machine's own Python, the kernel's headers and the
//! policy's table of options.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_policy::OptionName;
use sockgate_tests::{GuestRun, Native, Tool, covers, folder, oracle, parity, patience, skip};

/// What a guest has: the number of each constant, and what came back from the SDK's own name for it.
fn constants() -> Result<BTreeMap<String, (String, Option<String>)>> {
    let ended = GuestRun::new("parity_constants").finish(patience())?;
    let ended = ended.success()?;
    let mut constants = BTreeMap::new();
    for line in ended.stdout.lines() {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().context("an empty line")?;
        let number = words.next().context("no number")?;
        let before = constants.insert(name, (number, words.next()));
        ensure!(before.is_none(), "{line}: twice");
    }
    Ok(constants)
}

/// Names with numbers, as an oracle prints them.
fn numbers(lines: &[String]) -> Result<BTreeMap<&str, &str>> {
    lines
        .iter()
        .map(|line| line.split_once(' ').with_context(|| format!("`{line}`")))
        .collect()
}

/// How many of the oracle's names a guest has, each with the same number.
fn agreement(oracle: &BTreeMap<&str, &str>) -> Result<usize> {
    let constants = constants()?;
    let mut same = 0;
    let mut other = Vec::new();
    for (name, theirs) in oracle {
        match constants.get(*name) {
            Some((ours, _)) if ours == theirs => same += 1,
            Some((ours, _)) => other.push(format!("{name}: {ours}, and there {theirs}")),
            None => {}
        }
    }
    ensure!(other.is_empty(), "{}", other.join("\n"));
    Ok(same)
}

#[test]
fn every_constant_has_the_tables_number() -> Result<()> {
    let constants = constants()?;
    let mut wrong = Vec::new();
    let mut right = Vec::new();
    for row in parity::names("socket")? {
        let own = format!("consts::{}", row.name);
        if row.kind != "const" || !row.item.split(", ").any(|item| item == own) {
            continue;
        }
        match constants.get(&row.name) {
            Some((number, _)) if *number == row.value => right.push(row.name),
            found => wrong.push(format!("{} = {}: {found:?}", row.name, row.value)),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(right.len() > 500, "only {} constants", right.len());
    covers(&right.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}

/// These have no name in a guest's calls: the kernel's own, what is always on, and conversions of glibc's.
const NO_FLAGS: [&str; 7] = [
    "MSG_FIN",
    "MSG_SYN",
    "MSG_RST",
    "MSG_WAITFORONE",
    "MSG_CMSG_CLOEXEC",
    "AI_IDN",
    "AI_CANONIDN",
];

#[test]
fn families_types_protocols_and_flags_come_back_as_they_were() -> Result<()> {
    let mut compared = 0;
    for (name, (number, back)) in constants()? {
        let Some(back) = back else { continue };
        compared += 1;
        if NO_FLAGS.contains(&name.as_str()) {
            ensure!(back == "-" || back == "0", "{name}: {back}");
        } else {
            ensure!(back == number, "{name}: {number} came back as {back}");
        }
    }
    ensure!(compared > 120, "only {compared}");
    covers(&["AddressFamily", "SocketKind", "MsgFlag", "AddressInfo"]);
    Ok(())
}

#[test]
fn constants_agree_with_pythons_own() -> Result<()> {
    let Some(python) = oracle(Tool::Python, "constants_agree_with_pythons_own") else {
        return Ok(());
    };
    let theirs = Native::python(&python, "parity.py", ["constants"])?.finish(patience())?;
    let same = agreement(&numbers(&theirs)?)?;
    ensure!(same > 250, "only {same} names are common");
    Ok(())
}

#[test]
fn the_tables_have_every_name_of_pythons() -> Result<()> {
    let name = "the_tables_have_every_name_of_pythons";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for table in ["socket", "socketserver"] {
        let known: BTreeSet<String> = parity::names(table)?
            .into_iter()
            .map(|row| row.name)
            .collect();
        let theirs = Native::python(&python, "parity.py", ["names", table])?.finish(patience())?;
        ensure!(theirs.len() > 50, "Python tells too little: {theirs:?}");
        let new: Vec<String> = theirs
            .into_iter()
            .filter(|name| !known.contains(name))
            .collect();
        // A later Python may have more; which is worth knowing, and no fault of this tree's.
        if version(&python)? > LAST_PYTHON && !new.is_empty() {
            skip(&format!("{table} of a later Python"), new.join(", "));
        } else {
            ensure!(
                new.is_empty(),
                "tests/parity/{table}.tsv lacks {}",
                new.join(", ")
            );
        }
    }
    Ok(())
}

/// The Python whose names the tables have.
const LAST_PYTHON: (u32, u32) = (3, 15);

fn version(python: &Path) -> Result<(u32, u32)> {
    let lines = Native::python(python, "parity.py", ["version"])?.finish(patience())?;
    let (major, minor) = lines
        .first()
        .and_then(|line| line.split_once('.'))
        .context("Python tells no version")?;
    Ok((major.parse()?, minor.parse()?))
}

/// Headers of the C library, and the kernel's that go with them; each where the machine has it.
const HEADERS: [&str; 30] = [
    "sys/socket.h",
    "sys/ioctl.h",
    "netinet/in.h",
    "netinet/tcp.h",
    "netdb.h",
    "errno.h",
    "net/ethernet.h",
    "netpacket/packet.h",
    "netipx/ipx.h",
    "netatalk/at.h",
    "netax25/ax25.h",
    "netrom/netrom.h",
    "netrose/rose.h",
    "linux/can.h",
    "linux/can/raw.h",
    "linux/can/isotp.h",
    "linux/can/j1939.h",
    "linux/can/error.h",
    "linux/if_alg.h",
    "linux/netlink.h",
    "linux/rtnetlink.h",
    "linux/tipc.h",
    "linux/vm_sockets.h",
    "linux/rds.h",
    "linux/qrtr.h",
    "linux/sctp.h",
    "linux/dccp.h",
    "linux/udp.h",
    "linux/mptcp.h",
    "linux/errqueue.h",
];

/// The kernel's own headers of what the C library names too.
const KERNEL_HEADERS: [&str; 10] = [
    "sys/ioctl.h",
    "linux/socket.h",
    "asm/socket.h",
    "linux/in.h",
    "linux/in6.h",
    "linux/tcp.h",
    "linux/udp.h",
    "linux/if_packet.h",
    "linux/netfilter_ipv4.h",
    "linux/smc.h",
];

/// What a C program with these headers prints of the names that are macros there.
fn of_headers(headers: &[&str], names: &[&String]) -> Result<Vec<String>> {
    let mut source = "#define _GNU_SOURCE\n#include <stdio.h>\n".to_owned();
    for header in headers {
        source += &format!("#if __has_include(<{header}>)\n#include <{header}>\n#endif\n");
    }
    source += "int main(void) {\n";
    for name in names {
        source +=
            &format!("#ifdef {name}\nprintf(\"{name} %lld\\n\", (long long)({name}));\n#endif\n");
    }
    source += "return 0;\n}\n";
    let place = folder()?;
    let program = place.path().join("constants");
    let mut compile = Command::new("gcc");
    compile.args(["-x", "c", "-", "-o"]).arg(&program);
    Native::with_input(&mut compile, source.as_bytes())?.finish(patience())?;
    Native::start(&mut Command::new(&program))?.finish(patience())
}

#[test]
fn constants_agree_with_the_headers() -> Result<()> {
    let name = "constants_agree_with_the_headers";
    if Command::new("gcc").arg("--version").output().is_err() {
        skip(name, "gcc is missing");
        return Ok(());
    }
    let constants = constants()?;
    let names: Vec<&String> = constants.keys().collect();
    let mut found = BTreeSet::new();
    for headers in [&HEADERS[..], &KERNEL_HEADERS] {
        let lines = of_headers(headers, &names)?;
        let theirs = numbers(&lines)?;
        agreement(&theirs)?;
        found.extend(theirs.keys().map(|name| (*name).to_owned()));
    }
    ensure!(
        found.len() > 500,
        "only {} names are in the headers",
        found.len()
    );
    // Python has these with their header alone, so that no other oracle knows them.
    for row in parity::names("socket")? {
        if row.platform == "linux (needs header)" && !found.contains(&row.name) {
            skip(&row.name, "this machine has no header with it");
        }
    }
    Ok(())
}

/// How the policy's names begin, the level, and how the constants begin.
const LEVELS: [(&str, i32, &str); 24] = [
    ("so", 1, "SO_"),
    ("ip", 0, "IP_"),
    ("tcp", 6, "TCP_"),
    ("udp", 17, "UDP_"),
    ("ipv6", 41, "IPV6_"),
    ("icmpv6", 58, "ICMPV6_"),
    ("icmp", 255, "ICMP_"),
    ("packet", 263, "PACKET_"),
    ("netlink", 270, "NETLINK_"),
    ("bt", 274, "BT_"),
    ("rfcomm", 18, "RFCOMM_"),
    ("udplite", 136, "UDPLITE_"),
    ("dccp", 269, "DCCP_SOCKOPT_"),
    ("mptcp", 284, "MPTCP_"),
    ("sctp", 132, "SCTP_"),
    ("kcm", 281, "KCM_"),
    ("smc", 286, "SMC_"),
    ("can-raw", 101, "CAN_RAW_"),
    ("can-isotp", 106, "CAN_ISOTP_"),
    ("can-j1939", 107, "SO_J1939_"),
    ("alg", 279, "ALG_"),
    ("vsock", 40, "SO_VM_SOCKETS_"),
    ("tipc", 271, "TIPC_"),
    ("rds", 276, "RDS_"),
];

/// Where the policy's name is not the constant's.
const OTHERWISE: [(&str, &str); 11] = [
    ("netlink.get-strict-check", "NETLINK_GET_STRICT_CHK"),
    ("packet.vnet-hdr-size", "PACKET_VNET_HDR_SZ"),
    ("vsock.connect-timeout", "SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW"),
    ("rds.transport", "SO_RDS_TRANSPORT"),
    ("sctp.bindx-add", "SCTP_SOCKOPT_BINDX_ADD"),
    ("sctp.bindx-rem", "SCTP_SOCKOPT_BINDX_REM"),
    ("sctp.connectx-old", "SCTP_SOCKOPT_CONNECTX_OLD"),
    ("sctp.connectx", "SCTP_SOCKOPT_CONNECTX"),
    ("rds.msg-rxpath-latency", "SO_RDS_MSG_RXPATH_LATENCY"),
    ("ip.original-dst", "SO_ORIGINAL_DST"),
    ("ipv6.original-dst", "SO_ORIGINAL_DST"),
];

#[test]
fn every_option_that_a_policy_names_is_a_constant_with_its_number() -> Result<()> {
    let constants = constants()?;
    let mut named = 0;
    for (begin, level, prefix) in LEVELS {
        for number in 0..300 {
            let option = OptionName::new(level, number);
            let readable = option.to_string();
            let Some(rest) = readable.strip_prefix(&format!("{begin}.")) else {
                continue;
            };
            let constant = match OTHERWISE.iter().find(|(policys, _)| *policys == readable) {
                Some((_, constant)) => (*constant).to_owned(),
                // RFC 3678's are of both versions, by the same numbers.
                None if begin.starts_with("ip") && rest.starts_with("mcast-") => {
                    rest.to_uppercase().replace('-', "_")
                }
                None => format!("{prefix}{}", rest.to_uppercase().replace('-', "_")),
            };
            let found = constants.get(&constant).map(|(number, _)| number.clone());
            ensure!(
                found == Some(number.to_string()),
                "{readable}: {constant} is {found:?}"
            );
            ensure!(
                OptionName::from_policy_name(&readable) == Some(option),
                "{readable}"
            );
            named += 1;
        }
    }
    ensure!(named > 250, "only {named} options have names");
    // Bluetooth's protocols count as IP does.
    for (readable, level, constant) in [
        ("hci.filter", 0, "HCI_FILTER"),
        ("l2cap.options", 6, "L2CAP_OPTIONS"),
        ("l2cap.lm", 6, "L2CAP_LM"),
        ("sco.options", 17, "SCO_OPTIONS"),
    ] {
        let number = constants.get(constant).context(constant)?.0.parse()?;
        let option = OptionName::from_policy_name(readable);
        ensure!(
            option == Some(OptionName::new(level, number)),
            "{readable}: {option:?}"
        );
    }
    Ok(())
}
