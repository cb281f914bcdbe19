//! The example that echoes on a CAN bus, with Python on the other side.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Net, covers, kernel, net_and_python, patience, policy_path,
    root, told,
};

/// Python's side of the bus.
fn python(net: &Net, python: &Path, words: &[&str]) -> Result<Native> {
    let script = root().join("tests/native/frames.py");
    Native::start(net.command(python).arg(script).args(words))
}

/// What Python hears while the guest has an ear for this many of the frames, and what became of the guest.
fn echo(
    net: &Net,
    oracle: &Path,
    run: GuestRun,
    frames: &[&str],
    count: usize,
) -> Result<(Vec<String>, Ended)> {
    let listener = python(net, oracle, &["hear-can", "vcan0"])?;
    listener.wait_for_line("listening", patience())?;
    let run = run.net(net).argument("vcan0").argument("--clients");
    let guest = run.argument(count.to_string()).start()?;
    guest.wait_for_line("listening on can vcan0", patience())?;
    let words: Vec<&str> = ["say-can", "vcan0"].iter().chain(frames).copied().collect();
    python(net, oracle, &words)?.finish(patience())?;
    let ended = guest.wait(patience())?;
    // The guest has said what it had to say: nothing comes after this.
    python(net, oracle, &["say-can", "vcan0", "7FF#"])?.finish(patience())?;
    let heard = told(&listener.finish(patience())?, "heard");
    let echoes = heard
        .into_iter()
        .filter(|frame| !frames.contains(&frame.as_str()));
    Ok((echoes.collect(), ended))
}

#[test]
fn an_echo_answers_the_frames_of_its_policy() -> Result<()> {
    let name = "an_echo_answers_the_frames_of_its_policy";
    let Some(_kernel) = kernel::has(Need::CanRaw, name) else {
        return Ok(());
    };
    let Some((net, oracle)) = net_and_python(name)? else {
        return Ok(());
    };
    net.vcan("vcan0")?;
    let frames = [
        "0FF#01",
        "100#DEADBEEF",
        "00000100#02",
        "110#R",
        "17F#",
        "180#03",
        "120#0102030405060708",
    ];
    let run = || GuestRun::new("can-echo").variable("interface", "vcan0");
    let policy = policy_path("can-echo");
    let (echoes, ended) = echo(&net, &oracle, run().policy(&policy), &frames, 3)?;
    ended.success()?;
    assert_eq!(echoes, ["180#DEADBEEF", "1FF#", "1A0#0102030405060708"]);

    // The twin: the same ear, and nothing granted that it could say.
    let text = std::fs::read_to_string(&policy)?;
    let (hear, _) = text
        .rsplit_once("[[allow]]")
        .context("the policy has no second rule")?;
    let (echoes, ended) = echo(&net, &oracle, run().policy_text(hear), &frames, 3)?;
    let ended = ended.success()?;
    ensure!(echoes.is_empty(), "{echoes:?}");
    assert_eq!(
        ended.stdout.matches("EACCES").count(),
        3,
        "{}",
        ended.stdout
    );
    ended.audit.denied("send-to")?;

    // Another: nothing at all.
    let refused = run().net(&net).argument("vcan0").finish(patience())?;
    ensure!(!refused.status.success(), "{refused:?}");
    refused.audit.denied("socket")?;
    covers(&["AF_CAN", "SOCK_RAW", "CAN_RAW"]);
    Ok(())
}
