"""Native peers of the test guests, in Python's own words: `peers.py ROLE ARGUMENTS...`.

Addresses are written as the guests write them: 127.0.0.1:80, [::1]:80, /path, @abstract, auto. What is said
on stdout has the guests' form too, so that a test compares lines.
"""

import array
import errno
import hashlib
import os
import random
import socket
import struct
import sys

TYPES = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}
ROOM = 1 << 20
PATIENCE = 60


def parse(text):
    """Family and address."""
    if text == "auto":
        return socket.AF_UNIX, ""
    if text.startswith("@"):
        return socket.AF_UNIX, "\0" + text[1:]
    if text.startswith("/"):
        return socket.AF_UNIX, text
    host, port = text.rsplit(":", 1)
    if host.startswith("["):
        return socket.AF_INET6, (host.strip("[]"), int(port))
    return socket.AF_INET, (host, int(port))


def show(address):
    if isinstance(address, tuple):
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"{host}:{address[1]}"
    if isinstance(address, bytes):
        return "@" + address[1:].decode("ascii")
    return address or "(unnamed)"


def say(*words):
    print(*words, flush=True)


def tell(verb, data):
    say(verb, len(data), hashlib.sha256(data).hexdigest())


def tell_names(s):
    say("local", show(s.getsockname()))
    say("peer", show(s.getpeername()))


def make(text, kind="stream"):
    """A socket for an address, and the address."""
    family, address = parse(text)
    s = socket.socket(family, TYPES[kind])
    s.settimeout(PATIENCE)
    return s, address


def listen(text, kind="stream"):
    s, address = make(text, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address)
    if kind != "datagram":
        s.listen()
    say("listening on", show(s.getsockname()))
    return s


def accept(listener):
    client, source = listener.accept()
    client.settimeout(PATIENCE)
    say("from", show(source))
    return client


def read_all(s):
    pieces = []
    while piece := s.recv(ROOM):
        pieces.append(piece)
    return b"".join(pieces)


def connect(text, kind="stream", own=None):
    s, address = make(text, kind)
    if own:
        s.bind(parse(own)[1])
    s.connect(address)
    return s


def serve_stream(text, count):
    client = accept(listen(text))
    tell_names(client)
    tell("received", read_all(client))
    data = random.randbytes(int(count))
    client.sendall(data)
    tell("sent", data)


def connect_stream(text, count, own=None):
    s = connect(text, own=own)
    tell_names(s)
    data = random.randbytes(int(count))
    s.sendall(data)
    tell("sent", data)
    s.shutdown(socket.SHUT_WR)
    tell("received", read_all(s))


def serve_messages(kind, text, count):
    s = listen(text, kind)
    if kind == "seqpacket":
        s = accept(s)
        tell_names(s)
    for _ in range(int(count)):
        data, source = s.recvfrom(ROOM)
        tell("received", data)
        if kind == "seqpacket":
            s.send(data)
        else:
            say("from", show(source))
            s.sendto(data, source)
        tell("sent", data)


def ask_messages(kind, text, own, *sizes, connected=False):
    s, address = make(text, kind)
    if own != "-":
        s.bind(parse(own)[1])
        say("local", show(s.getsockname()))
    connected = connected or kind == "seqpacket"
    if connected:
        s.connect(address)
        tell_names(s)
    for size in map(int, sizes):
        data = random.randbytes(size)
        try:
            s.send(data) if connected else s.sendto(data, address)
        except OSError as error:
            say("refused", size, errno.errorcode[error.errno])
            continue
        tell("sent", data)
        answer, source = s.recvfrom(ROOM)
        tell("received", answer)
        say("from", show(source) if source is not None else "nobody")


def ask_connected(*arguments):
    ask_messages(*arguments, connected=True)


def limit(kind, text):
    """The largest message that a new socket of this kind sends, by trying; and the error of the next one."""
    family, _ = parse(text)
    if family == socket.AF_UNIX:
        one, other = socket.socketpair(family, TYPES[kind])
    else:
        other = socket.socket(family, TYPES[kind])
        other.bind(parse(text)[1])
        one = socket.socket(family, TYPES[kind])
        one.connect(other.getsockname())
    low, high, refusal = 0, ROOM, None
    while high - low > 1:
        middle = (low + high) // 2
        try:
            one.send(bytes(middle))
            other.recv(ROOM)
            low = middle
        except OSError as error:
            high, refusal = middle, errno.errorcode[error.errno]
    say("limit", low, refusal)


# Ancillary data.


def take_passed(path, text):
    """Takes a connection from the guest; listens at `text` as the server of that connection as well."""
    server = listen(text)
    letters = listen(path)
    connection = accept(server)
    sender = accept(letters)
    data, fds, flags, _ = socket.recv_fds(sender, 100, 4)
    say("letter", data.decode(), len(fds), "truncated" if flags & socket.MSG_CTRUNC else "whole")
    passed = socket.socket(fileno=fds[0])
    say("blocking", os.get_blocking(passed.fileno()))
    say("connected to", show(passed.getpeername()))
    passed.sendall(b"python with the guest's socket")
    passed.close()
    sender.send(b"!")
    say("server heard", read_all(connection).decode())


def pass_to_guest(path, text, file):
    """Passes a connected socket and an open file; says what the other end of the socket sees, and what
    comes back."""
    server = listen(text)
    letters = listen(path)
    sender = accept(letters)
    mine = connect(text)
    theirs = accept(server)
    opened = os.open(file, os.O_RDONLY)
    socket.send_fds(sender, [b"two for you"], [mine.fileno(), opened])
    # Only the guest holds the connection from here on.
    mine.close()
    say("server heard", (theirs.recv(100) or b"the end").decode())
    while True:
        data, fds, _, _ = socket.recv_fds(sender, 100, 4)
        if not data:
            break
        for fd in fds:
            same = os.fstat(fd).st_ino == os.fstat(opened).st_ino
            if same:
                say("file back", os.pread(fd, 100, 0).decode())
            else:
                say("socket back", show(socket.socket(fileno=os.dup(fd)).getpeername()))
            os.close(fd)
        break
    sender.shutdown(socket.SHUT_WR)
    theirs.settimeout(PATIENCE)
    say("server at the end", (read_all(theirs) or b"the end").decode())


def pass_refused(path, text, file):
    """Passes what the guest may not have: the other end of the socket sees it closed while the guest lives."""
    server = listen(text)
    letters = listen(path)
    sender = accept(letters)
    mine = connect(text)
    theirs = accept(server)
    opened, closed = os.pipe()
    del file
    socket.send_fds(sender, [b"two for you"], [mine.fileno(), closed])
    mine.close()
    os.close(closed)
    say("server heard", (read_all(theirs) or b"the end").decode())
    say("pipe heard", (os.read(opened, 100) or b"the end").decode())
    say("guest lives" if sender.getpeername() is not None else "")
    sender.close()


def credentials(path):
    letters = listen(path)
    s = accept(letters)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    # A guest does not know the process that it runs in.
    known = struct.unpack("=iii", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    s.send(" ".join(map(str, known)).encode())
    data, control, _, _ = s.recvmsg(100, socket.CMSG_SPACE(12))
    if not data:
        say("credentials none")
        return
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            say("credentials", *struct.unpack("=iii", value))
    own = struct.pack("=iii", os.getpid(), os.getuid(), os.getgid())
    s.sendmsg([b"yours"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, own)])
    say("sent as", os.getpid(), os.getuid(), os.getgid())
    read_all(s)


IP_TTL, IP_TOS, IP_RECVTTL = 2, 1, 12


def datagram(text, hops, traffic_class):
    """Sends one datagram with these, and says from where and with which hop limit the answer comes."""
    s, address = make(text, "datagram")
    if s.family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(hops))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, int(traffic_class))
        s.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, int(hops))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, int(traffic_class))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    s.sendto(b"what comes with me?", address)
    data, control, _, source = s.recvmsg(100, 200)
    say("answer", data.decode())
    say("from", show(source))
    for level, kind, value in control:
        if (level, kind) in [
            (socket.IPPROTO_IP, IP_TTL),
            (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
        ]:
            say("hop-limit", array.array("i", value)[0])


ROLES = {
    role.__name__.replace("_", "-"): role
    for role in [
        serve_stream,
        connect_stream,
        serve_messages,
        ask_messages,
        ask_connected,
        limit,
        take_passed,
        pass_to_guest,
        pass_refused,
        credentials,
        datagram,
    ]
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
