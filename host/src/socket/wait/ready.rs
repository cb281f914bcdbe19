//! *ready*: the guest is suspended until tokio's reactor sees the socket ready.

use std::time::Duration;

use tokio::io::Interest as Reactor;

use super::{Cancel, Deadline, Descriptor, Interest, Wait};
use crate::socket::Failure;

pub(crate) struct Ready;

impl Wait for Ready {
    async fn wait(
        &self,
        descriptor: &Descriptor,
        interest: Interest,
        deadline: Deadline,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let left = deadline.left()?;
        let registration = descriptor.registration()?;
        let interest = match interest {
            Interest::Readable => Reactor::READABLE,
            Interest::Writable => Reactor::WRITABLE,
            Interest::Error => Reactor::ERROR,
        };
        // Raised before anything listened: `notify_one` kept a permit for us, or the state says it.
        if cancel.is_raised() {
            return cancel.check();
        }
        let expiry = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cancel.notify().notified() => {}
            ready = registration.ready(interest) => ready?,
            () = expiry => {}
        }
        cancel.check()
    }

    async fn pause(&self, moment: Duration, cancel: &Cancel) -> Result<(), Failure> {
        if cancel.is_raised() {
            return cancel.check();
        }
        tokio::select! {
            biased;
            () = cancel.notify().notified() => {}
            () = tokio::time::sleep(moment) => {}
        }
        cancel.check()
    }
}
