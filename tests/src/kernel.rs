//! What the kernel under a test has, and network namespaces of a test's own.
//!
//! A test of a family asks first, by the names that it stands under in the report:
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use sockgate_tests::{GuestRun, Need, Net, kernel, patience};
//!
//! let Some(_kernel) = kernel::has(Need::CanRaw, "a_frame_arrives") else {
//!     return Ok(());
//! };
//! let Some(net) = Net::new("a_frame_arrives")? else {
//!     return Ok(());
//! };
//! net.vcan("vcan0")?;
//! let ended = GuestRun::new("can-logger").net(&net).finish(patience())?;
//! # Ok(())
//! # }
//! ```
//!
//! What this kernel lacks another may have: `cargo xtask test` runs such a test again in User Mode Linux.

use std::env;
use std::fmt::Display;
use std::fs;

use crate::skip::skip;

mod need;
mod net;
mod probe;

pub use need::Need;
pub(crate) use net::within;
pub use net::{Frames, Net, net_and_python};

/// Which kernel a test runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// The machine's own.
    Host,
    /// User Mode Linux, started by `cargo xtask`.
    Uml,
}

impl Kernel {
    /// The kernel that this program runs on.
    pub fn this() -> Kernel {
        match env::var("SOCKGATE_KERNEL").as_deref() {
            Ok("uml") => Kernel::Uml,
            _ => Kernel::Host,
        }
    }

    /// As the reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Host => "host",
            Kernel::Uml => "uml",
        }
    }
}

/// The kernel, where it has what the test `name` needs; else a skip of that test.
///
/// Either way the test counts for this family and protocol in `cargo xtask families`. A test that needs two
/// of them asks twice.
pub fn has(need: Need, name: &str) -> Option<Kernel> {
    println!("@family {} {}", need.family(), need.protocol());
    match need.missing() {
        None => Some(Kernel::this()),
        Some(why) => {
            elsewhere(name, format!("kernel {} has no {need}: {why}", release()));
            None
        }
    }
}

/// Whether this is User Mode Linux; else a skip of the test `name`, which is of that kernel alone.
pub fn in_uml(name: &str) -> bool {
    let inside = Kernel::this() == Kernel::Uml;
    if !inside {
        elsewhere(name, "a test of User Mode Linux, not of this kernel");
    }
    inside
}

/// Skips the test `name` here, and says that it may run on another kernel.
fn elsewhere(name: &str, reason: impl Display) {
    println!("@elsewhere {name}");
    skip(name, reason);
}

/// The kernel's release, as uname(2) has it.
pub fn release() -> String {
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(text) => text.trim().to_owned(),
        Err(_) => "of unknown release".to_owned(),
    }
}
