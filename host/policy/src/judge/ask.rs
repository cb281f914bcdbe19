//! One question to a policy: an operation, a socket, its addresses.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::address::Address;
use crate::facts::{Origin, SocketFacts};
use crate::family::{Content, Part};
use crate::kind::Kind;
use crate::message::DescriptorKind;
use crate::model::{Known, OpSet, Side};
use crate::option::{OptionName, OptionsSet};
use crate::permit::GroupRequest;

/// What an operation is about besides a socket and its addresses.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Nothing,
    Create,
    GetOption(OptionName),
    SetOption(OptionName, Option<Vec<u8>>),
    Host(Arc<str>),
    Ip(IpAddr),
    Group(GroupRequest),
    /// A membership by option that keys of the socket's family speak of.
    Membership(OptionName, Box<Part>),
    Ioctl(Arc<str>),
    Descriptor(DescriptorKind),
    Hostname(Vec<u8>),
}

/// An address of the question.
#[derive(Clone, Debug)]
pub(crate) enum End<'a> {
    /// This one.
    At(Cow<'a, Address>),
    /// None: the socket is not bound. Covered only by what covers every address.
    Unbound,
    /// Not known yet: some address that a rule covers will do.
    Open,
}

impl End<'_> {
    pub(crate) fn address(&self) -> Option<&Address> {
        match self {
            End::At(address) => Some(address),
            End::Unbound | End::Open => None,
        }
    }

    fn into_owned(self) -> End<'static> {
        match self {
            End::At(address) => End::At(Cow::Owned(address.into_owned())),
            End::Unbound => End::Unbound,
            End::Open => End::Open,
        }
    }
}

/// What is in the message of the question. A [`Cow`] would be as large as the content itself, and questions
/// are moved about.
#[derive(Clone, Debug)]
pub(crate) enum Inspected<'a> {
    Borrowed(&'a Content),
    Owned(Box<Content>),
}

impl Inspected<'_> {
    fn into_owned(self) -> Inspected<'static> {
        match self {
            Inspected::Borrowed(content) => Inspected::Owned(Box::new(content.clone())),
            Inspected::Owned(content) => Inspected::Owned(content),
        }
    }
}

impl Deref for Inspected<'_> {
    type Target = Content;

    fn deref(&self) -> &Content {
        match self {
            Inspected::Borrowed(content) => content,
            Inspected::Owned(content) => content,
        }
    }
}

/// One question to a policy.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    /// A rule that lists one of these grants it.
    pub(crate) ops: OpSet,
    /// A deny rule that lists one of these forbids it.
    pub(crate) denied_by: OpSet,
    pub(crate) kind: Option<Kind>,
    pub(crate) local: End<'a>,
    pub(crate) local_side: Side,
    /// Further local addresses of the socket, each of which has to be covered as well.
    pub(crate) further_locals: Cow<'a, [Address]>,
    pub(crate) peer: End<'a>,
    /// The options that were set, which the rule has to list.
    pub(crate) options: Cow<'a, OptionsSet>,
    /// How the conversation came about, which says whose descriptors may pass.
    pub(crate) via: OpSet,
    pub(crate) expired_pins: bool,
    pub(crate) granted: bool,
    /// Nobody counts what goes through the socket.
    pub(crate) uncounted: bool,
    pub(crate) what: What,
    /// What is in the message, where it is about one.
    pub(crate) content: Option<Inspected<'a>>,
}

/// A question that outlives its call, kept in a denial.
pub(crate) type Query = Ask<'static>;

fn canonical(address: &Address) -> Cow<'_, Address> {
    match address {
        Address::Inet6(_) => Cow::Owned(address.canonical()),
        _ => Cow::Borrowed(address),
    }
}

impl<'a> Ask<'a> {
    /// A question about a socket as it stands.
    pub(crate) fn socket(ops: OpSet, facts: &'a SocketFacts) -> Ask<'a> {
        let via = match facts.origin {
            Origin::Socket => ops,
            Origin::Accept => OpSet::LISTEN,
            Origin::Pair => OpSet::SOCKETPAIR,
        };
        Ask {
            ops,
            denied_by: ops,
            kind: Some(facts.kind),
            local: facts
                .local
                .as_ref()
                .map_or(End::Unbound, |local| End::At(canonical(local))),
            local_side: if facts.local_chosen {
                Side::LocalChosen
            } else {
                Side::Local
            },
            further_locals: Cow::Borrowed(&facts.further_locals),
            peer: facts
                .peer
                .as_ref()
                .map_or(End::Open, |peer| End::At(canonical(peer))),
            options: Cow::Borrowed(&facts.options),
            via,
            expired_pins: false,
            granted: facts.granted,
            uncounted: facts.uncounted,
            what: What::Nothing,
            content: None,
        }
    }

    /// A question about a kind of socket whose addresses are not known yet.
    pub(crate) fn kind(ops: OpSet, kind: Kind) -> Ask<'a> {
        Ask {
            kind: Some(kind),
            ..Ask::socketless(ops, What::Create)
        }
    }

    /// A question that is about no socket.
    pub(crate) fn socketless(ops: OpSet, what: What) -> Ask<'a> {
        Ask {
            ops,
            denied_by: ops,
            kind: None,
            local: End::Open,
            local_side: Side::Local,
            further_locals: Cow::Borrowed(&[]),
            peer: End::Open,
            options: Cow::Owned(OptionsSet::new()),
            via: ops,
            expired_pins: false,
            granted: false,
            uncounted: false,
            what,
            content: None,
        }
    }

    /// What is known of its addresses, which tells the rules that could matter.
    pub(crate) fn known(&self) -> Known<'_> {
        Known {
            local: self.local.address(),
            peer: self.peer.address(),
            host: match &self.what {
                What::Host(host) => Some(host),
                _ => None,
            },
        }
    }

    pub(crate) fn with_peer(mut self, peer: &'a Address) -> Ask<'a> {
        self.peer = End::At(canonical(peer));
        self
    }

    /// To a destination, where the kernel takes a wildcard for loopback.
    pub(crate) fn with_destination(mut self, peer: &Address) -> Ask<'a> {
        self.peer = End::At(Cow::Owned(peer.canonical_destination()));
        self
    }

    pub(crate) fn with_local(mut self, local: &Address, side: Side) -> Ask<'a> {
        self.local = End::At(Cow::Owned(local.canonical()));
        self.local_side = side;
        self.further_locals = Cow::Borrowed(&[]);
        self
    }

    pub(crate) fn holding(mut self, content: &'a Content) -> Ask<'a> {
        self.content = Some(Inspected::Borrowed(content));
        self
    }

    pub(crate) fn about(mut self, what: What) -> Ask<'a> {
        self.what = what;
        self
    }

    pub(crate) fn into_query(self) -> Query {
        Ask {
            local: self.local.into_owned(),
            peer: self.peer.into_owned(),
            further_locals: Cow::Owned(self.further_locals.into_owned()),
            options: Cow::Owned(self.options.into_owned()),
            content: self.content.map(Inspected::into_owned),
            ..self
        }
    }
}
