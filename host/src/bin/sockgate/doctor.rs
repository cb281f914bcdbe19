//! `sockgate doctor`: what this kernel and this user have, and how to get the rest.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use sockgate::{Probe, ProbeStatus};

/// Say which sockets this kernel and this user have, and how to get the rest
///
/// Tries every family, type, protocol and option with the call that a program would make,
/// as this user, in this network namespace. Each row says works, limited (there, and
/// something that it needs is not), denied (to this user) or absent (from this kernel), and
/// how to mend it. Asking a kernel for a family that it has as a module loads the module,
/// as any program's socket call does; name families to try only those.
#[derive(Args)]
#[command(verbatim_doc_comment, after_help = AFTER_HELP)]
pub struct Doctor {
    /// Print an array of JSON objects, one to a line
    #[arg(long)]
    json: bool,

    /// The families to look at (all without): host, inet, inet6, unix, can, vsock, ...;
    /// `host` is what sockgate itself needs, and this user's capabilities
    #[arg(value_name = "FAMILY", verbatim_doc_comment)]
    families: Vec<String>,
}

const AFTER_HELP: &str = "\
Each JSON object has the keys family, type, protocol, name, status, detail and mend. The
first four together are unique, and the same on every kernel; type and protocol may be
null; name is `socket` for the kind of socket itself, else an option or a thing; status
is works, limited, denied or absent; mend is empty where it works.

Exit status: 0 when it could look, whatever it found; 2 when it could not.";

impl Doctor {
    pub fn execute(self) -> Result<ExitCode> {
        let families: Vec<&str> = self.families.iter().map(String::as_str).collect();
        let rows = sockgate::probe(&families)?;
        let out = io::stdout();
        let text = match self.json {
            true => json(&rows)?,
            false => {
                let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
                Table {
                    rows: &rows,
                    colour,
                }
                .to_string()
            }
        };
        match out.lock().write_all(text.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            other => other
                .map(|()| ExitCode::SUCCESS)
                .context("the rows cannot be written"),
        }
    }
}

/// An array with a row to a line, so that line tools can read it as well.
fn json(rows: &[Probe]) -> Result<String> {
    let mut text = String::from("[");
    let mut separator = "\n";
    for row in rows {
        write!(text, "{separator}{}", serde_json::to_string(row)?)?;
        separator = ",\n";
    }
    text.push_str("\n]\n");
    Ok(text)
}

/// The rows for people.
struct Table<'a> {
    rows: &'a [Probe],
    colour: bool,
}

impl Table<'_> {
    /// The text between the escape codes of a colour.
    fn paint(&self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Refusals red, what else is missing yellow, as in `run --trace`.
    fn status(&self, status: ProbeStatus) -> String {
        let code = match status {
            ProbeStatus::Works => "32",
            ProbeStatus::Denied => "31",
            _ => "33",
        };
        // Padded before it is painted: escape codes have no width.
        self.paint(code, &format!("{status:<7}"))
    }
}

const HEAD: [&str; 4] = ["FAMILY", "TYPE", "PROTOCOL", "NAME"];

/// The first columns of a row.
fn columns(row: &Probe) -> [&str; 4] {
    [
        row.family,
        row.socket_type.unwrap_or("-"),
        row.protocol.unwrap_or("-"),
        row.name,
    ]
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = HEAD.map(str::len);
        for row in self.rows {
            for (width, column) in widths.iter_mut().zip(columns(row)) {
                *width = (*width).max(column.len());
            }
        }
        let line = |columns: [&str; 4]| {
            let cells = columns.iter().zip(widths);
            cells.fold(String::new(), |line, (column, width)| {
                format!("{line}{column:<width$}  ")
            })
        };
        writeln!(f, "{}STATUS   DETAIL", line(HEAD))?;
        let mut told = "";
        for row in self.rows {
            let start = format!("{}{}", line(columns(row)), self.status(row.status));
            match row.detail.as_str() {
                "" => writeln!(f, "{}", start.trim_end())?,
                detail => writeln!(f, "{start}  {detail}")?,
            }
            // Once for all rows in a row that share it.
            if !row.mend.is_empty() && row.mend != told {
                let help = format!("= help: {}", row.mend);
                writeln!(f, "  {}", self.paint("2", &help))?;
            }
            told = &row.mend;
        }
        writeln!(f, "{}", counts(self.rows))
    }
}

/// `61 work, 3 limited, 2 denied, 60 absent`
fn counts(rows: &[Probe]) -> String {
    let count = |status| rows.iter().filter(|row| row.status == status).count();
    format!(
        "{} work, {} limited, {} denied, {} absent",
        count(ProbeStatus::Works),
        count(ProbeStatus::Limited),
        count(ProbeStatus::Denied),
        count(ProbeStatus::Absent)
    )
}
