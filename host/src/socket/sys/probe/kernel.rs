//! What files tell of the kernel and of this process: enough to say the mend.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;

use flate2::read::GzDecoder;

use super::super::Errno;
use super::ProbeStatus;
use super::find::{Capability, Finding, Source, status_of};

/// Beyond any configuration or list of modules: a bound for what is read into memory.
const MAXIMUM_LENGTH: u64 = 16 * 1024 * 1024;

/// What is known of the kernel and of this process. Any part may be unknown: `/proc`, `/boot` and
/// `/lib/modules` are often missing in containers.
pub(super) struct Kernel {
    /// `6.12.3-arch1`; empty where it cannot be told.
    pub(super) release: String,
    /// The configuration that the kernel was built with.
    config: Option<String>,
    /// The modules that lie ready, with `_` for `-`; none where there is no list.
    modules: Option<HashSet<String>>,
    /// The effective capabilities.
    pub(super) capabilities: Option<u64>,
    /// Whether those count in a user namespace only.
    pub(super) user_namespace: bool,
}

/// What the configuration says of one choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    BuiltIn,
    Module,
    Left,
}

impl Kernel {
    /// Reads what there is.
    pub(super) fn read() -> Kernel {
        let release = text("/proc/sys/kernel/osrelease").unwrap_or_default();
        let status = text("/proc/self/status").unwrap_or_default();
        let map = text("/proc/self/uid_map").unwrap_or_default();
        Kernel {
            config: configuration(&release),
            modules: text(&format!("/lib/modules/{release}/modules.dep")).map(|list| names(&list)),
            capabilities: effective(&status),
            user_namespace: is_partial(&map),
            release,
        }
    }

    /// Whether this process has the capability; true where that cannot be told.
    pub(super) fn holds(&self, capability: Capability) -> bool {
        self.capabilities
            .is_none_or(|set| set & (1 << capability.bit) != 0)
    }

    /// What it means that `call` answered `error`, and what helps.
    pub(super) fn refused(
        &self,
        call: &str,
        error: Errno,
        source: &Source,
        capability: Option<Capability>,
    ) -> Finding {
        let detail = format!("{call}: {error}");
        match status_of(error) {
            ProbeStatus::Denied => Finding::denied(detail, self.permission(capability)),
            ProbeStatus::Absent => Finding::absent(detail, self.missing(source)),
            ProbeStatus::Works | ProbeStatus::Limited => {
                // What was tried is there, and answers with something that says nothing of the kernel.
                Finding::limited(
                    detail,
                    format!("see `{error}` in the manual page of {call}"),
                )
            }
        }
    }

    /// How to be let.
    pub(super) fn permission(&self, capability: Option<Capability>) -> String {
        match capability {
            Some(capability) if !self.holds(capability) => format!(
                "{name}: run as root, give the program the capability (setcap {lower}+ep), or set \
                 AmbientCapabilities={name} in its systemd unit",
                name = capability.name,
                lower = capability.name.to_lowercase(),
            ),
            Some(capability) if self.user_namespace => format!(
                "{} in the user namespace that owns the network namespace: make both together \
                 (unshare -Urn), or run outside of them",
                capability.name
            ),
            _ => "a seccomp filter or a security module refuses it: allow it there \
                  (containers: --security-opt seccomp=PROFILE)"
                .to_owned(),
        }
    }

    /// How to get what this kernel lacks.
    pub(super) fn missing(&self, source: &Source) -> String {
        match source {
            Source::Told(sentence) => (*sentence).to_owned(),
            Source::Since(major, minor) if self.is_at_least(*major, *minor) => format!(
                "Linux {major}.{minor} has it, and this one ({}) was built without it or hides it",
                self.release
            ),
            Source::Since(major, minor) => format!("Linux {major}.{minor} or newer"),
            Source::Built { config, module } => self.not_built(config, module),
        }
    }

    fn not_built(&self, config: &str, module: &str) -> String {
        let lies_ready = self
            .modules
            .as_ref()
            .map(|modules| !module.is_empty() && modules.contains(module));
        match (lies_ready, self.choice(config)) {
            (Some(true), _) => format!(
                "modprobe {module} (the kernel did not load it by itself: see `blacklist` in \
                 /etc/modprobe.d, and sysctl kernel.modprobe)"
            ),
            (_, Some(Choice::BuiltIn)) => format!(
                "this kernel has {config} built in, and something switched it off: its command line, a \
                 sysctl, a seccomp filter, a security module, or a network namespace other than the first"
            ),
            (_, Some(Choice::Module)) => format!(
                "install the rest of this kernel's modules (package {}), then modprobe {module}",
                self.package()
            ),
            (_, Some(Choice::Left)) => {
                format!("a kernel with {config}; this one was built without it")
            }
            (Some(false), None) if !module.is_empty() => format!(
                "package {}, then modprobe {module}; or a kernel with {config}",
                self.package()
            ),
            (None, None) if !module.is_empty() => {
                format!("modprobe {module}, or a kernel with {config}")
            }
            (_, None) => format!("a kernel with {config}"),
        }
    }

    /// Whether the configuration says that the choice is built in.
    pub(super) fn has_built_in(&self, config: &str) -> bool {
        self.choice(config) == Some(Choice::BuiltIn)
    }

    /// Where distributions put the modules that few machines need.
    fn package(&self) -> String {
        format!(
            "linux-modules-extra-{} on Ubuntu, kernel-modules-extra on Fedora",
            self.release
        )
    }

    /// A choice that is neither on nor a module stands in a comment, or not at all.
    fn choice(&self, config: &str) -> Option<Choice> {
        let text = self.config.as_ref()?;
        let chosen = text
            .lines()
            .find_map(|line| line.strip_prefix(config)?.strip_prefix('='));
        Some(match chosen {
            Some("y") => Choice::BuiltIn,
            Some("m") => Choice::Module,
            _ => Choice::Left,
        })
    }

    pub(super) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.release.split(|c: char| !c.is_ascii_digit());
        let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
        match (next(), next()) {
            (Some(this_major), Some(this_minor)) => (this_major, this_minor) >= (major, minor),
            _ => false,
        }
    }
}

/// A file's text without the white space around it, if it can be read and is no longer than any such
/// file is.
pub(super) fn text(path: &str) -> Option<String> {
    read(File::open(path).ok()?)
}

fn read(source: impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    source.take(MAXIMUM_LENGTH).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The names of a directory's entries, sorted; none where it cannot be read.
pub(super) fn entries(path: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(path)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Some(names)
}

/// The configuration, from the kernel itself or from where distributions put it.
fn configuration(release: &str) -> Option<String> {
    let own = File::open("/proc/config.gz")
        .ok()
        .and_then(|file| read(GzDecoder::new(file)));
    own.or_else(|| text(&format!("/boot/config-{release}")))
        .or_else(|| text(&format!("/lib/modules/{release}/config")))
}

/// The modules of a `modules.dep`: `kernel/net/can/can-raw.ko.xz: kernel/net/can/can.ko.xz`.
fn names(list: &str) -> HashSet<String> {
    list.lines()
        .filter_map(|line| {
            let path = line.split(':').next()?;
            let file = path.rsplit('/').next()?;
            Some(file.split(".ko").next()?.replace('-', "_"))
        })
        .collect()
}

/// `CapEff` of `/proc/self/status`.
fn effective(status: &str) -> Option<u64> {
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Whether a uid_map maps less than every user: then this is no initial user namespace.
fn is_partial(map: &str) -> bool {
    let numbers: Vec<&str> = map.split_whitespace().collect();
    !numbers.is_empty() && numbers != ["0", "0", "4294967295"]
}

#[cfg(test)]
mod tests {
    use super::super::find::{NET_RAW, built};
    use super::*;

    fn kernel(config: Option<&str>, modules: Option<&str>) -> Kernel {
        Kernel {
            release: "6.1.0-18-amd64".to_owned(),
            config: config.map(str::to_owned),
            modules: modules.map(names),
            capabilities: Some(0),
            user_namespace: false,
        }
    }

    const CAN_RAW: Source = built("CONFIG_CAN_RAW", "can_raw");

    #[test]
    fn the_mend_follows_from_what_the_files_say() {
        let mend = |config, modules| kernel(config, modules).missing(&CAN_RAW);
        let ready = Some("kernel/net/can/can-raw.ko.xz: kernel/net/can/can.ko.xz");
        assert!(mend(None, ready).starts_with("modprobe can_raw (the kernel did not load it"));
        assert!(mend(Some("CONFIG_CAN_RAW=m"), Some("")).starts_with("install the rest"));
        assert_eq!(
            mend(Some("# CONFIG_CAN_RAW is not set"), None),
            "a kernel with CONFIG_CAN_RAW; this one was built without it"
        );
        assert!(mend(Some("CONFIG_CAN_RAW=y"), None).contains("switched it off"));
        assert!(mend(None, Some("")).starts_with("package linux-modules-extra-6.1.0-18-amd64"));
        assert_eq!(
            mend(None, None),
            "modprobe can_raw, or a kernel with CONFIG_CAN_RAW"
        );
    }

    /// A choice's name may begin another's.
    #[test]
    fn a_choice_is_read_by_its_whole_name() {
        let longer = kernel(Some("CONFIG_CAN_RAW_EXTRA=y\nCONFIG_CAN_RAW=m"), None);
        assert_eq!(longer.choice("CONFIG_CAN_RAW"), Some(Choice::Module));
        assert_eq!(longer.choice("CONFIG_CAN"), Some(Choice::Left));
        assert!(!longer.has_built_in("CONFIG_CAN_RAW"));
        assert!(longer.has_built_in("CONFIG_CAN_RAW_EXTRA"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        let kernel = kernel(None, None);
        assert!(kernel.is_at_least(5, 19));
        assert!(kernel.is_at_least(6, 1));
        assert!(!kernel.is_at_least(6, 10));
        assert_eq!(kernel.missing(&Source::Since(6, 5)), "Linux 6.5 or newer");
        assert!(kernel.missing(&Source::Since(4, 1)).contains("hides it"));
    }

    #[test]
    fn capabilities_and_namespaces_are_read() {
        let status = "Name:\tx\nCapPrm:\t00000000000000ff\nCapEff:\t0000000000002000\n";
        assert_eq!(effective(status), Some(1 << 13));
        assert_eq!(effective("CapEff:\tnonsense"), None);
        assert!(!is_partial("         0          0 4294967295"));
        assert!(is_partial("         0       1000          1"));
        assert!(!is_partial(""));
        let mut kernel = kernel(None, None);
        assert!(
            kernel
                .permission(Some(NET_RAW))
                .contains("setcap cap_net_raw+ep")
        );
        kernel.capabilities = effective(status);
        assert!(kernel.permission(Some(NET_RAW)).contains("seccomp"));
        kernel.user_namespace = true;
        assert!(kernel.permission(Some(NET_RAW)).contains("unshare -Urn"));
        assert!(kernel.permission(None).contains("seccomp"));
    }

    /// What `/proc/config.gz` holds, cut or garbled, is no configuration.
    #[test]
    fn a_damaged_archive_is_no_configuration() {
        assert_eq!(read(GzDecoder::new(&b"no archive"[..])), None);
    }
}
