//! Named lists of networks: `[groups]`.

use std::collections::BTreeMap;
use std::ops::Range;

use ipnet::IpNet;

use super::ends::{each, network};
use super::error::Fault;
use super::rule::{Listing, Rule};

/// The groups of a policy, those of the files that it includes among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

#[derive(Clone, Debug)]
struct Group {
    nets: Vec<IpNet>,
    at: Range<usize>,
}

impl Groups {
    /// Adds a group; its name stands at `at`.
    pub(super) fn add(
        &mut self,
        name: &str,
        at: Range<usize>,
        list: &Listing,
        faults: &mut Vec<Fault>,
    ) {
        let nets = each(list, faults, network);
        if self.0.contains_key(name) {
            faults.push(Fault::new(
                Some(at),
                format!("the group `{name}` stands in another file of this policy already"),
                "give one of them another name",
            ));
            return;
        }
        self.0.insert(name.to_owned(), Group { nets, at });
    }

    /// The networks of a group.
    pub(super) fn get(&self, name: &str) -> Option<&[IpNet]> {
        self.0.get(name).map(|group| group.nets.as_slice())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    /// The groups that no rule names, with their places.
    pub(super) fn unused(&self, rules: &[Rule]) -> Vec<(String, Range<usize>)> {
        let named = |name: &str| {
            rules.iter().any(|rule| {
                let ends = [Some(&rule.top), rule.local.as_ref(), rule.peer.as_ref()];
                let mut lists = ends
                    .into_iter()
                    .flatten()
                    .filter_map(|ends| ends.group.as_ref());
                lists.any(|list| list.has(name))
            })
        };
        let unused = self.0.iter().filter(|(name, _)| !named(name));
        unused
            .map(|(name, group)| (name.clone(), group.at.clone()))
            .collect()
    }
}
