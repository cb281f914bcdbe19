//! Judgements on names: of hosts, interfaces and the machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{Gate, NoPins};
use crate::denial::Denial;
use crate::judge::{self, Ask, What};
use crate::model::{Clause, OpSet, Policy, fold};
use crate::permit::{HostName, Operation, Permit, op};

/// Whether the policy lets the folded name be resolved.
pub(crate) fn resolves(policy: &Policy, name: &str) -> bool {
    let ask = Ask::socketless(OpSet::RESOLVE, What::Host(name.into()));
    judge::judge(policy, &ask, &NoPins, Instant::now).is_ok()
}

impl Gate {
    /// getaddrinfo(3) for a name; numbers and the null host need no grant and never come here. The permit's
    /// subject is what the host looks up, as an absolute name.
    ///
    /// # Errors
    /// No rule grants `resolve` for the name, or a deny rule forbids it.
    pub fn resolve(&self, host: &[u8]) -> Result<Permit<op::Resolve>, Denial> {
        match fold(host) {
            Ok(folded) => {
                let name: Arc<str> = folded.into();
                let ask = Ask::socketless(OpSet::RESOLVE, What::Host(name.clone()));
                Ok(self
                    .judge(op::Resolve::NAME, ask)?
                    .bare_permit(HostName(name)))
            }
            Err(_) => {
                let shown = String::from_utf8_lossy(&host[..host.len().min(256)]).into();
                Err(self.refuse(
                    op::Resolve::NAME,
                    Ask::socketless(OpSet::RESOLVE, What::Host(shown)),
                ))
            }
        }
    }

    /// Pins what a name resolved to, and tells which of the answers the guest may see: special classes
    /// (anything but global) only where `host-may-be` accepts them, none that a deny rule forbids, and
    /// only families that a rule for the name lists. A permit that no longer [holds](Permit::holds) pins
    /// nothing.
    #[must_use]
    pub fn pin(&self, permit: &Permit<op::Resolve>, answers: &[IpAddr]) -> Vec<IpAddr> {
        self.pin_at(permit, answers, Instant::now())
    }

    pub(crate) fn pin_at(
        &self,
        permit: &Permit<op::Resolve>,
        answers: &[IpAddr],
        now: Instant,
    ) -> Vec<IpAddr> {
        let (in_force, generation) = self.snapshot();
        let policy = &in_force.policy;
        if permit.generation() != generation {
            return Vec::new();
        }
        let name = &permit.subject().0;
        let clauses: Vec<&Clause> = policy
            .allow
            .all()
            .iter()
            .filter(|clause| clause.names_host(name))
            .collect();
        let unguarded = permit.unguarded().is_some();
        let mut seen: Vec<IpAddr> = Vec::new();
        for ip in answers.iter().map(IpAddr::to_canonical) {
            let accepted = unguarded || clauses.iter().any(|clause| clause.accepts_answer(ip));
            if !accepted || seen.contains(&ip) || denies_answer(policy, ip) {
                continue;
            }
            self.0.pins.add(name, ip, now);
            if permit
                .unguarded()
                .is_some_and(|denial| denial.entry().is_some())
            {
                self.0.notebook.answered(name, ip);
            }
            seen.push(ip);
        }
        seen
    }

    /// getnameinfo(3) for an address.
    ///
    /// # Errors
    /// No rule grants `reverse-resolve` for it, or a deny rule forbids it.
    pub fn reverse_resolve(&self, ip: IpAddr) -> Result<Permit<op::ReverseResolve>, Denial> {
        let ip = ip.to_canonical();
        let ask = Ask::socketless(OpSet::REVERSE_RESOLVE, What::Ip(ip));
        Ok(self.judge(op::ReverseResolve::NAME, ask)?.bare_permit(ip))
    }

    /// if_nameindex(3) and its kin.
    ///
    /// # Errors
    /// No rule grants `interfaces`, or a deny rule forbids it.
    pub fn interfaces(&self) -> Result<Permit<op::Interfaces>, Denial> {
        let ask = Ask::socketless(OpSet::INTERFACES, What::Nothing);
        Ok(self.judge(op::Interfaces::NAME, ask)?.bare_permit(()))
    }

    /// gethostname(2).
    ///
    /// # Errors
    /// No rule grants `hostname`, or a deny rule forbids it.
    pub fn hostname(&self) -> Result<Permit<op::Hostname>, Denial> {
        let ask = Ask::socketless(OpSet::HOSTNAME, What::Nothing);
        Ok(self.judge(op::Hostname::NAME, ask)?.bare_permit(()))
    }

    /// sethostname(2).
    ///
    /// # Errors
    /// No rule grants `set-hostname`, or a deny rule forbids it.
    pub fn set_hostname(&self, name: &[u8]) -> Result<Permit<op::SetHostname>, Denial> {
        let ask = Ask::socketless(OpSet::SET_HOSTNAME, What::Hostname(name.to_vec()));
        Ok(self
            .judge(op::SetHostname::NAME, ask)?
            .bare_permit(name.to_vec()))
    }
}

/// Whether a deny rule forbids every conversation with the address, whatever the port: the guest need
/// not see it then.
fn denies_answer(policy: &Policy, ip: IpAddr) -> bool {
    policy.deny.all().iter().any(|clause| {
        let addresses = [clause.peer.as_ref(), clause.either.as_ref()];
        let whole = clause.ops.contains(OpSet::CONNECT | OpSet::SEND_TO)
            && clause.local.is_none()
            && !clause.uses_only;
        let any_kind = clause.kind.types.is_none() && clause.kind.protocols.is_none();
        let family = if ip.is_ipv4() {
            crate::kind::Family::Inet
        } else {
            crate::kind::Family::Inet6
        };
        let mut given = addresses.into_iter().flatten().peekable();
        whole
            && any_kind
            && clause.kind.lists_family(family)
            && given.peek().is_some()
            && given.all(|pattern| pattern.ports.is_none() && pattern.touches_ip(ip))
    })
}
