//! What the figures are, as JSON and as a table.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::case::{Case, Column};

/// One case in `bench.json`. Nanoseconds are of the fastest round, per operation (a round trip; a message
/// sent and received; 64 KiB); null where a column does not apply.
#[derive(Debug, Serialize)]
pub struct Row {
    name: &'static str,
    native_ns: Option<f64>,
    native_tokio_ns: Option<f64>,
    park_ns: Option<f64>,
    ready_ns: Option<f64>,
    wasi_ns: Option<f64>,
    /// `native_ns / park_ns`: 1 is as fast as native code that blocks.
    ratio_park: Option<f64>,
    /// `native_tokio_ns / ready_ns`: 1 is as fast as native code on tokio.
    ratio_ready: Option<f64>,
    /// `wasi_ns / park_ns`: how many times as long `wasi:sockets` takes.
    ratio_wasi: Option<f64>,
    /// The ninth decile of park's rounds over the fastest of them: 1 is a quiet machine.
    spread: Option<f64>,
    rounds: usize,
    /// The CPU's model.
    cpu: String,
    /// The kernel's release.
    kernel: String,
}

/// The rounds of one case, for each column in the order of [`Column::ALL`].
#[derive(Default)]
pub struct Rounds {
    columns: [Vec<f64>; Column::ALL.len()],
}

impl Rounds {
    /// Notes one round.
    pub fn add(&mut self, column: Column, took: Duration, operations: u32) {
        let nanoseconds = took.as_nanos() as f64 / f64::from(operations);
        self.columns[column as usize].push(nanoseconds);
    }

    fn fastest(&self, column: Column) -> Option<f64> {
        self.columns[column as usize]
            .iter()
            .copied()
            .reduce(f64::min)
    }

    fn spread(&self, column: Column) -> Option<f64> {
        let mut rounds = self.columns[column as usize].clone();
        rounds.sort_by(f64::total_cmp);
        let decile = rounds.get((rounds.len().saturating_sub(1)) * 9 / 10)?;
        Some(decile / rounds.first()?)
    }

    /// The case's row. An error where a column that applies has no figure.
    pub fn row(&self, case: Case, cpu: &str, kernel: &str) -> Result<Row> {
        for column in Column::ALL {
            let figure = self.fastest(column);
            if case.applies(column) != figure.is_some_and(|figure| figure > 0.0) {
                bail!("{}: {column:?} has the figure {figure:?}", case.name());
            }
        }
        let [native, tokio, park, ready, wasi] = Column::ALL.map(|column| self.fastest(column));
        let ratio = |one: Option<f64>, other: Option<f64>| Some(rounded(one? / other?, 3));
        let shown = |figure: Option<f64>| figure.map(|figure| rounded(figure, 1));
        Ok(Row {
            name: case.name(),
            native_ns: shown(native),
            native_tokio_ns: shown(tokio),
            park_ns: shown(park),
            ready_ns: shown(ready),
            wasi_ns: shown(wasi),
            ratio_park: ratio(native, park),
            ratio_ready: ratio(tokio, ready),
            ratio_wasi: ratio(wasi, park),
            spread: self.spread(Column::Park).map(|spread| rounded(spread, 3)),
            rounds: self.columns[Column::Park as usize].len(),
            cpu: cpu.to_owned(),
            kernel: kernel.to_owned(),
        })
    }
}

fn rounded(figure: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (figure * scale).round() / scale
}

/// The head of the table.
pub fn head() -> String {
    format!(
        "{:<19}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}{:>8}{:>8}{:>8}",
        "ns", "native", "tokio", "park", "ready", "wasi", "park", "ready", "wasi", "spread"
    )
}

impl Row {
    /// A line of the table.
    pub fn line(&self) -> String {
        let figures = [
            self.native_ns,
            self.native_tokio_ns,
            self.park_ns,
            self.ready_ns,
            self.wasi_ns,
        ];
        let percent = |ratio: Option<f64>| ratio.map(|ratio| format!("{:.0} %", ratio * 100.0));
        let times = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}"));
        let mut line = format!("{:<19}", self.name);
        for figure in figures {
            line += &cell(figure.map(|figure| format!("{figure:.0}")), 10);
        }
        line += &cell(percent(self.ratio_park), 8);
        line += &cell(percent(self.ratio_ready), 8);
        line += &cell(times(self.ratio_wasi).map(|times| times + " x"), 8);
        line += &cell(times(self.spread), 8);
        line
    }
}

fn cell(text: Option<String>, width: usize) -> String {
    format!("{:>width$}", text.unwrap_or_else(|| "-".to_owned()))
}

/// Writes the report.
pub fn write(rows: &[Row], path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(rows)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
