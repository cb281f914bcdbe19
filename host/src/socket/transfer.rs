//! Bytes that do not pass through the guest: splice(2) between sockets, sendfile(2) from a file.

use std::os::fd::BorrowedFd;

use sockgate_policy::{Permit, op};

use super::attempt;
use super::data::conversation;
use super::sys::poll::Readiness;
use super::sys::splice::Pipe;
use super::wait::Deadline;
use super::{Direction, Errno, Inner, Interest, Outcome, Socket};

/// So much goes from socket to socket at a time: what a pipe holds, pipe(7).
const PIPE_CAPACITY: usize = 64 * 1024;

impl Socket {
    /// Moves up to `max` bytes from this socket to another; how many, 0 at the end of the stream. What was
    /// taken from the one is given to the other before this returns.
    pub(crate) async fn splice(&self, to: &Socket, max: u64) -> Outcome<u64> {
        let (from, to_inner) = (self.inner()?.clone(), to.inner()?.clone());
        let permit = from.may_splice(&to_inner)?;
        drop(from.converse("splice")?);
        drop(to_inner.converse("splice")?);
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(PIPE_CAPACITY);
        if max == 0 {
            return Ok(0);
        }
        let mut pipe = Pipe::create()?;
        let taken = from
            .fill(
                &permit,
                &mut pipe,
                max,
                self.deadline(&from, Direction::Receive, false),
            )
            .await?;
        to_inner
            .drain(
                &permit,
                &mut pipe,
                to.deadline(&to_inner, Direction::Send, false),
            )
            .await?;
        from.guest.audit().note(|| {
            from.event("splice")
                .arguments(format_args!("to #{}", to_inner.number))
                .bytes(taken)
        });
        Ok(taken as u64)
    }
}

impl Inner {
    async fn fill(
        &self,
        permit: &Permit<op::Splice>,
        pipe: &mut Pipe,
        max: usize,
        deadline: Deadline,
    ) -> Outcome<usize> {
        loop {
            drop(self.converse("splice")?);
            if self.would_block(Readiness::READABLE)? {
                self.wait(Interest::Readable, deadline).await?;
                continue;
            }
            match attempt::splice_in(permit, self.fd(), pipe, max) {
                Ok(taken) => return Ok(taken),
                Err(Errno::AGAIN) => self.wait(Interest::Readable, deadline).await?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Bytes in the pipe belong to the receiver: a socket that may not wait waits for them all the same,
    /// since giving them back is not possible.
    async fn drain(
        &self,
        permit: &Permit<op::Splice>,
        pipe: &mut Pipe,
        deadline: Deadline,
    ) -> Outcome<()> {
        let deadline = match deadline {
            Deadline::Now(_) => Deadline::Open,
            other => other,
        };
        while pipe.held() > 0 {
            drop(self.converse("splice")?);
            if self.would_block(Readiness::WRITABLE)? {
                self.wait(Interest::Writable, deadline).await?;
                continue;
            }
            match attempt::splice_out(permit, pipe, self.fd()) {
                Ok(_) => {}
                Err(Errno::AGAIN) => self.wait(Interest::Writable, deadline).await?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// sendfile(2): up to `count` bytes of a file from `offset` on.
    pub(crate) async fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: u64,
        deadline: Deadline,
    ) -> Outcome<u64> {
        loop {
            let sent = match self.would_block(Readiness::WRITABLE)? {
                true => Err(Errno::AGAIN),
                false => {
                    let state = self.converse("send-file")?;
                    attempt::send_file(conversation(&state)?, self.fd(), file, offset, count)
                }
            };
            match sent {
                Ok(sent) => {
                    self.guest
                        .audit()
                        .note(|| self.event("send-file").bytes(sent));
                    return Ok(sent as u64);
                }
                Err(Errno::AGAIN) => self.wait(Interest::Writable, deadline).await?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
