//! Modules that the package's configuration leaves out, from the sources that the package was built from.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::run::{answer, pipeline, run};
use crate::modules::BUILT;

/// What is set beside the package's configuration: ISO-TP, QRTR and Bluetooth as modules.
const SETTINGS: &[&str] = &[
    "CAN_ISOTP=m",
    "QRTR=m",
    "QRTR_TUN=m",
    "BT=m",
    "BT_BREDR=y",
    "BT_LE=y",
    "BT_RFCOMM=m",
    "BT_RFCOMM_TTY=y",
    "BT_BNEP=m",
    "BT_BNEP_MC_FILTER=y",
    "BT_BNEP_PROTO_FILTER=y",
    "BT_HIDP=m",
    "BT_HCIVHCI=m",
    "BT_DEBUGFS=n",
    // The debugger's tables would be most of what is built.
    "DEBUG_INFO_NONE=y",
    "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=n",
];

/// The parts of the sources that configuring and building these modules reads, a tenth of them all.
const PARTS: &[&str] = &[
    "Makefile",
    "Kbuild",
    "include",
    "scripts",
    "arch/um",
    "arch/x86",
    "kernel/time",
    "kernel/bounds.c",
    "lib/vdso",
    "net/bluetooth",
    "net/qrtr",
    "net/can",
    "drivers/bluetooth",
    "security/selinux/include",
    "tools/include",
];

/// What is built: a folder of its own each, with what it takes from the sources and its Makefile.
const FOLDERS: &[(&str, &[&str], &str)] = &[
    (
        "can",
        &["net/can/isotp.c"],
        "obj-m := can-isotp.o\ncan-isotp-y := isotp.o\n",
    ),
    (
        "vhci",
        &["drivers/bluetooth/hci_vhci.c"],
        "obj-m := hci_vhci.o\n",
    ),
    ("bluetooth", &["net/bluetooth/."], ""),
    ("qrtr", &["net/qrtr/."], ""),
];

/// Takes the parts out of the source package.
pub fn unpack(archive: &Path, tree: &Path) -> Result<()> {
    fs::create_dir(tree)?;
    let listed = answer(Command::new("dpkg-deb").arg("--contents").arg(archive))?;
    let inner = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|name| name.ends_with(".tar.xz"))
        .context("the source package holds no .tar.xz")?;
    // `./usr/src/linux-source-6.1.tar.xz` unpacks into `linux-source-6.1/`.
    let top = inner
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".tar.xz"))
        .unwrap_or(inner);
    let mut extract = Command::new("tar");
    extract
        .args(["--extract", "--strip-components=1", "--directory"])
        .arg(tree)
        .args(["--no-anchored", "--wildcards", "Kconfig*"])
        .args(["--anchored", "--no-wildcards"])
        .args(PARTS.iter().map(|part| format!("{top}/{part}")));
    pipeline(
        &mut [
            Command::new("dpkg-deb").arg("--fsys-tarfile").arg(archive),
            Command::new("tar").args(["--extract", "--to-stdout", inner]),
            Command::new("xz").args(["--decompress", "--stdout", "--threads=0"]),
            &mut extract,
        ],
        Stdio::null(),
    )
}

/// Configures as the package is, adds the settings, builds, and checks that the kernel is the same one.
pub fn modules(tree: &Path, work: &TempDir, result: &Path) -> Result<()> {
    let output = work.path().join("output");
    fs::create_dir(&output)?;
    let configuration = output.join(".config");
    fs::copy(result.join("config"), &configuration)?;
    let mut file = fs::OpenOptions::new().append(true).open(&configuration)?;
    for setting in SETTINGS {
        writeln!(file, "CONFIG_{setting}")?;
    }
    drop(file);
    make(tree, &output, &["olddefconfig"])?;
    make(tree, &output, &["modules_prepare"])?;
    same_release(&output, result)?;

    let modules = work.path().join("modules");
    fs::create_dir(&modules)?;
    let mut list = String::from("obj-m :=");
    for (folder, sources, makefile) in FOLDERS {
        let place = modules.join(folder);
        fs::create_dir(&place)?;
        for source in *sources {
            run(Command::new("cp")
                .arg("-r")
                .arg(tree.join(source))
                .arg(&place))?;
        }
        if !makefile.is_empty() {
            fs::write(place.join("Makefile"), makefile)?;
        }
        list.push_str(&format!(" {folder}/"));
    }
    fs::write(modules.join("Makefile"), list + "\n")?;
    // The kernel's own symbols are not at hand: modpost warns of them, and the loader finds them.
    let folder = format!("M={}", modules.display());
    make(
        tree,
        &output,
        &[&folder, "KBUILD_MODPOST_WARN=1", "modules"],
    )?;
    keep(&modules, &result.join("built"))
}

fn make(tree: &Path, output: &Path, arguments: &[&str]) -> Result<()> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    run(Command::new("make")
        .args(["--silent", "--directory"])
        .arg(tree)
        .arg(format!("--jobs={jobs}"))
        .arg("ARCH=um")
        .arg(format!("O={}", output.display()))
        .args(arguments))
}

/// Modules of another release would not load.
fn same_release(output: &Path, result: &Path) -> Result<()> {
    let sources = fs::read_to_string(output.join("include/config/kernel.release"))?;
    let kernel = answer(Command::new(result.join("linux.uml")).arg("--version"))?;
    let kernel = kernel.lines().last().unwrap_or_default();
    if sources.trim() != kernel.trim() {
        bail!("the sources are {}, the kernel is {kernel}", sources.trim());
    }
    Ok(())
}

/// Moves the modules out of the folder that they were built in.
fn keep(modules: &Path, place: &Path) -> Result<()> {
    fs::create_dir(place)?;
    for name in BUILT {
        let file = format!("{name}.ko");
        let found = answer(Command::new("find").arg(modules).args(["-name", &file]))?;
        let found = found
            .lines()
            .next()
            .with_context(|| format!("{file} was not built"))?;
        fs::copy(found, place.join(&file))?;
    }
    Ok(())
}

/// Compiles what is loaded into the kernel's process on CPUs with AMX.
pub fn shim(result: &Path) -> Result<()> {
    let source = result.join("xstate.c");
    fs::write(&source, include_str!("../xstate.c"))?;
    run(Command::new("gcc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(result.join("xstate.so"))
        .arg(source))
}
