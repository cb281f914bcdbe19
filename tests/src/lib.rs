//! The bench that every integration test stands on.
//!
//! A test starts a guest under the real `sockgate` command, talks to it with native code or a native
//! program, and judges by witnesses: what the peer saw, the audit file, and the log of system calls.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use sockgate_tests::{Audit, GuestRun, free_port, patience};
//!
//! let port = free_port()?;
//! let mut guest = GuestRun::new("upper-udp")
//!     .allow(&format!("udp bind 127.0.0.1:{port}"))
//!     .argument(&format!("127.0.0.1:{port}"))
//!     .start()?;
//! guest.wait_for_line("listening on ", patience())?;
//! let audit: Audit = guest.audit()?;
//! # Ok(())
//! # }
//! ```
//!
//! Tests return `anyhow::Result<()>`. One that cannot run here says so with [`skip`] and returns.

pub mod attack;
mod audit;
mod bytes;
mod events;
mod guest;
mod isolated;
pub mod kernel;
mod lesson;
mod limit;
mod names;
mod native;
mod options;
mod oracle;
mod output;
pub mod parity;
mod peer;
mod place;
mod port;
mod prompt;
mod python;
mod skip;
mod steps;
mod syscalls;
mod threads;
mod witness;

pub use attack::Attack;
pub use audit::{Audit, Record};
pub use bytes::{from_hex, hex, pattern, sha256};
pub use events::{Busy, native_events};
pub use guest::{Ended, Guest, GuestRun};
pub use isolated::{instead_of, isolated};
pub use kernel::{Frames, Kernel, Need, Net, net_and_python};
pub use lesson::{guest_with, lesson, listening};
pub use limit::descriptors;
pub use names::{asked_names, name_server, with_names};
pub use native::{Native, agree, told};
pub use options::{
    Difference, OptionRow, OptionTable, OptionValue, TypedOption, compare_options, options_rule,
    typed_options,
};
pub use oracle::{Tool, oracle};
pub use output::{More, Output};
pub use peer::{Peer, tcp_echo, udp_echo, unix_echo};
pub use place::{TempDir, command_path, folder, guest_path, policy_path, root};
pub use port::{free_port, has_ipv6};
pub use prompt::{Prompt, Prompter};
pub use python::PythonServer;
pub use skip::{covers, long, patience, skip, timed};
pub use steps::{
    carried, ip_policy, message_steps, net_steps, outcome, python_steps, steps, udp_policy,
};
pub use syscalls::{Syscall, SyscallLog};
pub use threads::on_threads;
pub use witness::{door, ear, heard, knocked, made_none, watched};
