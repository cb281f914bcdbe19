//! What was let through without a grant, each thing once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::judge::{End, Pinned, Query};
use crate::message::{AncillaryKind, MessageFlags};
use crate::model::OpSet;

/// So many different things are kept; a scan of all ports of a network is no policy.
const MOST_ENTRIES: usize = 4096;

/// So many ports of one peer that called or wrote are kept; further ones are the same as the first.
const MOST_PORTS: usize = 64;

/// And so many bytes of questions: a guest may put much into one.
const MOST_BYTES: usize = 64 << 20;

/// So many kinds of ancillary data are kept of one thing; a guest may make numbers up.
const MOST_KINDS: usize = 256;

/// One thing that was let through without a grant.
pub(crate) struct Entry {
    pub(crate) operation: &'static str,
    pub(crate) query: Query,
    /// The names that the peer's address had been resolved from.
    pub(crate) names: BTreeSet<String>,
    seen: Mutex<Seen>,
    /// The ancillary data that went out, and that came in.
    pub(crate) sent: NotedAncillary,
    pub(crate) received: NotedAncillary,
}

struct Seen {
    calls: BTreeMap<&'static str, u64>,
    flags: MessageFlags,
}

/// The kinds of ancillary data that a permit was asked about and let pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct NotedAncillary(Arc<Mutex<BTreeSet<AncillaryKind>>>);

impl NotedAncillary {
    pub(crate) fn note(&self, kind: AncillaryKind) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() < MOST_KINDS {
            kinds.insert(kind);
        }
    }

    pub(crate) fn kinds(&self) -> BTreeSet<AncillaryKind> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Entry {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call more under this.
    pub(crate) fn count(&self, call: &'static str) {
        *self.seen().calls.entry(call).or_default() += 1;
    }

    pub(crate) fn note_flags(&self, flags: MessageFlags) {
        self.seen().flags |= flags;
    }

    pub(crate) fn flags(&self) -> MessageFlags {
        self.seen().flags
    }

    /// How often each call was made.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.seen().calls.clone()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.query.phrase(self.operation))
    }
}

/// Everything that was let through without a grant.
#[derive(Debug, Default)]
pub(crate) struct Notebook(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    entries: HashMap<String, Arc<Entry>>,
    bytes: usize,
    /// The first entry for each peer whose port was its kernel's choice, and how many there are.
    callers: HashMap<String, (Arc<Entry>, usize)>,
    answers: BTreeMap<String, BTreeSet<IpAddr>>,
    missed: u64,
}

/// The same question about a peer that called or wrote from any port.
fn without_port(query: &Query) -> Option<Query> {
    let by_peer = OpSet::LISTEN | OpSet::RECEIVE | OpSet::REPLY;
    let mut peer = match &query.peer {
        End::At(peer) if query.ops.intersects(by_peer) => peer.clone().into_owned(),
        _ => return None,
    };
    match &mut peer {
        Address::Inet(four) => four.set_port(0),
        Address::Inet6(six) => six.set_port(0),
        Address::Vsock(vsock) => vsock.port = 0,
        _ => return None,
    }
    Some(Query {
        peer: End::At(Cow::Owned(peer)),
        ..query.clone()
    })
}

impl Notebook {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a question down; `None` where the notebook is full.
    pub(crate) fn note(
        &self,
        operation: &'static str,
        query: &Query,
        pins: &dyn Pinned,
    ) -> Option<Arc<Entry>> {
        let key = format!("{operation} {query:?}");
        let mut pages = self.pages();
        if let Some(known) = pages.entries.get(&key) {
            return Some(known.clone());
        }
        let caller = without_port(query).map(|query| format!("{operation} {query:?}"));
        if let Some((first, known)) = caller.as_ref().and_then(|key| pages.callers.get(key))
            && *known >= MOST_PORTS
        {
            return Some(first.clone());
        }
        if pages.entries.len() >= MOST_ENTRIES || pages.bytes + key.len() > MOST_BYTES {
            pages.missed += 1;
            return None;
        }
        let mut names = BTreeSet::new();
        if let Some(ip) = query.peer.address().and_then(|peer| peer.ip()) {
            pins.names(ip, &mut |name| {
                names.insert(name.to_owned());
            });
        }
        let entry = Arc::new(Entry {
            operation,
            query: query.clone(),
            names,
            seen: Mutex::new(Seen {
                calls: BTreeMap::new(),
                flags: MessageFlags::empty(),
            }),
            sent: NotedAncillary::default(),
            received: NotedAncillary::default(),
        });
        if let Some(caller) = caller {
            pages.bytes += caller.len();
            let first = || (entry.clone(), 0);
            pages.callers.entry(caller).or_insert_with(first).1 += 1;
        }
        pages.bytes += key.len();
        pages.entries.insert(key, entry.clone());
        Some(entry)
    }

    /// What a name resolved to that no rule lets the guest resolve.
    pub(crate) fn answered(&self, name: &str, answer: IpAddr) {
        let mut pages = self.pages();
        let known = pages.answers.len();
        if known < MOST_ENTRIES || pages.answers.contains_key(name) {
            pages
                .answers
                .entry(name.to_owned())
                .or_default()
                .insert(answer);
        }
    }

    pub(crate) fn answers(&self, name: &str) -> BTreeSet<IpAddr> {
        self.pages().answers.get(name).cloned().unwrap_or_default()
    }

    /// Everything, in an order that does not depend on when it came.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let pages = self.pages();
        let mut entries: Vec<_> = pages.entries.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        entries
            .into_iter()
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// How many things found no room.
    pub(crate) fn missed(&self) -> u64 {
        self.pages().missed
    }
}
