//! The kernel's witness: which socket calls the command made, strace(1).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Socket calls of the command and all its threads, in order.
#[derive(Clone, Debug)]
pub struct SyscallLog {
    calls: Vec<Syscall>,
}

/// One system call.
#[derive(Clone, Debug, PartialEq)]
pub struct Syscall {
    /// The thread that made it.
    pub thread: u32,
    /// Its name, such as `connect`.
    pub name: String,
    /// The line as strace prints it, without the thread's id: name, arguments, result.
    pub line: String,
}

/// The line that a guest prints first where a log is to be cut at its start.
const GUEST_BEGINS: &str = "@guest";

/// How much of a string strace shows.
const STRING: usize = 256;

/// A command that runs `program` under strace, which writes to `log` and injects these faults.
///
/// `-D` makes strace the grandchild: the child that is killed and waited for is the program itself.
pub(crate) fn strace(
    strace: &Path,
    log: &Path,
    every_call: bool,
    injected: &[String],
    program: &Path,
) -> Command {
    let mut command = Command::new(strace);
    command.args(["-f", "-D", "-s", &STRING.to_string(), "-e", "signal=none"]);
    // Calls that faults are injected into stand in the log as well.
    let faulty = injected.iter().filter_map(|fault| fault.split(':').next());
    let traced: Vec<&str> = match every_call {
        true => vec!["all"],
        false => ["%network", "write"].into_iter().chain(faulty).collect(),
    };
    command.arg("-e").arg(format!("trace={}", traced.join(",")));
    for fault in injected {
        command.arg("-e").arg(format!("inject={fault}"));
    }
    command.arg("-o").arg(log).arg(program);
    command
}

impl SyscallLog {
    /// Reads the log of a command that has ended; waits for strace to write its last line.
    pub fn read(path: &Path, pid: u32) -> Result<SyscallLog> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let end = format!("{pid} ");
        loop {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            if text
                .lines()
                .any(|line| line.starts_with(&end) && line.contains(" +++ "))
            {
                return Ok(SyscallLog::parse(&text));
            }
            if Instant::now() > deadline {
                bail!("strace did not finish {}:\n{text}", path.display());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn parse(text: &str) -> SyscallLog {
        let mut calls: Vec<Syscall> = Vec::new();
        for line in text.lines() {
            let Some((thread, line)) = line.split_once(' ') else {
                continue;
            };
            let (Ok(thread), line) = (thread.parse(), line.trim_start()) else {
                continue;
            };
            // A call that another thread interrupts takes two lines: the second has its result.
            if line.starts_with("<... ") {
                if let Some(call) = calls.iter_mut().rfind(|call| call.thread == thread) {
                    call.line += line;
                }
                continue;
            }
            let name = line.split_once('(').map_or("", |(name, _)| name);
            if !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                calls.push(Syscall {
                    thread,
                    name: name.to_owned(),
                    line: line.to_owned(),
                });
            }
        }
        SyscallLog { calls }
    }

    /// Every call that was logged.
    pub fn all(&self) -> &[Syscall] {
        &self.calls
    }

    /// Every socket call, the command's own included.
    pub fn sockets(&self) -> impl Iterator<Item = &Syscall> {
        self.calls.iter().filter(|call| call.name != "write")
    }

    /// Socket calls after the guest began, which it shows by printing `@guest` as its first line.
    ///
    /// # Errors
    /// The guest printed no such line.
    pub fn of_guest(&self) -> Result<Vec<&Syscall>> {
        let begin = self
            .calls
            .iter()
            .position(|call| call.name == "write" && call.line.contains(GUEST_BEGINS))
            .with_context(|| format!("the guest did not print `{GUEST_BEGINS}`"))?;
        Ok(self.calls[begin..]
            .iter()
            .filter(|call| call.name != "write")
            .collect())
    }

    /// Socket calls between the line that the guest printed before `STEP -> OUTCOME` and that one.
    ///
    /// # Errors
    /// The guest printed no such line.
    pub fn of_step(&self, step: &str) -> Result<Vec<&Syscall>> {
        // strace shows no more than its `-s` of a line, and escapes quotes.
        let shown = step.replace('\\', "\\\\").replace('"', "\\\"");
        let shown: String = shown.chars().take(STRING - 8).collect();
        let printed = |call: &Syscall| call.name == "write" && call.line.starts_with("write(1, ");
        let begins = format!("write(1, \"{shown}");
        let end = self
            .calls
            .iter()
            .position(|call| call.line.starts_with(&begins))
            .with_context(|| format!("the guest did not print `{step}`"))?;
        let before = self.calls[..end].iter().rposition(printed).unwrap_or(0);
        Ok(self.calls[before..end]
            .iter()
            .filter(|call| call.name != "write")
            .collect())
    }

    /// Socket calls of this name.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Syscall> {
        self.sockets().filter(move |call| call.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tool, folder, oracle, tcp_echo};

    #[test]
    fn strace_sees_a_native_connect() -> Result<()> {
        let Some(tool) = oracle(Tool::Strace, "strace_sees_a_native_connect") else {
            return Ok(());
        };
        let peer = tcp_echo("127.0.0.1:0")?;
        let place = folder()?;
        let log = place.path().join("log");
        let script = format!("echo @guest; exec 3<>/dev/tcp/127.0.0.1/{}", peer.port());
        let mut child = strace(&tool, &log, false, &[], Path::new("bash"))
            .args(["-c", &script])
            .stdout(std::process::Stdio::null())
            .spawn()?;
        let pid = child.id();
        assert!(child.wait()?.success());
        let log = SyscallLog::read(&log, pid)?;
        // Before that line the shell may ask a name service for its user, nscd(8).
        let calls = log.of_guest()?;
        let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["socket", "connect"]);
        assert!(calls[1].line.contains("127.0.0.1"), "{}", calls[1].line);
        Ok(())
    }

    #[test]
    fn the_guest_begins_where_it_says_so() -> Result<()> {
        let log = SyscallLog::parse(
            "10 socket(AF_NETLINK, SOCK_RAW, 0) = 3\n\
             11 write(1, \"@guest\\n\", 7) = 7\n\
             11 socket(AF_INET, SOCK_STREAM, 6 <unfinished ...>\n\
             10 write(2, \"trace\", 5)  = 5\n\
             11 <... socket resumed>) = 4\n\
             11 connect(4, {sa_family=AF_INET}, 16) = 0\n\
             10 +++ exited with 0 +++\n",
        );
        let names: Vec<_> = log
            .of_guest()?
            .iter()
            .map(|call| call.name.as_str())
            .collect();
        assert_eq!(names, ["socket", "connect"]);
        assert_eq!(log.sockets().count(), 3);
        assert!(log.of_step("connect s 127.0.0.1:1").is_err());
        assert_eq!(log.of("connect").count(), 1);
        // The result of what another thread interrupted belongs to it.
        let interrupted = log.of_guest()?.first().map(|call| call.line.clone());
        assert!(interrupted.is_some_and(|line| line.ends_with("resumed>) = 4")));
        Ok(())
    }

    #[test]
    fn each_step_has_its_calls() -> Result<()> {
        let log = SyscallLog::parse(
            "1 write(1, \"@guest\\n\", 7) = 7\n\
             1 socket(AF_UNIX, SOCK_STREAM, 0) = 3\n\
             1 write(1, \"s = socket unix stream -> ok\\n\", 29) = 29\n\
             1 connect(3, {sa_family=AF_UNIX}, 110) = 0\n\
             2 write(9, \"elsewhere\", 9) = 9\n\
             1 write(1, \"connect s path:\\\"x\\\" -> ok\\n\", 26) = 26\n",
        );
        let names = |step| -> Result<Vec<&str>> {
            let calls = log.of_step(step)?;
            Ok(calls.iter().map(|call| call.name.as_str()).collect())
        };
        assert_eq!(names("s = socket unix stream")?, ["socket"]);
        assert_eq!(names("connect s path:\"x\"")?, ["connect"]);
        Ok(())
    }

    #[test]
    fn a_guest_that_did_not_begin_is_an_error() {
        assert!(
            SyscallLog::parse("1 socket(AF_INET) = 3\n")
                .of_guest()
                .is_err()
        );
    }
}
