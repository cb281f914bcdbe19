//! Message flags, interests, readiness.

use sockgate_policy::MessageFlags;

use crate::bridge::bindings::sockgate::sockets::{readiness as wit_ready, types as wit};
use crate::socket::{Errno, Readiness, ReceivedFlags};

/// Both names of each flag that a call may carry.
const FLAGS: &[(wit::MessageFlags, MessageFlags)] = &[
    (wit::MessageFlags::OOB, MessageFlags::OOB),
    (wit::MessageFlags::PEEK, MessageFlags::PEEK),
    (wit::MessageFlags::DONT_ROUTE, MessageFlags::DONTROUTE),
    (wit::MessageFlags::DONT_WAIT, MessageFlags::DONTWAIT),
    (wit::MessageFlags::WAIT_ALL, MessageFlags::WAITALL),
    (wit::MessageFlags::TRUNC, MessageFlags::TRUNC),
    (wit::MessageFlags::NO_SIGNAL, MessageFlags::NOSIGNAL),
    (wit::MessageFlags::MORE, MessageFlags::MORE),
    (wit::MessageFlags::EOR, MessageFlags::EOR),
    (wit::MessageFlags::ERR_QUEUE, MessageFlags::ERRQUEUE),
    (wit::MessageFlags::FAST_OPEN, MessageFlags::FASTOPEN),
    (wit::MessageFlags::CONFIRM, MessageFlags::CONFIRM),
    (wit::MessageFlags::PROXY, MessageFlags::PROXY),
];

/// `inval` for those that are only ever reported; `opnotsupp` for MSG_ZEROCOPY, under which the kernel
/// would read the guest's memory after the call.
#[inline]
pub(crate) fn flags_from_wit(flags: wit::MessageFlags) -> Result<MessageFlags, Errno> {
    if flags == wit::MessageFlags::empty() {
        return Ok(MessageFlags::empty());
    }
    if flags.contains(wit::MessageFlags::CTRUNC) || flags.contains(wit::MessageFlags::NOTIFICATION)
    {
        return Err(Errno::INVAL);
    }
    if flags.contains(wit::MessageFlags::ZERO_COPY) {
        return Err(Errno::OPNOTSUPP);
    }
    Ok(FLAGS
        .iter()
        .filter(|(wit, _)| flags.contains(*wit))
        .fold(MessageFlags::empty(), |sum, (_, flag)| sum | *flag))
}

/// What was reported with a message.
pub(crate) fn flags_to_wit(flags: ReceivedFlags) -> wit::MessageFlags {
    const REPORTED: &[(ReceivedFlags, wit::MessageFlags)] = &[
        (ReceivedFlags::EOR, wit::MessageFlags::EOR),
        (ReceivedFlags::TRUNC, wit::MessageFlags::TRUNC),
        (ReceivedFlags::CTRUNC, wit::MessageFlags::CTRUNC),
        (ReceivedFlags::OOB, wit::MessageFlags::OOB),
        (ReceivedFlags::ERRQUEUE, wit::MessageFlags::ERR_QUEUE),
        (ReceivedFlags::DONTROUTE, wit::MessageFlags::DONT_ROUTE),
        (ReceivedFlags::CONFIRM, wit::MessageFlags::CONFIRM),
        (ReceivedFlags::NOTIFICATION, wit::MessageFlags::NOTIFICATION),
    ];
    REPORTED
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(wit::MessageFlags::empty(), |sum, (_, wit)| sum | *wit)
}

/// What to wait for. The end of the peer's half comes with readability, as it does in poll(2).
pub(crate) fn interest_from_wit(interest: wit_ready::Interest) -> Readiness {
    let mut wanted = Readiness::empty();
    if interest.contains(wit_ready::Interest::READABLE) {
        wanted |= Readiness::READABLE | Readiness::PEER_CLOSED;
    }
    if interest.contains(wit_ready::Interest::WRITABLE) {
        wanted |= Readiness::WRITABLE;
    }
    if interest.contains(wit_ready::Interest::PRIORITY) {
        wanted |= Readiness::PRIORITY;
    }
    wanted
}

pub(crate) fn readiness_to_wit(found: Readiness) -> wit_ready::Events {
    const FOUND: &[(Readiness, wit_ready::Events)] = &[
        (Readiness::READABLE, wit_ready::Events::READABLE),
        (Readiness::WRITABLE, wit_ready::Events::WRITABLE),
        (Readiness::PRIORITY, wit_ready::Events::PRIORITY),
        (Readiness::ERROR, wit_ready::Events::ERROR),
        (Readiness::HANG_UP, wit_ready::Events::HANG_UP),
        (Readiness::PEER_CLOSED, wit_ready::Events::PEER_CLOSED),
        (Readiness::CLOSED, wit_ready::Events::CLOSED),
    ];
    FOUND
        .iter()
        .filter(|(flag, _)| found.contains(*flag))
        .fold(wit_ready::Events::empty(), |sum, (_, wit)| sum | *wit)
}
