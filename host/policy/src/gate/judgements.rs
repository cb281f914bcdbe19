//! Judgements on sockets: making, binding, connecting, sending, receiving.

use std::borrow::Cow;
use std::time::Instant;

use super::{Gate, Verdict};
use crate::address::{Address, UnixAddress};
use crate::denial::Denial;
use crate::facts::{AdoptedState, Origin, SocketFacts};
use crate::family::{self, Content, PacketAddress};
use crate::judge::{Ask, End, What};
use crate::kind::{Family, Kind, SocketType};
use crate::model::{OpSet, Side, unbound, whole_place};
use crate::permit::{BindTarget, ConnectTarget, Operation, Permit, UnixPlace, op};

/// What a socket that arrived from outside may do, see [`Gate::adopt`].
#[derive(Clone, Debug)]
pub enum Adopted {
    /// It may talk with its peer.
    Connected(Permit<op::Converse>),
    /// It may accept.
    Listening(Permit<op::Listen>),
    /// It is bound where a rule would have bound it.
    Bound(Permit<op::Bind>),
    /// It is a socket like one just made.
    Unbound(Permit<op::Create>),
}

/// A pathname without a clean place can be granted by nothing, in no mode.
pub(crate) fn is_placeless(address: &Address) -> bool {
    matches!(address, Address::Unix(UnixAddress::Pathname(path)) if whole_place(path).is_none())
}

/// A frame without a protocol of its own, to an address without one: no key says what it is.
pub(crate) fn is_nothing(destination: &Address) -> bool {
    matches!(destination, Address::Packet(packet) if matches!(packet.protocol, 0 | 3))
}

/// The abstract name without a byte: rules mean by it a name that the kernel is to choose, and grant the
/// real one to nobody.
fn is_empty_name(address: &Address) -> bool {
    matches!(address, Address::Unix(UnixAddress::Abstract(name)) if name.is_empty())
}

/// What a bind asks for, in the words of rules: one without a name asks for autobind, unix(7); without a
/// protocol a packet socket keeps the one that it was made with, packet(7).
fn asked_name(kind: Kind, local: &Address, side: Side) -> Cow<'_, Address> {
    match (local, side) {
        (Address::Packet(packet), _) if packet.protocol == 0 => {
            Cow::Owned(Address::Packet(PacketAddress {
                protocol: u16::try_from(kind.protocol).unwrap_or(0),
                ..packet.clone()
            }))
        }
        (Address::Unix(UnixAddress::Unnamed), Side::Local) => {
            Cow::Owned(Address::Unix(UnixAddress::Abstract(Vec::new())))
        }
        _ => Cow::Borrowed(local),
    }
}

fn place(known: Option<&UnixPlace>, address: &Address) -> Option<UnixPlace> {
    match (known, address) {
        (Some(place), _) => Some(place.clone()),
        (None, Address::Unix(UnixAddress::Pathname(path))) => whole_place(path),
        (None, _) => None,
    }
}

/// What grants talking to the socket's own peer, if it is the own peer.
fn own(s: &SocketFacts, own_peer: bool) -> OpSet {
    match s.origin {
        _ if !own_peer => OpSet::empty(),
        Origin::Socket => OpSet::CONNECT,
        Origin::Accept => accepted_by(s.kind),
        Origin::Pair => OpSet::SOCKETPAIR,
    }
}

/// What grants accepting: `listen`; for an algorithm its `bind`, since what is accepted is no connection but
/// the operation itself.
fn accepted_by(kind: Kind) -> OpSet {
    match kind.family {
        Family::Alg => OpSet::BIND,
        _ => OpSet::LISTEN,
    }
}

/// The first verdict if a rule granted it, else the second if a rule granted that; in audit mode one that
/// no rule granted is the last resort.
fn either(
    first: Result<Verdict, Denial>,
    second: impl FnOnce() -> Result<Verdict, Denial>,
) -> Result<Verdict, Denial> {
    match first {
        Ok(verdict) if verdict.unguarded.is_none() => Ok(verdict),
        first => match second() {
            Ok(verdict) if verdict.unguarded.is_none() => Ok(verdict),
            _ => first,
        },
    }
}

/// Whether the names and options of such a socket tell all that was done with it. Others hear what somebody
/// else subscribed to (groups of netlink and TIPC, memberships of packet sockets), write headers of their own,
/// or hold a key.
fn tells_its_past(kind: Kind) -> bool {
    match kind.family {
        Family::Inet | Family::Inet6 => kind.socket_type != SocketType::Raw,
        Family::Unix | Family::Vsock | Family::Qipcrtr | Family::Rds | Family::Smc => true,
        _ => false,
    }
}

/// A connected Unix socket of which neither end was ever bound.
fn is_nameless(s: &SocketFacts) -> bool {
    let unnamed = Address::Unix(UnixAddress::Unnamed);
    let local = s.local.as_ref().unwrap_or(&unnamed);
    *local == unnamed && s.peer.as_ref() == Some(&unnamed)
}

impl Gate {
    /// socket(2): some rule grants an operation on such a socket.
    ///
    /// # Errors
    /// No rule does, or a deny rule forbids all such sockets.
    pub fn create(&self, kind: Kind) -> Result<Permit<op::Create>, Denial> {
        let ask = Ask::kind(OpSet::CREATING, kind);
        Ok(self.judge(op::Create::NAME, ask)?.bare_permit(kind))
    }

    /// socketpair(2).
    ///
    /// # Errors
    /// No rule grants `socketpair` for the kind, or a deny rule forbids it; or it is no kind of Unix sockets.
    pub fn pair(&self, kind: Kind) -> Result<Permit<op::Pair>, Denial> {
        let ask = Ask::kind(OpSet::SOCKETPAIR, kind);
        if kind.family != Family::Unix {
            // The ends of other families' pairs have addresses, at which strangers reach them (TIPC).
            return Err(self.refuse(op::Pair::NAME, ask));
        }
        Ok(self.judge(op::Pair::NAME, ask)?.bare_permit(kind))
    }

    /// Data on one end of a socketpair(2).
    ///
    /// # Errors
    /// No rule grants `socketpair` for the kind (any more), or a deny rule forbids it.
    pub fn pair_end(&self, s: &SocketFacts) -> Result<Permit<op::Converse>, Denial> {
        let ask = Ask {
            via: OpSet::SOCKETPAIR,
            local: End::Open,
            peer: End::Open,
            ..Ask::socket(OpSet::SOCKETPAIR, s)
        };
        let peer = Address::Unix(UnixAddress::Unnamed);
        Ok(self.judge(op::Converse::NAME, ask)?.permit(peer))
    }

    /// bind(2). Port 0 needs a rule that covers port 0 (`"0"`, `"*"`, no `port`) or has a range for it;
    /// the address that results is judged by [`Gate::bound`]. A Unix address without a name asks for autobind,
    /// which only `abstract = ["auto"]` (and `"*"`) grants.
    ///
    /// # Errors
    /// No rule grants `bind` or `listen` there, or a deny rule forbids it.
    pub fn bind(&self, s: &SocketFacts, local: &Address) -> Result<Permit<op::Bind>, Denial> {
        self.judge_bind(s, local, Side::Local)
    }

    /// The address that the kernel chose for a bind to port 0 or an autobind. A refused socket is to be
    /// closed.
    ///
    /// # Errors
    /// As for [`Gate::bind`].
    pub fn bound(&self, s: &SocketFacts, local: &Address) -> Result<Permit<op::Bind>, Denial> {
        self.judge_bind(s, local, Side::LocalChosen)
    }

    fn judge_bind(
        &self,
        s: &SocketFacts,
        local: &Address,
        side: Side,
    ) -> Result<Permit<op::Bind>, Denial> {
        let asked = asked_name(s.kind, local, side);
        let ask = || Ask {
            denied_by: OpSet::BIND,
            peer: End::Open,
            granted: false,
            ..Ask::socket(OpSet::BIND | OpSet::LISTEN, s).with_local(&asked, side)
        };
        if is_placeless(local) || is_empty_name(local) {
            return Err(self.refuse(op::Bind::NAME, ask()));
        }
        self.judge_ipv4_form(op::Bind::NAME, s, local, ask)?;
        let verdict = self.judge(op::Bind::NAME, ask())?;
        let address = local.canonical();
        let target = BindTarget {
            unix: place(verdict.grant.local_place.as_deref(), &address),
            address,
            mode: verdict.grant.mode,
            replace_stale: verdict.grant.replace_stale,
        };
        Ok(verdict.bare_permit(target))
    }

    /// A socket for both families (IPV6_V6ONLY off) on `::` also needs what IPv4's wildcard needs.
    fn judge_ipv4_form<'a>(
        &self,
        operation: &'static str,
        s: &SocketFacts,
        local: &Address,
        ask: impl Fn() -> Ask<'a>,
    ) -> Result<(), Denial> {
        if s.v6only {
            return Ok(());
        }
        let Address::Inet6(six) = local.canonical() else {
            return Ok(());
        };
        if six.ip().is_unspecified() {
            let four = Address::Inet(std::net::SocketAddrV4::new(
                std::net::Ipv4Addr::UNSPECIFIED,
                six.port(),
            ));
            let side = ask().local_side;
            self.judge(operation, ask().with_local(&four, side))?;
        }
        Ok(())
    }

    /// Whether a socket that is to be bound to `local` (`::` with a port) may serve IPv4 as well. The host
    /// keeps IPV6_V6ONLY at 1 otherwise.
    #[must_use]
    pub fn dual_stack(&self, s: &SocketFacts, local: &Address) -> bool {
        let facts = SocketFacts {
            v6only: false,
            ..s.clone()
        };
        self.bind(&facts, local).is_ok()
    }

    /// listen(2), judged on the bound address; a socket never bound counts as bound to the wildcard and
    /// port 0, which is what the kernel makes of it.
    ///
    /// # Errors
    /// No rule grants `listen` there, or a deny rule forbids it.
    pub fn listen(&self, s: &SocketFacts) -> Result<Permit<op::Listen>, Denial> {
        self.judge_listen(s, false)
    }

    /// Whether a socket that listens may accept at all; each peer is then judged by [`Gate::accept`]. A
    /// socket that the operator handed in needs no rule for it.
    ///
    /// # Errors
    /// No rule grants `listen` there (any more), or a deny rule forbids it.
    pub fn accepting(&self, s: &SocketFacts) -> Result<Permit<op::Listen>, Denial> {
        self.judge_listen(s, s.granted)
    }

    fn judge_listen(&self, s: &SocketFacts, granted: bool) -> Result<Permit<op::Listen>, Denial> {
        let local = s.local.clone().unwrap_or_else(|| unbound(s.kind.family));
        let side = if s.local_chosen {
            Side::LocalChosen
        } else {
            Side::Local
        };
        let ask = || Ask {
            granted,
            peer: End::Open,
            further_locals: Cow::Borrowed(&s.further_locals),
            ..Ask::socket(accepted_by(s.kind), s).with_local(&local, side)
        };
        self.judge_ipv4_form(op::Listen::NAME, s, &local, ask)?;
        Ok(self
            .judge(op::Listen::NAME, ask())?
            .permit(local.canonical()))
    }

    /// A connection that was accepted: `s` are the listener's facts (or those of the accepted socket).
    ///
    /// # Errors
    /// No rule grants `listen` with that peer, or a deny rule forbids it. The host resets the connection
    /// and accepts the next.
    pub fn accept(&self, s: &SocketFacts, peer: &Address) -> Result<Permit<op::Converse>, Denial> {
        let verdict = self.judge_accept(s, peer)?;
        Ok(self.noted(verdict).permit(peer.canonical()))
    }

    fn judge_accept(&self, s: &SocketFacts, peer: &Address) -> Result<Verdict, Denial> {
        let ask = Ask {
            via: accepted_by(s.kind),
            ..Ask::socket(accepted_by(s.kind), s).with_peer(peer)
        };
        self.consider("accept", ask)
    }

    /// Judges a connection again after a reload, by the way it came about ([`SocketFacts::origin`]). An
    /// established connection outlives the pin of the name that it was made to.
    ///
    /// # Errors
    /// No rule grants the connection (any more), or a deny rule forbids it; or the socket's messages are
    /// judged one by one ([`Content::head`]).
    pub fn converse(&self, s: &SocketFacts) -> Result<Permit<op::Converse>, Denial> {
        let peer = s.peer.clone().unwrap_or_else(|| unbound(s.kind.family));
        if Content::head(s.kind).is_some() {
            // Each of its messages is judged by what is in it.
            return Err(self.refuse(op::Converse::NAME, Ask::socket(OpSet::CONNECT, s)));
        }
        if s.kind.is_nameless() {
            let verdict = self.judge(op::Converse::NAME, Ask::socket(OpSet::CONNECT, s))?;
            return Ok(verdict.permit(peer));
        }
        match s.origin {
            Origin::Accept => self.accept(s, &peer),
            Origin::Pair => self.pair_end(s),
            Origin::Socket => {
                let ask = Ask {
                    expired_pins: true,
                    ..Ask::socket(OpSet::CONNECT, s).with_destination(&peer)
                };
                Ok(self
                    .judge(op::Converse::NAME, ask)?
                    .permit(peer.canonical_destination()))
            }
        }
    }

    /// connect(2). The permit's subject is what the host connects to.
    ///
    /// # Errors
    /// No rule grants `connect` to that peer, or a deny rule forbids it.
    pub fn connect(&self, s: &SocketFacts, peer: &Address) -> Result<Permit<op::Connect>, Denial> {
        let ask = Ask {
            granted: false,
            ..Ask::socket(OpSet::CONNECT, s).with_destination(peer)
        };
        let (verdict, target) = self.judge_target(op::Connect::NAME, ask, peer)?;
        Ok(self.noted(verdict).permit(target))
    }

    /// sendto(2) and sendmsg(2) with a name, or to the [place](crate::unnamed_destination) that a message
    /// without one goes to. On a connected socket the name of its own peer is granted by what granted the
    /// connection. `content` is what the policy read from the very bytes that are sent.
    ///
    /// # Errors
    /// No rule grants `send-to` that peer, or such a message there, or a deny rule forbids it.
    pub fn send_to(
        &self,
        s: &SocketFacts,
        peer: &Address,
        content: &Content,
    ) -> Result<Permit<op::SendTo>, Denial> {
        self.consider_send_to(s, peer, content)
            .map(|verdict| self.sending(verdict))
    }

    /// The same to an address from which the socket received in the last 60 seconds, where `reply` will do as
    /// well. The host keeps that table, and asks only for an address in it; what `reply` grants ends with its entry.
    ///
    /// # Errors
    /// Neither is granted, or a deny rule forbids it.
    pub fn answer(
        &self,
        s: &SocketFacts,
        peer: &Address,
        content: &Content,
        end: Instant,
    ) -> Result<Permit<op::SendTo>, Denial> {
        let sent = self.consider_send_to(s, peer, content);
        if let Ok((verdict, _)) = &sent
            && verdict.unguarded.is_none()
        {
            return sent.map(|verdict| self.sending(verdict));
        }
        match (self.reply(s, peer, content), sent) {
            (Ok(permit), _) => Ok(permit.until(end)),
            // What the mode lets through is let through as what it is.
            (Err(_), Ok(verdict)) => Ok(self.sending(verdict)),
            (Err(denial), Err(_)) => Err(denial),
        }
    }

    fn sending(&self, (verdict, target): (Verdict, ConnectTarget)) -> Permit<op::SendTo> {
        self.noted(verdict).permit(target)
    }

    fn consider_send_to(
        &self,
        s: &SocketFacts,
        peer: &Address,
        content: &Content,
    ) -> Result<(Verdict, ConnectTarget), Denial> {
        let peer = &*family::destination(s, peer);
        let own_peer = s
            .peer
            .as_ref()
            .is_some_and(|own| own.canonical_destination() == peer.canonical_destination());
        let ops = OpSet::SEND_TO | own(s, own_peer);
        let judged = content.destination(peer);
        let ask = Ask {
            denied_by: ops,
            granted: false,
            ..Ask::socket(ops, s)
                .with_destination(&judged)
                .holding(content)
        };
        if !content.is_sent_by(s, peer) {
            return Err(self.refuse(op::SendTo::NAME, ask));
        }
        self.judge_target(op::SendTo::NAME, ask, peer)
    }

    /// Sending to an address from which the socket received in the last 60 seconds. The host keeps that
    /// table, and asks only for an address in it.
    ///
    /// # Errors
    /// No rule grants `reply` (or `send-to`) on such a socket, or a deny rule forbids sending there.
    pub fn reply(
        &self,
        s: &SocketFacts,
        peer: &Address,
        content: &Content,
    ) -> Result<Permit<op::SendTo>, Denial> {
        self.consider_reply(s, peer, content)
            .map(|verdict| self.sending(verdict))
    }

    fn consider_reply(
        &self,
        s: &SocketFacts,
        peer: &Address,
        content: &Content,
    ) -> Result<(Verdict, ConnectTarget), Denial> {
        let peer = &*family::destination(s, peer);
        let judged = content.destination(peer);
        let ask = Ask::socket(OpSet::REPLY | OpSet::SEND_TO, s)
            .with_destination(&judged)
            .holding(content);
        if !content.is_sent_by(s, peer) {
            return Err(self.refuse("reply", ask));
        }
        self.judge_target("reply", ask, peer)
    }

    fn judge_target(
        &self,
        operation: &'static str,
        ask: Ask<'_>,
        peer: &Address,
    ) -> Result<(Verdict, ConnectTarget), Denial> {
        if is_placeless(peer) || ask.peer.address().is_some_and(is_nothing) {
            return Err(self.refuse(operation, ask));
        }
        let verdict = self.consider(operation, ask)?;
        let address = peer.canonical_destination();
        let unix = place(verdict.grant.peer_place.as_deref(), &address);
        Ok((verdict, ConnectTarget { address, unix }))
    }

    /// Whether anything may be received here at all; each message is then judged by
    /// [`Gate::receive_from`].
    ///
    /// # Errors
    /// No rule grants `receive` on the socket's local address (nor the connection that it has), or a deny
    /// rule forbids it.
    pub fn receive(&self, s: &SocketFacts) -> Result<Permit<op::Receive>, Denial> {
        let open = Ask {
            peer: End::Open,
            ..Ask::socket(OpSet::RECEIVE, s)
        };
        let Some(peer) = &s.peer else {
            return Ok(self.judge(op::Receive::NAME, open)?.permit(()));
        };
        let connected = Ask {
            denied_by: OpSet::RECEIVE | own(s, true),
            expired_pins: true,
            ..Ask::socket(own(s, true), s).with_peer(peer)
        };
        let verdict = either(self.consider(op::Receive::NAME, connected), || {
            self.consider(op::Receive::NAME, open)
        })?;
        Ok(self.noted(verdict).permit(()))
    }

    /// One message and its sender. A message from anyone else is dropped by the host and not reported, and
    /// so is one that holds what no rule grants.
    ///
    /// # Errors
    /// Neither `receive` nor the connection to that sender is granted, or a deny rule forbids it.
    pub fn receive_from(
        &self,
        s: &SocketFacts,
        sender: &Address,
        content: &Content,
    ) -> Result<Permit<op::ReceiveFrom>, Denial> {
        let sender = family::sender(s, sender);
        let sender = sender.as_ref();
        let own_peer = s
            .peer
            .as_ref()
            .is_some_and(|own| own.canonical() == sender.canonical());
        let ops = OpSet::RECEIVE | own(s, own_peer);
        let heard = content.heard_from(sender);
        let ask = Ask {
            denied_by: ops,
            expired_pins: own_peer,
            ..Ask::socket(ops, s).with_peer(sender).holding(&heard)
        };
        if !content.is_of(s.kind) {
            return Err(self.refuse(op::ReceiveFrom::NAME, ask));
        }
        Ok(self
            .judge(op::ReceiveFrom::NAME, ask)?
            .permit(sender.canonical()))
    }

    /// shutdown(2) comes with whatever granted the socket.
    ///
    /// # Errors
    /// A deny rule forbids every operation on the socket.
    pub fn shutdown(&self, s: &SocketFacts) -> Result<Permit<op::Shutdown>, Denial> {
        let verdict = match s.origin {
            Origin::Pair => self.pair_end(s).map(drop),
            _ if s.granted => self.granted(s).map(drop),
            _ if s.peer.is_some() => self.converse(s).map(drop),
            _ => self.create(s.kind).map(drop),
        };
        verdict?;
        let (_, generation) = self.snapshot();
        let verdict = Verdict {
            grant: crate::judge::Grant::without_rule("(always)"),
            generation,
            meters: None,
            unguarded: None,
        };
        Ok(verdict.bare_permit(()))
    }

    /// A socket that the operator handed in (`--socket`, socket activation): accept, send, receive and
    /// shutdown need no rule, deny rules hold. Set [`SocketFacts::granted`] for it and for what it accepts.
    ///
    /// # Errors
    /// A deny rule forbids it.
    pub fn granted(&self, s: &SocketFacts) -> Result<Permit<op::Granted>, Denial> {
        let ops = OpSet::LISTEN | OpSet::CONNECT | OpSet::RECEIVE;
        let facts = SocketFacts {
            granted: true,
            ..s.clone()
        };
        Ok(self
            .judge(op::Granted::NAME, Ask::socket(ops, &facts))?
            .permit(()))
    }

    /// A socket that arrived by SCM_RIGHTS: judged as if the receiver had done what made it. Its present
    /// options, as far as the host can read them, belong into [`SocketFacts::options`].
    ///
    /// # Errors
    /// What made it is not granted, or is not to be known (raw, packet, CAN, netlink and the like); the socket
    /// is to be closed.
    pub fn adopt(&self, s: &SocketFacts, state: AdoptedState) -> Result<Adopted, Denial> {
        if !tells_its_past(s.kind) {
            return Err(self.refuse("adopt", Ask::socket(OpSet::CREATING, s)));
        }
        let local = s.local.clone().unwrap_or_else(|| unbound(s.kind.family));
        match state {
            // Neither end has a name: socketpair(2) made it, and so has to be granted.
            AdoptedState::Connected if is_nameless(s) => self.pair_end(s).map(Adopted::Connected),
            AdoptedState::Connected => {
                let peer = s.peer.clone().unwrap_or_else(|| unbound(s.kind.family));
                either(self.connect_adopted(s, &peer), || {
                    self.judge_accept(s, &peer)
                })
                .map(|verdict| self.noted(verdict))
                .map(|verdict| Adopted::Connected(verdict.permit(peer.canonical_destination())))
            }
            AdoptedState::Listening => self.listen(s).map(Adopted::Listening),
            AdoptedState::Bound => {
                let permit = self.bound(s, &local)?;
                if s.kind.is_datagram() {
                    self.receive(s)?;
                    let ask = Ask {
                        peer: End::Open,
                        ..Ask::socket(OpSet::SEND_TO | OpSet::REPLY, s)
                    };
                    self.judge(op::SendTo::NAME, ask)?;
                }
                Ok(Adopted::Bound(permit))
            }
            AdoptedState::Unbound => {
                let ask = Ask {
                    what: What::Create,
                    ..Ask::socket(OpSet::CREATING, s)
                };
                let ask = Ask {
                    local: End::Open,
                    peer: End::Open,
                    ..ask
                };
                let verdict = self.judge(op::Create::NAME, ask)?;
                Ok(Adopted::Unbound(verdict.bare_permit(s.kind)))
            }
        }
    }

    fn connect_adopted(&self, s: &SocketFacts, peer: &Address) -> Result<Verdict, Denial> {
        let ask = Ask::socket(OpSet::CONNECT, s).with_destination(peer);
        self.consider(op::Connect::NAME, ask)
    }
}
