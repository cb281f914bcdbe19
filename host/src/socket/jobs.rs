//! The jobs of CAN's broadcast manager, which the kernel holds for a socket: as many as there may be.

use sockgate_policy::{Address, BroadcastJob, JobChange};

use super::Errno;

/// Jobs that a socket may have at a time; each may hold 256 frames.
pub(super) const MOST_JOBS: usize = 256;

/// The jobs that a socket was given, each with the interface that it is on.
#[derive(Default)]
pub(super) struct Jobs(Vec<(BroadcastJob, Address)>);

impl Jobs {
    /// Before a message is sent; `nobufs` where it would begin one job too many. What it begins counts from here on,
    /// whether or not the kernel takes it.
    pub(super) fn admit(&mut self, message: &[u8], to: &Address) -> Result<(), Errno> {
        let Some(JobChange::Begins(job)) = JobChange::of(message) else {
            return Ok(());
        };
        if self.place(job, to).is_some() {
            return Ok(());
        }
        if self.0.len() >= MOST_JOBS {
            return Err(Errno::NOBUFS);
        }
        self.0.push((job, to.clone()));
        Ok(())
    }

    /// After the kernel took it.
    pub(super) fn sent(&mut self, message: &[u8], to: &Address) {
        if let Some(JobChange::Ends(job)) = JobChange::of(message)
            && let Some(place) = self.place(job, to)
        {
            self.0.swap_remove(place);
        }
    }

    fn place(&self, job: BroadcastJob, to: &Address) -> Option<usize> {
        self.0
            .iter()
            .position(|(other, there)| *other == job && there == to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockgate_policy::{CanAddress, CanEndpoint};

    const TX: u32 = 1;
    const RX: u32 = 5;
    const FD: u32 = 0x800;

    /// TX_SETUP, RX_SETUP.
    fn begin(opcode: u32, flags: u32, id: u32) -> Vec<u8> {
        let mut message = vec![0; 56];
        for (place, word) in [(0, opcode), (4, flags), (48, id)] {
            message[place..place + 4].copy_from_slice(&word.to_ne_bytes());
        }
        message
    }

    /// TX_DELETE, RX_DELETE.
    fn end(opcode: u32, flags: u32, id: u32) -> Vec<u8> {
        begin(opcode + 1, flags, id)
    }

    fn on(interface: &str) -> Address {
        Address::Can(CanAddress {
            interface: Some(interface.to_owned()),
            endpoint: CanEndpoint::Bus,
        })
    }

    #[test]
    fn jobs_are_counted_until_they_end() {
        let mut jobs = Jobs::default();
        let (here, there) = (on("can0"), on("can1"));
        for id in 0..MOST_JOBS as u32 {
            assert_eq!(jobs.admit(&begin(TX, 0, id), &here), Ok(()));
        }
        let full = Err(Errno::NOBUFS);
        let others = [
            (TX, 0, 256, &here),
            (RX, 0, 7, &here),
            (TX, FD, 7, &here),
            (TX, 0, 7, &there),
        ];
        for (opcode, flags, id, to) in others {
            assert_eq!(jobs.admit(&begin(opcode, flags, id), to), full);
            // No end but its own ends the seventh.
            jobs.sent(&end(opcode, flags, id), to);
            jobs.sent(&begin(TX, 0, 7), &here);
            assert_eq!(jobs.admit(&begin(opcode, flags, id), to), full);
            // One that is there may be changed.
            assert_eq!(jobs.admit(&begin(TX, 0, 7), &here), Ok(()));
        }
        for (opcode, flags, id, to) in others {
            // What was not sent has ended nothing.
            assert_eq!(jobs.admit(&end(TX, 0, 7), &here), Ok(()));
            assert_eq!(jobs.admit(&begin(opcode, flags, id), to), full);
            jobs.sent(&end(TX, 0, 7), &here);
            assert_eq!(jobs.admit(&begin(opcode, flags, id), to), Ok(()));
            assert_eq!(jobs.admit(&begin(TX, 0, 7), &here), full);
            jobs.sent(&end(opcode, flags, id), to);
            assert_eq!(jobs.admit(&begin(TX, 0, 7), &here), Ok(()));
        }
    }
}
