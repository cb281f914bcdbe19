//! Descriptors that travel between guests, and between guests and Python (`tests/native/descriptors.py`, which has
//! the protocol of `answer` and `drive`); the first word says what to do.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sockgate_guest::ancillary::{AncillaryIn, BorrowedHandle, OwnedHandle, space};
use sockgate_guest::{
    Descriptor, Family, MessageFlags, Protocol, Socket, SocketType, UnixAddress, UnixListener,
};
use sockgate_test_guests::{address, pattern, socket_for, word, words, wrong};

const NO_FLAGS: fn() -> MessageFlags = MessageFlags::empty;
const WORD: &[u8] = b"by way of the guest";
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> io::Result<()> {
    let mut words = words();
    let action = word(&mut words, "ACTION")?;
    let path = word(&mut words, "PATH")?;
    match action.as_str() {
        "answer" => answer(&path),
        "drive" => drive(
            &path,
            [&word(&mut words, "GRANTED")?, &word(&mut words, "REFUSED")?],
            number(&word(&mut words, "SEED")?)?,
            number(&word(&mut words, "COUNT")?)?,
            &word(&mut words, "SYNC")?,
        ),
        "give-listener" => give_listener(
            &path,
            &word(&mut words, "NAME")?,
            &words.collect::<String>(),
        ),
        "letter" => letter(&path, &word(&mut words, "OWN")?),
        other => Err(wrong(other)),
    }
}

fn number<N: std::str::FromStr>(word: &str) -> io::Result<N> {
    word.parse().map_err(|_| wrong(word))
}

fn connected(path: &str, style: SocketType) -> io::Result<Socket> {
    let there = address(path)?;
    let socket = socket_for(&there, style)?;
    socket.set_timeout(PATIENCE);
    socket.connect(&there)?;
    Ok(socket)
}

/// Receives as it is told, uses what it may have, and gives everything back, until the end.
fn answer(path: &str) -> io::Result<()> {
    let driver = connected(path, SocketType::Seqpacket)?;
    println!("ready");
    loop {
        let told = driver.recv_vec(100)?;
        let told = String::from_utf8_lossy(&told).into_owned();
        match told.split(' ').collect::<Vec<_>>()[..] {
            ["end"] => return Ok(()),
            // It has let go of all that came before.
            ["quiet"] => drop(driver.send(b"quiet")?),
            ["take", how, room] => take(&driver, how, number(room)?)?,
            _ => return Err(wrong(told)),
        }
    }
}

fn take(driver: &Socket, how: &str, room: u32) -> io::Result<()> {
    let (data, handles, flags) = received(driver, how, room)?;
    if data != b"these" {
        return Err(wrong(format_args!("{data:?}")));
    }
    let mut kinds = String::new();
    let (mut sockets, mut opaque) = (Vec::new(), Vec::new());
    // In the order in which they came.
    let mut places = Vec::new();
    for handle in handles {
        match handle.into_socket() {
            Ok(socket) => {
                use_it(&socket)?;
                kinds.push('s');
                places.push((true, sockets.len()));
                sockets.push(socket);
            }
            Err(descriptor) => {
                kinds.push('o');
                places.push((false, opaque.len()));
                opaque.push(descriptor);
            }
        }
    }
    let cut = match flags.contains(MessageFlags::CTRUNC) {
        true => "cut",
        false => "whole",
    };
    let kinds = if kinds.is_empty() { "-" } else { &kinds };
    let back: Vec<BorrowedHandle<'_>> = places
        .iter()
        .map(|(is_socket, place)| match is_socket {
            true => (&sockets[*place]).into(),
            false => (&opaque[*place]).into(),
        })
        .collect();
    driver.send_fds(
        &[b"got ", kinds.as_bytes(), b" ", cut.as_bytes()],
        &back,
        NO_FLAGS(),
        None,
    )?;
    Ok(())
}

type Taken = (Vec<u8>, Vec<OwnedHandle>, MessageFlags);

/// One message in one of the ways that there are.
fn received(driver: &Socket, how: &str, room: u32) -> io::Result<Taken> {
    if how == "peek" {
        // What is looked at comes as descriptors of its own, and goes here.
        let (peeked, handles, _, _) = driver.recv_fds(100, room, MessageFlags::PEEK)?;
        for handle in &handles {
            if let OwnedHandle::Socket(socket) = handle {
                socket.family()?;
            }
        }
        drop((peeked, handles));
    }
    match how {
        "message" | "peek" => {
            let (data, handles, flags, _) = driver.recv_fds(100, room, NO_FLAGS())?;
            Ok((data, handles, flags))
        }
        "plain" => Ok((driver.recv_vec(100)?, Vec::new(), NO_FLAGS())),
        "many" => {
            let room = if room == 0 { 0 } else { space(0) + 4 * room };
            let batch = driver.recv_many_with(1, 100, room, NO_FLAGS())?;
            let message = batch.get(0).ok_or_else(|| wrong("an empty batch"))?;
            let (data, flags) = (message.data.to_vec(), message.flags);
            let mut handles = Vec::new();
            for ancillary in batch.into_ancillary() {
                if let AncillaryIn::Rights(rights) = ancillary {
                    handles.extend(rights);
                }
            }
            Ok((data, handles, flags))
        }
        other => Err(wrong(other)),
    }
}

/// What each is good for: a listener accepts, a bound datagram socket answers, the others are connected.
fn use_it(socket: &Socket) -> io::Result<()> {
    socket.set_timeout(PATIENCE);
    if socket.accepting()? {
        return socket.accept()?.0.send_all(WORD);
    }
    if socket.socket_type()? != SocketType::Datagram {
        return socket.send_all(WORD);
    }
    let mut buffer = [0; 100];
    match socket.recv_from(&mut buffer)? {
        (_, Some(client)) => socket.send_to(WORD, &client).map(drop),
        (_, None) => Err(wrong("a datagram from nobody")),
    }
}

/// What is passed: a handle, its letter at the receiver, and the other end where it has one.
struct Item {
    passed: Passed,
    letter: Option<char>,
    other: Option<Socket>,
}

enum Passed {
    Socket(Socket),
    Opaque(Descriptor),
}

struct Makers {
    granted: Socket,
    refused: Socket,
    pidfd: bool,
}

impl Makers {
    fn new(granted: &str, refused: &str) -> io::Result<Makers> {
        let listen = |place: &str| -> io::Result<Socket> {
            let place = address(place)?;
            let socket = socket_for(&place, SocketType::Stream)?;
            socket.set_reuse_address(true)?;
            socket.bind(&place)?;
            socket.listen(8)?;
            Ok(socket)
        };
        let (one, _other) = pair()?;
        Ok(Makers {
            granted: listen(granted)?,
            refused: listen(refused)?,
            pidfd: one.peer_pidfd().is_ok(),
        })
    }

    fn make(&self, what: u8) -> io::Result<Item> {
        let socket = |socket, other| Item {
            passed: Passed::Socket(socket),
            letter: Some('s'),
            other: Some(other),
        };
        Ok(match what % 6 {
            0 => connection(&self.granted, Some('s'))?,
            1 => connection(&self.refused, None)?,
            2 => {
                let bound = udp()?;
                let client = udp()?;
                client.connect(bound.local_address()?)?;
                client.send(b"hello")?;
                // It tells nothing of its end.
                socket(bound, client)
            }
            3 => {
                let (mine, other) = pair()?;
                Item {
                    passed: Passed::Opaque(mine.detach()?),
                    ..socket(pair()?.0, other)
                }
            }
            4 if self.pidfd => {
                let (one, _other) = pair()?;
                Item {
                    passed: Passed::Opaque(one.peer_pidfd()?),
                    letter: Some('o'),
                    other: None,
                }
            }
            _ => {
                let (mine, other) = pair()?;
                socket(mine, other)
            }
        })
    }
}

fn pair() -> io::Result<(Socket, Socket)> {
    Socket::pair(Family::Unix, SocketType::Stream, Protocol::Default)
}

fn udp() -> io::Result<Socket> {
    let socket = Socket::new(Family::Inet, SocketType::Datagram, Protocol::Default)?;
    socket.bind("127.0.0.1:0")?;
    Ok(socket)
}

fn connection(listener: &Socket, letter: Option<char>) -> io::Result<Item> {
    let mine = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
    mine.connect(listener.local_address()?)?;
    Ok(Item {
        passed: Passed::Socket(mine),
        letter,
        other: Some(listener.accept()?.0),
    })
}

/// Drives another guest as the Python side does.
fn drive(path: &str, ports: [&str; 2], seed: u64, count: u32, sync: &str) -> io::Result<()> {
    let listener = Socket::new(Family::Unix, SocketType::Seqpacket, Protocol::Default)?;
    listener.bind(UnixAddress::from_pathname(path)?)?;
    listener.listen(1)?;
    println!("listening");
    let (guest, _) = listener.accept()?;
    guest.set_timeout(PATIENCE);
    let makers = Makers::new(ports[0], ports[1])?;
    let mut drawn = pattern(seed, 16 * (count as usize + 20)).into_iter();
    let mut arrived = 0;
    for _ in 0..20 {
        turn(&guest, &makers, &mut drawn)?;
    }
    quiet(&guest)?;
    println!("before");
    until(&Path::new(sync).join("go"))?;
    for _ in 0..count {
        arrived += turn(&guest, &makers, &mut drawn)?;
    }
    quiet(&guest)?;
    println!("arrived {arrived}");
    until(&Path::new(sync).join("end"))?;
    guest.send(b"end")?;
    Ok(())
}

fn quiet(guest: &Socket) -> io::Result<()> {
    guest.send(b"quiet")?;
    match &*guest.recv_vec(100)? {
        b"quiet" => Ok(()),
        other => Err(wrong(format_args!("{other:?}"))),
    }
}

/// Waits for a file that the test makes; for none beneath `-`.
fn until(file: &Path) -> io::Result<()> {
    if file.starts_with("-") {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        if Instant::now() > deadline {
            return Err(wrong(format_args!("{} never came", file.display())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// One message with some descriptors; how many arrived.
fn turn(
    guest: &Socket,
    makers: &Makers,
    drawn: &mut impl Iterator<Item = u8>,
) -> io::Result<usize> {
    let mut draw = || drawn.next().unwrap_or_default();
    let how = ["message", "message", "peek", "plain", "many"][usize::from(draw() % 5)];
    let room = [0, 1, 2, 3, 6, 10, 253][usize::from(draw() % 7)];
    let number = 1 + usize::from(draw() % 6);
    let items = (0..number)
        .map(|_| makers.make(draw()))
        .collect::<io::Result<Vec<_>>>()?;
    guest.send(format!("take {how} {room}").as_bytes())?;
    let handles: Vec<BorrowedHandle<'_>> = items
        .iter()
        .map(|item| match &item.passed {
            Passed::Socket(socket) => socket.into(),
            Passed::Opaque(descriptor) => descriptor.into(),
        })
        .collect();
    guest.send_fds(&[b"these"], &handles, NO_FLAGS(), None)?;
    let arrives = if how == "plain" { 0 } else { room.min(number) };
    let cut = how != "plain" && room < number;
    let letters: String = items[..arrives]
        .iter()
        .filter_map(|item| item.letter)
        .collect();
    let wanted = format!(
        "got {} {}",
        if letters.is_empty() { "-" } else { &letters },
        if cut { "cut" } else { "whole" }
    );
    let (said, back, flags, _) = guest.recv_fds(1000, 253, NO_FLAGS())?;
    if said != wanted.as_bytes() || flags.contains(MessageFlags::CTRUNC) {
        let said = String::from_utf8_lossy(&said);
        return Err(wrong(format_args!(
            "{said} instead of {wanted}: {how} {room}"
        )));
    }
    if back.len() != letters.len() {
        return Err(wrong(format_args!("{} came back of {letters}", back.len())));
    }
    drop(back);
    for (place, item) in items.into_iter().enumerate() {
        settle(item, place < arrives)?;
    }
    Ok(letters.len())
}

/// The other end heard the guest where it was let have this one, and nobody has this one any more.
fn settle(item: Item, arrived: bool) -> io::Result<()> {
    let Some(other) = item.other else {
        return Ok(());
    };
    drop(item.passed);
    other.set_timeout(PATIENCE);
    if arrived && item.letter.is_some() {
        let heard = other.recv_vec(100)?;
        if heard != WORD {
            return Err(wrong(format_args!("heard {heard:?}")));
        }
    }
    if other.socket_type()? == SocketType::Datagram {
        return Ok(());
    }
    match other.recv_vec(100) {
        Ok(end) if end.is_empty() => Ok(()),
        // What was on its way to a socket that was closed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        other => Err(wrong(format_args!("{other:?} instead of the end"))),
    }
}

/// Passes a listening socket on, as a socket or detached, and ends.
fn give_listener(path: &str, name: &str, how: &str) -> io::Result<()> {
    let receiver = connected(path, SocketType::Stream)?;
    let listener = UnixListener::bind(name)?.into_socket();
    match how {
        "detached" => receiver.send_handles(b"detached", &[(&listener.detach()?).into()])?,
        _ => receiver.send_handles(b"a listener", &[(&listener).into()])?,
    };
    Ok(())
}

/// Sends a letter with a descriptor to an address, and receives the answer with what came back.
fn letter(path: &str, own: &str) -> io::Result<()> {
    let there = address(path)?;
    let socket = socket_for(&there, SocketType::Datagram)?;
    socket.set_timeout(PATIENCE);
    socket.bind(address(own)?)?;
    let (mine, other) = pair()?;
    let sent = socket.send_fds(
        &[b"from the ", b"guest"],
        &[(&other).into()],
        MessageFlags::DONT_WAIT,
        Some(&there),
    )?;
    drop(other);
    println!("sent {sent}");
    let (data, handles, flags, source) = socket.recv_fds(100, 4, NO_FLAGS())?;
    let source = source.map_or_else(|| "nobody".to_owned(), |source| source.to_string());
    println!(
        "answer {} {} {flags:?} from {source}",
        String::from_utf8_lossy(&data),
        handles.len()
    );
    for handle in handles {
        let back = handle.into_socket().map_err(|_| wrong("an opaque one"))?;
        back.send_all(WORD)?;
    }
    println!("heard {}", String::from_utf8_lossy(&mine.recv_vec(100)?));
    Ok(())
}
