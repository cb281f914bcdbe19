//! `cargo xtask kernel`: a command in User Mode Linux, where every socket family is.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use sockgate_kernel::{Boot, Cache, Ended, Kernel, fetch, unsupported};

use crate::setup;
use crate::workspace::{Workspace, execute};

#[derive(Args)]
pub struct Options {
    /// Bring the kernel (some 180 MB are downloaded, once) and the packages that building it takes.
    #[arg(long)]
    install: bool,

    /// End the command after this many seconds, with status 124.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,

    /// The kernel's memory in MiB.
    #[arg(long, value_name = "MIB", default_value_t = MEMORY)]
    memory: u32,

    /// Keep what the command writes beneath this folder, as beneath target/.
    #[arg(long, value_name = "FOLDER")]
    writable: Vec<PathBuf>,

    /// Show what the kernel prints.
    #[arg(long)]
    verbose: bool,

    /// The command and its arguments; its status is handed out.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Enough for a guest and its peers, in MiB.
const MEMORY: u32 = 2048;

/// Where to say that the kernel is not at hand.
const HOW: &str = "`cargo xtask kernel --install -- true` brings it";

/// Runs the command; its exit status becomes ours.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let kernel = find(workspace, options.install)?.map_err(anyhow::Error::msg)?;
    let mut boot = boot(workspace, kernel)?;
    boot.limit = Duration::from_secs(options.timeout);
    boot.memory = options.memory;
    for folder in &options.writable {
        let whole = folder.canonicalize();
        boot.writable
            .push(whole.with_context(|| format!("no folder {}", folder.display()))?);
    }
    let mut command = Command::new(&options.command[0]);
    command
        .args(&options.command[1..])
        .env("XDG_CACHE_HOME", compiled(workspace));
    let start = Instant::now();
    let mut booted = boot.start(&command)?;
    let stdout = relay(booted.stdout.take(), io::stdout());
    let stderr = relay(booted.stderr.take(), io::stderr());
    for copying in [stdout, stderr].into_iter().flatten() {
        // A reader of ours that went away, as in `... | head`, is no failure of the command.
        let _ = copying.join();
    }
    let (ended, log) = booted.wait()?;
    if options.verbose {
        eprintln!("{log}\nkernel rig: {:.1} s", start.elapsed().as_secs_f64());
    }
    let status = match ended {
        Ended::Status(status) => status,
        Ended::TimedOut => {
            eprintln!(
                "kernel rig: not at its end after {} s (--timeout)",
                options.timeout
            );
            124
        }
        Ended::Died | Ended::NotStarted => {
            eprintln!(
                "{log}\nkernel rig: the kernel ended without a status; its last lines are above"
            );
            125
        }
    };
    std::process::exit(status);
}

/// The kernel, or in words why there is none; with `install` it is brought if need be.
pub fn find(workspace: &Workspace, install: bool) -> Result<Result<Kernel, String>> {
    let cache = Cache::locate(&workspace.target);
    if let Some(kernel) = cache.find() {
        return Ok(Ok(kernel));
    }
    if let Some(why) = unsupported() {
        return Ok(Err(why.to_owned()));
    }
    if !install {
        return Ok(Err(format!(
            "User Mode Linux is not in {}; {HOW}",
            cache.folder().display()
        )));
    }
    setup::packages(fetch::TOOLS, true)?;
    Ok(fetch::install(&cache).map_err(|error| format!("{error:#}")))
}

/// The kernel, ready to boot, or in words why there is none.
pub fn ready(workspace: &Workspace, install: bool) -> Result<Result<Boot, String>> {
    Ok(match find(workspace, install)? {
        Ok(kernel) => Ok(boot(workspace, kernel)?),
        Err(why) => Err(why),
    })
}

/// Where kernels are kept, as `SOCKGATE_KERNEL_CACHE`: tests have another `XDG_CACHE_HOME`.
pub fn cache(workspace: &Workspace) -> PathBuf {
    Cache::locate(&workspace.target).folder().to_path_buf()
}

/// Where compiled guests are kept, as `XDG_CACHE_HOME`: beneath the folder that can be written inside.
pub fn compiled(workspace: &Workspace) -> PathBuf {
    workspace.target.join("cache")
}

/// A boot of this kernel with the tree's target folder writable.
fn boot(workspace: &Workspace, kernel: Kernel) -> Result<Boot> {
    // By itself: with the rest it would have other crates built again, see its Cargo.toml.
    execute(&mut workspace.cargo(&[
        "build",
        "--quiet",
        "--package",
        "sockgate-kernel",
        "--features",
        "init",
        "--bin",
        "sockgate-kernel-init",
    ]))?;
    Ok(Boot {
        kernel,
        init: workspace.target.join("debug/sockgate-kernel-init"),
        writable: vec![workspace.target.clone()],
        limit: Duration::from_secs(300),
        memory: MEMORY,
    })
}

/// Copies a pipe as it comes, by a thread.
fn relay(
    pipe: Option<impl Read + Send + 'static>,
    mut to: impl Write + Send + 'static,
) -> Option<thread::JoinHandle<io::Result<u64>>> {
    pipe.map(|mut pipe| {
        thread::spawn(move || {
            let mut sum = 0;
            let mut buffer = [0; 1 << 16];
            loop {
                let count = pipe.read(&mut buffer)?;
                if count == 0 {
                    return Ok(sum);
                }
                to.write_all(&buffer[..count])?;
                to.flush()?;
                sum += count as u64;
            }
        })
    })
}
