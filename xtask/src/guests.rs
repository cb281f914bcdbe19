//! The guests: programs for wasm32-wasip2, built once for the demo and the tests.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::setup;
use crate::workspace::{Workspace, execute};

/// The target that guests are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// Builds every guest package and answers the folder that holds the components.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    setup::wasm_target(workspace)?;
    let mut cargo = workspace.cargo(&["build", "--target", TARGET]);
    let mut packages = 0;
    for package in workspace.guest_packages() {
        cargo.args(["--package", package]);
        packages += 1;
    }
    if packages == 0 {
        bail!("the workspace has no guest package: see `members` in Cargo.toml");
    }
    execute(&mut cargo)?;
    Ok(workspace.target.join(TARGET).join("debug"))
}
