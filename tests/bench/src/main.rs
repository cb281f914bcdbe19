//! Sockets of guests beside native ones, in one run: `cargo xtask bench`.
//!
//! Each round of a case runs every column once, one after the other (native code that blocks, native code
//! on tokio, a sockgate guest in *park* and in *ready*, the same program on `wasi:sockets`), each time with
//! new sockets, a new native peer and a new instance. Set-up and warm-up are outside of what is measured.
//! The figure of a column is its fastest round: what disturbs a round only makes it slower. See
//! [`report::Row`] for what the report says, [`case::Case`] for the cases.
//!
//! A guest runs as under any embedder of today: no component-model-async, no audit sink, a policy with rules
//! for exactly its addresses.

mod asynchronous;
mod case;
mod cpu;
mod guest;
mod mmsg;
mod native;
mod peer;
mod report;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tokio::runtime::Runtime;

use case::{Case, Column};
use cpu::Cpus;
use guest::Guests;
use report::Rounds;
use stage::Stage;

/// Compare sockets of guests with native ones
#[derive(Parser)]
struct Options {
    /// A tenth of the operations and three rounds: whether it works, not how fast
    #[arg(long)]
    quick: bool,

    /// Run this case alone (may be given again)
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,

    /// Rounds of each case
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Where the report goes [default: reports/bench.json in cargo's target folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let output = match &options.output {
        Some(path) => path.clone(),
        None => reports()?.join("bench.json"),
    };
    let bench = Bench::new(&options)?;
    bench.introduce();
    let mut rows = Vec::new();
    for case in Case::value_variants() {
        if options.only.is_empty() || options.only.contains(case) {
            if let Some(lack) = bench.lacks(*case) {
                println!("{:<19}left out: {lack}", case.name());
                continue;
            }
            let rounds = bench.measure(*case)?;
            let row = rounds.row(*case, &bench.cpu, &bench.kernel)?;
            println!("{}", row.line());
            rows.push(row);
        }
    }
    report::write(&rows, &output)?;
    println!("\nreport: {}", output.display());
    Ok(())
}

/// The folder of reports, in the target folder that this program lies in.
fn reports() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let target = executable.parent().and_then(Path::parent);
    let target =
        target.context("this program lies outside of cargo's target folder: give --output")?;
    Ok(target.join("reports"))
}

/// What all cases stand on.
struct Bench {
    rounds: u32,
    quick: bool,
    /// The descriptors that this process may have.
    descriptors: u64,
    cpus: Cpus,
    cpu: String,
    kernel: String,
    guests: Guests,
    /// Of tokio's columns, less *park*: the cheapest wake-ups that tokio has.
    runtime: Runtime,
    folder: sockgate_tests::TempDir,
}

impl Bench {
    fn new(options: &Options) -> Result<Bench> {
        let cpus = Cpus::choose()?;
        cpu::pin(cpus.main).with_context(|| format!("cannot stay on CPU {}", cpus.main))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime could not be started")?;
        Ok(Bench {
            rounds: if options.quick { 3 } else { options.rounds },
            quick: options.quick,
            descriptors: sockgate::raise_descriptor_limit()?.0,
            cpus,
            cpu: cpu::model()?,
            kernel: cpu::kernel()?,
            guests: Guests::new()?,
            runtime,
            folder: sockgate_tests::folder()?,
        })
    }

    fn introduce(&self) {
        let Cpus { main, peer } = self.cpus;
        println!("{}, Linux {}", self.cpu, self.kernel);
        println!("Fastest of {} rounds, columns in turns.", self.rounds);
        println!(
            "Everything on CPU {main}; the peers of tcp_send_64k and tcp_recv_64k on CPU {peer}."
        );
        println!(
            "Left: nanoseconds for a round trip (pingpong), a message sent and received (pair, batch, an event on a \
             poller or an executor beside idle connections), 64 KiB."
        );
        println!(
            "Right: park beside native, ready beside tokio (100 %: as fast), wasi beside park; park's \
             ninth decile over its fastest.\n"
        );
        println!("{}", report::head());
    }

    /// Why a case cannot run here.
    fn lacks(&self, case: Case) -> Option<String> {
        let wanted = case.idle().map_or(0, |idle| 2 * (idle as u64 + 500) + 100);
        (self.descriptors < wanted).then(|| {
            format!(
                "{wanted} descriptors are needed and RLIMIT_NOFILE is {}",
                self.descriptors
            )
        })
    }

    /// All rounds of a case.
    fn measure(&self, case: Case) -> Result<Rounds> {
        let mut rounds = Rounds::default();
        for _ in 0..self.rounds {
            for column in Column::ALL {
                if case.applies(column) {
                    self.round(case, column, &mut rounds)
                        .with_context(|| format!("{} {column:?}", case.name()))?;
                }
            }
        }
        Ok(rounds)
    }

    /// One round of one column.
    fn round(&self, case: Case, column: Column, rounds: &mut Rounds) -> Result<()> {
        let times = case.times(self.quick);
        let stage = Stage::set(case, times, self.cpus, self.folder.path())?;
        let took = match column {
            Column::Native => native::run(case, &stage.addresses, times)?,
            Column::Tokio => {
                let run = asynchronous::run(case, &stage.addresses, times);
                self.runtime.block_on(run)?
            }
            Column::Park | Column::Ready | Column::Wasi => {
                self.guests
                    .run(column, case, &stage, times, &self.runtime)?
            }
        };
        stage.strike()?;
        rounds.add(column, took, case.operations(times));
        Ok(())
    }
}
