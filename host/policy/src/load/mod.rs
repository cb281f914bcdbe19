//! Loading policies: from TOML, from one-line rules, from Rust. All three fill the same [`Rule`], which is
//! checked and compiled in one place.

mod builder;
mod compile;
mod ends;
mod error;
mod family;
mod files;
mod groups;
pub(crate) mod keys;
mod limits;
mod line;
mod reader;
mod rule;
mod vocabulary;
mod written;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use builder::PolicyBuilder;
pub use error::{LoadError, LoadErrors};
pub use rule::Rule;

use files::Files;

pub(crate) use error::{Fault, Origin, nearest};
pub(crate) use limits::keys as limit_keys;
pub(crate) use line::{Words, kind_of, transport, transport_word};
pub(crate) use rule::Listing;
pub(crate) use vocabulary::ioctl_names;
pub(crate) use written::{EndWords, Terms, Written, terms_line};

use crate::check::Warning;
use crate::model::{
    AllowTable, Carried, Clause, DenyTable, KindPattern, Limits, Mode, OnReload, Policy,
};
use crate::permit::RuleId;

/// The text of a policy file, which the host has read.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// What messages call it: the file's name.
    pub name: String,
    /// The TOML.
    pub text: String,
    /// The directory that a relative `root` begins at; absolute.
    pub base: PathBuf,
    /// What `${name}` in strings stands for.
    pub variables: HashMap<String, String>,
}

impl Source {
    /// A source without variables, whose relative roots begin at `/`.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Source {
        Source {
            name: name.to_owned(),
            text: text.to_owned(),
            base: PathBuf::from("/"),
            variables: HashMap::new(),
        }
    }

    /// The same source with one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Source {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same source with another base directory.
    #[must_use]
    pub fn with_base(mut self, base: impl Into<PathBuf>) -> Source {
        self.base = base.into();
        self
    }
}

/// What was noticed while a policy was loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) warnings: Vec<Warning>,
    /// The variables that were put in.
    pub(crate) variables: BTreeSet<String>,
}

impl Remarks {
    fn merge(mut self, other: Remarks) -> Remarks {
        self.warnings.extend(other.warnings);
        self.variables.extend(other.variables);
        self
    }
}

/// What a policy says besides its rules; `None` is the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) mode: Option<Mode>,
    pub(crate) on_reload: Option<OnReload>,
    pub(crate) reveal: Option<bool>,
    pub(crate) limits: Limits,
}

/// Of two that are given the stricter one, else the one that is given.
fn stricter<T>(one: Option<T>, other: Option<T>, choose: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(choose(one, other)),
        (one, other) => one.or(other),
    }
}

impl Settings {
    fn merge(self, other: Settings) -> Settings {
        Settings {
            mode: stricter(self.mode, other.mode, |one, other| {
                if one == other { one } else { Mode::Enforce }
            }),
            on_reload: stricter(self.on_reload, other.on_reload, |one, other| {
                if one == other { one } else { OnReload::Close }
            }),
            reveal: stricter(self.reveal, other.reveal, |one, other| one && other),
            limits: self.limits.stricter(&other.limits),
        }
    }
}

impl Policy {
    /// Loads a policy from TOML, in one text: `include` is an error.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_toml(source: &Source) -> Result<Policy, LoadErrors> {
        Policy::from_files(source, |_| {
            Err("this policy was loaded as one text, without its files".to_owned())
        })
    }

    /// Loads a policy from TOML, with the files that it includes. `read` gives the text of one of them by
    /// its path (beside the source's `base`, or deeper), or says why it cannot.
    ///
    /// ```
    /// use sockgate_policy::{Policy, Source};
    ///
    /// let source = Source::new("web.toml", "version = 1\ninclude = ['lan.toml']").with_base("/etc/sockgate");
    /// let policy = Policy::from_files(&source, |path| {
    ///     assert_eq!(path, std::path::Path::new("/etc/sockgate/lan.toml"));
    ///     Ok("version = 1\n[[deny]]\nid = 'no-lan'\nclass = ['private']".to_owned())
    /// })?;
    /// assert_eq!(policy.rule_ids().collect::<Vec<_>>(), ["no-lan"]);
    /// # Ok::<(), sockgate_policy::LoadErrors>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with all of them, at once.
    pub fn from_files(
        source: &Source,
        mut read: impl FnMut(&Path) -> Result<String, String>,
    ) -> Result<Policy, LoadErrors> {
        let Files {
            settings,
            rules,
            groups,
            used_variables,
            mut faults,
            origin,
        } = files::read(source, &mut read);
        let unused = groups.unused(&rules);
        let odd = unused.into_iter().map(|(name, at)| Warning {
            rule: None,
            place: origin.place(&Some(at)),
            message: format!("the group `{name}` is used by no rule"),
        });
        let remarks = Remarks {
            warnings: odd.collect(),
            variables: used_variables,
        };
        let origin = Arc::new(origin);
        let policy = assemble(settings, rules, &source.base, &origin, &mut faults);
        LoadErrors::unless_empty(&origin, faults, Policy { remarks, ..policy })
    }

    /// A policy of one rule in one line, as `--allow` takes it: `tcp connect 10.0.0.0/8:443`.
    ///
    /// The line is `[TRANSPORT] OPS [ADDRESS] [from LOCAL] [peer PEER] [KEY=VALUE,...]...`: `tcp`, `udp`
    /// (each with `4` or `6` for one family), `unix`, `unix-stream`, `unix-datagram`, `unix-seqpacket`;
    /// operations joined by commas; an address as people write it, with a port, a range of ports or `*`.
    ///
    /// # Errors
    /// Everything that is wrong with the line, at once.
    pub fn allow_line(line: &str) -> Result<Policy, LoadErrors> {
        let origin = Arc::new(Origin::text("--allow", line));
        let mut faults = Vec::new();
        let rules: Vec<Rule> = line::read(line, &mut faults).into_iter().collect();
        let policy = assemble(
            Settings::default(),
            rules,
            Path::new("/"),
            &origin,
            &mut faults,
        );
        LoadErrors::unless_empty(&origin, faults, policy)
    }

    /// A policy made in Rust.
    #[must_use]
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Both policies' rules together. Where both set the same thing, the stricter one holds. The same
    /// `--allow` line twice is one rule.
    ///
    /// # Errors
    /// Two different rules have the same `id`.
    pub fn merge(self, other: Policy) -> Result<Policy, LoadErrors> {
        let mut faults = Vec::new();
        let mut allow: Vec<Clause> = self.allow.all().to_vec();
        let mut deny: Vec<Clause> = self.deny.all().to_vec();
        let ours = self.allow.all().iter().chain(self.deny.all());
        let known: HashMap<&str, &Clause> =
            ours.map(|clause| (clause.id.as_str(), clause)).collect();
        for (ours, theirs) in [
            (&mut allow, other.allow.all()),
            (&mut deny, other.deny.all()),
        ] {
            for clause in theirs {
                match known.get(clause.id.as_str()) {
                    Some(known) if known.from_line && clause.from_line => {}
                    Some(known) => faults.push(Fault::new(
                        None,
                        format!(
                            "the id `{}` stands at {} and at {}",
                            clause.id, known.place, clause.place
                        ),
                        "give one of them another `id`",
                    )),
                    None => ours.push(clause.clone()),
                }
            }
        }
        let policy = Policy {
            remarks: self.remarks.merge(other.remarks),
            ..finish(self.settings.merge(other.settings), allow, deny)
        };
        LoadErrors::unless_empty(&Arc::new(Origin::Rust), faults, policy)
    }
}

/// Compiles the rules and puts the policy together.
fn assemble(
    settings: Settings,
    rules: Vec<Rule>,
    base: &Path,
    origin: &Arc<Origin>,
    faults: &mut Vec<Fault>,
) -> Policy {
    let mut allow = Vec::new();
    let mut deny = Vec::new();
    let mut kinds: Vec<Arc<KindPattern>> = Vec::new();
    let mut carried: Vec<Arc<Carried>> = Vec::new();
    let mut places: HashMap<String, String> = HashMap::new();
    for rule in rules {
        let place = origin.place(&rule.at);
        if let Some(id) = &rule.id
            && let Some(first) = places.insert(id.value.clone(), place.clone())
        {
            faults.push(Fault::new(
                id.at.clone(),
                format!("the id `{}` is taken by the rule at {first}", id.value),
                "give this rule another `id`: denials and logs name rules by it",
            ));
        }
        let denies = rule.deny;
        if let Some(mut clause) = compile::compile(rule, base, place, faults) {
            clause.kind = shared(&mut kinds, clause.kind);
            clause.carried = shared(&mut carried, clause.carried);
            if denies { &mut deny } else { &mut allow }.push(clause);
        }
    }
    finish(settings, allow, deny)
}

/// The one of these that is equal, which this becomes if there is none.
fn shared<T: PartialEq>(known: &mut Vec<Arc<T>>, new: Arc<T>) -> Arc<T> {
    let equal = known.iter().find(|known| **known == new).cloned();
    equal.unwrap_or_else(|| {
        known.push(new.clone());
        new
    })
}

fn finish(settings: Settings, mut allow: Vec<Clause>, mut deny: Vec<Clause>) -> Policy {
    let clauses = allow.iter_mut().chain(&mut deny);
    RuleId::gather(clauses.map(|clause| &mut clause.id).collect());
    Policy {
        mode: settings.mode.unwrap_or_default(),
        on_reload: settings.on_reload.unwrap_or_default(),
        reveal: settings.reveal.unwrap_or_default(),
        limits: settings.limits.clone().for_a_guest(),
        allow: AllowTable::new(allow),
        deny: DenyTable::new(deny),
        settings,
        remarks: Remarks::default(),
    }
}
