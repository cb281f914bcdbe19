//! Ways round a policy on a CAN bus: frames beside those that it names, sent and heard, through every protocol that
//! puts frames on a bus.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate_tests::{Ended, GuestRun, Native, Need, Net, Tool, kernel, oracle, patience, watched};

#[path = "attack_can/frames.rs"]
mod frames;
#[path = "attack_can/transports.rs"]
mod transports;

const SECTION: &str = "CAN";

/// Every call that puts something on a bus.
const SENDS: &[&str] = &["sendto", "sendmsg", "sendmmsg"];

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
