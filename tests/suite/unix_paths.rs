//! Unix paths: no symbolic link and no rename leads out of the granted directory, however fast; and what
//! becomes of the files that guests bind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{Attack, GuestRun, folder, patience, steps};

/// Takes connections and datagrams until told to stop, and counts them.
struct Service {
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Service {
    fn at(folder: &Path) -> Result<Service> {
        let service = Service {
            seen: Arc::default(),
            stop: Arc::default(),
        };
        let listener = UnixListener::bind(folder.join("stream"))?;
        let datagrams = UnixDatagram::bind(folder.join("datagram"))?;
        datagrams.set_read_timeout(Some(std::time::Duration::from_millis(50)))?;
        let seen = Arc::clone(&service.seen);
        thread::spawn(move || {
            for _ in listener.incoming().flatten() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
        let (seen, stop) = (Arc::clone(&service.seen), Arc::clone(&service.stop));
        thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                if datagrams.recv(&mut [0; 64]).is_ok() {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Ok(service)
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

/// One turn of the attack: doors that are directories become links to the outside and back, a socket's
/// name becomes a link to one outside, and a directory is carried out of the root and back.
fn turn(root: &Path, outside: &Path) -> std::io::Result<()> {
    fs::rename(root.join("door"), root.join("held"))?;
    fs::rename(root.join("link"), root.join("door"))?;
    fs::rename(root.join("door"), root.join("link"))?;
    fs::rename(root.join("held"), root.join("door"))?;

    fs::rename(root.join("last-link"), root.join("last"))?;
    symlink(outside.join("stream"), root.join("last-link"))?;
    fs::remove_file(root.join("last"))?;
    fs::hard_link(root.join("door/stream"), root.join("last"))?;

    fs::rename(root.join("moved"), outside.join("moved"))?;
    symlink(outside, root.join("moved"))?;
    fs::remove_file(root.join("moved"))?;
    fs::rename(outside.join("moved"), root.join("moved"))
}

/// What the race left where no guest may be: files that are sockets and that nobody here made.
fn strange_sockets(folder: &Path) -> Result<Vec<String>> {
    let mut strange = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_socket() && !["stream", "datagram"].contains(&name.as_str()) {
            strange.push(name);
        }
    }
    Ok(strange)
}

/// Ten seconds of renames and links against a guest that connects, sends and binds.
#[test]
fn a_race_of_renames_never_leads_the_guest_outside() -> Result<()> {
    let place = folder()?;
    let (root, outside) = (place.path().join("in"), place.path().join("out"));
    for folder in [&root.join("door"), &root.join("moved"), &outside] {
        fs::create_dir_all(folder)?;
    }
    let secret = Service::at(&outside)?;
    let granted = Service::at(&root.join("door"))?;
    // What is carried out and back is granted where it lies: it is no place outside.
    let carried = Service::at(&root.join("moved"))?;
    symlink(&outside, root.join("link"))?;
    symlink(outside.join("stream"), root.join("last-link"))?;
    fs::hard_link(root.join("door/stream"), root.join("last"))?;

    let stop = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU64::new(0));
    let attacker = {
        let (root, outside) = (root.clone(), outside.clone());
        let (stop, turns) = (Arc::clone(&stop), Arc::clone(&turns));
        thread::spawn(move || -> std::io::Result<()> {
            while !stop.load(Ordering::SeqCst) {
                turn(&root, &outside)?;
                turns.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
    };
    // A native client outside: whoever listens where the guest must not be would answer it.
    let reached = Arc::new(AtomicU64::new(0));
    let client = {
        let (own, stop, reached) = (outside.join("own"), Arc::clone(&stop), Arc::clone(&reached));
        thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                if UnixStream::connect(&own).is_ok() {
                    reached.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    };
    let policy = format!(
        "version = 1\n\
         [[allow]]\nid = \"reach\"\nfamily = [\"unix\"]\nops = [\"connect\", \"send-to\"]\n\
         root = \"{root}\"\npath = [\"**\"]\n\
         [[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
         local = {{ root = \"{root}\", path = [\"**\"] }}\npeer = \"*\"\nreplace-stale = true\n",
        root = root.display()
    );
    let ended = GuestRun::new("denial_race")
        .policy_text(&policy)
        .without_audit()
        .argument(root.as_os_str())
        .argument("10")
        .finish(patience());
    stop.store(true, Ordering::SeqCst);
    let attacked = attacker.join();
    let _ = client.join();
    let ended = ended?.success()?;
    attacked
        .map_err(|_| anyhow::anyhow!("the attacker panicked"))?
        .context("the attacker lost its way")?;
    granted.stop.store(true, Ordering::SeqCst);
    carried.stop.store(true, Ordering::SeqCst);
    secret.stop.store(true, Ordering::SeqCst);

    let ends: BTreeMap<&str, u64> = ended
        .stdout
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(end, times)| Some((end, times.parse().ok()?)))
        .collect();
    let turns = turns.load(Ordering::SeqCst);
    println!("{turns} turns of the attack; {ends:#?}");
    println!(
        "granted services saw the guest {} times, the one outside {} times, a client outside reached it {} times",
        granted.seen() + carried.seen(),
        secret.seen(),
        reached.load(Ordering::SeqCst)
    );
    assert_eq!(secret.seen(), 0, "the guest was led outside");
    assert_eq!(
        reached.load(Ordering::SeqCst),
        0,
        "the guest served outside"
    );
    ensure!(strange_sockets(&outside)?.is_empty(), "left outside");
    // The race was one: each call came through at times and was refused at times.
    ensure!(turns > 100 && granted.seen() > 100);
    for call in [
        "connect door/stream",
        "send-to door/datagram",
        "bind door/own",
    ] {
        let times = |good: bool| -> u64 {
            ends.iter()
                .filter(|(end, _)| end.starts_with(call) && end.ends_with("-> ok") == good)
                .map(|(_, times)| times)
                .sum()
        };
        ensure!(times(true) > 0 && times(false) > 0, "{call}: {ends:?}");
    }
    Attack::new(
        "rename-race",
        "Unix",
        "rename race between check and connect",
    )
    .tried("connects, sends and binds while another process swaps directories and links, for 10 s")
    .got("ok and refused in turn")
    .checked("nobody outside the root was reached or served, and nothing was left there")
    .saw(
        "the services outside, and inside the root",
        usize::try_from(secret.seen())?,
        usize::try_from(granted.seen())?,
    )
    .state()
}

/// A guest that serves `name` beneath `root` until the test has done what it wants.
fn server(root: &Path, name: &str, keys: &str) -> GuestRun {
    server_after(root, name, keys, &[])
}

/// The same, which takes other steps once it listens.
fn server_after(root: &Path, name: &str, keys: &str, first: &[&str]) -> GuestRun {
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\n\
         ops = [\"listen\"]\nlocal = {{ root = \"{}\", path = [\"**\"] }}\npeer = \"*\"\n{keys}\n",
        root.display()
    );
    let bind = format!("bind s path:{}/{name}", root.display());
    let start = ["s = socket unix stream", &bind, "listen s", "local s"];
    let end = ["c = accept s", "recv c 100", "send c answer"];
    steps(start.iter().chain(first).chain(&end)).policy_text(&policy)
}

/// A native client of the server.
fn ask(path: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience()))?;
    stream.write_all(b"question")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A server that was killed leaves its file; the next one takes its place, over and over.
#[test]
fn a_guest_server_restarts_over_its_own_stale_file() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("service");
    let replace = "replace-stale = true";
    let first = server(place.path(), "service", replace).start()?;
    first.wait_for_line("listen s -> ok", patience())?;
    first.kill()?;
    ensure!(path.symlink_metadata()?.file_type().is_socket());

    // Without the word the stale file is in the way.
    let refused = server(place.path(), "service", "").finish(patience())?;
    let bind = format!("bind s path:{}", path.display());
    assert_eq!(refused.step(&bind)?, "addrinuse");
    ensure!(path.exists());

    // Whether a server lives is asked by connecting to it, which the live one sees.
    let second = server_after(place.path(), "service", replace, &["probe = accept s"]).start()?;
    second.wait_for_line("listen s -> ok", patience())?;
    // Over a live one it does not restart, whatever the policy says.
    let third = server(place.path(), "service", replace).finish(patience())?;
    assert_eq!(third.step(&bind)?, "addrinuse");
    assert_eq!(ask(&path)?, "answer");
    let ended = second.wait(patience())?.success()?;
    assert_eq!(ended.step("recv c 100")?, "\"question\"");
    Ok(())
}

/// The file has the rule's mode from the first moment on, and is gone once the socket is closed.
#[test]
fn the_file_has_the_rule_s_mode_and_goes_with_the_socket() -> Result<()> {
    for (keys, mode) in [
        ("mode = \"0600\"", 0o600),
        ("mode = \"0660\"", 0o660),
        ("mode = \"0666\"", 0o666),
    ] {
        let place = folder()?;
        let path = place.path().join("service");
        let guest = server(place.path(), "service", keys).start()?;
        let local = guest.wait_for_line("local s -> ok ", patience())?;
        assert_eq!(local, path.display().to_string());
        let metadata = path.symlink_metadata()?;
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{keys}");
        ensure!(metadata.nlink() == 1);
        assert_eq!(ask(&path)?, "answer");
        guest.wait(patience())?.success()?;
        ensure!(!path.exists(), "the file outlived its socket");
    }
    Ok(())
}

/// A name is looked up once: what was found there is sent to for as long as it lives, whoever takes its name, and then
/// the name is looked up anew.
#[test]
fn a_server_is_found_once_for_as_long_as_it_lives() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("service");
    let bind = || -> Result<UnixDatagram> {
        let server = UnixDatagram::bind(&path)?;
        server.set_read_timeout(Some(patience()))?;
        Ok(server)
    };
    let heard = |server: &UnixDatagram| -> Result<String> {
        let mut buffer = [0; 16];
        let length = server.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    let first = bind()?;
    let to = format!("path:{}", path.display());
    let send = |text: &str| format!("send-to s {text} {to}");
    let words = [
        "s = socket unix datagram".to_owned(),
        send("one"),
        "until /steps/renamed".to_owned(),
        send("two"),
        "until /steps/gone".to_owned(),
        send("three"),
    ];
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"send\"\nfamily = [\"unix\"]\ntype = [\"datagram\"]\n\
         ops = [\"send-to\"]\npath = [\"{}\"]\n",
        path.display()
    );
    let guest = steps(&words)
        .policy_text(&policy)
        .directory(place.path(), "/steps")
        .start()?;
    assert_eq!(heard(&first)?, "one");
    fs::remove_file(&path)?;
    let second = bind()?;
    fs::write(place.path().join("renamed"), "")?;
    assert_eq!(heard(&first)?, "two");
    drop(first);
    fs::write(place.path().join("gone"), "")?;
    assert_eq!(heard(&second)?, "three");
    let ended = guest.wait(patience())?.success()?;
    for text in ["one", "two", "three"] {
        assert_eq!(ended.step(&send(text))?, format!("ok {}", text.len()));
    }
    Ok(())
}

/// Closing takes away the guest's own file and nobody else's that has come to lie there.
#[test]
fn closing_takes_no_other_file_away() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("service");
    let guest = server(place.path(), "service", "").start()?;
    guest.wait_for_line("listen s -> ok", patience())?;
    let old = place.path().join("old");
    fs::rename(&path, &old)?;
    fs::write(&path, "somebody else's")?;
    assert_eq!(ask(&old)?, "answer");
    guest.wait(patience())?.success()?;
    assert_eq!(fs::read_to_string(&path)?, "somebody else's");
    Ok(())
}

/// A native client's own name is seen by the guest as it is, and its answer goes there.
#[test]
fn true_names_on_both_sides() -> Result<()> {
    let place = folder()?;
    let service = place.path().join("service");
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"answer\"\nfamily = [\"unix\"]\ntype = [\"datagram\"]\n\
         ops = [\"bind\", \"receive\", \"reply\"]\nlocal = {{ root = \"{root}\", path = [\"service\"] }}\n\
         peer = {{ root = \"{root}\", path = [\"client\"] }}\n",
        root = place.path().display()
    );
    let client_path = place.path().join("client");
    let reply = format!("send-to s answer path:{}", client_path.display());
    let bind = format!("bind s path:{}", service.display());
    let guest = steps(["s = socket unix datagram", &bind, "recv-from s 100", &reply])
        .policy_text(&policy)
        .start()?;
    guest.wait_for_line("bind s", patience())?;
    let client = UnixDatagram::bind(&client_path)?;
    client.set_read_timeout(Some(patience()))?;
    client.send_to(b"question", &service)?;
    let mut buffer = [0; 64];
    let (length, from) = client.recv_from(&mut buffer)?;
    assert_eq!(&buffer[..length], b"answer");
    assert_eq!(from.as_pathname(), Some(service.as_path()));
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(
        ended.step("recv-from s 100")?,
        format!("\"question\" from {}", client_path.display())
    );
    // Before anybody wrote, there is nobody to reply to.
    let early = steps(["s = socket unix datagram", &bind, &reply])
        .policy_text(&policy)
        .finish(patience())?;
    assert_eq!(early.step(&reply)?, "acces");
    client.set_nonblocking(true)?;
    let nothing = client.recv(&mut buffer).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    Ok(())
}
