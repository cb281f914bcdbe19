//! Where the kernel is kept between runs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::modules;

/// Why User Mode Linux does not run on this machine at all, if so.
pub fn unsupported() -> Option<&'static str> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        None
    } else {
        Some("User Mode Linux is packaged for Linux on x86_64 only")
    }
}

/// The folder that holds kernels, each in a folder named by its packages' versions.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Grows with what a kernel's folder holds, so that an older one is not taken for it.
const LAYOUT: u32 = 2;

impl Cache {
    /// `SOCKGATE_KERNEL_CACHE`, or `~/.cache/sockgate/kernel` where that can be written, or below cargo's
    /// `target` folder.
    pub fn locate(target: &Path) -> Cache {
        let folder = match env::var_os("SOCKGATE_KERNEL_CACHE") {
            Some(folder) => PathBuf::from(folder),
            None => shared_folder().unwrap_or_else(|| target.join("kernel")),
        };
        Cache { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest kernel that is there whole.
    pub fn find(&self) -> Option<Kernel> {
        let entries = fs::read_dir(&self.folder).ok()?;
        entries
            .filter_map(|entry| Kernel::open(entry.ok()?.path()))
            .max_by_key(|kernel| {
                let made = fs::metadata(kernel.marker()).and_then(|marker| marker.modified());
                made.ok()
            })
    }

    /// The kernel made from these versions of the package and its source, there or not.
    pub(crate) fn place(&self, package: &str, source: &str) -> Kernel {
        // A version may hold what a file name should not, such as an epoch's colon.
        let name: String = format!("{package}_{source}_{LAYOUT}")
            .chars()
            .map(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | '+' => c,
                _ => '-',
            })
            .collect();
        Kernel {
            folder: self.folder.join(name),
        }
    }
}

/// The user's own cache, made if need be.
fn shared_folder() -> Option<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME")?).join(".cache"),
    };
    let folder = base.join("sockgate/kernel");
    fs::create_dir_all(&folder).ok()?;
    // Making a file is the only sure sign that one may.
    tempfile::tempfile_in(&folder).ok()?;
    Some(folder)
}

/// User Mode Linux with its modules, on disk.
#[derive(Clone, Debug)]
pub struct Kernel {
    folder: PathBuf,
}

impl Kernel {
    /// The kernel in this folder, if it is there whole and in today's layout.
    fn open(folder: PathBuf) -> Option<Kernel> {
        let layout = format!("_{LAYOUT}");
        let kernel = Kernel { folder };
        let name = kernel.folder.file_name()?.to_str()?;
        (name.ends_with(&layout) && kernel.is_whole()).then_some(kernel)
    }

    /// Whether everything is there: the marker is made last.
    pub(crate) fn is_whole(&self) -> bool {
        self.marker().is_file()
    }

    /// What marks a folder as whole.
    pub(crate) fn marker(&self) -> PathBuf {
        self.folder.join("complete")
    }

    /// Its folder, named by versions.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel's program.
    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join("linux.uml")
    }

    /// The package's modules.
    pub(crate) fn packaged(&self) -> PathBuf {
        self.folder.join("modules")
    }

    /// The modules that were built here.
    pub(crate) fn built(&self) -> PathBuf {
        self.folder.join("built")
    }

    /// What makes ptrace(2) fit CPUs with AMX.
    pub(crate) fn shim(&self) -> PathBuf {
        self.folder.join("xstate.so")
    }

    /// Every module to load, in order.
    pub(crate) fn modules(&self) -> Result<Vec<PathBuf>> {
        let mut order = modules::in_order(&self.packaged())?;
        let built = modules::BUILT.iter();
        order.extend(
            built
                .map(|name| self.built().join(format!("{name}.ko")))
                .filter(|path| path.is_file()),
        );
        Ok(order)
    }

    /// What it takes on disk, in bytes.
    pub fn size(&self) -> Result<u64> {
        size_of(&self.folder)
    }
}

fn size_of(folder: &Path) -> Result<u64> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += match about.is_dir() {
            true => size_of(&entry.path())?,
            false => about.len(),
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_kernel_is_found() -> Result<()> {
        let place = tempfile::tempdir()?;
        let cache = Cache {
            folder: place.path().to_path_buf(),
        };
        let kernel = cache.place("6.1um4+b13", "1:6.1/7");
        assert!(
            kernel
                .folder()
                .ends_with(format!("6.1um4+b13_1-6.1-7_{LAYOUT}"))
        );
        fs::create_dir_all(kernel.folder())?;
        assert!(cache.find().is_none());
        fs::write(kernel.marker(), "")?;
        let found = cache.find().context("it is there")?;
        assert_eq!(found.folder(), kernel.folder());
        assert_eq!(found.size()?, 0);
        Ok(())
    }
}
