//! What the kernel refuses to a confined process, tried with the very calls that an intruder would make. The
//! policy is not asked here at all: this is the wall that stands when it, or the sandbox, has failed.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::AsRawFd;

use libc::{c_int, c_long};
use sockgate_policy::{Mode, Policy, Reach};

use super::*;
use crate::confine::Confinement;

/// What a call answered: 0, or its errno.
type Outcome = (&'static str, c_int);

/// Confines a process of its own (the child of fork(2) has one thread), makes these calls there, and gives
/// what they answered, in their order.
fn confined(walls: Confinement, calls: impl FnOnce() -> Vec<Outcome>) -> Vec<(String, c_int)> {
    let (mut report, told) = std::io::pipe().unwrap();
    // SAFETY: the child touches nothing but its own copy of this test, and ends below.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", Errno::last());
    if child == 0 {
        let text = match walls.apply() {
            Ok(gaps) if gaps.iter().all(|gap| gap.wall == "landlock") => {
                let lines = calls()
                    .into_iter()
                    .map(|(name, error)| format!("{name} {error}\n"));
                lines.collect::<String>()
            }
            Ok(gaps) => format!("{gaps:?} 0\n"),
            Err(error) => format!("{error} 0\n"),
        };
        // SAFETY: the text lives until the call returns; nothing runs after _exit.
        unsafe {
            libc::write(told.as_raw_fd(), text.as_ptr().cast(), text.len());
            libc::_exit(0);
        }
    }
    drop(told);
    let mut text = String::new();
    report.read_to_string(&mut text).unwrap();
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let outcome = |line: &str| {
        let (name, error) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), error.parse().unwrap())
    };
    text.lines().map(outcome).collect()
}

fn reach(lines: &[&str]) -> Reach {
    let each = lines.iter().map(|line| Policy::allow_line(line).unwrap());
    let policy = each.fold(Policy::deny_all(), |all, one| all.merge(one).unwrap());
    policy.reach()
}

fn call(name: &'static str, result: c_long) -> Outcome {
    let error = if result < 0 {
        // SAFETY: the C library's errno is a number of this thread.
        unsafe { *libc::__errno_location() }
    } else {
        0
    };
    (name, error)
}

/// system call by number, with these arguments.
macro_rules! raw {
    ($name:expr, $call:expr $(, $argument:expr)*) => {
        // SAFETY: whatever the call does, it does to a process that ends after it.
        call($name, unsafe { libc::syscall($call $(, $argument)*) })
    };
}

fn socket(name: &'static str, family: c_int, style: c_int, protocol: c_int) -> Outcome {
    raw!(name, libc::SYS_socket, family, style, protocol)
}

fn open(name: &'static str, path: &str, flags: c_int) -> Outcome {
    let path = CString::new(path).unwrap();
    raw!(
        name,
        libc::SYS_openat,
        libc::AT_FDCWD,
        path.as_ptr(),
        flags,
        0o600
    )
}

/// connect(2) or bind(2) of a TCP socket on loopback.
fn tcp(name: &'static str, number: c_long, port: u16) -> Outcome {
    // SAFETY: zeros are a socket address, whose fields are filled below.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    if socket < 0 {
        return call(name, -1);
    }
    raw!(
        name,
        number,
        socket,
        &address,
        size_of::<libc::sockaddr_in>()
    )
}

fn told(outcomes: &[(String, c_int)]) -> Vec<(&str, c_int)> {
    outcomes
        .iter()
        .map(|(name, error)| (name.as_str(), *error))
        .collect()
}

const WALLED: c_int = libc::EPERM;

/// So that nothing is lost where a wall does not stand.
const NOWHERE: &std::ffi::CStr = c"/no/such/file";

/// Whether this kernel has all of Landlock that is used; a skip of the test `name` where it has not.
fn has_landlock(name: &str) -> bool {
    let has = landlock_version().is_ok_and(|version| version >= 6);
    if !has {
        println!("@skip {name}: this kernel has no Landlock of version 6");
    }
    has
}

#[test]
fn a_confined_process_starts_nothing_and_takes_over_nothing() {
    let outcomes = confined(Confinement::new(Reach::default()), || {
        let shell = CString::new("/bin/sh").unwrap();
        let list = [shell.as_ptr(), std::ptr::null()];
        let none = std::ptr::null::<u8>();
        vec![
            raw!(
                "execve",
                libc::SYS_execve,
                shell.as_ptr(),
                list.as_ptr(),
                none
            ),
            raw!(
                "execveat",
                libc::SYS_execveat,
                libc::AT_FDCWD,
                shell.as_ptr(),
                list.as_ptr(),
                none,
                0
            ),
            raw!("fork by clone", libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0),
            raw!("clone3", libc::SYS_clone3, none, 0),
            raw!("unshare", libc::SYS_unshare, libc::CLONE_NEWUSER),
            raw!("setns", libc::SYS_setns, 0, 0),
            raw!(
                "ptrace",
                libc::SYS_ptrace,
                libc::PTRACE_ATTACH,
                libc::getppid(),
                0,
                0
            ),
            raw!(
                "process_vm_writev",
                libc::SYS_process_vm_writev,
                1,
                none,
                0,
                none,
                0,
                0
            ),
            raw!("kill", libc::SYS_kill, libc::getppid(), 0),
            raw!(
                "tgkill another",
                libc::SYS_tgkill,
                libc::getppid(),
                libc::getppid(),
                0
            ),
            raw!("pidfd_open", libc::SYS_pidfd_open, 1, 0),
            raw!(
                "mount",
                libc::SYS_mount,
                none,
                shell.as_ptr(),
                none,
                0,
                none
            ),
            raw!("chroot", libc::SYS_chroot, shell.as_ptr()),
            raw!("bpf", libc::SYS_bpf, 0, none, 0),
            raw!(
                "perf_event_open",
                libc::SYS_perf_event_open,
                none,
                0,
                -1,
                -1,
                0
            ),
            raw!("io_uring_setup", libc::SYS_io_uring_setup, 1, none),
            raw!("keyctl", libc::SYS_keyctl, 0, 0, 0, 0, 0),
            raw!("userfaultfd", libc::SYS_userfaultfd, 0),
            raw!("init_module", libc::SYS_init_module, none, 0, none),
            raw!("setuid", libc::SYS_setuid, 0),
            raw!("personality", libc::SYS_personality, 0x0400000),
            raw!("sethostname", libc::SYS_sethostname, none, 7),
            raw!(
                "prctl dumpable",
                libc::SYS_prctl,
                libc::PR_SET_DUMPABLE,
                1,
                0,
                0,
                0
            ),
            raw!(
                "ioctl TIOCSTI",
                libc::SYS_ioctl,
                0,
                libc::TIOCSTI,
                shell.as_ptr()
            ),
            raw!(
                "unlink",
                libc::SYS_unlinkat,
                libc::AT_FDCWD,
                NOWHERE.as_ptr(),
                0
            ),
            raw!("listen", libc::SYS_listen, 0, 1),
        ]
    });
    assert_eq!(outcomes.len(), 26, "{outcomes:?}");
    for (name, error) in outcomes {
        let wanted = if name == "clone3" {
            libc::ENOSYS
        } else {
            WALLED
        };
        assert_eq!(error, wanted, "{name}");
    }
}

#[test]
fn no_code_is_made_unless_that_was_asked_for() {
    fn map(name: &'static str, protection: c_int) -> Outcome {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        raw!(name, libc::SYS_mmap, 0, 4096, protection, flags, -1, 0)
    }
    fn calls() -> Vec<Outcome> {
        let write = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new page, wherever the kernel likes.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                write,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        vec![
            map("writable", write),
            map("executable", libc::PROT_READ | libc::PROT_EXEC),
            raw!(
                "made executable",
                libc::SYS_mprotect,
                page,
                4096,
                libc::PROT_READ | libc::PROT_EXEC
            ),
            raw!(
                "made unwritable",
                libc::SYS_mprotect,
                page,
                4096,
                libc::PROT_READ
            ),
        ]
    }
    let walls = Confinement::new(Reach::default());
    assert_eq!(
        told(&confined(walls.clone(), calls)),
        [
            ("writable", 0),
            ("executable", WALLED),
            ("made executable", WALLED),
            ("made unwritable", 0)
        ]
    );
    let outcomes = confined(walls.makes_code(), calls);
    assert!(
        outcomes.iter().all(|(_, error)| *error == 0),
        "{outcomes:?}"
    );
}

/// One socket of each kind, as an intruder would try them.
fn every_kind() -> Vec<Outcome> {
    use libc::{
        AF_ALG, AF_CAN, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK, SOCK_DGRAM,
        SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
    };
    vec![
        socket("tcp", AF_INET, SOCK_STREAM, 0),
        socket(
            "tcp by number",
            AF_INET,
            SOCK_STREAM | libc::SOCK_CLOEXEC,
            6,
        ),
        socket("mptcp", AF_INET, SOCK_STREAM, 262),
        socket("tcp6", AF_INET6, SOCK_STREAM, 0),
        socket("udp", AF_INET, SOCK_DGRAM, 0),
        socket("icmp raw", AF_INET, SOCK_RAW, 1),
        socket("unix", AF_UNIX, SOCK_STREAM, 0),
        socket("unix datagram", AF_UNIX, SOCK_DGRAM, 0),
        socket("netlink", AF_NETLINK, SOCK_RAW, libc::NETLINK_ROUTE),
        socket("netfilter", AF_NETLINK, SOCK_RAW, libc::NETLINK_NETFILTER),
        socket("packet", AF_PACKET, SOCK_RAW, 0x0300),
        socket("can", AF_CAN, SOCK_RAW, 1),
        socket("alg", AF_ALG, SOCK_SEQPACKET, 0),
        socket("vsock", AF_VSOCK, SOCK_STREAM, 0),
    ]
}

/// Those of them that the wall did not refuse, whatever the kernel said then.
fn passed(lines: &[&str]) -> Vec<String> {
    let outcomes = confined(Confinement::new(reach(lines)), every_kind);
    assert_eq!(outcomes.len(), 14, "{outcomes:?}");
    let passed = outcomes.into_iter().filter(|(_, error)| *error != WALLED);
    passed.map(|(name, _)| name).collect()
}

#[test]
fn a_socket_that_no_rule_names_is_refused_by_the_kernel() {
    for (lines, wanted) in [
        (&[][..], &[][..]),
        (&["unix-stream connect /run/x.sock"], &["unix"]),
        (&["vsock connect cid=2 port=1000"], &["vsock"]),
        (&["alg bind alg-type=hash name=sha256"], &["alg"]),
        // The host asks netlink which interfaces there are.
        (
            &["tcp4 connect 127.0.0.1:80"],
            &["tcp", "tcp by number", "netlink"],
        ),
        (&["udp4 send-to 127.0.0.1:80"], &["udp", "netlink"]),
        (&["can bind,receive interface=can0"], &["netlink", "can"]),
        // Names are looked up by UDP, TCP, and the machine's own services.
        (
            &["resolve example.com"],
            &[
                "tcp",
                "tcp by number",
                "tcp6",
                "udp",
                "unix",
                "unix datagram",
                "netlink",
            ],
        ),
    ] {
        assert_eq!(passed(lines), wanted, "{lines:?}");
    }
}

#[test]
fn files_are_out_of_reach() {
    if !has_landlock("files_are_out_of_reach") {
        return;
    }
    let place = std::env::temp_dir().join(format!("sockgate-confine-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let own = place.join("own");
    let calls = || {
        vec![
            open("read", "/etc/hostname", libc::O_RDONLY),
            open(
                "write",
                "/tmp/sockgate-intruder",
                libc::O_WRONLY | libc::O_CREAT,
            ),
            open("own", own.to_str().unwrap(), libc::O_RDWR | libc::O_CREAT),
            open("memory", "/proc/self/mem", libc::O_RDWR),
            raw!(
                "unlink",
                libc::SYS_unlinkat,
                libc::AT_FDCWD,
                NOWHERE.as_ptr(),
                0
            ),
        ]
    };
    let walls = Confinement::new(Reach::default());
    let refused = [
        ("read", libc::EACCES),
        ("write", libc::EACCES),
        ("own", libc::EACCES),
        ("memory", libc::EACCES),
        ("unlink", WALLED),
    ];
    assert_eq!(told(&confined(walls.clone(), calls)), refused);
    let mut with_own = refused;
    with_own[2].1 = 0;
    with_own[4].1 = libc::ENOENT;
    assert_eq!(told(&confined(walls.directory(&place), calls)), with_own);
    assert!(own.exists());
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn ports_that_no_rule_names_are_refused_by_the_kernel() {
    if !has_landlock("ports_that_no_rule_names_are_refused_by_the_kernel") {
        return;
    }
    let calls = || {
        vec![
            tcp("connect", libc::SYS_connect, 9),
            tcp("connect elsewhere", libc::SYS_connect, 10),
            tcp("bind", libc::SYS_bind, 9),
            tcp("bind to any", libc::SYS_bind, 0),
            tcp("bind elsewhere", libc::SYS_bind, 40009),
        ]
    };
    let outcomes = confined(
        Confinement::new(reach(&["tcp4 connect 127.0.0.1:9"])),
        calls,
    );
    assert_eq!(
        told(&outcomes),
        [
            ("connect", libc::ECONNREFUSED),
            ("connect elsewhere", libc::EACCES),
            ("bind", libc::EACCES),
            ("bind to any", 0),
            ("bind elsewhere", libc::EACCES),
        ]
    );
    let server = confined(
        Confinement::new(reach(&["tcp4 listen 127.0.0.1:40009"])),
        calls,
    );
    let refused: Vec<_> = told(&server)
        .into_iter()
        .filter(|(_, error)| *error == libc::EACCES)
        .collect();
    let names: Vec<_> = refused.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["connect", "connect elsewhere", "bind", "bind to any"]
    );
}

#[test]
fn abstract_names_of_others_are_refused_by_the_kernel() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    if !has_landlock("abstract_names_of_others_are_refused_by_the_kernel") {
        return;
    }
    let name = format!("sockgate-confine-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _other = UnixListener::bind_addr(&address).unwrap();
    for (rule, wanted) in [
        ("unix-stream connect /run/x.sock", libc::EPERM),
        ("unix-stream connect @sockgate-*", 0),
    ] {
        let outcomes = confined(Confinement::new(reach(&[rule])), || {
            let error = UnixStream::connect_addr(&address).err();
            let number = error.map(|error| error.raw_os_error().unwrap_or(-1));
            vec![("connect", number.unwrap_or(0))]
        });
        assert_eq!(told(&outcomes), [("connect", wanted)], "{rule}");
    }
}

#[test]
fn threads_and_sleep_go_on() {
    let outcomes = confined(Confinement::new(Reach::default()), || {
        let thread = std::thread::Builder::new()
            .name("later".to_owned())
            .spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                // A thread is as confined as the one that made it.
                socket("tcp", libc::AF_INET, libc::SOCK_STREAM, 0)
            });
        match thread.map(std::thread::JoinHandle::join) {
            Ok(Ok(outcome)) => vec![outcome],
            _ => vec![("no thread", -1)],
        }
    });
    assert_eq!(told(&outcomes), [("tcp", WALLED)]);
}

#[test]
fn a_mode_that_lets_everything_through_is_told_as_a_gap() {
    let everything = Policy::deny_all().with_mode(Mode::Audit).reach();
    let outcomes = confined(Confinement::new(everything), Vec::new);
    let [(gaps, 0)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(
        gaps.contains("policy") && gaps.contains("its mode"),
        "{gaps}"
    );
}

#[test]
fn a_process_with_threads_is_not_confined() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        let _ = wait.recv();
    });
    let refused = Confinement::new(Reach::default()).apply();
    drop(done);
    other.join().unwrap();
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("threads, and only one can be confined"),
        "{error}"
    );
}

#[test]
fn users_are_found_by_name_and_number() {
    let root = User::find("root").unwrap();
    assert_eq!(User::find("0").unwrap(), root);
    assert_ne!(User::find("0:7").unwrap(), root);
    for wrong in ["no such user", "4294967295", "1:", "x:y", "-1", "a\0b", ""] {
        let error = User::find(wrong).unwrap_err();
        assert!(matches!(error, UserError::Unknown(_)), "{wrong}: {error}");
    }
}
