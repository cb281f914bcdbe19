//! Steps on `std::net` alone, as a program that knows nothing of sockgate takes them. Each argument is a step, told
//! as `STEP -> OUTCOME`: `ok` with what came, the kind of the error, or `nothing` after a second without a datagram.
//!
//! `udp NAME ADDRESS` binds, `link NAME ADDRESS` connects, `say NAME [ADDRESS]` sends, `hear NAME` receives, `answer
//! NAME` sends to whom it heard last. `listen NAME ADDRESS`, `accept NAME` and `connect NAME ADDRESS` are TCP's. `until
//! FILE` waits for a file.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use sockgate_test_guests::wrong;

#[derive(Default)]
struct Sockets {
    datagrams: HashMap<String, UdpSocket>,
    listeners: HashMap<String, TcpListener>,
    streams: Vec<TcpStream>,
    heard: Option<SocketAddr>,
}

fn main() {
    let mut sockets = Sockets::default();
    for step in std::env::args().skip(1) {
        let outcome = match sockets.take(&step) {
            Ok(outcome) => outcome,
            Err(error) => format!("{:?}", error.kind()),
        };
        println!("{step} -> {outcome}");
    }
}

impl Sockets {
    fn take(&mut self, step: &str) -> io::Result<String> {
        let words: Vec<&str> = step.split(' ').collect();
        match words.as_slice() {
            ["until", file] => {
                while !Path::new(file).exists() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            ["udp", name, address] => {
                let socket = UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                self.datagrams.insert((*name).to_owned(), socket);
            }
            ["link", name, address] => self.datagram(name)?.connect(address)?,
            ["say", name] => drop(self.datagram(name)?.send(b"said")?),
            ["say", name, address] => drop(self.datagram(name)?.send_to(b"said", address)?),
            ["answer", name] => {
                let to = self.heard.ok_or_else(|| wrong(step))?;
                self.datagram(name)?.send_to(b"answered", to)?;
            }
            ["hear", name] => return self.hear(name),
            ["listen", name, address] => {
                let listener = TcpListener::bind(address)?;
                self.listeners.insert((*name).to_owned(), listener);
            }
            ["accept", name] => {
                let listener = self.listeners.get(*name).ok_or_else(|| wrong(step))?;
                self.streams.push(listener.accept()?.0);
            }
            ["connect", address] => self.streams.push(TcpStream::connect(address)?),
            _ => return Err(wrong(step)),
        }
        Ok("ok".to_owned())
    }

    fn datagram(&self, name: &str) -> io::Result<&UdpSocket> {
        self.datagrams.get(name).ok_or_else(|| wrong(name))
    }

    fn hear(&mut self, name: &str) -> io::Result<String> {
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut text = [0; 100];
        while Instant::now() < deadline {
            match self.datagram(name)?.recv_from(&mut text) {
                Ok((length, from)) => {
                    self.heard = Some(from);
                    return Ok(format!("ok {}", String::from_utf8_lossy(&text[..length])));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error),
            }
        }
        Ok("nothing".to_owned())
    }
}
