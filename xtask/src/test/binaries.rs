//! The test binaries: built by cargo in one go, run by us one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{Workspace, shown};

/// When a test binary runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// Tests inside the crates.
    Unit,
    /// Bindings of the WIT package in other languages.
    Bindings,
    /// Tests of the command and the guests, several at once within a binary.
    Integration,
    /// Tests of socket families, on the machine's kernel and then in User Mode Linux.
    Families,
    /// Tests that measure time, one at a time with the machine to themselves.
    Serial,
}

impl Phase {
    /// In the order they run.
    pub const ALL: [Phase; 5] = [
        Phase::Unit,
        Phase::Bindings,
        Phase::Integration,
        Phase::Families,
        Phase::Serial,
    ];

    /// As `--only` and the report call it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Unit => "unit",
            Phase::Bindings => "bindings",
            Phase::Integration => "integration",
            Phase::Families => "families",
            Phase::Serial => "serial",
        }
    }

    /// Whether its tests say which names of Python's modules they cover.
    pub fn covers(self) -> bool {
        matches!(self, Phase::Integration | Phase::Families)
    }

    /// The phase of a package's test binary.
    fn of(package: &str, target: &str, kind: &str) -> Phase {
        if target == "serial" || target.starts_with("timing_") {
            return Phase::Serial;
        }
        match package {
            "sockgate-tests" if kind == "test" && target.starts_with("family_") => Phase::Families,
            "sockgate-bindings-test" => Phase::Bindings,
            "sockgate-tests" if kind == "test" => Phase::Integration,
            _ => Phase::Unit,
        }
    }
}

/// One executable of libtest.
#[derive(Debug)]
pub struct TestBinary {
    /// The test target's name, led by its package's where it is not of `sockgate-tests`.
    pub name: String,
    pub executable: PathBuf,
    /// The package's folder, in which cargo runs tests.
    pub folder: PathBuf,
    pub phase: Phase,
    /// Whether its tests state attacks.
    pub attacks: bool,
}

/// Builds every test binary of the host's packages, or the integration tests that this pattern of cargo's
/// names. Cargo's progress and messages go to stderr.
pub fn build(workspace: &Workspace, pattern: &str) -> Result<Vec<TestBinary>> {
    let mut host = workspace.cargo_host(&["test", "--no-run"]);
    if !pattern.is_empty() {
        host.args(["--test", pattern]);
    }
    let mut binaries = announced(workspace, host)?;
    if pattern.is_empty() {
        let logic = ["test", "--no-run", "--package", EXAMPLES, "--lib"];
        binaries.extend(announced(workspace, workspace.cargo(&logic))?);
    }
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(binaries)
}

/// Guests whose own logic builds for this machine as well, and is tested there.
const EXAMPLES: &str = "sockgate-examples";

/// Runs cargo: the test binaries that it built.
fn announced(workspace: &Workspace, mut command: Command) -> Result<Vec<TestBinary>> {
    command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let answer = command
        .output()
        .with_context(|| format!("cannot start {}", shown(&command)))?;
    if !answer.status.success() {
        bail!("{} ended with {}", shown(&command), answer.status);
    }
    let mut binaries = Vec::new();
    for line in String::from_utf8_lossy(&answer.stdout).lines() {
        let message: Value =
            serde_json::from_str(line).with_context(|| format!("cargo printed no JSON: {line}"))?;
        binaries.extend(test_binary(workspace, &message));
    }
    Ok(binaries)
}

/// The test binary that a message of cargo's announces, if it is of one.
fn test_binary(workspace: &Workspace, message: &Value) -> Option<TestBinary> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = message["executable"].as_str()?;
    let member = workspace.member_at(Path::new(message["manifest_path"].as_str()?))?;
    let target = message["target"]["name"].as_str()?;
    let kind = message["target"]["kind"][0].as_str()?;
    let name = match (member.name.as_str(), kind) {
        ("sockgate-tests", "test") => target.to_owned(),
        (package, "test" | "bin") if target != package => format!("{package}/{target}"),
        (package, "bin") => format!("{package}/bin"),
        (package, _) => package.to_owned(),
    };
    let source = Path::new(message["target"]["src_path"].as_str()?);
    Some(TestBinary {
        name,
        executable: PathBuf::from(executable),
        folder: member.folder.clone(),
        phase: Phase::of(&member.name, target, kind),
        attacks: states_attacks(source),
    })
}

/// Whether this file, or a module in a file of its own that it names, states an attack.
fn states_attacks(file: &Path) -> bool {
    let Ok(source) = fs::read_to_string(file) else {
        return false;
    };
    source.contains("Attack::new(")
        || source.lines().any(|line| {
            let module = line.trim().strip_prefix("#[path = \"");
            let module = module.and_then(|rest| rest.strip_suffix("\"]"));
            module.is_some_and(|module| states_attacks(&file.with_file_name(module)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_found_in_modules_of_a_suite() -> Result<()> {
        let folder = sockgate_tests::folder()?;
        let suite = folder.path().join("suite.rs");
        fs::write(&suite, "#[path = \"of/one.rs\"]\nmod one;\n")?;
        assert!(!states_attacks(&suite));
        fs::create_dir(folder.path().join("of"))?;
        fs::write(folder.path().join("of/one.rs"), "Attack::new(\"x\")")?;
        assert!(states_attacks(&suite));
        Ok(())
    }
}
