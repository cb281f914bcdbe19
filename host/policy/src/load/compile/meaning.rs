//! Faults about operations and keys that have no meaning in a rule.

use super::super::rule::{Listing, Rule, Span};
use super::Compiler;
use crate::kind::{Family, SocketType};
use crate::model::OpSet;

impl Compiler<'_> {
    /// Faults about operations that such sockets do not have.
    pub(super) fn check_kind(&mut self) {
        let only = |types: &Option<Vec<SocketType>>, socket_type| {
            types
                .as_ref()
                .is_some_and(|types| types.iter().all(|known| *known == socket_type))
        };
        let at = |rule: &Rule| rule.socket_type.as_ref().and_then(|list| list.at.clone());
        if self.ops.contains(OpSet::LISTEN) && only(&self.types, SocketType::Datagram) {
            self.fault(
                at(self.rule),
                "datagram sockets do not listen",
                "grant `bind`, `receive` and `reply`",
            );
        }
        let datagram_ops = self.ops & (OpSet::SEND_TO | OpSet::RECEIVE | OpSet::REPLY);
        if only(&self.types, SocketType::Stream)
            && !datagram_ops.is_empty()
            && self.ops == datagram_ops
        {
            self.fault(
                at(self.rule),
                "streams have no datagrams to send or receive",
                "`connect` and `listen` carry sending and receiving on streams",
            );
        }
        if self.ops.contains(OpSet::JOIN_GROUP) && self.only_family(Family::Unix) {
            self.fault(None, "Unix sockets join no groups", "take `join-group` out");
        }
        if self.families.as_ref().is_some_and(|families| {
            families.contains(&Family::Netlink) && families.len() > 1 && !self.rule.deny
        }) {
            self.fault(
                self.rule.family.as_ref().and_then(|list| list.at.clone()),
                "family `netlink` beside others",
                "write a rule of its own for it: its protocols and keys mean nothing elsewhere",
            );
        }
        let unix_ops = OpSet::DESCRIPTOR_SEND | OpSet::DESCRIPTOR_RECEIVE | OpSet::SOCKETPAIR;
        if self.ops.intersects(unix_ops) && !self.may_be(Family::Unix) {
            let names: Vec<&str> = (self.ops & unix_ops).names().collect();
            self.fault(
                self.rule.family.as_ref().and_then(|list| list.at.clone()),
                format!("`{}` is for Unix sockets", names.join("`, `")),
                "write a rule with `family = [\"unix\"]`",
            );
        }
    }

    /// Faults about a key that has no meaning in this rule.
    pub(super) fn check_keys(&mut self) {
        let rule = self.rule;
        let descriptors = OpSet::DESCRIPTOR_SEND | OpSet::DESCRIPTOR_RECEIVE;
        let at = |list: &Option<Listing>| list.as_ref().map(|list| list.at.clone());
        let makes_names = self.ops.intersects(OpSet::LOCAL_KIND);
        let has_path = [Some(&rule.top), rule.local.as_ref(), rule.peer.as_ref()]
            .into_iter()
            .flatten()
            .any(|ends| ends.path.is_some() || ends.any);
        let has_host = self.host_lists().next().is_some();
        let users_fit = !rule.deny
            && self.only_family(Family::Unix)
            && self.ops.intersects(OpSet::CONNECT | OpSet::LISTEN);
        let users_help =
            "it goes with `connect` or `listen` in an allow rule with `family = [\"unix\"]`";
        let checks: [(&str, Option<Span>, bool, &str); 11] = [
            (
                "kinds",
                at(&rule.kinds),
                self.ops.intersects(descriptors),
                "it goes with `descriptor-send` and `descriptor-receive`",
            ),
            (
                "ioctl",
                at(&rule.ioctl),
                self.ops.contains(OpSet::IOCTL),
                "it goes with the operation `ioctl`",
            ),
            (
                "source",
                at(&rule.source),
                self.ops.contains(OpSet::JOIN_GROUP),
                "it goes with `join-group`",
            ),
            (
                "interface",
                at(&rule.interface),
                self.ops.contains(OpSet::JOIN_GROUP) || self.has_key("interface"),
                "it goes with `join-group`, and with the families `can` and `packet`",
            ),
            (
                "mode",
                rule.mode.as_ref().map(|text| text.at.clone()),
                makes_names && has_path,
                "it goes with `bind` or `listen` on a `path`",
            ),
            (
                "replace-stale",
                rule.replace_stale.as_ref().map(|flag| flag.at.clone()),
                makes_names && has_path,
                "it goes with `bind` or `listen` on a `path`",
            ),
            (
                "host-may-be",
                at(&rule.host_may_be),
                has_host && !rule.deny,
                "it goes with `host` in an allow rule",
            ),
            (
                "pin",
                rule.pin.as_ref().map(|text| text.at.clone()),
                has_host && !rule.deny,
                "it goes with `host` in an allow rule",
            ),
            (
                "limits",
                rule.limits.as_ref().map(|(_, at)| at.clone()),
                !rule.deny,
                "it goes with an allow rule: what is denied needs no limit",
            ),
            ("peer-uid", at(&rule.peer_uid), users_fit, users_help),
            ("peer-gid", at(&rule.peer_gid), users_fit, users_help),
        ];
        for (name, at, fits, help) in checks {
            if let Some(at) = at.filter(|_| !fits) {
                self.fault(at, format!("`{name}` has no meaning in this rule"), help);
            }
        }
        if rule.deny {
            return self.check_denied_uses();
        }
        if self.ops.intersects(descriptors) && rule.kinds.is_none() {
            self.fault(
                None,
                "the rule does not say which descriptors",
                "add `kinds = [\"socket\"]` or `kinds = [\"opaque\"]`",
            );
        }
        if self.ops.contains(OpSet::IOCTL) && rule.ioctl.is_none() {
            self.fault(
                None,
                "the rule does not say which requests",
                "add `ioctl = [\"bytes-readable\"]`",
            );
        }
    }

    fn check_denied_uses(&mut self) {
        let rule = self.rule;
        let host = self.host_lists().next().map(|list| list.at.clone());
        let mut more = !self.ops.difference(OpSet::RESOLVE).is_empty();
        for (name, list) in [
            ("options", &rule.get),
            ("options", &rule.set),
            ("ancillary", &rule.ancillary_send),
            ("ancillary", &rule.ancillary_receive),
            ("flags", &rule.flags),
        ] {
            more |= list.is_some();
            if let (Some(list), true) = (list, rule.ops.is_some()) {
                self.fault(
                    list.at.clone(),
                    format!("`{name}` beside `ops` in a deny rule"),
                    "write two rules: one that denies the operations, one that denies their use",
                );
            }
        }
        if let Some(at) = host.filter(|_| more) {
            self.fault(
                at,
                "`host` in a deny rule acts on `resolve` alone",
                "write a rule of its own for it, with `ops = [\"resolve\"]`, and deny addresses by `cidr`",
            );
        }
    }
}
