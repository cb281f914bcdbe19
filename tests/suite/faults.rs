//! The kernel refuses: every system call that an operation makes is made to fail, with each errno that its man
//! page has, by strace's -e inject. The guest gets the right errno and so does the audit log, nothing is left
//! open, and the next operation works.
//!
//! What came of each is written to `faults.json` in the folder `SOCKGATE_REPORTS`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sockgate_tests::{Guest, GuestRun, Syscall, Tool, folder, on_threads, oracle, patience};

/// What the guest `faults` can do.
const OPERATIONS: [&str; 36] = [
    "socket",
    "socketpair",
    "bind",
    "listen",
    "accept",
    "connect",
    "close",
    "poll",
    "poller",
    "wait",
    "sleep",
    "splice",
    "pass",
    "dup",
    "send",
    "recv",
    "send-msg",
    "recv-msg",
    "send-to",
    "recv-from",
    "send-many",
    "recv-many",
    "local-address",
    "peer-address",
    "get-option",
    "set-option",
    "take-error",
    "ioctl",
    "shutdown",
    "bind-unix",
    "connect-unix",
    "send-file",
    "interfaces",
    "host-name",
    "set-host-name",
    "look-up",
];

/// System calls with the errnos of their man pages (ERRORS), as far as this machine's arguments can meet them:
/// no EFAULT, no EBADF. EINPROGRESS of connect(2) is what every connect answers here.
const ERRNOS: &[(&str, &[&str])] = &[
    (
        "socket",
        &[
            "EACCES",
            "EAFNOSUPPORT",
            "EINVAL",
            "EMFILE",
            "ENFILE",
            "ENOBUFS",
            "ENOMEM",
            "EPROTONOSUPPORT",
        ],
    ),
    (
        "socketpair",
        &[
            "EAFNOSUPPORT",
            "EMFILE",
            "ENFILE",
            "ENOMEM",
            "EOPNOTSUPP",
            "EPROTONOSUPPORT",
        ],
    ),
    (
        "bind",
        &[
            "EACCES",
            "EADDRINUSE",
            "EADDRNOTAVAIL",
            "EINVAL",
            "ENOMEM",
            "EROFS",
        ],
    ),
    ("listen", &["EADDRINUSE", "EOPNOTSUPP"]),
    (
        "connect",
        &[
            "EACCES",
            "EADDRINUSE",
            "EADDRNOTAVAIL",
            "EALREADY",
            "ECONNREFUSED",
            "EINTR",
            "EISCONN",
            "ENETUNREACH",
            "EPERM",
            "EPROTOTYPE",
            "ETIMEDOUT",
        ],
    ),
    (
        "accept4",
        &[
            "EAGAIN",
            "ECONNABORTED",
            "EINTR",
            "EINVAL",
            "EMFILE",
            "ENFILE",
            "ENOBUFS",
            "ENOMEM",
            "EPERM",
            "EPROTO",
        ],
    ),
    ("sendto", SENDS),
    ("sendmsg", SENDS),
    ("sendmmsg", SENDS),
    ("recvfrom", RECEIVES),
    ("recvmsg", RECEIVES),
    ("recvmmsg", RECEIVES),
    ("getsockname", &["EINVAL", "ENOBUFS"]),
    ("getpeername", &["ENOBUFS", "ENOTCONN"]),
    ("getsockopt", &["EINVAL", "ENOMEM", "ENOPROTOOPT"]),
    (
        "setsockopt",
        &["EDOM", "EINVAL", "ENOMEM", "ENOPROTOOPT", "EPERM"],
    ),
    ("shutdown", &["ENOTCONN"]),
    ("ppoll", &["EINTR", "EINVAL", "ENOMEM"]),
    ("epoll_create1", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC", "EPERM"]),
    ("epoll_wait", &["EINTR", "EINVAL"]),
    ("epoll_pwait2", &["EINTR", "EINVAL"]),
    ("pipe2", &["EMFILE", "ENFILE"]),
    ("splice", &["EAGAIN", "EINVAL", "ENOMEM"]),
    ("sendfile", &["EAGAIN", "EINVAL", "EIO", "ENOMEM"]),
    ("ioctl", &["EINVAL", "ENOTTY"]),
    (
        "openat",
        &["EACCES", "EMFILE", "ENFILE", "ENOENT", "ENOMEM"],
    ),
    (
        "openat2",
        &[
            "EACCES", "EAGAIN", "ELOOP", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "EXDEV",
        ],
    ),
    ("newfstatat", &["EACCES", "ENOENT", "ENOMEM"]),
    ("readlink", &["EACCES", "ENOENT", "ENOMEM"]),
    ("unlinkat", &["EACCES", "EBUSY", "ENOENT", "EPERM", "EROFS"]),
    ("uname", &["EFAULT"]),
    ("sethostname", &["EINVAL", "EPERM"]),
    ("eventfd2", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("fcntl", &["EMFILE"]),
    ("fchmod", &["EPERM", "EROFS"]),
    ("chmod", &["EACCES", "ENOENT", "ENOMEM", "EPERM", "EROFS"]),
];
const SENDS: &[&str] = &[
    "EACCES",
    "EAGAIN",
    "ECONNRESET",
    "EDESTADDRREQ",
    "EINTR",
    "EINVAL",
    "EISCONN",
    "EMSGSIZE",
    "ENOBUFS",
    "ENOMEM",
    "ENOTCONN",
    "EPERM",
    "EPIPE",
];
const RECEIVES: &[&str] = &[
    "EAGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EINTR",
    "ENOMEM",
    "ENOTCONN",
];

/// What recvmsg(2) answers on a socket of the C library's own, netlink(7). Where it answers what only a socket that
/// somebody else has closed does, glibc ends the process.
const OWN_NETLINK: &[&str] = &["EINTR", "ENOBUFS", "ENOMEM"];

/// Calls that belong to threads, memory and the guest's own output, and what cannot be made to fail without
/// another effect: a close(2) that is not made leaves its descriptor open.
const NOT_SOCKETS: &[&str] = &[
    "write",
    "futex",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "sched_yield",
    "gettid",
    "getpid",
    "rt_sigprocmask",
    "clone3",
    "exit",
    "close",
    "clock_nanosleep",
    "clock_gettime",
    "membarrier",
    "tgkill",
    "rt_sigreturn",
    "sigaltstack",
    "getrandom",
];

/// Where the guest is told something else than the errno itself: operation, call, errno (`*` is any), answers.
/// `ok` is what follows from trying again, or from doing without.
const OTHERWISE: &[(&str, &str, &str, &[&str])] = &[
    // It waits, and tries again.
    ("*", "*", "EAGAIN", &["ok", "again", "timedout"]),
    ("*", "ppoll", "EINTR", &["ok", "timedout"]),
    ("*", "epoll_pwait2", "EINTR", &["ok"]),
    // The C library tries again.
    ("interfaces", "*", "EINTR", &["ok"]),
    // accept(2): these are of one connection that is gone; the next one counts.
    ("accept", "accept4", "ECONNABORTED", &["ok"]),
    ("accept", "accept4", "EPROTO", &["ok"]),
    // The peer has gone by then, which the next call tells; and the guest itself does not ask of this accept.
    ("connect", "getpeername", "ENOTCONN", &["ok"]),
    ("connect", "accept4", "*", &["ok"]),
    // What arrived and cannot be looked at is closed; what has no peer is as good as unconnected.
    ("pass", "newfstatat", "*", &["ok"]),
    ("pass", "getsockopt", "*", &["ok"]),
    ("pass", "getsockname", "*", &["ok"]),
    ("pass", "getpeername", "*", &["ok"]),
    ("pass", "socket", "*", &["ok"]),
    // What leads elsewhere is refused, and so is a place that cannot be looked at.
    ("*", "openat2", "ELOOP", &["acces"]),
    ("*", "openat2", "EXDEV", &["acces"]),
    ("bind-unix", "newfstatat", "*", &["acces"]),
    // Where sock_diag(7) cannot be asked, SIOCUNIXFILE is; and what is not unlinked stays.
    ("bind-unix", "sendto", "*", &["ok"]),
    ("bind-unix", "recvfrom", "*", &["ok"]),
    ("bind-unix", "unlinkat", "*", &["ok"]),
];

/// Operations whose audit records name the errno of the call that failed. The others say nothing in the log, or
/// say it where the call itself was made.
const AUDITED: &[(&str, &str)] = &[
    ("socket", "socket"),
    ("socketpair", "socketpair"),
    ("bind", "bind"),
    ("listen", "listen"),
    ("accept", "accept4"),
    ("connect", "connect"),
    ("close", "socket"),
    ("send", "sendto"),
    ("send-to", "sendto"),
    ("send-msg", "sendmsg"),
    ("send-many", "sendmmsg"),
    ("recv", "recvfrom"),
    ("recv-from", "recvfrom"),
    ("set-option", "setsockopt"),
    ("get-option", "getsockopt"),
    ("shutdown", "shutdown"),
    ("bind-unix", "bind"),
    ("connect-unix", "connect"),
];

const POLICY: &str = r#"
version = 1
[[allow]]
id = "ip"
family = ["inet"]
ops = ["bind", "listen", "send-to", "receive"]
local = { cidr = ["127.0.0.1"], port = ["*"] }
peer = { cidr = ["127.0.0.1"], port = ["*"] }
[[allow]]
id = "client"
family = ["inet"]
ops = ["connect"]
cidr = ["127.0.0.1"]
[[allow]]
id = "pair"
family = ["unix"]
ops = ["socketpair", "splice", "descriptor-send", "descriptor-receive", "ioctl"]
kinds = ["socket"]
options = { get = ["*"], set = ["*"] }
ioctl = ["bytes-readable"]
[[allow]]
id = "path"
family = ["unix"]
ops = ["bind", "listen", "connect"]
local = { root = "${folder}", path = ["**"], unnamed = true }
peer = { root = "${folder}", path = ["**"], unnamed = true }
mode = "0666"
[[allow]]
id = "names"
ops = ["hostname", "set-hostname", "interfaces"]
[[allow]]
id = "own"
ops = ["resolve"]
host = ["localhost"]
host-may-be = ["loopback"]
"#;

/// What one run of an operation left.
struct Run {
    first: String,
    second: String,
    descriptors: usize,
    /// The calls of the guest's thread in the first time, each with its place among those of its name.
    calls: Vec<(String, usize)>,
    /// Whether strace made one of them fail.
    failed: bool,
    errnos: Vec<String>,
}

/// Runs an operation, with a call that fails or none; waits for the host to come down to `usual`
/// descriptors, and where that is nothing counts the fewest of a moment.
fn run(strace: &Path, operation: &str, fault: Option<&str>, usual: usize) -> Result<Run> {
    let (place, beneath) = (folder()?, folder()?);
    fs::write(place.path().join("file"), b"0123456789")?;
    let guest = GuestRun::new("faults");
    let guest = match fault {
        Some(fault) => guest.inject(fault),
        None => guest,
    };
    let guest = guest
        .policy_text(POLICY)
        .variable("folder", beneath.path().display())
        .directory(place.path(), "/w")
        .argument(operation)
        .argument(beneath.path().as_os_str())
        .strace_all(strace)
        .start()?;
    guest.wait_for_line("@end", patience())?;
    let deadline = Instant::now() + Duration::from_millis(if usual == 0 { 200 } else { 5000 });
    let mut descriptors = held(&guest, place.path())?;
    while descriptors > usual && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
        descriptors = descriptors.min(held(&guest, place.path())?);
    }
    fs::write(place.path().join("go"), b"")?;
    let ended = guest.wait(patience())?;
    ensure!(
        ended.status.success(),
        "it ended with {}: {}",
        ended.status,
        ended.stderr
    );
    ensure!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let told = |time: &str| -> Result<String> {
        let mut lines = ended.stdout.lines();
        let line = lines.find_map(|line| line.strip_prefix(time)?.strip_prefix(" -> "));
        Ok(line
            .with_context(|| format!("no `{time}` in {}", ended.stdout))?
            .to_owned())
    };
    let (calls, failed) = first_time(ended.syscalls()?.all())?;
    Ok(Run {
        first: told("first")?,
        second: told("second")?,
        descriptors,
        calls,
        failed,
        errnos: ended
            .audit
            .records()
            .iter()
            .map(|record| record.errno().to_owned())
            .collect(),
    })
}

/// How many descriptors the command holds, but for those of the folder in which the guest looks for a file.
fn held(guest: &Guest, place: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", guest.pid()))? {
        // One that was closed meanwhile is none.
        let file = fs::read_link(entry?.path());
        count += usize::from(file.is_ok_and(|file| !file.starts_with(place)));
    }
    Ok(count)
}

/// The calls of the guest's thread between its first two marks, and whether one was made to fail.
fn first_time(calls: &[Syscall]) -> Result<(Vec<(String, usize)>, bool)> {
    let is_mark = |call: &Syscall, mark: &str| call.name == "write" && call.line.contains(mark);
    let begin = calls
        .iter()
        .position(|call| is_mark(call, "\"@op"))
        .context("the guest did not begin")?;
    let thread = calls[begin].thread;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut found, mut failed) = (Vec::new(), false);
    for (at, call) in calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.thread == thread)
    {
        let count = counts.entry(&call.name).or_default();
        *count += 1;
        if at > begin && is_mark(call, "\"first") {
            break;
        }
        // Every other fcntl(2) is an assertion of std, before it closes a descriptor, that there is one.
        if at > begin && (call.name != "fcntl" || call.line.contains("F_DUPFD")) {
            found.push((call.name.clone(), *count));
            failed |= call.line.contains("(INJECTED)");
        }
    }
    Ok((found, failed))
}

/// One row of the table, ready to run.
struct Fault {
    operation: &'static str,
    call: &'static str,
    place: usize,
    errno: &'static str,
    /// Descriptors at the end of a run in which nothing fails.
    descriptors: usize,
}

/// An errno as guests and audit records name it.
fn name_of(errno: &str) -> String {
    errno.trim_start_matches('E').to_lowercase()
}

impl Fault {
    fn expected(&self) -> Vec<String> {
        let fits = |word: &str, own: &str| word == "*" || word == own;
        let otherwise = OTHERWISE.iter().find(|(operation, call, errno, _)| {
            fits(operation, self.operation) && fits(call, self.call) && fits(errno, self.errno)
        });
        match otherwise {
            Some((.., answers)) => answers.iter().map(|answer| (*answer).to_owned()).collect(),
            None => vec![name_of(self.errno)],
        }
    }

    /// Makes it fail: what came of it, and what was wrong about that.
    fn inject(&self, strace: &Path) -> Result<(Value, Option<String>)> {
        let fault = format!("{}:error={}:when={}", self.call, self.errno, self.place);
        for _ in 0..4 {
            let run = run(strace, self.operation, Some(&fault), self.descriptors)
                .with_context(|| fault.clone())?;
            if !run.failed {
                // Another thread's work has moved the count.
                continue;
            }
            let answer = run.first.split(' ').next().unwrap_or_default().to_owned();
            let mut wrong = Vec::new();
            if !self.expected().contains(&answer) {
                wrong.push(format!("the guest got `{}`", run.first));
            }
            let audited = AUDITED.contains(&(self.operation, self.call));
            if audited && answer != "ok" && !run.errnos.contains(&answer) {
                wrong.push(format!("the audit names no `{answer}`"));
            }
            if !run.second.starts_with("ok") && self.operation != "wait" {
                wrong.push(format!("the next operation got `{}`", run.second));
            }
            // What was sent and not read is in flight: the host keeps its sender, to count it.
            let in_flight = usize::from((self.operation, self.call) == ("pass", "recvmsg"));
            if run.descriptors > self.descriptors + in_flight {
                wrong.push(format!(
                    "{} descriptors, {} without the fault",
                    run.descriptors, self.descriptors
                ));
            }
            let row = json!({
                "operation": self.operation, "syscall": self.call, "place": self.place, "errno": self.errno,
                "guest": run.first, "next": run.second, "descriptors": run.descriptors,
            });
            let wrong = (!wrong.is_empty())
                .then(|| format!("{} {fault}: {}", self.operation, wrong.join("; ")));
            return Ok((row, wrong));
        }
        bail!("{} {fault}: the call was not made", self.operation)
    }
}

/// Every call of every operation, with every errno.
fn table(strace: &Path) -> Result<Vec<Fault>> {
    let runs = on_threads(&OPERATIONS, |operation| {
        run(strace, operation, None, 0).with_context(|| format!("{operation} without a fault"))
    })?;
    let mut table = Vec::new();
    for (operation, run) in OPERATIONS.into_iter().zip(runs) {
        let fine = run.first.starts_with("ok") || operation == "wait";
        ensure!(fine, "{operation} without a fault got `{}`", run.first);
        let mut seen = Vec::new();
        for (name, place) in &run.calls {
            if NOT_SOCKETS.contains(&name.as_str()) || seen.contains(name) {
                continue;
            }
            seen.push(name.clone());
            let Some((call, errnos)) = ERRNOS.iter().find(|(known, _)| known == name) else {
                bail!("`{operation}` makes the system call {name}, for which ERRNOS has no row");
            };
            let errnos = match (operation, *call) {
                ("interfaces", "recvmsg") => OWN_NETLINK,
                _ => errnos,
            };
            table.extend(errnos.iter().map(|errno| Fault {
                operation,
                call,
                place: *place,
                errno,
                descriptors: run.descriptors,
            }));
        }
    }
    Ok(table)
}

#[test]
fn faults_of_the_kernel_reach_the_guest_and_leave_nothing() -> Result<()> {
    let Some(strace) = oracle(
        Tool::Strace,
        "faults_of_the_kernel_reach_the_guest_and_leave_nothing",
    ) else {
        return Ok(());
    };
    let table = table(&strace)?;
    let outcomes = on_threads(&table, |fault| fault.inject(&strace))?;
    let (rows, wrong): (Vec<Value>, Vec<Option<String>>) = outcomes.into_iter().unzip();
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    println!("{} faults", rows.len());
    if let Some(folder) = env::var_os("SOCKGATE_REPORTS") {
        let path = PathBuf::from(folder).join("faults.json");
        let report = json!({"injected": rows.len(), "wrong": wrong, "faults": rows});
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(&path, format!("{report:#}\n"))?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
