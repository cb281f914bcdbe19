//! Raw frames.

use anyhow::{Result, ensure};
use sockgate_tests::{Attack, Ended, Need, hex, patience};

use crate::{Buses, SECTION, SENDS, owned, with};

const EFF: u32 = 1 << 31;
const RTR: u32 = 1 << 30;
const ERR: u32 = 1 << 29;

/// struct can_frame with one byte of data.
fn classic(id: u32, byte: u8) -> String {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend([1, 0, 0, 0, byte, 0, 0, 0, 0, 0, 0, 0]);
    hex(&bytes)
}

/// struct canfd_frame with one byte of data.
fn fd(id: u32, byte: u8) -> String {
    format!("{}{}", classic(id, byte), "00".repeat(56))
}

/// struct canxl_frame with as many bytes of data.
fn xl(priority: u32, length: u16) -> String {
    let mut bytes = priority.to_le_bytes().to_vec();
    bytes.extend([0x80, 3]);
    bytes.extend(length.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((0..length).map(|_| 0xab));
    hex(&bytes)
}

/// A frame that the rule does not name: id, phrase, what the guest tried, its step, and what a bus hears of it.
type Sent = (
    &'static str,
    &'static str,
    &'static str,
    String,
    &'static str,
);

fn frames_beside_the_grant() -> Vec<Sent> {
    let eff = "EFF bit not masked out";
    let rtr = "RTR bit not masked out";
    let err = "ERR bit not masked out";
    let flexible = "CAN FD frames on a classic grant";
    let long = "CAN XL frames on a classic grant";
    let send = |frame: String| format!("send s {frame}");
    vec![
        (
            "can-extended-id",
            eff,
            "sends the extended id with a granted standard one's number",
            send(classic(0x100 | EFF, 0xa1)),
            "00000100#A1",
        ),
        (
            "can-standard-id",
            eff,
            "sends a granted extended id's number without the flag",
            send(classic(0x1000, 0xa2)),
            "#A2",
        ),
        (
            "can-id-beyond-11-bits",
            eff,
            "sends a granted standard id with a bit above it",
            send(classic(0x900, 0xa3)),
            "#A3",
        ),
        (
            "can-remote-request",
            rtr,
            "asks for a granted id's frame",
            send(classic(0x100 | RTR, 0)),
            " 100#R",
        ),
        (
            "can-remote-extended",
            rtr,
            "asks for a granted extended id's frame",
            send(classic(0x1000 | EFF | RTR, 0)),
            "00001000#R",
        ),
        (
            "can-error-frame",
            err,
            "sends an error frame whose class is a granted id",
            send(classic(0x100 | ERR, 0xa4)),
            "20000100#A4",
        ),
        (
            "can-error-extended",
            err,
            "sends an error frame with an extended id's flag",
            send(classic(0x1000 | EFF | ERR, 0xa5)),
            "#A5",
        ),
        (
            "can-every-flag",
            err,
            "sends a granted id with all three flags",
            send(classic(0x100 | EFF | RTR | ERR, 0xa6)),
            "",
        ),
        (
            "can-fd-frame",
            flexible,
            "sends a CAN FD frame with a granted id",
            send(fd(0x100, 0xa7)),
            "A7",
        ),
        (
            "can-fd-extended",
            flexible,
            "sends a CAN FD frame with a granted extended id",
            send(fd(0x1000 | EFF, 0xa8)),
            "A8",
        ),
        (
            "can-xl-frame",
            long,
            "sends a CAN XL frame whose priority is a granted id",
            send(xl(0x100, 64)),
            "",
        ),
        (
            "can-xl-as-long-as-classic",
            long,
            "sends a CAN XL frame as long as a classic one",
            send(xl(0x100, 4)),
            "",
        ),
        (
            "can-xl-as-long-as-fd",
            long,
            "sends a CAN XL frame as long as a CAN FD one",
            send(xl(0x100, 60)),
            "",
        ),
        (
            "can-other-bus",
            "sendto another interface",
            "names another bus in the send",
            format!("send-to s {} vcan1", classic(0x100, 0xa9)),
            "vcan1 100#A9",
        ),
        (
            "can-send-to-every-bus",
            "interface index 0 (all interfaces)",
            "names no bus in the send",
            format!("send-to s {} *", classic(0x100, 0xaa)),
            "",
        ),
        (
            "can-unbound-send-elsewhere",
            "sendto another interface",
            "names another bus on a socket that was never bound",
            format!("send-to q {} vcan1", classic(0x100, 0xab)),
            "vcan1 100#AB",
        ),
    ]
}

const SOME: &str = "protocol = [\"raw\"]\nops = [\"bind\", \"send-to\"]\ninterface = [\"vcan0\"]\n\
    can-id = [\"0x100-0x10F\", \"ext:0x1000\"]\noptions = { set = [\"can-raw.*\"] }";

const EVERYTHING: &str = "protocol = [\"raw\"]\nops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"*\"]\n\
    can-id = [\"*\", \"ext:*\", \"rtr:*\", \"rtr:ext:*\", \"err:*\"]\nfd = true\nxl = true\n\
    options = { set = [\"can-raw.*\"] }";

#[test]
fn only_granted_frames_are_sent() -> Result<()> {
    let name = "only_granted_frames_are_sent";
    let Some(buses) = Buses::new(Need::CanRaw, name)? else {
        return Ok(());
    };
    let refused = frames_beside_the_grant();
    let malformed = [
        format!("send s {}", classic(0xff, 1)),
        format!("send s {}", classic(0x110, 1)),
        format!("send s {}", classic(0xfff | EFF, 1)),
        format!("send s {}", &classic(0x100, 1)[..30]),
    ];
    let granted = [
        format!("send s {}", classic(0x100, 1)),
        format!("send-to s {} vcan0", classic(0x10f, 2)),
        format!("send s {}", classic(0x1000 | EFF, 3)),
    ];
    let places = [
        (
            "can-bind-other-bus",
            "sendto another interface",
            "bind q vcan1",
        ),
        (
            "can-bind-every-bus",
            "interface index 0 (all interfaces)",
            "bind q *",
        ),
    ];
    let mut script = owned(&["s = can", "bind s vcan0", "fd s 1", "q = can"]);
    script.extend(refused.iter().map(|(.., step, _)| step.clone()));
    script.extend(malformed.iter().chain(&granted).cloned());
    script.extend(places.map(|(.., step)| step.to_owned()));
    let run = |rule| buses.watched(name, buses.guest("family_can", &[rule], &script));
    let (attack, heard) = run(SOME)?;
    let (control, heard_of_all) = run(EVERYTHING)?;
    for (id, phrase, what, step, frame) in &refused {
        // An id that is none is sent under no rule at all: another frame shows that it would be seen.
        let seen = match control.step(step)? {
            "acces" => &granted[0],
            _ => step,
        };
        let stated = Attack::new(*id, SECTION, phrase).tried(*what).step(
            (&attack, step),
            (&control, seen),
            SENDS,
        )?;
        let stated = match *frame {
            "" => stated,
            _ if seen != step => stated,
            frame => stated.saw("candump", with(&heard, frame), with(&heard_of_all, frame)),
        };
        stated.state()?;
    }
    for (id, phrase, step) in places {
        Attack::new(id, SECTION, phrase)
            .tried("binds where no rule lets it")
            .step((&attack, step), (&control, step), &["bind"])?
            .state()?;
    }
    let steps = refused.iter().map(|(.., step, _)| step);
    for step in steps.chain(&malformed) {
        assert_eq!(attack.step(step)?, "acces", "{step}");
    }
    for step in &granted {
        assert_eq!(attack.step(step)?, "ok 16", "{step}");
    }
    assert_eq!(
        heard,
        [
            "vcan0 100#01",
            "vcan0 10F#02",
            "vcan0 00001000#03",
            "vcan0 7FF#"
        ]
    );
    let denied = attack.audit.of("send-to");
    let denied = denied.filter(|record| record.is_denied());
    assert_eq!(denied.count(), refused.len() + malformed.len());

    // Nothing at all without a grant, and receiving is none for sending.
    let script = owned(&["s = can", "bind s vcan0", &granted[0]]);
    let ended = buses.guest("family_can", &[], &script).finish(patience())?;
    assert_eq!(ended.step("s = can")?, "acces");
    assert_eq!(ended.audit.denied("socket")?.errno(), "acces");
    let deaf = EVERYTHING.replace("\"send-to\", ", "");
    let ended = buses
        .guest("family_can", &[&deaf], &script)
        .finish(patience())?;
    assert_eq!(ended.step(&granted[0])?, "acces");
    assert_eq!(ended.audit.denied("send-to")?.errno(), "acces");
    Ok(())
}

/// What no guest can know of a frame: its data, or a remote request's length. Each is played to a socket that asked
/// the kernel for more than its policy says, between two frames of the grant.
const HIDDEN: &[(&str, &str, &str, &str)] = &[
    (
        "other-id",
        "a guest filter wider than the policy's",
        "vcan0 110#0BADC0DE01",
        "0badc0de01",
    ),
    (
        "extended",
        "EFF bit not masked out",
        "vcan0 00000100#0BADC0DE02",
        "0badc0de02",
    ),
    (
        "remote",
        "RTR bit not masked out",
        "vcan0 100#R5",
        "0001004005",
    ),
    (
        "error",
        "ERR bit not masked out",
        "vcan0 20000100#0BADC0DE04000000",
        "0badc0de04",
    ),
    (
        "fd",
        "CAN FD frames on a classic grant",
        "vcan0 100##00BADC0DE05",
        "0badc0de05",
    ),
    (
        "other-bus",
        "interface index 0 (all interfaces)",
        "vcan1 100#0BADC0DE06",
        "0badc0de06",
    ),
];

#[test]
fn filters_show_no_more_than_the_policy() -> Result<()> {
    let name = "filters_show_no_more_than_the_policy";
    let Some(buses) = Buses::new(Need::CanRaw, name)? else {
        return Ok(());
    };
    // No filter, the id without its flags, one for everything, and everything twice and joined.
    let filters = [
        ("none", None),
        ("flagless", Some("filters a 100:7F0")),
        ("wide", Some("filters a 0:0")),
        ("joined", Some("filters a 0:0 0:0")),
    ];
    let rule = SOME.replace("\"send-to\"", "\"receive\"");
    for (way, filter) in filters {
        let heard = |rule: &str, bind: &str, count: usize| -> Result<String> {
            let mut script = owned(&["a = can", "fd a 1", "errors a 1fffffff", "timeout a 30000"]);
            script.extend(filter.map(str::to_owned));
            if way == "joined" {
                script.push("join a 1".to_owned());
            }
            script.push(bind.to_owned());
            // Each has a room of its own, so that each step is another one.
            script.extend((0..count).map(|more| format!("recv a {}", 72 + more)));
            let run = buses.guest("family_can", &[rule], &script).start()?;
            run.wait_for_line(&format!("{bind} -> ok"), patience())?;
            let hidden = HIDDEN.iter().map(|(.., frame, _)| *frame);
            let known = ["vcan0 100#F1", "vcan0 10F#F2"];
            let frames: Vec<&str> = [known[0]]
                .into_iter()
                .chain(hidden)
                .chain([known[1]])
                .collect();
            buses.play(&frames)?;
            let ended = run.wait(patience())?.success()?;
            let lines = ended.stdout.lines().filter(|line| line.starts_with("recv"));
            Ok(lines.collect::<Vec<_>>().join("\n"))
        };
        let attack = heard(&rule, "bind a vcan0", 2)?;
        // The filter without flags takes no other id; joined ones take no error frames, which match but once.
        let unseen = [("flagless", "other-id"), ("joined", "error")];
        let unseen = |what: &str| unseen.contains(&(way, what));
        let all = 2 + HIDDEN.iter().filter(|(what, ..)| !unseen(what)).count();
        let control = heard(EVERYTHING, "bind a *", all)?;
        let known = |line: &str, id: u32, byte: u8| line.contains(&classic(id, byte)[..18]);
        let lines: Vec<&str> = attack.lines().collect();
        ensure!(
            known(lines[0], 0x100, 0xf1) && known(lines[1], 0x10f, 0xf2),
            "{attack}"
        );
        for (what, phrase, frame, secret) in HIDDEN.iter().filter(|(what, ..)| !unseen(what)) {
            let phrase = match (way, *what) {
                ("joined", "other-id") => "CAN_RAW_JOIN_FILTERS",
                _ => phrase,
            };
            Attack::new(format!("can-hear-{what}-{way}"), SECTION, phrase)
                .tried(format!(
                    "asks for more than its rule says ({way} filter), and {frame} comes"
                ))
                .got("the granted frames alone")
                .checked("the frame's data, which it cannot know, are in nothing that it got")
                .saw(
                    "the frame's data in what the guest printed",
                    attack.contains(secret),
                    control.contains(secret),
                )
                .state()?;
        }
    }
    Ok(())
}

#[test]
fn ones_own_frames_are_frames_like_others() -> Result<()> {
    let name = "ones_own_frames_are_frames_like_others";
    let Some(buses) = Buses::new(Need::CanRaw, name)? else {
        return Ok(());
    };
    let send = format!("send a {}", classic(0x100, 0xb1));
    let script = owned(&[
        "a = can",
        "own a 1",
        "bind a vcan0",
        "timeout a 300",
        &send,
        "recv a",
    ]);
    let other = "protocol = [\"raw\"]\nops = [\"receive\"]\ninterface = [\"vcan0\"]\ncan-id = [\"0x200\"]\n\
                 options = { set = [\"can-raw.*\"] }";
    let run = |rules: &[&str]| -> Result<Ended> {
        buses
            .guest("family_can", rules, &script)
            .finish(patience())?
            .success()
    };
    let (attack, control) = (run(&[SOME, other])?, run(&[EVERYTHING])?);
    let own = |ended: &Ended| -> Result<bool> { Ok(ended.step("recv a")?.contains("own")) };
    assert_eq!(attack.step(&send)?, "ok 16");
    attack.audit.denied("receive")?;
    Attack::new("can-own-frames", SECTION, "CAN_RAW_RECV_OWN_MSGS")
        .tried("asks for the frames that it sends itself, where it may not hear their id")
        .got(attack.step("recv a")?)
        .saw(
            "a frame marked as the guest's own",
            own(&attack)?,
            own(&control)?,
        )
        .state()
}
