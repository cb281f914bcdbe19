//! A command inside User Mode Linux.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cache::Kernel;
use crate::order::{Order, file};

/// How a command is to run inside.
#[derive(Debug)]
pub struct Boot {
    /// The kernel.
    pub kernel: Kernel,
    /// The program `sockgate-kernel-init`, which the kernel starts first.
    pub init: PathBuf,
    /// Folders in which the command may write for good; all else is forgotten.
    pub writable: Vec<PathBuf>,
    /// How long it may take, the kernel's start included.
    pub limit: Duration,
    /// The memory that the kernel has, in MiB.
    pub memory: u32,
}

/// How it went.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// The command's exit status, or 128 and the number of the signal that ended it.
    Status(i32),
    /// The limit was reached.
    TimedOut,
    /// The kernel died under the command.
    Died,
    /// The kernel did not come as far as the command.
    NotStarted,
}

/// A kernel that is running, or has ended.
pub struct Booted {
    child: Child,
    /// What the command prints; taken by whoever reads it.
    pub stdout: Option<ChildStdout>,
    /// What the command prints as errors.
    pub stderr: Option<ChildStderr>,
    folder: TempDir,
}

/// What timeout(1) ends with.
const TIMED_OUT: [i32; 2] = [124, 137];

/// How many lines of the kernel's are told.
const LAST_LINES: usize = 40;

/// Keeps programs from AVX-512, whose registers this kernel does not save around a signal's handler: glibc's
/// string functions, and OpenSSL (the second word is EBX of CPUID's leaf 7).
const WITHOUT_AVX512: [(&str, &str); 2] = [
    (
        "GLIBC_TUNABLES",
        "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,-AVX512ER",
    ),
    ("OPENSSL_ia32cap", ":~0xd0230000"),
];

impl Boot {
    /// Starts the command: its program, arguments, folder and variables, beside this process's own variables.
    pub fn start(&self, command: &Command) -> Result<Booted> {
        let folder = tempfile::Builder::new()
            .prefix("sg-kernel-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let order = self.order(command)?;
        let path = folder.path().join(file::ORDER);
        fs::write(&path, serde_json::to_vec(&order)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut child = self
            .kernel_command(folder.path())?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start sh(1)")?;
        Ok(Booted {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            folder,
        })
    }

    fn order(&self, command: &Command) -> Result<Order> {
        let word = |word: &std::ffi::OsStr| -> Result<String> {
            let text = word.to_str();
            Ok(text
                .with_context(|| format!("{word:?} is no UTF-8"))?
                .to_owned())
        };
        let mut words = vec![word(command.get_program())?];
        for argument in command.get_args() {
            words.push(word(argument)?);
        }
        let folder = match command.get_current_dir() {
            Some(folder) => folder.to_path_buf(),
            None => std::env::current_dir()?,
        };
        Ok(Order {
            modules: self.kernel.modules()?,
            writable: self.writable.clone(),
            command: words,
            folder,
            environment: environment(command),
        })
    }

    /// The kernel on one CPU, under a time limit.
    ///
    /// It makes the descriptors of its consoles non-blocking, so they are pipes of its own; sh(1) moves them
    /// to 3 and 4, and what the kernel itself prints goes to the log.
    fn kernel_command(&self, folder: &Path) -> Result<Command> {
        let memory = memory_folder(self.memory);
        for path in [folder, &self.init, &memory] {
            if path.to_string_lossy().contains([' ', ',', '"']) {
                bail!(
                    "{} cannot stand on a kernel's command line: it has a space, a comma or a quote",
                    path.display()
                );
            }
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 3>&1 4>&2 >\"$0\" 2>&1"])
            .arg(folder.join(file::LOG))
            .args(["timeout", "--foreground", "--kill-after=5"])
            .arg(self.limit.as_secs().max(1).to_string())
            .args(["taskset", "--cpu-list", &cpu()])
            .arg("env")
            .arg(format!("TMPDIR={}", memory.display()));
        if has_amx() && self.kernel.shim().is_file() {
            command.arg(format!("LD_PRELOAD={}", self.kernel.shim().display()));
        }
        command
            .arg(self.kernel.program())
            .arg(format!("mem={}M", self.memory))
            .arg(format!("uml_dir={}/", folder.display()))
            .args(["umid=uml", "root=/dev/root", "rootfstype=hostfs"])
            .args(["rootflags=/", "ro", "panic=-1", "loglevel=4", "quiet"])
            .args(["con=null", "con0=null,fd:3", "con1=null,fd:4"])
            .args(["con2=null,fd:1", "console=tty2"])
            .arg(format!("init={}", self.init.display()))
            .arg("--")
            .arg(folder);
        Ok(command)
    }
}

/// This process's variables with the command's changes, and what tells programs where they run.
fn environment(command: &Command) -> BTreeMap<String, String> {
    let text = |word: std::ffi::OsString| word.into_string().ok();
    let mut all: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
        .collect();
    // What lies there is not shared.
    all.remove("TMPDIR");
    for (name, value) in command.get_envs() {
        let Some(name) = name.to_str() else {
            continue;
        };
        match value.and_then(std::ffi::OsStr::to_str) {
            Some(value) => all.insert(name.to_owned(), value.to_owned()),
            None => all.remove(name),
        };
    }
    for (name, value) in WITHOUT_AVX512 {
        all.insert(name.to_owned(), value.to_owned());
    }
    all.insert("SOCKGATE_KERNEL".to_owned(), "uml".to_owned());
    // Root's programs, also where an ordinary user started this.
    let path = all.entry("PATH".to_owned()).or_default();
    path.push_str(":/usr/sbin:/sbin:/usr/bin:/bin");
    all
}

/// Where the kernel's memory lies, as a file: /dev/shm if it has the room, else the temporary folder.
fn memory_folder(mebibytes: u32) -> PathBuf {
    let shared = "/dev/shm";
    let free = Command::new("df")
        .args(["--output=avail", "--block-size=1M", shared])
        .output();
    let room = free.ok().and_then(|answer| {
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        text.lines().last()?.trim().parse::<u32>().ok()
    });
    match room {
        Some(room) if room > mebibytes => PathBuf::from(shared),
        _ => std::env::temp_dir(),
    }
}

/// Whether this CPU has AMX, whose registers make ptrace(2)'s register set longer than the kernel expects.
fn has_amx() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains(" amx_tile"))
}

/// One CPU of those that this process may use: on several the kernel is 5 to 20 times slower.
fn cpu() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or("0");
    let cpus = expand(list.trim());
    // Kernels that run at once are spread.
    let turn = std::process::id() as usize % cpus.len().max(1);
    cpus.get(turn).copied().unwrap_or(0).to_string()
}

/// `0,2-3` as numbers.
fn expand(list: &str) -> Vec<u32> {
    list.split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

impl Booted {
    /// Waits for the end: how it went, and the last lines that the kernel printed.
    ///
    /// Whoever took stdout and stderr has to read them meanwhile.
    pub fn wait(mut self) -> Result<(Ended, String)> {
        let status = self.child.wait().context("cannot wait for the kernel")?;
        let place = self.folder.path();
        let number = fs::read_to_string(place.join(file::STATUS))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let ended = match (number, status.code()) {
            (Some(number), _) => Ended::Status(number),
            (None, Some(code)) if TIMED_OUT.contains(&code) => Ended::TimedOut,
            _ if place.join(file::STARTED).exists() => Ended::Died,
            _ => Ended::NotStarted,
        };
        Ok((ended, self.log()))
    }

    /// The last lines that the kernel has printed by now.
    fn log(&self) -> String {
        let path = self.folder.path().join(file::LOG);
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The kernel ends its own processes when it is asked to; kill(2) of it alone would not.
            let _ = Command::new("kill")
                .arg(self.child.id().to_string())
                .status();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(expand("0,2-4,7"), [0, 2, 3, 4, 7]);
        assert_eq!(expand("5"), [5]);
        assert!(expand("").is_empty());
    }

    #[test]
    fn a_command_takes_its_variables_along_and_keeps_from_avx512() {
        let mut command = Command::new("true");
        command.env("SOCKGATE_BIN", "/x").env_remove("HOME");
        let all = environment(&command);
        assert_eq!(all["SOCKGATE_BIN"], "/x");
        assert!(!all.contains_key("HOME"));
        assert_eq!(all["SOCKGATE_KERNEL"], "uml");
        assert!(all["GLIBC_TUNABLES"].contains("-AVX512F"));
        assert!(all["PATH"].contains("/usr/sbin"));
    }
}
