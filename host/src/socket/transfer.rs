//! Bytes that do not pass through the guest: splice(2) between sockets, sendfile(2) from a file.

use std::os::fd::BorrowedFd;

use super::sys::splice::{self, Pipe};
use super::wait::Deadline;
use super::{Errno, Inner, Interest, Outcome, Socket};

/// So much goes from socket to socket at a time: what a pipe holds, pipe(7).
const PIPE_CAPACITY: usize = 64 * 1024;

impl Socket {
    /// Moves up to `max` bytes from this socket to another; how many, 0 at the end of the stream. What was
    /// taken from the one is given to the other before this returns.
    pub(crate) async fn splice(&self, to: &Socket, max: u64) -> Outcome<u64> {
        let (from, to_inner) = (self.inner()?.clone(), to.inner()?.clone());
        let _permit = from.may_splice(&to_inner)?;
        drop(from.converse("splice")?);
        drop(to_inner.converse("splice")?);
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(PIPE_CAPACITY);
        if max == 0 {
            return Ok(0);
        }
        let mut pipe = Pipe::create()?;
        let taken = from.fill(&mut pipe, max, self.deadline(false)).await?;
        to_inner.drain(&mut pipe, to.deadline(false)).await?;
        from.guest.audit().note(|| {
            from.event("splice")
                .arguments(format_args!("to #{}", to_inner.number))
                .bytes(taken)
        });
        Ok(taken as u64)
    }
}

impl Inner {
    async fn fill(&self, pipe: &mut Pipe, max: usize, deadline: Deadline) -> Outcome<usize> {
        loop {
            drop(self.converse("splice")?);
            match pipe.fill(self.fd(), max) {
                Ok(taken) => return Ok(taken),
                Err(Errno::AGAIN) => self.wait(Interest::Readable, deadline).await?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Bytes in the pipe belong to the receiver: a socket that may not wait waits for them all the same,
    /// since giving them back is not possible.
    async fn drain(&self, pipe: &mut Pipe, deadline: Deadline) -> Outcome<()> {
        let deadline = match deadline {
            Deadline::Now(_) => Deadline::Open,
            other => other,
        };
        while pipe.held() > 0 {
            drop(self.converse("splice")?);
            match pipe.drain(self.fd(), pipe.held()) {
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
            drop(self.converse("send-file")?);
            match splice::send_file(self.fd(), file, offset, count) {
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
