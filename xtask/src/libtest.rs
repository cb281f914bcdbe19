//! What a test binary of libtest prints, read back: each test's outcome, time, output and skips.

use std::collections::BTreeMap;

use serde_json::Value;
use sockgate_tests::Kernel;

/// How a test ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Passed,
    Failed,
    /// With the reason that the test gave.
    Skipped(String),
}

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// The binary's name and the test's path in it.
    pub name: String,
    pub outcome: Outcome,
    /// Wall time, where it is known.
    pub seconds: Option<f64>,
    /// What it printed.
    pub output: String,
    /// The families and protocols that it is a test of.
    pub families: Vec<(String, String)>,
    /// The names of Python's modules that it is a test of.
    pub covers: Vec<String>,
    /// The attacks that it made, as `sockgate_tests::attack` tells them.
    pub attacks: Vec<Value>,
    /// The kernel that it ran on.
    pub kernel: Kernel,
    /// Whether it asks to be run on another kernel, since this one lacks something.
    pub elsewhere: bool,
}

impl Case {
    /// A test of which nothing more is known, on the machine's own kernel.
    pub fn new(name: impl Into<String>, outcome: Outcome) -> Case {
        Case {
            name: name.into(),
            outcome,
            seconds: None,
            output: String::new(),
            families: Vec::new(),
            covers: Vec::new(),
            attacks: Vec::new(),
            kernel: Kernel::Host,
            elsewhere: false,
        }
    }
}

/// Reads libtest's lines one by one.
///
/// Tests talk to us with lines of their own on stdout: `@skip NAME: REASON`, `@time NAME SECONDS`,
/// `@family FAMILY PROTOCOL`, `@covers NAME NAME ...`, `@attack OBJECT`, and `@elsewhere NAME` where another kernel
/// may run what this one cannot.
pub struct Reader {
    binary: String,
    kernel: Kernel,
    cases: Vec<Case>,
    /// The test whose output is being printed.
    section: Option<usize>,
    by_name: BTreeMap<String, usize>,
    /// Skips of a part of a test, and of what the lines do not place.
    partial_skips: Vec<Case>,
    /// Times that tests gave to their parts.
    times: Vec<(String, f64)>,
    /// Sums of the result lines: passed, failed, ignored.
    claimed: (usize, usize, usize),
}

/// A test binary's whole run.
pub struct Run {
    pub cases: Vec<Case>,
    pub times: Vec<(String, f64)>,
}

impl Reader {
    /// For the binary of this name, which runs on this kernel.
    pub fn new(binary: &str, kernel: Kernel) -> Reader {
        Reader {
            binary: binary.to_owned(),
            kernel,
            cases: Vec::new(),
            section: None,
            by_name: BTreeMap::new(),
            partial_skips: Vec::new(),
            times: Vec::new(),
            claimed: (0, 0, 0),
        }
    }

    /// Takes a line; true where it reports a test and is worth showing at once.
    pub fn line(&mut self, line: &str) -> bool {
        if let Some((name, outcome, seconds)) = test_line(line) {
            self.by_name.insert(name.to_owned(), self.cases.len());
            let mut case = self.case(name, outcome);
            case.seconds = seconds;
            self.cases.push(case);
            self.section = None;
            return true;
        }
        if let Some(name) = section_line(line) {
            self.section = self.by_name.get(name).copied();
            return false;
        }
        if line == "failures:" || line == "successes:" {
            self.section = None;
            return false;
        }
        if let Some(counts) = result_line(line) {
            self.claimed.0 += counts.0;
            self.claimed.1 += counts.1;
            self.claimed.2 += counts.2;
            self.section = None;
            return false;
        }
        self.printed(line);
        false
    }

    /// A line that some test printed.
    fn printed(&mut self, line: &str) {
        if let Some((name, reason)) = line.strip_prefix("@skip ").and_then(|l| l.split_once(": ")) {
            self.skipped(name, reason);
        }
        if let Some((name, seconds)) = line.strip_prefix("@time ").and_then(|l| l.rsplit_once(' '))
            && let Ok(seconds) = seconds.parse()
        {
            self.times.push((self.full_name(name), seconds));
        }
        if let Some(case) = self.section.and_then(|index| self.cases.get_mut(index)) {
            if let Some((family, protocol)) = line
                .strip_prefix("@family ")
                .and_then(|l| l.split_once(' '))
            {
                case.families.push((family.to_owned(), protocol.to_owned()));
            }
            if let Some(names) = line.strip_prefix("@covers ") {
                case.covers.extend(names.split(' ').map(str::to_owned));
            }
            let attack = line.strip_prefix("@attack ");
            case.attacks
                .extend(attack.and_then(|text| serde_json::from_str::<Value>(text).ok()));
            case.elsewhere |= line.starts_with("@elsewhere ");
            case.output.push_str(line);
            case.output.push('\n');
        }
    }

    /// A whole test is skipped where it says so under its own name; anything else is a part of one.
    fn skipped(&mut self, name: &str, reason: &str) {
        let full = self.full_name(name);
        if let Some(case) = self.section.and_then(|index| self.cases.get_mut(index))
            && (case.name == full || case.name.ends_with(&format!("::{name}")))
        {
            match case.outcome {
                Outcome::Passed => {
                    case.outcome = Outcome::Skipped(reason.to_owned());
                    return;
                }
                // It lacks two things.
                Outcome::Skipped(_) => return,
                Outcome::Failed => {}
            }
        }
        let part = self.case(name, Outcome::Skipped(reason.to_owned()));
        self.partial_skips.push(part);
    }

    /// The end: `success` is the binary's exit status.
    ///
    /// What the lines leave open counts as a failure: a binary that ended badly with no failed test, and
    /// counts that the lines do not bear out.
    pub fn finish(mut self, success: bool, why: &str) -> Run {
        let seen = (
            self.cases.len() - self.count(&Outcome::Failed) - self.ignored(),
            self.count(&Outcome::Failed),
            self.ignored(),
        );
        if !success && seen.1 == 0 {
            self.fail(format!("{why}, and no test says that it failed"));
        } else if seen != self.claimed {
            self.fail(format!(
                "the binary counts {:?} (passed, failed, ignored) and its lines {seen:?}",
                self.claimed
            ));
        }
        self.cases.append(&mut self.partial_skips);
        Run {
            cases: self.cases,
            times: self.times,
        }
    }

    fn fail(&mut self, output: String) {
        let mut case = self.case("(the binary itself)", Outcome::Failed);
        case.output = output;
        self.cases.push(case);
    }

    fn count(&self, outcome: &Outcome) -> usize {
        self.cases
            .iter()
            .filter(|case| case.outcome == *outcome)
            .count()
    }

    fn ignored(&self) -> usize {
        self.count(&Outcome::Skipped(IGNORED.to_owned()))
    }

    fn case(&self, name: &str, outcome: Outcome) -> Case {
        let mut case = Case::new(self.full_name(name), outcome);
        case.kernel = self.kernel;
        case
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}::{name}", self.binary)
    }
}

/// The reason of a test that carries `#[ignore]`.
const IGNORED: &str = "marked #[ignore]";

/// What may follow a test's name.
const EXPECTATIONS: [&str; 3] = [" - should panic", " - compile fail", " - compile"];

/// `test NAME ... ok`, with ` <0.012s>` where times were asked for.
fn test_line(line: &str) -> Option<(&str, Outcome, Option<f64>)> {
    let (name, end) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let (word, seconds) = match end.split_once(" <") {
        Some((word, time)) => (word, time.strip_suffix("s>")?.parse().ok()),
        None => (end, None),
    };
    let outcome = match word {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        _ if word.starts_with("ignored") => Outcome::Skipped(IGNORED.to_owned()),
        _ => return None,
    };
    // libtest and rustdoc say what they expect; sections go by the bare name.
    let bare = EXPECTATIONS
        .iter()
        .find_map(|expectation| name.strip_suffix(expectation));
    Some((bare.unwrap_or(name), outcome, seconds))
}

/// `---- NAME stdout ----`
fn section_line(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; ...`
fn result_line(line: &str) -> Option<(usize, usize, usize)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = counts
        .split("; ")
        .map(|part| part.split(' ').next()?.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, success: bool) -> Run {
        let mut reader = Reader::new("udp", Kernel::Host);
        for line in text.lines() {
            reader.line(line);
        }
        reader.finish(success, "exit status: 101")
    }

    fn outcome<'a>(run: &'a Run, name: &str) -> &'a Outcome {
        &run.cases
            .iter()
            .find(|case| case.name == name)
            .unwrap()
            .outcome
    }

    const MIXED: &str = "\
running 4 tests
test echo::small ... ok <0.250s>
test echo::by_curl ... ok
test echo::late ... FAILED <1.5s>
test echo::never ... ignored, not here

successes:

---- echo::by_curl stdout ----
@skip by_curl: curl is missing
---- echo::small stdout ----
@time pings 0.125
@skip half of it: no IPv6

failures:

---- echo::late stdout ----
panicked at somewhere
failures:
    echo::late

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s
";

    #[test]
    fn outcomes_times_and_output() {
        let run = read(MIXED, false);
        assert_eq!(*outcome(&run, "udp::echo::small"), Outcome::Passed);
        assert_eq!(run.cases[0].seconds, Some(0.25));
        assert_eq!(*outcome(&run, "udp::echo::late"), Outcome::Failed);
        assert_eq!(run.cases[2].output, "panicked at somewhere\n");
        assert_eq!(run.times, [("udp::pings".to_owned(), 0.125)]);
    }

    #[test]
    fn a_skip_is_named_and_never_a_pass() {
        let run = read(MIXED, false);
        let skipped = |name| match outcome(&run, name) {
            Outcome::Skipped(reason) => reason.clone(),
            other => panic!("{name} is {other:?}"),
        };
        assert_eq!(skipped("udp::echo::by_curl"), "curl is missing");
        assert_eq!(skipped("udp::half of it"), "no IPv6");
        assert_eq!(skipped("udp::echo::never"), IGNORED);
        assert_eq!(run.cases.len(), 5);
    }

    #[test]
    fn what_this_kernel_lacks_is_for_another() {
        let run = read(
            "test a ... ok\ntest b ... ok\n\
             ---- a stdout ----\n@family can raw\n@elsewhere a\n@skip a: no CAN\n@skip a: no bus\n\
             ---- b stdout ----\n@family can raw\n@family vsock stream\n@covers AF_CAN bind\n@attack {\"id\":\"x\"}\n\
             test result: ok. 2 passed; 0 failed; 0 ignored\n",
            true,
        );
        let (a, b) = (&run.cases[0], &run.cases[1]);
        assert!(a.elsewhere && !b.elsewhere);
        assert_eq!(a.outcome, Outcome::Skipped("no CAN".to_owned()));
        assert_eq!(a.families, [("can".to_owned(), "raw".to_owned())]);
        assert_eq!(b.families.len(), 2);
        assert_eq!(run.cases.len(), 2);
        assert_eq!(b.covers, ["AF_CAN", "bind"]);
        assert_eq!(b.attacks[0]["id"], "x");
    }

    #[test]
    fn output_of_a_documentation_example_finds_its_test() {
        let run = read(
            "test src/lib.rs - Gate (line 3) - compile fail ... FAILED\n\
             ---- src/lib.rs - Gate (line 3) stdout ----\n\
             it compiled\n\
             test result: FAILED. 0 passed; 1 failed; 0 ignored\n",
            false,
        );
        assert_eq!(run.cases[0].name, "udp::src/lib.rs - Gate (line 3)");
        assert_eq!(run.cases[0].output, "it compiled\n");
    }

    #[test]
    fn a_crash_is_a_failure() {
        let run = read("running 2 tests\ntest a ... ok\n", false);
        assert_eq!(*outcome(&run, "udp::(the binary itself)"), Outcome::Failed);
    }

    #[test]
    fn counts_that_do_not_agree_are_a_failure() {
        let run = read(
            "test a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n",
            true,
        );
        assert_eq!(*outcome(&run, "udp::(the binary itself)"), Outcome::Failed);
    }

    #[test]
    fn a_failed_test_that_skipped_a_part_stays_failed() {
        let run = read(
            "test a ... FAILED\n---- a stdout ----\n@skip a: later\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n",
            false,
        );
        assert_eq!(*outcome(&run, "udp::a"), Outcome::Failed);
    }
}
