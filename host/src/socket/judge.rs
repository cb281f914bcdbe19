//! From facts to permits: every question to the policy is asked here.
//!
//! A kept verdict is compared with the policy's generation (one relaxed load) and judged again when it
//! differs. A refusal is told to the operator by the guest's audit and to the guest as `acces`.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use sockgate_policy::{
    Address, Carries, Content, Denial, DescriptorKind, Gate, GroupRequest, Membership,
    MessageFlags, OnReload, OptionName, Permit, SocketFacts, op,
};

use super::{Errno, Failure, Inner, Outcome, State, now};
use crate::audit::Event;

impl Inner {
    pub(super) fn event(&self, operation: &'static str) -> Event {
        Event::new(operation).socket(self.number)
    }

    pub(super) fn may_bind(&self, address: &Address) -> Outcome<Permit<op::Bind>> {
        let verdict = self.guest.gate().bind(&self.state().facts, address);
        self.guest
            .decide(verdict, || self.event("bind").address(address.canonical()))
    }

    /// Judges what the kernel made of a bind to port 0 or of an autobind.
    pub(super) fn may_stay_bound(&self, address: &Address) -> Outcome<Permit<op::Bind>> {
        let verdict = self.guest.gate().bound(&self.state().facts, address);
        self.guest
            .decide(verdict, || self.event("bind").address(address.canonical()))
    }

    pub(super) fn may_listen(&self) -> Outcome<Permit<op::Listen>> {
        self.begin()?;
        let state = self.state();
        let verdict = self.guest.gate().listen(&state.facts);
        let local = state.facts.local.clone();
        drop(state);
        self.guest
            .decide(verdict, || self.listening_event("listen", local))
    }

    fn listening_event(&self, operation: &'static str, local: Option<Address>) -> Event {
        match local {
            Some(local) => self.event(operation).address(local),
            None => self.event(operation),
        }
    }

    /// The permit to accept on a socket that listens.
    pub(super) fn may_accept(&self) -> Outcome<Permit<op::Listen>> {
        self.begin()?;
        let mut state = self.state();
        if let Some(permit) = state
            .listen
            .as_ref()
            .filter(|permit| permit.holds(self.guest.gate()))
        {
            return Ok(permit.clone());
        }
        let verdict = self.guest.gate().accepting(&state.facts);
        let local = state.facts.local.clone();
        let permit = self
            .guest
            .decide(verdict, || self.listening_event("accept", local))?;
        state.listen = Some(permit.clone());
        Ok(permit)
    }

    pub(super) fn is_listening(&self) -> bool {
        self.state().listening
    }

    /// What every operation begins with: the guest was not stopped, and the socket has not lost its grant.
    #[inline]
    pub(super) fn begin(&self) -> Outcome<()> {
        self.guest.check_stopped()?;
        self.check_retired()
    }

    /// Judges a connection's peer. A hidden connection never fails the guest's accept.
    pub(super) fn judge_peer(&self, peer: &Address) -> Result<Permit<op::Converse>, Denial> {
        self.guest.gate().accept(&self.state().facts, peer)
    }

    pub(super) fn may_connect(&self, peer: &Address) -> Outcome<Permit<op::Connect>> {
        self.begin()?;
        let verdict = self.guest.gate().connect(&self.state().facts, peer);
        self.guest.decide(verdict, || {
            self.event("connect").address(peer.canonical_destination())
        })
    }

    pub(super) fn may_disconnect(&self) -> Outcome<Permit<op::Disconnect>> {
        let verdict = self.guest.gate().disconnect(&self.state().facts);
        self.guest.decide(verdict, || self.event("disconnect"))
    }

    /// The permit to talk to the peer, with the lock that it was found under. `notconn` where there is no
    /// peer to judge.
    #[inline]
    pub(super) fn converse(&self, operation: &'static str) -> Outcome<MutexGuard<'_, State>> {
        self.begin()?;
        let state = self.state();
        match &state.converse {
            Some(permit) if permit.holds(self.guest.gate()) => Ok(state),
            _ => self.converse_again(state, operation),
        }
    }

    /// Judges by the policy that is in force now. Where that takes the conversation away it has ended, also if another
    /// policy comes meanwhile: it would have ended a moment earlier, had nothing been sent.
    #[cold]
    fn converse_again<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        operation: &'static str,
    ) -> Outcome<MutexGuard<'a, State>> {
        let gate = self.guest.gate();
        let generation = gate.generation();
        if state.kept_by == Some(generation) {
            return Ok(state);
        }
        if state.facts.peer.is_none() && !self.kind.is_nameless() {
            return Err(self.without_peer(operation).into());
        }
        match gate.converse(&state.facts) {
            Ok(permit) => {
                self.carry_on(&permit);
                state.converse = Some(permit);
            }
            // The policy says that what is open stays open.
            Err(denial) if state.converse.is_some() && denial.on_reload() == OnReload::Keep => {
                state.kept_by = Some(generation);
                state.converse = state.converse.take().map(|kept| gate.keep(kept));
            }
            Err(denial) => {
                let lost = state.converse.take().is_some();
                let peer = state.facts.peer.clone();
                drop(state);
                let refused = self.guest.refuse(&denial, || match &peer {
                    Some(peer) => self.event(operation).address(peer),
                    None => self.event(operation),
                });
                if lost {
                    self.retire();
                }
                return Err(refused);
            }
        }
        Ok(state)
    }

    /// A socket that has a peer from now on: its verdict is kept from the start, so that a reload knows
    /// what there was to lose.
    pub(super) fn begin_conversation(&self, state: &mut State) {
        state.converse = match state.facts.peer {
            Some(_) => self.guest.gate().converse(&state.facts).ok(),
            None => None,
        };
    }

    /// Whether it lost its grant.
    #[inline]
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Judges an open socket under a policy that was just put in force: one that lost its grant ends now,
    /// whatever its guest is doing, unless the policy keeps it.
    pub(super) fn judge_anew(&self) {
        self.renew_term();
        let state = self.state();
        if state.converse.is_some() {
            drop(state);
            // A conversation that is lost ends there.
            if let Err(failure) = self.converse("reload") {
                tracing::debug!(socket = self.number, %failure, "a socket lost its grant");
            }
            return;
        }
        let gate = self.guest.gate();
        let local = state.facts.local.clone().or(state.facts.peer.clone());
        if self.kind.works_by_itself() && gate.policy().on_reload() == OnReload::Close {
            // What its jobs send was judged by the former policy, message by message, and is not kept.
            drop(state);
            self.guest.audit().note(|| {
                self.listening_event("reload", local)
                    .withheld(format_args!("its jobs were granted by the former policy"))
            });
            self.retire();
            return;
        }
        let lost = if state.listen.is_some() {
            let verdict = gate.accepting(&state.facts);
            verdict.map(|permit| self.carry_on(&permit)).err()
        } else if state.receive.is_some() {
            let verdict = gate.receive(&state.facts);
            verdict.map(|permit| self.carry_on(&permit)).err()
        } else {
            None
        };
        drop(state);
        if let Some(denial) = lost
            && denial.on_reload() == OnReload::Close
        {
            self.guest
                .refuse(&denial, || self.listening_event("reload", local));
            self.retire();
        }
    }

    /// A socket that may not go on answers `badf`, as if it were closed.
    pub(super) fn check_retired(&self) -> Outcome<()> {
        if self.is_retired() {
            Err(Errno::BADF.into())
        } else {
            Ok(())
        }
    }

    /// What the kernel answers on a socket without a peer, send(2) and recv(2).
    fn without_peer(&self, operation: &'static str) -> Errno {
        use sockgate_policy::{Family, SocketType};
        let sends = operation.starts_with("send");
        match (self.kind.family, self.kind.socket_type, sends) {
            (Family::Inet | Family::Inet6, SocketType::Stream, true) => Errno::PIPE,
            (Family::Inet | Family::Inet6, SocketType::Datagram, true) => Errno::DESTADDRREQ,
            (Family::Unix, SocketType::Stream, false) => Errno::INVAL,
            _ => Errno::NOTCONN,
        }
    }

    /// The permit to receive datagrams at all, with the lock that it was found under.
    #[inline]
    pub(super) fn may_receive(&self, operation: &'static str) -> Outcome<MutexGuard<'_, State>> {
        self.begin()?;
        let mut state = self.state();
        if state
            .receive
            .as_ref()
            .is_some_and(|permit| permit.holds(self.guest.gate()))
        {
            return Ok(state);
        }
        let verdict = self.guest.gate().receive(&state.facts);
        let permit = self.guest.decide(verdict, || self.event(operation))?;
        state.receive = Some(permit);
        Ok(state)
    }

    /// Judges a message and its sender; tells the operator of a hidden one.
    pub(super) fn judge_sender(
        &self,
        state: &State,
        sender: &Address,
        content: &Content,
    ) -> Option<Permit<op::ReceiveFrom>> {
        match self
            .guest
            .gate()
            .receive_from(&state.facts, sender, content)
        {
            Ok(permit) => Some(permit),
            Err(denial) => {
                self.guest
                    .audit()
                    .note(|| self.event("receive").address(sender).denied(&denial));
                None
            }
        }
    }

    /// Judges a destination, and the message for it: by `send-to`, or by `reply` where it was heard lately.
    pub(super) fn may_send_to(
        &self,
        state: &State,
        to: &Address,
        content: &Content,
    ) -> Outcome<Permit<op::SendTo>> {
        let gate = self.guest.gate();
        let verdict = match state.heard.until(to, now()) {
            Some(end) => gate.answer(&state.facts, to, content, end),
            None => gate.send_to(&state.facts, to, content),
        };
        self.guest.decide(verdict, || {
            self.event("send-to").address(to.canonical_destination())
        })
    }

    /// Whether a call may carry these flags under its permit.
    #[inline]
    pub(super) fn check_flags<O: Carries>(
        &self,
        permit: &Permit<O>,
        flags: MessageFlags,
        operation: &'static str,
    ) -> Outcome<()> {
        let missing = flags.difference(permit.flags());
        if missing.is_empty() || permit.learns_flags(missing) {
            return Ok(());
        }
        Err(self.lacks_flags(permit.rule(), missing, operation))
    }

    /// The refusal of flags that the granting rule does not list.
    #[cold]
    fn lacks_flags(&self, rule: &str, missing: MessageFlags, operation: &'static str) -> Failure {
        let names: Vec<String> = missing.policy_names().collect();
        let names = names.join(", ");
        self.guest.withhold(
            || self.event(operation).arguments(&names),
            format_args!("rule `{rule}` does not list the flags {names}"),
        )
    }

    pub(super) fn may_get_option(&self, name: OptionName) -> Outcome<Permit<op::GetOption>> {
        self.begin()?;
        let verdict = self.guest.gate().get_option(&self.state().facts, name);
        self.guest.decide(verdict, || {
            self.event("get-option").arguments(name.on(self.kind))
        })
    }

    pub(super) fn may_set_option(
        &self,
        name: OptionName,
        value: &[u8],
    ) -> Outcome<Permit<op::SetOption>> {
        self.may_set(name, |gate, facts| gate.set_option(facts, name, value))
    }

    pub(super) fn may_set_membership(
        &self,
        name: OptionName,
        membership: &Membership,
    ) -> Outcome<Permit<op::SetOption>> {
        self.may_set(name, |gate, facts| {
            gate.set_membership(facts, name, membership)
        })
    }

    fn may_set(
        &self,
        name: OptionName,
        judge: impl FnOnce(&Gate, &SocketFacts) -> Result<Permit<op::SetOption>, Denial>,
    ) -> Outcome<Permit<op::SetOption>> {
        self.begin()?;
        let verdict = judge(self.guest.gate(), &self.state().facts);
        self.guest.decide(verdict, || {
            self.event("set-option").arguments(name.on(self.kind))
        })
    }

    pub(super) fn may_join(&self, group: &GroupRequest) -> Outcome<Permit<op::JoinGroup>> {
        self.begin()?;
        let verdict = self.guest.gate().join_group(&self.state().facts, group);
        self.guest
            .decide(verdict, || self.event("join-group").address(group.group))
    }

    pub(super) fn may_ioctl(&self, name: &'static str) -> Outcome<Permit<op::Ioctl>> {
        self.begin()?;
        let verdict = self.guest.gate().ioctl(&self.state().facts, name);
        self.guest
            .decide(verdict, || self.event("ioctl").arguments(name))
    }

    pub(super) fn may_pass(&self, kind: DescriptorKind) -> Outcome<Permit<op::DescriptorSend>> {
        let verdict = self.guest.gate().descriptor_send(&self.state().facts, kind);
        self.guest
            .decide(verdict, || self.event("descriptor-send").arguments(kind))
    }

    pub(super) fn may_splice(&self, to: &Inner) -> Outcome<Permit<op::Splice>> {
        let from_facts = self.state().facts.clone();
        let verdict = self.guest.gate().splice(&from_facts, &to.state().facts);
        self.guest.decide(verdict, || {
            self.event("splice")
                .arguments(format_args!("to #{}", to.number))
        })
    }
}
