//! A rule as it is written, before it is checked.

use std::ops::Range;

use crate::model::Limits;
use std::path::Path;
use std::sync::Arc;

use super::groups::Groups;

/// A place in the text that a rule comes from.
pub(crate) type Span = Option<Range<usize>>;

/// A word of a rule with its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) at: Span,
}

impl Text {
    pub(crate) fn new(value: &str) -> Text {
        Text {
            value: value.to_owned(),
            at: None,
        }
    }
}

/// A list of words with its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) items: Vec<Text>,
    pub(crate) at: Span,
}

impl Listing {
    pub(crate) fn has(&self, word: &str) -> bool {
        self.items.iter().any(|item| item.value == word)
    }
}

/// A yes or no with its place.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) value: bool,
    pub(crate) at: Span,
}

/// The address keys of a rule, of its `local` or of its `peer`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    /// `peer = "*"`.
    pub(crate) any: bool,
    pub(crate) cidr: Option<Listing>,
    pub(crate) host: Option<Listing>,
    pub(crate) class: Option<Listing>,
    pub(crate) group: Option<Listing>,
    pub(crate) port: Option<Listing>,
    pub(crate) path: Option<Listing>,
    pub(crate) abstract_name: Option<Listing>,
    pub(crate) unnamed: Option<Flag>,
    pub(crate) root: Option<Text>,
    /// Keys of other families, by name.
    pub(crate) family: Vec<(&'static str, Word)>,
    pub(crate) at: Span,
}

/// What stands under a key of another family.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    List(Listing),
    Flag(Flag),
}

impl Word {
    pub(crate) fn at(&self) -> Span {
        match self {
            Word::List(list) => list.at.clone(),
            Word::Flag(flag) => flag.at.clone(),
        }
    }
}

impl Ends {
    pub(crate) fn is_empty(&self) -> bool {
        !self.any
            && self.unnamed.is_none()
            && self.root.is_none()
            && self.family.is_empty()
            && [
                &self.cidr,
                &self.host,
                &self.class,
                &self.group,
                &self.port,
                &self.path,
                &self.abstract_name,
            ]
            .into_iter()
            .all(Option::is_none)
    }
}

/// One rule, as it is written. [`Policy::builder`](crate::Policy::builder) takes rules made in Rust:
///
/// ```
/// use sockgate_policy::{Policy, Rule};
/// # fn main() -> Result<(), sockgate_policy::LoadErrors> {
/// let policy = Policy::builder()
///     .allow(Rule::new("web").tcp().listen("127.0.0.1:8080")?)
///     .deny(Rule::new("no-lan").class(&["private", "link-local", "metadata"]))
///     .build()?;
/// # assert_eq!(policy.rule_ids().count(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub(crate) at: Span,
    pub(crate) deny: bool,
    pub(crate) from_line: bool,
    /// Something of it could not be read, so that nothing is said about what seems to be missing.
    pub(crate) broken: bool,
    pub(crate) id: Option<Text>,
    pub(crate) family: Option<Listing>,
    pub(crate) socket_type: Option<Listing>,
    pub(crate) protocol: Option<Listing>,
    pub(crate) ops: Option<Listing>,
    pub(crate) top: Ends,
    pub(crate) local: Option<Ends>,
    pub(crate) peer: Option<Ends>,
    pub(crate) host_may_be: Option<Listing>,
    pub(crate) pin: Option<Text>,
    pub(crate) get: Option<Listing>,
    pub(crate) set: Option<Listing>,
    pub(crate) ancillary_send: Option<Listing>,
    pub(crate) ancillary_receive: Option<Listing>,
    pub(crate) flags: Option<Listing>,
    pub(crate) kinds: Option<Listing>,
    pub(crate) source: Option<Listing>,
    pub(crate) interface: Option<Listing>,
    pub(crate) ioctl: Option<Listing>,
    pub(crate) mode: Option<Text>,
    pub(crate) replace_stale: Option<Flag>,
    pub(crate) limits: Option<(Limits, Span)>,
    pub(crate) peer_uid: Option<Listing>,
    pub(crate) peer_gid: Option<Listing>,
    /// Named lists of networks that `group` refers to.
    pub(crate) groups: Arc<Groups>,
    /// The directory that a relative `root` begins at; none: that of the whole policy.
    pub(crate) base: Option<Arc<Path>>,
}
