//! Raw CAN through a guest: frames of every kind unchanged to and from native programs, what a socket may ask for,
//! and which frames the policy lets through.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, More, Native, Need, Net, Tool, hex, kernel, long, oracle, patience,
    policy_path,
};

const ERR: u32 = 1 << 29;

/// Every frame on vcan0.
const ALL: &str = "version = 1\n[[allow]]\nid = \"all\"\nfamily = [\"can\"]\nprotocol = [\"raw\"]\n\
    ops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"vcan0\"]\n\
    can-id = [\"*\", \"ext:*\", \"rtr:*\", \"rtr:ext:*\", \"err:*\"]\nfd = true\n\
    ancillary = { receive = [\"timestamp\", \"drop-count\"] }\n\
    options = { set = [\"can-raw.*\", \"can-raw.loopback\", \"so.timestampns\", \"so.rxq-ovfl\", \"so.rcvbuf\"] }\n";

/// A kernel with CAN FD and two buses on which nobody else says anything.
fn buses(name: &str) -> Result<Option<Net>> {
    if kernel::has(Need::CanRaw, name).is_none() || kernel::has(Need::CanFd, name).is_none() {
        return Ok(None);
    }
    let Some(net) = Net::new(name)? else {
        return Ok(None);
    };
    net.vcan("vcan0")?;
    net.vcan("vcan1")?;
    Ok(Some(net))
}

/// Sends frames natively, one after the other, as canplayer(1) plays them.
fn play(net: &Net, interface: &str, frames: &[String]) -> Result<()> {
    let log: String = frames
        .iter()
        .map(|frame| format!("(0.000000) {interface} {frame}\n"))
        .collect();
    // Without gaps between them.
    let mut player = net.command("canplayer");
    Native::with_input(player.arg("-t"), log.as_bytes())?.finish(patience())?;
    Ok(())
}

/// A native candump(1) of every frame on this bus, which ends after `count` or after a quiet time.
fn hear(net: &Net, candump: &Path, bus: &str, count: usize, quiet: &str) -> Result<Native> {
    // Room for all of them, with what the kernel counts for each.
    let room = (count * 2048).max(1 << 16).to_string();
    let every = format!("{bus},0:0,#FFFFFFFF");
    let (count, room) = (count.to_string(), room.as_str());
    let words = ["-L", "-d", "-r", room, "-n", &count, "-T", quiet, &every];
    let dump = Native::start(net.command(candump).args(words))?;
    let deadline = Instant::now() + patience();
    loop {
        // It says nothing when it listens: its socket stands in the kernel's list.
        let list = net
            .command("cat")
            .arg("/proc/net/can/rcvlist_all")
            .output()?;
        if String::from_utf8_lossy(&list.stdout).contains("raw") {
            return Ok(dump);
        }
        ensure!(Instant::now() < deadline, "candump did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The frames in lines `(TIME) INTERFACE FRAME`.
fn frames_of<L: AsRef<str>>(lines: &[L]) -> Result<Vec<String>> {
    lines
        .iter()
        .map(|line| {
            let line = line.as_ref();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [time, _, frame] if time.starts_with('(') => Ok(without_format_bit(frame)),
                _ => anyhow::bail!("no line of a log: {line}"),
            }
        })
        .collect()
}

/// Newer kernels set CANFD_FDF in a CAN FD frame by themselves: the flags without it.
fn without_format_bit(frame: &str) -> String {
    match frame.split_once("##") {
        Some((id, rest)) => {
            let flags = rest.chars().next().and_then(|digit| digit.to_digit(16));
            let flags = flags.unwrap_or(0) & 3;
            format!("{id}##{flags:X}{}", rest.get(1..).unwrap_or_default())
        }
        None => frame.to_owned(),
    }
}

/// Frames of every kind by turns, with ids, lengths and data that follow from the seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        // Knuth's multiplier for 64 bits; the upper half is the random one.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn data(&mut self, length: u32) -> String {
        let bytes: Vec<u8> = (0..length).map(|_| (self.next() >> 8) as u8).collect();
        hex(&bytes).to_uppercase()
    }

    fn frame(&mut self, kind: usize) -> String {
        let id = match kind % 2 {
            0 => format!("{:03X}", self.next() % 0x800),
            _ => format!("{:08X}", self.next() % 0x2000_0000),
        };
        let length = self.next();
        match kind % 7 {
            0..=2 => format!("{id}#{}", self.data(length % 9)),
            3 => match length % 9 {
                0 => format!("{id}#R"),
                length => format!("{id}#R{length}"),
            },
            4 => format!("{:08X}#{}", ERR | 1 << (length % 9), self.data(8)),
            _ => {
                let flags = self.next() % 4;
                format!("{id}##{flags:X}{}", self.data(length % 65))
            }
        }
    }

    fn frames(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|kind| self.frame(kind)).collect()
    }
}

/// One round's frames, and how many rounds there are.
fn measure() -> (usize, usize) {
    (10_000, if long() { 10 } else { 1 })
}

fn tools(name: &str) -> Option<PathBuf> {
    oracle(Tool::Cansend, name)?;
    oracle(Tool::Candump, name)
}

/// Waits until the guest has printed so many lines.
fn printed(guest: &Guest, count: usize) -> Result<()> {
    let deadline = Instant::now() + patience();
    let mut seen = 0;
    while seen < count {
        let more: More = guest.stdout.more(seen, Duration::from_secs(1));
        seen += more.lines.len();
        ensure!(
            Instant::now() < deadline && !more.ended || seen >= count,
            "{seen} lines of {count}; stderr: {}",
            guest.stderr.text()
        );
    }
    Ok(())
}

#[test]
fn native_frames_arrive_unchanged() -> Result<()> {
    let name = "native_frames_arrive_unchanged";
    let Some(net) = buses(name)? else {
        return Ok(());
    };
    if tools(name).is_none() {
        return Ok(());
    }
    let (count, rounds) = measure();
    let sent = Random(1).frames(count * rounds);
    let guest = GuestRun::new("candump")
        .net(&net)
        .policy(policy_path("candump"))
        .variable("interface", "vcan0")
        .argument("vcan0,0:0,#1FFFFFFF")
        .argument("--clients")
        .argument(sent.len().to_string())
        .start()?;
    let listening = |line: &str| line.starts_with("listening on can");
    guest.stderr.wait_for(patience(), listening)?;
    // No more at once than the receiver's buffer holds.
    let mut done = 0;
    for window in sent.chunks(100) {
        play(&net, "vcan0", window)?;
        done += window.len();
        printed(&guest, done)?;
    }
    let ended = guest.wait(patience())?.success()?;
    let lines: Vec<&str> = ended.stdout.lines().collect();
    compare(&frames_of(&lines)?, &sent)?;
    ensure!(ended.stderr.contains("\n0 dropped"), "{}", ended.stderr);

    // The twin: another bus.
    let ended = GuestRun::new("candump")
        .net(&net)
        .policy(policy_path("candump"))
        .variable("interface", "vcan0")
        .argument("vcan1")
        .finish(patience())?;
    ensure!(!ended.status.success());
    assert_eq!(ended.audit.denied("bind")?.errno(), "acces");
    Ok(())
}

/// Says where two lists differ instead of printing ten thousand frames.
fn compare(seen: &[String], sent: &[String]) -> Result<()> {
    for (at, (seen, sent)) in seen.iter().zip(sent).enumerate() {
        ensure!(seen == sent, "frame {at}: {sent} became {seen}");
    }
    ensure!(seen.len() == sent.len(), "{} of {}", seen.len(), sent.len());
    Ok(())
}

#[test]
fn a_guest_s_frames_arrive_unchanged() -> Result<()> {
    let name = "a_guest_s_frames_arrive_unchanged";
    let Some(net) = buses(name)? else {
        return Ok(());
    };
    let Some(candump) = tools(name) else {
        return Ok(());
    };
    let (count, rounds) = measure();
    let mut random = Random(2);
    for _ in 0..rounds {
        let sent = random.frames(count);
        let witness = hear(&net, &candump, "vcan0", count, "20000")?;
        let ended = GuestRun::new("cansend")
            .net(&net)
            .policy_text(ALL)
            .argument("vcan0")
            .input((sent.join("\n") + "\n").as_bytes())
            .finish(patience())?
            .success()?;
        ensure!(ended.stderr.contains(&format!("{count} sent")));
        let heard = witness.finish(patience())?;
        // A line about dropped frames is no line of a log.
        compare(&frames_of(&heard)?, &sent)?;
    }
    Ok(())
}

#[test]
fn cansend_sends_what_its_policy_says() -> Result<()> {
    let name = "cansend_sends_what_its_policy_says";
    let Some(net) = buses(name)? else {
        return Ok(());
    };
    let Some(candump) = tools(name) else {
        return Ok(());
    };
    let witness = hear(&net, &candump, "any", 4, "3000")?;
    let send = |interface: &str, frames: &[&str]| {
        let run = GuestRun::new("cansend")
            .net(&net)
            .policy(policy_path("cansend"))
            .variable("interface", "vcan0")
            .argument(interface);
        let run = frames.iter().fold(run, |run, frame| run.argument(*frame));
        run.finish(patience())
    };
    send("vcan0", &["7DF#0201", "7E0##31122", "7E7#R4"])?.success()?;
    for frame in [
        "7DE#01",
        "7E8#01",
        "000007E0#01",
        "7DF#R",
        "20000004#0000000000000000",
    ] {
        let ended = send("vcan0", &[frame])?;
        ensure!(!ended.status.success(), "{frame}");
        assert_eq!(ended.audit.denied("send-to")?.errno(), "acces", "{frame}");
    }
    let ended = send("vcan1", &["7DF#01"])?;
    assert_eq!(ended.audit.denied("bind")?.errno(), "acces");
    let heard = frames_of(&witness.finish(patience())?)?;
    assert_eq!(heard, ["7DF#0201", "7E0##31122", "7E7#R4"]);
    Ok(())
}

/// struct can_frame with one byte of data.
fn classic(id: u32) -> String {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend([1, 0, 0, 0, 0xab, 0, 0, 0, 0, 0, 0, 0]);
    hex(&bytes)
}

/// A guest that takes these steps, described in `tests/guests/src/bin/family_can.rs`.
fn guest<S: AsRef<str>>(net: &Net, policy: &str, steps: &[S]) -> GuestRun {
    let run = GuestRun::new("family_can").net(net).policy_text(policy);
    steps
        .iter()
        .fold(run, |run, step| run.argument(step.as_ref()))
}

fn policy(keys: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"some\"\nfamily = [\"can\"]\nprotocol = [\"raw\"]\ninterface = [\"vcan0\"]\n\
         options = {{ set = [\"can-raw.*\"] }}\n{keys}\n"
    )
}

/// What came of all steps that begin with this verb, in their order.
fn outcomes(ended: &Ended, verb: &str) -> Vec<String> {
    let lines = ended.stdout.lines();
    let lines = lines.filter(|line| line.starts_with(verb));
    lines
        .filter_map(|line| Some(line.split_once(" -> ")?.1.to_owned()))
        .collect()
}

#[test]
fn a_socket_hears_what_it_asked_for() -> Result<()> {
    let name = "a_socket_hears_what_it_asked_for";
    let Some(net) = buses(name)? else {
        return Ok(());
    };
    if tools(name).is_none() {
        return Ok(());
    }
    let frames = [
        "123#01",
        "124#02",
        "133#03",
        "20000004#0000000000000000",
        "700#04",
    ];
    for (asked, heard) in [
        (
            &["filters s 123:7FF", "filters s 700:7FF"][..],
            &["700#04"][..],
        ),
        (
            &["filters s 120:7F0 700:7FF"],
            &["123#01", "124#02", "700#04"],
        ),
        // All but one; then those that match both of two.
        (&["filters s 20000123:7FF"], &["124#02", "133#03", "700#04"]),
        (
            &["filters s 120:7F0 124:7FF 700:7FF"],
            &["123#01", "124#02", "700#04"],
        ),
        (
            &["filters s 120:7E0 123:70F", "join s 1"],
            &["123#01", "133#03"],
        ),
        (
            &["errors s 4", "filters s 700:7FF"],
            &["20000004#0000000000000000", "700#04"],
        ),
        (&["errors s 8", "filters s 700:7FF"], &["700#04"]),
    ] {
        let mut script = vec!["s = can", "timeout s 2000"];
        script.extend(asked);
        script.push("bind s vcan0");
        script.extend(heard.iter().map(|_| "recv s"));
        script.extend(["timeout s 100", "recv s"]);
        let run = guest(&net, ALL, &script).start()?;
        run.wait_for_line("bind s vcan0 -> ok", patience())?;
        play(&net, "vcan0", &frames.map(str::to_owned))?;
        let ended = run.wait(patience())?.success()?;
        let mut wanted: Vec<String> = heard
            .iter()
            .map(|frame| format!("{frame} on vcan0 local"))
            .collect();
        wanted.push("timedout".to_owned());
        assert_eq!(outcomes(&ended, "recv"), wanted, "{asked:?}");
    }
    Ok(())
}

#[test]
fn own_frames_times_and_counts_are_told() -> Result<()> {
    let name = "own_frames_times_and_counts_are_told";
    let Some(net) = buses(name)? else {
        return Ok(());
    };
    let frame = format!("send a {}", classic(0x123));
    let script = [
        "a = can",
        "b = can",
        "bind a vcan0",
        "bind b vcan0",
        "timeout a 300",
        "timeout b 300",
        &frame,
        "recv a",
        "recv b",
        "own a 1",
        &frame,
        "recv a",
        "recv b",
        "loopback a 0",
        &frame,
        "recv a",
        "recv b",
        "loopback a 1",
        "own a 0",
        "times b 1",
        "drops b 1",
        &frame,
        "recv b",
    ];
    let ended = guest(&net, ALL, &script).finish(patience())?.success()?;
    let own = outcomes(&ended, "recv a");
    assert_eq!(own, ["timedout", "123#AB on vcan0 local own", "timedout"]);
    let other = outcomes(&ended, "recv b");
    let plain = "123#AB on vcan0 local";
    assert_eq!(other[..3], [plain, plain, "timedout"]);
    let told = other[3].strip_prefix(plain).context("no frame")?;
    let time = told.strip_prefix(" at ").context("no time")?;
    let seconds: u64 = time.split('.').next().unwrap_or_default().parse()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    ensure!(now.as_secs().abs_diff(seconds) < 60, "{told}");

    // A buffer of the least size overflows; what comes then tells how many were lost.
    let mut script = vec![
        "a = can",
        "b = can",
        "bind a vcan0",
        "set b 1 8 00080000",
        "drops b 1",
    ];
    script.extend(["bind b vcan0", "timeout b 100"]);
    script.extend([frame.as_str(); 60]);
    script.extend(["recv b"; 30]);
    script.extend([frame.as_str(), "recv b"]);
    let ended = guest(&net, ALL, &script).finish(patience())?.success()?;
    let heard = outcomes(&ended, "recv b");
    let (last, before) = heard.split_last().context("nothing")?;
    let kept = before
        .iter()
        .filter(|line| line.starts_with("123#AB"))
        .count();
    let lost: usize = last
        .rsplit_once("dropped ")
        .context("no count")?
        .1
        .parse()?;
    assert_eq!(
        (kept + lost, before.contains(&"timedout".to_owned())),
        (60, true)
    );

    // A policy that lets send one id and hear another does not show the first, though it is its own.
    let text = policy("ops = [\"bind\", \"send-to\"]\ncan-id = [\"0x123\"]")
        + &policy("ops = [\"receive\"]\ncan-id = [\"0x200\"]")
            .replace("version = 1\n", "")
            .replace("\"some\"", "\"other\"");
    let script = [
        "a = can",
        "bind a vcan0",
        "own a 1",
        "timeout a 300",
        &frame,
        "recv a",
        "loopback a 0",
    ];
    let ended = guest(&net, &text, &script).finish(patience())?.success()?;
    assert_eq!(ended.step(&frame)?, "ok 16");
    assert_eq!(ended.step("recv a")?, "timedout");
    assert_eq!(ended.audit.denied("receive")?.errno(), "acces");
    // Being unheard by this host's monitors is no part of `can-raw.*`.
    assert_eq!(ended.step("loopback a 0")?, "acces");
    Ok(())
}

#[test]
fn a_gateway_carries_what_its_policy_says() -> Result<()> {
    let name = "a_gateway_carries_what_its_policy_says";
    let Some(net) = buses(name)? else {
        return Ok(());
    };
    let Some(candump) = tools(name) else {
        return Ok(());
    };
    let frames = [
        "0FF#01",
        "120#02",
        "130#03",
        "12F#04",
        "120##105",
        "00000120#06",
    ];
    let frames = frames.map(str::to_owned);
    let carry = |policy: &str, to: &str, count: &str| {
        let run = GuestRun::new("can-gateway")
            .net(&net)
            .policy(policy_path(policy))
            .variable("from", "vcan0");
        let run = match policy {
            "can-gateway" => run.variable("to", "vcan1"),
            _ => run.variable("address", "127.0.0.1").variable("port", 5000),
        };
        ["vcan0", to, "--rewrite", "120/7F0=320", "--clients", count]
            .iter()
            .fold(run, |run, word| run.argument(*word))
    };
    let listening = |line: &str| line.starts_with("listening on can");
    let witness = hear(&net, &candump, "vcan1", 3, "3000")?;
    let run = carry("can-gateway", "vcan1", "3").start()?;
    run.stderr.wait_for(patience(), listening)?;
    play(&net, "vcan0", &frames)?;
    let ended = run.wait(patience())?.success()?;
    // 0x130 is heard and not let out; what is outside of the range is not even heard.
    ensure!(
        ended.stderr.contains("2 carried, 1 refused"),
        "{}",
        ended.stderr
    );
    ended.audit.denied("send-to")?;
    let heard = frames_of(&witness.finish(patience())?)?;
    assert_eq!(heard, ["320#02", "32F#04"]);

    // To UDP, and its twin: another collector.
    let script = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.bind(('127.0.0.1', 5000))\nprint('ready', flush=True)\n\
        for _ in range(4): print(s.recv(100).decode(), flush=True)";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let collector = Native::start(net.command(python).args(["-c", script]))?;
    collector.wait_for_line("ready", patience())?;
    let run = carry("can-udp-gateway", "127.0.0.1:5000", "4").start()?;
    run.stderr.wait_for(patience(), listening)?;
    play(&net, "vcan0", &frames)?;
    run.wait(patience())?.success()?;
    let lines = collector.finish(patience())?;
    let heard: Vec<String> = lines[1..]
        .iter()
        .map(|line| without_format_bit(line))
        .collect();
    assert_eq!(heard, ["320#02", "130#03", "32F#04", "120##105"]);
    let run = carry("can-udp-gateway", "127.0.0.1:5001", "1").start()?;
    run.stderr.wait_for(patience(), listening)?;
    play(&net, "vcan0", &frames)?;
    let ended = run.wait(patience())?.success()?;
    ensure!(
        ended.stderr.contains("0 carried, 1 refused"),
        "{}",
        ended.stderr
    );
    ended.audit.denied("send-to")?;
    Ok(())
}
