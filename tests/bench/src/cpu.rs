//! CPUs: which ones we run on, and what they are.

// The lint is for the crates that run guests; std has no calls for CPU affinity.
#![allow(unsafe_code, reason = "sched_setaffinity(2) has no safe form in std")]

use std::io;

use anyhow::{Context, Result};
use libc::{CPU_ISSET, CPU_SET, CPU_SETSIZE, cpu_set_t};

/// The CPUs of one run.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// Where everything runs, less the peers of streams.
    pub main: usize,
    /// Where the peers of streams run: another one, if this process may use two.
    pub peer: usize,
}

impl Cpus {
    /// The last two that this process may use: the first ones have most of the interrupts.
    pub fn choose() -> Result<Cpus> {
        let allowed = allowed().context("cannot ask which CPUs this process may use")?;
        let main = *allowed.last().context("this process may use no CPU")?;
        let peer = allowed.iter().rev().nth(1).copied().unwrap_or(main);
        Ok(Cpus { main, peer })
    }
}

fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: a set of CPUs is an array of integers, for which zeros are valid.
    let mut set: cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set has the size that is given.
    if unsafe { libc::sched_getaffinity(0, size_of::<cpu_set_t>(), &mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let cpus = 0..CPU_SETSIZE as usize;
    // SAFETY: each is less than CPU_SETSIZE.
    Ok(cpus
        .filter(|cpu| unsafe { CPU_ISSET(*cpu, &set) })
        .collect())
}

/// Keeps this thread, and those that it starts from now on, on one CPU.
pub fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: a set of CPUs is an array of integers, for which zeros are valid.
    let mut set: cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` came from a set, so it is less than CPU_SETSIZE.
    unsafe { CPU_SET(cpu, &mut set) };
    // SAFETY: the set has the size that is given.
    match unsafe { libc::sched_setaffinity(0, size_of::<cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The model, as /proc/cpuinfo has it.
pub fn model() -> Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let line = text.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(':'));
    Ok(model
        .map_or("unknown", |(_, model)| model.trim())
        .to_owned())
}

/// The kernel's release, uname(2).
pub fn kernel() -> Result<String> {
    let path = "/proc/sys/kernel/osrelease";
    let release = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(release.trim().to_owned())
}
