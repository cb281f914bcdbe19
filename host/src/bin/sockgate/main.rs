//! The `sockgate` command: runs WebAssembly guests with sockets under a policy.

mod check;
mod diff;
mod doctor;
mod explain;
mod granted;
mod harden;
mod learn;
mod policy;
mod reload;
mod report;
mod run;
mod schema;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run WebAssembly components with the host's sockets, and nothing that their policy does not name
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Sockgate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a guest under a policy
    ///
    /// Without --policy and --allow every operation is refused. SIGHUP reads the policy files
    /// again and opens the audit log anew.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: the guest's own; 134 when it traps, 130 when a signal ended it, 2 when it cannot be run."
    )]
    Run(run::Run),
    Learn(learn::Learn),
    Check(check::Check),
    Explain(explain::Explain),
    Diff(diff::Diff),
    Schema(schema::Schema),
    Doctor(doctor::Doctor),
}

fn main() -> ExitCode {
    let outcome = match Sockgate::parse().command {
        Command::Run(run) => run.execute(),
        Command::Learn(learn) => learn.execute(),
        Command::Check(check) => check.execute(),
        Command::Explain(explain) => explain.execute(),
        Command::Diff(diff) => diff.execute(),
        Command::Schema(schema) => schema.execute(),
        Command::Doctor(doctor) => doctor.execute(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("sockgate: {error:#}");
        ExitCode::from(2)
    })
}
