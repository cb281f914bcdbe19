//! A guest that takes its steps from the test while it runs, one at a time: `poller_steps`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::skip::patience;

/// Where such a guest finds the test: a Unix socket, which its policy has to let it connect to.
pub struct Prompter {
    listener: UnixListener,
    path: PathBuf,
}

impl Prompter {
    /// Listens in this folder.
    pub fn new(folder: &Path) -> Result<Prompter> {
        let path = folder.join("prompt");
        let listener =
            UnixListener::bind(&path).with_context(|| format!("cannot bind {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Prompter { listener, path })
    }

    /// What the guest is called with, and may connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the guest.
    pub fn prompt(&self) -> Result<Prompt> {
        let deadline = Instant::now() + patience();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() > deadline {
                bail!("no guest connected to {}", self.path.display());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patience()))?;
        Ok(Prompt {
            answers: BufReader::new(stream.try_clone()?),
            stream,
        })
    }
}

/// The way to the guest; it ends when this is dropped.
pub struct Prompt {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Prompt {
    /// Has the guest take this step, and waits for what comes of it: `ok`, what it answers, or an errno's
    /// name in small letters (`acces`).
    pub fn ask(&mut self, step: impl AsRef<str>) -> Result<String> {
        self.tell(&step)?;
        self.answer()
            .with_context(|| format!("after `{}`", step.as_ref()))
    }

    /// Has the guest take this step; the test goes on.
    pub fn tell(&mut self, step: impl AsRef<str>) -> Result<()> {
        let line = format!("{}\n", step.as_ref());
        Ok(self.stream.write_all(line.as_bytes())?)
    }

    /// What came of the step that was told.
    pub fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the guest is gone");
        }
        Ok(line.trim_end_matches('\n').to_owned())
    }
}
