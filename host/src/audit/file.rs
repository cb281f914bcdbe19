//! The audit log as a file of its own, which may be rotated.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Event, Sink};

/// When a log is put aside, and how many of those are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// No file grows beyond so many bytes, unless one event alone is longer.
    pub size: u64,
    /// How many are kept beside the current one: `audit.jsonl.1`, the youngest, and so on. With none a full
    /// log is begun anew.
    pub keep: u32,
}

/// Writes each event as one line of JSON to the end of a file, at once. Cheap to clone; all clones are the same
/// log.
///
/// A line is written whole: what a full disk cut short is taken out again. Then the guest goes on, and the
/// log tells it to [`AuditFile::on_trouble`]'s listener (by default to `tracing`) once, and once more when it is
/// written again; what is missing is a gap in the events' [`sequence`](Event::sequence).
#[derive(Clone)]
pub struct AuditFile(Arc<Mutex<Log>>);

struct Log {
    path: PathBuf,
    rotation: Option<Rotation>,
    file: File,
    /// Of the file.
    length: u64,
    /// Events that could not be written since one could.
    lost: u64,
    /// The file ends with a part of a line, which could not be taken out.
    torn: bool,
    /// It could not be put aside, and grows on.
    stuck: bool,
    told: Box<dyn Fn(&str) + Send>,
}

impl AuditFile {
    /// Opens the file to append, or makes it.
    ///
    /// # Errors
    /// What open(2) says.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<AuditFile> {
        let path = path.into();
        let (file, length) = open(&path)?;
        Ok(AuditFile(Arc::new(Mutex::new(Log {
            path,
            rotation: None,
            file,
            length,
            lost: 0,
            torn: false,
            stuck: false,
            told: Box::new(|trouble| tracing::error!("{trouble}")),
        }))))
    }

    /// Puts the log aside when it is full.
    #[must_use]
    pub fn rotated(self, rotation: Rotation) -> AuditFile {
        self.log().rotation = Some(rotation);
        self
    }

    /// Who hears that the log cannot be written, and that it can again: a sentence.
    #[must_use]
    pub fn on_trouble(self, told: impl Fn(&str) + Send + 'static) -> AuditFile {
        self.log().told = Box::new(told);
        self
    }

    /// Opens the file by its name anew, for programs that move it away: every event goes to the old file or to
    /// the new one.
    ///
    /// # Errors
    /// What open(2) says; events go on to the old file then.
    pub fn reopen(&self) -> io::Result<()> {
        let mut log = self.log();
        let (file, length) = open(&log.path)?;
        (log.file, log.length, log.torn) = (file, length, false);
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for AuditFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AuditFile").field(&self.log().path).finish()
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

impl Sink for AuditFile {
    fn record(&self, event: &Event) {
        let mut line = match serde_json::to_vec(event) {
            Ok(line) => line,
            Err(error) => {
                return tracing::error!(%error, "an audit event could not be written as JSON");
            }
        };
        line.push(b'\n');
        self.log().record(&line);
    }
}

impl Log {
    fn record(&mut self, line: &[u8]) {
        self.make_room(line.len() as u64);
        match self.append(line) {
            Ok(()) if self.lost > 0 => {
                let text = format!(
                    "the audit log {} is written again; {} events are missing in it",
                    self.path.display(),
                    self.lost
                );
                (self.told)(&text);
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    let path = self.path.display();
                    let text = format!("the audit log {path} cannot be written: {error}");
                    (self.told)(&text);
                }
                self.lost += 1;
            }
        }
    }

    /// Writes the whole line, or nothing of it.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.length += 1;
            self.torn = false;
        }
        let mut written = 0;
        while written < line.len() {
            match self.file.write(&line[written..]) {
                Ok(0) => return Err(self.take_back(written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.take_back(written, error)),
            }
        }
        self.length += written as u64;
        Ok(())
    }

    /// Takes a part of a line out again. Where somebody else wrote behind it, the next line begins anew.
    fn take_back(&mut self, written: usize, error: io::Error) -> io::Error {
        if written > 0 {
            let whole = self.length;
            let own =
                self.file.metadata().map(|file| file.len()).ok() == Some(whole + written as u64);
            self.torn = !own || self.file.set_len(whole).is_err();
            if self.torn {
                self.length += written as u64;
            }
        }
        error
    }

    /// Puts the log aside if the line has no room in it. Where that fails it grows on.
    fn make_room(&mut self, line: u64) {
        let Some(rotation) = self.rotation else {
            return;
        };
        if self.length == 0 || self.length + line <= rotation.size {
            return;
        }
        let outcome = self.put_aside(rotation.keep);
        if let (Err(error), false) = (&outcome, self.stuck) {
            let path = self.path.display();
            let text = format!("the audit log {path} cannot be put aside, and grows on: {error}");
            (self.told)(&text);
        }
        self.stuck = outcome.is_err();
    }

    /// `log` becomes `log.1`, what was `log.1` becomes `log.2`, and the oldest goes.
    fn put_aside(&mut self, keep: u32) -> io::Result<()> {
        let aside = |number: u32| {
            let mut name = OsString::from(&self.path);
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..keep).rev() {
            absent_is_fine(std::fs::rename(aside(number), aside(number + 1)))?;
        }
        if keep == 0 {
            absent_is_fine(std::fs::remove_file(&self.path))?;
        } else {
            absent_is_fine(std::fs::rename(&self.path, aside(1)))?;
        }
        let (file, length) = open(&self.path)?;
        (self.file, self.length, self.torn) = (file, length, false);
        Ok(())
    }
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
