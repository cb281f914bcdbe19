//! Descriptors that nobody granted: what a native program sends into a guest's host, and what a guest hands on. The
//! witness is the list of the command's open descriptors, which the kernel keeps.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Attack, Ended, Native, Tool, folder, oracle, patience, skip, steps, told, watched,
};

const SECTION: &str = "Descriptors";

/// What came of one message of descriptors.
struct Arrival {
    /// What the guest saw of the message.
    got: String,
    /// The descriptors of the command that are the sent one, each with its flags as open(2) has them.
    held: Vec<String>,
    ended: Ended,
}

/// How a guest takes a message: by its step, under the rule that its listener has with these keys, beside more rules.
struct Receiver<'a> {
    step: &'a str,
    keys: &'a str,
    rules: &'a str,
}

/// Lets Python send so many descriptors of this kind to the guest; none where the kernel here has none to send.
fn arrival(
    python: &Path,
    kind: &str,
    count: usize,
    receiver: &Receiver,
) -> Result<Option<Arrival>> {
    let place = folder()?;
    let path = place.path().join("hand-over");
    let bind = format!("bind s path:{}", path.display());
    let guest = steps([
        "s = socket unix stream",
        &bind,
        "listen s",
        "c = accept s",
        // The message is there before anything looks for it.
        "until /steps/sent",
        "p = pair stream",
        receiver.step,
        "say looked",
        "until /steps/seen",
        "send c !",
    ])
    .policy_text(&format!(
        "version = 1\n[limits]\nsockets = 400\n[[allow]]\nid = \"hand-over\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\n\
         ops = [\"listen\"{}, \"splice\"]\npeer = \"*\"\nlocal = {{ root = \"{}\", path = [\"hand-over\"] }}\n{}\n\
         [[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [\"socketpair\", \"splice\"]\n{}",
        if receiver.keys.contains("kinds") { ", \"descriptor-receive\"" } else { "" },
        place.path().display(),
        receiver.keys,
        receiver.rules,
    ))
    .directory(place.path(), "/steps")
    .start()?;
    guest.wait_for_line("listen s -> ok", patience())?;
    let arguments = [
        "send",
        &path.display().to_string(),
        kind,
        &count.to_string(),
    ];
    let sender = Native::python(python, "attacks.py", arguments)?;
    sender
        .stdout
        .wait_for(patience(), |line| line == "sent" || line == "impossible")?;
    if sender
        .stdout
        .lines()
        .iter()
        .any(|line| line == "impossible")
    {
        return Ok(None);
    }
    fs::write(place.path().join("sent"), "")?;
    guest.wait_for_line("say looked", patience())?;
    let link = told(&sender.stdout.lines(), "link")
        .first()
        .cloned()
        .context("no link")?;
    let held = held(guest.pid(), &link)?;
    fs::write(place.path().join("seen"), "")?;
    sender.finish(patience())?;
    let ended = guest.wait(patience())?.success()?;
    Ok(Some(Arrival {
        got: ended.step(receiver.step)?.to_owned(),
        held,
        ended,
    }))
}

/// The descriptors of a process that are this one, by its flags and its kind.
fn held(pid: u32, link: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        // One that was closed meanwhile is none.
        let Ok(there) = fs::read_link(entry.path()) else {
            continue;
        };
        if there.to_string_lossy() == link {
            let number = entry.file_name().to_string_lossy().into_owned();
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}"))?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            found.push(format!("{link} {}", flags.unwrap_or_default().trim()));
        }
    }
    Ok(found)
}

const OPAQUE: &str = "kinds = [\"opaque\"]";
const SOCKET: &str = "kinds = [\"socket\"]";
const TAKE: &str = "recv-msg c 100 2048";

/// Rules under which the socket that is sent for a control arrives.
const UDP: &str = "[[allow]]\nid = \"udp\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
    ops = [\"bind\", \"receive\", \"send-to\"]\nlocal = { cidr = [\"127.0.0.1\"], port = [\"*\"] }\n\
    peer = { cidr = [\"127.0.0.1\"], port = [\"*\"] }\n";

/// Every kind of descriptor, without a grant and with a grant of the other kind.
#[test]
fn what_was_not_granted_is_not_held() -> Result<()> {
    let name = "what_was_not_granted_is_not_held";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let take = |keys| Receiver {
        step: TAKE,
        keys,
        rules: "",
    };
    let udp = Receiver {
        step: TAKE,
        keys: SOCKET,
        rules: UDP,
    };
    let sockets = "a socket of another family arriving by SCM_RIGHTS";
    let kinds = [
        ("file", "a file arriving by SCM_RIGHTS", "file", SOCKET),
        ("folder", "a file arriving by SCM_RIGHTS", "folder", SOCKET),
        ("pipe", "a pipe arriving by SCM_RIGHTS", "pipe", SOCKET),
        ("pidfd", "a pidfd arriving by SCM_RIGHTS", "pidfd", SOCKET),
        ("udp", sockets, "udp", OPAQUE),
        ("netlink", sockets, "udp", OPAQUE),
        ("packet_of_nothing", sockets, "udp", OPAQUE),
        (
            "o_path_of_a_socket",
            sockets,
            "folder",
            "kinds = [\"socket\", \"opaque\"]",
        ),
    ];
    let sent = "the control cannot be sent";
    let socket = arrival(&python, "udp", 1, &udp)?.context(sent)?;
    let opaque = arrival(&python, "folder", 1, &take(OPAQUE))?.context(sent)?;
    for (kind, phrase, control, other) in kinds {
        let granted = match control {
            "udp" => &socket,
            _ => &opaque,
        };
        for (how, keys) in [("ungranted", ""), ("as-other-kind", other)] {
            let Some(attack) = arrival(&python, kind, 1, &take(keys))? else {
                skip(
                    &format!("{name} {kind}"),
                    "not on this kernel, or not for this user",
                );
                continue;
            };
            Attack::new(format!("{}-{how}", kind.replace('_', "-")), SECTION, phrase)
                .tried(format!(
                    "takes a message with a {kind} beside it, under `{keys}`"
                ))
                .got(&attack.got)
                .checked("the message came without it, and the host does not hold it open")
                .saw(
                    "the command's open descriptors",
                    attack.held,
                    granted.held.clone(),
                )
                .state()?;
        }
    }
    Ok(())
}

/// An io_uring would make system calls that nobody looks at. Linux takes none as a passenger since 6.7.
#[test]
fn an_io_uring_is_not_held() -> Result<()> {
    let name = "an_io_uring_is_not_held";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let take = |keys| Receiver {
        step: TAKE,
        keys,
        rules: "",
    };
    let control = arrival(&python, "pipe", 1, &take(OPAQUE))?.context("no pipe")?;
    let attack = Attack::new("io-uring", SECTION, "an io_uring arriving by SCM_RIGHTS");
    match arrival(&python, "io_uring", 1, &take(SOCKET))? {
        Some(arrival) => attack
            .tried("takes a message with an io_uring beside it, where sockets are granted")
            .got(&arrival.got)
            .checked("the message came without it, and the host does not hold it open")
            .saw("the command's open descriptors", arrival.held, control.held)
            .state(),
        None => attack
            .tried("waits for an io_uring, which the kernel here lets nobody send")
            .got("nothing")
            .checked("the sender's sendmsg(2) failed")
            .saw("messages with one", false, control.held.len())
            .state(),
    }
}

/// Descriptors come with bytes however the bytes are read.
#[test]
fn no_way_of_reading_lets_descriptors_in() -> Result<()> {
    let name = "no_way_of_reading_lets_descriptors_in";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let with = |step| Receiver {
        step,
        keys: OPAQUE,
        rules: "",
    };
    let granted = arrival(&python, "pipe", 3, &with(TAKE))?.context("no pipe")?;
    assert_eq!(granted.held.len(), 3, "{:?}", granted.held);
    let phrase = "descriptors arriving while the guest asked for no ancillary data";
    let ways = [
        ("recv", phrase, "recv c 100"),
        ("recv-piece", phrase, "recv c 1"),
        ("recv-from", phrase, "recv-from c 100"),
        ("recv-many", phrase, "recv-many c 4"),
        ("recv-msg-without-room", phrase, "recv-msg c 100 0"),
        ("peek", phrase, "recv c 100 peek"),
        ("splice", phrase, "splice c p 100"),
        ("poll", phrase, "poll c 5000"),
        (
            "cut-to-nothing",
            "MSG_CTRUNC with descriptors in flight",
            "recv-msg c 100 16",
        ),
    ];
    for (id, phrase, step) in ways {
        let attack = arrival(&python, "pipe", 3, &with(step))?.context("no pipe")?;
        Attack::new(format!("read-by-{id}"), SECTION, phrase)
            .tried(format!(
                "`{step}`, where three descriptors stand beside the bytes"
            ))
            .got(&attack.got)
            .checked("no descriptor came, and the host holds none of them open")
            .saw(
                "the command's open descriptors",
                attack.held,
                granted.held.clone(),
            )
            .state()?;
    }
    // Room for four of a hundred: what the guest was not given is not held for it.
    let cut = arrival(&python, "pipe", 100, &with("recv-msg c 100 32"))?.context("no pipe")?;
    ensure!(cut.got.contains("ctrunc"), "{}", cut.got);
    let given = cut.got.matches("opaque").count();
    Attack::new(
        "cut-to-four",
        SECTION,
        "MSG_CTRUNC with descriptors in flight",
    )
    .tried("takes a message of 100 descriptors with room for four")
    .got(&cut.got)
    .checked("four came, and the host holds no other open")
    .saw(
        "descriptors beyond the four",
        cut.held[given..].to_vec(),
        granted.held,
    )
    .state()
}

/// 253 fit in one message, and not one of them is kept without a grant.
#[test]
fn as_many_as_fit_in_a_message_are_not_held() -> Result<()> {
    let name = "as_many_as_fit_in_a_message_are_not_held";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let take = |keys| Receiver {
        step: TAKE,
        keys,
        rules: "",
    };
    let granted = arrival(&python, "file", 253, &take(OPAQUE))?.context("no file")?;
    assert_eq!(granted.got.matches("opaque").count(), 253);
    for (how, keys) in [("ungranted", ""), ("as-other-kind", SOCKET)] {
        let attack = arrival(&python, "file", 253, &take(keys))?.context("no file")?;
        Attack::new(
            format!("many-{how}"),
            SECTION,
            "253 descriptors in one message",
        )
        .tried(format!(
            "takes a message with 253 descriptors beside it, under `{keys}`"
        ))
        .got(&attack.got)
        .checked("the message came without them, and the host holds none of them open")
        .saw(
            "the command's open descriptors",
            attack.held,
            granted.held.clone(),
        )
        .state()?;
    }
    // What a later program of the host would inherit: none that arrived.
    let close_on_exec = |line: &String| {
        let flags = line
            .rsplit(' ')
            .next()
            .and_then(|flags| u32::from_str_radix(flags, 8).ok());
        flags.is_some_and(|flags| flags & 0o2_000_000 != 0)
    };
    let kept: Vec<String> = granted
        .held
        .iter()
        .filter(|line| !close_on_exec(line))
        .cloned()
        .collect();
    let inherited = own_without_close_on_exec()?;
    Attack::new("close-on-exec", SECTION, "MSG_CMSG_CLOEXEC")
        .tried("takes 253 descriptors that a program started by the host could inherit")
        .got("ok 253")
        .checked("each that arrived is closed on exec")
        .saw("descriptors without O_CLOEXEC", kept, inherited)
        .state()?;
    drop(granted.ended);
    Ok(())
}

/// The descriptors of this process that a program would inherit: its stdin at least.
fn own_without_close_on_exec() -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let Ok(info) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap_or("0").trim(), 8)?;
        count += usize::from(flags & 0o2_000_000 == 0);
    }
    Ok(count)
}

/// What a guest hands on, to another or to itself.
#[test]
fn a_guest_hands_nothing_on_without_a_grant() -> Result<()> {
    let name = "a_guest_hands_nothing_on_without_a_grant";
    let script = [
        "p = pair stream",
        "w = pair stream",
        "send-handles p 1 p'",
        "send-handles p 1 p",
        "send-handles p 1 w",
        "d = detach w'",
        "send-handles p 1 d",
        "send-handles p 253 p'",
        "send-handles p 254 p'",
        // SCM_RIGHTS by its number, with descriptors of the host by theirs.
        "send-raw p 1 1 00000000",
        "send-raw p 1 1 0500000006000000",
        // SCM_PIDFD and SCM_SECURITY by theirs.
        "send-raw p 1 4 00000000",
        "send-raw p 1 3 00000000",
    ];
    let rule = |ops: &str, kinds: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [{ops}]\n{kinds}\n"
        )
    };
    let attack = watched(steps(script).policy_text(&rule("\"socketpair\"", "")), name)?;
    let both = "\"socketpair\", \"descriptor-send\", \"descriptor-receive\"";
    let control = watched(
        steps(script).policy_text(
            // Nobody takes in what is sent.
            &(rule(both, "kinds = [\"socket\", \"opaque\"]")
                + "[limits]\ndescriptors-in-flight = 1000\n"),
        ),
        name,
    )?;
    let itself = "a descriptor sent to itself";
    let tries = [
        ("hand-on-end", itself, script[2], script[2]),
        ("hand-on-itself", itself, script[3], script[3]),
        ("hand-on-other", itself, script[4], script[4]),
        ("hand-on-detached", itself, script[6], script[6]),
        (
            "hand-on-253",
            "253 descriptors in one message",
            script[7],
            script[7],
        ),
        (
            "hand-on-254",
            "254 descriptors in one message",
            script[8],
            script[7],
        ),
        ("hand-on-stdin-by-number", itself, script[9], script[2]),
        ("hand-on-by-number", itself, script[10], script[2]),
        (
            "hand-on-pidfd-by-number",
            "SCM_PIDFD",
            script[11],
            script[2],
        ),
    ];
    for (id, phrase, step, granted) in tries {
        Attack::new(id, SECTION, phrase)
            .tried(format!("`{step}`, where no rule lets it pass descriptors"))
            .step(
                (&attack, step),
                (&control, granted),
                &["sendmsg", "sendmmsg"],
            )?
            .state()?;
    }
    // With every grant numbers are no handles.
    let more = [
        ("granted-by-number", itself, script[10]),
        ("granted-pidfd-by-number", "SCM_PIDFD", script[11]),
    ];
    for (id, phrase, step) in more {
        Attack::new(id, SECTION, phrase)
            .tried(format!("`{step}`, where handles may be passed"))
            .step(
                (&control, step),
                (&control, script[2]),
                &["sendmsg", "sendmmsg"],
            )?
            .state()?;
    }
    // One too many stays one too many.
    let passed = |count: usize| -> Result<Ended> {
        let send = format!("send-handles p {count} p'");
        let script = [
            "p = pair stream",
            &send,
            "timeout p' 100",
            "recv-msg p' 100 2048",
        ];
        let granted = rule(both, "kinds = [\"socket\"]") + "[limits]\nsockets = 400\n";
        steps(script)
            .policy_text(&granted)
            .finish(patience())?
            .success()
    };
    let (attack, control) = (passed(254)?, passed(253)?);
    let came = |ended: &Ended| -> Result<bool> {
        Ok(ended.step("recv-msg p' 100 2048")?.contains("socket in0"))
    };
    Attack::new("granted-254", SECTION, "254 descriptors in one message")
        .tried("sends itself 254 descriptors in one message, where it may pass them")
        .got(attack.step("send-handles p 254 p'")?)
        .saw("the other end", came(&attack)?, came(&control)?)
        .state()?;
    Ok(())
}

/// A socket that a guest sends to itself is judged again: it has no more rights than one that it made.
#[test]
fn a_round_trip_adds_no_rights() -> Result<()> {
    let name = "a_round_trip_adds_no_rights";
    let (peer, port) = sockgate_tests::ear("127.0.0.1:0")?;
    let (other, elsewhere) = sockgate_tests::ear("127.0.0.1:0")?;
    let script = [
        "w = pair stream".to_owned(),
        "u = socket inet datagram".to_owned(),
        format!("connect u 127.0.0.1:{port}"),
        "send-handles w 1 u".to_owned(),
        "recv-msg w' 100 64".to_owned(),
        format!("send-to in0 stray 127.0.0.1:{elsewhere}"),
        format!("connect in0 127.0.0.1:{elsewhere}"),
        "set in0 1 6 01000000".to_owned(),
        "send in0 true".to_owned(),
    ];
    let policy = |more: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\n\
             ops = [\"socketpair\", \"descriptor-send\", \"descriptor-receive\"]\nkinds = [\"socket\"]\n\
             [[allow]]\nid = \"peer\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
             ops = [\"connect\", \"send-to\"]\ncidr = [\"127.0.0.1\"]\nport = [\"{port}\"{more}\n"
        )
    };
    let attack = watched(steps(&script).policy_text(&policy("]")), name)?;
    assert_eq!(attack.step("send in0 true")?, "ok 4", "{}", attack.stdout);
    ensure!(sockgate_tests::heard(&peer)?.as_deref() == Some("true"));
    let reached = sockgate_tests::heard(&other)?;
    let wide = format!(", \"{elsewhere}\"]\noptions = {{ set = [\"so.broadcast\"] }}");
    let control = watched(steps(&script).policy_text(&policy(&wide)), name)?;
    let reached_then = sockgate_tests::heard(&other)?;
    let sends: &[&str] = &["sendto", "sendmsg"];
    let tries = [
        ("round-trip-send", &script[5], sends),
        ("round-trip-connect", &script[6], &["connect"]),
        ("round-trip-option", &script[7], &["setsockopt"]),
    ];
    for (id, step, calls) in tries {
        Attack::new(id, "Beyond", "a descriptor passed on to lose its rule")
            .tried(format!("`{step}` on a socket that it sent to itself"))
            .step((&attack, step), (&control, step), calls)?
            .saw("another peer", reached.clone(), reached_then.clone())
            .state()?;
    }
    Ok(())
}

/// Options by which descriptors come or stay away: SO_PASSPIDFD, SO_PASSRIGHTS, and SO_PEERPIDFD to ask for one.
#[test]
fn options_that_bring_descriptors_need_their_names() -> Result<()> {
    let name = "options_that_bring_descriptors_need_their_names";
    let script = [
        "p = pair stream",
        "set p 1 76 01000000",
        "set p 1 83 00000000",
        "get p 1 77 4",
        "d = pidfd p",
        "set p 1 16 01000000",
        "set p 1 34 01000000",
    ];
    let rule = |options: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [\"socketpair\", \"descriptor-receive\"]\n\
             kinds = [\"opaque\"]\noptions = {{ {options} }}\n"
        )
    };
    let attack = watched(steps(script).policy_text(&rule("set = [\"*\"]")), name)?;
    let named = "set = [\"so.passpidfd\", \"so.passrights\", \"so.passcred\", \"so.passsec\"], get = [\"so.peerpidfd\"]";
    let control = watched(steps(script).policy_text(&rule(named)), name)?;
    let (set, get): (&[&str], &[&str]) = (&["setsockopt"], &["getsockopt"]);
    let tries = [
        ("pass-pidfd", "SCM_PIDFD", script[1], script[1], set),
        ("pass-rights", "SO_PASSRIGHTS", script[2], script[2], set),
        (
            "peer-pidfd-by-number",
            "a pidfd arriving by SCM_RIGHTS",
            script[3],
            script[4],
            get,
        ),
        (
            "peer-pidfd",
            "a pidfd arriving by SCM_RIGHTS",
            script[4],
            script[4],
            get,
        ),
        (
            "pass-rights-security",
            "SO_PASSRIGHTS",
            script[6],
            script[6],
            set,
        ),
    ];
    for (id, phrase, step, granted, calls) in tries {
        Attack::new(id, SECTION, phrase)
            .tried(format!("`{step}`, where a wildcard lists every option"))
            .step((&attack, step), (&control, granted), calls)?
            .state()?;
    }
    Ok(())
}
