//! Names: hosts, services, protocols, interfaces.
//!
//! getaddrinfo(3) and getnameinfo(3) block, so they run on threads of their own, a bounded number of them;
//! the guest waits for the answer as it waits for a socket. A thread may outlive its guest: the C library
//! cannot be interrupted.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sockgate_policy::{
    Address, Family, Kind, Meters, Permit, Short, SocketType, Toll, is_host_name, op,
    unicode_host_name,
};

use super::attempt;
use super::sys::poll::EventFd;
use super::sys::resolve::{self, Eai, Hints, LookupFlags, NameFlags};
use super::sys::{EncodedAddress, interface};
use super::wait::{Deadline, Descriptor, Timeout, Wait, WaitMode};
use super::{Errno, Failure, Guest, Interest, Outcome, now};
use crate::audit::Event;

pub(crate) use super::sys::resolve::{
    AddressInfo, Host, Protocol, Service, protocol_by_name, protocol_by_number, service_by_name,
    service_by_port,
};

/// So many look-ups of one guest run at a time, those included that it no longer waits for.
const LOOKUPS_PER_GUEST: usize = 8;
/// So many of all guests together.
const LOOKUPS: usize = 64;
/// A host name is no longer, RFC 1035; longer ones are not even looked at.
const NAME_LIMIT: usize = 255;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many look-ups of a guest are under way.
#[derive(Default)]
pub(crate) struct Resolvers {
    running: Arc<AtomicUsize>,
}

/// A place among the look-ups that are under way.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(resolvers: &Resolvers) -> Option<Place> {
        if !rise(&RUNNING, LOOKUPS) {
            return None;
        }
        if !rise(&resolvers.running, LOOKUPS_PER_GUEST) {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Place(resolvers.running.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

fn rise(counter: &AtomicUsize, limit: usize) -> bool {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
            (count < limit).then_some(count + 1)
        })
        .is_ok()
}

/// Why a look-up did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// The resolver's answer.
    Name(Eai),
    /// Refused, interrupted, timed out, stopped.
    Failed(Failure),
}

impl From<Failure> for LookupError {
    fn from(failure: Failure) -> LookupError {
        LookupError::Failed(failure)
    }
}

impl From<Errno> for LookupError {
    fn from(errno: Errno) -> LookupError {
        LookupError::Failed(errno.into())
    }
}

impl From<Eai> for LookupError {
    fn from(eai: Eai) -> LookupError {
        LookupError::Name(eai)
    }
}

/// What to look up, getaddrinfo(3).
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) service: Option<String>,
    pub(crate) hints: Hints,
}

/// The answers that a guest may see, in canonical form: a mapped address is seen where its IPv4 form is.
struct Seen(Vec<IpAddr>);

impl Seen {
    fn has(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

/// What is written as a number, in whatever notation, needs no look-up and no grant: its answer; so does what
/// can be no host's name, which is nowhere. None for what is a name.
fn numeric(
    host: &[u8],
    service: Option<&[u8]>,
    hints: &Hints,
) -> Option<Result<Vec<AddressInfo>, Eai>> {
    if host.len() > NAME_LIMIT {
        return Some(Err(Eai::NONAME));
    }
    let only_numbers = Hints {
        flags: hints.flags | LookupFlags::NUMERIC_HOST,
        ..*hints
    };
    match resolve::look_up(Some(host), service, &only_numbers) {
        // Or it is the service that is no number.
        Err(Eai::NONAME) if !hints.flags.contains(LookupFlags::NUMERIC_HOST) => {
            let of_host = Hints {
                flags: LookupFlags::NUMERIC_HOST,
                ..*hints
            };
            let is_name = resolve::look_up(Some(host), None, &of_host) == Err(Eai::NONAME)
                && is_host_name(host);
            (!is_name).then_some(Err(Eai::NONAME))
        }
        answer => Some(answer),
    }
}

impl Guest {
    /// The answer that needs no grant. What fails so is told: a name that can be none is never asked about.
    fn numeric(
        &self,
        host: &[u8],
        service: Option<&[u8]>,
        hints: &Hints,
    ) -> Option<Result<Vec<AddressInfo>, Eai>> {
        let answer = numeric(host, service, hints)?;
        Some(answer.inspect_err(|eai| {
            let event = || Event::new("resolve").arguments(String::from_utf8_lossy(host));
            self.audit().note(|| event().failed_look_up(eai));
        }))
    }

    /// Waits until a connection or a question to the resolver may pass, and counts it.
    pub(crate) async fn rest_for(
        &self,
        meters: &Meters,
        toll: Toll,
        wait_mode: WaitMode,
        deadline: Deadline,
        event: impl Fn() -> Event,
    ) -> Outcome<()> {
        loop {
            match meters.take(toll, now()) {
                Ok(passage) => {
                    passage.settle(0);
                    return Ok(());
                }
                Err(Short::Spent(limit)) => return Err(self.limited(event, &limit, Errno::DQUOT)),
                Err(Short::Until(delay)) => {
                    if delay.is_news {
                        self.audit().note(|| event().delayed(&delay.limit));
                    }
                    let moment = delay.until.saturating_duration_since(now());
                    let left = deadline.left()?;
                    let moment = left.map_or(moment, |left| left.min(moment));
                    wait_mode.pause(moment, self.cancel()).await?;
                }
            }
        }
    }

    /// Runs what blocks on a thread of its own and waits for it as for a socket.
    async fn on_thread<T: Send + 'static>(
        &self,
        timeout: Timeout,
        wait_mode: WaitMode,
        meters: Option<&Meters>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LookupError> {
        // Those that a rate holds back count among those that are under way.
        let Some(place) = Place::take(self.resolvers()) else {
            tracing::debug!("a guest has too many look-ups under way");
            return Err(Eai::AGAIN.into());
        };
        let deadline = timeout.deadline(Errno::AGAIN);
        if let Some(meters) = meters {
            self.rest_for(meters, Toll::Query, wait_mode, deadline, || {
                Event::new("resolve")
            })
            .await?;
        }
        let done = Arc::new(EventFd::create()?);
        let answer = Arc::new(Mutex::new(None));
        let descriptor = {
            use std::os::fd::AsFd;
            Descriptor::new(done.as_fd().try_clone_to_owned().map_err(Errno::from)?)
        };
        let (slot, signal) = (answer.clone(), done);
        std::thread::Builder::new()
            .name("sockgate-resolver".into())
            .spawn(move || {
                let found = work();
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                signal.signal();
                drop(place);
            })
            .map_err(Errno::from)?;
        loop {
            if let Some(answer) = answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Ok(answer);
            }
            wait_mode
                .wait(&descriptor, Interest::Readable, deadline, self.cancel())
                .await?;
        }
    }

    /// getaddrinfo(3). Numeric hosts and none at all need no grant; a name needs `resolve`, and what it
    /// resolves to is pinned to it.
    pub(crate) async fn look_up(
        &self,
        lookup: Lookup,
        timeout: Timeout,
    ) -> Result<Vec<AddressInfo>, LookupError> {
        self.look_up_waiting(lookup, timeout, self.wait_mode())
            .await
    }

    /// The same under another wait than the guest's own.
    pub(crate) async fn look_up_waiting(
        &self,
        lookup: Lookup,
        timeout: Timeout,
        wait_mode: WaitMode,
    ) -> Result<Vec<AddressInfo>, LookupError> {
        self.check_stopped()?;
        let Lookup {
            host,
            service,
            hints,
        } = lookup;
        let service_bytes = service.as_deref().map(str::as_bytes);
        let Some(host) = host else {
            return Ok(resolve::look_up(None, service_bytes, &hints)?);
        };
        if let Some(answer) = self.numeric(&host, service_bytes, &hints) {
            return Ok(answer?);
        }
        let (mut answers, seen) = self
            .resolve(
                &host,
                timeout,
                wait_mode,
                move |permit| {
                    attempt::resolve(permit, service.as_deref().map(str::as_bytes), &hints)
                },
                |answers| {
                    let ips = answers.iter().filter_map(|answer| answer.address.ip());
                    ips.collect()
                },
            )
            .await?;
        answers.retain(|answer| answer.address.ip().is_some_and(|ip| seen.has(ip)));
        if answers.is_empty() {
            Err(Eai::NONAME.into())
        } else {
            Ok(answers)
        }
    }

    /// Looks a name up with its grant and pins what it resolved to: the answer, and which of its addresses
    /// the guest may see.
    async fn resolve<T: Send + 'static>(
        &self,
        host: &[u8],
        timeout: Timeout,
        wait_mode: WaitMode,
        work: impl FnOnce(&Permit<op::Resolve>) -> Result<T, Eai> + Send + 'static,
        addresses_of: impl FnOnce(&T) -> Vec<IpAddr>,
    ) -> Result<(T, Seen), LookupError> {
        let event = || Event::new("resolve").arguments(String::from_utf8_lossy(host));
        let permit = self.decide(self.gate().resolve(host), event)?;
        let thread_permit = permit.clone();
        let answer = self
            .on_thread(timeout, wait_mode, permit.meters(), move || {
                work(&thread_permit)
            })
            .await?;
        let answer = answer.inspect_err(|eai| {
            self.audit()
                .note(|| event().granted(&permit).failed_look_up(eai));
        })?;
        let addresses = addresses_of(&answer);
        let seen = Seen(self.gate().pin(&permit, &addresses));
        self.audit().note(|| {
            let shown: Vec<String> = seen.0.iter().map(IpAddr::to_string).collect();
            let event = event().granted(&permit).address(shown.join(" "));
            match addresses.iter().filter(|ip| !seen.has(**ip)).count() {
                0 => event,
                dropped => event.arguments(format_args!("{} ({dropped} hidden)", permit.subject())),
            }
        });
        Ok((answer, seen))
    }

    /// getnameinfo(3). The host's name needs `reverse-resolve`; numeric answers need nothing.
    pub(crate) async fn name_of(
        &self,
        address: &Address,
        flags: NameFlags,
        timeout: Timeout,
    ) -> Result<(Vec<u8>, Vec<u8>), LookupError> {
        self.check_stopped()?;
        let encoded = EncodedAddress::try_from(address)?;
        let Some(ip) = address.ip() else {
            return Err(Eai::FAMILY.into());
        };
        if flags.contains(NameFlags::NUMERIC_HOST) {
            return Ok(resolve::name_of(&encoded, flags)?);
        }
        let (host, service) = self
            .reverse_resolve(ip, timeout, move |permit| {
                attempt::reverse_resolve(permit, &encoded, flags)
            })
            .await?;
        let host = match flags.contains(NameFlags::INTERNATIONAL) {
            true => unicode_host_name(&host),
            false => host,
        };
        Ok((host, service))
    }

    /// gethostbyname(3): the name, its other names, its IPv4 addresses. A number needs no grant and is
    /// its own name.
    pub(crate) async fn host_by_name(
        &self,
        name: Vec<u8>,
        timeout: Timeout,
    ) -> Result<Host, LookupError> {
        self.check_stopped()?;
        let hints = Hints {
            family: Some(Family::Inet),
            socket_type: Some(SocketType::Stream),
            ..Hints::default()
        };
        if let Some(answer) = self.numeric(&name, None, &hints) {
            let addresses = answer?
                .iter()
                .filter_map(|info| info.address.ip())
                .collect();
            return Ok(Host {
                name,
                aliases: Vec::new(),
                addresses,
            });
        }
        let (mut host, seen) = self
            .resolve(
                &name,
                timeout,
                self.wait_mode(),
                attempt::host_by_name,
                |host| host.addresses.clone(),
            )
            .await?;
        host.addresses.retain(|ip| seen.has(*ip));
        if host.addresses.is_empty() {
            Err(Eai::NONAME.into())
        } else {
            Ok(host)
        }
    }

    /// gethostbyaddr(3).
    pub(crate) async fn host_by_address(
        &self,
        ip: IpAddr,
        timeout: Timeout,
    ) -> Result<Host, LookupError> {
        self.check_stopped()?;
        self.reverse_resolve(ip, timeout, attempt::host_by_address)
            .await
    }

    /// Asks for the names of an address with its grant.
    async fn reverse_resolve<T: Send + 'static>(
        &self,
        ip: IpAddr,
        timeout: Timeout,
        work: impl FnOnce(&Permit<op::ReverseResolve>) -> Result<T, Eai> + Send + 'static,
    ) -> Result<T, LookupError> {
        let event = || Event::new("reverse-resolve").address(ip);
        let permit = self.decide(self.gate().reverse_resolve(ip), event)?;
        let thread_permit = permit.clone();
        let answer = self
            .on_thread(timeout, self.wait_mode(), permit.meters(), move || {
                work(&thread_permit)
            })
            .await?;
        self.audit().note(|| match &answer {
            Ok(_) => event().granted(&permit),
            Err(eai) => event().granted(&permit).failed_look_up(eai),
        });
        Ok(answer?)
    }

    /// gethostname(2).
    pub(crate) fn host_name(&self) -> Outcome<Vec<u8>> {
        let permit = self.decide(self.gate().hostname(), || Event::new("hostname"))?;
        Ok(attempt::host_name(&permit)?)
    }

    /// sethostname(2).
    pub(crate) fn set_host_name(&self, name: &[u8]) -> Outcome<()> {
        let event = || Event::new("set-hostname").arguments(String::from_utf8_lossy(name));
        let permit = self.decide(self.gate().set_hostname(name), event)?;
        let outcome = attempt::set_host_name(&permit).map_err(Into::into);
        self.audit()
            .note(|| event().granted(&permit).outcome(&outcome));
        outcome
    }

    /// if_nameindex(3).
    pub(crate) fn interfaces(&self) -> Outcome<Vec<(u32, String)>> {
        let permit = self.decide(self.gate().interfaces(), || Event::new("interfaces"))?;
        Ok(attempt::interfaces(&permit)?)
    }

    /// if_nametoindex(3).
    pub(crate) fn interface_index(&self, name: &str) -> Outcome<u32> {
        self.decide(self.gate().interfaces(), || {
            Event::new("interfaces").arguments(name)
        })?;
        Ok(interface::index(name)?)
    }

    /// if_indextoname(3).
    pub(crate) fn interface_name(&self, index: u32) -> Outcome<String> {
        self.decide(self.gate().interfaces(), || {
            Event::new("interfaces").arguments(index)
        })?;
        Ok(interface::name(index)?)
    }
}

/// The index of a scope that an address names; it is part of the address and needs no grant of its own.
pub(crate) fn scope_index(name: &str) -> Result<u32, Errno> {
    interface::index(name)
}

/// The name of a scope, if the interface is still there.
pub(crate) fn scope_name(index: u32) -> Option<String> {
    interface::name(index).ok()
}

/// What getaddrinfo says of a kind.
pub(crate) fn kind_of(info: &AddressInfo) -> Kind {
    Kind {
        family: info.family,
        socket_type: info.socket_type,
        protocol: info.protocol,
    }
}
