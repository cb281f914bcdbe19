use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sockgate_policy::{Address, Family, Kind, MessageFlags, SocketType, UnixAddress};

use super::super::testing::{received, unix};
use super::super::{message, testing};
use super::*;

const NONE: MessageFlags = MessageFlags::empty();
const STREAM: SocketType = SocketType::Stream;
const DATAGRAM: SocketType = SocketType::Datagram;

/// A directory of one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sockgate-unix-path-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn join(&self, beneath: &str) -> PathBuf {
        self.0.join(beneath)
    }

    fn root(&self) -> Root {
        Root::open(&self.0).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bind(socket: &OwnedFd, root: &Root, beneath: &str) -> Result<BoundPath> {
    bind_beneath(socket.as_fd(), root, Path::new(beneath), None, false)
}

fn connect(root: &Root, beneath: &str) -> Result<OwnedFd> {
    let place = root.socket_at(Path::new(beneath))?;
    let client = unix(STREAM);
    life::connect(client.as_fd(), &address_of(place.as_fd()))?;
    Ok(client)
}

#[test]
fn names_are_true_on_both_sides() {
    let directory = Directory::new();
    fs::create_dir(directory.join("sub")).unwrap();
    let root = directory.root();
    let server = unix(STREAM);
    let bound = bind(&server, &root, "sub/srv").unwrap();
    assert_eq!(bound.path(), directory.join("sub/srv"));
    life::listen(server.as_fd(), 5).unwrap();
    let client = connect(&root, "sub/srv").unwrap();
    let name = directory
        .join("sub/srv")
        .into_os_string()
        .into_encoded_bytes();
    let name = Address::Unix(UnixAddress::Pathname(name));
    assert_eq!(testing::peer_address(client.as_fd()), Ok(name.clone()));
    let (accepted, peer) = testing::accept(server.as_fd()).unwrap();
    assert_eq!(peer, Some(Address::Unix(UnixAddress::Unnamed)));
    assert_eq!(testing::local_address(accepted.as_fd()), Ok(name));
    message::send(client.as_fd(), b"hello", NONE).unwrap();
    assert_eq!(received(accepted.as_fd()), b"hello");
    assert_eq!(bound.unlink_if_ours(), Ok(true));
    assert!(!directory.join("sub/srv").exists());
}

#[test]
fn datagrams_reach_the_inode_and_can_be_answered() {
    let directory = Directory::new();
    let root = directory.root();
    let (server, client) = (unix(DATAGRAM), unix(DATAGRAM));
    let _srv = bind(&server, &root, "srv").unwrap();
    let _cli = bind(&client, &root, "cli").unwrap();
    let place = root.socket_at(Path::new("srv")).unwrap();
    message::send_to(client.as_fd(), b"ask", NONE, &address_of(place.as_fd())).unwrap();
    let mut buffer = BytesMut::new();
    let got = message::recv_from(
        server.as_fd(),
        Kind::new(Family::Unix, DATAGRAM),
        &mut buffer,
        10,
        NONE,
    )
    .unwrap();
    let source = got.source.unwrap();
    let name = directory.join("cli").into_os_string().into_encoded_bytes();
    assert_eq!(
        source.decode_by_family(),
        Ok(Some(Address::Unix(UnixAddress::Pathname(name))))
    );
    message::send_to(server.as_fd(), b"answer", NONE, &source).unwrap();
    assert_eq!(received(client.as_fd()), b"answer");
}

#[test]
fn links_and_ways_out_are_refused_and_the_kernels_answers_stay() {
    let directory = Directory::new();
    let outside = Directory::new();
    let server = unix(STREAM);
    let _bound = bind(&server, &outside.root(), "srv").unwrap();
    life::listen(server.as_fd(), 5).unwrap();
    assert!(connect(&outside.root(), "srv").is_ok());

    symlink(outside.join("srv"), directory.join("last")).unwrap();
    symlink(&outside.0, directory.join("middle")).unwrap();
    fs::create_dir(directory.join("sub")).unwrap();
    symlink("../last", directory.join("sub/inner")).unwrap();
    fs::write(directory.join("file"), "").unwrap();
    let root = directory.root();
    let up = format!(
        "../{}/srv",
        outside.0.file_name().unwrap().to_str().unwrap()
    );
    let absolute = outside.join("srv").into_os_string().into_string().unwrap();
    let ways = [
        "last",
        "middle/srv",
        "sub/inner",
        "file",
        "file/srv",
        "sub",
        ".",
        &up,
        &absolute,
    ];
    for way in ways {
        assert_eq!(connect(&root, way).unwrap_err(), Errno::ACCES, "{way}");
    }
    assert_eq!(connect(&root, "nothing").unwrap_err(), Errno::NOENT);
    assert_eq!(connect(&root, "sub/nothing").unwrap_err(), Errno::NOENT);
    assert_eq!(connect(&root, "a\0b").unwrap_err(), Errno::INVAL);
    let dead = unix(STREAM);
    let _dead = bind(&dead, &root, "dead").unwrap();
    assert_eq!(connect(&root, "dead").unwrap_err(), Errno::CONNREFUSED);
}

#[test]
fn a_place_that_was_looked_up_stays_that_inode() {
    let directory = Directory::new();
    let root = directory.root();
    let (wanted, other) = (unix(DATAGRAM), unix(DATAGRAM));
    let _wanted = bind(&wanted, &root, "srv").unwrap();
    let place = root.socket_at(Path::new("srv")).unwrap();
    fs::rename(directory.join("srv"), directory.join("moved")).unwrap();
    let _other = bind(&other, &root, "srv").unwrap();
    let client = unix(DATAGRAM);
    message::send_to(client.as_fd(), b"x", NONE, &address_of(place.as_fd())).unwrap();
    assert_eq!(received(wanted.as_fd()), b"x");
    let mut buffer = BytesMut::new();
    assert_eq!(
        message::recv(other.as_fd(), &mut buffer, 9, NONE),
        Err(Errno::AGAIN)
    );
}

#[test]
fn a_root_may_be_a_link_and_may_move() {
    let directory = Directory::new();
    fs::create_dir(directory.join("real")).unwrap();
    symlink("real", directory.join("link")).unwrap();
    let root = Root::open(&directory.join("link")).unwrap();
    let server = unix(STREAM);
    let bound = bind(&server, &root, "one").unwrap();
    assert_eq!(bound.path(), directory.join("real/one"));
    fs::rename(directory.join("real"), directory.join("later")).unwrap();
    let second = unix(STREAM);
    assert_eq!(
        bind(&second, &root, "two").unwrap().path(),
        directory.join("later/two")
    );
    assert_eq!(
        bound.unlink_if_ours(),
        Ok(true),
        "through the directory, wherever it is"
    );
    assert_eq!(
        Root::open(&directory.join("none")).unwrap_err(),
        Errno::NOENT
    );
    fs::write(directory.join("file"), "").unwrap();
    assert_eq!(
        Root::open(&directory.join("file")).unwrap_err(),
        Errno::NOTDIR
    );
}

#[test]
fn bind_keeps_to_clean_places_beneath_the_root() {
    let directory = Directory::new();
    let outside = Directory::new();
    symlink(&outside.0, directory.join("link")).unwrap();
    symlink(outside.join("target"), directory.join("dangling")).unwrap();
    fs::write(directory.join("file"), "").unwrap();
    let root = directory.root();
    let refused = [
        "", ".", "..", "../x", "sub/../x", "/x", "x/", "link/x", "file/x",
    ];
    for way in refused {
        let socket = unix(STREAM);
        assert_eq!(
            bind(&socket, &root, way).unwrap_err(),
            Errno::ACCES,
            "{way:?}"
        );
        assert_eq!(
            testing::local_address(socket.as_fd()),
            Ok(Address::Unix(UnixAddress::Unnamed))
        );
    }
    assert_eq!(fs::read_dir(&outside.0).unwrap().count(), 0);
    for (way, error) in [
        ("dangling", Errno::ADDRINUSE),
        ("file", Errno::ADDRINUSE),
        ("none/x", Errno::NOENT),
        (&"x".repeat(108), Errno::NAMETOOLONG),
    ] {
        assert_eq!(
            bind(&unix(STREAM), &root, way).unwrap_err(),
            error,
            "{way:?}"
        );
    }
}

#[test]
fn a_socket_that_was_bound_elsewhere_is_not_taken_for_ours() {
    let directory = Directory::new();
    let outside = Directory::new();
    let (inside, elsewhere) = (unix(STREAM), unix(STREAM));
    let _inside = bind(&inside, &directory.root(), "name").unwrap();
    let _elsewhere = bind(&elsewhere, &outside.root(), "name").unwrap();
    let verified =
        |socket: &OwnedFd| verify(socket.as_fd(), &directory.root(), Path::new("name")).map(|_| ());
    assert_eq!(verified(&inside), Ok(()));
    assert_eq!(verified(&elsewhere), Err(Errno::ACCES));
    assert_eq!(verified(&unix(STREAM)), Err(Errno::ACCES), "bound nowhere");
    fs::rename(outside.join("name"), directory.join("name")).unwrap();
    assert_eq!(verified(&elsewhere), Ok(()), "now it is there");
    assert_eq!(verified(&inside), Err(Errno::ACCES), "and the other is not");
}

#[test]
fn a_socket_bound_elsewhere_leaves_no_file() {
    let directory = Directory::new();
    let outside = Directory::new();
    fs::create_dir(directory.join("sub")).unwrap();
    let root = directory.root();
    let socket = unix(STREAM);
    // What a swap between lookup and bind does.
    let path = outside.join("name");
    let address = unix::encode_path(path.as_os_str().as_bytes()).unwrap();
    life::bind(socket.as_fd(), &address).unwrap();
    assert_eq!(
        verify(socket.as_fd(), &root, Path::new("name")).unwrap_err(),
        Errno::ACCES
    );
    fs::write(outside.join("other"), "").unwrap();
    withdraw(socket.as_fd(), &outside.join("other"));
    withdraw(socket.as_fd(), &path);
    let left: Vec<_> = fs::read_dir(&outside.0)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert_eq!(left, ["other"]);
}

#[test]
fn a_rename_race_never_ends_with_a_socket_outside() {
    use std::sync::atomic::AtomicBool;
    let directory = Directory::new();
    let outside = Directory::new();
    fs::create_dir(directory.join("sub")).unwrap();
    symlink(&outside.0, directory.join("link")).unwrap();
    let root = directory.root();
    let done = AtomicBool::new(false);
    let (sub, link, aside) = (
        directory.join("sub"),
        directory.join("link"),
        directory.join("aside"),
    );
    let (mut inside, mut refused) = (0, 0);
    let mut odd = None;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::rename(&sub, &aside).unwrap();
                fs::rename(&link, &sub).unwrap();
                fs::rename(&sub, &link).unwrap();
                fs::rename(&aside, &sub).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_secs(30);
        while odd.is_none() && (inside < 300 || refused < 300) && Instant::now() < end {
            let socket = unix(STREAM);
            match bind(&socket, &root, &format!("sub/s{}", inside + refused)) {
                // Ours, and in the true directory: it unlinks there, wherever that is now.
                Ok(bound) => match bound.unlink_if_ours() {
                    Ok(true) => inside += 1,
                    other => odd = Some(other),
                },
                Err(Errno::ACCES | Errno::NOENT) => refused += 1,
                Err(other) => odd = Some(Err(other)),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(odd, None);
    assert!(
        inside > 0 && refused > 0,
        "{inside} bound, {refused} refused: no race was run"
    );
    // What was bound outside for a moment was refused, and taken away where it could be found.
    let left = fs::read_dir(&outside.0).unwrap().count();
    assert!(
        left * 10 <= refused,
        "{left} files left outside, {refused} refused"
    );
}

#[test]
fn permissions_are_what_was_asked_for() {
    let directory = Directory::new();
    let root = directory.root();
    for (name, mode) in [("a", 0o600), ("b", 0o777), ("c", 0o000), ("d", 0o666)] {
        let socket = unix(STREAM);
        let bound = bind_beneath(socket.as_fd(), &root, Path::new(name), Some(mode), false);
        let metadata = fs::metadata(bound.unwrap().path()).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    // Never more than the mode, not even for a moment: what the file is made with before any chmod.
    let socket = unix(STREAM);
    // SAFETY: no pointers.
    check(unsafe { libc::fchmod(socket.as_raw_fd(), 0o640) }).unwrap();
    let path = directory.join("e");
    let address = unix::encode_path(path.as_os_str().as_bytes()).unwrap();
    life::bind(socket.as_fd(), &address).unwrap();
    assert_eq!(
        fs::metadata(path).unwrap().permissions().mode() & 0o777 & !0o640,
        0
    );
}

#[test]
fn only_a_dead_socket_is_replaced() {
    let directory = Directory::new();
    let root = directory.root();
    let replace = |socket: &OwnedFd, name: &str| {
        bind_beneath(socket.as_fd(), &root, Path::new(name), None, true)
    };
    let old = unix(STREAM);
    let old_bound = replace(&old, "srv").unwrap();
    life::listen(old.as_fd(), 5).unwrap();
    assert_eq!(
        replace(&unix(STREAM), "srv").unwrap_err(),
        Errno::ADDRINUSE,
        "alive"
    );
    assert_eq!(
        replace(&unix(DATAGRAM), "srv").unwrap_err(),
        Errno::ADDRINUSE,
        "another type"
    );
    drop(old);
    assert_eq!(
        bind(&unix(STREAM), &root, "srv").unwrap_err(),
        Errno::ADDRINUSE,
        "not asked for"
    );
    let new = unix(STREAM);
    let new_bound = replace(&new, "srv").unwrap();
    life::listen(new.as_fd(), 5).unwrap();
    assert!(connect(&root, "srv").is_ok());
    // The inode's number may come again at once: only the newcomer may take the name away.
    if old_bound.inode != new_bound.inode {
        assert_eq!(old_bound.unlink_if_ours(), Ok(false));
    }
    assert!(directory.join("srv").exists());
    fs::write(directory.join("file"), "data").unwrap();
    assert_eq!(
        replace(&unix(STREAM), "file").unwrap_err(),
        Errno::ADDRINUSE
    );
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"data");
    symlink("srv", directory.join("link")).unwrap();
    assert_eq!(
        replace(&unix(STREAM), "link").unwrap_err(),
        Errno::ADDRINUSE
    );
    assert!(directory.join("link").is_symlink());
}

#[test]
fn what_took_the_name_is_not_unlinked() {
    let directory = Directory::new();
    let root = directory.root();
    let socket = unix(STREAM);
    let bound = bind(&socket, &root, "name").unwrap();
    fs::rename(directory.join("name"), directory.join("kept")).unwrap();
    fs::write(directory.join("name"), "another's").unwrap();
    assert_eq!(bound.unlink_if_ours(), Ok(false));
    assert_eq!(fs::read(directory.join("name")).unwrap(), b"another's");
    let bound = bind(&unix(STREAM), &root, "gone").unwrap();
    fs::remove_file(directory.join("gone")).unwrap();
    assert_eq!(bound.unlink_if_ours(), Ok(false));
}

#[test]
fn the_kernel_tells_where_a_socket_is() {
    let directory = Directory::new();
    let socket = unix(STREAM);
    assert_eq!(diag::unix_place(socket.as_fd()), Ok(None));
    let bound = bind(&socket, &directory.root(), "name").unwrap();
    let status = fs::symlink_metadata(bound.path()).unwrap();
    let place = diag::unix_place(socket.as_fd()).unwrap().unwrap();
    assert_eq!(
        (place.inode, place.device),
        (status.ino() as u32, status.dev())
    );
    match diag::unix_file(socket.as_fd()) {
        Ok(file) => assert_eq!(life::status(file.as_fd()).unwrap().st_ino, status.ino()),
        Err(error) => assert_eq!(error, Errno::PERM, "for holders of CAP_NET_ADMIN alone"),
    }
}
