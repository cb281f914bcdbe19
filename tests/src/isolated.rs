//! Tests in namespaces of their own, where files beneath /etc and the machine's name are the test's.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::skip::skip;

/// Set in the process that has the namespaces.
const INSIDE: &str = "SOCKGATE_TEST_INSIDE_NAMESPACES";

const UNSHARE: [&str; 4] = ["--map-root-user", "--net", "--mount", "--uts"];

/// Runs the test `name` in a network, a mount and a UTS namespace of its own (unshare(1)), with these
/// variables in its environment: this test binary is started there once more, for this test alone, and
/// calls `test`. Loopback is up, no daemon of name services (nscd) is heard, and nothing that the test does
/// to the machine's name and files ([`instead_of`]) is seen outside.
///
/// Where this user may make no namespaces the test is skipped.
pub fn isolated(
    name: &str,
    environment: &[(&str, &str)],
    test: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if env::var_os(INSIDE).is_some() {
        hide_name_service()?;
        // libtest has begun a line with the test's name.
        println!();
        return test();
    }
    if let Err(why) = possible() {
        skip(name, format_args!("no namespaces of its own: {why}"));
        return Ok(());
    }
    let run = Command::new("unshare")
        .args(UNSHARE)
        .arg(env::current_exe()?)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .output()?;
    let told = String::from_utf8_lossy(&run.stdout);
    for line in told.lines() {
        match line.strip_prefix('@') {
            // What the test tells about itself holds for this run as well.
            Some(_) => println!("{line}"),
            // Others are indented: libtest's lines of the run inside are none of this run's.
            None => println!("  | {line}"),
        }
    }
    for line in String::from_utf8_lossy(&run.stderr).lines() {
        println!("  | {line}");
    }
    ensure!(
        run.status.success() && told.contains("1 passed"),
        "{name} failed in its namespaces"
    );
    Ok(())
}

/// Makes the namespaces once for nothing: it needs unshare(1), mount(8) and ip(8), and the right to.
fn possible() -> Result<()> {
    let tried = Command::new("unshare")
        .args(UNSHARE)
        .args(["sh", "-c", "command -v mount && ip link set lo up"])
        .output()
        .context("cannot start unshare(1)")?;
    if !tried.status.success() {
        bail!("{}", String::from_utf8_lossy(&tried.stderr).trim());
    }
    Ok(())
}

/// Brings loopback up, and lays nothing over the place where nscd(8) is spoken to.
fn hide_name_service() -> Result<()> {
    run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    for place in ["/run/nscd", "/var/run/nscd"] {
        if fs::canonicalize(place).is_ok() {
            run(Command::new("mount").args(["-t", "tmpfs", "none", place]))?;
        }
    }
    Ok(())
}

/// Shows `file` in the place of another one, within an [`isolated`] test.
///
/// # Errors
/// There is nothing at `place`, or this is not such a test.
pub fn instead_of(place: &Path, file: &Path) -> Result<()> {
    ensure!(
        env::var_os(INSIDE).is_some(),
        "only an isolated test may change {}",
        place.display()
    );
    ensure!(
        place.exists(),
        "there is no {} here to lay another file over: create an empty one",
        place.display()
    );
    run(Command::new("mount").arg("--bind").arg(file).arg(place))
}

fn run(command: &mut Command) -> Result<()> {
    let answer = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        answer.status.success(),
        "{command:?} ended with {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.stderr).trim()
    );
    Ok(())
}
