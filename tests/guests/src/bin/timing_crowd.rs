//! Echoes to a crowd of connections: `timing_crowd HOW ADDRESS`, on a `poller` or on the
//! `executor`.
//!
//! Each connection is told its number in 4 bytes as it is accepted. What the first one, number 0, sends is not
//! sent back: a report is printed instead, with the numbers of those that had an event since the last report.
//! When all have gone it says so, and ends with the connection after that.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::rc::Rc;

use sockgate_guest::aio::{self, Async};
use sockgate_guest::{Errno, Interest, Poller, Socket, SocketType, Timeout};
use sockgate_test_guests::{address, socket_for, word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let how = word(&mut words, "HOW")?;
    let at = address(&word(&mut words, "ADDRESS")?)?;
    let listener = socket_for(&at, SocketType::Stream)?;
    listener.set_reuse_address(true)?;
    listener.bind(&at)?;
    listener.listen(1024)?;
    listener.set_blocking(false);
    println!("listening");
    match how.as_str() {
        "poller" => on_poller(&listener),
        "executor" => aio::run(on_executor(listener)),
        _ => Err(io::Error::other("no such way")),
    }
}

/// What is said of the crowd.
#[derive(Default)]
struct Report {
    /// Those that had an event.
    heard: BTreeSet<u32>,
    /// Messages that were sent back.
    echoes: u64,
}

impl Report {
    fn print(&mut self) {
        let heard: Vec<String> = self.heard.iter().map(u32::to_string).collect();
        println!("echoes {} to {}", self.echoes, heard.join(" "));
        *self = Report::default();
    }
}

const LISTENER: u64 = u64::MAX;

fn on_poller(listener: &Socket) -> io::Result<()> {
    let poller = Poller::new()?;
    poller.register(listener, LISTENER, Interest::READABLE)?;
    let mut sockets: Vec<Option<Socket>> = Vec::new();
    let (mut open, mut report) = (0, Report::default());
    let mut buffer = vec![0; 1 << 14];
    loop {
        for event in poller.wait(256, Timeout::Blocking)? {
            if event.token == LISTENER {
                for socket in accepted(listener)? {
                    if !sockets.is_empty() && open == 0 {
                        return Ok(());
                    }
                    poller.register(&socket, sockets.len() as u64, Interest::READABLE)?;
                    (&socket).write_all(&(sockets.len() as u32).to_le_bytes())?;
                    sockets.push(Some(socket));
                    open += 1;
                }
                continue;
            }
            let number = event.token as u32;
            let place = &mut sockets[number as usize];
            let Some(mut socket) = place.as_ref() else {
                return Err(io::Error::other("an event of a socket that was closed"));
            };
            match socket.read(&mut buffer) {
                Ok(0) => *place = None,
                Err(error) if Errno::of(&error) == Some(Errno::CONNRESET) => *place = None,
                Ok(_) if number == 0 => report.print(),
                Ok(length) => {
                    report.heard.insert(number);
                    report.echoes += 1;
                    // A message at a time, which every socket has room for.
                    socket.write_all(&buffer[..length])?;
                }
                Err(error) => return Err(error),
            }
            if place.is_none() {
                open -= 1;
                if open == 0 {
                    println!("empty");
                }
            }
        }
    }
}

/// A task for each connection.
async fn on_executor(listener: Socket) -> io::Result<()> {
    let listener = Async::new(listener);
    let (report, open) = (Rc::new(RefCell::default()), Rc::new(Cell::new(0)));
    let mut number = 0;
    loop {
        let (socket, _) = listener.accept().await?;
        if number > 0 && open.get() == 0 {
            return Ok(());
        }
        socket.write_all(&u32::to_le_bytes(number)).await?;
        open.set(open.get() + 1);
        let (report, open) = (report.clone(), open.clone());
        drop(aio::spawn(async move {
            let echoed = echo(socket, number, &report).await;
            if let Err(error) = echoed
                && Errno::of(&error) != Some(Errno::CONNRESET)
            {
                println!("connection {number} failed: {error}");
            }
            open.set(open.get() - 1);
            if open.get() == 0 {
                println!("empty");
            }
        }));
        number += 1;
    }
}

async fn echo(socket: Async<Socket>, number: u32, report: &RefCell<Report>) -> io::Result<()> {
    loop {
        let mut buffer = [0; 2048];
        match socket.read(&mut buffer).await? {
            0 => return Ok(()),
            _ if number == 0 => report.borrow_mut().print(),
            length => {
                report.borrow_mut().heard.insert(number);
                report.borrow_mut().echoes += 1;
                socket.write_all(&buffer[..length]).await?;
            }
        }
    }
}

/// Everybody who waits.
fn accepted(listener: &Socket) -> io::Result<Vec<Socket>> {
    let mut all = Vec::new();
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_blocking(false);
                all.push(socket);
            }
            Err(error) if Errno::of(&error) == Some(Errno::AGAIN) => return Ok(all),
            Err(error) => return Err(error),
        }
    }
}
