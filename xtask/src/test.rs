//! `cargo xtask test`: every check and test, one stage after the other.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;
use sockgate_kernel::Boot;
use sockgate_tests::{Kernel, Output};

use crate::attack;
use crate::families;
use crate::fuzz;
use crate::guests::{self, TARGET};
use crate::kernel;
use crate::libtest::{Reader, Run};
use crate::mutants;
use crate::parity;
use crate::report::{self, Report};
use crate::setup;
use crate::workspace::{Workspace, shown};

mod binaries;
mod suites;

pub use binaries::Phase;
pub use binaries::TestBinary;
pub use binaries::build as test_binaries;
pub use suites::Where;

#[derive(Args)]
pub struct Options {
    /// Install what the tests need: Debian packages, componentize-py below target/, and User Mode Linux.
    #[arg(long)]
    pub install: bool,

    /// Run only the stage, the test binary, or the tests with this name.
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,

    /// Where the tests of socket families run.
    #[arg(long, value_name = "KERNEL", value_enum, default_value_t)]
    pub kernel: Where,

    /// Run every test with its full counts, which takes up to an hour.
    #[arg(long)]
    pub long: bool,

    /// Run the tests that state something for this table, and nothing else; the table's own command sets it.
    #[arg(skip)]
    pub table: Option<(Table, Pages)>,
}

/// What is gathered from what tests state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Table {
    /// Python's names.
    Parity,
    /// Ways round a policy.
    Attacks,
}

/// What is done with the files of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pages {
    /// They have to be as they would be written.
    Compare,
    Write,
}

impl Options {
    /// Whether everything runs that belongs to the table, and what is done with its files.
    fn table(&self, table: Table) -> Option<Pages> {
        match (&self.only, self.table) {
            (Some(_), _) => None,
            (None, None) => Some(Pages::Compare),
            (None, Some((chosen, pages))) => (chosen == table).then_some(pages),
        }
    }
}

/// Checks that cargo makes by itself, by name.
const LINTS: [&str; 6] = [
    "fmt",
    "clippy-host",
    "clippy-guests",
    "clippy-kernel",
    "clippy-fuzz",
    "doc",
];

/// The tests against changes of what they test; with `--long` alone.
const MUTANTS: &str = "mutants";

/// The targets under libFuzzer; with `--long` alone.
const FUZZ: &str = "fuzz";

/// Documentation examples.
const DOCTESTS: &str = "doctests";

/// A test binary that takes longer than this has hung; with --long it may take the hour.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const LONG_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Runs what `options` ask for; an error where anything failed.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::wasm_target(workspace)?;
    setup::oracles(workspace, options.install)?;
    let mut session = Session {
        workspace,
        options,
        report: Report::default(),
        uml: Err("User Mode Linux was not looked for".to_owned()),
    };
    session.lints()?;
    let start = SystemTime::now();
    session.tests()?;
    report::complete(workspace, start, options.long)?;
    session.mutants()?;
    session.fuzz()?;
    let mut report = session.report;
    // Where the tests do not build, nothing can be said of what they cover.
    let built = !report.cases().iter().any(|case| case.name == "build");
    if let Some(pages) = options.table(Table::Parity).filter(|_| built) {
        report.check("parity", parity::judge(workspace, report.cases(), pages)?);
    }
    if let Some(pages) = options.table(Table::Attacks).filter(|_| built) {
        report.check("attacks", attack::judge(workspace, report.cases(), pages)?);
    }
    if report.len() == 0 {
        bail!(
            "nothing is called `{}`: give a stage ({}, {DOCTESTS}, {}, {MUTANTS} and {FUZZ} with --long), a test binary or a test",
            options.only.as_deref().unwrap_or_default(),
            LINTS.join(", "),
            Phase::ALL.map(Phase::name).join(", "),
        );
    }
    report.write(workspace)?;
    if report.cases().iter().any(|case| !case.families.is_empty()) {
        families::write(workspace, report.cases())?;
        families::print(report.cases());
    }
    report.print();
    if !report.clean() {
        std::process::exit(1);
    }
    Ok(())
}

/// One run of `cargo xtask test`.
struct Session<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    report: Report,
    /// User Mode Linux, or in words why there is none.
    uml: Result<Boot, String>,
}

impl Session<'_> {
    /// Whether `--only` leaves this stage in.
    fn wants(&self, stage: &str) -> bool {
        self.options
            .only
            .as_deref()
            .is_none_or(|only| only == stage)
    }

    /// Formatting, clippy and documentation, each one named check.
    fn lints(&mut self) -> Result<()> {
        for name in LINTS {
            if !self.wants(name) || self.options.table.is_some() {
                continue;
            }
            let mut command = self.lint(name);
            let start = announce(name);
            let status = command
                .status()
                .with_context(|| format!("cannot start {}", shown(&command)))?;
            let problem = (!status.success())
                .then(|| format!("{} ended with {status}; see above", shown(&command)));
            self.report.check(name, problem);
            self.report.stage(name, start.elapsed());
            self.report.time(name, start.elapsed());
        }
        Ok(())
    }

    fn lint(&self, name: &str) -> Command {
        match name {
            "fmt" => {
                let mut command = self.workspace.cargo(&["fmt", "--all", "--check"]);
                if !std::io::stdout().is_terminal() {
                    // rustfmt colours its differences wherever they go.
                    command.args(["--", "--color", "never"]);
                }
                command
            }
            "clippy-host" => {
                let mut command = self.workspace.cargo_host(&["clippy", "--all-targets"]);
                // Its library reads files of the host, whose own tests are no tests of it.
                command.args(["--exclude", "sockgate-fuzz"]);
                command.args(["--", "--deny", "warnings"]);
                command
            }
            "clippy-guests" => {
                let mut command = self.workspace.cargo(&["clippy", "--target", TARGET]);
                command.args(["--package", "sockgate-guest"]);
                for package in self.workspace.guest_packages() {
                    command.args(["--package", package]);
                }
                command.args(["--", "--deny", "warnings"]);
                command
            }
            "clippy-kernel" => {
                let mut command = self.workspace.cargo(&["clippy", "--all-targets"]);
                command.args(["--package", "sockgate-kernel", "--features", "init"]);
                command.args(["--", "--deny", "warnings"]);
                command
            }
            "clippy-fuzz" => {
                let mut command = self
                    .workspace
                    .cargo(&["clippy", "--lib", "--test", "replay"]);
                command.args(["--package", "sockgate-fuzz"]);
                command.args(["--", "--deny", "warnings"]);
                command
            }
            _ => {
                let mut command = self.workspace.cargo_host(&["doc", "--no-deps"]);
                command.env("RUSTDOCFLAGS", "--deny warnings");
                command
            }
        }
    }

    /// Whether some test fails for each mutant of the policy and of what the host does with its verdicts.
    fn mutants(&mut self) -> Result<()> {
        if !self.options.long || !self.wants(MUTANTS) || self.options.table.is_some() {
            return Ok(());
        }
        let start = announce(MUTANTS);
        let problem = mutants::run(self.workspace, &mutants::Options::default()).err();
        self.report
            .check(MUTANTS, problem.map(|problem| format!("{problem:#}")));
        self.report.stage(MUTANTS, start.elapsed());
        self.report.time(MUTANTS, start.elapsed());
        Ok(())
    }

    /// Ten minutes of processor time for each target under libFuzzer.
    fn fuzz(&mut self) -> Result<()> {
        if !self.options.long || !self.wants(FUZZ) || self.options.table.is_some() {
            return Ok(());
        }
        let start = announce(FUZZ);
        let problem = fuzz::run(self.workspace, self.options.install).err();
        self.report
            .check(FUZZ, problem.map(|problem| format!("{problem:#}")));
        self.report.stage(FUZZ, start.elapsed());
        self.report.time(FUZZ, start.elapsed());
        Ok(())
    }

    /// Builds, then runs the test binaries phase by phase, and the documentation examples.
    fn tests(&mut self) -> Result<()> {
        let only = self.options.only.as_deref();
        let alone =
            |only| LINTS.contains(&only) || (self.options.long && [MUTANTS, FUZZ].contains(&only));
        if only.is_some_and(alone) {
            return Ok(());
        }
        let start = announce("build");
        let built = self.build();
        self.report.stage("build", start.elapsed());
        self.report.time("build", start.elapsed());
        let (place, binaries) = match built {
            Ok(built) => built,
            Err(error) => {
                self.report.check("build", Some(format!("{error:#}")));
                return Ok(());
            }
        };

        self.uml = kernel::ready(self.workspace, self.options.install)?;
        let selection = Selection::of(only, &binaries);
        if self.wants(DOCTESTS) && self.options.table.is_none() {
            self.doctests()?;
        }
        if only == Some(DOCTESTS) {
            return Ok(());
        }
        for phase in Phase::ALL {
            let chosen: Vec<_> = binaries
                .iter()
                .filter(|binary| binary.phase == phase && selection.has(binary))
                .filter(|binary| match self.options.table {
                    None => true,
                    Some((Table::Parity, _)) => phase.covers(),
                    Some((Table::Attacks, _)) => binary.attacks,
                })
                .collect();
            if chosen.is_empty() {
                continue;
            }
            let start = announce(phase.name());
            if phase == Phase::Families {
                self.families(&chosen, &place, selection.filter())?;
            } else {
                for binary in chosen {
                    let run = self.on_host(binary, &place, selection.filter())?;
                    self.report.add(run);
                }
            }
            self.report.stage(phase.name(), start.elapsed());
        }
        Ok(())
    }

    /// Everything that runs from here on, so that no test waits for a compiler.
    fn build(&self) -> Result<(Place, Vec<TestBinary>)> {
        let command = self.workspace.build_command()?;
        let guests = guests::build(self.workspace)?;
        let only = self.options.only.as_deref();
        let mut phases = Phase::ALL.into_iter();
        let phase = match only {
            Some(only) if only.starts_with("family_") => Some(Phase::Families),
            _ => phases.find(|phase| only == Some(phase.name())),
        };
        let which = match (phase, self.options.table) {
            (Some(Phase::Families), _) => "family_*",
            (_, Some(_)) => "*",
            _ => "",
        };
        let binaries = binaries::build(self.workspace, which)?;
        let long = self.options.long;
        let place = Place {
            command,
            guests,
            long,
        };
        Ok((place, binaries))
    }

    /// Runs one test binary in its package's folder, as cargo would.
    fn on_host(&self, binary: &TestBinary, place: &Place, filter: Option<&str>) -> Result<Run> {
        let mut command = Command::new(&binary.executable);
        command
            .current_dir(&binary.folder)
            .env("CARGO_MANIFEST_DIR", &binary.folder)
            .args(LIBTEST);
        place.tell(&mut command, self.workspace);
        if let Ok(boot) = &self.uml {
            command.env("SOCKGATE_KERNEL_INIT", &boot.init);
        }
        if binary.phase == Phase::Serial {
            command.args(["--test-threads", "1"]);
        }
        command.args(filter);
        self.follow(&binary.name, &mut command)
    }

    /// The documentation examples; rustdoc builds and runs them.
    fn doctests(&mut self) -> Result<()> {
        let start = announce(DOCTESTS);
        let mut command = self.workspace.cargo_host(&["test", "--doc"]);
        command.args(["--", "--show-output", "--color", "never"]);
        let run = self.follow("doc", &mut command)?;
        self.report.add(run);
        self.report.stage(DOCTESTS, start.elapsed());
        self.report.time(DOCTESTS, start.elapsed());
        Ok(())
    }

    /// How long one test binary may take.
    fn patience(&self) -> Duration {
        match self.options.long {
            true => LONG_PATIENCE,
            false => PATIENCE,
        }
    }

    /// Runs what prints libtest's lines, shows each test as it ends, and reads the outcome.
    fn follow(&self, name: &str, command: &mut Command) -> Result<Run> {
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", shown(command)))?;
        let output = Output::of(child.stdout.take().context("the child has no stdout")?);
        let mut reader = Reader::new(name, Kernel::Host);
        let mut seen = 0;
        let mut status = None;
        loop {
            let more = output.more(seen, Duration::from_secs(1));
            seen += more.lines.len();
            for line in &more.lines {
                if reader.line(line) {
                    println!("{name}: {line}");
                }
            }
            // A grandchild that outlives the tests may hold the pipe: one silent second is enough.
            if more.ended || (status.is_some() && more.lines.is_empty()) {
                break;
            }
            status = child.try_wait()?;
            if start.elapsed() > self.patience() {
                child.kill()?;
            }
        }
        let status = child.wait()?;
        let why = format!("ended with {status} after {:?}", start.elapsed());
        Ok(reader.finish(status.success(), &why))
    }
}

/// How libtest is asked to say what each test took and printed.
const LIBTEST: [&str; 6] = [
    "-Z",
    "unstable-options",
    "--report-time",
    "--show-output",
    "--color",
    "never",
];

/// What the tests are told about the build.
struct Place {
    command: PathBuf,
    guests: PathBuf,
    long: bool,
}

impl Place {
    /// Sets the variables that tests read.
    fn tell(&self, command: &mut Command, workspace: &Workspace) {
        workspace
            .tell(command, &self.command, &self.guests)
            .env("SOCKGATE_REPORTS", report::folder(workspace))
            // Compiled guests are kept where User Mode Linux may write as well.
            .env("XDG_CACHE_HOME", kernel::compiled(workspace))
            .env("SOCKGATE_KERNEL_CACHE", kernel::cache(workspace))
            // The toolchain is pinned, and only so does libtest tell what each test took.
            .env("RUSTC_BOOTSTRAP", "1");
        if self.long {
            command.env("SOCKGATE_LONG", "1");
        }
    }
}

/// What `--only` leaves of the test binaries.
enum Selection<'a> {
    All,
    Phase(Phase),
    Binary(&'a str),
    /// Every binary, with libtest's own filter.
    Tests(&'a str),
}

impl<'a> Selection<'a> {
    fn of(only: Option<&'a str>, binaries: &[TestBinary]) -> Selection<'a> {
        let Some(only) = only else {
            return Selection::All;
        };
        if let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.name() == only) {
            return Selection::Phase(phase);
        }
        if binaries.iter().any(|binary| binary.name == only) {
            return Selection::Binary(only);
        }
        Selection::Tests(only)
    }

    fn has(&self, binary: &TestBinary) -> bool {
        match self {
            Selection::All | Selection::Tests(_) => true,
            Selection::Phase(phase) => binary.phase == *phase,
            Selection::Binary(name) => binary.name == *name,
        }
    }

    fn filter(&self) -> Option<&'a str> {
        match self {
            Selection::Tests(filter) => Some(filter),
            _ => None,
        }
    }
}

/// Says that a stage begins.
fn announce(stage: &str) -> Instant {
    eprintln!("\n== {stage}");
    Instant::now()
}
