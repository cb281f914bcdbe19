//! Takes steps from the test, one at a time: `poller_steps PATH` connects to that Unix socket, reads a step a
//! line, and answers each with a line: `ok`, what it asked for, or an errno's name.
//!
//! Sockets have names of the test's choice; pollers are numbered from 0 as they are made.
//!
//! | step | |
//! |---|---|
//! | `listen NAME ADDRESS` | a stream listener |
//! | `bind NAME ADDRESS` | a datagram socket |
//! | `connect NAME ADDRESS` | a stream, which does not wait |
//! | `pair NAME NAME` | |
//! | `accept NAME NEW` | does not wait |
//! | `dup NAME NEW`, `close NAME`, `interrupt NAME`, `take-error NAME` | |
//! | `send NAME TEXT`, `send-to NAME TEXT ADDRESS`, `recv NAME` | they do not wait |
//! | `poller`, `drop-poller P` | |
//! | `register P NAME TOKEN INTEREST`, `modify ...`, `unregister P NAME` | INTEREST: letters of `rwp`, or `-` |
//! | `wait P MAX TIMEOUT` | nanoseconds or `forever`; answers `ELAPSED TOKEN=EVENTS ...`, in their order |
//! | `poll TIMEOUT NAME=INTEREST ...` | the same with indexes for tokens |
//!
//! Events are letters: `r`eadable, `w`ritable, `p`riority, `e`rror, `h`ang-up, `c` peer-closed, `x` closed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use sockgate_guest::{
    Events, Interest, MessageFlags, Poller, Socket, SocketType, Timeout, UnixStream, poll,
    socketpair,
};
use sockgate_test_guests::{address, named, socket_for, word, words, wrong};

fn main() -> io::Result<()> {
    let path = word(&mut words(), "PATH")?;
    let stream = UnixStream::connect(&path)?;
    let mut answers = stream.try_clone()?;
    let mut stage = Stage::default();
    for step in BufReader::new(stream).lines() {
        let answer = match stage.step(&step?) {
            Ok(answer) => answer,
            Err(error) => named(&error),
        };
        writeln!(answers, "{answer}")?;
    }
    Ok(())
}

#[derive(Default)]
struct Stage {
    sockets: HashMap<String, Socket>,
    pollers: Vec<Option<Poller>>,
}

impl Stage {
    fn step(&mut self, step: &str) -> io::Result<String> {
        let all: Vec<&str> = step.split(' ').collect();
        match *all.as_slice() {
            ["listen", name, at] => {
                let at = address(at)?;
                let socket = socket_for(&at, SocketType::Stream)?;
                socket.bind(&at)?;
                socket.listen(64)?;
                self.keep(name, socket)
            }
            ["bind", name, at] => {
                let at = address(at)?;
                let socket = socket_for(&at, SocketType::Datagram)?;
                socket.bind(&at)?;
                self.keep(name, socket)
            }
            ["connect", name, at] => {
                let at = address(at)?;
                let socket = socket_for(&at, SocketType::Stream)?;
                socket.set_blocking(false);
                let connected = socket.connect(&at);
                self.keep(name, socket)?;
                connected.map(|()| "ok".to_owned())
            }
            ["pair", one, other] => {
                let (a, b) = socketpair(SocketType::Stream)?;
                self.keep(one, a)?;
                self.keep(other, b)
            }
            ["accept", name, new] => {
                let listener = self.socket(name)?;
                listener.set_blocking(false);
                let (socket, _) = listener.accept()?;
                self.keep(new, socket)
            }
            ["dup", name, new] => {
                let socket = self.socket(name)?.try_clone()?;
                self.keep(new, socket)
            }
            ["close", name] => {
                let socket = self.sockets.remove(name);
                socket.ok_or_else(|| wrong(name))?.close().map(ok)
            }
            ["interrupt", name] => self.socket(name).map(|socket| socket.interrupt()).map(ok),
            ["take-error", name] => Ok(match self.socket(name)?.take_error()? {
                Some(error) => named(&error),
                None => "none".to_owned(),
            }),
            ["send", name, text] => {
                let (socket, flags) = (self.socket(name)?, MessageFlags::DONT_WAIT);
                socket.send_with(text.as_bytes(), flags).map(ok)
            }
            ["send-to", name, text, to] => {
                let (socket, flags) = (self.socket(name)?, MessageFlags::DONT_WAIT);
                socket
                    .send_to_with(text.as_bytes(), address(to)?, flags)
                    .map(ok)
            }
            ["recv", name] => {
                let (socket, flags) = (self.socket(name)?, MessageFlags::DONT_WAIT);
                let bytes = socket.recv_vec_with(1 << 16, flags)?;
                Ok(format!("got {}", String::from_utf8_lossy(&bytes)))
            }
            ["poller"] => {
                self.pollers.push(Some(Poller::new()?));
                Ok("ok".to_owned())
            }
            ["drop-poller", place] => {
                let place: usize = place.parse().map_err(wrong)?;
                let poller = self.pollers.get_mut(place).and_then(Option::take);
                poller.map(ok).ok_or_else(|| wrong(place))
            }
            ["register", poller, name, token, interest] => {
                let (token, interest) = (token.parse().map_err(wrong)?, interests(interest)?);
                let (poller, socket) = (self.poller(poller)?, self.socket(name)?);
                poller.register(socket, token, interest).map(ok)
            }
            ["modify", poller, name, token, interest] => {
                let (token, interest) = (token.parse().map_err(wrong)?, interests(interest)?);
                let (poller, socket) = (self.poller(poller)?, self.socket(name)?);
                poller.modify(socket, token, interest).map(ok)
            }
            ["unregister", poller, name] => {
                let (poller, socket) = (self.poller(poller)?, self.socket(name)?);
                poller.unregister(socket).map(ok)
            }
            ["wait", poller, max, timeout] => {
                let (max, timeout) = (max.parse().map_err(wrong)?, time(timeout)?);
                let poller = self.poller(poller)?;
                let start = Instant::now();
                let events = poller.wait(max, timeout)?;
                let elapsed = start.elapsed();
                let events = events.iter().map(|event| (event.token, event.events));
                Ok(told(elapsed, events))
            }
            ["poll", timeout, ref watched @ ..] => {
                let mut sockets = Vec::new();
                for word in watched {
                    let (name, interest) = word.split_once('=').ok_or_else(|| wrong(word))?;
                    sockets.push((self.socket(name)?, interests(interest)?));
                }
                let start = Instant::now();
                let events = poll(&sockets, time(timeout)?)?;
                let elapsed = start.elapsed();
                let events = events
                    .into_iter()
                    .map(|(place, found)| (place as u64, found));
                Ok(told(elapsed, events))
            }
            _ => Err(wrong(step)),
        }
    }

    fn keep(&mut self, name: &str, socket: Socket) -> io::Result<String> {
        self.sockets.insert(name.to_owned(), socket);
        Ok("ok".to_owned())
    }

    fn socket(&self, name: &str) -> io::Result<&Socket> {
        self.sockets.get(name).ok_or_else(|| wrong(name))
    }

    fn poller(&self, place: &str) -> io::Result<&Poller> {
        let found = self.pollers.get(place.parse::<usize>().map_err(wrong)?);
        found.and_then(Option::as_ref).ok_or_else(|| wrong(place))
    }
}

fn ok<T>(_: T) -> String {
    "ok".to_owned()
}

fn interests(letters: &str) -> io::Result<Interest> {
    letters
        .chars()
        .try_fold(Interest::empty(), |sum, letter| match letter {
            'r' => Ok(sum | Interest::READABLE),
            'w' => Ok(sum | Interest::WRITABLE),
            'p' => Ok(sum | Interest::PRIORITY),
            '-' => Ok(sum),
            _ => Err(wrong(letters)),
        })
}

fn time(word: &str) -> io::Result<Timeout> {
    match word {
        "forever" => Ok(Timeout::Blocking),
        nanoseconds => {
            let nanoseconds = nanoseconds.parse().map_err(wrong)?;
            Ok(Duration::from_nanos(nanoseconds).into())
        }
    }
}

fn told(elapsed: Duration, events: impl Iterator<Item = (u64, Events)>) -> String {
    const LETTERS: [(Events, char); 7] = [
        (Events::READABLE, 'r'),
        (Events::WRITABLE, 'w'),
        (Events::PRIORITY, 'p'),
        (Events::ERROR, 'e'),
        (Events::HANG_UP, 'h'),
        (Events::PEER_CLOSED, 'c'),
        (Events::CLOSED, 'x'),
    ];
    let mut line = elapsed.as_nanos().to_string();
    for (token, found) in events {
        let letters: String = LETTERS
            .iter()
            .filter(|(flag, _)| found.contains(*flag))
            .map(|(_, letter)| letter)
            .collect();
        // Writing to a string cannot fail.
        let _ = write!(line, " {token}={letters}");
    }
    line
}
