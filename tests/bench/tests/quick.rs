//! The benchmark works: every column that applies to a case has a figure, and the report says how they
//! compare.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sockgate_tests::skip;

const CASES: [&str; 13] = [
    "udp_pingpong_64",
    "unix_pingpong_64",
    "tcp_pingpong_64",
    "udp_pair_64",
    "unix_pair_64",
    "udp_batch32",
    "unix_batch32",
    "tcp_send_64k",
    "tcp_recv_64k",
    "poller_idle_50",
    "poller_idle_5000",
    "executor_idle_50",
    "executor_idle_5000",
];

/// Runs the benchmark with these arguments: what it printed, and its report.
fn bench(arguments: &[&str]) -> Result<(String, Vec<Value>)> {
    let folder = sockgate_tests::folder()?;
    let report = folder.path().join("reports/bench.json");
    let ended = Command::new(env!("CARGO_BIN_EXE_sockgate-bench"))
        .args(arguments)
        .arg("--output")
        .arg(&report)
        .output()
        .context("cannot start the benchmark")?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{}: {errors}", ended.status);
    let report = std::fs::read_to_string(report).context("no report was written")?;
    let rows = serde_json::from_str(&report).context("the report is no array")?;
    Ok((String::from_utf8(ended.stdout)?, rows))
}

/// `ratio` is `over / under`, as far as the rounding of all three allows.
fn check_ratio(row: &Value, ratio: &str, over: &str, under: &str) -> Result<()> {
    let figure = |key: &str| {
        row[key]
            .as_f64()
            .with_context(|| format!("no {key} in {row}"))
    };
    let (said, true_ratio) = (figure(ratio)?, figure(over)? / figure(under)?);
    ensure!(
        (said / true_ratio - 1.0).abs() < 0.01,
        "{ratio} is {said} and not {true_ratio} in {row}"
    );
    Ok(())
}

#[test]
fn a_quick_run_has_a_figure_in_every_column_that_applies() -> Result<()> {
    let (printed, rows) = bench(&["--quick"])?;
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    // What this machine has too few descriptors for.
    let left_out = |case: &&str| printed.contains(&format!("{case:<19}left out: "));
    for case in CASES.iter().filter(|case| left_out(case)) {
        skip(
            case,
            "too few descriptors; raise the hard limit of RLIMIT_NOFILE",
        );
    }
    let cases: Vec<&str> = CASES.into_iter().filter(|case| !left_out(case)).collect();
    ensure!(names == cases, "the report has the cases {names:?}");
    for row in &rows {
        let name = row["name"].as_str().unwrap_or_default();
        check_ratio(row, "ratio_park", "native_ns", "park_ns")?;
        // tokio's tasks are no loop over a poller, and plain std::net has no Unix sockets in wasm, and no
        // batches.
        let crowd = name.contains("_idle_");
        if crowd {
            ensure!(
                row["native_tokio_ns"].is_null() && row["ratio_ready"].is_null(),
                "{row}"
            );
        } else {
            check_ratio(row, "ratio_ready", "native_tokio_ns", "ready_ns")?;
        }
        if crowd || name.starts_with("unix_") || name.ends_with("_batch32") {
            ensure!(
                row["wasi_ns"].is_null() && row["ratio_wasi"].is_null(),
                "{row}"
            );
        } else {
            check_ratio(row, "ratio_wasi", "wasi_ns", "park_ns")?;
        }
        // The kernel alone takes more than a tenth of a microsecond for any of these.
        for key in ["native_ns", "native_tokio_ns", "park_ns", "ready_ns"] {
            ensure!(
                row[key].as_f64() > Some(100.0) || (crowd && row[key].is_null()),
                "{key} in {row}"
            );
        }
        ensure!(row["spread"].as_f64() >= Some(1.0), "{row}");
        ensure!(row["rounds"] == 3, "{row}");
        for key in ["cpu", "kernel"] {
            ensure!(
                row[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key} in {row}"
            );
        }
        ensure!(
            printed.lines().any(|line| line.starts_with(name)),
            "{name} is not in the table:\n{printed}"
        );
    }
    Ok(())
}

#[test]
fn only_runs_the_case_that_was_named() -> Result<()> {
    let (_, rows) = bench(&["--quick", "--only", "unix_pair_64"])?;
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    ensure!(
        names == ["unix_pair_64"],
        "the report has the cases {names:?}"
    );
    Ok(())
}
