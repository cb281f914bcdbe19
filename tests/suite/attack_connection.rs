//! Ways round a policy by the order of calls on one socket: other peers after the granted one, peers that stand
//! beside the data, and sockets that listen where nobody let them.

use std::io::Read;
use std::net::TcpListener;

use anyhow::Result;
use sockgate_tests::{
    Attack, Ended, GuestRun, door, ear, folder, free_port, heard, knocked, steps, watched,
};

const SECTION: &str = "Connection";

const CONNECT: &[&str] = &["connect"];
const SENDS: &[&str] = &["sendto", "sendmsg", "sendmmsg"];

/// One try: its id, its phrase, what it is in words, the step that counts and the calls that may not be made.
type Try<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str]);

/// States tries that share a run and a witness, which saw so much in the attack and in its control.
fn state<S: Into<sockgate_tests::attack::Seen> + Clone>(
    tries: &[Try],
    attack: &Ended,
    control: &Ended,
    (witness, seen, seen_then): (&str, S, S),
) -> Result<()> {
    for (id, phrase, what, step, calls) in tries {
        Attack::new(*id, SECTION, phrase)
            .tried(*what)
            .step((attack, step), (control, step), calls)?
            .saw(witness, seen.clone(), seen_then.clone())
            .state()?;
    }
    Ok(())
}

fn allowed<'a>(script: &[String], rules: impl IntoIterator<Item = &'a str>) -> GuestRun {
    let run = steps(script);
    rules.into_iter().fold(run, |run, rule| run.allow(rule))
}

/// A datagram socket that is connected to its granted peer: no call names another one.
#[test]
fn a_connected_datagram_socket_has_one_peer() -> Result<()> {
    let name = "a_connected_datagram_socket_has_one_peer";
    let (good, g) = ear("127.0.0.1:0")?;
    let (bad, b) = ear("127.0.0.1:0")?;
    let (g, b) = (format!("127.0.0.1:{g}"), format!("127.0.0.1:{b}"));
    let script: Vec<String> = [
        "d = socket inet datagram",
        "connect d GOOD",
        "connect d unspecified",
        "connect d BAD",
        "d2 = dup d",
        "connect d2 BAD",
        "n = socket inet datagram",
        "connect n GOOD",
        "send-to n stray BAD",
        "send-msg-to n stray BAD",
        "send-many n BAD",
        "send-to n stray GOOD",
        "m = socket inet datagram",
        "send-many m GOOD GOOD BAD GOOD BAD",
        "send-to m stray BAD",
        "six = socket inet6 datagram",
        "connect six [::ffff:GOOD",
        "send-to six stray [::ffff:BAD",
        "f = socket inet datagram",
        "send-to f stray BAD fast-open",
        "send-to f stray BAD confirm",
    ]
    .map(|step| {
        let mapped = |address: &str| address.replace(':', "]:");
        step.replace("[::ffff:GOOD", &format!("[::ffff:{}", mapped(&g)))
            .replace("[::ffff:BAD", &format!("[::ffff:{}", mapped(&b)))
            .replace("GOOD", &g)
            .replace("BAD", &b)
    })
    .to_vec();
    let rule = format!("udp connect,send-to {g}");
    let attack = watched(allowed(&script, [rule.as_str()]), name)?;
    let reached: Vec<String> = std::iter::from_fn(|| heard(&bad).ok()?).collect();
    let all = [
        "udp connect,send-to 127.0.0.1:* flags=confirm,fastopen",
        "udp disconnect",
    ];
    let control = watched(allowed(&script, all), name)?;
    let reached_then: Vec<String> = std::iter::from_fn(|| heard(&bad).ok()?).collect();
    let step = |at: usize| script[at].as_str();
    let drop = "connect(AF_UNSPEC) to drop a peer and pick another";
    state(
        &[
            ("drop-peer", drop, "connects to AF_UNSPEC", step(2), CONNECT),
            (
                "second-peer",
                drop,
                "connects to another peer",
                step(3),
                CONNECT,
            ),
            (
                "second-peer-of-dup",
                drop,
                "the same by another handle",
                step(5),
                CONNECT,
            ),
            (
                "named-sendto",
                "sendto with a name on a connected socket",
                "sends to another peer than the connected one",
                step(8),
                SENDS,
            ),
            (
                "named-sendmsg",
                "sendmsg with a name on a connected socket",
                "sends to another peer than the connected one",
                step(9),
                SENDS,
            ),
            (
                "named-sendmmsg",
                "sendmmsg with one bad name among good ones",
                "sends a batch to another peer than the connected one",
                step(10),
                SENDS,
            ),
            (
                "named-sendto-mapped",
                "sendto with a name on a connected socket",
                "names another peer as an IPv4-mapped address",
                step(17),
                SENDS,
            ),
            (
                "datagram-fast-open",
                "MSG_FASTOPEN",
                "sends with MSG_FASTOPEN",
                step(19),
                SENDS,
            ),
            (
                "named-confirm",
                "sendto with a name on a connected socket",
                "names another peer beside MSG_CONFIRM",
                step(20),
                SENDS,
            ),
        ],
        &attack,
        &control,
        ("the other peer", reached.clone(), reached_then.clone()),
    )?;
    // The good ones of the batch go out, so that the other peer alone can tell.
    let granted: Vec<String> = std::iter::from_fn(|| heard(&good).ok()?).collect();
    anyhow::ensure!(granted.iter().any(|text| text == "m1"), "{granted:?}");
    Attack::new(
        "batch-with-one-bad-name",
        SECTION,
        "sendmmsg with one bad name among good ones",
    )
    .tried(format!("`{}`", step(13)))
    .got("acces")
    .saw("the other peer", reached, reached_then)
    .state()
}

/// A stream socket: peers that stand beside the data, and peers after the first one.
#[test]
fn a_stream_socket_has_one_peer() -> Result<()> {
    let name = "a_stream_socket_has_one_peer";
    let (_good, g) = door("127.0.0.1:0")?;
    let (bad, b) = door("127.0.0.1:0")?;
    let own = free_port()?;
    let script: Vec<String> = [
        "r = socket inet stream",
        "timeout r 500",
        "connect r GOOD",
        "shutdown r",
        "connect r unspecified",
        "connect r BAD",
        "w = socket inet stream",
        "timeout w 0",
        "connect w GOOD",
        "connect w BAD",
        "f = socket inet stream",
        "timeout f 500",
        "send-to f hello BAD fast-open",
        "e = socket inet stream",
        "timeout e 500",
        "set e 6 30 01000000",
        "connect e BAD",
        "send e hello",
        "self = socket inet stream",
        "timeout self 500",
        "bind self 127.0.0.1:OWN",
        "connect self 127.0.0.1:OWN",
        "l = socket inet stream",
        "listen l",
        "l6 = socket inet6 stream",
        "listen l6",
        "u = socket inet stream",
        "bind u unspecified",
        "bind u 0.0.0.0:0",
        "w2 = dup w",
        "connect w2 GOOD",
    ]
    .map(|step| {
        step.replace("GOOD", &format!("127.0.0.1:{g}"))
            .replace("BAD", &format!("127.0.0.1:{b}"))
            .replace("OWN", &own.to_string())
    })
    .to_vec();
    let knocks =
        |door: &TcpListener| std::iter::from_fn(|| knocked(door).ok()?.then_some(())).count();
    let strict = [
        format!("tcp connect 127.0.0.1:{g} set=tcp.fastopen-connect flags=fastopen"),
        format!("tcp bind,listen 127.0.0.1:{own}"),
    ];
    let attack = watched(allowed(&script, strict.iter().map(String::as_str)), name)?;
    // The connection that was under way is asked for again, and is told to have been made.
    assert_eq!(attack.step(&script[30])?, "ok");
    let reached = knocks(&bad);
    let open = [
        "tcp connect *:* set=tcp.fastopen-connect flags=fastopen",
        "tcp listen *:*",
        "tcp disconnect",
    ];
    let control = watched(allowed(&script, open), name)?;
    let reached_then = knocks(&bad);
    let step = |at: usize| script[at].as_str();
    let seen = ("the other peer", reached, reached_then);
    state(
        &[
            (
                "reconnect",
                "shutdown and reconnect",
                "shuts its connection down and connects to AF_UNSPEC",
                step(4),
                CONNECT,
            ),
            (
                "reconnect-elsewhere",
                "shutdown and reconnect",
                "shuts its connection down and connects elsewhere",
                step(5),
                CONNECT,
            ),
            (
                "connect-twice",
                "a second connect while the first is in progress",
                "connects elsewhere while its first connect is under way",
                step(9),
                CONNECT,
            ),
            (
                "fast-open",
                "MSG_FASTOPEN",
                "connects within a send, with a flag that is granted towards another peer",
                step(12),
                SENDS,
            ),
            (
                "fast-open-connect",
                "TCP_FASTOPEN_CONNECT",
                "puts its connect off by an option that is granted towards another peer",
                step(16),
                CONNECT,
            ),
            (
                "self-connect",
                "self-connect",
                "connects to the address that it may bind",
                step(21),
                CONNECT,
            ),
        ],
        &attack,
        &control,
        seen,
    )?;
    for (id, family, at) in [
        ("listen-unbound", "inet", 23),
        ("listen-unbound-6", "inet6", 25),
    ] {
        Attack::new(id, SECTION, "listen on a socket never bound")
            .tried(format!(
                "listens on an {family} socket that it did not bind, under a grant for one address"
            ))
            .step(
                (&attack, step(at)),
                (&control, step(at)),
                &["bind", "listen"],
            )?
            .state()?;
    }
    Attack::new(
        "bind-unspecified",
        SECTION,
        "bind(AF_UNSPEC) taken as INADDR_ANY",
    )
    .tried("binds AF_UNSPEC, which Linux takes as every interface")
    .step((&attack, step(27)), (&control, step(28)), &["bind"])?
    .state()
}

/// Bytes that the host moves by itself go where the guest may send them, and by the way that was granted.
#[test]
fn no_side_door_leads_to_a_peer() -> Result<()> {
    let name = "no_side_door_leads_to_a_peer";
    let place = folder()?;
    std::fs::write(place.path().join("secret"), "0123456789")?;
    let door = TcpListener::bind("127.0.0.1:0")?;
    let tcp = door.local_addr()?.port();
    let script = [
        "p = pair stream".to_owned(),
        "send p 1234567".to_owned(),
        "t = socket inet stream".to_owned(),
        format!("connect t 127.0.0.1:{tcp}"),
        "splice p' t 7".to_owned(),
        "send-file-piece t /steps/secret 0 5".to_owned(),
    ];
    let read = |door: &TcpListener| -> Result<Vec<String>> {
        door.set_nonblocking(true)?;
        let mut found = Vec::new();
        while let Ok((mut stream, _)) = door.accept() {
            let mut text = String::new();
            stream.set_nonblocking(false)?;
            stream.read_to_string(&mut text)?;
            found.push(text);
        }
        Ok(found.into_iter().filter(|text| !text.is_empty()).collect())
    };
    let run = |rules: &[&str]| {
        let run = allowed(&script, rules.iter().copied());
        watched(run.directory(place.path(), "/steps"), name)
    };
    let elsewhere = ["unix-stream socketpair,splice", "tcp connect 127.0.0.9:1"];
    let attack = run(&elsewhere)?;
    let reached = read(&door)?;
    let tcp_rule = format!("tcp connect,splice 127.0.0.1:{tcp}");
    let control = run(&["unix-stream socketpair,splice", &tcp_rule])?;
    assert_eq!(control.step(&script[4])?, "ok 7", "{}", control.stdout);
    let reached_then = read(&door)?;
    let phrase = "splice, send-file and poll as side doors";
    for (id, step) in [("splice", &script[4]), ("send-file", &script[5])] {
        Attack::new(format!("side-{id}"), "Beyond", phrase)
            .tried(format!("`{step}` after a connect that was refused"))
            .got(attack.step(step)?)
            .saw(
                "what a native listener read",
                reached.clone(),
                reached_then.clone(),
            )
            .state()?;
    }
    // Without `splice` on the receiving end nothing moves either.
    let half = format!("tcp connect 127.0.0.1:{tcp}");
    let attack = run(&["unix-stream socketpair,splice", &half])?;
    let spliced = |found: Vec<String>| -> Vec<String> {
        found
            .into_iter()
            .filter(|text| text.contains("1234567"))
            .collect()
    };
    Attack::new("side-splice-half-granted", "Beyond", phrase)
        .tried("moves bytes to a socket whose rule does not grant `splice`")
        .got(attack.step(&script[4])?)
        .saw(
            "what a native listener read",
            spliced(read(&door)?),
            spliced(reached_then),
        )
        .state()
}
