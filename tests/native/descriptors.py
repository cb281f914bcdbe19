"""The native side of the tests of descriptors: `descriptors.py ROLE ARGUMENTS...`.

It drives a guest (`descriptors answer PATH`) over a Unix socket of messages. For each turn it says how the guest is
to receive (`take HOW ROOM`), and sends descriptors. The guest uses what it was let have, and answers `got KINDS CUT`
with everything beside it; KINDS is a letter for each handle: s for a socket, o for an opaque one.
"""

import array
import ctypes
import os
import random
import select
import signal
import socket
import struct
import sys
import time

PATIENCE = 60
WORD = b"by way of the guest"


def say(*words):
    print(*words, flush=True)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come about")
        time.sleep(0.001)


def count_of(process):
    return len(os.listdir(f"/proc/{process}/fd"))


class Item:
    """A descriptor to be passed, its kind, and whether the guest may have it. `work` uses the other end after the
    guest did its part, `gone` tells whether every copy is closed."""

    def __init__(self, name, letter, fd, work=None, gone=None, keep=()):
        self.name, self.letter, self.fd = name, letter, fd
        self.work, self.gone, self.keep = work, gone, keep

    def close(self):
        for held in self.keep:
            held.close() if hasattr(held, "close") else os.close(held)


def heard(s):
    s.settimeout(PATIENCE)
    data = s.recv(100)
    assert data == WORD, data


def ended(s):
    """The other end of a stream, without waiting."""
    try:
        return s.recv(100, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


class Makers:
    def __init__(self, granted, refused, listening=0):
        self.listening = int(listening)
        self.granted = socket.create_server(("127.0.0.1", int(granted)))
        self.refused = socket.create_server(("127.0.0.1", int(refused)))

    def connection(self, name, letter, listener):
        mine = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
        return Item(name, letter, mine.detach(), lambda: heard(other), lambda: ended(other), [other])

    def tcp(self):
        return self.connection("tcp", "s", self.granted)

    def tcp_elsewhere(self):
        return self.connection("tcp-elsewhere", "-", self.refused)

    def tcp_listening(self):
        listener = socket.create_server(("127.0.0.1", self.listening))
        client = socket.create_connection(listener.getsockname())
        return Item("tcp-listening", "s", listener.detach(), lambda: heard(client), lambda: ended(client), [client])

    def udp(self):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(bound.getsockname())
        client.send(b"hello")
        return Item("udp", "s", bound.detach(), lambda: heard(client), None, [client])

    def udp_broadcast(self):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        bound.bind(("127.0.0.1", 0))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(bound.getsockname())
        client.send(b"hello")
        return Item("udp-broadcast", "-", bound.detach(), lambda: heard(client), None, [client])

    def pair(self):
        mine, other = socket.socketpair()
        return Item("pair", "s", mine.detach(), lambda: heard(other), lambda: ended(other), [other])

    def unix_datagram(self):
        name = f"\0sockgate-{os.getpid()}-{random.getrandbits(64):x}"
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound.bind(name)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        client.bind("")
        client.connect(name)
        client.send(b"hello")

        def gone():
            try:
                client.send(b"still there?", socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            return False

        return Item("unix-datagram", "s", bound.detach(), lambda: heard(client), gone, [client])

    def unix_stream(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind("")
        listener.listen()
        mine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mine.connect(listener.getsockname())
        other, _ = listener.accept()
        listener.close()
        return Item("unix-stream", "s", mine.detach(), lambda: heard(other), lambda: ended(other), [other])

    def pipe(self):
        mine, other = os.pipe()

        def gone():
            poll = select.poll()
            poll.register(other, 0)
            return any(events & select.POLLERR for _, events in poll.poll(0))

        return Item("pipe", "o", mine, None, gone, [other])

    def file(self):
        return Item("file", "o", os.open("/dev/null", os.O_RDONLY))

    def folder(self):
        return Item("folder", "o", os.open("/", os.O_RDONLY))

    def memfd(self):
        return Item("memfd", "o", os.memfd_create("sockgate"))

    def epoll(self):
        made = select.epoll()
        return Item("epoll", "o", os.dup(made.fileno()), keep=[made])

    def eventfd(self):
        return Item("eventfd", "o", os.eventfd(0))

    def pidfd(self):
        return Item("pidfd", "o", os.pidfd_open(os.getpid()))

    def o_path(self):
        return Item("o-path", "o", os.open("/etc", os.O_PATH))

    def o_path_of_a_socket(self):
        """It looks like a socket to fstat(2), and is none."""
        path = f"/tmp/sg-{os.getpid()}.sock"
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(path)
        opened = os.open(path, os.O_PATH)
        os.unlink(path)
        return Item("o-path-of-a-socket", "-", opened, keep=[bound])

    def io_uring(self):
        setup = 425
        parameters = (ctypes.c_uint8 * 120)()
        number = ctypes.CDLL(None, use_errno=True).syscall(setup, 4, parameters)
        if number < 0:
            say("kernel", "io-uring", os.strerror(ctypes.get_errno()))
            return None
        # Linux takes no io_uring as a passenger since 6.7.
        one, other = socket.socketpair()
        try:
            socket.send_fds(one, [b"x"], [number])
        except OSError as error:
            say("kernel", "io-uring", os.strerror(error.errno))
            os.close(number)
            return None
        finally:
            one.close()
            other.close()
        return Item("io-uring", "o", number)

    def netlink(self):
        return Item("netlink", "-", socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).detach())

    def packet_of_nothing(self):
        try:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            say("kernel", "packet", "needs root")
            return None
        return Item("packet", "-", made.detach())


KINDS = [
    "tcp", "tcp_elsewhere", "tcp_listening", "udp", "udp_broadcast", "pair", "unix_stream", "unix_datagram", "pipe",
    "file", "folder", "memfd", "epoll", "eventfd", "pidfd", "o_path", "o_path_of_a_socket", "io_uring", "netlink",
    "packet_of_nothing",
]
# What the rounds draw from: each can be made quickly, and most tell when their last copy is gone.
DRAWN = ["tcp", "tcp_elsewhere", "udp", "pair", "pair", "unix_datagram", "pipe", "pipe", "memfd", "netlink"]
HOWS = ["message", "message", "message", "message", "peek", "plain", "many"]


def turn(guest, items, how, room, opaque=True):
    """One message with these items: what the guest has to say of it, and that nothing is left of it."""
    guest.send(f"take {how} {room}".encode())
    identity = [os.fstat(item.fd) for item in items]
    socket.send_fds(guest, [b"these"], [item.fd for item in items])
    for item in items:
        os.close(item.fd)
    arrives = items[:room] if how != "plain" else []
    granted = [
        (item, status)
        for item, status in zip(arrives, identity)
        if item.letter == "s" or (item.letter == "o" and opaque)
    ]
    data, back, flags, _ = socket.recv_fds(guest, 1000, 253)
    letters = "".join(item.letter for item, _ in granted)
    cut = how != "plain" and room < len(items)
    wanted = f"got {letters or '-'} {'cut' if cut else 'whole'}"
    assert data.decode() == wanted, f"{data.decode()} instead of {wanted}: {[i.name for i in items]} {how} {room}"
    assert not flags & socket.MSG_CTRUNC
    same = [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in back]
    assert same == [(status.st_dev, status.st_ino) for _, status in granted], "others came back"
    for fd in back:
        os.close(fd)
    for item, _ in granted:
        if item.work:
            item.work()
    for item in items:
        if item.gone:
            wait_for(f"the end of {item.name}", item.gone)
        item.close()
    return letters


def meet(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    say("listening")
    guest, _ = listener.accept()
    guest.settimeout(PATIENCE)
    listener.close()
    process, _, _ = struct.unpack("=iii", guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return guest, process


def kinds(path, granted, refused, listening):
    """Each kind once, alone: what came of it."""
    guest, _ = meet(path)
    makers = Makers(granted, refused, listening)
    for name in KINDS:
        item = getattr(makers, name)()
        if item:
            guest.send(b"take message 4")
            status = os.fstat(item.fd)
            socket.send_fds(guest, [b"these"], [item.fd])
            data, back, _, _ = socket.recv_fds(guest, 1000, 4)
            if back:
                came = os.fstat(back[0])
                assert (came.st_dev, came.st_ino, came.st_mode) == (status.st_dev, status.st_ino, status.st_mode)
                if item.work:
                    item.work()
            say("kind", item.name, data.decode().split()[1])
            for fd in [item.fd, *back]:
                os.close(fd)
            if item.gone:
                wait_for(f"the end of {item.name}", item.gone)
            item.close()
    guest.send(b"end")


def rounds(path, granted, refused, seed, count, opaque):
    """So many turns with what the seed draws; descriptors of both processes are counted before and after."""
    guest, process = meet(path)
    makers = Makers(granted, refused)
    drawn = random.Random(int(seed))
    opaque = opaque == "opaque"
    arrived = cut = 0

    def one():
        nonlocal arrived, cut
        items = [getattr(makers, drawn.choice(DRAWN))() for _ in range(drawn.randint(1, 6))]
        how = drawn.choice(HOWS)
        room = drawn.choice([0, 1, 2, 3, 6, 10, 253])
        arrived += len(turn(guest, items, how, room, opaque))
        cut += how != "plain" and room < len(items)

    def quiet():
        guest.send(b"quiet")
        assert guest.recv(100) == b"quiet"

    for _ in range(20):
        one()
    quiet()
    before = count_of(process), count_of("self")
    say("before", *before)
    for _ in range(int(count)):
        one()
    quiet()
    say("after", count_of(process), count_of("self"))
    say("arrived", arrived)
    say("cut", cut)
    guest.send(b"end")


def accept_at(path):
    """Takes a listening socket from the guest, and serves at its name."""
    letters = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    letters.bind(path)
    letters.listen()
    say("listening")
    sender, _ = letters.accept()
    data, fds, flags, address = socket.recv_fds(sender, 100, 1)
    say("letter", data.decode(), len(fds), flags & ~socket.MSG_CMSG_CLOEXEC, address)
    listener = socket.socket(fileno=fds[0])
    say("blocking", os.get_blocking(listener.fileno()))
    listener.settimeout(PATIENCE)
    # Until the guest has ended, and with it its own handle.
    assert sender.recv(1) == b""
    name = listener.getsockname()
    client = socket.socket(listener.family, socket.SOCK_STREAM)
    client.connect(name)
    accepted, _ = listener.accept()
    accepted.send(b"served")
    say("client heard", client.recv(100).decode())


def letters_to(path):
    """Datagrams with a descriptor beside each, between bound sockets: `send_fds` with an address."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    s.settimeout(PATIENCE)
    say("listening")
    data, fds, flags, address = socket.recv_fds(s, 100, 4)
    say("letter", data.decode(), len(fds), address)
    # Python's send_fds forgets flags and address.
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    s.sendmsg([b"an ", b"answer"], rights, 0, address)
    for fd in fds:
        os.close(fd)


def whose_pidfd(path):
    """Takes a descriptor of a process from the guest, and says whose."""
    letters = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    letters.bind(path)
    letters.listen()
    say("listening")
    sender, _ = letters.accept()
    data, fds, _, _ = socket.recv_fds(sender, 100, 1)
    if not fds:
        say("letter", data.decode() or "none")
        return
    with open(f"/proc/self/fdinfo/{fds[0]}") as information:
        pid = next(line.split()[1] for line in information if line.startswith("Pid:"))
    say("letter", data.decode(), "mine" if int(pid) == os.getpid() else "another's")
    signal.pidfd_send_signal(fds[0], 0)


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
