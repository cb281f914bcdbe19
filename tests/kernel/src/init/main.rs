//! The first process inside User Mode Linux: modules, file systems, the command, the end.
//!
//! `sockgate-kernel-init RUN-FOLDER`, where the folder holds an [`Order`]. The command's stdout and stderr go to
//! the consoles 0 and 1, which the machine sees as two pipes; whatever goes wrong here is in the kernel's log.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::system::RebootCommand;
use sockgate_kernel::order::{Order, file};

mod root;
mod watch;

fn main() {
    let outcome = run();
    if let Err(error) = &outcome {
        eprintln!("kernel rig: {error:#}");
    }
    rustix::fs::sync();
    // The first process must not return: that would be a kernel panic.
    if let Err(error) = rustix::system::reboot(RebootCommand::PowerOff) {
        eprintln!("kernel rig: cannot power off: {error}");
    }
}

fn run() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("no folder was given")?);
    if std::process::id() != 1 {
        bail!(
            "this is the first process of User Mode Linux, and of nothing else: see `cargo xtask kernel`"
        );
    }
    let path = folder.join(file::ORDER);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let order: Order = serde_json::from_slice(&text).context("the order is no JSON")?;

    root::mount("proc", Path::new("/proc"), "proc", "")?;
    for module in &order.modules {
        if let Err(error) = load(module) {
            // One family less: its tests say so.
            eprintln!("kernel rig: module {}: {error}", module.display());
        }
    }
    root::assemble(&folder, &order.writable)?;
    settings();
    loopback_up().context("cannot bring the loopback interface up")?;

    let consoles = watch::Consoles::open()?;
    root::enter()?;
    let (stdout, to_stdout) = io::pipe()?;
    let (stderr, to_stderr) = io::pipe()?;
    let child = command(&order)?
        .stdin(Stdio::null())
        .stdout(to_stdout)
        .stderr(to_stderr)
        .spawn();
    File::create(folder.join(file::STARTED))?.sync_all()?;
    let status = match child {
        Ok(child) => watch::until_the_end(child.id(), stdout.into(), stderr.into(), &consoles)?,
        Err(error) => {
            consoles.complain(&format!("cannot start {}: {error}", order.command[0]))?;
            NOT_FOUND
        }
    };
    let path = folder.join(file::STATUS);
    fs::write(&path, status.to_string())
        .and_then(|()| File::open(&path)?.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The status that a shell gives a command which is not there.
const NOT_FOUND: i32 = 127;

/// finit_module(2), without parameters.
fn load(module: &Path) -> io::Result<()> {
    let file = File::open(module)?;
    rustix::system::finit_module(&file, c"", 0)?;
    Ok(())
}

/// Makes the kernel neither start the machine's modprobe nor refuse ping sockets.
fn settings() {
    for (path, value) in [
        ("/proc/sys/kernel/modprobe", "/bin/false"),
        ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    ] {
        let written = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        if let Err(error) = written {
            eprintln!("kernel rig: {path}: {error}");
        }
    }
    if let Err(error) = rustix::system::sethostname(b"uml") {
        eprintln!("kernel rig: sethostname: {error}");
    }
}

/// Sets IFF_UP of interface 1 with RTM_NEWLINK, rtnetlink(7).
fn loopback_up() -> Result<()> {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut message = Vec::with_capacity(32);
    // struct nlmsghdr: length, type, flags, sequence, port
    message.extend(32u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]);
    // struct ifinfomsg: family, padding, type, index, flags, mask of the flags
    message.extend([0; 4]);
    message.extend(1u32.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    // Protocol 0 is NETLINK_ROUTE.
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // struct nlmsgerr after the head: an error number, 0 where it worked
    let error = answer[..length].get(16..20).context("a short answer")?;
    if error != [0; 4] {
        let number = i32::from_ne_bytes(error.try_into()?);
        return Err(io::Error::from_raw_os_error(-number).into());
    }
    Ok(())
}

fn command(order: &Order) -> Result<Command> {
    let program = order.command.first().context("the order has no command")?;
    let mut command = Command::new(program);
    command
        .args(&order.command[1..])
        .current_dir(&order.folder)
        .env_clear()
        .envs(&order.environment);
    Ok(command)
}
