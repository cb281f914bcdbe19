//! Ways round a policy by the bytes of a Unix name: as long as the kernel takes them and longer, with a NUL in
//! them, and the one kind of name in the place of another.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use anyhow::Result;
use sockgate_tests::{Attack, folder, patience, steps, watched};

const SECTION: &str = "Unix";

/// Connecting to and serving exactly this path beneath `root`.
fn exactly(root: &Path, name: &str) -> String {
    format!(
        "version = 1\n\
         [[allow]]\nid = \"reach\"\nfamily = [\"unix\"]\nops = [\"connect\"]\n\
         root = \"{root}\"\npath = [\"{name}\"]\n\
         [[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\nops = [\"listen\"]\n\
         local = {{ root = \"{root}\", path = [\"{name}\"] }}\npeer = \"*\"\n",
        root = root.display()
    )
}

/// How many have connected.
fn knocks(listener: &UnixListener) -> Result<usize> {
    listener.set_nonblocking(true)?;
    Ok(std::iter::from_fn(|| listener.accept().ok()).count())
}

/// sun_path holds 108 bytes, with a final NUL or without one (unix(7)): a name of that length is whole, and a longer
/// one is never cut to it.
#[test]
fn a_long_path_is_never_cut() -> Result<()> {
    let name = "a_long_path_is_never_cut";
    let place = folder()?;
    let root = place.path().display().to_string();
    // A name beneath the root so that the whole path has this length.
    let beneath = |length: usize, last: &str| {
        let rest = length - root.len() - 1 - last.len();
        format!("{}{last}", "x".repeat(rest))
    };
    let with_nul = "a path as long as sun_path, with the final NUL";
    let without = "a path as long as sun_path, without the final NUL";
    let longer = "a path longer than sun_path";
    // The granted length, and what the guest asks for instead: one byte more, one of another end, many more.
    let rounds = [
        (107, vec![(with_nul, 108), (with_nul, 109), (longer, 4096)]),
        (108, vec![(without, 107), (without, 109), (longer, 200)]),
    ];
    for (granted, tries) in rounds {
        let good = beneath(granted, "");
        // By another name at first, since std takes no 108 bytes.
        let service = UnixListener::bind(place.path().join("short"))?;
        std::fs::rename(place.path().join("short"), place.path().join(&good))?;
        let connect_good = format!("connect good path:{root}/{good}");
        let mut script = Vec::new();
        for (_, length) in &tries {
            let asked = beneath(*length, "");
            script.push(format!("c{length} = socket unix stream"));
            script.push(format!("connect c{length} path:{root}/{asked}"));
            script.push(format!("b{length} = socket unix stream"));
            script.push(format!("bind b{length} path:{root}/{asked}"));
        }
        // Of the granted length, with another last byte.
        script.push("other = socket unix stream".to_owned());
        script.push(format!(
            "connect other path:{root}/{}",
            beneath(granted, "y")
        ));
        let policy = exactly(place.path(), &good);
        let attack = watched(steps(&script).policy_text(&policy), name)?;
        let reached = knocks(&service)?;
        let bind_good = format!("bind own path:{root}/{good}");
        let connects = ["good = socket unix stream", &connect_good];
        let control = watched(steps(connects).policy_text(&policy), name)?;
        let reached_then = knocks(&service)?;
        drop(service);
        std::fs::remove_file(place.path().join(&good))?;
        let binds = ["own = socket unix stream", &bind_good];
        let bound = watched(steps(binds).policy_text(&policy), name)?;
        for (phrase, length) in &tries {
            let asked = beneath(*length, "");
            let step = format!("connect c{length} path:{root}/{asked}");
            Attack::new(format!("connect-{length}-for-{granted}"), SECTION, phrase)
                .tried(format!(
                    "connects to a path of {length} bytes, of which {granted} are granted"
                ))
                .step((&attack, &step), (&control, &connect_good), &["connect"])?
                .saw("the granted service", reached, reached_then)
                .state()?;
            let step = format!("bind b{length} path:{root}/{asked}");
            Attack::new(format!("bind-{length}-for-{granted}"), SECTION, phrase)
                .tried(format!(
                    "binds a path of {length} bytes, of which {granted} are granted"
                ))
                .step((&attack, &step), (&bound, &bind_good), &["bind"])?
                .state()?;
        }
        let step = &script[script.len() - 1];
        Attack::new(format!("connect-other-end-{granted}"), SECTION, tries[0].0)
            .tried(format!(
                "connects to a path of {granted} bytes with another last one"
            ))
            .step((&attack, step), (&control, &connect_good), &["connect"])?
            .saw("the granted service", reached, reached_then)
            .state()?;
    }
    Ok(())
}

/// The kernel has the whole name of what was bound, and no other file came to be.
#[test]
fn a_path_of_every_length_is_bound_as_it_is() -> Result<()> {
    let place = folder()?;
    let root = place.path().display().to_string();
    let names = [107, 108].map(|length| "x".repeat(length - root.len() - 1));
    let mut script = Vec::new();
    for (number, name) in names.iter().enumerate() {
        script.push(format!("s{number} = socket unix stream"));
        script.push(format!("bind s{number} path:{root}/{name}"));
        script.push(format!("local s{number}"));
    }
    script.extend(["say bound".to_owned(), "until /steps/seen".to_owned()]);
    let guest = steps(&script)
        .policy_text(&exactly(place.path(), "x*"))
        .directory(place.path(), "/steps")
        .start()?;
    guest.wait_for_line("say bound", patience())?;
    let mut there = Vec::new();
    for entry in std::fs::read_dir(place.path())? {
        there.push(entry?.file_name().to_string_lossy().into_owned());
    }
    std::fs::write(place.path().join("seen"), "")?;
    let ended = guest.wait(patience())?.success()?;
    let others: Vec<String> = there
        .iter()
        .filter(|name| !names.contains(name))
        .cloned()
        .collect();
    let phrases = [
        "a path as long as sun_path, with the final NUL",
        "a path as long as sun_path, without the final NUL",
    ];
    for ((number, name), phrase) in names.iter().enumerate().zip(phrases) {
        let step = format!("bind s{number} path:{root}/{name}");
        assert_eq!(
            ended.step(&format!("local s{number}"))?,
            format!("ok {root}/{name}")
        );
        Attack::new(
            format!("bind-whole-{}", root.len() + 1 + name.len()),
            SECTION,
            phrase,
        )
        .tried("binds a path of just the length that sun_path holds")
        .got(ended.step(&step)?)
        .checked("the file that came to be has the whole name, and so has getsockname")
        .saw("the directory", others.clone(), there.clone())
        .state()?;
    }
    // They go with their sockets.
    let left = std::fs::read_dir(place.path())?.count();
    assert_eq!(left, 1, "beside the file that ended the guest");
    Ok(())
}

/// A NUL ends a path for the kernel and not for a pattern; in an abstract name it is a byte like any other.
#[test]
fn a_nul_ends_no_name() -> Result<()> {
    let name = "a_nul_ends_no_name";
    let place = folder()?;
    let root = place.path().display().to_string();
    let secret = UnixListener::bind(place.path().join("secret"))?;
    let short = format!("{root}-short");
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&short)?)?;
    // The pattern covers names that end in `.open`; the kernel would see what stands before the NUL.
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"open\"\nfamily = [\"unix\"]\nops = [\"connect\", \"send-to\"]\n\
         root = \"{root}\"\npath = [\"*.open\"]\n\
         [[allow]]\nid = \"named\"\nfamily = [\"unix\"]\nops = [\"connect\"]\nabstract = [\"{short}?*\"]\n\
         [[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\nops = [\"listen\"]\n\
         local = {{ root = \"{root}\", path = [\"*.open\"] }}\npeer = \"*\"\n"
    );
    let script = [
        "p = socket unix stream".to_owned(),
        format!("connect p path:{root}/secret%00.open"),
        "b = socket unix stream".to_owned(),
        format!("bind b path:{root}/new%00.open"),
        "a = socket unix stream".to_owned(),
        format!("connect a abstract:{short}%00"),
        "e = socket unix stream".to_owned(),
        format!("connect e path:%00{root}/x.open"),
    ];
    let attack = watched(steps(&script).policy_text(&policy), name)?;
    let reached = (knocks(&secret)?, knocks(&hidden)?);
    let plain = [
        "p = socket unix stream".to_owned(),
        format!("connect p path:{root}/secret"),
        "b = socket unix stream".to_owned(),
        format!("bind b path:{root}/new"),
        "a = socket unix stream".to_owned(),
        format!("connect a abstract:{short}"),
    ];
    let wide = policy.replace("*.open", "*").replace("?*", "*");
    let control = watched(steps(&plain).policy_text(&wide), name)?;
    let reached_then = (knocks(&secret)?, knocks(&hidden)?);
    let path = (reached.0, reached_then.0);
    let abstracted = (reached.1, reached_then.1);
    let tries = [
        ("nul-in-path", &script[1], &plain[1], "connect", path),
        ("nul-in-bound-path", &script[3], &plain[3], "bind", path),
        (
            "nul-in-front-of-path",
            &script[7],
            &plain[1],
            "connect",
            path,
        ),
    ];
    for (id, step, granted, call, (seen, seen_then)) in tries {
        Attack::new(id, "Beyond", "a name or path with NUL")
            .tried(format!(
                "`{step}` (%00 is a NUL), under a grant for names that end in .open"
            ))
            .step((&attack, step), (&control, granted), &[call])?
            .saw("the listener before the NUL", seen, seen_then)
            .state()?;
    }
    // It is another name, and nobody listens there.
    Attack::new("nul-in-abstract-name", "Beyond", "a name or path with NUL")
        .tried("connects to a granted abstract name that differs from another by a final NUL")
        .got(attack.step(&script[5])?)
        .saw(
            "the listener whose name it begins with",
            abstracted.0,
            abstracted.1,
        )
        .state()
}
