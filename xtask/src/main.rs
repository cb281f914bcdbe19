//! `cargo xtask`: everything that this tree automates, in one small program.

use anyhow::Result;
use clap::{Parser, Subcommand};

mod attack;
mod bench;
mod demo;
mod families;
mod fuzz;
mod guests;
mod kernel;
mod libtest;
mod mutants;
mod parity;
mod record;
mod report;
mod setup;
mod test;
mod workspace;

/// Builds, shows, tests and measures sockgate.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Serves native clients from a sandboxed guest and shows what its policy refuses.
    Demo,
    /// Runs every check and test; ends with `N passed, N failed, N skipped`.
    Test(test::Options),
    /// Tests every socket family, and prints which was tested on which kernel.
    Families(families::Options),
    /// Tests every name of Python's socket and socketserver modules, and says what answers for each.
    Parity(parity::Options),
    /// Tries every known way round a policy, and says what witnesses saw of it.
    Attack(attack::Options),
    /// Changes the policy and the host in every place where they decide, and shows that a test notices.
    Mutants(mutants::Options),
    /// Measures guests beside native code; arguments go to the benchmark.
    Bench(bench::Options),
    /// Writes what the long checks said last into docs/long-checks.md.
    Record,
    /// Runs a command in User Mode Linux, where most socket families are.
    Kernel(kernel::Options),
    /// Builds the example and test guests, and says where they are.
    Guests,
    /// Adds the wasm target and, with --install, what the tests need besides.
    Setup(setup::Options),
}

fn main() -> Result<()> {
    let workspace = workspace::Workspace::locate()?;
    match Arguments::parse().task {
        Task::Demo => demo::run(&workspace),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Families(options) => families::run(&workspace, &options),
        Task::Parity(options) => parity::run(&workspace, &options),
        Task::Attack(options) => attack::run(&workspace, &options),
        Task::Mutants(options) => mutants::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Record => record::run(&workspace),
        Task::Kernel(options) => kernel::run(&workspace, &options),
        Task::Guests => {
            let folder = guests::build(&workspace)?;
            println!("{}", folder.display());
            Ok(())
        }
        Task::Setup(options) => setup::run(&workspace, &options),
    }
}
