//! The `sockgate` command: runs WebAssembly guests with sockets under a policy.

mod check;
mod doctor;
mod explain;
mod granted;
mod harden;
mod policy;
mod run;

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
    Run(run::Run),
    Check(check::Check),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
}

fn main() -> ExitCode {
    let outcome = match Sockgate::parse().command {
        Command::Run(run) => run.execute(),
        Command::Check(check) => check.execute(),
        Command::Explain(explain) => explain.execute(),
        Command::Doctor(doctor) => doctor.execute(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("sockgate: {error:#}");
        ExitCode::from(2)
    })
}
