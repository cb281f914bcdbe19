//! What a child process prints, line by line, with waiting that ends.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The lines of one pipe, read by a thread of its own so that the child never blocks on it.
#[derive(Clone)]
pub struct Output {
    shared: Arc<Shared>,
}

/// What [`Output::more`] brought.
pub struct More {
    /// The new lines.
    pub lines: Vec<String>,
    /// Whether nothing will follow them.
    pub ended: bool,
}

#[derive(Default)]
struct Shared {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Default)]
struct Text {
    lines: Vec<String>,
    ended: bool,
}

impl Output {
    /// Starts to read. Bytes that are no UTF-8 become replacement characters.
    pub fn of(pipe: impl Read + Send + 'static) -> Output {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line);
                writer.lock().lines.push(text.trim_end().to_owned());
                writer.changed.notify_all();
                line.clear();
            }
            writer.lock().ended = true;
            writer.changed.notify_all();
        });
        Output { shared }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.shared.lock().lines.clone()
    }

    /// The lines so far as one text.
    pub fn text(&self) -> String {
        self.shared.lock().lines.join("\n")
    }

    /// Waits for lines beyond the first `seen`, for the end, or for the time to be over.
    pub fn more(&self, seen: usize, wait: Duration) -> More {
        let text = self.shared.lock();
        let (text, _) = self
            .shared
            .changed
            .wait_timeout_while(text, wait, |text| text.lines.len() <= seen && !text.ended)
            .unwrap_or_else(PoisonError::into_inner);
        More {
            lines: text.lines.get(seen..).unwrap_or_default().to_vec(),
            ended: text.ended,
        }
    }

    /// Waits for the first line that satisfies `wanted`, among those that came already too.
    ///
    /// # Errors
    /// The pipe ended, or the time did; the error holds everything that was printed.
    pub fn wait_for(&self, wait: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + wait;
        let mut seen = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.more(seen, left);
            seen += more.lines.len();
            if let Some(line) = more.lines.into_iter().find(|line| wanted(line)) {
                return Ok(line);
            }
            if more.ended {
                bail!("it ended after:\n{}", self.text());
            }
            if left.is_zero() {
                bail!("it was silent for {wait:?} after:\n{}", self.text());
            }
        }
    }

    /// Waits until the pipe has ended; false where the time ends first.
    pub fn wait_for_end(&self, wait: Duration) -> bool {
        let text = self.shared.lock();
        let (text, _) = self
            .shared
            .changed
            .wait_timeout_while(text, wait, |text| !text.ended)
            .unwrap_or_else(PoisonError::into_inner);
        text.ended
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_line_that_came_before_and_fails_at_the_end() -> Result<()> {
        let output = Output::of(&b"one\ntwo\nlast"[..]);
        let second = Duration::from_secs(1);
        assert_eq!(output.wait_for(second, |line| line == "last")?, "last");
        assert_eq!(
            output.wait_for(second, |line| line.starts_with('t'))?,
            "two"
        );
        let error = output.wait_for(second, |line| line == "three").unwrap_err();
        assert_eq!(error.to_string(), "it ended after:\none\ntwo\nlast");
        assert!(output.wait_for_end(second));
        Ok(())
    }
}
