//! Ways round a policy on a CAN bus: frames beside those that it names, sent and heard, through every protocol that
//! puts frames on a bus.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Attack, Ended, GuestRun, Native, Need, Net, Tool, hex, kernel, oracle, patience, watched,
};

const SECTION: &str = "CAN";

/// Every call that puts something on a bus.
const SENDS: &[&str] = &["sendto", "sendmsg", "sendmmsg"];

const EFF: u32 = 1 << 31;
const RTR: u32 = 1 << 30;
const ERR: u32 = 1 << 29;

/// Two buses on which nobody else says anything.
struct Buses(Net);

impl Buses {
    fn new(need: Need, name: &str) -> Result<Option<Buses>> {
        let there = kernel::has(need, name).is_some()
            && kernel::has(Need::CanFd, name).is_some()
            && oracle(Tool::Candump, name).is_some()
            && oracle(Tool::Cansend, name).is_some();
        if !there {
            return Ok(None);
        }
        let Some(net) = Net::new(name)? else {
            return Ok(None);
        };
        net.vcan("vcan0")?;
        net.vcan("vcan1")?;
        Ok(Some(Buses(net)))
    }

    /// A native listener on both, for frames of every kind.
    fn hear(&self) -> Result<Native> {
        let mut candump = self.0.command("candump");
        let native = Native::start(candump.args(["-L", "any,0:0,#FFFFFFFF"]))?;
        let deadline = Instant::now() + patience();
        loop {
            // It says nothing when it listens: its socket stands in the kernel's list.
            let mut list = self.0.command("cat");
            let list = list.arg("/proc/net/can/rcvlist_all").output()?;
            if String::from_utf8_lossy(&list.stdout).contains("raw") {
                return Ok(native);
            }
            ensure!(Instant::now() < deadline, "candump did not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the listener heard until now, as `vcan0 123#DEAD`.
    fn heard(&self, listener: Native) -> Result<Vec<String>> {
        self.play(&["vcan0 7FF#"])?;
        let last = |line: &str| line.ends_with(" 7FF#");
        listener.stdout.wait_for(patience(), last)?;
        let lines = listener.stop()?;
        let frame = |line: &String| line.split_once(") ").map(|(_, frame)| frame.to_owned());
        Ok(lines.iter().filter_map(frame).collect())
    }

    /// Sends frames natively, one after the other.
    fn play(&self, frames: &[&str]) -> Result<()> {
        let log: String = frames
            .iter()
            .map(|frame| format!("(0.000000) {frame}\n"))
            .collect();
        let mut player = self.0.command("canplayer");
        Native::with_input(player.arg("-t"), log.as_bytes())?.finish(patience())?;
        Ok(())
    }

    /// A guest of `tests/guests` that takes these steps under these rules.
    fn guest(&self, guest: &str, rules: &[&str], steps: &[String]) -> GuestRun {
        let rules = rules.iter().enumerate().map(|(number, keys)| {
            format!("[[allow]]\nid = \"r{number}\"\nfamily = [\"can\"]\n{keys}\n")
        });
        let policy = format!("version = 1\n{}", rules.collect::<String>());
        let run = GuestRun::new(guest).net(&self.0).policy_text(&policy);
        steps.iter().fold(run, |run, step| run.argument(step))
    }

    /// The same under strace, to its end, and what the buses heard meanwhile.
    fn watched(&self, name: &str, run: GuestRun) -> Result<(Ended, Vec<String>)> {
        let listener = self.hear()?;
        let ended = watched(run, name)?;
        Ok((ended, self.heard(listener)?))
    }
}

/// The lines that hold this text; none where there is nothing to look for.
fn with(lines: &[String], text: &str) -> Vec<String> {
    let found = lines
        .iter()
        .filter(|line| !text.is_empty() && line.contains(text));
    found.cloned().collect()
}

fn owned(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|&step| step.to_owned()).collect()
}

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
