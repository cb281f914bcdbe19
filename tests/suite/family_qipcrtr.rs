//! QRTR through a guest: services of this node, announced and looked up at its name server, and messages to
//! and from native peers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{GuestRun, Native, Need, Tool, kernel, oracle, patience, told};

fn guest(policy: &str, steps: &[&str]) -> GuestRun {
    steps
        .iter()
        .fold(GuestRun::new("family_misc_steps"), |run, step| {
            run.argument(*step)
        })
        .policy_text(policy)
}

fn policy(rules: &[&str]) -> String {
    let rules = rules.iter().enumerate().map(|(number, keys)| {
        format!("[[allow]]\nid = \"r{number}\"\nfamily = [\"qipcrtr\"]\n{keys}\n")
    });
    format!("version = 1\n{}", rules.collect::<String>())
}

fn needs(name: &str) -> Option<PathBuf> {
    kernel::has(Need::QipcrtrDgram, name)?;
    oracle(Tool::Python, name)
}

fn native(python: &Path, words: &[&str]) -> Result<Native> {
    Native::python(python, "families_misc.py", words)
}

/// struct qrtr_ctrl_pkt: a command and four numbers, little-endian.
fn packet(words: [u32; 5]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    let digits: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    format!("x{digits}")
}

const CONTROL: u32 = 0xffff_fffe;
const NEW_SERVER: u32 = 4;
const NEW_LOOKUP: u32 = 10;

#[test]
fn a_native_service_is_found_and_asked() -> Result<()> {
    let name = "a_native_service_is_found_and_asked";
    let Some(python) = needs(name) else {
        return Ok(());
    };
    let server = native(&python, &["qrtr-server", "4711", "3", "1"])?;
    let place = server.wait_for_line("listening ", patience())?;
    let (node, port) = place.trim().split_once(':').context(place.clone())?;
    let rules = [
        format!(
            "ops = [\"send-to\"]\nnode = [{node}]\nport = [\"control\"]\ncontrol = [\"new-lookup\"]"
        ),
        format!("ops = [\"send-to\"]\nnode = [{node}]\nport = [\"{port}\"]"),
        format!("ops = [\"receive\"]\npeer = {{ node = [{node}] }}"),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let ask = format!(
        "send-hex-to s {} qrtr:{node}:{CONTROL}",
        packet([NEW_LOOKUP, 4711, 0, 0, 0])
    );
    let send = format!("send-to s hello qrtr:{node}:{port}");
    let words = [
        "s = socket qrtr datagram",
        "timeout s 20000",
        &ask,
        "recv-hex s 20",
        "recv-hex s 21",
        &send,
        "recv-from s 100",
    ];
    let ended = guest(&policy(&rules), &words)
        .finish(patience())?
        .success()?;
    let number = |text: &str| text.parse::<u32>().context(text.to_owned());
    let found = packet([NEW_SERVER, 4711, 3, number(node)?, number(port)?]);
    assert_eq!(ended.step("recv-hex s 20")?, &found[1..]);
    // The end of the list.
    assert_eq!(
        ended.step("recv-hex s 21")?,
        &packet([NEW_SERVER, 0, 0, 0, 0])[1..]
    );
    assert_eq!(
        ended.step("recv-from s 100")?,
        format!("\"olleh\" from {node}:{port}")
    );
    let seen = server.finish(patience())?;
    // SHA-256 of `hello`.
    assert_eq!(
        told(&seen, "received"),
        ["5 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]
    );
    Ok(())
}

#[test]
fn a_guest_announces_its_service_and_sends_to_itself() -> Result<()> {
    let name = "a_guest_announces_its_service_and_sends_to_itself";
    let Some(python) = needs(name) else {
        return Ok(());
    };
    let rules = [
        "ops = [\"bind\"]\nnode = [1]\nport = [\"0\", \"0x4100-0x410f\"]",
        "ops = [\"send-to\"]\nnode = [1]\nport = [\"control\"]\ncontrol = [\"new-server\"]",
        "ops = [\"send-to\", \"receive\"]\nlocal = { node = [1], port = [\"0x4100-0x410f\"] }\n\
         peer = { node = [1], port = [\"0x4000-0x7fff\"] }",
    ];
    let announce = format!(
        "send-hex-to s {} qrtr:1:{CONTROL}",
        packet([NEW_SERVER, 4712, 5, 1, 0x4101])
    );
    let words = [
        "s = socket qrtr datagram",
        "bind s qrtr:1:0x4101",
        "local s",
        &announce,
        // The kernel sends nothing to the very socket that sends.
        "t = socket qrtr datagram",
        "bind t qrtr:1:0x4102",
        "send-to t to-myself qrtr:1:0x4101",
        "recv-from s 100",
        "say ready",
        "recv-from s 101",
        "reply s answer",
    ];
    let run = guest(&policy(&rules), &words).start()?;
    run.wait_for_line("say ready", patience())?;
    let found = native(&python, &["qrtr-lookup", "4712"])?.finish(patience())?;
    assert_eq!(told(&found, "server"), ["4712 5 1 16641"]);
    let seen = native(&python, &["ask", "qrtr", "datagram", "1:16641", "-", "3"])?;
    let seen = seen.finish(patience())?;
    ensure!(told(&seen, "received")[0].starts_with("6 "), "{seen:?}");
    assert_eq!(told(&seen, "from"), ["1:16641"]);
    let ended = run.wait(patience())?.success()?;
    assert_eq!(ended.step("local s")?, "ok 1:16641");
    assert_eq!(ended.step("recv-from s 100")?, "\"to-myself\" from 1:16642");
    Ok(())
}

#[test]
fn nothing_is_told_without_a_grant() -> Result<()> {
    let name = "nothing_is_told_without_a_grant";
    let (Some(python), Some(strace)) = (needs(name), oracle(Tool::Strace, name)) else {
        return Ok(());
    };
    let ended = guest("version = 1\n", &["s = socket qrtr datagram"])
        .strace(&strace)
        .finish(patience())?;
    assert_eq!(ended.step("s = socket qrtr datagram")?, "acces");
    ended.audit.denied("socket")?;
    ensure!(ended.made("socket")?.is_empty());

    let server = native(&python, &["qrtr-server", "4713", "1", "9"])?;
    let place = server.wait_for_line("listening ", patience())?;
    let rules = [
        "ops = [\"bind\"]\nnode = [1]\nport = [\"0x4200-0x4201\"]",
        "ops = [\"send-to\"]\nnode = [1]\nport = [\"control\"]\ncontrol = [\"new-lookup\"]",
    ];
    // Hello, bye, a server and its end, a client's end: bye would end every service of the node.
    let control: Vec<String> = [2, 3, 4, 5, 6, 7, 8, 9, 11, 0x0a00_0000]
        .map(|command| {
            let packet = packet([command, 4713, 1, 1, 0x4201]);
            format!("send-hex-to s {packet} qrtr:1:{CONTROL}")
        })
        .into();
    let to_server = format!("send-to s hello qrtr:{}", place.trim());
    let everybody = format!(
        "send-hex-to s {} qrtr:4294967295:{CONTROL}",
        packet([NEW_LOOKUP, 4713, 0, 0, 0])
    );
    let mut refused = vec![
        "bind s qrtr:1:0x41ff",
        "bind s qrtr:1:0x4202",
        "bind s qrtr:2:0x4200",
        "bind s qrtr:1:0",
        "bind s qrtr:1:4294967294",
        "recv s 10",
        "connect s qrtr:1:0x4000",
        &to_server,
        &everybody,
    ];
    refused.extend(control.iter().map(String::as_str));
    let mut all = vec!["s = socket qrtr datagram"];
    all.extend(&refused);
    all.push("bind s qrtr:1:0x4201");
    let ended = guest(&policy(&rules), &all)
        .strace(&strace)
        .finish(patience())?
        .success()?;
    for step in &refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step("bind s qrtr:1:0x4201")?, "ok");
    assert_eq!(ended.made("bind")?.len(), 1);
    for call in ["sendto", "sendmsg", "connect"] {
        ensure!(ended.made(call)?.is_empty(), "{call}");
    }
    ended.audit.denied("send-to")?;
    // It is still announced, and heard nothing.
    let found = native(&python, &["qrtr-lookup", "4713"])?.finish(patience())?;
    let wanted = format!("4713 1 {}", place.trim().replace(':', " "));
    assert_eq!(told(&found, "server"), [wanted]);
    assert!(told(&server.stop()?, "received").is_empty());
    Ok(())
}
