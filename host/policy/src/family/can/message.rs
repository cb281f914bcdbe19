//! What the messages of CAN_RAW and CAN_BCM hold, linux/can.h, linux/can/bcm.h.

use super::{FrameId, REMOTE, STANDARD_IDS};
use crate::family::{Direction, Inspector, Part, Parts, Value};
use crate::kind::Kind;

/// Bytes of a struct can_frame and canfd_frame, and of what stands before the data of a canxl_frame.
const CLASSIC_SIZE: usize = 16;
const FD_SIZE: usize = 72;
const XL_HEAD: usize = 12;
const XL_SIZE: usize = XL_HEAD + 2048;
/// CANXL_XLF, in the flags of an XL frame: where the other formats have their length, which is 64 at most.
const XL_FLAG: u8 = 0x80;
/// CANXL_VCID_MASK: the virtual network, beside the priority of an XL frame.
const VIRTUAL_NETWORK: u32 = 0x00ff_0000;

pub(super) static FRAMES: Inspector = Inspector {
    head: XL_SIZE,
    read: read_frame,
};

/// One frame as CAN_RAW sends and gives it. The flag of an XL frame counts before the length does: one with 4
/// or 60 bytes of data is as long as a frame of another format.
fn read_frame(_: Kind, _: Direction, bytes: &[u8]) -> Parts {
    let Some((id, flags)) = bytes.first_chunk::<4>().zip(bytes.get(4)) else {
        return Parts::Malformed("it is shorter than a CAN frame");
    };
    let id = u32::from_ne_bytes(*id);
    let is_xl = flags & XL_FLAG != 0;
    let (id, fd, xl) = match bytes.len() {
        length if is_xl && length > XL_HEAD && length <= XL_SIZE => (id & !VIRTUAL_NETWORK, 0, 1),
        CLASSIC_SIZE => (id, 0, 0),
        FD_SIZE => (id, 1, 0),
        _ => return Parts::Malformed("it has the length of no CAN frame"),
    };
    match FrameId::of(id) {
        // What an XL frame has is a priority: no flag belongs there.
        Some(frame) if xl == 0 || id <= STANDARD_IDS => Parts::One(Part::new([
            ("can-id", Value::Frame(frame)),
            ("fd", Value::Number(fd)),
            ("xl", Value::Number(xl)),
        ])),
        _ => Parts::Malformed("its CAN id is none"),
    }
}

/// Bytes of a struct bcm_msg_head where `long` has 64 bits, and where in it the fields are.
const JOB_HEAD: usize = 56;
const JOB_FLAGS: usize = 4;
const JOB_ID: usize = 48;
const JOB_FRAMES: usize = 52;
/// The most frames of a job (MAX_NFRAMES), and one with the places of a multiplexed message.
const JOB_MOST_FRAMES: usize = 257;

/// The opcodes of a broadcast manager.
const TX_SETUP: u32 = 1;
const TX_DELETE: u32 = 2;
const TX_READ: u32 = 3;
const RX_SETUP: u32 = 5;
const RX_DELETE: u32 = 6;
const RX_READ: u32 = 7;
const TX_STATUS: u32 = 8;
const TX_EXPIRED: u32 = 9;
const RX_STATUS: u32 = 10;
const RX_TIMEOUT: u32 = 11;
const RX_CHANGED: u32 = 12;

/// TX_CP_CAN_ID: the head's id goes into the frames.
const COPY_ID: u32 = 0x0010;
/// RX_RTR_FRAME: the frame answers remote requests for the head's id.
const ANSWER_REMOTE: u32 = 0x0400;
/// CAN_FD_FRAME: the frames are CAN FD ones.
const FD_FRAMES: u32 = 0x0800;

pub(super) static JOBS: Inspector = Inspector {
    head: JOB_HEAD + JOB_MOST_FRAMES * FD_SIZE,
    read: read_job,
};

/// A message to or from a broadcast manager, taken apart.
struct Job<'a> {
    opcode: u32,
    flags: u32,
    /// Which job it is about; the id that a watch hears.
    id: u32,
    frames: std::slice::ChunksExact<'a, u8>,
}

impl<'a> Job<'a> {
    fn read(bytes: &'a [u8]) -> Result<Job<'a>, &'static str> {
        let word = |at: usize| {
            let field = bytes.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_ne_bytes(*field))
        };
        let head = (word(0), word(JOB_FLAGS), word(JOB_ID), word(JOB_FRAMES));
        let (Some(opcode), Some(flags), Some(id), Some(count)) = head else {
            return Err("it is shorter than the head of a broadcast manager's message");
        };
        let size = if flags & FD_FRAMES == 0 {
            CLASSIC_SIZE
        } else {
            FD_SIZE
        };
        let frames = bytes[JOB_HEAD..].chunks_exact(size);
        let whole = frames.remainder().is_empty() && usize::try_from(count) == Ok(frames.len());
        if !whole || frames.len() > JOB_MOST_FRAMES {
            return Err("its frames are not as many as its head says");
        }
        Ok(Job {
            opcode,
            flags,
            id,
            frames,
        })
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Which of the operations that a rule can list it is, or answers.
    fn operation(&self) -> u32 {
        match self.opcode {
            TX_STATUS => TX_READ,
            TX_EXPIRED => TX_SETUP,
            RX_STATUS => RX_READ,
            RX_TIMEOUT | RX_CHANGED => RX_SETUP,
            opcode => opcode,
        }
    }

    /// Its own id, and each other of the frames that it puts on the bus, or brings from there. What a watch
    /// compares with is only looked at for its data.
    fn ids(&self) -> Vec<u32> {
        let mut ids = vec![self.id];
        let looked_at = match self.opcode {
            TX_DELETE | TX_READ | RX_STATUS => false,
            RX_SETUP => self.has(ANSWER_REMOTE),
            _ => true,
        };
        if !looked_at {
            return ids;
        }
        for frame in self.frames.clone() {
            let own = frame
                .first_chunk::<4>()
                .map_or(0, |id| u32::from_ne_bytes(*id));
            let id = match self.opcode {
                TX_SETUP if self.has(COPY_ID) => self.id,
                // The answer has the id that was asked for, without the question's flag.
                RX_SETUP if self.has(COPY_ID) || own == self.id => self.id & !REMOTE,
                _ => own,
            };
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

/// What a broadcast manager is told to do, and what it tells: the job's id and that of each frame are judged
/// under the operation, and so is every id under which a frame goes out.
fn read_job(_: Kind, direction: Direction, bytes: &[u8]) -> Parts {
    let job = match Job::read(bytes) {
        Ok(job) => job,
        Err(why) => return Parts::Malformed(why),
    };
    if direction == Direction::Sent && job.opcode != job.operation() {
        return Parts::Malformed("only a broadcast manager tells this");
    }
    let fd = u64::from(job.has(FD_FRAMES));
    let parts = job.ids().into_iter().map(|id| {
        Some(Part::new([
            ("bcm-ops", Value::Number(job.operation().into())),
            ("can-id", Value::Frame(FrameId::of(id)?)),
            ("fd", Value::Number(fd)),
        ]))
    });
    parts
        .collect::<Option<_>>()
        .map_or(Parts::Malformed("one of its CAN ids is none"), Parts::Many)
}

/// A job of CAN's broadcast manager: what tells it from the others of its socket on the same interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastJob {
    watches: bool,
    id: u32,
    fd: bool,
}

/// What a message to a broadcast manager does to the jobs of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobChange {
    /// TX_SETUP, RX_SETUP: the job is there from then on.
    Begins(BroadcastJob),
    /// TX_DELETE, RX_DELETE: it is no more.
    Ends(BroadcastJob),
}

impl JobChange {
    /// Of a message that a guest sends; None where the jobs stay what they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<JobChange> {
        let message = Job::read(bytes).ok()?;
        let job = |watches| BroadcastJob {
            watches,
            id: message.id,
            fd: message.has(FD_FRAMES),
        };
        match message.opcode {
            TX_SETUP => Some(JobChange::Begins(job(false))),
            RX_SETUP => Some(JobChange::Begins(job(true))),
            TX_DELETE => Some(JobChange::Ends(job(false))),
            RX_DELETE => Some(JobChange::Ends(job(true))),
            _ => None,
        }
    }
}
