//! The targets of `tests/fuzz` under libFuzzer, each for ten minutes of processor time.
//!
//! They are built with coverage by the toolchain at hand: what libFuzzer needs of the compiler is an LLVM pass, which
//! every rustc has. What they find new stays in target/fuzz/corpus; an input that shows a mistake is kept in
//! target/fuzz/findings. The figures go to target/reports/fuzz.json.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::report;
use crate::setup;
use crate::workspace::{Workspace, execute, output};

/// Processor time for each target.
const SECONDS: f64 = 600.0;
/// How long one run of a target takes; then its figures are read, and it goes on where it was.
const ROUND: &str = "-max_total_time=60";
/// So many targets at once.
const AT_ONCE: usize = 2;
/// Of USER_HZ, proc(5): 100 in a second on all of Linux's machines that this runs on.
const TICKS: f64 = 100.0;

/// What rustc is told so that libFuzzer sees which branches an input takes.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What came of one target.
#[derive(Default)]
struct Figures {
    executions: u64,
    cpu_seconds: f64,
    findings: Vec<String>,
}

/// Builds and runs every target; an error where one found something.
pub fn run(workspace: &Workspace, install: bool) -> Result<()> {
    setup::packages(&[("g++", &["c++", "--version"])], install)?;
    let program = build(workspace)?;
    let corpus = workspace.root.join("tests/fuzz/corpus");
    let mut targets: Vec<String> = Vec::new();
    for entry in fs::read_dir(&corpus).context("tests/fuzz has no corpus")? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    let waiting = Mutex::new(targets.clone());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().map(|mut targets| targets.pop());
                    let Ok(Some(name)) = next else { return };
                    let figures = target(workspace, &program, &name);
                    println!("fuzz: {name} ended");
                    if let Ok(mut done) = done.lock() {
                        done.push((name, figures));
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_default();
    let mut report: Vec<Value> = Vec::new();
    let mut findings = Vec::new();
    for (name, figures) in done {
        let figures = figures.with_context(|| format!("the target {name} could not run"))?;
        let (files, bytes) = size(&corpus.join(&name))?;
        report.push(json!({
            "target": name,
            "executions": figures.executions,
            "cpu_seconds": figures.cpu_seconds.round(),
            "corpus": { "files": files, "bytes": bytes },
            "findings": figures.findings,
        }));
        findings.extend(figures.findings);
    }
    report.sort_by_key(|target| target["target"].to_string());
    let missing = report.len() < targets.len();
    report::write(workspace, "fuzz.json", json!({ "targets": report }))?;
    if missing {
        bail!("not every target has run");
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

/// The targets with coverage, in a folder of their own: everything they need is built for it.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let told = output(
        Command::new("rustc")
            .current_dir(&workspace.root)
            .arg("-vV"),
    )?;
    let machine = told
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its machine")?;
    let folder = workspace.target.join("fuzz");
    // With --target, so that what builds the crates is not built for it as well.
    let arguments = [
        "build",
        "--package",
        "sockgate-fuzz",
        "--bin",
        "sockgate-fuzz",
    ];
    let mut cargo = workspace.cargo(&arguments);
    cargo
        .args(["--features", "libfuzzer", "--target", machine])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", COVERAGE);
    execute(&mut cargo)?;
    Ok(folder.join(machine).join("debug/sockgate-fuzz"))
}

/// Runs one target until its time is over, or it finds something.
fn target(workspace: &Workspace, program: &Path, name: &str) -> Result<Figures> {
    let folder = workspace.target.join("fuzz");
    let found = folder.join("corpus").join(name);
    let findings = folder.join("findings").join(name);
    for folder in [&found, &findings] {
        fs::create_dir_all(folder)?;
    }
    let log = folder.join(format!("{name}.log"));
    let mut figures = Figures::default();
    while figures.cpu_seconds < SECONDS && figures.findings.is_empty() {
        let mut child = Command::new(program)
            .env("SOCKGATE_FUZZ_TARGET", name)
            .env("RUST_BACKTRACE", "0")
            .args([
                ROUND,
                "-max_len=1024",
                "-timeout=20",
                "-print_final_stats=1",
            ])
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args([&found, &workspace.root.join("tests/fuzz/corpus").join(name)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("the targets do not start")?;
        figures.cpu_seconds += watch(&mut child)?;
        let status = child.wait()?;
        let told = fs::read_to_string(&log)?;
        let executed = told
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        figures.executions += executed
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        if !status.success() {
            let why = told
                .find("panicked at")
                .map_or(told.as_str(), |at| &told[at..]);
            let why: String = why.chars().take(2000).collect();
            figures
                .findings
                .push(format!("{name}: {why}\n(inputs in {})", findings.display()));
        }
    }
    Ok(figures)
}

/// Waits for the end of a process: the processor time that it took, to half a second.
fn watch(child: &mut Child) -> Result<f64> {
    let mut seconds = 0.0;
    while child.try_wait()?.is_none() {
        // utime and stime are the 12th and the 13th field after the name in parentheses, proc(5).
        if let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", child.id()))
            && let Some((_, rest)) = stat.rsplit_once(") ")
        {
            let ticks = rest.split(' ').skip(11).take(2);
            seconds = ticks
                .filter_map(|text| text.parse::<f64>().ok())
                .sum::<f64>()
                / TICKS;
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(seconds)
}

/// How many files a folder has, and their bytes.
fn size(folder: &Path) -> Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        files += 1;
        bytes += entry?.metadata()?.len();
    }
    Ok((files, bytes))
}
