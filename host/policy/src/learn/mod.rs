//! Learning: what a guest did, as the smallest rules that grant it.
//!
//! In [learn mode](crate::Mode::Learn) the [`Gate`](crate::Gate) lets through what merely lacks a grant, and
//! keeps the question in a [notebook]. Each question becomes a [draft] of a rule; drafts that are
//! about the same thing are [merged](merge), and [written](write) as a policy file. The questions are then put
//! to that very file: what it does not need is taken out, and what it would refuse is added or told.

mod draft;
mod generalise;
mod merge;
mod notebook;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

pub use generalise::{Generalise, Ports};
pub(crate) use notebook::{Entry, Notebook, NotedAncillary};

use crate::gate::Gate;
use crate::judge::{self, Ask, What};
use crate::load::Source;
use crate::model::{OpSet, Policy};
use draft::{Draft, Drafting};

/// Rules that may be more than a person reads are not thinned out: each trial reads the whole policy.
const MOST_THINNED: usize = 64;

/// What one guest was seen doing without a grant. Cheap to clone; it outlives the guest.
#[derive(Clone, Debug)]
pub struct Learner(Gate);

impl Learner {
    pub(crate) fn new(gate: Gate) -> Learner {
        Learner(gate)
    }

    /// The policy file under which the guest may do again what it did, and nothing else; with a comment at
    /// each rule that says what it was seen doing. What the gate's own policy grants is not in it: the two
    /// go together. The text is the same for the same doings.
    #[must_use]
    pub fn policy(&self, name: &str, how: &Generalise) -> String {
        let entries = self.0.notebook().entries();
        let drafting = Drafting::new(self.0.notebook(), &entries, how);
        let (first, later): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| is_primary(&entry.query));
        let drafts = first
            .into_iter()
            .map(|entry| drafting.draft_of(entry))
            .collect();
        let mut page = Page::new(self, merge::merged(drafts));
        for entry in later {
            page.cover(&drafting, entry);
        }
        page.thin_out(&entries);
        page.write(name, &entries, self.0.notebook().missed())
    }
}

/// Whether the question says what a rule is about. The others (options, sockets that were made) are mostly
/// answered by rules for those.
fn is_primary(query: &Ask<'_>) -> bool {
    match &query.what {
        What::GetOption(_) | What::SetOption(..) | What::Membership(..) => false,
        What::Create => query.ops == OpSet::SOCKETPAIR,
        _ => true,
    }
}

/// The rules so far, with the policy that they make.
struct Page<'l> {
    learner: &'l Learner,
    drafts: Vec<Draft>,
    policy: Option<Policy>,
}

impl<'l> Page<'l> {
    fn new(learner: &'l Learner, mut drafts: Vec<Draft>) -> Page<'l> {
        drafts.sort_by_key(Draft::order);
        let policy = compiled(&drafts);
        Page {
            learner,
            drafts,
            policy,
        }
    }

    /// The rule that grants the question.
    fn grants(&self, policy: Option<&Policy>, query: &Ask<'_>) -> Option<String> {
        let policy = policy?;
        let pins = self.learner.0.pins();
        let ask = Ask {
            expired_pins: true,
            granted: false,
            ..query.clone()
        };
        if let What::Descriptor(_) = ask.what {
            let rule = judge::descriptor_rule(policy, &ask, pins, Instant::now);
            return rule.map(|clause| clause.id.to_string());
        }
        let grant = judge::judge(policy, &ask, pins, Instant::now).ok()?;
        Some(grant.rule.to_string())
    }

    fn try_with(&mut self, drafts: Vec<Draft>, query: &Ask<'_>) -> bool {
        let policy = compiled(&drafts);
        let grants = self.grants(policy.as_ref(), query).is_some();
        if grants {
            (self.drafts, self.policy) = (drafts, policy);
        }
        grants
    }

    /// Makes the rules grant one thing more: by a word in a rule that is about the same sockets, else by a
    /// rule of its own.
    fn cover(&mut self, drafting: &Drafting<'_>, entry: &Entry) {
        if self.grants(self.policy.as_ref(), &entry.query).is_some() {
            return;
        }
        for place in 0..self.drafts.len() {
            let mut drafts = self.drafts.clone();
            if drafting.add_word(&mut drafts[place], &entry.query)
                && self.try_with(drafts, &entry.query)
            {
                return;
            }
        }
        let mut drafts = self.drafts.clone();
        drafts.push(drafting.draft_of(entry));
        let mut drafts = merge::merged(drafts);
        drafts.sort_by_key(Draft::order);
        self.try_with(drafts, &entry.query);
    }

    /// Takes out operations, and rules, without which everything is still granted.
    fn thin_out(&mut self, entries: &[Arc<Entry>]) {
        if self.drafts.len() > MOST_THINNED {
            return;
        }
        let granted: Vec<&Arc<Entry>> = entries
            .iter()
            .filter(|entry| self.grants(self.policy.as_ref(), &entry.query).is_some())
            .collect();
        let mut place = 0;
        while place < self.drafts.len() {
            let whole = self.drafts[place].clone();
            let mut gone = false;
            for op in whole.ops.iter() {
                let mut drafts = self.drafts.clone();
                drafts[place].ops -= op;
                let last = drafts[place].ops.is_empty();
                if last {
                    drafts.remove(place);
                }
                let policy = compiled(&drafts);
                let mut all = granted.iter();
                if policy.is_some()
                    && all.all(|entry| self.grants(policy.as_ref(), &entry.query).is_some())
                {
                    (self.drafts, self.policy) = (drafts, policy);
                    gone |= last;
                }
                if gone {
                    break;
                }
            }
            if !gone {
                place += 1;
            }
        }
    }

    fn write(&self, name: &str, entries: &[Arc<Entry>], missed: u64) -> String {
        let mut seen: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
        let mut refused = Vec::new();
        for entry in entries {
            match self.grants(self.policy.as_ref(), &entry.query) {
                Some(rule) => seen.entry(rule).or_default().push(entry),
                None => refused.push(&**entry),
            }
        }
        write::file(name, &self.drafts, &seen, &refused, missed)
    }
}

/// The policy that the drafts make, from its text.
fn compiled(drafts: &[Draft]) -> Option<Policy> {
    let text = write::bare(drafts);
    Policy::from_toml(&Source::new("learnt", &text)).ok()
}
