//! Two guests of one process that pass each other descriptors, each under its own policy: to the end, and stopped in
//! the middle with descriptors on their way.

use anyhow::{Result, ensure};
use sockgate_embed_tests::{
    Guest, Outcome, Place, Start, descriptors, policy_from, settled_descriptors,
};
use sockgate_tests::{TempDir, folder, free_port, long};

const DRIVER: &str = r#"
version = 1
[limits]
sockets = 256
[[allow]]
id = "letters"
family = ["unix"]
type = ["seqpacket"]
ops = ["listen", "descriptor-send", "descriptor-receive"]
local = { root = "FOLDER", path = ["letters.sock"] }
peer = "*"
kinds = ["socket", "opaque"]
[[allow]]
id = "pairs"
family = ["unix"]
type = ["stream"]
ops = ["socketpair", "descriptor-receive"]
kinds = ["opaque"]
options = { get = ["so.peerpidfd"] }
[[allow]]
id = "itself"
family = ["inet"]
ops = ["connect"]
cidr = ["127.0.0.1"]
[[allow]]
id = "servers"
family = ["inet"]
ops = ["listen", "bind", "receive", "reply"]
local = { cidr = ["127.0.0.1"] }
peer = { cidr = ["127.0.0.1"] }
options = { set = ["so.reuseaddr"] }
"#;

const ANSWERER: &str = r#"
version = 1
[[allow]]
id = "letters"
family = ["unix"]
type = ["seqpacket"]
ops = ["connect", "descriptor-send", "descriptor-receive"]
root = "FOLDER"
path = ["letters.sock"]
kinds = ["socket", "opaque"]
[[allow]]
id = "pairs"
family = ["unix"]
type = ["stream"]
ops = ["socketpair"]
[[allow]]
id = "granted"
family = ["inet"]
type = ["stream"]
ops = ["connect"]
cidr = ["127.0.0.1"]
port = ["PORT"]
[[allow]]
id = "datagrams"
family = ["inet"]
type = ["datagram"]
ops = ["bind", "receive", "reply"]
local = { cidr = ["127.0.0.1"] }
peer = { cidr = ["127.0.0.1"] }
"#;

/// The guest that makes and sends descriptors, and the one that takes them, both at work.
fn both(place: Place, rounds: u32, seed: u64) -> Result<(Guest, Guest, TempDir)> {
    let folder = folder()?;
    let path = folder.path().join("letters.sock").display().to_string();
    let (granted, refused) = (free_port()?, free_port()?);
    let text = |text: &str| {
        text.replace("FOLDER", &folder.path().display().to_string())
            .replace("PORT", &granted.to_string())
    };
    let driver = Start::new("descriptors", place, policy_from(&text(DRIVER))?)
        .argument("drive")
        .argument(&path)
        .argument(format!("127.0.0.1:{granted}"))
        .argument(format!("127.0.0.1:{refused}"))
        .argument(seed)
        .argument(rounds)
        .argument("-")
        .start()?;
    driver.expect("listening")?;
    let answerer = Start::new("descriptors", place, policy_from(&text(ANSWERER))?)
        .argument("answer")
        .argument(&path)
        .start()?;
    answerer.expect("ready")?;
    driver.expect("before")?;
    Ok((driver, answerer, folder))
}

/// Runs it once to warm up and once more; as many descriptors are open afterwards as before.
fn leaves_nothing(name: &str, run: impl Fn() -> Result<()>) -> Result<()> {
    run()?;
    let before = descriptors()?;
    run()?;
    let after = settled_descriptors(before)?;
    println!("{name}: {before} descriptors before, {after} after");
    ensure!(after == before, "{name} left {}", after - before);
    Ok(())
}

#[test]
fn between_two_guests_of_one_process() -> Result<()> {
    let rounds = if long() { 10_000 } else { 300 };
    for place in Place::ALL {
        leaves_nothing(&format!("{rounds} rounds, {place:?}"), || {
            let (driver, answerer, _folder) = both(place, rounds, 5)?;
            driver.expect("arrived ")?;
            for guest in [driver, answerer] {
                let ended = guest.end()?;
                ensure!(ended.outcome == Outcome::Exited(0), "{ended:?}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Whichever of the two is stopped, the other sees its end, and nothing of what was on its way is left.
#[test]
fn between_two_guests_of_which_one_is_stopped() -> Result<()> {
    for place in Place::ALL {
        for stops_driver in [true, false] {
            leaves_nothing(&format!("stopped, {place:?}"), || {
                let (driver, answerer, _folder) = both(place, 1_000_000, 6)?;
                let (stopped, other) = match stops_driver {
                    true => (driver, answerer),
                    false => (answerer, driver),
                };
                stopped.cancel.stop();
                ensure!(stopped.end()?.outcome == Outcome::Stopped);
                let ended = other.end()?;
                ensure!(ended.outcome == Outcome::Exited(1), "{ended:?}");
                Ok(())
            })?;
        }
    }
    Ok(())
}
