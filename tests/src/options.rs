//! Options of a guest beside options of python3: the same steps on the same kinds of sockets, compared line by line.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::guest::GuestRun;
use crate::kernel::Net;
use crate::native::Native;
use crate::place::root;
use crate::skip::{covers, patience};

/// What an option is set to; in every case it is read, and set to values of wrong lengths.
#[derive(Clone, Copy, Debug)]
pub enum OptionValue {
    /// Nothing that would be a value: for options that can only be read.
    None,
    /// An `int`.
    Number(i32),
    /// Bytes, in hexadecimal digits.
    Bytes(&'static str),
    /// As the one before, and what is read differs from socket to socket: its length is compared.
    Length(&'static str),
    /// As `Bytes`, and read with exactly this length: where the kernel does not say how much it wrote.
    Whole(u32, &'static str),
}

/// An option: its name in Python's `socket` module, or a policy's where Python has none, its level and number, and a
/// value.
pub type OptionRow = (&'static str, i32, i32, OptionValue);

/// Options of one kind of socket.
pub struct OptionTable {
    /// Family, type and protocol in Linux's numbers: `2 1 0`.
    pub kind: &'static str,
    /// Steps on each socket after it was made, with `$` for its name.
    pub before: &'static [&'static str],
    /// The options.
    pub rows: &'static [OptionRow],
}

/// A step whose outcome differs, and why: the option's name, the step without its socket, what the guest's outcome
/// begins with, what Python's does.
pub struct Difference {
    /// The option's name.
    pub name: &'static str,
    /// The beginning of the step's form: `set-length`, `int`.
    pub form: &'static str,
    /// What the guest gets.
    pub guest: &'static str,
    /// What Python gets.
    pub python: &'static str,
    /// Why that is so.
    pub reason: &'static str,
}

/// A `[[allow]]` that lists these options on a family's sockets.
pub fn options_rule(family: &str, keys: &str, tables: &[OptionTable]) -> String {
    let listed: BTreeSet<String> = tables
        .iter()
        .flat_map(|table| table.rows)
        .map(|(_, level, number, _)| format!("\"{level}/{number}\""))
        .collect();
    let listed = listed.into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "[[allow]]\nid = \"{family}\"\nfamily = [\"{family}\"]\n{keys}\n\
         options = {{ set = [{listed}, \"*\"], get = [\"*\"] }}\n"
    )
}

/// One step of a row: which option it is about, and its text.
struct Step {
    row: &'static str,
    form: String,
    text: String,
}

fn steps_of(tables: &[OptionTable]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut number = 0;
    for table in tables {
        for (row, level, option, value) in table.rows {
            number += 1;
            let socket = format!("s{number}");
            let mut push = |text: String| {
                let form = text.replace(&format!(" {socket}"), "");
                steps.push(Step { row, form, text });
            };
            push(format!("{socket} = socket {}", table.kind));
            for step in table.before {
                push(step.replace('$', &socket));
            }
            let on = |verb: &str, rest: &str| format!("{verb} {socket} {level} {option}{rest}");
            let looks = |push: &mut dyn FnMut(String)| match value {
                OptionValue::Length(_) => push(on("length", " 256")),
                OptionValue::Whole(length, _) => push(on("get", &format!(" {length}"))),
                _ => {
                    push(on("int", ""));
                    push(on("get", " 256"));
                }
            };
            looks(&mut push);
            if !matches!(value, OptionValue::Length(_) | OptionValue::Whole(..)) {
                push(on("get", " 1"));
                push(on("get", " 3"));
            }
            match value {
                OptionValue::None => push(on("set-int", " 1")),
                OptionValue::Number(number) => push(on("set-int", &format!(" {number}"))),
                OptionValue::Bytes(hex) | OptionValue::Length(hex) | OptionValue::Whole(_, hex) => {
                    push(on("set", &format!(" x{hex}")));
                }
            }
            looks(&mut push);
            push(on("set", " x"));
            push(on("set", " x000000"));
            push(on("set", &format!(" x{}", "00".repeat(128))));
            push(on("set-length", " 4"));
            looks(&mut push);
            push(format!("close {socket}"));
        }
    }
    steps
}

/// Takes every step of the tables in the guest `options` and in python3, both within `net` where there is one, and compares.
/// Every option that agrees counts as covered.
///
/// # Errors
/// An outcome that differs and is not among `differences`, or one of those that did not occur.
pub fn compare_options(
    net: Option<&Net>,
    python: &Path,
    policy: &str,
    tables: &[OptionTable],
    differences: &[Difference],
) -> Result<()> {
    let steps = steps_of(tables);
    let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
    let script = root().join("tests/native/options.py");
    let mut native = match net {
        Some(net) => net.command(python),
        None => Command::new(python),
    };
    let native = Native::start(native.arg(script).arg("steps").args(&texts))?;
    let native = native.finish(patience())?;
    let run = GuestRun::new("options").policy_text(policy);
    let run = match net {
        Some(net) => run.net(net),
        None => run,
    };
    let run = texts.iter().fold(run, |run, text| run.argument(*text));
    let guest = run.finish(patience())?.success()?;
    let guest: Vec<&str> = guest
        .stdout
        .lines()
        .filter(|line| *line != "@guest")
        .collect();
    ensure!(
        guest.len() == steps.len() && native.len() == steps.len(),
        "{} steps, {} outcomes of the guest, {} of python3",
        steps.len(),
        guest.len(),
        native.len()
    );
    let mut found = vec![false; differences.len()];
    let mut wrong = Vec::new();
    for ((step, guest), native) in steps.iter().zip(&guest).zip(&native) {
        if guest == native {
            continue;
        }
        let outcome = |line: &str| line.rsplit(" -> ").next().unwrap_or_default().to_owned();
        let (guest, native) = (outcome(guest), outcome(native));
        let known = differences.iter().position(|known| {
            (known.name == step.row || known.name == "*")
                && step.form.starts_with(known.form)
                && guest.starts_with(known.guest)
                && native.starts_with(known.python)
        });
        match known {
            Some(place) => found[place] = true,
            None => wrong.push(format!(
                "{} `{}`: the guest {guest}, python3 {native}",
                step.row, step.form
            )),
        }
    }
    for (known, found) in differences.iter().zip(found) {
        if !found {
            wrong.push(format!(
                "{} `{}` no longer differs; it did since {}",
                known.name, known.form, known.reason
            ));
        }
    }
    if !wrong.is_empty() {
        bail!("{} outcomes differ:\n{}", wrong.len(), wrong.join("\n"));
    }
    let rows = tables.iter().flat_map(|table| table.rows);
    // The others are not Python's.
    let names: BTreeSet<&str> = rows
        .map(|(name, ..)| *name)
        .filter(|name| !name.contains('.'))
        .collect();
    for name in names {
        covers(&[name]);
    }
    covers(&["getsockopt", "setsockopt"]);
    Ok(())
}

/// An accessor of the SDK with a value, what the guest reads back, and where python3 finds which bytes: level, number,
/// `xHEX`.
pub type TypedOption = (
    &'static str,
    &'static str,
    &'static str,
    i32,
    i32,
    &'static str,
);

/// Sets each option by its accessor in the guest `options`, on one socket for each kind (family, type and protocol in
/// Linux's numbers), and reads it back; then python3 reads the same option of the same socket, out of the running host.
///
/// # Errors
/// The guest or python3 finds something else.
pub fn typed_options(
    net: Option<&Net>,
    python: &Path,
    policy: &str,
    kinds: &[(&str, &[TypedOption])],
) -> Result<()> {
    let mut run = GuestRun::new("options").policy_text(policy);
    if let Some(net) = net {
        run = run.net(net);
    }
    for (number, (kind, typed)) in kinds.iter().enumerate() {
        run = run
            .argument(format!("s{number} = socket {kind}"))
            .argument(format!("read s{number} cookie"));
        for (accessor, value, ..) in *typed {
            run = run.argument(format!("use s{number} {accessor} {value}"));
        }
    }
    let guest = run.argument("hold").start()?;
    guest.wait_for_line("holding", patience())?;
    let lines = guest.stdout.lines();
    let answer = |step: &str| -> Result<String> {
        let prefix = format!("{step} -> ");
        let line = lines.iter().find_map(|line| line.strip_prefix(&prefix));
        let text = line.with_context(|| format!("no step `{step}`"))?;
        Ok(text.strip_prefix("ok ").unwrap_or(text).to_owned())
    };
    let (mut wrong, mut questions, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (_, typed)) in kinds.iter().enumerate() {
        let cookie = answer(&format!("read s{number} cookie"))?;
        for (accessor, value, shown, level, option, bytes) in *typed {
            let read = answer(&format!("use s{number} {accessor} {value}"))?;
            if read != *shown {
                wrong.push(format!(
                    "{accessor} {value}: the guest reads {read} back, not {shown}"
                ));
            }
            questions.push(format!("{cookie} {level} {option} 64"));
            expected.push((*accessor, *bytes));
        }
    }
    let found = witness_options(python, guest.pid(), &questions)?;
    ensure!(found.len() == expected.len(), "{found:?}");
    for (found, (accessor, bytes)) in found.iter().zip(&expected) {
        // Some kernels do not say how much they wrote.
        if !(found == bytes || found.len() == 129 && found.starts_with(bytes)) {
            wrong.push(format!("{accessor}: python3 finds {found}, not {bytes}"));
        }
    }
    if !wrong.is_empty() {
        bail!("{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
    Ok(())
}

/// What the sockets of a running process say natively: for each question `COOKIE LEVEL NAME LENGTH` the answer, as
/// `xHEX` or an error's name.
///
/// # Errors
/// The process or a socket is not there, or may not be looked at.
fn witness_options(python: &Path, pid: u32, questions: &[String]) -> Result<Vec<String>> {
    let script = root().join("tests/native/options.py");
    let mut command = Command::new(python);
    command.arg(script).arg("witness").arg(pid.to_string());
    let lines = Native::start(command.args(questions))?.finish(patience())?;
    lines
        .iter()
        .map(|line| {
            let (_, answer) = line.split_once(" -> ").context("no answer")?;
            Ok(answer.to_owned())
        })
        .collect()
}
