//! From the command's pipes to the consoles, until the command ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus};
use rustix::termios::OptionalActions;

/// The consoles that lead out, one for each stream, so that the two stay apart.
pub struct Consoles {
    stdout: File,
    stderr: File,
}

impl Consoles {
    /// Opens both, and has them change no byte.
    pub fn open() -> Result<Consoles> {
        Ok(Consoles {
            stdout: console("/dev/tty0")?,
            stderr: console("/dev/tty1")?,
        })
    }

    /// Says something on stderr in the command's stead.
    pub fn complain(&self, what: &str) -> Result<()> {
        let mut stderr = &self.stderr;
        writeln!(stderr, "kernel rig: {what}")?;
        rustix::termios::tcdrain(stderr)?;
        Ok(())
    }
}

fn console(path: &str) -> Result<File> {
    // Not to become this session's terminal.
    let no_terminal = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(no_terminal);
    let file = options
        .open(Path::new(path))
        .with_context(|| format!("cannot open {path}"))?;
    let mut modes = rustix::termios::tcgetattr(&file)?;
    modes.make_raw();
    rustix::termios::tcsetattr(&file, OptionalActions::Now, &modes)?;
    Ok(file)
}

/// One pipe of the command's and where it leads.
struct Stream<'a> {
    pipe: File,
    console: &'a File,
    ended: bool,
}

/// Copies until the command has ended and its pipes are empty: its exit status, or 128 and a signal's number.
///
/// What the command left running keeps nothing waiting. Reaps every orphan, as the first process must.
pub fn until_the_end(
    child: u32,
    stdout: OwnedFd,
    stderr: OwnedFd,
    consoles: &Consoles,
) -> Result<i32> {
    let pid = Pid::from_raw(child.cast_signed()).context("the command has no process id")?;
    let alive = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let mut streams = [
        Stream {
            pipe: stdout.into(),
            console: &consoles.stdout,
            ended: false,
        },
        Stream {
            pipe: stderr.into(),
            console: &consoles.stderr,
            ended: false,
        },
    ];
    let mut status = None;
    loop {
        let ready = ready(&streams, &alive, status.is_some())?;
        let mut moved = false;
        for (stream, ready) in streams.iter_mut().zip(ready) {
            if ready {
                moved |= stream.copy()?;
            }
        }
        status = status.or(reap(pid)?);
        if let Some(status) = status
            && !moved
        {
            for stream in &streams {
                rustix::termios::tcdrain(stream.console)?;
            }
            return Ok(status);
        }
    }
}

/// Which streams have something; waits for one of them or for the command's end, unless it `has_ended`.
fn ready<'a>(
    streams: &'a [Stream<'a>; 2],
    alive: &'a OwnedFd,
    has_ended: bool,
) -> Result<[bool; 2]> {
    // poll(2) would report an ended pipe at once, for ever.
    let watched = |stream: &'a Stream<'a>| match stream.ended {
        true => PollFd::new(alive, PollFlags::IN),
        false => PollFd::new(&stream.pipe, PollFlags::IN),
    };
    let mut fds = [
        watched(&streams[0]),
        watched(&streams[1]),
        PollFd::new(alive, PollFlags::IN),
    ];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // Orphans are reaped once a second at the latest.
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(if has_ended { &now } else { &second }))?;
    let something = |index: usize| !streams[index].ended && !fds[index].revents().is_empty();
    Ok([something(0), something(1)])
}

impl Stream<'_> {
    /// Moves what is there; false where that was the end.
    fn copy(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 1 << 16];
        let count = self.pipe.read(&mut buffer)?;
        self.ended = count == 0;
        self.console.write_all(&buffer[..count])?;
        Ok(count > 0)
    }
}

/// Takes every process that has ended; the command's status if it is among them.
fn reap(command: Pid) -> Result<Option<i32>> {
    let mut status = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, ended))) if pid == command => status = Some(number(ended)),
            Ok(Some(_)) => {}
            // None has ended, or there is none left at all.
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(status),
            Err(error) => return Err(error.into()),
        }
    }
}

/// As a shell has it.
fn number(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 125,
    }
}
