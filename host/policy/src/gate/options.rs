//! Judgements on what else is done to a socket: options, groups, descriptors, ioctls.

use std::borrow::Cow;
use std::time::Instant;

use super::{Gate, Pins, Verdict};
use crate::denial::{Denial, Reason};
use crate::facts::{Origin, SocketFacts};
use crate::family::Membership;
use crate::judge::{self, Ask, End, Grant, What};
use crate::message::{DescriptorKind, DescriptorKinds};
use crate::model::{OpSet, Policy};
use crate::option::{ALWAYS_READABLE, MEMBERSHIP_OPTIONS, OptionName, OptionsSet};
use crate::permit::{GroupRequest, IoctlName, Operation, Permit, op};

/// The operations that can have made the socket what it is: a rule for others has no say in it.
fn made_by(s: &SocketFacts) -> OpSet {
    match s.origin {
        Origin::Socket => OpSet::MAKING - OpSet::SOCKETPAIR,
        Origin::Accept => OpSet::LISTEN,
        Origin::Pair => OpSet::SOCKETPAIR,
    }
}

/// A question about an option: any rule that is about the socket and lists it will do. What is not known
/// of the socket's addresses is left open; what is known has to be covered.
fn option_ask(s: &SocketFacts, what: What) -> Ask<'_> {
    let mut ask = Ask {
        // Those that were set before say nothing about the next.
        options: Cow::Owned(OptionsSet::new()),
        denied_by: OpSet::empty(),
        ..Ask::socket(made_by(s), s)
    };
    if s.local.is_none() || s.origin == Origin::Pair {
        ask.local = End::Open;
    }
    if s.origin == Origin::Pair {
        ask.peer = End::Open;
    }
    ask.expired_pins = true;
    ask.granted = false;
    ask.about(what)
}

impl Gate {
    /// getsockopt(2).
    ///
    /// # Errors
    /// No rule about the socket lists the option in `options.get`, or a deny rule does.
    pub fn get_option(
        &self,
        s: &SocketFacts,
        option: OptionName,
    ) -> Result<Permit<op::GetOption>, Denial> {
        let ask = option_ask(s, What::GetOption(option));
        let verdict = if ALWAYS_READABLE.contains(&option) {
            self.always(op::GetOption::NAME, ask)?
        } else {
            self.judge(op::GetOption::NAME, ask)?
        };
        Ok(verdict.bare_permit(option))
    }

    /// setsockopt(2) with these bytes. Once it succeeded the host [remembers](crate::OptionsSet::remember)
    /// it, and every later bind, connect, listen and send-to needs a rule that lists it too.
    ///
    /// # Errors
    /// No rule about the socket lists the option (with this value) in `options.set`, or a deny rule does.
    pub fn set_option(
        &self,
        s: &SocketFacts,
        option: OptionName,
        value: &[u8],
    ) -> Result<Permit<op::SetOption>, Denial> {
        let ask = option_ask(s, What::SetOption(option, Some(value.to_vec())));
        if MEMBERSHIP_OPTIONS.contains(&option) {
            return Err(self.refuse(op::SetOption::NAME, ask));
        }
        let verdict = if option.needs_no_listing(s.kind) {
            self.always(op::SetOption::NAME, ask)?
        } else {
            self.judge(op::SetOption::NAME, ask)?
        };
        Ok(verdict.bare_permit(option))
    }

    /// setsockopt(2) with an option that takes up or gives up a membership: what it brings must be covered
    /// by a rule that grants the socket its place (`bind`, `receive` for packet sockets, or `join-group`).
    /// It needs no listing in `options`, and later verdicts do not depend on it.
    ///
    /// # Errors
    /// No such rule covers it, or a deny rule forbids it or the option.
    pub fn set_membership(
        &self,
        s: &SocketFacts,
        option: OptionName,
        membership: &Membership,
    ) -> Result<Permit<op::SetOption>, Denial> {
        self.always(
            op::SetOption::NAME,
            option_ask(s, What::SetOption(option, None)),
        )?;
        let place = match membership {
            Membership::NetlinkGroup(_) => OpSet::BIND | OpSet::JOIN_GROUP,
            Membership::Frames { .. } => OpSet::BIND | OpSet::RECEIVE | OpSet::JOIN_GROUP,
        };
        let ask = Ask {
            ops: place,
            denied_by: place,
            ..option_ask(s, What::Membership(option, Box::new(membership.part())))
        };
        Ok(self.judge(op::SetOption::NAME, ask)?.bare_permit(option))
    }

    /// Granted unless a deny rule forbids it.
    fn always(&self, operation: &'static str, ask: Ask<'_>) -> Result<Verdict, Denial> {
        self.judge_by(operation, ask, |policy, ask, _| {
            match judge::forbidding(policy, ask) {
                Some(clause) => Err(Reason::Rule(clause.id.clone())),
                None => Ok(Grant::without_rule("(always)")),
            }
        })
    }

    /// Joining a multicast group.
    ///
    /// # Errors
    /// No rule grants `join-group` for it, or a deny rule forbids it.
    pub fn join_group(
        &self,
        s: &SocketFacts,
        request: &GroupRequest,
    ) -> Result<Permit<op::JoinGroup>, Denial> {
        let request = GroupRequest {
            group: request.group.to_canonical(),
            source: request.source.map(|source| source.to_canonical()),
            interface: request.interface.clone(),
        };
        let mut ask = Ask::socket(OpSet::JOIN_GROUP, s).about(What::Group(request.clone()));
        ask.granted = false;
        Ok(self.judge(op::JoinGroup::NAME, ask)?.bare_permit(request))
    }

    /// Sending a descriptor over the socket.
    ///
    /// # Errors
    /// No rule grants `descriptor-send` of that kind on the socket, or a deny rule forbids it.
    pub fn descriptor_send(
        &self,
        s: &SocketFacts,
        kind: DescriptorKind,
    ) -> Result<Permit<op::DescriptorSend>, Denial> {
        let verdict =
            self.judge_descriptor(op::DescriptorSend::NAME, OpSet::DESCRIPTOR_SEND, s, kind)?;
        Ok(verdict.bare_permit(DescriptorKinds::from(kind)))
    }

    /// Accepting a descriptor over the socket. A refused one is closed.
    ///
    /// # Errors
    /// No rule grants `descriptor-receive` of that kind on the socket, or a deny rule forbids it.
    pub fn descriptor_receive(
        &self,
        s: &SocketFacts,
        kind: DescriptorKind,
    ) -> Result<Permit<op::DescriptorReceive>, Denial> {
        let verdict = self.judge_descriptor(
            op::DescriptorReceive::NAME,
            OpSet::DESCRIPTOR_RECEIVE,
            s,
            kind,
        )?;
        Ok(verdict.bare_permit(DescriptorKinds::from(kind)))
    }

    fn judge_descriptor(
        &self,
        operation: &'static str,
        op: OpSet,
        s: &SocketFacts,
        kind: DescriptorKind,
    ) -> Result<Verdict, Denial> {
        let via = made_by(s);
        let mut ask = Ask {
            via,
            ..Ask::socket(op, s).about(What::Descriptor(kind))
        };
        if s.origin == Origin::Pair {
            (ask.local, ask.peer) = (End::Open, End::Open);
        }
        self.judge_by(operation, ask, verdict_on_descriptor)
            .map(|verdict| self.noted(verdict))
    }

    /// connect(2) with AF_UNSPEC, which drops the peer.
    ///
    /// # Errors
    /// No rule grants `disconnect` on the socket, or a deny rule forbids it.
    pub fn disconnect(&self, s: &SocketFacts) -> Result<Permit<op::Disconnect>, Denial> {
        let ask = Ask {
            granted: false,
            expired_pins: true,
            ..Ask::socket(OpSet::DISCONNECT, s)
        };
        Ok(self.judge(op::Disconnect::NAME, ask)?.bare_permit(()))
    }

    /// Moving data from one socket to another inside the host. Both need the grant.
    ///
    /// # Errors
    /// No rule grants `splice` on one of them, or a deny rule forbids it.
    pub fn splice(
        &self,
        from: &SocketFacts,
        to: &SocketFacts,
    ) -> Result<Permit<op::Splice>, Denial> {
        let ask = |s| Ask {
            granted: false,
            expired_pins: true,
            ..Ask::socket(OpSet::SPLICE, s)
        };
        self.judge(op::Splice::NAME, ask(from))?;
        Ok(self.judge(op::Splice::NAME, ask(to))?.bare_permit(()))
    }

    /// ioctl(2), by the request's name.
    ///
    /// # Errors
    /// No rule grants `ioctl` with that name on the socket, or a deny rule forbids it.
    pub fn ioctl(&self, s: &SocketFacts, name: &str) -> Result<Permit<op::Ioctl>, Denial> {
        let name = IoctlName(name.into());
        let mut ask = Ask::socket(OpSet::IOCTL, s).about(What::Ioctl(name.0.clone()));
        (ask.granted, ask.expired_pins) = (false, true);
        Ok(self.judge(op::Ioctl::NAME, ask)?.bare_permit(name))
    }
}

fn verdict_on_descriptor(policy: &Policy, ask: &Ask<'_>, pins: &Pins) -> Result<Grant, Reason> {
    if let Some(clause) = judge::forbidding(policy, ask) {
        return Err(Reason::Rule(clause.id.clone()));
    }
    let clause = judge::descriptor_rule(policy, ask, pins, Instant::now).ok_or(Reason::NoRule)?;
    Ok(Grant::without_rule(clause.id.as_str()))
}
