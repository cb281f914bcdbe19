//! What the operator sees of a guest: the trace, the audit log, the metrics.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use sockgate::{AuditFile, Metrics, Rotation, SocketsCtxBuilder, TextLines};

#[derive(Args)]
pub struct ReportArgs {
    /// Print each operation on standard error, as strace would, with the rule that
    /// decided or the reason of the refusal
    #[arg(long, verbatim_doc_comment)]
    trace: bool,

    /// Append each operation to FILE as a line of JSON. SIGHUP opens it anew
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,

    /// Put the audit log aside as FILE.1, FILE.2 ... before it grows beyond SIZE (10MiB),
    /// and keep so many of them [default: 4]
    #[arg(long, value_name = "SIZE[,KEEP]", value_parser = rotation, requires = "audit", verbatim_doc_comment)]
    audit_rotate: Option<Rotation>,

    /// Keep counters in FILE, in the text format of Prometheus: written anew every ten
    /// seconds and at the end
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    metrics: Option<PathBuf>,
}

/// How often the file of metrics is written.
const METRICS_PERIOD: Duration = Duration::from_secs(10);

/// So many logs are kept where nothing is said.
const KEPT: u32 = 4;

/// `10MiB,4`.
fn rotation(text: &str) -> Result<Rotation, String> {
    let (size, keep) = match text.split_once(',') {
        Some((size, keep)) => (size, keep.trim().parse().ok()),
        None => (text, Some(KEPT)),
    };
    match (amount(size.trim()), keep) {
        (Some(size), Some(keep)) if size > 0 => Ok(Rotation { size, keep }),
        _ => Err("write a size and how many to keep: 10MiB,4".to_owned()),
    }
}

/// Bytes, with one of the units that policies have.
fn amount(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" => 1,
        "kB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

impl ReportArgs {
    /// Where files are written while the guest runs.
    pub fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let files = self.audit.iter().chain(&self.metrics);
        files.map(|file| match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        })
    }

    pub fn open(&self) -> Result<Report> {
        let audit = match &self.audit {
            Some(path) => {
                let file = AuditFile::open(path).with_context(|| {
                    format!("the audit log {} cannot be opened", path.display())
                })?;
                let file = file.on_trouble(|trouble| eprintln!("sockgate: {trouble}"));
                Some(match self.audit_rotate {
                    Some(rotation) => file.rotated(rotation),
                    None => file,
                })
            }
            None => None,
        };
        let metrics = self
            .metrics
            .as_ref()
            .map(|path| (Metrics::new(), path.clone()));
        if let Some((metrics, path)) = &metrics {
            write_whole(path, &metrics.to_string())
                .with_context(|| format!("the metrics {} cannot be written", path.display()))?;
        }
        Ok(Report {
            trace: self.trace,
            audit,
            metrics,
        })
    }
}

/// Where a guest's events go.
#[derive(Clone)]
pub struct Report {
    trace: bool,
    audit: Option<AuditFile>,
    metrics: Option<(Metrics, PathBuf)>,
}

impl Report {
    /// Has all of it listen to a guest.
    pub fn listen(&self, mut builder: SocketsCtxBuilder) -> SocketsCtxBuilder {
        if self.trace {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder = builder.audit(TextLines::new(io::stderr(), colour));
        }
        if let Some(audit) = &self.audit {
            builder = builder.audit(audit.clone());
        }
        if let Some((metrics, _)) = &self.metrics {
            builder = builder.metrics(metrics);
        }
        builder
    }

    /// Whether SIGHUP has a log to open anew.
    pub fn has_log(&self) -> bool {
        self.audit.is_some()
    }

    /// Opens the log by its name anew.
    pub fn reopen(&self) {
        if let Some(audit) = &self.audit
            && let Err(error) = audit.reopen()
        {
            eprintln!(
                "sockgate: the audit log cannot be opened anew, and stays where it was: {error}"
            );
        }
    }

    /// Writes the metrics now and then, until the guest ends.
    pub async fn keep_metrics(self) {
        if self.metrics.is_none() {
            return;
        }
        loop {
            tokio::time::sleep(METRICS_PERIOD).await;
            self.finish();
        }
    }

    /// Writes what is written at the end.
    pub fn finish(&self) {
        if let Some((metrics, path)) = &self.metrics
            && let Err(error) = write_whole(path, &metrics.to_string())
        {
            let path = path.display();
            eprintln!("sockgate: the metrics {path} cannot be written: {error}");
        }
    }
}

/// Writes a file so that whoever reads it finds the whole text, of before or of now. What is no plain file (a
/// pipe, /dev/stdout) is written to.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    if path.metadata().is_ok_and(|file| !file.is_file()) {
        return std::fs::File::options()
            .write(true)
            .open(path)?
            .write_all(text.as_bytes());
    }
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // Whether it is there or not: nothing is to be left.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_have_a_size_and_a_number() {
        let kept = |text| rotation(text).map(|rotation| (rotation.size, rotation.keep));
        assert_eq!(kept("10MiB"), Ok((10 << 20, KEPT)));
        assert_eq!(kept("2 kB,0"), Ok((2000, 0)));
        for wrong in [
            "",
            "0",
            "10 apples",
            "10MiB,",
            "10MiB,-1",
            "99999999999999GiB",
        ] {
            assert!(kept(wrong).is_err(), "{wrong}");
        }
    }
}
