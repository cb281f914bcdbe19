//! A guest under the real command.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::audit::Audit;
use crate::kernel::{Net, within};
use crate::output::Output;
use crate::place::{command_path, folder, guest_path};
use crate::skip::patience;
use crate::syscalls::{self, SyscallLog};

/// What a guest is to run with; [`start`](GuestRun::start) runs it.
///
/// Every run writes an audit file unless told otherwise. Without `policy`, `policy_text` or `allow` the guest has no policy at
/// all, so that everything is refused.
pub struct GuestRun {
    guest: OsString,
    options: Vec<OsString>,
    policies: Vec<String>,
    arguments: Vec<OsString>,
    input: Option<Vec<u8>>,
    audited: bool,
    learnt: Option<PathBuf>,
    strace: Option<PathBuf>,
    every_call: bool,
    injected: Vec<String>,
    namespace: Option<String>,
}

impl GuestRun {
    /// A guest by the name of its program, or by the path of a component (with a `/` in it).
    pub fn new(guest: impl Into<OsString>) -> GuestRun {
        GuestRun {
            guest: guest.into(),
            options: Vec::new(),
            policies: Vec::new(),
            arguments: Vec::new(),
            input: None,
            audited: true,
            learnt: None,
            strace: None,
            every_call: false,
            injected: Vec::new(),
            namespace: None,
        }
    }

    /// `--policy FILE`
    pub fn policy(self, file: impl AsRef<Path>) -> GuestRun {
        self.option("--policy").option(file.as_ref())
    }

    /// A policy file with this text, kept for as long as the guest runs.
    pub fn policy_text(mut self, text: &str) -> GuestRun {
        self.policies.push(text.to_owned());
        self
    }

    /// `--var NAME=VALUE`: what `${NAME}` in a policy becomes.
    pub fn variable(self, name: &str, value: impl std::fmt::Display) -> GuestRun {
        self.option("--var").option(format!("{name}={value}"))
    }

    /// Runs it with `sockgate learn`, which writes what it did to this file.
    pub fn learn(mut self, out: &Path) -> GuestRun {
        self.learnt = Some(out.to_path_buf());
        self
    }

    /// `--allow RULE`
    pub fn allow(self, rule: &str) -> GuestRun {
        self.option("--allow").option(rule)
    }

    /// `--trace`: the trace comes on the guest's stderr.
    pub fn trace(self) -> GuestRun {
        self.option("--trace")
    }

    /// `--wait park` or `--wait ready`
    pub fn wait_kind(self, wait: &str) -> GuestRun {
        self.option("--wait").option(wait)
    }

    /// `--env NAME=VALUE`
    pub fn environment(self, name: &str, value: &str) -> GuestRun {
        self.option("--env").option(format!("{name}={value}"))
    }

    /// `--dir HOST::GUEST`
    pub fn directory(self, host: &Path, guest: &str) -> GuestRun {
        let mut pair = host.as_os_str().to_owned();
        pair.push("::");
        pair.push(guest);
        self.option("--dir").option(pair)
    }

    /// Any other option of `sockgate run`, one word.
    pub fn option(mut self, word: impl Into<OsString>) -> GuestRun {
        self.options.push(word.into());
        self
    }

    /// An argument of the guest.
    pub fn argument(mut self, word: impl Into<OsString>) -> GuestRun {
        self.arguments.push(word.into());
        self
    }

    /// What the guest reads on stdin; nothing otherwise.
    pub fn input(mut self, bytes: &[u8]) -> GuestRun {
        self.input = Some(bytes.to_vec());
        self
    }

    /// Writes no audit file, for runs that are measured.
    pub fn without_audit(mut self) -> GuestRun {
        self.audited = false;
        self
    }

    /// Logs the command's socket calls with this strace (see [`crate::oracle`]).
    pub fn strace(mut self, strace: &Path) -> GuestRun {
        self.strace = Some(strace.to_path_buf());
        self
    }

    /// Logs every system call with this strace, not only those on sockets.
    pub fn strace_all(mut self, strace: &Path) -> GuestRun {
        self.every_call = true;
        self.strace(strace)
    }

    /// What the kernel is to answer in place of itself, as strace(1) takes it behind `inject=`:
    /// `sendto:error=ENOBUFS:when=1`. Needs [`strace`](GuestRun::strace).
    pub fn inject(mut self, fault: &str) -> GuestRun {
        self.injected.push(fault.to_owned());
        self
    }

    /// Runs the command in this network namespace, which has to outlive the guest.
    pub fn net(mut self, net: &Net) -> GuestRun {
        self.namespace = Some(net.name().to_owned());
        self
    }

    /// Starts the guest.
    pub fn start(self) -> Result<Guest> {
        let place = folder()?;
        let mut command = self.command(place.path())?;
        let mut child = command
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.input) {
            // By a thread, since the guest may answer before it has read everything; a guest that
            // ends without reading breaks the pipe, which its own outcome tells better.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        let stdout = Output::of(child.stdout.take().context("the guest has no stdout")?);
        let stderr = Output::of(child.stderr.take().context("the guest has no stderr")?);
        Ok(Guest {
            child,
            stdout,
            stderr,
            line: format!("{command:?}"),
            traced: self.strace.is_some(),
            place,
        })
    }

    /// Starts the guest and waits for its end.
    pub fn finish(self, wait: Duration) -> Result<Ended> {
        self.start()?.wait(wait)
    }

    fn command(&self, place: &Path) -> Result<Command> {
        let sockgate = command_path()?;
        let mut command = match &self.strace {
            Some(strace) => {
                let log = syscall_file(place);
                syscalls::strace(strace, &log, self.every_call, &self.injected, &sockgate)
            }
            None => Command::new(sockgate),
        };
        match &self.learnt {
            Some(out) => command.arg("learn").arg("--out").arg(out),
            None => command.arg("run"),
        };
        command.args(&self.options);
        if hardened() {
            command.arg("--harden");
        }
        if self.audited {
            command.arg("--audit").arg(audit_file(place));
        }
        for (number, text) in self.policies.iter().enumerate() {
            let file = place.join(format!("policy-{number}.toml"));
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            command.arg("--policy").arg(file);
        }
        let path = Path::new(&self.guest);
        let component = match path.components().count() {
            1 => guest_path(&self.guest.to_string_lossy())?,
            _ => path.to_path_buf(),
        };
        command.arg(component).args(&self.arguments);
        Ok(match &self.namespace {
            Some(namespace) => within(namespace, &command),
            None => command,
        })
    }
}

/// Whether every guest of this test binary runs behind the second wall: its name says so.
fn hardened() -> bool {
    let name = std::env::current_exe().unwrap_or_default();
    let name = name.file_name().unwrap_or_default();
    name.to_string_lossy().contains("hardened")
}

fn audit_file(place: &Path) -> PathBuf {
    place.join("audit.jsonl")
}

fn syscall_file(place: &Path) -> PathBuf {
    place.join("syscalls")
}

/// A running guest; dropping it kills it.
pub struct Guest {
    child: Child,
    /// What the guest prints.
    pub stdout: Output,
    /// What the guest prints as errors, and the command's trace and messages.
    pub stderr: Output,
    line: String,
    traced: bool,
    place: TempDir,
}

impl Guest {
    /// Waits for a line on stdout that begins with `prefix`; answers the rest of that line.
    pub fn wait_for_line(&self, prefix: &str, wait: Duration) -> Result<String> {
        let line = self
            .stdout
            .wait_for(wait, |line| line.starts_with(prefix))
            .with_context(|| {
                format!(
                    "{} printed no line with `{prefix}`; its stderr:\n{}\n",
                    self.line,
                    self.stderr.text()
                )
            })?;
        Ok(line[prefix.len()..].to_owned())
    }

    /// The process id of the command.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the command a signal, as kill(1) calls it.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([name, &pid]).status()?;
        ensure!(status.success(), "kill {name}: {status}");
        Ok(())
    }

    /// Sends SIGHUP, and waits until the command says this.
    pub fn hang_up(&self, told: &str) -> Result<()> {
        let seen = self.stderr.lines().len();
        self.signal("-HUP")?;
        let deadline = Instant::now() + patience();
        loop {
            let lines = self.stderr.lines();
            if lines.iter().skip(seen).any(|line| line.contains(told)) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{lines:?} has no `{told}`");
            let more = self.stderr.more(lines.len(), patience());
            ensure!(
                !more.ended || !more.lines.is_empty(),
                "it ended before it said `{told}`:\n{}\n{lines:?}",
                self.stdout.text()
            );
        }
    }

    /// The most memory that the command had in use until now, in bytes: VmHWM, proc_pid_status(5).
    pub fn peak_memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.with_context(|| format!("{path} has no VmHWM"))?;
        let kibibytes: u64 = kibibytes.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// How many descriptors the command holds open now.
    pub fn descriptors(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.pid());
        let entries = fs::read_dir(&path).with_context(|| format!("cannot list {path}"))?;
        Ok(entries.count())
    }

    /// The audit file so far.
    pub fn audit(&self) -> Result<Audit> {
        Audit::read(&audit_file(self.place.path()))
    }

    /// Kills the command and collects what it left.
    pub fn kill(mut self) -> Result<Ended> {
        self.child.kill().context("cannot kill the guest")?;
        self.wait(Duration::from_secs(10))
    }

    /// Waits for the guest's own end; one that outlives `wait` is killed and is an error.
    pub fn wait(mut self, wait: Duration) -> Result<Ended> {
        let deadline = Instant::now() + wait;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} did not end within {wait:?}; stdout:\n{}\nstderr:\n{}",
                    self.line,
                    self.stdout.text(),
                    self.stderr.text()
                );
            }
            thread::sleep(Duration::from_millis(2));
        };
        let moment = Duration::from_secs(5);
        if !self.stdout.wait_for_end(moment) || !self.stderr.wait_for_end(moment) {
            bail!(
                "{} ended, and something it started holds its pipes",
                self.line
            );
        }
        let syscalls = match self.traced {
            true => Some(SyscallLog::read(
                &syscall_file(self.place.path()),
                self.pid(),
            )?),
            false => None,
        };
        Ok(Ended {
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            audit: self.audit()?,
            syscalls,
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a guest that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// The command's exit status, which is the guest's.
    pub status: ExitStatus,
    /// Everything it printed, without the final line end.
    pub stdout: String,
    /// Its errors, and the command's trace and messages.
    pub stderr: String,
    /// The audit file.
    pub audit: Audit,
    /// Socket calls of the command, where [`GuestRun::strace`] asked for them.
    pub syscalls: Option<SyscallLog>,
}

impl Ended {
    /// Itself if the guest ended with 0, else an error that shows what it printed.
    pub fn success(self) -> Result<Ended> {
        if !self.status.success() {
            bail!(
                "the guest ended with {}; stdout:\n{}\nstderr:\n{}",
                self.status,
                self.stdout,
                self.stderr
            );
        }
        Ok(self)
    }

    /// The log of system calls.
    ///
    /// # Errors
    /// The guest ran without [`GuestRun::strace`].
    pub fn syscalls(&self) -> Result<&SyscallLog> {
        self.syscalls
            .as_ref()
            .context("this guest ran without strace: add `.strace(...)` to its GuestRun")
    }
}
