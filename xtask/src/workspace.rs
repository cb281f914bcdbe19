//! The workspace on disk, and cargo as a child process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Packages that are programs for wasm32-wasip2 and nothing else.
const GUEST_PACKAGES: [&str; 2] = ["sockgate-examples", "sockgate-test-guests"];

/// Where the tree lies, where cargo builds, and which packages there are.
pub struct Workspace {
    /// The folder of the root Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// Name and folder of every member.
    pub members: Vec<Member>,
}

/// One package of the workspace.
pub struct Member {
    /// The package's name.
    pub name: String,
    /// The folder of its Cargo.toml.
    pub folder: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub fn locate() -> Result<Workspace> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no parent folder")?
            .to_path_buf();
        let mut metadata = Command::new(cargo_program());
        metadata
            .current_dir(&root)
            .args(["metadata", "--no-deps", "--format-version", "1"]);
        let answer: Value = serde_json::from_str(&output(&mut metadata)?)
            .context("cargo metadata answered no JSON")?;
        let target = answer["target_directory"]
            .as_str()
            .context("cargo metadata names no target_directory")?;
        let packages = answer["packages"]
            .as_array()
            .context("cargo metadata lists no packages")?;
        let members = packages
            .iter()
            .filter_map(|package| {
                let manifest = Path::new(package["manifest_path"].as_str()?);
                Some(Member {
                    name: package["name"].as_str()?.to_owned(),
                    folder: manifest.parent()?.to_path_buf(),
                })
            })
            .collect();
        Ok(Workspace {
            root,
            target: PathBuf::from(target),
            members,
        })
    }

    /// A cargo command in the root, with its progress on our own stderr.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo_program());
        command
            .current_dir(&self.root)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// A cargo command over every package that builds for this machine.
    ///
    /// Always the same selection, whatever is built: cargo unifies the features of what is selected, so
    /// that another selection would build wasmtime a second time.
    pub fn cargo_host(&self, arguments: &[&str]) -> Command {
        let mut command = self.cargo(arguments);
        command.arg("--workspace");
        for guest in self.guest_packages() {
            command.args(["--exclude", guest]);
        }
        command
    }

    /// The members that are guests.
    pub fn guest_packages(&self) -> impl Iterator<Item = &str> {
        self.members
            .iter()
            .map(|member| member.name.as_str())
            .filter(|name| GUEST_PACKAGES.contains(name))
    }

    /// The member whose Cargo.toml this is.
    pub fn member_at(&self, manifest: &Path) -> Option<&Member> {
        let folder = manifest.parent()?;
        self.members.iter().find(|member| member.folder == folder)
    }

    /// Builds the `sockgate` command and answers where it is.
    pub fn build_command(&self) -> Result<PathBuf> {
        execute(&mut self.cargo_host(&["build", "--bin", "sockgate"]))?;
        Ok(self.target.join("debug").join("sockgate"))
    }

    /// Where what the tests need besides Debian's packages is kept.
    pub fn oracles(&self) -> PathBuf {
        self.target.join("oracles")
    }

    /// Sets the variables that say where a test or the benchmark finds the command, the guests and the oracles.
    pub fn tell<'a>(&self, run: &'a mut Command, command: &Path, guests: &Path) -> &'a mut Command {
        run.env("SOCKGATE_BIN", command)
            .env("SOCKGATE_GUESTS", guests)
            .env("SOCKGATE_ORACLES", self.oracles())
    }
}

/// The cargo that runs us, so that the toolchain stays the same.
fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs a command to its end; an error names it and its exit status.
pub fn execute(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// A command's standard output; an error carries its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let answer = command
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !answer.status.success() {
        bail!(
            "{} ended with {}: {}",
            shown(command),
            answer.status,
            String::from_utf8_lossy(&answer.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// A command as one would type it; the program by its last name.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
