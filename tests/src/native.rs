//! Native programs as peers: socat, curl, and Python in the tree's own scripts.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::output::Output;
use crate::place::root;

/// A running native program; dropping it kills it.
pub struct Native {
    child: Child,
    /// What it prints.
    pub stdout: Output,
    /// What it prints as errors.
    pub stderr: Output,
    line: String,
}

impl Native {
    /// Starts a program with nothing on its stdin.
    pub fn start(command: &mut Command) -> Result<Native> {
        command.stdin(Stdio::null());
        Native::spawn(command)
    }

    /// Starts a program that reads these bytes on its stdin, and then the end.
    pub fn with_input(command: &mut Command, input: &[u8]) -> Result<Native> {
        command.stdin(Stdio::piped());
        let mut native = Native::spawn(command)?;
        let mut pipe = native.child.stdin.take().context("it has no stdin")?;
        let input = input.to_vec();
        // A program that ends without reading breaks the pipe, which its own outcome tells better.
        thread::spawn(move || pipe.write_all(&input));
        Ok(native)
    }

    /// Starts a script of `tests/native` in this Python, with a role and its arguments.
    pub fn python<A: AsRef<OsStr>>(
        python: &Path,
        script: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Native> {
        let file = root().join("tests/native").join(script);
        Native::start(Command::new(python).arg(file).args(arguments))
    }

    fn spawn(command: &mut Command) -> Result<Native> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = Output::of(child.stdout.take().context("it has no stdout")?);
        let stderr = Output::of(child.stderr.take().context("it has no stderr")?);
        Ok(Native {
            child,
            stdout,
            stderr,
            line: format!("{command:?}"),
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout that begins with `prefix`; answers the rest of that line.
    pub fn wait_for_line(&self, prefix: &str, wait: Duration) -> Result<String> {
        let line = self
            .stdout
            .wait_for(wait, |line| line.starts_with(prefix))
            .with_context(|| {
                format!(
                    "{} printed no `{prefix}`: {}",
                    self.line,
                    self.stderr.text()
                )
            })?;
        Ok(line[prefix.len()..].to_owned())
    }

    /// Waits for the program's own end with status 0: its lines.
    ///
    /// # Errors
    /// It outlived `wait` (and is killed), or ended otherwise; the error holds what it printed.
    pub fn finish(mut self, wait: Duration) -> Result<Vec<String>> {
        let deadline = Instant::now() + wait;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} did not end within {wait:?}; {}",
                    self.line,
                    self.printed()
                );
            }
            thread::sleep(Duration::from_millis(2));
        };
        self.stdout.wait_for_end(Duration::from_secs(5));
        self.stderr.wait_for_end(Duration::from_secs(5));
        if !status.success() {
            bail!("{} ended with {status}; {}", self.line, self.printed());
        }
        Ok(self.stdout.lines())
    }

    /// Ends a program that would not end by itself: everything that it printed until now.
    pub fn stop(mut self) -> Result<Vec<String>> {
        self.child
            .kill()
            .with_context(|| format!("cannot end {}", self.line))?;
        self.stdout.wait_for_end(Duration::from_secs(5));
        Ok(self.stdout.lines())
    }

    fn printed(&self) -> String {
        format!(
            "stdout:\n{}\nstderr:\n{}",
            self.stdout.text(),
            self.stderr.text()
        )
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a peer says of what it moved: the rest of each line that begins with `verb` and a space.
pub fn told<L: AsRef<str>>(lines: &[L], verb: &str) -> Vec<String> {
    let lines = lines.iter().map(AsRef::as_ref);
    lines
        .filter_map(|line| line.strip_prefix(verb)?.strip_prefix(' '))
        .map(str::to_owned)
        .collect()
}

/// Whether what each of two peers `sent` is what the other `received`, by length and SHA-256.
///
/// # Errors
/// It is not, or nothing was sent at all.
pub fn agree<L: AsRef<str>, M: AsRef<str>>(one: &[L], other: &[M]) -> Result<()> {
    let (one_sent, other_sent) = (told(one, "sent"), told(other, "sent"));
    if one_sent.is_empty() && other_sent.is_empty() {
        bail!("nothing was sent");
    }
    for (sent, received) in [
        (one_sent, told(other, "received")),
        (other_sent, told(one, "received")),
    ] {
        if sent != received {
            bail!("sent {sent:?}\nreceived {received:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_agree_only_on_the_same_bytes() {
        let one = ["sent 1 aa", "received 2 bb"];
        assert!(agree(&one, &["received 1 aa", "sent 2 bb"]).is_ok());
        assert!(agree(&one, &["received 1 aa", "sent 2 cc"]).is_err());
        assert!(agree(&one, &["received 1 aa"]).is_err());
        assert!(agree(&["nothing"], &["nothing"]).is_err());
    }
}
