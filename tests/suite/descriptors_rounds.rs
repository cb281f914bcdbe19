//! Many rounds of descriptors, drawn at random, cut at random and refused at random: between a guest and Python, and
//! between two guests. Each that arrives works, each that does not is closed, and as many are open afterwards as
//! before.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Guest, GuestRun, Native, Tool, covers, folder, free_port, long, oracle, patience, told,
};

fn rounds() -> u32 {
    if long() { 10_000 } else { 1_000 }
}

/// A number that a failure can be repeated with: `SOCKGATE_SEED`, or another one each time.
fn seed() -> Result<u64> {
    match std::env::var("SOCKGATE_SEED") {
        Ok(seed) => seed.parse().context("SOCKGATE_SEED is no number"),
        Err(_) => Ok(RandomState::new().hash_one("seed") >> 33),
    }
}

fn answering(path: &str, kinds: &str, granted: u16) -> GuestRun {
    GuestRun::new("descriptors")
        .allow(&format!(
            "unix-seqpacket connect,descriptor-send,descriptor-receive {path} kinds={kinds}"
        ))
        .allow(&format!("tcp connect 127.0.0.1:{granted}"))
        .allow("udp bind,receive,reply 127.0.0.1:* peer 127.0.0.1")
        .allow("unix-stream socketpair")
        .allow("unix-datagram bind,receive,reply @* peer @*")
        .argument("answer")
        .argument(path)
        .without_audit()
}

#[test]
fn between_a_guest_and_python() -> Result<()> {
    let name = "between_a_guest_and_python";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    // A guest that may have all of it, and one that is refused what is no socket.
    for (kinds, opaque) in [("socket,opaque", "opaque"), ("socket", "closed")] {
        let seed = seed()?;
        let place = folder()?;
        let path = place.path().join("letters.sock").display().to_string();
        let (granted, refused) = (free_port()?, free_port()?);
        let count = rounds().to_string();
        println!("{name}: {count} rounds, SOCKGATE_SEED={seed}, {kinds}");
        let arguments = [
            "rounds",
            &path,
            &granted.to_string(),
            &refused.to_string(),
            &seed.to_string(),
            &count,
            opaque,
        ];
        let native = Native::python(&python, "descriptors.py", arguments)?;
        native.wait_for_line("listening", patience())?;
        let guest = answering(&path, kinds, granted).start()?;
        let said = native.finish(patience() * 10);
        let said = said.with_context(|| format!("seed {seed}; {}", guest.stderr.text()))?;
        guest.wait(patience())?.success()?;
        assert_eq!(told(&said, "before"), told(&said, "after"));
        let number = |what| -> Result<u32> { Ok(told(&said, what)[0].parse()?) };
        println!(
            "{} arrived, {} messages were cut",
            number("arrived")?,
            number("cut")?
        );
        ensure!(number("arrived")? > rounds() / 10 && number("cut")? > rounds() / 50);
    }
    covers(&[
        "send_fds",
        "recv_fds",
        "SCM_RIGHTS",
        "MSG_CTRUNC",
        "MSG_PEEK",
    ]);
    Ok(())
}

/// How many descriptors each has open.
fn open(guests: &[&Guest]) -> Result<Vec<usize>> {
    guests.iter().map(|guest| guest.descriptors()).collect()
}

fn say(sync: &Path, word: &str) -> Result<()> {
    Ok(fs::write(sync.join(word), "")?)
}

#[test]
fn between_two_guests() -> Result<()> {
    let seed = seed()?;
    let place = folder()?;
    let path = place.path().join("letters.sock").display().to_string();
    let (granted, refused) = (free_port()?, free_port()?);
    println!(
        "between_two_guests: {} rounds, SOCKGATE_SEED={seed}",
        rounds()
    );
    let driver = GuestRun::new("descriptors")
        .allow(&format!(
            "unix-seqpacket listen,descriptor-send,descriptor-receive {path} kinds=socket,opaque"
        ))
        .allow("unix-stream socketpair,descriptor-receive kinds=opaque get=so.peerpidfd")
        .allow("tcp listen 127.0.0.1:* peer 127.0.0.1 set=so.reuseaddr")
        .allow("tcp connect 127.0.0.1:*")
        .allow("udp bind,receive,reply 127.0.0.1:* peer 127.0.0.1")
        .allow("udp connect 127.0.0.1:*")
        .directory(place.path(), "/sync")
        .argument("drive")
        .argument(&path)
        .argument(format!("127.0.0.1:{granted}"))
        .argument(format!("127.0.0.1:{refused}"))
        .argument(seed.to_string())
        .argument(rounds().to_string())
        .argument("/sync")
        .without_audit()
        .start()?;
    driver.wait_for_line("listening", patience())?;
    let answering = answering(&path, "socket,opaque", granted).start()?;
    let both = [&driver, &answering];
    driver.wait_for_line("before", patience())?;
    let before = open(&both)?;
    say(place.path(), "go")?;
    let arrived = driver
        .wait_for_line("arrived ", patience() * 10)
        .with_context(|| format!("seed {seed}"))?;
    let after = open(&both)?;
    println!("{arrived} arrived; {before:?} descriptors before, {after:?} after");
    assert_eq!(before, after, "seed {seed}");
    say(place.path(), "end")?;
    driver.wait(patience())?.success()?;
    answering.wait(patience())?.success()?;
    ensure!(arrived.parse::<u32>()? > rounds() / 5);
    covers(&["send_fds", "recv_fds", "SCM_RIGHTS", "MSG_CTRUNC"]);
    Ok(())
}
