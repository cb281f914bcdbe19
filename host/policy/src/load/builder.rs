//! Rules and policies made in Rust.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::{Fault, LoadErrors, Origin};
use super::rule::{Ends, Flag, Listing, Rule, Text};
use super::{Settings, assemble, line};
use crate::model::{Limits, Mode, OnReload, Policy};

/// Puts a policy together in Rust; checked like one from a file.
#[derive(Clone, Debug, Default)]
pub struct PolicyBuilder {
    settings: Settings,
    rules: Vec<Rule>,
    base: Option<PathBuf>,
}

impl PolicyBuilder {
    /// Adds a rule that grants.
    #[must_use]
    pub fn allow(mut self, rule: Rule) -> PolicyBuilder {
        self.rules.push(Rule {
            deny: false,
            ..rule
        });
        self
    }

    /// Adds a rule that forbids.
    #[must_use]
    pub fn deny(mut self, rule: Rule) -> PolicyBuilder {
        self.rules.push(Rule { deny: true, ..rule });
        self
    }

    /// What happens to what lacks a grant.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> PolicyBuilder {
        self.settings.mode = Some(mode);
        self
    }

    /// What happens on a reload to sockets that lose their grant.
    #[must_use]
    pub fn on_reload(mut self, on_reload: OnReload) -> PolicyBuilder {
        self.settings.on_reload = Some(on_reload);
        self
    }

    /// Whether the guest may learn why something was denied to it.
    #[must_use]
    pub fn reveal(mut self, reveal: bool) -> PolicyBuilder {
        self.settings.reveal = Some(reveal);
        self
    }

    /// The guest's limits; what they do not say has its default ([`Limits::of_a_guest`]).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> PolicyBuilder {
        self.settings.limits = limits;
        self
    }

    /// The directory that a relative `root` begins at; absolute, `/` if not given.
    #[must_use]
    pub fn base(mut self, base: impl Into<PathBuf>) -> PolicyBuilder {
        self.base = Some(base.into());
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// Everything that is wrong with its rules, at once.
    pub fn build(self) -> Result<Policy, LoadErrors> {
        let origin = Arc::new(Origin::Rust);
        let wrong = self.settings.limits.faults().into_iter();
        let mut faults: Vec<Fault> = wrong
            .map(|(message, help)| Fault::new(None, message, help))
            .collect();
        let base = self.base.unwrap_or_else(|| PathBuf::from("/"));
        let policy = assemble(self.settings, self.rules, &base, &origin, &mut faults);
        LoadErrors::unless_empty(&origin, faults, policy)
    }
}

fn add<'a>(list: &mut Option<Listing>, items: impl IntoIterator<Item = &'a str>) {
    list.get_or_insert_default()
        .items
        .extend(items.into_iter().map(Text::new));
}

impl Rule {
    /// A rule that says nothing yet.
    #[must_use]
    pub fn new(id: &str) -> Rule {
        Rule {
            id: Some(Text::new(id)),
            ..Rule::default()
        }
    }

    fn transport(mut self, word: &str) -> Rule {
        line::apply_transport(&mut self, word, &None);
        self
    }

    /// TCP over IPv4 and IPv6.
    #[must_use]
    pub fn tcp(self) -> Rule {
        self.transport("tcp")
    }

    /// UDP over IPv4 and IPv6.
    #[must_use]
    pub fn udp(self) -> Rule {
        self.transport("udp")
    }

    /// Unix domain sockets of every type.
    #[must_use]
    pub fn unix(self) -> Rule {
        self.transport("unix")
    }

    /// `family`: `inet`, `inet6`, `unix`.
    #[must_use]
    pub fn family(mut self, families: &[&str]) -> Rule {
        add(&mut self.family, families.iter().copied());
        self
    }

    /// `type`: `stream`, `datagram`, `seqpacket`.
    #[must_use]
    pub fn socket_type(mut self, types: &[&str]) -> Rule {
        add(&mut self.socket_type, types.iter().copied());
        self
    }

    /// `ops`: operations by name.
    #[must_use]
    pub fn ops(mut self, ops: &[&str]) -> Rule {
        add(&mut self.ops, ops.iter().copied());
        self
    }

    fn with_address(mut self, op: &str, text: &str, peer: bool) -> Result<Rule, LoadErrors> {
        add(&mut self.ops, [op]);
        let mut faults = Vec::new();
        let ends = if peer {
            &mut self.peer
        } else {
            &mut self.local
        };
        line::address(ends.get_or_insert_default(), &Text::new(text), &mut faults);
        LoadErrors::unless_empty(&Arc::new(Origin::Rust), faults, self)
    }

    /// Grants `connect` to an address: `10.0.0.0/8:443`, `[::1]:80`, `db.example.com:5432`,
    /// `/run/x.sock`, `@name`.
    ///
    /// # Errors
    /// The text is no address.
    pub fn connect(self, peer: &str) -> Result<Rule, LoadErrors> {
        self.with_address("connect", peer, true)
    }

    /// Grants `send-to` an address, written as for [`Rule::connect`].
    ///
    /// # Errors
    /// The text is no address.
    pub fn send_to(self, peer: &str) -> Result<Rule, LoadErrors> {
        self.with_address("send-to", peer, true)
    }

    /// Grants `receive` from an address, written as for [`Rule::connect`].
    ///
    /// # Errors
    /// The text is no address.
    pub fn receive(self, peer: &str) -> Result<Rule, LoadErrors> {
        self.with_address("receive", peer, true)
    }

    /// Grants `bind` to an address, written as for [`Rule::connect`].
    ///
    /// # Errors
    /// The text is no address.
    pub fn bind(self, local: &str) -> Result<Rule, LoadErrors> {
        self.with_address("bind", local, false)
    }

    /// Grants `listen` on an address, written as for [`Rule::connect`].
    ///
    /// # Errors
    /// The text is no address.
    pub fn listen(self, local: &str) -> Result<Rule, LoadErrors> {
        self.with_address("listen", local, false)
    }

    /// Grants `resolve` for host names: `db.example.com`, `*.example.com`.
    #[must_use]
    pub fn resolve(mut self, hosts: &[&str]) -> Rule {
        add(&mut self.ops, ["resolve"]);
        let ends = match &mut self.peer {
            Some(peer) => peer,
            None => &mut self.top,
        };
        add(&mut ends.host, hosts.iter().copied());
        self
    }

    /// `class`, at the top of the rule: `loopback`, `private`, `link-local`, `metadata`, `multicast`,
    /// `broadcast`, `reserved`, `global`.
    #[must_use]
    pub fn class(mut self, classes: &[&str]) -> Rule {
        add(&mut self.top.class, classes.iter().copied());
        self
    }

    /// `cidr`, at the top of the rule: `10.0.0.0/8`, `2001:db8::1`, `*`.
    #[must_use]
    pub fn cidr(mut self, networks: &[&str]) -> Rule {
        add(&mut self.top.cidr, networks.iter().copied());
        self
    }

    /// `port`, at the top of the rule: `80`, `8000-9000`, `*`.
    #[must_use]
    pub fn port(mut self, ports: &[&str]) -> Rule {
        add(&mut self.top.port, ports.iter().copied());
        self
    }

    /// `path` beneath `root`, at the top of the rule.
    #[must_use]
    pub fn path(mut self, root: &str, globs: &[&str]) -> Rule {
        self.top.root = Some(Text::new(root));
        add(&mut self.top.path, globs.iter().copied());
        self
    }

    /// `limits`: what goes by this rule may be no more than this.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Rule {
        self.limits = Some((limits, None));
        self
    }

    /// `host-may-be`: special classes that names of the rule may resolve to.
    #[must_use]
    pub fn host_may_be(mut self, classes: &[&str]) -> Rule {
        add(&mut self.host_may_be, classes.iter().copied());
        self
    }

    /// `options.set`: `so.keepalive`, `so.bindtodevice=eth0`, `6/1`.
    #[must_use]
    pub fn set_options(mut self, options: &[&str]) -> Rule {
        add(&mut self.set, options.iter().copied());
        self
    }

    /// `options.get`.
    #[must_use]
    pub fn get_options(mut self, options: &[&str]) -> Rule {
        add(&mut self.get, options.iter().copied());
        self
    }

    /// `flags`: `oob`, `errqueue`, ...
    #[must_use]
    pub fn flags(mut self, flags: &[&str]) -> Rule {
        add(&mut self.flags, flags.iter().copied());
        self
    }

    /// `ancillary.send`.
    #[must_use]
    pub fn send_ancillary(mut self, kinds: &[&str]) -> Rule {
        add(&mut self.ancillary_send, kinds.iter().copied());
        self
    }

    /// `ancillary.receive`.
    #[must_use]
    pub fn receive_ancillary(mut self, kinds: &[&str]) -> Rule {
        add(&mut self.ancillary_receive, kinds.iter().copied());
        self
    }

    /// `kinds` of descriptors that `descriptor-send` and `descriptor-receive` are about: `socket`, `opaque`.
    #[must_use]
    pub fn descriptors(mut self, kinds: &[&str]) -> Rule {
        add(&mut self.kinds, kinds.iter().copied());
        self
    }

    /// `mode` of a bound path, like `0660`.
    #[must_use]
    pub fn mode(mut self, bits: u32) -> Rule {
        self.mode = Some(Text::new(&format!("{bits:04o}")));
        self
    }

    /// `replace-stale`: a socket that nobody listens on any more may be replaced.
    #[must_use]
    pub fn replace_stale(mut self) -> Rule {
        self.replace_stale = Some(Flag {
            value: true,
            at: None,
        });
        self
    }

    /// `peer = "*"`: every peer.
    #[must_use]
    pub fn any_peer(mut self) -> Rule {
        self.peer = Some(Ends {
            any: true,
            ..Ends::default()
        });
        self
    }
}
