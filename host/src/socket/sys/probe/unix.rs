//! Sockets of this machine alone: unix(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use libc::{c_int, socklen_t};
use sockgate_policy::{Family, MessageFlags, SocketType, UnixAddress};

use super::super::cmsg::ControlIn;
use super::super::{Errno, Result, check, check_descriptor, life, message, option, unix};
use super::find::{Finding, Source, built};
use super::look::{Kind, Look, Setting, Trial, or_exhausted};

const SO_PASSPIDFD: c_int = 76;
const SO_PEERPIDFD: c_int = 77;
const SO_PASSRIGHTS: c_int = 83;
/// Room for an ancillary message with a label.
const CONTROL: usize = 4096;

const UNIX: Source = built("CONFIG_UNIX", "unix");
const LABELS: Source = Source::Told(
    "a security module that labels sockets: SELinux, Smack or AppArmor (lsm= on the kernel's command line)",
);

const fn kind(socket_type: &'static str, style: c_int) -> Kind {
    Kind::new(socket_type, None, (libc::AF_UNIX, style, 0), UNIX)
}

/// Options that are tried on one end of a connected pair.
const CONNECTED: [Setting; 5] = [
    Setting::new(
        "SO_PASSCRED",
        libc::SOL_SOCKET,
        libc::SO_PASSCRED,
        Source::Since(2, 2),
    ),
    Setting::new(
        "SO_PASSPIDFD",
        libc::SOL_SOCKET,
        SO_PASSPIDFD,
        Source::Since(6, 5),
    ),
    Setting::new(
        "SO_PASSRIGHTS",
        libc::SOL_SOCKET,
        SO_PASSRIGHTS,
        Source::Since(6, 16),
    ),
    Setting::new(
        "SO_PEERGROUPS",
        libc::SOL_SOCKET,
        libc::SO_PEERGROUPS,
        Source::Since(4, 13),
    )
    .tried_with(Trial::Get(option::MAXIMUM_LENGTH)),
    Setting::new("SO_PEERSEC", libc::SOL_SOCKET, libc::SO_PEERSEC, LABELS)
        .tried_with(Trial::Get(4096)),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    let stream = kind("stream", libc::SOCK_STREAM);
    let socket = look.kind("unix", &stream)?;
    let ends = pair(SocketType::Stream)?;
    let end = ends.as_ref().map(|(end, _)| end);
    for setting in &CONNECTED {
        look.setting(stream.place("unix", setting.name), setting, end)?;
    }
    let finding = judged(look, end, "getsockopt(2)", Source::Since(6, 5), peer_pidfd)?;
    look.tell(stream.place("unix", "SO_PEERPIDFD"), finding);
    let finding = judged(
        look,
        end,
        "send(2)",
        built("CONFIG_AF_UNIX_OOB", ""),
        urgent,
    )?;
    look.tell(stream.place("unix", "MSG_OOB"), finding);
    let finding = judged(look, socket.as_ref(), "bind(2)", UNIX, bind_automatically)?;
    look.tell(stream.place("unix", "abstract names"), finding);

    let datagram = kind("datagram", libc::SOCK_DGRAM);
    look.kind("unix", &datagram)?;
    let finding = labels(look)?;
    look.tell(datagram.place("unix", "SO_PASSSEC"), finding);
    look.kinds("unix", &[kind("seqpacket", libc::SOCK_SEQPACKET)])
}

/// socketpair(2); none where there are no such sockets, which the row of the socket says.
fn pair(socket_type: SocketType) -> Result<Option<(OwnedFd, OwnedFd)>> {
    let kind = sockgate_policy::Kind {
        family: Family::Unix,
        socket_type,
        protocol: 0,
    };
    Ok(or_exhausted(life::pair(kind))?.ok())
}

/// What a trial says that is one call.
fn judged(
    look: &Look<'_>,
    socket: Option<&OwnedFd>,
    call: &str,
    source: Source,
    trial: fn(BorrowedFd<'_>) -> Result<()>,
) -> Result<Finding> {
    let Some(socket) = socket else {
        return Ok(look.without_socket());
    };
    Ok(match or_exhausted(trial(socket.as_fd()))? {
        Ok(()) => Finding::works(""),
        Err(error) => look.kernel.refused(call, error, &source, None),
    })
}

/// SO_PEERPIDFD, which gives a descriptor: it is closed at once.
fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<()> {
    let mut number: c_int = -1;
    let mut length = size_of::<c_int>() as socklen_t;
    // SAFETY: `number` has room for `length` bytes.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut number).cast(),
            &mut length,
        )
    })?;
    // SAFETY: the call succeeded, so it is a new descriptor that nobody else knows.
    unsafe { check_descriptor(number) }.map(drop)
}

/// One urgent byte.
fn urgent(socket: BorrowedFd<'_>) -> Result<()> {
    message::send(socket, b"!", MessageFlags::OOB).map(drop)
}

/// The kernel's own choice of an abstract name, so that no name of another program is taken.
fn bind_automatically(socket: BorrowedFd<'_>) -> Result<()> {
    life::bind(socket, &unix::encode(&UnixAddress::Unnamed)?)
}

/// SO_PASSSEC: every kernel lets it be set, and only a security module with labels makes something come.
fn labels(look: &Look<'_>) -> Result<Finding> {
    let Some((from, to)) = pair(SocketType::Datagram)? else {
        return Ok(look.without_socket());
    };
    let switched = option::set_int(to.as_fd(), libc::SOL_SOCKET, libc::SO_PASSSEC, 1);
    if let Err(error) = or_exhausted(switched)? {
        return Ok(look.kernel.refused("setsockopt(2)", error, &LABELS, None));
    }
    Ok(match or_exhausted(label(from.as_fd(), to.as_fd()))? {
        Ok(Some(label)) => Finding::works(label),
        Ok(None) => Finding::limited(
            "it can be set, and messages come without a label",
            look.kernel.missing(&LABELS),
        ),
        Err(error) => look.kernel.refused("recvmsg(2)", error, &LABELS, None),
    })
}

/// The label of a message between the two.
fn label(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<Option<String>> {
    message::send(from, b"!", MessageFlags::empty())?;
    let mut buffer = BytesMut::new();
    let kind = sockgate_policy::Kind::new(Family::Unix, SocketType::Datagram);
    let got = message::recv_message(to, kind, &mut buffer, 1, CONTROL, MessageFlags::empty())?;
    if got.true_length != 1 {
        return Err(Errno::BADMSG);
    }
    Ok(got.control.into_iter().find_map(|part| match part {
        ControlIn::Security(label) => Some(String::from_utf8_lossy(&label).into_owned()),
        _ => None,
    }))
}
