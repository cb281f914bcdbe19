//! Why a verdict is what it is, and what would change it.

use std::fmt::Write;

use crate::address::Address;
use crate::denial::Denial;
use crate::judge::{Query, What};
use crate::model::{OpSet, Policy};

impl Query {
    /// The canonical address that the question is about: the peer, else the local one.
    pub(crate) fn address(&self) -> Option<&Address> {
        let local_first = OpSet::LOCAL_KIND.contains(self.denied_by);
        let (first, second) = if local_first { (&self.local, &self.peer) } else { (&self.peer, &self.local) };
        first.address().or(second.address())
    }

    pub(crate) fn subject(&self) -> String {
        match &self.what {
            What::Nothing => self.address().map(ToString::to_string).unwrap_or_default(),
            What::Create => self.kind.map(|kind| kind.to_string()).unwrap_or_default(),
            What::GetOption(option) | What::SetOption(option, _) => option.to_string(),
            What::Host(host) => host.to_string(),
            What::Ip(ip) => ip.to_string(),
            What::Group(request) => request.group.to_string(),
            What::Ioctl(name) => name.to_string(),
            What::Descriptor(kind) => kind.to_string(),
            What::Hostname(name) => String::from_utf8_lossy(name).into_owned(),
        }
    }

    /// `connect to 10.1.2.3:22`, `bind to [::]:80`, `set-option so.mark`.
    pub(crate) fn phrase(&self, operation: &str) -> String {
        let subject = self.subject();
        if subject.is_empty() {
            return operation.to_owned();
        }
        let joint = match (operation, &self.what) {
            ("connect" | "bind" | "reply", What::Nothing) => " to",
            ("converse", What::Nothing) => " with",
            ("listen" | "receive", What::Nothing) => " on",
            _ => "",
        };
        format!("{operation}{joint} {subject}")
    }
}

pub(crate) fn hint(denial: &Denial, query: &Query, _policy: &Policy) -> String {
    let mut text = denial.to_string();
    let _ = write!(text, "; this would: {}", grant_line(query));
    text
}

pub(crate) fn grant_line(query: &Query) -> String {
    format!("--allow '{}'", query.subject())
}
