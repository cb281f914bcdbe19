//! The filter of system calls, seccomp(2): what is listed here goes on, everything else is refused with
//! EPERM.
//!
//! Calls that need no look at their arguments cost next to nothing: the kernel keeps the answer for each.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use sockgate_policy::{Family, Kind, KindReach, Protocols, Reach, SocketType};

use super::super::kind;

/// Why the filter does not stand.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It could not be written for this processor.
    #[error("there is no filter for this processor")]
    Processor,
    /// The kernel did not take it.
    #[error("the kernel refused it: {0}")]
    Refused(seccompiler::Error),
}

/// What the process goes on doing beside its sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    /// It makes, renames and removes files.
    pub files: bool,
    /// It makes code: compiles guests, or loads compiled ones.
    pub code: bool,
}

/// Calls that go on whatever their arguments are.
const ALWAYS: &[c_long] = &[
    // Data, and waiting for it.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    // Sockets that are there.
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Descriptors and files. Which files is Landlock's business.
    libc::SYS_close,
    libc::SYS_fcntl,
    // A socket that can do nothing in the place of one that has to end.
    libc::SYS_dup3,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fadvise64,
    libc::SYS_memfd_create,
    libc::SYS_getcwd,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads, signals that they handle, time.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // What it may know of itself and the machine.
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    // Refused by the filter before this one, in a way that the C library understands.
    libc::SYS_clone3,
];

/// The older names that x86-64 has for some of them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_pipe,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Calls that change files.
const FILES: &[c_long] = &[
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_fallocate,
    libc::SYS_copy_file_range,
];
#[cfg(target_arch = "x86_64")]
const OLDER_FILES: &[c_long] = &[libc::SYS_chmod, libc::SYS_unlink, libc::SYS_rename];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_FILES: &[c_long] = &[];

/// Requests of ioctl(2): what waits in a socket, what interfaces are called, whether a stream is a terminal.
/// Not among them is TIOCSTI, which types into the terminal of whoever started this.
const REQUESTS: &[u64] = &[
    libc::FIONREAD,
    libc::TIOCOUTQ,
    libc::FIONBIO,
    libc::TCGETS,
    libc::TIOCGWINSZ,
    // SIOCATMARK, SIOCUNIXFILE, SIOCGIFNAME, SIOCGIFINDEX, IOCTL_VM_SOCKETS_GET_LOCAL_CID
    0x8905,
    0x89e0,
    0x8910,
    0x8933,
    0x7b9,
];

/// PR_SET_VMA, prctl(2): the C library names its memory.
const PR_SET_VMA: u64 = 0x5356_4d41;

/// One rule of one system call: all its conditions hold.
type Conditions = Vec<SeccompCondition>;

fn argument(place: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(place, SeccompCmpArgLen::Dword, op, value)
}

fn is(place: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    argument(place, SeccompCmpOp::Eq, value)
}

/// Whether those bits of an argument that are in the mask have this value.
fn bits(place: u8, mask: c_int, value: c_int) -> Result<SeccompCondition, BackendError> {
    let (mask, value) = (mask.cast_unsigned(), value.cast_unsigned());
    argument(place, SeccompCmpOp::MaskedEq(mask.into()), value.into())
}

/// What socket(2) is called with for a kind that the policy reaches.
fn sockets_of(reach: &KindReach) -> Result<Vec<Conditions>, BackendError> {
    let conditions =
        |protocol: Vec<SeccompCondition>| socket(reach.family, reach.socket_type, protocol);
    let number = |protocol: u32| {
        let kind = Kind {
            protocol,
            ..Kind::new(reach.family, reach.socket_type)
        };
        u64::from(kind::protocol(&kind).cast_unsigned())
    };
    match &reach.protocols {
        Protocols::AllBut(none) => {
            let others = none
                .iter()
                .map(|protocol| argument(2, SeccompCmpOp::Ne, number(*protocol)));
            Ok(vec![conditions(others.collect::<Result<_, _>>()?)?])
        }
        Protocols::Only(numbers) => {
            let usual = Kind::new(reach.family, reach.socket_type).protocol;
            // The default, as wasi:sockets asks for it.
            let default = numbers.contains(&usual).then_some(0);
            let numbers = numbers.iter().map(|protocol| number(*protocol));
            numbers
                .chain(default)
                .map(|protocol| conditions(vec![is(2, protocol)?]))
                .collect()
        }
    }
}

fn socket(
    family: Family,
    socket_type: SocketType,
    protocol: Conditions,
) -> Result<Conditions, BackendError> {
    // Its flags share the argument with the type.
    const TYPE: c_int = 0xf;
    let mut conditions = vec![
        is(0, u64::from(kind::domain(family).cast_unsigned()))?,
        bits(1, TYPE, kind::style(socket_type))?,
    ];
    conditions.extend(protocol);
    Ok(conditions)
}

/// Sockets that the host and the C library make for themselves, on the policy's behalf.
fn own_sockets(reach: &Reach) -> Result<Vec<Conditions>, BackendError> {
    use SocketType::{Datagram, Raw, Stream};
    let netlink = |socket_type, protocol: c_int| {
        let protocol = is(2, u64::from(protocol.cast_unsigned()))?;
        socket(Family::Netlink, socket_type, vec![protocol])
    };
    let mut own = Vec::new();
    if reach.knows_interfaces() || reach.resolves() {
        own.push(netlink(Raw, libc::NETLINK_ROUTE)?);
        own.push(netlink(Datagram, libc::NETLINK_ROUTE)?);
    }
    if reach.unix_binds().next().is_some() {
        own.push(netlink(Datagram, libc::NETLINK_SOCK_DIAG)?);
    }
    let generic = libc::NETLINK_GENERIC.cast_unsigned();
    if reach
        .kinds()
        .iter()
        .any(|kind| kind.family == Family::Netlink && kind.protocols.contains(generic))
    {
        own.push(netlink(Raw, libc::NETLINK_GENERIC)?);
    }
    if reach.resolves() {
        // Name servers, and services of the machine like nscd(8).
        for family in [Family::Inet, Family::Inet6] {
            for (style, protocol) in [(Datagram, libc::IPPROTO_UDP), (Stream, libc::IPPROTO_TCP)] {
                for protocol in [0, protocol.cast_unsigned()] {
                    own.push(socket(family, style, vec![is(2, protocol.into())?])?);
                }
            }
        }
        for style in [Stream, Datagram] {
            own.push(socket(Family::Unix, style, vec![is(2, 0)?])?);
        }
    }
    Ok(own)
}

/// Every call that goes on, with the arguments that it goes on with.
fn allowed(reach: &Reach, uses: Use) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let mut calls = BTreeMap::new();
    let mut always = |list: &[c_long]| calls.extend(list.iter().map(|call| (*call, Vec::new())));
    always(ALWAYS);
    always(OLDER);
    if uses.files {
        always(FILES);
        always(OLDER_FILES);
    }
    if reach.listens() {
        always(&[libc::SYS_listen]);
    }
    if reach.sets_hostname() {
        always(&[libc::SYS_sethostname]);
    }
    let mut with = |call: c_long, conditions: Vec<Conditions>| -> Result<(), BackendError> {
        let rules: Vec<_> = conditions
            .into_iter()
            .map(SeccompRule::new)
            .collect::<Result<_, _>>()?;
        // A call without rules would go on whatever its arguments are.
        if !rules.is_empty() {
            calls.insert(call, rules);
        }
        Ok(())
    };
    let each = |place: u8, values: &[u64]| -> Result<Vec<Conditions>, BackendError> {
        values
            .iter()
            .map(|value| Ok(vec![is(place, *value)?]))
            .collect()
    };
    with(libc::SYS_ioctl, each(1, REQUESTS)?)?;
    let named = [
        libc::PR_SET_NAME as u64,
        libc::PR_GET_NAME as u64,
        PR_SET_VMA,
    ];
    with(libc::SYS_prctl, each(0, &named)?)?;
    // Its own limits, its own threads; the number of this process does not change any more.
    with(libc::SYS_prlimit64, each(0, &[0])?)?;
    with(libc::SYS_tgkill, each(0, &[std::process::id().into()])?)?;
    // A thread of this process, in no namespace of its own.
    const NAMESPACES: c_int = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    let thread = bits(0, libc::CLONE_THREAD | NAMESPACES, libc::CLONE_THREAD)?;
    with(libc::SYS_clone, vec![vec![thread]])?;
    let executable = if uses.code { 0 } else { libc::PROT_EXEC };
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        with(call, vec![vec![bits(2, executable, 0)?]])?;
    }
    // Connected to itself alone: what signals wake.
    let unix = u64::from(libc::AF_UNIX.cast_unsigned());
    with(libc::SYS_socketpair, each(0, &[unix])?)?;
    let mut sockets = own_sockets(reach)?;
    for kind in reach.kinds() {
        sockets.extend(sockets_of(kind)?);
    }
    match reach.is_everything() {
        true => drop(calls.insert(libc::SYS_socket, Vec::new())),
        false => with(libc::SYS_socket, sockets)?,
    }
    Ok(calls)
}

/// Refuses to every thread of this process what it does not need any more, for good. It may gain no
/// privileges by then ([`super::no_new_privileges`]).
pub fn install(reach: &Reach, uses: Use) -> Result<(), FilterError> {
    let calls = allowed(reach, uses).map_err(|_| FilterError::Processor)?;
    // clone3(2) has its flags in memory, where no filter sees them; the C library falls back to clone(2)
    // where there is no such call.
    let no_such_call = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    for (calls, mismatch, matched) in [
        (no_such_call, SeccompAction::Allow, absent),
        (calls, refused, SeccompAction::Allow),
    ] {
        let program = program(calls, mismatch, matched).map_err(|_| FilterError::Processor)?;
        seccompiler::apply_filter_all_threads(&program).map_err(FilterError::Refused)?;
    }
    Ok(())
}

fn program(
    calls: BTreeMap<c_long, Vec<SeccompRule>>,
    mismatch: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(calls, mismatch, matched, processor)?.try_into()
}
