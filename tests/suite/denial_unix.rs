//! Ways round a policy for Unix sockets: the names of sockets.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;

use anyhow::{Result, ensure};
use sockgate_tests::{Attack, folder, patience, steps, watched};

/// A rule for everything beneath `root`: connect, listen, send and receive.
fn beneath(root: &Path) -> String {
    format!(
        "version = 1\n\
         [[allow]]\nid = \"reach\"\nfamily = [\"unix\"]\nops = [\"connect\", \"send-to\"]\n\
         root = \"{root}\"\npath = [\"**\"]\n\
         [[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\nops = [\"listen\", \"bind\"]\n\
         local = {{ root = \"{root}\", path = [\"**\"] }}\npeer = \"*\"\n",
        root = root.display()
    )
}

/// Whether anybody connected.
fn knocked(listener: &UnixListener) -> Result<bool> {
    listener.set_nonblocking(true)?;
    match listener.accept() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Symbolic links in the last and in a middle component, `..`, and other spellings.
#[test]
fn no_spelling_leads_out_of_the_granted_directory() -> Result<()> {
    let name = "no_spelling_leads_out_of_the_granted_directory";
    let place = folder()?;
    let (root, outside) = (place.path().join("in"), place.path().join("out"));
    std::fs::create_dir_all(root.join("deep"))?;
    std::fs::create_dir(&outside)?;
    let secret = UnixListener::bind(outside.join("secret"))?;
    let secret_datagrams = UnixDatagram::bind(outside.join("datagrams"))?;
    secret_datagrams.set_nonblocking(true)?;
    symlink(outside.join("secret"), root.join("last"))?;
    symlink("../out/secret", root.join("last-relative"))?;
    symlink(&outside, root.join("middle"))?;
    symlink("../out", root.join("middle-relative"))?;
    // A link that stays inside is refused as well: nothing beneath the root may be one.
    let inside = UnixListener::bind(root.join("deep/plain"))?;
    symlink("deep/plain", root.join("inside"))?;
    let at = |path: &str| format!("path:{}/{path}", root.display());
    let (last, middle, parent) = (
        "symlink in the last component",
        "symlink in a middle component",
        "`..`",
    );
    let spellings = [
        ("link-last", last, at("last")),
        ("link-last-relative", last, at("last-relative")),
        ("link-middle", middle, at("middle/secret")),
        ("link-middle-relative", middle, at("middle-relative/secret")),
        ("parent", parent, at("../out/secret")),
        ("parent-deep", parent, at("deep/../../out/secret")),
        ("link-inside", last, at("inside")),
        (
            "path-outside",
            parent,
            format!("path:{}", outside.join("secret").display()),
        ),
        // Relative to the command's own directory.
        ("path-relative", parent, "path:in/deep/plain".to_owned()),
        ("path-empty", parent, "path:".to_owned()),
    ];
    let mut script = Vec::new();
    for (number, (_, _, spelling)) in spellings.iter().enumerate() {
        script.push(format!("s{number} = socket unix stream"));
        script.push(format!("connect s{number} {spelling}"));
    }
    let datagrams = [
        format!("send-to d hello {}", at("middle/datagrams")),
        format!("send-to d hello {}", at("../out/datagrams")),
        format!("bind d {}", at("middle/new")),
        format!("bind d {}", at("../out/new")),
        format!("bind d {}", at("middle-relative/new")),
    ];
    let (send_outside, bind_outside) = (
        format!("send-to d hello path:{}/datagrams", outside.display()),
        format!("bind d path:{}/new", outside.display()),
    );
    script.push("d = socket unix datagram".to_owned());
    script.extend(datagrams.iter().cloned());
    let ended = watched(steps(&script).policy_text(&beneath(&root)), name)?;
    for (number, (_, _, spelling)) in spellings.iter().enumerate() {
        let outcome = ended.step(&format!("connect s{number} {spelling}"))?;
        ensure!(outcome != "ok", "{spelling}: {outcome}");
        println!("connect {spelling}: {outcome}");
    }
    for step in &datagrams {
        let outcome = ended.step(step)?;
        ensure!(!outcome.starts_with("ok"), "{step}: {outcome}");
        println!("{step}: {outcome}");
    }
    // The witnesses: nobody came, nothing was made, and no call was for a place outside.
    let reached = knocked(&secret)?;
    ensure!(!reached && !knocked(&inside)?);
    let heard = secret_datagrams.recv(&mut [0; 16]).is_ok();
    ensure!(!outside.join("new").exists());
    if ended.syscalls.is_some() {
        for call in ["connect", "bind", "sendto", "sendmsg"] {
            for line in ended.made(call)? {
                ensure!(!line.contains("secret") && !line.contains("/out"), "{line}");
            }
        }
    }

    // The twin: the plain place is granted, and found by its plain name.
    let plain = format!("connect s {}", at("deep/plain"));
    let twin = steps(["s = socket unix stream", &plain])
        .policy_text(&beneath(&root))
        .finish(patience())?;
    assert_eq!(twin.step(&plain)?, "ok");
    ensure!(knocked(&inside)?);

    // The control: where the directory above is granted, the place outside is reached by its plain name.
    let connect_outside = format!("connect s path:{}", outside.join("secret").display());
    let control = watched(
        steps([
            "s = socket unix stream",
            &connect_outside,
            "d = socket unix datagram",
            &send_outside,
            &bind_outside,
        ])
        .policy_text(&beneath(place.path())),
        name,
    )?;
    let reached_then = knocked(&secret)?;
    let heard_then = secret_datagrams.recv(&mut [0; 16]).is_ok();
    for (number, (id, phrase, spelling)) in spellings.iter().enumerate() {
        let step = format!("connect s{number} {spelling}");
        Attack::new(*id, "Unix", phrase)
            .tried(format!(
                "`{step}`, under a grant for everything beneath another directory"
            ))
            .step((&ended, &step), (&control, &connect_outside), &["connect"])?
            .saw("the listener outside", reached, reached_then)
            .state()?;
    }
    for (number, step) in datagrams.iter().enumerate() {
        let (granted, call) = match step.starts_with("bind") {
            true => (&bind_outside, "bind"),
            false => (&send_outside, "sendto"),
        };
        let phrase = if step.contains("..") { parent } else { middle };
        Attack::new(format!("datagram-path-{number}"), "Unix", phrase)
            .tried(format!(
                "`{step}`, under a grant for everything beneath another directory"
            ))
            .step((&ended, step), (&control, granted), &[call, "sendmsg"])?
            .saw("the socket outside", heard, heard_then)
            .state()?;
    }
    Ok(())
}

/// bind(2) never replaces what is there: a file, a live socket, a link that leads nowhere.
#[test]
fn bind_takes_no_name_that_is_taken() -> Result<()> {
    let place = folder()?;
    std::fs::write(place.path().join("file"), "precious")?;
    let live = UnixListener::bind(place.path().join("live"))?;
    symlink(place.path().join("nowhere"), place.path().join("dangling"))?;
    std::fs::create_dir(place.path().join("folder"))?;
    let mut script = Vec::new();
    for (number, taken) in ["file", "live", "dangling", "folder"].iter().enumerate() {
        script.push(format!("s{number} = socket unix stream"));
        script.push(format!(
            "bind s{number} path:{}/{taken}",
            place.path().display()
        ));
    }
    let policy = format!("{}replace-stale = true\n", beneath(place.path()));
    let inodes = ["file", "live", "dangling", "folder"]
        .map(|taken| inode(&place.path().join(taken)))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut outcomes = Vec::new();
    for policy in [beneath(place.path()), policy] {
        let ended = steps(&script).policy_text(&policy).finish(patience())?;
        for step in script.iter().filter(|step| step.starts_with("bind")) {
            let outcome = ended.step(step)?;
            ensure!(
                matches!(outcome, "addrinuse" | "acces" | "exist" | "loop"),
                "{step}: {outcome}"
            );
            outcomes.push(outcome.to_owned());
        }
    }
    assert_eq!(
        std::fs::read_to_string(place.path().join("file"))?,
        "precious"
    );
    ensure!(!place.path().join("nowhere").exists());
    ensure!(
        place
            .path()
            .join("dangling")
            .symlink_metadata()?
            .is_symlink()
    );
    std::os::unix::net::UnixStream::connect(place.path().join("live"))?;
    ensure!(knocked(&live)?);

    // The control: a socket's file that nobody serves is replaced where the policy says so.
    drop(UnixListener::bind(place.path().join("stale"))?);
    let stale = inode(&place.path().join("stale"))?;
    let bind = format!("bind s path:{}/stale", place.path().display());
    let steps_then = [
        "s = socket unix stream",
        &bind,
        "say bound",
        "until /steps/seen",
    ];
    let guest = steps(steps_then)
        .policy_text(&format!("{}replace-stale = true\n", beneath(place.path())))
        .directory(place.path(), "/steps")
        .start()?;
    guest.wait_for_line("say bound", patience())?;
    let replaced = inode(&place.path().join("stale"))? != stale;
    std::fs::write(place.path().join("seen"), "")?;
    guest.wait(patience())?.success()?;
    for (place_at, taken) in ["file", "live", "dangling", "folder"]
        .into_iter()
        .enumerate()
    {
        let changed = inode(&place.path().join(taken))? != inodes[place_at];
        Attack::new(
            format!("bind-on-{taken}"),
            "Unix",
            "bind on an existing name",
        )
        .tried("binds a name that is taken, with and without `replace-stale`")
        .got(&outcomes[place_at])
        .saw("the inode at that name", changed, replaced)
        .state()?;
    }
    Ok(())
}

/// What lies at a path itself: its inode and when that came to be, since numbers are used again.
fn inode(path: &Path) -> Result<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let found = path.symlink_metadata()?;
    Ok((found.ino(), found.ctime(), found.ctime_nsec()))
}

/// A NUL within a path would name another file to the kernel than to the policy.
#[test]
fn an_abstract_name_is_no_path_and_a_path_no_abstract_name() -> Result<()> {
    let name = "an_abstract_name_is_no_path_and_a_path_no_abstract_name";
    let place = folder()?;
    let path = place.path().join("service");
    let listener = UnixListener::bind(&path)?;
    let spelled = UnixListener::bind_addr(&SocketAddr::from_abstract_name(
        path.as_os_str().as_encoded_bytes(),
    )?)?;
    // The policy grants the path, the guest asks for the abstract name that spells it.
    let by_name = format!("connect s abstract:{}", path.display());
    let ended = watched(
        steps(["s = socket unix stream", &by_name]).policy_text(&beneath(place.path())),
        name,
    )?;
    assert_eq!(ended.step(&by_name)?, "acces");
    let record = ended.audit.denied("connect")?;
    ensure!(record.address().starts_with('@'), "{}", record.address());
    let (name_reached, path_reached) = (knocked(&spelled)?, knocked(&listener)?);
    ensure!(!name_reached && !path_reached);

    // And the other way round.
    let by_path = format!("connect s path:{}", path.display());
    let rule = format!("unix connect @{}", path.display());
    let other = watched(
        steps(["s = socket unix stream", &by_path]).allow(&rule),
        name,
    )?;
    assert_eq!(other.step(&by_path)?, "acces");
    ensure!(!knocked(&listener)?);
    let twin = watched(
        steps(["s = socket unix stream", &by_name]).allow(&rule),
        name,
    )?;
    assert_eq!(twin.step(&by_name)?, "ok");
    let phrase = "abstract name that spells a path";
    Attack::new("abstract-spells-path", "Unix", phrase)
        .tried("connects to the abstract name that spells the path it may connect to")
        .step((&ended, &by_name), (&twin, &by_name), &["connect"])?
        .saw(
            "the listener on the abstract name",
            name_reached,
            knocked(&spelled)?,
        )
        .state()?;
    let twin = watched(
        steps(["s = socket unix stream", &by_path]).policy_text(&beneath(place.path())),
        name,
    )?;
    Attack::new("path-spells-abstract", "Unix", phrase)
        .tried("connects to the path that spells the abstract name it may connect to")
        .step((&other, &by_path), (&twin, &by_path), &["connect"])?
        .saw(
            "the listener at the path",
            path_reached,
            knocked(&listener)?,
        )
        .state()
}

/// bind without a name takes an abstract one that the kernel chooses; so does SO_PASSCRED at the first
/// send: both need `"auto"`.
#[test]
fn autobind_needs_its_own_word() -> Result<()> {
    let name = "autobind_needs_its_own_word";
    let place = folder()?;
    let script = ["s = socket unix datagram", "bind s unnamed", "local s"];
    let ended = watched(steps(script).policy_text(&beneath(place.path())), name)?;
    assert_eq!(ended.step("bind s unnamed")?, "acces");
    ended.audit.denied("bind")?;
    if ended.syscalls.is_some() {
        ensure!(ended.made("bind")?.is_empty());
    }
    let policy = "version = 1\n[[allow]]\nid = \"auto\"\nfamily = [\"unix\"]\ntype = [\"datagram\"]\n\
                  ops = [\"bind\"]\nlocal = { abstract = [\"auto\"] }\n";
    let twin = watched(steps(script).policy_text(policy), name)?;
    assert_eq!(twin.step("bind s unnamed")?, "ok", "{}", twin.stderr);
    ensure!(twin.step("local s")?.starts_with("ok @"), "{}", twin.stdout);
    Attack::new("autobind", "Unix", "autobind")
        .tried("binds without a name, under a grant for every path of a directory")
        .step((&ended, script[1]), (&twin, script[1]), &["bind"])?
        .state()
}
