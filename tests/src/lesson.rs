//! What is learnt from an example, and whether it is enough and no more.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::guest::{Ended, Guest, GuestRun};
use crate::place::{command_path, folder};
use crate::skip::patience;

/// Has `sockgate learn` watch a guest, and asks of the policy that it writes:
///
/// * `sockgate check` finds nothing odd about it;
/// * under it the guest does the same again, and nothing is refused;
/// * under it `neighbour`, which does something else, is refused.
///
/// `dress` makes the guest with its arguments, the same each time; `play` plays its peers. The learnt text is
/// answered.
pub fn lesson(
    dress: impl Fn() -> GuestRun,
    play: impl Fn(GuestRun) -> Result<Ended>,
    neighbour: GuestRun,
) -> Result<String> {
    let place = folder()?;
    let out = place.path().join("learnt.toml");
    let before = play(dress().learn(&out))
        .and_then(Ended::success)
        .context("while it was watched")?;
    let text = std::fs::read_to_string(&out)?;
    let told = || format!("learnt:\n{text}");
    checked(&out).with_context(told)?;
    let after = play(dress().policy(&out))
        .and_then(Ended::success)
        .with_context(told)?;
    let refused = after
        .audit
        .records()
        .iter()
        .find(|record| record.is_denied());
    ensure!(refused.is_none(), "{refused:?}\n{}", told());
    let (before, after) = (without_numbers(&before), without_numbers(&after));
    ensure!(before == after, "{before}\nbecame\n{after}\n{}", told());
    let other = neighbour
        .policy(&out)
        .finish(patience())
        .with_context(told)?;
    let mut records = other.audit.records().iter();
    ensure!(
        records.any(|record| record.is_denied()),
        "its neighbour may do what it does: {other:?}\n{}",
        told()
    );
    Ok(text)
}

fn checked(file: &Path) -> Result<()> {
    let output = Command::new(command_path()?)
        .arg("check")
        .arg(file)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.trim_end().ends_with(" 0 warnings"),
        "{output:?}"
    );
    let text = std::fs::read_to_string(file)?;
    ensure!(
        !text.contains("# What no rule can grant"),
        "it is not whole"
    );
    Ok(())
}

/// What it printed, but for ports, times and process ids, which are others each time.
fn without_numbers(ended: &Ended) -> String {
    let mut text = String::new();
    for character in ended.stdout.chars() {
        match character {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            other => text.push(other),
        }
    }
    text
}

/// A guest with these arguments.
pub fn guest_with<S: AsRef<str>>(guest: &str, words: &[S]) -> GuestRun {
    words.iter().fold(GuestRun::new(guest), |run, word| {
        run.argument(word.as_ref())
    })
}

/// Starts a server and waits until it listens.
pub fn listening(run: GuestRun) -> Result<Guest> {
    let guest = run.start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
}
