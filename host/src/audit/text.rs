//! Events as lines that read like strace(1)'s.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::{Event, Sink, Verdict};

/// Writes each event as one line: `connect(10.1.2.3:22) = acces  [no rule grants connect to 10.1.2.3:22]`.
pub struct TextLines<W> {
    out: Mutex<W>,
    colour: bool,
}

impl<W: Write + Send> TextLines<W> {
    /// Writes to `out`, with ANSI colours if asked: refusals red, other errors yellow, rules dim.
    pub fn new(out: W, colour: bool) -> TextLines<W> {
        TextLines {
            out: Mutex::new(out),
            colour,
        }
    }
}

impl<W: Write + Send> Sink for TextLines<W> {
    fn record(&self, event: &Event) {
        let line = if self.colour {
            format!("{}\n", Coloured(event))
        } else {
            format!("{}\n", Line(event))
        };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = out.write_all(line.as_bytes()) {
            tracing::error!(%error, "the trace could not be written");
        }
    }
}

/// One event as one plain line.
pub(super) struct Line<'a>(pub(super) &'a Event);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Call(self.0))?;
        write!(f, " = {}", Result(self.0))?;
        if let Some(note) = note(self.0) {
            write!(f, "  [{note}]")?;
        }
        write!(f, "{}", Number(self.0))
    }
}

struct Coloured<'a>(&'a Event);

impl fmt::Display for Coloured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = match (self.0.verdict, &self.0.errno) {
            (Verdict::Deny | Verdict::Limit, _) => "\x1b[31m",
            (_, Some(_)) => "\x1b[33m",
            (_, None) => "\x1b[32m",
        };
        write!(f, "{} = {colour}{}\x1b[0m", Call(self.0), Result(self.0))?;
        if let Some(note) = note(self.0) {
            write!(f, "  \x1b[2m[{note}]\x1b[0m")?;
        }
        write!(f, "{}", Number(self.0))
    }
}

struct Call<'a>(&'a Event);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        f.write_str(event.operation)?;
        let address = event.address.as_deref().unwrap_or_default();
        let comma = if address.is_empty() || event.arguments.is_empty() {
            ""
        } else {
            ", "
        };
        write!(f, "({address}{comma}{})", event.arguments)
    }
}

/// The socket's number, last, so that lines begin as strace's do.
struct Number<'a>(&'a Event);

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.socket {
            Some(number) => write!(f, "  #{number}"),
            None => Ok(()),
        }
    }
}

struct Result<'a>(&'a Event);

impl fmt::Display for Result<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.errno, self.0.bytes) {
            (Some(errno), _) => f.write_str(errno),
            (None, Some(bytes)) => write!(f, "{bytes}"),
            (None, None) => f.write_str("ok"),
        }
    }
}

fn note(event: &Event) -> Option<String> {
    match (event.verdict, &event.rule, &event.reason) {
        (Verdict::Allow, Some(rule), _) => Some(format!("rule {rule}")),
        (Verdict::Audit, _, Some(reason)) => Some(format!("let through: {reason}")),
        (_, _, Some(reason)) => Some(reason.clone()),
        (_, _, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_like_strace() {
        let mut event = Event::new("connect").address("10.1.2.3:22");
        event.verdict = Verdict::Deny;
        event.errno = Some("acces".into());
        event.reason = Some("no rule grants connect to 10.1.2.3:22".into());
        assert_eq!(
            Line(&event).to_string(),
            "connect(10.1.2.3:22) = acces  [no rule grants connect to 10.1.2.3:22]"
        );
    }

    #[test]
    fn a_grant_names_its_rule_and_the_bytes() {
        let mut event = Event::new("send").socket(2).arguments("64 bytes").bytes(64);
        event.verdict = Verdict::Allow;
        event.rule = Some("web".into());
        assert_eq!(
            Line(&event).to_string(),
            "send(64 bytes) = 64  [rule web]  #2"
        );
        assert_eq!(
            Coloured(&event).to_string(),
            "send(64 bytes) = \x1b[32m64\x1b[0m  \x1b[2m[rule web]\x1b[0m  #2"
        );
    }
}
