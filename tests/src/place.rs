//! Where things lie: the tree, the command, the guests, folders of a test's own.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
pub use tempfile::TempDir;

/// The root of the tree.
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The `sockgate` command: `SOCKGATE_BIN`, or what was built beside this test.
pub fn command_path() -> Result<PathBuf> {
    let path = match env::var_os("SOCKGATE_BIN") {
        Some(path) => PathBuf::from(path),
        None => profile_folder()?.join("sockgate"),
    };
    if !path.is_file() {
        bail!(
            "no command at {}: run `cargo xtask test`, or `cargo build --bin sockgate` first",
            path.display()
        );
    }
    Ok(path)
}

/// A guest by the name of its program, without `.wasm`.
pub fn guest_path(name: &str) -> Result<PathBuf> {
    let folder = match env::var_os("SOCKGATE_GUESTS") {
        Some(path) => PathBuf::from(path),
        None => target_folder()?.join("wasm32-wasip2/debug"),
    };
    let path = folder.join(format!("{name}.wasm"));
    if !path.is_file() {
        bail!(
            "no guest at {}: run `cargo xtask test`, or `cargo xtask guests` first",
            path.display()
        );
    }
    Ok(path)
}

/// One of the examples' policy files, without `.toml`.
pub fn policy_path(name: &str) -> PathBuf {
    root()
        .join("examples/policies")
        .join(format!("{name}.toml"))
}

/// A folder of the test's own, removed with the value; its path is short enough for Unix sockets.
pub fn folder() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("sg-")
        .tempdir()
        .context("cannot make a temporary folder")
}

/// The folder of the profile that this program was built with: tests lie in `deps` below it.
fn profile_folder() -> Result<PathBuf> {
    let executable = env::current_exe().context("cannot find this program's own executable")?;
    let folder = executable.parent().context("this program lies nowhere")?;
    let profile = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().context("deps lies nowhere")?,
        _ => folder,
    };
    Ok(profile.to_path_buf())
}

/// Cargo's target folder.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let profile = profile_folder()?;
    let target = profile
        .parent()
        .context("the test lies outside of target/")?;
    Ok(target.to_path_buf())
}
