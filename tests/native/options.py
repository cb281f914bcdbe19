"""Options natively, step by step: `options.py steps STEP...` takes the steps that `tests/guests/src/bin/options.rs`
describes, and prints `STEP -> OUTCOME` for each as the guest does.

`options.py witness PID LINE...` looks at the very sockets of another process: each line is
`COOKIE LEVEL NAME LENGTH`, and the answer `COOKIE LEVEL NAME -> xHEX` (or the error's name).
"""

import ctypes
import errno
import os
import re
import socket
import struct
import sys

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
                return shown(s.getsockopt(int(level), int(option), int(most)))
            case "length", [level, option, most]:
                return f"ok {len(s.getsockopt(int(level), int(option), int(most)))}"
            case "set-int", [level, option, value]:
                # As an int of C: what Python makes of a number for vsock is longer.
                s.setsockopt(int(level), int(option), struct.pack("i", int(value)))
            case "set", [level, option, value]:
                s.setsockopt(int(level), int(option), bytes.fromhex(value.lstrip("x")))
            case "set-length", [level, option, length]:
                s.setsockopt(int(level), int(option), None, int(length))
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
    call = ctypes.CDLL(None, use_errno=True).syscall
    process = os.pidfd_open(pid)
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        if not re.match("socket:", os.readlink(f"/proc/{pid}/fd/{number}")):
            continue
        fd = call(PIDFD_GETFD, process, int(number), 0)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
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


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["steps", *words]:
            steps(words)
        case ["witness", *words]:
            witness(*words)
        case _:
            raise SystemExit(__doc__)
