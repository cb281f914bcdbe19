//! Bytes that never leave the kernel: splice(2), sendfile(2).
//!
//! Unlike send(2), these have no MSG_NOSIGNAL: SIGPIPE must be ignored, as Rust's runtime has it from the
//! start of `main`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Result, check, check_count};

/// The most bytes that one call moves: the kernel's MAX_RW_COUNT.
const MAXIMUM: usize = 0x7fff_f000;

/// A pipe between two sockets. What one took in and the other did not take out yet stays in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// pipe(2)
    pub fn create() -> Result<Self> {
        let mut ends = [-1; 2];
        // SAFETY: `ends` has room for two descriptors.
        check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
        // SAFETY: the call succeeded, so both are new descriptors that nobody else owns.
        let (read, write) =
            unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        Ok(Self {
            read,
            write,
            held: 0,
        })
    }

    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes up to `max` bytes from a socket; 0 at the end of its stream. `again` where the socket has
    /// nothing or the pipe is full.
    pub fn fill(&mut self, from: BorrowedFd<'_>, max: usize) -> Result<usize> {
        let moved = splice(from, self.write.as_fd(), max)?;
        self.held += moved;
        Ok(moved)
    }

    /// Gives up to `max` bytes to a socket. `again` where the socket or the pipe has no more.
    pub fn drain(&mut self, to: BorrowedFd<'_>, max: usize) -> Result<usize> {
        let moved = splice(self.read.as_fd(), to, max.min(self.held))?;
        self.held -= moved;
        Ok(moved)
    }
}

/// splice(2), one end of which is a pipe.
fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max: usize) -> Result<usize> {
    // SAFETY: the offsets are null, as pipes and sockets want them.
    check_count(unsafe {
        libc::splice(
            from.as_raw_fd(),
            std::ptr::null_mut(),
            to.as_raw_fd(),
            std::ptr::null_mut(),
            max.min(MAXIMUM),
            libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK,
        )
    })
}

/// pread(2): bytes of a file from `offset` on; 0 at its end and beyond.
pub fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let offset = i64::try_from(offset).map_err(|_| super::Errno::INVAL)?;
    // SAFETY: the pointer and the length are of one live slice.
    check_count(unsafe {
        libc::pread64(
            file.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            offset,
        )
    })
}

/// sendfile(2): up to `count` bytes of a file from `offset` on; how many went. The file's own position
/// stays where it is. Only a socket that is non-blocking answers `again`.
pub fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: u64,
) -> Result<usize> {
    let mut offset = i64::try_from(offset).map_err(|_| super::Errno::INVAL)?;
    let count = usize::try_from(count).unwrap_or(MAXIMUM).min(MAXIMUM);
    // SAFETY: the offset lives until the call returns.
    check_count(unsafe {
        libc::sendfile64(socket.as_raw_fd(), file.as_raw_fd(), &mut offset, count)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::testing::{received, stream_pair};
    use super::super::{Errno, message};
    use super::*;
    use sockgate_policy::MessageFlags;

    #[test]
    fn bytes_go_from_socket_to_socket_and_what_is_left_stays() {
        let (near, from) = stream_pair();
        let (to, far) = stream_pair();
        let mut pipe = Pipe::create().unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 100), Err(Errno::AGAIN));
        message::send(near.as_fd(), b"one two three", MessageFlags::empty()).unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 100), Ok(13));
        assert_eq!(pipe.drain(to.as_fd(), 4), Ok(4));
        assert_eq!(pipe.held(), 9);
        assert_eq!(received(far.as_fd()), b"one ");
        assert_eq!(pipe.drain(to.as_fd(), usize::MAX), Ok(9));
        assert_eq!(received(far.as_fd()), b"two three");
        drop(near);
        assert_eq!(pipe.fill(from.as_fd(), 100), Ok(0), "the end of the stream");
    }

    #[test]
    fn a_files_part_is_sent() {
        let (near, far) = stream_pair();
        let path = std::env::temp_dir().join(format!("sockgate-sendfile-{}", std::process::id()));
        let mut file = std::fs::File::create_new(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(send_file(near.as_fd(), file.as_fd(), 3, 4), Ok(4));
        assert_eq!(received(far.as_fd()), b"3456");
        assert_eq!(send_file(near.as_fd(), file.as_fd(), 8, u64::MAX), Ok(2));
        assert_eq!(
            send_file(near.as_fd(), file.as_fd(), u64::MAX, 1),
            Err(Errno::INVAL)
        );
        let mut read = [0; 4];
        assert_eq!(read_at(file.as_fd(), &mut read, 8), Ok(2));
        assert_eq!(&read, b"89\0\0");
        assert_eq!(read_at(file.as_fd(), &mut read, 10), Ok(0));
        assert_eq!(
            read_at(file.as_fd(), &mut read, u64::MAX),
            Err(Errno::INVAL)
        );
    }
}
