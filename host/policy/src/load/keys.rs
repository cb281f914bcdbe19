//! The keys of a policy, with what each takes: what the reader knows, and what the schema for editors tells.

use super::vocabulary;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `1`.
    Version,
    /// A text.
    Text(Words),
    /// A list of texts; numbers count as texts.
    List(Words),
    /// `true` or `false`.
    Flag,
    /// A table of address keys, or `"*"`.
    Ends,
    /// A table with two lists.
    Lists([&'static str; 2], Words),
    /// A table of limits.
    Limits,
    /// Named lists of networks.
    Groups,
    /// Rules that grant.
    Allow,
    /// Rules that forbid.
    Deny,
}

/// Which words a text may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words {
    /// Any.
    Any,
    /// One of these.
    Known(fn() -> Vec<String>),
    /// One of these, or another one of a form that the loader checks.
    Among(fn() -> Vec<String>),
}

/// A key with what it takes and what it says.
#[derive(Debug)]
pub(crate) struct KeyOf {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) says: &'static str,
}

const fn key(name: &'static str, form: Form, says: &'static str) -> KeyOf {
    KeyOf { name, form, says }
}

const LIST: Form = Form::List(Words::Any);

/// The keys at the top of a file.
pub(crate) const TOP: &[KeyOf] = &[
    key(
        "version",
        Form::Version,
        "The version of the language. Required.",
    ),
    key(
        "include",
        LIST,
        "Further files whose rules, groups and settings belong to this policy, beside this file or in folders beside it.",
    ),
    key(
        "mode",
        Form::Text(Words::Known(vocabulary::modes)),
        "What happens to what lacks a grant: it is denied (`enforce`), or let through and written down. Deny rules and limits always hold.",
    ),
    key(
        "on-reload",
        Form::Text(Words::Known(vocabulary::on_reload)),
        "What happens on a reload to connections that lose their grant.",
    ),
    key(
        "reveal",
        Form::Flag,
        "Whether the guest may ask why it was refused.",
    ),
    key(
        "limits",
        Form::Limits,
        "What the guest may hold, and how fast.",
    ),
    key(
        "groups",
        Form::Groups,
        "Named lists of networks, for `group`.",
    ),
    key("allow", Form::Allow, "Rules that grant."),
    key(
        "deny",
        Form::Deny,
        "Rules that forbid, whatever others grant.",
    ),
];

/// The keys of a rule, without those of addresses and families.
pub(crate) const RULE: &[KeyOf] = &[
    key(
        "id",
        Form::Text(Words::Any),
        "What denials and logs call the rule. Required, unique.",
    ),
    key(
        "family",
        Form::List(Words::Known(vocabulary::family_names)),
        "Address families. Absent in an allow rule: inet, inet6 and unix; in a deny rule: all.",
    ),
    key(
        "type",
        Form::List(Words::Known(vocabulary::type_names)),
        "Socket types. Absent: any.",
    ),
    key(
        "protocol",
        Form::List(Words::Among(vocabulary::protocol_names)),
        "Protocols by name or number. Absent: any but those that have to be named.",
    ),
    key(
        "ops",
        Form::List(Words::Known(vocabulary::operation_names)),
        "Operations. Required in an allow rule; a deny rule without it forbids all.",
    ),
    key(
        "local",
        Form::Ends,
        "The local address, where the rule is about both ends.",
    ),
    key(
        "peer",
        Form::Ends,
        "The peer's address, where the rule is about both ends.",
    ),
    key(
        "host-may-be",
        Form::List(Words::Known(vocabulary::class_names)),
        "Classes besides global that the rule's hosts may resolve to.",
    ),
    key(
        "pin",
        Form::Text(Words::Any),
        "How long a resolved address stays granted: `30s`, `5m` (the default), at most a day.",
    ),
    key(
        "options",
        Form::Lists(["get", "set"], Words::Among(vocabulary::option_names)),
        "Socket options: `so.keepalive`, `so.bindtodevice=eth0`, `tcp.*`, `*`, or Linux's numbers: `6/1`.",
    ),
    key(
        "ancillary",
        Form::Lists(
            ["send", "receive"],
            Words::Among(vocabulary::ancillary_names),
        ),
        "Ancillary data by name, or by Linux's numbers: `1/29`.",
    ),
    key(
        "flags",
        Form::List(Words::Known(vocabulary::flag_names)),
        "Message flags.",
    ),
    key(
        "kinds",
        Form::List(Words::Known(vocabulary::descriptor_names)),
        "Descriptors that `descriptor-send` and `descriptor-receive` are about.",
    ),
    key("source", LIST, "With `join-group`: senders."),
    key(
        "interface",
        LIST,
        "With `join-group`, and for the families can and packet: interfaces.",
    ),
    key(
        "ioctl",
        Form::List(Words::Known(vocabulary::ioctl_names)),
        "With the operation `ioctl`: its requests.",
    ),
    key(
        "mode",
        Form::Text(Words::Any),
        "The permission bits of a bound path, in octal: `0660`.",
    ),
    key(
        "replace-stale",
        Form::Flag,
        "Whether bind may replace a socket file that nobody listens on.",
    ),
    key(
        "limits",
        Form::Limits,
        "What goes by this rule may be no more than this.",
    ),
    key(
        "peer-uid",
        LIST,
        "User ids that the other side of a Unix connection may have.",
    ),
    key(
        "peer-gid",
        LIST,
        "Group ids that the other side of a Unix connection may have.",
    ),
];

/// The keys of an address, at the top of a rule and in `local` and `peer`, without those of families.
pub(crate) const ADDRESS: &[KeyOf] = &[
    key("cidr", LIST, "Networks, single IP addresses, or `*`."),
    key(
        "host",
        LIST,
        "Host names, `*.example.com` (one or more labels before it), or `*`.",
    ),
    key(
        "class",
        Form::List(Words::Known(vocabulary::class_names)),
        "Classes of IP addresses.",
    ),
    key(
        "group",
        LIST,
        "Lists of `[groups]`; with `join-group` multicast groups as well.",
    ),
    key(
        "port",
        LIST,
        "Ports and ranges of them: `443`, `8000-9000`, `*`.",
    ),
    key(
        "path",
        LIST,
        "Unix paths, as globs beneath `root`, or absolute: `*` stays within one part, `**` crosses them.",
    ),
    key(
        "abstract",
        LIST,
        "Abstract Unix names, as globs without the leading `@`; `auto` grants autobind.",
    ),
    key("unnamed", Form::Flag, "`true`: a Unix peer without a name."),
    key(
        "root",
        Form::Text(Words::Any),
        "The directory that `path` lies beneath; a relative one begins beside the policy file.",
    ),
];

/// Whether a key is one of a table.
pub(super) fn is_one_of(table: &[KeyOf], name: &str) -> bool {
    table.iter().any(|key| key.name == name)
}

/// The names of a table.
pub(super) fn names(table: &'static [KeyOf]) -> impl Iterator<Item = &'static str> + Clone {
    table.iter().map(|key| key.name)
}
