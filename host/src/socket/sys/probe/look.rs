//! What is tried of every family alike: sockets and options.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::c_int;

use super::super::{Errno, Result, check_descriptor, option};
use super::find::{Capability, Finding, Source};
use super::kernel::Kernel;
use super::{Probe, ProbeStatus};

/// One kind of socket.
pub(super) struct Kind {
    pub(super) socket_type: &'static str,
    pub(super) protocol: Option<&'static str>,
    /// The arguments of socket(2): family, type, protocol.
    pub(super) numbers: (c_int, c_int, c_int),
    pub(super) source: Source,
    /// What socket(2) demands.
    pub(super) capability: Option<Capability>,
    /// What the socket is of little use without.
    pub(super) useful_with: Option<Capability>,
    /// Options that are tried on such a socket.
    pub(super) settings: &'static [Setting],
}

impl Kind {
    /// A kind that everybody may use, without options to try.
    pub(super) const fn new(
        socket_type: &'static str,
        protocol: Option<&'static str>,
        numbers: (c_int, c_int, c_int),
        source: Source,
    ) -> Kind {
        Kind {
            socket_type,
            protocol,
            numbers,
            source,
            capability: None,
            useful_with: None,
            settings: &[],
        }
    }

    pub(super) const fn needs(mut self, capability: Capability) -> Kind {
        self.capability = Some(capability);
        self
    }

    pub(super) const fn useful_with(mut self, capability: Capability) -> Kind {
        self.useful_with = Some(capability);
        self
    }

    pub(super) const fn settings(mut self, settings: &'static [Setting]) -> Kind {
        self.settings = settings;
        self
    }

    /// A row about such a socket.
    pub(super) fn place(&self, family: &'static str, name: &'static str) -> Place {
        Place {
            family,
            socket_type: Some(self.socket_type),
            protocol: self.protocol,
            name,
        }
    }
}

/// One option, and how it is tried.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) level: c_int,
    pub(super) number: c_int,
    pub(super) trial: Trial,
    pub(super) source: Source,
    pub(super) capability: Option<Capability>,
    /// What is good to know where it works.
    pub(super) note: &'static str,
}

/// How an option is tried on a socket that nobody else has.
#[derive(Clone, Copy)]
pub(super) enum Trial {
    /// setsockopt(2) of an `int`
    Int(c_int),
    /// setsockopt(2) of these bytes
    Bytes(&'static [u8]),
    /// getsockopt(2) of at most so many bytes
    Get(usize),
}

impl Setting {
    /// An option that everybody may switch on with an `int` of 1.
    pub(super) const fn new(
        name: &'static str,
        level: c_int,
        number: c_int,
        source: Source,
    ) -> Setting {
        Setting {
            name,
            level,
            number,
            trial: Trial::Int(1),
            source,
            capability: None,
            note: "",
        }
    }

    pub(super) const fn tried_with(mut self, trial: Trial) -> Setting {
        self.trial = trial;
        self
    }

    pub(super) const fn needs(mut self, capability: Capability) -> Setting {
        self.capability = Some(capability);
        self
    }

    pub(super) const fn note(mut self, note: &'static str) -> Setting {
        self.note = note;
        self
    }

    fn attempt(&self, socket: BorrowedFd<'_>) -> Result<()> {
        match self.trial {
            Trial::Int(value) => option::set_int(socket, self.level, self.number, value),
            Trial::Bytes(value) => option::set(socket, self.level, self.number, value),
            Trial::Get(max) => option::get(socket, self.level, self.number, max).map(drop),
        }
    }
}

/// What a row is about.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) family: &'static str,
    pub(super) socket_type: Option<&'static str>,
    pub(super) protocol: Option<&'static str>,
    pub(super) name: &'static str,
}

impl Place {
    /// A row about a whole family.
    pub(super) const fn of(family: &'static str, name: &'static str) -> Place {
        Place {
            family,
            socket_type: None,
            protocol: None,
            name,
        }
    }
}

/// Collects the rows.
pub(super) struct Look<'k> {
    pub(super) kernel: &'k Kernel,
    rows: Vec<Probe>,
}

impl<'k> Look<'k> {
    pub(super) fn new(kernel: &'k Kernel) -> Look<'k> {
        Look {
            kernel,
            rows: Vec::new(),
        }
    }

    pub(super) fn rows(self) -> Vec<Probe> {
        self.rows
    }

    /// Adds a row.
    pub(super) fn tell(&mut self, place: Place, finding: Finding) {
        self.rows.push(Probe {
            family: place.family,
            socket_type: place.socket_type,
            protocol: place.protocol,
            name: place.name,
            status: finding.status,
            detail: finding.detail,
            mend: finding.mend,
        });
    }

    /// The rows of kinds that need nothing of their own.
    pub(super) fn kinds(&mut self, family: &'static str, kinds: &[Kind]) -> Result<()> {
        for kind in kinds {
            self.kind(family, kind)?;
        }
        Ok(())
    }

    /// The rows of one kind and its options; the socket where it could be made.
    pub(super) fn kind(&mut self, family: &'static str, kind: &Kind) -> Result<Option<OwnedFd>> {
        let (finding, socket) = self.attempt(kind)?;
        self.tell(kind.place(family, "socket"), finding);
        for setting in kind.settings {
            self.setting(kind.place(family, setting.name), setting, socket.as_ref())?;
        }
        Ok(socket)
    }

    /// socket(2), and what its answer means.
    pub(super) fn attempt(&self, kind: &Kind) -> Result<(Finding, Option<OwnedFd>)> {
        let (domain, style, protocol) = kind.numbers;
        let made = or_exhausted(open(domain, style, protocol))?;
        let finding = match &made {
            Ok(_) => self.works_for_this_user(kind),
            Err(error) => self
                .kernel
                .refused("socket(2)", *error, &kind.source, kind.capability),
        };
        Ok((finding, made.ok()))
    }

    fn works_for_this_user(&self, kind: &Kind) -> Finding {
        match kind.useful_with {
            Some(capability) if !self.kernel.holds(capability) => Finding::limited(
                format!("most of what it is for needs {}", capability.name),
                self.kernel.permission(Some(capability)),
            ),
            _ => Finding::works(""),
        }
    }

    /// The row of one option.
    pub(super) fn setting(
        &mut self,
        place: Place,
        setting: &Setting,
        socket: Option<&OwnedFd>,
    ) -> Result<()> {
        let finding = self.try_setting(setting, socket)?;
        self.tell(place, finding);
        Ok(())
    }

    /// Tries one option, and says what the answer means.
    pub(super) fn try_setting(
        &self,
        setting: &Setting,
        socket: Option<&OwnedFd>,
    ) -> Result<Finding> {
        let Some(socket) = socket else {
            return Ok(self.without_socket());
        };
        let call = match setting.trial {
            Trial::Get(_) => "getsockopt(2)",
            Trial::Int(_) | Trial::Bytes(_) => "setsockopt(2)",
        };
        Ok(match or_exhausted(setting.attempt(socket.as_fd()))? {
            Ok(()) => Finding::works(setting.note),
            Err(error) => self
                .kernel
                .refused(call, error, &setting.source, setting.capability),
        })
    }

    /// What can be said of a part of a socket that could not be made: it stands in the row of the socket,
    /// which is the last one of the name `socket`.
    pub(super) fn without_socket(&self) -> Finding {
        let socket = self.rows.iter().rev().find(|row| row.name == "socket");
        Finding {
            status: socket.map_or(ProbeStatus::Absent, |row| row.status),
            detail: "there is no socket to try it on".to_owned(),
            mend: socket.map(|row| row.mend.clone()).unwrap_or_default(),
        }
    }
}

/// Tells errors that say nothing of what was tried from those that do.
pub(super) fn or_exhausted<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)) => Err(error),
        other => Ok(other),
    }
}

/// socket(2), non-blocking and closed on exec.
pub(super) fn open(domain: c_int, style: c_int, protocol: c_int) -> Result<OwnedFd> {
    let style = style | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the descriptor is new.
    unsafe { check_descriptor(libc::socket(domain, style, protocol)) }
}
