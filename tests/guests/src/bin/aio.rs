//! Tasks that await sockets; the first word says what they do.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sockgate_guest::aio::{
    self, Async, BufReader, Either, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener,
    UnixStream,
};
use sockgate_guest::{Family, Protocol, Socket, SocketType, UnixAddress};
use sockgate_test_guests::{address, named, pattern, tell, word, words};

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(3600);

fn main() -> io::Result<()> {
    let mut words = words();
    let action = word(&mut words, "ACTION")?;
    let mut next = || word(&mut words, "WORD");
    match action.as_str() {
        "echo" => aio::run(echo(&next()?, number(&next()?)?)),
        "clients" => aio::run(clients(next()?, number(&next()?)?)),
        "timers" => aio::run(timers()),
        "both" => aio::run(both(&next()?)),
        "silent" => aio::run(silent(&next()?)),
        "abort" => aio::run(abort(&next()?)),
        "unread" => aio::run(unread(&next()?)),
        "lines" => aio::run(lines(&next()?)),
        "udp" => aio::run(udp(&next()?, number(&next()?)?)),
        "unix" => aio::run(unix(&next()?, &next()?)),
        "full" => aio::run(full(&next()?)),
        "raw" => aio::run(raw(&next()?)),
        "greedy" => aio::run(greedy()),
        "handles" => aio::run(handles(&next()?)),
        "stuck" => aio::run(pending()),
        other => Err(io::Error::other(format!("no such action: {other}"))),
    }
}

fn number(word: &str) -> io::Result<usize> {
    word.parse().map_err(io::Error::other)
}

/// Echoes for so many connections at once, each a task of its own.
async fn echo(here: &str, count: usize) -> io::Result<()> {
    let listener = TcpListener::bind(here)?;
    println!("listening on {}", listener.get_ref().local_addr()?);
    let (open, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..count {
        let (stream, _) = listener.accept().await?;
        let (open, most) = (open.clone(), most.clone());
        tasks.push(aio::spawn(async move {
            open.set(open.get() + 1);
            most.set(most.get().max(open.get()));
            let result = echo_one(&stream).await;
            open.set(open.get() - 1);
            result
        }));
    }
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await?;
    }
    println!("echoed {bytes} bytes");
    println!("most {} at once", most.get());
    Ok(())
}

async fn echo_one(stream: &TcpStream) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(bytes),
            length => {
                stream.write_all(&buffer[..length]).await?;
                bytes += length;
            }
        }
    }
}

/// So many clients at once towards an echo server.
async fn clients(there: String, count: usize) -> io::Result<()> {
    let there = Rc::new(there);
    let open = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..count)
        .map(|client| {
            let (there, open) = (there.clone(), open.clone());
            aio::spawn(async move {
                let stream = TcpStream::connect(there.as_str()).await?;
                open.set(open.get() + 1);
                // Nobody begins before all are connected.
                while open.get() < count {
                    aio::sleep(Duration::from_millis(1)).await;
                }
                let sent = pattern(client as u64, 10_000);
                stream.write_all(&sent).await?;
                stream.get_ref().shutdown(Shutdown::Write)?;
                let mut back = Vec::new();
                stream.read_to_end(&mut back).await?;
                io::Result::Ok(back == sent)
            })
        })
        .collect();
    let mut same = 0;
    for task in tasks {
        same += usize::from(task.await?);
    }
    println!("{same} of {count} came back");
    Ok(())
}

/// Timers without any socket, and a time-out.
async fn timers() -> io::Result<()> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..500u64)
        .map(|number| {
            aio::spawn(async move {
                let duration = Duration::from_micros(number * 200);
                let begin = Instant::now();
                aio::sleep(duration).await;
                begin.elapsed() >= duration
            })
        })
        .collect();
    let mut in_time = 0;
    for task in tasks {
        in_time += usize::from(task.await);
    }
    println!("{in_time} of 500 were not early");
    let error = aio::timeout(Duration::from_millis(20), aio::sleep(LONG)).await;
    println!("timeout {}", named(&error.expect_err("an hour is over")));
    println!("took {}", start.elapsed().as_millis());
    Ok(())
}

/// One task sends while another one receives on the same connection.
async fn both(there: &str) -> io::Result<()> {
    let stream = Rc::new(TcpStream::connect(there).await?);
    let sent = pattern(1, 4 << 20);
    let writer = aio::spawn({
        let (stream, sent) = (stream.clone(), sent.clone());
        async move {
            stream.write_all(&sent).await?;
            stream.get_ref().shutdown(Shutdown::Write)
        }
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await?;
    writer.await?;
    tell("sent", &sent);
    tell("back", &back);
    Ok(())
}

/// Reads that time out and are dropped lose nothing; the next one gets what comes.
async fn silent(there: &str) -> io::Result<()> {
    let stream = TcpStream::connect(there).await?;
    let mut buffer = [0; 100];
    for _ in 0..3 {
        let begin = Instant::now();
        let wait = Duration::from_millis(30);
        let error = aio::timeout(wait, stream.read(&mut buffer)).await;
        let early = begin.elapsed() < wait;
        println!("silence {} early={early}", named(&error.expect_err("data")));
    }
    let waits = stream.read(&mut buffer);
    let either = aio::select(waits, aio::sleep(Duration::from_millis(5))).await;
    println!("second {}", matches!(either, Either::Second(())));
    stream.write_all(b"speak").await?;
    let length = stream.read(&mut buffer).await?;
    println!("heard {}", String::from_utf8_lossy(&buffer[..length]));
    // As a blocking socket it is as usable as before.
    let mut stream = stream.into_inner();
    io::Write::write_all(&mut stream, b" up")?;
    let length = io::Read::read(&mut stream, &mut buffer)?;
    println!("heard {}", String::from_utf8_lossy(&buffer[..length]));
    Ok(())
}

/// A task that waits for its socket is aborted, and its socket closes with it.
async fn abort(there: &str) -> io::Result<()> {
    let stream = TcpStream::connect(there).await?;
    let task = aio::spawn(async move { stream.read(&mut [0; 10]).await });
    aio::sleep(Duration::from_millis(10)).await;
    println!("finished {}", task.is_finished());
    task.abort();
    println!("aborted");
    // And one that is closed under who waits for it.
    let stream = Rc::new(TcpStream::connect(there).await?);
    let reader = aio::spawn({
        let stream = stream.clone();
        async move { stream.read(&mut [0; 10]).await }
    });
    aio::yield_now().await;
    stream.close()?;
    println!(
        "closed {}",
        named(&reader.await.expect_err("a closed socket"))
    );
    // The peer has seen both closed when it closes this one.
    let last = TcpStream::connect(there).await?;
    println!("last {}", last.read(&mut [0; 10]).await?);
    Ok(())
}

/// Data and then the end wait on a socket that nobody waits for any more: no reason to be busy.
async fn unread(there: &str) -> io::Result<()> {
    let stream = TcpStream::connect(there).await?;
    let idle = TcpStream::connect(there).await?;
    let waiting = aio::spawn(async move { idle.readable().await });
    stream.readable().await?;
    println!("sleeping");
    aio::sleep(Duration::from_millis(600)).await;
    println!("slept");
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    println!("read {}", String::from_utf8_lossy(&data));
    waiting.abort();
    Ok(())
}

/// Lines, one of which comes in pieces over a time-out, and one that is too long.
async fn lines(there: &str) -> io::Result<()> {
    let stream = TcpStream::connect(there).await?;
    let mut reader = BufReader::with_limit(stream, 1000);
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    println!("line {}", line.trim_end());
    line.clear();
    let wait = Duration::from_millis(30);
    let late = aio::timeout(wait, reader.read_line(&mut line)).await;
    println!("late {} line={line:?}", named(&late.expect_err("a line")));
    println!("kept {:?}", String::from_utf8_lossy(reader.buffer()));
    reader.get_ref().write_all(b"go on\n").await?;
    reader.read_line(&mut line).await?;
    println!("line {}", line.trim_end());
    let mut few = [0; 3];
    let length = reader.read(&mut few).await?;
    println!("few {}", String::from_utf8_lossy(&few[..length]));
    let long = reader.read_line(&mut line).await;
    println!("long {:?}", long.expect_err("no limit").kind());
    Ok(())
}

/// Answers datagrams from two tasks on one socket.
async fn udp(here: &str, count: usize) -> io::Result<()> {
    let socket = Rc::new(UdpSocket::bind(here)?);
    println!("listening on {}", socket.get_ref().local_addr()?);
    let left = Rc::new(Cell::new(count));
    let workers = [0, 1].map(|worker| {
        let (socket, left) = (socket.clone(), left.clone());
        aio::spawn(async move {
            let mut buffer = [0; 1500];
            while left.get() > 0 {
                let wait = Duration::from_millis(100);
                let Ok(came) = aio::timeout(wait, socket.recv_from(&mut buffer)).await else {
                    continue;
                };
                let (length, from) = came?;
                left.set(left.get() - 1);
                let answer = format!("{} by {worker}", String::from_utf8_lossy(&buffer[..length]));
                socket.send_to(answer.as_bytes(), from).await?;
            }
            io::Result::Ok(())
        })
    });
    for worker in workers {
        worker.await?;
    }
    println!("answered {count}");
    Ok(())
}

/// A stream server and a datagram socket, by paths.
async fn unix(stream_path: &str, datagram_path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(stream_path)?;
    let datagrams = UnixDatagram::bind(datagram_path)?;
    println!("listening on both");
    let stream = async {
        let (stream, _) = listener.accept().await?;
        let mut data = Vec::new();
        stream.read_to_end(&mut data).await?;
        data.reverse();
        stream.write_all(&data).await
    };
    let datagram = async {
        let mut buffer = [0; 100];
        let (length, from) = datagrams.recv_from(&mut buffer).await?;
        buffer[..length].reverse();
        let sent = datagrams.send_to_addr(&buffer[..length], &from).await;
        sent.map(drop)
    };
    let parts: [std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>; 2] =
        [Box::pin(stream), Box::pin(datagram)];
    for result in aio::join_all(parts).await {
        result?;
    }
    // A pair, and an abstract name.
    let (one, other) = UnixStream::pair()?;
    let (sent, mut came) = (one.write_all(b"pair"), [0; 4]);
    sent.await?;
    other.read_exact(&mut came).await?;
    println!("pair {}", String::from_utf8_lossy(&came));
    let short = other.read_exact(&mut came);
    one.get_ref().shutdown(Shutdown::Write)?;
    println!("end {:?}", short.await.expect_err("more").kind());
    let nobody = UnixAddress::from_abstract_name("sockgate-nobody-is-here");
    let error = UnixStream::connect_addr(&nobody)
        .await
        .expect_err("somebody");
    println!("nobody {}", named(&error));
    Ok(())
}

/// Connects to a Unix listener whose backlog is full, and gets in when there is room again.
async fn full(path: &str) -> io::Result<()> {
    let mut streams = Vec::new();
    while let Ok(stream) = aio::timeout(Duration::from_millis(100), UnixStream::connect(path)).await
    {
        streams.push(stream?);
        println!("connected");
    }
    println!("full");
    streams.push(UnixStream::connect(path).await?);
    println!("in");
    Ok(())
}

/// A socket without a type of its own.
async fn raw(there: &str) -> io::Result<()> {
    let socket = Async::new(Socket::new(
        Family::Inet,
        SocketType::Stream,
        Protocol::Default,
    )?);
    match socket.connect(address(there)?).await {
        Ok(()) => println!("connected"),
        Err(error) => {
            println!("refused {}", named(&error));
            return Ok(());
        }
    }
    socket.send_all(b"raw").await?;
    let mut buffer = [0; 10];
    let length = socket.recv(&mut buffer).await?;
    println!("heard {}", String::from_utf8_lossy(&buffer[..length]));
    Ok(())
}

/// Two tasks whose sockets are always ready, and a third that wants its turn.
async fn greedy() -> io::Result<()> {
    for _ in 0..2 {
        let (one, other) = UnixStream::pair()?;
        drop(aio::spawn(async move {
            let mut byte = [0];
            loop {
                one.write_all(b"x").await?;
                other.read_exact(&mut byte).await?;
            }
            #[allow(unreachable_code)]
            io::Result::Ok(())
        }));
    }
    aio::sleep(Duration::from_millis(20)).await;
    println!("had its turn");
    Ok(())
}

/// Another handle of a socket that is waited for.
async fn handles(there: &str) -> io::Result<()> {
    let stream = TcpStream::connect(there).await?;
    let clone = Async::new(stream.get_ref().try_clone()?);
    let wait = Duration::from_millis(10);
    let first = aio::timeout(wait, stream.readable()).await;
    println!("first {:?}", first.expect_err("data").kind());
    let error = clone.readable().await.expect_err("two in one poller");
    println!("second {}", named(&error));
    drop(stream);
    // The other one has left, though the socket is open still.
    let third = aio::timeout(wait, clone.readable()).await;
    println!(
        "third {:?}",
        third.expect_err("data").kind() == ErrorKind::TimedOut
    );
    Ok(())
}
