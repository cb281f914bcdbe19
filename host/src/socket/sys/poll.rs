//! Waiting: poll(2), epoll(7), eventfd(2). Time-outs count nanoseconds and never end early.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant};

use libc::{c_int, c_short, nfds_t, timespec};

use super::{Errno, Result, check, check_count, check_descriptor};

bitflags::bitflags! {
    /// What a socket is ready for, or what to wait for. Linux gives poll(2) and epoll(7) the same numbers.
    /// Errors and hang-ups are always reported.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Readiness: u32 {
        /// POLLIN
        const READABLE = libc::EPOLLIN as u32;
        /// POLLPRI
        const PRIORITY = libc::EPOLLPRI as u32;
        /// POLLOUT
        const WRITABLE = libc::EPOLLOUT as u32;
        /// POLLERR
        const ERROR = libc::EPOLLERR as u32;
        /// POLLHUP
        const HANG_UP = libc::EPOLLHUP as u32;
        /// POLLRDHUP: the peer will send no more.
        const PEER_CLOSED = libc::EPOLLRDHUP as u32;
        /// POLLNVAL: it is no socket any more.
        const CLOSED = libc::POLLNVAL as u32;
    }
}

/// One descriptor to wait for with [`ppoll`].
#[repr(transparent)]
pub struct PollFd<'fd> {
    inner: libc::pollfd,
    descriptor: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> PollFd<'fd> {
    /// Waits for `interest` on `descriptor`.
    pub fn new(descriptor: BorrowedFd<'fd>, interest: Readiness) -> Self {
        let inner = libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: interest.bits() as c_short,
            revents: 0,
        };
        Self {
            inner,
            descriptor: PhantomData,
        }
    }

    /// What the last [`ppoll`] found.
    pub fn events(&self) -> Readiness {
        Readiness::from_bits_truncate(self.inner.revents as u16 as u32)
    }
}

/// ppoll(2): waits until a descriptor is ready or the time is over (none: for ever), and gives the number
/// of those that are ready. A signal ends it with `intr`; a look that waits for nothing is taken again.
pub fn ppoll(descriptors: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<usize> {
    let looks = timeout == Some(Duration::ZERO);
    let timeout = timeout.map(to_timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    loop {
        // SAFETY: `PollFd` is transparent over `pollfd`, the pointer and the count are of one live slice, and
        // the time-out lives until the end of this function.
        let ready = check(unsafe {
            libc::ppoll(
                descriptors.as_mut_ptr().cast(),
                descriptors.len() as nfds_t,
                timeout,
                ptr::null(),
            )
        });
        match ready {
            Err(Errno::INTR) if looks => {}
            other => return other.map(|ready| ready as usize),
        }
    }
}

/// The kernel adds it to its clock with saturation, so that a very long one waits for ever.
fn to_timespec(duration: Duration) -> timespec {
    // SAFETY: `timespec` is integers (with padding on some targets).
    let mut value: timespec = unsafe { std::mem::zeroed() };
    value.tv_sec = duration.as_secs().try_into().unwrap_or(libc::time_t::MAX);
    value.tv_nsec = duration.subsec_nanos().into();
    value
}

/// eventfd(2): a counter that can be waited for, to wake a thread.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one, not signalled.
    pub fn create() -> Result<Self> {
        // SAFETY: no pointers; the descriptor is new.
        let descriptor =
            unsafe { check_descriptor(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }?;
        Ok(Self(descriptor))
    }

    /// Makes it readable until it is drained.
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // It fails only where the counter is full (EAGAIN), and then it is readable already.
        // SAFETY: the pointer and the length are of one live array.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Takes every signal so far; whether there was one.
    pub fn drain(&self) -> bool {
        let mut count = [0u8; 8];
        // SAFETY: the pointer and the length are of one live array.
        let read =
            unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        check_count(read).is_ok()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The most events that one [`Epoll::wait`] gives.
pub const MAXIMUM_EVENTS: usize = 1024;

/// epoll(7), level-triggered. A descriptor leaves it when its last duplicate is closed.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// epoll_create(2)
    pub fn create() -> Result<Self> {
        // SAFETY: no pointers; the descriptor is new.
        let descriptor = unsafe { check_descriptor(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }?;
        Ok(Self(descriptor))
    }

    /// EPOLL_CTL_ADD: `exist` where it is watched already.
    pub fn add(&self, descriptor: BorrowedFd<'_>, token: u64, interest: Readiness) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token, interest)
    }

    /// EPOLL_CTL_MOD: `noent` where it is not watched.
    pub fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        token: u64,
        interest: Readiness,
    ) -> Result<()> {
        self.control(libc::EPOLL_CTL_MOD, descriptor, token, interest)
    }

    /// EPOLL_CTL_DEL: `noent` where it was not watched.
    pub fn remove(&self, descriptor: BorrowedFd<'_>) -> Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor, 0, Readiness::empty())
    }

    /// epoll_ctl(2)
    fn control(
        &self,
        what: c_int,
        descriptor: BorrowedFd<'_>,
        token: u64,
        interest: Readiness,
    ) -> Result<()> {
        let mut event = libc::epoll_event {
            events: interest.bits(),
            u64: token,
        };
        // SAFETY: the event lives until the call returns; the kernel copies it.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), what, descriptor.as_raw_fd(), &mut event)
        })?;
        Ok(())
    }

    /// epoll_pwait2(2): puts at most `max` tokens with what they are ready for into `ready`, which is
    /// emptied first; none of them when the time is over. A signal ends it with `intr`.
    pub fn wait(
        &self,
        ready: &mut Vec<(u64, Readiness)>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<()> {
        ready.clear();
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; MAXIMUM_EVENTS];
        let room = max.clamp(1, MAXIMUM_EVENTS) as c_int;
        let count = self.wait_into(events.as_mut_ptr().cast(), room, timeout)?;
        for event in &events[..count] {
            // SAFETY: the kernel filled the first `count` events.
            let libc::epoll_event { events, u64: token } = unsafe { event.assume_init() };
            ready.push((token, Readiness::from_bits_truncate(events)));
        }
        Ok(())
    }

    /// Waits with the best clock that the kernel has for it.
    fn wait_into(
        &self,
        events: *mut libc::epoll_event,
        room: c_int,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        let precise = timeout.map(to_timespec);
        let pointer = precise.as_ref().map_or(ptr::null(), ptr::from_ref);
        // By number, since older C libraries have no function for it.
        // SAFETY: `events` has room for `room` events, and the time-out lives until the call returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.0.as_raw_fd(),
                events,
                room,
                pointer,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        match check_count(result as isize) {
            // Before Linux 5.11, and in sandboxes that do not know it.
            Err(Errno::NOSYS | Errno::PERM) => self.wait_milliseconds(events, room, timeout),
            other => other,
        }
    }

    /// epoll_wait(2), whose time-out counts milliseconds: rounded up, and repeated where the time is longer
    /// than that can say.
    fn wait_milliseconds(
        &self,
        events: *mut libc::epoll_event,
        room: c_int,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let milliseconds = left.map_or(-1, |left| {
                c_int::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
            });
            // SAFETY: `events` has room for `room` events.
            let count =
                check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events, room, milliseconds) })?;
            if count > 0 || milliseconds != c_int::MAX {
                return Ok(count as usize);
            }
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests;
