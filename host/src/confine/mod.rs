//! The second wall: this process gives up what its policies cannot need.
//!
//! The [policy](crate::policy) decides before every system call. Where that decision, or the sandbox around
//! a guest, had a hole, the process could do whatever its user may. [`Confinement`] takes away from it what
//! no rule can ever need, so that the kernel refuses the rest.

mod files;

use std::fmt;
use std::path::PathBuf;

use sockgate_policy::Reach;

use crate::socket::{Errno, confine as process};
pub use process::{User, UserError, first_free_port};

/// What a process is to be confined to; [`apply`](Confinement::apply) does it, and nothing takes it back.
///
/// * **No new privileges**: nothing that the process might start has more than it.
/// * **Capabilities**: all but [those](sockgate_policy::Reach::capabilities) that granted operations take.
/// * **User and groups**: another [user](Confinement::user), if one is given.
/// * **Files** (Landlock, from Linux 5.13): reading, writing and executing, but for the directories given
///   here, those in which rules bind Unix sockets, and what the resolver reads.
/// * **TCP ports** (Linux 6.7), **abstract Unix names and signals** (6.12): those of the rules.
/// * **System calls** (seccomp): those that a host of guests needs once it runs, sockets of the kinds that
///   rules name, no programs, no other processes, no code that is not there yet.
///
/// # Threads
/// Linux keeps most of this for each thread, and threads that run already would go on without it. So this is
/// done while the process has one thread: before the runtime, before a thread pool, and with
/// [`parallel_compilation`](wasmtime::Config::parallel_compilation) off and without a
/// [`Cache`](wasmtime::Cache), which start threads of their own. [`apply`](Confinement::apply) refuses to do
/// it otherwise. What is to be opened with the user's full rights is opened before: files of the audit log,
/// [granted sockets](crate::SocketsCtxBuilder::grant_socket), directories of the guests.
///
/// It is about the whole process, everything else in it included. Several guests are confined to what all of
/// them need: [`Reach::join`].
///
/// ```no_run
/// # use sockgate::policy::{Policy, Rule};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::builder()
///     .allow(Rule::new("web").tcp().listen("127.0.0.1:8080")?)
///     .build()?;
/// // Compile the guests here, or say `makes_code`.
/// for gap in sockgate::Confinement::new(policy.reach()).apply()? {
///     eprintln!("not confined: {gap}");
/// }
/// // From here on: the runtime, the guests.
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Confinement {
    reach: Reach,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    written: Vec<PathBuf>,
    user: Option<User>,
    code: bool,
}

/// A wall that does not stand, or not in full: by what is missing of the kernel, or of this user's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which: `seccomp`, `landlock`, `policy`.
    pub wall: &'static str,
    /// What it does not hold, and why.
    pub reason: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.wall, self.reason)
    }
}

/// Why a process could not be confined. It may be in part; end it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// There are other threads, which would go on without walls.
    #[error(
        "this process has {0} threads, and only one can be confined: do it before the runtime and any pool of \
         threads start"
    )]
    Threads(usize),
    /// The threads could not be counted: `noent` without /proc.
    #[error("the threads of this process cannot be counted in /proc/self/task: {0}")]
    NoProc(Errno),
    /// The process cannot become that user: `perm` where it is not root's.
    #[error("this process cannot become the user: {0}")]
    User(Errno),
    /// Privileges could not be given up.
    #[error("privileges could not be given up: {0}")]
    Privileges(Errno),
    /// Landlock is there and did not take its rules.
    #[error("Landlock did not take its rules: {0}")]
    Landlock(#[from] landlock::RulesetError),
}

impl Confinement {
    /// Confines to what this reach needs: [`Policy::reach`](crate::policy::Policy::reach).
    #[must_use]
    pub fn new(reach: Reach) -> Confinement {
        Confinement {
            reach,
            directories: Vec::new(),
            files: Vec::new(),
            written: Vec::new(),
            user: None,
            code: false,
        }
    }

    /// A directory whose files, and those beneath it, go on being read, written, made and removed.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Confinement {
        self.directories.push(path.into());
        self
    }

    /// A file that goes on being opened and read. One that another is moved over later is another file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Confinement {
        self.files.push(path.into());
        self
    }

    /// A directory where files go on being made, written, renamed and removed, and not read: that of a log, or of
    /// a granted Unix socket.
    #[must_use]
    pub fn writes_to(mut self, path: impl Into<PathBuf>) -> Confinement {
        self.written.push(path.into());
        self
    }

    /// Goes on as this user. The process has to be root's, or that user's.
    #[must_use]
    pub fn user(mut self, user: User) -> Confinement {
        self.user = Some(user);
        self
    }

    /// Guests are compiled or loaded later: the process may go on making code.
    #[must_use]
    pub fn makes_code(mut self) -> Confinement {
        self.code = true;
        self
    }

    /// Confines this process, for good, and tells what could not be done on this kernel. Whoever cannot live
    /// with a gap ends the process.
    ///
    /// # Errors
    /// The process has other threads, or it cannot give up what it should.
    pub fn apply(self) -> Result<Vec<Gap>, ConfineError> {
        match process::threads().map_err(ConfineError::NoProc)? {
            1 => {}
            threads => return Err(ConfineError::Threads(threads)),
        }
        let mut gaps = Vec::new();
        if self.reach.is_everything() {
            gaps.push(Gap {
                wall: "policy",
                reason: "its mode lets through what lacks a grant, so that neither sockets nor capabilities \
                         are narrowed"
                    .to_owned(),
            });
        }
        if self.reach.resolves() {
            process::load_name_services();
        }
        // Directories are opened with the rights that the process still has.
        let rules = files::rules(&self, &mut gaps)?;
        process::no_new_privileges().map_err(ConfineError::Privileges)?;
        let kept = self.reach.capabilities(process::first_free_port());
        process::bound_capabilities(kept).map_err(ConfineError::Privileges)?;
        if let Some(user) = &self.user {
            user.become_it().map_err(ConfineError::User)?;
        }
        process::keep_capabilities(kept).map_err(ConfineError::Privileges)?;
        if let Some(rules) = rules {
            files::hold(rules, &mut gaps)?;
        }
        let uses = process::Use {
            files: self.changes_files(),
            code: self.code,
        };
        if let Err(error) = process::install_filter(&self.reach, uses) {
            gaps.push(Gap {
                wall: "seccomp",
                reason: format!("system calls are not filtered: {error}"),
            });
        }
        Ok(gaps)
    }

    fn changes_files(&self) -> bool {
        !self.directories.is_empty()
            || !self.written.is_empty()
            || self.reach.unix_binds().next().is_some()
    }
}
