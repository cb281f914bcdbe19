//! Connections and servers made in one step: `ACTION ARGUMENTS...`, as the functions below say.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockgate_guest::{
    ConnectError, ConnectOptions, Family, Interest, Protocol, ServerOptions, Shutdown, Socket,
    SocketType, TcpStream, Timeout, ToSocketAddrs, create_connection, create_server,
    has_dualstack_ipv6, poll, socketpair,
};
use sockgate_test_guests::{address, named, socket_for, word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let action = word(&mut words, "ACTION")?;
    let rest: Vec<String> = words.collect();
    match action.as_str() {
        "race" => race(&rest),
        "slow-look-up" => slow_look_up(&rest),
        "from" => from(&rest),
        "connect" => connect(&rest),
        "server" => server(&rest),
        "two-servers" => two_servers(&rest),
        "say-and-end" => say_and_end(&rest),
        "plain-bind" => plain_bind(&rest),
        "pairs" => pairs(),
        "dual-stack" => {
            println!("has_dualstack_ipv6 {}", has_dualstack_ipv6());
            Ok(())
        }
        other => Err(io::Error::other(format!("no such action: {other}"))),
    }
}

fn argument(words: &[String], index: usize) -> io::Result<&str> {
    let missing = || io::Error::other(format!("argument {index} is missing"));
    words.get(index).map(String::as_str).ok_or_else(missing)
}

fn milliseconds(text: &str) -> io::Result<Option<Duration>> {
    match text {
        "none" => Ok(None),
        number => Ok(Some(Duration::from_millis(
            number.parse().map_err(io::Error::other)?,
        ))),
    }
}

/// Says what became of it, and how long that took.
fn tell(begin: Instant, result: &io::Result<TcpStream>) -> io::Result<()> {
    let elapsed = begin.elapsed().as_millis();
    match result {
        Ok(stream) => {
            println!("connected to {}", stream.peer_addr()?);
            println!("time-out {:?}", stream.as_ref().timeout());
        }
        Err(error) => {
            for (address, error) in ConnectError::of(error).map_or(&[][..], ConnectError::attempts)
            {
                println!("attempt {address} {}", named(error));
            }
            println!("error {}", named(error));
        }
    }
    println!("elapsed {elapsed}");
    Ok(())
}

/// `race DELAY TIMEOUT ADDRESS...`: milliseconds, `none` for the default time-out.
fn race(words: &[String]) -> io::Result<()> {
    let options = ConnectOptions {
        timeout: milliseconds(argument(words, 1)?)?,
        attempt_delay: milliseconds(argument(words, 0)?)?.unwrap_or_default(),
        ..ConnectOptions::default()
    };
    let addresses: Vec<SocketAddr> = words[2..]
        .iter()
        .map(|word| word.parse().map_err(io::Error::other))
        .collect::<io::Result<_>>()?;
    let begin = Instant::now();
    let result = options.connect(&addresses[..]);
    tell(begin, &result)?;
    // The connection is good for something, and the others are closed while it lives.
    if let Ok(mut stream) = result {
        stream.write_all(b"held\nrace\n")?;
        stream.shutdown(Shutdown::Write)?;
        println!("waiting");
        stream.read_to_string(&mut String::new())?;
    }
    Ok(())
}

/// A look-up that takes its time and tells how much it was given.
struct Slow(Duration, SocketAddr);

impl ToSocketAddrs for Slow {
    type Iter = std::option::IntoIter<SocketAddr>;

    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter> {
        let Timeout::After(given) = timeout else {
            return Err(io::Error::other("the look-up was given no time-out"));
        };
        println!("look-up {}", Duration::from_nanos(given).as_millis());
        std::thread::sleep(self.0);
        Ok(Some(self.1).into_iter())
    }
}

/// `slow-look-up TIMEOUT LOOKUP ADDRESS`
fn slow_look_up(words: &[String]) -> io::Result<()> {
    let timeout = milliseconds(argument(words, 0)?)?;
    let look_up = milliseconds(argument(words, 1)?)?.unwrap_or_default();
    let address = argument(words, 2)?.parse().map_err(io::Error::other)?;
    let begin = Instant::now();
    let result = create_connection(Slow(look_up, address), timeout);
    tell(begin, &result)
}

/// `from SOURCE ADDRESS`: connects from there, and says what the server calls it.
fn from(words: &[String]) -> io::Result<()> {
    let options = ConnectOptions {
        source_address: Some(argument(words, 0)?.parse().map_err(io::Error::other)?),
        ..ConnectOptions::default()
    };
    let result = options.connect(argument(words, 1)?);
    tell(Instant::now(), &result)?;
    who(result)
}

/// `connect ADDRESS`: by name, within five seconds.
fn connect(words: &[String]) -> io::Result<()> {
    let timeout = Some(Duration::from_secs(5));
    let result = create_connection(argument(words, 0)?, timeout);
    tell(Instant::now(), &result)?;
    who(result)
}

fn who(result: io::Result<TcpStream>) -> io::Result<()> {
    if let Ok(mut stream) = result {
        stream.write_all(b"who\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        println!("answer {}", answer.trim());
    }
    Ok(())
}

/// `server ADDRESS CLIENTS [dual] [reuse] [four] [backlog=N]`: answers each client with what it said.
fn server(words: &[String]) -> io::Result<()> {
    let listener = create_server(argument(words, 0)?, &options(&words[2..])?)?;
    println!("listening on {}", listener.local_addr()?);
    let clients: usize = argument(words, 1)?.parse().map_err(io::Error::other)?;
    for _ in 0..clients {
        let (mut stream, peer) = listener.accept()?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        println!("client {peer} said {}", said.trim());
        write!(stream, "you said {}", said.trim())?;
    }
    Ok(())
}

fn options(words: &[String]) -> io::Result<ServerOptions> {
    let mut options = ServerOptions::default();
    for word in words {
        match word.split_once('=') {
            None if word == "dual" => options.dual_stack = true,
            None if word == "reuse" => options.reuse_port = true,
            None if word == "four" => options.family = Some(Family::Inet),
            Some(("backlog", number)) => {
                options.backlog = number.parse().map_err(io::Error::other)?;
            }
            _ => return Err(io::Error::other(format!("no such option: {word}"))),
        }
    }
    Ok(options)
}

/// `two-servers ADDRESS [reuse]`: both on one port; ends when a client comes.
fn two_servers(words: &[String]) -> io::Result<()> {
    let address = argument(words, 0)?;
    let options = options(&words[1..])?;
    let make = |which: &str| match create_server(address, &options) {
        Ok(listener) => {
            println!("{which} listens");
            Some(listener)
        }
        Err(error) => {
            println!("{which} {}", named(&error));
            None
        }
    };
    let both = [make("one"), make("other")];
    println!("waiting");
    let listening: Vec<_> = both.iter().flatten().collect();
    let watched: Vec<_> = listening
        .iter()
        .map(|listener| (listener.as_ref(), Interest::READABLE))
        .collect();
    poll(&watched, None)?;
    Ok(())
}

/// `say-and-end ADDRESS`: serves one client, and closes before it does.
fn say_and_end(words: &[String]) -> io::Result<()> {
    let listener = create_server(argument(words, 0)?, &ServerOptions::default())?;
    println!("listening on {}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    stream.write_all(b"goodbye")
}

/// `plain-bind ADDRESS`: a server's first step without SO_REUSEADDR.
fn plain_bind(words: &[String]) -> io::Result<()> {
    let address = address(argument(words, 0)?)?;
    let socket = socket_for(&address, SocketType::Stream)?;
    match socket.bind(&address) {
        Ok(()) => println!("bound to {}", socket.local_address()?),
        Err(error) => println!("error {}", named(&error)),
    }
    Ok(())
}

/// A pair of each type, spoken through both ways.
fn pairs() -> io::Result<()> {
    for socket_type in [
        SocketType::Stream,
        SocketType::Datagram,
        SocketType::Seqpacket,
    ] {
        let (one, other) = socketpair(socket_type)?;
        one.send_all(b"there")?;
        let mut buffer = [0; 10];
        let length = other.recv(&mut buffer)?;
        other.send_all(&buffer[..length].to_ascii_uppercase())?;
        let back = String::from_utf8_lossy(&one.recv_vec(10)?).into_owned();
        println!("pair {} {back}", describe(&one)?);
    }
    let (one, _) = Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default)?;
    println!("explicit {}", describe(&one)?);
    Ok(())
}

fn describe(socket: &Socket) -> io::Result<String> {
    Ok(format!(
        "{:?} {:?} {:?}",
        socket.family()?,
        socket.socket_type()?,
        socket.protocol()?
    ))
}
