//! A model of a socket: what it is now, and so which calls succeed. Nothing here waits: every call is one that
//! answers at once, or `again`.

use std::io;

use sockgate_guest::{Errno, Family, Protocol, Shutdown, Socket, SocketAddress, SocketType};
use sockgate_test_guests::{address, named};

use super::Random;

/// At most so many sockets at a time.
const MOST: usize = 12;
/// What one socket may have in its queue, so that no buffer of the kernel fills.
const MOST_QUEUED: usize = 20;

/// What a socket is, as far as calls depend on it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Fresh,
    Bound,
    Listening,
    Connected,
    Closed,
}

/// What the peer of a connected socket is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    /// This one.
    Socket(u64),
    /// It has not been accepted yet, or is gone.
    Elsewhere,
}

struct Known {
    number: u64,
    socket: Socket,
    kind: (Family, SocketType),
    state: State,
    peer: Peer,
    /// Lengths of what was sent here and not received yet; a stream's are joined.
    queued: Vec<usize>,
    /// Clients in the queue of a listener, by their numbers.
    waiting: Vec<u64>,
    /// Lengths of what a client sent before it was accepted.
    early: Vec<usize>,
    write_shut: bool,
    read_shut: bool,
    /// The peer has said that nothing more comes.
    ended: bool,
    /// Something happened that the model does not follow: a peer that closed with data unread.
    unsure: bool,
    local: Option<SocketAddress>,
    /// Where a client is connected to.
    to: Option<SocketAddress>,
}

/// What a call is expected to answer.
#[derive(Debug)]
enum Expected {
    Success,
    /// One of these.
    Failure(&'static [Errno]),
    Either,
}

const TCP: (Family, SocketType) = (Family::Inet, SocketType::Stream);
const UDP: (Family, SocketType) = (Family::Inet, SocketType::Datagram);
const PAIRS: [(Family, SocketType); 3] = [
    (Family::Unix, SocketType::Stream),
    (Family::Unix, SocketType::Datagram),
    (Family::Unix, SocketType::Seqpacket),
];

/// Takes so many steps; an error is a step that the model did not expect.
pub fn walk(random: &mut Random, steps: u64) -> io::Result<()> {
    let mut world = World {
        all: Vec::new(),
        made: 0,
    };
    for step in 0..steps {
        if world.all.len() < 2 || (world.all.len() < MOST && random.below(8) == 0) {
            world.make(random)?;
            continue;
        }
        let at = random.below(world.all.len());
        let call = random.of(&CALLS);
        let before = world.all[at].shown();
        let (expected, outcome) = world.take(at, call, random)?;
        let fits = match (&expected, &outcome) {
            (Expected::Either, _) | (Expected::Success, Ok(_)) => true,
            (Expected::Failure(errnos), Err(error)) => {
                Errno::of(error).is_some_and(|errno| errnos.contains(&errno))
            }
            _ => false,
        };
        if !fits {
            let found = outcome.map_or_else(|error| named(&error), |length| format!("ok {length}"));
            let text =
                format!("step {step}: {call} on {before} was to be {expected:?} and is {found}");
            println!("{text}");
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

const CALLS: [&str; 14] = [
    "bind",
    "listen",
    "accept",
    "connect",
    "send",
    "send",
    "recv",
    "recv",
    "shutdown",
    "local-address",
    "peer-address",
    "close",
    "drop",
    "family",
];

impl Known {
    /// Whether the kernel may have ended the connection already: one end said so, or nobody has accepted it.
    fn may_be_over(&self) -> bool {
        let ending = self.unsure || self.write_shut || self.read_shut || self.ended;
        self.state == State::Connected && (ending || self.peer == Peer::Elsewhere)
    }

    fn shown(&self) -> String {
        format!(
            "{:?} {:?} {:?} to {:?} queued {:?} waiting {:?} shut {} {} ended {} unsure {}",
            self.number,
            self.kind,
            self.state,
            self.peer,
            self.queued,
            self.waiting,
            self.write_shut,
            self.read_shut,
            self.ended,
            self.unsure
        )
    }
}

struct World {
    all: Vec<Known>,
    made: u64,
}

type Outcome = (Expected, io::Result<usize>);

impl World {
    fn add(&mut self, socket: Socket, kind: (Family, SocketType), state: State) -> u64 {
        socket.set_blocking(false);
        self.made += 1;
        self.all.push(Known {
            number: self.made,
            socket,
            kind,
            state,
            peer: Peer::Elsewhere,
            queued: Vec::new(),
            waiting: Vec::new(),
            early: Vec::new(),
            write_shut: false,
            read_shut: false,
            ended: false,
            unsure: false,
            local: None,
            to: None,
        });
        self.made
    }

    fn make(&mut self, random: &mut Random) -> io::Result<()> {
        match random.below(3) {
            0 => {
                let socket = Socket::new(TCP.0, TCP.1, Protocol::Default)?;
                self.add(socket, TCP, State::Fresh);
            }
            1 => {
                let socket = Socket::new(UDP.0, UDP.1, Protocol::Default)?;
                self.add(socket, UDP, State::Fresh);
            }
            _ => {
                let kind = random.of(&PAIRS);
                let (one, other) = Socket::pair(kind.0, kind.1, Protocol::Default)?;
                let (one, other) = (
                    self.add(one, kind, State::Connected),
                    self.add(other, kind, State::Connected),
                );
                self.joined(one, other);
            }
        }
        Ok(())
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.all.iter().position(|known| known.number == number)
    }

    fn joined(&mut self, one: u64, other: u64) {
        for (own, peer) in [(one, other), (other, one)] {
            if let Some(at) = self.find(own) {
                self.all[at].peer = Peer::Socket(peer);
            }
        }
    }

    fn peer_of(&self, at: usize) -> Option<usize> {
        match self.all[at].peer {
            Peer::Socket(number) => self.find(number),
            Peer::Elsewhere => None,
        }
    }

    fn take(&mut self, at: usize, call: &str, random: &mut Random) -> io::Result<Outcome> {
        if self.all[at].state == State::Closed && call != "drop" {
            let outcome = self.on_closed(at, call)?;
            return Ok((Expected::Failure(&[Errno::BADF]), outcome));
        }
        Ok(match call {
            "bind" => self.bind(at)?,
            "listen" => self.listen(at),
            "accept" => self.accept(at),
            "connect" => self.connect(at, random)?,
            "send" => self.send(at, random)?,
            "recv" => self.recv(at, random),
            "shutdown" => self.shutdown(at, random),
            "local-address" => {
                let known = &self.all[at];
                let outcome = known.socket.local_address();
                // Once told, it stays as long as the connection that it may come from: where that is over, a
                // connect that fails takes the kernel's choice of an address back.
                let stays = known.kind == TCP && !known.may_be_over();
                if let (Some(before), Ok(now), true) = (&known.local, &outcome, stays)
                    && before != now
                {
                    return Err(io::Error::other(format!("{before} became {now}")));
                }
                (Expected::Success, outcome.map(|_| 0))
            }
            "peer-address" => {
                let known = &self.all[at];
                let expected = match known.state {
                    _ if known.unsure => Expected::Either,
                    State::Connected if known.kind == TCP && known.may_be_over() => {
                        Expected::Either
                    }
                    State::Connected => Expected::Success,
                    _ => Expected::Failure(&[Errno::NOTCONN]),
                };
                (expected, known.socket.peer_address().map(|_| 0))
            }
            "family" => (Expected::Success, self.all[at].socket.family().map(|_| 0)),
            _ => self.end(at, call == "close"),
        })
    }

    fn on_closed(&self, at: usize, call: &str) -> io::Result<io::Result<usize>> {
        let socket = &self.all[at].socket;
        Ok(match call {
            "bind" => socket.bind(&address("127.0.0.1:0")?).map(|()| 0),
            "listen" => socket.listen(1).map(|()| 0),
            "accept" => socket.accept().map(|_| 0),
            "connect" => socket.connect(&address("127.0.0.1:9")?).map(|()| 0),
            "send" => socket.send(b"x"),
            "recv" => socket.recv(&mut [0]),
            "shutdown" => socket.shutdown(Shutdown::Both).map(|()| 0),
            "local-address" => socket.local_address().map(|_| 0),
            "peer-address" => socket.peer_address().map(|_| 0),
            "family" => socket.family().map(|_| 0),
            _ => socket.close().map(|()| 0),
        })
    }

    fn bind(&mut self, at: usize) -> io::Result<Outcome> {
        let known = &mut self.all[at];
        let outcome = known.socket.bind(&address("127.0.0.1:0")?).map(|()| 0);
        let expected = match (known.kind.0, known.state) {
            (Family::Unix, _) => {
                Expected::Failure(&[Errno::INVAL, Errno::ACCES, Errno::AFNOSUPPORT])
            }
            (_, State::Fresh) => Expected::Success,
            _ if known.may_be_over() => return Ok(self.began_anew(at, outcome)),
            _ => Expected::Failure(&[Errno::INVAL]),
        };
        if outcome.is_ok() {
            known.state = State::Bound;
            known.local = known.socket.local_address().ok();
        }
        Ok((expected, outcome))
    }

    fn listen(&mut self, at: usize) -> Outcome {
        let known = &mut self.all[at];
        let outcome = known.socket.listen(16).map(|()| 0);
        let expected = match (known.kind == TCP, known.state) {
            (true, State::Bound | State::Listening) => Expected::Success,
            // Never bound: it would listen everywhere, which no rule grants.
            (true, State::Fresh) => Expected::Failure(&[Errno::ACCES]),
            (true, _) if known.may_be_over() => return self.began_anew(at, outcome),
            // It is bound where no rule lets it listen.
            (true, _) => Expected::Failure(&[Errno::INVAL, Errno::ACCES]),
            _ => Expected::Failure(&[Errno::ACCES, Errno::INVAL, Errno::OPNOTSUPP]),
        };
        if outcome.is_ok() {
            known.state = State::Listening;
        }
        (expected, outcome)
    }

    /// A connection that is over may be anything again, and the model lets go of what became of it.
    fn began_anew(&mut self, at: usize, outcome: io::Result<usize>) -> Outcome {
        if outcome.is_ok() {
            // What it answers was asked for by nobody.
            let _ = self.end(at, true);
        } else {
            // A connect that fails resets what was left.
            self.lost(self.all[at].number);
        }
        (Expected::Either, outcome)
    }

    fn accept(&mut self, at: usize) -> Outcome {
        let outcome = self.all[at].socket.accept();
        let waiting = self.all[at].waiting.clone();
        // One that was closed or reset may be passed over.
        let steady = |number: &u64| {
            let client = self.find(*number).map(|at| &self.all[at]);
            client.is_some_and(|client| !client.unsure && client.state == State::Connected)
        };
        let expected = match self.all[at].state {
            State::Listening if waiting.is_empty() => Expected::Failure(&[Errno::AGAIN]),
            State::Listening if waiting.iter().any(steady) => Expected::Success,
            State::Listening => Expected::Either,
            _ => Expected::Failure(&[Errno::INVAL, Errno::OPNOTSUPP, Errno::ACCES]),
        };
        let (socket, from) = match outcome {
            Ok(accepted) => accepted,
            Err(error) => return (expected, Err(error)),
        };
        // Who it is, the address says.
        let client = waiting.iter().position(|number| {
            let client = self.find(*number).map(|at| &self.all[at]);
            client.is_some_and(|client| client.local.as_ref() == Some(&from))
        });
        let passed = client.map_or(1, |place| place + 1).min(waiting.len());
        self.all[at].waiting.drain(..passed);
        let served = self.add(socket, TCP, State::Connected);
        let last = self.all.len() - 1;
        let shut_before = self.all[at].unsure;
        match client.and_then(|place| self.find(waiting[place])) {
            Some(at) => {
                let client = &self.all[at];
                let closed = client.state != State::Connected;
                let shut = client.read_shut || client.write_shut;
                let over = shut_before || client.unsure || shut || closed;
                self.joined(client.number, served);
                // What it sent before it was accepted is in the new socket's queue.
                self.all[last].queued = std::mem::take(&mut self.all[at].early);
                self.all[last].ended = self.all[at].write_shut;
                self.all[last].unsure = over;
            }
            // It has gone already.
            None => self.all[last].unsure = true,
        }
        (expected, Ok(0))
    }

    fn connect(&mut self, at: usize, random: &mut Random) -> io::Result<Outcome> {
        let listeners: Vec<usize> = (0..self.all.len())
            .filter(|other| {
                self.all[*other].state == State::Listening && self.all[*other].waiting.len() < 8
            })
            .collect();
        let bound: Vec<usize> = (0..self.all.len())
            .filter(|other| self.all[*other].kind == UDP && self.all[*other].local.is_some())
            .collect();
        let among = if self.all[at].kind == UDP {
            &bound
        } else {
            &listeners
        };
        let Some(target) = (!among.is_empty()).then(|| among[random.below(among.len())]) else {
            return Ok((Expected::Success, Ok(0)));
        };
        let Some(place) = self.all[target].local.clone() else {
            return Ok((Expected::Success, Ok(0)));
        };
        let (number, target_number) = (self.all[at].number, self.all[target].number);
        let target_unsure = self.all[target].unsure;
        let known = &mut self.all[at];
        let over = known.kind == TCP && known.may_be_over();
        // It waits, a moment: the listener is of this machine.
        known.socket.set_blocking(true);
        let outcome = known.socket.connect(&place);
        known.socket.set_blocking(false);
        if over {
            if outcome.is_ok() {
                // It is let go of at once, and in the listener's queue all the same.
                self.all[target].waiting.push(number);
            }
            return Ok(self.began_anew(at, outcome.map(|()| 0)));
        }
        let expected = match (known.kind, known.state) {
            (TCP, State::Fresh | State::Bound) => Expected::Success,
            // The kernel tells once more of a connection that was under way.
            (TCP, State::Connected) if known.to.as_ref() == Some(&place) => Expected::Either,
            (TCP, State::Connected | State::Listening) => {
                Expected::Failure(&[Errno::ISCONN, Errno::ACCES])
            }
            (UDP, _) => Expected::Success,
            _ => Expected::Failure(&[
                Errno::INVAL,
                Errno::ISCONN,
                Errno::ACCES,
                Errno::AFNOSUPPORT,
                Errno::PROTOTYPE,
            ]),
        };
        if outcome.is_ok() && known.kind == TCP && known.state == State::Connected {
            return Ok((expected, Ok(0)));
        }
        if outcome.is_ok() && known.kind == TCP {
            known.state = State::Connected;
            known.to = Some(place.clone());
            known.unsure |= target_unsure;
            known.local = known.socket.local_address().ok();
            self.all[target].waiting.push(number);
        } else if outcome.is_ok() && known.kind == UDP {
            known.state = State::Connected;
            known.peer = Peer::Socket(target_number);
            known.local = None;
            // Whom it hears from now on is another matter.
            known.unsure = true;
        }
        Ok((expected, outcome.map(|()| 0)))
    }

    fn send(&mut self, at: usize, random: &mut Random) -> io::Result<Outcome> {
        let length = 1 + random.below(200);
        let data = vec![7; length];
        let peer = self.peer_of(at);
        if peer.is_some_and(|peer| self.all[peer].queued.len() >= MOST_QUEUED)
            || self.all[at].early.len() >= MOST_QUEUED
        {
            return Ok((Expected::Success, Ok(0)));
        }
        let known = &self.all[at];
        let outcome = known.socket.send(&data);
        let peer_state = peer.map(|peer| (self.all[peer].state, self.all[peer].read_shut));
        let expected = match (known.state, known.kind) {
            _ if known.unsure => Expected::Either,
            // What came to a stream that is shut both ways has reset it.
            (State::Connected, TCP) if known.write_shut && known.read_shut => {
                Expected::Failure(&[Errno::PIPE, Errno::CONNRESET])
            }
            (State::Connected, _) if known.write_shut => Expected::Failure(&[Errno::PIPE]),
            (State::Connected, TCP) => match peer_state {
                Some((State::Connected, false)) => Expected::Success,
                // In the queue of a listener, or on its way out.
                _ => Expected::Either,
            },
            (State::Connected, _) => match peer_state {
                Some((State::Connected, false)) => Expected::Success,
                _ => Expected::Failure(&[
                    Errno::PIPE,
                    Errno::CONNREFUSED,
                    Errno::CONNRESET,
                    Errno::NOTCONN,
                ]),
            },
            _ => Expected::Failure(&[
                Errno::PIPE,
                Errno::NOTCONN,
                Errno::ACCES,
                Errno::DESTADDRREQ,
            ]),
        };
        if let Ok(sent) = &outcome {
            match peer {
                Some(peer) => self.all[peer].queued.push(*sent),
                None => self.all[at].early.push(*sent),
            }
        }
        Ok((expected, outcome))
    }

    fn recv(&mut self, at: usize, random: &mut Random) -> Outcome {
        let max = 1 + random.below(400);
        let known = &mut self.all[at];
        let outcome = known.socket.recv_vec(max).map(|data| data.len());
        let stream = known.kind.1 == SocketType::Stream;
        let total: usize = known.queued.iter().sum();
        let available = if stream {
            total
        } else {
            known.queued.first().copied().unwrap_or(0)
        };
        let expected = match known.state {
            _ if known.unsure => Expected::Either,
            // Data that the kernel has on its way may come a moment later over TCP.
            State::Connected if available > 0 && known.kind == TCP => Expected::Either,
            State::Connected if available > 0 && !known.read_shut => Expected::Success,
            State::Connected if known.read_shut || known.ended => Expected::Either,
            // Its end, or that of a client which the listener passed over, may come at any time.
            State::Connected if known.kind == TCP => Expected::Either,
            State::Connected => match self.peer_of(at).map(|peer| self.all[peer].state) {
                Some(State::Connected) => Expected::Failure(&[Errno::AGAIN]),
                _ => Expected::Either,
            },
            State::Bound if known.kind == UDP && available > 0 => Expected::Success,
            State::Bound if known.kind == UDP => Expected::Failure(&[Errno::AGAIN]),
            _ => Expected::Failure(&[Errno::NOTCONN, Errno::AGAIN, Errno::ACCES, Errno::INVAL]),
        };
        let known = &mut self.all[at];
        if let Ok(length) = outcome {
            // Never more than was asked for, and never what nobody sent.
            if length > max || (length > available.min(max) && !known.unsure) {
                return (Expected::Failure(&[]), Ok(length));
            }
            if stream {
                let mut left = length;
                while let Some(first) = known.queued.first_mut().filter(|_| left > 0) {
                    let taken = left.min(*first);
                    *first -= taken;
                    left -= taken;
                    if *first == 0 {
                        known.queued.remove(0);
                    }
                }
            } else if !known.queued.is_empty() {
                known.queued.remove(0);
            }
        }
        (expected, outcome)
    }

    fn shutdown(&mut self, at: usize, random: &mut Random) -> Outcome {
        let how = random.of(&[Shutdown::Read, Shutdown::Write, Shutdown::Both]);
        let peer = self.peer_of(at);
        let known = &mut self.all[at];
        let outcome = known.socket.shutdown(how);
        let expected = match known.state {
            _ if known.unsure || known.ended => Expected::Either,
            State::Connected if known.write_shut || known.read_shut => Expected::Either,
            State::Connected => Expected::Success,
            // It stops listening, as Linux has it.
            State::Listening => Expected::Either,
            _ => Expected::Failure(&[Errno::NOTCONN, Errno::ACCES]),
        };
        // On one without a connection it fails, and still holds for what the socket becomes, and what it accepts.
        known.unsure |= outcome.is_err();
        if outcome.is_ok() {
            if known.state == State::Listening {
                return (expected, self.end(at, true).1);
            }
            known.read_shut |= how != Shutdown::Write;
            known.write_shut |= how != Shutdown::Read;
            let (read, write) = (known.read_shut, known.write_shut);
            if let Some(peer) = peer {
                self.all[peer].ended |= write;
                if read {
                    // What goes there from now on may be refused.
                    self.all[peer].unsure = true;
                }
            }
        }
        (expected, outcome.map(|()| 0))
    }

    /// Who talks to this one may hear the end, or of a reset.
    fn lost(&mut self, number: u64) {
        for known in &mut self.all {
            if known.peer == Peer::Socket(number) || known.waiting.contains(&number) {
                known.unsure |= known.state == State::Connected;
                known.ended = true;
            }
        }
    }

    /// Closes it and keeps the handle, or lets go of both.
    fn end(&mut self, at: usize, keep: bool) -> Outcome {
        let number = self.all[at].number;
        let was_closed = self.all[at].state == State::Closed;
        let outcome = match keep {
            true => self.all[at].socket.close().map(|()| 0),
            false => Ok(0),
        };
        self.lost(number);
        let listened = std::mem::take(&mut self.all[at].waiting);
        for known in &mut self.all {
            // Its clients were never accepted, and are reset.
            known.unsure |= listened.contains(&known.number);
        }
        if keep {
            self.all[at].state = State::Closed;
        } else {
            self.all.swap_remove(at);
        }
        match (keep, was_closed) {
            (true, true) => (Expected::Failure(&[Errno::BADF]), outcome),
            _ => (Expected::Success, outcome),
        }
    }
}
