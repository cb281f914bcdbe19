//! Many connections on one poller, most of them idle: what an event costs. One text for the guest and for
//! native code: `super::many` has sockgate-guest's poller and sockets in the guest, epoll(7) and std's in
//! native code, and nothing else differs.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::many::{Poller, UnixStream};

/// Bytes of a message.
pub const MESSAGE: usize = 64;
/// Connections that talk.
const BUSY: usize = 500;
/// So many of them ask at a time.
pub const BURST: usize = 8;

/// Where the busy connections are among the idle ones.
#[derive(Clone, Copy)]
pub enum Busy {
    /// They came one after the other, so that what they touch in memory lies alike in every crowd.
    Together,
    /// As far apart as can be: visiting them meets colder memory in a larger crowd, whoever watches them.
    Scattered,
}

/// The ends that ask. What serves the other ends has them send back what comes.
pub struct Crowd {
    asking: Vec<UnixStream>,
    /// Every how many connections one is busy.
    step: usize,
}

impl Crowd {
    /// So many idle connections and the busy ones among them, and their serving ends, which do not wait.
    pub fn new(idle: usize, busy: Busy) -> io::Result<(Crowd, Vec<UnixStream>)> {
        let all = idle + BUSY;
        let (mut asking, mut serving) = (Vec::with_capacity(all), Vec::with_capacity(all));
        for _ in 0..all {
            let (one, other) = UnixStream::pair()?;
            other.set_nonblocking(true)?;
            asking.push(one);
            serving.push(other);
        }
        let step = match busy {
            Busy::Together => 1,
            Busy::Scattered => all / BUSY,
        };
        Ok((Crowd { asking, step }, serving))
    }

    /// The places of those that ask in this burst.
    fn places(&self, burst: u32) -> impl Iterator<Item = usize> + use<> {
        let first = burst as usize * BURST;
        let step = self.step;
        (first..first + BURST).map(move |place| place % BUSY * step)
    }

    /// Each of [`BURST`] connections asks once.
    pub fn ask(&mut self, burst: u32) -> io::Result<()> {
        for place in self.places(burst) {
            self.asking[place].write_all(&message(burst, place))?;
        }
        Ok(())
    }

    /// Takes their answers.
    pub fn hear(&mut self, burst: u32) -> io::Result<()> {
        for place in self.places(burst) {
            let mut answer = [0; MESSAGE];
            self.asking[place].read_exact(&mut answer)?;
            if answer != message(burst, place) {
                return Err(io::Error::other("another answer than what was asked"));
            }
        }
        Ok(())
    }
}

/// Another one for each connection and burst.
fn message(burst: u32, place: usize) -> [u8; MESSAGE] {
    [(burst as usize * 31 + place) as u8; MESSAGE]
}

/// How long the bursts of one run took.
pub struct Bursts {
    warm_up: u32,
    all: u32,
    took: Vec<Duration>,
}

impl Bursts {
    /// Bursts for so many events before the clock runs, and while it does.
    pub fn new(warm_up: u32, measured: u32) -> Bursts {
        let size = BURST as u32;
        Bursts {
            warm_up: warm_up / size,
            all: (warm_up + measured) / size,
            took: Vec::new(),
        }
    }

    /// Their numbers.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        0..self.all
    }

    /// One was served since then.
    pub fn add(&mut self, burst: u32, start: Instant) {
        let took = start.elapsed();
        if burst >= self.warm_up {
            self.took.push(took);
        }
    }

    /// How long all that were measured would have taken if each had taken as long as their median: a burst in
    /// which the kernel let somebody else run says nothing of what it costs.
    pub fn total(mut self) -> Duration {
        self.took.sort();
        let median = self.took.get(self.took.len() / 2);
        median.copied().unwrap_or_default() * self.took.len() as u32
    }
}

/// How long `measured` events take with so many idle connections beside: the waits, and for each event one
/// message received and sent.
pub fn run(idle: usize, busy: Busy, warm_up: u32, measured: u32) -> io::Result<Duration> {
    let (mut crowd, mut serving) = Crowd::new(idle, busy)?;
    let poller = Poller::new()?;
    for (place, stream) in serving.iter().enumerate() {
        poller.watch(stream, place as u64)?;
    }
    let mut bursts = Bursts::new(warm_up, measured);
    for burst in bursts.numbers() {
        crowd.ask(burst)?;
        let start = Instant::now();
        serve(&poller, &mut serving)?;
        bursts.add(burst, start);
        crowd.hear(burst)?;
    }
    Ok(bursts.total())
}

/// Serves one burst.
fn serve(poller: &Poller, serving: &mut [UnixStream]) -> io::Result<()> {
    let mut left = BURST;
    while left > 0 {
        for token in poller.ready()? {
            let stream = &mut serving[token as usize];
            let mut message = [0; MESSAGE];
            // An idle one has nothing to receive, and fails here.
            let length = stream.read(&mut message)?;
            stream.write_all(&message[..length])?;
            let fewer = left.checked_sub(1);
            left = fewer.ok_or_else(|| io::Error::other("more events than messages"))?;
        }
    }
    Ok(())
}
