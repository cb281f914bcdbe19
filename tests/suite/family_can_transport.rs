//! What carries CAN's frames for a guest: the broadcast manager, ISO-TP and J1939, against native peers, and
//! which of it the policy lets through.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Net, Prompter, agree, folder, kernel, net_and_python, patience,
    policy_path, root, told,
};

/// A namespace with vcan0 and vcan1, and Python.
fn bench(need: Need, name: &str) -> Result<Option<(Net, PathBuf)>> {
    if kernel::has(need, name).is_none() {
        return Ok(None);
    }
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(None);
    };
    net.vcan("vcan0")?;
    net.vcan("vcan1")?;
    Ok(Some((net, python)))
}

fn native(net: &Net, python: &Path, words: &[&str]) -> Result<Native> {
    let script = root().join("tests/native/can_transport.py");
    let native = Native::start(net.command(python).arg(script).args(words))?;
    if !words[0].ends_with("send") {
        native.wait_for_line("listening", patience())?;
    }
    Ok(native)
}

fn send(net: &Net, python: &Path, words: &[&str]) -> Result<()> {
    let words: Vec<&str> = ["send", "vcan0"]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    native(net, python, &words)?.finish(patience())?;
    Ok(())
}

fn policy(protocol: &str, rules: &[&str]) -> String {
    let rules = rules.iter().enumerate().map(|(number, keys)| {
        format!(
            "[[allow]]\nid = \"r{number}\"\nfamily = [\"can\"]\nprotocol = [\"{protocol}\"]\n{keys}\n"
        )
    });
    format!("version = 1\n{}", rules.collect::<String>())
}

fn guest(net: &Net, policy: &str, steps: &[&str]) -> GuestRun {
    let run = GuestRun::new("family_can_transport")
        .net(net)
        .policy_text(policy);
    steps.iter().fold(run, |run, step| run.argument(*step))
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

/// The frames that a native listener heard, and when, in milliseconds.
fn frames(heard: &[String]) -> Result<Vec<(String, f64)>> {
    let frames = told(heard, "frame").into_iter().map(|line| {
        let (frame, when) = line.split_once(' ').context("a frame without its time")?;
        Ok((frame.to_owned(), when.parse()?))
    });
    frames.collect()
}

const MANAGER: &str = "ops = [\"connect\"]\ninterface = [\"vcan0\"]\ncan-id = [\"0x100-0x10f\"]";

#[test]
fn frames_go_out_in_turn_until_their_job_or_socket_ends() -> Result<()> {
    let name = "frames_go_out_in_turn_until_their_job_or_socket_ends";
    let Some((net, python)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    let hearer = native(&net, &python, &["hear", "vcan0"])?;
    let words = [
        "b = bcm vcan0",
        "cycle b 100 50 100#01 101#02",
        "sleep 1000",
        "end-cycle b 100",
        "end-cycle b 100",
        "once b 102#03",
        "sleep 300",
        "once b 103#04",
        "cycle b 104 50 104#05",
        "sleep 200",
        "close b",
        "sleep 400",
    ];
    let ended = guest(&net, &policy("bcm", &[MANAGER]), &words)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("end-cycle b 100")?, "ok");
    ensure!(
        ended.stdout.contains("end-cycle b 100 -> inval"),
        "no job is left: {}",
        ended.stdout
    );
    // A frame of another sender stands behind everything that the guest could have sent.
    send(&net, &python, &["7ff#"])?;
    hearer.wait_for_line("frame 7FF#", patience())?;
    let frames = frames(&hearer.stop()?)?;
    let count = |wanted: &str| frames.iter().filter(|(frame, _)| frame == wanted).count();
    let first: Vec<_> = frames
        .iter()
        .filter(|(frame, _)| frame.starts_with("10") && !frame.starts_with("104"))
        .collect();
    let turns = count("100#01") + count("101#02");
    ensure!((10..=24).contains(&turns), "{turns} in a second");
    for (at, (frame, _)) in first[..turns].iter().enumerate() {
        assert_eq!(frame, ["100#01", "101#02"][at % 2]);
    }
    let mean = (first[turns - 1].1 - first[0].1) / (turns - 1) as f64;
    ensure!((40.0..75.0).contains(&mean), "every {mean} ms");
    // Nothing of the job comes behind the frame that followed its end.
    assert_eq!(first[turns].0, "102#03");
    assert_eq!(count("103#04"), 1);
    // The second job ended with its socket: not one for the 400 ms before the last frame.
    let last = frames.iter().rposition(|(frame, _)| frame == "104#05");
    let last = last.context("the second job sent nothing")?;
    ensure!(count("104#05") <= 7, "{frames:?}");
    assert_eq!(last, frames.len() - 2, "{frames:?}");
    ensure!(frames[last + 1].1 - frames[last].1 > 300.0, "{frames:?}");
    println!("every {mean:.1} ms");
    Ok(())
}

/// The jobs of a socket were judged by the policy that they were given under: another one ends them, unless it says
/// that what is open stays open.
#[test]
fn a_policy_that_is_read_again_ends_the_jobs_of_the_former() -> Result<()> {
    let name = "a_policy_that_is_read_again_ends_the_jobs_of_the_former";
    let Some((net, python)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    let place = folder()?;
    let prompter = Prompter::new(place.path())?;
    let wait = format!("wait {}", prompter.path().display());
    let words = [
        "b = bcm vcan0",
        "cycle b 100 50 100#01",
        &wait,
        "once b 102#03",
    ];
    let waiting = format!(
        "[[allow]]\nid = \"prompt\"\nfamily = [\"unix\"]\nops = [\"connect\"]\npath = [\"{}\"]\n",
        prompter.path().display()
    );
    // A hardened process as well may end what goes on by itself.
    let cases = [
        ("close", "badf", None),
        ("keep", "ok", None),
        ("close", "badf", Some("--harden")),
    ];
    for (on_reload, outcome, harden) in cases {
        let path = place.path().join(format!("{on_reload}.toml"));
        let text = policy("bcm", &[MANAGER]) + &waiting;
        let text = text.replacen('\n', &format!("\non-reload = \"{on_reload}\"\n"), 1);
        fs::write(&path, &text)?;
        let hearer = native(&net, &python, &["hear", "vcan0"])?;
        let run = GuestRun::new("family_can_transport")
            .net(&net)
            .policy(&path);
        let run = harden.into_iter().fold(run, GuestRun::option);
        let guest = words.iter().fold(run, |run, word| run.argument(*word));
        let guest = guest.start()?;
        let prompt = prompter.prompt()?;
        hearer.wait_for_line("frame 100#01", patience())?;
        fs::write(&path, text.replace("0x100-0x10f", "0x102-0x10f"))?;
        guest.hang_up("the policy was read again")?;
        send(&net, &python, &["7ff#"])?;
        // Six turns of a job that still goes on.
        thread::sleep(Duration::from_millis(300));
        drop(prompt);
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(ended.step("once b 102#03")?, outcome, "{on_reload}");
        send(&net, &python, &["7fe#"])?;
        hearer.wait_for_line("frame 7FE#", patience())?;
        let frames = frames(&hearer.stop()?)?;
        let reload = frames.iter().position(|(frame, _)| frame == "7FF#");
        let since = reload.context("no frame stands for the reload")?;
        let later = frames[since..]
            .iter()
            .filter(|(frame, _)| frame == "100#01");
        let kept = on_reload == "keep";
        assert_eq!(later.count() > 0, kept, "{on_reload}: {frames:?}");
        let mut told = ended.audit.of("reload");
        let lost = told.any(|record| record.reason().starts_with("its jobs were granted"));
        assert_eq!(lost, !kept, "{on_reload}");
    }
    Ok(())
}

/// A process that has as many descriptors as it may have can end the jobs of a socket all the same.
#[test]
fn jobs_end_where_no_descriptor_is_left() -> Result<()> {
    let name = "jobs_end_where_no_descriptor_is_left";
    let Some((net, python)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    let text = policy("bcm", &[MANAGER]);
    let text = text.replacen('\n', "\n[limits]\nlifetime = \"2s\"\n", 1);
    let hearer = native(&net, &python, &["hear", "vcan0"])?;
    let words = [
        "b = bcm vcan0",
        "cycle b 100 50 100#01",
        "sleep 4000",
        "once b 102#03",
    ];
    let guest = guest(&net, &text, &words).start()?;
    hearer.wait_for_line("frame 100#01", patience())?;
    let open = |number: &u32| Path::new(&format!("/proc/{}/fd/{number}", guest.pid())).exists();
    let free = (0..).find(|number| !open(number)).context("no number")?;
    let limited = Command::new("prlimit")
        .args(["--pid", &guest.pid().to_string()])
        .arg(format!("--nofile={free}:{free}"))
        .status()?;
    ensure!(limited.success(), "{limited}");
    let ended = guest.wait(patience())?;
    assert_eq!(ended.step("once b 102#03")?, "badf");
    send(&net, &python, &["7ff#"])?;
    hearer.wait_for_line("frame 7FF#", patience())?;
    let frames = frames(&hearer.stop()?)?;
    let mut turns = frames.iter().filter(|(frame, _)| frame == "100#01");
    let (Some((_, first)), Some((_, last))) = (turns.next(), turns.next_back()) else {
        bail!("{frames:?}");
    };
    // The socket would have ended with its guest two seconds later.
    ensure!((1000.0..3000.0).contains(&(last - first)), "{frames:?}");
    Ok(())
}

/// What the kernel keeps for a guest is bounded: a job more than there may be waits for the end of another.
#[test]
fn a_socket_has_so_many_jobs() -> Result<()> {
    let name = "a_socket_has_so_many_jobs";
    let Some((net, _)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    let cycle = |id: u32| format!("cycle b {id:x} 60000 {id:x}#01");
    let mut words = vec!["b = bcm vcan0".to_owned()];
    words.extend((0x100..0x201).map(cycle));
    words.extend([cycle(0x100), "end-cycle b 1ff".to_owned(), cycle(0x300)]);
    words.extend([
        "end-cycles b 1fe 1fd".to_owned(),
        cycle(0x301),
        cycle(0x302),
    ]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let rule = "ops = [\"connect\"]\ninterface = [\"vcan0\"]\ncan-id = [\"0x100-0x3ff\"]\n\
                bcm-ops = [\"tx-setup\", \"tx-delete\"]";
    let ended = guest(&net, &policy("bcm", &[rule]), &words)
        .finish(patience())?
        .success()?;
    let outcomes = [
        (0x1ff, "ok"),
        (0x200, "nobufs"),
        (0x100, "ok"),
        (0x300, "ok"),
        (0x301, "ok"),
        (0x302, "ok"),
    ];
    for (id, outcome) in outcomes {
        assert_eq!(ended.step(&cycle(id))?, outcome, "{id:x}");
    }
    let told: Vec<_> = ended.audit.of("send-to").collect();
    let [record] = told.as_slice() else {
        bail!("{told:?}");
    };
    assert_eq!(record.errno(), "nobufs");
    assert_eq!(
        record.field("arguments"),
        "it has 256 jobs, and may have no more"
    );
    Ok(())
}

#[test]
fn a_watch_tells_changes_and_silence_alone() -> Result<()> {
    let name = "a_watch_tells_changes_and_silence_alone";
    let Some((net, python)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    // The first byte alone counts.
    let words = [
        "b = bcm vcan0",
        "changes b 100#FF00 0 0",
        "say watching",
        "hear b",
        "hear b",
        "end-watch b 100",
        "timeout b 300",
        "watch b 101 200 0",
        "say first",
        "hear b",
    ];
    let run = guest(&net, &policy("bcm", &[MANAGER]), &words).start()?;
    run.wait_for_line("say watching", patience())?;
    send(
        &net,
        &python,
        &["100#0101", "100#0102", "102#0202", "100#0203", "100#0204"],
    )?;
    let ended = run.wait(patience())?.success()?;
    let heard: Vec<_> = told(&lines(&ended), "hear b ->");
    assert_eq!(
        heard,
        ["RxChanged 100#0101", "RxChanged 100#0203", "RxTimeout"]
    );

    // Of many frames in a second one comes each 400 ms.
    let mut words = vec![
        "b = bcm vcan0",
        "watch b 103 0 400",
        "timeout b 900",
        "say watching",
    ];
    words.extend(["hear b"; 12]);
    let run = guest(&net, &policy("bcm", &[MANAGER]), &words).start()?;
    run.wait_for_line("say watching", patience())?;
    let burst: Vec<String> = (0..40)
        .flat_map(|number| [format!("103#{number:02X}"), "20".to_owned()])
        .collect();
    let burst: Vec<&str> = burst.iter().map(String::as_str).collect();
    send(&net, &python, &burst)?;
    let ended = run.wait(patience())?.success()?;
    let heard = told(&lines(&ended), "hear b ->");
    let changes = heard.iter().filter(|line| line.starts_with("RxChanged"));
    let changes = changes.count();
    ensure!((2..=6).contains(&changes), "{heard:?}");
    Ok(())
}

const CHANNEL: &str = "ops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"vcan0\"]\n\
                       isotp = [{ rx = \"0x7E8\", tx = \"0x7E0\" }]\n\
                       options = { set = [\"can-isotp.opts\", \"can-isotp.recv-fc\"] }";

/// One message each way, and a last short one.
fn swapped(net: &Net, python: &Path, length: &str, ours: &str, theirs: &[&str]) -> Result<Ended> {
    let mut words = vec!["isotp-swap", "vcan0", "7e0", "7e8", length];
    words.extend(theirs);
    let peer = native(net, python, &words)?;
    let make = format!("i = isotp vcan0 7e8 7e0{ours}");
    let push = format!("push i 1 {length}");
    let words = [make.as_str(), &push, "pull i 100000", "push i 2 3"];
    let ended = guest(net, &policy("isotp", &[CHANNEL]), &words)
        .finish(patience())?
        .success()?;
    agree(&lines(&ended), &peer.finish(patience())?)?;
    assert_eq!(ended.step("pull i 100000")?, format!("ok {length}"));
    Ok(ended)
}

#[test]
fn segmented_messages_keep_every_byte() -> Result<()> {
    let name = "segmented_messages_keep_every_byte";
    let Some((net, python)) = bench(Need::CanIsotp, name)? else {
        return Ok(());
    };
    for length in ["7", "8", "4095", "8000", "65536"] {
        swapped(&net, &python, length, "", &[])?;
    }
    Ok(())
}

#[test]
fn a_channel_s_options_shape_its_frames() -> Result<()> {
    let name = "a_channel_s_options_shape_its_frames";
    let Some((net, python)) = bench(Need::CanIsotp, name)? else {
        return Ok(());
    };
    let hearer = native(&net, &python, &["hear", "vcan0"])?;
    swapped(
        &net,
        &python,
        "40",
        " pad=55 address=f1 block=2 stmin=14",
        &["pad=AA", "address=f1"],
    )?;
    let words = [
        "i = isotp vcan0 7e8 7e0 broadcast",
        "push i 3 4",
        "push i 3 20",
    ];
    let ended = guest(&net, &policy("isotp", &[CHANNEL]), &words)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(words[1])?, "ok 4");
    assert_eq!(ended.step(words[2])?, "inval", "more than one frame");
    send(&net, &python, &["7ff#"])?;
    hearer.wait_for_line("frame 7FF#", patience())?;
    let frames = frames(&hearer.stop()?)?;
    let has = |lead: &str| frames.iter().any(|(frame, _)| frame.starts_with(lead));
    // The guest's flow control asks for two frames at a time, 20 ms apart, and is padded.
    ensure!(has("7E0#F130021455555555"), "{frames:?}");
    ensure!(has("7E0#F11028"), "a first frame of 40 bytes: {frames:?}");
    ensure!(has("7E8#F11028"), "the peer's: {frames:?}");
    ensure!(has("7E0#04"), "a broadcast: {frames:?}");
    let consecutive: Vec<f64> = frames
        .iter()
        .filter(|(frame, _)| frame.starts_with("7E8#F12"))
        .map(|(_, when)| *when)
        .collect();
    assert_eq!(consecutive.len(), 6, "{frames:?}");
    let time = consecutive[5] - consecutive[0];
    ensure!(time >= 50.0, "six frames within {time} ms");
    Ok(())
}

const NODE: &str = "ops = [\"bind\", \"send-to\", \"receive\"]\n\
                    local = { interface = [\"vcan0\"], j1939-address = [\"0x20\"] }\n\
                    peer = { interface = [\"vcan0\"], pgn = [\"0x12300\"], \
                    j1939-address = [\"0x30\", \"broadcast\"] }\n\
                    options = { set = [\"so.broadcast\", \"can-j1939.errqueue\", \"so.timestamping\"] }\n\
                    flags = [\"errqueue\"]\n\
                    ancillary = { receive = [\"j1939-info\", \"extended-error\"] }";

#[test]
fn parameter_groups_reach_a_node_and_everybody() -> Result<()> {
    let name = "parameter_groups_reach_a_node_and_everybody";
    let Some((net, python)) = bench(Need::CanJ1939, name)? else {
        return Ok(());
    };
    let hearer = native(&net, &python, &["j1939-hear", "vcan0", "30"])?;
    let words = [
        "j = j1939 vcan0 20",
        "broadcasts j",
        "reports j",
        "push j 30 12300 1 8",
        "push j 30 12300 2 1785",
        "report j",
        "push j any 12300 3 5",
        // Outside: another group, another node.
        "push j 30 12400 4 6",
        "push j 31 12300 4 6",
        "say listening",
        "pull j 2000",
        "pull j 2000",
        "pull j 2000",
    ];
    let run = guest(&net, &policy("j1939", &[NODE]), &words).start()?;
    run.wait_for_line("say listening", patience())?;
    for to in ["20", "any"] {
        let lengths: &[&str] = if to == "20" { &["8", "1000"] } else { &["300"] };
        let mut words = vec!["j1939-send", "vcan0", "30", to, "12300"];
        words.extend(lengths);
        native(&net, &python, &words)?.finish(patience())?;
    }
    let ended = run.wait(patience())?.success()?;
    assert_eq!(ended.step("push j 30 12300 2 1785")?, "ok 1785");
    assert_eq!(ended.step("push j 30 12400 4 6")?, "acces");
    assert_eq!(ended.step("push j 31 12300 4 6")?, "acces");
    // What was acknowledged is told as a time stamp would be.
    assert_eq!(ended.step("report j")?, "ErrorOrigin::TxStatus nomsg");
    ended.audit.denied("send-to")?;
    let pulled = told(&lines(&ended), "pull j 2000 ->");
    assert_eq!(
        pulled,
        [
            "from 30 pgn 12300 to 20 priority 06",
            "from 30 pgn 12300 to 20 priority 06",
            "from 30 pgn 12300 to - priority 06",
        ]
    );
    let heard = hearer.stop()?;
    // The last is what the other native node sent to everybody.
    let from: Vec<_> = told(&heard, "from");
    ensure!(
        from.iter().filter(|it| it.starts_with("20 ")).count() == 3,
        "{heard:?}"
    );
    let received = told(&heard, "received");
    assert_eq!(received[..3], told(&lines(&ended), "sent"), "{heard:?}");
    let lengths: Vec<String> = told(&lines(&ended), "received")
        .iter()
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect();
    assert_eq!(lengths, ["8", "1000", "300"]);
    Ok(())
}

#[test]
fn a_control_unit_tells_its_vehicle() -> Result<()> {
    let name = "a_control_unit_tells_its_vehicle";
    let Some((net, python)) = bench(Need::CanIsotp, name)? else {
        return Ok(());
    };
    let vin = "WDB9634031L123456";
    let unit = native(&net, &python, &["uds", "vcan0", "7e0", "7e8", vin])?;
    let ask = |tx: &str| {
        let run = GuestRun::new("uds-vin").policy(policy_path("uds-vin"));
        ["vcan0", "7e8", tx]
            .iter()
            .fold(run.net(&net), |run, word| run.argument(*word))
            .finish(patience())
    };
    assert_eq!(ask("7e0")?.success()?.stdout, format!("vin {vin}"));
    let denied = ask("7e1")?;
    ensure!(!denied.status.success(), "{denied:?}");
    denied.audit.denied("bind")?;
    assert_eq!(told(&unit.stop()?, "asked"), ["22f190"]);
    Ok(())
}

#[test]
fn a_listener_hears_one_parameter_group() -> Result<()> {
    let name = "a_listener_hears_one_parameter_group";
    let Some((net, python)) = bench(Need::CanJ1939, name)? else {
        return Ok(());
    };
    let run = GuestRun::new("j1939-listener")
        .policy(policy_path("j1939-listener"))
        .net(&net);
    let run = ["vcan0", "feca", "--clients", "2"]
        .iter()
        .fold(run, |run, word| run.argument(*word))
        .start()?;
    run.wait_for_line("listening on ", patience())?;
    for (pgn, length) in [("feca", "8"), ("fecb", "8"), ("feca", "20")] {
        let words = ["j1939-send", "vcan0", "30", "any", pgn, length];
        native(&net, &python, &words)?.finish(patience())?;
    }
    let ended = run.wait(patience())?.success()?;
    let heard = told(&lines(&ended), "from");
    assert_eq!(heard.len(), 2, "{heard:?}");
    ensure!(heard[0].starts_with("30: 8 bytes "), "{heard:?}");
    ensure!(heard[1].starts_with("30: 20 bytes "), "{heard:?}");
    Ok(())
}

#[test]
fn a_heartbeat_goes_out_while_its_guest_runs() -> Result<()> {
    let name = "a_heartbeat_goes_out_while_its_guest_runs";
    let Some((net, python)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    let hearer = native(&net, &python, &["hear", "vcan0"])?;
    let beat = |id: &str| {
        let run = GuestRun::new("can-cyclic").policy(policy_path("can-cyclic"));
        ["vcan0", id, "50", "2"]
            .iter()
            .fold(run.net(&net), |run, word| run.argument(*word))
            .finish(patience())
    };
    beat("100")?.success()?;
    let denied = beat("101")?;
    ensure!(!denied.status.success(), "{denied:?}");
    denied.audit.denied("send-to")?;
    send(&net, &python, &["7ff#"])?;
    hearer.wait_for_line("frame 7FF#", patience())?;
    let frames = frames(&hearer.stop()?)?;
    let count = |wanted: &str| frames.iter().filter(|(frame, _)| frame == wanted).count();
    ensure!((10..=24).contains(&count("100#00000000")), "{frames:?}");
    ensure!((10..=24).contains(&count("100#00000001")), "{frames:?}");
    ensure!(
        !frames.iter().any(|(frame, _)| frame.starts_with("101")),
        "{frames:?}"
    );
    Ok(())
}

#[test]
fn a_monitor_tells_changes_silence_and_return() -> Result<()> {
    let name = "a_monitor_tells_changes_silence_and_return";
    let Some((net, python)) = bench(Need::CanBcm, name)? else {
        return Ok(());
    };
    let monitor = |id: &str| {
        let run = GuestRun::new("can-watch").policy(policy_path("can-watch"));
        let run = run.variable("interface", "vcan0").net(&net);
        ["vcan0", id, "ff00", "500", "--clients", "5"]
            .iter()
            .fold(run, |run, word| run.argument(*word))
            .start()
    };
    let denied = monitor("101")?.wait(patience())?;
    ensure!(!denied.status.success(), "{denied:?}");
    assert_eq!(denied.stdout, "", "it watches nothing");
    ensure!(
        denied.stderr.contains("watch 101 on vcan0") && denied.stderr.contains("EACCES"),
        "{denied:?}"
    );
    denied.audit.granted("connect")?;
    denied.audit.denied("send-to")?;

    let run = monitor("100")?;
    // Nobody has sent anything yet.
    run.wait_for_line("RX_TIMEOUT 100", patience())?;
    // The second byte does not count, unless the frame comes after a silence.
    let frames = [
        "100#0101", "100#0102", "101#0303", "100#0203", "100#0204", "1500", "100#0205",
    ];
    send(&net, &python, &frames)?;
    let ended = run.wait(patience())?.success()?;
    assert_eq!(
        lines(&ended),
        [
            "listening on vcan0 for 100",
            "RX_TIMEOUT 100",
            "RX_CHANGED 100#0101",
            "RX_CHANGED 100#0203",
            "RX_TIMEOUT 100",
            "RX_CHANGED 100#0205",
        ]
    );
    Ok(())
}
