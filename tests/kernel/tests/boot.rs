//! What a command inside User Mode Linux may rely on: its status, its output, its limits, its files.

use std::env;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sockgate_kernel::{Boot, Cache, Ended};

/// A kernel with this limit in seconds, or a skip of the test `name`.
fn boot(name: &str, limit: u64) -> Result<Option<Boot>> {
    let executable = env::current_exe()?;
    // target/debug/deps/boot-0123456789abcdef
    let profile = executable.ancestors().nth(2).context("no target folder")?;
    let target = profile.parent().context("no target folder")?;
    let init = match env::var_os("SOCKGATE_KERNEL_INIT") {
        Some(path) => PathBuf::from(path),
        None => profile.join("sockgate-kernel-init"),
    };
    let kernel = Cache::locate(target).find().filter(|_| init.is_file());
    if kernel.is_none() {
        println!(
            "@skip {name}: no User Mode Linux; `cargo xtask kernel --install -- true` brings it"
        );
    }
    Ok(kernel.map(|kernel| Boot {
        kernel,
        init,
        writable: Vec::new(),
        limit: Duration::from_secs(limit),
        memory: 512,
    }))
}

/// What a shell's command came to.
struct Outcome {
    ended: Ended,
    stdout: String,
    stderr: String,
    log: String,
}

fn run(boot: &Boot, script: &str) -> Result<Outcome> {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .current_dir("/")
        .env("SOCKGATE_KERNEL_TEST", "a value");
    let mut booted = boot.start(&command)?;
    let stdout = collected(booted.stdout.take().context("no stdout")?);
    let stderr = collected(booted.stderr.take().context("no stderr")?);
    let read = |text: thread::JoinHandle<std::io::Result<String>>| -> Result<String> {
        Ok(text.join().ok().context("the reader panicked")??)
    };
    let (stdout, stderr) = (read(stdout)?, read(stderr)?);
    let (ended, log) = booted.wait()?;
    Ok(Outcome {
        ended,
        stdout,
        stderr,
        log,
    })
}

fn collected(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<std::io::Result<String>> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text)?;
        Ok(text)
    })
}

#[test]
fn status_streams_and_variables_come_through() -> Result<()> {
    let name = "status_streams_and_variables_come_through";
    let Some(boot) = boot(name, 60)? else {
        return Ok(());
    };
    // More than the pipes and the consoles hold, and a process that outlives the command.
    let script = "echo $SOCKGATE_KERNEL_TEST $SOCKGATE_KERNEL; pwd; seq 100000; echo to stderr >&2; \
                  sleep 50 & exit 7";
    let outcome = run(&boot, script)?;
    assert_eq!(outcome.ended, Ended::Status(7), "{}", outcome.log);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[..2], ["a value uml", "/"]);
    assert_eq!(lines.len(), 100_002);
    assert_eq!(lines[100_001], "100000");
    assert_eq!(outcome.stderr, "to stderr\n");
    Ok(())
}

#[test]
fn a_signal_and_a_missing_program_have_a_shells_status() -> Result<()> {
    let name = "a_signal_and_a_missing_program_have_a_shells_status";
    let Some(boot) = boot(name, 60)? else {
        return Ok(());
    };
    assert_eq!(run(&boot, "kill -9 $$")?.ended, Ended::Status(137));
    let booted = boot.start(Command::new("/nowhere/at/all").current_dir("/"))?;
    assert_eq!(booted.wait()?.0, Ended::Status(127));
    Ok(())
}

#[test]
fn a_command_that_does_not_end_is_ended() -> Result<()> {
    let Some(boot) = boot("a_command_that_does_not_end_is_ended", 5)? else {
        return Ok(());
    };
    let start = Instant::now();
    let outcome = run(&boot, "echo begun; exec sleep 1000")?;
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert_eq!(outcome.stdout, "begun\n");
    let took = start.elapsed();
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(30)).contains(&took),
        "{took:?}"
    );
    Ok(())
}

#[test]
fn a_kernel_that_dies_says_so_with_its_last_lines() -> Result<()> {
    let name = "a_kernel_that_dies_says_so_with_its_last_lines";
    let Some(boot) = boot(name, 60)? else {
        return Ok(());
    };
    let outcome = run(
        &boot,
        "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 50",
    )?;
    assert_eq!(outcome.ended, Ended::Died);
    assert!(outcome.log.contains("panic"), "{}", outcome.log);
    Ok(())
}

#[test]
fn a_kernel_that_does_not_start_says_so() -> Result<()> {
    let Some(mut boot) = boot("a_kernel_that_does_not_start_says_so", 60)? else {
        return Ok(());
    };
    boot.init = PathBuf::from("/nowhere/at/all");
    let outcome = run(&boot, "true")?;
    assert_eq!(outcome.ended, Ended::NotStarted);
    assert!(!outcome.log.is_empty());
    Ok(())
}

#[test]
fn what_is_written_is_forgotten_except_where_it_may_stay() -> Result<()> {
    let name = "what_is_written_is_forgotten_except_where_it_may_stay";
    let Some(mut boot) = boot(name, 60)? else {
        return Ok(());
    };
    let (keeping, forgetting) = (tempfile::tempdir()?, tempfile::tempdir()?);
    boot.writable.push(keeping.path().to_path_buf());
    let kept = keeping.path().join("file");
    let forgotten = forgetting.path().join("file");
    // Something that was there before, too.
    std::fs::write(&forgotten, "before")?;
    let script = format!(
        "echo inside > {0} && cat {0} && echo inside > {1}",
        forgotten.display(),
        kept.display()
    );
    let outcome = run(&boot, &script)?;
    assert_eq!(outcome.ended, Ended::Status(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "inside\n");
    assert_eq!(std::fs::read_to_string(&forgotten)?, "before");
    assert_eq!(std::fs::read_to_string(&kept)?, "inside\n");
    Ok(())
}
