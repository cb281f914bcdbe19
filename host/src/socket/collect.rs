//! MSG_WAITALL, recv(2): receiving until everything is there.

use bytes::{Bytes, BytesMut};
use sockgate_policy::MessageFlags;

use super::data::{Attempt, MESSAGE_LIMIT, STREAM_CHUNK, filled};
use super::wait::Deadline;
use super::{Failure, Inner, Interest, Outcome};

/// What one attempt of a receive for everything brought.
pub(super) struct Piece {
    pub(super) received: usize,
    /// Whether nothing more may follow it.
    pub(super) ends: bool,
}

impl Inner {
    /// MSG_WAITALL: goes on until everything is there, the stream ends, or an error comes when nothing
    /// has been received yet. The host's clamp on one receive does not shorten it.
    pub(super) async fn recv_all(
        &self,
        buffer: &mut BytesMut,
        max: u64,
        flags: MessageFlags,
        deadline: Deadline,
    ) -> Outcome<Bytes> {
        let flags = flags.difference(MessageFlags::WAITALL);
        self.collect(buffer, max, flags, deadline, |inner, buffer, room| {
            let attempt = inner.attempt_recv_from_peer(buffer, room, flags)?;
            Ok(attempt.map(|received| Piece {
                received,
                ends: false,
            }))
        })
        .await
    }

    /// Attempts until the buffer has everything, a piece ends it, or an error comes behind a first piece.
    pub(super) async fn collect(
        &self,
        buffer: &mut BytesMut,
        max: u64,
        flags: MessageFlags,
        deadline: Deadline,
        mut attempt: impl FnMut(&Inner, &mut BytesMut, usize) -> Outcome<Attempt<Piece>>,
    ) -> Outcome<Bytes> {
        // What a guest may have the host hold for one call.
        let wanted = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(MESSAGE_LIMIT);
        let _held = self.hold(wanted)?;
        let peeks = flags.contains(MessageFlags::PEEK);
        loop {
            let room = (wanted - buffer.len()).min(STREAM_CHUNK);
            let step = self
                .until_done(Interest::Readable, deadline, |inner| {
                    attempt(inner, buffer, room)
                })
                .await;
            match step {
                Ok(piece)
                    if piece.received > 0 && !piece.ends && buffer.len() < wanted && !peeks => {}
                Ok(_) => return Ok(filled(buffer)),
                Err(Failure::Errno(_)) if !buffer.is_empty() => return Ok(filled(buffer)),
                Err(failure) => return Err(failure),
            }
        }
    }
}
