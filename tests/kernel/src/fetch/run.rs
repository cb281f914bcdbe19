//! Programs that work in silence and are shown when they fail.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program to its end; an error shows what it printed last.
pub fn run(command: &mut Command) -> Result<()> {
    answer(command).map(drop)
}

/// What a program prints; an error shows what it printed last.
pub fn answer(command: &mut Command) -> Result<String> {
    let answer = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !answer.status.success() {
        bail!(
            "{command:?} ended with {}: {}{}",
            answer.status,
            last(&answer.stdout),
            last(&answer.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The end of what was printed.
fn last(bytes: &[u8]) -> String {
    const LINES: usize = 20;
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Programs of which each reads what the one before prints; the last one's output goes to `output`.
pub fn pipeline(commands: &mut [&mut Command], output: Stdio) -> Result<()> {
    let mut input = Stdio::null();
    let mut children = Vec::new();
    let mut output = Some(output);
    let count = commands.len();
    for (index, command) in commands.iter_mut().enumerate() {
        let is_last = index + 1 == count;
        let stdout = match output.take_if(|_| is_last) {
            Some(output) => output,
            None => Stdio::piped(),
        };
        let mut child = command
            .stdin(std::mem::replace(&mut input, Stdio::null()))
            .stdout(stdout)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        if let Some(pipe) = child.stdout.take() {
            input = Stdio::from(pipe);
        }
        children.push((format!("{command:?}"), child));
    }
    // The command holds the pipe that its child reads: it would never see the end of it.
    for command in commands.iter_mut() {
        command.stdin(Stdio::null());
    }
    let mut failed = None;
    for (line, mut child) in children {
        let status = child.wait()?;
        if !status.success() && failed.is_none() {
            failed = Some(format!("{line} ended with {status}"));
        }
    }
    match failed {
        Some(failed) => bail!("{failed}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn each_program_reads_what_the_one_before_prints() -> Result<()> {
        let mut place = tempfile::NamedTempFile::new()?;
        pipeline(
            &mut [
                Command::new("printf").arg("b\\na\\n"),
                &mut Command::new("sort"),
                Command::new("tr").args(["a", "A"]),
            ],
            Stdio::from(place.reopen()?),
        )?;
        let mut text = String::new();
        place.read_to_string(&mut text)?;
        assert_eq!(text, "A\nb\n");
        Ok(())
    }

    #[test]
    fn a_failure_anywhere_is_told_with_the_program() {
        let result = pipeline(
            &mut [&mut Command::new("false"), &mut Command::new("cat")],
            Stdio::null(),
        );
        assert!(result.unwrap_err().to_string().contains("false"));
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
