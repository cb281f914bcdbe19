//! `sockgate run --harden`: what is left of the command's rights, as the kernel tells it, that no guest runs where a
//! wall cannot be built, and that guests go on behind the walls. What the kernel refuses there is tried in
//! `host/src/socket/sys/confine/tests.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    GuestRun, Syscall, Tool, command_path, folder, free_port, guest_path, isolated, name_server,
    net_and_python, on_threads, oracle, patience, skip, steps, tcp_echo,
};

const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const SYS_ADMIN: u64 = 1 << 21;
/// CAP_SETPCAP: without it the bounding set stays as it is.
const SETPCAP: u64 = 1 << 8;

const NOBODY: u32 = 65534;

/// A field of a process's status, proc(5).
fn field(status: &Path, name: &str) -> Result<String> {
    let text = fs::read_to_string(status)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("no {name} in {text}"))?
        .trim()
        .to_owned())
}

fn set(status: &Path, name: &str) -> Result<u64> {
    Ok(u64::from_str_radix(&field(status, name)?, 16)?)
}

/// The status of each thread of a process.
fn threads(pid: u32) -> Result<Vec<std::path::PathBuf>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    tasks.map(|task| Ok(task?.path().join("status"))).collect()
}

/// Whether this kernel has all of the walls, by the command's own word.
fn has_all_walls(name: &str) -> Result<bool> {
    let output = Command::new(command_path()?)
        .args(["doctor", "host", "--json"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let whole =
        text.contains("signals and abstract Unix names") && text.contains("filters system calls");
    if !whole {
        skip(
            name,
            "this kernel has no Landlock of version 6, or no filters of system calls",
        );
    }
    Ok(whole)
}

#[test]
fn a_hardened_process_has_the_rights_of_its_rules_and_no_others() -> Result<()> {
    let own = Path::new("/proc/self/status");
    let (permitted, bounding) = (set(own, "CapPrm")?, set(own, "CapBnd")?);
    let rule = |keys: &str| format!("version = 1\n[[allow]]\nid = \"one\"\n{keys}\n");
    for (keys, wanted) in [
        (
            "family = [\"inet\"]\nops = [\"connect\"]\ncidr = [\"*\"]",
            0,
        ),
        (
            "family = [\"inet\"]\nops = [\"bind\"]\ncidr = [\"*\"]\nport = [\"80\"]",
            NET_BIND_SERVICE,
        ),
        (
            "family = [\"packet\"]\nops = [\"bind\"]\ninterface = [\"lo\"]",
            NET_RAW,
        ),
        (
            "family = [\"inet\"]\nops = [\"connect\"]\ncidr = [\"*\"]\noptions = { set = [\"so.mark\"] }",
            NET_ADMIN,
        ),
        ("ops = [\"set-hostname\"]", SYS_ADMIN),
    ] {
        let guest = steps(["p = pair stream", "sleep 100000"])
            .policy_text(&rule(keys))
            .option("--harden")
            .start()?;
        guest.wait_for_line("p = pair stream", patience())?;
        let threads = threads(guest.pid())?;
        ensure!(threads.len() >= 2, "the runtime has a thread of its own");
        for status in threads {
            assert_eq!(field(&status, "NoNewPrivs")?, "1", "{keys}");
            assert_eq!(field(&status, "Seccomp")?, "2", "{keys}");
            let bounded = match permitted & SETPCAP {
                0 => bounding,
                _ => bounding & wanted,
            };
            for (name, wanted) in [
                ("CapEff", permitted & wanted),
                ("CapPrm", permitted & wanted),
                ("CapBnd", bounded),
                ("CapInh", 0),
                ("CapAmb", 0),
            ] {
                assert_eq!(set(&status, name)?, wanted, "{name}: {keys}");
            }
        }
    }
    // The twin: without --harden they are what they were.
    let guest = steps(["p = pair stream", "sleep 100000"]).start()?;
    guest.wait_for_line("p = pair stream", patience())?;
    let status = format!("/proc/{}/status", guest.pid());
    assert_eq!(set(Path::new(&status), "CapEff")?, set(own, "CapEff")?);
    assert_eq!(
        field(Path::new(&status), "Seccomp")?,
        field(own, "Seccomp")?
    );
    Ok(())
}

/// As nobody from a low port on: of root's powers one is left, and it does.
#[test]
fn another_user_keeps_the_low_port_of_its_rule() -> Result<()> {
    let name = "another_user_keeps_the_low_port_of_its_rule";
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    let guest = GuestRun::new("upper-tcp")
        .net(&net)
        .allow("tcp listen 127.0.0.1:81")
        .option("--harden")
        .option(format!("--user={NOBODY}:{NOBODY}"))
        .argument("127.0.0.1:81")
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    for status in threads(guest.pid())? {
        let ids = format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
        assert_eq!(field(&status, "Uid")?, ids);
        assert_eq!(field(&status, "Gid")?, ids);
        assert_eq!(field(&status, "Groups")?, "");
        assert_eq!(set(&status, "CapEff")?, NET_BIND_SERVICE);
        assert_eq!(set(&status, "CapPrm")?, NET_BIND_SERVICE);
        // Given up before root's rights are.
        assert_eq!(set(&status, "CapBnd")?, NET_BIND_SERVICE);
    }
    let script = "import socket; s = socket.create_connection(('127.0.0.1', 81)); s.sendall(b'low\\n'); \
                  print(s.recv(100).decode())";
    let answer = net.command(python).args(["-c", script]).output()?;
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "LOW");
    Ok(())
}

/// A user without any privilege hardens itself as well.
#[test]
fn nobody_hardens_itself() -> Result<()> {
    let name = "nobody_hardens_itself";
    if field(Path::new("/proc/self/status"), "Uid")?
        .split('\t')
        .nth(1)
        != Some("0")
    {
        skip(name, "only root can start a program as nobody");
        return Ok(());
    }
    if !has_all_walls(name)? {
        return Ok(());
    }
    // Where nobody may read them.
    let place = folder()?;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let (command, guest) = (
        place.path().join("sockgate"),
        place.path().join("guest.wasm"),
    );
    // By another process: one that this one starts meanwhile must not hold them open for writing.
    for (from, to) in [
        (command_path()?, &command),
        (guest_path("echo-client")?, &guest),
    ] {
        ensure!(Command::new("cp").arg(from).arg(to).status()?.success());
    }
    let echo = tcp_echo("127.0.0.1:0")?;
    let run = |walls: &[&str]| {
        let rule = format!("tcp connect 127.0.0.1:{}", echo.port());
        let ended = Command::new(&command)
            .current_dir("/")
            .arg("run")
            .args(walls)
            .args(["--allow", &rule])
            .arg(&guest)
            .args([format!("127.0.0.1:{}", echo.port()), "hello".to_owned()])
            .uid(NOBODY)
            .gid(NOBODY)
            .output()?;
        anyhow::Ok((ended.status.code(), String::from_utf8(ended.stderr)?))
    };
    assert_eq!(run(&["--harden=strict"])?, (Some(0), String::new()));
    // It cannot become another user.
    let (status, told) = run(&["--harden", "--user", "root"])?;
    assert_eq!(status, Some(2));
    ensure!(told.contains("cannot become the user: perm"), "{told}");
    Ok(())
}

#[test]
fn what_cannot_be_walled_is_told_and_strict_ends_the_run() -> Result<()> {
    let name = "what_cannot_be_walled_is_told_and_strict_ends_the_run";
    let policy = "version = 1\nmode = \"audit\"\n";
    let run = |walls: &str| {
        steps(["p = pair stream"])
            .policy_text(policy)
            .option(walls)
            .finish(patience())
    };
    let ended = run("--harden")?.success()?;
    ensure!(
        ended
            .stderr
            .contains("sockgate: not hardened: policy: its mode lets through"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.step("p = pair stream")?, "ok");
    let strict = run("--harden=strict")?;
    assert_eq!(strict.status.code(), Some(2));
    ensure!(
        strict
            .stderr
            .contains("--harden=strict: the process is not confined in full"),
        "{}",
        strict.stderr
    );
    ensure!(strict.stdout.is_empty(), "the guest ran: {}", strict.stdout);
    // The twin: a policy that enforces is walled in full, where the kernel can.
    if has_all_walls(name)? {
        let whole = steps(["p = pair stream"])
            .option("--harden=strict")
            .finish(patience())?;
        assert_eq!(whole.success()?.step("p = pair stream")?, "acces");
    }
    let wrong = steps(["p = pair stream"])
        .option("--user=root")
        .finish(patience())?;
    ensure!(wrong.stderr.contains("--harden"), "{}", wrong.stderr);
    let unknown = steps(["p = pair stream"])
        .option("--harden")
        .option("--user=no-such-user")
        .finish(patience())?;
    ensure!(
        unknown.stderr.contains("there is no user `no-such-user`"),
        "{}",
        unknown.stderr
    );
    Ok(())
}

/// The calls that build walls, and what they may fail with by their man pages, as far as these arguments can.
const BUILDS: &[(&str, &[&str])] = &[
    (
        "landlock_create_ruleset",
        &["EINVAL", "ENOMSG", "EOPNOTSUPP"],
    ),
    (
        "landlock_add_rule",
        &["EBADFD", "EINVAL", "ENOMSG", "EOPNOTSUPP", "EPERM"],
    ),
    (
        "landlock_restrict_self",
        &["E2BIG", "EINVAL", "EOPNOTSUPP", "EPERM"],
    ),
    ("prctl", &["EINVAL", "EPERM"]),
    ("setgroups", &["ENOMEM", "EPERM"]),
    ("setresgid", &["EAGAIN", "EPERM"]),
    ("setresuid", &["EAGAIN", "EPERM"]),
    ("capget", &["EPERM"]),
    ("capset", &["EPERM"]),
    ("seccomp", &["EACCES", "EINVAL", "ENOMEM", "ESRCH"]),
];

/// What is asked until the kernel knows no more, or of kernels that may not have it: the run goes on.
const GOES_ON: &[(&str, &[&str])] = &[
    ("prctl(PR_CAPBSET_DROP", &["EINVAL", "EPERM"]),
    ("prctl(PR_CAP_AMBIENT", &["EINVAL"]),
];

/// One call of those, to fail with one of its errnos.
struct Fault {
    call: String,
    /// As strace shows it without the fault.
    line: String,
    /// Among the calls of this name.
    place: usize,
    errno: &'static str,
    /// Of its errnos.
    first: bool,
}

impl Fault {
    fn goes_on(&self) -> bool {
        GOES_ON
            .iter()
            .any(|(line, errnos)| self.line.starts_with(line) && errnos.contains(&self.errno))
    }
}

/// What can fail of a run, with each errno: of calls that begin alike, such as those that give up one capability
/// each, the first and the last.
fn faults(calls: &[Syscall]) -> Vec<Fault> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut alike: BTreeMap<&str, Vec<(&Syscall, usize)>> = BTreeMap::new();
    for call in calls {
        let count = counts.entry(&call.name).or_default();
        *count += 1;
        // What names a thread is the runtime's, which comes when the walls stand.
        if !call.line.starts_with("prctl(PR_SET_NAME") {
            let begins = call.line.split([',', ')']).next().unwrap_or_default();
            alike.entry(begins).or_default().push((call, *count));
        }
    }
    let mut faults = Vec::new();
    for mut places in alike.into_values() {
        let last = places.len() - 1;
        if last > 1 {
            places.drain(1..last);
        }
        for (call, place) in places {
            let known = BUILDS.iter().find(|(name, _)| *name == call.name);
            let errnos = known.map_or(&[][..], |(_, errnos)| errnos);
            faults.extend(errnos.iter().map(|errno| Fault {
                call: call.name.clone(),
                line: call.line.clone(),
                place,
                errno,
                first: errno == &errnos[0],
            }));
        }
    }
    faults
}

/// Each call that builds a wall is made to fail: no guest runs behind a wall that does not stand, unless its operator
/// takes that, and is told.
#[test]
fn no_guest_runs_strictly_where_a_wall_cannot_be_built() -> Result<()> {
    let name = "no_guest_runs_strictly_where_a_wall_cannot_be_built";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    if !has_all_walls(name)? {
        return Ok(());
    }
    let root = field(Path::new("/proc/self/status"), "Uid")?.starts_with("0\t");
    let run = |walls: &str, fault: Option<&str>| {
        let guest = GuestRun::new("arguments")
            .argument("began")
            .allow("tcp listen 127.0.0.1:81")
            .option(walls);
        let guest = match root {
            true => guest.option(format!("--user={NOBODY}:{NOBODY}")),
            false => guest,
        };
        fault
            .into_iter()
            .fold(guest, GuestRun::inject)
            .strace_all(&strace)
            .finish(patience())
    };
    let whole = run("--harden=strict", None)?.success()?;
    let faults = faults(whole.syscalls()?.all());
    for (name, _) in BUILDS {
        let needs_root = name.starts_with("setres") || *name == "setgroups";
        let made = faults.iter().any(|fault| fault.call == *name);
        ensure!(made || (needs_root && !root), "{name} was not called");
    }
    let wrong = on_threads(&faults, |fault| {
        let injected = format!("{}:error={}:when={}", fault.call, fault.errno, fault.place);
        let ended = run("--harden=strict", Some(&injected))?;
        let fine = match fault.goes_on() {
            true => ended.stdout == "began" && ended.status.success(),
            false => ended.stdout.is_empty() && ended.status.code() == Some(2),
        };
        let mut wrong = Vec::new();
        if !fine || ended.stderr.is_empty() != fault.goes_on() {
            wrong.push(format!(
                "{}: `{}` {}",
                ended.status, ended.stdout, ended.stderr
            ));
        }
        let mut calls = ended.syscalls()?.all().to_vec();
        calls.retain(|call| call.line.contains("(INJECTED)"));
        if calls.len() != 1 {
            wrong.push(format!("{} calls failed", calls.len()));
        }
        // Not as strict, it ends too, or it tells what does not stand; one errno is as good as another.
        if fault.first && !fault.goes_on() {
            let ended = run("--harden", Some(&injected))?;
            let told = ended.stderr.contains("sockgate: not hardened: ");
            if !told && (!ended.stdout.is_empty() || ended.status.code() != Some(2)) {
                wrong.push(format!("not strict: `{}` {}", ended.stdout, ended.stderr));
            }
        }
        anyhow::Ok((!wrong.is_empty()).then(|| {
            let wrong = wrong.join("; ");
            format!("{injected}, {}: {wrong}", fault.line)
        }))
    })?;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    println!("{} faults of walls", faults.len());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The resolver's files, its name server and its sockets are within reach of a policy that resolves.
#[test]
fn names_are_looked_up_behind_the_walls() -> Result<()> {
    let name = "names_are_looked_up_behind_the_walls";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let _server = name_server(&python)?;
        let question = "getaddrinfo | loop.rig.test | 80 | 0 | 1 | 0 | 0";
        let asked = |rule: &str| {
            GuestRun::new("names")
                .input(format!("@guest\n{question}\n").as_bytes())
                .option("--harden")
                .allow(rule)
                .finish(patience())
        };
        let found = asked("resolve loop.rig.test host-may-be=loopback")?.success()?;
        assert_eq!(
            found.stdout.lines().nth(1),
            Some("ok 2 1 6 '' 127.0.0.1/80")
        );
        let refused = asked("resolve elsewhere.test")?;
        refused.audit.denied("resolve")?;
        Ok(())
    })
}

/// Files of Unix sockets come and go, in the guest's own directory and in the one of a granted socket.
#[test]
fn socket_files_go_behind_the_walls() -> Result<()> {
    let place = folder()?;
    let own = place.path().join("own.sock");
    let granted = place.path().join("granted.sock");
    let bind = format!("bind s path:{}", own.display());
    let guest = steps(["s = socket unix stream", &bind, "sleep 100000"])
        .allow(&format!("unix listen {}", own.display()))
        .option("--harden")
        .option(format!("--socket=web=unix-listen:{}", granted.display()))
        .start()?;
    guest.wait_for_line(&format!("{bind} -> ok"), patience())?;
    ensure!(own.exists() && granted.exists());
    let kill = Command::new("kill").arg(guest.pid().to_string()).status()?;
    ensure!(kill.success());
    assert_eq!(guest.wait(patience())?.status.code(), Some(130));
    ensure!(!own.exists() && !granted.exists());
    Ok(())
}

/// SIGHUP reads the policy and what it includes behind the walls, and tells what they hold back; the log turns over.
#[test]
fn a_policy_is_read_again_behind_the_walls() -> Result<()> {
    let place = folder()?;
    let at = |name: &str| place.path().join(name);
    let rule = |id: &str, port: u16| {
        format!(
            "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nprotocol = [\"tcp\"]\n\
             ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nport = [\"{port}\"]\n"
        )
    };
    let policy = "version = 1\ninclude = [\"more.toml\"]\n";
    fs::write(at("policy.toml"), policy)?;
    fs::write(
        at("more.toml"),
        format!("version = 1\n{}", rule("one", 7001)),
    )?;
    let log = at("logs");
    fs::create_dir(&log)?;
    let guest = steps(["p = pair stream", "sleep 100000"])
        .policy(at("policy.toml"))
        .without_audit()
        .option("--harden")
        .option("--audit")
        .option(log.join("audit"))
        .start()?;
    guest.wait_for_line("p = pair stream", patience())?;
    fs::rename(log.join("audit"), log.join("audit.old"))?;
    guest.hang_up("grants the same")?;
    ensure!(
        log.join("audit").exists(),
        "the log was opened anew by its name"
    );
    // In place: another file by this name would be out of reach.
    let more = format!("version = 1\n{}{}", rule("one", 7001), rule("two", 7002));
    fs::write(at("more.toml"), more)?;
    guest.hang_up("the walls of --harden stay, and hold back: connect to ports of 7002")
}

/// A guest on plain `std::net`: what no rule names is refused by the kernel before the policy hears of an
/// address, and the operator is told all the same.
#[test]
fn sockets_of_std_net_that_no_rule_names_are_recorded() -> Result<()> {
    let port = free_port()?;
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let to = format!("127.0.0.1:{port}");
    let run = GuestRun::new("std-net").option("--harden");
    let ended = run.argument("connect").argument(&to).finish(patience())?;
    assert_eq!(ended.stdout, format!("connect {to}: PermissionDenied"));
    let record = ended.audit.denied("socket")?;
    assert_eq!(record.field("arguments"), "inet stream tcp, wasi:sockets");
    listener.set_nonblocking(true)?;
    ensure!(listener.accept().is_err(), "somebody came");
    Ok(())
}
