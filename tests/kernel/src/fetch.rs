//! From Debian's archive to a kernel in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cache::{Cache, Kernel, unsupported};

mod build;
mod run;

use run::{answer, pipeline, run};

/// The package of the kernel.
const PACKAGE: &str = "user-mode-linux";

/// Debian packages with the programs that [`install`] runs, and a command that succeeds where each is there.
pub const TOOLS: &[(&str, &[&str])] = &[
    ("dpkg", &["dpkg-deb", "--version"]),
    ("gcc", &["gcc", "--version"]),
    ("libc6-dev", &["test", "-e", "/usr/include/stdio.h"]),
    ("make", &["make", "--version"]),
    ("flex", &["flex", "--version"]),
    ("bison", &["bison", "--version"]),
    ("bc", &["bc", "--version"]),
    ("xz-utils", &["xz", "--version"]),
    ("util-linux", &["taskset", "--version"]),
];

/// Brings the kernel into the cache, unless it is there: downloads the package and its sources, and builds
/// what the package's configuration leaves out.
///
/// Needs apt-get and the [`TOOLS`], no root: nothing is installed. Says each step and its time on stdout.
pub fn install(cache: &Cache) -> Result<Kernel> {
    if let Some(kernel) = cache.find() {
        return Ok(kernel);
    }
    if let Some(why) = unsupported() {
        bail!("{why}");
    }
    println!(
        "kernel rig: bringing User Mode Linux into {}",
        cache.folder().display()
    );
    fs::create_dir_all(cache.folder())
        .with_context(|| format!("cannot make {}", cache.folder().display()))?;
    let _turn = alone(cache)?;
    if let Some(kernel) = cache.find() {
        return Ok(kernel);
    }
    // Beside the result, since it is moved there in the end.
    let work = tempfile::Builder::new()
        .prefix(WORK)
        .tempdir_in(cache.folder())
        .context("cannot make a folder in the cache")?;

    let package = step("download user-mode-linux", || {
        download(work.path(), PACKAGE, None)
    })?;
    let source = built_from(&package)?;
    let version = field(&package, "Version")?;
    let kernel = cache.place(&version, &source);
    let result = work.path().join("kernel");
    step("unpack it", || unpack(&package, &work, &result))?;

    let sources = source_package(&source)?;
    let archive = step(&format!("download {sources}={source}"), || {
        download(work.path(), &sources, Some(&source))
    })?;
    let tree = work.path().join("source");
    step("unpack what the modules need", || {
        build::unpack(&archive, &tree)
    })?;
    step("build modules", || build::modules(&tree, &work, &result))?;
    step("build the shim for AMX", || build::shim(&result))?;
    fs::write(
        result.join("complete"),
        format!("{PACKAGE} {version}, {sources} {source}\n"),
    )?;
    if kernel.folder().exists() {
        fs::remove_dir_all(kernel.folder())?;
    }
    fs::rename(&result, kernel.folder())
        .with_context(|| format!("cannot move {} into the cache", result.display()))?;
    println!(
        "kernel rig: {} MB kept in {}",
        kernel.size()? / 1_000_000,
        kernel.folder().display()
    );
    Ok(kernel)
}

/// How folders begin in which a kernel is being made.
const WORK: &str = "work-";

/// Waits until nobody else fills the cache, and removes what was left half made.
fn alone(cache: &Cache) -> Result<fs::File> {
    let lock = fs::File::create(cache.folder().join("lock"))?;
    if lock.try_lock().is_err() {
        println!("kernel rig: somebody else fills the cache; waiting");
        lock.lock()?;
    }
    for entry in fs::read_dir(cache.folder())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(lock)
}

/// Does a step and says how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work().with_context(|| format!("kernel rig: cannot {what}"))?;
    println!("kernel rig: {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}

/// `apt-get download`, with fresh lists where the old ones do not have it.
fn download(work: &Path, package: &str, version: Option<&str>) -> Result<PathBuf> {
    let wanted = match version {
        Some(version) => format!("{package}={version}"),
        None => package.to_owned(),
    };
    let folder = work.join(package);
    fs::create_dir(&folder)?;
    let fetch = || {
        run(Command::new("apt-get")
            .args(["--quiet", "download", &wanted])
            .current_dir(&folder))
    };
    if let Err(first) = fetch() {
        refresh_lists().with_context(|| format!("{first:#}"))?;
        fetch().with_context(|| {
            format!("Debian's archive offers no {wanted} here; Debian 12 has it")
        })?;
    }
    let file = fs::read_dir(&folder)?
        .next()
        .with_context(|| format!("apt-get download left no {wanted}"))??;
    Ok(file.path())
}

/// `apt-get update`, as root or through sudo.
fn refresh_lists() -> Result<()> {
    let root = answer(Command::new("id").arg("-u"))?.trim() == "0";
    let mut update = match root {
        true => Command::new("apt-get"),
        false => {
            let mut sudo = Command::new("sudo");
            sudo.args(["--non-interactive", "apt-get"]);
            sudo
        }
    };
    run(update.args(["--quiet", "update"])).context("as root: apt-get update")
}

/// One field of a package's control file.
fn field(package: &Path, name: &str) -> Result<String> {
    let text = answer(
        Command::new("dpkg-deb")
            .arg("--field")
            .arg(package)
            .arg(name),
    )?;
    Ok(text.trim().to_owned())
}

/// The version of Debian's `linux` that the package was built from.
fn built_from(package: &Path) -> Result<String> {
    let text = field(package, "Built-Using")?;
    let version = parse_built_using(&text);
    Ok(version
        .with_context(|| format!("its Built-Using field names no version of linux: {text}"))?
        .to_owned())
}

/// `gcc-12 (= 12.2), linux (= 6.1.1-1)`: the version of linux.
fn parse_built_using(text: &str) -> Option<&str> {
    text.split(',').find_map(|part| {
        let version = part.trim().strip_prefix("linux (=")?;
        Some(version.strip_suffix(')')?.trim())
    })
}

/// The package with the sources of this version: `6.1.176-1` is in `linux-source-6.1`.
fn source_package(version: &str) -> Result<String> {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => Ok(format!("linux-source-{major}.{minor}")),
        _ => bail!("`{version}` is no version of Linux"),
    }
}

/// The kernel, its modules and its configuration, as the cache keeps them.
fn unpack(package: &Path, work: &TempDir, result: &Path) -> Result<()> {
    let whole = work.path().join("package");
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .arg(package)
        .arg(&whole))?;
    fs::create_dir(result)?;
    fs::rename(whole.join("usr/bin/linux.uml"), result.join("linux.uml"))
        .context("the package has no usr/bin/linux.uml")?;
    let modules = whole.join("usr/lib/uml/modules");
    let release = fs::read_dir(&modules)
        .with_context(|| format!("the package has no {}", modules.display()))?
        .next()
        .context("the package has no modules")??;
    fs::rename(release.path(), result.join("modules"))?;
    let packed = whole.join("usr/share/doc/user-mode-linux/config.gz");
    let configuration = fs::File::create(result.join("config"))?;
    pipeline(
        &mut [Command::new("gzip")
            .arg("--decompress")
            .arg("--stdout")
            .arg(packed)],
        Stdio::from(configuration),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_one_that_the_package_names() -> Result<()> {
        let version = parse_built_using("gcc-12 (= 12.2.0-14), linux (= 6.1.176-1)");
        assert_eq!(version, Some("6.1.176-1"));
        assert_eq!(parse_built_using("linux-libc-dev (= 6.1)"), None);
        assert_eq!(source_package("6.1.176-1")?, "linux-source-6.1");
        assert!(source_package("6").is_err());
        Ok(())
    }
}
