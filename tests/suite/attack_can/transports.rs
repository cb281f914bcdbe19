//! The broadcast manager's jobs, ISO-TP's channels and J1939's nodes.

use std::time::Duration;

use anyhow::Result;
use sockgate_tests::{Attack, Need, patience};

use crate::{Buses, SECTION, SENDS, owned, with};

const MANAGER: &str = "protocol = [\"bcm\"]\nops = [\"connect\"]\ninterface = [\"vcan0\"]\ncan-id = [\"0x100-0x10f\"]";
const ANY_JOB: &str =
    "protocol = [\"bcm\"]\nops = [\"connect\"]\ninterface = [\"*\"]\ncan-id = [\"*\"]\nfd = true";

#[test]
fn a_job_outside_of_its_grant_sends_nothing() -> Result<()> {
    let name = "a_job_outside_of_its_grant_sends_nothing";
    let Some(buses) = Buses::new(Need::CanBcm, name)? else {
        return Ok(());
    };
    let nested = "BCM jobs with nested ids";
    // A frame's own id, the job's, a format that was not granted, and ears.
    let jobs = [
        (
            "bcm-nested-frame",
            nested,
            "cycle b 100 20 100#C1 110#C2",
            " 110#C2",
        ),
        ("bcm-job-id", nested, "cycle b 110 20 100#C3", " 100#C3"),
        (
            "bcm-last-of-many",
            nested,
            "cycle b 10e 20 100#01 101#02 102#03 7e0#C4",
            " 7E0#C4",
        ),
        (
            "bcm-fd",
            "CAN FD frames on a classic grant",
            "once b 100##0C5",
            "##0C5",
        ),
        ("bcm-watch", nested, "watch b 110 0 0", ""),
    ];
    let places = [
        ("bcm-other-bus", "sendto another interface", "c = bcm vcan1"),
        (
            "bcm-every-bus",
            "interface index 0 (all interfaces)",
            "d = bcm any",
        ),
    ];
    let mut script = owned(&["b = bcm vcan0"]);
    script.extend(jobs.map(|(_, _, step, _)| step.to_owned()));
    script.extend(places.map(|(.., step)| step.to_owned()));
    script.extend(owned(&["sleep 100", "once b 10f#05"]));
    let run = |rule| buses.watched(name, buses.guest("family_can_transport", &[rule], &script));
    let (attack, heard) = run(MANAGER)?;
    let (control, heard_of_all) = run(ANY_JOB)?;
    for (id, phrase, step, frame) in jobs {
        assert_eq!(attack.step(step)?, "acces", "{step}");
        let stated = Attack::new(id, SECTION, phrase)
            .tried("gives the broadcast manager a job beside its rule")
            .step((&attack, step), (&control, step), SENDS)?;
        let stated = match frame {
            "" => stated,
            // candump tells a CAN FD frame's flags, to which newer kernels add one.
            frame => {
                let frame = frame.trim_start_matches("##0");
                stated.saw("candump", with(&heard, frame), with(&heard_of_all, frame))
            }
        };
        stated.state()?;
    }
    for (id, phrase, step) in places {
        assert_eq!(attack.step(step)?, "acces", "{step}");
        Attack::new(id, SECTION, phrase)
            .tried("connects a broadcast manager where no rule lets it")
            .step((&attack, step), (&control, step), &["connect"])?
            .state()?;
    }
    assert_eq!(heard, ["vcan0 10F#05", "vcan0 7FF#"]);
    attack.audit.denied("send-to")?;
    attack.audit.denied("connect")?;

    // Another operation than the one that was granted, and the format with its word.
    let one = format!("{MANAGER}\nfd = true\nbcm-ops = [\"tx-send\"]");
    let script = owned(&[
        "b = bcm vcan0",
        "cycle b 100 20 100#01",
        "once b 100##002",
        "once b 100#03",
    ]);
    let run = buses.guest("family_can_transport", &[&one], &script);
    let (ended, heard) = buses.watched(name, run)?;
    assert_eq!(ended.step("cycle b 100 20 100#01")?, "acces");
    ended.audit.denied("send-to")?;
    assert_eq!(heard.len(), 3, "{heard:?}");
    Ok(())
}

/// Two jobs; one's socket is closed, or all are by the end of their guest. What is on the bus behind it?
#[test]
fn no_job_outlives_its_socket() -> Result<()> {
    let name = "no_job_outlives_its_socket";
    let Some(buses) = Buses::new(Need::CanBcm, name)? else {
        return Ok(());
    };
    let listener = buses.hear()?;
    let script = owned(&[
        "b = bcm vcan0",
        "c = bcm vcan0",
        "cycle b 104 20 104#01",
        "cycle c 106 20 106#02",
        "sleep 100",
        "close b",
        "once c 105#03",
        "sleep 200",
        "once c 107#04",
        "sleep 60000",
    ]);
    let guest = buses
        .guest("family_can_transport", &[MANAGER], &script)
        .start()?;
    guest.wait_for_line("once c 107#04", patience())?;
    // As an operator ends it, in the middle of a job.
    guest.kill()?;
    buses.play(&["vcan0 7FE#"])?;
    std::thread::sleep(Duration::from_millis(200));
    let heard = buses.heard(listener)?;
    let behind = |mark: &str, frame: &str| -> usize {
        let begin = heard.iter().position(|line| line.contains(mark));
        let rest = heard.iter().skip(begin.unwrap_or(heard.len()));
        rest.filter(|line| line.contains(frame)).count()
    };
    let phrase = "BCM jobs after the socket closes";
    Attack::new("bcm-after-close", SECTION, phrase)
        .tried("closes the socket of a job that sends")
        .got("no more frames")
        .checked("none came behind a frame of another socket, while that one's job went on")
        .saw(
            "candump",
            behind("105#03", "104#01"),
            behind("105#03", "106#02"),
        )
        .state()?;
    Attack::new("bcm-after-the-guest", SECTION, phrase)
        .tried("is ended while its job sends")
        .got("no more frames")
        .checked("none came behind a native frame that followed its end")
        .saw(
            "candump",
            behind("7FE#", "106#02"),
            behind("104#01", "106#02"),
        )
        .state()
}

const CHANNEL: &str = "protocol = [\"isotp\"]\nops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"vcan0\"]\n\
    isotp = [{ rx = \"0x7E8\", tx = \"0x7E0\" }]";

#[test]
fn a_channel_outside_of_its_grant_is_not_bound() -> Result<()> {
    let name = "a_channel_outside_of_its_grant_is_not_bound";
    let Some(buses) = Buses::new(Need::CanIsotp, name)? else {
        return Ok(());
    };
    let outside = "ISO-TP ids outside the range";
    let tries = [
        ("isotp-other-tx", outside, "vcan0 7e8 7e1", " 7E1#03"),
        ("isotp-other-rx", outside, "vcan0 7e9 7e0", " 7E0#03"),
        ("isotp-turned-round", outside, "vcan0 7e0 7e8", " 7E8#03"),
        (
            "isotp-extended",
            "EFF bit not masked out",
            "vcan0 000007e8 000007e0",
            " 000007E0#03",
        ),
        (
            "isotp-other-bus",
            "sendto another interface",
            "vcan1 7e8 7e0",
            "vcan1 7E0#03",
        ),
    ];
    let script = |channel: &str| {
        let make = format!("a = isotp {channel}");
        let steps = owned(&[&make, "push a 1 3"]);
        (make, steps)
    };
    for (id, phrase, channel, frame) in tries {
        let (make, steps) = script(channel);
        let words: Vec<&str> = channel.split(' ').collect();
        let number = |id: &str| match id.len() {
            8 => format!("ext:0x{id}"),
            _ => format!("0x{id}"),
        };
        let granted = CHANNEL
            .replace("vcan0", words[0])
            .replace("0x7E8", &number(words[1]))
            .replace("0x7E0", &number(words[2]));
        let run = |rule| buses.watched(name, buses.guest("family_can_transport", &[rule], &steps));
        let (attack, heard) = run(CHANNEL)?;
        let (control, heard_of_it) = run(&granted)?;
        assert_eq!(attack.step(&make)?, "acces", "{make}");
        attack.audit.denied("bind")?;
        Attack::new(id, SECTION, phrase)
            .tried(format!("binds a channel beside its rule: {channel}"))
            .step((&attack, &make), (&control, &make), &["bind"])?
            .saw("candump", with(&heard, frame), with(&heard_of_it, frame))
            .state()?;
    }
    let run = buses.guest(
        "family_can_transport",
        &[CHANNEL],
        &script("vcan0 7e8 7e0").1,
    );
    let (_, heard) = buses.watched(name, run)?;
    assert_eq!(with(&heard, " 7E0#03").len(), 1, "{heard:?}");
    Ok(())
}

const NODE: &str = "protocol = [\"j1939\"]\nops = [\"bind\", \"send-to\", \"receive\"]\n\
    local = { interface = [\"vcan0\"], j1939-address = [\"0x20\"] }\n\
    peer = { interface = [\"vcan0\"], pgn = [\"0x12300\"], j1939-address = [\"0x30\"] }\n\
    options = { set = [\"so.broadcast\"] }";

const ANY_NODE: &str = "protocol = [\"j1939\"]\nops = [\"bind\", \"send-to\", \"receive\"]\n\
    local = { interface = [\"*\"], j1939-address = [\"*\"] }\n\
    peer = { interface = [\"*\"], pgn = [\"*\"], j1939-address = [\"*\"] }\n\
    options = { set = [\"so.broadcast\"] }";

#[test]
fn a_node_says_nothing_beside_its_grant() -> Result<()> {
    let name = "a_node_says_nothing_beside_its_grant";
    let Some(buses) = Buses::new(Need::CanJ1939, name)? else {
        return Ok(());
    };
    let outside = "J1939 ids outside the range";
    // Parameter group 12300 has its destination in the id's second byte, and its sender in the first.
    let pushes = [
        ("j1939-other-group", "push j 30 12400 4 6", "19243020#"),
        ("j1939-other-node", "push j 31 12300 4 6", "19233120#"),
        ("j1939-everybody", "push j any 12300 4 6", "1923FF20#"),
    ];
    let binds = [
        ("j1939-other-sender", outside, "k = j1939 vcan0 21"),
        ("j1939-any-sender", outside, "k = j1939 vcan0 any"),
        (
            "j1939-other-bus",
            "sendto another interface",
            "k = j1939 vcan1 20",
        ),
    ];
    let mut script = owned(&["j = j1939 vcan0 20", "broadcasts j"]);
    script.extend(pushes.map(|(_, step, _)| step.to_owned()));
    script.extend(binds.map(|(.., step)| step.to_owned()));
    script.push("push j 30 12300 4 6".to_owned());
    let run = |rule| buses.watched(name, buses.guest("family_can_transport", &[rule], &script));
    let (attack, heard) = run(NODE)?;
    let (control, heard_of_all) = run(ANY_NODE)?;
    for (id, step, frame) in pushes {
        assert_eq!(attack.step(step)?, "acces", "{step}");
        Attack::new(id, SECTION, outside)
            .tried("sends a parameter group beside its rule")
            .got(attack.step(step)?)
            .saw("candump", with(&heard, frame), with(&heard_of_all, frame))
            .state()?;
    }
    for (id, phrase, step) in binds {
        assert_eq!(attack.step(step)?, "acces", "{step}");
        Attack::new(id, SECTION, phrase)
            .tried("binds a node beside its rule")
            .step((&attack, step), (&control, step), &["bind"])?
            .state()?;
    }
    assert_eq!(with(&heard, "19233020#").len(), 1, "{heard:?}");
    assert_eq!(heard.len(), 2, "{heard:?}");
    Ok(())
}
