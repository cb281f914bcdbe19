//! Moves bytes as fast as it is let: `limits_pump WAY HOW KIND ADDRESS BYTES SIZE`.
//!
//! WAY is `send` or `receive`; HOW is `blocking`, `poll`, `poller`, `subscribe`, `msg`, `many` or `file`; KIND is
//! `stream`, `datagram` or `seqpacket`. It connects, receives one byte or message as the word to begin, and then
//! moves BYTES in calls of SIZE. It prints `@ready`, and at last
//! `moved BYTES in MILLISECONDS ms, N looks, N again`, or the errno that ended it.

use std::io::{self, Write};
use std::time::Instant;

use sockgate_guest::files::File;
use sockgate_guest::{
    Batch, Events, Interest, MessageFlags, MessageOut, Poller, Socket, SocketType, Timeout, poll,
};
use sockgate_test_guests::{address, named, socket_for, word, words, wrong};

struct Pump {
    socket: Socket,
    how: String,
    sends: bool,
    size: usize,
    poller: Option<Poller>,
    looks: u32,
    again: u32,
}

fn main() -> io::Result<()> {
    let mut words = words();
    let way = word(&mut words, "WAY")?;
    let how = word(&mut words, "HOW")?;
    let kind = match word(&mut words, "KIND")?.as_str() {
        "stream" => SocketType::Stream,
        "seqpacket" => SocketType::Seqpacket,
        _ => SocketType::Datagram,
    };
    let to = address(&word(&mut words, "ADDRESS")?)?;
    let total: usize = word(&mut words, "BYTES")?.parse().map_err(wrong)?;
    let size: usize = word(&mut words, "SIZE")?.parse().map_err(wrong)?;
    let socket = socket_for(&to, kind)?;
    socket.connect(&to)?;
    if kind == SocketType::Datagram {
        socket.send(b"?")?;
    }
    println!("@ready");
    io::stdout().flush()?;
    socket.recv(&mut [0; 1])?;
    let mut pump = Pump {
        socket,
        how,
        sends: way == "send",
        size,
        poller: None,
        looks: 0,
        again: 0,
    };
    let start = Instant::now();
    let mut moved = 0;
    let outcome = loop {
        if moved >= total {
            break "moved".to_owned();
        }
        match pump.step(total - moved) {
            Ok(more) => moved += more,
            Err(error) => break named(&error),
        }
    };
    let elapsed = start.elapsed().as_millis();
    let Pump { looks, again, .. } = pump;
    println!("{outcome} {moved} in {elapsed} ms, {looks} looks, {again} again");
    Ok(())
}

impl Pump {
    fn step(&mut self, left: usize) -> io::Result<usize> {
        let waits = matches!(self.how.as_str(), "poll" | "poller" | "subscribe");
        if waits {
            self.socket.set_blocking(false);
            self.wait()?;
        }
        match self.call(left.min(self.size)) {
            Err(error) if waits && error.kind() == io::ErrorKind::WouldBlock => {
                self.again += 1;
                Ok(0)
            }
            outcome => outcome,
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let (interest, wanted) = match self.sends {
            true => (Interest::WRITABLE, Events::WRITABLE),
            false => (Interest::READABLE, Events::READABLE),
        };
        self.looks += 1;
        match self.how.as_str() {
            "poll" => {
                let found = poll(&[(&self.socket, interest)], Timeout::Blocking)?;
                assert!(found.iter().all(|(_, events)| events.intersects(wanted)));
            }
            "poller" => {
                let poller = match self.poller.take() {
                    Some(poller) => poller,
                    None => {
                        let poller = Poller::new()?;
                        poller.register(&self.socket, 7, interest)?;
                        poller
                    }
                };
                let found = poller.wait(4, Timeout::Blocking)?;
                assert!(found.iter().all(|event| event.events.intersects(wanted)));
                self.poller = Some(poller);
            }
            _ => self.socket.subscribe(interest)?.block(),
        }
        Ok(())
    }

    fn call(&self, size: usize) -> io::Result<usize> {
        let data = vec![b'x'; size];
        match (self.sends, self.how.as_str()) {
            (true, "msg") => {
                let (one, other) = data.split_at(size / 2);
                self.socket
                    .send_msg(&MessageOut::new().piece(one).piece(other))
            }
            (true, "many") => {
                let mut batch = Batch::new();
                for _ in 0..8 {
                    batch.push(&data);
                }
                let sent = self.socket.send_many(&batch, MessageFlags::empty())?;
                Ok(sent.count * size)
            }
            (true, "file") => {
                let file = File::open("/files/data")?;
                let sent = self.socket.send_file_piece(&file, 0, size as u64)?;
                Ok(sent as usize)
            }
            (true, _) => self.socket.send(&data),
            (false, "msg") => {
                let message = self.socket.recv_msg(size, 0, MessageFlags::empty())?;
                ended(message.data.len())
            }
            (false, "many") => {
                let batch = self.socket.recv_many(8, size)?;
                Ok(batch.iter().map(|message| message.data.len()).sum())
            }
            (false, _) => ended(self.socket.recv_vec(size)?.len()),
        }
    }
}

fn ended(received: usize) -> io::Result<usize> {
    match received {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        received => Ok(received),
    }
}
