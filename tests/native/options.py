"""Options natively, step by step: `options.py steps STEP...` takes the steps that `tests/guests/src/bin/options.rs`
describes, and prints `STEP -> OUTCOME` for each as the guest does.

`options.py witness PID LINE...` looks at the very sockets of another process: each line is
`COOKIE LEVEL NAME LENGTH`, and the answer `COOKIE LEVEL NAME -> xHEX` (or the error's name).

The other roles are peers: `hear ADDRESS COUNT [GROUP INTERFACE]`, `send ADDRESS HOPS=DATA...`, `serve`,
`call ADDRESS`.
"""

import ctypes
import errno
import os
import re
import signal
import socket
import struct
import sys

PATIENCE = 60
IP_RECVTTL, IP_RECVTOS = 12, 13
SO_COOKIE = 57
PIDFD_GETFD = 438
J1939_NO_NAME, J1939_NO_PGN = 0, 0x40000


def named(error):
    # The one of two names that is Linux's own.
    if error.errno == errno.EOPNOTSUPP:
        return "opnotsupp"
    return errno.errorcode.get(error.errno, str(error)).removeprefix("E").lower()


def shown(data):
    return "x" + data.hex()


def place(word):
    parts = word.split(":")
    match parts:
        case ["can", interface]:
            return (interface,)
        case ["isotp", interface, rx, tx]:
            return interface, int(rx, 0), int(tx, 0)
        case ["j1939", interface, at]:
            return interface, J1939_NO_NAME, J1939_NO_PGN, int(at, 0)
        case ["packet", interface, protocol]:
            return interface, int(protocol, 0)
        case ["netlink", "auto"]:
            return 0, 0
        case ["vsock", cid, port]:
            return int(cid), int(port)
        case ["tipc", service, instance]:
            return socket.TIPC_ADDR_NAME, int(service), int(instance), 0, socket.TIPC_CLUSTER_SCOPE
        case ["alg", kind, name]:
            return kind, name
        case ["l2cap", psm]:
            return "00:00:00:00:00:00", int(psm, 0)
        case ["hci", device]:
            return (int(device),)
    if word.startswith("@"):
        return "\0" + word[1:]
    host, port = word.rsplit(":", 1)
    return host.strip("[]"), int(port)


LIBC = ctypes.CDLL(None, use_errno=True)


def called(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def read(s, level, option, most):
    """getsockopt with a buffer, which Python's own refuses on vsock."""
    if s.family != socket.AF_VSOCK:
        return s.getsockopt(level, option, most)
    value, length = ctypes.create_string_buffer(most), ctypes.c_uint(most)
    called(LIBC.getsockopt(s.fileno(), level, option, value, ctypes.byref(length)))
    return value.raw[: length.value]


def write(s, level, option, value):
    """setsockopt with bytes, likewise."""
    if s.family != socket.AF_VSOCK:
        return s.setsockopt(level, option, value)
    called(LIBC.setsockopt(s.fileno(), level, option, value, len(value)))


def write_length(s, level, option, length):
    """setsockopt with a length alone, likewise."""
    if s.family != socket.AF_VSOCK:
        return s.setsockopt(level, option, None, length)
    called(LIBC.setsockopt(s.fileno(), level, option, None, length))


class Steps:
    def __init__(self):
        self.sockets = {}

    def make(self, call):
        match call.split(" "):
            case ["accept", listener]:
                return [self.sockets[listener].accept()[0]]
            case [what, family, kind, protocol]:
                numbers = int(family), int(kind), int(protocol)
                return socket.socketpair(*numbers) if what == "pair" else [socket.socket(*numbers)]
        raise SystemExit(f"no such call: {call}")

    def take(self, step):
        names, equals, call = step.partition(" = ")
        if equals:
            self.sockets.update(zip(names.split(" "), self.make(call)))
            return "ok"
        verb, name, *rest = step.split(" ", 4)
        s = self.sockets[name]
        match verb, rest:
            case "close", []:
                self.sockets.pop(name).close()
            case "connect-to", [listener]:
                s.connect(self.sockets[listener].getsockname())
            case "bind", [to]:
                s.bind(place(to))
            case "connect", [to]:
                s.connect(place(to))
            case "listen", []:
                s.listen(16)
            case "send", [text]:
                return f"ok {s.send(text.encode())}"
            case "recv", [most]:
                return '"' + s.recv(int(most)).decode() + '"'
            case "int", [level, option]:
                return f"ok {s.getsockopt(int(level), int(option))}"
            case "get", [level, option, most]:
                return shown(read(s, int(level), int(option), int(most)))
            case "length", [level, option, most]:
                return f"ok {len(read(s, int(level), int(option), int(most)))}"
            case "set-int", [level, option, value]:
                # As an int of C: what Python makes of a number for vsock is longer.
                write(s, int(level), int(option), struct.pack("i", int(value)))
            case "set", [level, option, value]:
                write(s, int(level), int(option), bytes.fromhex(value.lstrip("x")))
            case "set-length", [level, option, length]:
                write_length(s, int(level), int(option), int(length))
            case _:
                raise SystemExit(f"no such step: {step}")
        return "ok"


def steps(words):
    take = Steps().take
    for step in words:
        try:
            outcome = take(step)
        except OSError as error:
            outcome = named(error)
        print(step, "->", outcome, flush=True)


def sockets_of(pid):
    """The sockets of a process by their cookies, as descriptors of this one."""
    process = os.pidfd_open(pid)
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        if not re.match("socket:", os.readlink(f"/proc/{pid}/fd/{number}")):
            continue
        fd = LIBC.syscall(PIDFD_GETFD, process, int(number), 0)
        called(fd)
        s = socket.socket(fileno=fd)
        cookie = struct.unpack("Q", s.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
        found[cookie] = s
    return found


def witness(pid, *lines):
    sockets = sockets_of(int(pid))
    for line in lines:
        cookie, level, name, length = map(int, line.split(" "))
        try:
            value = shown(sockets[cookie].getsockopt(level, name, length))
        except OSError as error:
            value = named(error)
        print(cookie, level, name, "->", value, flush=True)


def hear(where, count, group=None, interface=None):
    """Datagrams with what their headers say: `received HOPS CLASS xOPTIONS DATA`."""
    host, port = place(where)
    six = ":" in host
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    if six:
        wanted = [(socket.IPPROTO_IPV6, o) for o in (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS)]
    else:
        wanted = [(socket.IPPROTO_IP, o) for o in (IP_RECVTTL, IP_RECVTOS, socket.IP_RECVOPTS)]
    for level, option in wanted:
        s.setsockopt(level, option, 1)
    if group:
        index = socket.if_nametoindex(interface)
        value = socket.inet_aton(group) + bytes(4) + struct.pack("i", index)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, value)
    s.bind((host, port))
    print("ready", s.getsockname()[1], flush=True)
    for _ in range(int(count)):
        data, control, _, _ = s.recvmsg(65536, 1024)
        said = {kind: value for _, kind, value in control}
        hops = said.get(socket.IP_TTL, said.get(socket.IPV6_HOPLIMIT, bytes(4)))
        traffic = said.get(socket.IP_TOS, said.get(socket.IPV6_TCLASS, bytes(1)))
        options = said.get(socket.IP_RECVOPTS, b"")
        print("received", hops[0], traffic[0], shown(options), data.decode(), flush=True)


def send(where, *pieces):
    """One datagram for each `HOPS=DATA`, from a socket of its own each."""
    host, port = place(where)
    for piece in pieces:
        hops, data = piece.split("=", 1)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(hops))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, int(hops))
        s.sendto(data.encode(), (host, port))
    print("sent", flush=True)


def serve():
    """Takes one connection, and keeps it until the end."""
    s = socket.create_server(("127.0.0.1", 0))
    s.settimeout(PATIENCE)
    print("ready", s.getsockname()[1], flush=True)
    connection, _ = s.accept()
    print("accepted", connection.getpeername()[1], flush=True)
    sys.stdin.read()
    signal.pause()


def call(where):
    """Connects, and keeps the connection until the other side ends it."""
    s = socket.create_connection(place(where), PATIENCE)
    print("connected", flush=True)
    s.recv(1)


ROLES = {"steps": lambda *words: steps(words), "witness": witness, "hear": hear, "send": send}
ROLES |= {"serve": serve, "call": call}

if __name__ == "__main__":
    match sys.argv[1:]:
        case [role, *words] if role in ROLES:
            ROLES[role](*words)
        case _:
            raise SystemExit(__doc__)
