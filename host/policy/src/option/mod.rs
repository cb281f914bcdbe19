//! Socket options: one table from names to Linux's numbers, and the options that a guest has set so far.
//! See socket(7), ip(7), ipv6(7), tcp(7), udp(7).

use std::fmt;

use crate::kind::{Family, Kind, SocketType};

mod table;

pub(crate) use table::ValueForm;
use table::{
    KnownOption, OPTIONS, SOL_ALG, SOL_IP, SOL_IPV6, SOL_NETLINK, SOL_PACKET, SOL_SOCKET, SOL_TCP,
};

/// A socket option by Linux's numbers, as getsockopt(2) takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptionName {
    /// The level: 1 (socket), 0 (ip), 41 (ipv6), 6 (tcp), 17 (udp), ...
    pub level: i32,
    /// The option's number within its level.
    pub name: i32,
}

/// Names of options whose numbers mean something else on other sockets: Bluetooth's protocols count their levels
/// as IP does. A rule for Bluetooth means its own.
const HOMONYMS: &[(&str, OptionName, Kind)] = &[
    homonym("hci.data-dir", 0, 1, BTPROTO_HCI),
    homonym("hci.filter", 0, 2, BTPROTO_HCI),
    homonym("hci.time-stamp", 0, 3, BTPROTO_HCI),
    homonym("l2cap.options", 6, 1, BTPROTO_L2CAP),
    homonym("l2cap.conninfo", 6, 2, BTPROTO_L2CAP),
    homonym("l2cap.lm", 6, 3, BTPROTO_L2CAP),
    homonym("sco.options", 17, 1, BTPROTO_SCO),
    homonym("sco.conninfo", 17, 2, BTPROTO_SCO),
];

const BTPROTO_L2CAP: u32 = 0;
const BTPROTO_HCI: u32 = 1;
const BTPROTO_SCO: u32 = 2;

const fn homonym(
    readable: &'static str,
    level: i32,
    name: i32,
    protocol: u32,
) -> (&'static str, OptionName, Kind) {
    let kind = Kind {
        family: Family::Bluetooth,
        // Not looked at: the protocol says it all.
        socket_type: SocketType::Raw,
        protocol,
    };
    (readable, OptionName::new(level, name), kind)
}

/// Always readable: they tell a guest only what it asked for itself.
pub(crate) const ALWAYS_READABLE: &[OptionName] = &[
    OptionName::new(SOL_SOCKET, 3),
    OptionName::new(SOL_SOCKET, 4),
    OptionName::new(SOL_SOCKET, 30),
    OptionName::new(SOL_SOCKET, 38),
    OptionName::new(SOL_SOCKET, 39),
];

/// SO_REUSEADDR, which `listen` carries on streams.
pub(crate) const REUSEADDR: OptionName = OptionName::new(SOL_SOCKET, 2);
/// TCP_NODELAY, always settable.
pub(crate) const NODELAY: OptionName = OptionName::new(SOL_TCP, 1);
/// IPV6_V6ONLY: its effect is judged with the local address, see `Gate::dual_stack`.
pub(crate) const V6ONLY: OptionName = OptionName::new(SOL_IPV6, 26);

/// IP_HDRINCL and IPV6_HDRINCL, which `header-include = true` carries.
pub(crate) const IP_HDRINCL: OptionName = OptionName::new(SOL_IP, 3);
pub(crate) const IPV6_HDRINCL: OptionName = OptionName::new(SOL_IPV6, 36);
pub(crate) const HEADER_OPTIONS: &[OptionName] = &[IP_HDRINCL, IPV6_HDRINCL];

/// Options that take up and give up memberships, judged by [`Gate::set_membership`](crate::Gate).
pub(crate) const MEMBERSHIP_OPTIONS: &[OptionName] = &[
    OptionName::new(SOL_NETLINK, 1),
    OptionName::new(SOL_NETLINK, 2),
    OptionName::new(SOL_PACKET, 1),
    OptionName::new(SOL_PACKET, 2),
];
/// Options that belong to an algorithm's address as a password to a name: who may bind there may set them.
const OF_ALGORITHMS: &[OptionName] = &[OptionName::new(SOL_ALG, 1), OptionName::new(SOL_ALG, 5)];

/// Longest value that is kept for comparing; a longer one never equals a value that a rule names.
const LONGEST_VALUE: usize = 256;

impl OptionName {
    /// An option by level and number.
    #[must_use]
    pub const fn new(level: i32, name: i32) -> OptionName {
        OptionName { level, name }
    }

    /// The option that a policy names: `so.keepalive`, or by numbers `6/1`.
    #[must_use]
    pub fn from_policy_name(text: &str) -> Option<OptionName> {
        if let Some(known) = OPTIONS.iter().find(|known| known.readable == text) {
            return Some(known.option);
        }
        if let Some((_, option, _)) = HOMONYMS.iter().find(|(readable, ..)| *readable == text) {
            return Some(*option);
        }
        let (level, name) = text.split_once('/')?;
        Some(OptionName::new(level.parse().ok()?, name.parse().ok()?))
    }

    /// Every option that has a readable name, with that name. Bluetooth's protocols count their levels as IP
    /// does, so that some numbers come twice.
    pub fn named() -> impl Iterator<Item = (&'static str, OptionName)> {
        let homonyms = HOMONYMS.iter();
        OPTIONS
            .iter()
            .map(|known| (known.readable, known.option))
            .chain(homonyms.map(|(readable, option, _)| (*readable, *option)))
    }

    /// Whether it is always settable on such sockets, unless a deny rule says otherwise. The numbers are other
    /// options elsewhere.
    pub(crate) fn needs_no_listing(self, kind: Kind) -> bool {
        match kind.family {
            Family::Alg => OF_ALGORITHMS.contains(&self),
            _ => kind.has_ip_addresses() && (self == NODELAY || self == V6ONLY),
        }
    }

    /// The name that the option has on a socket of this kind: `l2cap.options` where it is `tcp.nodelay`
    /// elsewhere.
    #[must_use]
    pub fn on(self, kind: Kind) -> OptionOn {
        OptionOn { option: self, kind }
    }

    /// The level that a name such as `sctp` in `sctp.*` stands for.
    pub(crate) fn level_named(level: &str) -> Option<i32> {
        OptionName::named()
            .find(|(readable, _)| {
                readable
                    .strip_prefix(level)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
            .map(|(_, option)| option.level)
    }

    pub(crate) fn known(self) -> Option<&'static KnownOption> {
        OPTIONS.iter().find(|known| known.option == self)
    }
}

impl fmt::Display for OptionName {
    /// The readable name, or `level/name` in numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(known) => f.write_str(known.readable),
            None => write!(f, "{}/{}", self.level, self.name),
        }
    }
}

/// An option on a socket of one kind, for showing it.
#[derive(Clone, Copy, Debug)]
pub struct OptionOn {
    option: OptionName,
    kind: Kind,
}

impl fmt::Display for OptionOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = HOMONYMS.iter().find(|(_, option, kind)| {
            *option == self.option
                && (kind.family, kind.protocol) == (self.kind.family, self.kind.protocol)
        });
        match own {
            Some((readable, ..)) => f.write_str(readable),
            None => self.option.fmt(f),
        }
    }
}

/// The options that a guest has set on one socket so far, each with its latest value.
///
/// Every later bind, connect, listen and send-to has to be granted by a rule that lists all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionsSet(Vec<(OptionName, Option<Box<[u8]>>)>);

impl OptionsSet {
    /// No option set yet.
    #[must_use]
    pub fn new() -> OptionsSet {
        OptionsSet::default()
    }

    /// Records that the guest set `option` to `value` (the bytes given to setsockopt(2)).
    pub fn remember(&mut self, option: OptionName, value: &[u8]) {
        let value = (value.len() <= LONGEST_VALUE).then(|| value.into());
        match self.0.iter_mut().find(|(known, _)| *known == option) {
            Some((_, latest)) => *latest = value,
            None => self.0.push((option, value)),
        }
    }

    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each option with its latest value; `None` for a value too long to be compared.
    pub fn iter(&self) -> impl Iterator<Item = (OptionName, Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(option, value)| (*option, value.as_deref()))
    }
}

#[cfg(test)]
mod tests;
