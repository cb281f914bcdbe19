//! What `sockgate run` does while its guest runs: reading the policy again, the audit log and its rotation.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{
    Audit, Guest, GuestRun, Prompt, Prompter, command_path, folder, free_port, guest_path,
    guest_with, isolated, patience, root, steps,
};

/// A guest that does what it is told, under a policy file that may change.
struct Stage {
    guest: Guest,
    prompt: Prompt,
    policy: PathBuf,
    prompter: Prompter,
}

fn rules(prompter: &Prompter, ports: &[u16]) -> String {
    let mut text = format!(
        "version = 1\n[[allow]]\nid = \"prompt\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
         path = [\"{}\"]\n",
        prompter.path().display()
    );
    for port in ports {
        text += &format!(
            "[[allow]]\nid = \"to-{port}\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
             cidr = [\"127.0.0.1\"]\nport = [\"{port}\"]\n"
        );
    }
    text
}

fn stage(place: &Path, ports: &[u16], dress: impl FnOnce(GuestRun) -> GuestRun) -> Result<Stage> {
    let prompter = Prompter::new(place)?;
    let policy = place.join("policy.toml");
    fs::write(&policy, rules(&prompter, ports))?;
    let run = guest_with("poller_steps", &[prompter.path().display().to_string()]);
    let guest = dress(run.policy(&policy)).start()?;
    let prompt = prompter.prompt()?;
    Ok(Stage {
        guest,
        prompt,
        policy,
        prompter,
    })
}

impl Stage {
    /// Writes another policy, and waits until the command says this of it.
    fn reload(&self, text: &str, told: &str) -> Result<()> {
        fs::write(&self.policy, text)?;
        self.guest.hang_up(told)
    }

    fn connects(&mut self, name: &str, port: u16) -> Result<bool> {
        let step = format!("connect {name} 127.0.0.1:{port}");
        match self.prompt.ask(&step)?.as_str() {
            "ok" | "inprogress" => Ok(true),
            "acces" => Ok(false),
            other => bail!("{step}: {other}"),
        }
    }
}

#[test]
fn sighup_reads_the_policy_again() -> Result<()> {
    let place = folder()?;
    let (one, two) = (
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    );
    let ports = [one.local_addr()?.port(), two.local_addr()?.port()];
    let mut stage = stage(place.path(), &ports[..1], |run| run)?;
    ensure!(stage.connects("a", ports[0])? && !stage.connects("b", ports[1])?);
    let (mut accepted, _) = one.accept()?;

    // The other instead: what the guest has of the first ends, and its peer sees that.
    let text = rules(&stage.prompter, &ports[1..]);
    stage.reload(&text, "the policy was read again")?;
    let gone = stage.guest.stderr.wait_for(patience(), |line| {
        line.trim_start().starts_with('-') && line.contains(&ports[0].to_string())
    })?;
    ensure!(gone.contains("connect"), "{gone}");
    ensure!(std::io::Read::read(&mut accepted, &mut [0])? == 0);
    assert_eq!(stage.prompt.ask("recv a")?, "badf");
    ensure!(!stage.connects("c", ports[0])? && stage.connects("d", ports[1])?);

    // A broken file, and one that is gone, are told, and nothing changes.
    stage.reload("version = 1\nfoo = 1\n", "the policy stays as it was")?;
    stage.guest.stderr.wait_for(patience(), |line| {
        line.contains("policy.toml:2:1: error: unknown key `foo`")
    })?;
    fs::remove_file(&stage.policy)?;
    stage.guest.hang_up("the policy stays as it was")?;
    ensure!(!stage.connects("e", ports[0])? && stage.connects("f", ports[1])?);
    assert_eq!(stage.prompt.ask("close d")?, "ok");

    // The same again is no news.
    stage.reload(&text, "grants the same")?;
    stage.guest.signal("-TERM")?;
    assert_eq!(stage.guest.wait(patience())?.status.code(), Some(130));
    Ok(())
}

/// Neither the sender that was heard last nor the destination that was written to last outlives its rule.
#[test]
fn a_datagram_socket_keeps_no_peer_of_the_former_policy() -> Result<()> {
    let place = folder()?;
    let mut stage = stage(place.path(), &[], |run| run)?;
    let [one, two] = ["127.0.0.2:0", "127.0.0.3:0"].map(UdpSocket::bind);
    let (one, two) = (one?, two?);
    let own = format!("127.0.0.1:{}", free_port()?);
    let prompt_alone = rules(&stage.prompter, &[]);
    let talking_with = |peer: &str| {
        format!(
            "{prompt_alone}[[allow]]\nid = \"talk\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
             ops = [\"bind\", \"receive\", \"send-to\"]\nlocal = {{ cidr = [\"127.0.0.1\"], port = [\"*\"] }}\n\
             peer = {{ cidr = [\"{peer}\"], port = [\"*\"] }}\n"
        )
    };
    let told = "the policy was read again";
    stage.reload(&talking_with("127.0.0.2"), told)?;
    assert_eq!(stage.prompt.ask(format!("bind u {own}"))?, "ok");
    for (peer, stranger) in [(&one, &two), (&two, &one)] {
        for text in ["first", "second"] {
            stranger.send_to(b"stray", &own)?;
            peer.send_to(text.as_bytes(), &own)?;
            assert_eq!(stage.prompt.ask("recv u")?, format!("got {text}"));
            for (to, outcome) in [(peer, "ok"), (stranger, "acces")] {
                let step = format!("send-to u {text} {}", to.local_addr()?);
                assert_eq!(stage.prompt.ask(&step)?, outcome);
            }
            // Heard and written to last: what is kept is of this peer.
            let step = format!("send-to u {text} {}", peer.local_addr()?);
            assert_eq!(stage.prompt.ask(&step)?, "ok");
        }
        if peer.local_addr()? == one.local_addr()? {
            stage.reload(&talking_with("127.0.0.3"), told)?;
            // First of all the former peer.
            let step = format!("send-to u stray {}", one.local_addr()?);
            assert_eq!(stage.prompt.ask(&step)?, "acces");
        }
    }
    Ok(())
}

#[test]
fn included_files_and_variables_are_read_again() -> Result<()> {
    let place = folder()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let mut stage = stage(place.path(), &[], |run| run.variable("port", port))?;
    ensure!(!stage.connects("a", port)?);
    let included = "version = 1\n[[allow]]\nid = \"included\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\n\
        ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nport = [\"${port}\"]\n";
    fs::write(place.path().join("more.toml"), included)?;
    let text = rules(&stage.prompter, &[]);
    let text = text.replacen(
        "version = 1\n",
        "version = 1\ninclude = [\"more.toml\"]\n",
        1,
    );
    stage.reload(&text, "the policy was read again")?;
    ensure!(stage.connects("b", port)?);
    Ok(())
}

/// Connections alone are kept: what listens or receives is asked for as ever, and what never did has nothing to lose.
#[test]
fn on_reload_keep_keeps_no_listener_and_no_receiver() -> Result<()> {
    let place = folder()?;
    let [door, ear, idle] = [free_port()?, free_port()?, free_port()?];
    let mut stage = stage(place.path(), &[], |run| run)?;
    let prompt_alone = rules(&stage.prompter, &[]);
    let text = |granted: bool, on_reload: &str| {
        let mut text =
            prompt_alone.replacen("= 1\n", &format!("= 1\non-reload = \"{on_reload}\"\n"), 1);
        let mut allow = |id: &str, kind: &str, ops: &str, port: u16| {
            text += &format!(
                "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"{kind}\"]\nops = [{ops}]\n\
                 local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\n\
                 peer = {{ cidr = [\"127.0.0.1\"], port = [\"*\"] }}\n"
            );
        };
        allow("idle", "datagram", "\"bind\"", idle);
        if granted {
            allow("door", "stream", "\"listen\"", door);
            allow("ear", "datagram", "\"bind\", \"receive\"", ear);
        }
        text
    };
    stage.reload(&text(true, "close"), "the policy was read again")?;
    let prompt = &mut stage.prompt;
    for (step, answer) in [
        (format!("listen l 127.0.0.1:{door}"), "ok"),
        ("accept l first".to_owned(), "again"),
        (format!("bind ear 127.0.0.1:{ear}"), "ok"),
        ("recv ear".to_owned(), "again"),
        (format!("bind idle 127.0.0.1:{idle}"), "ok"),
    ] {
        assert_eq!(prompt.ask(&step)?, answer, "{step}");
    }
    let answers = |stage: &mut Stage, granted: bool, on_reload: &str| -> Result<[String; 3]> {
        stage.reload(&text(granted, on_reload), "the policy was read again")?;
        let prompt = &mut stage.prompt;
        Ok([
            prompt.ask("accept l more")?,
            prompt.ask("recv ear")?,
            prompt.ask("recv idle")?,
        ])
    };
    assert_eq!(answers(&mut stage, false, "keep")?, ["acces"; 3]);
    assert_eq!(
        answers(&mut stage, true, "close")?,
        ["again", "again", "acces"]
    );
    assert_eq!(
        answers(&mut stage, false, "close")?,
        ["badf", "badf", "acces"]
    );
    let audit = stage.guest.audit()?;
    let lost: BTreeSet<&str> = audit
        .of("reload")
        .filter(|record| record.is_denied())
        .map(|record| record.address())
        .collect();
    let [door, ear] = [door, ear].map(|port| format!("127.0.0.1:{port}"));
    assert_eq!(lost, BTreeSet::from([&*door, &*ear]));
    Ok(())
}

/// A guest learns of no refusal but those under a policy that reveals them, and while it is in force.
#[test]
fn what_was_refused_is_revealed_by_the_policy_in_force_alone() -> Result<()> {
    let place = folder()?;
    let policy = place.path().join("policy.toml");
    let reveal = |reveal: bool| fs::write(&policy, format!("version = 1\nreveal = {reveal}\n"));
    reveal(false)?;
    let socket = "s = socket inet stream";
    let guest = guest_with(
        "denial_steps",
        &[
            socket,
            "denial",
            "until /steps/shown",
            "denial",
            socket,
            "denial",
            "say told",
            "until /steps/hidden",
            "denial",
        ],
    );
    let guest = guest
        .policy(&policy)
        .directory(place.path(), "/steps")
        .start()?;
    for (done, shown, file) in [("denial", true, "shown"), ("say told", false, "hidden")] {
        guest.wait_for_line(done, patience())?;
        reveal(shown)?;
        guest.hang_up("the policy was read again")?;
        fs::write(place.path().join(file), "")?;
    }
    let ended = guest.wait(patience())?.success()?;
    let told: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("denial -> "))
        .collect();
    ensure!(
        told.len() == 4 && told[2].contains("create inet stream"),
        "{told:?}"
    );
    assert_eq!([told[0], told[1], told[3]], ["none"; 3]);
    Ok(())
}

/// Open sockets count for the rules of a new policy: what listens already, and what begins to.
#[test]
fn sockets_count_for_the_rules_that_a_reload_brings() -> Result<()> {
    let place = folder()?;
    let policy = place.path().join("policy.toml");
    let limit = |limits: &str| {
        let text = format!(
            "version = 1\n[[allow]]\nid = \"doors\"\nfamily = [\"inet\"]\nops = [\"listen\"]\n\
             cidr = [\"127.0.0.1\"]\n{limits}"
        );
        fs::write(&policy, text)
    };
    limit("")?;
    let script = [
        "a = socket inet stream",
        "b = socket inet stream",
        "c = socket inet stream",
        "bind a 127.0.0.1:0",
        "bind b 127.0.0.1:0",
        "bind c 127.0.0.1:0",
        "listen a",
        "timeout a 1",
        "accept a",
        "until /steps/limited",
        "listen b",
        "listen c",
    ];
    let guest = guest_with("denial_steps", &script);
    let guest = guest
        .policy(&policy)
        .directory(place.path(), "/steps")
        .start()?;
    assert_eq!(guest.wait_for_line("accept a -> ", patience())?, "timedout");
    limit("limits = { sockets = 2 }\n")?;
    guest.hang_up("the policy was read again")?;
    fs::write(place.path().join("limited"), "")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("listen b")?, "ok");
    assert_eq!(ended.step("listen c")?, "mfile");
    Ok(())
}

/// A connect that is on its way when its grant goes has no socket any more.
#[test]
fn a_connect_on_its_way_ends_with_its_grant() -> Result<()> {
    let name = "a_connect_on_its_way_ends_with_its_grant";
    isolated(name, &[], || {
        // What is sent comes back in, is for nobody here, and goes nowhere else.
        fs::write("/proc/sys/net/ipv4/ip_forward", "0")?;
        for words in [
            "addr add 10.9.9.1/32 dev lo",
            "route add 10.9.9.9/32 dev lo src 10.9.9.1",
        ] {
            let status = Command::new("ip").args(words.split(' ')).status()?;
            ensure!(status.success(), "ip {words}: {status}");
        }
        for wait in ["park", "ready"] {
            let place = folder()?;
            let policy = place.path().join("policy.toml");
            let grant = |to: &str| {
                let text = format!(
                    "version = 1\n[[allow]]\nid = \"out\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\n\
                     ops = [\"connect\"]\ncidr = [\"{to}\"]\n"
                );
                fs::write(&policy, text)
            };
            grant("10.9.9.9")?;
            let connect = "connect s 10.9.9.9:9";
            let script = ["s = socket inet stream", connect, "until /steps/told"];
            let guest = guest_with("denial_steps", &script).policy(&policy);
            let guest = guest.option("--wait").option(wait);
            let guest = guest.directory(place.path(), "/steps").start()?;
            let deadline = std::time::Instant::now() + patience();
            while guest.audit()?.of("connect").next().is_none() {
                ensure!(std::time::Instant::now() < deadline, "no connect");
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            grant("10.9.9.8")?;
            guest.hang_up("the policy was read again")?;
            fs::write(place.path().join("told"), "")?;
            let ended = guest.wait(patience())?.success()?;
            // `acces` where the reload came in the middle of the call's first half.
            let outcome = ended.step(connect)?;
            ensure!(matches!(outcome, "badf" | "acces"), "{wait}: {outcome}");
        }
        Ok(())
    })
}

/// A guest that ends because its grant went does not cut short what is told of it.
#[test]
fn a_reload_that_ends_the_guest_is_told_whole() -> Result<()> {
    const RULES: u16 = 1000;
    let place = folder()?;
    let policy = place.path().join("policy.toml");
    let rule = |port: u16| {
        format!(
            "[[allow]]\nid = \"at-{port}\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\nops = [\"bind\", \"receive\"]\n\
             local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\npeer = \"*\"\n"
        )
    };
    let port = free_port()?;
    let rules: String = (1..=RULES).chain([port]).map(rule).collect();
    fs::write(&policy, format!("version = 1\n{rules}"))?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let log = place.path().join("log.jsonl");
    let guest = steps(["s = socket inet datagram", &bind, "recv s 100"])
        .policy(&policy)
        .without_audit()
        .option("--audit")
        .option(&log)
        .start()?;
    guest.wait_for_line("bind s", patience())?;
    fs::write(&policy, "version = 1\n")?;
    guest.signal("-HUP")?;
    let ended = guest.wait(patience())?;
    ensure!(matches!(ended.step("recv s 100")?, "badf" | "acces"));
    let lost = ended.stderr.matches("may no longer").count();
    assert_eq!(lost, usize::from(RULES) + 1, "{}", ended.stderr);
    ensure!(Audit::read(&log)?.denied("reload").is_ok());
    Ok(())
}

/// Where nothing came from a file, SIGHUP means what it means to every program.
#[test]
fn sighup_ends_what_has_nothing_to_read() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = guest_with("upper-tcp", &[&address]).allow(&format!("tcp listen {address}"));
    let guest = run.without_audit().start()?;
    guest.wait_for_line("listening on ", patience())?;
    guest.signal("-HUP")?;
    assert_eq!(guest.wait(patience())?.status.code(), Some(130));
    Ok(())
}

/// The sequences of the events in these files, in their order; each line is a whole event.
fn sequences(files: &[PathBuf]) -> Result<Vec<u64>> {
    let mut sequences = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        ensure!(
            text.is_empty() || text.ends_with('\n'),
            "{}",
            file.display()
        );
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line)?;
            sequences.push(event["sequence"].as_u64().context("no sequence")?);
        }
    }
    Ok(sequences)
}

/// A guest with some 300 events in its log.
fn busy(audit: &Path, rotation: Option<&str>) -> GuestRun {
    let run = guest_with("port-scanner", &["127.0.0.1", "1-100"])
        .allow("tcp connect 127.0.0.1:65535")
        .without_audit()
        .option("--audit")
        .option(audit);
    match rotation {
        Some(rotation) => run.option("--audit-rotate").option(rotation),
        None => run,
    }
}

#[test]
fn a_full_log_is_put_aside_and_nothing_is_lost() -> Result<()> {
    let place = folder()?;
    let whole = place.path().join("whole.jsonl");
    busy(&whole, None).finish(patience())?.success()?;
    let all = sequences(&[whole])?;
    ensure!(all.len() > 150 && all == (1..=all.len() as u64).collect::<Vec<_>>());

    let log = place.path().join("log.jsonl");
    let aside = |number: usize| PathBuf::from(format!("{}.{number}", log.display()));
    busy(&log, Some("4kB,500")).finish(patience())?.success()?;
    let count = (1..).take_while(|number| aside(*number).exists()).count();
    ensure!(count > 5, "{count} logs");
    let mut files: Vec<PathBuf> = (1..=count).rev().map(aside).collect();
    files.push(log.clone());
    assert_eq!(sequences(&files)?, all);
    for file in &files {
        ensure!(fs::metadata(file)?.len() <= 4000, "{}", file.display());
    }

    // The oldest go; what is there already is gone on with.
    let kept = place.path().join("kept.jsonl");
    for _ in 0..2 {
        busy(&kept, Some("4kB,2")).finish(patience())?.success()?;
    }
    let aside = |number: usize| PathBuf::from(format!("{}.{number}", kept.display()));
    ensure!(aside(1).exists() && aside(2).exists() && !aside(3).exists());
    let last = sequences(&[aside(2), aside(1), kept.clone()])?;
    assert_eq!(last.last(), all.last());
    ensure!(
        last.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{last:?}"
    );
    Ok(())
}

#[test]
fn sighup_opens_the_log_anew() -> Result<()> {
    let place = folder()?;
    let log = place.path().join("log.jsonl");
    let mut stage = stage(place.path(), &[], |run| {
        run.without_audit().option("--audit").option(&log)
    })?;
    let port = free_port()?;
    ensure!(!stage.connects("a", port)?);
    let moved = place.path().join("moved.jsonl");
    fs::rename(&log, &moved)?;
    ensure!(!stage.connects("b", port)?);
    stage.guest.hang_up("grants the same")?;
    ensure!(!stage.connects("c", port)?);
    for file in [&moved, &log] {
        ensure!(!sequences(std::slice::from_ref(file))?.is_empty());
    }
    let both = sequences(&[moved, log.clone()])?;
    assert_eq!(both, (1..=both.len() as u64).collect::<Vec<_>>());
    ensure!(Audit::read(&log)?.denied("socket").is_ok());
    Ok(())
}

/// A disk that is full is told once, and the guest goes on.
#[test]
fn a_full_disk_is_told_once() -> Result<()> {
    let ended = busy(Path::new("/dev/full"), None)
        .finish(patience())?
        .success()?;
    ensure!(ended.stdout.contains("100 tried"), "{}", ended.stdout);
    let told = ended.stderr.matches("cannot be written: ").count();
    assert_eq!(told, 1, "{}", ended.stderr);
    Ok(())
}

/// The first column of the table of the log's fields, and the names of operations in it.
fn documented() -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("docs/policy.md"))?;
    let (_, page) = page
        .split_once("\n## sockgate run --audit")
        .context("no such section")?;
    let page = page.split("\n## ").next().unwrap_or_default();
    let mut fields = BTreeSet::new();
    let mut operations = BTreeSet::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, _, told, ..] = cells.as_slice() else {
            continue;
        };
        let Some(name) = name
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        fields.insert(name.to_owned());
        if name == "operation" {
            operations.extend(told.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    Ok((fields, operations))
}

/// The names of operations in the host's own text.
fn in_the_code() -> Result<(String, BTreeSet<String>)> {
    let mut text = String::new();
    let mut folders = vec![
        root().join("host/src/socket"),
        root().join("host/src/bridge"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &fs::read_to_string(path)?;
            }
        }
    }
    let mut names = BTreeSet::new();
    for makes in ["Event::new(\"", "event(\"", "making(\""] {
        for rest in text.split(makes).skip(1) {
            names.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    Ok((text, names))
}

#[test]
fn the_log_is_what_its_page_says() -> Result<()> {
    let (fields, operations) = documented()?;
    ensure!(
        fields.len() >= 12 && operations.len() >= 30,
        "{fields:?} {operations:?}"
    );
    let (text, names) = in_the_code()?;
    ensure!(names.len() >= 20, "{names:?}");
    let missing: Vec<_> = names.difference(&operations).collect();
    ensure!(
        missing.is_empty(),
        "docs/policy.md does not name {missing:?}"
    );
    for operation in &operations {
        ensure!(
            text.contains(&format!("\"{operation}\"")),
            "no code does {operation}"
        );
    }
    // And what a run writes.
    let place = folder()?;
    let log = place.path().join("log.jsonl");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let ports = [listener.local_addr()?.port()];
    let mut stage = stage(place.path(), &ports, |run| {
        run.without_audit().option("--audit").option(&log)
    })?;
    ensure!(stage.connects("a", ports[0])? && !stage.connects("b", 1)?);
    for step in [
        "listen l 127.0.0.1:0",
        "bind d 127.0.0.1:0",
        "pair p q",
        "send a x",
        "recv a",
    ] {
        stage.prompt.ask(step)?;
    }
    for line in fs::read_to_string(&log)?.lines() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let event = event.as_object().context("an event is an object")?;
        for field in event.keys() {
            ensure!(
                fields.contains(field),
                "docs/policy.md does not name `{field}`: {line}"
            );
        }
        let operation = event["operation"].as_str().unwrap_or_default();
        ensure!(operations.contains(operation), "{line}");
    }
    Ok(())
}

/// A mistake in what is written beside the guest is told before it runs.
#[test]
fn a_report_that_cannot_be_written_is_told_at_once() -> Result<()> {
    for (option, value) in [
        ("--audit", "/nowhere/log"),
        ("--metrics", "/nowhere/metrics"),
        ("--audit-rotate", "10 apples"),
    ] {
        let output = Command::new(command_path()?)
            .args(["run", option, value])
            .arg(guest_path("socketpair")?)
            .output()?;
        ensure!(
            output.status.code() == Some(2) && output.stdout.is_empty(),
            "{output:?}"
        );
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(said.contains(value), "{said}");
    }
    Ok(())
}
