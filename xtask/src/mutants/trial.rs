//! Tests against mutants: which test comes by which mutation, and which of them fails with it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::{output, shown};

/// An executable of libtest.
pub struct Suite {
    pub name: String,
    pub executable: PathBuf,
    pub folder: PathBuf,
    /// The command that runs the executable, where the machine's own kernel is not to.
    pub through: Vec<OsString>,
}

/// One test, and what it comes by without any mutation.
struct Test {
    suite: usize,
    name: String,
    seconds: f64,
    reached: BTreeSet<usize>,
    /// How many mutants it caught so far.
    caught: AtomicUsize,
}

impl Test {
    /// What a catch by this test is likely to cost.
    fn price(&self) -> f64 {
        self.seconds / (1 + self.caught.load(Ordering::Relaxed)) as f64
    }
}

/// What a test run is told besides its arguments.
pub type Tell<'a> = &'a (dyn Fn(&mut Command) + Sync);

/// Tests that mutants are tried on.
pub struct Bench<'a> {
    suites: Vec<Suite>,
    tests: Vec<Test>,
    tell: Tell<'a>,
    /// Tests that fail, or cannot run, without a mutation: they say nothing.
    unfit: Vec<(usize, String)>,
    /// Tests that another kernel may run.
    elsewhere: Vec<(usize, String)>,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The test that failed.
    Caught(String),
    /// No test fails; so many come by it.
    Survived(usize),
}

/// A test that takes this long is run by itself.
const SLOW: f64 = 0.2;
/// What every run may take besides ten times what it took unmutated.
const PATIENCE: Duration = Duration::from_secs(10);

impl<'a> Bench<'a> {
    /// Runs every test of the suites once, each by itself.
    pub fn of(suites: Vec<Suite>, tell: Tell<'a>, scratch: &Path) -> Result<Bench<'a>> {
        let mut names = Vec::new();
        for (place, suite) in suites.iter().enumerate() {
            let mut command = Command::new(&suite.executable);
            command.args(["--list", "--format", "terse"]);
            let lines = output(&mut command)?;
            let tests = lines.lines().filter_map(|line| line.strip_suffix(": test"));
            names.extend(tests.map(|name| (place, name.to_owned())));
        }
        Bench::survey(suites, names, tell, scratch)
    }

    /// The tests that this machine's kernel cannot run, each run once by itself through the command that can.
    pub fn elsewhere(mut self, through: &[OsString], scratch: &Path) -> Result<Bench<'a>> {
        for suite in &mut self.suites {
            suite.through = through.to_vec();
        }
        Bench::survey(self.suites, self.elsewhere, self.tell, scratch)
    }

    fn survey(
        suites: Vec<Suite>,
        names: Vec<(usize, String)>,
        tell: Tell<'a>,
        scratch: &Path,
    ) -> Result<Bench<'a>> {
        let mut bench = Bench {
            suites,
            tests: Vec::new(),
            tell,
            unfit: Vec::new(),
            elsewhere: Vec::new(),
        };
        let surveyed = in_parallel(&names, |(suite, name)| -> Result<_> {
            let folder = scratch.join(format!("{suite}-{}", name.replace("::", "-")));
            let look = || bench.look(*suite, name, &folder);
            let seen = look()?;
            // A machine that is busy for a moment must not take a test from all mutants: another chance.
            if seen.ended.succeeds() {
                Ok(seen)
            } else {
                look()
            }
        });
        for ((suite, name), survey) in names.into_iter().zip(surveyed) {
            let Look {
                ended,
                seconds,
                reached,
            } = survey?;
            if ended.says("@elsewhere ") {
                bench.elsewhere.push((suite, name));
                continue;
            }
            if ended.succeeds() && !ended.says("@skip ") {
                bench.tests.push(Test {
                    suite,
                    name,
                    seconds,
                    reached,
                    caught: AtomicUsize::new(0),
                });
            } else {
                bench.unfit.push((suite, name));
            }
        }
        Ok(bench)
    }

    /// Runs one test without any mutation, with its notes in this folder.
    fn look(&self, suite: usize, name: &str, folder: &Path) -> Result<Look> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let mut command = self.command(suite, &[name]);
        command.env("SOCKGATE_MUTANTS_REACHED", folder);
        let start = Instant::now();
        let ended = run(&mut command, Duration::from_secs(180))?;
        let reached = reached(folder)?;
        fs::remove_dir_all(folder)?;
        Ok(Look {
            ended,
            seconds: start.elapsed().as_secs_f64(),
            reached,
        })
    }

    /// How many tests there are.
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Tries every mutant, two or more at a time.
    pub fn judge(&self, mutants: &[usize]) -> Result<Vec<Outcome>> {
        in_parallel(mutants, |mutant| self.judge_one(*mutant))
            .into_iter()
            .collect()
    }

    /// Runs the tests that come by the mutant, quick ones and those that caught others first, until one fails.
    fn judge_one(&self, mutant: usize) -> Result<Outcome> {
        let mut tests: Vec<&Test> = self
            .tests
            .iter()
            .filter(|test| test.reached.contains(&mutant))
            .collect();
        tests.sort_by(|a, b| a.price().total_cmp(&b.price()));
        let mut groups: Vec<Vec<&Test>> = Vec::new();
        for test in &tests {
            let known = groups.iter_mut().find(|group| {
                group[0].suite == test.suite && test.seconds < SLOW && group[0].seconds < SLOW
            });
            match known {
                Some(group) => group.push(test),
                None => groups.push(vec![test]),
            }
        }
        let price = |group: &[&Test]| group.iter().map(|test| test.price()).sum::<f64>();
        groups.sort_by(|a, b| price(a).total_cmp(&price(b)));
        for group in groups {
            let names: Vec<&str> = group.iter().map(|test| &*test.name).collect();
            let suite = group[0].suite;
            let mut command = self.command(suite, &names);
            command.env("SOCKGATE_MUTANT", mutant.to_string());
            let seconds: f64 = group.iter().map(|test| test.seconds).sum();
            let patience = PATIENCE + Duration::from_secs_f64(10.0 * seconds);
            let ended = self.verdict(suite, &mut command, patience)?;
            if !ended.succeeds() {
                let name = ended.failed().unwrap_or(names[0]);
                for test in group.iter().filter(|test| test.name == name) {
                    test.caught.fetch_add(1, Ordering::Relaxed);
                }
                let how = match ended.status {
                    None => " (hangs)",
                    Some(_) if ended.failed().is_none() => " (ends the process)",
                    Some(_) => "",
                };
                return Ok(Outcome::Caught(self.full_name(suite, name) + how));
            }
        }
        Ok(Outcome::Survived(tests.len()))
    }

    /// Runs the tests. Where something stands between, its own failure is no test's: it has another chance.
    fn verdict(&self, suite: usize, command: &mut Command, patience: Duration) -> Result<Ended> {
        let speaks = |ended: &Ended| {
            self.suites[suite].through.is_empty() || ended.succeeds() || ended.failed().is_some()
        };
        let ended = run(command, patience)?;
        if speaks(&ended) {
            return Ok(ended);
        }
        let again = run(command, patience)?;
        if again.status.is_some() && !speaks(&again) {
            bail!("{} says nothing of its tests", shown(command));
        }
        Ok(again)
    }

    /// The tests that say nothing, by their names: those that fail or skip, and those for another kernel.
    pub fn silent(&self) -> [Vec<String>; 2] {
        [&self.unfit, &self.elsewhere].map(|tests| {
            let names = tests
                .iter()
                .map(|(suite, name)| self.full_name(*suite, name));
            names.collect()
        })
    }

    fn full_name(&self, suite: usize, test: &str) -> String {
        format!("{}::{test}", self.suites[suite].name)
    }

    fn command(&self, suite: usize, tests: &[&str]) -> Command {
        let suite = &self.suites[suite];
        let mut command = match suite.through.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&suite.executable);
                command
            }
            None => Command::new(&suite.executable),
        };
        command
            .current_dir(&suite.folder)
            .env("CARGO_MANIFEST_DIR", &suite.folder)
            .env("RUST_BACKTRACE", "0")
            .args(["--test-threads", "1", "--show-output", "--exact"])
            .args(tests);
        (self.tell)(&mut command);
        command
    }
}

/// What a test does without any mutation.
struct Look {
    ended: Ended,
    seconds: f64,
    reached: BTreeSet<usize>,
}

/// The end of a run.
struct Ended {
    /// None where it took too long.
    status: Option<ExitStatus>,
    output: String,
}

impl Ended {
    fn succeeds(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The first test that failed.
    fn failed(&self) -> Option<&str> {
        self.output.lines().find_map(|line| {
            let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
            Some(name.trim_end_matches(" - should panic"))
        })
    }

    /// Whether a test stated something with this word, see `libtest`.
    fn says(&self, word: &str) -> bool {
        self.output.lines().any(|line| line.starts_with(word))
    }
}

/// Runs a command in a process group of its own, which ends with it.
fn run(command: &mut Command, patience: Duration) -> Result<Ended> {
    let start = Instant::now();
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let mut stdout = child.stdout.take().context("the child has no stdout")?;
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > patience {
            break None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    if status.is_none_or(|status| !status.success()) {
        end_group(&mut child)?;
    }
    let output = reading.join().unwrap_or_default();
    Ok(Ended { status, output })
}

/// Ends what is left of a process group.
fn end_group(child: &mut Child) -> Result<()> {
    let group = format!("-{}", child.id());
    Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status()
        .context("cannot start kill")?;
    child.wait()?;
    Ok(())
}

/// What processes noted in the folder.
fn reached(folder: &Path) -> Result<BTreeSet<usize>> {
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        numbers.extend(text.lines().filter_map(|line| line.parse::<usize>().ok()));
    }
    Ok(numbers)
}

/// Does something with each item, as many at a time as the machine has processors; answers in their order.
fn in_parallel<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut answers: Vec<(usize, R)> = thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(place) else {
                    return mine;
                };
                if place > 0 && place.is_multiple_of(200) {
                    println!("{place} of {}", items.len());
                }
                mine.push((place, act(item)));
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|mine| mine.unwrap_or_default()).collect()
    });
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
