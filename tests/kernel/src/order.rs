//! What the first process inside is told, as a file in the run's folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Names of the files in a run's folder.
pub mod file {
    /// The [`Order`](super::Order), as JSON.
    pub const ORDER: &str = "order.json";
    /// Made once the command has been started.
    pub const STARTED: &str = "started";
    /// The command's exit status as a number; 128 and the signal's number where one ended it.
    pub const STATUS: &str = "status";
    /// What the kernel and its first process print.
    pub const LOG: &str = "kernel.log";
}

/// Everything that the first process does between the kernel's start and its end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Modules to load, by path, each after those that it needs.
    pub modules: Vec<PathBuf>,
    /// Folders of the machine in which the command may write for good.
    pub writable: Vec<PathBuf>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The folder that the command starts in.
    pub folder: PathBuf,
    /// The command's whole environment.
    pub environment: BTreeMap<String, String>,
}
