//! `sockgate doctor` against what the kernel says to native code (`doctor.py` and `/proc`), whatever
//! kernel that is.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sockgate_tests::{Need, Net, TempDir, Tool, command_path, folder, kernel, oracle, skip};

const NATIVE: &str = include_str!("doctor.py");

/// Somebody who owns nothing.
const NOBODY: u32 = 65534;

/// Status by `family type protocol name`.
type Statuses = BTreeMap<String, String>;

/// What the command printed, and how it ended.
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

fn said(command: &mut Command) -> Result<Said> {
    let output = command.output().context("cannot start sockgate")?;
    Ok(Said {
        status: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

fn doctor(arguments: &[&str]) -> Result<Said> {
    said(Command::new(command_path()?).arg("doctor").args(arguments))
}

/// The rows of `--json`.
fn rows(said: &Said) -> Result<Vec<Value>> {
    ensure!(said.status == Some(0), "{}", said.err);
    serde_json::from_str(&said.out).context("no array of JSON")
}

/// A row's text under `key`, `-` for null.
fn text<'a>(row: &'a Value, key: &str) -> Result<&'a str> {
    match row.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) => Ok("-"),
        _ => anyhow::bail!("no `{key}` in {row}"),
    }
}

fn statuses(rows: &[Value]) -> Result<Statuses> {
    let mut statuses = Statuses::new();
    for row in rows {
        let place = ["family", "type", "protocol", "name"].map(|key| text(row, key));
        let place: Result<Vec<&str>> = place.into_iter().collect();
        let place = place?.join(" ");
        let before = statuses.insert(place.clone(), text(row, "status")?.to_owned());
        ensure!(before.is_none(), "two rows of {place}");
    }
    Ok(statuses)
}

/// What native code finds, as this user or as another.
fn native(python: &Path, user: Option<u32>) -> Result<Statuses> {
    let output = Command::new(python)
        .args(["-I", "-c", NATIVE])
        .args(user.map(|user| user.to_string()))
        .output()
        .context("cannot start python3")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("no JSON from python3")
}

/// Row by row, none left out on either side.
fn agree(found: &Statuses, truth: &Statuses) -> Result<()> {
    let mut wrong = Vec::new();
    for place in found.keys().chain(truth.keys()) {
        let (found, truth) = (found.get(place), truth.get(place));
        if found != truth {
            wrong.push(format!("{place}: told {found:?}, native {truth:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(found.len() > 100, "{} rows", found.len());
    Ok(())
}

/// Whether this test runs as root, by the owner of its own entry in `/proc`.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[test]
fn every_row_is_what_native_code_finds() -> Result<()> {
    let Some(python) = oracle(Tool::Python, "every_row_is_what_native_code_finds") else {
        return Ok(());
    };
    agree(
        &statuses(&rows(&doctor(&["--json"])?)?)?,
        &native(&python, None)?,
    )
}

/// The command where a user without rights can reach it.
fn public_command() -> Result<TempDir> {
    let place = folder()?;
    fs::set_permissions(place.path(), Permissions::from_mode(0o755))?;
    let copy = place.path().join("sockgate");
    fs::copy(command_path()?, &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    Ok(place)
}

#[test]
fn an_ordinary_user_is_told_its_own_truth() -> Result<()> {
    let name = "an_ordinary_user_is_told_its_own_truth";
    if !is_root() {
        skip(
            name,
            "only root becomes another user; the other tests look as this one",
        );
        return Ok(());
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = public_command()?;
    let looked = said(
        Command::new(place.path().join("sockgate"))
            .args(["doctor", "--json"])
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY),
    )?;
    let rows = rows(&looked)?;
    let found = statuses(&rows)?;
    agree(&found, &native(&python, Some(NOBODY))?)?;
    assert_eq!(found["host - - CAP_NET_RAW"], "denied");
    assert_eq!(found["inet raw icmp socket"], "denied");
    let raw = rows
        .iter()
        .find(|row| row["type"] == "raw" && row["family"] == "inet")
        .context("no raw row")?;
    ensure!(
        text(raw, "mend")?.starts_with("CAP_NET_RAW: run as root"),
        "{raw}"
    );
    Ok(())
}

/// The kernel's own list of protocols, once each was asked for.
#[test]
fn protocols_that_work_are_in_the_kernels_list() -> Result<()> {
    const LISTED: &[(&str, &str)] = &[
        ("inet stream tcp socket", "TCP"),
        ("inet datagram udp socket", "UDP"),
        ("inet datagram udplite socket", "UDP-Lite"),
        ("inet stream mptcp socket", "MPTCP"),
        ("inet stream sctp socket", "SCTP"),
        ("inet dccp dccp socket", "DCCP"),
        ("inet6 stream tcp socket", "TCPv6"),
        ("inet6 datagram udp socket", "UDPv6"),
        ("inet6 stream mptcp socket", "MPTCPv6"),
        ("packet raw - socket", "PACKET"),
        ("can raw raw socket", "CAN_RAW"),
        ("can datagram bcm socket", "CAN_BCM"),
        ("can datagram isotp socket", "CAN_ISOTP"),
        ("can datagram j1939 socket", "CAN_J1939"),
        ("vsock stream - socket", "AF_VSOCK"),
        ("tipc stream - socket", "TIPC"),
        ("rds seqpacket - socket", "RDS"),
        ("alg seqpacket - socket", "ALG"),
        ("bluetooth seqpacket l2cap socket", "L2CAP"),
        ("qipcrtr datagram - socket", "QIPCRTR"),
        ("kcm datagram - socket", "KCM"),
        ("xdp raw - socket", "XDP"),
    ];
    let found = statuses(&rows(&doctor(&["--json"])?)?)?;
    let list = fs::read_to_string("/proc/net/protocols")?;
    let listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut seen = 0;
    for (place, protocol) in LISTED {
        let status = found.get(*place).with_context(|| format!("no {place}"))?;
        let there = listed.contains(protocol);
        match status.as_str() {
            "works" => ensure!(there, "{place} works, and {protocol} is not listed"),
            // net.mptcp.enabled switches it off and leaves it in the list.
            "absent" if protocol.starts_with("MPTCP") => continue,
            "absent" => ensure!(!there, "{place} is absent, and {protocol} is listed"),
            _ => continue,
        }
        seen += 1;
    }
    ensure!(seen >= 10, "{seen} protocols could be compared");
    Ok(())
}

#[test]
fn only_the_families_that_are_named_are_looked_at() -> Result<()> {
    let some = rows(&doctor(&["--json", "vsock", "unix"])?)?;
    let mut families: Vec<&str> = Vec::new();
    for row in &some {
        families.push(text(row, "family")?);
    }
    families.dedup();
    assert_eq!(families, ["unix", "vsock"]);
    let all = statuses(&rows(&doctor(&["--json"])?)?)?;
    for (place, status) in statuses(&some)? {
        assert_eq!(all.get(&place), Some(&status), "{place}");
    }
    Ok(())
}

#[test]
fn misuse_is_told_with_the_names_that_there_are() -> Result<()> {
    let wrong = doctor(&["unix", "tcp"])?;
    assert_eq!(wrong.status, Some(2));
    assert_eq!(wrong.out, "");
    ensure!(
        wrong
            .err
            .starts_with("sockgate: `tcp` is no family: the families are host, inet, inet6, unix,"),
        "{}",
        wrong.err
    );
    // What the message names is what there is.
    let names = wrong.err.trim_end().split_once("are ").context("no list")?;
    let named: Vec<&str> = names.1.split(", ").collect();
    let looked = rows(&doctor(&["--json"])?)?;
    let mut families: Vec<&str> = Vec::new();
    for row in &looked {
        families.push(text(row, "family")?);
    }
    families.dedup();
    assert_eq!(named, families);
    assert_eq!(doctor(&["--jsno"])?.status, Some(2));
    Ok(())
}

/// A process that has no descriptors left cannot look, and does not say that everything is missing.
#[test]
fn a_lack_of_descriptors_is_no_lack_of_families() -> Result<()> {
    // The three standard streams, and one more for the loader; a pair of sockets takes two.
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 4; exec \"$0\" doctor unix"]);
    let looked = said(shell.arg(command_path()?))?;
    assert_eq!(looked.status, Some(2), "{}{}", looked.out, looked.err);
    ensure!(
        looked
            .err
            .starts_with("sockgate: the kernel could not be asked: mfile"),
        "{}",
        looked.err
    );
    Ok(())
}

/// The table says what JSON says: a line for each row, and each mend.
#[test]
fn the_table_shows_every_row_and_every_mend() -> Result<()> {
    let looked = rows(&doctor(&["--json"])?)?;
    let table = doctor(&[])?;
    assert_eq!(table.status, Some(0), "{}", table.err);
    ensure!(
        !table.out.contains('\x1b'),
        "colours go to terminals, and this is none"
    );
    let mut lines = table.out.lines();
    ensure!(
        lines
            .next()
            .is_some_and(|head| head.starts_with("FAMILY ") && head.ends_with(" DETAIL"))
    );
    let starts: Vec<String> = lines
        .clone()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let mut missing = 0;
    for row in &looked {
        let key = |key| text(row, key);
        let start = format!(
            "{} {} {} {} {}",
            key("family")?,
            key("type")?,
            key("protocol")?,
            key("name")?,
            key("status")?
        );
        ensure!(
            starts.iter().any(|line| line.starts_with(&start)),
            "no line begins with `{start}`"
        );
        let mend = key("mend")?;
        match key("status")? {
            "works" => ensure!(mend.is_empty(), "a mend for what works: {row}"),
            _ => {
                ensure!(!mend.is_empty(), "no mend: {row}");
                let help = format!("  = help: {mend}");
                ensure!(lines.clone().any(|line| line == help), "no line `{help}`");
                missing += 1;
            }
        }
    }
    let last = table.out.lines().last().context("no lines")?;
    let counts: Vec<usize> = last
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), looked.len(), "{last}");
    assert_eq!(looked.len() - counts[0], missing, "{last}");
    Ok(())
}

/// What only few kernels have: everything once more where there is CAN.
#[test]
fn a_kernel_with_can_is_told_as_one() -> Result<()> {
    let name = "a_kernel_with_can_is_told_as_one";
    if kernel::has(Need::CanRaw, name).is_none() {
        return Ok(());
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let truth = native(&python, None)?;
    let looked = rows(&doctor(&["--json"])?)?;
    let found = statuses(&looked)?;
    agree(&found, &truth)?;
    assert_eq!(found["can raw raw socket"], "works");
    assert_eq!(found["can raw raw CAN_RAW_FD_FRAMES"], "works");
    protocols_that_work_are_in_the_kernels_list()?;
    if is_root() {
        an_ordinary_user_is_told_its_own_truth()?;
    }
    Ok(())
}

/// The interfaces of this network namespace and no other's; one that is down does not work yet.
#[test]
fn can_interfaces_are_those_of_the_namespace() -> Result<()> {
    let name = "can_interfaces_are_those_of_the_namespace";
    if kernel::has(Need::CanRaw, name).is_none() {
        return Ok(());
    }
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let interfaces = || -> Result<Value> {
        let looked = said(
            net.command(command_path()?)
                .args(["doctor", "--json", "can"]),
        )?;
        rows(&looked)?
            .into_iter()
            .find(|row| row["name"] == "interfaces")
            .context("no row of interfaces")
    };
    let none = interfaces()?;
    assert_eq!(none["status"], "absent");
    ensure!(
        text(&none, "mend")?.contains("ip link add vcan0 type vcan"),
        "{none}"
    );
    net.vcan("vcan0")?;
    let one = interfaces()?;
    assert_eq!(one["status"], "works");
    assert_eq!(one["detail"], "vcan0 (MTU 72)");
    net.ip(&["link", "set", "vcan0", "down"])?;
    let down = interfaces()?;
    assert_eq!(down["status"], "limited");
    assert_eq!(down["detail"], "vcan0 (MTU 72, down)");
    Ok(())
}
