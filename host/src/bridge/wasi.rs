//! `wasi:sockets` under the same policy, so that guests on plain `std::net` run under the same file.
//!
//! wasmtime-wasi asks one callback about each address and what for; the callback asks the guest's policy.
//! Name resolution is replaced by ours, so that host rules and pins hold. What that interface cannot say
//! (which socket it is, its options, message flags) is judged as for a socket without options; the local
//! address of a receiving UDP socket is not told either, so every address that the guest bound for UDP has
//! to grant a sender. Connecting a UDP socket asks what receiving asks, so that it counts as having heard the peer.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockgate_policy::{
    Address, Content, Count, Denial, Family, Kind, Meters, Operation, Origin, Permit, SocketFacts,
    SocketType, Toll, op,
};
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, Network,
};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketResult};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};

use super::SocketsCtx;
use crate::audit::Event;
use crate::bridge::SocketsView;
use crate::socket::{
    Eai, Errno, Failure, Guest, Heard, Hints, Lookup, LookupError, LookupFlags, Outcome,
    PollablePlace, Timeout, WaitMode,
};

/// wasmtime-wasi registers its interfaces under this version; ours takes the place of one of them.
const NAME_LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";
const TCP_SOCKETS: &str = "wasi:sockets/tcp-create-socket@0.2.12";
const UDP_SOCKETS: &str = "wasi:sockets/udp-create-socket@0.2.12";

impl SocketsCtx {
    /// Puts wasmtime-wasi's own sockets under this guest's policy: TCP and UDP are allowed as far as the
    /// policy grants them. Use with [`add_wasi_name_lookup`] on the linker.
    pub fn govern_wasi_sockets(&self, wasi: &mut WasiCtxBuilder) {
        let judge = Arc::new(Judge {
            guest: self.guest().clone(),
            known: Mutex::default(),
        });
        wasi.allow_tcp(true)
            .allow_udp(true)
            .allow_ip_name_lookup(true);
        wasi.socket_addr_check(move |address, usage| {
            let granted = judge.judge(address, usage);
            let guest = judge.guest.clone();
            Box::pin(async move {
                match granted {
                    Ok(Some(meters)) => connection(&guest, &meters, address).await,
                    Ok(None) => true,
                    Err(_) => false,
                }
            }) as Pin<Box<dyn Future<Output = bool> + Send + Sync>>
        });
    }
}

/// What is known of the guest's sockets: the check is told one address at a time and never whose.
#[derive(Default)]
struct Known {
    /// Where TCP sockets listen.
    listening: Vec<Address>,
    /// Where UDP sockets are bound.
    bound: Vec<Address>,
    /// From whom UDP sockets received.
    heard: Heard,
}

struct Judge {
    guest: Arc<Guest>,
    known: Mutex<Known>,
}

impl Judge {
    /// What a connection counts for, where it is one; nothing is to be counted for the rest.
    fn judge(&self, address: SocketAddr, usage: SocketAddrUse) -> Outcome<Option<Meters>> {
        self.guest.check_stopped()?;
        if let Some(key) = self.guest.gate().uncountable_limit() {
            let event = || Event::new("wasi:sockets").address(address);
            let reason = format_args!("nothing holds to the guest's limit `{key}` on such sockets");
            return Err(self.guest.withhold(event, reason));
        }
        let facts = facts_of(address, usage);
        let address = Address::from(address);
        let gate = self.guest.gate();
        let implicit = address.is_wildcard() && address.port() == Some(0);
        match usage {
            // Every connect and send is preceded by one: it comes with what it is for.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind if implicit => {
                self.tell("implicit-bind", &address, gate.create(facts.kind))?;
            }
            SocketAddrUse::TcpBind => {
                self.tell("bind", &address, gate.bind(&facts, &address))?;
            }
            SocketAddrUse::UdpBind => {
                self.tell("bind", &address, gate.bind(&facts, &address))?;
                self.remember(|known| &mut known.bound, address);
            }
            SocketAddrUse::TcpListen => {
                let facts = SocketFacts {
                    local: Some(address.clone()),
                    local_chosen: implicit,
                    ..facts
                };
                self.tell("listen", &address, gate.listen(&facts))?;
                self.remember(|known| &mut known.listening, address);
            }
            SocketAddrUse::TcpAccept => return self.judge_accept(&facts, &address),
            SocketAddrUse::TcpConnect => {
                return self.tell("connect", &address, gate.connect(&facts, &address));
            }
            SocketAddrUse::UdpSend => self.judge_send(&facts, &address)?,
            SocketAddrUse::UdpReceive => self.judge_receive(&facts, &address)?,
        }
        Ok(None)
    }

    /// Tells the operator what was decided, and the guest nothing but yes or no. What it counts for.
    fn tell<O: Operation>(
        &self,
        operation: &'static str,
        address: &Address,
        verdict: Result<Permit<O>, Denial>,
    ) -> Outcome<Option<Meters>> {
        let event = || {
            Event::new(operation)
                .address(address)
                .arguments("wasi:sockets")
        };
        let permit = self.guest.decide(verdict, event)?;
        self.guest.audit().note(|| event().granted(&permit));
        Ok(permit.meters().cloned())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, list: fn(&mut Known) -> &mut Vec<Address>, address: Address) {
        // As many as the guest may have sockets; what was closed since only makes the verdict stricter.
        let most = self.guest.gate().limits().count(Count::Sockets);
        let most = most.and_then(|most| usize::try_from(most).ok());
        let mut known = self.known();
        let list = list(&mut known);
        if most.is_none_or(|most| list.len() < most) && !list.contains(&address) {
            list.push(address);
        }
    }

    /// The local addresses that a peer may have come to: each of them has to grant it.
    fn locals(&self, list: fn(&Known) -> &[Address]) -> Vec<Option<Address>> {
        let known = self.known();
        match list(&known) {
            [] => vec![None],
            addresses => addresses.iter().cloned().map(Some).collect(),
        }
    }

    fn judge_accept(&self, facts: &SocketFacts, peer: &Address) -> Outcome<Option<Meters>> {
        let mut meters = None;
        for local in self.locals(|known| &known.listening) {
            let facts = SocketFacts {
                local,
                origin: Origin::Accept,
                ..facts.clone()
            };
            meters = self.tell("accept", peer, self.guest.gate().accept(&facts, peer))?;
        }
        Ok(meters)
    }

    fn judge_send(&self, facts: &SocketFacts, to: &Address) -> Outcome<()> {
        let gate = self.guest.gate();
        let until = self.known().heard.until(to, std::time::Instant::now());
        let content = Content::sent(facts.kind, &[]);
        let verdict = match until {
            None => gate.send_to(facts, to, &content),
            Some(_) => self.judge_reply(facts, to, &content),
        };
        if verdict.is_err()
            && let Ok(permit) = gate.connect(facts, to)
        {
            // A connected UDP socket: wasi:sockets has no other word for it.
            return self.tell("connect", to, Ok(permit)).map(drop);
        }
        self.tell("send-to", to, verdict).map(drop)
    }

    /// Sending to somebody who was heard, which a grant to send there anyway covers as well.
    fn judge_reply(
        &self,
        facts: &SocketFacts,
        to: &Address,
        content: &Content,
    ) -> Result<Permit<op::SendTo>, Denial> {
        let from = |local| {
            let facts = SocketFacts {
                local,
                ..facts.clone()
            };
            self.guest.gate().reply(&facts, to, content)
        };
        let mut locals = self.locals(|known| &known.bound).into_iter();
        let first = from(locals.next().flatten())?;
        locals.try_fold(first, |_, local| from(local))
    }

    fn judge_receive(&self, facts: &SocketFacts, from: &Address) -> Outcome<()> {
        let gate = self.guest.gate();
        let locals = self.locals(|known| &known.bound);
        // Nothing was bound: what comes in comes to a socket that connected or sent.
        if locals == [None]
            && let Ok(permit) = gate.connect(facts, from)
        {
            return self.tell("receive", from, Ok(permit)).map(drop);
        }
        for local in locals {
            let facts = SocketFacts {
                local,
                ..facts.clone()
            };
            let content = Content::received(facts.kind, &[]);
            self.tell("receive", from, gate.receive_from(&facts, from, &content))?;
        }
        self.known().heard.remember(from, std::time::Instant::now());
        Ok(())
    }
}

/// Waits until a connection may be made or accepted; whether it still may.
async fn connection(guest: &Guest, meters: &Meters, address: SocketAddr) -> bool {
    let event = || {
        Event::new("connection")
            .address(address)
            .arguments("wasi:sockets")
    };
    let (toll, deadline) = (Toll::Connection, Timeout::Blocking.deadline(Errno::AGAIN));
    // A task of wasmtime-wasi's must not block its thread, whatever the guest's own wait.
    let waited = guest.rest_for(meters, toll, WaitMode::Ready, deadline, event);
    waited.await.is_ok()
}

fn facts_of(address: SocketAddr, usage: SocketAddrUse) -> SocketFacts {
    let family = if address.is_ipv4() {
        Family::Inet
    } else {
        Family::Inet6
    };
    let socket_type = match usage {
        SocketAddrUse::TcpBind
        | SocketAddrUse::TcpListen
        | SocketAddrUse::TcpAccept
        | SocketAddrUse::TcpConnect => SocketType::Stream,
        SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
            SocketType::Datagram
        }
    };
    SocketFacts {
        // Its data does not pass through here.
        uncounted: true,
        ..SocketFacts::new(Kind::new(family, socket_type))
    }
}

/// The answers of a look-up that is under way.
pub struct Answers {
    state: State,
    _place: PollablePlace,
}

enum State {
    UnderWay(tokio::task::JoinHandle<Result<Vec<IpAddr>, ErrorCode>>),
    Done(Result<std::vec::IntoIter<IpAddr>, ErrorCode>),
}

impl Answers {
    async fn settle(&mut self) {
        if let State::UnderWay(task) = &mut self.state {
            let found = task.await.unwrap_or(Err(ErrorCode::Unknown));
            self.state = State::Done(found.map(Vec::into_iter));
        }
    }

    fn next(&mut self) -> Result<Option<IpAddress>, ErrorCode> {
        match &mut self.state {
            State::UnderWay(_) => Err(ErrorCode::WouldBlock),
            State::Done(Ok(answers)) => Ok(answers.next().map(IpAddress::from)),
            State::Done(Err(error)) => Err(*error),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Answers {
    async fn ready(&mut self) {
        self.settle().await;
    }
}

/// Replaces wasmtime-wasi's name resolution on a linker by one that obeys the guest's policy, and tells the
/// operator where the kernel refuses a socket before any address is judged (as it does in a [confined]
/// process). Call it after wasmtime-wasi's own `add_to_linker_async`.
///
/// [confined]: crate::Confinement
///
/// # Errors
/// When the linker has an instance of that name that is no instance of functions.
pub fn add_wasi_name_lookup<T: SocketsView + WasiView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut instance = linker.instance(NAME_LOOKUP)?;
    instance.resource(
        "resolve-address-stream",
        ResourceType::host::<Answers>(),
        |mut store, rep| {
            store
                .data_mut()
                .sockets()
                .table
                .delete(Resource::<Answers>::new_own(rep))?;
            Ok(())
        },
    )?;
    instance.func_wrap(
        "resolve-addresses",
        |mut store, (network, name): (Resource<Network>, String)| {
            let view = store.data_mut().sockets();
            // The network is the capability to ask at all.
            view.table.get(&network)?;
            let guest = view.ctx.guest().clone();
            let Ok(place) = guest.pollable() else {
                return Ok((Err(ErrorCode::TemporaryResolverFailure),));
            };
            let task = wasmtime_wasi::runtime::with_ambient_tokio_runtime(|| {
                tokio::spawn(resolve(guest, name))
            });
            let answers = view.table.push(Answers {
                state: State::UnderWay(task),
                _place: place,
            })?;
            Ok((Ok::<_, ErrorCode>(answers),))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store, (answers,): (Resource<Answers>,)| {
            Ok((store.data_mut().sockets().table.get_mut(&answers)?.next(),))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store,
         (answers,): (Resource<Answers>,)|
         -> wasmtime::Result<(Resource<DynPollable>,)> {
            let table = store.data_mut().sockets().table;
            Ok((wasmtime_wasi::p2::subscribe(table, answers)?,))
        },
    )?;
    linker.instance(TCP_SOCKETS)?.func_wrap(
        "create-tcp-socket",
        |mut store, (family,): (IpAddressFamily,)| {
            let made = WasiSocketsView::sockets(store.data_mut()).create_tcp_socket(family);
            told(store.data_mut(), family, SocketType::Stream, made)
        },
    )?;
    linker.instance(UDP_SOCKETS)?.func_wrap_async(
        "create-udp-socket",
        |mut store, (family,): (IpAddressFamily,)| {
            Box::new(async move {
                let mut sockets = WasiSocketsView::sockets(store.data_mut());
                let made = sockets.create_udp_socket(family).await;
                told(store.data_mut(), family, SocketType::Datagram, made)
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What the guest gets of a socket that was made, or was not. wasmtime-wasi makes it without asking, and a confined
/// process has none of kinds that no rule names: the operator is told of that as of any other refusal.
fn told<T: SocketsView, S>(
    data: &mut T,
    family: IpAddressFamily,
    socket_type: SocketType,
    made: SocketResult<S>,
) -> wasmtime::Result<(Result<S, ErrorCode>,)> {
    let code = match made {
        Ok(socket) => return Ok((Ok(socket),)),
        Err(error) => error.downcast()?,
    };
    let family = match family {
        IpAddressFamily::Ipv4 => Family::Inet,
        IpAddressFamily::Ipv6 => Family::Inet6,
    };
    let kind = Kind::new(family, socket_type);
    let guest = data.sockets().ctx.guest();
    if let Err(denial) = guest.gate().create(kind) {
        let event = || Event::new("socket").arguments(format_args!("{kind}, wasi:sockets"));
        guest.refuse(&denial, event);
    }
    Ok((Err(code),))
}

async fn resolve(guest: Arc<Guest>, name: String) -> Result<Vec<IpAddr>, ErrorCode> {
    let hints = Hints {
        family: None,
        socket_type: Some(SocketType::Stream),
        protocol: None,
        flags: LookupFlags::empty(),
    };
    let lookup = Lookup {
        host: Some(name.into_bytes()),
        service: None,
        hints,
    };
    // A task of its own must not block its thread, whatever the guest's own wait.
    match guest
        .look_up_waiting(lookup, Timeout::Blocking, WaitMode::Ready)
        .await
    {
        Ok(answers) => Ok(answers
            .iter()
            .filter_map(|answer| answer.address.ip())
            .collect()),
        Err(LookupError::Failed(Failure::Errno(Errno::ACCES))) => Err(ErrorCode::AccessDenied),
        Err(LookupError::Name(Eai::AGAIN)) => Err(ErrorCode::TemporaryResolverFailure),
        Err(LookupError::Name(Eai::FAIL)) => Err(ErrorCode::PermanentResolverFailure),
        Err(LookupError::Name(_)) => Err(ErrorCode::NameUnresolvable),
        Err(LookupError::Failed(_)) => Err(ErrorCode::Unknown),
    }
}
