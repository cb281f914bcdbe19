//! Sockets as buffered files: `ACTION SERVER`, as the functions below say. The server is
//! `tests/native/convenience.py`.

use std::io::{self, BufRead, Read, Write};
use std::time::{Duration, Instant};

use sockgate_guest::{Errno, Shutdown, Socket, SocketFile, TcpStream, Timeout};
use sockgate_test_guests::{named, pattern, tell, word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let action = word(&mut words, "ACTION")?;
    let server = word(&mut words, "SERVER")?;
    match action.as_str() {
        "lines" => lines(&server),
        "limits" => limits(&server),
        "counts" => counts(&server),
        "dribble" => dribble(&server),
        "parts" => parts(&server),
        "std" => std_s_methods(&server),
        "write" => write(&server),
        other => Err(io::Error::other(format!("no such action: {other}"))),
    }
}

fn connected(server: &str, first: &str) -> io::Result<Socket> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(first.as_bytes())?;
    Ok(stream.into_socket())
}

/// A connection on which the server sends one piece after the other, each when it is asked to.
fn sending(server: &str, pieces: &[&[u8]]) -> io::Result<Socket> {
    let mut first = "pieces\n".to_owned();
    for piece in pieces {
        let digits = piece.iter().map(|byte| format!("{byte:02x}"));
        first.extend(digits);
        first.push('\n');
    }
    first.push('\n');
    connected(server, &first)
}

/// All of them at once.
fn sent(server: &str, pieces: &[&[u8]]) -> io::Result<Socket> {
    let socket = sending(server, pieces)?;
    for _ in pieces {
        socket.send_all(b"go\n")?;
    }
    Ok(socket)
}

/// `lines`: each piece is asked for when the time-out for the line has passed.
fn lines(server: &str) -> io::Result<()> {
    let pieces: [&[u8]; 6] = [
        b"first li",
        b"ne\nsecond",
        b" line\r\ncaf\xc3",
        b"\xa9\n",
        b"\n",
        b"last",
    ];
    let socket = sending(server, &pieces)?;
    socket.set_timeout(Duration::from_millis(50));
    let mut file = socket.makefile();
    let (mut asked, mut expected, mut read) = (0, 0, 0);
    loop {
        match file.read_text_line_up_to(64) {
            Ok(None) => break,
            Ok(Some(line)) => {
                // With its end, which the line does not show.
                read += line.len() + usize::from(line != "last");
                read += usize::from(line == "second line");
                println!("line {line:?}");
            }
            Err(error) if Errno::of(&error) == Some(Errno::TIMEDOUT) => {
                // The server may be slow: it is asked for the next piece when this one is here.
                if read + file.unread().len() == expected && asked < pieces.len() {
                    println!("kept {:?}", String::from_utf8_lossy(file.unread()));
                    socket.send_all(b"go\n")?;
                    expected += pieces[asked].len();
                    asked += 1;
                }
            }
            Err(error) => return Err(error),
        }
    }
    println!(
        "time-out {}",
        socket.timeout() == Timeout::After(50_000_000)
    );
    println!("end {:?}", file.read_line_up_to(10)?);
    Ok(())
}

/// `limits`: lines that are too long, and one that is no text.
fn limits(server: &str) -> io::Result<()> {
    let text = b"0123456789abcdef\n\xff\xfe\nrest\r\n0123\nend";
    let socket = sent(server, &[text])?;
    let mut file = SocketFile::new(&socket);
    println!("limited {:?}", show(&file.read_line_up_to(10)?));
    println!("none {:?}", show(&file.read_line_up_to(0)?));
    for _ in 0..2 {
        match file.read_text_line_up_to(6) {
            Ok(line) => println!("text {line:?}"),
            Err(error) => println!("too long {}", named(&error)),
        }
    }
    println!("text {:?}", file.read_text_line_up_to(7)?);
    let error = file.read_text_line_up_to(100).err();
    println!("no text {:?}", error.map(|error| error.kind()));
    println!("text {:?}", file.read_text_line_up_to(6)?);
    println!("text {:?}", file.read_text_line_up_to(5)?);
    println!("text {:?}", file.read_text_line_up_to(3)?);
    println!("text {:?}", file.read_text_line_up_to(3)?);
    Ok(())
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `counts`: so many bytes, from as many receives as it takes.
fn counts(server: &str) -> io::Result<()> {
    let data = pattern(7, 100_000);
    let pieces: Vec<&[u8]> = data.chunks(9_000).collect();
    let socket = sent(server, &pieces)?;
    let mut file = socket.makefile();
    let mut all = file.read_up_to(1)?;
    all.extend(file.read_up_to(70_000)?);
    println!("read {}", all.len());
    let mut few = [0; 10];
    let length = file.read(&mut few)?;
    all.extend(&few[..length]);
    let rest = file.read_up_to(usize::MAX)?;
    println!("rest {}", rest.len() + length);
    all.extend(rest);
    println!("same {}", all == data);
    println!("end {}", file.read_up_to(5)?.len());

    // A socket that does not wait: nothing is lost either.
    let socket = sending(server, &[b"so", b"me"])?;
    socket.set_blocking(false);
    let mut file = socket.makefile();
    println!(
        "empty {}",
        named(&file.read_up_to(4).err().unwrap_or_else(none))
    );
    for _ in 0..2 {
        socket.set_timeout(None);
        socket.send_all(b"go\n")?;
        let there = file.unread().len();
        while file.unread().len() == there {
            // Waits, and leaves the bytes where they are.
            socket.peek(&mut [0])?;
            socket.set_blocking(false);
            match file.read_up_to(4) {
                Ok(data) => {
                    println!("whole {:?}", show(&data));
                    return Ok(());
                }
                Err(error) => println!("part {} {:?}", named(&error), show(file.unread())),
            }
        }
    }
    Ok(())
}

fn none() -> io::Error {
    io::Error::other("no error")
}

/// `dribble`: a byte now and then is no line.
fn dribble(server: &str) -> io::Result<()> {
    let socket = connected(server, "dribble\n")?;
    for _ in 0..2 {
        socket.set_timeout(Duration::from_millis(200));
        let mut file = socket.makefile();
        let begin = Instant::now();
        let line = file.read_line_up_to(1 << 20);
        println!(
            "line {}",
            line.err().map_or_else(String::new, |e| named(&e))
        );
        println!("elapsed {}", begin.elapsed().as_millis());
        println!("kept {}", !file.unread().is_empty());
    }
    Ok(())
}

/// `parts`: what a file takes from its socket, and gives back.
fn parts(server: &str) -> io::Result<()> {
    let text = b"one\ntwo\nthree";
    let socket = sent(server, &[text])?;
    let mut file = SocketFile::unbuffered(&socket);
    println!("unbuffered {:?}", file.read_text_line_up_to(100)?);
    println!("unread {}", file.unread().len());
    println!("taken {:?}", show(&file.read_up_to(4)?));
    drop(file);
    println!("socket {:?}", show(&read_all(&socket)?));

    let socket = sent(server, &[text])?;
    let mut file = SocketFile::new(&socket);
    file.read_up_to(5)?;
    write!(file, "not yet")?;
    println!("unsent {:?}", show(file.unsent()));
    let (same, unread, unsent) = file.into_parts();
    let rest = [unread, read_all(same)?].concat();
    println!("parts {:?} {:?}", show(&rest), show(&unsent));

    // The file has a handle of its own: the socket may go.
    let socket = sent(server, &[text])?;
    let mut file = SocketFile::new(socket.try_clone()?);
    socket.close()?;
    println!("alone {:?}", file.read_text_line_up_to(100)?);
    println!(
        "owner {}",
        file.get_ref().family()? == sockgate_guest::Family::Inet
    );
    Ok(())
}

fn read_all(mut socket: &Socket) -> io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest)?;
    Ok(rest)
}

/// `std`: a file over a typed socket, used with std's methods alone.
fn std_s_methods(server: &str) -> io::Result<()> {
    let mut file = SocketFile::with_capacity(16, 16, TcpStream::connect(server)?);
    writeln!(file, "echo")?;
    for number in 0..10 {
        writeln!(file, "line number {number}")?;
    }
    file.flush()?;
    file.get_ref().shutdown(Shutdown::Write)?;
    let mut first = String::new();
    file.read_line(&mut first)?;
    println!("first {first:?}");
    let mut until = Vec::new();
    file.read_until(b'2', &mut until)?;
    println!("until {:?}", show(&until));
    let rest: Vec<String> = file.lines().collect::<io::Result<_>>()?;
    println!("lines {} {:?}", rest.len(), rest.last());
    Ok(())
}

/// `write`: to a server that does not read before a while.
fn write(server: &str) -> io::Result<()> {
    let data = pattern(8, 16 << 20);
    let socket = connected(server, "held\nwrite\n")?;
    let mut file = SocketFile::with_capacity(8192, 100_000, &socket);
    file.write_all(b"a few bytes")?;
    println!("unsent {}", file.unsent().len());
    socket.set_write_timeout(Duration::from_millis(100));
    let mut written = 0;
    let mut passed = 0;
    let release = || connected(server, "release\nwrite\n").map(drop);
    while written < data.len() {
        let end = data.len().min(written + 30_000);
        match file.write(&data[written..end]) {
            Ok(count) => written += count,
            Err(error) if Errno::of(&error) == Some(Errno::TIMEDOUT) => {
                if passed == 3 {
                    release()?;
                }
                passed += 1;
            }
            Err(error) => return Err(error),
        }
    }
    println!("passed {}", passed > 3);
    println!(
        "time-out {}",
        socket.write_timeout() == Timeout::After(100_000_000)
    );
    // The rest goes out with the drop.
    socket.set_write_timeout(None);
    drop(file);
    tell("sent", &[b"a few bytes", &data[..]].concat());
    socket.shutdown(Shutdown::Write)?;

    // A flush that does not get through keeps what is left.
    let socket = connected(server, "held\nflush\n")?;
    let mut file = SocketFile::with_capacity(8192, data.len() + 1, &socket);
    file.write_all(&data)?;
    socket.set_write_timeout(Duration::from_millis(100));
    let begin = Instant::now();
    let error = file.flush().err().unwrap_or_else(none);
    println!(
        "flush {} early {}",
        named(&error),
        begin.elapsed() < Duration::from_millis(100)
    );
    println!("left {}", (1..data.len()).contains(&file.unsent().len()));
    connected(server, "release\nflush\n")?;
    socket.set_write_timeout(None);
    file.flush()?;
    println!("left none {}", file.unsent().is_empty());
    tell("sent", &data);
    socket.shutdown(Shutdown::Write)
}
