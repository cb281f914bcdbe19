"""The native side of the suites `convenience*`: `convenience.py ROLE ARGUMENTS...`.

`serve PORT` takes connections whose first line says what to do with them; the functions below that begin with
`do_` are those lines. Everything waits for what it needs, nothing for time.
"""

import hashlib
import socket
import struct
import sys
import threading
import time

PATIENCE = 60
released = {}
lock = threading.Lock()
saying = threading.Lock()


def say(*words):
    """One line, whole, whichever thread says it."""
    with saying:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()


def show(address):
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def event(name):
    with lock:
        return released.setdefault(name, threading.Event())


def line_of(s):
    """One line without a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            break
        line += byte
    return line.decode().strip()


def do_echo(s):
    while data := s.recv(65536):
        s.sendall(data)


def do_close(s):
    pass


def do_reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def do_who(s):
    s.sendall(f"{show(s.getpeername())} at {show(s.getsockname())}\n".encode())


def do_slow(s):
    """Reads a little at a time, so that every send of the other side gets on."""
    try:
        while s.recv(4096):
            time.sleep(0.005)
    except ConnectionError:
        pass


def do_dribble(s):
    """A byte at a time and no line's end."""
    try:
        while True:
            s.sendall(b"x")
            time.sleep(0.005)
    except OSError:
        pass


def do_sink(s):
    data = b""
    while piece := s.recv(1 << 20):
        data += piece
    say("received", len(data), hashlib.sha256(data).hexdigest())


def do_until_end(s):
    """Says when the other side's half ended; then sends, and ends its own."""
    data = b""
    while piece := s.recv(65536):
        data += piece
    say("ended after", data.decode())
    try:
        s.sendall(b"after the end")
    except OSError:
        pass


def do_held(s):
    """Reads nothing until another connection releases it."""
    name = line_of(s)
    say("holds", name)
    assert event(name).wait(PATIENCE)
    do_sink(s)


def do_wait(s):
    """Sends a word when another connection releases it."""
    name = line_of(s)
    say("waits", name)
    assert event(name).wait(PATIENCE)
    s.sendall(b"now")


def do_release(s):
    event(line_of(s)).set()


def do_pieces(s):
    """Sends each piece (in hexadecimal, one line each) when it is asked to go on."""
    pieces = []
    while piece := line_of(s):
        pieces.append(bytes.fromhex(piece))
    for piece in pieces:
        line_of(s)
        s.sendall(piece)
    s.shutdown(socket.SHUT_WR)
    s.recv(1)


def attend(s):
    with s:
        s.settimeout(PATIENCE)
        word = line_of(s)
        if word:
            globals()["do_" + word.replace("-", "_")](s)


def echo_datagrams(s):
    while True:
        data, source = s.recvfrom(65536)
        s.sendto(data.upper(), source)


def hole(host):
    """A listener that answers nobody any more: its queue is full, so that the kernel drops what comes."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.bind((host, 0))
    listener.listen(0)
    waiting = []
    while True:
        s = socket.socket(listener.family)
        s.settimeout(0.2)
        try:
            s.connect(listener.getsockname())
        except TimeoutError:
            s.close()
            return listener, waiting
        waiting.append(s)


def serve(port, *holes):
    """The server, on both IP versions where there are two, over TCP and UDP; and a hole at each address."""
    port = int(port)
    listeners = [socket.create_server(("127.0.0.1", port))]
    if socket.has_ipv6:
        try:
            listeners.append(socket.create_server(("::1", port), family=socket.AF_INET6))
        except OSError:
            pass
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", port))
    threading.Thread(target=echo_datagrams, args=(datagrams,), daemon=True).start()
    kept = [hole(host) for host in holes]
    for listener, _ in kept:
        say("hole", show(listener.getsockname()))
    say("listening")

    def take(listener):
        while True:
            s, _ = listener.accept()
            threading.Thread(target=attend, args=(s,), daemon=True).start()

    threads = [threading.Thread(target=take, args=(listener,)) for listener in listeners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def talk(address, *words):
    """A client: says each word, what comes back until the end, and the names of both ends."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as s:
        say("local", show(s.getsockname()))
        say("peer", show(s.getpeername()))
        for word in words:
            s.sendall(word.encode() + b"\n")
        s.shutdown(socket.SHUT_WR)
        data = b""
        while piece := s.recv(65536):
            data += piece
        say("answer", data.decode().strip())


def hear(address):
    """A client that lets the server end first."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as s:
        say("heard", s.makefile("r").read().strip())


def reset_client(address):
    """A client that goes away with a reset as soon as it was heard."""
    host, port = address.rsplit(":", 1)
    s = socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
    s.sendall(b"hello\n")
    line_of(s)
    do_reset(s)
    s.close()


def facts():
    """What this Python says of this machine, and of the names that have no value of their own."""
    say("has_ipv6", socket.has_ipv6)
    say("has_dualstack_ipv6", socket.has_dualstack_ipv6())
    say("somaxconn", socket.SOMAXCONN)
    a, b = socket.socketpair()
    say("socketpair", a.family.name, a.type.name, a.proto)
    say("kinds", *(f"{kind.name}={kind.value}" for kind in sorted(socket.SocketKind)))
    known = {f.name: f.value for f in socket.AddressFamily}
    say("families", *(f"{name}={known[name]}" for name in sorted(known)))
    flagged = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_INET, flagged) as s:
        say("flagged", s.type.name, s.gettimeout(), s.get_inheritable())


def timed_out_file():
    """What Python's buffered file does after a time-out."""
    a, b = socket.socketpair()
    a.settimeout(0.05)
    file = a.makefile("rb")
    b.sendall(b"half a li")
    for rest in (b"", b"ne\n"):
        b.sendall(rest)
        try:
            say("line", file.readline())
        except OSError as error:
            say("error", error)


def kinds(*triples):
    """Makes each kind of socket (FAMILY/TYPE/PROTOCOL in numbers), and says what the kernel made of it."""
    for triple in triples:
        with socket.socket(*map(int, triple.split("/"))) as s:
            protocol = s.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
            say("made", triple, int(s.family), int(s.type), protocol, s.getblocking())


def time_outs(*words):
    """Sets each time-out and says what the socket has then."""
    s = socket.socket()
    for word in words:
        if word in ("True", "False"):
            s.setblocking(word == "True")
        else:
            try:
                s.settimeout(None if word == "None" else float(word))
            except ValueError:
                say("time-out", word, "refused")
                continue
        say("time-out", word, show_time(s.gettimeout()), s.getblocking())


def show_time(seconds):
    return "None" if seconds is None else f"{seconds:.9f}"


def defaults():
    """Which time-out new and accepted sockets have."""
    say("default", show_time(socket.getdefaulttimeout()))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    say("accepted", show_time(accepted.gettimeout()))
    socket.setdefaulttimeout(2.5)
    say("default", show_time(socket.getdefaulttimeout()))
    s = socket.socket()
    say("new", show_time(s.gettimeout()))
    say("older", show_time(client.gettimeout()))
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    say("accepted", show_time(accepted.gettimeout()))
    say("connected", show_time(client.gettimeout()))
    client = socket.create_connection(listener.getsockname(), 4)
    say("connected", show_time(client.gettimeout()))
    one, _ = socket.socketpair()
    say("pair", show_time(one.gettimeout()))
    socket.setdefaulttimeout(None)
    say("new", show_time(socket.socket().gettimeout()))


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
