//! What this process holds: descriptors and memory, proc(5).

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How many descriptors are open, without the one that lists them.
pub fn descriptors() -> Result<usize> {
    let entries = fs::read_dir("/proc/self/fd").context("cannot list /proc/self/fd")?;
    Ok(entries.count() - 1)
}

/// The same once it has come down to `wanted`: runtimes that end close their own a moment later. Gives up
/// after ten seconds, and then answers what there is.
pub fn settled_descriptors(wanted: usize) -> Result<usize> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = descriptors()?;
        if now <= wanted || Instant::now() > deadline {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What the processors have done for this process, in hundredths of a second.
pub fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name may hold anything; utime and stime are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}

/// VmRSS in bytes: what lies in memory now.
pub fn resident_memory() -> Result<u64> {
    status("VmRSS:")
}

/// VmHWM in bytes: the most since [`start_peak_anew`].
pub fn peak_memory() -> Result<u64> {
    status("VmHWM:")
}

/// Sets VmHWM to what lies in memory now.
pub fn start_peak_anew() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("cannot write /proc/self/clear_refs")
}

fn status(key: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .with_context(|| format!("/proc/self/status has no {key}"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}
