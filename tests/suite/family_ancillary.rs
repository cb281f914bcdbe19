//! Ancillary data and message flags of the families that few kernels have: what a guest is told and what it
//! sends is what Python is told and sends that takes the same steps.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Need, Net, Tool, covers, kernel, message_steps, net_and_python, oracle, outcome, patience,
    python_steps,
};

/// What came of each step, which is the same for the guest and for Python, one after the other.
fn alike(net: Option<&Net>, python: &Path, policy: &str, steps: &[&str]) -> Result<Vec<String>> {
    let lines = python_steps(python, net, steps)?.finish(patience())?;
    let mut run = message_steps(policy, steps);
    if let Some(net) = net {
        run = run.net(net);
    }
    let ended = run.finish(patience())?.success()?;
    let mut all = Vec::new();
    for step in steps {
        let (ours, theirs) = (ended.step(step)?, outcome(&lines, step)?);
        let (ours, theirs) = (without_times(ours), without_times(theirs));
        ensure!(ours == theirs, "{step}: {ours} is not {theirs}");
        all.push(ours);
    }
    Ok(all)
}

/// A step with the words in it that are times made alike.
fn without_times(shown: &str) -> String {
    let alike = shown.split(' ').map(|word| match word.split_once('.') {
        Some((seconds, rest)) if rest.len() == 9 && seconds.parse::<u64>().is_ok() => "TIME",
        _ => word,
    });
    alike.collect::<Vec<_>>().join(" ")
}

fn bench(need: Need, name: &str) -> Option<PathBuf> {
    kernel::has(need, name)?;
    oracle(Tool::Python, name)
}

fn rule(family: &str, keys: &str) -> String {
    format!("version = 1\n[[allow]]\nid = \"one\"\nfamily = [\"{family}\"]\n{keys}\n")
}

const KEY: &str = "set t SOL_ALG ALG_SET_KEY x000102030405060708090a0b0c0d0e0f";

#[test]
fn an_algorithm_is_told_what_to_do() -> Result<()> {
    let name = "an_algorithm_is_told_what_to_do";
    let (Some(python), Some(_)) = (
        bench(Need::AlgSkcipher, name),
        kernel::has(Need::AlgAead, name),
    ) else {
        return Ok(());
    };
    let iv = "x0f0e0d0c0b0a09080706050403020100";
    let whole = format!("afalg o ALG_OP_ENCRYPT {iv} - - *32");
    let begins = format!("afalg o ALG_OP_ENCRYPT {iv} - MORE *16");
    let steps = [
        "t = socket alg seqpacket",
        "bind t alg:skcipher:cbc(aes)",
        KEY,
        // Python would wait for a connection, which no poll(2) reports here.
        "timeout t -",
        "o = accept t",
        &whole,
        "recv o 32 -",
        // In two parts, the second without its parameters.
        &begins,
        "send o - *16",
        "recv o 33 -",
    ];
    let keys = "ops = [\"bind\"]\nalg-type = [\"skcipher\"]\nname = [\"cbc(aes)\"]";
    let granted = rule("alg", keys);
    let shown = alike(None, &python, &granted, &steps)?;
    assert_eq!(shown[6].len(), 1 + 2 * 32, "{shown:?}");
    // Back again.
    let back = format!("afalg o ALG_OP_DECRYPT {iv} - - {}", shown[6]);
    let steps = [
        steps[0],
        steps[1],
        KEY,
        steps[3],
        steps[4],
        &back,
        "recv o 32 -",
    ];
    let opened = alike(None, &python, &granted, &steps)?;
    let plain: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(opened[6], format!("x{plain}"));

    // With authentication: two bytes stand beside, and the tag comes behind.
    let iv = "x000102030405060708090a0b";
    let seal = format!("afalg o ALG_OP_ENCRYPT {iv} 2 - ab+secret");
    let steps = [
        "t = socket alg seqpacket",
        "bind t alg:aead:gcm(aes)",
        KEY,
        "set-length t SOL_ALG ALG_SET_AEAD_AUTHSIZE 16",
        "timeout t -",
        "o = accept t",
        &seal,
        "recv o 24 -",
    ];
    let keys = "ops = [\"bind\"]\nalg-type = [\"aead\"]\nname = [\"gcm(aes)\"]";
    let granted = rule("alg", keys);
    let sealed = alike(None, &python, &granted, &steps)?[7].clone();
    ensure!(sealed.starts_with("x6162"), "{sealed}");
    let open = format!("afalg o ALG_OP_DECRYPT {iv} 2 - {sealed}");
    let forged = format!("afalg o ALG_OP_DECRYPT {iv} 2 - x6163{}", &sealed[5..]);
    for (step, wanted) in [(&open, "absecret"), (&forged, "badmsg")] {
        let steps = [
            steps[0],
            steps[1],
            KEY,
            steps[3],
            steps[4],
            steps[5],
            step,
            "recv o 8 -",
        ];
        assert_eq!(alike(None, &python, &granted, &steps)?[7], wanted);
    }
    covers(&[
        "sendmsg_afalg",
        "ALG_OP_ENCRYPT",
        "ALG_OP_DECRYPT",
        "ALG_SET_OP",
        "ALG_SET_IV",
        "ALG_SET_KEY",
        "ALG_SET_AEAD_ASSOCLEN",
        "ALG_SET_AEAD_AUTHSIZE",
    ]);
    Ok(())
}

/// A namespace with a CAN bus, and Python.
fn bus(need: Need, name: &str) -> Result<Option<(Net, PathBuf)>> {
    if kernel::has(need, name).is_none() {
        return Ok(None);
    }
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(None);
    };
    net.vcan("vcan0")?;
    Ok(Some((net, python)))
}

#[test]
fn a_frame_says_whose_it_is() -> Result<()> {
    let name = "a_frame_says_whose_it_is";
    let Some((net, python)) = bus(Need::CanRaw, name)? else {
        return Ok(());
    };
    let frame = "send s - x23010000020000000102000000000000";
    let steps = [
        "s = socket can raw raw",
        "set s SOL_CAN_RAW CAN_RAW_RECV_OWN_MSGS 1",
        "set s SOL_SOCKET SO_TIMESTAMPNS 1",
        "bind s can:vcan0",
        "o = socket can raw raw",
        "bind o can:vcan0",
        frame,
        "recv-msg s 100 200 -",
        "recv-msg o 100 200 -",
    ];
    let keys = "ops = [\"bind\", \"send-to\", \"receive\"]\nprotocol = [\"raw\"]\n\
                interface = [\"vcan0\"]\ncan-id = [\"0x123\"]\n\
                options.set = [\"can-raw.recv-own-msgs\", \"so.timestampns\"]\n\
                ancillary.receive = [\"timestamp\"]";
    let shown = alike(Some(&net), &python, &rule("can", keys), &steps)?;
    let data = "x23010000020000000102000000000000";
    assert_eq!(
        shown[7],
        format!("{data} flags DONTROUTE+CONFIRM from vcan0 | timestamp TIME")
    );
    assert_eq!(shown[8], format!("{data} flags DONTROUTE from vcan0"));
    covers(&["MSG_CONFIRM", "MSG_DONTROUTE", "CAN_RAW_RECV_OWN_MSGS"]);
    Ok(())
}

#[test]
fn a_parameter_group_says_where_it_went() -> Result<()> {
    let name = "a_parameter_group_says_where_it_went";
    let Some((net, python)) = bus(Need::CanJ1939, name)? else {
        return Ok(());
    };
    // Both claim an address for their names, and are written to by address, by name, and with everybody.
    let (ours, theirs) = ("0x1122334455667788", "0x1122334455667799");
    let receiver = |name: &str, address: &str| -> Vec<String> {
        let number = u64::from_str_radix(&name[2..], 16).unwrap_or(0);
        let claim: String = number
            .to_le_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        vec![
            "j = socket can datagram j1939".to_owned(),
            "set j SOL_SOCKET SO_BROADCAST 1".to_owned(),
            format!("bind j j1939:vcan0:{name}:-:{address}"),
            format!("send j - x{claim} j1939:vcan0:-:0xee00:-"),
            "say ready".to_owned(),
            "recv-msg j 100 200 -".to_owned(),
            "recv-msg j 101 200 -".to_owned(),
            "recv-msg j 102 200 -".to_owned(),
        ]
    };
    let keys = "ops = [\"bind\", \"send-to\", \"receive\"]\nprotocol = [\"j1939\"]\n\
                interface = [\"vcan0\"]\noptions.set = [\"so.broadcast\"]\n";
    let granted = rule(
        "can",
        &format!("{keys}ancillary.receive = [\"j1939-info\"]"),
    );
    let guest_steps = receiver(ours, "0x20");
    let send = |words: &[&str]| -> Result<()> {
        let mut steps = vec![
            "s = socket can datagram j1939".to_owned(),
            "set s SOL_SOCKET SO_BROADCAST 1".to_owned(),
            "set s SOL_CAN_J1939 SO_J1939_SEND_PRIO 3".to_owned(),
            "bind s j1939:vcan0:-:-:0x30".to_owned(),
        ];
        steps.extend(words.iter().map(|word| (*word).to_owned()));
        let lines = python_steps(&python, Some(&net), &steps)?.finish(patience())?;
        ensure!(
            lines.iter().all(|line| line.contains(" -> ok")),
            "{lines:?}"
        );
        Ok(())
    };
    let mut native_steps = receiver(theirs, "0x21");
    // The guest's claim comes first.
    native_steps.insert(5, "recv j 16 -".to_owned());
    let native = python_steps(&python, Some(&net), &native_steps)?;
    native.wait_for_line("say ready", patience())?;
    let guest = message_steps(&granted, &guest_steps).net(&net).start()?;
    guest.wait_for_line("say ready", patience())?;
    // A claim holds after 250 ms; the start of Python alone takes no less where it is slow, but not here.
    std::thread::sleep(std::time::Duration::from_millis(300));
    send(&[
        "send s - address j1939:vcan0:-:0x12300:0x20",
        "send s - address j1939:vcan0:-:0x12300:0x21",
        "send s - name j1939:vcan0:0x1122334455667788:0x12300:-",
        "send s - name j1939:vcan0:0x1122334455667799:0x12300:-",
        "send s - everybody j1939:vcan0:-:0x12300:0xff",
    ])?;
    let ended = guest.wait(patience())?.success()?;
    let lines = native.finish(patience())?;
    let beside = |shown: &str| shown.split_once(" | ").map(|(_, beside)| beside.to_owned());
    let to = |address: u8, name: &str| {
        Some(format!(
            "j1939-address {address} | j1939-name {name} | j1939-priority 3"
        ))
    };
    for step in ["recv-msg j 100 200 -", "recv-msg j 101 200 -"] {
        let (shown, native) = (ended.step(step)?, outcome(&lines, step)?);
        assert_eq!(beside(shown), to(0x20, &ours[2..]), "{shown}");
        assert_eq!(beside(native), to(0x21, &theirs[2..]), "{native}");
    }
    let step = "recv-msg j 102 200 -";
    let (shown, native) = (ended.step(step)?, outcome(&lines, step)?);
    assert_eq!(beside(shown), beside(native), "{shown}");
    assert_eq!(beside(shown), Some("j1939-priority 3".to_owned()));

    // The twin is told nothing.
    let guest = message_steps(&rule("can", keys), &guest_steps[..6])
        .net(&net)
        .start()?;
    guest.wait_for_line("say ready", patience())?;
    send(&["send s - again j1939:vcan0:-:0x12300:0x20"])?;
    let ended = guest.wait(patience())?.success()?;
    let shown = ended.step("recv-msg j 100 200 -")?;
    ensure!(beside(shown).is_none(), "{shown}");
    let denied = ended.audit.denied("recv-msg")?;
    ensure!(denied.reason().contains("j1939-info"), "{denied:?}");
    covers(&[
        "SCM_J1939_DEST_ADDR",
        "SCM_J1939_DEST_NAME",
        "SCM_J1939_PRIO",
        "SO_J1939_SEND_PRIO",
        "J1939_PGN_ADDRESS_CLAIMED",
    ]);
    Ok(())
}

#[test]
fn a_session_says_how_it_went() -> Result<()> {
    let name = "a_session_says_how_it_went";
    let Some((net, python)) = bus(Need::CanJ1939, name)? else {
        return Ok(());
    };
    let listener = [
        "l = socket can datagram j1939",
        "bind l j1939:vcan0:-:-:0x30",
        "say ready",
        "recv l 1000 -",
        "recv l 1001 -",
    ];
    let native = python_steps(&python, Some(&net), &listener)?;
    native.wait_for_line("say ready", patience())?;
    let steps = [
        "j = socket can datagram j1939",
        "set j SOL_CAN_J1939 SO_J1939_ERRQUEUE 1",
        // TX_ACK, SOFTWARE, OPT_CMSG, OPT_TSONLY, OPT_STATS
        "set j SOL_SOCKET SO_TIMESTAMPING 7696",
        "bind j j1939:vcan0:-:-:0x20",
        // Acknowledged.
        "send j - *200 j1939:vcan0:-:0x12300:0x30",
        "recv-msg j 100 500 ERRQUEUE",
        // Nobody there: it is given up.
        "send j - *201 j1939:vcan0:-:0x12300:0x31",
        "recv-msg j 101 500 ERRQUEUE",
    ];
    let keys = "ops = [\"bind\", \"send-to\", \"receive\"]\nprotocol = [\"j1939\"]\n\
                interface = [\"vcan0\"]\nflags = [\"errqueue\"]\n\
                options.set = [\"can-j1939.errqueue\", \"so.timestamping\"]\n";
    let kinds = "ancillary.receive = [\"extended-error\", \"timestamp\", \"1/54\"]";
    let shown = alike(
        Some(&net),
        &python,
        &rule("can", &format!("{keys}{kinds}")),
        &steps,
    )?;
    native.finish(patience())?;
    ensure!(
        shown[5].contains("flags ERRQUEUE") && shown[5].contains(" | error nomsg origin 4 "),
        "{shown:?}"
    );
    // J1939_NLA_BYTES_ACKED, of 200.
    ensure!(
        shown[5].contains(" | raw 1/54 x08000100c8000000"),
        "{shown:?}"
    );
    // J1939_EE_INFO_TX_ABORT
    ensure!(
        shown[7].contains(" | error hostunreach origin 1 ") && shown[7].contains(" info 1 "),
        "{shown:?}"
    );
    covers(&[
        "SCM_J1939_ERRQUEUE",
        "SO_J1939_ERRQUEUE",
        "J1939_EE_INFO_TX_ABORT",
        "J1939_NLA_BYTES_ACKED",
        "MSG_ERRQUEUE",
    ]);
    Ok(())
}

/// Records whose ends are told, both ways, between a Python server and a guest.
fn ends_of_records(
    python: &Path,
    policy: &str,
    socket: &str,
    at: [&str; 2],
) -> Result<(Vec<String>, Vec<String>)> {
    let (listener, client) = (format!("l = {socket}"), format!("s = {socket}"));
    let (bind, connect) = (format!("bind l {}", at[0]), format!("connect s {}", at[1]));
    let server = [
        &listener,
        bind.as_str(),
        "listen l",
        "say ready",
        "c = accept l",
        "recv-msg c 100 100 -",
        "recv-msg c 101 100 -",
        "send c EOR whole",
        "send c - open",
        "recv c 10 -",
    ];
    let native = python_steps(python, None, &server)?;
    native.wait_for_line("say ready", patience())?;
    let steps = [
        client.as_str(),
        connect.as_str(),
        "send s EOR whole",
        "send s - open",
        "recv-msg s 100 100 -",
        "recv-msg s 101 100 -",
        "shutdown s",
    ];
    let ended = message_steps(policy, &steps)
        .finish(patience())?
        .success()?;
    let lines = native.finish(patience())?;
    let mut both = (Vec::new(), Vec::new());
    for max in ["100", "101"] {
        let ours = ended.step(&format!("recv-msg s {max} 100 -"))?;
        let theirs = outcome(&lines, &format!("recv-msg c {max} 100 -"))?;
        let bare = |shown: &str| {
            let shown = shown.split(" from ").next().unwrap_or_default();
            shown.to_owned()
        };
        both.0.push(bare(ours));
        both.1.push(bare(theirs));
    }
    Ok(both)
}

#[test]
fn a_record_of_vsock_has_an_end() -> Result<()> {
    let name = "a_record_of_vsock_has_an_end";
    let Some(python) = bench(Need::VsockSeqpacket, name) else {
        return Ok(());
    };
    let (ours, theirs) = ends_of_records(
        &python,
        &rule("vsock", "ops = [\"connect\"]\ncid = [1]\nport = [7401]"),
        "socket vsock seqpacket",
        ["vsock:4294967295:7401", "vsock:1:7401"],
    )?;
    assert_eq!(ours, ["whole flags EOR", "open"]);
    assert_eq!(theirs, ours);
    covers(&["MSG_EOR"]);
    Ok(())
}

#[test]
fn a_message_of_sctp_has_an_end() -> Result<()> {
    let name = "a_message_of_sctp_has_an_end";
    let Some(python) = bench(Need::Sctp, name) else {
        return Ok(());
    };
    let at = format!("127.0.0.1:{}", sockgate_tests::free_port()?);
    let keys = "protocol = [\"sctp\"]\nops = [\"connect\"]\n\
                peer = { cidr = [\"127.0.0.1\"], port = [\"*\"] }";
    let policy = rule("inet", keys);
    let (ours, theirs) = ends_of_records(&python, &policy, "socket inet stream sctp", [&at, &at])?;
    // Every message is whole there, whatever its sender says.
    assert_eq!(ours, ["whole flags EOR", "open flags EOR"]);
    assert_eq!(theirs, ours);
    covers(&["MSG_EOR"]);
    Ok(())
}
