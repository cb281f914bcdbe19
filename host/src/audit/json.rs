//! Events as JSON lines.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::{Event, Sink};

/// Writes each event as one line of JSON, flushed at once, so that a log ends with the last event even
/// when the process is killed.
pub struct JsonLines<W>(Mutex<W>);

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`: a file, a pipe.
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines(Mutex::new(out))
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn record(&self, event: &Event) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = match serde_json::to_vec(event) {
            Ok(line) => line,
            Err(error) => {
                return tracing::error!(%error, "an audit event could not be written as JSON");
            }
        };
        line.push(b'\n');
        if let Err(error) = out.write_all(&line).and_then(|()| out.flush()) {
            tracing::error!(%error, sequence = event.sequence, "the audit log could not be written");
        }
    }
}
