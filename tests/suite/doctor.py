"""What this kernel and this user have, found out without sockgate: a JSON object from
"family type protocol name" to the status that `sockgate doctor` should tell. With an
argument, as the user of that number without groups and capabilities."""

import ctypes
import errno
import fcntl
import json
import os
import select
import socket
import struct
import sys

ABSENT = {
    errno.EAFNOSUPPORT, errno.EPFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT,
    errno.EPROTOTYPE, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV,
    errno.ENOENT, errno.ENOSYS,
}
CAPABILITIES = {"BIND_SERVICE": 10, "ADMIN": 12, "RAW": 13, "AUDIT": 30}
STREAM, DGRAM, RAW, RDM, SEQPACKET, DCCP = 1, 2, 3, 4, 5, 6
TYPES = {STREAM: "stream", DGRAM: "datagram", RAW: "raw", RDM: "rdm", SEQPACKET: "seqpacket", DCCP: "dccp"}

truth = {}


def key(family, style, protocol, name):
    return " ".join([family, TYPES.get(style, "-"), protocol or "-", name])


def status(error):
    if error in (errno.EPERM, errno.EACCES):
        return "denied"
    return "absent" if error in ABSENT else "limited"


def tried(attempt):
    """The status of a call that works unless it raises."""
    try:
        return attempt() or "works"
    except OSError as error:
        return status(error.errno)


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def holds(capability):
    line = next(line for line in read("/proc/self/status").splitlines() if line.startswith("CapEff"))
    return bool(int(line.split()[1], 16) >> CAPABILITIES[capability] & 1)


def kind(family, domain, style, protocol, number, *options, useful_with=None):
    """One kind of socket, and its options: name, level, number, and value or length to get."""
    def make():
        socket.socket(domain, style, number).close()
        return "limited" if useful_with and not holds(useful_with) else None

    made = tried(make)
    truth[key(family, style, protocol, "socket")] = made
    for name, level, option, value in options:
        def attempt():
            with socket.socket(domain, style, number) as fresh:
                if isinstance(value, list):
                    fresh.getsockopt(level, option, value[0])
                else:
                    fresh.setsockopt(level, option, value)
        usable = made in ("works", "limited")
        truth[key(family, style, protocol, name)] = tried(attempt) if usable else made


def ip(family, domain, icmp, icmp_number, level, transparent, freebind):
    prefix = "IP" if domain == socket.AF_INET else "IPV6"
    zerocopy = ("MSG_ZEROCOPY", 1, 60, 1)
    kind(family, domain, STREAM, "tcp", 6,
         ("TCP_FASTOPEN_CONNECT", 6, 30, 1), ("TCP_NOTSENT_LOWAT", 6, 25, 1), zerocopy,
         ("TCP_CONGESTION", 6, 13, [16]))
    there = truth[key(family, STREAM, "tcp", "socket")]

    def fast_open():
        with socket.socket(domain, STREAM, 6) as fresh:
            fresh.setsockopt(6, 23, 1)
        ways = read("/proc/sys/net/ipv4/tcp_fastopen")
        return "limited" if ways is not None and int(ways) & 3 != 3 else None

    def tls():
        with socket.socket(domain, STREAM, 6) as fresh:
            try:
                fresh.setsockopt(6, 31, b"tls")
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise

    def loopback():
        with socket.socket(domain, STREAM, 6) as fresh:
            fresh.bind(("127.0.0.1" if domain == socket.AF_INET else "::1", 0))

    for place, attempt in [
        (key(family, STREAM, "tcp", "TCP_FASTOPEN"), fast_open),
        (key(family, STREAM, "tcp", "TCP_ULP tls"), tls),
        (key(family, None, None, "loopback"), loopback),
    ]:
        truth[place] = tried(attempt) if there == "works" else there
    kind(family, domain, DGRAM, "udp", 17,
         ("UDP_SEGMENT", 17, 103, 1200), ("UDP_GRO", 17, 104, 1), zerocopy,
         ("SO_TXTIME", 1, 61, struct.pack("=iI", 1, 0)), ("SO_TIMESTAMPING", 1, 37, 24),
         ("SO_BINDTODEVICE", 1, 25, b"lo\0"), ("SO_MARK", 1, 36, 1),
         (f"{prefix}_TRANSPARENT", level, transparent, 1), (f"{prefix}_FREEBIND", level, freebind, 1))
    for style, protocol, number in [
        (DGRAM, "udplite", 136), (STREAM, "mptcp", 262), (STREAM, "sctp", 132), (SEQPACKET, "sctp", 132),
        (DCCP, "dccp", 33), (STREAM, "smc", 256), (RAW, icmp, icmp_number), (DGRAM, icmp, icmp_number),
    ]:
        kind(family, domain, style, protocol, number)


def unix():
    def on_pair(style, attempt):
        left, right = socket.socketpair(socket.AF_UNIX, style)
        with left, right:
            return attempt(left, right)

    for style in (STREAM, DGRAM, SEQPACKET):
        kind("unix", socket.AF_UNIX, style, None, 0)
    for name, option in [("SO_PASSCRED", 16), ("SO_PASSPIDFD", 76), ("SO_PASSRIGHTS", 83)]:
        truth[key("unix", STREAM, None, name)] = tried(
            lambda: on_pair(STREAM, lambda left, _: left.setsockopt(1, option, 1)))
    for name, option in [("SO_PEERGROUPS", 59), ("SO_PEERSEC", 31)]:
        truth[key("unix", STREAM, None, name)] = tried(
            lambda: on_pair(STREAM, lambda left, _: left.getsockopt(1, option, 1024) and None))

    def pidfd(left, _):
        os.close(struct.unpack("i", left.getsockopt(1, 77, 4))[0])

    def label(left, right):
        right.setsockopt(1, 34, 1)
        left.send(b"!")
        _, ancillary, _, _ = right.recvmsg(1, 4096)
        return None if any(kind == 3 for _, kind, _ in ancillary) else "limited"

    def urgent(left, _):
        left.send(b"!", socket.MSG_OOB)

    def abstract():
        with socket.socket(socket.AF_UNIX, STREAM) as fresh:
            fresh.bind("")
            assert fresh.getsockname()[0] == 0

    truth[key("unix", STREAM, None, "SO_PEERPIDFD")] = tried(lambda: on_pair(STREAM, pidfd))
    truth[key("unix", DGRAM, None, "SO_PASSSEC")] = tried(lambda: on_pair(DGRAM, label))
    truth[key("unix", STREAM, None, "MSG_OOB")] = tried(lambda: on_pair(STREAM, urgent))
    truth[key("unix", STREAM, None, "abstract names")] = tried(abstract)


def netlink():
    options = [("NETLINK_EXT_ACK", 11), ("NETLINK_GET_STRICT_CHK", 12), ("NETLINK_NO_ENOBUFS", 5),
               ("NETLINK_PKTINFO", 3), ("NETLINK_LISTEN_ALL_NSID", 8)]
    kind("netlink", 16, RAW, "route", 0, *[(name, 270, number, 1) for name, number in options])
    for protocol, number in [
        ("usersock", 2), ("sock-diag", 4), ("selinux", 7), ("iscsi", 8), ("fib-lookup", 10),
        ("kobject-uevent", 15), ("generic", 16), ("scsitransport", 18), ("rdma", 20), ("crypto", 21),
    ]:
        kind("netlink", 16, RAW, protocol, number)
    for protocol, number, capability in [
        ("xfrm", 6, "ADMIN"), ("audit", 9, "AUDIT"), ("connector", 11, "ADMIN"), ("netfilter", 12, "ADMIN"),
    ]:
        kind("netlink", 16, RAW, protocol, number, useful_with=capability)


def packet():
    both = [("PACKET_AUXDATA", 263, 8, 1), ("PACKET_STATISTICS", 263, 6, [8]),
            ("PACKET_IGNORE_OUTGOING", 263, 23, 1)]
    kind("packet", 17, RAW, None, 0, *both, ("PACKET_VNET_HDR", 263, 15, 1), ("PACKET_QDISC_BYPASS", 263, 20, 1))
    kind("packet", 17, DGRAM, None, 0, *both)


def can():
    kind("can", 29, RAW, "raw", 1,
         ("CAN_RAW_FD_FRAMES", 101, 5, 1), ("CAN_RAW_XL_FRAMES", 101, 7, 1),
         ("CAN_RAW_JOIN_FILTERS", 101, 6, 1), ("CAN_RAW_RECV_OWN_MSGS", 101, 4, 1))
    for protocol, number in [("bcm", 2), ("isotp", 6), ("j1939", 7)]:
        kind("can", 29, DGRAM, protocol, number)
    up = []
    with socket.socket(socket.AF_INET, DGRAM) as asked:
        for _, name in socket.if_nameindex():
            request = struct.pack("16s24x", name.encode())
            kind_of, = struct.unpack_from("=H", fcntl.ioctl(asked, 0x8927, request), 16)
            flags, = struct.unpack_from("=H", fcntl.ioctl(asked, 0x8913, request), 16)
            if kind_of == 280:
                up.append(flags & 1)
    truth["can - - interfaces"] = "works" if any(up) else "limited" if up else "absent"


def vsock():
    for style in (STREAM, SEQPACKET, DGRAM):
        kind("vsock", 40, style, None, 0)

    def to_itself():
        with socket.socket(40, STREAM) as listener, socket.socket(40, STREAM) as client:
            listener.bind((1, 0xFFFFFFFF))
            listener.listen()
            client.settimeout(20)
            client.connect((1, listener.getsockname()[1]))
            accepted, _ = listener.accept()
            with accepted:
                accepted.send(b"!")
                assert client.recv(1) == b"!"

    def to_machines():
        with socket.socket(40, STREAM) as listener:
            listener.bind((2, 0xFFFFFFFF))

    def in_machine():
        with open("/dev/vsock") as device:
            cid, = struct.unpack("I", fcntl.ioctl(device, 0x7B9, bytes(4)))
        return None if 2 < cid < 0xFFFFFFFF else "absent"

    def way(attempt):
        try:
            return attempt() or "works"
        except OSError as error:
            return "absent" if error.errno == errno.EADDRNOTAVAIL else status(error.errno)

    truth["vsock - - loopback"] = way(to_itself)
    truth["vsock - - host"] = way(to_machines)
    truth["vsock - - guest"] = tried(in_machine)


def alg():
    kind("alg", 38, SEQPACKET, None, 0)
    there = truth[key("alg", SEQPACKET, None, "socket")]
    for kind_of, name in [("hash", "sha256"), ("skcipher", "cbc(aes)"), ("aead", "gcm(aes)"), ("rng", "stdrng")]:
        def bind():
            with socket.socket(38, SEQPACKET) as fresh:
                fresh.bind((kind_of, name))
        truth[key("alg", SEQPACKET, kind_of, name)] = tried(bind) if there == "works" else there


def bluetooth():
    for style, protocol, number in [
        (STREAM, "l2cap", 0), (DGRAM, "l2cap", 0), (SEQPACKET, "l2cap", 0), (RAW, "hci", 1),
        (SEQPACKET, "sco", 2), (STREAM, "rfcomm", 3),
    ]:
        kind("bluetooth", 31, style, protocol, number)
    folder = "/sys/class/bluetooth"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    controllers = [name for name in names if name.startswith("hci") and ":" not in name]
    truth["bluetooth - - controllers"] = "works" if controllers else "absent"


def others():
    for style in (STREAM, DGRAM, SEQPACKET, RDM):
        kind("tipc", 30, style, None, 0)
    kind("rds", 21, SEQPACKET, None, 0, ("SO_RDS_TRANSPORT tcp", 276, 8, 2))
    for family, domain, style, protocol, number in [
        ("qipcrtr", 42, DGRAM, None, 0), ("kcm", 41, DGRAM, None, 0), ("kcm", 41, SEQPACKET, None, 0),
        ("xdp", 44, RAW, None, 0), ("smc", 43, STREAM, "smc", 0), ("smc", 43, STREAM, "smc6", 1),
        ("key", 15, RAW, "pfkey", 2), ("pppox", 24, STREAM, "pppoe", 0), ("pppox", 24, DGRAM, "pppol2tp", 1),
        ("pppox", 24, STREAM, "pptp", 2), ("llc", 26, STREAM, None, 0), ("llc", 26, DGRAM, None, 0),
        ("rxrpc", 33, DGRAM, "inet", 2), ("phonet", 35, DGRAM, None, 0), ("phonet", 35, SEQPACKET, "pipe", 2),
        ("ieee802154", 36, DGRAM, None, 0), ("ieee802154", 36, RAW, None, 0), ("caif", 37, SEQPACKET, "at", 0),
        ("caif", 37, STREAM, "at", 0), ("nfc", 39, SEQPACKET, "rawsock", 0), ("nfc", 39, STREAM, "llcp", 1),
        ("nfc", 39, DGRAM, "llcp", 1), ("x25", 9, SEQPACKET, None, 0), ("ax25", 3, SEQPACKET, None, 0),
        ("ax25", 3, DGRAM, None, 0), ("ax25", 3, RAW, None, 0), ("appletalk", 5, DGRAM, None, 0),
        ("appletalk", 5, RAW, None, 0), ("mctp", 45, DGRAM, None, 0),
    ]:
        kind(family, domain, style, protocol, number)


def unix_diag():
    """sock_diag(7) of a socket that is there: the kernel answers with it, or with an error."""
    with socket.socket(socket.AF_UNIX, STREAM) as asked, socket.socket(16, RAW, 4) as diag:
        inode = os.fstat(asked.fileno()).st_ino
        request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode, 2, 0xFFFFFFFF, 0xFFFFFFFF)
        diag.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 1, 0) + request)
        answer = diag.recv(8192)
        if struct.unpack_from("=H", answer, 4)[0] == 2:
            error = -struct.unpack_from("=i", answer, 16)[0]
            if status(error) == "absent" and holds("ADMIN"):
                return "limited"
            raise OSError(error, "sock_diag")


def openat2():
    libc = ctypes.CDLL(None, use_errno=True)
    how = (ctypes.c_uint64 * 3)(os.O_PATH, 0, 0)
    descriptor = libc.syscall(437, -100, b"/", how, ctypes.sizeof(how))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "openat2")
    os.close(descriptor)


def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")


def host():
    truth["host - - kernel"] = "works" if read("/proc/sys/kernel/osrelease") else "limited"
    truth["host - - openat2"] = tried(openat2)
    truth["host - - epoll"] = tried(lambda: select.epoll().close())
    truth["host - - /proc/self/fd"] = "works" if os.path.isdir("/proc/self/fd") else "absent"
    truth["host - - UNIX_DIAG_VFS"] = tried(unix_diag)
    # seccomp(SECCOMP_GET_ACTION_AVAIL, 0, SECCOMP_RET_ERRNO), landlock_create_ruleset(NULL, 0, version)
    seccomp = {"x86_64": 317}.get(os.uname().machine, 277)
    truth["host - - seccomp"] = tried(lambda: call(seccomp, 2, 0, ctypes.byref(ctypes.c_uint32(0x50000))))
    truth["host - - landlock"] = tried(lambda: call(444, None, ctypes.c_size_t(0), 1))
    whole = (read("/proc/self/uid_map") or "0 0 4294967295").split() == ["0", "0", "4294967295"]
    for name, capability in [("NET_RAW", "RAW"), ("NET_ADMIN", "ADMIN"), ("NET_BIND_SERVICE", "BIND_SERVICE")]:
        has = "works" if whole else "limited"
        truth[f"host - - CAP_{name}"] = has if holds(capability) else "denied"


if len(sys.argv) > 1:
    user = int(sys.argv[1])
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
host()
ip("inet", socket.AF_INET, "icmp", 1, 0, 19, 15)
ip("inet6", socket.AF_INET6, "icmpv6", 58, 41, 75, 78)
unix()
netlink()
packet()
can()
vsock()
alg()
bluetooth()
others()
print(json.dumps(truth))
