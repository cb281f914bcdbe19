//! The verdict of one trial, and where the thing that was tried comes from.

use super::super::Errno;
use super::ProbeStatus;

/// What one trial says.
pub(super) struct Finding {
    pub(super) status: ProbeStatus,
    pub(super) detail: String,
    pub(super) mend: String,
}

impl Finding {
    pub(super) fn works(detail: impl Into<String>) -> Finding {
        Finding {
            status: ProbeStatus::Works,
            detail: detail.into(),
            mend: String::new(),
        }
    }

    pub(super) fn limited(detail: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding {
            status: ProbeStatus::Limited,
            detail: detail.into(),
            mend: mend.into(),
        }
    }

    pub(super) fn absent(detail: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding {
            status: ProbeStatus::Absent,
            detail: detail.into(),
            mend: mend.into(),
        }
    }

    pub(super) fn denied(detail: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding {
            status: ProbeStatus::Denied,
            detail: detail.into(),
            mend: mend.into(),
        }
    }
}

/// Where a kernel has something from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A choice of the kernel's configuration, with its module (empty where it cannot be one).
    Built {
        config: &'static str,
        module: &'static str,
    },
    /// Every kernel from this version (major, minor) on.
    Since(u32, u32),
    /// Anything else, said in a sentence.
    Told(&'static str),
}

/// A choice of the kernel's configuration, with its module.
pub(super) const fn built(config: &'static str, module: &'static str) -> Source {
    Source::Built { config, module }
}

/// A capability of capabilities(7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Capability {
    pub(super) name: &'static str,
    /// Its bit in the sets of `/proc/self/status`.
    pub(super) bit: u32,
}

pub(super) const NET_BIND_SERVICE: Capability = Capability {
    name: "CAP_NET_BIND_SERVICE",
    bit: 10,
};
pub(super) const NET_BROADCAST: Capability = Capability {
    name: "CAP_NET_BROADCAST",
    bit: 11,
};
pub(super) const NET_ADMIN: Capability = Capability {
    name: "CAP_NET_ADMIN",
    bit: 12,
};
pub(super) const NET_RAW: Capability = Capability {
    name: "CAP_NET_RAW",
    bit: 13,
};
pub(super) const SYS_ADMIN: Capability = Capability {
    name: "CAP_SYS_ADMIN",
    bit: 21,
};
pub(super) const AUDIT_CONTROL: Capability = Capability {
    name: "CAP_AUDIT_CONTROL",
    bit: 30,
};

/// What an errno says of the thing that was tried.
pub(super) fn status_of(error: Errno) -> ProbeStatus {
    match error {
        Errno::PERM | Errno::ACCES => ProbeStatus::Denied,
        Errno::AFNOSUPPORT
        | Errno::PFNOSUPPORT
        | Errno::PROTONOSUPPORT
        | Errno::SOCKTNOSUPPORT
        | Errno::PROTOTYPE
        | Errno::NOPROTOOPT
        | Errno::OPNOTSUPP
        | Errno::INVAL
        | Errno::NODEV
        | Errno::NOENT
        | Errno::NOSYS => ProbeStatus::Absent,
        _ => ProbeStatus::Limited,
    }
}
