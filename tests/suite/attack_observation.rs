//! What a guest could learn that nobody told it: who listens where, what this machine and its networks are called,
//! and whom it can tell.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use anyhow::{Result, anyhow, ensure};
use sockgate_tests::{
    Attack, Ended, GuestRun, asked_names, folder, free_port, isolated, patience, steps, watched,
    with_names,
};

const SECTION: &str = "Observation";

/// Every name may be looked up.
const EVERY_NAME: &str = "version = 1\n[[allow]]\nid = \"names\"\nops = [\"resolve\"]\nhost = [\"*\"]\n\
    host-may-be = [\"reserved\"]\n";

/// Each refused call looks the same towards what is there and what is not. Granted, the two differ.
#[test]
fn no_errno_tells_what_is_there() -> Result<()> {
    let name = "no_errno_tells_what_is_there";
    let place = folder()?;
    let root = place.path().display().to_string();
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let _path = UnixListener::bind(place.path().join("there"))?;
    let short = format!("sockgate-there-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&short)?)?;
    let (there, closed) = (tcp.local_addr()?.port(), free_port()?);
    let taken = udp.local_addr()?.port();
    // Each pair of steps: towards what is there, and towards what is not.
    let pairs = [
        (
            "tcp",
            "inet stream",
            format!("connect S 127.0.0.1:{there}"),
            format!("connect S 127.0.0.1:{closed}"),
        ),
        (
            "tcp-mapped",
            "inet6 stream",
            format!("connect S [::ffff:127.0.0.1]:{there}"),
            format!("connect S [::ffff:127.0.0.1]:{closed}"),
        ),
        (
            "unix",
            "unix stream",
            format!("connect S path:{root}/there"),
            format!("connect S path:{root}/nowhere"),
        ),
        (
            "unix-type",
            "unix datagram",
            format!("connect S path:{root}/there"),
            format!("connect S path:{root}/nowhere"),
        ),
        (
            "unix-folder",
            "unix stream",
            format!("connect S path:{root}/there"),
            format!("connect S path:{root}/no/folder"),
        ),
        (
            "unix-abstract",
            "unix stream",
            format!("connect S abstract:{short}"),
            format!("connect S abstract:{short}-nowhere"),
        ),
        (
            "bind-udp",
            "inet datagram",
            format!("bind S 127.0.0.1:{taken}"),
            format!("bind S 127.0.0.1:{closed}"),
        ),
        (
            "bind-unix",
            "unix stream",
            format!("bind S path:{root}/there"),
            format!("bind S path:{root}/nowhere"),
        ),
        (
            "bind-foreign-address",
            "inet datagram",
            format!("bind S 192.0.2.1:{closed}"),
            format!("bind S 127.0.0.1:{closed}"),
        ),
        (
            "device",
            "inet datagram",
            "typed S bind-to-device lo".to_owned(),
            "typed S bind-to-device no-such-one".to_owned(),
        ),
    ];
    let mut script = Vec::new();
    let mut tries = Vec::new();
    for (id, kind, there, nowhere) in pairs {
        let mut of = |which: &str, step: &str| {
            let socket = format!("{id}-{which}");
            script.push(format!("{socket} = socket {kind}"));
            script.push(format!("timeout {socket} 500"));
            let step = step.replacen('S', &socket, 1);
            script.push(step.clone());
            step
        };
        let steps = (of("there", &there), of("nowhere", &nowhere));
        tries.push((id, steps.0, steps.1));
    }
    // Something else for each kind of socket, so that they can be made.
    let strict = [
        "tcp connect 127.0.0.77:1",
        "tcp6 connect [::1]:1",
        "udp connect 127.0.0.77:1",
        "unix connect @sockgate-elsewhere",
        "unix bind @sockgate-elsewhere",
    ];
    let open = format!(
        "version = 1\n[[allow]]\nid = \"ip\"\nfamily = [\"inet\", \"inet6\"]\nops = [\"connect\", \"bind\"]\n\
         local = \"*\"\npeer = \"*\"\noptions = {{ set = [\"so.bindtodevice\"] }}\n\
         [[allow]]\nid = \"unix\"\nfamily = [\"unix\"]\nops = [\"connect\"]\n\
         root = \"{root}\"\npath = [\"**\"]\n\
         [[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\nops = [\"bind\"]\n\
         root = \"{root}\"\npath = [\"**\"]\n\
         [[allow]]\nid = \"abstract\"\nfamily = [\"unix\"]\nops = [\"connect\"]\nabstract = [\"*\"]\n"
    );
    let attack = strict
        .iter()
        .fold(steps(&script), |run, rule| run.allow(rule));
    let attack = watched(attack, name)?;
    let control = watched(steps(&script).policy_text(&open), name)?;
    for (id, there, nowhere) in tries {
        let differs =
            |ended: &Ended| -> Result<bool> { Ok(ended.step(&there)? != ended.step(&nowhere)?) };
        println!(
            "{id}: {} {}",
            control.step(&there)?,
            control.step(&nowhere)?
        );
        let calls = match id {
            "device" => ["setsockopt"],
            id if id.starts_with("bind") => ["bind"],
            _ => ["connect"],
        };
        Attack::new(format!("errno-{id}"), SECTION, "errno as a port scanner")
            .tried(format!(
                "`{there}` and `{nowhere}`, to see whether they differ"
            ))
            .step((&attack, &there), (&control, &there), &calls)?
            .saw("a difference", differs(&attack)?, differs(&control)?)
            .state()?;
        Attack::new(
            format!("errno-{id}-nowhere"),
            SECTION,
            "errno as a port scanner",
        )
        .tried(format!("`{nowhere}`, towards what is not there"))
        .got(attack.step(&nowhere)?)
        .saw("a difference", differs(&attack)?, differs(&control)?)
        .state()?;
    }
    Ok(())
}

/// The error queue has addresses of routers and peers, and what was sent to them.
#[test]
fn the_error_queue_shows_nothing() -> Result<()> {
    let name = "the_error_queue_shows_nothing";
    let closed = free_port()?;
    let script = [
        "u = socket inet datagram".to_owned(),
        "set u 0 11 01000000".to_owned(),
        format!("connect u 127.0.0.1:{closed}"),
        "send u lost".to_owned(),
        "recv u 100 err-queue|dont-wait".to_owned(),
        "recv u 101 err-queue|peek|dont-wait".to_owned(),
    ];
    let rule = format!("udp connect 127.0.0.1:{closed}");
    let attack = watched(steps(&script).allow(&rule), name)?;
    let granted = format!("{rule} set=ip.recverr flags=errqueue receive-ancillary=extended-error");
    let control = watched(steps(&script).allow(&granted), name)?;
    let reads: &[&str] = &["recvmsg", "recvfrom", "recvmmsg"];
    let tries = [
        ("errqueue-option", &script[1], &["setsockopt"][..]),
        ("errqueue", &script[4], reads),
        ("errqueue-peek", &script[5], reads),
    ];
    for (id, step, calls) in tries {
        Attack::new(id, SECTION, "MSG_ERRQUEUE revealing addresses")
            .tried(format!("`{step}`, under a grant to connect alone"))
            .step((&attack, step), (&control, step), calls)?
            .state()?;
    }
    Ok(())
}

/// The kernel picks a source address by its routes, which a connect would show.
#[test]
fn a_refused_connect_leaves_no_name() -> Result<()> {
    let name = "a_refused_connect_leaves_no_name";
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    let to = peer.local_addr()?;
    let script = [
        "u = socket inet datagram".to_owned(),
        format!("connect u {to}"),
        "local u".to_owned(),
        "peer u".to_owned(),
        format!("send-to u stray {to}"),
        "v = dup u".to_owned(),
        "local v".to_owned(),
    ];
    let attack = watched(steps(&script).allow("udp connect 127.0.0.77:1"), name)?;
    let control = watched(
        steps(&script).allow("udp connect,send-to 127.0.0.1:*"),
        name,
    )?;
    for (id, step) in [
        ("getsockname", "local u"),
        ("getsockname-of-dup", "local v"),
    ] {
        let shows = |ended: &Ended| -> Result<bool> { Ok(ended.step(step)?.contains("127.0.0.1")) };
        Attack::new(
            id,
            SECTION,
            "getsockname after connect towards a peer that was not granted",
        )
        .tried("asks for its own address after a connect and a send that were refused")
        .step((&attack, &script[1]), (&control, &script[1]), &["connect"])?
        .saw("getsockname", shows(&attack)?, shows(&control)?)
        .state()?;
    }
    Attack::new(
        "getpeername",
        SECTION,
        "getsockname after connect towards a peer that was not granted",
    )
    .tried("asks for its peer's address after a connect that was refused")
    .got(attack.step("peer u")?)
    .saw(
        "getpeername",
        attack.step("peer u")?.contains("127.0.0.1"),
        control.step("peer u")?.contains("127.0.0.1"),
    )
    .state()
}

/// The machine's name and its interfaces, by every call and file that could tell.
#[test]
fn the_machine_is_not_described() -> Result<()> {
    let name = "the_machine_is_not_described";
    isolated(name, &[], || {
        let secret = "sockgate-secret-name";
        ensure!(Command::new("hostname").arg(secret).status()?.success());
        let script = [
            "host-name",
            "reverse 127.0.0.1",
            "env HOSTNAME",
            "env HOST",
            "read /etc/hostname",
            "read /proc/sys/kernel/hostname",
            "read /proc/net/dev",
            "interfaces",
            "set-host-name renamed-by-guest",
        ];
        let attack = watched(
            steps(script)
                .option("--env")
                .option("UNRELATED=1")
                .allow("tcp connect 127.0.0.77:1"),
            name,
        )?;
        let name_then = Command::new("hostname").output()?.stdout;
        let control = watched(
            steps(script)
                .allow("hostname")
                .allow("interfaces")
                .allow("set-hostname"),
            name,
        )?;
        let renamed_then = Command::new("hostname").output()?.stdout;
        let knows = |ended: &Ended| ended.stdout.contains(secret);
        for (id, step) in [
            ("hostname", "host-name"),
            ("hostname-by-address", "reverse 127.0.0.1"),
            ("hostname-by-environment", "env HOSTNAME"),
            ("hostname-by-file", "read /etc/hostname"),
            ("hostname-by-proc", "read /proc/sys/kernel/hostname"),
        ] {
            let got = attack.step(step)?;
            Attack::new(id, SECTION, "hostname without a grant")
                .tried(format!("`{step}`"))
                .got(got.split(' ').next().unwrap_or_default())
                .checked("there is no such variable and no such file for the guest")
                .saw(
                    "the machine's name in what the guest knows",
                    knows(&attack),
                    knows(&control),
                )
                .state()?;
        }
        let differs = |found: &[u8]| String::from_utf8_lossy(found).trim() != secret;
        Attack::new("hostname-set", SECTION, "hostname without a grant")
            .tried("renames the machine")
            .got(attack.step(script[8])?)
            .saw("hostname(1)", differs(&name_then), differs(&renamed_then))
            .state()?;
        Attack::new("interfaces", SECTION, "interface lists without a grant")
            .tried("asks for the interfaces")
            .step(
                (&attack, "interfaces"),
                (&control, "interfaces"),
                &["socket", "sendto", "recvmsg"],
            )?
            .state()?;
        Attack::new(
            "interfaces-by-proc",
            SECTION,
            "interface lists without a grant",
        )
        .tried("reads /proc/net/dev")
        .got(
            attack
                .step("read /proc/net/dev")?
                .split(' ')
                .next()
                .unwrap_or_default(),
        )
        .checked("there is no such file for the guest")
        .saw(
            "interfaces in what the guest knows",
            attack.stdout.contains("lo:"),
            control.step("interfaces")?.starts_with("ok 1"),
        )
        .state()
    })
}

/// A name of one label stays one: what the resolver would add to it is not shown by what it finds.
#[test]
fn search_domains_are_not_shown() -> Result<()> {
    let name = "search_domains_are_not_shown";
    with_names(name, |server| {
        let script = ["lookup a", "lookup a.", "lookup both", "lookup www"];
        let attack = watched(steps(script).policy_text(EVERY_NAME), name)?;
        let completed = |names: &[String]| -> Vec<String> {
            let names = names.iter().filter(|name| name.ends_with(".rig.test"));
            names.cloned().collect()
        };
        let heard = completed(&asked_names(server));
        // A native program's look-up is completed.
        let native = Command::new("getent").args(["hosts", "a"]).output()?;
        ensure!(native.status.success());
        let heard_then = completed(&asked_names(server));
        for (number, step) in script.iter().enumerate() {
            Attack::new(
                format!("search-domain-{number}"),
                SECTION,
                "resolver search domains without a grant",
            )
            .tried(format!(
                "`{step}`, which the machine's search domain would complete"
            ))
            .got(attack.step(step)?)
            .checked("the name was asked for as it is")
            .saw("the name server", heard.clone(), heard_then.clone())
            .state()?;
        }
        Ok(())
    })
}

/// A look-up is a message to whoever serves the name: it is made under a grant alone.
#[test]
fn names_carry_nothing_out() -> Result<()> {
    let name = "names_carry_nothing_out";
    with_names(name, |server| {
        let secret = "mzwgcz33";
        let script = [
            format!("lookup {secret}.rig.test"),
            format!("lookup {secret}.a.rig.test"),
            format!("lookup a.rig.test.{secret}"),
            "s = socket inet datagram".to_owned(),
            format!("connect-name s {secret}.rig.test:9"),
            "reverse 192.0.2.99".to_owned(),
            format!("lookup {secret}%00.a.rig.test"),
        ];
        let attack = steps(&script)
            .allow("resolve a.rig.test host-may-be=reserved")
            .allow("udp connect 127.0.0.77:1");
        let attack = watched(attack, name)?;
        let carried = |names: Vec<String>| -> Vec<String> {
            let names = names.into_iter();
            names
                .filter(|name| name.contains(secret) || name.ends_with("in-addr.arpa"))
                .collect()
        };
        let heard = carried(asked_names(server));
        let control = steps(&script)
            .policy_text(EVERY_NAME)
            .allow("udp connect 127.0.0.77:1")
            .finish(patience())?;
        ensure!(control.status.success());
        let heard_then = carried(asked_names(server));
        for (number, step) in [0, 1, 2, 4, 5, 6].map(|at| (at, &script[at])) {
            Attack::new(
                format!("exfiltrated-{number}"),
                SECTION,
                "names exfiltrated in DNS labels",
            )
            .tried(format!("`{step}`, under a grant for a.rig.test"))
            .got(attack.step(step)?.split(' ').next().unwrap_or_default())
            .checked("the name server heard nothing of it")
            .saw("the name server", heard.clone(), heard_then.clone())
            .state()?;
        }
        Ok(())
    })
}

/// What a scanner could measure: the errno and the median time of refused connects, in turn to a peer that exists and
/// to one that does not.
#[test]
fn a_refusal_does_not_tell_whether_the_peer_exists() -> Result<()> {
    let name = "a_refusal_does_not_tell_whether_the_peer_exists";
    let place = folder()?;
    let there = place.path().join("there.sock");
    let _unix = UnixListener::bind(&there)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let open = listener.local_addr()?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nowhere = place.path().join("nowhere.sock");
    let pairs = [
        (
            "tcp",
            open.to_string(),
            closed.to_string(),
            format!("tcp connect {open}"),
        ),
        (
            "unix",
            there.display().to_string(),
            nowhere.display().to_string(),
            format!("unix connect {}", there.display()),
        ),
    ];
    for (id, existing, missing, rule) in pairs {
        let run = |rounds: &str| {
            GuestRun::new("denial_timing")
                .allow("tcp connect 127.0.0.77:1")
                .allow("unix connect @elsewhere")
                .argument(&existing)
                .argument(&missing)
                .argument(rounds)
        };
        let ended = run("2000").without_audit().finish(patience())?.success()?;
        let [(first, one), (second, other)] = medians(&ended)?;
        assert_eq!((&*one, &*other), ("{\"EACCES\"}", "{\"EACCES\"}"));
        let tells = |first: f64, second: f64| -> Vec<String> {
            let differ = (first - second).abs() > 1000.0_f64.max(first.min(second) * 0.25);
            let line = format!("existing {first} ns, missing {second} ns");
            differ.then_some(line).into_iter().collect()
        };
        println!("refused connect: existing {first} ns, missing {second} ns");
        // The control: the one that exists is granted. Few rounds, since nobody accepts.
        let control = run("16")
            .without_audit()
            .allow(&rule)
            .finish(patience())?
            .success()?;
        let [(existing_then, _), (missing_then, _)] = medians(&control)?;
        let calls = watched(run("20"), name)?;
        let calls_then = watched(run("16").allow(&rule), name)?;
        Attack::new(format!("timing-{id}"), SECTION, "timing as a port scanner")
            .tried("measures 2000 refused connects to a peer that exists, and to one that does not")
            .got("acces")
            .calls(&calls, &calls_then, &["connect"])?
            .saw(
                "a difference of the medians",
                tells(first, second),
                tells(existing_then, missing_then),
            )
            .state()?;
    }
    Ok(())
}

/// The median of each of two targets in nanoseconds, and what came of its connects.
fn medians(ended: &Ended) -> Result<[(f64, String); 2]> {
    let lines = ended.stdout.lines();
    let found: Vec<_> = lines
        .filter_map(|line| line.strip_prefix("median ")?.split_once(' '))
        .map(|(median, outcomes)| Ok((median.parse()?, outcomes.to_owned())))
        .collect::<Result<_>>()?;
    found.try_into().map_err(|_| anyhow!("{}", ended.stdout))
}
