//! What a guest, or a rule, may use: the values. What was used is counted by the gate's meters.

use std::time::Duration;

/// An amount that is used up or held, and given back where it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// What is held at one time of sockets; for a guest also of further handles on them, pollers and
    /// descriptors that were passed to it.
    Sockets,
    /// Bytes that the host holds in buffers at one time.
    BufferBytes,
    /// Bytes of ancillary data beside one message, cmsg(3).
    ControlBytes,
    /// Descriptors that were sent and that nobody has received yet, unix(7).
    DescriptorsInFlight,
    /// Bytes sent in all.
    SendBytes,
    /// Bytes received in all.
    ReceiveBytes,
}

/// What passes and is held back where it passes too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// Bytes sent.
    SendBytes,
    /// Bytes received.
    ReceiveBytes,
    /// Calls that sent, each message of a batch for itself.
    SendMessages,
    /// Calls that received, each message of a batch for itself.
    ReceiveMessages,
    /// Connections made and accepted.
    Connections,
    /// Host names and addresses looked up.
    ResolverQueries,
}

/// How fast something may pass: so much a second, and so much at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// A rate whose burst is one second's worth.
    #[must_use]
    pub const fn per_second(per_second: u64) -> Rate {
        Rate {
            per_second,
            burst: per_second,
        }
    }

    /// The same with another burst.
    #[must_use]
    pub const fn with_burst(self, burst: u64) -> Rate {
        Rate { burst, ..self }
    }

    /// So much passes in a second.
    #[must_use]
    pub const fn each_second(self) -> u64 {
        self.per_second
    }

    /// So much passes at once after a pause.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    fn stricter(self, other: Rate) -> Rate {
        Rate {
            per_second: self.per_second.min(other.per_second),
            burst: self.burst.min(other.burst),
        }
    }
}

/// Sockets and descriptors are numbers of a table that has no more places, `fs.nr_open` of proc(5).
const MOST_HELD: u64 = 1 << 20;
/// A TiB: more is no limit but a slip.
const MOST_BYTES: u64 = 1 << 40;
/// An EiB.
const MOST_IN_ALL: u64 = 1 << 60;

impl Count {
    /// All of them.
    pub const ALL: [Count; 6] = [
        Count::Sockets,
        Count::BufferBytes,
        Count::ControlBytes,
        Count::DescriptorsInFlight,
        Count::SendBytes,
        Count::ReceiveBytes,
    ];

    /// The key in a policy.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Count::Sockets => "sockets",
            Count::BufferBytes => "buffer-bytes",
            Count::ControlBytes => "control-bytes",
            Count::DescriptorsInFlight => "descriptors-in-flight",
            Count::SendBytes => "send-bytes",
            Count::ReceiveBytes => "receive-bytes",
        }
    }

    /// The greatest value that a policy may write.
    #[must_use]
    pub const fn greatest(self) -> u64 {
        match self {
            Count::Sockets | Count::DescriptorsInFlight => MOST_HELD,
            Count::BufferBytes | Count::ControlBytes => MOST_BYTES,
            Count::SendBytes | Count::ReceiveBytes => MOST_IN_ALL,
        }
    }

    /// Whether it is counted in bytes.
    #[must_use]
    pub const fn is_bytes(self) -> bool {
        !matches!(self, Count::Sockets | Count::DescriptorsInFlight)
    }
}

impl Flow {
    /// All of them.
    pub const ALL: [Flow; 6] = [
        Flow::SendBytes,
        Flow::ReceiveBytes,
        Flow::SendMessages,
        Flow::ReceiveMessages,
        Flow::Connections,
        Flow::ResolverQueries,
    ];

    /// The key of the rate in a policy.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Flow::SendBytes => "send-bytes-per-second",
            Flow::ReceiveBytes => "receive-bytes-per-second",
            Flow::SendMessages => "send-messages-per-second",
            Flow::ReceiveMessages => "receive-messages-per-second",
            Flow::Connections => "connections-per-second",
            Flow::ResolverQueries => "resolver-queries-per-second",
        }
    }

    /// The key of the burst in a policy.
    #[must_use]
    pub const fn burst_key(self) -> &'static str {
        match self {
            Flow::SendBytes => "send-bytes-burst",
            Flow::ReceiveBytes => "receive-bytes-burst",
            Flow::SendMessages => "send-messages-burst",
            Flow::ReceiveMessages => "receive-messages-burst",
            Flow::Connections => "connections-burst",
            Flow::ResolverQueries => "resolver-queries-burst",
        }
    }

    /// The greatest value that a policy may write for the rate and for the burst.
    #[must_use]
    pub const fn greatest(self) -> u64 {
        match self {
            Flow::SendBytes | Flow::ReceiveBytes => MOST_BYTES,
            _ => 1_000_000_000,
        }
    }

    /// Whether it is counted in bytes.
    #[must_use]
    pub const fn is_bytes(self) -> bool {
        matches!(self, Flow::SendBytes | Flow::ReceiveBytes)
    }

    /// Whether it is about what goes through a socket.
    pub(crate) const fn is_data(self) -> bool {
        !matches!(self, Flow::Connections | Flow::ResolverQueries)
    }
}

/// The key of a socket's lifetime.
pub(crate) const LIFETIME: &str = "lifetime";
/// The longest lifetime: a year.
pub(crate) const LONGEST_LIFETIME: Duration = Duration::from_secs(366 * 86_400);

/// The limits of one guest or one rule; what is not said is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    counts: [Option<u64>; Count::ALL.len()],
    rates: [Option<Rate>; Flow::ALL.len()],
    lifetime: Option<Duration>,
}

/// Of two that are given the stricter one, else the one that is given.
fn stricter<T>(one: Option<T>, other: Option<T>, choose: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(choose(one, other)),
        (one, other) => one.or(other),
    }
}

impl Limits {
    /// No limit at all.
    #[must_use]
    pub const fn none() -> Limits {
        Limits {
            counts: [None; Count::ALL.len()],
            rates: [None; Flow::ALL.len()],
            lifetime: None,
        }
    }

    /// What holds for a guest whose policy does not say otherwise: 256 sockets, 16 MiB of buffers, 128 KiB of
    /// ancillary data beside a message, 256 descriptors in flight.
    #[must_use]
    pub const fn of_a_guest() -> Limits {
        Limits::none()
            .with(Count::Sockets, 256)
            .with(Count::BufferBytes, 16 << 20)
            .with(Count::ControlBytes, 128 << 10)
            .with(Count::DescriptorsInFlight, 256)
    }

    /// The same with another amount.
    #[must_use]
    pub const fn with(mut self, count: Count, most: u64) -> Limits {
        self.counts[count as usize] = Some(most);
        self
    }

    /// The same with another rate.
    #[must_use]
    pub const fn with_rate(mut self, flow: Flow, rate: Rate) -> Limits {
        self.rates[flow as usize] = Some(rate);
        self
    }

    /// The same with another time after which a socket ends.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Limits {
        self.lifetime = Some(lifetime);
        self
    }

    /// The most of something.
    #[must_use]
    pub const fn count(&self, count: Count) -> Option<u64> {
        self.counts[count as usize]
    }

    /// How fast something may pass.
    #[must_use]
    pub const fn rate(&self, flow: Flow) -> Option<Rate> {
        self.rates[flow as usize]
    }

    /// How long a socket may live.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// What both say together: of what both limit the stricter value.
    #[must_use]
    pub fn stricter(&self, other: &Limits) -> Limits {
        let mut limits = self.clone();
        for (ours, theirs) in limits.counts.iter_mut().zip(other.counts) {
            *ours = stricter(*ours, theirs, u64::min);
        }
        for (ours, theirs) in limits.rates.iter_mut().zip(other.rates) {
            *ours = stricter(*ours, theirs, Rate::stricter);
        }
        limits.lifetime = stricter(limits.lifetime, other.lifetime, Duration::min);
        limits
    }

    /// These for a guest, of which what [`Limits::of_a_guest`] counts holds where these say nothing.
    #[must_use]
    pub(crate) fn for_a_guest(mut self) -> Limits {
        for (ours, default) in self.counts.iter_mut().zip(Limits::of_a_guest().counts) {
            *ours = ours.or(default);
        }
        self
    }

    /// The first key that is about single data calls or about how long a socket lives, which can be counted
    /// only where the host makes those calls itself.
    #[must_use]
    pub(crate) fn key_of_data(&self) -> Option<&'static str> {
        let totals = [Count::SendBytes, Count::ReceiveBytes];
        let total = totals
            .into_iter()
            .find(|count| self.count(*count).is_some());
        let mut flows = Flow::ALL.into_iter();
        let rate = flows.find(|flow| flow.is_data() && self.rate(*flow).is_some());
        total
            .map(Count::key)
            .or(rate.map(Flow::key))
            .or(self.lifetime.map(|_| LIFETIME))
    }

    /// Whether anything that passes is counted.
    pub(crate) fn has_rates_or_totals(&self) -> bool {
        let totals = [Count::SendBytes, Count::ReceiveBytes];
        totals.into_iter().any(|total| self.count(total).is_some())
            || self.rates.iter().any(Option::is_some)
    }

    /// The first key that is about anything but how often it connects and asks the resolver.
    pub(crate) fn key_of_sockets(&self) -> Option<&'static str> {
        let mut counts = Count::ALL.into_iter();
        counts
            .find(|count| self.count(*count).is_some())
            .map(Count::key)
            .or(self.key_of_data())
    }

    /// Everything that no policy may say, by its key, with what is wrong and how to mend it.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        for count in Count::ALL {
            let value = self.count(count);
            faults.extend(value.and_then(|value| fault(count.key(), value, count.greatest())));
        }
        for flow in Flow::ALL {
            if let Some(rate) = self.rate(flow) {
                let most = flow.greatest();
                faults.extend(fault(flow.key(), rate.per_second, most));
                faults.extend(fault(flow.burst_key(), rate.burst, most));
            }
        }
        if self
            .lifetime
            .is_some_and(|lifetime| lifetime.is_zero() || lifetime > LONGEST_LIFETIME)
        {
            faults.push((
                format!("`{LIFETIME}` is no duration up to a year"),
                "write `30s`, `5m` or `1h`".to_owned(),
            ));
        }
        faults
    }
}

/// What is wrong with a value, and how to mend it.
pub(crate) fn fault(key: &str, value: u64, greatest: u64) -> Option<(String, String)> {
    if value == 0 {
        return Some((
            format!("`{key} = 0` would let nothing through"),
            "to forbid it all, take the operations out of the rules; otherwise write at least 1"
                .to_owned(),
        ));
    }
    (value > greatest).then(|| {
        (
            format!("`{key} = {value}` is beyond every use"),
            format!("write at most {greatest}"),
        )
    })
}
