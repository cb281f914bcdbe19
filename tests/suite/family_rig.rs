//! The rig that tests of socket families stand on: the kernels, their namespaces, and guests in both.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use sockgate_tests::{Frames, GuestRun, Kernel, Native, Need, Net, Tool, kernel, oracle, patience};

/// What Debian 12's User Mode Linux has not, and what is not to be had as a module.
const NOT_IN_UML: [Need; 5] = [
    Need::CanXl,
    Need::Mptcp,
    Need::Smc,
    Need::Xdp,
    Need::UnixPeerPidfd,
];

#[test]
fn user_mode_linux_has_what_it_was_chosen_for() -> Result<()> {
    if !kernel::in_uml("user_mode_linux_has_what_it_was_chosen_for") {
        return Ok(());
    }
    let version = fs::read_to_string("/proc/cpuinfo")?;
    assert!(version.contains("User Mode Linux"), "{version}");
    let missing: BTreeSet<String> = Need::ALL
        .iter()
        .filter(|need| !NOT_IN_UML.contains(need))
        .filter_map(|need| Some(format!("{need}: {}", need.missing()?)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

#[test]
fn user_mode_linux_loads_nothing_of_the_machine() -> Result<()> {
    if !kernel::in_uml("user_mode_linux_loads_nothing_of_the_machine") {
        return Ok(());
    }
    let program = fs::read_to_string("/proc/sys/kernel/modprobe")?;
    assert_eq!(program.trim(), "/bin/false");
    let modules = fs::read_to_string("/proc/modules")?;
    for module in ["can_isotp", "qrtr", "hci_vhci", "rds_tcp", "overlay"] {
        let line = format!("{module} ");
        assert!(
            modules.lines().any(|loaded| loaded.starts_with(&line)),
            "{module}"
        );
    }
    Ok(())
}

#[test]
fn a_guest_runs_in_a_namespace_of_the_kernel_with_can() -> Result<()> {
    let name = "a_guest_runs_in_a_namespace_of_the_kernel_with_can";
    let Some(_kernel) = kernel::has(Need::CanRaw, name) else {
        return Ok(());
    };
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    // An address that nothing outside of the namespace has.
    net.ip(&["addr", "add", "192.0.2.7/32", "dev", "lo"])?;
    let guest = GuestRun::new("upper-udp")
        .allow("udp bind,receive,reply 192.0.2.7:7007")
        .argument("192.0.2.7:7007")
        .argument("--clients")
        .argument("1")
        .net(&net)
        .strace(&strace)
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let script = "exec 3<>/dev/udp/192.0.2.7/7007; printf 'from within' >&3; head -c 11 <&3";
    let client = Native::start(net.command("bash").args(["-c", script]))?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(client.finish(patience())?, ["FROM WITHIN"]);
    ended.audit.granted("bind")?;
    assert_eq!(ended.syscalls()?.of("bind").count(), 1);
    Ok(())
}

#[test]
fn a_virtual_can_interface_carries_the_frames_that_it_was_made_for() -> Result<()> {
    let name = "a_virtual_can_interface_carries_the_frames_that_it_was_made_for";
    let Some(_kernel) = kernel::has(Need::CanFd, name) else {
        return Ok(());
    };
    let (Some(cansend), Some(candump)) = (oracle(Tool::Cansend, name), oracle(Tool::Candump, name))
    else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    net.vcan_of("vcan0", Frames::Classic)?;
    net.vcan("vcan1")?;
    let send = |interface: &str, frame: &str| -> Result<bool> {
        let ended = net.command(&cansend).args([interface, frame]).output()?;
        Ok(ended.status.success())
    };
    assert!(send("vcan0", "123#1122")?);
    assert!(
        !send("vcan0", "123##0112233")?,
        "an FD frame on classic CAN"
    );

    let dump = Native::start(
        net.command(&candump)
            .args(["-n", "2", "-T", "20000", "any"]),
    )?;
    // candump says nothing when it listens: its socket stands in the kernel's list.
    let deadline = std::time::Instant::now() + patience();
    let listening = || -> Result<bool> {
        let list = net
            .command("cat")
            .arg("/proc/net/can/rcvlist_all")
            .output()?;
        Ok(String::from_utf8_lossy(&list.stdout).contains("raw"))
    };
    while !listening()? {
        assert!(
            std::time::Instant::now() < deadline,
            "candump did not begin"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(send("vcan1", "123##0112233")?);
    assert!(send("vcan0", "7ff#")?);
    let frames: Vec<String> = dump
        .finish(patience())?
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(frames, ["vcan1 123 [03] 11 22 33", "vcan0 7FF [0]"]);
    Ok(())
}

#[test]
fn a_frame_stays_in_its_namespace() -> Result<()> {
    let name = "a_frame_stays_in_its_namespace";
    let Some(_kernel) = kernel::has(Need::CanRaw, name) else {
        return Ok(());
    };
    let (Some(one), Some(other)) = (Net::new(name)?, Net::new(name)?) else {
        return Ok(());
    };
    one.vcan("vcan0")?;
    other.vcan("vcan0")?;
    let received = |net: &Net| -> Result<u64> {
        let text = net
            .command("cat")
            .arg("/sys/class/net/vcan0/statistics/rx_packets")
            .output()?;
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        text.trim().parse().context("no count of packets")
    };
    let Some(cansend) = oracle(Tool::Cansend, name) else {
        return Ok(());
    };
    let sent = one.command(cansend).args(["vcan0", "001#AA"]).status()?;
    assert!(sent.success());
    assert_eq!((received(&one)?, received(&other)?), (1, 0));
    Ok(())
}

#[test]
fn what_this_machine_has_is_tested_on_this_machine() -> Result<()> {
    let name = "what_this_machine_has_is_tested_on_this_machine";
    let Some(kernel) = kernel::has(Need::NetlinkRoute, name) else {
        return Ok(());
    };
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let inside = hostname.trim() == "uml";
    assert_eq!(kernel == Kernel::Uml, inside, "{hostname}");
    Ok(())
}
