//! Checks a rule as a whole and compiles it.

mod meaning;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::ends::{self, Place, each};
use super::error::Fault;
use super::family::{self, Scope};
use super::rule::{Ends, Listing, Rule, Span};
use super::vocabulary::{
    LONGEST_PIN, ancillary, descriptor_kinds, duration, families, ioctls, message_flags,
    operations, option_patterns, protocols, read_option_patterns, types,
};
use super::written::Written;
use crate::class::ClassSet;
use crate::family::FamilyPattern;
use crate::kind::{Family, SocketType};
use crate::message::DescriptorKinds;
use crate::model::{
    AddressPattern, Carried, Clause, DEFAULT_PIN, GroupPattern, IpPattern, KindPattern, Limits,
    NamePattern, OpSet, OptionGrant, PeerUsers,
};
use crate::permit::RuleId;

/// A rule on its way to becoming a clause.
struct Compiler<'r> {
    rule: &'r Rule,
    ops: OpSet,
    families: Option<Vec<Family>>,
    types: Option<Vec<SocketType>>,
    base: &'r Path,
    faults: &'r mut Vec<Fault>,
}

/// Compiles a rule. `None` if something is wrong with it, which is then among the faults.
pub(crate) fn compile(
    rule: Rule,
    base: &Path,
    place: String,
    faults: &mut Vec<Fault>,
) -> Option<Clause> {
    let before = faults.len();
    let ops = rule
        .ops
        .as_ref()
        .map_or(OpSet::empty(), |list| operations(list, faults));
    let families = rule.family.as_ref().map(|list| families(list, faults));
    let types = rule.socket_type.as_ref().map(|list| types(list, faults));
    let broken = rule.broken || faults.len() > before;
    let base = rule.base.as_deref().unwrap_or(base);
    let mut compiler = Compiler {
        rule: &rule,
        ops,
        families,
        types,
        base,
        faults,
    };
    let clause = compiler.clause(place, broken);
    (faults.len() == before).then_some(clause)
}

impl Compiler<'_> {
    fn fault(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        // A rule as a whole is pointed at by its header.
        let at = at.or_else(|| self.rule.at.clone());
        self.faults.push(Fault::new(at, message, help));
    }

    fn clause(&mut self, place: String, broken: bool) -> Clause {
        let rule = self.rule;
        let id = self.id();
        if !broken {
            self.check_ops();
            self.check_kind();
            self.check_keys();
            let scope = Scope {
                families: self.families.as_deref(),
                types: self.types.as_deref(),
            };
            family::check(rule, scope, self.faults);
        }
        let before = self.faults.len();
        let (local, peer, either) = self.addresses(broken);
        if !broken && self.faults.len() == before {
            self.check_addresses(local.as_ref(), peer.as_ref(), either.as_ref());
        }
        let hosts = self.hosts();
        let mut message_faults = Vec::new();
        let uses = [
            &rule.get,
            &rule.set,
            &rule.ancillary_send,
            &rule.ancillary_receive,
            &rule.flags,
        ];
        let uses_only = rule.deny && uses.iter().any(|list| list.is_some());
        let host_alone = rule.deny && hosts.is_some() && self.ops.is_empty();
        let every_op = rule.deny && rule.ops.is_none() && !host_alone;
        let messages = family::messages(rule, self.scope(), &mut message_faults);
        self.faults.extend(message_faults);
        Clause {
            id,
            place,
            from_line: rule.from_line,
            kind: Arc::new(KindPattern {
                families: self.families.clone(),
                types: self.types.clone(),
                protocols: rule
                    .protocol
                    .as_ref()
                    .map(|list| protocols(list, self.families.as_deref(), self.faults)),
            }),
            ops: if host_alone {
                OpSet::RESOLVE
            } else if every_op {
                OpSet::all()
            } else {
                self.ops
            },
            every_op,
            local: local.map(Box::new),
            peer,
            either,
            messages,
            hosts,
            host_may_be: rule
                .host_may_be
                .as_ref()
                .map_or(ClassSet::empty(), |list| ends::classes(list, self.faults)),
            pin: self.pin(),
            limits: self.limits(),
            options: OptionGrant {
                get: read_option_patterns(rule.get.as_ref(), self.faults),
                set: option_patterns(rule.set.as_ref(), self.faults),
            },
            carried: Arc::new(Carried::new(
                message_flags(rule.flags.as_ref(), self.faults),
                ancillary(rule.ancillary_send.as_ref(), self.faults),
                ancillary(rule.ancillary_receive.as_ref(), self.faults),
                self.peer_users(),
            )),
            descriptors: match (&rule.kinds, rule.deny) {
                (None, true) => DescriptorKinds::all(),
                (list, _) => descriptor_kinds(list.as_ref(), self.faults),
            },
            groups: self.groups(),
            ioctls: ioctls(rule.ioctl.as_ref(), self.faults),
            mode: self.mode(),
            replace_stale: rule.replace_stale.as_ref().is_some_and(|flag| flag.value),
            uses_only,
            written: Written::of(rule).into(),
        }
    }

    fn id(&mut self) -> RuleId {
        match &self.rule.id {
            None if self.rule.broken => RuleId::new(""),
            None => {
                self.fault(
                    None,
                    "the rule has no `id`",
                    "give it one: `id = \"web\"`; denials and logs name rules by it",
                );
                RuleId::new("")
            }
            Some(id) => {
                let wrong = if id.value.starts_with('(') {
                    Some("begins with a parenthesis, as what logs say without a rule does")
                } else if id.value.chars().any(char::is_control) {
                    Some("has a control character, such as a line's end")
                } else {
                    None
                };
                if let Some(wrong) = wrong {
                    let message = format!("this `id` {wrong}");
                    self.fault(id.at.clone(), message, "write `id = \"web\"`");
                }
                RuleId::new(&id.value)
            }
        }
    }

    fn check_ops(&mut self) {
        if !self.rule.deny && self.rule.ops.is_none() {
            self.fault(
                None,
                "the rule grants no operation",
                "say which: `ops = [\"connect\"]`",
            );
        }
    }

    fn only_family(&self, family: Family) -> bool {
        self.families
            .as_ref()
            .is_some_and(|families| families.iter().all(|known| *known == family))
    }

    fn may_be(&self, family: Family) -> bool {
        self.families
            .as_ref()
            .is_none_or(|families| families.contains(&family))
    }

    fn may_be_ip(&self) -> bool {
        let ip = [Family::Inet, Family::Inet6, Family::Rds, Family::Smc];
        match &self.families {
            Some(families) => families.iter().any(|family| ip.contains(family)),
            None => true,
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            families: self.families.as_deref(),
            types: self.types.as_deref(),
        }
    }

    /// Whether the rule's family has the key.
    fn has_key(&self, name: &str) -> bool {
        self.scope()
            .group()
            .is_some_and(|group| group.key(name).is_some())
    }

    fn host_lists(&self) -> impl Iterator<Item = &Listing> {
        [Some(&self.rule.top), self.rule.peer.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|ends| ends.host.as_ref())
    }

    fn hosts(&mut self) -> Option<Vec<crate::model::HostPattern>> {
        // Their faults were noted with the address; here only the patterns are wanted.
        let patterns: Vec<_> = self
            .host_lists()
            .flat_map(|list| ends::hosts(list, &mut Vec::new()))
            .collect();
        (!patterns.is_empty()).then_some(patterns)
    }

    /// Local, peer, and for a deny rule either.
    fn addresses(
        &mut self,
        broken: bool,
    ) -> (
        Option<AddressPattern>,
        Option<AddressPattern>,
        Option<AddressPattern>,
    ) {
        let rule = self.rule;
        let multicast = self.ops.contains(OpSet::JOIN_GROUP);
        let group = self.scope().group();
        let mut compiled = |ends: Option<&Ends>, top: bool| {
            let place = Place {
                top,
                group_is_multicast: multicast && top,
                group,
            };
            ends.and_then(|ends| ends::pattern(ends, rule, self.base, place, self.faults))
        };
        let top = compiled(Some(&rule.top), true);
        let local = compiled(rule.local.as_ref(), false);
        let peer = compiled(rule.peer.as_ref(), false);
        if rule.deny {
            // A host in a deny rule acts on `resolve` only, see `hosts`.
            let either = top.filter(|pattern| !matches!(pattern.ip, Some(IpPattern::Hosts(_))));
            return (local, peer, either);
        }
        let Some(top) = top.filter(|_| !broken) else {
            return (local, peer, None);
        };
        if group.is_some_and(|group| group.one_place) {
            return (
                Some(top.clone().narrowed(local)),
                Some(top.narrowed(peer)),
                None,
            );
        }
        let local_kind = self.ops.intersects(OpSet::LOCAL_KIND);
        let peer_kind = self.ops.intersects(OpSet::PEER_KIND);
        let host_for_resolve =
            self.ops.contains(OpSet::RESOLVE) && matches!(top.ip, Some(IpPattern::Hosts(_)));
        let at = rule.top.at.clone();
        if local_kind && peer_kind {
            self.fault(
                at,
                "the rule has operations on the local address and on the peer's, so that this address could be either",
                "write `local = { ... }` and `peer = { ... }`",
            );
            return (local, peer, None);
        }
        if local_kind {
            if local.is_some() {
                self.fault(
                    at,
                    "the local address stands at the top of the rule and in `local`",
                    "write it once",
                );
            }
            return (Some(top), peer, None);
        }
        if peer_kind || host_for_resolve {
            if peer.is_some() {
                self.fault(
                    at,
                    "the peer's address stands at the top of the rule and in `peer`",
                    "write it once",
                );
            }
            return (local, Some(top), None);
        }
        self.fault(
            at,
            "the rule has no operation that says whether this address is the local one or the peer's",
            "write `local = { ... }` or `peer = { ... }`",
        );
        (local, peer, None)
    }

    fn check_addresses(
        &mut self,
        local: Option<&AddressPattern>,
        peer: Option<&AddressPattern>,
        either: Option<&AddressPattern>,
    ) {
        let rule = self.rule;
        let places = [(local, &rule.local), (peer, &rule.peer), (either, &None)]
            .map(|(pattern, ends)| (pattern, ends.as_ref()));
        for (pattern, ends) in places {
            let Some(pattern) = pattern else { continue };
            let at = ends
                .and_then(|ends| ends.at.clone())
                .or_else(|| rule.top.at.clone());
            if self.only_family(Family::Unix) && (pattern.ip.is_some() || pattern.ports.is_some()) {
                self.fault(
                    at,
                    "a Unix address has no IP address and no port",
                    "name it by `path`, `abstract` or `unnamed`",
                );
            } else if (pattern.ip.is_some() || pattern.ports.is_some()) && !self.may_be_ip() {
                let example = self.example_address();
                self.fault(
                    at,
                    "the rule's sockets have no IP address and no port of IP",
                    format!("name their addresses by their own keys: {example}"),
                );
            } else if pattern.unix.is_some() && !self.may_be(Family::Unix) {
                self.fault(
                    at,
                    "an IP address has no `path`, `abstract` or `unnamed`",
                    "name it by `cidr`, `host` or `class`, and `port`",
                );
            }
        }
        if rule.local.as_ref().is_some_and(|ends| ends.host.is_some())
            || (self.ops.intersects(OpSet::LOCAL_KIND)
                && !self.ops.intersects(OpSet::PEER_KIND)
                && rule.top.host.is_some()
                && !rule.deny)
        {
            let at = rule
                .local
                .as_ref()
                .unwrap_or(&rule.top)
                .host
                .as_ref()
                .and_then(|list| list.at.clone());
            self.fault(
                at,
                "a local address is not named by `host`",
                "name it by `cidr`",
            );
        }
        if rule.deny {
            return;
        }
        if self.ops.contains(OpSet::RESOLVE) && self.host_lists().next().is_none() {
            self.fault(
                None,
                "`resolve` without `host`",
                "say which names: `host = [\"db.example.com\"]`, or `[\"*\"]` for all",
            );
        }
        for (ops, word, pattern) in [
            (OpSet::CONNECT | OpSet::SEND_TO, "peer", peer),
            (OpSet::BIND | OpSet::LISTEN, "local address", local),
        ] {
            let needing: Vec<&str> = (self.ops & ops).names().collect();
            let named = pattern.is_some_and(|pattern| {
                let own = pattern.family.as_deref();
                pattern.any
                    || pattern.ip.is_some()
                    || pattern.unix.is_some()
                    || own.is_some_and(FamilyPattern::names_address)
            });
            if let Some(group) = self.scope().group().filter(|group| !group.raw_only) {
                if !needing.is_empty() && !named && !group.naming.is_empty() {
                    let example = self.example_address();
                    self.fault(
                        None,
                        format!("`{}` without a {word}", needing.join("`, `")),
                        format!("say which: {example}"),
                    );
                }
                continue;
            }
            if !needing.is_empty() && !named {
                let help = if self.may_be_ip() {
                    "say which: `cidr = [\"10.0.0.0/8\"]`, or `cidr = [\"*\"]` for all"
                } else if self.may_be(Family::Unix) {
                    "say which: `path = [\"/run/x.sock\"]`, or `path = [\"/**\"]` for all"
                } else if word == "peer" {
                    "write `peer = \"*\"`: such sockets have no addresses"
                } else {
                    "write `local = \"*\"`: such sockets have no addresses"
                };
                let message = format!("`{}` without a {word}", needing.join("`, `"));
                self.fault(None, message, help);
            }
        }
    }

    /// How the addresses of the rule's family are named.
    fn example_address(&self) -> String {
        let Some(group) = self.scope().group() else {
            return "`peer = \"*\"`".to_owned();
        };
        let keys = group
            .keys
            .iter()
            .filter(|key| group.naming.contains(&key.name));
        let examples: Vec<String> = keys
            .map(|key| format!("`{} = {}`", key.name, key.example))
            .collect();
        examples.join(" or ")
    }

    fn pin(&mut self) -> Duration {
        let Some(text) = &self.rule.pin else {
            return DEFAULT_PIN;
        };
        duration(&text.value, LONGEST_PIN).unwrap_or_else(|| {
            let message = format!("`{}` is no duration up to a day", text.value);
            self.fault(text.at.clone(), message, "write `30s`, `5m` or `1h`");
            DEFAULT_PIN
        })
    }

    /// What goes by the rule may be no more than this. A file's were checked where they were read.
    fn limits(&mut self) -> Option<Box<Limits>> {
        let (limits, at) = self.rule.limits.clone()?;
        if at.is_none() {
            for (message, help) in limits.faults() {
                self.fault(None, message, help);
            }
        }
        (limits != Limits::none()).then(|| Box::new(limits))
    }

    fn mode(&mut self) -> Option<u32> {
        let text = self.rule.mode.as_ref()?;
        let bits = u32::from_str_radix(text.value.trim_start_matches("0o"), 8)
            .ok()
            .filter(|bits| *bits <= 0o777);
        if bits.is_none() {
            let message = format!("`{}` is no mode", text.value);
            self.fault(
                text.at.clone(),
                message,
                "write permission bits in octal: `mode = \"0660\"`",
            );
        }
        bits
    }

    fn peer_users(&mut self) -> PeerUsers {
        PeerUsers {
            uids: self.user_ids("peer-uid", "user", self.rule.peer_uid.as_ref()),
            gids: self.user_ids("peer-gid", "group", self.rule.peer_gid.as_ref()),
        }
    }

    fn user_ids(
        &mut self,
        key: &str,
        of: &str,
        list: Option<&Listing>,
    ) -> Option<std::sync::Arc<[u32]>> {
        let ids = each(list?, self.faults, |word| {
            word.parse::<u32>().map_err(|_| {
                (
                    format!("`{word}` is no {of} id"),
                    format!("write the number: `{key} = [1000]`"),
                )
            })
        });
        Some(ids.into())
    }

    fn groups(&mut self) -> GroupPattern {
        if !self.ops.contains(OpSet::JOIN_GROUP) {
            return GroupPattern::default();
        }
        let rule = self.rule;
        let group = rule
            .top
            .group
            .as_ref()
            .map(|list| ends::multicast_groups(list, rule, self.faults));
        // What the family's own keys speak of is judged by them.
        let own = self.families.as_ref().is_some_and(|families| {
            families
                .iter()
                .all(|family| matches!(family, Family::Netlink | Family::Packet))
        });
        if group.is_none() && !rule.deny && !own {
            self.fault(
                None,
                "`join-group` without `group`",
                "say which: `group = [\"239.1.1.1\"]`, or `[\"*\"]` for all",
            );
        }
        let interfaces = |list: &Listing, faults: &mut Vec<Fault>| {
            each(list, faults, |word| {
                NamePattern::parse(word).map_err(|problem| {
                    (
                        format!("the interface `{word}` {problem}"),
                        "write `eth0` or `eth*`".to_owned(),
                    )
                })
            })
        };
        GroupPattern {
            group,
            source: rule
                .source
                .as_ref()
                .map(|list| ends::networks(list, self.faults)),
            interface: rule
                .interface
                .as_ref()
                .map(|list| interfaces(list, self.faults)),
        }
    }
}
