//! Files that the host sends: [`Socket::send_file`], sendfile(2), without a copy through the guest.
//!
//! ```no_run
//! use sockgate_guest::files::File;
//! use sockgate_guest::TcpStream;
//!
//! let file = File::open("site/index.html")?;
//! let stream = TcpStream::connect("127.0.0.1:80")?;
//! let sent = stream.as_ref().send_file(&file, 0, None)?;
//! println!("{sent} bytes went");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A guest has the files of the directories that its host gives it (`sockgate run --dir HOST::GUEST`,
//! wasmtime-wasi's `preopened_dir`). std's `File` does not say which descriptor of wasi:filesystem it is, so
//! files to be sent are opened here, as often as you like beside std's.

use std::io;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::bindings::sockgate::sockets::files as raw;
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags,
};
use crate::error::Errno;
use crate::socket::Socket;
use crate::types::Timeout;

/// A file to be sent, open for reading.
///
/// It has a position as Python's file objects have it: [`Socket::send_file`] leaves it behind the last byte
/// that was sent, also where it ends with an error.
#[derive(Debug)]
pub struct File {
    descriptor: Descriptor,
    position: AtomicU64,
}

impl File {
    /// Opens a file for reading, beneath one of the directories that the host gives. A relative path is one
    /// from the root, as in std on WASI.
    ///
    /// Errors: [`Errno::NOENT`] where there is none, or no directory that leads there; [`Errno::PERM`] where a
    /// symbolic link leads out of the directory. A directory can be opened, and not be sent.
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        let path = normal(path.as_ref())?;
        let given = preopens::get_directories();
        let within = given
            .iter()
            .filter_map(|(directory, name)| {
                let name = normal(Path::new(name)).ok()?;
                Some((name.len(), directory, beneath(&path, &name)?))
            })
            .max_by_key(|(length, ..)| *length);
        let (_, directory, rest) = within.ok_or(Errno::NOENT)?;
        let descriptor = directory
            .open_at(
                PathFlags::SYMLINK_FOLLOW,
                rest,
                OpenFlags::empty(),
                DescriptorFlags::READ,
            )
            .map_err(errno)?;
        Ok(File {
            descriptor,
            position: AtomicU64::new(0),
        })
    }

    /// How far the last [`Socket::send_file`] came, in bytes from the file's begin: Python's `tell`.
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }
}

/// A path from the root, without `.`. What `..` leads to the host knows.
fn normal(path: &Path) -> io::Result<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str().ok_or(Errno::ILSEQ)?),
            Component::ParentDir => parts.push(".."),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok(parts.join("/"))
}

/// The rest of a path beneath a directory, `.` for the directory itself.
fn beneath<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory)?;
    match rest.strip_prefix('/') {
        _ if rest.is_empty() => Some("."),
        Some(rest) => Some(rest),
        None if directory.is_empty() => Some(rest),
        None => None,
    }
}

/// Sending files. Policy: as [`send`](Socket::send).
impl Socket {
    /// Sends a file, or `count` bytes of it, from `offset` on: how many bytes went, which is fewer than `count`
    /// where the file ends before. sendfile(2) as Python has it in `socket.sendfile`: as often as that takes,
    /// within one time-out for the whole. [`File::position`] tells how far it came, after an error too.
    ///
    /// On a non-blocking socket it sends what there is room for, and answers [`Errno::AGAIN`] only where
    /// nothing went.
    ///
    /// Errors: [`Errno::INVAL`] on a socket that is no stream, [`Errno::ISDIR`] for a directory, and those of
    /// [`send`](Socket::send).
    pub fn send_file(&self, file: &File, offset: u64, count: Option<u64>) -> io::Result<u64> {
        let total = match self.write_timeout() {
            Timeout::After(nanoseconds) => Duration::from_nanos(nanoseconds),
            _ => return self.send_pieces(file, offset, count, || Ok(())),
        };
        let deadline = Instant::now().checked_add(total);
        let result = self.send_pieces(file, offset, count, || {
            let Some(deadline) = deadline else {
                return Ok(());
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT.into());
            }
            self.set_write_timeout(left);
            Ok(())
        });
        self.set_write_timeout(total);
        result
    }

    /// One sendfile(2): at most `count` bytes of the file from `offset` on, as many as there is room for now;
    /// 0 from the file's end on. [`File::position`] stays where it is.
    pub fn send_file_piece(&self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        self.before_write();
        Ok(raw::send_file(&self.raw, &file.descriptor, offset, count)?)
    }

    /// Sends piece by piece; `between` runs after each of them.
    fn send_pieces(
        &self,
        file: &File,
        offset: u64,
        count: Option<u64>,
        between: impl Fn() -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut left = count.unwrap_or(u64::MAX);
        let mut sent = 0;
        file.position.store(offset, Relaxed);
        while left > 0 {
            let piece = match self.send_file_piece(file, offset + sent, left) {
                Ok(0) => break,
                Ok(piece) => piece,
                Err(error) if sent > 0 && Errno::of(&error) == Some(Errno::AGAIN) => break,
                Err(error) => return Err(error),
            };
            sent += piece;
            left = left.saturating_sub(piece);
            file.position.store(offset + sent, Relaxed);
            between()?;
        }
        Ok(sent)
    }
}

/// The errors of wasi:filesystem under the names that they have here.
fn errno(code: ErrorCode) -> io::Error {
    let errno = match code {
        ErrorCode::Access => Errno::ACCES,
        ErrorCode::WouldBlock => Errno::AGAIN,
        ErrorCode::Already => Errno::ALREADY,
        ErrorCode::BadDescriptor => Errno::BADF,
        ErrorCode::Busy => Errno::BUSY,
        ErrorCode::Deadlock => Errno::DEADLK,
        ErrorCode::Quota => Errno::DQUOT,
        ErrorCode::Exist => Errno::EXIST,
        ErrorCode::FileTooLarge => Errno::FBIG,
        ErrorCode::IllegalByteSequence => Errno::ILSEQ,
        ErrorCode::InProgress => Errno::INPROGRESS,
        ErrorCode::Interrupted => Errno::INTR,
        ErrorCode::Invalid => Errno::INVAL,
        ErrorCode::Io => Errno::IO,
        ErrorCode::IsDirectory => Errno::ISDIR,
        ErrorCode::Loop => Errno::LOOP,
        ErrorCode::TooManyLinks => Errno::MLINK,
        ErrorCode::MessageSize => Errno::MSGSIZE,
        ErrorCode::NameTooLong => Errno::NAMETOOLONG,
        ErrorCode::NoDevice => Errno::NODEV,
        ErrorCode::NoEntry => Errno::NOENT,
        ErrorCode::NoLock => Errno::NOLCK,
        ErrorCode::InsufficientMemory => Errno::NOMEM,
        ErrorCode::InsufficientSpace => Errno::NOSPC,
        ErrorCode::NotDirectory => Errno::NOTDIR,
        ErrorCode::NotEmpty => Errno::NOTEMPTY,
        ErrorCode::NotRecoverable => Errno::NOTRECOVERABLE,
        ErrorCode::Unsupported => Errno::OPNOTSUPP,
        ErrorCode::NoTty => Errno::NOTTY,
        ErrorCode::NoSuchDevice => Errno::NXIO,
        ErrorCode::Overflow => Errno::OVERFLOW,
        ErrorCode::NotPermitted => Errno::PERM,
        ErrorCode::Pipe => Errno::PIPE,
        ErrorCode::ReadOnly => Errno::ROFS,
        ErrorCode::InvalidSeek => Errno::SPIPE,
        ErrorCode::TextFileBusy => Errno::TXTBSY,
        ErrorCode::CrossDevice => Errno::XDEV,
    };
    errno.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_from_the_root() {
        let normal = |path: &str| super::normal(Path::new(path)).unwrap();
        assert_eq!(normal("/site/./a.txt"), "site/a.txt");
        assert_eq!(normal("site//a.txt"), "site/a.txt");
        assert_eq!(normal("site/b/../a.txt"), "site/b/../a.txt");
        assert_eq!(normal("."), "");
        assert_eq!(normal("/"), "");
    }

    #[test]
    fn a_path_lies_beneath_its_directory_alone() {
        assert_eq!(beneath("site/a.txt", "site"), Some("a.txt"));
        assert_eq!(beneath("site/a.txt", ""), Some("site/a.txt"));
        assert_eq!(beneath("site", "site"), Some("."));
        assert_eq!(beneath("sites/a.txt", "site"), None);
        assert_eq!(beneath("a.txt", "site"), None);
    }
}
