//! The walls that Landlock builds, landlock(7): files, TCP ports, abstract Unix names, signals.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use sockgate_policy::Family;

use super::{ConfineError, Confinement, Gap};
use crate::socket::{Errno, confine as process};

/// What this file knows of; a kernel with less leaves gaps.
const KNOWN: ABI = ABI::V6;

/// The files of the C library's databases that need no grant.
const DATABASES: [&str; 3] = ["/etc/services", "/etc/protocols", "/etc/nsswitch.conf"];

/// What its gaps are called.
const WALL: &str = "landlock";

fn gap(reason: impl Into<String>) -> Gap {
    Gap {
        wall: WALL,
        reason: reason.into(),
    }
}

/// The rules of a confinement, ready to hold; none where the kernel has no Landlock.
pub(super) fn rules(
    confinement: &Confinement,
    gaps: &mut Vec<Gap>,
) -> Result<Option<RulesetCreated>, ConfineError> {
    let version = match process::landlock_version() {
        Ok(version) => version,
        Err(error) => {
            let why = match error {
                Errno::OPNOTSUPP => "it is switched off: add landlock to the kernel's lsm= list",
                _ => "this kernel does not have it (CONFIG_SECURITY_LANDLOCK, Linux 5.13)",
            };
            gaps.push(gap(format!("files and TCP ports are not narrowed: {why}")));
            return Ok(None);
        }
    };
    let older = [
        (2, "moving files between directories (Linux 5.19)"),
        (3, "truncating files (Linux 6.2)"),
        (4, "TCP ports (Linux 6.7)"),
        (5, "ioctl(2) of devices (Linux 6.10)"),
        (6, "signals and abstract Unix names (Linux 6.12)"),
    ];
    for (needed, what) in older {
        if version < needed {
            gaps.push(gap(format!("this kernel is too old to narrow {what}")));
        }
    }
    let mut builder = Builder {
        rules: ruleset(confinement)?.create()?,
        gaps,
    };
    builder.places(confinement)?;
    builder.ports(confinement)?;
    Ok(Some(builder.rules))
}

/// Puts the rules in force. The crate takes a kernel without Landlock for no error, and so whatever fails as if there were
/// none: what does not hold is a gap, unless one was told of it.
pub(super) fn hold(rules: RulesetCreated, gaps: &mut Vec<Gap>) -> Result<(), ConfineError> {
    let reason = match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => return Ok(()),
        RulesetStatus::PartiallyEnforced if gaps.iter().any(|gap| gap.wall == WALL) => {
            return Ok(());
        }
        RulesetStatus::PartiallyEnforced => {
            "the kernel did not take all rules on files and TCP ports"
        }
        RulesetStatus::NotEnforced => {
            "files and TCP ports are not narrowed: the kernel did not take the rules"
        }
    };
    gaps.push(gap(reason));
    Ok(())
}

/// What is refused unless a rule lets it through.
fn ruleset(confinement: &Confinement) -> Result<Ruleset, ConfineError> {
    let reach = &confinement.reach;
    let mut set = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
    if reach.tcp_connects().is_listed() {
        set = set.handle_access(AccessNet::ConnectTcp)?;
    }
    if reach.tcp_binds().is_listed() {
        set = set.handle_access(AccessNet::BindTcp)?;
    }
    set = set.scope(Scope::Signal)?;
    if !reach.has_abstract_peers() {
        set = set.scope(Scope::AbstractUnixSocket)?;
    }
    Ok(set)
}

struct Builder<'g> {
    rules: RulesetCreated,
    gaps: &'g mut Vec<Gap>,
}

impl Builder<'_> {
    fn places(&mut self, confinement: &Confinement) -> Result<(), ConfineError> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile.into();
        let owned = AccessFs::from_all(KNOWN)
            & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
        for directory in &confinement.directories {
            self.place(directory, owned)?;
        }
        for file in &confinement.files {
            self.place(file, read)?;
        }
        let write =
            AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
        for directory in &confinement.written {
            self.place(directory, write)?;
        }
        for root in confinement.reach.unix_binds() {
            self.place(root, AccessFs::MakeSock | AccessFs::RemoveFile)?;
        }
        for database in DATABASES.map(Path::new) {
            if database.exists() {
                self.place(database, read)?;
            }
        }
        if confinement.reach.resolves() {
            // Whole directories: what tells the name servers is replaced whenever the network changes.
            for directory in resolver_directories() {
                self.place(&directory, read)?;
            }
        }
        if confinement.reach.makes_family(Family::Vsock) {
            let device = Path::new("/dev/vsock");
            if device.exists() {
                self.place(device, AccessFs::ReadFile | AccessFs::IoctlDev)?;
            }
        }
        Ok(())
    }

    fn place(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), ConfineError> {
        match PathFd::new(path) {
            Ok(place) => {
                let place = PathBeneath::new(place, access);
                (&mut self.rules).add_rule(place)?;
            }
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                self.gaps.push(gap(format!(
                    "{} cannot be opened, and stays out of reach: {}",
                    path.display(),
                    why.unwrap_or_else(|| error.to_string())
                )));
            }
        }
        Ok(())
    }

    fn ports(&mut self, confinement: &Confinement) -> Result<(), ConfineError> {
        /// Name servers speak TCP where an answer is long.
        const DOMAIN: u16 = 53;
        let reach = &confinement.reach;
        let domain = reach.resolves().then_some(DOMAIN);
        let connects = reach.tcp_connects();
        if connects.is_listed() {
            for port in connects.iter().chain(domain) {
                (&mut self.rules).add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
            }
        }
        let binds = reach.tcp_binds();
        if binds.is_listed() {
            for port in binds.iter() {
                (&mut self.rules).add_rule(NetPort::new(port, AccessNet::BindTcp))?;
            }
        }
        Ok(())
    }
}

/// Where the resolver's files are: /etc, and where its links lead.
fn resolver_directories() -> Vec<PathBuf> {
    let etc = PathBuf::from("/etc");
    let target = std::fs::canonicalize("/etc/resolv.conf").ok();
    let elsewhere = target
        .as_deref()
        .and_then(Path::parent)
        .filter(|parent| !parent.starts_with(&etc))
        .map(Path::to_path_buf);
    std::iter::once(etc).chain(elsewhere).collect()
}
