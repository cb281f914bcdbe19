use super::*;

#[test]
fn what_is_no_question_says_why() {
    for (line, expected) in [
        ("", "names no operation"),
        ("tcp", "names no operation"),
        ("tcp fly 10.0.0.1:1", "`fly` is no operation"),
        ("connect 10.0.0.1:1", "is about a socket"),
        ("tcp connect", "needs an address"),
        ("tcp connect db.example.com:1", "is no one address"),
        ("tcp connect /run/x", "is no address for `tcp`"),
        ("resolve 127.1", "is a number, not a name"),
        ("tcp connect 10.0.0.1:1 from", "`from` without an address"),
        (
            "vsock-stream connect",
            "write `vsock-stream connect cid=host port=",
        ),
        ("vsock-stream connect cid=2", "the address lacks `port`"),
        (
            "vsock-stream connect cid=* port=1",
            "the address lacks `cid`",
        ),
        ("vsock-stream connect psm=1", "has no key `psm`"),
        (
            "vsock-stream connect 10.0.0.1:1",
            "is no address for `vsock-stream`",
        ),
        (
            "can-raw send-to interface=can0 can-id=0x800",
            "is not one value of `can-id`",
        ),
        ("can-raw send-to interface=can0 psm=1", "has no key `psm`"),
        (
            "tcp connect cid=2",
            "its addresses are written without a key",
        ),
        // Each word is read, or named as one too many.
        (
            "tcp listen 127.0.0.1:7000 from 10.2.0.1:4",
            "`10.2.0.1:4` is one address too many",
        ),
        ("tcp connect 10.0.0.1:1 10.0.0.2:2", "`10.0.0.2:2` is one"),
        (
            "tcp connect 10.0.0.1:1 peer 10.0.0.2:2",
            "`10.0.0.2:2` is one",
        ),
        (
            "udp receive 10.0.0.1:1 from 127.0.0.1:1 local 127.0.0.1:2",
            "`127.0.0.1:2` is one",
        ),
        (
            "vsock-stream connect cid=2 port=1 unnamed",
            "`(unnamed)` is one address too many",
        ),
        (
            "vsock-stream connect cid=2 port=1 cid=3",
            "`cid=3` names `cid` once more",
        ),
        ("vsock-stream connect cid= port=1", "`cid` is empty"),
        (
            "vsock-stream connect cid=2 port=1 protocol=4 protocol=5",
            "`protocol=5` names `protocol` once more",
        ),
        (
            "tcp connect 10.0.0.1:1 protocol=17",
            "`tcp` names the protocol already",
        ),
        (
            "rds-seqpacket bind 10.0.0.1:1 protocol=x",
            "no protocol's number",
        ),
        (
            "unix-stream socketpair /run/x",
            "`socketpair` has no address",
        ),
        (
            "unix-stream socketpair from /run/x",
            "`socketpair` has no address",
        ),
        ("tcp bind 10.0.0.1:1 peer 10.0.0.2:2", "`bind` has no peer"),
        ("tcp4 connect [::1]:80", "is no address for `tcp4`"),
        (
            "tcp connect 10.0.0.1:1 from [::1]:80",
            "is no address for `tcp`",
        ),
        (
            "unix connect /run/x from @a kinds=socket",
            "has no key `kinds`",
        ),
        ("resolve", "`resolve` needs a host"),
        (
            "resolve db.example.com some more",
            "`some` is one word too many",
        ),
        ("resolve evil db", "`db` is one word too many"),
        ("reverse-resolve", "`reverse-resolve` needs an address"),
        ("reverse-resolve db", "`reverse-resolve` needs an address"),
        (
            "reverse-resolve 10.0.0.1 10.0.0.2",
            "`10.0.0.2` is one word",
        ),
        ("set-hostname a b", "`b` is one word too many"),
        ("interfaces all", "`all` is one word too many"),
        ("hostname web", "`web` is one word too many"),
        ("tcp resolve db.example.com", "leave out `tcp`"),
        ("udp join-group", "needs a group"),
        ("udp join-group source=10.0.0.1", "needs a group"),
        (
            "udp join-group 10.0.0.1",
            "`10.0.0.1` is no multicast group",
        ),
        (
            "udp join-group 239.1.1.1 239.1.1.2",
            "`239.1.1.2` is one word",
        ),
        (
            "udp join-group 239.1.1.1 source=any",
            "the source `any` is no",
        ),
        ("udp join-group 239.1.1.1 port=5", "has no key `port`"),
        ("udp4 join-group ff02::1", "is no address for `udp4`"),
        ("unix join-group 239.1.1.1", "is no address for `unix`"),
        ("tcp ioctl", "`ioctl` needs a request"),
        ("tcp ioctl fly", "`fly` is no request"),
        (
            "tcp ioctl bytes-readable bytes-unsent",
            "`bytes-unsent` is one",
        ),
        (
            "unix descriptor-send kinds=socket,opaque",
            "`socket,opaque` is not one kind",
        ),
    ] {
        let message = Question::parse(line).unwrap_err().to_string();
        assert!(message.contains(expected), "{line}: {message}");
    }
}

#[test]
fn what_is_asked_for_is_what_is_judged() {
    let ask = |line: &str| Question::parse(line).unwrap().ask;
    let group = ask("udp join-group ::ffff:239.1.1.1 source=::ffff:10.0.0.1 interface=eth0");
    assert!(
        matches!(&group.what, What::Group(request) if *request == GroupRequest {
            group: "239.1.1.1".parse().unwrap(),
            source: "10.0.0.1".parse().ok(),
            interface: Some("eth0".to_owned()),
        }),
        "{group:?}"
    );
    assert_eq!(group.kind.map(|kind| kind.family), Some(Family::Inet));
    let six = ask("udp join-group ff02::1");
    assert_eq!(six.kind.map(|kind| kind.family), Some(Family::Inet6));
    // The socket is of the family of whichever address is known.
    let heard = ask("udp receive from [::1]:53");
    assert_eq!(heard.kind.map(|kind| kind.family), Some(Family::Inet6));
    for (line, expected) in [
        ("unix descriptor-send", DescriptorKind::Socket),
        ("unix descriptor-send kinds=socket", DescriptorKind::Socket),
        (
            "unix descriptor-receive kinds=opaque",
            DescriptorKind::Opaque,
        ),
    ] {
        let what = ask(line).what;
        assert!(
            matches!(what, What::Descriptor(kind) if kind == expected),
            "{line}: {what:?}"
        );
    }
    for line in ["tcp ioctl bytes-readable", "tcp ioctl ioctl=bytes-readable"] {
        let what = ask(line).what;
        assert!(
            matches!(&what, What::Ioctl(name) if **name == *"bytes-readable"),
            "{line}: {what:?}"
        );
    }
}
