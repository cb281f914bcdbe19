//! *park*: the thread sleeps in ppoll(2) on the socket and the guest's event descriptor.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Cancel, Deadline, Descriptor, Interest, Wait};
use crate::socket::sys::poll::{self, PollFd, Readiness};
use crate::socket::{Errno, Failure};

pub(crate) struct Park;

impl Wait for Park {
    async fn wait(
        &self,
        descriptor: &Descriptor,
        interest: Interest,
        deadline: Deadline,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let left = deadline.left()?;
        let wanted = match interest {
            Interest::Readable => Readiness::READABLE,
            Interest::Writable => Readiness::WRITABLE,
            Interest::Error => Readiness::empty(),
        };
        let mut watched = [
            PollFd::new(descriptor.fd(), wanted),
            PollFd::new(cancel.event().as_fd(), Readiness::READABLE),
        ];
        sleep(&mut watched, left, cancel)
    }

    async fn pause(&self, moment: Duration, cancel: &Cancel) -> Result<(), Failure> {
        sleep(
            &mut [PollFd::new(cancel.event().as_fd(), Readiness::READABLE)],
            Some(moment),
            cancel,
        )
    }
}

/// Sleeps in ppoll(2); the guest's event descriptor is the last of those watched.
fn sleep(
    watched: &mut [PollFd<'_>],
    left: Option<Duration>,
    cancel: &Cancel,
) -> Result<(), Failure> {
    match poll::ppoll(watched, left) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    if watched
        .last()
        .is_some_and(|event| event.events().contains(Readiness::READABLE))
    {
        return cancel.answer();
    }
    cancel.check()
}
