//! From whom a socket received lately: what `reply` answers to.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sockgate_policy::Address;

/// How long a sender may be answered.
const MEMORY: Duration = Duration::from_secs(60);
/// How old a sender's entry may grow before it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(1);
/// How many senders are remembered; then the table forgets those that are due, or else the oldest.
const SENDERS: usize = 1024;

/// A bounded table of senders and when each was heard last.
#[derive(Default)]
pub(crate) struct Heard {
    senders: HashMap<Address, Instant>,
}

impl Heard {
    /// Remembers a sender, unless its name is one that stands for somebody else.
    pub(crate) fn remember(&mut self, sender: &Address, now: Instant) {
        if !is_another_s(sender) {
            self.insert(sender, now);
        }
    }

    /// The same for one that may go on and on, by its own name and by the one that it is judged by: they are not
    /// looked up for every message.
    pub(crate) fn renew(
        &mut self,
        sender: &Address,
        judged: &Address,
        remembered: &mut Option<Instant>,
        now: Instant,
    ) {
        if remembered.is_some_and(|last| now.duration_since(last) <= RENEW_AFTER) {
            return;
        }
        *remembered = Some(now);
        if !is_another_s(sender) {
            self.insert(sender, now);
            self.insert(judged, now);
        }
    }

    fn insert(&mut self, name: &Address, now: Instant) {
        let name = name.canonical_destination();
        if let Some(last) = self.senders.get_mut(&name) {
            *last = now;
            return;
        }
        if self.senders.len() >= SENDERS {
            self.forget(now);
        }
        self.senders.insert(name, now);
    }

    /// Until when this peer may be answered, which was heard within the last 60 seconds.
    pub(crate) fn until(&self, peer: &Address, now: Instant) -> Option<Instant> {
        let last = self.senders.get(&peer.canonical_destination())?;
        let end = *last + MEMORY;
        (now < end).then_some(end)
    }

    fn forget(&mut self, now: Instant) {
        self.senders
            .retain(|_, last| now.duration_since(*last) < MEMORY);
        if self.senders.len() < SENDERS {
            return;
        }
        // Half at a time, so that a flood of senders costs one pass per 512 of them.
        let mut times: Vec<Instant> = self.senders.values().copied().collect();
        let (_, middle, _) = times.select_nth_unstable(SENDERS / 2);
        let middle = *middle;
        self.senders.retain(|_, last| *last > middle);
    }
}

/// Whether a datagram's source is a name that a destination has for another host: the kernel takes `0.0.0.0` and `::`
/// there for itself, and `::a.b.c.d`, which anybody may write from, is judged as that IPv4 address.
fn is_another_s(sender: &Address) -> bool {
    let canonical = sender.canonical();
    let mapped = matches!(sender, Address::Inet6(six) if six.ip().to_ipv4_mapped().is_some());
    canonical.is_wildcard() || (canonical != *sender && !mapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SocketsCtx;
    use crate::socket::data::Attempt;
    use crate::socket::{Errno, Failure, Socket, Timeout};
    use sockgate_policy::{Family, Kind, MessageFlags, Policy, SocketType, Source};
    use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

    fn sender(number: u32) -> Address {
        Address::Inet(SocketAddrV4::new(Ipv4Addr::from(number), 9))
    }

    #[test]
    fn a_sender_is_forgotten_after_sixty_seconds() {
        let mut heard = Heard::default();
        let start = Instant::now();
        heard.remember(&sender(1), start);
        let end = start + Duration::from_secs(60);
        assert_eq!(heard.until(&sender(1), start), Some(end));
        let before = end - Duration::from_nanos(1);
        assert_eq!(heard.until(&sender(1), before), Some(end));
        assert_eq!(heard.until(&sender(1), end), None);
        assert_eq!(heard.until(&sender(2), start), None);
    }

    #[test]
    fn who_goes_on_is_renewed_under_all_its_names() {
        let mut heard = Heard::default();
        let start = Instant::now();
        let mut remembered = None;
        let (own, judged) = (sender(1), sender(2));
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        // Not looked up for each message, and yet never for more than a second.
        for (when, since) in [
            (0, 0),
            (900, 0),
            (1100, 1100),
            (2000, 1100),
            (61_000, 61_000),
        ] {
            heard.renew(&own, &judged, &mut remembered, at(when));
            assert_eq!(remembered, Some(at(since)));
            for name in [&own, &judged] {
                assert_eq!(heard.until(name, at(when)), Some(at(since) + MEMORY));
            }
        }
    }

    #[test]
    fn a_name_that_stands_for_another_host_is_not_heard() {
        let at = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
        let start = Instant::now();
        for (sender, host) in [
            ("0.0.0.0:9", "127.0.0.1:9"),
            ("[::]:9", "[::1]:9"),
            ("[::ffff:0.0.0.0]:9", "127.0.0.1:9"),
            ("[::127.0.0.1]:9", "127.0.0.1:9"),
            ("[::192.0.2.1]:9", "192.0.2.1:9"),
        ] {
            let mut heard = Heard::default();
            let sender = at(sender);
            heard.renew(&sender, &sender.canonical(), &mut None, start);
            for name in [&at(host), &sender] {
                assert_eq!(heard.until(name, start), None, "{sender:?}");
            }
        }
    }

    /// A server that may answer, and the host's side of a client that it heard almost 60 seconds ago.
    fn server_and_client() -> (Socket, UdpSocket) {
        let policy = "version = 1\n[[allow]]\nid = \"server\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
             ops = [\"bind\", \"receive\", \"reply\"]\nlocal = { cidr = [\"127.0.0.1\"] }\npeer = \"*\"\n";
        let policy = Policy::from_toml(&Source::new("server", policy)).unwrap();
        let ctx = SocketsCtx::builder(policy).build().unwrap();
        let kind = Kind::new(Family::Inet, SocketType::Datagram);
        let mut server = Socket::create(ctx.guest(), kind).unwrap();
        server.set_timeout(Timeout::NonBlocking);
        let inner = server.inner().unwrap();
        let at = |port| Address::Inet(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        inner.bind(&at(0)).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let almost = Instant::now() - MEMORY + Duration::from_millis(300);
        let sender = at(client.local_addr().unwrap().port());
        inner.state().heard.remember(&sender, almost);
        let Address::Inet(server_at) = inner.local_address().unwrap() else {
            panic!("an address of IPv4");
        };
        client.connect(server_at).unwrap();
        (server, client)
    }

    #[test]
    fn an_answer_is_granted_for_sixty_seconds_and_looks_do_not_prolong_it() {
        let run = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for (flags, outcome) in [
            (None, Err(Failure::Errno(Errno::ACCES))),
            (Some(MessageFlags::PEEK), Err(Failure::Errno(Errno::ACCES))),
            (Some(MessageFlags::empty()), Ok(1)),
        ] {
            let (mut server, client) = server_and_client();
            let to = Address::from(client.local_addr().unwrap());
            let send = |server: &Socket| {
                let inner = server.inner().unwrap();
                match inner.attempt_send_to(b"x", MessageFlags::empty(), &to) {
                    Ok(Attempt::Done(sent)) => Ok(sent),
                    Ok(_) => panic!("an empty queue has room"),
                    Err(failure) => Err(failure),
                }
            };
            assert_eq!(send(&server), Ok(1), "{flags:?}");
            if let Some(flags) = flags {
                client.send(b"y").unwrap();
                let (bytes, _) = run.block_on(server.recv_from(1, flags)).unwrap();
                assert_eq!(bytes, "y");
            }
            std::thread::sleep(Duration::from_millis(350));
            assert_eq!(send(&server), outcome, "{flags:?}");
        }
    }

    #[test]
    fn an_address_is_heard_in_all_its_forms() {
        let mut heard = Heard::default();
        let start = Instant::now();
        let at = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
        heard.remember(&at("[::ffff:192.0.2.1]:9"), start);
        heard.remember(&at("127.0.0.1:9"), start);
        for form in [
            "192.0.2.1:9",
            "[::ffff:192.0.2.1]:9",
            "[::192.0.2.1]:9",
            "0.0.0.0:9",
        ] {
            assert!(heard.until(&at(form), start).is_some(), "{form}");
        }
        assert_eq!(heard.until(&at("[2001:db8::1]:9"), start), None);
    }

    #[test]
    fn the_table_stays_bounded_and_keeps_the_latest() {
        let mut heard = Heard::default();
        let start = Instant::now();
        for number in 0..10_000 {
            heard.remember(
                &sender(number),
                start + Duration::from_micros(u64::from(number)),
            );
        }
        assert!(heard.senders.len() <= SENDERS);
        let later = start + Duration::from_secs(1);
        assert!(heard.until(&sender(9_999), later).is_some());
    }
}
