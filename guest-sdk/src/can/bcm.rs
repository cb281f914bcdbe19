//! The broadcast manager: CAN_BCM, linux/can/bcm.h.

use std::io;
use std::time::Duration;

use super::frame::{self, AnyCanFrame, CLASSIC_SIZE};
use super::{CanAddress, CanFrame, CanId, FD_SIZE};
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType, flag_sets};
use crate::wire::{Fields, malformed, unfit};

/// Bytes of a struct bcm_msg_head on a 64-bit host.
const HEAD: usize = 56;
/// The most frames that one job may hold (MAX_NFRAMES).
const FRAMES: usize = 256;

macro_rules! operations {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal,)*) => {
        /// What a message of the broadcast manager asks for or tells.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum BcmOperation {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl BcmOperation {
            fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

operations! {
    /// TX_SETUP: begins or changes a cyclic transmission.
    TxSetup = 1,
    /// TX_DELETE: ends one.
    TxDelete = 2,
    /// TX_READ: asks for one's state, which a [`TxStatus`](Self::TxStatus) answers.
    TxRead = 3,
    /// TX_SEND: sends one frame.
    TxSend = 4,
    /// RX_SETUP: begins or changes a watch.
    RxSetup = 5,
    /// RX_DELETE: ends one.
    RxDelete = 6,
    /// RX_READ: asks for one's state, which a [`RxStatus`](Self::RxStatus) answers.
    RxRead = 7,
    /// TX_STATUS: the state of a transmission.
    TxStatus = 8,
    /// TX_EXPIRED: the counted part of a transmission is over.
    TxExpired = 9,
    /// RX_STATUS: the state of a watch.
    RxStatus = 10,
    /// RX_TIMEOUT: nothing came in time.
    RxTimeout = 11,
    /// RX_CHANGED: a frame came whose content is new.
    RxChanged = 12,
}

/// Flags of a [`BcmMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BcmFlags(u32);

#[rustfmt::skip]
impl BcmFlags {
    /// SETTIMER: the counters and intervals of the message count.
    pub const SET_TIMER: Self = Self(0x0001);
    /// STARTTIMER: the timer starts now.
    pub const START_TIMER: Self = Self(0x0002);
    /// TX_COUNTEVT: tell when the count is over.
    pub const COUNT_EVENT: Self = Self(0x0004);
    /// TX_ANNOUNCE: a change is sent at once.
    pub const ANNOUNCE: Self = Self(0x0008);
    /// TX_CP_CAN_ID: the message's id goes into every frame.
    pub const COPY_ID: Self = Self(0x0010);
    /// RX_FILTER_ID: the id alone counts; no frames are given.
    pub const FILTER_ID: Self = Self(0x0020);
    /// RX_CHECK_DLC: a changed length is a change.
    pub const CHECK_LENGTH: Self = Self(0x0040);
    /// RX_NO_AUTOTIMER: the first frame does not start the timer.
    pub const NO_AUTO_TIMER: Self = Self(0x0080);
    /// RX_ANNOUNCE_RESUME: the first frame after a time-out is told even when nothing changed.
    pub const ANNOUNCE_RESUME: Self = Self(0x0100);
    /// TX_RESET_MULTI_IDX: begin with the first frame.
    pub const RESET_INDEX: Self = Self(0x0200);
    /// RX_RTR_FRAME: the frame given is the answer to remote requests.
    pub const ANSWER_REMOTE: Self = Self(0x0400);
    /// CAN_FD_FRAME: the frames are CAN FD ones. Set by itself where they are.
    pub const FD_FRAME: Self = Self(0x0800);

    /// No flag.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The kernel's number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Flags from the kernel's number.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl std::ops::BitOr for BcmFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitAnd for BcmFlags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

flag_sets! { BcmFlags }

/// A message to or from the broadcast manager: struct bcm_msg_head and its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BcmMessage {
    /// What it asks for or tells.
    pub operation: BcmOperation,
    /// How.
    pub flags: BcmFlags,
    /// How many frames go out at `interval1` before `interval2` holds.
    pub count: u32,
    /// Sending: the interval of the first `count` frames. Watching: the time within which a frame is due.
    /// Whole microseconds.
    pub interval1: Duration,
    /// Sending: the interval of all further frames. Watching: the least time between two tellings.
    pub interval2: Duration,
    /// The job's identifier.
    pub id: CanId,
    /// Its frames, at most 256: classic ones or CAN FD ones, not both.
    pub frames: Vec<AnyCanFrame>,
}

impl BcmMessage {
    /// A message without frames, counters and intervals.
    pub fn new(operation: BcmOperation, id: CanId) -> Self {
        Self {
            operation,
            flags: BcmFlags::empty(),
            count: 0,
            interval1: Duration::ZERO,
            interval2: Duration::ZERO,
            id,
            frames: Vec::new(),
        }
    }

    /// The message as the kernel of a 64-bit host takes it. Refuses frames of both formats or of CAN XL,
    /// and more of them than the kernel takes.
    ///
    /// Errors: [`InvalidInput`](io::ErrorKind::InvalidInput).
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let fd = self
            .frames
            .iter()
            .any(|frame| matches!(frame, AnyCanFrame::Fd(_)));
        let size = if fd { FD_SIZE } else { CLASSIC_SIZE };
        if self.frames.len() > FRAMES {
            return Err(unfit(format!("more than {FRAMES} frames in one job")));
        }
        let fd = if fd {
            BcmFlags::FD_FRAME
        } else {
            BcmFlags::empty()
        };
        let mut bytes = Vec::with_capacity(HEAD + self.frames.len() * size);
        bytes.extend((self.operation as u32).to_le_bytes());
        bytes.extend((self.flags | fd).bits().to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend([0; 4]);
        for interval in [self.interval1, self.interval2] {
            bytes.extend(interval.as_secs().to_le_bytes());
            bytes.extend(u64::from(interval.subsec_micros()).to_le_bytes());
        }
        bytes.extend(frame::id_word(self.id).to_le_bytes());
        bytes.extend((self.frames.len() as u32).to_le_bytes());
        for frame in &self.frames {
            let frame = frame.encode();
            if frame.len() != size || frame[4] & 0x80 != 0 {
                return Err(unfit(
                    "frames of several formats in one job of the broadcast manager",
                ));
            }
            bytes.extend(frame);
        }
        Ok(bytes)
    }

    /// The message in what was received; none where it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let operation = BcmOperation::from_number(fields.u32()?)?;
        let flags = BcmFlags(fields.u32()?);
        let count = fields.u32()?;
        fields.take(4)?;
        let mut interval = || {
            let seconds = fields.u64()?;
            let micros = u32::try_from(fields.u64()?).ok()?;
            (micros < 1_000_000).then(|| Duration::new(seconds, micros * 1000))
        };
        let (interval1, interval2) = (interval()?, interval()?);
        let id = frame::id_of_word(fields.u32()?);
        let number = fields.u32()? as usize;
        let fd = flags.contains(BcmFlags::FD_FRAME);
        let size = if fd { FD_SIZE } else { CLASSIC_SIZE };
        if number > FRAMES || fields.rest().len() != number * size {
            return None;
        }
        let frames = fields.rest().chunks_exact(size).map(AnyCanFrame::decode);
        Some(Self {
            operation,
            flags,
            count,
            interval1,
            interval2,
            id,
            frames: frames.collect::<Option<_>>()?,
        })
    }
}

/// A socket of the broadcast manager: the kernel sends cyclically and watches for changes.
///
/// ```no_run
/// use std::time::Duration;
/// use sockgate_guest::can::{BcmSocket, CanFrame, CanId};
///
/// let manager = BcmSocket::open("vcan0")?;
/// let frame = CanFrame::new(CanId::Standard(0x100), b"beat")?;
/// manager.send_cyclic(&[frame], Duration::from_millis(100))?;
/// manager.watch(CanId::Standard(0x200), Duration::from_secs(1), Duration::ZERO)?;
/// println!("{:?}", manager.recv()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct BcmSocket {
    socket: Socket,
}

data_socket! { BcmSocket }

impl BcmSocket {
    /// A broadcast manager of this interface. Policy: `connect` with the interface, the operations
    /// (`bcm-ops`) and the ids.
    ///
    /// socket(2), connect(2). Errors: `EACCES` without a grant, `ENODEV` without the interface,
    /// `EAFNOSUPPORT` without CAN.
    pub fn open(interface: &str) -> io::Result<Self> {
        let socket = Socket::new(Family::Can, SocketType::Datagram, Protocol::CanBcm)?;
        socket.connect(CanAddress::on(interface))?;
        Ok(socket.into())
    }

    /// Gives the manager a message.
    ///
    /// send(2). Policy: `bcm-ops`, `can-id` and the job's frames, judged one by one. Errors: `EACCES`,
    /// `EINVAL` for a job that is not there.
    pub fn send(&self, message: &BcmMessage) -> io::Result<()> {
        self.socket.send(&message.encode()?)?;
        Ok(())
    }

    /// Receives what the manager tells: [`BcmOperation::RxChanged`], [`BcmOperation::RxTimeout`],
    /// [`BcmOperation::TxExpired`] and the answers to the two reads.
    ///
    /// recv(2). Policy: part of `connect`. Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv(&self) -> io::Result<BcmMessage> {
        let bytes = self.socket.recv_vec(HEAD + FRAMES * FD_SIZE)?;
        BcmMessage::decode(&bytes)
            .ok_or_else(|| malformed("no message of the CAN broadcast manager"))
    }

    /// Sends these frames in turn, one every `interval`, until the job with the first one's id is ended.
    ///
    /// TX_SETUP, sendmsg(2). Policy: `bcm-ops = ["tx-setup"]` and every frame's `can-id`. Errors: `EACCES`;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) without frames.
    pub fn send_cyclic(&self, frames: &[CanFrame], interval: Duration) -> io::Result<()> {
        let first = frames.first().ok_or_else(|| unfit("no frame to send"))?;
        self.send(&BcmMessage {
            flags: BcmFlags::SET_TIMER | BcmFlags::START_TIMER,
            interval2: interval,
            frames: frames.iter().map(AnyCanFrame::from).collect(),
            ..BcmMessage::new(BcmOperation::TxSetup, first.id())
        })
    }

    /// Ends the transmission with this id. [`Errno::INVAL`](crate::Errno::INVAL) where there is none.
    ///
    /// TX_DELETE. Policy: `bcm-ops = ["tx-delete"]`.
    pub fn stop_sending(&self, id: CanId) -> io::Result<()> {
        self.send(&BcmMessage::new(BcmOperation::TxDelete, id))
    }

    /// Sends one frame now.
    ///
    /// TX_SEND. Policy: `bcm-ops = ["tx-send"]` and `can-id`. Errors: `EACCES`, `ENOBUFS` where the
    /// interface's queue is full.
    pub fn send_once(&self, frame: &CanFrame) -> io::Result<()> {
        self.send(&BcmMessage {
            frames: vec![frame.into()],
            ..BcmMessage::new(BcmOperation::TxSend, frame.id())
        })
    }

    /// Watches for frames with this id: each is told, at most one per `throttle`, and so is a time of
    /// `timeout` without one (zero: never).
    ///
    /// RX_SETUP. Policy: `bcm-ops = ["rx-setup"]` and `can-id`. Errors: `EACCES`.
    pub fn watch(&self, id: CanId, timeout: Duration, throttle: Duration) -> io::Result<()> {
        self.send(&BcmMessage {
            flags: BcmFlags::FILTER_ID | BcmFlags::SET_TIMER | BcmFlags::START_TIMER,
            interval1: timeout,
            interval2: throttle,
            ..BcmMessage::new(BcmOperation::RxSetup, id)
        })
    }

    /// Watches for frames with the id of `mask` and tells those that differ from the last one in a bit
    /// that is set in `mask`'s data.
    ///
    /// RX_SETUP with a mask. Policy: `bcm-ops = ["rx-setup"]` and `can-id`. Errors: `EACCES`.
    pub fn watch_changes(
        &self,
        mask: &CanFrame,
        timeout: Duration,
        throttle: Duration,
    ) -> io::Result<()> {
        self.send(&BcmMessage {
            flags: BcmFlags::SET_TIMER | BcmFlags::START_TIMER | BcmFlags::CHECK_LENGTH,
            interval1: timeout,
            interval2: throttle,
            frames: vec![mask.into()],
            ..BcmMessage::new(BcmOperation::RxSetup, mask.id())
        })
    }

    /// Ends the watch of this id. [`Errno::INVAL`](crate::Errno::INVAL) where there is none.
    ///
    /// RX_DELETE. Policy: `bcm-ops = ["rx-delete"]`.
    pub fn stop_watching(&self, id: CanId) -> io::Result<()> {
        self.send(&BcmMessage::new(BcmOperation::RxDelete, id))
    }

    /// Asks for the state of the transmission with this id; [`recv`](Self::recv) has the answer.
    ///
    /// TX_READ. Policy: `bcm-ops = ["tx-read"]`. Errors: `EINVAL` where there is none.
    pub fn ask_sending(&self, id: CanId) -> io::Result<()> {
        self.send(&BcmMessage::new(BcmOperation::TxRead, id))
    }

    /// Asks for the state of the watch with this id; [`recv`](Self::recv) has the answer.
    ///
    /// RX_READ. Policy: `bcm-ops = ["rx-read"]`. Errors: `EINVAL` where there is none.
    pub fn ask_watching(&self, id: CanId) -> io::Result<()> {
        self.send(&BcmMessage::new(BcmOperation::RxRead, id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{classic, fd, ids};
    use super::*;
    use proptest::prelude::*;

    fn messages() -> impl Strategy<Value = BcmMessage> {
        let frames = prop_oneof![
            proptest::collection::vec(classic().prop_map(AnyCanFrame::from), 0..5),
            proptest::collection::vec(fd().prop_map(AnyCanFrame::from), 1..5),
        ];
        let micros = || (0..1u64 << 50).prop_map(Duration::from_micros);
        let head = (1..=12u32, 0..0x800u32, any::<u32>(), ids());
        (head, micros(), micros(), frames).prop_map(|(head, interval1, interval2, frames)| {
            let (operation, flags, count, id) = head;
            let fd = matches!(frames.first(), Some(AnyCanFrame::Fd(_)));
            BcmMessage {
                operation: BcmOperation::from_number(operation).unwrap(),
                flags: BcmFlags(if fd { flags | 0x800 } else { flags }),
                count,
                interval1,
                interval2,
                id,
                frames,
            }
        })
    }

    proptest! {
        #[test]
        fn messages_survive_their_encoding(message in messages()) {
            let bytes = message.encode().unwrap();
            prop_assert_eq!(BcmMessage::decode(&bytes), Some(message));
            prop_assert_eq!(BcmMessage::decode(&bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn what_is_not_whole_is_no_message(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Some(message) = BcmMessage::decode(&bytes) {
                prop_assert!(bytes.len() >= HEAD && message.frames.len() <= FRAMES);
            }
        }
    }

    #[test]
    fn the_head_is_that_of_a_64_bit_kernel() {
        let message = BcmMessage {
            interval2: Duration::new(1, 2000),
            ..BcmMessage::new(BcmOperation::TxSetup, CanId::Standard(0x123))
        };
        let bytes = message.encode().unwrap();
        assert_eq!(bytes.len(), 56);
        assert_eq!(
            (bytes[32], bytes[40], bytes[48], bytes[49]),
            (1, 2, 0x23, 1)
        );
    }

    #[test]
    fn formats_are_not_mixed() {
        let classic = CanFrame::new(CanId::Standard(1), &[]).unwrap();
        let fd = super::super::CanFdFrame::new(CanId::Standard(1), &[]).unwrap();
        let message = BcmMessage {
            frames: vec![classic.into(), fd.into()],
            ..BcmMessage::new(BcmOperation::TxSetup, CanId::Standard(1))
        };
        assert!(message.encode().is_err());
    }
}
