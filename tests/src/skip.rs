//! What tests tell `cargo xtask test` on their stdout.

use std::env;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Says that the test `name` cannot run on this machine, and why. The test returns after it.
///
/// `name` is the test function's; with another name it reports a part of a test, and the rest counts.
pub fn skip(name: &str, reason: impl Display) {
    println!("@skip {name}: {reason}");
}

/// Says which names of Python's modules the assertions before this line are about, for `cargo xtask parity`:
/// `setsockopt`, `SO_LINGER`, `BaseServer.handle_timeout`. A name counts where the test passes.
pub fn covers(names: &[&str]) {
    println!("@covers {}", names.join(" "));
}

/// Runs `work` and reports its wall time under `name`, for parts of a test worth watching.
pub fn timed<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    println!("@time {name} {:.3}", start.elapsed().as_secs_f64());
    value
}

/// Whether `cargo xtask test --long` asked for full counts.
pub fn long() -> bool {
    env::var_os("SOCKGATE_LONG").is_some()
}

/// How long a test waits for what must come: generous, since a loaded machine is no failure.
pub fn patience() -> Duration {
    Duration::from_secs(60)
}
