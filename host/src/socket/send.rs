//! Plain sends: send, send-to, and the destinations that are judged for them.

use std::time::Instant;

use sockgate_policy::{Address, Content, Family, MessageFlags, Permit, Toll, Way, op};

use super::attempt::Destination;
use super::data::{Attempt, conversation};
use super::jobs::{Jobs, MOST_JOBS};
use super::sys::poll::{self, PollFd, Readiness};
use super::wait::Deadline;
use super::{Errno, Failure, Inner, Interest, Outcome, State, attempt};

impl Inner {
    /// Waits until a send is worth another attempt, after one that came to nothing; for sends, whose attempts
    /// need the guest's memory.
    pub(crate) async fn wait_to_send(
        &self,
        delayed: Option<Instant>,
        deadline: Deadline,
    ) -> Outcome<()> {
        if let Some(until) = delayed {
            return self.rest(until, deadline).await;
        }
        if self.waits_for_a_queue()? {
            return self.pause(deadline).await;
        }
        self.wait(Interest::Writable, deadline).await
    }

    /// Whether a send that would block waits for somebody else's queue: poll(2) on a Unix datagram socket
    /// tells of its own buffer alone, and of its peer's queue only where it is connected. Then it reports
    /// writable all the time, and nothing tells of the queue but time. So it is with RDS and a congested port.
    fn waits_for_a_queue(&self) -> Outcome<bool> {
        if self.kind.family == Family::Rds {
            return Ok(true);
        }
        if self.kind.family != Family::Unix || !self.is_datagram() {
            return Ok(false);
        }
        let mut descriptor = [PollFd::new(self.fd(), Readiness::WRITABLE)];
        poll::ppoll(&mut descriptor, Some(std::time::Duration::ZERO))?;
        Ok(descriptor[0].events() == Readiness::WRITABLE)
    }

    /// One send(2) to the peer.
    #[inline]
    pub(crate) fn attempt_send(&self, data: &[u8], flags: MessageFlags) -> Outcome<Attempt<u64>> {
        if let Some(to) = self.unnamed_destination() {
            return self.attempt_send_unnamed(data, flags, &to);
        }
        let state = self.converse("send")?;
        let permit = conversation(&state)?;
        self.check_flags(permit, flags, "send")?;
        self.sent("send", permit, data.len(), |most| {
            attempt::send(permit, self.fd(), &data[..most], flags)
        })
    }

    /// Where a send without a name goes on a socket without a conversation.
    #[inline]
    pub(super) fn unnamed_destination(&self) -> Option<Address> {
        // Told without the lock for those that have none: this is the way of every send.
        if !self.sends_unnamed {
            return None;
        }
        sockgate_policy::unnamed_destination(&self.state().facts)
    }

    fn attempt_send_unnamed(
        &self,
        data: &[u8],
        flags: MessageFlags,
        to: &Address,
    ) -> Outcome<Attempt<u64>> {
        self.with_destination(to, data, |destination| {
            let permit = destination.permit();
            self.check_flags(permit, flags, "send")?;
            self.sent("send", permit, data.len(), |_| {
                attempt::send_unnamed(destination, self.fd(), data, flags)
            })
        })
    }

    /// One sendto(2).
    pub(crate) fn attempt_send_to(
        &self,
        data: &[u8],
        flags: MessageFlags,
        to: &Address,
    ) -> Outcome<Attempt<u64>> {
        self.check_family(to)?;
        if !self.is_datagram() {
            return self.attempt_send_to_on_connection(data, flags, to);
        }
        self.with_destination(to, data, |destination| {
            let permit = destination.permit();
            self.check_flags(permit, flags, "send-to")?;
            self.sent("send-to", permit, data.len(), |_| {
                attempt::send_to(destination, self.fd(), data, flags)
            })
        })
    }

    /// A name on a socket of connections: TCP's MSG_FASTOPEN connects with it, everything else may name
    /// the peer at most. send(2)
    fn attempt_send_to_on_connection(
        &self,
        data: &[u8],
        flags: MessageFlags,
        to: &Address,
    ) -> Outcome<Attempt<u64>> {
        let peer = self.state().facts.peer.clone();
        if flags.contains(MessageFlags::FASTOPEN) && peer.is_none() {
            let permit = self.may_connect(to)?;
            self.check_flags(&permit, flags, "send-to")?;
            self.count_for(&permit)?;
            let connection = self.pay(permit.meters(), Toll::Connection, "send-to")?;
            return connection.and(|connection| {
                self.sent("send-to", &permit, data.len(), |most| {
                    let data = &data[..most];
                    let sent = attempt::fast_open(&permit, self.kind, self.fd(), data, flags);
                    if matches!(sent, Ok(_) | Err(Errno::INPROGRESS)) {
                        let mut state = self.state();
                        state.facts.peer = Some(permit.subject().address.clone());
                        self.begin_conversation(&mut state);
                        if let Some(connection) = connection {
                            connection.settle(0);
                        }
                    }
                    // Without a cookie the kernel took no data: it goes once the connection is made.
                    sent.map_err(|errno| match errno {
                        Errno::INPROGRESS => Errno::AGAIN,
                        errno => errno,
                    })
                })
            });
        }
        if peer == Some(to.canonical_destination()) {
            self.attempt_send(data, flags.difference(MessageFlags::FASTOPEN))
        } else {
            Err(self.named_another().into())
        }
    }

    pub(super) fn named_another(&self) -> Errno {
        if self.state().facts.peer.is_some() {
            Errno::ISCONN
        } else {
            Errno::NOTCONN
        }
    }

    /// Runs `attempt` with the judged destination of `data`: the one kept from last time, or a new verdict.
    /// Where messages are judged by what is in them, no verdict is kept.
    pub(super) fn with_destination<T>(
        &self,
        to: &Address,
        data: &[u8],
        attempt: impl Fn(&Destination) -> Outcome<Attempt<T>>,
    ) -> Outcome<Attempt<T>> {
        self.begin()?;
        let mut state = self.state();
        if self.inspected.is_some() {
            let destination = self.judge_destination(&mut state, to, data)?;
            let outcome = attempt(&destination)?;
            if let (Some(jobs), Attempt::Done(_)) = (&mut state.jobs, &outcome) {
                jobs.sent(data, &destination.permit().subject().address);
            }
            return Ok(outcome);
        }
        let kept = state
            .destination
            .take_if(|kept| kept.answers(to, &self.guest));
        let renewed = kept.is_none();
        let destination = match kept {
            Some(destination) => destination,
            None => self.judge_destination(&mut state, to, data)?,
        };
        let mut outcome = attempt(&destination);
        state.destination = Some(destination);
        if !renewed && self.lost_inode(&state, &outcome) {
            let destination = self.judge_destination(&mut state, to, data)?;
            outcome = attempt(&destination);
            state.destination = Some(destination);
        }
        outcome
    }

    /// A kept inode that refuses belongs to a server that was restarted: it is looked up once more.
    fn lost_inode<T>(&self, state: &State, outcome: &Outcome<T>) -> bool {
        matches!(outcome, Err(Failure::Errno(Errno::CONNREFUSED)))
            && state
                .destination
                .as_ref()
                .is_some_and(Destination::keeps_inode)
    }

    pub(super) fn judge_destination(
        &self,
        state: &mut State,
        to: &Address,
        data: &[u8],
    ) -> Outcome<Destination> {
        let content = Content::sent_by(&state.facts, data);
        let permit = self.may_send_to(state, to, &content)?;
        self.count_for(&permit)?;
        let destination = &permit.subject().address;
        if let Some(jobs) = &mut state.jobs {
            self.admit_job(jobs, &permit, data)?;
        }
        if self.kind.family == Family::Inet6 && attempt::is_mapped(self.kind, destination) {
            self.open_dual_stack(state)?;
        }
        Destination::new(to.clone(), permit, &self.guest, self.kind)
    }

    /// A broadcast manager has no more jobs than it may have.
    #[cold]
    fn admit_job(&self, jobs: &mut Jobs, permit: &Permit<op::SendTo>, data: &[u8]) -> Outcome<()> {
        let to = &permit.subject().address;
        let admitted = jobs.admit(data, to).map_err(Failure::from);
        if admitted.is_err() {
            self.guest.audit().note(|| {
                let event = self.event("send-to").address(to).granted(permit);
                let reason = format_args!("it has {} jobs, and may have no more", MOST_JOBS);
                event.arguments(reason).outcome(&admitted)
            });
        }
        admitted
    }

    /// Sends as much of `length` bytes as may pass now, tells the operator, and turns the result into an
    /// attempt's.
    #[inline]
    pub(super) fn sent<O: sockgate_policy::Operation>(
        &self,
        operation: &'static str,
        permit: &Permit<O>,
        length: usize,
        send: impl FnOnce(usize) -> Result<usize, Errno>,
    ) -> Outcome<Attempt<u64>> {
        match permit.meters() {
            None => self.tell_sent(operation, permit, length, send(length)),
            Some(meters) => {
                let toll = self.toll(Way::Send, length as u64);
                let paid = self.pay(Some(meters), toll, operation)?;
                paid.and(|passage| {
                    let most = passage.as_ref().map_or(length, |passage| {
                        usize::try_from(passage.bytes()).unwrap_or(length)
                    });
                    let sent = send(most);
                    if let (Some(passage), Ok(sent)) = (passage, sent) {
                        passage.settle(sent as u64);
                    }
                    self.tell_sent(operation, permit, length, sent)
                })
            }
        }
    }

    #[inline]
    fn tell_sent<O: sockgate_policy::Operation>(
        &self,
        operation: &'static str,
        permit: &Permit<O>,
        length: usize,
        sent: Result<usize, Errno>,
    ) -> Outcome<Attempt<u64>> {
        let outcome = match sent {
            Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            // A congested port, rds(7): a send that may wait waits for it.
            Err(Errno::NOBUFS) if self.kind.family == Family::Rds => {
                return Ok(Attempt::WouldBlock);
            }
            sent => sent.map_err(Failure::from),
        };
        self.guest.audit().note(|| {
            let event = self
                .event(operation)
                .arguments(format_args!("{length} bytes"))
                .granted(permit);
            match &outcome {
                Ok(sent) => event.bytes(*sent),
                Err(_) => event.outcome(&outcome),
            }
        });
        Ok(Attempt::Done(outcome? as u64))
    }
}
