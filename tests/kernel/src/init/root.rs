//! The command's root file system: the machine's own, with what is written to it kept in memory.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::MountFlags;

/// Where the new root is put together.
const ROOT: &str = "/run/root";

/// mount(2), with options as mount(8) takes them after `-o`.
pub fn mount(source: &str, target: &Path, kind: &str, options: &str) -> Result<()> {
    let options = CString::new(options)?;
    rustix::mount::mount(
        source,
        target,
        kind,
        MountFlags::empty(),
        options.as_c_str(),
    )
    .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

/// Puts the new root together; `folder` and `writable` stay the machine's own.
pub fn assemble(folder: &Path, writable: &[PathBuf]) -> Result<()> {
    mount("tmpfs", Path::new("/run"), "tmpfs", "size=90%,mode=755")?;
    let (upper, work) = ("/run/upper", "/run/work");
    for path in [upper, work, ROOT] {
        fs::create_dir(path).with_context(|| format!("cannot make {path}"))?;
    }
    let layers = format!("lowerdir=/,upperdir={upper},workdir={work}");
    mount("overlay", Path::new(ROOT), "overlay", &layers)?;
    for (kind, place, options) in [
        ("proc", "proc", ""),
        ("sysfs", "sys", ""),
        ("tmpfs", "run", "mode=755"),
        ("devtmpfs", "dev", ""),
    ] {
        mount(kind, &Path::new(ROOT).join(place), kind, options)?;
    }
    devices().context("cannot fill /dev")?;
    for path in std::iter::once(folder).chain(writable.iter().map(PathBuf::as_path)) {
        let inside = Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path));
        mount("hostfs", &inside, "hostfs", &path.to_string_lossy())?;
    }
    Ok(())
}

/// What udev makes on a machine.
fn devices() -> Result<()> {
    let dev = Path::new(ROOT).join("dev");
    for (kind, place, options) in [
        ("devpts", "pts", "ptmxmode=666"),
        ("tmpfs", "shm", "mode=1777,size=80%"),
    ] {
        fs::create_dir_all(dev.join(place))?;
        mount(kind, &dev.join(place), kind, options)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name))?;
    }
    Ok(())
}

/// Makes it the root of this process.
pub fn enter() -> Result<()> {
    std::env::set_current_dir(ROOT).with_context(|| format!("cannot enter {ROOT}"))?;
    rustix::process::chroot(".").context("cannot make it the root")
}
