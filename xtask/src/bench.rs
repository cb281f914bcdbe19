//! `cargo xtask bench`: the package `sockgate-bench`, which writes its own report.

use anyhow::Result;
use clap::Args;

use crate::guests;
use crate::workspace::{Workspace, execute};

#[derive(Args)]
pub struct Options {
    /// What the benchmark itself takes: see `cargo xtask bench -- --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the command, the guests and the benchmark, then runs the benchmark.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let command = workspace.build_command()?;
    let guests = guests::build(workspace)?;
    // Built with the selection that everything shares, then run from where cargo put it.
    execute(&mut workspace.cargo_host(&["build", "--bin", "sockgate-bench"]))?;
    execute(
        std::process::Command::new(workspace.target.join("debug").join("sockgate-bench"))
            .current_dir(&workspace.root)
            .env("SOCKGATE_BIN", command)
            .env("SOCKGATE_GUESTS", guests)
            .args(&options.arguments),
    )
}
