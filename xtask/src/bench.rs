//! `cargo xtask bench`: what a verdict of the policy costs, and the package `sockgate-bench`, each with a report
//! of its own.

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::guests;
use crate::report;
use crate::workspace::{Workspace, execute};

#[derive(Args)]
pub struct Options {
    /// Measures the policy alone, which needs no guest and no wasmtime.
    #[arg(long)]
    policy: bool,

    /// What the benchmark itself takes: see `cargo xtask bench -- --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Measures the policy; then builds the command, the guests and the benchmark, and runs the benchmark. A policy
/// that is too slow is an error once all is measured.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let fast_enough = policy(workspace);
    if options.policy {
        return fast_enough;
    }
    let command = workspace.build_command()?;
    let guests = guests::build(workspace)?;
    // Built with the selection that everything shares, then run from where cargo put it.
    execute(&mut workspace.cargo_host(&["build", "--bin", "sockgate-bench"]))?;
    let mut bench = Command::new(workspace.target.join("debug").join("sockgate-bench"));
    bench.current_dir(&workspace.root).args(&options.arguments);
    execute(workspace.tell(&mut bench, &command, &guests))?;
    fast_enough
}

/// What a verdict costs; its report is `matcher.json` in the folder of reports.
fn policy(workspace: &Workspace) -> Result<()> {
    let reports = report::folder(workspace);
    std::fs::create_dir_all(&reports)
        .with_context(|| format!("cannot make {}", reports.display()))?;
    let bench = [
        "test",
        "--quiet",
        "-p",
        "sockgate-policy",
        "--bench",
        "matcher",
    ];
    let report = reports.join("matcher.json");
    execute(
        workspace
            .cargo(&bench)
            .args(["--", "--output"])
            .arg(&report),
    )?;
    println!("\nreport: {}\n", report.display());
    Ok(())
}
