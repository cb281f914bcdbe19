//! Bytes that do not pass through the guest: splice(2) between sockets, sendfile(2) from a file.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use sockgate_policy::{MessageFlags, Passage, Permit, SocketType, Way, op};

use super::attempt;
use super::data::{Attempt, conversation};
use super::sys::splice::{self, Pipe};
use super::wait::Deadline;
use super::{Direction, Errno, Inner, Interest, Outcome, Socket};

/// So much goes from socket to socket at a time: what a pipe holds, pipe(7).
const PIPE_CAPACITY: usize = 64 * 1024;

/// So much of a file goes in one sendfile(2): while its receiver keeps up, that does not return before.
const FILE_PIECE: u64 = 1 << 20;

/// Bytes on their way from one socket to another.
enum Carried {
    /// In the kernel, splice(2).
    Pipe(Pipe),
    /// In the host's memory: splice(2) and sendfile(2) have no MSG_DONTWAIT, and whoever shares a descriptor
    /// may have made it a blocking one.
    Copy(BytesMut),
}

impl Carried {
    fn held(&self) -> usize {
        match self {
            Carried::Pipe(pipe) => pipe.held(),
            Carried::Copy(bytes) => bytes.len(),
        }
    }

    fn fill(
        &mut self,
        permit: &Permit<op::Splice>,
        from: BorrowedFd<'_>,
        max: usize,
    ) -> Result<usize, Errno> {
        match self {
            Carried::Pipe(pipe) => attempt::splice_in(permit, from, pipe, max),
            Carried::Copy(bytes) => attempt::take_over(permit, from, bytes, max),
        }
    }

    fn drain(&mut self, permit: &Permit<op::Splice>, to: BorrowedFd<'_>) -> Result<(), Errno> {
        match self {
            Carried::Pipe(pipe) => attempt::splice_out(permit, pipe, to).map(drop),
            Carried::Copy(bytes) => {
                let sent = attempt::hand_on(permit, to, bytes)?;
                let _ = bytes.split_to(sent);
                Ok(())
            }
        }
    }
}

/// How much of `max` bytes may pass.
fn most(passage: Option<&Passage>, max: usize) -> usize {
    passage.map_or(max, |passage| {
        max.min(usize::try_from(passage.bytes()).unwrap_or(max))
    })
}

impl Socket {
    /// Moves up to `max` bytes from this stream to another; how many, 0 at the end of the stream. What was
    /// taken from the one is given to the other before this returns.
    pub(crate) async fn splice(&self, to: &Socket, max: u64) -> Outcome<u64> {
        let (from, to_inner) = (self.inner()?.clone(), to.inner()?.clone());
        let permit = from.may_splice(&to_inner)?;
        from.check_stream()?;
        to_inner.check_stream()?;
        drop(from.converse("splice")?);
        drop(to_inner.converse("splice")?);
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(PIPE_CAPACITY);
        if max == 0 {
            return Ok(0);
        }
        let shared = from.shared.load(Ordering::Relaxed) || to_inner.shared.load(Ordering::Relaxed);
        let mut carried = match shared {
            true => Carried::Copy(BytesMut::new()),
            false => Carried::Pipe(Pipe::create()?),
        };
        let waits = to.deadline(&to_inner, Direction::Send, false);
        let taken = from
            .fill(
                &permit,
                &mut carried,
                max,
                &to_inner,
                self.deadline(&from, Direction::Receive, false),
            )
            .await?;
        to_inner.drain(&permit, &mut carried, waits).await?;
        from.guest.audit().note(|| {
            from.event("splice")
                .arguments(format_args!("to #{}", to_inner.number))
                .bytes(taken)
        });
        Ok(taken as u64)
    }
}

impl Inner {
    /// Messages have senders and boundaries that nobody would look at on this way.
    fn check_stream(&self) -> Outcome<()> {
        match self.kind.socket_type {
            SocketType::Stream => Ok(()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    async fn fill(
        &self,
        permit: &Permit<op::Splice>,
        carried: &mut Carried,
        max: usize,
        to: &Inner,
        deadline: Deadline,
    ) -> Outcome<usize> {
        self.until_done(Interest::Readable, deadline, |inner| {
            inner.splice_toll(Way::Receive, max)?.and(|received| {
                let max = most(received.as_ref(), max);
                to.splice_toll(Way::Send, max)?.and(|sent| {
                    let max = most(sent.as_ref(), max);
                    let taken = match carried.fill(permit, inner.fd(), max) {
                        Ok(taken) => taken,
                        Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
                        Err(errno) => return Err(errno.into()),
                    };
                    // It is on its way: it counts for both.
                    for passage in [received, sent].into_iter().flatten() {
                        passage.settle(taken as u64);
                    }
                    Ok(Attempt::Done(taken))
                })
            })
        })
        .await
    }

    fn splice_toll(&self, way: Way, max: usize) -> Outcome<Attempt<Option<Passage>>> {
        drop(self.converse("splice")?);
        let meters = self.conversation_meters();
        self.pay(meters.as_ref(), self.toll(way, max as u64), "splice")
    }

    /// What was taken belongs to the receiver: a socket that may not wait waits for it all the same, since
    /// giving it back is not possible.
    async fn drain(
        &self,
        permit: &Permit<op::Splice>,
        carried: &mut Carried,
        deadline: Deadline,
    ) -> Outcome<()> {
        let deadline = match deadline {
            Deadline::Now(_) => Deadline::Open,
            other => other,
        };
        while carried.held() > 0 {
            self.until_done(Interest::Writable, deadline, |inner| {
                drop(inner.converse("splice")?);
                match carried.drain(permit, inner.fd()) {
                    Ok(()) => Ok(Attempt::Done(())),
                    Err(Errno::AGAIN) => Ok(Attempt::WouldBlock),
                    Err(errno) => Err(errno.into()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// sendfile(2): up to `count` bytes of a file from `offset` on; how many, 0 from the file's end on.
    pub(crate) async fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: u64,
        deadline: Deadline,
    ) -> Outcome<u64> {
        self.check_stream()?;
        let count = count.min(FILE_PIECE);
        self.until_done(Interest::Writable, deadline, |inner| {
            inner.attempt_send_file(file, offset, count)
        })
        .await
    }

    fn attempt_send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: u64,
    ) -> Outcome<Attempt<u64>> {
        let state = self.converse("send-file")?;
        let permit = conversation(&state)?;
        let paid = self.pay(permit.meters(), self.toll(Way::Send, count), "send-file")?;
        paid.and(|passage| {
            let count = passage.as_ref().map_or(count, Passage::bytes);
            let sent = match self.send_piece(permit, file, offset, count) {
                Err(super::Failure::Errno(Errno::AGAIN)) => return Ok(Attempt::WouldBlock),
                sent => sent?,
            };
            if let Some(passage) = passage {
                passage.settle(sent as u64);
            }
            self.guest
                .audit()
                .note(|| self.event("send-file").bytes(sent));
            Ok(Attempt::Done(sent as u64))
        })
    }

    fn send_piece(
        &self,
        permit: &Permit<op::Converse>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: u64,
    ) -> Outcome<usize> {
        if !self.shared.load(Ordering::Relaxed) {
            return Ok(attempt::send_file(permit, self.fd(), file, offset, count)?);
        }
        // As in `Carried`: through the host's memory, piece by piece.
        let length = usize::try_from(count)
            .unwrap_or(PIPE_CAPACITY)
            .min(PIPE_CAPACITY);
        let mut piece = vec![0; length];
        let read = splice::read_at(file, &mut piece, offset)?;
        if read == 0 {
            return Ok(0);
        }
        Ok(attempt::send(
            permit,
            self.fd(),
            &piece[..read],
            MessageFlags::empty(),
        )?)
    }
}
