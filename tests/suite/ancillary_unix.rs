//! Who sent it, over Unix sockets: credentials and pidfds, from Python and to it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    GuestRun, Tool, carried, covers, folder, message_steps, oracle, outcome, patience,
    python_steps, skip,
};

fn policy(path: &str, carried: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"unix\"\nfamily = [\"unix\"]\nops = [\"connect\"]\n\
         peer = {{ path = [{path:?}] }}\n{carried}"
    )
}

/// A server of Python's that writes to whom it accepts, and a guest that takes these steps with `@` for its
/// path; the guest is left waiting at its last step.
fn at_a_server(
    server: &[&str],
    test: impl FnOnce(&str, u32) -> Result<()>,
    python: &Path,
) -> Result<Vec<String>> {
    let place = folder()?;
    let path = place.path().join("letters.sock").display().to_string();
    let steps: Vec<String> = server.iter().map(|it| it.replace('@', &path)).collect();
    let native = python_steps(python, None, &steps)?;
    native.wait_for_line("say ready", patience())?;
    test(&path, native.pid())?;
    native.finish(patience())
}

fn at(steps: &[&str], path: &str) -> Vec<String> {
    steps.iter().map(|step| step.replace('@', path)).collect()
}

#[test]
fn a_pidfd_is_of_who_wrote() -> Result<()> {
    let name = "a_pidfd_is_of_who_wrote";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let probe = ["a b = pair stream", "set a SOL_SOCKET SO_PASSPIDFD 1"];
    let lines = python_steps(&python, None, &probe)?.finish(patience())?;
    if outcome(&lines, probe[1])? != "ok" {
        skip(name, "this kernel has no SO_PASSPIDFD (Linux 6.5)");
        return Ok(());
    }
    let server = [
        "l = socket unix stream",
        "bind l @",
        "listen l",
        "say ready",
        "a = accept l",
        "recv a 10 -",
        "send a - hello",
        "recv a 11 -",
        "b = accept l",
        "recv b 10 -",
        "send b - hello",
        "recv b 11 -",
    ];
    let steps = [
        "s = socket unix stream",
        "connect s @",
        "set s SOL_SOCKET SO_PASSPIDFD 1",
        "send s - ready",
        "recv-msg s 100 100 -",
        "say holding",
        "timeout s -",
        "recv s 20 -",
    ];
    let run = |path: &str, pid: u32, receive: &[&str]| -> Result<(String, usize)> {
        let carried = carried(&["so.passpidfd"], &[], receive, &[]);
        let run: GuestRun = message_steps(&policy(path, &carried), &at(&steps, path));
        let guest = run.start()?;
        guest.wait_for_line("say holding", patience())?;
        let mut of_the_writer = 0;
        for entry in fs::read_dir(format!("/proc/{}/fdinfo", guest.pid()))? {
            let info = fs::read_to_string(entry?.path())?;
            let whose = info.lines().find_map(|line| line.strip_prefix("Pid:"));
            if whose.is_some_and(|whose| whose.trim() == pid.to_string()) {
                of_the_writer += 1;
            }
        }
        let ended = guest.kill()?;
        if receive.is_empty() {
            let denied = ended.audit.denied("recv-msg")?;
            ensure!(denied.reason().contains("pidfd"), "{denied:?}");
        }
        Ok((
            ended.step("recv-msg s 100 100 -")?.to_owned(),
            of_the_writer,
        ))
    };
    at_a_server(
        &server,
        |path, pid| {
            // One handle, on the process that wrote.
            let (shown, held) = run(path, pid, &["pidfd"])?;
            assert_eq!((shown, held), (format!("hello from {path} | pidfd"), 1));
            // The twin holds nothing.
            let (shown, held) = run(path, pid, &[])?;
            assert_eq!((shown, held), (format!("hello from {path}"), 0));
            Ok(())
        },
        &python,
    )?;
    Ok(())
}

#[test]
fn credentials_come_with_every_kind_of_socket() -> Result<()> {
    let name = "credentials_come_with_every_kind_of_socket";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for kind in ["stream", "seqpacket"] {
        let (listener, client) = (
            format!("l = socket unix {kind}"),
            format!("s = socket unix {kind}"),
        );
        let server = [
            &listener,
            "bind l @",
            "listen l",
            "set l SOL_SOCKET SO_PASSCRED 1",
            "say ready",
            "a = accept l",
            "set a SOL_SOCKET SO_PASSCRED 1",
            "send a - first",
            "recv-msg a 100 100 -",
            "send a - next",
            "recv-msg a 101 100 -",
            "send a - next",
            "recv-msg a 102 100 -",
            "send a - next",
            "recv-msg a 103 100 -",
            "get a SOL_SOCKET SO_PEERCRED 12",
        ];
        let steps = [
            &client,
            "set s SOL_SOCKET SO_PASSCRED 1",
            "connect s @",
            "recv-msg s 100 100 -",
            "get s SOL_SOCKET SO_PEERCRED 12",
            // Unasked, asked for by name, and by number (process 0 is the host's own).
            "send s - unasked",
            "recv s 4 -",
            "send-msg s - - named credentials=0,UID,GID",
            "recv s 5 -",
            "send-msg s - - numbered raw=SOL_SOCKET,SCM_CREDENTIALS,xHEX",
            "recv s 6 -",
            "send-msg s - - forged credentials=1,UID,GID",
            "send s - done",
        ];
        let mut told = (String::new(), 0, 0);
        let lines = at_a_server(
            &server,
            |path, pid| {
                let status = fs::read_to_string("/proc/self/status")?;
                let id = |key: &str| -> Result<u32> {
                    let line = status.lines().find_map(|line| line.strip_prefix(key));
                    let mut words = line.context("no such line")?.split_whitespace();
                    Ok(words.next().context("no id")?.parse()?)
                };
                let (uid, gid) = (id("Uid:")?, id("Gid:")?);
                let bytes = |number: u32| -> String {
                    number
                        .to_le_bytes()
                        .iter()
                        .map(|it| format!("{it:02x}"))
                        .collect()
                };
                let own = |pid: u32| format!("{}{}{}", bytes(pid), bytes(uid), bytes(gid));
                let steps: Vec<String> = at(&steps, path)
                    .iter()
                    .map(|step| {
                        step.replace("UID", &uid.to_string())
                            .replace("GID", &gid.to_string())
                            .replace("xHEX", &format!("x{}", own(0)))
                    })
                    .collect();
                let carried = "options.set = [\"so.passcred\"]\noptions.get = [\"so.peercred\"]\n\
                               ancillary.send = [\"credentials\"]\n\
                               ancillary.receive = [\"credentials\"]\n";
                let guest = message_steps(&policy(path, carried), &steps).start()?;
                let host = guest.pid();
                let ended = guest.wait(patience())?.success()?;
                assert_eq!(
                    ended.step("recv-msg s 100 100 -")?,
                    format!("first from {path} | credentials {pid} {uid} {gid}")
                );
                let peer = ended.step("get s SOL_SOCKET SO_PEERCRED 12")?;
                assert_eq!(peer, format!("x{}", own(pid)));
                assert_eq!(ended.step(&steps[11])?, "acces");
                let denied = ended.audit.denied("send-msg")?;
                ensure!(denied.reason().contains("another process"), "{denied:?}");
                told = (format!("{host} {uid} {gid}"), pid, host);
                Ok(())
            },
            &python,
        )?;
        let (own, _, host) = told;
        for (step, word) in [
            ("recv-msg a 100 100 -", "unasked"),
            ("recv-msg a 101 100 -", "named"),
            ("recv-msg a 102 100 -", "numbered"),
            ("recv-msg a 103 100 -", "done"),
        ] {
            let shown = outcome(&lines, step)?;
            // The option gives the guest's socket a name of the kernel's choice.
            let (told, beside) = shown.split_once(" | ").context("nothing beside it")?;
            ensure!(told.split(' ').next() == Some(word), "{shown}");
            assert_eq!(beside, format!("credentials {own}"));
        }
        let peer = outcome(&lines, "get a SOL_SOCKET SO_PEERCRED 12")?;
        let bytes: String = host
            .to_le_bytes()
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect();
        ensure!(peer.starts_with(&format!("x{bytes}")), "{peer}");
    }
    covers(&["SO_PASSCRED", "SO_PEERCRED", "SCM_CREDENTIALS"]);
    Ok(())
}
